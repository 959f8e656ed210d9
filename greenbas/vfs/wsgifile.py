"""`FileWrapper`: what ``wsgi.file_wrapper`` makes of a file, and when the file itself can be sent."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["FileWrapper"]

BLOCK_SIZE = 64 * 1024  # bytes; for applications that name no size
_BUFFERED = (io.BufferedReader, io.BufferedRandom)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """A file as an iterable of blocks; a server that can send files as they are need not iterate (PEP 3333).

    Args:
        file: anything with ``read``; one with ``close`` is closed with the wrapper.
        block_size: bytes of one block.
    """

    def __init__(self, file: _Readable, block_size: int = BLOCK_SIZE) -> None:
        self._file = file
        self._block_size = block_size
        if hasattr(file, "close"):
            self.close: Callable[[], Any] = file.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(self._block_size)
        if not block:
            raise StopIteration
        return block

    def extent(self) -> tuple[int, int, int] | None:
        """Descriptor, position and the bytes from there to the end, if the file is one of the disk; else None."""
        file: Any = self._file
        # Exactly these: others have a descriptor too, such as gzip's, but not for the bytes that they read.
        raw = file.raw if type(file) in _BUFFERED else file
        if type(raw) is not io.FileIO or raw.closed or not raw.readable():
            return None
        fd = raw.fileno()
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        position = file.tell()
        return fd, position, max(0, status.st_size - position)
