"""Whole files at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from greenbas.errors import InvalidName, IoError, IsDirectory, NoSpace, NotFound
from greenbas.io import DiskIo, Io, MemoryIo, rwfile


@pytest.fixture(params=["disk", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Io:
    io: Io = DiskIo(tmp_path) if request.param == "disk" else MemoryIo()
    io.mkdir("d")
    return io


@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param(b"\0\xff", b"\0\xff", id="bytes"),
        pytest.param("ä", b"\xc3\xa4", id="text"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("name", ["f", "/d/f", "d/../d/f"])
def test_file(tree: Io, name: str, data: bytes | str, content: bytes) -> None:
    for _ in range(2):
        rwfile.file(tree, name, data)
        assert rwfile.file(tree, name) == content
    assert tree.names() + tree.names("d") in (["d", "f"], ["d", "f"])


@pytest.mark.parametrize(
    ("name", "error"),
    [("no/f", NotFound), ("d", IsDirectory), ("", IsDirectory), ("../f", InvalidName)],
)
def test_write_refused(tree: Io, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        rwfile.file(tree, name, b"x")
    assert tree.names() == ["d"]
    assert tree.names("d") == []


def test_read_refused(tree: Io) -> None:
    with pytest.raises(NotFound):
        rwfile.file(tree, "no")
    with pytest.raises(NotFound):
        rwfile.json(tree, "no")


def test_failed_write_leaves_the_old_content() -> None:
    io = MemoryIo(10)
    rwfile.file(io, "f", b"old")
    with pytest.raises(NoSpace):
        rwfile.file(io, "f", b"much too long")
    assert rwfile.file(io, "f") == b"old"
    assert io.names() == ["f"]


def test_failing_device_is_an_io_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "broken", str(tmp_path))

    io = DiskIo(tmp_path)
    rwfile.file(io, "f", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(IoError, match="EIO") as caught:
        rwfile.file(io, "f", b"new")
    assert str(tmp_path) not in str(caught.value)
    assert rwfile.file(io, "f") == b"old"
    assert io.names() == ["f"]


def test_reader_keeps_what_it_opened(tree: Io) -> None:
    rwfile.file(tree, "f", b"old")
    with tree.open("f") as handle:
        rwfile.file(tree, "f", b"new")
        assert handle.read() == b"old"
    assert rwfile.file(tree, "f") == b"new"


def test_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_bytes(b"{}")
    (tmp_path / "users.json").chmod(0o600)
    rwfile.json(DiskIo(tmp_path), "users.json", {"a": 1})
    assert (tmp_path / "users.json").stat().st_mode & 0o777 == 0o600


def test_long_name(tree: Io) -> None:
    rwfile.file(tree, "x" * 255, b"x")
    assert rwfile.file(tree, "x" * 255) == b"x"


@pytest.mark.parametrize(
    ("document", "content"),
    [
        pytest.param({"a": [1, 2.5, True, None, "ä"]}, '{"a":[1,2.5,true,null,"ä"]}'.encode(), id="object"),
        pytest.param([], b"[]", id="list"),
        pytest.param(None, b"null", id="null"),
        pytest.param("", b'""', id="text"),
    ],
)
def test_json(tree: Io, document: object, content: bytes) -> None:
    assert rwfile.json(tree, "f", document) is None
    assert rwfile.file(tree, "f") == content
    assert rwfile.json(tree, "f") == document


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'\xef\xbb\xbf{"a": "\xc3\xa4"}', id="UTF-8 with mark"),
        pytest.param('{"a": "ä"}'.encode("utf-16"), id="UTF-16 with mark"),
        pytest.param(b' \n{"a": "\\u00e4"}\n', id="white space and escape"),
    ],
)
def test_json_as_editors_save_it(tree: Io, content: bytes) -> None:
    rwfile.file(tree, "f", content)
    assert rwfile.json(tree, "f") == {"a": "ä"}


@pytest.mark.parametrize("content", [b"", b"{", b"{'a': 1}", b'"\xff"', b"[" * 100_000])
def test_no_json(tree: Io, content: bytes) -> None:
    rwfile.file(tree, "f", content)
    with pytest.raises(IoError, match="is not JSON") as caught:
        rwfile.json(tree, "f")
    assert caught.value.code == "jsonerr"
    assert caught.value.path == "f"
    assert IoError.code == "ioerror"


@pytest.mark.parametrize(("document", "error"), [({1, 2}, TypeError), (float("nan"), ValueError)])
def test_what_json_cannot_hold_is_not_written(tree: Io, document: object, error: type[Exception]) -> None:
    rwfile.json(tree, "f", 1)
    with pytest.raises(error):
        rwfile.json(tree, "f", document)
    assert rwfile.json(tree, "f") == 1
