"""Sockets: blocking, asynchronous and as cosockets; what they read, write, and tell about themselves."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from connected import pair
from gevent.event import AsyncResult, Event
from gevent.queue import Queue
from leaks import nothing_left
from support import wait_until

from greenbas import net, spawn
from greenbas.errors import (
    BindFailed,
    CannotConnect,
    CannotResolve,
    IncorrectUse,
    NetError,
    QueueFull,
    SocketBusy,
    SocketClosed,
    TimedOut,
    TlsError,
)
from greenbas.net import Socket

LARGE = 8 * 1024 * 1024  # more than the kernel keeps on loopback


def echo(sock: Socket) -> None:
    """What cosockets do in most tests."""
    while data := sock.read():
        sock.write(data)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Every test closes what it opens."""
    with nothing_left():
        yield


@contextlib.contextmanager
def listening(function: Callable[..., Any] = echo, mode: Any = "s", *args: Any, **options: Any) -> Iterator[int]:
    """A listener whose connections go to `function`; the port."""

    def accept(listener: Socket) -> None:
        while True:
            listener.accept().event(function, mode, *args)

    made = net.bind(0, intf="127.0.0.1", **options)
    assert made.event(accept, "r")
    try:
        yield made.sockname()[1]
    finally:
        made.close()


# -- the three modes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "s"])
def test_echo_as_the_issue_has_it(mode: str) -> None:
    with listening(echo, mode) as port, net.connect("127.0.0.1", port) as sock:
        for message in (b"hello", b"x" * 100_000, b"again"):
            sock.write(message)
            assert read_exactly(sock, len(message)) == message


def read_exactly(sock: Socket, size: int) -> bytes:
    """The next `size` bytes."""
    data = b""
    while len(data) < size:
        piece = sock.read(10, size=size - len(data))
        assert piece
        data += piece
    return data


def test_a_blocking_socket_blocks_only_its_greenlet() -> None:
    with pair() as (sock, peer):
        ticks: list[int] = []
        other = spawn(lambda: ticks.extend(iter(range(3))))
        reader = spawn(sock.read)
        wait_until(lambda: other.dead)
        assert ticks == [0, 1, 2]
        assert not reader.dead
        peer.sendall(b"now")
        assert reader.get(timeout=5) == b"now"


def test_the_function_runs_at_once_until_it_waits() -> None:
    order: list[str] = []

    def function(sock: Socket) -> None:
        order.append("function")
        sock.read(0.001)
        order.append("end")

    def ends_at_once(sock: Socket) -> None:
        order.append("short")

    sock = net.event(function)
    order.append("caller")
    assert sock is not None
    wait_until(lambda: sock.state()[0] == "terminated")
    assert order == ["function", "caller", "end"]
    assert net.event(ends_at_once) is None
    assert order[-1] == "short"


def test_the_function_runs_at_once_in_the_hub_too() -> None:
    order: list[str] = []

    def start() -> None:
        net.event(lambda sock: (order.append("function"), sock.read(0.001)))
        order.append("caller")

    gevent.get_hub().loop.run_callback(start)
    wait_until(lambda: len(order) == 2)
    assert order == ["function", "caller"]
    gevent.sleep(0.005)


def test_arguments_are_passed_on() -> None:
    seen: Queue = Queue()
    with listening(lambda sock, *args: seen.put(args), "s", 1, "two") as port:
        net.connect("127.0.0.1", port).close()
        assert seen.get(timeout=5) == (1, "two")


def test_a_function_that_fails_closes_its_socket_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fails(sock: Socket) -> None:
        raise ValueError("on purpose")

    with pair() as (sock, peer), caplog.at_level(logging.ERROR):
        assert sock.event(fails, "s") is False
        assert peer.recv(10) == b""
        assert sock.state() == ("terminated", False)
    assert "cosocket test_a_function" in caplog.text
    assert "on purpose" in caplog.text
    caplog.clear()


def test_a_peer_that_went_away_is_no_error_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    with pair() as (sock, peer), caplog.at_level(logging.INFO):
        sock.event(echo, "s")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        wait_until(lambda: sock.state()[0] == "terminated")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "Connection reset by peer" in caplog.text


def test_the_socket_closes_at_the_end_of_its_function() -> None:
    with pair() as (sock, peer):
        sock.event(lambda sock: sock.write(b"bye"), "s")
        assert peer.recv(10) == b"bye"
        assert peer.recv(10) == b""


def test_getsock_and_owner() -> None:
    found: list[Any] = []

    def function(sock: Socket) -> None:
        found.extend([net.getsock() is sock, sock.owner()])

    net.event(function)
    assert found == [True, True]
    assert net.getsock() is None
    with pair() as (sock, _):
        assert not sock.owner()


def test_cosockets_started_inside_cosockets() -> None:
    done = AsyncResult()

    def inner(sock: Socket, outer: Socket) -> None:
        outer.write(b"from inside")
        done.set(net.getsock() is sock)

    def outer(sock: Socket) -> None:
        net.event(inner, sock)
        echo(sock)

    with listening(outer) as port, net.connect("127.0.0.1", port) as sock:
        assert read_exactly(sock, 11) == b"from inside"
        assert done.get(timeout=5) is True


def test_a_socket_is_handed_from_one_function_to_another() -> None:
    old: list[Socket] = []

    def second(sock: Socket, greeting: bytes) -> None:
        sock.write(greeting)
        echo(sock)

    def first(sock: Socket) -> None:
        old.append(sock)
        assert sock.read(5) == b"begin"
        sock.event(second, "s", b"moved ")
        assert sock.state()[1] is False

    with listening(first) as port, net.connect("127.0.0.1", port) as sock:
        sock.write(b"begin")
        assert read_exactly(sock, 6) == b"moved "
        sock.write(b"on")
        assert read_exactly(sock, 2) == b"on"
        assert old[0].state() == ("terminated", False)
    old.clear()


def test_connect_inside_a_cosocket_connects_that_one() -> None:
    found: Queue = Queue()

    def client(sock: Socket, port: int) -> None:
        mine = net.connect("127.0.0.1", port)
        found.put(mine is sock)
        other = net.connect("127.0.0.1", port)  # a second one is a socket of its own
        found.put(other is not sock)
        other.close()
        sock.write(b"hi")
        found.put(sock.read(5))

    with listening() as port:
        net.event(client, port)
        assert [found.get(timeout=5) for _ in range(3)] == [True, True, b"hi"]


def test_bind_inside_a_cosocket() -> None:
    ports: Queue = Queue()

    def server(sock: Socket) -> None:
        assert net.bind(0, intf="127.0.0.1") is sock
        ports.put(sock.sockname()[1])
        echo(sock.accept())

    net.event(server)
    with net.connect("127.0.0.1", ports.get(timeout=5)) as sock:
        sock.write(b"x")
        assert sock.read(5) == b"x"


# -- reading ------------------------------------------------------------------------------------------------------


def test_the_end_is_told_and_a_loop_that_does_not_look_is_stopped() -> None:
    with pair() as (sock, peer):
        peer.sendall(b"last")
        peer.close()
        assert [sock.read(), sock.read(), sock.read()] == [b"last", b"", b""]
        with pytest.raises(SocketClosed, match="goes on reading behind the end"):
            sock.read()


def test_our_side_can_go_on_behind_the_peers_end() -> None:
    with pair() as (sock, peer):
        peer.shutdown(socket.SHUT_WR)
        assert sock.read() == b""
        sock.write(b"an answer all the same")
        assert peer.recv(100) == b"an answer all the same"


def test_a_time_out_leaves_the_socket_usable() -> None:
    with pair() as (sock, peer):
        with pytest.raises(TimedOut, match=r"could not read for 0.01 s \(peer 127.0.0.1:\d+\)") as info:
            sock.read(0.01)
        assert info.value.code == "timeout"
        peer.sendall(b"late")
        assert sock.read(5) == b"late"


def test_two_readers() -> None:
    with pair() as (sock, peer):
        first = spawn(sock.read, name="first")
        gevent.sleep(0)
        with pytest.raises(SocketBusy, match=r"reads .* while first reads it"):
            sock.read()
        peer.sendall(b"x")
        assert first.get(timeout=5) == b"x"


def test_only_the_function_of_a_cosocket_reads() -> None:
    with pair() as (sock, _):
        sock.event(echo, "s")
        with pytest.raises(IncorrectUse, match="only cosocket echo may read"):
            sock.read()


def test_reading_without_a_connection_sleeps() -> None:
    slept = AsyncResult()
    net.event(lambda sock: slept.set(sock.read(0.001)))
    assert slept.get(timeout=5) == b""


def test_reading_without_a_connection_and_a_time_would_never_end() -> None:
    failed = AsyncResult()

    def function(sock: Socket) -> None:
        try:
            sock.read()
        except IncorrectUse as error:
            failed.set(str(error))

    net.event(function)
    assert failed.get(timeout=5) == "read() without a connection and without a time-out would wait for ever"


def test_iteration_ends_with_the_stream() -> None:
    with pair() as (sock, peer):
        peer.sendall(b"abc")
        peer.close()
        assert b"".join(sock) == b"abc"


@pytest.mark.parametrize("in_read", [True, False])
def test_closing_from_another_greenlet(in_read: bool) -> None:
    with pair() as (sock, _):
        waiter = spawn(sock.read if in_read else lambda: sock.write(bytes(LARGE)))
        wait_until(lambda: sock._stream.is_read if in_read else sock.queued)  # type: ignore[union-attr]
        assert sock.close() is True
        with pytest.raises(SocketClosed, match="closed by another greenlet"):
            waiter.get(timeout=5)
        assert sock.close() is False


def test_closing_while_it_connects() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        sock = net.event(lambda sock: net.connect("127.0.0.1", port))
        assert sock is not None
        assert sock.state() == ("connect", False)
        assert sock.close() is True
        wait_until(lambda: sock.state() == ("terminated", False))
        for one in waiting:
            one.close()


def test_the_end_of_our_side() -> None:
    with pair() as (sock, peer):
        sock.write(b"all")
        sock.shutdown()
        assert (peer.recv(10), peer.recv(10)) == (b"all", b"")
        peer.sendall(b"an answer")
        assert sock.read(5) == b"an answer"
        sock.close()
        with pytest.raises(SocketClosed):
            sock.shutdown()


def test_a_socket_goes_with_its_last_reference() -> None:
    gc.collect()
    gc.disable()
    try:
        objects, _ = net.stat()
        net.event(lambda sock: None)
        with pair() as (sock, peer):
            assert net.stat()[0] == objects + 1
            peer.sendall(b"x")
            sock.read()
            del sock
        with pair() as (sock, peer):
            kept = sock._stream
            assert kept is not None
        del sock, kept
        assert net.stat()[0] == objects
    finally:
        gc.enable()


def test_everything_on_a_closed_socket() -> None:
    with pair() as (sock, _):
        sock.close()
        for call in (sock.read, lambda: sock.write(b"x")):
            with pytest.raises(SocketClosed, match="the socket is closed"):
                call()
        with pytest.raises(SocketClosed):
            sock.setoption("keepalive", True)
        assert (sock.peername(), sock.sockname()) == (("", 0, False), ("", 0, False))
        assert sock.state() == ("notcon", False)
        assert sock.queued == 0


# -- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["grün", b"bytes", bytearray(b"array"), memoryview(b"view")])
def test_what_can_be_written(data: Any) -> None:
    with pair() as (sock, peer):
        assert sock.write(data) == 0
        expected = data.encode() if isinstance(data, str) else bytes(data)
        assert peer.recv(100) == expected


def test_a_writer_waits_for_a_slow_peer() -> None:
    with pair() as (sock, peer):
        writer = spawn(sock.write, bytes(LARGE))
        wait_until(lambda: sock.queued)
        assert not writer.dead
        count = 0
        while count < LARGE:
            count += len(peer.recv(1024 * 1024))
        assert writer.get(timeout=5) == 0


def test_writers_keep_their_order() -> None:
    with pair() as (sock, peer):
        writers = [spawn(sock.write, bytes([65 + number]) * 2_000_000) for number in range(5)]
        gevent.sleep(0)
        data = bytearray()
        while len(data) < 10_000_000:
            data += peer.recv(1024 * 1024)
        gevent.joinall(writers, timeout=5, raise_error=True)
        assert bytes(data) == b"".join(bytes([65 + number]) * 2_000_000 for number in range(5))


def test_a_peer_that_takes_nothing_ends_the_writing() -> None:
    with pair() as (sock, _):
        sock.write_timeout = 0.05
        assert sock.write_timeout == 0.05
        with pytest.raises(TimedOut, match=r"took nothing for 0.05 s; \d+ bytes are lost"):
            sock.write(bytes(LARGE))
        with pytest.raises((SocketClosed, TimedOut)):
            sock.write(b"more")


def test_others_queue_for_a_cosocket_until_it_is_full() -> None:
    with pair() as (sock, peer):
        sock.event(echo, "s")
        assert (sock.queuelen(), sock.queuelen(20_000), sock.queuelen()) == (16384, 20_000, 20_000)
        assert sock.write(b"small") == 0
        queued = sock.write(bytes(LARGE))  # the kernel does not take all of it; this does not wait
        assert 20_000 <= queued <= LARGE
        assert queued == sock.queued
        with pytest.raises(QueueFull) as info:
            sock.write(b"one more")
        assert info.value.queued == queued
        count = 0
        while count < LARGE + 5:
            count += len(peer.recv(1024 * 1024))
        wait_until(lambda: sock.queued == 0)
        assert sock.write(b"again") == 0
        assert peer.recv(10) == b"again"


def test_the_caller_may_use_its_buffer_again() -> None:
    with pair() as (sock, peer):
        sock.event(echo, "s")
        sock.queuelen(LARGE * 2)
        sock.write(bytes(LARGE))
        mine = bytearray(b"first")
        sock.write(mine)
        mine[:] = b"other"
        data = bytearray()
        while len(data) < LARGE + 5:
            data += peer.recv(1024 * 1024)
        assert data[-5:] == b"first"


def test_what_is_queued_is_sent_before_the_close() -> None:
    with pair() as (sock, peer):
        sock.event(echo, "s")
        sock.write(bytes(LARGE))
        assert sock.queued
        sock.close()
        count = 0
        while piece := peer.recv(1024 * 1024):
            count += len(piece)
        assert count == LARGE


def test_a_cosocket_that_writes_to_another_waits() -> None:
    written = Event()
    with pair() as (sock, peer):
        sock.event(echo, "s")

        def writer(mine: Socket) -> None:
            sock.write(bytes(LARGE))
            written.set()

        net.event(writer)
        gevent.sleep(0.01)
        assert not written.is_set()
        count = 0
        while count < LARGE:
            count += len(peer.recv(1024 * 1024))
        assert written.wait(5)


def test_a_suspended_writer_reads_nothing() -> None:
    """TCP then slows the peer down."""
    with listening() as port, socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(0.2)  # nobody reads the echo: before long nothing more can be sent
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100 * LARGE:
                sent += peer.send(b"x" * 65536)


# -- what it tells ------------------------------------------------------------------------------------------------


def test_states() -> None:
    seen: list[tuple[str, bool]] = []
    with pair() as (sock, peer):
        assert sock.state() == ("notcon", True)

        def function(sock: Socket) -> None:
            seen.append(sock.state())
            sock.read()
            sock.write(bytes(LARGE))
            sock.disable()

        sock.event(function, "s")
        assert seen == [("exec", True)]
        assert sock.state() == ("read", True)
        peer.sendall(b"x")
        wait_until(lambda: sock.state() == ("write", True))
        count = 0
        while count < LARGE:
            count += len(peer.recv(1024 * 1024))
        wait_until(lambda: sock.state() == ("disabled", True))
        assert repr(sock).startswith("<Socket tcp s disabled <Stream fd ")
        sock.enable()
        assert sock.state() == ("terminated", False)
    listener = net.bind(0, intf="127.0.0.1")
    listener.event(lambda sock: sock.accept(), "r")
    assert listener.state() == ("accept", False)
    listener.close()
    assert repr(net.Socket()) == "<Socket none blocking notcon>"


def test_names() -> None:
    with pair() as (sock, peer):
        assert sock.peername() == (*peer.getsockname(), False)
        assert sock.sockname() == (*peer.getpeername(), False)


def test_stat_counts() -> None:
    objects, active = net.stat()
    with pair() as (sock, _):
        assert net.stat() == (objects + 1, active + 1)
        sock.close()
        assert net.stat() == (objects + 1, active)


@pytest.mark.parametrize(
    ("name", "values", "option"),
    [
        ("tcp-nodelay", (), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)),
        ("keepalive", (), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)),
        ("keepalive", (7, 3), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7)),
        ("keepalive", (7, 3), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3)),
    ],
)
def test_options(name: str, values: tuple[int, ...], option: tuple[int, int, int]) -> None:
    with pair() as (sock, _):
        sock.setoption(name, True, *values)
        level, number, value = option
        assert sock._stream.sock.getsockopt(level, number) == value  # type: ignore[union-attr]


def test_an_option_that_is_not_there() -> None:
    with pair() as (sock, _):
        with pytest.raises(ValueError, match="unknown socket option 'tcp_nodelay'; did you mean 'tcp-nodelay'"):
            sock.setoption("tcp_nodelay", True)
        with pytest.raises(NetError, match="option 'ip-membership' is refused") as info:
            sock.setoption("ip-membership", True, "127.0.0.1")
        assert info.value.code == "noimplementation"


def test_tls_methods_without_tls() -> None:
    with pair() as (sock, _):
        calls: list[Callable[[], object]] = [
            sock.cipher, sock.certificate, sock.trusted, sock.isresumed, lambda: sock.maxsize(1024)
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(TlsError, match="is not encrypted") as info:
                call()
            assert info.value.code == "sslnotenabled"
        assert sock.websocket() is False
        with pytest.raises(IncorrectUse, match="is no WebSocket"):
            sock.ping()


# -- mistakes -----------------------------------------------------------------------------------------------------


def test_event_mistakes() -> None:
    with pair() as (sock, _):
        with pytest.raises(ValueError, match="event mode 'x': use 'r' or 's'"):
            sock.event(echo, "x")  # type: ignore[arg-type]
        sock.event(echo, "s")
        with pytest.raises(IncorrectUse, match="has a function already"):
            sock.event(echo, "s")
    with net.bind(0, intf="127.0.0.1") as listener, pytest.raises(IncorrectUse, match="cannot be a cosocket"):
        listener.event(echo, "s")


def test_accept_is_for_listening_sockets() -> None:
    with pair() as (sock, _), pytest.raises(IncorrectUse, match="does not listen"):
        sock.accept()
    with net.bind(0, intf="127.0.0.1") as listener:
        for call in (listener.read, lambda: listener.write(b"x")):
            with pytest.raises(IncorrectUse, match=r"listens: accept\(\) gives the sockets"):
                call()


def test_a_socket_tells_its_address() -> None:
    with net.bind(0, intf="127.0.0.1") as listener:
        assert f"local 127.0.0.1:{listener.sockname()[1]}" in repr(listener)
    with pair() as (sock, _):
        assert f"peer 127.0.0.1:{sock.peername()[1]}" in repr(sock)


def test_a_reset_while_writing_is_called_by_its_name() -> None:
    with pair() as (sock, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        with pytest.raises(SocketClosed, match=r"broke while writing .* Connection reset by peer"):
            wait_until(lambda: sock.write(b"x") and False)


def test_reads_of_nothing() -> None:
    with pair() as (sock, _), pytest.raises(ValueError, match=r"read\(size=0\)"):
        sock.read(size=0)


def test_functions_that_are_none() -> None:
    with pytest.raises(TypeError, match=r"event\(\) takes a function, not 5"):
        net.event(5)  # type: ignore[arg-type]
    with pair() as (sock, _), pytest.raises(TypeError, match=r"event\(\) takes a function, not 'echo'"):
        sock.event("echo")  # type: ignore[arg-type]


def test_accept_with_a_time_out_and_when_closed() -> None:
    listener = net.bind(0, intf="127.0.0.1")
    with pytest.raises(TimedOut, match=r"nobody connected to 127.0.0.1:\d+ for 0.001 s"):
        listener.accept(0.001)
    waiter = spawn(listener.accept)
    gevent.sleep(0)
    listener.close()
    with pytest.raises(SocketClosed):
        waiter.get(timeout=5)
    with pytest.raises(SocketClosed, match="the listening socket is closed"):
        listener.accept()


def test_writing_without_a_connection() -> None:
    failed = AsyncResult()

    def function(sock: Socket) -> None:
        try:
            sock.write(b"x")
        except IncorrectUse as error:
            failed.set(str(error))

    net.event(function)
    assert failed.get(timeout=5).endswith("is not connected")


def test_bind_failures() -> None:
    with net.bind(0, intf="127.0.0.1") as taken:
        port = taken.sockname()[1]
        with pytest.raises(BindFailed, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            net.bind(port, intf="127.0.0.1")
    with pytest.raises(BindFailed, match=r"cannot listen on \*:70000: a port is 0 to 65535"):
        net.bind(70000)
    with pytest.raises(BindFailed, match=r"cannot listen on \*:0: No such device"):
        net.bind(0, intf="nosuchif0")


def test_binding_to_an_interface_by_name() -> None:
    try:
        listener = net.bind(0, intf="lo")
    except BindFailed as error:
        assert "Operation not permitted" in str(error)
        pytest.skip("binding to an interface by name needs a newer kernel or root")
    with listener, socket.create_connection(("127.0.0.1", listener.sockname()[1])):
        accepted = listener.accept(5)
        accepted.close()


def test_connecting_from_an_address() -> None:
    with listening() as port, net.connect("127.0.0.1", port, intf="127.0.0.9") as sock:
        assert sock.sockname()[0] == "127.0.0.9"


def test_connect_failures() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(CannotConnect, match=f"cannot connect to 127.0.0.1:{port}: Connection refused") as info:
            net.connect("127.0.0.1", port)
    assert info.value.code == "cannotconnect"
    with pytest.raises(CannotResolve) as unknown:
        net.connect("nosuch.invalid", 1)
    assert unknown.value.code == "cannotresolve"
    for port, words in ((70000, "the port 70000: a port is 0"), (-1, "the port -1"), ("nosuch", "the port 'nosuch'")):
        with pytest.raises(CannotResolve, match=words):
            net.connect("127.0.0.1", port)


def test_a_connection_that_nobody_accepts_times_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        with pytest.raises(TimedOut, match=f"cannot connect to 127.0.0.1:{port}: no answer for 0.05 s"):
            net.connect("127.0.0.1", port, timeout=0.05)
        for one in waiting:
            one.close()


def test_ipv6(request: pytest.FixtureRequest) -> None:
    try:
        listener = net.bind(0, intf="::1")
    except BindFailed:
        pytest.skip("needs IPv6 on loopback")
    with listener, net.connect("::1", listener.sockname()[1], ipv6=True) as sock:
        accepted = listener.accept(5)
        assert accepted.peername()[2] is True
        assert sock.peername()[0] == "::1"
        accepted.close()


def test_everywhere_listens_for_both_families() -> None:
    with net.bind(0) as listener, socket.create_connection(("127.0.0.1", listener.sockname()[1])):
        listener.accept(5).close()


def test_join_waits_for_functions_with_sockets() -> None:
    assert net.join(0.01) is True
    with pair() as (sock, peer):
        sock.event(echo, "s")
        rests = net.event(lambda sock: sock.disable())  # it has no connection: it alone would never end
        assert net.join(0.01) is False
        peer.close()
        assert net.join(5) is True
        assert rests is not None
        rests.enable()
