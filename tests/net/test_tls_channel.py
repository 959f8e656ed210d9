"""Bytes through encrypted streams: much, both ways, in pieces, cut off; and streams that are encrypted halfway."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from authority import localhost
from leaks import nothing_left
from support import wait_until
from tlspairs import SECONDS, Ends, client_tls, exchange, quietly, read_all, server_tls, shake, sockets

from greenbas.dispatcher import spawn
from greenbas.errors import SocketBusy, SocketClosed, TimedOut, TlsError
from greenbas.net import Stream, send_file
from greenbas.net.tls import TlsChannel, handshake
from greenbas.net.tls.memory import MemoryChannel

BIG = os.urandom(512 * 1024) * 8  # more than any kernel keeps


@pytest.fixture(autouse=True, scope="module")  # a look after each test would take as long as the tests
def clean() -> Iterator[None]:
    localhost()  # made before the counting begins
    with nothing_left():
        yield


def upgraded(small: bool = False) -> Ends:
    """A pair of which the server had read the client's first bytes before it began."""
    mine, theirs = sockets()
    if small:
        for stream in (mine, theirs):
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    other = spawn(quietly, handshake, mine, client_tls(), server_name="localhost")
    theirs.unread(theirs.read(5, timeout=SECONDS))
    channel = handshake(theirs, server_tls())
    found = other.get(timeout=SECONDS)
    assert isinstance(found, TlsChannel), found
    return Ends(mine, theirs, found, channel)


def direct(small: bool = False) -> Ends:
    ends = shake(client_tls(), server_tls())
    if small:
        for stream in (ends.client, ends.server):
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return ends


@pytest.fixture(params=[direct, upgraded], ids=["descriptor", "memory"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Ends]]:
    """Pairs over both kinds of channel, closed at the end."""
    made: list[Ends] = []

    def one(**options: Any) -> Ends:
        made.append(request.param(**options))
        return made[-1]

    yield one
    for ends in made:
        ends.close()


def test_the_kinds(make: Callable[..., Ends], request: pytest.FixtureRequest) -> None:
    ends = make()
    assert isinstance(ends.server_channel, MemoryChannel) == ("memory" in request.node.name)
    exchange(ends)
    assert ends.client_channel.trusted() is True


@pytest.mark.parametrize("small", [False, True])
def test_much_both_ways_at_once(make: Callable[..., Ends], small: bool) -> None:
    ends = make(small=small)
    data = BIG[: 60_000 if small else len(BIG)]

    def receive(stream: Stream) -> bytes:
        found = bytearray()
        while len(found) < len(data):
            found += stream.read(timeout=SECONDS)
        return bytes(found)

    writers = [spawn(stream.write, data, SECONDS) for stream in (ends.client, ends.server)]
    readers = [spawn(receive, stream) for stream in (ends.client, ends.server)]
    gevent.joinall([*writers, *readers], timeout=30, raise_error=True)
    assert [reader.get(block=False) == data for reader in readers] == [True, True]


def test_small_reads_see_everything(make: Callable[..., Ends]) -> None:
    # What OpenSSL has decrypted already is not on the descriptor any more.
    ends = make()
    ends.client.write(b"0123456789" * 100)
    for sender, receiver in ((ends.client, ends.server), (ends.server, ends.client)):
        sender.write(b"abcdefghij" * 10)
        expected = b"0123456789" * 100 + b"abcdefghij" * 10 if receiver is ends.server else b"abcdefghij" * 10
        assert b"".join(receiver.read(1, timeout=SECONDS) for _ in expected) == expected


def test_a_parked_stream_is_told_of_what_is_decrypted(make: Callable[..., Ends]) -> None:
    ends = make()
    ends.client.write(b"abc")
    assert ends.server.read(1, timeout=SECONDS) == b"a"
    found: list[bytes] = []
    ends.server.park(lambda: found.append(ends.server.receive(1)))
    wait_until(lambda: found)
    ends.server.pause()
    assert found[0] == b"b"


def test_half_close(make: Callable[..., Ends]) -> None:
    ends = make()
    ends.client.write(b"question")
    ends.client.shutdown()
    assert read_all(ends.server) == b"question"
    assert ends.server_channel.ended_cleanly
    writer = spawn(ends.server.write, BIG, SECONDS)
    found = b""
    while len(found) < len(BIG):
        found += ends.client.read(1024 * 1024, timeout=SECONDS)
    writer.get(timeout=SECONDS)
    assert found == BIG
    ends.server.close()
    assert ends.client.read(timeout=SECONDS) == b""


def test_an_end_without_close_notify_is_told_apart(make: Callable[..., Ends]) -> None:
    ends = make()
    ends.client.write(b"cut o")
    ends.client.sock.shutdown(socket.SHUT_WR)
    assert read_all(ends.server) == b"cut o"
    assert not ends.server_channel.ended_cleanly


def test_a_record_that_was_tampered_with(make: Callable[..., Ends]) -> None:
    ends = make()
    ends.client.sock.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises((TlsError, SocketClosed)) as caught:
        ends.server.read(timeout=SECONDS)
    assert "decryption failed or bad record mac" in str(caught.value)
    ends.server.close()  # sends nothing more, raises nothing


def test_a_peer_that_takes_nothing(make: Callable[..., Ends]) -> None:
    ends = make(small=True)
    with pytest.raises(TimedOut, match=r"could not write for 0\.05 s"):
        ends.client.write(BIG, 0.05)
    ends.client.close()


def test_a_reset(make: Callable[..., Ends]) -> None:
    ends = make()
    ends.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.client.sock.close()
    with pytest.raises(SocketClosed, match="reset"):
        ends.server.read(timeout=SECONDS)


def test_write_to_who_has_gone(make: Callable[..., Ends]) -> None:
    ends = make()
    ends.client.close()
    with pytest.raises(SocketClosed):
        while True:
            ends.server.write(BIG, SECONDS)


def test_two_greenlets_must_not_read_or_write_at_once(make: Callable[..., Ends]) -> None:
    ends = make(small=True)
    reader = spawn(quietly, ends.client.read)
    writer = spawn(quietly, ends.client.write, BIG)
    wait_until(lambda: ends.client._reader is not None and ends.client._writer is not None)
    with pytest.raises(SocketBusy):
        ends.client.read()
    with pytest.raises(SocketBusy):
        ends.client.write(b"x")
    ends.client.close()
    assert isinstance(reader.get(timeout=SECONDS), SocketClosed)
    assert isinstance(writer.get(timeout=SECONDS), SocketClosed)


def test_closed_in_the_middle_of_a_write(make: Callable[..., Ends]) -> None:
    ends = make(small=True)
    writer = spawn(quietly, ends.server.write, BIG)
    wait_until(lambda: ends.server._writer is not None)
    ends.server.close()
    assert isinstance(writer.get(timeout=SECONDS), SocketClosed)
    found = quietly(read_all, ends.client)
    assert isinstance(found, SocketClosed) or BIG.startswith(found)
    assert not ends.client_channel.ended_cleanly


@pytest.mark.parametrize(("size", "possible"), [(256, False), (257, True), (8192, True), (16384, True), (16385, False)])
def test_max_size(make: Callable[..., Ends], size: int, possible: bool) -> None:
    ends = make()
    assert ends.server_channel.set_max_size(size) is possible
    if possible:
        ends.server.write(b"x" * 40_000, SECONDS)
        pieces: list[int] = []
        while sum(pieces) < 40_000:
            pieces.append(len(ends.client.read(16384, timeout=SECONDS)))  # a read gives one record at most
        assert max(pieces) == size
        assert pieces[0] == size


def test_max_size_may_change_while_a_record_waits(make: Callable[..., Ends]) -> None:
    ends = make(small=True)
    writer = spawn(ends.server.write, BIG[:60_000], SECONDS)
    wait_until(lambda: ends.server._write_watcher is not None)
    ends.server_channel.set_max_size(300)
    found = b""
    while len(found) < 60_000:
        found += ends.client.read(timeout=SECONDS)
    assert found == BIG[:60_000]
    writer.get(timeout=SECONDS)


def test_wide_items_and_empty_writes(make: Callable[..., Ends]) -> None:
    import array

    ends = make()
    ends.client.write(b"")
    ends.client.write(array.array("I", [1, 2, 3]))
    ends.client.write(memoryview(b"end"))
    assert ends.server.read(100, timeout=SECONDS) == array.array("I", [1, 2, 3]).tobytes()
    assert ends.server.read(100, timeout=SECONDS) == b"end"


def test_a_file(make: Callable[..., Ends], tmp_path: Path) -> None:
    ends = make()
    (tmp_path / "file").write_bytes(BIG)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        sender = spawn(send_file, ends.server, fd, 5, len(BIG) + 100, SECONDS)
        found = bytearray()
        while len(found) < len(BIG) - 5:
            found += ends.client.read(timeout=SECONDS)
        assert sender.get(timeout=SECONDS) == len(BIG) - 5  # it is shorter than was asked for
        assert found == BIG[5:]
    finally:
        os.close(fd)


# -- a protocol that begins in the clear --------------------------------------------------------------------------


def test_upgrade_in_the_middle_of_a_connection() -> None:
    client, server = sockets()

    def serve() -> str:
        assert server.read(timeout=SECONDS) == b"STARTTLS\n"
        server.write(b"go\n")
        handshake(server, server_tls())
        server.write(b"now " + server.read(timeout=SECONDS))
        return "done"

    other = spawn(serve)
    client.write(b"STARTTLS\n")
    assert client.read(timeout=SECONDS) == b"go\n"
    handshake(client, client_tls(), server_name="localhost")
    client.write(b"secret")
    assert client.read(timeout=SECONDS) == b"now secret"
    assert other.get(timeout=SECONDS) == "done"
    client.close()
    server.close()


def test_the_accepting_side_may_be_the_client() -> None:
    client, server = sockets()
    other = spawn(quietly, handshake, client, server_tls())
    channel = handshake(server, client_tls(), server_name="localhost")
    assert channel.trusted() is True
    assert isinstance(other.get(timeout=SECONDS), TlsChannel)
    client.close()
    server.close()


def test_what_was_injected_in_the_clear_is_no_part_of_what_was_encrypted() -> None:
    # As with STARTTLS: a command behind it, in the same packet, must never be taken for an encrypted one.
    client, server = sockets()
    client.write(b"STARTTLS\nEVIL\n")
    assert server.read(9, timeout=SECONDS) == b"STARTTLS\n"
    server.unread(server.read(100, timeout=SECONDS))
    with pytest.raises(TlsError, match=r"wrong|unknown|version|does not speak TLS|HTTP"):
        handshake(server, server_tls())
    client.close()


def test_a_handshake_in_pieces_of_one_byte() -> None:
    client, server = sockets()
    middle_client, far = sockets()
    other = spawn(quietly, handshake, client, client_tls(), server_name="localhost")

    def trickle(source: Stream, target: Stream, left: int) -> None:
        while data := source.read(1 if left else 65536, timeout=SECONDS):
            left = max(0, left - 1)
            target.write(data)

    relays = [spawn(quietly, trickle, server, middle_client, 600), spawn(quietly, trickle, middle_client, server, 600)]
    channel = handshake(far, server_tls())
    found = other.get(timeout=SECONDS)
    assert isinstance(found, TlsChannel)
    assert channel.cipher() == found.cipher()
    for stream in (client, server, middle_client, far):
        stream.close()
    gevent.joinall(relays, timeout=SECONDS)


def test_others_run_while_much_is_moved() -> None:
    ends = direct()
    turns = 0
    done = False

    def count() -> None:
        nonlocal turns
        while not done:
            turns += 1
            gevent.sleep(0)

    counter = spawn(count)
    reader = spawn(read_all, ends.client)
    ends.server.write(BIG * 4, SECONDS)
    ends.server.close()
    assert len(reader.get(timeout=SECONDS)) == 4 * len(BIG)
    done = True
    counter.join()
    assert turns > 10
    ends.close()


def test_a_stream_of_ours_is_one() -> None:
    left, right = socket.socketpair()
    stream = stream_of_unix(left)
    other = stream_of_unix(right)
    found = spawn(quietly, handshake, other, server_tls())
    channel = handshake(stream, client_tls(), server_name="localhost")  # TLS over a UNIX socket
    assert channel.trusted() is True
    assert isinstance(found.get(timeout=SECONDS), TlsChannel)
    stream.close()
    other.close()


def stream_of_unix(sock: socket.socket) -> Stream:
    import _socket

    from gevent import get_hub

    return Stream(_socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach()), get_hub())
