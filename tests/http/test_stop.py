"""`Server.stop`: no accepted request is dropped, nothing is waited for in vain, at any moment (design 4, wish 48)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from leaks import nothing_left
from support import wait_until
from web import Client, head, serving

from greenbas import Server
from greenbas.http import Request, Response, State

GET = head("GET / HTTP/1.1")
MEGABYTE = 1024 * 1024


def hello(request: Request, response: Response) -> str:
    return "hello"


class Gate:
    """A handler that answers when the gate is opened."""

    def __init__(self) -> None:
        self.opened = Event()
        self.entered: list[str] = []
        self.ended: list[str] = []

    def __call__(self, request: Request, response: Response) -> str:
        self.entered.append(request.path)
        try:
            if request.path != "/quick":
                self.opened.wait()
        finally:
            self.ended.append(request.path)
        return f"answer to {request.path}"


def stopping(server: Server, **arguments: Any) -> gevent.Greenlet:
    """Stop in a greenlet of its own; returns when that has begun."""
    made = gevent.spawn(server.stop, **arguments)
    wait_until(lambda: server.service.draining)
    return made


def seconds(wait: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.monotonic()
    wait()
    return time.monotonic() - started


# -- moments ------------------------------------------------------------------------------------------------------


def test_before_the_start() -> None:
    with nothing_left():
        server = Server()
        port = server.listen(0).port
        assert server.stop() == [] and server.stop() == []
        with pytest.raises(ConnectionRefusedError):
            Client(port)


def test_without_a_listener() -> None:
    with nothing_left():
        server = Server()
        server.start()
        assert server.stop() == []
        server.wait()


def test_right_behind_the_start() -> None:
    """Not even the hub has run in between."""
    with nothing_left():
        server = Server()
        server.directory()(hello)
        port = server.listen(0).port
        server.start()
        assert seconds(server.stop) < 2
        server.wait()
        with pytest.raises(ConnectionRefusedError):
            Client(port)


def test_a_client_that_waits_to_be_accepted_is_answered() -> None:
    """The kernel has completed its connection: as far as the client knows it is accepted."""
    server = Server()
    server.directory()(hello)
    server.listen(0)
    client = Client(server)
    client.send(GET)
    server.start()
    stop = gevent.spawn(server.stop)
    answer = client.answer()
    assert (answer.body, answer["Connection"]) == (b"hello", "close")
    client.sock.close()
    assert stop.get(timeout=5) == []


def test_again_and_again() -> None:
    """A second call returns at once, while the first is at it and afterwards."""
    gate = Gate()
    with serving(gate) as server, Client(server) as client:
        client.send(GET)
        wait_until(lambda: gate.entered)
        first = stopping(server)
        for _ in range(3):
            assert seconds(lambda: server.stop()) < 0.1
        assert not first.ready()
        gate.opened.set()
        assert client.answer().status == 200
        assert first.get(timeout=5) == []
        assert server.stop() == []


def test_wait_returns_when_it_has_stopped() -> None:
    with serving(hello) as server:
        waiting = gevent.spawn(server.wait)
        gevent.sleep(0.01)
        assert not waiting.ready()
        server.stop()
        waiting.get(timeout=1)
        server.wait()


def test_from_a_handler() -> None:
    """It does not wait for itself for ever, and does not kill itself."""
    results: list[Any] = []

    def handler(request: Request, response: Response) -> str:
        results.append(server.stop(drain_timeout=0.3))
        return "stopped"

    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        server.wait()
        wait_until(lambda: results)
        assert results == [[]]
        client.rest()


# -- connections --------------------------------------------------------------------------------------------------


def test_new_connections_are_refused() -> None:
    gate = Gate()
    with serving(gate) as server, Client(server) as client:
        port = server.listeners[0].port
        client.send(GET)
        wait_until(lambda: gate.entered)
        stopping(server)
        with pytest.raises(ConnectionRefusedError):
            Client(port)
        gate.opened.set()
        assert client.answer().status == 200


def test_idle_connections_are_closed() -> None:
    """Soon, and without a word."""
    with serving(hello) as server:
        clients = [Client(server) for _ in range(50)]
        for client in clients[:25]:
            assert client.ask(GET).status == 200
        assert seconds(lambda: server.stop()) < 1.5
        assert len(server.service.table) == 0
        for client in clients:
            assert client.rest() == b""
            client.sock.close()


def test_a_request_that_is_on_its_way_is_answered() -> None:
    """Idle connections have a moment: what the client sent before it could know gets its answer, which says close."""
    with serving(hello) as server, Client(server) as client:
        assert client.ask(GET).status == 200
        stop = stopping(server)
        client.send(GET)
        answer = client.answer()
        assert (answer.body, answer["Connection"]) == (b"hello", "close")
        assert client.closed()
        client.sock.close()
        assert stop.get(timeout=2) == []


def test_a_head_that_has_begun_may_end() -> None:
    with serving(hello) as server, Client(server) as client:
        client.send("GET / HTTP/1.1\n")
        wait_until(lambda: server.service.table.count(State.HEAD) == 1)
        stop = stopping(server)
        gevent.sleep(0.4)  # longer than idle connections have
        client.send("Host: x\n\n")
        answer = client.answer()
        assert (answer.body, answer["Connection"]) == (b"hello", "close")
        client.sock.close()
        assert stop.get(timeout=2) == []


def test_running_requests_finish_and_say_close() -> None:
    gate = Gate()
    with serving(gate) as server:
        clients = [Client(server) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(head(f"GET /{number} HTTP/1.1"))
        wait_until(lambda: len(gate.entered) == 20)
        stop = stopping(server)
        gevent.sleep(0.1)
        assert not stop.ready()
        gate.opened.set()
        for number, client in enumerate(clients):
            answer = client.answer()
            assert (answer.body, answer["Connection"]) == (b"answer to /%d" % number, "close")
            assert client.closed()
            client.sock.close()
        assert stop.get(timeout=2) == []


def test_queued_requests_run_too() -> None:
    gate = Gate()
    with serving(gate, max_workers=1) as server:
        clients = [Client(server) for _ in range(5)]
        for client in clients:
            client.send(GET)
        wait_until(lambda: server.service.workers.queued == 4)
        stop = stopping(server)
        gate.opened.set()
        assert [client.answer()["Connection"] for client in clients] == ["close"] * 5
        for client in clients:
            client.sock.close()
        assert stop.get(timeout=2) == []


def test_a_body_that_is_arriving_may_end() -> None:
    with serving(lambda request, response: request.body()) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 10") + "hello")
        wait_until(lambda: server.service.table.count(State.BUSY) == 1)
        stop = stopping(server)
        gevent.sleep(0.3)
        client.send("world")
        answer = client.answer("POST")
        assert (answer.body, answer["Connection"]) == (b"helloworld", "close")
        client.sock.close()
        assert stop.get(timeout=2) == []


def test_a_large_answer_is_sent_to_its_end() -> None:
    with serving(lambda request, response: bytes(20 * MEGABYTE)) as server, Client(server) as client:
        client.send(GET)
        start = client.read_until(b"\r\n\r\n")
        stop = stopping(server)
        gevent.sleep(0.3)
        received = len(start) + len(client.rest())
        assert received > 20 * MEGABYTE
        client.sock.close()
        assert stop.get(timeout=2) == []


def test_pipelined_requests_behind_the_last_answer_are_not_run() -> None:
    """9112 9.6: after an answer that says close nothing more is processed; the client sends those again elsewhere."""
    gate = Gate()
    with serving(gate) as server, Client(server) as client:
        client.send(head("GET /1 HTTP/1.1") + head("GET /2 HTTP/1.1"))
        wait_until(lambda: gate.entered)
        stop = stopping(server)
        gate.opened.set()
        assert client.answer()["Connection"] == "close"
        assert client.closed()
        client.sock.close()
        stop.get(timeout=2)
        assert gate.entered == ["/1"]


# -- what does not end --------------------------------------------------------------------------------------------


def test_what_lasts_too_long_is_killed_and_named(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with serving(gate) as server, Client(server) as slow, Client(server) as quick:
        slow.send(head("GET /slow?a=b HTTP/1.1"))
        quick.send(head("GET /quick HTTP/1.1"))
        wait_until(lambda: "/slow" in gate.entered)
        assert quick.answer().status == 200
        names: list[str] = []
        with caplog.at_level(logging.WARNING, "greenbas.http"):
            took = seconds(lambda: names.extend(server.stop(drain_timeout=0.4)))
        assert 0.35 < took < 1.5
        assert len(names) == 1 and "GET /slow?a=b" in names[0]
        assert any("GET /slow?a=b" in record.getMessage() for record in caplog.records)
        assert gate.ended.count("/slow") == 1  # its finally clauses have run
        assert slow.rest() == b""
        assert server.service.workers.busy == [] and len(server.service.table) == 0


def test_the_drain_timeout_is_a_setting() -> None:
    gate = Gate()
    with serving(gate, drain_timeout=0.3) as server, Client(server) as client:
        client.send(GET)
        wait_until(lambda: gate.entered)
        assert 0.25 < seconds(lambda: server.stop()) < 1.5


def test_no_time_at_all() -> None:
    gate = Gate()
    with serving(gate) as server, Client(server) as client:
        client.send(GET)
        wait_until(lambda: gate.entered)
        names: list[str] = []
        assert seconds(lambda: names.extend(server.stop(drain_timeout=0))) < 0.3
        assert len(names) == 1
        assert client.rest() == b""


@pytest.mark.parametrize(
    "stuck",
    [
        pytest.param("GET / HT", id="in a head"),
        pytest.param(head("POST / HTTP/1.1", "Content-Length: 5") + "he", id="in a body"),
        pytest.param(head("GET / HTTP/1.1", "Host: y"), id="refused and still there"),
        pytest.param(head("GET /large HTTP/1.1"), id="not reading"),
    ],
)
def test_stuck_clients_do_not_hold_it_longer(stuck: str) -> None:
    def handler(request: Request, response: Response) -> Any:
        return bytes(50 * MEGABYTE) if request.path == "/large" else request.body()

    with nothing_left(), serving(handler) as server, Client(server) as client:
        client.send(stuck)
        gevent.sleep(0.05)
        assert seconds(lambda: server.stop(drain_timeout=0.5)) < 2
        assert len(server.service.table) == 0 and server.service.workers.busy == []


def test_a_handler_that_will_not_die_does_not_hold_it() -> None:
    """It catches what kills it; the others go on."""
    released = Event()

    def handler(request: Request, response: Response) -> str:
        try:
            gevent.sleep(60)
        except BaseException:
            released.wait()
        return "still here"

    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        wait_until(lambda: server.service.workers.active == 1)
        assert seconds(lambda: server.stop(drain_timeout=0.2)) < 2
        assert client.rest() == b""
        released.set()
        wait_until(lambda: server.service.workers.busy == [])


# -- all at once --------------------------------------------------------------------------------------------------


class Load:
    """Clients that ask, one request behind the other, until they are told to go or refused."""

    def __init__(self, server: Server, count: int) -> None:
        self.port = server.listeners[0].port
        self.answers = 0
        self.unanswered: list[BaseException] = []
        self.clients = [gevent.spawn(self._ask) for _ in range(count)]

    def _ask(self) -> None:
        while True:
            try:
                client = Client(self.port)
            except ConnectionRefusedError:
                return
            with client:
                while True:
                    try:
                        answer = client.ask(GET)
                    except Exception as error:
                        self.unanswered.append(error)
                        return
                    assert answer.status == 200
                    self.answers += 1
                    if answer.all("Connection") == ["close"]:
                        break


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.05])
def test_under_load_every_request_is_answered(pause: float) -> None:
    """As many answers came as handlers ran, and no client was cut off."""
    ran = 0

    def handler(request: Request, response: Response) -> str:
        nonlocal ran
        ran += 1
        if pause:
            time.sleep(pause)
        return "hello"

    for _ in range(3):
        ran = 0
        with serving(handler) as server:
            load = Load(server, 30)
            wait_until(lambda: load.answers > 100)  # noqa: B023
            assert server.stop() == []
            gevent.joinall(load.clients, timeout=5)
            assert all(client.successful() for client in load.clients)
            assert load.unanswered == []
            assert load.answers == ran == server.service.counters.requests


def test_under_load_new_connections_too() -> None:
    """Each request on a connection of its own: accepted ones are answered, the others refused."""
    ran = 0

    def handler(request: Request, response: Response) -> str:
        nonlocal ran
        ran += 1
        response.clear_keepalive()
        return "hello"

    with serving(handler) as server:
        load = Load(server, 20)
        wait_until(lambda: load.answers > 100)
        assert server.stop() == []
        gevent.joinall(load.clients, timeout=5)
        assert load.unanswered == [] and load.answers == ran


def test_nothing_is_left() -> None:
    """No descriptor, greenlet or watcher, whatever the connections were doing."""
    with nothing_left():
        gate = Gate()
        with serving(gate) as server:
            clients = [Client(server) for _ in range(6)]
            clients[0].ask(head("GET /quick HTTP/1.1"))
            clients[1].send("GET / HT")
            clients[2].send(GET)
            clients[3].send(GET)
            clients[4].send(head("POST / HTTP/1.1", "Content-Length: 5"))
            wait_until(lambda: len(gate.entered) == 4)
            clients[3].reset()
            gate.opened.set()
            server.stop(drain_timeout=0.5)
        for client in clients:
            client.sock.close()
