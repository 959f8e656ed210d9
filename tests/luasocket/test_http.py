"""Requests to Python's own server, to greenbas over TLS, through proxies, and to scripts that misbehave."""

from __future__ import annotations

import contextlib
import socket as stdlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from authority import localhost, root, stranger
from gevent.event import Event
from leaks import nothing_left
from scripted import Conversation, program, scripted
from web import get, serving

from greenbas import Request, Response, offload
from greenbas.luasocket import http, ltn12, socket
from greenbas.net.tls import ClientTls

TESTS = Path(__file__).parent.parent
SECONDS = 10.0
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with program(TESTS / "plainhttp.py") as (found, _):
        yield found


def fields_of(request: bytes) -> dict[str, str]:
    """The header of a request that a script heard."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


def answering(reply: bytes) -> Callable[[Conversation], None]:
    """A server that waits for a request's header and says this."""

    def run(server: Conversation) -> None:
        server.until(b"\r\n\r\n")
        server.send(reply)

    return run


def ask(reply: bytes, **fields: Any) -> tuple[Any, bytes]:
    """What a request gives whose server says this, with the body if it has one; and what the server heard."""
    take, chunks = ltn12.sink.table()
    with scripted(answering(reply)) as server, nothing_left():
        answer = http.request({"url": f"http://127.0.0.1:{server.port}/", "sink": take, **fields})
        heard = server.said()[0]
    return (b"".join(chunks), *answer[1:]) if answer[0] else answer, heard


# -- Python's own server ------------------------------------------------------------------------------------------


def test_get(port: int) -> None:
    with nothing_left():
        body, code, headers, status = http.request(f"http://localhost:{port}/echo?x=1")
    assert (code, status) == (200, "HTTP/1.1 200 OK")
    assert headers is not None and headers["content-type"] == "text/plain"
    assert body.startswith(b"GET /echo?x=1\n")
    assert f"Host: localhost:{port}\nConnection: close, TE\nTE: trailers\n".encode() in body
    assert f"User-Agent: {http.USERAGENT}\n".encode() in body


def test_post(port: int) -> None:
    body, code, _, _ = http.request(f"http://localhost:{port}/echo", "a=1&b=2")
    assert code == 200
    assert body.startswith(b"POST /echo\n")
    assert f"Content-Length: 7\nContent-Type: {FORM}\n".encode() in body
    assert body.endswith(b"\n\na=1&b=2")


def test_a_table(port: int) -> None:
    take, chunks = ltn12.sink.table()
    source = iter([b"some ", b"data"])
    sent = {"X-Mine": 7, "CONTENT-LENGTH": "9"}
    request = {"host": "localhost", "port": port, "path": "/echo", "query": "q", "method": "PUT", "headers": sent}
    done, code, headers, status = http.request({**request, "source": source, "sink": take})
    assert (done, code, status) == (1, 200, "HTTP/1.1 200 OK")
    assert headers is not None and "date" in headers
    body = b"".join(chunks)
    assert body.startswith(b"PUT /echo?q\n")
    assert b"x-mine: 7\n" in body and b"Content-Length: 9\n" in body and b"hunked" not in body
    assert body.endswith(b"\n\nsome data")


def test_a_body_without_a_length_is_chunked(port: int) -> None:
    take, chunks = ltn12.sink.table()
    with nothing_left():
        url = f"http://localhost:{port}/echo"
        done = http.request({"url": url, "method": "POST", "source": iter([b"a" * 5000, b"", b"b"]), "sink": take})
    assert done[:2] == (1, 200)
    assert b"".join(chunks).endswith(b"\n\n" + b"a" * 5000 + b"b")


def test_a_large_body(port: int) -> None:
    body, code, headers, _ = http.request(f"http://localhost:{port}/large")
    assert (code, len(body)) == (200, 3_000_000)
    assert headers is not None and headers["content-length"] == "3000000"


def test_head_has_no_body(port: int) -> None:
    take, chunks = ltn12.sink.table()
    answer = http.request({"url": f"http://localhost:{port}/large", "method": "HEAD", "sink": take})
    assert answer[:2] == (1, 200)
    assert chunks == []
    assert answer[2] is not None and answer[2]["content-length"] == "3000000"


def test_redirects(port: int) -> None:
    body, code, headers, _ = http.request(f"http://localhost:{port}/to/echo")
    assert code == 200
    assert body.startswith(b"GET /echo\n")
    assert headers is not None and headers["location"] == "/echo"
    answer = http.request({"url": f"http://localhost:{port}/to/echo", "redirect": False})
    assert answer[1] == 302


def test_many_at_once(port: int) -> None:
    jobs = [gevent.spawn(http.request, f"http://localhost:{port}/echo?{n}") for n in range(20)]
    gevent.joinall(jobs, timeout=SECONDS)
    assert [job.value[0].split(b"\n")[0] for job in jobs] == [b"GET /echo?%d" % n for n in range(20)]


def test_handlers_greenlets_and_threads_at_once(port: int) -> None:
    url = f"http://127.0.0.1:{port}/echo"

    def handler(request: Request, response: Response) -> dict[str, Any]:
        return {"code": http.request(url)[1]}

    with serving(handler) as server:
        jobs = [gevent.spawn(get, server, "/") for _ in range(5)]
        others = [gevent.spawn(http.request, url) for _ in range(5)]
        others += [gevent.spawn(offload, http.request, url) for _ in range(5)]
        gevent.joinall([*jobs, *others], timeout=SECONDS)
    assert [job.value.body for job in jobs] == [b'{"code":200}'] * 5
    assert [job.value[1] for job in others] == [200] * 10


def test_an_error_is_an_answer(port: int) -> None:
    body, code, _, status = http.request(f"http://localhost:{port}/none")
    assert (code, status) == (404, "HTTP/1.1 404 Not Found")
    assert b"nothing here" in body


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    cert, key = localhost().files(tmp_path_factory.mktemp("certs"), "http")
    with program(TESTS / "plainhttp.py", cert, key) as (found, _):
        yield found


@pytest.fixture(scope="module")
def trusting() -> ClientTls:
    return ClientTls(root().store())


@pytest.mark.parametrize("name", ["tls", "shark"])
def test_https(secure: int, trusting: ClientTls, name: str) -> None:
    take, chunks = ltn12.sink.table()
    with nothing_left():
        answer = http.request({"url": f"https://localhost:{secure}/echo", name: trusting, "sink": take})
    assert answer[:2] == (1, 200)
    assert f"Host: localhost:{secure}\n".encode() in b"".join(chunks)


def test_servers_are_verified(secure: int, trusting: ClientTls) -> None:
    with nothing_left():
        for url, context in [
            (f"https://localhost:{secure}/", None),
            (f"https://localhost:{secure}/", ClientTls(stranger().store())),
            (f"https://127.0.0.2:{secure}/", trusting),
        ]:
            done, error, headers, status = http.request({"url": url, "tls": context})
            assert (done, headers, status) == (None, None, None)
            assert isinstance(error, str) and error


def test_a_handshake_that_stalls(trusting: ClientTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", 0.05)
    with scripted(lambda server: server.rest()) as server, nothing_left():
        answer = http.request({"url": f"https://localhost:{server.port}/", "tls": trusting})
        assert answer == (None, "timeout", None, None)


def test_a_kill_in_the_handshake_leaves_nothing(trusting: ClientTls) -> None:
    reached = Event()

    def script(server: Conversation) -> None:
        server.until(b"localhost")  # the name that is asked for, in clear
        reached.set()
        server.rest()

    with scripted(script) as server, nothing_left():
        job = gevent.spawn(http.request, {"url": f"https://localhost:{server.port}/", "tls": trusting})
        assert reached.wait(SECONDS)
        job.kill(timeout=SECONDS)
        assert job.dead


def test_a_server_that_speaks_no_tls(port: int, trusting: ClientTls) -> None:
    with nothing_left():
        done, error, _, _ = http.request({"url": f"https://localhost:{port}/", "tls": trusting})
    assert done is None
    assert isinstance(error, str) and error


def test_https_through_a_proxy(secure: int, trusting: ClientTls) -> None:
    take, chunks = ltn12.sink.table()
    with scripted(tunnel) as proxy, nothing_left():
        request = {"url": f"https://localhost:{secure}/echo", "tls": trusting, "sink": take}
        answer = http.request({**request, "proxy": f"http://me:pass%20word@localhost:{proxy.port}"})
        heard = proxy.said()[0]
    assert answer[:2] == (1, 200)
    assert b"".join(chunks).startswith(b"GET /echo\n")
    assert b"roxy-" not in b"".join(chunks)
    assert heard.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % secure)
    assert fields_of(heard)["Proxy-Authorization"] == "Basic " + b64encode(b"me:pass word").decode()
    assert b"/echo" not in heard


def tunnel(client: Conversation) -> None:
    """A proxy for CONNECT."""
    authority = client.until(b"\r\n\r\n").split()[1].decode()
    host, _, port = authority.rpartition(":")
    with stdlib.create_connection((host, int(port)), timeout=SECONDS) as upstream:
        client.send(b"HTTP/1.1 200 Connected\r\nX: y\r\n\r\n")
        job = gevent.spawn(pump, upstream, client.sock)
        pump(client.sock, upstream)
        job.kill()


def pump(one: Any, other: Any) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(stdlib.SHUT_WR)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"HTTP/1.1 407 Who are you?\r\n\r\n", "the proxy refused: HTTP/1.1 407 Who are you?"),
        (b"what?\r\n\r\n", "the proxy refused: no HTTP"),
        (b"", "closed"),
    ],
)
def test_a_proxy_that_refuses(reply: bytes, error: str) -> None:
    with scripted(answering(reply)) as proxy, nothing_left():
        answer = http.request({"url": "https://localhost/", "proxy": f"http://127.0.0.1:{proxy.port}"})
    assert answer == (None, error, None, None)


# -- what is sent -------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"path": "/a;b"}, "GET /a;b HTTP/1.1"),
        ({"path": "a"}, "GET /a HTTP/1.1"),
        ({"path": "/a", "params": "p", "query": "q"}, "GET /a;p?q HTTP/1.1"),
        ({"method": "delete"}, "delete / HTTP/1.1"),
        ({"method": b"OPTIONS", "uri": "*"}, "OPTIONS * HTTP/1.1"),
        ({"path": "/ä b\r\nX: y"}, "GET /%C3%A4%20b%0D%0AX:%20y HTTP/1.1"),
    ],
)
def test_request_lines(fields: dict[str, Any], line: str) -> None:
    (body, code, _, _), heard = ask(OK, **fields)
    assert (body, code) == (b"ok", 200)
    assert heard.split(b"\r\n")[0].decode() == line


def test_a_fragment_is_not_sent() -> None:
    with scripted(answering(OK)) as server:
        assert http.request(f"http://u:p%20w@127.0.0.1:{server.port}?q#here")[1] == 200
        heard = server.said()[0]
    assert heard.startswith(b"GET /?q HTTP/1.1\r\n")
    assert fields_of(heard)["Authorization"] == "Basic " + b64encode(b"u:p w").decode()


def test_credentials_of_a_table_are_sent_as_they_are() -> None:
    _, heard = ask(OK, user="u", password="100%41")
    assert fields_of(heard)["Authorization"] == "Basic " + b64encode(b"u:100%41").decode()


def test_own_headers_win() -> None:
    _, heard = ask(OK, headers={"User-Agent": "mine", b"X-A": b"\xff", "host": "other", "te": None})
    fields = dict(line.split(b": ", 1) for line in heard.strip().split(b"\r\n")[1:])
    assert fields == {b"User-Agent": b"mine", b"Host": b"other", b"Connection": b"close, TE", b"x-a": b"\xff"}


def test_the_chunked_coding_of_a_request() -> None:
    def script(server: Conversation) -> None:
        server.until(b"0\r\n\r\n")
        server.send(OK)

    with scripted(script) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert http.request({"url": url, "source": [b"abc", b"x" * 20], "method": "POST"})[1] == 200
        heard = server.said()[0]
    assert fields_of(heard)["Transfer-Encoding"] == "chunked"
    assert heard.partition(b"\r\n\r\n")[2] == b"3\r\nabc\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"


def test_a_source_that_fails_does_not_end_the_body() -> None:
    with scripted(lambda server: server.rest()) as server, nothing_left():
        source = ltn12.source.cat(ltn12.source.string(b"abc"), ltn12.source.error("broken"))
        answer = http.request({"url": f"http://127.0.0.1:{server.port}/", "source": source})
        assert answer == (None, "broken", None, None)
        assert server.said()[0].endswith(b"\r\n\r\n3\r\nabc\r\n")


def test_ipv6_hosts_are_bracketed() -> None:
    try:
        listening = stdlib.create_server(("::1", 0), family=stdlib.AF_INET6)
    except OSError:
        pytest.skip("needs IPv6")
    with listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            sock, _ = listening.accept()
            with sock:
                heard.append(sock.recv(65536))
                sock.sendall(OK)

        heard: list[bytes] = []
        job = gevent.spawn(serve)
        assert http.request(f"http://[::1]:{port}/")[:2] == (b"ok", 200)
        job.join(SECONDS)
    assert fields_of(heard[0])["Host"] == f"[::1]:{port}"


def test_a_proxy_gets_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(answering(OK)) as proxy:
        monkeypatch.setattr(http, "PROXY", f"http://me:word@127.0.0.1:{proxy.port}")
        assert http.request("http://u:p@host.example/path?q#f")[:2] == (b"ok", 200)
        assert http.request({"url": "http://host.example:81/", "proxy": f"http://127.0.0.1:{proxy.port}"})[1] == 200
        first, second = proxy.said(2)
    # Credentials belong into header fields, and a fragment to nobody but us.
    assert first.startswith(b"GET http://host.example/path?q HTTP/1.1\r\n")
    assert fields_of(first)["Host"] == "host.example"
    assert fields_of(first)["Proxy-Authorization"] == "Basic " + b64encode(b"me:word").decode()
    assert second.startswith(b"GET http://host.example:81/ HTTP/1.1\r\n")
    assert "Proxy-Authorization" not in fields_of(second)


# -- what comes back ----------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (HEAD + b"A: b\r\n\r\nbody", (b"body", 200, {"a": "b"}, "HTTP/1.1 200 OK")),
        (b"HTTP/1.0 200\r\n\r\n", (b"", 200, {}, "HTTP/1.0 200")),
        (b"HTTP/1.1 200 OK\n\nbody", (b"body", 200, {}, "HTTP/1.1 200 OK")),
        (HEAD + b"Content-Length: 3\r\n\r\nbody", (b"bod", 200, {"content-length": "3"}, "HTTP/1.1 200 OK")),
        (HEAD + b"Content-Length: 3, 3\r\n\r\nbody", (b"bod", 200, {"content-length": "3, 3"}, "HTTP/1.1 200 OK")),
        (HEAD + b"Content-Length: x\r\n\r\nbody", (b"body", 200, {"content-length": "x"}, "HTTP/1.1 200 OK")),
        (
            HEAD + b"Set-Cookie: a=1\r\nset-cookie:  b=2\r\nX:\xe4\r\n\r\n",
            (b"", 200, {"set-cookie": "a=1, b=2", "x": "ä"}, "HTTP/1.1 200 OK"),
        ),
        (
            HEAD + b"Folded: one\r\n two\r\n\tthree\r\nB: c\r\n\r\n",
            (b"", 200, {"folded": "one two\tthree", "b": "c"}, "HTTP/1.1 200 OK"),
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 Made\r\n\r\nbody",
            (b"body", 201, {}, "HTTP/1.1 201 Made"),
        ),
        (b"HTTP/1.1 204 None\r\n\r\nbody", (b"", 204, {}, "HTTP/1.1 204 None")),
        (b"HTTP/1.1 304 Same\r\n\r\nbody", (b"", 304, {}, "HTTP/1.1 304 Same")),
        (b"HTTP/1.1 101 Other\r\n\r\nbody", (b"", 101, {}, "HTTP/1.1 101 Other")),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", (b"abc", 200, {"transfer-encoding": "chunked"}, "HTTP/1.1 200 OK")),
        (
            CHUNKED + b"3;x=y\r\nabc\r\n0a\r\n0123456789\r\n000\r\nTrailer: t\r\nX: 1\r\n 2\r\n\r\n",
            (
                b"abc0123456789",
                200,
                {"transfer-encoding": "chunked", "trailer": "t", "x": "1 2"},
                "HTTP/1.1 200 OK",
            ),
        ),
        (
            HEAD + b"Transfer-Encoding: identity\r\n\r\nbody",
            (b"body", 200, {"transfer-encoding": "identity"}, "HTTP/1.1 200 OK"),
        ),
        (b"Hello, this is HTTP/0.9\n", (b"Hello, this is HTTP/0.9\n", 200, None, None)),
    ],
)
def test_replies(reply: bytes, answer: Any) -> None:
    assert ask(reply)[0] == answer


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", "closed"),
        (b"HTT", "closed"),
        (b"HTTP/1.1 2", "closed"),
        (b"HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 OK"),
        (HEAD + b"no colon\r\n\r\n", "malformed response headers"),
        (HEAD + b"A: b\r\n", "closed"),
        (HEAD + b"A: b\r\n c", "closed"),
        (HEAD + b"Content-Length: 5\r\n\r\nbody", "closed"),
        (CHUNKED + b"3\r\nab", "closed"),
        (CHUNKED + b"3\r\nabc\r\n", "closed"),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", "closed"),
        (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "invalid chunk size"),
        (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", "invalid chunk size"),
        (CHUNKED + b"\r\n", "invalid chunk size"),
        (CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n", "invalid chunk size"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 200, "too many interim responses"),
        (HEAD + b"A: " + b"b" * 1000 + b"\r\n" + b"A: bbbbb\r\n" * 50_000, "response headers too large"),
        (HEAD + b"A: b\r\n" + b" bbbbb\r\n" * 60_000, "response headers too large"),
    ],
)
def test_failures_of_servers(reply: bytes, error: str) -> None:
    assert ask(reply)[0] == (None, error, None, None)


def test_a_huge_chunk_is_given_in_pieces() -> None:
    reply = CHUNKED + b"%x\r\n" % 1_000_000 + b"x" * 1_000_000 + b"\r\n0\r\n\r\n"
    sizes: list[int] = []
    with scripted(answering(reply)) as server:
        take = lambda chunk, error=None: (sizes.append(len(chunk or b"")), 1)[1]  # noqa: E731
        assert http.request({"url": f"http://127.0.0.1:{server.port}/", "sink": take})[1] == 200
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= 65536


def test_a_sink_that_fails() -> None:
    assert ask(OK, sink=ltn12.sink.error("disk full"))[0] == (None, "disk full", None, None)


def test_without_a_sink_the_body_is_dropped() -> None:
    with scripted(answering(OK)) as server:
        assert http.request({"url": f"http://127.0.0.1:{server.port}/"})[:2] == (1, 200)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 2", HEAD + b"A:", HEAD + b"Content-Length: 9\r\n\r\nx"])
def test_time_outs(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", 0.05)

    def script(server: Conversation) -> None:
        server.until(b"\r\n\r\n")
        server.send(reply)
        server.rest()

    with scripted(script) as server, nothing_left():
        assert http.request(f"http://127.0.0.1:{server.port}/") == (None, "timeout", None, None)


def test_a_kill_leaves_nothing() -> None:
    reached = Event()

    def script(server: Conversation) -> None:
        server.until(b"\r\n\r\n")
        reached.set()
        server.rest()

    with scripted(script) as server, nothing_left():
        job = gevent.spawn(http.request, f"http://127.0.0.1:{server.port}/")
        assert reached.wait(SECONDS)
        job.kill(timeout=SECONDS)
        assert job.dead


# -- redirects ----------------------------------------------------------------------------------------------------


def redirecting(*locations: str, code: int = 302) -> Callable[[Conversation], None]:
    """A server that sends each caller on to the next location, and answers the one after the last."""
    left = list(locations)

    def run(server: Conversation) -> None:
        server.until(b"\r\n\r\n")
        if not left:
            server.send(OK)
            return
        head = f"HTTP/1.1 {code} Go\r\nLocation: {left.pop(0)}\r\nContent-Length: 4\r\n\r\nbody"
        server.send(head.encode("latin-1"))

    return run


@pytest.mark.parametrize("code", [301, 302, 303, 307])
@pytest.mark.parametrize(("location", "path"), [("/x", "/x"), ("y?z", "/a/y?z"), ("//{}/v", "/v"), ("../a b", "/ab")])
def test_where_redirects_lead(code: int, location: str, path: str) -> None:
    pages: list[Callable[[Conversation], None]] = []
    with scripted(lambda server: pages[0](server)) as server:
        here = f"127.0.0.1:{server.port}"
        pages.append(redirecting(location.format(here), code=code))
        body, status, headers, _ = http.request(f"http://{here}/a/b")
        heard = server.said(2)
    assert (body, status) == (b"ok", 200)
    assert headers is not None and headers["location"] == location.format(here)
    assert heard[1].startswith(f"GET {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    ("fields", "code", "location"),
    [
        ({"method": "POST"}, 302, "/x"),
        ({"method": "POST", "source": b"data"}, 307, "/x"),
        ({"source": b"data"}, 302, "/x"),
        ({"redirect": False}, 302, "/x"),
        ({"maxredirects": 0}, 302, "/x"),
        ({}, 300, "/x"),
        ({}, 200, "/x"),
        ({}, 302, ""),
        ({}, 302, " "),
        ({}, 302, "ftp://127.0.0.1/x"),
        ({}, 302, "http://a\0b/x"),
    ],
)
def test_what_is_not_followed(fields: dict[str, Any], code: int, location: str) -> None:
    take, chunks = ltn12.sink.table()
    with scripted(redirecting(location, code=code)) as server:
        answer = http.request({"url": f"http://127.0.0.1:{server.port}/", "sink": take, **fields})
    assert answer[:2] == (1, code)
    assert chunks == [b"body"]


def test_circles_end() -> None:
    with scripted(redirecting(*["/again"] * 20)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        body, code, headers, _ = http.request(url)
        assert (body, code) == (b"body", 302)
        assert headers is not None and headers["location"] == "/again"
        assert len(server.said(6)) == 6  # five redirects
        assert http.request({"url": url, "maxredirects": 2})[1] == 302
        assert len(server.said(9)) == 9
        assert http.request({"url": url, "maxredirects": False})[1] == 200


def test_head_stays_head() -> None:
    with scripted(redirecting("/x")) as server:
        assert http.request({"url": f"http://127.0.0.1:{server.port}/", "method": "HEAD"})[1] == 200
        assert server.said(2)[1].startswith(b"HEAD /x HTTP/1.1\r\n")


def test_another_server_gets_no_credentials() -> None:
    with scripted(answering(OK)) as other, scripted(redirecting(f"http://127.0.0.1:{other.port}/x")) as server:
        sent = {"authorization": "secret", "Cookie": "secret", "X": "y", "Host": "first.example"}
        url = f"http://user:secret@127.0.0.1:{server.port}/"
        assert http.request({"url": url, "headers": sent, "user": "me", "password": "secret"})[1] == 200
        heard = other.said()[0]
    assert fields_of(heard)["x"] == "y"
    assert fields_of(heard)["Host"] == f"127.0.0.1:{other.port}"
    assert b"ecret" not in heard and b"ookie" not in heard and b"uthorization" not in heard


@pytest.mark.parametrize("login", [{}, {"user": "u", "password": "p%20w"}])
def test_the_same_server_gets_them_again(login: dict[str, str]) -> None:
    with scripted(redirecting("/x")) as server:
        userinfo = "" if login else "u:p%2520w@"
        url = f"http://{userinfo}127.0.0.1:{server.port}/"
        assert http.request({"url": url, "headers": {"Cookie": "c"}, **login})[1] == 200
        heard = server.said(2)
    for one in heard:
        assert fields_of(one)["Authorization"] == "Basic " + b64encode(b"u:p%20w").decode()
        assert fields_of(one)["Cookie"] == "c"


def test_https_is_not_left(secure: int, trusting: ClientTls) -> None:
    base = f"https://localhost:{secure}"
    answer = http.request({"url": f"{base}/to/http://127.0.0.1:1/x", "tls": trusting})
    assert answer[:2] == (1, 302)
    # LuaSocket takes a location without a scheme for a way out.
    assert http.request({"url": f"{base}/to/echo", "tls": trusting})[:2] == (1, 200)


# -- the steps, and sockets of one's own --------------------------------------------------------------------------


def test_the_steps_one_by_one(port: int) -> None:
    def steps() -> Any:
        connection = http.open("127.0.0.1", port)
        connection.sendrequestline("POST", "/echo")
        headers = {"host": "h", "content-length": 3, "connection": "close"}
        connection.sendheaders(headers)
        connection.sendbody(headers, ltn12.source.string(b"abc"))
        code, status = connection.receivestatusline()
        found = connection.receiveheaders()
        take, chunks = ltn12.sink.table()
        connection.receivebody(found, take)
        connection.close()
        return code, status, b"".join(chunks)[-5:]

    with nothing_left():
        assert socket.protect(steps)() == (200, "HTTP/1.1 200 OK", b"\n\nabc")


def test_sources_and_sinks_by_name() -> None:
    with scripted(answering(b"3\r\nabc\r\n0\r\n\r\n")) as server:
        client, _ = socket.connect("127.0.0.1", server.port)
        sink, source = socket.sink("http-chunked", client), socket.source("http-chunked", client)
        assert sink(b"some\r\n\r\n") == (1, None)
        assert sink.getfd() == source.getfd() == client.getfd()
        take, chunks = ltn12.sink.table()
        assert ltn12.pump.all(source, take) == (1, None)
        assert chunks == [b"abc"]
        assert source.dirty() == sink.dirty() is False
        assert source() == (None, None)
        client.close()
        assert server.said() == [b"8\r\nsome\r\n\r\n\r\n"]


def test_create(port: int) -> None:
    made: list[Any] = []

    def create() -> Any:
        made.append(socket.tcp())
        return made[-1]

    assert http.request({"url": f"http://localhost:{port}/echo", "create": create})[1] == 200
    assert len(made) == 1 and made[0].getfd() == -1
    failing = {"url": f"http://localhost:{port}/", "create": lambda: (None, "no more")}
    assert http.request(failing) == (None, "no more", None, None)


# -- wrong use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ("ftp://h/x", "invalid scheme 'ftp'"),
        ("http:///x", "invalid host None"),
        ("", "invalid host None"),
        ({}, "invalid host None"),
        ({"host": ""}, "invalid host ''"),
        ({"url": "http://h/", "proxy": "nonsense"}, "invalid proxy"),
        ("http://a\r\nb/", "invalid host 'a\\r\\nb'"),
    ],
)
def test_incomplete_requests(request_: Any, error: str) -> None:
    assert http.request(request_) == (None, error, None, None)


def test_nobody_there() -> None:
    unused = socket.bind("127.0.0.1", 0)[0]
    port = unused.getsockname()[1]
    unused.close()
    with nothing_left():
        assert http.request(f"http://127.0.0.1:{port}/") == (None, "connection refused", None, None)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"headers": {"X": "a\r\nY: b"}}, ValueError, "header x: the value holds CR, LF or NUL"),
        ({"headers": {"X": "a\0"}}, ValueError, "header x: the value holds CR, LF or NUL"),
        ({"headers": {"X\r\nY": "b"}}, ValueError, "has to be a token"),
        ({"headers": {"X Y": "b"}}, ValueError, "has to be a token"),
        ({"headers": {"X": "€"}}, ValueError, "not latin-1"),
        ({"method": "GET / HTTP/1.1\r\nX: y\r\n"}, ValueError, "has to be a token"),
        ({"source": 7}, TypeError, "a source or an iterable of bytes expected"),
    ],
)
def test_wrong_use_raises(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with scripted(answering(OK)) as server, nothing_left(), pytest.raises(error, match=words):
        http.request({"url": f"http://127.0.0.1:{server.port}/", **fields})
