"""What every I/O does, on disk and in memory."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from greenbas.errors import (
    Exists,
    GreenbasError,
    IncorrectUse,
    InvalidName,
    IsDirectory,
    NoAccess,
    NotDirectory,
    NotEmpty,
    NotFound,
)
from greenbas.io import DiskIo, Io, MemoryIo
from greenbas.io.handle import parse_mode


@pytest.fixture(params=["disk", "memory"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Io:
    """a/ with f ("one") and empty/, g ("two")."""
    io: Io = DiskIo(tmp_path) if request.param == "disk" else MemoryIo()
    io.mkdir("a")
    io.mkdir("a/empty")
    put(io, "a/f", b"one")
    put(io, "g", b"two")
    return io


def put(io: Io, path: str, data: bytes, mode: str = "w") -> None:
    with io.open(path, mode) as handle:
        handle.write(data)


def get(io: Io, path: str) -> bytes:
    with io.open(path) as handle:
        return handle.read()


def snapshot(io: Io, path: str = "") -> dict[str, bytes | None]:
    """Everything below a path: content of files, None for directories."""
    found: dict[str, bytes | None] = {}
    for stat in io.stats(path):
        below = f"{path}/{stat.name}".lstrip("/")
        found[below] = None if stat.is_dir else get(io, below)
        if stat.is_dir:
            found.update(snapshot(io, below))
    return found


START = {"a": None, "a/empty": None, "a/f": b"one", "g": b"two"}


@pytest.mark.parametrize(
    ("mode", "content", "read_back"),
    [
        pytest.param("w", b"XY", None, id="w"),
        pytest.param("a", b"oneXY", None, id="a"),
        pytest.param("w+", b"XY", b"XY", id="w+"),
        pytest.param("a+", b"oneXY", b"oneXY", id="a+"),
        pytest.param("wb", b"XY", None, id="wb"),
        pytest.param("w+b", b"XY", b"XY", id="w+b"),
        pytest.param("ab+", b"oneXY", b"oneXY", id="ab+"),
    ],
)
def test_modes_that_write(tree: Io, mode: str, content: bytes, read_back: bytes | None) -> None:
    with tree.open("a/f", mode) as handle:
        handle.write(b"X", bytearray(b""), memoryview(b"Y"))
        assert handle.stat().size == len(content)
        handle.seek(0)
        if read_back is None:
            with pytest.raises(IncorrectUse, match="writing only"):
                handle.read()
        else:
            assert handle.read() == read_back
            assert handle.read() == b""
    assert get(tree, "a/f") == content


def test_append_goes_to_the_end_wherever_the_position_is(tree: Io) -> None:
    with tree.open("a/f", "a+") as handle:
        assert handle.read() == b""
        handle.seek(0)
        assert handle.read(2) == b"on"
        put(tree, "a/f", b"!", "a")
        handle.write(b"?")
        assert handle.read() == b""
    assert get(tree, "a/f") == b"one!?"


def test_opening_to_read(tree: Io) -> None:
    with tree.open("a/f") as handle:
        with pytest.raises(IncorrectUse, match="reading only"):
            handle.write(b"x")
        assert handle.read(2) == b"on"
        assert handle.pread(10, 1) == b"ne"
        assert handle.pread(10, 3) == b""
        assert handle.pread(10, 1000) == b""
        assert handle.pread(0, 0) == b""
        assert handle.read(0) == b""
        assert handle.read(10) == b"e"
        assert handle.read(10) == b""
        assert handle.read() == b""
        handle.seek(1)
        assert handle.read() == b"ne"
        handle.seek(100)
        assert handle.read() == b""
        handle.seek()
        assert handle.read() == b"one"


def test_large_file(tree: Io) -> None:
    data = bytes(range(256)) * 4096
    put(tree, "big", data)
    assert get(tree, "big") == data
    with tree.open("big") as handle:
        handle.seek(1000)
        assert handle.read(5000) + handle.read() == data[1000:]


def test_write_behind_the_end_fills_with_zeros(tree: Io) -> None:
    with tree.open("a/f", "w") as handle:
        handle.seek(3)
        assert handle.stat().size == 0
        handle.write(b"x")
    assert get(tree, "a/f") == b"\0\0\0x"


def test_overwriting_the_middle(tree: Io) -> None:
    with tree.open("a/f", "w+") as handle:
        handle.write(b"abcdef")
        handle.seek(2)
        handle.write(b"XY")
        assert handle.read() == b"ef"
    assert get(tree, "a/f") == b"abXYef"


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda handle: handle.read(), id="read"),
        pytest.param(lambda handle: handle.pread(1, 0), id="pread"),
        pytest.param(lambda handle: handle.write(b"x"), id="write"),
        pytest.param(lambda handle: handle.seek(0), id="seek"),
        pytest.param(lambda handle: handle.flush(), id="flush"),
        pytest.param(lambda handle: handle.stat(), id="stat"),
        pytest.param(lambda handle: handle.fileno(), id="fileno"),
    ],
)
def test_closed_file(tree: Io, use: Callable[[object], object]) -> None:
    handle = tree.open("g", "a+")
    assert not handle.closed
    handle.flush()
    handle.close()
    handle.close()
    assert handle.closed
    with pytest.raises(IncorrectUse, match="file is closed: 'g'"):
        use(handle)


def test_handle_knows_its_io(tree: Io) -> None:
    with tree.open("g") as handle:
        assert handle.io is tree
        assert "'g'" in repr(handle)
    assert "closed" in repr(handle)


@pytest.mark.parametrize("mode", ["", "r+", "x", "rw", "wbb", "U", "R", "+"])
def test_unknown_mode(tree: Io, mode: str) -> None:
    with pytest.raises(IncorrectUse, match="use one of r, w, a"):
        tree.open("new", mode)
    assert snapshot(tree) == START


def test_modes_are_what_they_say() -> None:
    assert parse_mode("r") == (True, False, False)
    assert parse_mode("a+") == (True, True, True)


def test_negative_numbers(tree: Io) -> None:
    with tree.open("g") as handle:
        for use in (lambda: handle.seek(-1), lambda: handle.pread(-1, 0), lambda: handle.pread(1, -1)):
            with pytest.raises(IncorrectUse, match="-1 is below 0"):
                use()


@pytest.mark.parametrize(
    ("path", "mode", "error"),
    [
        pytest.param("no", "r", NotFound, id="missing"),
        pytest.param("no/f", "r", NotFound, id="missing directory"),
        pytest.param("no/f", "w", NotFound, id="missing directory, to write"),
        pytest.param("a", "r", IsDirectory, id="directory"),
        pytest.param("a", "w", IsDirectory, id="directory, to write"),
        pytest.param("", "r", IsDirectory, id="root"),
        pytest.param("", "w", IsDirectory, id="root, to write"),
        pytest.param("g/x", "r", NotDirectory, id="below a file"),
        pytest.param("g/x", "w", NotDirectory, id="below a file, to write"),
        pytest.param("../g", "r", InvalidName, id="out"),
        pytest.param("../g", "w", InvalidName, id="out, to write"),
        pytest.param("x\0", "w", InvalidName, id="NUL"),
        pytest.param("%2e%2e/g", "r", NotFound, id="encoded dots are a name"),
        pytest.param("x" * 256, "w", InvalidName, id="long"),
    ],
)
def test_open_refuses(tree: Io, path: str, mode: str, error: type[GreenbasError]) -> None:
    with pytest.raises(error) as caught:
        tree.open(path, mode)
    assert type(caught.value) is error
    assert snapshot(tree) == START


def test_stat(tree: Io) -> None:
    file = tree.stat("a/f")
    assert (file.name, file.size, file.is_dir, file.type) == ("f", 3, False, "regular")
    assert file.mtime == pytest.approx(time.time(), abs=60)
    assert file.mtime_ns // 1_000_000_000 == int(file.mtime)
    directory = tree.stat("/a/")
    assert (directory.name, directory.is_dir, directory.type) == ("a", True, "directory")
    root = tree.stat("")
    assert (root.name, root.is_dir) == ("", True)
    with tree.open("a/f") as handle:
        assert handle.stat() == file


@pytest.mark.parametrize(
    ("path", "error"),
    [("no", NotFound), ("a/no", NotFound), ("no/f", NotFound), ("g/x", NotDirectory), ("..", InvalidName)],
)
def test_stat_refuses(tree: Io, path: str, error: type[GreenbasError]) -> None:
    for use in (tree.stat, tree.encrypted):
        with pytest.raises(error) as caught:
            use(path)
        assert type(caught.value) is error


def test_stat_of_a_file_that_is_read_stays(tree: Io) -> None:
    with tree.open("g") as handle:
        put(tree, "g", b"longer")
        assert handle.stat().size == 3
        assert handle.read() == b"longer"


def test_removed_file_lives_until_closed(tree: Io) -> None:
    with tree.open("g") as handle:
        tree.remove("g")
        assert handle.read() == b"two"
    with pytest.raises(NotFound):
        tree.open("g")


def test_files(tree: Io) -> None:
    for name in ("b", "B", "ä", ".h"):
        put(tree, f"a/{name}", b"x")
    expected = sorted([".h", "B", "b", "empty", "f", "ä"])
    assert tree.names("a") == list(tree.files("a")) == list(tree.files("/a/")) == expected
    stats = list(tree.files("a", True))
    assert [stat.name for stat in stats] == expected
    assert stats == [tree.stat(f"a/{name}") for name in expected]
    assert list(tree.files()) == ["a", "g"]
    assert list(tree.files("a/empty")) == []


@pytest.mark.parametrize(("path", "error"), [("no", NotFound), ("g", NotDirectory), ("..", InvalidName)])
@pytest.mark.parametrize("details", [False, True], ids=["names", "details"])
def test_files_raises_at_once(tree: Io, path: str, error: type[GreenbasError], details: bool) -> None:
    with pytest.raises(error):
        tree.files(path, True) if details else tree.files(path)


def test_mkdir_is_one_level(tree: Io) -> None:
    tree.mkdir("new/")
    tree.mkdir("new/below")
    assert tree.names("new") == ["below"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("a", Exists, id="directory"),
        pytest.param("g", Exists, id="file"),
        pytest.param("", Exists, id="root"),
        pytest.param("no/x", NotFound, id="no parent"),
        pytest.param("g/x", NotDirectory, id="parent is a file"),
        pytest.param("../x", InvalidName, id="out"),
    ],
)
def test_mkdir_refuses(tree: Io, path: str, error: type[GreenbasError]) -> None:
    with pytest.raises(error) as caught:
        tree.mkdir(path)
    assert type(caught.value) is error
    assert snapshot(tree) == START


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("a", NotEmpty, id="not empty"),
        pytest.param("no", NotFound, id="missing"),
        pytest.param("g", NotDirectory, id="file"),
        pytest.param("", NoAccess, id="root"),
        pytest.param("a/..", NoAccess, id="root in disguise"),
        pytest.param("..", InvalidName, id="out"),
    ],
)
def test_rmdir_refuses(tree: Io, path: str, error: type[GreenbasError]) -> None:
    with pytest.raises(error) as caught:
        tree.rmdir(path)
    assert type(caught.value) is error
    assert snapshot(tree) == START


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("a", IsDirectory, id="directory"),
        pytest.param("", IsDirectory, id="root"),
        pytest.param("no", NotFound, id="missing"),
        pytest.param("g/x", NotDirectory, id="below a file"),
        pytest.param("../g", InvalidName, id="out"),
    ],
)
def test_remove_refuses(tree: Io, path: str, error: type[GreenbasError]) -> None:
    with pytest.raises(error) as caught:
        tree.remove(path)
    assert type(caught.value) is error
    assert snapshot(tree) == START


def test_removing(tree: Io) -> None:
    tree.remove("a/f")
    tree.rmdir("a/empty")
    tree.rmdir("a")
    assert snapshot(tree) == {"g": b"two"}


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [
        pytest.param("g", "h", {"a": None, "a/empty": None, "a/f": b"one", "h": b"two"}, id="file"),
        pytest.param("g", "a/g", {"a": None, "a/empty": None, "a/f": b"one", "a/g": b"two"}, id="into a directory"),
        pytest.param("g", "a/f", {"a": None, "a/empty": None, "a/f": b"two"}, id="over a file"),
        pytest.param("a", "b", {"b": None, "b/empty": None, "b/f": b"one", "g": b"two"}, id="directory"),
        pytest.param("g", "g", START, id="file onto itself"),
        pytest.param("a", "a", START, id="directory onto itself"),
    ],
)
def test_rename(tree: Io, old: str, new: str, after: dict[str, bytes | None]) -> None:
    tree.rename(old, new)
    assert snapshot(tree) == after


def test_rename_over_an_empty_directory(tree: Io) -> None:
    tree.mkdir("b")
    tree.rename("a", "b")
    assert tree.names() == ["b", "g"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        pytest.param("no", "x", NotFound, id="missing"),
        pytest.param("g", "no/x", NotFound, id="no parent"),
        pytest.param("g", "a", IsDirectory, id="file over a directory"),
        pytest.param("a/empty", "g", NotDirectory, id="directory over a file"),
        pytest.param("a/empty", "a", NotEmpty, id="over one that holds something"),
        pytest.param("g", "g/x", NotDirectory, id="below itself, a file"),
        pytest.param("a", "a/empty/x", InvalidName, id="below itself, a directory"),
        pytest.param("", "x", NoAccess, id="the root"),
        pytest.param("g", "", NoAccess, id="to the root"),
        pytest.param("g", "../g", InvalidName, id="out"),
        pytest.param("../g", "x", InvalidName, id="in"),
    ],
)
def test_rename_refuses(tree: Io, old: str, new: str, error: type[GreenbasError]) -> None:
    with pytest.raises(error) as caught:
        tree.rename(old, new)
    assert type(caught.value) is error
    assert snapshot(tree) == START


def test_rename_names_what_is_missing(tree: Io) -> None:
    with pytest.raises(NotFound) as caught:
        tree.rename("missing", "x")
    assert caught.value.path == "missing"


def test_sub(tree: Io) -> None:
    below = tree.sub("a")
    assert type(below) is type(tree)
    assert below.writable and below.resource_type() == tree.resource_type()
    assert snapshot(below) == {"empty": None, "f": b"one"}
    put(below, "new", b"x")
    assert get(tree, "a/new") == b"x"
    with pytest.raises(InvalidName):
        below.open("../g")
    assert snapshot(tree.sub("")) == snapshot(tree)


@pytest.mark.parametrize(("path", "error"), [("no", NotFound), ("g", NotDirectory), ("..", InvalidName)])
def test_sub_refuses(tree: Io, path: str, error: type[GreenbasError]) -> None:
    with pytest.raises(error):
        tree.sub(path)


def test_optional_abilities(tree: Io) -> None:
    assert tree.encrypted("g") is False
    assert tree.hide("g", True) is False
    with pytest.raises(IncorrectUse, match="cannot close a static I/O"):
        tree.close()


def test_do_file(tree: Io) -> None:
    put(tree, "a/p.py", b"x = 6 * 7\nname = __name__\n")
    scope = tree.do_file("a/p.py")
    assert (scope["x"], scope["name"]) == (42, "a/p.py")


def test_load_file_with_and_without_env(tree: Io) -> None:
    put(tree, "p.py", b"n = globals().get('n', 0) + 1")
    fresh = tree.load_file("p.py")
    assert [fresh()["n"], fresh()["n"]] == [1, 1]
    env = {"n": 10}
    shared = tree.load_file("p.py", env)
    assert shared() is env
    shared()
    assert env["n"] == 12


def test_load_file_inherits_no_future(tree: Io) -> None:
    put(tree, "p.py", b"def f(x: 1 + 1): pass\n")
    assert tree.do_file("p.py")["f"].__annotations__ == {"x": 2}


def test_load_file_reads_the_declared_encoding(tree: Io) -> None:
    put(tree, "p.py", b"# -*- coding: latin-1 -*-\nx = '\xe4'\n")
    assert tree.do_file("p.py")["x"] == "ä"


def test_tracebacks_show_the_file(tree: Io) -> None:
    put(tree, "a/p.py", b"def f():\n    raise ValueError(1)\n\nf()\n")
    with pytest.raises(ValueError) as caught:
        tree.do_file("a/p.py")
    text = "".join(traceback.format_exception(caught.value))
    assert 'a/p.py", line 2, in f' in text
    assert "raise ValueError(1)" in text


def test_broken_source(tree: Io) -> None:
    put(tree, "a/p.py", b"x = 1\nif:\n")
    with pytest.raises(SyntaxError) as caught:
        tree.load_file("a/p.py")
    assert caught.value.filename is not None and caught.value.filename.endswith("a/p.py")
    assert caught.value.lineno == 2
    with pytest.raises(NotFound):
        tree.load_file("no.py")


def test_forgotten_handle_is_released(tree: Io) -> None:
    handle = tree.open("g")
    descriptor = handle.fileno()
    del handle
    gc.collect()
    with tree.open("g") as again:
        assert again.fileno() == descriptor
