"""UDP objects, and Unix sockets of both kinds. Facts checked against LuaSocket."""

from __future__ import annotations

import socket as native
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from luapeers import SECONDS, dead_port
from support import wait_until

from greenbas.luasocket import socket, unix


@pytest.fixture
def peer() -> Iterator[native.socket]:
    with native.socket(native.AF_INET, native.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(SECONDS)
        yield made


@pytest.fixture
def udp() -> Iterator[Any]:
    made = socket.udp()
    made.settimeout(SECONDS)
    yield made
    made.close()


def test_an_unborn_object(udp: Any) -> None:
    assert udp.class_ == getattr(udp, "class") == "udp{unconnected}"
    assert udp.getfd() == -1
    assert udp.setoption("broadcast", True) == (None, "setsockopt failed")
    assert udp.getsockname() == (None, "Bad file descriptor", None)
    assert udp.receive() == (None, "closed")
    assert udp.receivefrom() == (None, "closed", None)
    assert not udp.dirty()
    for name in ("bind", "connect", "shutdown", "getstats", "listen", "accept"):
        assert not hasattr(udp, name)


def test_connected(udp: Any, peer: native.socket) -> None:
    host, port = peer.getsockname()
    assert udp.setpeername(host, port) == (1, None)
    assert udp.class_ == "udp{connected}"
    assert udp.getpeername() == (host, port, "inet")
    assert udp.send(b"hello") == (5, None)
    data, source = peer.recvfrom(100)
    assert (data, source) == (b"hello", udp.getsockname()[:2])
    for datagram in (b"answer", b"", b"x" * 20_000):
        peer.sendto(datagram, source)
    assert udp.receive() == (b"answer", None)
    assert udp.receive() == (b"", None)  # an empty datagram is no end
    assert udp.receive(20_000) == (b"x" * 20_000, None)
    assert udp.send(b"") == (0, None)
    assert peer.recvfrom(100)[0] == b""
    assert udp.setpeername("*") == (1, None)
    assert udp.class_ == "udp{unconnected}"
    assert udp.sendto(b"free", host, port) == (4, None)
    assert peer.recvfrom(100)[0] == b"free"


def test_a_connected_one_hears_nobody_else(udp: Any, peer: native.socket) -> None:
    with native.socket(native.AF_INET, native.SOCK_DGRAM) as stranger:
        udp.setsockname("127.0.0.1", 0)
        udp.setpeername(*peer.getsockname())
        place = udp.getsockname()[:2]
        stranger.sendto(b"stranger", place)
        peer.sendto(b"peer", place)
        assert udp.receive() == (b"peer", None)
        udp.setpeername("*")
        stranger.sendto(b"stranger", place)
        assert udp.receive() == (b"stranger", None)


def test_unconnected(udp: Any, peer: native.socket) -> None:
    host, port = peer.getsockname()
    assert udp.setsockname("*", 0) == (1, None)
    assert udp.getsockname()[0] == "0.0.0.0"
    assert udp.sendto("text", host, str(port)) == (4, None)
    data, source = peer.recvfrom(100)
    assert data == b"text"
    peer.sendto(b"0123456789", source)
    peer.sendto(b"next", source)
    assert udp.receivefrom(4) == (b"0123", host, port)  # the rest is lost
    assert udp.receive() == (b"next", None)
    peer.sendto(b"gone", source)
    assert udp.receive(0) == (b"", None)
    udp.settimeout(0.02)
    assert udp.receive() == (None, "timeout")
    assert udp.receivefrom() == (None, "timeout", None)
    udp.settimeout(0)
    assert udp.receive() == (None, "timeout")


def test_sending_makes_the_socket(udp: Any, peer: native.socket) -> None:
    assert udp.sendto(b"x", "localhost", 7)[0] is None  # no names here
    assert udp.sendto(b"x", "127.0.0.1", "domain")[0] is None
    assert udp.getfd() == -1
    assert udp.sendto(b"x", *peer.getsockname()) == (1, None)
    assert udp.getfd() >= 0
    assert udp.sendto(b"x", "::1", 7)[0] is None  # it has a family now
    assert udp.getfamily() == "inet4"


def test_wrong_class(udp: Any, peer: native.socket) -> None:
    for call in (lambda: udp.send(b"x"), udp.getpeername):
        with pytest.raises(TypeError, match=r"udp\{connected\} expected, got udp\{unconnected\}"):
            call()
    udp.setpeername(*peer.getsockname())
    for call in (lambda: udp.sendto(b"x", "127.0.0.1", 1), udp.receivefrom, lambda: udp.setsockname("*", 0)):
        with pytest.raises(TypeError, match=r"udp\{unconnected\} expected, got udp\{connected\}"):
            call()


@pytest.mark.parametrize(
    ("method", "arguments", "error", "words"),
    [
        ("sendto", (None, "127.0.0.1", 1), TypeError, "bad argument #1 to 'sendto' (string expected, got nil)"),
        ("sendto", (b"x", None, 1), TypeError, "bad argument #2 to 'sendto' (string expected, got nil)"),
        ("setpeername", ("127.0.0.1",), TypeError, "bad argument #2 to 'setpeername' (string expected, got nil)"),
        ("receive", ("x",), TypeError, "bad argument #1 to 'receive' (number expected, got string)"),
        ("receivefrom", (-1,), ValueError, "bad argument #1 to 'receivefrom' (invalid size)"),
    ],
)
def test_wrong_arguments(udp: Any, method: str, arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        getattr(udp, method)(*arguments)
    assert str(caught.value) == words


def test_nobody_there(udp: Any) -> None:
    udp.setpeername("127.0.0.1", dead_port())
    udp.send(b"x")
    assert udp.receive() == (None, "connection refused")
    assert udp.setpeername("no.such.name.invalid", 1) == (None, "host or service not provided, or not known")
    assert udp.class_ == "udp{connected}"


def test_closed(udp: Any, peer: native.socket) -> None:
    udp.setpeername(*peer.getsockname())
    assert udp.close() == 1
    assert udp.send(b"x") == (None, "refused")
    assert udp.receive() == (None, "closed")


def test_too_long(udp: Any, peer: native.socket) -> None:
    assert udp.sendto(bytes(70_000), *peer.getsockname()) == (None, "Message too long")


def test_waiting_for_a_datagram(udp: Any, peer: native.socket) -> None:
    udp.setsockname("127.0.0.1", 0)
    waiting = gevent.spawn(udp.receivefrom)
    gevent.sleep(0)
    peer.sendto(b"late", udp.getsockname()[:2])
    assert waiting.get(timeout=SECONDS) == (b"late", *peer.getsockname())


def test_ipv6() -> None:
    with native.socket(native.AF_INET6, native.SOCK_DGRAM) as peer:
        try:
            peer.bind(("::1", 0))
        except OSError:
            pytest.skip("needs IPv6 on the loopback interface")
        peer.settimeout(SECONDS)
        port = peer.getsockname()[1]
        udp, err = socket.udp6()
        assert err is None
        udp.settimeout(SECONDS)
        assert udp.sendto(b"six", "::1", port) == (3, None)
        peer.sendto(b"answer", peer.recvfrom(10)[1])
        assert udp.receivefrom() == (b"answer", "::1", port)
        assert udp.getfamily() == "inet6"
        udp.close()


def test_multicast_on_the_loopback_interface() -> None:
    group = {"multiaddr": "239.255.7.7", "interface": "127.0.0.1"}
    listening, speaking = socket.udp4()[0], socket.udp4()[0]
    listening.settimeout(SECONDS)
    assert listening.setsockname("*", 0) == (1, None)
    assert listening.setoption("ip-add-membership", group) == (1, None)
    assert speaking.setoption("ip-multicast-if", "127.0.0.1") == (1, None)
    assert speaking.setoption("ip-multicast-loop", True) == (1, None)
    assert speaking.setoption("ip-multicast-ttl", 1) == (1, None)
    port = listening.getsockname()[1]
    assert speaking.sendto(b"to all", "239.255.7.7", port) == (6, None)
    assert listening.receive() == (b"to all", None)
    assert listening.setoption("ip-drop-membership", group) == (1, None)
    assert listening.setoption("ip-drop-membership", group) == (None, "setsockopt failed")
    speaking.sendto(b"to all", "239.255.7.7", port)
    speaking.sendto(b"to one", "127.0.0.1", port)
    assert listening.receive() == (b"to one", None)
    for sock in (listening, speaking):
        sock.close()


# Unix sockets.


def test_a_unix_stream(tmp_path: Path) -> None:
    path = str(tmp_path / "stream")
    server = unix.stream()
    assert server.class_ == "unixstream{master}"
    assert unix().class_ == unix.tcp().class_ == "unixstream{master}"  # the module itself is a function too
    assert server.bind(path) == (1, None)
    assert server.listen() == (1, None)
    assert server.class_ == "unixstream{server}"
    assert server.getsockname() == (path, None)
    server.settimeout(0)
    assert server.accept() == (None, "timeout")
    client = unix.stream()
    assert client.connect(path) == (1, None)
    assert client.class_ == "unixstream{client}"
    server.settimeout(SECONDS)
    accepted, err = server.accept()
    assert (err, accepted.class_, accepted.getsockname()) == (None, "unixstream{client}", (path, None))
    assert client.getpeername() == (path, None)
    assert client.getsockname() == accepted.getpeername() == ("", None)
    client.send(b"line\nrest")
    client.shutdown("send")
    assert accepted.receive() == (b"line", None, None)
    assert accepted.dirty()
    assert accepted.receive("*a") == (b"rest", None, None)
    assert accepted.getstats()[:2] == (9, 0)
    assert client.setoption("keepalive", True) == (1, None)
    with pytest.raises(ValueError, match="unsupported option `tcp-nodelay'"):
        client.setoption("tcp-nodelay", True)
    with pytest.raises(TypeError, match=r"unixstream\{master\} expected, got unixstream\{client\}"):
        client.connect(path)
    for sock in (server, client, accepted):
        sock.close()


def test_a_failed_unix_connect_keeps_the_class(tmp_path: Path) -> None:
    path = str(tmp_path / "late")
    client = unix.stream()
    assert client.connect(path) == (None, "No such file or directory")
    assert client.class_ == "unixstream{master}"
    with native.socket(native.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert client.connect(path) == (1, None)
    client.close()


def test_unix_datagrams(tmp_path: Path) -> None:
    path, own = str(tmp_path / "one"), str(tmp_path / "two")
    one, two = unix.dgram(), unix.udp()
    one.settimeout(SECONDS)
    assert one.class_ == "unixdgram{unconnected}"
    assert one.bind(path) == (1, None)
    assert two.sendto(b"unbound", path) == (7, None)
    assert one.receivefrom() == (b"unbound", "", None)
    assert two.setsockname(own) == (1, None)
    assert two.sendto(b"", path) == (0, None)
    assert one.receivefrom() == (b"", own, None)
    assert two.connect(path) == (1, None)
    assert two.class_ == "unixdgram{connected}"
    assert two.send(b"0123456789") == (10, None)
    assert one.receive(3) == (b"012", None)
    with pytest.raises(TypeError, match=r"unixdgram\{unconnected\} expected"):
        two.sendto(b"x", path)
    assert two.connect("*") == (1, None)
    assert two.sendto(b"x", str(tmp_path / "none")) == (None, "No such file or directory")
    one.settimeout(0)
    wait_until(lambda: one.receive() == (None, "timeout"))
    one.close()
    assert one.receive() == (None, "closed")
    two.close()


def test_paths_have_a_limit() -> None:
    long = "x" * 108
    for call in (unix.stream().bind, unix.stream().connect, unix.dgram().bind, unix.dgram().connect):
        assert call(long) == (None, "path too long")
    assert unix.dgram().sendto(b"x", long) == (None, "path too long")
