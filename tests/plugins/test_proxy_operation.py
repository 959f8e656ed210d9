"""A proxy in operation: backends that are killed, hang and come back, mounts that change, a server that stops."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.server import StreamServer
from proxies import OK, answering, behind, proxied, proxy_of, read_request
from scripted import Conversation, scripted
from support import wait_until
from web import Client, ask, directory, get, head, serving

from greenbas_plugins.proxy.healthstatus import State
from greenbas_plugins.proxy.redirector import redirector

MIB = 1024 * 1024


class Mortal:
    """A backend at one port that can be killed with all its connections, and started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.heard: list[str] = []  # the bodies that have arrived
        self._open: set[Any] = set()
        self._server: StreamServer | None = None
        self.start()

    def start(self) -> None:
        self._server = StreamServer(("127.0.0.1", self.port), self._talk)
        self._server.start()

    def kill(self) -> None:
        """As SIGKILL does: the kernel resets what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for sock in list(self._open):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        self._open.clear()

    def _talk(self, sock: Any, address: Any) -> None:
        self._open.add(sock)
        with contextlib.suppress(OSError):
            talk = Conversation(sock)
            while (found := read_request(talk))[0]:
                self.heard.append(found[1].decode())
                gevent.sleep(0.001)
                talk.send(OK)
        self._open.discard(sock)


def load(server: Any, method: str, clients: int, over: Event) -> tuple[list[Any], list[tuple[int, str]]]:
    """Clients that ask again and again; their greenlets, and the status of each request with its body."""
    found: list[tuple[int, str]] = []

    def run(number: int) -> None:
        turn = 0
        with Client(server) as client:
            while not over.is_set():
                turn += 1
                body = f"{number}/{turn}"
                asked = head(f"{method} /app/ HTTP/1.1", f"Content-Length: {len(body)}") + body
                found.append((client.ask(asked).status, body))

    return [gevent.spawn(run, number) for number in range(clients)], found


def more(found: list[Any], count: int) -> None:
    """Wait until so many more have come."""
    wanted = len(found) + count
    wait_until(lambda: len(found) >= wanted)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_backends_killed_and_restarted_under_load(method: str) -> None:
    """No client sees an error but those whose POST was at a backend when that died."""
    backends = [Mortal(), Mortal(), Mortal()]
    clients, kills, over = 8, 6, Event()
    with proxied(*[one.port for one in backends]) as server:
        healths = [one.health for one in proxy_of(server).proxy.upstreams.all]
        greenlets, found = load(server, method, clients, over)
        for turn in range(kills):
            more(found, 60)
            victim = turn % len(backends)
            backends[victim].kill()
            more(found, 30)
            backends[victim].start()
        over.set()
        gevent.joinall(greenlets, timeout=10, raise_error=True)
        errors = [one for one in found if one[0] != 200]
        assert {status for status, _ in errors} <= {502}
        if method == "POST":  # each client has one at a time
            assert len(errors) <= kills * clients
        else:
            assert not errors
        heard = [body for one in backends for body in one.heard]
        if method == "POST":
            assert len(heard) == len(set(heard))  # none was sent twice
        assert {body for status, body in found if status == 200} <= set(heard)
        wait_until(lambda: all(one.in_flight == 0 for one in healths))
    for one in backends:
        one.kill()


def test_a_backend_that_hangs_costs_few_clients_their_time() -> None:
    hangs = Event()

    def hanging(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        hangs.wait(8)

    with scripted(hanging) as a, scripted(answering(OK)) as b:
        with proxied(a.port, b.port, first_byte_timeout=0.1, max_fails=2) as server:
            found = [get(server, "/app/").status for _ in range(20)]
            assert found.count(504) == 2 and found[-10:] == [200] * 10
            state = proxy_of(server).proxy.upstreams.all[0].health
            assert state.state is State.DOWN and "silent" in state.last_error
        hangs.set()


def test_a_backend_alone_is_asked_again_as_soon_as_it_is_back() -> None:
    backend = Mortal()
    with proxied(backend.port) as server:
        assert get(server, "/app/").status == 200
        backend.kill()
        assert [get(server, "/app/").status for _ in range(20)] == [502] * 20
        backend.start()
        assert [get(server, "/app/").status for _ in range(5)] == [200] * 5
    backend.kill()


CHECKED = {
    "well": (OK, State.UP),
    "elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", State.UP),
    "hints first": (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, State.UP),
    "broken": (b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", State.SICK),
    "no such page": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", State.SICK),
    "hints alone": (b"HTTP/1.1 103 Early Hints\r\n\r\n", State.SICK),
    "not HTTP": (b"220 mail.example ESMTP\r\n\r\n", State.SICK),
    "nothing": (b"", State.SICK),
}


@pytest.mark.parametrize(("answer", "state"), CHECKED.values(), ids=CHECKED.keys())
def test_what_a_check_takes_for_well(answer: bytes, state: State) -> None:
    heard: list[bytes] = []

    def script(talk: Conversation) -> None:
        heard.append(talk.until(b"\r\n\r\n"))
        talk.send(answer)

    checks: dict[str, Any] = {"health_path": "/health", "health_interval": 0.02, "health_timeout": 0.5}
    with (
        scripted(script) as a,
        proxied(to=(f"http://127.0.0.1:{a.port}/base",), host="shop.example", **checks) as server,
    ):
        proxy_of(server).begin_checks()
        health = proxy_of(server).proxy.upstreams.all[0].health
        wait_until(lambda: len(heard) > 4 if state is State.UP else health.state is state)
        assert health.state is state
    assert heard[0].startswith(b"GET /base/health HTTP/1.1\r\nHost: shop.example\r\n")


# -- changing the mounts ------------------------------------------------------------------------------------------

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB)


@pytest.mark.parametrize("change", ["unlinked", "replaced", "another one replaced"])
def test_a_change_of_mounts_drops_no_stream(change: str) -> None:
    """Neither those of the proxy that is taken out nor another's; what is in its queue is answered as well."""
    go = Event()

    def script(talk: Conversation) -> None:
        while talk.until(b"\r\n\r\n"):
            talk.send(LARGE + bytes(MIB))
            go.wait(8)
            talk.send(bytes(7 * MIB))

    with behind(script, limit=1) as (server, backend), Client(server) as client, Client(server) as queued:
        other = redirector("other", "127.0.0.1", backend.port)
        server.insert(other)
        with Client(server) as neighbour:
            for one, path in ((client, "app"), (neighbour, "other")):
                one.send(head(f"GET /{path}/ HTTP/1.1"))
                one.read_until(b"\r\n\r\n")
            queued.send(head("GET /app/ HTTP/1.1"))
            wait_until(lambda: proxy_of(server).proxy.upstreams.queued == 1)
            taken_out = other if "another" in change else proxy_of(server)
            taken_out.unlink()
            if "replaced" in change:
                server.insert(redirector(taken_out.name(), "127.0.0.1", 1))
                assert get(server, f"/{taken_out.name()}/").status == 502  # nobody is at port 1
            else:
                assert get(server, f"/{taken_out.name()}/").status == 404
            go.set()
            for one in (client, neighbour):
                assert len(rest_of(one, 8 * MIB)) == 8 * MIB
            assert len(queued.answer().body) == 8 * MIB


def rest_of(client: Client, size: int) -> bytes:
    """So many bytes of a body whose head has been read."""
    found = client._left
    pieces = [found]
    count = len(found)
    while count < size:
        data = client.sock.recv(MIB)
        assert data
        pieces.append(data)
        count += len(data)
    client._left = b""
    return b"".join(pieces)


def test_a_proxy_that_is_taken_out_keeps_no_connections() -> None:
    with behind(answering(OK), keepalive=0.1) as (server, backend):
        found = proxy_of(server)
        assert get(server, "/app/").status == 200
        found.unlink()
        backend.said()  # the connection has been closed, without another request
        assert not found.proxy.upstreams.all[0].pool.idle


# -- the end ------------------------------------------------------------------------------------------------------


def test_a_stop_lets_downloads_uploads_and_the_queue_end() -> None:
    go = Event()

    def script(talk: Conversation) -> None:
        while (found := read_request(talk))[0]:
            go.wait(8)
            talk.send(LARGE + bytes(8 * MIB) if found[0].startswith("GET /down") else OK)

    with scripted(script) as backend, serving() as server:
        server.insert(redirector("app", "127.0.0.1", backend.port, limit=2))
        with Client(server) as down, Client(server) as up, Client(server) as waits:
            down.send(head("GET /app/down HTTP/1.1"))
            up.send(head("POST /app/ HTTP/1.1", f"Content-Length: {MIB}") + "x" * (MIB // 2))
            wait_until(lambda: proxy_of(server).proxy.upstreams.all[0].health.in_flight == 2)
            waits.send(head("GET /app/waits HTTP/1.1"))
            wait_until(lambda: proxy_of(server).proxy.upstreams.queued == 1)
            stopping = gevent.spawn(server.stop, drain_timeout=8.0)
            gevent.sleep(0.02)
            up.send("x" * (MIB // 2))
            go.set()
            assert len(down.answer().body) == 8 * MIB
            assert up.answer("POST").body == b"ok" and waits.answer().body == b"ok"
        stopping.join(8)
        assert stopping.ready()


# -- what the status page is told ---------------------------------------------------------------------------------


def test_a_report_of_what_goes_on() -> None:
    go = Event()

    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            if b"/waits" in sent:
                go.wait(8)
            talk.send(OK)

    with behind(script, limit=2, health_path="") as (server, _):
        report = proxy_of(server).report
        row = report()[0]
        assert (row["served"], row["p50"], row["p95"], row["state"], row["last_error"]) == (0, None, None, "up", "")
        for _ in range(5):
            assert get(server, "/app/").status == 200
        waiting = [gevent.spawn(get, server, "/app/waits") for _ in range(3)]
        wait_until(lambda: report()[0]["queued"] == 1)
        row = report()[0]
        assert (row["served"], row["in_flight"], row["limit"], row["queued"]) == (5, 2, 2, 1)
        assert 0 < row["p50"] <= row["p95"] < 5000
        go.set()
        gevent.joinall(waiting, timeout=5, raise_error=True)
        row = report()[0]
        assert (row["served"], row["in_flight"], row["queued"], row["failures"]) == (8, 0, 0, 0) and row["idle"] >= 1


def test_two_proxies_of_one_backend_do_not_share_what_they_know() -> None:
    """One that has been told to leave a backend alone does not stop the other."""
    with scripted(answering(OK)) as backend, proxied(backend.port) as server:
        server.insert(redirector("other", to=f"http://127.0.0.1:{backend.port}"))
        first, other = (one.proxy for one in server.root.children if hasattr(one, "proxy"))
        first.upstreams.all[0].health.check_failed(0, "told so")
        first.upstreams.all[0].health.check_failed(0, "told so")
        first.upstreams.all[0].health.check_failed(0, "told so")
        assert get(server, "/app/").status == 503 and get(server, "/other/").status == 200
        assert "told so" not in other.report()[0]["last_error"]


def test_a_function_in_front_decides_what_is_proxied() -> None:
    with behind(answering(OK)) as (server, backend):
        proxy_of(server).set_func(lambda request, response: "mine" if request.relpath == "own" else False)
        assert (get(server, "/app/own").body, get(server, "/app/x").body) == (b"mine", b"ok")
        server.insert(directory("app", lambda request, response: "first", priority=1))
        assert ask(server, head("GET /app/x HTTP/1.1")).body == b"first" and len(backend.heard) <= 2
