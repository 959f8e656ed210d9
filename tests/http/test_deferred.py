"""`Response.deferred`: somebody else finishes the response, later or at once (BAS reference b.4)."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from leaks import nothing_left
from support import wait_until
from web import Answer, Client, ask, get, head, serving

from greenbas import Request, Response, Server
from greenbas.dispatcher import Timer, spawn
from greenbas.errors import (
    Abort,
    Expired,
    IncorrectUse,
    IsCommitted,
    LocalProtocolError,
    MixingWriteSend,
    NetError,
    SocketClosed,
)
from greenbas.http import AccessLog, DeferredResponse, JsonFormatter, State
from greenbas.vfs import Directory

GET = head("GET / HTTP/1.1")
QUICK = head("GET /quick HTTP/1.1")
Finish = Callable[[DeferredResponse], Any]


class Waiting:
    """A handler that defers everything but /quick; the test finishes what it finds in `kept`."""

    def __init__(self) -> None:
        self.kept: list[DeferredResponse] = []
        self.running = 0
        self.prepare: Callable[[Request, Response], Any] = lambda request, response: None

    def __call__(self, request: Request, response: Response) -> str | None:
        if request.path == "/quick":
            return "quick"
        self.prepare(request, response)
        self.kept.append(response.deferred())
        return None

    def next(self) -> DeferredResponse:
        """The oldest; waits for it."""
        wait_until(lambda: self.kept)
        return self.kept.pop(0)


@contextlib.contextmanager
def waiting(**settings: Any) -> Iterator[tuple[Server, Waiting]]:
    """A server whose handler defers, and that handler."""
    handler = Waiting()
    with serving(handler, **settings) as server:
        yield server, handler


def say(text: str = "late", close: bool = False) -> Finish:
    """Write this and close."""

    def finish(deferred: DeferredResponse) -> None:
        deferred.write(text)
        deferred.close(close)

    return finish


def deferring(finish: Finish, text: str = GET, **settings: Any) -> Answer:
    """What a client gets when another greenlet does this to its response; the connection goes on."""
    with waiting(**settings) as (server, handler), Client(server) as client:
        client.send(text)
        finish(handler.next())
        found = client.answer(text.partition(" ")[0])
        if "Connection" not in found:
            assert client.ask(QUICK).body == b"quick"
        assert server.site.failures == 0
    return found


class Records(logging.Handler):
    """Keeps what the access log says."""

    def __init__(self) -> None:
        super().__init__()
        self.json: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.json.append(json.loads(JsonFormatter().format(record)))

    def find(self, target: str) -> dict[str, Any]:
        """The only record of a target; waits for it."""
        wait_until(lambda: any(record["target"] == target for record in self.json))
        (found,) = [record for record in self.json if record["target"] == target]
        return found


@pytest.fixture
def records() -> Iterator[Records]:
    """What is logged about requests."""
    handler = Records()
    logger = logging.getLogger("greenbas.access")
    before, logger.propagate = (logger.level, logger.propagate), False
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.level, logger.propagate = before


# -- who finishes it ----------------------------------------------------------------------------------------------


def by_greenlet(deferred: DeferredResponse) -> None:
    spawn(say(), deferred)


def by_timer(deferred: DeferredResponse) -> None:
    def tick() -> bool:
        say()(deferred)
        return False

    Timer(tick).set(0.005)


@pytest.mark.parametrize("text", [GET, head("HEAD / HTTP/1.1")], ids=["GET", "HEAD"])
@pytest.mark.parametrize(
    "finish",
    [
        pytest.param(say(), id="the same greenlet"),
        pytest.param(by_greenlet, id="a greenlet"),
        pytest.param(by_timer, id="a timer"),
    ],
)
@pytest.mark.parametrize("blocking", [False, True])
def test_from_the_handler(finish: Finish, text: str, blocking: bool) -> None:
    """At once, or while the handler still runs: the next request waits until both are over."""
    order: list[str] = []

    def handler(request: Request, response: Response) -> str | None:
        order.append(f"begin {request.path}")
        if request.path == "/":
            finish(response.deferred())
            if blocking:
                gevent.sleep(0.02)
        order.append(f"end {request.path}")
        return None if request.path == "/" else "quick"

    with serving(handler) as server, Client(server) as client:
        client.send((text + QUICK) * 3)
        for _ in range(3):
            found = client.answer(text.partition(" ")[0])
            assert (found.status, found["Content-Length"]) == (200, "4")
            assert found.body == (b"late" if text is GET else b"")
            assert client.answer().body == b"quick"
        assert (server.site.failures, server.service.counters.requests) == (0, 6)
    assert order == ["begin /", "end /", "begin /quick", "end /quick"] * 3


def test_from_another_request() -> None:
    kept: list[DeferredResponse] = []

    def handler(request: Request, response: Response) -> str | None:
        if request.path == "/wait":
            kept.append(response.deferred())
            return None
        count = len(kept)
        while kept:
            say(f"from {request.path}")(kept.pop())
        return f"told {count}"

    with serving(handler) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(5)]
        for client in clients:
            client.send(head("GET /wait HTTP/1.1"))
        wait_until(lambda: len(kept) == 5)
        assert get(server, "/tell").body == b"told 5"
        for client in clients:
            assert client.answer().body == b"from /tell"
            assert client.ask(head("GET /tell HTTP/1.1")).body == b"told 0"


# -- what can be done with it -------------------------------------------------------------------------------------


def test_what_the_handler_has_set_goes_along() -> None:
    def prepare(request: Request, response: Response) -> None:
        response.set_status(404, "Not Yet")
        response.set_header("X-Mine", "1")
        response.create_cookie("c").activate()
        response.write("dropped")

    with waiting() as (server, handler), Client(server) as client:
        handler.prepare = prepare
        client.send(GET)
        say()(handler.next())
        found = client.answer()
    assert (found.status, found.reason, found.body) == (404, "Not Yet", b"late")
    assert found["X-Mine"] == "1" and "Set-Cookie" in found


def test_status_and_headers() -> None:
    def finish(deferred: DeferredResponse) -> None:
        deferred.set_status(201, "Done")
        deferred.set_header("X-A", "1")
        deferred.set_header("X-B", "1")
        deferred.set_header("X-B")
        deferred.set_header("Content-Type", "text/plain")
        deferred.close()

    found = deferring(finish)
    assert (found.status, found.reason, found.body, found["Content-Length"]) == (201, "Done", b"", "0")
    assert found["X-A"] == "1" and found["Content-Type"] == "text/plain" and "X-B" not in found


@pytest.mark.parametrize(
    ("finish", "body", "framing"),
    [
        pytest.param(lambda d: None, b"", ("Content-Length", "0"), id="nothing"),
        pytest.param(lambda d: d.write("a", b"b", "ä"), "abä".encode(), ("Content-Length", "4"), id="write"),
        pytest.param(lambda d: d.write("x" * 100_000), b"x" * 100_000, ("Transfer-Encoding", "chunked"), id="much"),
        pytest.param(
            lambda d: (d.write("a"), d.flush(), d.write("b")), b"ab", ("Transfer-Encoding", "chunked"), id="flush"
        ),
        pytest.param(lambda d: d.flush(), b"", ("Transfer-Encoding", "chunked"), id="flush nothing"),
        pytest.param(lambda d: d.send("abc", 3), b"abc", ("Content-Length", "3"), id="send"),
        pytest.param(lambda d: (d.send("ab", 4), d.send("cd")), b"abcd", ("Content-Length", "4"), id="send twice"),
        pytest.param(
            lambda d: (d.set_content_length(4), d.send("ab"), d.send("cd", 2)), b"abcd", ("Content-Length", "4"),
            id="send, announced before",
        ),
        pytest.param(
            lambda d: (d.set_content_length(4), d.write("ab"), d.write("cd")), b"abcd", ("Content-Length", "4"),
            id="write, announced before",
        ),
    ],
)  # fmt: skip
def test_output(finish: Finish, body: bytes, framing: tuple[str, str]) -> None:
    def close(deferred: DeferredResponse) -> None:
        finish(deferred)
        deferred.close()

    found = deferring(close)
    assert (found.status, found.body, found[framing[0]]) == (200, body, framing[1])
    assert deferring(close, head("HEAD / HTTP/1.1")).body == b""


@pytest.mark.parametrize(
    ("before", "use", "error"),
    [
        pytest.param("write", lambda d: d.set_status(404), IncorrectUse, id="status after write"),
        pytest.param("write", lambda d: d.set_header("X", "y"), IncorrectUse, id="header after write"),
        pytest.param("write", lambda d: d.set_content_length(9), IncorrectUse, id="length after write"),
        pytest.param("write", lambda d: d.send("x"), MixingWriteSend, id="send after write"),
        pytest.param("flush", lambda d: d.set_status(404), IncorrectUse, id="status after flush"),
        pytest.param("send", lambda d: d.set_header("X", "y"), IncorrectUse, id="header after send"),
        pytest.param("send", lambda d: d.write("x"), MixingWriteSend, id="write after send"),
        pytest.param("send", lambda d: d.send("xyz"), LocalProtocolError, id="more than announced"),
        pytest.param("", lambda d: d.send("x"), IncorrectUse, id="send without a length"),
        pytest.param("", lambda d: d.write(5), TypeError, id="no output"),
        pytest.param("", lambda d: d.set_status(100), ValueError, id="no status"),
        pytest.param("", lambda d: d.set_header("X", "a\r\nb"), LocalProtocolError, id="no header"),
    ],
)
def test_what_is_refused(before: str, use: Finish, error: type[Exception]) -> None:
    """BAS: out of order is an error; the response is as it was."""

    def finish(deferred: DeferredResponse) -> None:
        match before:
            case "write":
                deferred.write("said")
            case "flush":
                deferred.flush()
            case "send":
                deferred.send("sa", 4)
        with pytest.raises(error):
            use(deferred)
        if before == "send":
            deferred.send("id")
        deferred.close()

    found = deferring(finish)
    assert (found.status, found.body) == (200, b"said" if before in ("write", "send") else b"")


def test_closed() -> None:
    def finish(deferred: DeferredResponse) -> None:
        assert deferred.valid() and "closed" not in repr(deferred)
        deferred.write("once")
        deferred.close()
        deferred.close()
        deferred.abort()
        assert not deferred.valid() and "closed" in repr(deferred)
        for use in (
            lambda: deferred.write("x"),
            lambda: deferred.flush(),
            lambda: deferred.send("x", 1),
            lambda: deferred.set_status(404),
            lambda: deferred.set_header("X", "y"),
            lambda: deferred.set_content_length(1),
        ):
            with pytest.raises(Expired):
                use()

    assert deferring(finish).body == b"once"


def test_abort_is_close() -> None:
    assert deferring(lambda deferred: (deferred.write("said"), deferred.abort())).body == b"said"


@pytest.mark.parametrize("flush", [False, True])
def test_close_of_the_connection(flush: bool) -> None:
    def finish(deferred: DeferredResponse) -> None:
        deferred.write("last")
        if flush:
            deferred.flush()
        deferred.close(True)

    with waiting() as (server, handler), Client(server) as client:
        client.send(GET)
        finish(handler.next())
        found = client.answer()
        assert found.body == b"last" and ("Connection" in found) == (not flush)
        assert client.closed()


def test_http10() -> None:
    with waiting() as (server, handler), Client(server) as client:
        client.send("GET / HTTP/1.0\n\n")
        deferred = handler.next()
        deferred.write("first")
        deferred.flush()
        client.read_until(b"first")
        deferred.write("second")
        deferred.close()
        assert client.rest() == b"second"


def test_http10_that_keeps_alive() -> None:
    with waiting() as (server, handler), Client(server) as client:
        for _ in range(2):
            client.send("GET / HTTP/1.0\nConnection: keep-alive\n\n")
            say()(handler.next())
            assert client.answer().body == b"late"


def test_less_than_announced() -> None:
    with waiting() as (server, handler), Client(server) as client:
        client.send(GET + QUICK)
        deferred = handler.next()
        deferred.send("ab", 10)
        deferred.close()
        assert client.rest().endswith(b"\r\n\r\nab")


# -- the handler's own objects ------------------------------------------------------------------------------------


def test_the_handler_s_response_is_finished() -> None:
    raised: list[type[BaseException]] = []
    uses: list[Callable[[Response], Any]] = [
        lambda response: response.write("x"),
        lambda response: response.flush(),
        lambda response: response.send("x"),
        lambda response: response.include("/quick"),
        lambda response: response.set_status(404),
        lambda response: response.set_header("X", "y"),
        lambda response: response.reset(),
        lambda response: response.json({}),
        lambda response: response.send_error(404),
        lambda response: response.forward("/quick"),
        lambda response: response.deferred(),
        lambda response: response.set_response("gzip"),
    ]

    def handler(request: Request, response: Response) -> None:
        deferred = response.deferred()
        for use in uses:
            try:
                use(response)
            except Exception as error:
                raised.append(type(error))
        assert response.committed()
        say()(deferred)
        response.create_cookie("c").activate()
        response.abort()

    with serving(handler) as server:
        found = get(server, "/")
        assert found.body == b"late" and "Set-Cookie" not in found and server.site.failures == 0
    assert raised == [Expired] * 4 + [IsCommitted] * 8


def test_request_and_response_expire_with_the_handler() -> None:
    kept: list[Any] = []
    with waiting() as (server, handler), Client(server) as client:
        handler.prepare = lambda request, response: kept.extend([request, response])
        client.send(GET)
        deferred = handler.next()
        request, response = kept
        wait_until(lambda: not request.valid())
        assert not response.valid() and deferred.valid()
        for use in (
            lambda: response.write("x"),
            lambda: response.set_status(404),
            lambda: request.response,
            lambda: request.body(),
        ):
            with pytest.raises(Expired):
                use()
        say()(deferred)
        assert client.answer().body == b"late"


@pytest.mark.parametrize("result", ["x", b"x", {}, [1]])
def test_a_result_behind_it_is_an_error(result: Any) -> None:
    """Of the handler, and not of the response."""
    kept: list[DeferredResponse] = []

    def handler(request: Request, response: Response) -> Any:
        kept.append(response.deferred())
        return result

    with serving(handler) as server, Client(server) as client:
        for number in (1, 2):
            client.send(GET)
            wait_until(lambda number=number: server.site.failures == number)  # type: ignore[misc]
            say()(kept.pop())
            assert client.answer().body == b"late"


def test_an_error_behind_it(caplog: pytest.LogCaptureFixture) -> None:
    kept: list[DeferredResponse] = []

    def handler(request: Request, response: Response) -> None:
        kept.append(response.deferred())
        raise ValueError("behind deferred")

    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        wait_until(lambda: server.site.failures == 1)
        say()(kept.pop())
        assert client.answer().body == b"late"
        assert "behind deferred" in caplog.text
        client.send(GET)
        say()(wait_for(kept))
        assert client.answer().body == b"late"


def wait_for(kept: list[DeferredResponse]) -> DeferredResponse:
    """The next that is kept."""
    wait_until(lambda: kept)
    return kept.pop()


def test_false_behind_it() -> None:
    """The walk goes on and finds nobody; there is no response that could say so."""
    kept: list[DeferredResponse] = []

    def handler(request: Request, response: Response) -> bool:
        kept.append(response.deferred())
        return False

    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        say()(wait_for(kept))
        assert client.answer().body == b"late"


def test_after_the_commit() -> None:
    def handler(request: Request, response: Response) -> str:
        response.flush()
        with pytest.raises(IsCommitted):
            response.deferred()
        return "x"

    with serving(handler) as server:
        assert get(server, "/").body == b"x"


def test_after_an_abort() -> None:
    def handler(request: Request, response: Response) -> None:
        try:
            response.write("said")
            response.abort()
        except Abort:
            response.deferred()

    with serving(handler) as server:
        assert get(server, "/").body == b"said"


def test_within_a_forward() -> None:
    with waiting() as (server, handler), Client(server) as client:

        def go(request: Request, response: Response) -> None:
            response.status = 201
            response.forward("/target", return2caller=True)
            assert response.committed()

        server.insert(function("go", go))
        server.insert(function("target", handler))
        client.send(head("GET /go HTTP/1.1"))
        say()(handler.next())
        assert client.answer().status == 201


def function(name: str, act: Any) -> Directory:
    made = Directory(name, priority=10)
    made.set_func(act)
    return made


# -- the connection -----------------------------------------------------------------------------------------------


def test_pipelined_requests_wait_their_turn() -> None:
    with waiting() as (server, handler), Client(server) as client:
        client.send("".join(head(f"GET /{number} HTTP/1.1") + QUICK for number in range(5)))
        for number in range(5):
            deferred = handler.next()
            assert not handler.kept
            say(f"late {number}")(deferred)
            assert client.answer().body == b"late %d" % number
            assert client.answer().body == b"quick"


@pytest.mark.parametrize("size", [0, 10, 100_000])
@pytest.mark.parametrize("read", ["nothing", "some", "all"])
@pytest.mark.parametrize("chunked", [False, True])
def test_request_bodies(size: int, read: str, chunked: bool) -> None:
    """What the handler has not read is dropped, and the connection goes on."""
    got: list[bytes] = []

    def prepare(request: Request, response: Response) -> None:
        if read != "nothing":
            got.append(request.stream.read(-1 if read == "all" else 5))

    body = b"x" * size
    lines = ["Transfer-Encoding: chunked"] if chunked else [f"Content-Length: {size}"]
    data = (b"%x\r\n%b\r\n" % (size, body) if size else b"") + b"0\r\n\r\n" if chunked else body
    with waiting() as (server, handler), Client(server) as client:
        handler.prepare = prepare
        for _ in range(2):
            client.send(head("POST / HTTP/1.1", *lines))
            client.send(data)
            client.send(QUICK)
            say()(handler.next())
            assert client.answer("POST").body == b"late"
            assert client.answer().body == b"quick"
    assert got == [] if read == "nothing" else got == [body if read == "all" else body[:5]] * 2


def test_a_body_too_large_to_drop() -> None:
    """The connection ends, and the client has its answer nevertheless."""
    with waiting() as (server, handler), Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 10000000"))
        client.send(b"x" * 100_000)
        say()(handler.next())
        found = client.answer("POST")
        assert (found.body, found["Connection"]) == (b"late", "close")
        assert client.closed()


def test_a_body_that_comes_after_the_close() -> None:
    with waiting() as (server, handler), Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 10"))
        say()(handler.next())
        assert client.answer("POST").body == b"late"
        client.send(b"x" * 10)
        assert client.ask(QUICK).body == b"quick"


def test_expect_continue() -> None:
    with waiting() as (server, handler), Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 10", "Expect: 100-continue"))
        say()(handler.next())
        found = client.answer("POST")
        assert (found.body, found["Connection"]) == (b"late", "close")


def test_more_input_while_it_waits() -> None:
    """It stays in the kernel; the hub does not turn in circles about it."""
    with waiting() as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        client.send(QUICK)
        assert get(server, "/quick").body == b"quick"  # the hub has had a look
        say()(deferred)
        assert [client.answer().body for _ in range(2)] == [b"late", b"quick"]


@pytest.mark.parametrize("size", [10, 5_000_000])
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_client_that_goes_away(size: int, when: str, records: Records) -> None:
    with nothing_left(), waiting() as (server, handler):
        server.log_requests(AccessLog())
        with Client(server) as client:
            client.send(head("GET /gone HTTP/1.1"))
            deferred = handler.next()
            if when == "between":
                deferred.write("first")
                deferred.flush()
                client.read_until(b"first")
            client.reset()
        try:
            for _ in range(10):
                deferred.write("x" * size)
                deferred.flush()
                gevent.sleep(0)
        except NetError:
            pass
        deferred.close()
        wait_until(lambda: len(server.service.table) == 0)
        assert not deferred.valid()
        assert records.find("/gone")["status"] in (200, 499)
        del deferred
        assert get(server, "/quick").body == b"quick"
        assert server.site.failures == 0


@pytest.mark.parametrize("flushed", [False, True])
def test_dropped_without_close(flushed: bool, caplog: pytest.LogCaptureFixture, records: Records) -> None:
    """The client must not wait for ever, nor take a part for the whole; and the log says whose fault it is."""
    with nothing_left(), waiting() as (server, handler), Client(server) as client:
        server.log_requests(AccessLog())
        client.send(head("GET /dropped HTTP/1.1") + QUICK)
        deferred = handler.next()
        deferred.write("first")
        if flushed:
            deferred.flush()
        del deferred
        gc.collect()
        data = client.rest()
        assert data.endswith(b"5\r\nfirst\r\n") if flushed else data == b""
        assert "without close" in caplog.text
        record = records.find("/dropped")
        assert (record["status"], record["bytes"]) == ((200, 5) if flushed else (499, 0))
        wait_until(lambda: len(server.service.table) == 0)
        assert get(server, "/quick").body == b"quick"


def test_dropped_in_a_handler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Request, response: Response) -> None:
        deferred = response.deferred()
        raise ValueError(repr(deferred))

    caplog.set_level(logging.CRITICAL, "greenbas.site")  # pytest keeps records, and so the frame with the response
    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        assert client.closed()
        assert server.site.failures == 1


# -- workers, time-outs, the end ----------------------------------------------------------------------------------


def test_it_takes_no_worker() -> None:
    with waiting(max_workers=1, queue_length=1) as (server, handler), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(5)]
        for number, client in enumerate(clients):
            client.send(GET)
            wait_until(lambda number=number: len(handler.kept) == number + 1)  # type: ignore[misc]
            assert get(server, "/quick").body == b"quick"
        for client in clients:
            say()(handler.next())
            assert client.answer().body == b"late"
            assert client.ask(QUICK).body == b"quick"
        wait_until(lambda: server.service.workers.active == 0)


@pytest.mark.parametrize("flushed", [False, True])
def test_finished_when_no_worker_is_free(flushed: bool) -> None:
    """The answer is there: no 503 comes instead of it, and certainly not in the middle of it."""
    gate = Event()
    with waiting(max_workers=1, queue_length=1) as (server, handler), Client(server) as client:

        def block(request: Request, response: Response) -> str:
            gate.wait()
            return "unblocked"

        server.insert(function("block", block))
        client.send(GET)
        deferred = handler.next()
        if flushed:
            deferred.write("first ")
            deferred.flush()
        with Client(server) as one, Client(server) as two, Client(server) as three:
            one.send(head("GET /block HTTP/1.1"))
            wait_until(lambda: server.service.workers.active == 1)
            two.send(head("GET /block HTTP/1.1"))
            wait_until(lambda: server.service.workers.queued == 1)
            assert three.ask(QUICK).status == 503
            say()(deferred)
            found = client.answer()
            assert (found.status, found.body) == (200, b"first late" if flushed else b"late")
            gate.set()
            assert one.answer().body == two.answer().body == b"unblocked"
        assert client.closed()
    assert server.service.workers.active == 0


def test_a_slow_reader_takes_no_worker() -> None:
    with waiting(max_workers=1) as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        deferred.write("x" * 30_000)
        spawn(say("x" * 20_000_000), deferred)
        assert get(server, "/quick").body == b"quick"
        assert len(client.answer().body) == 20_030_000


def test_a_thousand() -> None:
    count = 1000
    with nothing_left(), waiting(max_workers=10, queue_length=count) as (server, handler):
        clients = [Client(server) for _ in range(count)]
        for client in clients:
            client.send(GET)
        wait_until(lambda: len(handler.kept) == count, timeout=20)
        assert len(server.service.workers.busy) == 0
        while handler.kept:
            say()(handler.kept.pop())
        for client in clients:
            assert client.answer().body == b"late"
            client.sock.close()


def test_request_timeout() -> None:
    """It is about handlers: what waits may wait longer."""
    with waiting(request_timeout=0.05) as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        gevent.sleep(0.1)
        say()(deferred)
        assert client.answer().body == b"late"
        assert client.ask(QUICK).body == b"quick"


def test_request_timeout_in_the_handler_behind_it() -> None:
    kept: list[DeferredResponse] = []

    def handler(request: Request, response: Response) -> None:
        kept.append(response.deferred())
        gevent.sleep(5)

    with serving(handler, request_timeout=0.02) as server, Client(server) as client:
        client.send(GET)
        say()(wait_for(kept))
        assert client.answer().body == b"late"
        assert server.site.failures == 1


def test_idle_timeout_is_not_for_it() -> None:
    with waiting(idle_timeout=0.001, head_timeout=0.001) as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        gevent.sleep(0.01)
        server.service.table.sweep()
        assert deferred.valid()
        say()(deferred)
        assert client.answer().body == b"late"


def test_the_server_waits_for_it_at_stop() -> None:
    with nothing_left(), waiting() as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        stopping = gevent.spawn(server.stop, drain_timeout=10)
        wait_until(lambda: server.service.draining)
        say()(deferred)
        found = client.answer()
        assert (found.body, found["Connection"]) == (b"late", "close")
        client.sock.close()
        stopping.join(10)
        assert stopping.ready() and stopping.value == []


def test_the_server_does_not_wait_for_ever(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    with nothing_left(), waiting() as (server, handler), Client(server) as client:
        server.log_requests(AccessLog())
        client.send(head("GET /late HTTP/1.1"))
        deferred = handler.next()
        server.stop(drain_timeout=0.01)
        assert client.closed()
        assert not deferred.valid()
        deferred.write("late")
        deferred.close()
        assert records.find("/late")["status"] == 499
        del deferred
        gc.collect()
        assert "without close" not in caplog.text


def test_dropped_after_the_stop(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    with nothing_left(), waiting() as (server, handler), Client(server) as client:
        server.log_requests(AccessLog())
        client.send(head("GET /late HTTP/1.1"))
        wait_until(lambda: handler.kept)
        server.stop(drain_timeout=0.01)
        handler.kept.clear()
        gc.collect()
        assert records.find("/late")["status"] == 499
        assert "without close" not in caplog.text  # nobody could have finished it


def test_a_killed_handler_that_had_closed_it(records: Records) -> None:
    """The worker that would have finished it is gone."""
    entered = Event()

    def handler(request: Request, response: Response) -> None:
        say()(response.deferred())
        entered.set()
        gevent.sleep(60)

    with nothing_left(), serving(handler) as server, Client(server) as client:
        server.log_requests(AccessLog())
        client.send(head("GET /killed HTTP/1.1"))
        entered.wait(5)
        server.stop(drain_timeout=0)
        assert client.closed()
        assert records.find("/killed")["status"] == 499


# -- the access log -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish", "status", "size"),
    [
        pytest.param(say(), 200, 4, id="written"),
        pytest.param(lambda d: (d.set_status(404), say()(d)), 404, 4, id="a status"),
        pytest.param(lambda d: (d.write("a"), d.flush(), say()(d)), 200, 5, id="flushed"),
        pytest.param(lambda d: (d.send("sent", 4), d.close()), 200, 4, id="sent"),
        pytest.param(lambda d: d.close(), 200, 0, id="nothing"),
    ],
)
def test_one_record(finish: Finish, status: int, size: int, records: Records) -> None:
    ids: list[str] = []
    with waiting() as (server, handler), Client(server) as client:
        server.log_requests(AccessLog())
        handler.prepare = lambda request, response: ids.append(request.id)
        client.send(head("GET /logged HTTP/1.1"))
        deferred = handler.next()
        gevent.sleep(0.02)
        assert records.json == []
        finish(deferred)
        assert client.answer().status == status
        assert client.ask(QUICK).body == b"quick"
        record = records.find("/logged")
        assert (record["status"], record["bytes"], record["method"]) == (status, size, "GET")
        assert record["id"] == ids[0], "another id than the one that the handler has seen"
        assert record["seconds"] >= 0.02
        assert [one["target"] for one in records.json] == ["/logged", "/quick"]


@pytest.mark.parametrize("blocking", [False, True])
def test_one_record_when_it_is_finished_at_once(blocking: bool, records: Records) -> None:
    def handler(request: Request, response: Response) -> None:
        say()(response.deferred())
        if blocking:
            gevent.sleep(0.01)

    with serving(handler) as server, Client(server) as client:
        server.log_requests(AccessLog())
        client.send("".join(head(f"GET /{number} HTTP/1.1") for number in range(3)))
        assert [client.answer().body for _ in range(3)] == [b"late"] * 3
        wait_until(lambda: len(records.json) == 3)
        assert [one["target"] for one in records.json] == ["/0", "/1", "/2"]
        assert {(one["status"], one["bytes"]) for one in records.json} == {(200, 4)}


# -- much of it ---------------------------------------------------------------------------------------------------


def test_nothing_is_left() -> None:
    with nothing_left():
        threads = threading.active_count()
        with waiting() as (server, handler), Client(server) as client:
            for _ in range(50):
                client.send(GET)
                say()(handler.next())
                assert client.answer().body == b"late"
            assert len(server.service.table) == 1
            wait_until(lambda: server.service.table.count(State.IDLE) == 1)
        assert threading.active_count() <= threads


def test_events_to_many() -> None:
    """What it is for: one sender, many who listen, each at its own pace."""
    with waiting() as (server, handler), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(20)]
        for client in clients:
            client.send(GET)
        wait_until(lambda: len(handler.kept) == 20)
        for number in range(10):
            for deferred in handler.kept:
                deferred.write(f"event {number}\n")
                deferred.flush()
            for client in clients:
                client.read_until(b"event %d\n\r\n" % number)
        for deferred in handler.kept:
            deferred.close()
        for client in clients:
            client.read_until(b"0\r\n\r\n")
            assert client.ask(QUICK).body == b"quick"
        assert ask(server, QUICK).body == b"quick"


LARGE = 8_000_000


def test_greenlets_that_share_a_deferred_response_do_not_mix_their_bytes() -> None:
    """The end of the message, and even the next response, once went into the middle of a chunk."""

    def app(request: Request, response: Response) -> str | None:
        if request.path != "/deferred":
            return "second"
        deferred = response.deferred()
        deferred.write(b"head ")
        deferred.flush()

        def write_much() -> None:
            deferred.write(b"A" * LARGE)
            deferred.flush()

        def end() -> None:
            deferred.write(b" tail")
            deferred.close()

        writer = gevent.spawn(write_much)
        gevent.spawn(lambda: (gevent.sleep(0.02), end()))
        keep.append(writer)
        return None

    keep: list[gevent.Greenlet] = []
    with serving(app) as server, Client(server) as client:
        client.send(head("GET /deferred HTTP/1.1") + head("GET /second HTTP/1.1"))
        wait_until(lambda: len(keep) == 1)
        gevent.sleep(0.05)
        assert client.answer().body == b"head " + b"A" * LARGE + b" tail"
        assert client.answer().body == b"second"


def test_no_interim_response_in_the_middle_of_a_deferred_one() -> None:
    def app(request: Request, response: Response) -> None:
        deferred = response.deferred()
        deferred.write("hello ")
        deferred.flush()
        deferred.write(request.body())
        deferred.close()

    with serving(app) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 3", "Expect: 100-continue"))
        client.read_until(b"hello \r\n")
        client.send(b"abc")
        assert client.rest() == b"3\r\nabc\r\n0\r\n\r\n"


# -- clients that go, and owners that forget ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset", "after more", "while it runs"])
def test_the_end_of_the_client_is_noticed(how: str) -> None:
    """Without a write: an event that nobody listens to any more need not be waited for."""
    with nothing_left(), waiting() as (server, handler):
        client = Client(server)
        if how == "while it runs":
            handler.prepare = lambda request, response: (client.sock.close(), gevent.sleep(0.05))
        client.send(GET)
        deferred = handler.next()
        if how == "after more":
            client.send(QUICK[:20])  # of the next request: one read of it is kept, and hides the end until it is closed
        if how == "reset":
            client.reset()
        elif how != "while it runs":
            (connection,) = server.service.table.in_state(State.BUSY)
            wait_until(lambda: how == "close" or connection._paused)
            client.sock.close()
        if how != "after more":
            wait_until(lambda: not deferred.valid())
            wait_until(lambda: len(server.service.table) == 0)
            deferred.write("x")  # it is small and waits for more: an owner need not look whether anybody is there
            with pytest.raises(SocketClosed):
                deferred.flush()
        deferred.close()
        wait_until(lambda: len(server.service.table) == 0)


def test_a_client_that_stays_is_not_taken_for_gone() -> None:
    """Whatever it sends meanwhile, in how many pieces."""
    with waiting() as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        for piece in (QUICK[:10], QUICK[10:], QUICK):
            client.send(piece)
            gevent.sleep(0.01)
            assert deferred.valid()
        say()(deferred)
        assert [client.answer().body for _ in range(3)] == [b"late", b"quick", b"quick"]


@pytest.mark.parametrize("committed", [False, True])
def test_one_that_is_forgotten_is_ended(committed: bool, caplog: pytest.LogCaptureFixture, records: Records) -> None:
    with nothing_left(), waiting(deferred_timeout=0.2) as (server, handler), Client(server) as client:
        server.log_requests(AccessLog())
        client.send(head("GET /late HTTP/1.1"))
        deferred = handler.next()
        if committed:
            deferred.write("first")
            deferred.flush()
            client.read_until(b"first")
        wait_until(lambda: server.service.table.sweep() or not deferred.valid())
        if committed:
            assert b"0\r\n\r\n" not in client.rest()  # the end of the body: it did not come to that
        else:
            answer = client.answer()
            assert (answer.status, answer["Connection"]) == (503, "close")
            assert client.closed()
        with pytest.raises(Expired, match=r"the deferred response has been ended: silent for 0.2 s"):
            deferred.write("late")
        deferred.close()
        assert "the deferred response to GET /late was ended: silent for 0.2 s" in caplog.text
        assert records.find("/late")["status"] == (200 if committed else 503)
        assert server.service.table.timed_out == 1


def test_one_that_is_written_to_is_not_ended() -> None:
    with waiting(deferred_timeout=0.2) as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        for _ in range(30):
            deferred.write("x")
            server.service.table.sweep()
            gevent.sleep(0.01)
        deferred.close()
        assert client.answer().body == b"x" * 30


def test_without_a_limit_it_is_not_ended() -> None:
    with waiting(deferred_timeout=None) as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        (connection,) = server.service.table.in_state(State.BUSY)
        assert not connection.end_forgotten(connection.since + 10**9)
        say()(deferred)
        assert client.answer().body == b"late"


def test_a_stop_does_not_wait_long_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it waits long for handlers."""
    monkeypatch.setattr("greenbas.http.connection.DEFERRED_AT_STOP", 0.1)
    with waiting() as (server, handler), Client(server) as client:
        client.send(GET)
        deferred = handler.next()
        stopping = spawn(server.stop, 60)
        wait_until(lambda: server.service.draining)
        assert client.answer().status == 503
        stopping.join(5)
        assert stopping.ready()
        with pytest.raises(Expired, match="ended: the server stops"):
            deferred.flush()
