"""What a proxy makes of backends that lie, die and dawdle, of clients that go away, and of requests that smuggle."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import h11
import pytest
from leaks import nothing_left
from proxies import OK, answering, behind, field, proxied, proxy_of, raw, read_request, reset, take, wait_for_end
from scripted import Conversation, scripted
from support import wait_until
from web import Client, ask, get, head, serving

QUICK = {"first_byte_timeout": 0.2, "idle_timeout": 0.2, "connect_timeout": 0.5}


def says(data: bytes, then: Callable[[Conversation], object] = lambda talk: None) -> Callable[[Conversation], None]:
    """A script: say something to the first request, then do something, and close."""

    def run(conversation: Conversation) -> None:
        if conversation.until(b"\r\n\r\n"):
            conversation.send(data)
            then(conversation)

    return run


# -- one correct answer -------------------------------------------------------------------------------------------

NOT_HTTP = {
    "closes": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "http 2": b"HTTP/2 200 OK\r\n\r\n",
    "http 0.9": b"<html>",
    "a space too much": b"HTTP/1.1  200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status 99": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "a fold": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a space in front of the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
    "a bare CR": b"HTTP/1.1 200 OK\r\nA: b\rContent-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 0\r\n\r\n",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a protocol nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nx",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_502(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with behind(says(answer), **QUICK) as (server, _):
        found = get(server, "/app/")
    assert found.status == 502 and "proper answer" in found.body.decode()
    assert "502 for GET /app/: http://127.0.0.1:" in caplog.text


CUT = {
    "sized": b"Content-Length: 9\r\n\r\nabc",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "in a chunk": b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "bad chunk": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
    "a chunk that is too long": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("how", [lambda talk: None, reset, wait_for_end], ids=["closes", "resets", "is silent"])
@pytest.mark.parametrize("answer", CUT.values(), ids=CUT.keys())
def test_part_of_an_answer_is_not_taken_for_the_whole(answer: bytes, how: Callable[[Conversation], object]) -> None:
    with behind(says(b"HTTP/1.1 200 OK\r\n" + answer, how), **QUICK) as (server, _):
        try:
            assert get(server, "/app/").status == 502  # when the fault is seen before anything has left
        except (h11.RemoteProtocolError, ConnectionError):
            pass
        assert not proxy_of(server).proxy.watch.exchanges


def test_nobody_there_is_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with proxied(port) as server:
        assert get(server, "/app/").status == 502


def test_no_such_name_is_502() -> None:
    with proxied(to=("http://no-such-host.invalid",), connect_timeout=1.0) as server:
        assert get(server, "/app/").status in (502, 504)


def test_silence_is_504() -> None:
    with behind(says(b"", wait_for_end), **QUICK) as (server, backend):
        assert get(server, "/app/").status == 504
        assert len(backend.said()) == 1  # and it is not asked again


def test_half_a_head_and_silence_is_504() -> None:
    with behind(says(b"HTTP/1.1 200 OK\r\nA", wait_for_end), **QUICK) as (server, _):
        assert get(server, "/app/").status == 504


def test_a_backend_that_takes_nothing_is_504() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        wait_until(lambda: over)

    over: list[bool] = []
    with behind(script, **QUICK) as (server, _), Client(server) as client:
        client.send(head("POST /app/ HTTP/1.1", "Content-Length: 100000000"))
        sender = gevent.spawn(send_quietly, client, bytes(30_000_000))
        assert client.answer().status == 504
        over.append(True)
        sender.kill()


def send_quietly(client: Client, data: bytes) -> None:
    try:
        client.send(data)
    except OSError:
        pass


EXPECTS = head("POST /app/ HTTP/1.1", "Content-Length: 3", "Expect: 100-continue")


def test_a_backend_that_knows_nothing_of_expect() -> None:
    def script(talk: Conversation) -> None:
        assert read_request(talk)[1] == b"abc"
        talk.send(OK)

    with behind(script) as (server, _), Client(server) as client:
        client.send(EXPECTS)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send("abc")
        assert client.answer().body == b"ok"


def test_a_backend_that_does_not_want_the_body() -> None:
    with behind(says(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")) as (server, _), Client(server) as client:
        assert client.ask(EXPECTS).status == 413
        client.half_close()
        assert client.closed()


# -- once more, where it is safe ----------------------------------------------------------------------------------


def test_a_get_is_sent_once_more_and_a_post_is_not() -> None:
    turns = iter(range(10))

    def script(talk: Conversation) -> None:
        read_request(talk)
        if next(turns) % 2:
            talk.send(OK)

    with behind(script) as (server, backend):
        assert get(server, "/app/").status == 200
        assert ask(server, head("PUT /app/ HTTP/1.1", "Content-Length: 3") + "abc").status == 200
        assert len(backend.said(4)) == 4 and backend.heard[3].endswith(b"\r\n\r\nabc")
        assert ask(server, head("POST /app/ HTTP/1.1", "Content-Length: 3") + "abc").status == 502
        assert len(backend.said(5)) == 5


def test_not_more_often_than_that() -> None:
    with behind(says(b"")) as (server, backend):
        assert get(server, "/app/").status == 502
        assert len(backend.said(2)) == 2


def test_not_when_part_of_an_answer_has_come() -> None:
    with behind(says(b"HTTP/1.1 2")) as (server, backend):
        assert get(server, "/app/").status == 502
        assert len(backend.said()) == 1


def test_a_post_on_a_connection_that_has_just_closed() -> None:
    # The backend closes right behind each answer: that is seen before the connection is used again.
    with behind(lambda talk: (read_request(talk), talk.send(OK))) as (server, _), Client(server) as client:
        for _ in range(5):
            assert client.ask(head("POST /app/ HTTP/1.1", "Content-Length: 3") + "abc").status == 200
            wait_until(lambda: not proxy_of(server).proxy.upstreams.all[0].pool.idle)


# -- nothing of one answer in another -----------------------------------------------------------------------------


def test_bytes_behind_an_answer_reach_nobody() -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with behind(says(OK + extra)) as (server, _), Client(server) as client:
        for _ in range(5):
            assert client.ask(head("GET /app/ HTTP/1.1")).body == b"ok"


def test_bytes_that_come_to_a_waiting_connection_reach_nobody() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(OK)
        gevent.sleep(0.01)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        wait_for_end(talk)

    with behind(script) as (server, _), Client(server) as client:
        for _ in range(3):
            assert client.ask(head("GET /app/ HTTP/1.1")).body == b"ok"
            wait_until(lambda: not proxy_of(server).proxy.upstreams.all[0].pool.idle)


def test_the_body_of_an_answer_to_head_reaches_nobody() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with behind(answering(answer, OK)) as (server, _), Client(server) as client:
        assert client.ask(head("HEAD /app/ HTTP/1.1")).body == b""
        assert client.ask(head("GET /app/ HTTP/1.1")).body in (b"ok", b"poison")  # of the next GET, by itself
        assert client.ask(head("GET /app/ HTTP/1.1")).status == 200


def test_an_answer_before_the_request_is_complete_does_not_stay_behind() -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(OK)
        talk.rest()

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("POST /app/ HTTP/1.1", "Content-Length: 10") + "abc")
        assert client.answer().body == b"ok"
        client.send("defghij")  # the rest, which the server drops
        assert client.ask(head("GET /app/ HTTP/1.1")).body == b"ok"


def test_clients_that_leave_in_the_middle_spoil_nothing() -> None:
    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            path = sent.split()[1]
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + (path * 100000)[:100000])

    with behind(script) as (server, _):
        for number in range(20):
            with Client(server) as client:
                client.send(head(f"GET /app/{number % 10} HTTP/1.1"))
                client.sock.recv(10)
                client.reset() if number % 2 else None
            assert get(server, "/app/x").body == (b"/x" * 100000)[:100000]


# -- clients that go away -----------------------------------------------------------------------------------------


def test_a_client_that_is_gone_cancels_its_request() -> None:
    ended: list[bytes] = []
    with behind(says(b"", lambda talk: ended.append(talk.rest()))) as (server, _):
        with Client(server) as client:
            client.send(head("GET /app/ HTTP/1.1"))
            wait_until(lambda: proxy_of(server).proxy.watch.exchanges)
            client.reset()
        wait_until(lambda: ended)
        assert not proxy_of(server).proxy.watch.exchanges


def test_a_half_closed_client_counts_as_gone_if_that_is_wanted() -> None:
    with behind(says(b"", wait_for_end), half_close=False) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        client.half_close()
        assert client.rest() == b""


def test_an_upload_that_comes_too_slowly_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(says(b"", wait_for_end)) as backend, serving(body_grace=0.2, write_timeout=0.2) as server:
        from greenbas_plugins.proxy.redirector import redirector

        server.insert(redirector("app", "127.0.0.1", backend.port))
        assert ask(server, head("POST /app/ HTTP/1.1", "Content-Length: 3") + "a").status == 408


def test_nothing_is_left_behind() -> None:
    def script(talk: Conversation) -> None:
        sent = talk.until(b"\r\n\r\n")
        if b"/silent" in sent:
            wait_for_end(talk)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(900_000 if b"/whole" in sent else 10))

    with nothing_left(), behind(script, **QUICK) as (server, _):
        for path in ("/app/whole", "/app/silent", "/app/part"):
            with Client(server) as client:
                client.send(head(f"GET {path} HTTP/1.1", "Connection: close"))
                client.rest()


# -- smuggling ----------------------------------------------------------------------------------------------------

SMUGGLED = "GET /admin HTTP/1.1\nHost: x\n\n"
ATTEMPTS: dict[str, str] = {
    "CL.TE": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: 40\nTransfer-Encoding: chunked\n\n0\n\n",
    "TE.CL": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 4\n\n5c\n",
    "TE.TE, space": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding : chunked\n\n0\n\n",
    "TE.TE, tab": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding:\tchunked\nContent-Length: 3\n\n0\n\n",
    "TE.TE, x": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: xchunked\nContent-Length: 3\n\n0\n\n",
    "TE.TE, two": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTransfer-Encoding: x\n\n0\n\n",
    "TE.TE, list": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked, identity\n\n0\n\n",
    "TE.TE, quoted": 'POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: "chunked"\n\n0\n\n',
    "TE.TE, folded": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding:\n chunked\n\n0\n\n",
    "TE, vertical tab": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: \x0bchunked\n\n0\n\n",
    "TE in 1.0": "POST /app/ HTTP/1.0\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n",
    "CL, two": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: 0\nContent-Length: 30\n\n",
    "CL, list": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: 0, 30\n\n",
    "CL, plus": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: +0\n\n",
    "CL, hex": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: 0x0\n\n",
    "CL, minus": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: -1\n\n",
    "CL, underscore": "POST /app/ HTTP/1.1\nHost: x\nContent-Length: 1_0\n\n",
    "CL, huge": f"POST /app/ HTTP/1.1\nHost: x\nContent-Length: {2**64}\n\n",
    "CL, space": "POST /app/ HTTP/1.1\nHost: x\nContent-Length : 0\n\n",
    "chunk size, 0x": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0x3\nabc\n0\n\n",
    "chunk size, overflow": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n10000000000000000\nabc\n0\n\n",
    "chunk size, space": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n 3\nabc\n0\n\n",
    "chunk, too long": "POST /app/ HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabcd\n0\n\n",
    "no colon": "GET /app/ HTTP/1.1\nHost: x\nFoo\n\n",
    "field without a name": "GET /app/ HTTP/1.1\nHost: x\n: chunked\n\n",
    "leading space": "GET /app/ HTTP/1.1\n Transfer-Encoding: chunked\nHost: x\n\n0\n\n",
    "two hosts": "GET /app/ HTTP/1.1\nHost: x\nHost: y\n\n",
    "bad host": "GET /app/ HTTP/1.1\nHost: x/admin\n\n",
    "request line, tab": "GET\t/app/ HTTP/1.1\nHost: x\n\n",
    "request line, space in path": "GET /app/ x HTTP/1.1\nHost: x\n\n",
    "control in path": "GET /app/\x01 HTTP/1.1\nHost: x\n\n",
    "http 1.2": "GET /app/ HTTP/1.2\nHost: x\n\n",
    "no method": " /app/ HTTP/1.1\nHost: x\n\n",
}  # fmt: skip
CHUNKED = b"POST /app/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
BARE = {
    "bare LF in head": b"POST /app/ HTTP/1.1\r\nHost: x\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare CR in head": b"POST /app/ HTTP/1.1\r\nHost: x\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF behind a chunk size": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "bare LF in a chunk extension": CHUNKED + b"3;\nabc\r\n0\r\n\r\n",
    "NUL in a value": b"GET /app/ HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "NUL in a name": b"GET /app/ HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n",
}  # fmt: skip
ALL = {name: text.replace("\n", "\r\n").encode("latin-1") for name, text in ATTEMPTS.items()} | BARE


@pytest.fixture(scope="module")
def target() -> Iterator[tuple[Any, Any]]:
    """One proxy for all attempts, and what its backend has heard in whole requests."""
    heard: list[tuple[str, bytes]] = []

    def script(talk: Conversation) -> None:
        while True:
            found, body = read_request(talk)
            if not found.endswith("\r\n\r\n"):
                return  # no complete request
            heard.append((found, body))
            talk.send(OK)

    with behind(script) as (server, _):
        yield server, heard


@pytest.mark.parametrize("attempt", ALL.values(), ids=ALL.keys())
def test_smuggling(target: tuple[Any, list[tuple[str, bytes]]], attempt: bytes) -> None:
    server, heard = target
    heard.clear()
    raw(server, attempt + SMUGGLED.replace("\n", "\r\n").encode())
    assert get(server, "/app/next").body == b"ok"
    complete = [found.split("\r\n")[0] for found, _ in heard]
    assert not any("admin" in found for found, _ in heard)
    assert complete[-1] == "GET /next HTTP/1.1" and all(line.split(" ")[1] in ("/", "/next") for line in complete)
    assert all("identity" not in found and "xchunked" not in found for found, _ in heard)


def test_what_is_pipelined_is_seen_as_what_it_is(target: tuple[Any, list[tuple[str, bytes]]]) -> None:
    server, heard = target
    heard.clear()
    text = head("POST /app/a HTTP/1.1", "Content-Length: 3") + "abc" + head("GET /app/b HTTP/1.1")
    with Client(server) as client:
        client.send(text)
        assert [client.answer("POST").body, client.answer().body] == [b"ok", b"ok"]
    assert [found.split(" ")[1] for found, _ in heard] == ["/a", "/b"] and heard[0][1] == b"abc"


def test_paths_cannot_leave_the_mount(target: tuple[Any, list[tuple[str, bytes]]]) -> None:
    server, heard = target
    heard.clear()
    leading_out = "a/../../etc %2e%2e/etc ..%2fetc a/..%2f..%2fetc ..;/x a/..;b=c/x a/..%5cb ..%5c"
    for path in leading_out.split():
        assert get(server, f"/app/{path}").status in (400, 404), path
    assert not heard
    assert get(server, "/app/a..b/...").status == 200
    assert get(server, "/app/a/../b").status == 200
    assert [found.split(" ")[1] for found, _ in heard] == ["/a..b/...", "/b"]


def test_h2c_is_not_passed_on(target: tuple[Any, list[tuple[str, bytes]]]) -> None:
    server, heard = target
    heard.clear()
    settings = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings")
    assert ask(server, head("GET /app/ HTTP/1.1", *settings)).body == b"ok"
    assert not field(heard[0][0], "upgrade") and not field(heard[0][0], "http2-settings")


def test_take_reads_exactly() -> None:
    with scripted(lambda talk: talk.send(take(talk, 2))) as backend, Client(backend.port) as client:
        client.send("abcd")
        assert client.rest() == b"ab"
