"""Remembered files: never other than what is on the disk, and never more than the limit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from leaks import nothing_left
from trees import OLD, Tree

from greenbas.errors import IoError, IsDirectory, NotFound
from greenbas.vfs import files
from greenbas.vfs.files import SMALL, StaticFile, StaticFiles


def later() -> int:
    """A clock by which every file has settled."""
    return time.time_ns() + 10**12


def content(file: StaticFile) -> bytes:
    with file:
        return bytes(file.read(0, file.size))


def test_a_small_file_is_remembered(disk: Tree) -> None:
    disk.write("a.txt", b"text")
    known = StaticFiles(disk.io, clock=later)
    first = known.open("a.txt")
    assert content(first) == b"text"
    assert known.open("a.txt") is first
    assert first.fileno() is None
    assert (content(first), first.read(1, 3)) == (b"text", b"ex")


def test_a_young_file_is_not_remembered(disk: Tree) -> None:
    """It may change again within the same tick of the file system's clock."""
    disk.write("a.txt", b"text", time.time_ns())
    known = StaticFiles(disk.io)
    with known.open("a.txt") as first, known.open("a.txt") as second:
        assert first is not second


@pytest.mark.parametrize(("size", "remembered"), [(0, True), (SMALL, True), (SMALL + 1, False)])
def test_only_small_files_are_remembered(disk: Tree, size: int, remembered: bool) -> None:
    disk.write("a.bin", b"x" * size)
    known = StaticFiles(disk.io, clock=later)
    with known.open("a.bin") as first, known.open("a.bin") as second:
        assert (first is second) == remembered
        assert (first.fileno() is None) == remembered


def test_files_in_memory_are_not_remembered_twice(tree: Tree) -> None:
    tree.write("a.txt", b"text")
    known = StaticFiles(tree.io, clock=later)
    assert content(known.open("a.txt")) == b"text"
    tree.write("a.txt", b"more text", OLD)
    assert content(known.open("a.txt")) == b"more text"


def overwrite(path: Path) -> None:
    path.write_bytes(b"NEW!")


def overwrite_in_secret(path: Path) -> None:
    path.write_bytes(b"NEW!")
    os.utime(path, ns=(OLD, OLD))  # size and modification time as before: only the change time tells


def exchange_for_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"NEW!")
    os.utime(other, ns=(OLD, OLD))
    other.replace(path)


def truncate(path: Path) -> None:
    os.truncate(path, 1)


def become_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.with_name("target").write_bytes(b"NEW!")
    path.symlink_to("target")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (overwrite, b"NEW!"),
        (overwrite_in_secret, b"NEW!"),
        (exchange_for_another, b"NEW!"),
        (truncate, b"t"),
        (become_a_link, b"NEW!"),
        (Path.unlink, NotFound),
        (lambda path: (path.unlink(), path.mkdir()), IsDirectory),
        (lambda path: path.parent.rename(path.parent.with_name("elsewhere")), NotFound),
    ],
)
def test_a_changed_file_is_read_again(
    disk: Tree, change: Callable[[Path], object], expected: bytes | type[IoError]
) -> None:
    disk.write("sub/a.txt", b"text")
    known = StaticFiles(disk.io, clock=later)
    old = known.open("sub/a.txt")
    assert disk.root is not None
    change(disk.root / "sub" / "a.txt")
    if isinstance(expected, bytes):
        new = known.open("sub/a.txt")
        assert content(new) == expected
        assert known.open("sub/a.txt") is new
    else:
        with pytest.raises(expected):
            known.open("sub/a.txt")
        assert known._size == 0
    assert content(old) == b"text"  # whoever sends it now has it all


def sizes(known: StaticFiles) -> int:
    return sum(files._cost(key, file) for key, (_, file) in known._known.items())


def test_no_more_is_remembered_than_the_limit(disk: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "REMEMBERED", 100_000)
    known = StaticFiles(disk.io, clock=later)
    for number in range(20):
        disk.write(f"{number}.bin", bytes([number]) * 10_000)
    for number in [*range(20), 3, 3, *range(10)]:
        assert content(known.open(f"{number}.bin")) == bytes([number]) * 10_000
        assert known._size == sizes(known) <= 100_000
    assert len(known._known) == 8


def test_the_many_paths_of_an_empty_file_are_limited_too(disk: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without content counted nothing, and each way to write its path was remembered for ever."""
    monkeypatch.setattr(files, "REMEMBERED", 100_000)
    disk.write("sub/empty", b"")
    known = StaticFiles(disk.io, clock=later)
    for number in range(1, 1000):
        assert content(known.open(f"sub{'/' * number}empty")) == b""
    assert known._size == sizes(known) <= 100_000
    assert len(known._known) < 50


def test_two_requests_that_read_a_file_at_once_count_it_once(disk: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.write("a.txt", b"text")
    known = StaticFiles(disk.io, clock=later)
    keep = StaticFile.keep

    def keep_slowly(file: StaticFile) -> None:
        monkeypatch.setattr(StaticFile, "keep", keep)
        known.open("a.txt")  # as another greenlet does while this one waits for the disk
        keep(file)

    monkeypatch.setattr(StaticFile, "keep", keep_slowly)
    known.open("a.txt")
    assert known._size == sizes(known) > 0
    known._forget("a.txt")
    assert known._size == 0


@pytest.mark.parametrize("first", ["packed", "own name"])
def test_packed_and_by_its_own_name(disk: Tree, first: str) -> None:
    disk.write("a.css", b"plain")
    disk.write("a.css.gz", b"packed")
    known = StaticFiles(disk.io, clock=later)
    for turn in [first, "packed", "own name", "packed"]:
        if turn == "packed":
            packed = known.open_packed("a.css", known.open("a.css"))
            assert packed is not None
            assert (packed.kind, content(packed)) == ("text/css; charset=utf-8", b"packed")
            assert packed.lines["content-encoding"] == b"Content-Encoding: gzip\r\n"
            assert known.open_packed("a.css", known.open("a.css")) is packed
        else:
            own = known.open("a.css.gz")
            assert (own.kind, content(own)) == ("application/gzip", b"packed")
            assert "content-encoding" not in own.lines
    assert len(known._known) == 3


def test_a_stale_sibling_is_closed_again(disk: Tree) -> None:
    disk.write("a.css", b"plain")
    disk.write("a.css.gz", b"packed", OLD - 1)
    for known in (StaticFiles(disk.io), StaticFiles(disk.io, clock=later)):
        with known.open("a.css") as original, nothing_left():
            for _ in range(3):
                assert known.open_packed("a.css", original) is None


def test_a_file_that_has_become_shorter_is_an_error(tree: Tree) -> None:
    tree.write("a.txt", b"0123456789")
    with StaticFile(tree.io.open("a.txt"), "text/plain") as file:
        tree.write("a.txt", b"01234")
        assert file.size == 10
        assert file.read(0, 5) == b"01234"
        with pytest.raises(IoError, match="shorter"):
            file.read(0, 10)
