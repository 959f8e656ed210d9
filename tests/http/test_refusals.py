"""Bad requests over raw sockets: the status, a complete answer that the client sees, and the end of the connection."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from support import wait_until
from web import Client, ask, head, serving

from greenbas import Server
from greenbas.http import Request, Response, State

MEGABYTE = 1024 * 1024

REFUSED = [
    pytest.param(head("GET / HTTP/1.1").replace("Host: x\n", ""), 400, id="9112 3.2: no Host"),
    pytest.param(head("GET / HTTP/1.1", "Host: y"), 400, id="9112 3.2: two Hosts"),
    pytest.param(head("GET / HTTP/1.1", "X : y"), 400, id="9112 5.1: space before the colon"),
    pytest.param(head("GET / HTTP/1.1", " y"), 400, id="9112 5.2: obs-fold"),
    pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="9112 2.2: bare LF"),
    pytest.param(head("POST / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, id="9112 6.3: both"),
    pytest.param(head("POST / HTTP/1.1", "Content-Length: 5,5"), 400, id="9112 6.3: a list of lengths"),
    pytest.param(head("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400, id="9112 6.1: chunked in HTTP/1.0"),
    pytest.param(head("GET /../secret HTTP/1.1"), 400, id="3986 5.2.4: above the root"),
    pytest.param(head("GET /%zz HTTP/1.1"), 400, id="3986 2.1: bad escape"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="9112 3: TLS"),
    pytest.param(b"GET /\r\n\r\n", 400, id="9112 3: HTTP/0.9"),
    pytest.param(head("GET /" + "a" * 9000 + " HTTP/1.1"), 414, id="9110 15.5.15: target"),
    pytest.param(head("GET / HTTP/1.1", "Expect: more"), 417, id="9110 15.5.18: expectation"),
    pytest.param(head("GET / HTTP/1.1", "X: " + "y" * 20_000), 431, id="6585 5: head"),
    pytest.param(head("GET / HTTP/1.1", *["X: y"] * 200), 431, id="6585 5: fields"),
    pytest.param(head("FOO / HTTP/1.1"), 501, id="9110 15.6.2: method"),
    pytest.param(head("CONNECT x:80 HTTP/1.1"), 501, id="9110 9.3.6: CONNECT"),
    pytest.param(head("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"), 501, id="9112 6.1: coding"),
    pytest.param(head("GET / HTTP/2.0"), 505, id="9110 15.6.6: version"),
]


class App:
    """Reads the body when the path says so; notes what it was asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.errors: list[BaseException] = []

    def __call__(self, request: Request, response: Response) -> str:
        self.seen.append(request.path)
        if request.path == "/read":
            try:
                return str(len(request.body()))
            except BaseException as error:
                self.errors.append(error)
                raise
        if request.path == "/stream":
            return str(sum(map(len, request.rawrdr())))
        if request.path == "/deny":
            response.send_error(403)
        return "ok"


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    with serving(app) as server:
        yield server


@pytest.mark.parametrize(("data", "status"), REFUSED)
def test_a_bad_head(server: Server, app: App, data: bytes | str, status: int) -> None:
    """9112 9.6: the answer says close, and the connection closes; no handler sees the request."""
    with Client(server) as client:
        answer = client.ask(data, "GET")
        assert answer.status == status
        assert answer["Connection"] == "close"
        assert "Date" in answer and len(answer.body) == int(answer["Content-Length"])
        assert client.closed()
    assert app.seen == []
    assert server.service.counters.refused == 1


@pytest.mark.parametrize(("data", "status"), REFUSED)
def test_a_bad_head_behind_a_good_one(server: Server, app: App, data: bytes | str, status: int) -> None:
    with Client(server) as client:
        client.send(head("GET /first HTTP/1.1"))
        client.send(data)
        assert client.answer().body == b"ok"
        assert client.answer().status == status
        assert client.closed()
    assert app.seen == ["/first"]


def test_a_refusal_tells_nothing(server: Server) -> None:
    """No word of the reason in production, a sentence of it in development."""
    bad = head("GET / HTTP/1.1", "Host: <script>")
    assert b"script" not in ask(server, bad).body
    with serving(lambda request, response: "", dev=True) as chatty:
        page = ask(chatty, bad).body
        assert b"more than one Host" in page and b"<script>" not in page


def test_a_refusal_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "greenbas.http"):
        ask(server, head("GET / HTTP/1.1", "Host: \xe4\x85").replace("Host: x\n", ""))
    (record,) = caplog.records
    message = record.getMessage()
    assert "127.0.0.1" in message and "Host" in message and message.isascii() and message.isprintable()


@pytest.mark.parametrize("line", ["HEAD / HTTP/1.1", "HEAD /../a HTTP/1.1", "HEAD / HTTP/1.0"])
def test_no_content_for_a_bad_head_request(server: Server, line: str) -> None:
    """9110 9.3.2: a server MUST NOT send content in answer to HEAD, whatever is wrong with it."""
    with Client(server) as client:
        client.send(head(line, "Host: y"))
        start, end, rest = client.rest().partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 400") and end
    assert rest == b""


# -- clients that send on while they are refused ------------------------------------------------------------------


def pour(client: Client, start: str | bytes, size: int, piece: bytes = b"x" * 65536) -> None:
    """Send a head and `size` bytes before reading anything."""
    client.send(start)
    for _ in range(size // len(piece)):
        client.send(piece)


LENGTH = f"Content-Length: {10 * MEGABYTE}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


@pytest.mark.parametrize(
    ("start", "piece", "settings", "status"),
    [
        pytest.param(
            head("POST /read HTTP/1.1", LENGTH), b"x" * 65536, {"max_body": 1000}, 413, id="9110 15.5.14: length"
        ),
        pytest.param(head("POST /read HTTP/1.1", CHUNKED), CHUNK, {"max_body": 1000}, 413, id="9110 15.5.14: chunked"),
        pytest.param(
            head("POST / HTTP/1.1", LENGTH), b"x" * 65536, {"max_body": 1000}, 413, id="413 though nobody reads"
        ),
        pytest.param(
            head("POST /read HTTP/1.1", LENGTH), b"x" * 65536, {"max_memory_body": 1000}, 413, id="413 of body()"
        ),
        pytest.param(
            head("POST /read HTTP/1.1", CHUNKED), CHUNK, {"max_memory_body": 100_000}, 413, id="413 of body(), chunked"
        ),
        pytest.param(head("POST /deny HTTP/1.1", LENGTH), b"x" * 65536, {}, 403, id="9112 9.6: refused by the handler"),
        pytest.param(
            head("POST /deny HTTP/1.1", CHUNKED), CHUNK, {}, 403, id="9112 9.6: refused by the handler, chunked"
        ),
        pytest.param(
            head("POST /deny HTTP/1.1", LENGTH, "Connection: close"),
            b"x" * 65536,
            {},
            403,
            id="9112 9.6: client says close",
        ),
        pytest.param(head("POST /deny HTTP/1.0", LENGTH), b"x" * 65536, {}, 403, id="9112 9.6: HTTP/1.0"),
        pytest.param(head("POST / HTTP/1.1", LENGTH, "Host: y"), b"x" * 65536, {}, 400, id="9112 9.6: a bad head"),
        pytest.param(head("FOO / HTTP/1.1", LENGTH), b"x" * 65536, {}, 501, id="9112 9.6: unknown method"),
        pytest.param("GET / HTTP/1.1\n" + "X: y\n" * 300, b"x" * 65536, {}, 431, id="9112 9.6: endless head"),
        pytest.param(head("POST /read HTTP/1.1", CHUNKED) + "z\n", b"x" * 65536, {}, 400, id="9112 9.6: bad chunk"),
        pytest.param(
            head("POST /stream HTTP/1.1", CHUNKED) + "3\nabc\n0x3\nabc\n",
            CHUNK,
            {},
            400,
            id="9112 9.6: bad chunk later",
        ),
    ],
)
def test_the_answer_reaches_a_client_that_writes_ten_megabytes_first(
    app: App, start: str, piece: bytes, settings: dict[str, Any], status: int
) -> None:
    """9112 9.6 and true-async/server issue 287: closing at once would reset the connection and lose the answer."""
    with serving(app, **settings) as server, Client(server) as client:
        pour(client, start, 10 * MEGABYTE, piece)
        answer = client.answer("POST")
        assert answer.status == status
        # How long a chunked body is that no limit has met yet, nobody knows when the head leaves.
        assert answer.all("Connection") == ["close"] or (status == 403 and piece is CHUNK)
        assert client.closed()
        client.sock.close()
        wait_until(lambda: len(server.service.table) == 0)


def test_a_large_body_that_nobody_reads(server: Server) -> None:
    """A good answer; the connection says close, because reading megabytes to save it costs more."""
    with Client(server) as client:
        pour(client, head("POST / HTTP/1.1", LENGTH), 10 * MEGABYTE)
        answer = client.answer("POST")
        assert (answer.status, answer.body, answer["Connection"]) == (200, b"ok", "close")
        assert client.closed()


def test_the_drain_is_bounded_in_bytes(server: Server) -> None:
    """A client that never stops sending is cut off."""
    sent = 0
    with Client(server) as client:
        client.send(head("GET / HTTP/1.1", "Host: y"))
        with pytest.raises(OSError):
            while sent < 200 * MEGABYTE:
                client.send(bytes(MEGABYTE))
                sent += MEGABYTE
    assert sent < 100 * MEGABYTE
    wait_until(lambda: len(server.service.table) == 0)


def test_the_drain_is_bounded_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.http.connection.LINGER_SECONDS", 0.2)
    with Client(server) as client:
        assert client.ask(head("GET / HTTP/1.1", "Host: y")).status == 400
        assert len(server.service.table) == 1  # it is kept for a moment
        wait_until(lambda: len(server.service.table) == 0)


def test_a_draining_client_does_not_hold_a_slot() -> None:
    with serving(App(), max_workers=1) as server, Client(server) as rude:
        assert rude.ask(head("GET / HTTP/1.1", "Host: y")).status == 400
        started = time.monotonic()
        assert ask(server, head("GET / HTTP/1.1")).status == 200
        assert time.monotonic() - started < 1
        assert server.service.table.count(State.BUSY) == 1


def test_an_unanswered_expectation_closes_at_once(server: Server) -> None:
    """9110 10.1.1: the final answer came first, the body may never come; a client that waits for the end gets it."""
    with Client(server) as client:
        client.send(head("POST /deny HTTP/1.1", "Expect: 100-continue", "Content-Length: 1000"))
        answer = client.answer("POST")
        assert (answer.status, answer["Connection"]) == (403, "close")
        started = time.monotonic()
        assert client.closed()
        assert time.monotonic() - started < 1


# -- too many -----------------------------------------------------------------------------------------------------


def test_a_full_queue_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """9110 15.6.4, with Retry-After; what runs and waits is answered."""
    gate = gevent.event.Event()
    running = []

    def handler(request: Request, response: Response) -> str:
        running.append(request.path)
        gate.wait()
        return request.path

    with serving(handler, max_workers=1, queue_length=2) as server:
        clients = [Client(server) for _ in range(5)]
        for number, client in enumerate(clients):
            client.send(head(f"GET /{number} HTTP/1.1"))
            wait_until(lambda: len(running) + server.service.workers.queued + server.service.counters.refused > number)  # noqa: B023
        for client in clients[3:]:
            answer = client.answer()
            assert (answer.status, answer["Connection"], answer["Retry-After"]) == (503, "close", "1")
            assert client.closed()
        assert running == ["/0"]
        gate.set()
        assert [client.answer().body for client in clients[:3]] == [b"/0", b"/1", b"/2"]
        assert running == ["/0", "/1", "/2"]
        assert server.service.counters.refused == 2
        for client in clients:
            client.sock.close()
