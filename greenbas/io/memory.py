"""A tree of files in memory, which behaves as one on the disk does: for tests, for previews, for generated content."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from copy import copy

from greenbas.errors import Exists, InvalidName, IsDirectory, NoAccess, NotDirectory, NotEmpty, NotFound
from greenbas.io.base import Io
from greenbas.io.handle import Stat, parse_mode
from greenbas.io.memoryfile import DirectoryNode, FileNode, MemoryFile, Space, describe
from greenbas.io.paths import normalize

__all__ = ["MemoryIo"]


class MemoryIo(Io):
    """A tree of files in memory; not to be shared by native threads.

    Args:
        limit: bytes that all files may take together; None for no limit. Names and directories are not counted.
        now: the clock, in nanoseconds since the epoch.
    """

    __slots__ = ("_now", "_root", "_space")

    def __init__(self, limit: int | None = None, *, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._space = Space(limit)
        self._root = DirectoryNode(now())

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
        if isinstance(node, DirectoryNode):
            raise IsDirectory(relative)
        if wanted.write and not wanted.append:
            node.empty()
            node.mtime_ns = self._now()
        return MemoryFile(self, relative, wanted, node, self._now)

    def _made(self, relative: str) -> FileNode | DirectoryNode:
        """Find something to write to; a file when nothing is there."""
        parent, name = self._parent(relative)
        if not name:
            return parent
        if name not in parent.children:
            self._set(parent, name, FileNode(self._space, self._now()))
        return parent.children[name]

    def _find(self, relative: str) -> FileNode | DirectoryNode:
        node: FileNode | DirectoryNode = self._root
        for segment in relative.split("/") if relative else ():
            if not isinstance(node, DirectoryNode):
                raise NotDirectory(relative)
            child = node.children.get(segment)
            if child is None:
                raise NotFound(relative)
            node = child
        return node

    def _find_directory(self, relative: str) -> DirectoryNode:
        node = self._find(relative)
        if not isinstance(node, DirectoryNode):
            raise NotDirectory(relative)
        return node

    def _parent(self, relative: str) -> tuple[DirectoryNode, str]:
        """Find the directory that something lies in, and its name there; "" for the root."""
        parent, _, name = relative.rpartition("/")
        return self._find_directory(parent), name

    def _set(self, directory: DirectoryNode, name: str, node: FileNode | DirectoryNode) -> None:
        directory.children[name] = node
        directory.mtime_ns = self._now()

    def _unset(self, directory: DirectoryNode, name: str) -> FileNode | DirectoryNode:
        directory.mtime_ns = self._now()
        return directory.children.pop(name)

    def stat(self, path: str) -> Stat:
        relative = normalize(path)
        return describe(relative.rpartition("/")[2], self._find(relative))

    def names(self, path: str = "") -> list[str]:
        return sorted(self._find_directory(normalize(path)).children)

    def stats(self, path: str = "") -> list[Stat]:
        children = self._find_directory(normalize(path)).children
        return [describe(name, children[name]) for name in sorted(children)]

    def mkdir(self, path: str) -> None:
        relative = normalize(path)
        parent, name = self._parent(relative)
        if not name or name in parent.children:
            raise Exists(relative)
        self._set(parent, name, DirectoryNode(self._now()))

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
        if isinstance(node, DirectoryNode):
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
        if isinstance(node, DirectoryNode) and target.startswith(source + "/"):
            raise InvalidName(target, "a directory cannot move into itself")
        existing = directory.children.get(name)
        if existing is node:
            return
        _must_be_replaceable(existing, node, target)
        self._unset(*self._parent(source))
        self._set(directory, name, node)
        if isinstance(existing, FileNode):
            existing.named = False
            existing.release()

    def sub(self, path: str) -> MemoryIo:
        other = copy(self)
        other._root = self._find_directory(normalize(path))
        return other


def _must_be_replaceable(existing: FileNode | DirectoryNode | None, node: FileNode | DirectoryNode, path: str) -> None:
    """Allow what rename(2) allows."""
    if isinstance(existing, DirectoryNode):
        if isinstance(node, FileNode):
            raise IsDirectory(path)
        if existing.children:
            raise NotEmpty(path)
    elif existing is not None and isinstance(node, DirectoryNode):
        raise NotDirectory(path)
