"""The table of what a reverse proxy must do: one check a row, each with a raw client and a raw backend."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from typing import Any

import gevent
import h11
import pytest
from proxies import OK, answering, behind, field, proxied, proxy_of, raw, read_request, take
from scripted import Conversation, scripted
from support import wait_until
from web import Client, ask, get, head

from greenbas_plugins.proxy.pool import REST

MIB = 1024 * 1024


def seen(*lines: str, body: str = "", answer: bytes = OK, **options: Any) -> str:
    """The head that a backend sees for a request of these lines."""
    with behind(answering(answer), **options) as (server, backend):
        found = ask(server, head(*lines) + body)
        assert found.status == 200
    return backend.said()[0].decode("latin-1")


def answered(answer: bytes, *lines: str, method: str | None = None, **options: Any) -> Any:
    """What a client gets when the backend says this."""
    with behind(answering(answer), **options) as (server, _):
        return ask(server, head(*(lines or ("GET /app/ HTTP/1.1",))), method)


CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS[function.__name__] = function
    return function


@check
def plain_get() -> None:
    assert answered(OK).body == b"ok"


@check
def req_hop_by_hop_stripped() -> None:
    sent = seen(
        "GET /app/ HTTP/1.1", "Connection: Keep-Alive, TE", "Keep-Alive: timeout=5", "Proxy-Connection: x",
        "TE: deflate",
    )  # fmt: skip
    for name in ("keep-alive", "proxy-connection", "te"):
        assert not field(sent, name)


@check
def req_connection_nominated_stripped() -> None:
    sent = seen("GET /app/ HTTP/1.1", "Connection: close, X-Secret", "X-Secret: 1", "X-Other: 2")
    assert not field(sent, "x-secret") and field(sent, "x-other") == ["2"]


@check
def req_nominated_cannot_strip_host_or_framing() -> None:
    with behind(lambda talk: (read_request(talk), talk.send(OK))) as (server, backend):
        text = head("POST /app/ HTTP/1.1", "Connection: Content-Length, Host, X-Forwarded-For", "Content-Length: 3")
        assert ask(server, text + "abc").status == 200
        sent = backend.said()[0]
    assert field(sent, "host") == ["x"] and field(sent, "content-length") == ["3"] and sent.endswith(b"\r\n\r\nabc")
    assert field(sent, "x-forwarded-for") == ["127.0.0.1"]


@check
def resp_hop_by_hop_stripped() -> None:
    found = answered(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nX-Other: 2\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    assert "x-hop" not in found and "keep-alive" not in found and found["x-other"] == "2"


@check
def exactly_one_host() -> None:
    assert len(field(seen("GET /app/ HTTP/1.1"), "host")) == 1
    assert len(field(seen("GET http://other.example/app/ HTTP/1.1"), "host")) == 1


@check
def host_preserved_or_backend() -> None:
    assert field(seen("GET /app/ HTTP/1.1"), "host") == ["x"]
    assert field(seen("GET /app/ HTTP/1.1", host="backend"), "host")[0].startswith("127.0.0.1:")
    assert field(seen("GET /app/ HTTP/1.1", host="shop.example"), "host") == ["shop.example"]


@check
def x_forwarded_for() -> None:
    assert field(seen("GET /app/ HTTP/1.1"), "x-forwarded-for") == ["127.0.0.1"]
    # Whoever is not trusted invents.
    assert field(seen("GET /app/ HTTP/1.1", "X-Forwarded-For: 6.6.6.6"), "x-forwarded-for") == ["127.0.0.1"]


@check
def x_forwarded_for_appended() -> None:
    lines = ("GET /app/ HTTP/1.1", "X-Forwarded-For: 6.6.6.6")
    assert field(seen(*lines, trusted_proxies=("127.0.0.1",)), "x-forwarded-for") == ["6.6.6.6, 127.0.0.1"]


@check
def x_forwarded_proto() -> None:
    assert field(seen("GET /app/ HTTP/1.1", "X-Forwarded-Proto: https"), "x-forwarded-proto") == ["http"]


@check
def x_forwarded_host() -> None:
    assert field(seen("GET /app/ HTTP/1.1", "X-Forwarded-Host: evil"), "x-forwarded-host") == ["x"]


@check
def via_added() -> None:
    assert field(seen("GET /app/ HTTP/1.1"), "via") == ["1.1 greenbas"]


def refused(text: str, *statuses: bytes) -> None:
    """The request is refused, and the backend sees nothing of it."""
    with behind(answering(OK)) as (server, backend):
        found = raw(server, text)
        assert found[9:12] in statuses, found[:80]
        assert found.count(b"HTTP/1.1 ") == 1
        assert get(server, "/app/").status == 200  # it lives, and this is the first that the backend hears
    assert backend.said() == [backend.heard[0]] and backend.heard[0].count(b"HTTP/1.1") == 1


@check
def cl_te_conflict_not_forwarded() -> None:
    refused(
        head("POST /app/ HTTP/1.1", "Content-Length: 4", "Transfer-Encoding: chunked") + "0\n\nGET /x HTTP/1.1\n\n",
        b"400",
    )


@check
def dup_cl_rejected() -> None:
    refused(head("POST /app/ HTTP/1.1", "Content-Length: 3", "Content-Length: 4") + "abcd", b"400")


@check
def bad_te_rejected() -> None:
    refused(head("POST /app/ HTTP/1.1", "Transfer-Encoding: xchunked") + "0\n\n", b"400", b"501")


@check
def obs_fold_rejected_or_unfolded() -> None:
    refused("GET /app/ HTTP/1.1\nHost: x\nX-Fold: a\n b\n\n", b"400")


@check
def chunked_request() -> None:
    bodies: list[bytes] = []

    def script(talk: Conversation) -> None:
        bodies.append(read_request(talk)[1])
        talk.send(OK)

    with behind(script) as (server, backend):
        text = head("POST /app/ HTTP/1.1", "Transfer-Encoding: chunked") + "3;ext=1\nabc\n4\ndefg\n0\n\n"
        assert ask(server, text).status == 200
    assert bodies == [b"abcdefg"] and b"ext" not in backend.heard[0]


@check
def request_trailers_not_merged_or_broken() -> None:
    requests: list[tuple[str, bytes]] = []

    def script(talk: Conversation) -> None:
        requests.append(read_request(talk))
        talk.send(OK)

    with behind(script) as (server, backend):
        lines = head("POST /app/ HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        assert ask(server, lines + "3\nabc\n0\nX-Sum: 7\nContent-Length: 9\nHost: evil\n\n").status == 200
    (sent, body), heard = requests[0], backend.heard[0]
    assert body == b"abc" and "X-Sum: 7" not in sent and heard.endswith(b"0\r\nX-Sum: 7\r\n\r\n")


@check
def chunked_response() -> None:
    chunks = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
    assert answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks).body == b"abcdefg"


@check
def response_streamed_chunked() -> None:
    first_bytes(b"Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n", b"4\r\nlate\r\n0\r\n\r\n")


@check
def response_streamed_content_length() -> None:
    first_bytes(b"Content-Length: 9\r\n\r\nearly", b"late")


def first_bytes(start: bytes, end: bytes) -> None:
    """What has come arrives while the backend keeps the rest back."""
    go = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(b"HTTP/1.1 200 OK\r\n" + start)
        wait_until(lambda: go)
        talk.send(end)

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        client.read_until(b"early")
        go.append(True)
        assert b"late" in client.read_until(b"late")


@check
def request_streamed() -> None:
    heard: list[bytes] = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        heard.append(take(talk, 5))
        heard.append(take(talk, 4))
        talk.send(OK)

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("POST /app/ HTTP/1.1", "Content-Length: 9") + "early")
        wait_until(lambda: heard)
        client.send("late")
        assert client.answer().body == b"ok"
    assert heard == [b"early", b"late"]


def incomplete(answer: bytes) -> None:
    """The client does not take the part for the whole."""

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(answer)

    with behind(script) as (server, _), pytest.raises((h11.RemoteProtocolError, ConnectionError)):
        get(server, "/app/")


@check
def short_response_not_complete() -> None:
    incomplete(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")


@check
def cut_chunked_not_complete() -> None:
    incomplete(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")


@check
def expect_100_continue() -> None:
    def script(talk: Conversation) -> None:
        found = talk.until(b"\r\n\r\n")
        assert b"100-continue" in found
        talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert take(talk, 3) == b"abc"
        talk.send(OK)

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("POST /app/ HTTP/1.1", "Content-Length: 3", "Expect: 100-continue"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send("abc")
        assert client.answer().body == b"ok"


TRAILERS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX-Sum: 7\r\nContent-Length: 5\r\n\r\n"
)


@check
def response_trailer_not_broken() -> None:
    found = answered(TRAILERS)
    assert found.body == b"abc" and "x-sum" not in found


@check
def response_trailer_forwarded() -> None:
    with behind(answering(TRAILERS)) as (server, _):
        sent = raw(server, head("GET /app/ HTTP/1.1", "TE: trailers", "Connection: TE"))
    assert sent.endswith(b"\r\n0\r\nX-Sum: 7\r\n\r\n")


def usable_after(answer: bytes, method: str, status: int) -> None:
    """There is no body, and the connection goes on, on both sides."""
    with behind(answering(answer, OK)) as (server, backend), Client(server) as client:
        found = client.ask(head(f"{method} /app/ HTTP/1.1"))
        assert (found.status, found.body) == (status, b"")
        gevent.sleep(REST)
        assert client.ask(head("GET /app/ HTTP/1.1")).body == b"ok"
    assert len(backend.said()) == 1


@check
def head_request() -> None:
    usable_after(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "HEAD", 200)
    usable_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", 200)
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "HEAD /app/ HTTP/1.1")["content-length"] == "500"


@check
def not_modified_no_body_keepalive() -> None:
    usable_after(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", "GET", 304)


@check
def no_content_no_body_keepalive() -> None:
    usable_after(b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204)


@check
def interim_skipped_or_forwarded() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X\r\nX: y\r\n\r\n"
    with behind(answering(hints + OK)) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        early = client.read_until(b"\r\n\r\n")
        assert early.startswith(b"HTTP/1.1 103 ") and b"Link: </app/a.css>" in early and b"X:" not in early
        assert client.answer().body == b"ok"
        assert b"103" not in raw(server, "GET /app/ HTTP/1.0\n\n")


@check
def websocket_upgrade() -> None:
    def script(talk: Conversation) -> None:
        sent = talk.until(b"\r\n\r\n")
        assert field(sent, "upgrade") == ["websocket"] and field(sent, "connection") == ["Upgrade"]
        talk.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: b\r\n\r\nhi")
        assert take(talk, 5) == b"hello"
        talk.send(b"bye")

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"))
        found = client.read_until(b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 101 ") and b"X-A: b\r\n" in found
        client.send("hello")
        assert client.rest() == b"hibye"


@check
def client_half_close() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        wait_until(lambda: gone)
        talk.send(OK)

    gone: list[bool] = []
    with behind(script) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        client.half_close()
        gone.append(True)
        assert client.answer().body == b"ok"


@check
def big_download() -> None:
    body = bytes(range(256)) * (48 * MIB // 256)

    def script(talk: Conversation) -> None:
        while talk.until(b"\r\n\r\n"):
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    wanted = hashlib.sha1(body).digest()
    with behind(script) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        found = client.read_until(b"\r\n\r\n")
        assert field(found, "content-length") == [str(len(body))]
        digest, left = hashlib.sha1(client._left), len(body) - len(client._left)
        while left:
            data = client.sock.recv(MIB)
            assert data
            digest.update(data)
            left -= len(data)
        assert digest.digest() == wanted


@check
def big_upload() -> None:
    block = bytes(range(256)) * 4096
    digests: list[bytes] = []

    def script(talk: Conversation) -> None:
        sent = talk.until(b"\r\n\r\n")
        left, digest = int(field(sent, "content-length")[0]), hashlib.sha1(talk._unread)
        left -= len(talk._unread)
        while left:
            data = talk.sock.recv(MIB)
            left -= len(data)
            digest.update(data)
        digests.append(digest.digest())
        talk.send(OK)

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("POST /app/ HTTP/1.1", f"Content-Length: {24 * len(block)}"))
        for _ in range(24):
            client.send(block)
        assert client.answer().status == 200
    assert digests == [hashlib.sha1(block * 24).digest()]


@check
def client_abort_propagates_download() -> None:
    failed: list[OSError] = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                talk.send(b"10000\r\n" + bytes(65536) + b"\r\n")
        except OSError as error:
            failed.append(error)

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        client.read_until(bytes(100))
        client.reset()
        wait_until(lambda: failed)


@check
def client_abort_upload_not_completed() -> None:
    ended: list[bytes] = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        ended.append(take(talk, 100))

    for framing, body in (("Content-Length: 10", "abc"), ("Transfer-Encoding: chunked", "5\nhello\n")):
        with behind(script) as (server, backend):
            with Client(server) as client:
                client.send(head("POST /app/ HTTP/1.1", framing) + body)
                wait_until(lambda: proxied_bytes(server))
            said = backend.said()[0]
            assert not said.endswith(b"0\r\n\r\n")
    assert ended[0] == b"abc"


def proxied_bytes(server: Any) -> bool:
    """Whether an upload is under way."""
    return any(one.upload is not None and one.upload.begun for one in proxy_of(server).proxy.watch.exchanges)


@check
def garbage_response_502() -> None:
    for garbage in (b"I am no HTTP\r\n\r\n", b"\x00\x01\x02", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\nA: b\n\n"):
        assert answered(garbage).status == 502


@check
def closed_without_answer_502() -> None:
    with behind(lambda talk: read_request(talk)) as (server, backend):
        assert ask(server, head("POST /app/ HTTP/1.1", "Content-Length: 3") + "abc").status == 502
        assert len(backend.said()) == 1


@check
def stale_keepalive_retried() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(OK)  # and closes, without saying so

    with behind(script) as (server, _), Client(server) as client:
        assert [client.ask(head("GET /app/ HTTP/1.1")).status for _ in range(4)] == [200] * 4


@check
def pipelining() -> None:
    def script(talk: Conversation) -> None:
        while found := talk.until(b"\r\n\r\n"):
            path = found.split()[1]
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    with behind(script) as (server, _), Client(server) as client:
        client.send("".join(head(f"GET /app/{number} HTTP/1.1") for number in range(3)))
        assert [client.answer().body for _ in range(3)] == [b"/0", b"/1", b"/2"]


@check
def response_cl_and_te_not_both() -> None:
    found = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    assert found.status == 502


@check
def response_conflicting_cl_502() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").status == 502


@check
def http10_backend_framed_for_client() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end")

    with behind(script) as (server, _), Client(server) as client:
        for _ in range(2):
            assert client.ask(head("GET /app/ HTTP/1.1")).body == b"to the end"
        assert raw(server, "GET /app/ HTTP/1.0\n\n").endswith(b"\r\n\r\nto the end")


@check
def path_and_query_untouched() -> None:
    for target in ("a%2Fb%20c/%C3%A9?q=%2F&x=a+b&&y", "?", "a//b/;p=1,2", "%41%7e~!$&'()*+,;=:@", "?a=%zz", "a?b?c"):
        sent = seen(f"GET /app/{target} HTTP/1.1")
        assert sent.startswith(f"GET /{target} HTTP/1.1\r\n"), sent


@check
def headers_kept() -> None:
    sent = seen(
        "GET /app/ HTTP/1.1", "Authorization: Basic eDp5", "Cookie: a=b; c=d", "User-Agent: me", "Accept-Encoding: br",
        "X-Two: 1", "X-Two: 2", "Origin: http://a", "Referer: http://a/b", "If-None-Match: \"x\"", "Range: bytes=0-1",
    )  # fmt: skip
    kept = {"authorization": ["Basic eDp5"], "cookie": ["a=b; c=d"], "user-agent": ["me"], "accept-encoding": ["br"]}
    kept |= {"x-two": ["1", "2"], "range": ["bytes=0-1"], "if-none-match": ['"x"'], "origin": ["http://a"]}
    assert {name: field(sent, name) for name in kept} == kept


@check
def status_and_dup_headers_kept() -> None:
    found = answered(b"HTTP/1.1 299 Odd thing\r\nX-Two: 1\r\nX-Two: 2\r\nServer: mine\r\nContent-Length: 0\r\n\r\n")
    assert (found.status, found.reason, found.all("x-two"), found["server"]) == (299, "Odd thing", ["1", "2"], "mine")
    assert "content-type" not in found


@check
def content_encoding_untouched() -> None:
    body = gzip.compress(b"hello" * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    found = answered(head + body)
    assert found["content-encoding"] == "gzip" and found.body == body


@check
def bigger_headers() -> None:
    value = b"v" * 3500
    assert answered(b"HTTP/1.1 200 OK\r\nX-Big: %b\r\nContent-Length: 0\r\n\r\n" % value)["x-big"] == value.decode()


@check
def early_413_reaches_client() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("POST /app/ HTTP/1.1", "Content-Length: 10000000") + "x" * 1000)
        found = client.answer()
        assert (found.status, found.body) == (413, b"big")


@check
def method_kept() -> None:
    for method in ("DELETE", "PATCH", "PROPFIND", "OPTIONS", "PUT", "REPORT"):
        assert seen(f"{method} /app/x HTTP/1.1").startswith(f"{method} /x HTTP/1.1\r\n")


def moved(location: str, *, where: str = "Location") -> str:
    """What a client gets for this Location; PORT is the backend's."""
    with scripted(lambda talk: (talk.until(b"\r\n\r\n"), talk.send(answer[0]))) as backend:
        value = location.replace("PORT", str(backend.port))
        answer = [f"HTTP/1.1 302 Found\r\n{where}: {value}\r\nContent-Length: 0\r\n\r\n".encode()]
        with proxied(backend.port) as server:
            return str(get(server, "/app/")[where])


@check
def location_absolute_backend_rewritten() -> None:
    assert moved("http://127.0.0.1:PORT/a?b") in ("http://x/app/a?b", "/app/a?b")


@check
def location_relative_prefixed() -> None:
    assert moved("/a?b#c") == "/app/a?b#c"
    assert moved("a/b") == "a/b"


@check
def location_foreign_untouched() -> None:
    assert moved("http://foreign.example/a") == "http://foreign.example/a"


@check
def set_cookie_path_prefixed() -> None:
    found = answered(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/; HttpOnly\r\nContent-Length: 0\r\n\r\n")
    assert found["set-cookie"] == "a=b; Path=/app; HttpOnly"


@check
def set_cookie_not_joined() -> None:
    found = answered(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n")
    assert [value.partition(";")[0] for value in found.all("set-cookie")] == ["a=b", "c=d"]


@check
def html_absolute_links_rewritten() -> None:
    with scripted(lambda talk: (talk.until(b"\r\n\r\n"), talk.send(page[0]))) as backend:
        html = f'<a href="http://127.0.0.1:{backend.port}/x">x</a><a href="http://other/y">y</a>'.encode()
        start = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(html)
        page = [start + html]
        with proxied(backend.port, rewrite_links=True) as server:
            found = get(server, "/app/").body
        with proxied(backend.port) as server:
            assert get(server, "/app/").body == html
    assert b'"http://other/y"' in found and (b'href="http://x/app/x"' in found or b'href="/app/x"' in found)


# The names of the rows of the table whose names are no Python names, or taken.
ALIASES = {
    "head": "head_request",
    "304_no_body_keepalive": "not_modified_no_body_keepalive",
    "204_no_body_keepalive": "no_content_no_body_keepalive",
    "1xx_skipped_or_forwarded": "interim_skipped_or_forwarded",
}
ROWS = """
    plain_get req_hop_by_hop_stripped req_connection_nominated_stripped req_nominated_cannot_strip_host_or_framing
    resp_hop_by_hop_stripped exactly_one_host host_preserved_or_backend x_forwarded_for x_forwarded_for_appended
    x_forwarded_proto x_forwarded_host via_added cl_te_conflict_not_forwarded dup_cl_rejected bad_te_rejected
    obs_fold_rejected_or_unfolded chunked_request request_trailers_not_merged_or_broken chunked_response
    response_streamed_chunked response_streamed_content_length request_streamed short_response_not_complete
    cut_chunked_not_complete expect_100_continue response_trailer_not_broken response_trailer_forwarded head
    304_no_body_keepalive 204_no_body_keepalive 1xx_skipped_or_forwarded websocket_upgrade client_half_close
    big_download big_upload client_abort_propagates_download client_abort_upload_not_completed garbage_response_502
    closed_without_answer_502 stale_keepalive_retried pipelining response_cl_and_te_not_both
    response_conflicting_cl_502 http10_backend_framed_for_client path_and_query_untouched headers_kept
    status_and_dup_headers_kept content_encoding_untouched bigger_headers early_413_reaches_client method_kept
    location_absolute_backend_rewritten location_relative_prefixed location_foreign_untouched set_cookie_path_prefixed
    set_cookie_not_joined html_absolute_links_rewritten
"""


@pytest.mark.parametrize("row", ROWS.split())
def test_row(row: str) -> None:
    CHECKS[ALIASES.get(row, row)]()


def test_every_check_is_a_row() -> None:
    assert sorted(CHECKS) == sorted(ALIASES.get(row, row) for row in ROWS.split())
    assert len(ROWS.split()) == 57
