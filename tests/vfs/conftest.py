"""Trees of files for the tests of this folder: on the disk and in memory, filled by the same calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenbas.io import DiskIo, Io, MemoryIo


class Tree:
    """An I/O and the calls that fill it."""

    def __init__(self, io: Io, root: Path | None) -> None:
        self.io = io
        self.root = root  # on the disk; None in memory
        self.on_disk = root is not None

    def write(self, path: str, data: bytes) -> None:
        """A file with this content, and the directories on its way."""
        self.mkdir(path.rpartition("/")[0])
        with self.io.open(path, "w") as file:
            file.write(data)

    def mkdir(self, path: str) -> None:
        """A directory and those on its way."""
        done = ""
        for segment in path.split("/") if path else ():
            done = f"{done}/{segment}" if done else segment
            if segment not in self.io.names(done.rpartition("/")[0]):
                self.io.mkdir(done)


@pytest.fixture(params=["disk", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """An empty tree, once on the disk and once in memory."""
    if request.param == "memory":
        return Tree(MemoryIo(), None)
    root = tmp_path / "www"
    root.mkdir()
    return Tree(DiskIo(root), root)


@pytest.fixture
def disk(tmp_path: Path) -> Tree:
    """An empty tree on the disk, for what memory does not have."""
    root = tmp_path / "www"
    root.mkdir()
    return Tree(DiskIo(root), root)
