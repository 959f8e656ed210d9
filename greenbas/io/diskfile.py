"""A file that is open on the disk: its descriptor, and a position of its own."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from greenbas.dispatcher import close_fd, yield_hub
from greenbas.io.handle import Bytes, FileHandle, Mode, Stat
from greenbas.io.oserrors import from_os_error
from greenbas.net import read_piece

if TYPE_CHECKING:
    from greenbas.io.disk import DiskIo

__all__ = ["DiskFile", "make_stat"]

# Files that do not know their size, as in /proc, are read in pieces of this many bytes.
_PIECE = 65536
_TURN = 1024 * 1024  # bytes read before other greenlets get a turn: some hundred microseconds


def make_stat(path: str, status: os.stat_result) -> Stat:
    """Make a description from what the operating system says.

    Args:
        path: whose last segment is the name; canonical.
        status: from fstat or stat.

    Returns:
        The description.
    """
    return Stat(path[path.rfind("/") + 1 :], status.st_size, status.st_mtime_ns, stat.S_ISDIR(status.st_mode))


class DiskFile(FileHandle):
    """An open file on the disk.

    Args:
        io: the I/O it belongs to.
        path: canonical.
        mode: what it is for.
        fd: its descriptor, which this object closes.
        status: from fstat, just taken.
    """

    __slots__ = ("_fd", "_position", "_status")

    def __init__(self, io: DiskIo, path: str, mode: Mode, fd: int, status: os.stat_result) -> None:
        super().__init__(io, path, mode)
        self._fd = fd
        self._status = status
        self._position = status.st_size if mode.append else 0

    def read(self, size: int = -1) -> bytes:
        self._must_read()
        data = self._read_at(size, self._position) if size >= 0 else self._read_rest()
        self._position += len(data)
        return data

    def pread(self, size: int, offset: int) -> bytes:
        self._must_read()
        self._must_be_natural("size", size)
        self._must_be_natural("offset", offset)
        return self._read_at(size, offset)

    def fingerprint(self) -> tuple[int, ...] | None:
        status = self._status
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_dev

    def _read_rest(self) -> bytes:
        pieces: list[bytes] = []
        position = self._position
        expected = 0 if self._mode.write else max(0, self._status.st_size - position)
        # One byte more than there should be, so that a file that has grown is noticed by a full read.
        size = expected + 1 if expected else _PIECE
        while piece := self._read_at(size, position):
            pieces.append(piece)
            position += len(piece)
            size = _PIECE
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_at(self, size: int, offset: int) -> bytes:
        """All reading of file data goes through here: what is not in memory yet, and what is large, holds up no one."""
        try:
            if size <= _TURN:
                return bytes(read_piece(self._fd, size, offset))
            pieces: list[bytes] = []
            while size > 0 and (piece := bytes(read_piece(self._fd, min(size, _TURN), offset))):
                pieces.append(piece)
                size -= len(piece)
                offset += len(piece)
                yield_hub()
            return b"".join(pieces)
        except OSError as error:
            raise from_os_error(error, self._path) from None

    def write(self, *chunks: Bytes) -> None:
        self._must_write()
        try:
            for chunk in chunks:
                self._write_all(memoryview(chunk).cast("B"))
        except OSError as error:
            raise from_os_error(error, self._path) from None

    def _write_all(self, rest: memoryview) -> None:
        while rest:
            if self._mode.append:
                count = os.write(self._fd, rest)
                self._position = os.lseek(self._fd, 0, os.SEEK_CUR)
            else:
                count = os.pwrite(self._fd, rest, self._position)
                self._position += count
            rest = rest[count:]

    def empty(self) -> None:
        """Drop the content, as opening with "w" does.

        Raises:
            IoError: that failed; the file is closed.
        """
        try:
            if self._status.st_size:
                os.ftruncate(self._fd, 0)
        except OSError as error:
            self.close()
            raise from_os_error(error, self._path) from None

    def seek(self, offset: int = 0) -> None:
        self._must_be_open()
        self._must_be_natural("offset", offset)
        self._position = offset

    def stat(self) -> Stat:
        self._must_be_open()
        return make_stat(self._path, os.fstat(self._fd) if self._mode.write else self._status)

    def fileno(self) -> int:
        self._must_be_open()
        return self._fd

    def _release(self) -> None:
        try:
            close_fd(self._fd)
        except OSError as error:
            # Linux has freed the descriptor all the same; a network file system tells of a full disk here.
            raise from_os_error(error, self._path) from None
