"""Fixtures: an empty tree of files of each kind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from trees import Tree, disk_tree

from greenbas.vfs import files


@pytest.fixture(params=["disk", "remembered", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """An empty tree, on the disk, there with every small file remembered after its first use, and in memory."""
    if request.param == "memory":
        return Tree(None)
    # Files that changed just now are not remembered: the tests' would never be, or always.
    monkeypatch.setattr(files, "SETTLED_AFTER", -time.time_ns() if request.param == "remembered" else time.time_ns())
    return disk_tree(tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Tree:
    """An empty tree on the disk, for what memory does not have."""
    return disk_tree(tmp_path)
