"""What else the module socket has: try and protect, sources and sinks, names of hosts, time, constants."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from luapeers import read_all, server, tcp_pair

from greenbas import luasocket
from greenbas.errors import CannotResolve, TimedOut
from greenbas.luasocket import socket
from greenbas.net import resolver

# try, newtry, protect, skip.


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ((1,), 1),
        ((0,), 0),  # true in Lua
        ((b"",), b""),
        ((1, "err"), (1, "err")),
        (((b"data", None, None),), (b"data", None, None)),
        ((True, 2, 3), (True, 2, 3)),
    ],
)
def test_try_lets_success_pass(values: tuple[Any, ...], result: Any) -> None:
    assert socket.try_(*values) == result
    assert getattr(socket, "try")(*values) == result


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ((None, "err"), "err"),
        (((None, "err", b"partial"),), "err"),
        ((False, "no"), "no"),
        ((None,), None),
        ((), None),
        (((),), None),
    ],
)
def test_try_raises_what_protect_catches(values: tuple[Any, ...], error: Any) -> None:
    with pytest.raises(socket.Wrapped) as caught:
        socket.try_(*values)
    assert caught.value.error == error
    assert socket.protect(lambda: socket.try_(*values))() == (None, error)


def test_protect_lets_the_rest_pass() -> None:
    assert socket.protect(lambda *args, **named: (args, named))(1, 2, a=3) == ((1, 2), {"a": 3})
    with pytest.raises(ZeroDivisionError):
        socket.protect(lambda: 1 / 0)()
    inner = socket.protect(lambda: socket.try_(None, "inner"))
    assert socket.protect(lambda: socket.try_(inner()))() == (None, "inner")


def test_the_finalizer_runs_before_the_unwinding() -> None:
    order: list[str] = []

    def finalizer() -> None:
        order.append("finalizer")
        raise ValueError("is dropped")

    @socket.protect
    def work() -> None:
        try:
            socket.newtry(finalizer)(None, {"any": "value"})
        finally:
            order.append("unwound")

    assert work() == (None, {"any": "value"})
    assert order == ["finalizer", "unwound"]
    assert socket.newtry(finalizer)(1) == 1
    assert order == ["finalizer", "unwound"]


def test_protect_in_greenlets_that_take_turns() -> None:
    def work(number: int) -> Any:
        gevent.sleep(0.001 * (number % 3))
        return socket.try_(None, number) if number % 2 else number

    jobs = [gevent.spawn(socket.protect(work), number) for number in range(10)]
    assert [job.get() for job in jobs] == [(None, number) if number % 2 else number for number in range(10)]


def test_skip() -> None:
    assert socket.skip(1, "a", "b", "c") == ("b", "c")
    assert socket.skip(1, (None, "err", b"partial")) == ("err", b"partial")
    assert socket.skip(5, 1, 2) == ()
    assert socket.skip(0) == ()


# Sources and sinks.


def drain(source: Any) -> list[tuple[Any, Any]]:
    found = [source()]
    while found[-1][0] is not None:
        found.append(source())
    return found


def test_a_source_until_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "BLOCKSIZE", 4)
    for name in (("until-closed",), ("default",), ()):
        with tcp_pair() as (client, peer):
            peer.sendall(b"0123456789")
            peer.close()
            source = socket.source(*name, client)
            assert source.getfd() == client.getfd()
            assert drain(source) == [(b"0123", None), (b"4567", None), (b"89", None), (None, None)]
            assert source() == (None, None)
            assert client.getfd() == -1  # it has closed the socket


def test_a_source_by_length() -> None:
    with tcp_pair() as (client, peer):
        data = bytes(range(256)) * 20
        peer.sendall(data + b"more")
        source = socket.source("by-length", client, len(data))
        chunks = [chunk for chunk, _ in drain(source)[:-1]]
        assert b"".join(chunks) == data
        assert {len(chunk) for chunk in chunks[:-1]} == {2048}
        assert source() == (None, None)
        assert source.dirty() == client.dirty()
        peer.close()
        assert drain(socket.source("by-length", client, "10")) == [(None, "closed")]
    with pytest.raises(TypeError, match="bad argument #3 to 'source'"):
        socket.source("by-length", client)


def test_a_source_that_fails() -> None:
    with tcp_pair() as (client, _):
        client.settimeout(0.01)
        assert socket.source("until-closed", client)() == (None, "timeout")
        assert client.getfd() >= 0


@pytest.mark.parametrize(
    ("name", "closes"), [("close-when-done", True), ("keep-open", False), ("default", False), (None, False)]
)
def test_sinks(name: str | None, closes: bool) -> None:
    with tcp_pair() as (client, peer):
        sink = socket.sink(name, client) if name else socket.sink(client)
        assert sink.getfd() == client.getfd()
        assert not sink.dirty()
        assert sink(b"data") == (1, None)
        assert sink(None) == (1, None)
        assert (client.getfd() == -1) == closes
        client.close()
        assert read_all(peer) == b"data"
        assert sink(b"more") == (None, "closed")


def test_unknown_names() -> None:
    for call in (socket.source, socket.sink):
        with pytest.raises(ValueError, match=r"unknown key \(foo\)"):
            call("foo", None)


def test_sources_and_sinks_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(socket.sourcet, "twice", lambda sock, length=None: (sock, length))
    monkeypatch.setitem(socket.sinkt, "twice", lambda sock: (sock, sock))
    assert socket.source("twice", 1, 2) == (1, 2)
    assert socket.source("twice", 1) == (1, None)
    assert socket.sink("twice", 3) == (3, 3)
    chosen = socket.choose({"default": lambda *values: values})
    assert chosen(5, 6) == (5, 6)
    assert chosen("default", 7) == (7,)


# Names of hosts.


def test_names_and_addresses() -> None:
    address, found = socket.dns.toip("localhost")
    assert address == "127.0.0.1"
    assert set(found) == {"name", "alias", "ip"}
    assert "127.0.0.1" in found["ip"]
    name, found = socket.dns.tohostname("127.0.0.1")
    assert name == found["name"]
    assert {"family": "inet", "addr": "127.0.0.1"} in socket.dns.getaddrinfo("localhost")[0]
    assert socket.dns.getaddrinfo("::1") == ([{"family": "inet6", "addr": "::1"}], None)
    assert socket.dns.getnameinfo("127.0.0.1", 80) == ([name], "http")
    assert socket.dns.getnameinfo("127.0.0.1") == ([name], None)
    assert socket.dns.getnameinfo(None, "80")[1] == "http"
    assert isinstance(socket.dns.gethostname()[0], str)


@pytest.mark.parametrize("host", ["no.such.name.invalid", "a" * 300, "two words"])
def test_names_of_nobody(host: str) -> None:
    assert socket.dns.toip(host) == (None, "host not found")
    assert socket.dns.tohostname(host) == (None, "host not found")
    unknown = (None, "host or service not provided, or not known")
    assert socket.dns.getaddrinfo(host) == unknown
    assert socket.dns.getnameinfo(host) == unknown


def test_wrong_arguments_for_names() -> None:
    with pytest.raises(TypeError, match=r"bad argument #1 to 'toip' \(string expected, got nil\)"):
        socket.dns.toip(None)
    with pytest.raises(TypeError, match="host and serv cannot be both nil"):
        socket.dns.getnameinfo()


def slow_look_up(*arguments: Any, **options: Any) -> list[Any]:
    """A dead name server."""
    timeout = options.get("timeout")
    gevent.sleep(60 if timeout is None else timeout)
    raise TimedOut("no answer") if timeout is not None else CannotResolve("no server")


def test_time_outs_cover_the_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from greenbas.luasocket import addresses

    monkeypatch.setattr(addresses, "resolve", slow_look_up)
    for mode in ("b", "t"):
        tcp = socket.tcp()
        tcp.settimeout(0.05, mode)
        assert tcp.connect("a.dead.server.invalid", 80) == (None, "timeout")
        assert tcp.class_ == "tcp{client}"
    assert resolver.resolve is not slow_look_up


def test_a_look_up_can_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    from greenbas.luasocket import addresses

    monkeypatch.setattr(addresses, "resolve", slow_look_up)
    tcp = socket.tcp()
    connecting = gevent.spawn(tcp.connect, "a.dead.server.invalid", 80)
    gevent.sleep(0)
    connecting.kill()
    monkeypatch.undo()
    with server() as (_, port):
        assert tcp.connect("127.0.0.1", port) == (1, None)
    tcp.close()


# The rest.


def test_time() -> None:
    before = time.time()
    assert before <= socket.gettime() <= time.time() + 1
    assert socket.sleep(-1) is None
    assert socket.sleep("0.001") is None
    others: list[int] = []
    gevent.spawn(others.append, 1)
    socket.sleep(0)
    assert others == [1]
    with pytest.raises(TypeError, match=r"bad argument #1 to 'sleep' \(number expected, got string\)"):
        socket.sleep("a while")


def test_constants() -> None:
    assert socket._VERSION.startswith("LuaSocket 3.")
    assert (socket.BLOCKSIZE, socket._SETSIZE, socket._DATAGRAMSIZE) == (2048, 1024, 8192)
    assert luasocket.socket is socket
    assert luasocket.unix.stream
