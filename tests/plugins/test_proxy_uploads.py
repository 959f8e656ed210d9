"""Large bodies of requests that end well, early, late or not at all, whether or not the kernel moves them."""

from __future__ import annotations

import socket
from typing import Any

import gevent
import pytest
from proxies import OK, behind, field, proxy_of, read_request, take
from scripted import Conversation
from support import wait_until
from web import Client, ask, head

MIB = 1024 * 1024
BODY = bytes(range(256)) * 4096 * 3  # above `splice_above`, and more than sockets hold
POST = head("POST /app/ HTTP/1.1", f"Content-Length: {len(BODY)}")
HOW = {"spliced": {}, "copied": {"splice_above": 10**9}, "always spliced": {"splice_above": 0}}


@pytest.fixture(params=HOW.values(), ids=HOW.keys())
def how(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of the proxy."""
    return dict(request.param)


def test_the_next_request_begins_where_the_body_ends(how: dict[str, Any]) -> None:
    """All of it arrives at once: nothing of the next request goes along with the body, and nothing is missing."""
    seen: list[tuple[str, bytes]] = []

    def script(talk: Conversation) -> None:
        while (found := read_request(talk))[0]:
            seen.append(found)
            talk.send(OK)

    with behind(script, **how) as (server, _), Client(server) as client:
        together = (POST.encode().replace(b"\n", b"\r\n") + BODY) * 3 + b"GET /app/end HTTP/1.1\r\nHost: x\r\n\r\n"
        sender = gevent.spawn(client.send, together)
        for method in ("POST", "POST", "POST", "GET"):
            assert client.answer(method).body == b"ok"
        sender.get()
        assert len(proxy_of(server).proxy.upstreams.all[0].pool.idle) == 1  # one has done all
    assert [body == BODY for _, body in seen] == [True] * 3 + [False]
    assert seen[-1][0].startswith("GET /end HTTP/1.1\r\n")


def test_a_body_in_small_pieces(how: dict[str, Any]) -> None:
    def script(talk: Conversation) -> None:
        if read_request(talk)[1] == BODY:
            talk.send(OK)

    with behind(script, **how) as (server, _), Client(server) as client:
        client.send(POST)
        for begin in range(0, len(BODY), 50_000):
            client.send(BODY[begin : begin + 50_000])
            gevent.sleep(0)
        assert client.answer("POST").body == b"ok"


@pytest.mark.parametrize("leave", [Client.reset, lambda client: client.sock.close(), Client.half_close])
def test_a_body_that_is_cut_is_never_complete_for_the_backend(how: dict[str, Any], leave: Any) -> None:
    found: list[int] = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        found.append(len(take(talk, len(BODY))))

    with behind(script, **how) as (server, _):
        client = Client(server)
        client.send(POST)
        client.send(BODY[: 2 * MIB])
        wait_until(lambda: proxy_of(server).proxy.watch.exchanges)
        leave(client)
        wait_until(lambda: found)
        assert found[0] <= 2 * MIB
        wait_until(lambda: not proxy_of(server).proxy.watch.exchanges)
        assert proxy_of(server).proxy.upstreams.all[0].health.failures == 0
        client.sock.close()


def test_an_early_refusal_reaches_the_client(how: dict[str, Any]) -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        take(talk, MIB)
        talk.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        talk.sock.shutdown(socket.SHUT_WR)
        talk.rest()

    with behind(script, **how) as (server, _), Client(server) as client:
        client.send(POST)
        client.send(BODY[: 2 * MIB])  # the rest does not come
        found = client.answer("POST")
        assert (found.status, found.body) == (413, b"no\n") and found["connection"] == "close"


def test_after_an_early_answer_no_part_of_the_body_is_taken_for_a_request(how: dict[str, Any]) -> None:
    """Bytes are on their way in a pipe when the answer comes: the connection has to end there."""
    smuggled = b"GET /app/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    heads: list[bytes] = []
    body = (smuggled * (len(BODY) // len(smuggled) + 1))[: len(BODY)]

    def script(talk: Conversation) -> None:
        heads.append(talk.until(b"\r\n\r\n"))
        if heads[-1].startswith(b"POST "):
            take(talk, len(body) - 200_000)
            talk.send(OK)
            gevent.sleep(0.02)

    with behind(script, **how) as (server, _):
        for _ in range(5):
            with Client(server) as client:
                sender = gevent.spawn(quietly, client, POST.encode().replace(b"\n", b"\r\n") + body)
                assert client.answer("POST").body == b"ok"
                sender.join(1)
                quietly(client, smuggled)  # which may be a request, or come behind the end of the connection
                client.half_close()
                found = client.rest()
                assert found.count(b"HTTP/1.1 ") <= 1, found
    assert len([one for one in heads if one.startswith(b"POST ")]) == 5
    assert len([one for one in heads if not one.startswith(b"POST ")]) <= 5


def test_a_backend_that_dies_in_the_middle_is_502_and_not_asked_again(how: dict[str, Any]) -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        take(talk, MIB)
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with behind(script, **how) as (server, backend), Client(server) as client:
        sender = gevent.spawn(quietly, client, POST.encode().replace(b"\n", b"\r\n") + BODY)
        assert client.answer("POST").status == 502
        sender.kill()
        assert len(backend.said()) == 1
        health = proxy_of(server).proxy.upstreams.all[0].health
        assert (health.failures, health.in_flight) == (1, 0)


def test_a_backend_that_takes_nothing_more_is_504(how: dict[str, Any]) -> None:
    over = gevent.event.Event()

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        over.wait(8)

    body = bytes(40 * MIB)
    with behind(script, idle_timeout=0.2, **how) as (server, _), Client(server) as client:
        text = head("POST /app/ HTTP/1.1", f"Content-Length: {len(body)}")
        sender = gevent.spawn(quietly, client, text.encode().replace(b"\n", b"\r\n") + body)
        assert client.answer("POST").status == 504
        over.set()
        sender.kill()


def test_a_client_that_sends_too_slowly_is_408(how: dict[str, Any]) -> None:
    with behind(Conversation.rest, **how, body_grace=0.2, write_timeout=0.2) as (server, _), Client(server) as client:
        client.send(POST)
        client.send(BODY[:MIB])
        assert client.answer("POST").status == 408


def test_a_body_behind_100_continue(how: dict[str, Any]) -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert take(talk, len(BODY)) == BODY
        talk.send(OK)

    with behind(script, **how) as (server, backend), Client(server) as client:
        client.send(POST.replace("\n\n", "\nExpect: 100-continue\n\n"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(BODY)
        assert client.answer("POST").body == b"ok"
        server.stop(0)
        assert field(backend.said()[0], "expect") == ["100-continue"]


def test_a_body_that_is_too_large_is_413_before_any_backend_hears_of_it(how: dict[str, Any]) -> None:
    with behind(Conversation.rest, **how, max_body=MIB) as (server, backend):
        assert ask(server, POST).status == 413
        assert not backend.heard


def quietly(client: Client, data: bytes) -> None:
    """Send as much as is taken."""
    try:
        client.send(data)
    except OSError:
        pass
