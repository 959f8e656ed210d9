"""Files through streams: from memory by sendfile, from a disk by a native thread, and every way in which it can end."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import monkey
from support import wait_until

from greenbas.dispatcher import spawn, threads
from greenbas.errors import SocketBusy, SocketClosed, TimedOut
from greenbas.net import Stream, filesend, read_piece, send_file
from greenbas.net.filesend import PIECE
from greenbas.net.stream import TURN_SIZE

MakePair = Callable[..., tuple[Stream, socket.socket]]
native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")
SMALL = 8192  # a kernel buffer that is full soon
CONTENT = os.urandom(1024 * 1024) * 3 + b"the end"
SIZE = len(CONTENT)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A file with CONTENT, hot: it was just written."""
    (tmp_path / "file").write_bytes(CONTENT)
    fd = os.open(tmp_path / "file", os.O_RDWR)
    yield fd
    os.close(fd)


# How a file is made to look.


def hot(_: pytest.MonkeyPatch) -> None:
    pass


def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesend, "_is_hot", lambda *_: False)


def without_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesend, "_NOWAIT", None)


def failing_with(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    def fake(monkeypatch: pytest.MonkeyPatch) -> None:
        def preadv(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "preadv", preadv)

    fake.__name__ = errno.errorcode[number]
    return fake


LOOKS = [hot, cold, without_flag, failing_with(errno.EAGAIN), failing_with(errno.EOPNOTSUPP)]


def collect(peer: socket.socket) -> gevent.Greenlet:
    def read_all() -> bytes:
        pieces = []
        while piece := peer.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    return spawn(read_all)


# -- read_piece ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("size", "offset"),
    [(0, 0), (1, 0), (7, 3), (PIECE, 0), (PIECE, 12345), (100, SIZE - 50), (1, SIZE - 1), (1, SIZE), (100, SIZE + 9)],
)
def test_read_piece(
    fd: int, size: int, offset: int, look: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    assert read_piece(fd, size, offset) == CONTENT[offset : offset + size]
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0  # the position is not moved


def test_read_piece_of_which_only_the_beginning_is_in_memory(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv = os.preadv

    def first_page(fd: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        return preadv(fd, [memoryview(buffers[0])[:4096]], offset, flags)

    monkeypatch.setattr(os, "preadv", first_page)
    assert read_piece(fd, 10_000, 100) == CONTENT[100:10_100]


@pytest.mark.parametrize("look", [without_flag, failing_with(errno.EAGAIN)])
def test_a_cold_piece_is_read_in_a_native_thread(
    fd: int, look: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    pread, idents = os.pread, set()

    def noting(*args: Any) -> bytes:
        idents.add(native_ident())
        return pread(*args)

    monkeypatch.setattr(os, "pread", noting)
    assert read_piece(fd, 10, 0) == CONTENT[:10]
    assert len(idents) == 1 and native_ident() not in idents


def test_a_hot_piece_needs_no_thread(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesend._files, "offload", lambda *_: pytest.fail("a thread was asked"))
    assert read_piece(fd, 1000, 0) == CONTENT[:1000]


def test_a_failing_disk_is_an_os_error(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(errno.EIO)(monkeypatch)
    with pytest.raises(OSError, match="Input/output error"):
        read_piece(fd, 10, 0)


# -- send_file ----------------------------------------------------------------------------------------------------


RANGES = [
    (0, 0),
    (0, 1),
    (0, SIZE),
    (1, SIZE - 1),
    (SIZE - 7, 7),
    (4095, 4098),
    (0, PIECE - 1),
    (3, PIECE + 1),
    (17, TURN_SIZE - 1),
    (17, TURN_SIZE),
    (17, TURN_SIZE + 1),
    (999_999, 2 * TURN_SIZE + 13),
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(("offset", "count"), RANGES)
def test_send_file_sends_exactly_that_part(
    pair: MakePair,
    fd: int,
    offset: int,
    count: int,
    look: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look(monkeypatch)
    stream, peer = pair()
    reader = collect(peer)
    assert send_file(stream, fd, offset, count, 10) == count
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    stream.shutdown()
    assert reader.get(timeout=10) == CONTENT[offset : offset + count]


@pytest.mark.parametrize("look", LOOKS)
def test_a_slow_reader_gets_it_all(
    pair: MakePair, fd: int, look: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    stream, peer = pair(buffer=SMALL)
    sender = spawn(send_file, stream, fd, 1, SIZE - 1, 10)
    received = b""
    while len(received) < SIZE - 1:
        received += peer.recv(100_000)
        gevent.sleep(0)
    assert sender.get(timeout=5) == SIZE - 1
    assert received == CONTENT[1:]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("offset", "count", "sent"), [(0, SIZE + 1, SIZE), (SIZE - 3, 1000, 3), (SIZE, 5, 0), (SIZE + 9, 5, 0)]
)
def test_a_file_shorter_than_announced(
    pair: MakePair,
    fd: int,
    offset: int,
    count: int,
    sent: int,
    look: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look(monkeypatch)
    stream, peer = pair()
    reader = collect(peer)
    assert send_file(stream, fd, offset, count, 10) == sent
    stream.shutdown()
    assert reader.get(timeout=10) == CONTENT[offset : offset + count]


@pytest.mark.parametrize("look", LOOKS)
def test_a_file_that_is_cut_while_it_is_sent(
    pair: MakePair, fd: int, look: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    stream, peer = pair(buffer=SMALL)
    sender = spawn(send_file, stream, fd, 0, SIZE, 10)
    wait_until(lambda: stream._write_watcher is not None)
    os.ftruncate(fd, 2 * 1024 * 1024)
    reader = collect(peer)
    sent = sender.get(timeout=10)
    stream.shutdown()
    data = reader.get(timeout=10)
    assert len(data) == sent < SIZE
    assert data == CONTENT[:sent]


@pytest.mark.parametrize("look", [hot, cold])
def test_a_peer_that_takes_nothing_times_out(
    pair: MakePair, fd: int, look: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    stream, peer = pair(buffer=SMALL)
    with pytest.raises(TimedOut):
        send_file(stream, fd, 0, SIZE, 0.02)
    assert stream._writer is None
    reader = collect(peer)
    stream.write(b"usable", 5)
    stream.shutdown()
    assert reader.get(timeout=5).endswith(b"usable")


@pytest.mark.parametrize("look", [hot, cold])
@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_a_peer_that_has_gone(
    pair: MakePair,
    fd: int,
    when: str,
    look: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look(monkeypatch)
    stream, peer = pair(buffer=SMALL)
    if when == "before":
        peer.close()
        sender = spawn(send_file, stream, fd, 0, SIZE, 10)
    else:
        sender = spawn(send_file, stream, fd, 0, SIZE, 10)
        wait_until(lambda: stream._write_watcher is not None)
        peer.close()
    with pytest.raises(SocketClosed):
        sender.get(timeout=5)


@pytest.mark.parametrize("look", [hot, cold])
def test_closing_interrupts_it(
    pair: MakePair, fd: int, look: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    stream, _ = pair(buffer=SMALL)
    sender = spawn(send_file, stream, fd, 0, SIZE)
    wait_until(lambda: stream._write_watcher is not None)
    stream.close()
    with pytest.raises(SocketClosed):
        sender.get(timeout=5)
    with pytest.raises(SocketClosed):
        send_file(stream, fd, 0, SIZE)


def test_closing_while_the_disk_is_read(pair: MakePair, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cold(monkeypatch)
    lock = monkey.get_original("_thread", "allocate_lock")()
    lock.acquire()
    began: list[bool] = []

    def slow(*_: object) -> bytes:
        began.append(True)
        lock.acquire()
        return b""

    monkeypatch.setattr(os, "pread", slow)
    stream, _ = pair()
    sender = spawn(send_file, stream, fd, 0, SIZE)
    wait_until(lambda: bool(began))
    stream.close()
    with pytest.raises(SocketClosed):
        sender.get(timeout=5)
    lock.release()
    wait_until(lambda: filesend._files.pending == 0)


def test_a_killed_sender_leaves_the_stream_usable(pair: MakePair, fd: int) -> None:
    stream, peer = pair(buffer=SMALL)
    sender = spawn(send_file, stream, fd, 0, SIZE)
    wait_until(lambda: stream._write_watcher is not None)
    sender.kill()
    reader = collect(peer)
    stream.write(b"usable", 5)
    stream.shutdown()
    assert reader.get(timeout=5).endswith(b"usable")


def test_nobody_else_writes_in_the_middle_of_a_file(pair: MakePair, fd: int) -> None:
    """Between two turns of the sender their bytes went in."""
    stream, peer = pair(buffer=SMALL)
    sender = spawn(send_file, stream, fd, 0, SIZE, name="sender")
    wait_until(lambda: stream._writer is sender)
    for call in (lambda: stream.write(b"x"), lambda: send_file(stream, fd, 0, 1)):
        with pytest.raises(SocketBusy, match=r"main writes to .* while sender does"):
            call()
    reader = collect(peer)
    assert sender.get(timeout=10) == SIZE
    stream.shutdown()
    assert reader.get(timeout=10) == CONTENT


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, OSError), (errno.EPIPE, SocketClosed)])
def test_errors_of_the_disk_are_told_from_those_of_the_connection(
    pair: MakePair, fd: int, number: int, kind: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sendfile(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sendfile", sendfile)
    stream, _ = pair()
    with pytest.raises(OSError) as caught:
        send_file(stream, fd, 0, 10)
    assert type(caught.value) is kind


def test_a_file_that_is_not_open_is_no_broken_connection(pair: MakePair, fd: int) -> None:
    """It was reported as SocketClosed, which callers take for a client that went away."""
    stream, _ = pair()
    number = os.dup(fd)
    os.close(number)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        send_file(stream, number, 0, 10)
    assert type(caught.value) is OSError


class Drain:
    """Takes everything as fast as it can, in a native thread: a peer that never makes the sender wait."""

    def __init__(self, peer: socket.socket) -> None:
        self._sock = monkey.get_original("socket", "socket")(fileno=peer.detach())
        self._sock.settimeout(20)
        self.received = 0
        self.done = False
        monkey.get_original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        buffer = bytearray(1024 * 1024)
        try:
            while count := self._sock.recv_into(buffer):
                self.received += count
        finally:
            self._sock.close()
            self.done = True


MUCH = 64 * 1024 * 1024


def test_a_fast_peer_leaves_turns_to_others(pair: MakePair, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A6: sendfile() never says that it would block, so a large file went out in one turn."""
    os.ftruncate(fd, MUCH)
    sendfile, moved = os.sendfile, [0]

    def counting(*args: Any) -> int:
        count = sendfile(*args)
        moved[0] += count
        return count

    monkeypatch.setattr(os, "sendfile", counting)
    stream, peer = pair()
    drain = Drain(peer)
    most = [0]

    def other() -> None:
        last = 0
        while not sender.ready():
            gevent.sleep(0)
            most[0] = max(most[0], moved[0] - last)
            last = moved[0]

    sender = spawn(send_file, stream, fd, 0, MUCH, 20)
    spawn(other).join(timeout=20)
    assert sender.get(timeout=20) == MUCH
    stream.shutdown()
    wait_until(lambda: drain.done)
    assert drain.received == MUCH
    assert 0 < most[0] <= 2 * TURN_SIZE


def test_a_file_and_a_write_at_once_leave_turns_to_others(pair: MakePair, fd: int) -> None:
    """A6 again, as a server does it: one greenlet writes, one sends a file, and a third has its turns among them."""
    os.ftruncate(fd, MUCH)
    turns: list[bool] = []
    pairs = [pair(), pair()]
    drains = [Drain(peer) for _, peer in pairs]
    (first, second), data = [stream for stream, _ in pairs], bytes(MUCH)
    senders = [spawn(send_file, first, fd, 0, MUCH, 20), spawn(second.write, data, 20)]

    def ticker() -> None:
        while not all(sender.ready() for sender in senders):
            turns.append(True)
            gevent.sleep(0)

    spawn(ticker)
    gevent.joinall(senders, timeout=20, raise_error=True)
    first.shutdown()
    second.shutdown()
    wait_until(lambda: all(drain.done for drain in drains))
    assert [drain.received for drain in drains] == [MUCH, MUCH]
    assert len(turns) >= MUCH // TURN_SIZE


def test_slow_library_jobs_do_not_delay_cold_files(pair: MakePair, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A2, for what is sent; for what is read see the tests of threads."""
    cold(monkeypatch)
    lock = monkey.get_original("_thread", "allocate_lock")()
    lock.acquire()

    def slow() -> None:
        lock.acquire()
        lock.release()

    for _ in range(20):
        threads.run(slow)
    stream, peer = pair()
    reader = collect(peer)
    assert send_file(stream, fd, 0, SIZE, 10) == SIZE
    stream.shutdown()
    assert reader.get(timeout=10) == CONTENT
    assert threads._library.pending == 20
    lock.release()
    wait_until(lambda: threads._library.pending == 0)
