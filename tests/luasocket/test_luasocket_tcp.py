"""TCP objects: their classes, birth, connecting and accepting, time-outs, names. Facts checked against LuaSocket."""

from __future__ import annotations

import socket as native
from typing import Any

import gevent
import pytest
from luapeers import dead_port, server, tcp_pair

from greenbas import net
from greenbas.errors import GreenbasError
from greenbas.luasocket import socket

BAD = (None, "Bad file descriptor", None)


def test_an_unborn_object() -> None:
    tcp = socket.tcp()
    assert tcp.getfd() == -1
    assert tcp.setoption("keepalive", True) == (None, "setsockopt failed")
    assert tcp.getoption("keepalive") == (None, "getsockopt failed")
    assert tcp.getoption("error") == (None, "getsockopt failed")
    assert tcp.getsockname() == BAD
    assert tcp.getpeername() == BAD
    assert tcp.listen() == (None, "Bad file descriptor")
    assert tcp.getfamily() == "inet4"
    assert tcp.close() == 1
    assert not tcp.dirty()


def test_classes() -> None:
    with server() as (listening, port):
        tcp = socket.tcp()
        assert tcp.class_ == getattr(tcp, "class") == "tcp{master}"
        assert str(tcp).startswith("tcp{master}: 0x")
        assert listening.class_ == "tcp{server}"
        assert tcp.connect("127.0.0.1", port) == (1, None)
        accepted, err = listening.accept()
        assert (tcp.class_, accepted.class_, err) == ("tcp{client}", "tcp{client}", None)
        assert accepted.gettimeout() == (-1, -1)  # not those of the server
        for sock in (tcp, accepted):
            sock.close()
        assert tcp.class_ == "tcp{client}"
    failed = socket.tcp()
    assert failed.connect("127.0.0.1", dead_port())[0] is None
    assert failed.class_ == "tcp{client}"


MASTER, CLIENT, SERVER = "tcp{master}", "tcp{client}", "tcp{server}"
WRONG: list[tuple[str, str, str, tuple[Any, ...]]] = [
    (MASTER, "send", CLIENT, (b"x",)),
    (MASTER, "receive", CLIENT, ()),
    (MASTER, "accept", SERVER, ()),
    (MASTER, "shutdown", CLIENT, ()),
    (MASTER, "getstats", CLIENT, ()),
    (MASTER, "setstats", CLIENT, ()),
    (MASTER, "upgrade", CLIENT, ()),
    (MASTER, "dohandshake", CLIENT, ()),
    (CLIENT, "accept", SERVER, ()),
    (CLIENT, "listen", MASTER, ()),
    (CLIENT, "bind", MASTER, ("127.0.0.1", 0)),
    (CLIENT, "setsockname", MASTER, ("127.0.0.1", 0)),
    (SERVER, "send", CLIENT, (b"x",)),
    (SERVER, "receive", CLIENT, ()),
    (SERVER, "listen", MASTER, ()),
    (SERVER, "bind", MASTER, ("127.0.0.1", 0)),
]


@pytest.mark.parametrize(("state", "method", "wanted", "arguments"), WRONG)
def test_calls_on_the_wrong_class(state: str, method: str, wanted: str, arguments: tuple[Any, ...]) -> None:
    with server() as (listening, port):
        client = socket.connect("127.0.0.1", port)[0]
        objects = {MASTER: socket.tcp(), CLIENT: client, SERVER: listening}
        with pytest.raises(TypeError) as caught:
            getattr(objects[state], method)(*arguments)
    function = "bind" if method == "setsockname" else method
    assert str(caught.value) == f"calling '{function}' on bad self ({wanted} expected, got {state})"
    client.close()


@pytest.mark.parametrize(
    ("method", "arguments", "error", "words"),
    [
        ("bind", (None, 1), TypeError, "bad argument #1 to 'bind' (string expected, got nil)"),
        ("bind", ("127.0.0.1", None), TypeError, "bad argument #2 to 'bind' (string expected, got nil)"),
        ("bind", ("127.0.0.1", True), TypeError, "bad argument #2 to 'bind' (string expected, got boolean)"),
        ("connect", ({}, 1), TypeError, "bad argument #1 to 'connect' (string expected, got table)"),
        ("connect", ("127.0.0.1",), TypeError, "bad argument #2 to 'connect' (string expected, got nil)"),
        ("settimeout", ("a",), TypeError, "bad argument #1 to 'settimeout' (number expected, got string)"),
        ("settimeout", (1, "x"), ValueError, "bad argument #2 to 'settimeout' (invalid timeout mode)"),
        ("settimeout", (1, 1), ValueError, "bad argument #2 to 'settimeout' (invalid timeout mode)"),
        ("listen", ("many",), TypeError, "bad argument #1 to 'listen' (number expected, got string)"),
        ("setfd", ("x",), TypeError, "bad argument #1 to 'setfd' (number expected, got string)"),
    ],
)
def test_wrong_arguments(method: str, arguments: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        getattr(socket.tcp(), method)(*arguments)
    assert str(caught.value) == words


def test_time_outs_are_kept() -> None:
    tcp = socket.tcp()
    assert tcp.gettimeout() == (-1, -1)
    assert tcp.settimeout("2") == 1
    assert tcp.gettimeout() == (2, -1)
    assert tcp.settimeout(3, "total") == 1
    assert tcp.gettimeout() == (2, 3)
    tcp.settimeout(None, "realtime")
    tcp.settimeout(-5, "block")
    assert tcp.gettimeout() == (-1, -1)
    assert [type(value) for value in tcp.gettimeout()] == [float, float]


# Connecting.


def test_the_poll_idiom_of_connect() -> None:
    with native.create_server(("127.0.0.1", 0)) as listening:
        tcp = socket.tcp()
        tcp.settimeout(0)
        done = tcp.connect("127.0.0.1", listening.getsockname()[1])
        assert done == (None, "timeout")
        assert tcp.class_ == "tcp{client}"
        assert socket.select(None, [tcp], 5)[1] == [tcp]
        assert tcp.getoption("error") == (None, None)
        port = listening.getsockname()[1]
        assert tcp.connect("127.0.0.1", port) == (1, None)
        assert tcp.connect("127.0.0.1", port) == (None, "already connected")
        tcp.settimeout(5)
        assert tcp.send(b"x") == (1, None, None)
        tcp.close()


def test_the_poll_idiom_with_nobody_there() -> None:
    tcp = socket.tcp()
    tcp.settimeout(0)
    port = dead_port()
    assert tcp.connect("127.0.0.1", port) == (None, "timeout")
    assert socket.select(None, [tcp], 5)[1] == [tcp]
    assert tcp.getoption("error") == ("connection refused", None)
    assert tcp.getoption("error") == (None, None)  # asking has reset it
    tcp.close()


def test_connecting_again_after_a_refusal() -> None:
    tcp, port = socket.tcp(), dead_port()
    refused = tcp.connect("127.0.0.1", port)
    assert refused == (None, "connection refused")
    assert refused[1].code == "cannotconnect"
    assert refused[1].detail == f"connect tcp{{master}} (peer 127.0.0.1:{port}): connection refused"
    with native.create_server(("127.0.0.1", port)):
        assert tcp.connect("127.0.0.1", port) == (1, None)
    tcp.close()


def test_a_closed_object_can_be_used_again() -> None:
    with server() as (_, port):
        tcp = socket.connect("127.0.0.1", port)[0]
        tcp.close()
        assert tcp.getfd() == -1
        assert tcp.getsockname() == BAD
        assert tcp.connect("127.0.0.1", port) == (1, None)
        tcp.close()


def test_a_connect_that_nobody_answers_times_out() -> None:
    # A full backlog: the kernel drops what comes on top.
    with native.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = listening.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = native.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        for mode in ("b", "t"):
            tcp = socket.tcp()
            tcp.settimeout(0.05, mode)
            assert tcp.connect("127.0.0.1", port) == (None, "timeout")
            tcp.close()
        for filler in fillers:
            filler.close()


def test_ports_and_hosts_may_be_words_and_numbers() -> None:
    with server() as (_, port):
        for host in ("localhost", b"127.0.0.1"):
            for shown in (port, str(port), float(port), str(port).encode()):
                client, err = socket.connect(host, int(shown) if isinstance(shown, float) else shown)
                assert err is None
                client.close()


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("no.such.name.invalid", 80, "host or service not provided, or not known"),
        ("a" * 70 + ".test", 80, "host or service not provided, or not known"),
        ("127.0.0.1", "nosuchservice", "service not supported for socket type"),
    ],
)
def test_names_that_do_not_exist(host: str, port: Any, words: str) -> None:
    tried = [socket.connect(host, port), socket.bind(host, port), socket.tcp().connect(host, port)]
    assert tried == [(None, words)] * 3
    assert socket.tcp().bind(host, port) == (None, words)


def test_the_own_address_can_be_chosen() -> None:
    with server() as (listening, port):
        client, err = socket.connect("127.0.0.1", port, "127.0.0.1", 0, "inet")
        assert err is None
        accepted, _ = listening.accept()
        assert accepted.getpeername() == client.getsockname()
        assert client.getpeername() == ("127.0.0.1", port, "inet")
        for sock in (client, accepted):
            sock.close()
        assert socket.connect("127.0.0.1", port, "192.0.2.1", 0) == (None, "Cannot assign requested address")
    tcp = socket.tcp()
    assert tcp.bind("127.0.0.1", 0) == (1, None)
    assert tcp.getsockname()[0] == "127.0.0.1"
    tcp.close()


def test_the_family_is_honoured() -> None:
    with server() as (_, port):
        assert socket.connect6("127.0.0.1", port)[0] is None
        client, err = socket.connect4("localhost", port)
        assert (err, client.getfamily()) == (None, "inet4")
        client.close()
        assert socket.connect("127.0.0.1", port, None, None, "inet6")[0] is None
        with pytest.raises(ValueError, match=r"bad argument #5 to 'connect' \(invalid option 'foo'\)"):
            socket.connect("127.0.0.1", port, None, None, "foo")


def needs_ipv6() -> None:
    try:
        with native.socket(native.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("needs IPv6 on the loopback interface")


def test_ipv6() -> None:
    needs_ipv6()
    listening, err = socket.bind("::1", 0)
    assert err is None
    host, port, family = listening.getsockname()
    assert (host, family, listening.getfamily()) == ("::1", "inet6", "inet6")
    for client, failed in (socket.connect("::1", port), socket.connect6("::1", port)):
        assert failed is None
        assert client.getpeername() == ("::1", port, "inet6")
        client.close()
    assert socket.connect4("::1", port)[0] is None
    listening.close()
    for made, _ in (socket.tcp6(), socket.udp6()):
        assert made.getfd() >= 0
        with native.socket(fileno=native.dup(made.getfd())) as copy:
            assert copy.getsockopt(native.IPPROTO_IPV6, native.IPV6_V6ONLY)
        made.close()


# Listening.


def test_bind_and_listen_step_by_step() -> None:
    tcp, err = socket.tcp4()
    assert (err, tcp.class_) == (None, "tcp{master}")
    assert tcp.getfd() >= 0
    assert tcp.setoption("reuseaddr", True) == (1, None)
    assert tcp.bind("*", 0) == (1, None)
    assert tcp.listen(5) == (1, None)
    host, port, family = tcp.getsockname()
    assert (host, family) == ("0.0.0.0", "inet")
    assert tcp.getpeername() == (None, "Transport endpoint is not connected", None)
    with native.create_connection(("127.0.0.1", port)):
        tcp.settimeout(5)
        accepted, err = tcp.accept()
        assert err is None
        accepted.close()
    tcp.settimeout(0)
    assert tcp.accept() == (None, "timeout")
    tcp.settimeout(0.02)
    assert tcp.accept() == (None, "timeout")
    tcp.close()
    assert tcp.accept() == (None, "closed")


def test_listening_without_an_address() -> None:
    tcp = socket.tcp4()[0]
    assert tcp.listen() == (1, None)
    assert tcp.getsockname()[1] > 0
    tcp.close()


def test_bind_fails() -> None:
    with server() as (_, port):
        failed = socket.bind("127.0.0.1", port)
        assert failed == (None, "address already in use")
        assert failed[1].code == "bind"
    assert socket.bind("192.0.2.1", 0) == (None, "Cannot assign requested address")
    made, err = socket.bind("*", 0)
    assert (err, made.getsockname()[0], made.getoption("reuseaddr")) == (None, "0.0.0.0", (True, None))
    made.close()


def test_too_many_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with server() as (listening, port), native.create_connection(("127.0.0.1", port)):
        top = max(native.dup(listening.getfd()), 0)
        native.close(top)
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        try:
            refused = [listening.accept(), socket.connect("127.0.0.1", port), socket.tcp4(), socket.bind("*", 0)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert refused == [(None, "Too many open files")] * 4
        accepted, err = listening.accept()
        assert err is None
        accepted.close()


# The descriptor, and BAS's additions.


def test_the_descriptor_can_be_exchanged() -> None:
    with tcp_pair() as (client, peer):
        fd = client.getfd()
        client.setfd(-1)
        assert client.getfd() == -1
        assert client.send(b"x") == (None, "closed", 0)
        other = socket.tcp()
        assert other.connect("127.0.0.1", dead_port())[0] is None
        other.close()
        other.setfd(fd)
        assert other.getfd() == fd
        assert other.send(b"moved") == (5, None, None)
        assert peer.recv(10) == b"moved"
        with pytest.raises(OSError, match="Bad file descriptor"):
            other.setfd(10_000)
        assert other.getfd() == fd
        other.close()


def test_names_as_in_bas() -> None:
    tcp = socket.tcp()
    assert (tcp.connected(), tcp.peername(), tcp.sockname()) == (False, ("", 0, False), ("", 0, False))
    with tcp_pair() as (client, peer):
        assert client.connected()
        assert client.peername() == (*peer.getsockname(), False)
        assert client.sockname() == (*peer.getpeername(), False)
        assert client.certificate() == (None, "sslnotenabled")
        client.close()
        assert not client.connected()


def test_a_closed_object_has_nothing_of_its_former_peer() -> None:
    with tcp_pair() as (client, peer), server() as (listening, port):
        peer.sendall(b"line\nread ahead\n")
        assert client.receive() == (b"line", None, None)
        client.close()
        assert client.receive() == (None, "closed", b"")
        assert client.connect("127.0.0.1", port) == (1, None)
        accepted = listening.accept()[0]
        accepted.send("new\n")
        assert client.receive() == (b"new", None, None)
        accepted.close()


def test_to_a_socket_of_net_and_back() -> None:
    with tcp_pair() as (client, peer):
        peer.sendall(b"read ahead\nmore")
        assert client.receive() == (b"read ahead", None, None)
        sock = client.sock()
        assert isinstance(sock, net.Socket)
        assert client.receive() == (None, "closed", b"")
        assert client.sock() is None
        assert sock.read(5) == b"more"
        sock.write(b"from net\n")
        assert peer.recv(20) == b"from net\n"
        peer.sendall(b"back\n")
        wrapped = socket.tcp()
        assert wrapped.connect(sock) == (1, None)
        wrapped.settimeout(5)
        assert wrapped.connected()
        assert wrapped.receive() == (b"back", None, None)
        assert wrapped.send(b"yes\n") == (4, None, None)
        assert peer.recv(20) == b"yes\n"
        assert socket.tcp().connect(sock) == (None, "closed")
        wrapped.close()
        assert peer.recv(1) == b""


def test_a_forgotten_object_closes() -> None:
    with tcp_pair() as (client, peer):
        fd = client.getfd()
        other = socket.tcp()
        other.setfd(native.dup(fd))
        client.close()
        assert client.getfd() == -1
        del other
        assert peer.recv(1) == b""


def test_a_callback_of_the_hub_cannot_wait() -> None:
    with tcp_pair() as (client, _):
        result = gevent.event.AsyncResult()

        def callback() -> None:
            try:
                result.set(client.receive())
            except GreenbasError as error:
                result.set(error)

        gevent.get_hub().loop.run_callback(callback)
        assert "spawn a greenlet" in str(result.get(timeout=5))
