"""What goes wrong or ends early: other greenlets, other threads, kills, and what must be left after all of it."""

from __future__ import annotations

import os
import socket as native
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from launch import ROOT
from leaks import native_threads, nothing_left
from luapeers import SECONDS, lua_pair, server, tcp_pair
from support import wait_until
from web import get, serving

import greenbas
from greenbas import net, threads
from greenbas.errors import SocketBusy
from greenbas.luasocket import socket, unix


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with nothing_left():
        yield


def fill(sock: Any) -> None:
    """Send until the kernel takes no more."""
    sock.settimeout(0)
    while sock.send(bytes(1_000_000))[1] is None:
        pass
    sock.settimeout(SECONDS)


def listening_tcp() -> Any:
    made = socket.bind("127.0.0.1", 0)[0]
    made.settimeout(SECONDS)
    return made


class Unanswered:
    """A port where connecting goes on for ever."""

    def __init__(self) -> None:
        self.listening = native.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.listening.getsockname()[1]
        self.fillers = []
        for _ in range(3):
            filler = native.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(filler)

    def close(self) -> None:
        for sock in (self.listening, *self.fillers):
            sock.close()


# What waits: the object, the call, what a close by another greenlet makes of it.
Waiting = tuple[Any, Callable[[], Any], Any]


def receiving() -> Iterator[Waiting]:
    for pattern in ("*l", "*a", 100, 0):
        one, two = lua_pair()
        yield one, lambda one=one, pattern=pattern: one.receive(pattern), (None, "closed", b"")
        two.close()


def sending() -> Iterator[Waiting]:
    one, two = lua_pair()
    fill(one)
    yield one, lambda: one.send(b"x"), (None, "closed", 0)
    two.close()


def accepting() -> Iterator[Waiting]:
    made = listening_tcp()
    yield made, made.accept, (None, "closed")


def connecting() -> Iterator[Waiting]:
    nobody, tcp = Unanswered(), socket.tcp()
    yield tcp, lambda: tcp.connect("127.0.0.1", nobody.port), (None, "closed")
    nobody.close()


def datagrams() -> Iterator[Waiting]:
    udp = socket.udp4()[0]
    yield udp, udp.receive, (None, "closed")
    other = socket.udp4()[0]
    yield other, other.receivefrom, (None, "closed", None)
    dgram = unix.dgram()
    yield dgram, dgram.receive, (None, "closed")


def selecting() -> Iterator[Waiting]:
    made = listening_tcp()
    yield made, lambda: socket.select([made]), ([made], [])


STATES = [receiving, sending, accepting, connecting, datagrams, selecting]


def name_of(state: Any) -> str:
    return str(state.__name__)


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_closed_by_another_greenlet(state: Callable[[], Iterator[Waiting]]) -> None:
    for sock, call, result in state():
        waiting = gevent.spawn(call)
        gevent.sleep(0.001)
        assert not waiting.ready()
        sock.close()
        assert waiting.get(timeout=SECONDS) == result


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_killed(state: Callable[[], Iterator[Waiting]]) -> None:
    for sock, call, _ in state():
        active = gevent.get_hub().loop.activecnt
        waiting = gevent.spawn(call)
        gevent.sleep(0.001)
        assert not waiting.ready()
        waiting.kill()
        wait_until(lambda active=active: gevent.get_hub().loop.activecnt <= active)
        if state not in (connecting, selecting):
            sock.settimeout(0)
            assert "timeout" in call()  # the socket is as it was
        sock.close()


def test_killed_in_a_connect() -> None:
    nobody, tcp = Unanswered(), socket.tcp()
    waiting = gevent.spawn(tcp.connect, "127.0.0.1", nobody.port)
    gevent.sleep(0.001)
    waiting.kill()
    assert tcp.class_ == "tcp{client}"
    tcp.close()
    nobody.close()


def test_two_readers() -> None:
    with tcp_pair() as (client, peer):
        first = gevent.spawn(client.receive)
        first.name = "the first reader"
        gevent.sleep(0.001)
        for call in (client.receive, lambda: client.receive(5)):
            second = gevent.spawn(call)
            second.name = "the second reader"
            with pytest.raises(
                SocketBusy, match=r"the second reader reads tcp\{client\}.* while the first reader does"
            ):
                second.get()
        peer.sendall(b"for the first\n")
        assert first.get() == (b"for the first", None, None)
        peer.sendall(b"for all\n")
        assert client.receive() == (b"for all", None, None)


def test_two_writers() -> None:
    with tcp_pair() as (client, peer):
        fill(client)
        first = gevent.spawn(client.send, b"x" * 10)
        gevent.sleep(0.001)
        with pytest.raises(SocketBusy, match=r"writes to tcp\{client\}"):
            client.send(b"y")
        while not first.ready():
            peer.recv(1_000_000)
        assert first.get() == (10, None, None)


def test_two_of_each_kind() -> None:
    listening, udp = listening_tcp(), socket.udp4()[0]
    for sock, call in ((listening, listening.accept), (udp, udp.receive), (udp, udp.receivefrom)):
        first = gevent.spawn(call)
        gevent.sleep(0.001)
        with pytest.raises(SocketBusy):
            call()
        first.kill()
        sock.settimeout(0)
        assert "timeout" in call()
        sock.settimeout(SECONDS)
    listening.close()
    udp.close()


def test_a_time_out_of_gevent_leaves_the_socket_usable() -> None:
    with tcp_pair() as (client, peer):
        peer.sendall(b"kept")
        with gevent.Timeout(0.02, False):
            client.receive()
        peer.sendall(b" and more\n")
        assert client.receive() == (b"kept and more", None, None)


def test_reading_and_writing_at_once() -> None:
    with tcp_pair() as (client, peer):
        fill(client)
        reader, writer = gevent.spawn(client.receive), gevent.spawn(client.send, b"end")
        gevent.sleep(0.001)
        peer.sendall(b"line\n")
        assert reader.get(timeout=SECONDS) == (b"line", None, None)
        while not writer.ready():
            peer.recv(1_000_000)
        assert writer.get() == (3, None, None)


def test_a_fast_peer_lets_others_run() -> None:
    one, two = lua_pair()
    turns: list[int] = []

    def count() -> None:
        while True:
            turns.append(1)
            gevent.sleep(0)

    counter = gevent.spawn(count)
    for _ in range(2000):
        one.send(b"x" * 4096)
        two.receive(4096)
    assert len(turns) > 5
    counter.kill()
    one.close()
    two.close()


def test_two_thousand_connections_leave_nothing() -> None:
    with server(100) as (listening, port), nothing_left():

        def serve() -> None:
            while True:
                client, err = listening.accept()
                if err == "closed":
                    return
                line, _, _ = client.receive()
                client.send(line)
                client.close()

        def ask() -> None:
            for number in range(250):
                client, err = socket.connect("127.0.0.1", port)
                assert err is None
                client.send(f"{number}\n")
                assert client.receive("*a")[0] == b"%d" % number
                if number % 2:
                    client.close()  # the others are forgotten

        listening.settimeout(None)
        serving_ = gevent.spawn(serve)
        gevent.joinall([gevent.spawn(ask) for _ in range(8)], raise_error=True)
        serving_.kill()


# Native threads.


def talk(port: int) -> list[Any]:
    """Everything that waits, in a thread without a hub."""
    client, err = socket.connect("localhost", port)
    assert err is None
    client.settimeout(0.02)
    results = [client.receive()]
    client.settimeout(SECONDS)
    results += [client.send(b"from a thread\n"), client.receive()]
    results.append(socket.select([client], [client], SECONDS)[1] == [client])
    results.append(socket.select([client], None, 0.01)[2])
    client.settimeout(0)
    results.append(client.receive())
    socket.sleep(0.001)
    results.append(gevent._hub_local.get_hub_if_exists())
    client.close()
    return results


def test_in_a_native_thread() -> None:
    with server() as (listening, port):

        def echo() -> None:
            client, _ = listening.accept()
            client.settimeout(SECONDS)
            client.send(client.receive()[0] + b"\n")
            client.receive("*a")
            client.close()

        echoing = gevent.spawn(echo)
        expected = [(None, "timeout", b""), (14, None, None), (b"from a thread", None, None)]
        assert threads.offload(talk, port) == [*expected, True, "timeout", (None, "timeout", b""), None]
        echoing.get()


def test_many_threads_at_once() -> None:
    own = threads.Thread(4, name="luasocket")
    one_thread = native_threads()
    with server(100) as (listening, port):

        def echo(client: Any) -> None:
            client.settimeout(SECONDS)
            client.send(client.receive("*a")[0])
            client.close()

        def serve() -> None:
            while True:
                client, err = listening.accept()
                if err is not None:
                    return
                gevent.spawn(echo, client)

        serving_ = gevent.spawn(serve)

        def ask(number: int) -> bytes:
            client = socket.connect("127.0.0.1", port)[0]
            client.settimeout(SECONDS)
            client.send(str(number))
            client.shutdown("send")
            data: bytes = client.receive("*a")[0]
            client.close()
            return data

        jobs = [gevent.spawn(own.offload, ask, number) for number in range(40)]
        jobs += [gevent.spawn(ask, number) for number in range(40, 80)]
        assert [job.get(timeout=SECONDS) for job in jobs] == [b"%d" % number for number in range(80)]
        serving_.kill()
    own.close()
    wait_until(lambda: native_threads() <= one_thread)


def test_closed_while_a_thread_waits() -> None:
    listening = listening_tcp()
    listening.settimeout(None)
    udp = socket.udp4()[0]
    udp.setsockname("127.0.0.1", 0)
    one, two = lua_pair()
    one.settimeout(None)
    calls = [(listening, listening.accept), (udp, udp.receive), (one, one.receive)]
    for sock, call in calls:
        started: list[int] = []
        job = gevent.spawn(threads.offload, lambda call=call, started=started: (started.append(1), call())[1])
        wait_until(lambda started=started: started)
        gevent.sleep(0.02)
        fd = sock.getfd()
        sock.close()
        assert "closed" in job.get(timeout=SECONDS)
        wait_until(lambda fd=fd: not os.path.exists(f"/proc/self/fd/{fd}"))
    two.close()


def test_a_thread_closes_what_a_greenlet_waits_for() -> None:
    one, two = lua_pair()
    one.settimeout(None)
    waiting = gevent.spawn(one.receive)
    gevent.sleep(0.001)
    threads.offload(one.close)
    assert waiting.get(timeout=SECONDS) == (None, "closed", b"")
    two.close()


# All places at once, and unpatched.


def test_in_handlers_beside_others() -> None:
    with server() as (listening, port):

        def echo() -> None:
            while True:
                client, err = listening.accept()
                if err is not None:
                    return
                client.settimeout(SECONDS)
                client.send(client.receive()[0])
                client.close()

        echoing = greenbas.spawn(echo)

        def answer(request: Any, response: Any) -> str:
            client, err = socket.connect("127.0.0.1", port)
            assert err is None
            client.send("from a handler\n")
            data, _, _ = client.receive("*a")
            return str(data, "ascii")

        with serving(answer) as started:
            url = started.listeners[0].port
            answers = [gevent.spawn(get, url, "/") for _ in range(5)]
            assert {one.get(timeout=SECONDS).body for one in answers} == {b"from a handler"}
        echoing.kill()


def test_in_a_cosocket() -> None:
    with server() as (listening, port):

        def answer(sock: net.Socket) -> None:
            client, err = socket.connect("127.0.0.1", port)
            assert err is None
            while data := sock.read():
                client.send(data)
                sock.write(client.receive()[0] + b"\n")
            client.close()

        def echo() -> None:
            client = listening.accept()[0]
            line = client.receive()[0]
            while line is not None:
                client.send(line.upper() + b"\n")
                line = client.receive()[0]
            client.close()

        def accept(sock: net.Socket) -> None:
            while True:
                sock.accept().event(answer, "s")

        echoing = greenbas.spawn(echo)
        front = net.bind(0, intf="127.0.0.1")
        front.event(accept, "r")
        with native.create_connection(front.sockname()[:2], SECONDS) as peer:
            for word in (b"one\n", b"two\n"):
                peer.sendall(word)
                assert peer.recv(100) == word.upper()
        echoing.get(timeout=SECONDS)
        front.close()


SCRIPT = """
import sys
import gevent
from greenbas.luasocket import socket

server, err = socket.bind("127.0.0.1", 0)
port = server.getsockname()[1]

def echo():
    client, err = server.accept()
    client.send(client.receive()[0] + b"!")
    client.close()

if "alone" in sys.argv:  # no other greenlet, and no hub
    client, err = socket.connect("localhost", port)
    other, err = server.accept()
    client.send("alone\\n")
    print(other.receive()[0].decode())
    other.settimeout(0.01)
    print(other.receive()[1], socket.select([other], None, 0.01)[2])
    assert gevent._hub_local.get_hub_if_exists() is None
else:
    waiting = gevent.spawn(echo)
    client, err = socket.connect("localhost", port)
    client.send("hello\\n")
    print(client.receive("*a")[0].decode())
"""


@pytest.mark.parametrize(
    ("command", "arguments", "printed"),
    [
        (["-m", "greenbas", "run"], [], "hello!\n"),
        ([], [], "hello!\n"),
        ([], ["alone"], "alone\ntimeout timeout\n"),
    ],
    ids=["greenbas run", "unpatched", "alone"],
)
def test_in_a_script(command: list[str], arguments: list[str], printed: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, "utf-8")
    done = subprocess.run(
        [sys.executable, *command, str(script), *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)
