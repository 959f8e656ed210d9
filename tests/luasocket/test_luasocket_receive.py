"""Receiving and sending on streams: patterns, partial results, prefixes, positions. Facts checked against LuaSocket."""

from __future__ import annotations

import contextlib
import socket as native
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from luapeers import lua_pair, read_all, tcp_pair, unix_pair
from support import wait_until

from greenbas.luasocket import socket

Pair = tuple[Any, native.socket]


@pytest.fixture(params=[tcp_pair, unix_pair], ids=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with request.param() as made:
        yield made


# What the peer sends before it closes; the calls; what each returns.
RECEIVED: list[tuple[bytes, list[tuple[tuple[Any, ...], tuple[Any, ...]]]]] = [
    (b"one\r\ntwo\n", [((), (b"one", None, None)), (("*l",), (b"two", None, None)), ((), (None, "closed", b""))]),
    (b"a\rb\r\r\nc", [(("*l",), (b"ab", None, None)), (("l",), (None, "closed", b"c"))]),
    (b"\n\r\n", [((), (b"", None, None)), ((), (b"", None, None)), ((), (None, "closed", b""))]),
    (b"a\rb", [((), (None, "closed", b"ab"))]),
    (b"rest", [(("*l", b"be"), (None, "closed", b"berest"))]),
    (b"end\n", [(("*l", "the "), (b"the end", None, None))]),
    (b"keep\r\n", [(("*l", b"a\rb"), (b"a\rbkeep", None, None))]),
    (b"all\r\nof it", [(("*a",), (b"all\r\nof it", None, None)), (("*a",), (None, "closed", b""))]),
    (b"all", [(("a",), (b"all", None, None)), (("a",), (None, "closed", b""))]),
    (b"all", [(("*all of it",), (b"all", None, None))]),
    (b"all", [(("*a", b"this is "), (b"this is all", None, None))]),
    (b"", [(("*a",), (None, "closed", b"")), (("*a", b"before"), (None, "closed", b"before"))]),
    (b"line\nrest", [(("*lines",), (b"line", None, None)), (("*a",), (b"rest", None, None))]),
    (b"0123456789", [((4,), (b"0123", None, None)), ((10,), (None, "closed", b"456789"))]),
    (b"0123456789", [(("4",), (b"0123", None, None)), ((2.7,), (b"45", None, None)), ((b"1",), (b"6", None, None))]),
    (b"cdef", [((4, b"ab"), (b"abcd", None, None)), ((3, "xyz"), (b"xyz", None, None)), ((1,), (b"e", None, None))]),
    (b"3", [((2, b"more than two"), (b"more than two", None, None)), ((1,), (b"3", None, None))]),
    (b"3", [((3, 12), (b"123", None, None))]),
    (b"x", [((0,), (b"", None, None)), ((1,), (b"x", None, None)), ((0,), (None, "closed", b""))]),
    (b"one\ntwo", [((None, None), (b"one", None, None)), (("*a", None), (b"two", None, None))]),
    (b"x", [((0, b"pre"), (b"pre", None, None))]),
]


@pytest.mark.parametrize(("sent", "calls"), RECEIVED, ids=lambda value: repr(value)[:40])
def test_what_is_received(sent: bytes, calls: list[tuple[tuple[Any, ...], tuple[Any, ...]]], pair: Pair) -> None:
    client, peer = pair
    peer.sendall(sent)
    peer.shutdown(native.SHUT_WR)
    assert [client.receive(*arguments) for arguments, _ in calls] == [result for _, result in calls]


@pytest.mark.parametrize("pattern", ["*l", "*a", 20])
def test_bytes_one_at_a_time(pattern: Any, pair: Pair) -> None:
    client, peer = pair

    def trickle() -> None:
        for byte in b"one byte at a time\r\n":
            peer.sendall(bytes([byte]))
            gevent.sleep(0)
        peer.shutdown(native.SHUT_WR)

    sender = gevent.spawn(trickle)
    expected = b"one byte at a time" if pattern == "*l" else b"one byte at a time\r\n"
    assert client.receive(pattern) == (expected, None, None)
    sender.get()


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("*x", ValueError),
        ("x", ValueError),
        ("", ValueError),
        ("*", ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (True, TypeError),
        ([], TypeError),
    ],
)
def test_wrong_patterns(pattern: Any, error: type[Exception], pair: Pair) -> None:
    with pytest.raises(error, match=r"bad argument #1 to 'receive' \(.*\)"):
        pair[0].receive(pattern)


def test_wrong_prefix_loses_nothing(pair: Pair) -> None:
    client, peer = pair
    peer.sendall(b"line\n")
    with pytest.raises(TypeError, match=r"bad argument #2 to 'receive' \(string expected, got table\)"):
        client.receive("*l", {})
    assert client.receive() == (b"line", None, None)


@pytest.mark.parametrize(
    ("pattern", "sent", "partial", "rest", "whole"),
    [
        ("*l", b"a li\rne", b"a line", b" ends\nmore", b"a line ends"),
        ("*a", b"a part", b"a part", b" and the rest", b"a part and the rest"),
        (10, b"five5", b"five5", b"56789more", b"five556789"),
    ],
)
def test_time_out_gives_what_came(
    pattern: Any, sent: bytes, partial: bytes, rest: bytes, whole: bytes, pair: Pair
) -> None:
    client, peer = pair
    peer.sendall(sent)
    client.settimeout(0.05)
    assert client.receive(pattern) == (None, "timeout", partial)
    # It is consumed; with it as a prefix the next call goes on.
    peer.sendall(rest)
    peer.shutdown(native.SHUT_WR)
    client.settimeout(5)
    assert client.receive(pattern, partial) == (whole, None, None)


def test_nothing_to_receive_is_a_time_out(pair: Pair) -> None:
    client, _ = pair
    client.settimeout(0.02)
    assert client.receive(0) == (None, "timeout", b"")
    assert client.receive() == (None, "timeout", b"")
    assert client.receive("*l", b"before") == (None, "timeout", b"before")
    client.settimeout(0)
    assert client.receive(5) == (None, "timeout", b"")


def test_block_alone_limits_the_whole_call(pair: Pair) -> None:
    client, peer = pair
    stop = gevent.event.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            peer.sendall(b".")

    sender = gevent.spawn(trickle)
    for mode in ("b", "t"):
        client.settimeout(None, "b")
        client.settimeout(0.1, mode)
        data, err, partial = client.receive(1_000_000)
        assert (data, err) == (None, "timeout")
        assert set(partial) == set(b".")
    stop.set()
    sender.get()


def test_with_both_block_is_for_each_wait(pair: Pair) -> None:
    client, peer = pair
    client.settimeout(0.3, "b")
    client.settimeout(60, "t")

    def trickle() -> None:
        for _ in range(10):
            gevent.sleep(0.05)
            peer.sendall(b".")

    sender = gevent.spawn(trickle)
    assert client.receive(10) == (b"..........", None, None)  # longer than block in all, never in one wait
    sender.get()
    client.settimeout(0.05, "t")
    assert client.receive(1) == (None, "timeout", b"")


def test_what_is_there_never_times_out(pair: Pair) -> None:
    client, peer = pair
    peer.sendall(b"there")
    for mode in ("b", "t"):
        client.settimeout(0, mode)
        wait_until(lambda: client.receive(1)[0])


# Data, positions, what arrives, what is returned.
SENT: list[tuple[tuple[Any, ...], bytes, int]] = [
    ((b"abcdef",), b"abcdef", 6),
    (("text \u00e4",), "text \u00e4".encode(), 7),
    ((12,), b"12", 2),
    ((12.5,), b"12.5", 4),
    ((3.0,), b"3.0", 3),
    ((bytearray(b"abc"),), b"abc", 3),
    ((memoryview(b"abc"),), b"abc", 3),
    ((["a", [b"b", 1], ("c",)],), b"ab1c", 4),
    (([],), b"", 0),
    ((b"",), b"", 0),
    ((b"abcdef", 10), b"", 9),
    ((b"abcdef", 3), b"cdef", 6),
    ((b"abcdef", -3, -2), b"de", 5),
    ((b"abcdef", 5, 2), b"", 4),
    ((b"abcdef", -100, 2), b"ab", 2),
    ((b"abcdef", 0, 100), b"abcdef", 6),
    ((b"abcdef", None, 3), b"abc", 3),
    ((b"abcdef", 4, None), b"def", 6),
    ((b"abcdef", "2", "3"), b"bc", 3),
]


@pytest.mark.parametrize(("arguments", "arrives", "last"), SENT, ids=lambda value: repr(value)[:40])
def test_what_is_sent(arguments: tuple[Any, ...], arrives: bytes, last: int, pair: Pair) -> None:
    client, peer = pair
    assert client.send(*arguments) == (last, None, None)
    assert client.shutdown("send") == 1
    assert read_all(peer) == arrives


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "bad argument #1 to 'send' (string expected, got nil)"),
        (({},), "bad argument #1 to 'send' (string expected, got table)"),
        ((True,), "bad argument #1 to 'send' (string expected, got boolean)"),
        (([None],), "bad argument #1 to 'send' (string expected, got nil)"),
        ((b"x", "first"), "bad argument #2 to 'send' (number expected, got string)"),
        ((b"x", 1, {}), "bad argument #3 to 'send' (number expected, got table)"),
    ],
)
def test_what_cannot_be_sent(arguments: tuple[Any, ...], words: str, pair: Pair) -> None:
    with pytest.raises(TypeError) as caught:
        pair[0].send(*arguments)
    assert str(caught.value) == words


def test_a_send_that_times_out_can_be_resumed(pair: Pair) -> None:
    client, peer = pair
    data = bytes(range(256)) * 40_000
    client.settimeout(0.05)
    nothing, err, last = client.send(data)
    assert (nothing, err) == (None, "timeout")
    assert 0 < last < len(data)
    assert client.getstats()[1] == last
    reader = gevent.spawn(read_all, peer)
    client.settimeout(5)
    assert client.send(data, last + 1) == (len(data), None, None)
    client.close()
    assert reader.get() == data


def test_positions_and_time_out(pair: Pair) -> None:
    client, _ = pair
    client.settimeout(0)
    data = bytes(10_000_000)
    _, err, last = client.send(data, 1001)
    assert err == "timeout"
    assert client.getstats()[1] == last - 1000


def test_large_amounts_both_ways_at_once() -> None:
    one, two = lua_pair()
    data = b"0123456789abcdef" * 100_000

    def exchange(sock: Any) -> bytes:
        sender = gevent.spawn(sock.send, data)
        received: bytes
        received, err, _ = sock.receive(len(data))
        assert err is None
        assert sender.get() == (len(data), None, None)
        return received

    exchanges = [gevent.spawn(exchange, one), gevent.spawn(exchange, two)]
    assert [one.get() == data for one in exchanges] == [True, True]
    for sock in (one, two):
        sock.close()


def test_statistics(pair: Pair) -> None:
    client, peer = pair
    client.send(b"12345")
    peer.sendall(b"line\r\nmore")
    client.receive()
    received, sent, age = client.getstats()
    assert (received, sent) == (6, 5)  # what was received by the program, not what was read ahead
    assert age >= 0
    assert client.dirty()
    client.receive(4)
    assert not client.dirty()
    assert client.getstats()[0] == 10
    assert client.setstats(100, 200, 300) == 1
    client.send(b"1")
    received, sent, age = client.getstats()
    assert (received, sent) == (100, 201)
    assert age >= 300
    client.setstats(sent=0)
    assert client.getstats()[:2] == (100, 0)


@pytest.mark.parametrize("how", [None, "timeout", "close"])
def test_after_the_end(how: str | None, pair: Pair) -> None:
    client, peer = pair
    if how == "close":
        assert client.close() == 1
        assert client.close() == 1
    else:
        peer.close()
        with contextlib.suppress(OSError):
            wait_until(lambda: client.send(b"x")[0] is None)
    assert client.receive() == (None, "closed", b"")
    assert client.receive("*l", b"pre") == (None, "closed", b"pre")
    assert client.receive(0) == (None, "closed", b"")
    assert client.send(b"data", 2) == (None, "closed", 1)
    assert client.shutdown() == 1


def test_a_reset_is_closed() -> None:
    with tcp_pair() as (client, peer):
        peer.setsockopt(native.SOL_SOCKET, native.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        peer.close()
        assert client.receive() == (None, "closed", b"")


@pytest.mark.parametrize(
    ("how", "reads", "writes"), [("send", True, False), ("receive", False, True), ("both", False, False)]
)
def test_shutdown(how: str, reads: bool, writes: bool, pair: Pair) -> None:
    client, peer = pair
    assert client.shutdown(how) == 1
    assert (client.send(b"x")[1] is None) == writes
    if reads:
        peer.sendall(b"answer\n")
    assert client.receive() == ((b"answer", None, None) if reads else (None, "closed", b""))
    with pytest.raises(ValueError, match=r"bad argument #1 to 'shutdown' \(invalid option 'x'\)"):
        client.shutdown("x")


def test_errors_tell_more_than_their_words() -> None:
    with tcp_pair() as (client, peer):
        client.settimeout(0)
        _, err, _ = client.receive()
        assert (err, err.code) == ("timeout", "timeout")
        host, port = peer.getsockname()
        assert err.detail == f"receive on tcp{{client}} (peer {host}:{port}): timeout"
        client.close()
        err = client.send(b"x")[1]
        assert (err, err.code) == ("closed", "socketclosed")


def test_a_killed_reader_loses_nothing(pair: Pair) -> None:
    client, peer = pair
    for pattern in ("*l", "*a", 100):
        peer.sendall(b"kept")
        reader = gevent.spawn(client.receive, pattern)
        gevent.sleep(0)
        wait_until(lambda: not client.dirty() and socket.select([client], None, 0)[0] == [])
        reader.kill()
        assert client.dirty()
        assert client.receive(4) == (b"kept", None, None)
