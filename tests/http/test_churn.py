"""Ten thousand connections that open, close, half-close, break and stall end where it began (wish 9, 15)."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from leaks import held, nothing_left
from support import wait_until
from web import Client, head, serving

from greenbas import Server
from greenbas.dispatcher.workers import IDLE_WORKERS
from greenbas.http import Connection, Request, Response
from greenbas.protocol import Message, RequestReader

GET = head("GET / HTTP/1.1")
TOTAL = 10_000
AT_ONCE = 50  # clients at a time: so many descriptors twice, and a few workers


def app(request: Request, response: Response) -> Any:
    if request.path == "/large":
        return bytes(2_000_000)
    if request.path == "/body":
        return request.body()
    if request.path == "/wait":
        time.sleep(0.01)
    return "hello"


def opens(client: Client) -> None:
    """Says nothing."""
    client.sock.close()


def asks(client: Client) -> None:
    """A good client."""
    assert client.ask(GET).status == 200
    client.sock.close()


def half_closes(client: Client) -> None:
    """Gets its answer, and closes last."""
    client.send(GET)
    client.half_close()
    assert client.answer().status == 200 and client.closed()
    client.sock.close()


def half_closes_in_a_head(client: Client) -> None:
    client.send("GET / HT")
    client.half_close()
    assert client.closed()
    client.sock.close()


def half_closes_in_a_body(client: Client) -> None:
    client.send(head("POST /body HTTP/1.1", "Content-Length: 10") + "hello")
    client.half_close()
    assert client.answer("POST").status == 400 and client.closed()
    client.sock.close()


def aborts(client: Client) -> None:
    client.reset()


def aborts_in_a_head(client: Client) -> None:
    client.send("GET / HT")
    client.reset()


def aborts_in_a_body(client: Client) -> None:
    client.send(head("POST /body HTTP/1.1", "Content-Length: 10") + "hello")
    gevent.sleep(0)
    client.reset()


def aborts_while_it_is_served(client: Client) -> None:
    client.send(head("GET /wait HTTP/1.1"))
    gevent.sleep(0)
    client.reset()


def aborts_in_an_answer(client: Client) -> None:
    client.send(head("GET /large HTTP/1.1"))
    client.sock.recv(10)
    client.reset()


def closes_in_an_answer(client: Client) -> None:
    client.send(head("GET /large HTTP/1.1"))
    client.sock.recv(10)
    client.sock.close()


def is_refused(client: Client) -> None:
    assert client.ask("BAD\n\n", "GET").status == 400
    client.sock.close()


def pipelines_and_leaves(client: Client) -> None:
    client.send(GET * 5)
    client.sock.close()


KINDS = [
    opens,
    asks,
    half_closes,
    half_closes_in_a_head,
    half_closes_in_a_body,
    aborts,
    aborts_in_a_head,
    aborts_in_a_body,
    aborts_while_it_is_served,
    aborts_in_an_answer,
    closes_in_an_answer,
    is_refused,
    pipelines_and_leaves,
]


def run(server: Server, kinds: list[Callable[[Client], None]], total: int) -> None:
    """So many clients, of each kind in turn, some at a time; any failed expectation of one fails the test."""
    queue = iter(list(itertools.islice(itertools.cycle(kinds), total)))

    def some() -> None:
        for kind in queue:
            kind(Client(server))

    clients = [gevent.spawn(some) for _ in range(AT_ONCE)]
    gevent.joinall(clients, raise_error=True)
    wait_until(lambda: len(server.service.table) == 0)
    wait_until(lambda: server.service.workers.busy == [])


@pytest.mark.timeout(120)
def test_ten_thousand_connections() -> None:
    with serving(app) as server:
        run(server, KINDS, 10 * len(KINDS))  # workers are made on demand and kept: that is no leak
        before = held()
        run(server, KINDS, TOTAL)
        after = held()
        assert after.descriptors <= before.descriptors
        assert after.watchers <= before.watchers
        assert after.greenlets <= max(before.greenlets, IDLE_WORKERS)
        assert after.greenlets - before.greenlets <= AT_ONCE
        assert server.service.counters.connections == TOTAL + 10 * len(KINDS)
        assert server.service.workers.active == 0 and server.service.workers.queued == 0
        assert server.site.failures == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_leaves_nothing(kind: Callable[[Client], None]) -> None:
    """And when the server has stopped, not even its workers are left."""
    with nothing_left(), serving(app) as server:
        run(server, [kind], 60)


def test_a_burst_of_workers_is_not_kept() -> None:
    """More at once than workers are kept idle."""
    with nothing_left(), serving(app) as server:
        clients = [Client(server) for _ in range(IDLE_WORKERS + 100)]
        for client in clients:
            client.send(head("GET /wait HTTP/1.1"))
        for client in clients:
            assert client.answer().status == 200
        wait_until(lambda: server.service.workers.busy == [])
        assert len(server.service.workers._all) <= IDLE_WORKERS
        for client in clients:
            client.sock.close()


def test_stalls_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that stop in the middle of something and never close."""
    monkeypatch.setattr("greenbas.http.service.SWEEP_INTERVAL", 0.05)
    limits = {"head_timeout": 0.3, "idle_timeout": 0.3, "body_grace": 0.3, "write_timeout": 0.3}
    monkeypatch.setattr("greenbas.http.connection.LINGER_SECONDS", 0.3)
    stalls = ["", "GET / HT", head("POST /body HTTP/1.1", "Content-Length: 10") + "hello"]
    stalls += [head("GET /large HTTP/1.1") * 20, GET, "BAD\n\n", head("POST / HTTP/1.1", "Content-Length: 999999")]
    with nothing_left(), serving(app, **limits) as server:
        clients = [Client(server) for _ in range(700)]
        for client, stall in zip(clients, itertools.cycle(stalls), strict=False):
            client.send(stall)
        wait_until(lambda: server.service.counters.connections == 700)
        wait_until(lambda: len(server.service.table) == 0, 8)
        wait_until(lambda: server.service.workers.busy == [])
        for client in clients:
            client.sock.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_memory_goes_with_the_connection(kind: Callable[[Client], None]) -> None:
    """No cycle keeps a connection, or what it has read, until a collection: aborted uploads would add up."""
    kinds = (Connection, RequestReader, Message, Request, Response)
    with serving(app) as server:
        gc.collect()
        gc.disable()
        try:
            run(server, [kind], AT_ONCE)
            left = [item for item in gc.get_objects() if isinstance(item, kinds)]
        finally:
            gc.enable()
    assert left == []
