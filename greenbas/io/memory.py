"""A tree of files in memory, which behaves as one on the disk does: for tests, for previews, for generated content."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field

from greenbas.errors import Exists, InvalidName, IsDirectory, NoAccess, NoSpace, NotDirectory, NotEmpty, NotFound
from greenbas.io.base import Io
from greenbas.io.handle import Bytes, FileHandle, Mode, Stat, parse_mode
from greenbas.io.paths import normalize

__all__ = ["MemoryFile", "MemoryIo"]


@dataclass(slots=True)
class _Space:
    """The bytes that all files of a tree may take together, and those they do."""

    limit: int | None
    used: int = 0

    def take(self, count: int, path: str) -> None:
        if self.limit is not None and self.used + count > self.limit:
            raise NoSpace(path, f"{self.used} of {self.limit} bytes are used, and {count} more are too many")
        self.used += count


@dataclass(slots=True, eq=False)
class _File:
    space: _Space
    mtime_ns: int
    data: bytearray = field(default_factory=bytearray)
    # As on a disk, a file lives until it has neither a name nor a handle.
    named: bool = True
    handles: int = 0

    def empty(self) -> None:
        self.space.used -= len(self.data)
        self.data = bytearray()

    def release(self) -> None:
        if not self.named and not self.handles:
            self.empty()


@dataclass(slots=True, eq=False)
class _Directory:
    mtime_ns: int
    children: dict[str, _File | _Directory] = field(default_factory=dict)


def _describe(name: str, node: _File | _Directory) -> Stat:
    return Stat(name, len(node.data) if isinstance(node, _File) else 0, node.mtime_ns, isinstance(node, _Directory))


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

    def __init__(self, io: MemoryIo, path: str, mode: Mode, node: _File, now: Callable[[], int]) -> None:
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
        return _describe(self._path.rpartition("/")[2], self._node)

    def _release(self) -> None:
        self._node.handles -= 1
        self._node.release()


class MemoryIo(Io):
    """A tree of files in memory; not to be shared by native threads.

    Args:
        limit: bytes that all files may take together; None for no limit. Names and directories are not counted.
        now: the clock, in nanoseconds since the epoch.
    """

    __slots__ = ("_now", "_root", "_space")

    def __init__(self, limit: int | None = None, *, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._space = _Space(limit)
        self._root = _Directory(now())

    def __repr__(self) -> str:
        limit = "" if self._space.limit is None else f" of {self._space.limit}"
        return f"<MemoryIo {self._space.used}{limit} bytes>"

    @property
    def writable(self) -> bool:
        return True

    def resource_type(self) -> tuple[str, str]:
        return "memory", sys.platform

    def open(self, path: str, mode: str = "r") -> MemoryFile:
        wanted = parse_mode(mode)
        relative = normalize(path)
        node = self._made(relative) if wanted.write else self._find(relative)
        if isinstance(node, _Directory):
            raise IsDirectory(relative)
        if wanted.write and not wanted.append:
            node.empty()
            node.mtime_ns = self._now()
        return MemoryFile(self, relative, wanted, node, self._now)

    def _made(self, relative: str) -> _File | _Directory:
        """Find something to write to; a file when nothing is there."""
        parent, name = self._parent(relative)
        if not name:
            return parent
        if name not in parent.children:
            self._set(parent, name, _File(self._space, self._now()))
        return parent.children[name]

    def _find(self, relative: str) -> _File | _Directory:
        node: _File | _Directory = self._root
        for segment in relative.split("/") if relative else ():
            if not isinstance(node, _Directory):
                raise NotDirectory(relative)
            child = node.children.get(segment)
            if child is None:
                raise NotFound(relative)
            node = child
        return node

    def _find_directory(self, relative: str) -> _Directory:
        node = self._find(relative)
        if not isinstance(node, _Directory):
            raise NotDirectory(relative)
        return node

    def _parent(self, relative: str) -> tuple[_Directory, str]:
        """Find the directory that something lies in, and its name there; "" for the root."""
        parent, _, name = relative.rpartition("/")
        return self._find_directory(parent), name

    def _set(self, directory: _Directory, name: str, node: _File | _Directory) -> None:
        directory.children[name] = node
        directory.mtime_ns = self._now()

    def _unset(self, directory: _Directory, name: str) -> _File | _Directory:
        directory.mtime_ns = self._now()
        return directory.children.pop(name)

    def stat(self, path: str) -> Stat:
        relative = normalize(path)
        return _describe(relative.rpartition("/")[2], self._find(relative))

    def names(self, path: str = "") -> list[str]:
        return sorted(self._find_directory(normalize(path)).children)

    def stats(self, path: str = "") -> list[Stat]:
        children = self._find_directory(normalize(path)).children
        return [_describe(name, children[name]) for name in sorted(children)]

    def mkdir(self, path: str) -> None:
        relative = normalize(path)
        parent, name = self._parent(relative)
        if not name or name in parent.children:
            raise Exists(relative)
        self._set(parent, name, _Directory(self._now()))

    def rmdir(self, path: str) -> None:
        relative = normalize(path)
        if not relative:
            raise NoAccess(relative, "the root stays where it is")
        if self._find_directory(relative).children:
            raise NotEmpty(relative)
        self._unset(*self._parent(relative))

    def remove(self, path: str) -> None:
        relative = normalize(path)
        node = self._find(relative)
        if isinstance(node, _Directory):
            raise IsDirectory(relative)
        self._unset(*self._parent(relative))
        node.named = False
        node.release()

    def rename(self, old: str, new: str) -> None:
        source, target = normalize(old), normalize(new)
        if not source or not target:
            raise NoAccess("", "the root stays where it is")
        node = self._find(source)
        directory, name = self._parent(target)
        if isinstance(node, _Directory) and target.startswith(source + "/"):
            raise InvalidName(target, "a directory cannot move into itself")
        existing = directory.children.get(name)
        if existing is node:
            return
        _must_be_replaceable(existing, node, target)
        self._unset(*self._parent(source))
        self._set(directory, name, node)
        if isinstance(existing, _File):
            existing.named = False
            existing.release()

    def sub(self, path: str) -> MemoryIo:
        other = copy(self)
        other._root = self._find_directory(normalize(path))
        return other


def _must_be_replaceable(existing: _File | _Directory | None, node: _File | _Directory, path: str) -> None:
    """Allow what rename(2) allows."""
    if isinstance(existing, _Directory):
        if isinstance(node, _File):
            raise IsDirectory(path)
        if existing.children:
            raise NotEmpty(path)
    elif existing is not None and isinstance(node, _Directory):
        raise NotDirectory(path)
