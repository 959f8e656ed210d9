"""Taking a connection away from HTTP, and giving it back."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event
from leaks import nothing_left
from support import wait_until
from web import Client, head, serving

from greenbas import Request, Response, spawn
from greenbas.errors import CannotConnect, ConnectionClosed, IncorrectUse, SocketClosed, TimedOut
from greenbas.http import State
from greenbas.net import Stream


def exactly(client: Client, size: int) -> bytes:
    """The next `size` bytes."""
    data = b""
    while len(data) < size and (piece := client.sock.recv(size - len(data))):
        data += piece
    return data


def echoes(request: Request, response: Response) -> None:
    stream, rest = request.detach()
    stream.write(b"took " + rest)
    while data := stream.read():
        stream.write(data)
    stream.close()


def test_the_bytes_are_the_handlers() -> None:
    with serving(echoes) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1") + "more")
        assert exactly(client, 9) == b"took more"
        client.send("and on")
        assert exactly(client, 6) == b"and on"
        client.half_close()
        assert client.closed()
        wait_until(lambda: not len(server.service.table))


def test_what_was_written_goes_first() -> None:
    def stream_events(request: Request, response: Response) -> None:
        response.set_content_type("text/event-stream")
        response.write("data: one\n\n")
        stream, _ = request.detach()
        stream.write(b"data: two\n\n")
        stream.close()

    with serving(stream_events) as server, Client(server) as client:
        answer = client.ask(head("GET /d/ HTTP/1.1"))
        assert (answer.status, answer.body) == (200, b"data: one\n\ndata: two\n\n")
        assert answer["connection"] == "close"


def test_an_unread_body_goes_along() -> None:
    with serving(echoes) as server, Client(server) as client:
        client.send(head("POST /d/ HTTP/1.1", "Content-Length: 100") + "begun")
        assert exactly(client, 10) == b"took begun"


def test_a_chunked_head_cannot_be_left_alone() -> None:
    caught: list[str] = []

    def flushes(request: Request, response: Response) -> None:
        response.write("x")
        response.flush()
        with pytest.raises(IncorrectUse) as info:
            request.detach()
        caught.append(str(info.value))

    with serving(flushes) as server, Client(server) as client:
        assert client.ask(head("GET /d/ HTTP/1.1")).body == b"x"
    assert caught == ["the head has said chunked: call downgrade() before the first flush()"]


def test_the_response_is_over() -> None:
    found: list[str] = []

    def writes(request: Request, response: Response) -> None:
        stream, _ = request.detach()
        for call in (lambda: response.write("x"), lambda: response.set_status(201), request.detach):
            with pytest.raises(IncorrectUse) as info:
                call()
            found.append(type(info.value).__name__)
        assert request.peername()[0] == "127.0.0.1"
        stream.write(b"done")
        stream.close()

    with serving(writes) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        assert client.rest() == b"done"
    assert found == ["Expired", "IsCommitted", "Expired"]


def test_a_detached_handler_counts_no_more_and_has_no_deadline() -> None:
    settings = {"max_workers": 1, "request_timeout": 0.05}
    with serving(echoes, **settings) as server, Client(server) as one, Client(server) as other:
        for client in (one, other):
            client.send(head("GET /d/ HTTP/1.1"))
            assert exactly(client, 5) == b"took "
        assert server.service.workers.active == 0
        gevent.sleep(0.1)
        one.send("late")
        assert exactly(one, 4) == b"late"
        assert server.service.table.count(State.DETACHED) == 2


def test_the_stream_outlives_the_handler_while_somebody_has_it() -> None:
    kept: list[Stream] = []

    def gives(request: Request, response: Response) -> None:
        kept.append(request.detach()[0])

    with nothing_left(), serving(gives) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        wait_until(lambda: kept)
        spawn(kept[0].write, b"later")
        assert exactly(client, 5) == b"later"
        kept.clear()  # nobody has it: it closes
        assert client.closed()
        wait_until(lambda: not len(server.service.table))


def test_a_failing_handler_leaves_no_connection() -> None:
    def fails(request: Request, response: Response) -> None:
        request.detach()
        raise ValueError("on purpose")

    with serving(fails) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        assert client.closed()
        wait_until(lambda: not len(server.service.table))


def test_the_owner_hears_of_the_stop() -> None:
    told = Event()

    def waits(request: Request, response: Response) -> None:
        stream, _ = request.detach(told.set)
        stream.write(b"x")
        told.wait()
        stream.write(b"bye")
        stream.close()

    with serving(waits) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        exactly(client, 1)
        assert server.stop() == []
        assert client.rest() == b"bye"


def test_a_stream_that_nobody_ends_is_closed_at_the_end_of_the_drain() -> None:
    kept: list[Stream] = []

    def keeps(request: Request, response: Response) -> None:
        kept.append(request.detach()[0])

    with serving(keeps) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        wait_until(lambda: kept)
        server.stop(drain_timeout=0.05)
        assert kept[0].closed
        assert client.closed()


# -- giving it back -----------------------------------------------------------------------------------------------


def gives_back(request: Request, response: Response) -> str | None:
    if request.path != "/raw/":
        return request.path
    service = request._live().service
    stream, rest = request.detach()
    stream.write(b"raw")
    data = rest or stream.read()
    service.adopt(stream, data)
    return None


def test_a_stream_goes_back_to_http() -> None:
    with serving(gives_back) as server, Client(server) as client:
        for _ in range(2):
            client.send(head("GET /raw/ HTTP/1.1"))
            assert exactly(client, 3) == b"raw"
            assert client.ask(head("GET /d/x HTTP/1.1")).body == b"/d/x"
        assert len(server.service.table) == 1


def test_a_closed_stream_cannot_go_back() -> None:
    caught: list[str] = []

    def closes(request: Request, response: Response) -> None:
        stream, _ = request.detach()
        service = request._live().service
        stream.close()
        with pytest.raises(SocketClosed) as info:
            service.adopt(stream)
        caught.append(str(info.value))

    with serving(closes) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        assert client.closed()
    assert caught == ["the stream is closed"]


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (SocketClosed("the client has gone"), False),
        (ConnectionClosed(1006), False),
        (CannotConnect("cannot connect to the database"), True),
        (TimedOut("the database does not answer"), True),
    ],
)
def test_errors_of_other_connections_are_not_taken_for_the_clients(
    error: Exception, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(request: Request, response: Response) -> None:
        request.detach()
        raise error

    with serving(fails) as server, Client(server) as client:
        client.send(head("GET /d/ HTTP/1.1"))
        assert client.closed()
        wait_until(lambda: not len(server.service.table))
    assert ("GET /d/ failed" in caplog.text) is logged
    caplog.clear()
    error.__traceback__ = None
