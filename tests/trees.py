"""Trees of files for tests, on the disk or in memory, filled by the same calls."""

from __future__ import annotations

import os
from pathlib import Path

from greenbas.io import DiskIo, Io, MemoryIo

OLD = 1_600_000_000_123_456_789  # nanoseconds; when files of the tests were changed unless they say otherwise


class Tree:
    """An I/O and the calls that fill it.

    Args:
        root: on the disk; None for one in memory.
    """

    def __init__(self, root: Path | None) -> None:
        self._now = OLD
        self.root = root
        self.io: Io = MemoryIo(now=lambda: self._now) if root is None else DiskIo(root)

    def write(self, path: str, data: bytes, mtime_ns: int = OLD) -> None:
        """A file with this content and time, and the directories on its way."""
        self.mkdir(path.rpartition("/")[0])
        self._now = mtime_ns
        with self.io.open(path, "w") as file:
            file.write(data)
        if self.root is not None:
            os.utime(self.root / path, ns=(mtime_ns, mtime_ns))

    def mkdir(self, path: str) -> None:
        """A directory and those on its way."""
        done = ""
        for segment in path.split("/") if path else ():
            done = f"{done}/{segment}" if done else segment
            if segment not in self.io.names(done.rpartition("/")[0]):
                self.io.mkdir(done)


def disk_tree(base: Path) -> Tree:
    """An empty tree on the disk."""
    root = base / "www"
    root.mkdir()
    return Tree(root)
