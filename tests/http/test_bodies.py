"""Request bodies: what handlers get, what happens to what they leave, and 100 Continue."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import wait_until
from web import Client, ask, head, serving

from greenbas import Server
from greenbas.errors import BodyTooLarge, IncompleteBody, RemoteProtocolError
from greenbas.http import Request, Response
from greenbas.net import Stream

POST = "POST / HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"
SMALL, LARGE = 100_000, 1_000_000  # an unread body that is read and dropped, and one that is not worth it


class App:
    """What the path says; notes what came."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.bodies: list[bytes] = []
        self.errors: list[Exception] = []

    def __call__(self, request: Request, response: Response) -> Any:
        self.seen.append(request.path)
        return getattr(self, f"do_{request.relpath or 'body'}")(request, response)

    def do_body(self, request: Request, response: Response) -> bytes:
        self.bodies.append(request.body())
        return self.bodies[-1]

    def do_catch(self, request: Request, response: Response) -> str:
        try:
            request.body()
        except Exception as error:
            self.errors.append(error)
            return "caught"
        return "nothing to catch"

    def do_raise(self, request: Request, response: Response) -> None:
        try:
            request.body()
        except Exception as error:
            self.errors.append(error)
            raise

    def do_leave(self, request: Request, response: Response) -> str:
        return "left"

    def do_some(self, request: Request, response: Response) -> bytes:
        return request.stream.read(3)

    def do_others(self, request: Request, response: Response) -> dict[str, Any]:
        """The first piece is read here, the rest by somebody else."""
        first = next(request.stream.chunks(), b"")
        taken: list[bytes] = []

        def move(stream: Stream, most: int) -> int:
            taken.append(stream.sock.recv(min(most, 1000)))  # raises BlockingIOError until there is some
            return len(taken[-1])

        while request.stream.take_by(move):
            pass
        rest = request.body()
        return {"first": len(first), "taken": b"".join(taken).decode(), "rest": rest.decode()}

    def do_trailers(self, request: Request, response: Response) -> dict[str, Any]:
        body = request.body().decode()
        return {"body": body, "trailers": dict(request.trailers), "head": request.header("x")}

    def do_early(self, request: Request, response: Response) -> str:
        response.write("early")
        response.flush()
        return request.body().decode()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    with serving(app) as server:
        yield server


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """The chunked coding of these pieces."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def raw(*lines: str) -> bytes:
    """`head`, as bytes."""
    return head(*lines).replace("\n", "\r\n").encode()


def test_somebody_else_takes_the_body(server: Server) -> None:
    body = "".join(map(str, range(3000)))
    with Client(server) as client:
        for _ in range(2):  # the next request is where it belongs
            client.send(head("POST /others HTTP/1.1", f"Content-Length: {len(body)}") + body[:10])
            wait_until(lambda: server.service.counters.requests > 0)
            client.send(body[10:] + head("GET /body HTTP/1.1"))
            found = json.loads(client.answer().body)
            assert found["first"] + len(found["taken"]) == len(body) and found["rest"] == ""
            assert body.endswith(found["taken"]) and found["taken"]
            assert client.answer().body == b""


@pytest.mark.parametrize(
    ("data", "first", "rest"),
    [
        (raw("POST /others HTTP/1.1", CHUNKED) + chunks(b"abc", b"de"), 3, "de"),
        (raw("POST /others HTTP/1.1", "Content-Length: 3") + b"abc", 3, ""),
        (raw("GET /others HTTP/1.1"), 0, ""),
    ],
)
def test_nobody_else_takes_what_has_no_length_or_is_here(server: Server, data: bytes, first: int, rest: str) -> None:
    with Client(server) as client:
        found = json.loads(client.ask(data).body)
        assert (found["first"], found["taken"], found["rest"]) == (first, "", rest)


def test_somebody_else_and_a_client_that_goes_away(server: Server, app: App) -> None:
    with Client(server) as client:
        client.send(raw("POST /others HTTP/1.1", "Content-Length: 100") + b"x")
        wait_until(lambda: app.seen == ["/others"])
        client.send(b"y" * 10)
        client.half_close()
        assert client.answer().status == 400


@pytest.mark.parametrize(
    ("data", "body"),
    [
        pytest.param(raw(POST), b"", id="9112 6.3: none"),
        pytest.param(raw(POST, "Content-Length: 0"), b"", id="9112 6.2: length 0"),
        pytest.param(raw(POST, "Content-Length: 5") + b"he\0\xffo", b"he\0\xffo", id="9112 6.2: length"),
        pytest.param(raw(POST, CHUNKED) + chunks(b"he", b"\0", b"\xffo"), b"he\0\xffo", id="9112 7.1: chunked"),
        pytest.param(raw(POST, CHUNKED) + chunks(), b"", id="9112 7.1: chunked and empty"),
        pytest.param(raw(POST, f"Content-Length: {LARGE}") + b"x" * LARGE, b"x" * LARGE, id="9112 6.2: a megabyte"),
        pytest.param(
            raw(POST, CHUNKED) + chunks(*[b"x" * 1000] * 1000), b"x" * LARGE, id="9112 7.1: a megabyte in chunks"
        ),
        pytest.param(raw("GET / HTTP/1.1", "Content-Length: 2") + b"ab", b"ab", id="9110 9.3.1: with GET"),
        pytest.param(raw("POST / HTTP/1.0", "Content-Length: 2") + b"ab", b"ab", id="9112 6.3: HTTP/1.0"),
    ],
)
def test_bodies_arrive(server: Server, data: bytes, body: bytes) -> None:
    assert ask(server, data, "POST").body == body


@pytest.mark.parametrize("path", ["/", "/leave", "/some"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("pause", [False, True])
def test_the_connection_goes_on_behind_a_small_body(
    server: Server, app: App, path: str, coding: str, pause: bool
) -> None:
    """9112 9.3: read or not, it is no part of the next request, even when it looks like one."""
    body = raw("GET /smuggled HTTP/1.1") * (SMALL // 40)
    start = raw(f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}" if coding == "length" else CHUNKED)
    wire = body if coding == "length" else chunks(body[:500], body[500:])
    with Client(server) as client:
        for _ in range(2):
            if pause:
                client.send(start)
                wait_until(lambda: app.seen)
                client.send(wire)
            else:
                client.send(start + wire)
            assert client.answer("POST").body == {"/": body, "/leave": b"left", "/some": body[:3]}[path]
            app.seen.clear()
        assert client.ask(head("GET /leave HTTP/1.1")).body == b"left"
    assert app.seen == ["/leave"]


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_the_connection_closes_behind_a_large_body_that_nobody_read(server: Server, app: App, coding: str) -> None:
    """9112 9.6; what it held is never taken for a request."""
    body = raw("GET /smuggled HTTP/1.1") * (LARGE // 40)
    start = raw("POST /leave HTTP/1.1", f"Content-Length: {len(body)}" if coding == "length" else CHUNKED)
    with Client(server) as client:
        client.send(start + (body if coding == "length" else chunks(body)))
        answer = client.answer("POST")
        assert answer.body == b"left"
        assert coding == "chunked" or answer["Connection"] == "close"  # the length of a chunked one is not known ahead
        assert client.closed()
    assert app.seen == ["/leave"]


def test_trailers(server: Server) -> None:
    """9110 6.5.1: apart from the head's fields."""
    data = raw("POST /trailers HTTP/1.1", CHUNKED, "X: head") + b"1\r\na\r\n0\r\nX: one\r\nx: two\r\n\r\n"
    assert ask(server, data).body == b'{"body":"a","trailers":{"x":"one, two"},"head":"head"}'


def test_a_body_that_comes_byte_by_byte(server: Server) -> None:
    with Client(server) as client:
        for byte in raw(POST, CHUNKED) + chunks(b"hello"):
            client.send(bytes([byte]))
        assert client.answer("POST").body == b"hello"


def test_the_answer_may_begin_before_the_body_ends(server: Server) -> None:
    """9112 9.5"""
    with Client(server) as client:
        client.send(head("POST /early HTTP/1.1", "Content-Length: 5") + "he")
        assert client.read_until(b"early").startswith(b"HTTP/1.1 200")
        client.send("llo")
        assert client.read_until(b"0\r\n\r\n") == b"\r\n5\r\nhello\r\n0\r\n\r\n"


# -- bodies that do not come --------------------------------------------------------------------------------------

CUT = [
    pytest.param(raw("POST {} HTTP/1.1", "Content-Length: 10") + b"hello", id="9112 8: length"),
    pytest.param(raw("POST {} HTTP/1.1", "Content-Length: 10"), id="9112 8: nothing of it"),
    pytest.param(raw("POST {} HTTP/1.1", CHUNKED) + b"a\r\nhello", id="9112 8: within a chunk"),
    pytest.param(raw("POST {} HTTP/1.1", CHUNKED) + b"5\r\nhello\r\n", id="9112 8: between chunks"),
    pytest.param(
        raw("POST {} HTTP/1.1", CHUNKED) + b"5\r\nhello\r\n0\r\n", id="9112 8: before the end of the trailers"
    ),
    pytest.param(raw("POST {} HTTP/1.0", "Content-Length: 10") + b"hello", id="9112 8: HTTP/1.0"),
]


@pytest.mark.parametrize("data", CUT)
def test_a_truncated_body_raises_in_the_handler(server: Server, app: App, data: bytes) -> None:
    with Client(server) as client:
        client.send(data.replace(b"{}", b"/catch"))
        client.half_close()
        assert client.answer("POST").body == b"caught"
        assert client.closed()
    (error,) = app.errors
    assert isinstance(error, IncompleteBody) and isinstance(error, RemoteProtocolError)


@pytest.mark.parametrize("data", CUT)
def test_a_truncated_body_is_400_when_the_handler_does_not_care(server: Server, app: App, data: bytes) -> None:
    with Client(server) as client:
        client.send(data.replace(b"{}", b"/raise"))
        client.half_close()
        assert client.answer("POST").status == 400
        assert client.closed()
    assert server.site.failures == 0


@pytest.mark.parametrize("data", CUT)
@pytest.mark.parametrize("end", [Client.reset, lambda client: client.sock.close()], ids=["reset", "close"])
def test_a_client_that_goes_away(server: Server, app: App, data: bytes, end: Callable[[Client], None]) -> None:
    client = Client(server)
    client.send(data.replace(b"{}", b"/raise"))
    wait_until(lambda: app.seen)
    end(client)
    wait_until(lambda: app.errors)
    assert isinstance(app.errors[0], IncompleteBody)
    wait_until(lambda: len(server.service.table) == 0)
    assert server.site.failures == 0


def test_what_arrived_can_be_read_before_the_error(server: Server) -> None:
    got: list[Any] = []

    def handler(request: Request, response: Response) -> str:
        try:
            for block in request.rawrdr(2):
                got.append(block)
        except IncompleteBody as error:
            got.append(error)
        return "x"

    with serving(handler) as other, Client(other) as client:
        client.send(head(POST, "Content-Length: 10") + "hello")
        client.half_close()
        client.answer("POST")
    assert got[:2] == [b"he", b"ll"] and isinstance(got[-1], IncompleteBody)


# -- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize(
    ("settings", "size", "status"),
    [
        ({"max_body": 1000}, 1000, 200),
        ({"max_body": 1000}, 1001, 413),
        ({"max_memory_body": 1000}, 1000, 200),
        ({"max_memory_body": 1000}, 1001, 413),
        ({}, 10 * 1024 * 1024, 200),
        ({}, 10 * 1024 * 1024 + 1, 413),
    ],
)
def test_limits(app: App, settings: dict[str, int], size: int, status: int, coding: str) -> None:
    """9110 15.5.14"""
    body = b"x" * size
    wire = raw(POST, f"Content-Length: {size}") + body if coding == "length" else raw(POST, CHUNKED) + chunks(body)
    with serving(app, **settings) as server:
        assert ask(server, wire, "POST").status == status
    assert [len(body) for body in app.bodies] == ([size] if status == 200 else [])


def test_streams_are_not_limited_by_the_memory_limit() -> None:
    def handler(request: Request, response: Response) -> str:
        return str(sum(map(len, request.rawrdr())))

    with serving(handler, max_memory_body=1000) as server:
        assert ask(server, raw(POST, f"Content-Length: {LARGE}") + b"x" * LARGE, "POST").body == b"1000000"


def test_a_handler_may_catch_that_it_is_too_large(app: App) -> None:
    with serving(app, max_memory_body=1000) as server:
        assert ask(server, raw("POST /catch HTTP/1.1", "Content-Length: 1001") + bytes(1001), "POST").body == b"caught"
    assert isinstance(app.errors[0], BodyTooLarge)


# -- 100 Continue -------------------------------------------------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("coding", ["Content-Length: 5", CHUNKED])
def test_continue_when_the_handler_reads(server: Server, coding: str) -> None:
    """9110 10.1.1: before the body comes; once; the connection goes on."""
    with Client(server) as client:
        for _ in range(2):
            client.send(head(POST, "Expect: 100-continue", coding))
            assert client.read_until(b"\r\n\r\n") == CONTINUE
            client.send("hello" if coding != CHUNKED else "5\nhello\n0\n\n")
            answer = client.answer("POST")
            assert (answer.body, answer.all("Connection")) == (b"hello", [])


@pytest.mark.parametrize("path", ["/some", "/", "/catch"])
def test_continue_is_sent_once(server: Server, path: str) -> None:
    with Client(server) as client:
        client.send(head(f"POST {path} HTTP/1.1", "Expect: 100-continue", "Content-Length: 6"))
        assert client.read_until(b"\r\n\r\n") == CONTINUE
        client.send("abc")
        client.send("def")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_continue_is_sent_once_though_only_framing_comes(server: Server) -> None:
    with Client(server) as client:
        client.send(head(POST, "Expect: 100-continue", CHUNKED))
        assert client.read_until(b"\r\n\r\n") == CONTINUE
        for piece in ("5", ";a\n", "hello", "\n0\n\n"):
            client.send(piece)
            time.sleep(0.01)  # so that each is read by itself
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_continue_when_the_handler_does_not_read(server: Server, app: App) -> None:
    """9110 10.1.1: a final answer instead; nobody knows whether the body will come, so the connection closes."""
    with Client(server) as client:
        client.send(head("POST /leave HTTP/1.1", "Expect: 100-continue", "Content-Length: 5"))
        start = client.read_until(b"\r\n\r\n")
        assert start.startswith(b"HTTP/1.1 200 OK\r\n") and b"Connection: close\r\n" in start
        client.send(raw("GET /smuggled HTTP/1.1"))
        assert client.rest() == b"left"
    assert app.seen == ["/leave"]


def test_no_continue_when_it_is_too_large_anyway(app: App) -> None:
    """9110 10.1.1: refused before a byte of it is sent."""
    with serving(app, max_body=1000) as server, Client(server) as client:
        client.send(head(POST, "Expect: 100-continue", "Content-Length: 1001"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert app.seen == []


def test_no_continue_over_the_memory_limit(app: App) -> None:
    with serving(app, max_memory_body=1000) as server, Client(server) as client:
        client.send(head(POST, "Expect: 100-continue", "Content-Length: 1001"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_no_continue_for_http10(server: Server) -> None:
    """9110 10.1.1, 15.2: an HTTP/1.0 client does not know 1xx."""
    with Client(server) as client:
        client.send(head("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 5"))
        client.sock.settimeout(0.1)
        with pytest.raises(socket.timeout):
            client.sock.recv(1)
        client.sock.settimeout(5)
        client.send("hello")
        assert client.rest().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            head(POST, "Expect: 100-continue", "Content-Length: 5") + "hello", id="9110 10.1.1: the body is here"
        ),
        pytest.param(head(POST, "Expect: 100-continue", "Content-Length: 0"), id="9110 10.1.1: no body"),
        pytest.param(head("GET / HTTP/1.1", "Expect: 100-continue"), id="9110 10.1.1: no body with GET"),
    ],
)
def test_no_continue_when_nothing_is_to_come(server: Server, data: str) -> None:
    with Client(server) as client:
        client.send(data + head("GET / HTTP/1.1"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_in_two_parts_with_continue(server: Server) -> None:
    """9110 10.1.1: a client need not wait for ever."""
    with Client(server) as client:
        client.send(head(POST, "Expect: 100-continue", "Content-Length: 5"))
        time.sleep(0.02)
        client.send("hello")
        assert client.answer("POST").body == b"hello"
        assert client.ask(head("GET /leave HTTP/1.1")).body == b"left"


def test_no_interim_response_in_the_middle_of_a_response() -> None:
    """A handler that flushed before it read the body once got "100 Continue" between its chunks."""

    def flush_and_read(request: Request, response: Response) -> None:
        response.write("first ")
        response.flush()
        response.write(request.body())

    with serving(flush_and_read) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 4", "Expect: 100-continue"))
        client.read_until(b"first \r\n")
        client.send(b"body")
        assert client.rest() == b"4\r\nbody\r\n0\r\n\r\n"
