"""Clients that go away while a backend thinks or sends: with a reset, quietly, or only for one direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from proxies import OK, behind, proxy_of
from scripted import Conversation
from support import wait_until
from web import Client, get, head

from greenbas import Server
from greenbas_plugins.proxy import presence

OFTEN = {"keepalive": 0.1}  # the shortest time-out decides how often it is looked
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def leave(client: Client) -> None:
    client.sock.close()


LEAVES = {"closes": leave, "resets": Client.reset}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at clients that have waited for a moment, and not for a quarter of a second."""
    monkeypatch.setattr(presence, "LOOK_AFTER", 0.01)


def looks(server: Server, count: int) -> None:
    """Wait until the proxy has looked so many times at its exchanges."""
    watch = proxy_of(server).proxy.watch
    seen: list[float] = []
    (exchange,) = watch.exchanges
    request = exchange.request
    is_gone = request.is_gone

    class Seen:
        def is_gone(self, half_closed: bool = False) -> bool:
            seen.append(half_closed)
            return is_gone(half_closed)

        def __getattr__(self, name: str) -> Any:
            return getattr(request, name)

    exchange.request = Seen()  # type: ignore[assignment]
    try:
        wait_until(lambda: seen.count(True) >= count)
    finally:
        exchange.request = request


class Thinking:
    """A backend that gives no answer, or only its beginning, until it is told to go on or given up."""

    def __init__(self, beginning: bytes = b"") -> None:
        self.beginning = beginning
        self.go = gevent.event.Event()
        self.asked = gevent.event.Event()
        self.left = gevent.event.Event()

    def __call__(self, talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        if self.beginning:
            talk.send(self.beginning)
        self.asked.set()
        waits = gevent.spawn(talk.rest)
        waits.link(lambda ended: self.left.set())
        gevent.wait([self.go, self.left], count=1, timeout=10)
        waits.kill()
        if self.go.is_set():
            talk.send(OK if not self.beginning else b"5\r\nevent\r\n0\r\n\r\n")


@pytest.mark.parametrize("half_close", [True, False])
@pytest.mark.parametrize("how", LEAVES.values(), ids=LEAVES.keys())
@pytest.mark.parametrize("beginning", [b"", EVENTS], ids=["thinks", "in the middle"])
def test_a_client_that_goes_cancels_its_request(
    beginning: bytes, how: Callable[[Client], None], half_close: bool
) -> None:
    script = Thinking(beginning)
    with behind(script, half_close=half_close, **OFTEN) as (server, _):
        client = Client(server)
        client.send(head("GET /app/ HTTP/1.1"))
        assert script.asked.wait(5)
        if beginning:
            client.read_until(b"\r\n\r\n")
        how(client)
        assert script.left.wait(5)
        wait_until(lambda: not proxy_of(server).proxy.watch.exchanges)
        health = proxy_of(server).proxy.upstreams.all[0].health
        assert (health.failures, health.in_flight) == (0, 0)


def test_a_half_closed_client_gets_its_answer_however_late() -> None:
    """It is asked by an interim response whether it is there, once."""
    script = Thinking()
    with behind(script, **OFTEN) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        client.half_close()
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 102 Processing\r\n\r\n"
        looks(server, 3)
        script.go.set()
        assert client.answer().body == b"ok" and client.closed()


def test_a_half_closed_client_of_http_1_0_is_not_asked() -> None:
    script = Thinking()
    with behind(script, **OFTEN) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.0"))
        client.half_close()
        wait_until(lambda: proxy_of(server).proxy.watch.exchanges)
        looks(server, 3)
        script.go.set()
        assert client.rest().startswith(b"HTTP/1.1 200 ")


def test_half_closed_events_are_not_cut_off() -> None:
    """Whoever had closed its side before the first event stays, though events are rare."""
    script = Thinking(EVENTS)
    with behind(script, **OFTEN) as (server, _), Client(server) as client:
        first: list[Any] = []
        proxy = proxy_of(server).proxy
        proxy.modify_response = lambda request, found: first.append(wait_until(lambda: request.is_gone(True)))
        client.send(head("GET /app/ HTTP/1.1"))
        client.half_close()
        client.read_until(b"\r\n\r\n")
        looks(server, 3)
        script.go.set()
        assert client.rest() == b"5\r\nevent\r\n0\r\n\r\n"


def test_who_leaves_the_queue_is_not_sent_on() -> None:
    script = Thinking()
    with behind(script, limit=1, **OFTEN) as (server, backend):
        first = gevent.spawn(get, server, "/app/first")
        assert script.asked.wait(5)
        with Client(server) as client:
            client.send(head("GET /app/second HTTP/1.1"))
            wait_until(lambda: proxy_of(server).proxy.upstreams.queued == 1)
            client.reset()
        proxy = proxy_of(server).proxy
        wait_until(lambda: any(one.gone for one in proxy.watch.exchanges))
        script.go.set()
        first.join(5)
        assert first.value.body == b"ok"
        assert get(server, "/app/third").body == b"ok"
        assert proxy.upstreams.all[0].health.in_flight == 0
    assert not any(b"second" in heard for heard in backend.heard)


def test_an_upload_whose_client_resets_is_cancelled_while_the_backend_takes_nothing() -> None:
    taken = gevent.event.Event()

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        taken.wait(8)
        talk.rest()

    with behind(script, **OFTEN) as (server, _):
        client = Client(server)
        client.send(head("POST /app/ HTTP/1.1", "Content-Length: 100000000"))
        sender = gevent.spawn(send_all, client, bytes(40_000_000))
        wait_until(lambda: proxy_of(server).proxy.watch.exchanges)
        gevent.sleep(0.1)
        sender.kill()
        client.reset()
        wait_until(lambda: not proxy_of(server).proxy.watch.exchanges)
        taken.set()


def send_all(client: Client, data: bytes) -> None:
    try:
        client.send(data)
    except OSError:
        pass
