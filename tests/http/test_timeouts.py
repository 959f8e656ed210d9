"""Time-outs and limits: slow, silent and greedy clients are cut off while others are served (design 6, wish 9)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from support import wait_until
from web import Client, ask, head, serving

from greenbas import Server
from greenbas.errors import BodyTimeout, RequestDeadline, SocketClosed, TimedOut
from greenbas.http import Request, Response, State

GET = head("GET / HTTP/1.1")
MEGABYTE = 1024 * 1024
PATIENCE = 3.0  # seconds within which everything here has to happen; the time-outs below are a tenth of it or less


@pytest.fixture(autouse=True)
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the time-outs twenty times a second instead of once."""
    monkeypatch.setattr("greenbas.http.service.SWEEP_INTERVAL", 0.05)


def hello(request: Request, response: Response) -> str:
    return "hello"


def seconds(wait: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.monotonic()
    wait()
    return time.monotonic() - started


def served(server: Server, count: int = 20) -> float:
    """The longest that one of so many requests on one connection takes."""
    with Client(server) as client:
        return max(seconds(lambda: client.ask(GET)) for _ in range(count))


# -- heads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param("G", id="a letter"),
        pytest.param("GET / HTTP/1.1\nHost: x\n", id="all but the empty line"),
        pytest.param("\nGET /", id="behind an empty line"),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_head_that_does_not_end(begun: str, first: bool) -> None:
    """9110 15.5.9: 408 and close; on a new connection and behind a request."""
    with serving(hello, head_timeout=0.2) as server, Client(server) as client:
        if first:
            client.send(GET)
        client.send(begun)
        if first:
            assert client.answer().status == 200
        waited = seconds(lambda: client.read_until(b"\r\n"))
        client._left = b"HTTP/1.1 408 Request Timeout\r\n" + client._left
        answer = client.answer()
        assert (answer.status, answer["Connection"]) == (408, "close")
        assert client.closed()
        assert 0.1 < waited < PATIENCE
        assert server.service.table.timed_out == 1


def test_a_connection_that_says_nothing() -> None:
    """Closed without a word: there is no request to answer."""
    with serving(hello, head_timeout=0.2) as server, Client(server) as client:
        assert 0.1 < seconds(lambda: client.rest()) < PATIENCE
        assert server.service.table.timed_out == 1


@pytest.mark.parametrize("trickle", ["X: y\n", "a"], ids=["lines", "bytes"])
def test_a_trickle_buys_no_time(trickle: str) -> None:
    """The clock of a head runs from its first byte to its end."""
    with serving(hello, head_timeout=0.3) as server, Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: x\nX: ")
        started = time.monotonic()
        while server.service.table.timed_out == 0 and time.monotonic() - started < PATIENCE:
            client.send(trickle)
            gevent.sleep(0.02)
        assert time.monotonic() - started < 1.5
        assert client.answer().status == 408


def test_empty_lines_buy_no_time() -> None:
    with serving(hello, head_timeout=0.3) as server, Client(server) as client:
        started = time.monotonic()
        while len(server.service.table) != 0 or time.monotonic() - started < 0.1:
            assert time.monotonic() - started < PATIENCE
            try:
                client.send("\n")
            except OSError:
                break
            gevent.sleep(0.02)


def test_idle_connections_have_a_time_out_of_their_own() -> None:
    with serving(hello, head_timeout=0.2, idle_timeout=30) as server, Client(server) as client:
        assert client.ask(GET).status == 200
        gevent.sleep(0.5)  # longer than a head may take
        assert client.ask(GET).status == 200
        # The clock of the next head begins with that head.
        gevent.sleep(0.3)
        client.send("GET / ")
        gevent.sleep(0.05)
        client.send("HTTP/1.1\nHost: x\n\n")
        assert client.answer().status == 200


def test_idle_connections_are_closed() -> None:
    """Without a word, so that no client takes it for the answer to its next request."""
    with serving(hello, head_timeout=30, idle_timeout=0.2) as server, Client(server) as client:
        assert client.ask(GET).status == 200
        assert 0.1 < seconds(lambda: client.rest()) < PATIENCE


def test_slowloris() -> None:
    """Many heads that trickle; a client that behaves notices nothing, and in the end they are gone."""
    with serving(hello, head_timeout=1.0, max_workers=2) as server:
        slow = [Client(server) for _ in range(300)]
        stop = time.monotonic() + 0.5
        for client in slow:
            client.send("GET / HTTP/1.1\nHost: x\n")
        wait_until(lambda: server.service.table.count(State.HEAD) == 300)
        assert len(server.service.workers.busy) == 0  # they cost no greenlet
        worst = 0.0
        while time.monotonic() < stop:
            for client in slow[::10]:
                client.send("X: y\n")
            worst = max(worst, served(server))
        assert worst < 0.5
        wait_until(lambda: server.service.table.timed_out == 300)
        assert [client.answer().status for client in slow] == [408] * 300
        for client in slow:
            client.sock.close()
        wait_until(lambda: len(server.service.table) == 0)


# -- bodies -------------------------------------------------------------------------------------------------------


class Reader:
    """A handler that reads the body; `errors` holds what that raised."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def __call__(self, request: Request, response: Response) -> str:
        if request.method == "GET":
            return "hello"
        try:
            return str(len(request.body()))
        except Exception as error:
            self.errors.append(error)
            raise


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize("lines", [["Content-Length: 9"], ["Transfer-Encoding: chunked"]], ids=["length", "chunked"])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("expect", [False, True])
def test_a_body_that_does_not_come(reader: Reader, lines: list[str], start: bool, expect: bool) -> None:
    """9110 15.5.9"""
    if expect:
        lines = [*lines, "Expect: 100-continue"]
    with serving(reader, body_grace=0.2, write_timeout=0.2) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", *lines))
        if start:
            client.send("3\nabc\n")
        answer = client.answer("POST")
        assert (answer.status, answer["Connection"]) == (408, "close")
        assert client.closed()
        assert server.site.failures == 0
    assert [type(error) for error in reader.errors] == [BodyTimeout]


def trickle(client: Client, size: int, pause: float) -> None:
    """Send so many bytes, one by one."""
    for _ in range(size):
        try:
            client.send(b"x")
        except OSError:
            return
        gevent.sleep(pause)


def test_a_body_that_is_too_slow(reader: Reader) -> None:
    """Bytes come all the time, but fewer than the minimum rate."""
    with serving(reader, body_grace=0.2, body_rate=1000) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 10000"))
        sender = gevent.spawn(trickle, client, 10_000, 0.01)
        assert 0.1 < seconds(lambda: client.read_until(b"HTTP/1.1 408 ")) < PATIENCE
        sender.kill()
    assert [type(error) for error in reader.errors] == [BodyTimeout]


def test_a_body_that_is_slow_but_fast_enough(reader: Reader) -> None:
    with serving(reader, body_grace=0.2, body_rate=5) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 50"))
        gevent.spawn(trickle, client, 50, 0.01)
        assert client.answer("POST").body == b"50"


def test_a_fast_start_buys_no_long_silence(reader: Reader) -> None:
    with serving(reader, body_grace=0.2, write_timeout=0.2, body_rate=1) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 10001") + "x" * 10_000)
        assert seconds(lambda: client.read_until(b"HTTP/1.1 408 ")) < PATIENCE


def test_slow_bodies_do_not_keep_others_waiting(reader: Reader) -> None:
    with serving(reader, body_grace=0.4, body_rate=100_000) as server:
        slow = [Client(server) for _ in range(50)]
        for client in slow:
            client.send(head("POST / HTTP/1.1", "Content-Length: 1000") + "x")
        wait_until(lambda: len(server.service.workers.busy) == 50)
        assert served(server) < 0.5
        assert [client.answer("POST").status for client in slow] == [408] * 50
        for client in slow:
            client.sock.close()


# -- writing ------------------------------------------------------------------------------------------------------


class Writer:
    """Answers /large with 50 MB in the way the query says; `errors` holds what that raised."""

    SIZE = 50 * MEGABYTE

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.body = bytes(self.SIZE)

    def __call__(self, request: Request, response: Response) -> Any:
        if request.path != "/large":
            return "hello"
        if request.query == "return":
            return self.body
        try:
            if request.query == "write":
                for _ in range(50):
                    response.write(self.body[:MEGABYTE])
            else:
                response.set_content_length(self.SIZE)
                response.send(self.body)
        except Exception as error:
            self.errors.append(error)
            raise
        return None


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    yield Writer()


LARGE = ["return", "write", "send"]


@pytest.mark.parametrize("how", LARGE)
def test_a_client_that_reads_nothing(writer: Writer, how: str) -> None:
    """It is cut off when it has taken nothing for a while; meanwhile others are served."""
    writer.errors.clear()
    with serving(writer, write_timeout=0.4) as server, Client(server) as client:
        client.send(head(f"GET /large?{how} HTTP/1.1"))
        wait_until(lambda: server.service.table.count(State.BUSY) == 1)
        assert served(server) < 0.5
        wait_until(lambda: len(server.service.table) <= 1, PATIENCE)  # served's own may be in it still
        wait_until(lambda: server.service.workers.busy == [], PATIENCE)
        with pytest.raises((OSError, AssertionError)):
            assert len(client.rest()) >= Writer.SIZE
        assert server.site.failures == 0
    assert [type(error) for error in writer.errors] == ([] if how == "return" else [TimedOut])


def test_a_write_that_times_out_is_a_time_out_error(writer: Writer) -> None:
    assert issubclass(TimedOut, TimeoutError) and issubclass(SocketClosed, ConnectionError)


@pytest.mark.parametrize("how", LARGE)
def test_a_client_that_goes_away(writer: Writer, how: str) -> None:
    """No 500, no failure: it is the client's own affair."""
    writer.errors.clear()
    with serving(writer) as server:
        client = Client(server)
        client.send(head(f"GET /large?{how} HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        client.reset()
        wait_until(lambda: len(server.service.table) == 0)
        wait_until(lambda: server.service.workers.busy == [])
        assert server.site.failures == 0
    assert [type(error) for error in writer.errors] == ([] if how == "return" else [SocketClosed])


@pytest.mark.parametrize("how", LARGE)
def test_a_slow_reader_is_not_cut_off(writer: Writer, how: str) -> None:
    """Progress counts, not speed."""
    with serving(writer, write_timeout=0.3) as server, Client(server) as client:
        client.send(head(f"GET /large?{how} HTTP/1.1", "Connection: close"))
        received, started = 0, time.monotonic()
        while data := client.sock.recv(4 * MEGABYTE):
            received += len(data)
            if time.monotonic() - started < 1:  # much longer than the time-out
                gevent.sleep(0.02)
        assert received > Writer.SIZE


def test_a_returned_body_holds_no_slot(writer: Writer) -> None:
    """The handler is done; only bytes are left to move (design 4)."""
    with serving(writer, max_workers=1, write_timeout=20) as server:
        greedy = [Client(server) for _ in range(5)]
        for client in greedy:
            client.send(head("GET /large?return HTTP/1.1"))
        wait_until(lambda: server.service.table.count(State.BUSY) == 5)
        with Client(server) as other:
            other.sock.settimeout(PATIENCE)
            assert other.ask(GET).body == b"hello"
        for client in greedy:
            client.reset()


def test_the_last_of_written_output_holds_no_slot() -> None:
    """What fits the buffer of the response but not that of the socket."""

    def handler(request: Request, response: Response) -> Any:
        if request.path == "/large":
            response.write(bytes(30 * MEGABYTE))
        return "hello"

    with serving(handler, max_workers=1, response_buffer=100 * MEGABYTE) as server:
        greedy = Client(server)
        greedy.send(head("GET /large HTTP/1.1"))
        wait_until(lambda: server.service.table.count(State.BUSY) == 1)
        with Client(server) as other:
            other.sock.settimeout(PATIENCE)
            assert other.ask(GET).body == b"hello"
        greedy.reset()


# -- handlers -----------------------------------------------------------------------------------------------------


def test_request_timeout() -> None:
    """503; the connection and the worker go on."""
    raised: list[BaseException] = []

    def handler(request: Request, response: Response) -> str:
        if request.path == "/slow":
            try:
                time.sleep(60)
            except BaseException as error:
                raised.append(error)
                raise
        return "hello"

    with serving(handler, request_timeout=0.2) as server, Client(server) as client:
        assert 0.1 < seconds(lambda: client.ask(head("GET /slow HTTP/1.1"))) < PATIENCE
        assert client.ask(head("GET /slow HTTP/1.1")).status == 503
        for _ in range(5):
            assert client.ask(GET).body == b"hello"
            gevent.sleep(0.06)  # together longer than the time-out: none is left running
        assert [type(error) for error in raised] == [RequestDeadline] * 2


def test_request_timeout_after_the_commit() -> None:
    """The client must not take the half for the whole."""

    def handler(request: Request, response: Response) -> None:
        response.write("half")
        response.flush()
        time.sleep(60)

    with serving(handler, request_timeout=0.2) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.read_until(b"half\r\n")
        assert client.closed()


def test_a_deadline_that_a_handler_catches() -> None:
    """It may answer by itself."""

    def handler(request: Request, response: Response) -> str:
        try:
            time.sleep(60)
        except RequestDeadline:
            return "too long"
        return "never"

    with serving(handler, request_timeout=0.1) as server:
        assert ask(server, GET).body == b"too long"


def test_no_deadline_by_default() -> None:
    assert Server().settings.request_timeout is None


# -- limits -------------------------------------------------------------------------------------------------------


def test_max_connections_evicts_the_oldest_idle_one() -> None:
    gate = Event()

    def handler(request: Request, response: Response) -> str:
        if request.path == "/wait":
            gate.wait()
        return "hello"

    with serving(handler, max_connections=4) as server:
        busy, *idle = [Client(server) for _ in range(4)]
        busy.send(head("GET /wait HTTP/1.1"))
        wait_until(lambda: server.service.workers.active == 1)
        for client in (idle[1], idle[0], idle[2]):  # so this is their order by age
            assert client.ask(GET).status == 200
            gevent.sleep(0.002)
        newer = []
        for oldest in (idle[1], idle[0]):
            newer.append(Client(server))
            assert newer[-1].ask(GET).status == 200
            assert oldest.closed()
            assert len(server.service.table) == 4
        assert server.service.table.evicted == 2
        for client in (idle[2], *newer):
            assert client.ask(GET).status == 200
        gate.set()
        assert busy.answer().body == b"hello"


def test_idle_ones_go_before_those_that_have_not_asked() -> None:
    with serving(hello, max_connections=3) as server:
        fresh, begun, idle = Client(server), Client(server), Client(server)
        begun.send("GET / ")
        assert idle.ask(GET).status == 200
        with Client(server) as another:
            assert another.ask(GET).status == 200
            assert idle.closed()
            begun.send("HTTP/1.1\nHost: x\n\n")
            assert begun.answer().status == 200
            assert fresh.ask(GET).status == 200


def test_when_all_are_busy_a_new_one_is_refused() -> None:
    gate = Event()
    with serving(lambda request, response: gate.wait() and "hello", max_connections=2) as server:
        busy = [Client(server) for _ in range(2)]
        for client in busy:
            client.send(GET)
        wait_until(lambda: server.service.workers.active == 2)
        with Client(server) as another:
            assert another.closed()
        assert server.service.counters.refused == 1
        gate.set()
        for client in busy:
            assert client.answer().status == 200
            client.sock.close()
        wait_until(lambda: len(server.service.table) == 0)
        assert ask(server, GET).status == 200


def test_a_flood_of_connections_stays_within_the_limit() -> None:
    """Evicting does not look at every connection each time; the youngest stay."""
    with serving(hello, max_connections=100) as server:
        clients = [Client(server) for _ in range(400)]
        wait_until(lambda: server.service.counters.connections == 400)
        assert len(server.service.table) == 100 and server.service.table.evicted == 300
        assert clients[-1].ask(GET).status == 200
        assert clients[0].closed()
        for client in clients:
            client.sock.close()
        wait_until(lambda: len(server.service.table) == 0)


def test_max_per_peer() -> None:
    with serving(hello, max_per_peer=2) as server:
        first, second = Client(server), Client(server)
        assert first.ask(GET).status == second.ask(GET).status == 200
        with Client(server) as third:
            assert third.closed()
        with Client(server, source="127.0.0.2") as elsewhere:
            assert elsewhere.ask(GET).status == 200
        first.sock.close()
        wait_until(lambda: len(server.service.table) == 1)
        with Client(server) as again:
            assert again.ask(GET).status == 200
        second.sock.close()
        wait_until(lambda: len(server.service.table) == 0)
        assert not server.service.table._peers  # nothing is kept about who has gone


def test_there_is_no_limit_per_peer_by_default() -> None:
    assert Server().settings.max_per_peer is None


@pytest.mark.parametrize("quick", [False, True])
def test_requests_queue_for_workers_in_order(quick: bool) -> None:
    """Two run at once, the others wait their turn."""
    running: list[str] = []
    most = 0
    gate = Event()

    def handler(request: Request, response: Response) -> str:
        nonlocal most
        running.append(request.path)
        most = max(most, server.service.workers.active)
        gate.wait()
        if not quick:
            time.sleep(0.01)
        return request.path

    with serving(handler, max_workers=2) as server:
        clients = [Client(server) for _ in range(20)]
        workers = server.service.workers
        for number, client in enumerate(clients):
            client.send(head(f"GET /{number} HTTP/1.1"))
            wait_until(lambda: workers.active + workers.queued > number)  # noqa: B023
        gate.set()
        assert [client.answer().body for client in clients] == [b"/%d" % number for number in range(20)]
        assert running == [f"/{number}" for number in range(20)]
        assert most <= 2
        for client in clients:
            client.sock.close()


def test_a_queued_client_that_gave_up_harms_nobody() -> None:
    gate = Event()

    def handler(request: Request, response: Response) -> str:
        gate.wait()
        return request.path

    with serving(handler, max_workers=1) as server:
        clients = [Client(server) for _ in range(4)]
        for number, client in enumerate(clients):
            client.send(head(f"GET /{number} HTTP/1.1"))
        wait_until(lambda: server.service.workers.queued == 3)
        clients[1].reset()
        clients[2].sock.close()
        gate.set()
        assert clients[0].answer().body == b"/0"
        assert clients[3].answer().body == b"/3"
        wait_until(lambda: len(server.service.table) == 2)
        assert server.service.workers.active == 0 and server.site.failures == 0
