"""What only the tree in memory does: its limit and its clock."""

from __future__ import annotations

import pytest

from greenbas.errors import NoSpace
from greenbas.io import MemoryIo


def put(io: MemoryIo, path: str, data: bytes, mode: str = "w") -> None:
    with io.open(path, mode) as handle:
        handle.write(data)


def test_limit_counts_all_files() -> None:
    io = MemoryIo(10)
    put(io, "a", b"12345")
    put(io, "b", b"12345")
    with pytest.raises(NoSpace, match="10 of 10 bytes"):
        put(io, "c", b"1")
    put(io, "a", b"54321")
    with pytest.raises(NoSpace):
        put(io, "a", b"6", "a")
    assert io.stat("a").size == 5
    assert io.stat("c").size == 0


@pytest.mark.parametrize(
    "free",
    [
        pytest.param(lambda io: io.remove("a"), id="remove"),
        pytest.param(lambda io: io.rename("b", "a"), id="replace"),
        pytest.param(lambda io: io.open("a", "w").close(), id="empty"),
    ],
)
def test_space_is_given_back(free: object) -> None:
    io = MemoryIo(10)
    put(io, "a", b"1234567890")
    put(io, "b", b"")
    free(io)  # type: ignore[operator]
    put(io, "c", b"1234567890")


def test_removed_file_takes_space_until_closed() -> None:
    io = MemoryIo(10)
    put(io, "a", b"1234567890")
    handle = io.open("a")
    io.remove("a")
    with pytest.raises(NoSpace):
        put(io, "b", b"1")
    assert handle.read() == b"1234567890"
    handle.close()
    put(io, "b", b"1234567890")


def test_limit_counts_gaps_and_holds_below() -> None:
    io = MemoryIo(10)
    io.mkdir("d")
    with io.sub("d").open("f", "w") as handle:
        handle.seek(10**15)
        with pytest.raises(NoSpace):
            handle.write(b"x")
        assert handle.stat().size == 0
        handle.seek(9)
        handle.write(b"x")
        with pytest.raises(NoSpace):
            handle.write(b"y")
    assert repr(io) == "<MemoryIo 10 of 10 bytes>"


def test_overwriting_takes_no_space() -> None:
    io = MemoryIo(4)
    with io.open("a", "w+") as handle:
        handle.write(b"1234")
        handle.seek(0)
        handle.write(b"5678")
        handle.seek(0)
        assert handle.read() == b"5678"


def test_no_memory_is_no_space() -> None:
    with MemoryIo().open("a", "w") as handle:
        handle.seek(2**62)
        with pytest.raises(NoSpace):
            handle.write(b"x")


def test_times() -> None:
    clock = iter(range(1, 100))
    io = MemoryIo(now=lambda: next(clock))
    put(io, "a", b"x")
    written = io.stat("a").mtime_ns
    with io.open("a") as handle:
        handle.read()
    assert io.stat("a").mtime_ns == written
    put(io, "a", b"y", "a")
    assert io.stat("a").mtime_ns > written
    root = io.stat("").mtime_ns
    io.rename("a", "b")
    assert io.stat("").mtime_ns > root


def test_kind() -> None:
    io = MemoryIo()
    assert io.resource_type()[0] == "memory"
    assert io.real_path("a") is None
    with io.open("a", "w") as handle:
        assert handle.fileno() is None
