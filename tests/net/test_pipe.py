"""Named pipes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent.queue import Queue
from leaks import nothing_left
from support import wait_until

from greenbas.errors import CannotConnect, Exists, IncorrectUse, NetError, NoAccess, NotFound, QueueFull
from greenbas.net import Socket, pipe


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Every test closes what it opens."""
    with nothing_left():
        yield


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A named pipe."""
    made = str(tmp_path / "fifo")
    pipe.mkfifo(made)
    return made


def test_mkfifo(tmp_path: Path) -> None:
    pipe.mkfifo(str(tmp_path / "private"))
    found = os.stat(tmp_path / "private")
    assert stat.S_ISFIFO(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o700 & ~os.umask(os.umask(0))
    with pytest.raises(Exists):
        pipe.mkfifo(str(tmp_path / "private"))
    with pytest.raises(NotFound):
        pipe.mkfifo(str(tmp_path / "no" / "such"))


def test_what_is_written_is_read(path: str) -> None:
    got: Queue = Queue()

    def read(sock: Socket) -> None:
        while True:
            got.put(sock.read())

    reader = pipe.open(path, read)
    assert repr(reader).startswith("<Socket pipe s read")
    with pipe.open(path) as writer:
        writer.write(b"one")
        assert got.get(timeout=5) == b"one"
    with pipe.open(path) as writer:  # the end of the last writer was no end for the reader
        writer.write("two")
        assert got.get(timeout=5) == b"two"
    reader.close()
    wait_until(lambda: reader.state() == ("terminated", False))


def test_writing_needs_a_reader(path: str) -> None:
    with pytest.raises(CannotConnect, match=r"cannot write to the pipe .*: nobody reads it"):
        pipe.open(path)


def test_a_pipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        pipe.open(str(tmp_path / "none"))


def test_a_file_is_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for function in (None, print):
        with pytest.raises(IncorrectUse, match="file is no named pipe"):
            pipe.open(str(tmp_path / "file"), function)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_pipe_of_somebody_else(path: str) -> None:
    os.chmod(path, 0)
    with pytest.raises(NoAccess):
        pipe.open(path)


def test_flow_control(path: str) -> None:
    """A function that rests reads nothing: what others write is queued until that is too much."""

    def rest(sock: Socket) -> None:
        sock.disable()

    reader = pipe.open(path, rest)
    queued = reader.write(bytes(200_000))  # a pipe keeps 64 KiB
    assert 0 < queued < 200_000
    with pytest.raises(QueueFull):
        reader.write(b"x")
    reader._out.stop(NetError("over"))  # type: ignore[union-attr]
    reader.enable()
    assert reader.state() == ("terminated", False)
