"""Thousands of connections that end in every way a connection can: nothing of them is left.

A connection is brought into a state and then ended. Some 20,000 of them in all; `nothing_left` looks for greenlets,
watchers and descriptors, and `net.stat` for socket objects.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from launch import ROOT
from leaks import nothing_left
from support import wait_until

from greenbas import net
from greenbas.errors import GreenbasError, SocketClosed, TimedOut

BATCH = 190  # connections at a time, two descriptors each: some systems allow 1024
ROUNDS = 2
# The kernel takes some hundred KB for a peer that does not read.
MUCH = bytes(4 * 1024 * 1024)
FOREVER = 60.0  # seconds; longer than any test runs
MOMENT = 0.005
TIMEOUT = 10.0

Function = Callable[[net.Socket], Any]
pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def clean(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is left, and there is nothing to complain of."""
    caplog.set_level(logging.WARNING, "greenbas.net")  # below it are errors, which hold what they were about
    gc.collect()
    sockets = net.stat()[0]
    with nothing_left():
        yield
    assert caplog.messages == []
    wait_until(lambda: gc.collect() >= 0 and net.stat()[0] <= sockets)


class Meeting:
    """A listening socket whose connections all run one function.

    Attributes:
        port: where.
        sockets: the connections.
        functions: the greenlets of their functions.
    """

    def __init__(self, function: Function, mode: Any = "s") -> None:
        self.sockets: list[net.Socket] = []
        self.functions: list[gevent.Greenlet] = []
        self._function, self._mode = function, mode
        self._listener = net.bind(0, intf="127.0.0.1")
        self.port = self._listener.sockname()[1]
        self._listener.event(self._accept)

    def _accept(self, listener: net.Socket) -> None:
        while True:
            sock = listener.accept()
            self.sockets.append(sock)
            sock.event(self._run, self._mode)

    def _run(self, sock: net.Socket) -> None:
        self.functions.append(gevent.getcurrent())
        self._function(sock)

    def peers(self, count: int) -> list[socket.socket]:
        """That many connections from outside, each accepted."""
        made = [connect(self.port) for _ in range(count)]
        self.wait_for(count)
        return made

    def wait_for(self, count: int, state: str | None = None) -> None:
        """Wait until that many connections are there, all of them in the state."""
        wait_until(lambda: len(self.functions) == count)
        if state is not None:
            wait_until(lambda: {sock.state()[0] for sock in self.sockets} == {state})

    def over(self) -> None:
        """Wait until all functions have ended, and end the listening."""
        gevent.joinall(self.functions, timeout=TIMEOUT)
        assert [one for one in self.functions if not one.dead] == []
        assert {sock.state() for sock in self.sockets} <= {("terminated", False)}
        self._listener.close()


def connect(port: int) -> socket.socket:
    made = socket.socket()
    made.settimeout(TIMEOUT)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    return made


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# -- states, and ways to end them ---------------------------------------------------------------------------------

STATES: dict[str, Function] = {
    "read": lambda sock: sock.read(),
    "timed read": lambda sock: sock.read(FOREVER),
    "read twice": lambda sock: (sock.read(), sock.read()),
    "write": lambda sock: sock.write(MUCH),
    "disabled": lambda sock: sock.disable(),
    "asleep": lambda sock: gevent.sleep(FOREVER),
}
SHOWN = {"timed read": "read", "read twice": "read", "asleep": "exec"}


def by_peer(sock: net.Socket, function: gevent.Greenlet, peer: socket.socket) -> None:
    peer.close()


def by_half_close(sock: net.Socket, function: gevent.Greenlet, peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


def by_reset(sock: net.Socket, function: gevent.Greenlet, peer: socket.socket) -> None:
    reset(peer)


def by_close(sock: net.Socket, function: gevent.Greenlet, peer: socket.socket) -> None:
    assert sock.close()
    assert not sock.close()


def by_kill(sock: net.Socket, function: gevent.Greenlet, peer: socket.socket) -> None:
    function.kill(block=False)


ENDINGS = [by_peer, by_half_close, by_reset, by_close, by_kill]
# Nobody tells a greenlet that sleeps, and a peer that sends no more may well go on reading.
GOES_ON = {("asleep", by_peer), ("asleep", by_half_close), ("asleep", by_reset), ("asleep", by_close)}
GOES_ON |= {("write", by_half_close)}


@pytest.mark.parametrize("mode", ["s", "r"])
@pytest.mark.parametrize(("state", "end"), [(a, b) for a in STATES for b in ENDINGS if (a, b) not in GOES_ON])
def test_every_end_of_every_state(state: str, end: Callable[..., None], mode: str) -> None:
    count = BATCH // 4 if state == "write" else BATCH
    for _ in range(ROUNDS):
        meeting = Meeting(STATES[state], mode)
        peers = meeting.peers(count)
        if state == "read twice":
            for peer in peers:
                peer.send(b"x")
        meeting.wait_for(count, SHOWN.get(state, state))
        for sock, function, peer in zip(meeting.sockets, meeting.functions, peers, strict=True):
            end(sock, function, peer)
        meeting.over()
        for peer in peers:
            peer.close()


# -- time-outs ----------------------------------------------------------------------------------------------------


def times_out(call: Callable[[], Any]) -> None:
    with pytest.raises(TimedOut):
        call()


def write_late(sock: net.Socket) -> None:
    sock.write_timeout = MOMENT
    times_out(lambda: sock.write(MUCH))


def read_late(sock: net.Socket) -> None:
    times_out(lambda: sock.read(MOMENT))
    sock.write(b"late")  # it is usable still
    times_out(lambda: sock.read(0))


@pytest.mark.parametrize("mode", ["s", "r"])
@pytest.mark.parametrize(("function", "count"), [(read_late, BATCH), (write_late, BATCH // 4)])
def test_time_outs_of_connections(function: Function, count: int, mode: str) -> None:
    for _ in range(ROUNDS):
        meeting = Meeting(function, mode)
        peers = meeting.peers(count)
        meeting.over()
        assert [one for one in meeting.functions if one.socket.state()[1]] == []
        for peer in peers:
            peer.close()


def test_time_outs_of_accept() -> None:
    def accept(listener: net.Socket) -> None:
        for _ in range(3):
            times_out(lambda: listener.accept(MOMENT))

    listeners = [net.bind(0, intf="127.0.0.1") for _ in range(BATCH)]
    assert all(listener.event(accept) for listener in listeners)
    wait_until(lambda: {listener.state() for listener in listeners} == {("terminated", False)})


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose connections are not taken: the kernel does not answer there."""
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(3):
            sock = opened.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port


def test_time_outs_of_connect() -> None:
    def reach(sock: net.Socket, port: int) -> None:
        times_out(lambda: net.connect("127.0.0.1", port, timeout=MOMENT))
        assert sock.state() == ("exec", False)

    with full_backlog() as port:
        made = [net.event(reach, port) for _ in range(BATCH)]
        wait_until(lambda: {sock.state()[0] for sock in made if sock is not None} == {"terminated"})


# -- clients ------------------------------------------------------------------------------------------------------


def test_clients_come_and_go() -> None:
    def echo(sock: net.Socket) -> None:
        for data in sock:
            sock.write(data)

    def ask(sock: net.Socket, port: int) -> None:
        assert net.connect("127.0.0.1", port) is sock
        sock.write(b"hello")
        answers.append(sock.read())

    for _ in range(ROUNDS):
        answers: list[bytes] = []
        meeting = Meeting(echo)
        for _ in range(BATCH):
            net.event(ask, meeting.port)
        meeting.wait_for(BATCH)
        meeting.over()
        assert answers == [b"hello"] * BATCH


@pytest.mark.parametrize("kills", [False, True])
def test_clients_are_ended_while_they_connect(kills: bool) -> None:
    functions: list[gevent.Greenlet] = []

    def reach(sock: net.Socket, port: int) -> None:
        functions.append(gevent.getcurrent())
        net.connect("127.0.0.1", port)

    with full_backlog() as port:
        made = [net.event(reach, port) for _ in range(BATCH)]
        assert {sock.state() for sock in made if sock is not None} == {("connect", False)}
        if kills:
            gevent.killall(functions, timeout=TIMEOUT)
        else:
            for sock in made:
                assert sock is not None and sock.close()
            gevent.joinall(functions, timeout=TIMEOUT)
    assert {sock.state() for sock in made if sock is not None} == {("terminated", False)}


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for _ in range(BATCH):
        with pytest.raises(GreenbasError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
            net.connect("127.0.0.1", port)


@pytest.mark.parametrize("keep", [False, True])
def test_connections_that_are_forgotten_or_closed_by_a_block(keep: bool) -> None:
    for _ in range(ROUNDS):
        meeting = Meeting(lambda sock: sock.read())
        with contextlib.ExitStack() as block:
            for _ in range(BATCH):
                sock = net.connect("127.0.0.1", meeting.port)
                if keep:
                    block.enter_context(sock)
            meeting.wait_for(BATCH)
        del sock  # the last of them
        meeting.over()


# -- functions ----------------------------------------------------------------------------------------------------


def test_functions_that_hand_on_what_they_have() -> None:
    def first(sock: net.Socket) -> None:
        data = sock.read()
        assert sock.event(second, "s", data)
        assert sock.state() == ("exec", False)

    def second(sock: net.Socket, data: bytes) -> None:
        sock.write(data)
        ended.append(sock.read())

    ended: list[bytes] = []
    for _ in range(ROUNDS):
        meeting = Meeting(first)
        peers = meeting.peers(BATCH)
        for peer in peers:
            peer.send(b"hand on")
        assert [peer.recv(100) for peer in peers] == [b"hand on"] * BATCH
        meeting.over()
        for peer in peers:
            peer.close()
    wait_until(lambda: ended == [b""] * (BATCH * ROUNDS))


def test_functions_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    def fail(sock: net.Socket) -> None:
        sock.read()
        raise ValueError("a mistake")

    meeting = Meeting(fail)
    peers = meeting.peers(BATCH)
    for peer in peers:
        peer.send(b"x")
    assert [peer.recv(1) for peer in peers] == [b""] * BATCH
    meeting.over()
    for peer in peers:
        peer.close()
    assert caplog.messages == ["cosocket Meeting._run failed; its socket is closed"] * BATCH
    caplog.clear()


@pytest.mark.parametrize("resets", [False, True])
def test_what_others_have_queued_leaves_after_the_close(resets: bool) -> None:
    for _ in range(ROUNDS):
        meeting = Meeting(lambda sock: sock.read())
        peers = meeting.peers(BATCH // 10)
        for sock in meeting.sockets:
            assert sock.write(MUCH) > 0
            assert sock.close()
        for peer in peers:
            if resets:
                reset(peer)
            else:
                assert count_bytes(peer) == len(MUCH)
                peer.close()
        meeting.over()


def count_bytes(peer: socket.socket) -> int:
    found = 0
    while data := peer.recv(65536):
        found += len(data)
    return found


def test_datagram_sockets() -> None:
    def receive(sock: net.Socket) -> None:
        opened = net.udpcon(intf="127.0.0.1")
        assert opened is sock
        with pytest.raises(SocketClosed):
            sock.recvfrom()
        ended.append(sock)

    ended: list[net.Socket] = []
    for _ in range(ROUNDS):
        made = [net.event(receive) for _ in range(BATCH)]
        for sock in made:
            assert sock is not None and sock.state() == ("read", True)
            assert sock.close()
    wait_until(lambda: len(ended) == BATCH * ROUNDS)


# -- too many -----------------------------------------------------------------------------------------------------

CROWDED = """
import gevent, resource, sys
from gevent import subprocess
from greenbas import net

def echo(sock):
    for data in sock:
        sock.write(data)

def accept(listener):
    while True:
        listener.accept().event(echo, "s")

listener = net.bind(0, intf="127.0.0.1")
listener.event(accept)
peers = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(listener.sockname()[1])])
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
assert peers.wait() == 0
while net.stat() != (1, 0):
    gevent.sleep(0.01)
listener.close()
"""
PEERS = """
import socket, sys
peers = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) for _ in range(80)]
for peer in peers:
    peer.sendall(b"hello")
for peer in peers:  # those that were taken make room for the others
    assert peer.recv(5) == b"hello"
    peer.close()
"""


def test_descriptors_run_out() -> None:
    command = [sys.executable, "-c", CROWDED, PEERS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search("cannot accept, trying again every 0.1 s: .*Too many open files\n", done.stderr)
