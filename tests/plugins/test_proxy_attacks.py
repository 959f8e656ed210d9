"""Backends and clients that send too much, too slowly, in circles, or what nobody may see."""

from __future__ import annotations

import tracemalloc

import gevent
import h11
import pytest
from proxies import LINE, OK, answering, behind, field, once, proxy_of, raw, wait_for_end
from scripted import Conversation
from support import wait_until
from web import Client, ask, get, head

MIB = 1024 * 1024
QUICK = {"first_byte_timeout": 0.3, "idle_timeout": 0.3}


# -- too much of everything ---------------------------------------------------------------------------------------


def test_interim_responses_without_end_are_502() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    def flood(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        while True:
            talk.send(hint * 100)

    with behind(flood) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1", "Connection: close"))
        found = client.rest()
    assert found.count(b"HTTP/1.1 103 ") == 1000 and found.count(b"HTTP/1.1 502 ") == 1


def test_hundreds_of_interim_responses_pass() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with behind(once(hint * 500 + OK)) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1", "Connection: close"))
        found = client.rest()
    assert found.count(b"HTTP/1.1 103 ") == 500 and found.endswith(b"ok")


def test_interim_responses_with_bodies_are_no_way_to_smuggle() -> None:
    """A body behind a 1xx is the beginning of the next head, which is none."""
    with behind(once(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 44\r\n\r\n" + b"x" * 44 + OK)) as (server, _):
        assert get(server, "/app/").status == 502


def test_an_interim_response_that_never_ends_in_a_final_one() -> None:
    with behind(once(b"HTTP/1.1 100 Continue\r\n\r\n" * 5), **QUICK) as (server, _):
        assert get(server, "/app/").status == 502
    with behind(once(b"HTTP/1.1 102 Processing\r\n\r\n", then=wait_for_end), **QUICK) as (server, _):
        assert get(server, "/app/").status == 504


BOMBS = {
    "one field": LINE + b"X-A: %b\r\n" % (b"a" * 100_000) + b"Content-Length: 0\r\n\r\n",
    "many fields": LINE + b"X-A: b\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n",
    "many cookies": LINE + b"Set-Cookie: a=b\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n",
    "one name": LINE + b"X" * 100_000 + b": b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", BOMBS.values(), ids=BOMBS.keys())
def test_head_bombs_are_502(answer: bytes) -> None:
    with behind(once(answer)) as (server, _):
        assert get(server, "/app/").status == 502


def test_a_large_head_passes_if_it_may() -> None:
    answer = LINE + b"".join(b"X-%d: %b\r\n" % (number, b"a" * 100) for number in range(500)) + OK[17:]
    with behind(answering(answer)) as (server, _):
        assert len([name for name, _ in get(server, "/app/").headers if name.lower().startswith("x-")]) == 500


CHUNK_BOMBS = {
    "an extension": b"2;" + b"a" * MIB + b"\r\nok\r\n0\r\n\r\n",
    "zeros": b"0" * MIB + b"2\r\nok\r\n0\r\n\r\n",
    "a trailer": b"2\r\nok\r\n0\r\nX-A: " + b"a" * MIB + b"\r\n\r\n",
    "trailers": b"2\r\nok\r\n0\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n",
    "a size": b"FFFFFFFFFFFFFFFFF\r\nok",
    "a size below zero": b"-2\r\nok\r\n0\r\n\r\n",
    "a bare LF": b"2\nok\r\n0\r\n\r\n",
    "a bare CR": b"2\rok\r\n0\r\n\r\n",
    "no line end behind a chunk": b"2\r\nok0\r\n\r\n",
    "a folded trailer": b"2\r\nok\r\n0\r\nX-A: b\r\n c\r\n\r\n",
    "NUL in a trailer": b"2\r\nok\r\n0\r\nX-A: \0\r\n\r\n",
}


@pytest.mark.parametrize("chunks", CHUNK_BOMBS.values(), ids=CHUNK_BOMBS.keys())
def test_chunk_bombs_are_no_complete_answers(chunks: bytes) -> None:
    with behind(once(LINE + b"Transfer-Encoding: chunked\r\n\r\n" + chunks), **QUICK) as (server, _):
        with pytest.raises((h11.RemoteProtocolError, ConnectionError, AssertionError)):
            assert get(server, "/app/").status == 200
        assert proxy_of(server).proxy.upstreams.all[0].health.failures == 1


def test_trailers_that_frame_or_log_in_are_dropped() -> None:
    bad = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nLocation: /x\r\nX-Sum: 1\r\n"
    answer = LINE + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\n" + bad + b"\r\n"
    with behind(once(answer)) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1", "TE: trailers", "Connection: close"))
        found = client.rest()
    assert found.endswith(b"0\r\nX-Sum: 1\r\n\r\n") and b"Set-Cookie" not in found and b"Location" not in found


def test_a_backend_that_drips_its_head_is_504() -> None:
    """Each byte does not buy new time: it is the whole head that has to come."""

    def drip(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(LINE)
        while True:
            talk.send(b"a")
            gevent.sleep(0.02)

    with behind(drip, **QUICK) as (server, _):
        assert get(server, "/app/").status == 504


def test_tiny_pieces_of_a_long_head_cost_little() -> None:
    answer = LINE + b"X-A: b\r\n" * 3000 + b"Content-Length: 2\r\n\r\nok"

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        for begin in range(0, len(answer), 7):
            talk.send(answer[begin : begin + 7])
            if begin % 700 == 0:
                gevent.sleep(0)

    with behind(script) as (server, _):
        assert get(server, "/app/").body == b"ok"


def test_hundreds_of_slow_answers_take_no_worker() -> None:
    """Requests that wait for a backend are no handlers: others are answered meanwhile."""
    with behind(wait_for_end, keepalive=0.1) as (server, _):
        server.directory("own")(lambda request, response: "here")
        clients = [Client(server) for _ in range(200)]
        for client in clients:
            client.send(head("GET /app/ HTTP/1.1"))
        wait_until(lambda: len(proxy_of(server).proxy.watch.exchanges) == 200)
        assert get(server, "/own/").body == b"here"
        for client in clients:
            client.reset()
        wait_until(lambda: not proxy_of(server).proxy.watch.exchanges)


def test_remembered_heads_have_bounds() -> None:
    """A backend that never says the same twice, and a client that invents names, make nothing grow."""
    turns = iter(range(10**9))

    def script(talk: Conversation) -> None:
        while talk.until(b"\r\n\r\n"):
            talk.send(LINE + b"X-Turn: %d\r\nContent-Length: 2\r\n\r\nok" % next(turns))

    with behind(script) as (server, _), Client(server) as client:
        for number in range(50):
            client.ask(head(f"GET /app/{number} HTTP/1.1", f"X-{number}: a"))
        tracemalloc.start()
        for number in range(50, 750):
            client.ask(head(f"GET /app/{number} HTTP/1.1", f"X-{number}: a"))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert size < 3 * MIB


# -- requests that go round, or no further ------------------------------------------------------------------------


def test_max_forwards() -> None:
    with behind(answering(OK)) as (server, backend):
        last = ask(server, head("OPTIONS /app/ HTTP/1.1", "Max-Forwards: 0"))
        assert (last.status, "OPTIONS" in last["allow"]) == (204, True)
        trace = ask(server, head("TRACE /app/ HTTP/1.1", "Max-Forwards: 0", "X-Secret: 1"))
        assert trace.status == 405 and b"Secret" not in trace.body and not backend.heard
        for line in ("Max-Forwards: 3", "Max-Forwards: x"):
            assert ask(server, head("OPTIONS /app/ HTTP/1.1", line)).status == 200
        assert get(server, "/app/", "Max-Forwards: 0").status == 200  # which means nothing there
        server.stop(0)
        sent = b"".join(backend.said())
    assert field(sent, "max-forwards") == ["2", "0"]


def test_a_circle_ends() -> None:
    with behind(answering(OK)) as (server, _):
        to_itself = proxy_of(server)
        to_itself.unlink()
        from greenbas_plugins.proxy.redirector import redirector

        server.insert(redirector("app", "127.0.0.1", server.listeners[0].port, base_uri="/app/"))
        assert get(server, "/app/x").status == 508


# -- clients ------------------------------------------------------------------------------------------------------

NEVER = {
    "fold": "GET /app/ HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "fold in Host": "GET /app/ HTTP/1.1\r\nHost:\r\n x\r\n\r\n",
    "NUL in target": "GET /app/\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare CR in target": "GET /app/\rX HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment in target": "GET /app/#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority form": "GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
    "user in target": "GET http://a@x/app/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "another scheme": "GET ftp://x/app/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": "GET /app/ HTTP/1.1\r\n\r\n",
    "host with a path": "GET /app/ HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "host with a space": "GET /app/ HTTP/1.1\r\nHost: x y\r\n\r\n",
    "two hosts in one": "GET /app/ HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "expects something else": "GET /app/ HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n\r\n",
    "version 2.0": "GET /app/ HTTP/2.0\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a bomb of fields": "GET /app/ HTTP/1.1\r\nHost: x\r\n" + "X-A: b\r\n" * 20_000 + "\r\n",
    "a long target": f"GET /app/{'a' * 100_000} HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("request_", NEVER.values(), ids=NEVER.keys())
def test_reaches_no_backend(request_: str) -> None:
    with behind(answering(OK)) as (server, backend):
        found = raw(server, request_.encode("latin-1"))
        assert found == b"" or int(found.split(b" ")[1]) >= 400, found[:100]
        server.stop(0)
        assert not any(backend.heard)
