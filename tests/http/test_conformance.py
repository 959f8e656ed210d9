"""What RFC 9110 and 9112 demand of an origin server's responses and connections, over raw sockets.

The section stands in each row's id or in the test's docstring. Refusals are in test_refusals.py, request bodies in
test_bodies.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from web import Answer, Client, ask, get, head, serving

from greenbas import Server
from greenbas.http import Request, Response
from greenbas.protocol import parse_http_date

LARGE = 100_000  # more than the response buffer


class App:
    """Handlers by path; `seen` holds the paths that were asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, request: Request, response: Response) -> Any:
        self.seen.append(request.path)
        return getattr(self, f"do_{request.relpath or 'root'}")(request, response)

    def do_root(self, request: Request, response: Response) -> str:
        return "hello"

    def do_empty(self, request: Request, response: Response) -> None:
        pass

    def do_bytes(self, request: Request, response: Response) -> bytes:
        return b"\0\r\n\xff"

    def do_text(self, request: Request, response: Response) -> str:
        return "größer €"

    def do_json(self, request: Request, response: Response) -> dict[str, Any]:
        return {"query": request.query}

    def do_large(self, request: Request, response: Response) -> bytes:
        return b"x" * LARGE

    def do_written(self, request: Request, response: Response) -> None:
        for _ in range(100):
            response.write("x" * (LARGE // 100))

    def do_flushed(self, request: Request, response: Response) -> None:
        for piece in ("", "one", "", "two"):
            response.write(piece)
            response.flush()

    def do_announced(self, request: Request, response: Response) -> None:
        response.set_content_length(5)
        response.send("he")
        response.send("llo")

    def do_status(self, request: Request, response: Response) -> None:
        response.status = int(request.query)
        response.write("a body")

    def do_flushedstatus(self, request: Request, response: Response) -> None:
        response.status = int(request.query)
        response.write("a body")
        response.flush()
        response.write("more")

    def do_announcedstatus(self, request: Request, response: Response) -> None:
        response.status = int(request.query)
        response.set_content_length(6)
        response.send("a body")

    def do_fail(self, request: Request, response: Response) -> None:
        raise RuntimeError("secret")

    def do_redirect(self, request: Request, response: Response) -> None:
        response.send_redirect("/elsewhere")

    def do_cookies(self, request: Request, response: Response) -> None:
        response.create_cookie("a").activate()
        response.create_cookie("b").activate()

    def do_modified(self, request: Request, response: Response) -> str:
        response.set_header("ETag", '"1"')
        response.set_header("Cache-Control", "max-age=5")
        response.set_header("Vary", "Accept")
        request.check_time(1_000_000_000)
        return "new"

    def do_close(self, request: Request, response: Response) -> str:
        response.clear_keepalive()
        return "bye"

    def do_slow(self, request: Request, response: Response) -> str:
        time.sleep(0.02)
        return "slow"

    def do_url(self, request: Request, response: Response) -> dict[str, Any]:
        return {"host": request.host(), "url": request.url(), "path": request.path, "header": request.header("host")}


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    with serving(app) as server:
        yield server


def split(raw: bytes) -> tuple[list[bytes], bytes]:
    """Lines of the head, and what stands behind it."""
    start, _, rest = raw.partition(b"\r\n\r\n")
    return start.split(b"\r\n"), rest


EVERYTHING = [
    "/",
    "/empty",
    "/bytes",
    "/text",
    "/json?a=b",
    "/large",
    "/written",
    "/flushed",
    "/announced",
    "/redirect",
]
EVERYTHING += [
    "/fail",
    "/cookies",
    "/modified",
    "/status?404",
    "/status?201",
    "/status?204",
    "/status?304",
    "/status?999",
]


# -- every response -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERYTHING)
def test_the_head_is_well_formed(server: Server, path: str) -> None:
    """9112 4: the status line; 5: fields; 9110 6.6.1: Date; 9112 6.1, 6.2: framing."""
    with Client(server) as client:
        client.send(head(f"GET {path} HTTP/1.1", "Connection: close"))
        lines, _ = split(client.rest())
    assert re.fullmatch(rb"HTTP/1\.1 [2-9]\d\d [ -~]+", lines[0])
    for line in lines[1:]:
        assert re.fullmatch(rb"[A-Za-z-]+: [ -~]+", line), line
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    for name in (b"date", b"server", b"connection"):
        assert names.count(name) == 1, name
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


@pytest.mark.parametrize("path", EVERYTHING)
def test_date_is_now(server: Server, path: str) -> None:
    """9110 6.6.1: Date in every 2xx, 3xx and 4xx response."""
    date = parse_http_date(get(server, path)["Date"])
    assert date is not None and abs(time.time() - date) < 3


@pytest.mark.parametrize("name", ["Date", "Server"])
def test_a_handler_may_set_what_the_server_sets_too(name: str) -> None:
    """9110 5.3, 6.6.1: Date is a single field."""

    def handler(request: Request, response: Response) -> str:
        response.set_header(name, "Sat, 01 Jan 2000 00:00:00 GMT")
        return "x"

    with serving(handler) as server:
        assert get(server, "/").all(name) == ["Sat, 01 Jan 2000 00:00:00 GMT"]


@pytest.mark.parametrize("path", EVERYTHING)
def test_lengths_are_exact(server: Server, path: str) -> None:
    """9110 8.6: one byte too many or too few would break the next answer on the connection."""
    with Client(server) as client:
        for _ in range(3):
            client.ask(head(f"GET {path} HTTP/1.1"))
            answer = client.ask(head("GET / HTTP/1.1"))
            assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize(
    ("path", "length"),
    [("/", 5), ("/empty", 0), ("/bytes", 4), ("/text", 12), ("/large", LARGE), ("/announced", 5), ("/redirect", 0)],
)
def test_content_length(server: Server, path: str, length: int) -> None:
    """9110 8.6"""
    answer = get(server, path)
    assert answer["Content-Length"] == str(length)
    assert len(answer.body) == length
    assert "Transfer-Encoding" not in answer


@pytest.mark.parametrize("path", EVERYTHING)
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    """9110 9.3.2: no content; 8.6: the length that GET has, if any; the connection goes on."""
    got = get(server, path)
    with Client(server) as client:
        client.send(head(f"HEAD {path} HTTP/1.1") + head("GET / HTTP/1.1"))
        lines, rest = split(client.read_until(b"\r\n\r\n"))
        assert rest == b""
        assert client.answer().body == b"hello"
    assert int(lines[0].split(b" ")[1]) == got.status
    fields = dict(line.decode().split(": ", 1) for line in lines[1:])
    skipped = {"Date", "Content-Length", "Transfer-Encoding", "Set-Cookie"}
    assert {name: value for name, value in fields.items() if name not in skipped} == {
        name: value for name, value in got.headers if name not in skipped
    }
    if "Content-Length" in fields and "/fail" not in path and "Content-Length" in got:
        assert fields["Content-Length"] == got["Content-Length"]


@pytest.mark.parametrize("form", ["status", "flushedstatus", "announcedstatus"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "status",
    [pytest.param(204, id="9110 15.3.5"), pytest.param(304, id="9110 15.4.5"), pytest.param(205, id="9110 15.3.6")],
)
def test_responses_without_content(server: Server, form: str, method: str, status: int) -> None:
    """Whatever the handler writes; 9110 8.6, 9112 6.1: no Content-Length nor Transfer-Encoding in a 204."""
    with Client(server) as client:
        client.send(head(f"{method} /{form}?{status} HTTP/1.1") + head("GET / HTTP/1.1"))
        answer = client.answer(method)
        assert (answer.status, answer.body) == (status, b"")
        if status == 204:
            assert "Content-Length" not in answer and "Transfer-Encoding" not in answer
        assert client.answer().body == b"hello"


def test_a_304_says_what_the_200_would_have_said(server: Server) -> None:
    """9110 15.4.5: Cache-Control, Date, ETag, Vary."""
    fresh = get(server, "/modified")
    cached = get(server, "/modified", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT")
    assert (fresh.status, cached.status) == (200, 304)
    for name in ("Cache-Control", "ETag", "Vary"):
        assert cached[name] == fresh[name]
    assert "Date" in cached


def test_a_location_is_absolute(server: Server) -> None:
    """9110 10.2.2 allows relative ones; ours is absolute as the original's."""
    assert get(server, "/redirect")["Location"] == "http://x/elsewhere"


def test_cookies_are_not_joined(server: Server) -> None:
    """9110 5.3: Set-Cookie is the field that cannot be."""
    assert [value.partition("=")[0] for value in get(server, "/cookies").all("Set-Cookie")] == ["a", "b"]


# -- chunked ------------------------------------------------------------------------------------------------------

CHUNKED = re.compile(rb"((?P<size>[0-9a-f]+)\r\n.+?\r\n)*0\r\n\r\n", re.DOTALL)


@pytest.mark.parametrize("path", ["/flushed", "/written"])
def test_chunks_are_well_formed(server: Server, path: str) -> None:
    """9112 7.1: sizes in hexadecimal, one empty chunk, at the end."""
    with Client(server) as client:
        client.send(head(f"GET {path} HTTP/1.1", "Connection: close"))
        lines, rest = split(client.rest())
    assert b"Transfer-Encoding: chunked" in lines
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        assert re.fullmatch(rb"[1-9a-f][0-9a-f]*|0", size)
        count = int(size, 16)
        piece, end, rest = rest[:count], rest[count : count + 2], rest[count + 2 :]
        assert (len(piece), end) == (count, b"\r\n")
        if not count:
            break
        body += piece
    assert rest == b""
    assert body == (b"onetwo" if path == "/flushed" else b"x" * LARGE)


@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize("path", EVERYTHING)
def test_http10_gets_nothing_it_does_not_know(server: Server, path: str, keep_alive: bool) -> None:
    """9112 6.1: no Transfer-Encoding; 9.3: the connection closes unless both sides say keep-alive."""
    reference = get(server, path)
    with Client(server) as client:
        client.send(head(f"GET {path} HTTP/1.0", *(["Connection: keep-alive"] if keep_alive else [])))
        answer = client.answer()
        assert answer.status == reference.status
        assert path == "/fail" or answer.body == reference.body
        assert "Transfer-Encoding" not in answer
        if keep_alive and ("Content-Length" in answer or answer.status in (204, 304)):
            assert answer["Connection"] == "keep-alive"
            assert client.ask(head("GET / HTTP/1.0")).body == b"hello"
        else:
            assert answer["Connection"] == "close"
        assert client.closed()


def test_http10_without_host(server: Server) -> None:
    """9112 3.2: Host is a must in HTTP/1.1 only."""
    answer = ask(server, "GET /url HTTP/1.0\n\n")
    port = server.listeners[0].port
    assert answer.status == 200 and f'"host":"127.0.0.1:{port}"'.encode() in answer.body


# -- connections --------------------------------------------------------------------------------------------------


def test_http11_connections_persist(server: Server) -> None:
    """9112 9.3"""
    with Client(server) as client:
        for _ in range(50):
            answer = client.ask(head("GET / HTTP/1.1"))
            assert answer.body == b"hello" and "Connection" not in answer


@pytest.mark.parametrize("path", EVERYTHING)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_is_honoured(server: Server, app: App, path: str, method: str) -> None:
    """9112 9.6: say close, close, and process nothing that comes behind."""
    with Client(server) as client:
        client.send(head(f"{method} {path} HTTP/1.1", "Connection: close") + head("GET /never HTTP/1.1"))
        assert client.answer(method)["Connection"] == "close"
        assert client.closed()
    assert "/never" not in app.seen


def test_the_server_may_close_too(server: Server, app: App) -> None:
    """9112 9.6"""
    with Client(server) as client:
        client.send(head("GET /close HTTP/1.1") + head("GET /never HTTP/1.1"))
        answer = client.answer()
        assert (answer.body, answer["Connection"]) == (b"bye", "close")
        assert client.closed()
    assert "/never" not in app.seen


def test_pipelining_in_order(server: Server, app: App) -> None:
    """9112 9.3.2"""
    paths = ["/slow", "/", "/large", "/flushed", "/empty", "/json?1", "/slow", "/status?404", "/text", "/json?2"] * 4
    with Client(server) as client:
        client.send("".join(head(f"GET {path} HTTP/1.1") for path in paths))
        answers = [client.answer() for _ in paths]
    alone = {path: get(server, path) for path in paths}
    assert [(answer.status, answer.body) for answer in answers] == [
        (alone[path].status, alone[path].body) for path in paths
    ]


def test_a_thousand_pipelined_requests(server: Server) -> None:
    """9112 9.3.2; more than one read of the server holds."""
    with Client(server) as client:
        sender = gevent.spawn(client.send, "".join(head(f"GET /json?{i} HTTP/1.1") for i in range(1000)))
        assert [client.answer().body for _ in range(1000)] == [b'{"query":"%d"}' % i for i in range(1000)]
        sender.get()


def test_pipelining_with_bodies(server: Server) -> None:
    """9112 9.3.2"""
    with Client(server) as client:
        post = head("POST /json?{} HTTP/1.1", "Content-Length: 20") + "GET /no HTTP/1.1\n  "
        chunked = head("POST /json?{} HTTP/1.1", "Transfer-Encoding: chunked") + "5\nhello\n0\n\n"
        client.send("".join((post + chunked).replace("{}", str(i)) for i in range(20)))
        bodies = [client.answer("POST").body for _ in range(40)]
    assert bodies == [b'{"query":"%d"}' % (i // 2) for i in range(40)]


def test_a_pipelined_error_comes_last(server: Server) -> None:
    """9112 9.3.2: what came before is answered first; then the connection closes."""
    with Client(server) as client:
        client.send(head("GET /slow HTTP/1.1") + head("GET / HTTP/1.1") + "BAD\n\n" + head("GET /never HTTP/1.1"))
        assert [client.answer().status for _ in range(3)] == [200, 200, 400]
        assert client.closed()


def test_half_close_still_gets_the_answer(server: Server) -> None:
    """9112 9.6: a client may send no more and read on."""
    with Client(server) as client:
        client.send(head("GET /slow HTTP/1.1") * 3)
        client.half_close()
        assert [client.answer().body for _ in range(3)] == [b"slow"] * 3
        assert client.closed()


def test_half_close_while_idle(server: Server) -> None:
    with Client(server) as client:
        assert client.ask(head("GET / HTTP/1.1")).status == 200
        client.half_close()
        assert client.closed()


def test_half_close_within_a_head(server: Server, app: App) -> None:
    """9112 8: an incomplete head is no request."""
    with Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: x\n")
        client.half_close()
        assert client.rest() == b""
    assert app.seen == []


def test_a_head_in_many_pieces(server: Server) -> None:
    """9112 2.2: a message is a stream of bytes, not of packets."""
    with Client(server) as client:
        for byte in head("GET /json?a HTTP/1.1"):
            client.send(byte)
        assert client.answer().body == b'{"query":"a"}'


def test_empty_lines_between_messages(server: Server) -> None:
    """9112 2.2: old clients send CRLF behind a body."""
    with Client(server) as client:
        for _ in range(2):
            client.send(head("POST / HTTP/1.1", "Content-Length: 2") + "ab\n")
            assert client.answer("POST").status == 200


# -- targets and upgrades -----------------------------------------------------------------------------------------


def test_an_absolute_target_replaces_host(server: Server) -> None:
    """9112 3.2.2"""
    answer = ask(server, head("GET http://Other.example:81/url?a HTTP/1.1"))
    assert answer.body == (
        b'{"host":"other.example:81","url":"http://other.example:81/url","path":"/url","header":"x"}'
    )


@pytest.mark.parametrize("target", ["*", "/", "http://x/", "http://x"])
def test_options_of_the_server(target: str) -> None:
    """9110 9.3.7: also without any handler; an empty answer says Content-Length 0."""
    with serving() as server:
        answer = ask(server, head(f"OPTIONS {target} HTTP/1.1"))
    assert answer.status == 200 and answer["Content-Length"] == "0"
    assert {"GET", "HEAD", "OPTIONS"} <= set(answer["Allow"].split(", "))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"], id="h2c"),
        pytest.param(["Connection: Upgrade", "Upgrade: TLS/1.0"], id="TLS"),
        pytest.param(["Connection: Upgrade", "Upgrade: nonsense"], id="unknown"),
        pytest.param(["Upgrade: h2c"], id="not in Connection"),
    ],
)
@pytest.mark.parametrize("body", [False, True])
def test_an_upgrade_is_ignored(server: Server, fields: list[str], body: bool) -> None:
    """9110 7.8; gevent issue 2035: answered as if it were not there, and the connection goes on."""
    lines = [*fields, "Content-Length: 21"] if body else fields
    request = head("POST /json?a HTTP/1.1", *lines) + ("GET /never HTTP/1.1\n" if body else "")
    with Client(server) as client:
        client.send(request * 2 + head("GET / HTTP/1.1"))
        assert [client.answer("POST").body for _ in range(2)] == [b'{"query":"a"}'] * 2
        assert client.answer().body == b"hello"


# -- methods ------------------------------------------------------------------------------------------------------


def allowed(request: Request, response: Response) -> str:
    request.allow(["GET", "POST"])
    return "ok"


def strict(request: Request, response: Response) -> str:
    request.allow(["GET"], use_defaults=False)
    return "ok"


@pytest.mark.parametrize(
    ("handler", "method", "status", "allow"),
    [
        pytest.param(allowed, "GET", 200, None, id="9110 9.3.1"),
        pytest.param(allowed, "HEAD", 200, None, id="9110 9.3.2"),
        pytest.param(allowed, "POST", 200, None, id="9110 9.3.3"),
        pytest.param(allowed, "DELETE", 405, "GET, POST, HEAD, OPTIONS", id="9110 15.5.6: Allow is a must"),
        pytest.param(allowed, "OPTIONS", 200, "GET, POST, HEAD, OPTIONS", id="9110 9.3.7"),
        pytest.param(strict, "GET", 200, None, id="only GET"),
        pytest.param(strict, "HEAD", 405, "GET", id="HEAD is not added"),
        pytest.param(strict, "OPTIONS", 405, "GET", id="OPTIONS is not added"),
    ],
)
def test_allow(handler: Any, method: str, status: int, allow: str | None) -> None:
    with serving(handler) as server, Client(server) as client:
        for _ in range(2):
            answer: Answer = client.ask(head(f"{method} / HTTP/1.1"))
            assert answer.status == status
            assert answer.all("Allow") == ([] if allow is None else [allow])
            assert (answer.body == b"ok") is (status == 200 and method not in ("HEAD", "OPTIONS"))
            if method == "OPTIONS" and status == 200:
                assert answer["Content-Length"] == "0"
