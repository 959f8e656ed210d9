"""What a tree in memory is made of, and a file of it that is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from greenbas.errors import NoSpace
from greenbas.io.handle import Bytes, FileHandle, Mode, Stat

if TYPE_CHECKING:
    from greenbas.io.memory import MemoryIo

__all__ = ["DirectoryNode", "FileNode", "MemoryFile", "Space", "describe"]


@dataclass(slots=True)
class Space:
    """The bytes that all files of a tree may take together, and those they do."""

    limit: int | None
    used: int = 0

    def take(self, count: int, path: str) -> None:
        """Claim bytes for the file at a path, or raise NoSpace."""
        if self.limit is not None and self.used + count > self.limit:
            raise NoSpace(path, f"{self.used} of {self.limit} bytes are used, and {count} more are too many")
        self.used += count


@dataclass(slots=True, eq=False)
class FileNode:
    """A file: its bytes, and how long it lives."""

    space: Space
    mtime_ns: int
    data: bytearray = field(default_factory=bytearray)
    # As on a disk, a file lives until it has neither a name nor a handle.
    named: bool = True
    handles: int = 0

    def empty(self) -> None:
        """Drop the content."""
        self.space.used -= len(self.data)
        self.data = bytearray()

    def release(self) -> None:
        """Drop the content once nothing can reach it."""
        if not self.named and not self.handles:
            self.empty()


@dataclass(slots=True, eq=False)
class DirectoryNode:
    """A directory: its children by name."""

    mtime_ns: int
    children: dict[str, FileNode | DirectoryNode] = field(default_factory=dict)


def describe(name: str, node: FileNode | DirectoryNode) -> Stat:
    """Make a description.

    Args:
        name: the last segment of the path.
        node: what is there.

    Returns:
        The description.
    """
    size = len(node.data) if isinstance(node, FileNode) else 0
    return Stat(name, size, node.mtime_ns, isinstance(node, DirectoryNode))


class MemoryFile(FileHandle):
    """An open file in memory.

    Args:
        io: the I/O it belongs to.
        path: canonical.
        mode: what it is for.
        node: the file.
        now: the clock, in nanoseconds since the epoch.
    """

    __slots__ = ("_node", "_now", "_position", "_stat")

    def __init__(self, io: MemoryIo, path: str, mode: Mode, node: FileNode, now: Callable[[], int]) -> None:
        super().__init__(io, path, mode)
        self._node = node
        self._now = now
        self._position = len(node.data) if mode.append else 0
        self._stat = self._describe()
        node.handles += 1

    def read(self, size: int = -1) -> bytes:
        self._must_read()
        data = self._read_at(len(self._node.data) if size < 0 else size, self._position)
        self._position += len(data)
        return data

    def pread(self, size: int, offset: int) -> bytes:
        self._must_read()
        self._must_be_natural("size", size)
        self._must_be_natural("offset", offset)
        return self._read_at(size, offset)

    def _read_at(self, size: int, offset: int) -> bytes:
        return bytes(self._node.data[offset : offset + size])

    def write(self, *chunks: Bytes) -> None:
        self._must_write()
        for chunk in chunks:
            self._write_one(memoryview(chunk).cast("B"))
        self._node.mtime_ns = self._now()

    def _write_one(self, chunk: memoryview) -> None:
        data = self._node.data
        start = len(data) if self._mode.append else self._position
        stop = start + len(chunk)
        if chunk:
            self._grow(stop)
            data[start:stop] = chunk
        self._position = stop

    def _grow(self, size: int) -> None:
        data = self._node.data
        more = max(0, size - len(data))
        self._node.space.take(more, self._path)
        try:
            data.extend(bytes(more))
        except MemoryError:
            self._node.space.used -= more
            raise NoSpace(self._path, f"no memory for {more} bytes") from None

    def seek(self, offset: int = 0) -> None:
        self._must_be_open()
        self._must_be_natural("offset", offset)
        self._position = offset

    def stat(self) -> Stat:
        self._must_be_open()
        return self._describe() if self._mode.write else self._stat

    def _describe(self) -> Stat:
        return describe(self._path.rpartition("/")[2], self._node)

    def _release(self) -> None:
        self._node.handles -= 1
        self._node.release()
