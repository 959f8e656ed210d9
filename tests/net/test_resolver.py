"""Look-ups of names: they hold up nobody, and end in time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import monkey
from support import wait_until

from greenbas import net, offload, spawn
from greenbas.errors import CannotResolve, TimedOut
from greenbas.net import resolver

native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")


class DeadServer:
    """A resolver that does not answer until it is released."""

    def __init__(self) -> None:
        self.released = False
        self.asked: list[str] = []

    def __call__(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> list[Any]:
        if flags & socket.AI_NUMERICHOST and host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        if host != "127.0.0.1":
            self.asked.append(host)
            while not self.released:
                native_sleep(0.005)
        return [(socket.AF_INET, kind, 6, "", ("127.0.0.1", int(port)))]


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadServer]:
    """No look-up ends until the test lets it."""
    server = DeadServer()
    monkeypatch.setattr(resolver, "_getaddrinfo", server)
    yield server
    server.released = True
    wait_until(lambda: not resolver._pending)
    wait_until(lambda: resolver._threads.pending == 0)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("127.0.0.1", 80, ("127.0.0.1", 80)),
        ("::1", 80, ("::1", 80, 0, 0)),
        ("127.0.0.1", "80", ("127.0.0.1", 80)),
        ("127.0.0.1", "http", ("127.0.0.1", 80)),
    ],
)
def test_addresses_need_no_look_up(host: str, port: int | str, expected: tuple[Any, ...]) -> None:
    assert net.resolve(host, port)[0][4] == expected


def test_names() -> None:
    assert ("127.0.0.1", 7) in [entry[4][:2] for entry in net.resolve("localhost", 7)]
    assert net.toip("localhost") == "127.0.0.1"
    assert net.toip("::1", ipv6=True) == "::1"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nosuch.invalid", "cannot resolve 'nosuch.invalid'"),
        ("x" * 64 + ".example", "it can be no host name"),
        ("a..b", "it can be no host name"),
    ],
)
def test_names_that_cannot_be_resolved(host: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CannotResolve, match=words) as info:
        net.resolve(host, 80)
    assert info.value.code == "cannotresolve"
    assert capfd.readouterr().err == ""


def test_an_address_of_the_other_family() -> None:
    with pytest.raises(CannotResolve):
        net.toip("127.0.0.1", ipv6=True)


def test_a_dead_name_server_holds_up_nobody_else(dead: DeadServer) -> None:
    ended: list[str] = []

    def look_up(name: str) -> None:
        try:
            net.resolve(name, 80, timeout=0.2)
        except TimedOut as error:
            ended.append(str(error))

    waiters = [spawn(look_up, f"name{number}") for number in range(40)]
    assert net.resolve("127.0.0.1", 80)  # an address goes past them
    assert offload(lambda: 7) == 7  # and so do other native threads
    gevent.joinall(waiters, timeout=5)
    assert sorted(ended)[0] == "cannot resolve 'name0': no answer for 0.2 s"
    assert len(ended) == 40
    assert len(dead.asked) <= resolver.RESOLVER_THREADS


def test_the_connect_time_out_covers_the_look_up(dead: DeadServer) -> None:
    with pytest.raises(TimedOut, match=r"cannot resolve 'slow': no answer for 0\.05 s"):
        net.connect("slow", 80, timeout=0.05)


def test_one_name_is_looked_up_once_at_a_time(dead: DeadServer) -> None:
    waiters = [spawn(net.resolve, "same", 80) for _ in range(50)]
    wait_until(lambda: dead.asked)
    dead.released = True
    found = [waiter.get(timeout=5) for waiter in waiters]
    assert dead.asked == ["same"]
    assert {entry[0][4] for entry in found} == {("127.0.0.1", 80)}


def test_a_killed_waiter_leaves_the_others_theirs(dead: DeadServer) -> None:
    first, second = (spawn(net.resolve, "same", 80) for _ in range(2))
    wait_until(lambda: dead.asked)
    first.kill()
    dead.released = True
    assert second.get(timeout=5)[0][4] == ("127.0.0.1", 80)


def test_a_look_up_in_a_native_thread() -> None:
    assert offload(net.toip, "localhost") == "127.0.0.1"
