"""Sending part of a file through a stream without holding up the hub.

Hot files go by sendfile. Whether a piece is in the page cache is asked first, because sendfile and read have no way to
say "not yet" for a disk: a cold piece is read in a native thread of the files' own pool.
"""

from __future__ import annotations

import errno
import os

from greenbas.dispatcher.native import Thread
from greenbas.errors import SocketClosed
from greenbas.net.stream import TURN_SIZE, Stream

__all__ = ["read_piece", "send_file"]

FILE_THREADS = 4  # disks serve a few requests at once; more threads only queue in the kernel
PIECE = 256 * 1024  # bytes of a cold read: large enough to amortise the trip to the thread
_files = Thread(FILE_THREADS, name="files")
_PEER_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT})
_NOWAIT = getattr(os, "RWF_NOWAIT", None)


def read_piece(fd: int, size: int, offset: int) -> bytes | bytearray:
    """Read from a regular file: at once when it is in memory, else in a thread.

    Args:
        fd: a descriptor open for reading.
        size: the most bytes to read.
        offset: where in the file.

    Returns:
        The bytes; fewer than `size` at the end of the file.
    """
    if _NOWAIT is None:
        return _files.offload(os.pread, fd, size, offset)
    buffer = bytearray(size)
    try:
        count = os.preadv(fd, [buffer], offset, _NOWAIT)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # a file system in memory or one without the flag
            return os.pread(fd, size, offset)
        if error.errno != errno.EAGAIN:
            raise
        return _files.offload(os.pread, fd, size, offset)
    if count < size:
        # Short: the end of the file, or the first part only was in memory.
        return bytes(buffer[:count]) + _files.offload(os.pread, fd, size - count, offset + count)
    return buffer


def send_file(stream: Stream, fd: int, offset: int, count: int, timeout: float | None = None) -> int:
    """Send `count` bytes of a regular file, starting at `offset`.

    Through an encrypted stream they are read and written: there is no other way to OpenSSL.

    Args:
        stream: a TCP stream.
        fd: a descriptor open for reading; its own position is neither used nor moved.
        offset: the first byte.
        count: how many bytes.
        timeout: seconds without progress after which to give up.

    Returns:
        The bytes sent: fewer than `count` only if the file became shorter meanwhile.

    Raises:
        TimedOut: the peer took nothing within the time-out.
        SocketBusy: another greenlet is in the middle of its bytes.
        SocketClosed: the connection broke.
        OSError: the disk failed.
    """
    sent = 0
    before = stream.claim_writing()
    try:
        while sent < count:
            position = offset + sent
            piece = min(count - sent, TURN_SIZE)
            if stream.channel is not None:
                data = read_piece(fd, min(piece, PIECE), position)
                stream.write(data, timeout)
                moved = len(data)
            elif not _is_hot(fd, position, piece):
                data = _files.offload(os.pread, fd, min(piece, PIECE), position)
                stream.write(data, timeout)
                moved = len(data)
            else:
                moved = _sendfile(stream, fd, position, piece, timeout)
            if not moved:
                break
            sent += moved
    finally:
        stream.release_writing(before)
    return sent


def _sendfile(stream: Stream, fd: int, position: int, piece: int, timeout: float | None) -> int:
    while True:
        try:
            # The number is asked for each time: while this greenlet waited, another may have closed the stream.
            moved = os.sendfile(stream.sock.fileno(), fd, position, piece)
        except BlockingIOError:
            stream.wait_writable(timeout)
        except OSError as error:
            if error.errno in _PEER_GONE or stream.closed:
                raise SocketClosed(f"the connection broke while sending a file: {error.strerror}") from error
            raise
        else:
            stream.took(moved)
            return moved


def _is_hot(fd: int, position: int, piece: int) -> bool:
    if _NOWAIT is None:
        return False
    probe = bytearray(1)
    try:
        for place in (position, position + piece - 1):
            os.preadv(fd, [probe], place, _NOWAIT)
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True
