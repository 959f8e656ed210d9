"""Streams: reading, writing, waiting, and what happens when others close, kill or come in between."""

from __future__ import annotations

import _socket
import array
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub, monkey
from gevent.event import Event
from leaks import held, nothing_left
from support import wait_until

from greenbas.dispatcher import spawn
from greenbas.errors import IncorrectUse, SocketBusy, SocketClosed, TimedOut
from greenbas.net import Stream
from greenbas.net import stream as stream_module
from greenbas.net.stream import READ_SIZE, SEND_SIZE, TURN_SIZE

MakePair = Callable[..., tuple[Stream, socket.socket]]
native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")
SMALL = 8192  # a kernel buffer that is full soon
LARGE = 4 * 1024 * 1024  # more than the kernel keeps
BLOB = os.urandom(256 * 1024) * (LARGE // (256 * 1024))


def read_all(peer: socket.socket) -> bytes:
    """What the peer gets until the end."""
    pieces = []
    while piece := peer.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def reset(peer: socket.socket) -> None:
    """Close with RST instead of FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def fill(stream: Stream) -> None:
    """Write until the kernel takes no more."""
    for _ in range(3):  # the kernel moves bytes from one side's buffer to the other's meanwhile
        while stream.try_send(b"x" * SEND_SIZE):
            pass
        gevent.sleep(0.001)


def waiting(greenlet: gevent.Greenlet, stream: Stream) -> bool:
    """Whether it waits on the stream."""
    return not greenlet.dead and greenlet in (stream._reader, stream._writer)


# -- reading ------------------------------------------------------------------------------------------------------


def test_read_gives_what_there_is_and_waits_for_more(pair: MakePair) -> None:
    stream, peer = pair()
    peer.sendall(b"one")
    wait_until(lambda: stream.sock.recv(10, socket.MSG_PEEK) == b"one")
    assert stream.read() == b"one"
    reader = spawn(stream.read)
    wait_until(lambda: waiting(reader, stream))
    peer.sendall(b"two")
    assert reader.get(timeout=5) == b"two"


def test_read_gives_at_most_its_size(pair: MakePair) -> None:
    stream, peer = pair()
    peer.sendall(b"abcdef")
    wait_until(lambda: len(stream.sock.recv(10, socket.MSG_PEEK)) == 6)
    assert [stream.read(2), stream.read(1), stream.read(size=100)] == [b"ab", b"c", b"def"]


def test_read_at_the_end_is_empty_every_time(pair: MakePair) -> None:
    stream, peer = pair()
    peer.sendall(b"last")
    peer.close()
    assert [stream.read(), stream.read(), stream.read(timeout=0)] == [b"last", b"", b""]
    assert not stream.closed


def test_unread_bytes_come_first(pair: MakePair) -> None:
    stream, peer = pair()
    peer.sendall(b"ef")
    stream.unread(b"cd")
    stream.unread(b"ab")
    assert [stream.read(3), stream.read(3), stream.read(3)] == [b"abc", b"d", b"ef"]


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_read_times_out_and_the_stream_is_usable_after(pair: MakePair, timeout: float) -> None:
    stream, peer = pair()
    with pytest.raises(TimedOut, match="read"):
        stream.read(timeout=timeout)
    peer.sendall(b"late")
    assert stream.read(timeout=5) == b"late"
    peer.sendall(b"there")
    wait_until(lambda: stream.sock.recv(10, socket.MSG_PEEK) == b"there")
    assert stream.read(timeout=timeout) == b"there"  # it needs no waiting


def test_wait_readable_takes_nothing(pair: MakePair) -> None:
    stream, peer = pair()
    waiter = spawn(stream.wait_readable, 5)
    wait_until(lambda: waiting(waiter, stream))
    peer.sendall(b"x")
    waiter.get(timeout=5)
    assert stream.read() == b"x"
    peer.close()
    stream.wait_readable(5)  # the end is input, too
    assert stream.read() == b""


# -- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"bytes", bytearray(b"bytearray"), memoryview(b"memoryview"), memoryview(b"0123456789")[2:7], BLOB],
    ids=["empty", "bytes", "bytearray", "memoryview", "slice", "large"],
)
def test_write_sends_all_of_it(pair: MakePair, data: bytes) -> None:
    stream, peer = pair(buffer=SMALL)
    reader = spawn(read_all, peer)
    stream.write(data)
    stream.shutdown()
    assert reader.get(timeout=20) == bytes(data)


def test_items_wider_than_a_byte_are_sent_as_bytes(pair: MakePair) -> None:
    """The view was cut by items where bytes had been sent."""
    stream, peer = pair(buffer=SMALL)
    data = array.array("I", range(200_000))
    reader = spawn(read_all, peer)
    stream.write(memoryview(data))
    stream.shutdown()
    assert reader.get(timeout=20) == data.tobytes()


def test_write_times_out_when_nothing_moves_and_the_stream_is_usable_after(pair: MakePair) -> None:
    stream, peer = pair(buffer=SMALL)
    fill(stream)
    for timeout in (0.01, 0):
        with pytest.raises(TimedOut, match="write"):
            stream.write(b"x", timeout)
    reader = spawn(read_all, peer)
    stream.write(b"done", 5)
    stream.shutdown()
    assert reader.get(timeout=5).endswith(b"xdone")


class Noting(Stream):
    """Notes the time-outs that it waits with."""

    waits: list[tuple[float | None, str]]

    def _suspend(self, timeout: float | None, what: str) -> None:
        self.waits.append((timeout, what))
        super()._suspend(timeout, what)


def test_the_time_out_of_a_write_begins_anew_with_each_progress(pair: MakePair) -> None:
    stream, peer = pair(Noting, buffer=SMALL)
    assert isinstance(stream, Noting)
    stream.waits = []
    reader = spawn(read_all, peer)
    stream.write(BLOB, 5)
    assert len(stream.waits) > 3
    assert set(stream.waits) == {(5, "write")}
    stream.shutdown()
    reader.get(timeout=20)


def test_try_send_never_waits(pair: MakePair) -> None:
    stream, peer = pair(buffer=SMALL)
    assert stream.try_send(b"abc") == 3
    fill(stream)
    assert stream.try_send(b"abc") == 0
    assert peer.recv(3) == b"abc"


# -- two greenlets ------------------------------------------------------------------------------------------------


def test_two_readers_are_an_error_that_names_both(pair: MakePair) -> None:
    stream, peer = pair()
    first = spawn(stream.read, name="first")
    wait_until(lambda: waiting(first, stream))
    for call in (stream.read, stream.wait_readable):
        second = spawn(call, name="second")
        with pytest.raises(SocketBusy, match=r"second reads .* while first reads it"):
            second.get(timeout=5)
    assert repr(stream) in str(second.exception)
    peer.sendall(b"for the first")
    assert first.get(timeout=5) == b"for the first"
    peer.sendall(b"for anyone")
    assert stream.read(timeout=5) == b"for anyone"


def test_two_writers_are_an_error_that_names_both(pair: MakePair) -> None:
    stream, peer = pair(buffer=SMALL)
    first = spawn(stream.write, BLOB, name="first")
    wait_until(lambda: waiting(first, stream))
    for call in (lambda: stream.write(b"second"), stream.wait_writable):
        second = spawn(call, name="second")
        with pytest.raises(SocketBusy, match=r"second writes to .* while first does"):
            second.get(timeout=5)
    reader = spawn(read_all, peer)
    first.get(timeout=20)
    stream.write(b"second")
    stream.shutdown()
    assert reader.get(timeout=20) == BLOB + b"second"


def test_a_write_between_the_turns_of_another_is_refused(pair: MakePair) -> None:
    """While one gave others a turn in the middle of its bytes, another one's went in between."""
    stream, peer = pair()
    draining = NativeReader(peer)
    draining.start()
    writers = [spawn(stream.write, letter * LARGE * 4, name=letter.decode()) for letter in (b"a", b"b", b"c")]
    gevent.joinall(writers, timeout=20)
    stream.shutdown()
    data = draining.result()
    busy = [writer for writer in writers if isinstance(writer.exception, SocketBusy)]
    assert len(data) == (3 - len(busy)) * LARGE * 4
    runs = 1 + sum(data[at : at + 1] != data[at - 1 : at] for at in range(4096, len(data), 4096))
    assert runs == 3 - len(busy)


@pytest.mark.parametrize("first", ["reader", "writer"])
def test_one_greenlet_reads_while_another_writes(pair: MakePair, first: str) -> None:
    """A7: a watcher of gevent serves one greenlet, and both wait at once here."""
    stream, peer = pair(buffer=SMALL)
    starts: dict[str, Callable[[], gevent.Greenlet]] = {
        "reader": lambda: spawn(stream.read),
        "writer": lambda: spawn(stream.write, BLOB + b"end"),
    }
    made: dict[str, gevent.Greenlet] = {}
    for name in sorted(starts, key=lambda name: name != first):
        made[name] = starts[name]()
        wait_until(lambda name=name: waiting(made[name], stream))  # type: ignore[misc]
    peer.sendall(b"input")
    assert made["reader"].get(timeout=5) == b"input"
    assert waiting(made["writer"], stream)
    received = b""
    while not received.endswith(b"end"):
        received += peer.recv(1024 * 1024)
    made["writer"].get(timeout=5)
    assert received == BLOB + b"end"


def test_both_directions_at_full_speed(pair: MakePair) -> None:
    stream, peer = pair(buffer=SMALL)
    echoed: list[bytes] = []

    def echo() -> None:
        while data := peer.recv(65536):
            peer.sendall(data)

    def collect() -> None:
        while sum(map(len, echoed)) < LARGE:
            echoed.append(stream.read(timeout=10))

    greenlets = [spawn(echo), spawn(collect), spawn(stream.write, BLOB, 10)]
    gevent.joinall(greenlets[1:], timeout=30, raise_error=True)
    assert b"".join(echoed) == BLOB
    stream.close()
    greenlets[0].join(timeout=5)


# -- closing ------------------------------------------------------------------------------------------------------


def reads(stream: Stream) -> None:
    stream.read()


def reads_with_time(stream: Stream) -> None:
    stream.read(timeout=60)


def writes(stream: Stream) -> None:
    stream.write(BLOB)


def writes_with_time(stream: Stream) -> None:
    stream.write(BLOB, 60)


WAITS = [reads, reads_with_time, writes, writes_with_time]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("where", ["greenlet", "hub"])
def test_closing_raises_in_the_greenlet_that_waits(pair: MakePair, wait: Callable[[Stream], None], where: str) -> None:
    stream, _ = pair(buffer=SMALL)
    waiter = spawn(wait, stream)
    wait_until(lambda: waiting(waiter, stream))
    if where == "hub":
        get_hub().loop.run_callback(stream.close)
    else:
        stream.close()
    with pytest.raises(SocketClosed, match="closed by another greenlet"):
        waiter.get(timeout=5)
    assert stream.closed


def test_closing_raises_in_reader_and_writer(pair: MakePair) -> None:
    stream, _ = pair(buffer=SMALL)
    waiters = [spawn(reads, stream), spawn(writes, stream)]
    wait_until(lambda: all(waiting(waiter, stream) for waiter in waiters))
    stream.close()
    gevent.joinall(waiters, timeout=5)
    assert [type(waiter.exception) for waiter in waiters] == [SocketClosed, SocketClosed]


def test_closing_interrupts_no_greenlet_that_has_gone_on(pair: MakePair) -> None:
    stream, _ = pair()

    def read_then_sleep() -> str:
        with pytest.raises(TimedOut):
            stream.read(timeout=60)
        gevent.sleep(0.01)
        return "went on"

    reader = spawn(read_then_sleep)
    wait_until(lambda: waiting(reader, stream))

    def close_as_its_time_is_up() -> None:
        stream.close()
        reader.switch(stream_module._EXPIRED)  # as the timer does, before the callback of close() runs

    get_hub().loop.run_callback(close_as_its_time_is_up)
    assert reader.get(timeout=5) == "went on"


def test_closing_between_the_turns_of_a_write(pair: MakePair) -> None:
    stream, peer = pair(Counting)
    assert isinstance(stream, Counting)
    stream.moved = 0
    NativeReader(peer).start()
    data = bytes(256 * 1024 * 1024)
    writer = spawn(stream.write, data)
    while stream.moved < 4 * TURN_SIZE:
        gevent.sleep(0)
    stream.close()
    with pytest.raises(SocketClosed):
        writer.get(timeout=5)
    assert stream.moved < len(data)


def test_everything_on_a_closed_stream_says_so(pair: MakePair) -> None:
    stream, _ = pair()
    stream.close()
    stream.close()
    calls: list[Callable[[], object]] = [
        stream.read,
        stream.wait_readable,
        stream.wait_writable,
        lambda: stream.write(b"x"),
        lambda: stream.try_send(b"x"),
        lambda: stream.park(lambda: None),
    ]
    for call in calls:
        with pytest.raises(SocketClosed):
            call()
    stream.pause()
    stream.shutdown()
    assert repr(stream) == "<Stream closed>"
    assert (stream.peername(), stream.sockname()) == (("", 0, False), ("", 0, False))


def test_the_number_of_a_closed_stream_may_be_used_at_once(pair: MakePair) -> None:
    """Watchers of the old connection must not see the new one's events, nor keep the new one's from coming."""

    def close_and_open() -> None:
        old, _ = pair(buffer=SMALL)
        waiters = [spawn(reads, old), spawn(writes, old)]
        wait_until(lambda: old._reader is not None and old._writer is not None)
        number = old.sock.fileno()
        old.close()
        taken, peer = pair()
        reader = spawn(taken.read)
        wait_until(lambda: waiting(reader, taken))
        peer.sendall(b"new")
        assert reader.get(timeout=5) == b"new"
        assert [type(waiter.exception) for waiter in waiters] == [SocketClosed, SocketClosed]
        used.append(number in (taken.sock.fileno(), peer.fileno()))

    used: list[bool] = []
    for _ in range(20):
        close_and_open()
    assert any(used)


# -- killing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("error", [gevent.GreenletExit, gevent.Timeout(1), ValueError("thrown")])
def test_a_killed_waiter_leaves_the_stream_usable(
    pair: MakePair, wait: Callable[[Stream], None], error: BaseException
) -> None:
    stream, peer = pair(buffer=SMALL)
    before = held().watchers
    waiter = spawn(wait, stream)
    wait_until(lambda: waiting(waiter, stream))
    waiter.kill(error)
    gevent.sleep(0)
    assert (stream._reader, stream._writer, stream._write_watcher) == (None, None, None)
    assert held().watchers <= before
    draining = spawn(read_all, peer)
    peer.sendall(b"input")
    assert stream.read(timeout=5) == b"input"
    stream.write(b"output", 5)
    stream.shutdown()
    assert draining.get(timeout=5).endswith(b"output")


def test_a_time_out_around_it_leaves_the_stream_usable(pair: MakePair) -> None:
    stream, peer = pair()
    with gevent.Timeout(0.01, False):
        stream.read()
    peer.sendall(b"input")
    assert stream.read(timeout=5) == b"input"


# -- the peer -----------------------------------------------------------------------------------------------------


def test_a_reset_while_reading(pair: MakePair) -> None:
    stream, peer = pair()
    reader = spawn(stream.read)
    wait_until(lambda: waiting(reader, stream))
    reset(peer)
    with pytest.raises(SocketClosed, match=r"broke while reading \(peer 127.0.0.1:\d+\): Connection reset by peer"):
        reader.get(timeout=5)


def test_a_reset_while_writing(pair: MakePair) -> None:
    stream, peer = pair(buffer=SMALL)
    writer = spawn(stream.write, BLOB)
    wait_until(lambda: waiting(writer, stream))
    reset(peer)
    words = r"broke while writing \(peer 127.0.0.1:\d+\): (Connection reset by peer|Broken pipe)"
    with pytest.raises(SocketClosed, match=words):
        writer.get(timeout=5)


def test_writing_to_a_peer_that_has_closed(pair: MakePair) -> None:
    stream, peer = pair()
    peer.close()
    with pytest.raises(SocketClosed, match="while writing"):
        for _ in range(100):
            stream.write(b"x", 5)
            gevent.sleep(0.001)


def test_our_half_closes_the_peers_goes_on(pair: MakePair) -> None:
    stream, peer = pair()
    stream.write(b"question")
    stream.shutdown()
    stream.shutdown()
    assert read_all(peer) == b"question"
    peer.sendall(b"answer")
    peer.close()
    assert stream.read(timeout=5) + stream.read(timeout=5) == b"answer"
    with pytest.raises(SocketClosed):
        stream.write(b"more")


def test_the_peers_half_closes_ours_goes_on(pair: MakePair) -> None:
    stream, peer = pair()
    peer.shutdown(socket.SHUT_WR)
    assert stream.read(timeout=5) == b""
    stream.write(b"answer")
    stream.shutdown()
    assert read_all(peer) == b"answer"


def test_shutdown_of_a_broken_connection_does_nothing(pair: MakePair) -> None:
    stream, peer = pair()
    reset(peer)
    with contextlib.suppress(SocketClosed):
        stream.read(timeout=5)
    stream.shutdown()


# -- parking ------------------------------------------------------------------------------------------------------


class Parked:
    """A callback that notes its calls and reads what there is."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.calls = 0
        self.data = b""

    def __call__(self) -> None:
        self.calls += 1
        self.data += self.stream.receive(READ_SIZE)


def test_a_parked_stream_calls_in_the_hub_until_paused(pair: MakePair) -> None:
    stream, peer = pair()
    greenlets: list[object] = []
    parked = Parked(stream)

    def callback() -> None:
        greenlets.append(gevent.getcurrent())
        parked()

    before = held().greenlets
    stream.park(callback)
    peer.sendall(b"one")
    wait_until(lambda: parked.data == b"one")
    peer.sendall(b"two")
    wait_until(lambda: parked.data == b"onetwo")
    assert held().greenlets <= before
    assert greenlets == [get_hub()] * 2
    stream.pause()
    stream.pause()
    peer.sendall(b"three")
    gevent.sleep(0.01)
    assert parked.calls == 2
    stream.park(callback)
    wait_until(lambda: parked.data == b"onetwothree")
    stream.pause()


def test_parking_again_replaces_the_callback(pair: MakePair) -> None:
    stream, peer = pair()
    first, second = Parked(stream), Parked(stream)
    stream.park(first)
    stream.park(second)
    peer.sendall(b"x")
    wait_until(lambda: second.data == b"x")
    assert first.calls == 0


def test_input_that_nobody_takes_calls_again(pair: MakePair) -> None:
    stream, peer = pair()
    calls: list[int] = []

    def callback() -> None:
        calls.append(1)
        if len(calls) == 3:
            stream.pause()

    stream.park(callback)
    peer.sendall(b"x")
    wait_until(lambda: len(calls) == 3)
    gevent.sleep(0.005)
    assert len(calls) == 3


@pytest.mark.parametrize("paused", [False, True])
def test_a_read_in_between_leaves_the_parking_as_it_was(pair: MakePair, paused: bool) -> None:
    stream, peer = pair()
    parked = Parked(stream)
    stream.park(parked)
    if paused:
        stream.pause()
    reader = spawn(stream.read)
    wait_until(lambda: waiting(reader, stream))
    peer.sendall(b"for the reader")
    assert reader.get(timeout=5) == b"for the reader"
    peer.sendall(b"for the callback")
    if paused:
        gevent.sleep(0.01)
        assert parked.calls == 0
        stream.park(parked)
    wait_until(lambda: parked.data == b"for the callback")


def test_a_read_that_times_out_leaves_the_parking_as_it_was(pair: MakePair) -> None:
    stream, peer = pair()
    parked = Parked(stream)
    stream.park(parked)
    with pytest.raises(TimedOut):
        stream.read(timeout=0.01)
    peer.sendall(b"x")
    wait_until(lambda: parked.data == b"x")


def test_closing_in_the_callback(pair: MakePair) -> None:
    stream, peer = pair()
    stream.park(stream.close)
    peer.sendall(b"x")
    wait_until(lambda: stream.closed)


def test_a_callback_of_the_hub_cannot_wait(pair: MakePair) -> None:
    stream, peer = pair(buffer=SMALL)
    fill(stream)
    said: list[str] = []

    def callback() -> None:
        for call in (stream.read, lambda: stream.write(b"x"), lambda: stream.read(timeout=1)):
            try:
                call()
            except IncorrectUse as error:
                said.append(str(error))

    get_hub().loop.run_callback(callback)
    wait_until(lambda: len(said) == 3)
    assert said[0] == "a callback of the hub cannot wait to read: spawn a greenlet"
    assert said[1] == "a callback of the hub cannot wait to write: spawn a greenlet"
    peer.sendall(b"x")
    assert stream.read(timeout=5) == b"x"


# -- giving away --------------------------------------------------------------------------------------------------


def test_detach_gives_the_socket_away_open_and_non_blocking(pair: MakePair) -> None:
    stream, peer = pair()
    number = stream.sock.fileno()
    stream.park(lambda: None)
    taken = stream.detach()
    assert stream.closed
    assert taken.fileno() == number
    assert not os.get_blocking(number)
    with pytest.raises(BlockingIOError):
        taken.recv(1)
    other = Stream(taken, get_hub())
    peer.sendall(b"in")
    assert other.read(timeout=5) == b"in"
    other.write(b"out")
    assert peer.recv(10) == b"out"
    with pytest.raises(SocketClosed):
        stream.read()
    stream.close()
    assert taken.fileno() == number
    other.close()


@pytest.mark.parametrize("wait", WAITS)
def test_detach_interrupts_who_waits(pair: MakePair, wait: Callable[[Stream], None]) -> None:
    stream, _ = pair(buffer=SMALL)
    waiter = spawn(wait, stream)
    wait_until(lambda: waiting(waiter, stream))
    taken = stream.detach()
    with pytest.raises(SocketClosed):
        waiter.get(timeout=5)
    taken.close()


# -- fairness (A6) ------------------------------------------------------------------------------------------------


class NativeReader:
    """Reads everything as fast as it can, in a native thread: a peer that never makes the writer wait."""

    def __init__(self, peer: socket.socket) -> None:
        self._sock = _socket.socket(peer.family, peer.type, peer.proto, fileno=peer.detach())
        self._sock.settimeout(20)
        self._data = bytearray()
        self._done = False

    def start(self) -> None:
        monkey.get_original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        try:
            while piece := self._sock.recv(1024 * 1024):
                self._data += piece
        finally:
            self._sock.close()
            self._done = True

    def result(self) -> bytes:
        """What came until the end."""
        wait_until(lambda: self._done, timeout=20)
        return bytes(self._data)


class Counting(Stream):
    """Counts the bytes that move."""

    moved: int

    def try_send(self, data: Any, flags: int = 0) -> int:
        sent = super().try_send(data, flags)
        self.moved += sent
        return sent


@contextlib.contextmanager
def turns_of_others(moved: Callable[[], int]) -> Iterator[list[int]]:
    """A greenlet that takes every turn it gets and notes how many bytes had moved; most between two turns is in [0]."""
    most = [0]
    done = Event()

    def other() -> None:
        last = moved()
        while not done.is_set():
            gevent.sleep(0)
            now = moved()
            most[0] = max(most[0], now - last)
            last = now

    greenlet = spawn(other)
    gevent.sleep(0)
    try:
        yield most
    finally:
        done.set()
        greenlet.join(timeout=5)


def test_a_write_to_a_fast_peer_gives_others_their_turns(pair: MakePair) -> None:
    """A6: send() never says that it would block, so 64 MiB went out in one turn."""
    stream, peer = pair(Counting)
    assert isinstance(stream, Counting)
    stream.moved = 0
    draining = NativeReader(peer)
    draining.start()
    data = bytes(64 * 1024 * 1024)
    with turns_of_others(lambda: stream.moved) as most:
        stream.write(data, 20)
    stream.shutdown()
    assert len(draining.result()) == stream.moved == len(data)
    assert 0 < most[0] <= TURN_SIZE + SEND_SIZE


def test_many_small_writes_give_others_their_turns(pair: MakePair) -> None:
    stream, peer = pair(Counting)
    assert isinstance(stream, Counting)
    stream.moved = 0
    draining = NativeReader(peer)
    draining.start()
    with turns_of_others(lambda: stream.moved) as most:
        for _ in range(2000):
            stream.write(bytes(8192), 20)
    stream.shutdown()
    draining.result()
    assert 0 < most[0] <= TURN_SIZE + SEND_SIZE


def test_reading_from_a_fast_peer_gives_others_their_turns(pair: MakePair) -> None:
    """A6: recv() never says that it would block, either."""
    stream, peer = pair()
    total = 64 * 1024 * 1024
    other_end = peer.detach()

    def send() -> None:
        sock = _socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=other_end)
        sock.settimeout(20)
        try:
            sock.sendall(bytes(total))
        finally:
            sock.close()

    monkey.get_original("_thread", "start_new_thread")(send, ())
    read = [0]
    with turns_of_others(lambda: read[0]) as most:
        while data := stream.read(timeout=20):
            read[0] += len(data)
    assert read[0] == total
    assert 0 < most[0] <= TURN_SIZE + READ_SIZE


# -- addresses, descriptors ---------------------------------------------------------------------------------------


def test_addresses(pair: MakePair) -> None:
    stream, peer = pair()
    assert stream.peername() == (*peer.getsockname(), False)
    assert stream.sockname() == (*peer.getpeername(), False)
    assert repr(stream) == f"<Stream fd {stream.sock.fileno()} peer 127.0.0.1:{stream.peername()[1]}>"


def test_addresses_of_a_unix_socket() -> None:
    with nothing_left():
        here, there = (_socket.socket(s.family, s.type, 0, fileno=s.detach()) for s in socket.socketpair())
        stream = Stream(here, get_hub())
        assert stream.peername() == ("unix", 0, False)
        stream.close()
        there.close()


def test_nodelay_is_set_and_cleared(pair: MakePair) -> None:
    stream, _ = pair()
    for on in (True, False):
        stream.set_nodelay(on)
        assert bool(stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is on


def test_no_descriptor_is_lost(pair: MakePair) -> None:
    """Every way to the end, many times; the fixture counts again."""
    before = held()
    for number in range(100):
        stream, peer = pair()
        if number % 4 == 0:
            reset(peer)
        elif number % 4 == 1:
            stream.park(lambda: None)
        elif number % 4 == 2:
            with pytest.raises(TimedOut):
                stream.read(timeout=0)
        else:
            stream.detach().close()
        stream.close()
        peer.close()
    assert held().within(before)
