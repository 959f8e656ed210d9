"""I/Os by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenbas.errors import IncorrectUse, NotDirectory, NotFound
from greenbas.io import DiskIo, Io, MemoryIo, ios, mkio, open_io, register, registry


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ios", {})


def test_standard_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").write_bytes(b"x")
    home = open_io("home")
    assert home is not None and home.names() == ["here"]
    disk = open_io("disk")
    assert disk is not None and disk.real_path("") == "/"
    monkeypatch.chdir("/")
    assert open_io("home") is home
    assert home.names() == ["here"]


def test_made_when_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(root: str) -> Io:
        made.append(root)
        return MemoryIo()

    monkeypatch.setattr(registry, "DiskIo", make)
    assert made == []
    open_io("home")
    open_io("home")
    assert made == ["."]


def test_register() -> None:
    assert open_io() is None
    assert open_io("other") is None
    first, second = MemoryIo(), MemoryIo()
    register("vm", first)
    assert open_io() is first
    register("vm", second)
    assert open_io("vm") is second
    with pytest.raises(IncorrectUse, match="''"):
        register("", first)


def test_ios() -> None:
    io = MemoryIo()
    register("vm", io)
    found = ios()
    assert set(found) == {"disk", "home", "vm"}
    assert found["vm"] is io
    found.clear()
    assert open_io() is io


@pytest.fixture(params=["disk", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Io:
    io: Io = DiskIo(tmp_path) if request.param == "disk" else MemoryIo()
    io.mkdir("d")
    for path in ("d/f", "g"):
        io.open(path, "w").close()
    return io


def test_mkio(tree: Io) -> None:
    made = mkio(tree, "d")
    assert type(made) is type(tree)
    assert made.names() == ["f"]
    assert mkio(made, "").names() == ["f"]


def test_mkio_refuses(tree: Io) -> None:
    with pytest.raises(NotDirectory, match="from a directory, and this is a file: 'g'"):
        mkio(tree, "g")
    with pytest.raises(NotFound):
        mkio(tree, "missing")


def test_mkio_on_disk_is_rooted_there(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert mkio(DiskIo(tmp_path), "d").real_path("") == os.path.realpath(tmp_path / "d")
