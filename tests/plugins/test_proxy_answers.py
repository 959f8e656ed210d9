"""Answers that can be read in two ways, and bodies where none can be."""

from __future__ import annotations

import gevent
import pytest
from proxies import LINE, OK, answering, behind, once, proxy_of
from scripted import Conversation
from web import Client, get, head

from greenbas_plugins.proxy import pool as pool_module

QUICK = {"first_byte_timeout": 0.3, "idle_timeout": 0.3}
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


# -- heads that no parser may read in two ways --------------------------------------------------------------------

REFUSED = {
    "length and coding": LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding and length": LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "length and unknown coding": LINE + b"Content-Length: 2\r\nTransfer-Encoding: identity\r\n\r\nok",
    "two lengths": LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "one length twice": LINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a negative length": LINE + b"Content-Length: -1\r\n\r\nok",
    "a huge length": LINE + b"Content-Length: 18446744073709551616\r\n\r\nok",
    "a very huge length": LINE + b"Content-Length: %b\r\n\r\nok" % (b"9" * 400),
    "a length in hex": LINE + b"Content-Length: 0x2\r\n\r\nok",
    "a length with a fraction": LINE + b"Content-Length: 2.0\r\n\r\nok",
    "an empty length": LINE + b"Content-Length:\r\n\r\nok",
    "a length and a space": LINE + b"Content-Length: 2 2\r\n\r\nok",
    "a length with a vertical tab": LINE + b"Content-Length: \x0b2\r\n\r\nok",
    "a folded length": LINE + b"Content-Length:\r\n 2\r\n\r\nok",
    "a folded field": LINE + b"X-A: b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
    "a fold at the very beginning": LINE + b" X-A: b\r\nContent-Length: 2\r\n\r\nok",
    "NUL in a name": LINE + b"X\0A: b\r\nContent-Length: 2\r\n\r\nok",
    "NUL in a value": LINE + b"X-A: \0\r\nContent-Length: 2\r\n\r\nok",
    "NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok",
    "a bare LF behind the status line": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    "a bare LF in the middle": LINE + b"X-A: b\nContent-Length: 2\r\n\r\nok",
    "bare LFs everywhere": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a bare CR in a value": LINE + b"X-A: b\rX-B: c\r\nContent-Length: 2\r\n\r\nok",
    "a bare CR in the reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
    "no colon": LINE + b"X-A\r\nContent-Length: 2\r\n\r\nok",
    "no name": LINE + b": b\r\nContent-Length: 2\r\n\r\nok",
    "a space in a name": LINE + b"X A: b\r\nContent-Length: 2\r\n\r\nok",
    "a space behind a name": LINE + b"Transfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked twice": LINE + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked and another": LINE + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "another and chunked": LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "quoted": LINE + b'Transfer-Encoding: "chunked"\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    "with a parameter": LINE + b"Transfer-Encoding: chunked;a=b\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a vertical tab in front": LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an empty coding": LINE + b"Transfer-Encoding:\r\n\r\nok",
    "lines in front": b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 1000": b"HTTP/1.1 1000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 20": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "status -200": b"HTTP/1.1 -200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 200a": b"HTTP/1.1 200a OK\r\nContent-Length: 2\r\n\r\nok",
    "version 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "version 1.10": b"HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "small letters": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "half of a line for ever": b"HTTP/1.1 200 " + b"O" * 70_000,
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED.keys())
def test_a_head_that_can_be_read_in_two_ways_is_502(answer: bytes) -> None:
    with behind(once(answer), **QUICK) as (server, _):
        found = get(server, "/app/")
    assert found.status == 502 and b"ok" not in found.body


TAKEN = {
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "no reason and no space": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "zeros in front of the length": (LINE + b"Content-Length: 0002\r\n\r\nok", b"ok"),
    "spaces around the length": (LINE + b"Content-Length: \t 2 \t\r\n\r\nok", b"ok"),
    "CHUNKED": (LINE + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "an extension": (LINE + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n", b"ok"),
    "no length": (LINE + b"\r\nok", b"ok"),
    "bytes above ASCII": (LINE + b"X-A: \xe9\xff\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "a length in a 204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", b""),
    "a coding in a 204": (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
    "a length in a 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n", b""),
}


@pytest.mark.parametrize(("answer", "body"), TAKEN.values(), ids=TAKEN.keys())
def test_what_is_odd_and_clear_is_taken(answer: bytes, body: bytes) -> None:
    with behind(once(answer), **QUICK) as (server, _), Client(server) as client:
        assert client.ask(head("GET /app/ HTTP/1.1")).body == body
        assert client.ask(head("GET /app/ HTTP/1.1")).body == body


# -- bodies where none can be -------------------------------------------------------------------------------------

BODILESS = {
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n",
    "304 with chunks": b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HEAD": LINE + b"Content-Length: 44\r\n\r\n",
    "HEAD with chunks": LINE + b"Transfer-Encoding: chunked\r\n\r\n",
    "HEAD without a length": LINE + b"\r\n",
}


@pytest.mark.parametrize(
    ("kind", "later"),
    [(kind, later) for kind in BODILESS for later in (False, True) if not later or b": " in BODILESS[kind]],
)
def test_a_body_where_none_can_be_reaches_nobody(kind: str, later: bool) -> None:
    """Neither this client as part of its answer, nor the next one as an answer of its own.

    What comes later is kept back by the backend's kernel (Nagle) until the head is acknowledged.
    """
    answer = BODILESS[kind]
    method = "HEAD" if "HEAD" in kind else "GET"

    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            if b"/next " in sent:
                talk.send(OK)
            elif not later:
                talk.send(answer + POISON)
            else:
                talk.send(answer)
                gevent.sleep(0)
                talk.send(POISON)

    with behind(script) as (server, _), Client(server) as client:
        for _ in range(20):
            found = client.ask(head(f"{method} /app/ HTTP/1.1"))
            assert found.body == b"" and found.status in (200, 204, 304)
            if later:
                gevent.sleep(0.001)
            assert client.ask(head("GET /app/next HTTP/1.1")).body == b"ok"


def test_connections_behind_head_are_used_again_after_a_rest() -> None:
    with behind(answering(LINE + b"Content-Length: 2\r\n\r\n")) as (server, backend), Client(server) as client:
        pool = proxy_of(server).proxy.upstreams.all[0].pool
        for _ in range(3):
            client.ask(head("HEAD /app/ HTTP/1.1"))
        assert len(pool.idle) == 3 and pool.take() is None
        gevent.sleep(pool_module.REST)
        for _ in range(3):
            client.ask(head("HEAD /app/ HTTP/1.1"))
        assert len(pool.idle) == 3 and not backend.heard


RESETS = {
    "none": b"\r\n",
    "a length of 0": b"Content-Length: 0\r\n\r\n",
    "at once": b"Content-Length: 44\r\n\r\n" + POISON,
    "a beginning": b"Content-Length: 100\r\n\r\n" + POISON,
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n2c\r\n" + POISON + b"\r\n0\r\n\r\n",
    "an unfinished chunk": b"Transfer-Encoding: chunked\r\n\r\n5f\r\n" + POISON,
}


@pytest.mark.parametrize("rest", RESETS.values(), ids=RESETS.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_body_of_a_205_reaches_nobody(method: str, rest: bytes) -> None:
    """Unlike 204 and 304 it is framed as others are, and must be empty (RFC 9110 15.3.6)."""

    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            talk.send(OK if b"/next " in sent else b"HTTP/1.1 205 Reset Content\r\n" + rest)
            if rest == b"\r\n" and b"/next " not in sent:
                return

    with behind(script, idle_timeout=0.2) as (server, _), Client(server) as client:
        for _ in range(3):
            asked = head(f"{method} /app/ HTTP/1.1", *(["Content-Length: 0"] if method == "POST" else []))
            found = client.ask(asked)
            assert (found.status, found.body) == (205, b"")
            assert client.ask(head("GET /app/next HTTP/1.1")).body == b"ok"
