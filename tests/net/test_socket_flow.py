"""Flow control: disable and enable, by oneself and by others."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from connected import pair
from gevent.event import AsyncResult
from gevent.queue import Queue
from leaks import nothing_left
from support import wait_until

from greenbas import net, spawn
from greenbas.errors import IncorrectUse, SocketClosed
from greenbas.net import Socket


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Every test closes what it opens."""
    with nothing_left():
        yield


@pytest.mark.parametrize(("values", "result"), [((), None), ((7,), 7), ((1, "two"), (1, "two")), ((None,), None)])
def test_enable_passes_values_to_disable(values: tuple[Any, ...], result: Any) -> None:
    got: list[Any] = []
    sock = net.event(lambda sock: got.append(sock.disable()))
    assert sock is not None
    assert sock.state() == ("disabled", False)
    assert sock.enable(*values) is False  # it has ended
    assert got == [result]
    assert sock.enable() is None


def test_enable_resumes_inside_of_the_call() -> None:
    order: list[str] = []

    def function(sock: Socket) -> None:
        for _ in range(2):
            order.append(f"got {sock.disable()}")

    sock = net.event(function)
    assert sock is not None
    for number in (1, 2):
        alive = sock.enable(number)
        order.append(f"enabled {alive}")
    assert order == ["got 1", "enabled True", "got 2", "enabled False"]


def test_two_cosockets_take_turns() -> None:
    order: list[str] = []
    done = AsyncResult()

    def ping(sock: Socket) -> None:
        other = net.event(pong, sock)
        for _ in range(3):
            assert other is not None
            other.enable("ping")
            order.append(sock.disable())
        done.set(True)

    def pong(sock: Socket, other: Socket) -> None:
        for _ in range(3):
            order.append(sock.disable())
            spawn(other.enable, "pong")

    net.event(ping)
    assert done.get(timeout=5)
    assert order == ["ping", "pong"] * 3


def test_a_disabled_socket_receives_nothing() -> None:
    got: Queue = Queue()

    def function(sock: Socket) -> None:
        got.put(sock.disable())
        got.put(sock.read())

    with pair() as (sock, peer):
        sock.event(function, "s")
        peer.sendall(b"waits in the kernel")
        gevent.sleep(0.005)
        assert got.empty()
        assert sock.enable("go") is True
        assert [got.get(timeout=5), got.get(timeout=5)] == ["go", b"waits in the kernel"]


def test_the_peers_end_wakes_a_disabled_cosocket() -> None:
    woken = AsyncResult()

    def function(sock: Socket) -> None:
        try:
            sock.disable()
        except SocketClosed as error:
            woken.set(str(error))

    with pair() as (sock, peer):
        sock.event(function, "s")
        peer.close()
        assert woken.get(timeout=5) == "the peer closed the connection while it was disabled"


def test_who_has_read_the_end_can_rest() -> None:
    """Such as one direction of a proxy, which waits for the other."""
    got: list[Any] = []

    def function(sock: Socket) -> None:
        got.append(sock.read())
        got.append(sock.disable())
        sock.write(b"the other direction goes on")

    with pair() as (sock, peer):
        sock.event(function, "s")
        peer.shutdown(socket.SHUT_WR)
        wait_until(lambda: sock.state()[0] == "disabled")
        assert got == [b""]
        sock.enable("go")
        assert got == [b"", "go"]
        assert peer.recv(100) == b"the other direction goes on"


def test_a_close_wakes_a_disabled_cosocket() -> None:
    woken = AsyncResult()

    def function(sock: Socket) -> None:
        try:
            sock.disable()
        except SocketClosed as error:
            woken.set(str(error))

    for connected in (True, False):
        woken = AsyncResult()
        if connected:
            with pair() as (sock, _):
                sock.event(function, "s")
                sock.close()
                assert woken.get(timeout=5) == "the socket was closed while it was disabled"
        else:
            blank = net.event(function)
            assert blank is not None
            blank.close()
            assert woken.get(timeout=5) == "the socket was closed while it was disabled"


def test_others_disable_a_reading_cosocket() -> None:
    got: Queue = Queue()

    def function(sock: Socket) -> None:
        while data := sock.read():
            got.put(data)

    with pair() as (sock, peer):
        sock.event(function, "s")
        assert sock.disable() is None
        assert sock.state() == ("disabled", True)
        peer.sendall(b"later")
        gevent.sleep(0.005)
        assert got.empty()
        assert sock.enable() is True
        assert got.get(timeout=5) == b"later"
        assert sock.enable() is None


@pytest.mark.parametrize("doing", ["writes", "reads with a time-out", "rests", "nothing"])
def test_when_others_cannot_disable(doing: str) -> None:
    def function(sock: Socket) -> None:
        if doing == "writes":
            sock.write(bytes(8 * 1024 * 1024))
        elif doing == "rests":
            sock.disable()
        elif doing != "nothing":
            with contextlib.suppress(SocketClosed):
                sock.read(60)

    with pair() as (sock, _):
        sock.event(function, "s")
        with pytest.raises(IncorrectUse, match="only while it waits in read"):
            sock.disable()
        if doing == "rests":
            sock.enable()
        if sock._out is not None:
            sock._out.stop(SocketClosed("over"))


def test_a_closed_cosocket_cannot_rest() -> None:
    failed = AsyncResult()

    def function(sock: Socket) -> None:
        sock.close()
        try:
            sock.disable()
        except IncorrectUse as error:
            failed.set(str(error))

    with pair() as (sock, _):
        sock.event(function, "s")
        assert failed.get(timeout=5).startswith("a cosocket whose connection is closed cannot be disabled")


def test_a_killed_sleeper_is_not_woken_again() -> None:
    sock = net.event(lambda sock: sock.disable())
    assert sock is not None
    coroutine = sock._coroutine
    assert coroutine is not None
    coroutine.kill()
    wait_until(lambda: coroutine.dead)
    assert sock.enable() is None
    assert sock.state() == ("terminated", False)


def test_a_non_connected_cosocket_writes_to_a_connected_one() -> None:
    with pair() as (sock, peer):
        sock.event(lambda sock: sock.read(), "s")
        net.event(lambda mine: sock.write(b"from the other"))
        assert peer.recv(100) == b"from the other"
