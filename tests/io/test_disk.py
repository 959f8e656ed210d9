"""The disk: nothing outside of the root, and no descriptor left behind."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenbas.dispatcher import close_fd
from greenbas.errors import (
    Exists,
    GreenbasError,
    InvalidName,
    IoError,
    IsDirectory,
    NoAccess,
    NoSpace,
    NotDirectory,
    NotEmpty,
    NotFound,
    StartError,
)
from greenbas.io import DiskIo
from greenbas.io import disk as disk_module
from greenbas.io.oserrors import from_os_error

Use = Callable[[DiskIo, str], object]


def read(io: DiskIo, path: str) -> bytes:
    with io.open(path) as handle:
        return handle.read()


def write(io: DiskIo, path: str, mode: str = "w") -> None:
    with io.open(path, mode) as handle:
        handle.write(b"new")


def open_below(place: Path) -> list[str]:
    """What this process has open there; other descriptors may come and go with gevent's hub."""
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sorted(found for found in map(os.path.realpath, links) if found.startswith(str(place)))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The root beside what it must not show: a sibling whose name begins like its own, and a file."""
    (tmp_path / "root" / "in" / "deep").mkdir(parents=True)
    (tmp_path / "root-private").mkdir()
    (tmp_path / "root-private" / "secret").write_bytes(b"secret")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root" / "f").write_bytes(b"one")
    (tmp_path / "root" / "in" / "g").write_bytes(b"two")
    return tmp_path


@pytest.fixture(params=["proc", "fallback"])
def io(request: pytest.FixtureRequest, base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskIo]:
    """With the kernel's answer and without; either way every descriptor must be closed in the end."""
    if request.param == "fallback":
        monkeypatch.setattr(disk_module, "_HAS_FD_LINKS", False)
        monkeypatch.setattr(disk_module, "_PLACE", os.O_RDONLY | disk_module._SAFE)
    before = open_below(base)
    yield DiskIo(base / "root")
    assert open_below(base) == before


def link(base: Path, name: str, target: str) -> None:
    (base / "root" / name).symlink_to(target)


def outside(base: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(base)): path.read_bytes()
        for path in sorted(base.rglob("*"))
        if path.is_file() and not str(path).startswith(f"{base}/root/")
    }


UNTOUCHED = {"root-private/secret": b"secret", "secret": b"secret"}

# A link and what to ask for through it.
ESCAPES = [
    pytest.param("../secret", "l", id="file above"),
    pytest.param("../root-private/secret", "l", id="file in a sibling with the same beginning"),
    pytest.param("../root-private", "l/secret", id="through a sibling directory"),
    pytest.param("../root-private", "l", id="sibling directory"),
    pytest.param("..", "l/secret", id="through the directory above"),
    pytest.param("..", "l/root/../secret", id="up behind a link"),
    pytest.param("in/../../secret", "l", id="out by a detour"),
    pytest.param("/etc/passwd", "l", id="absolute"),
    pytest.param("/", "l/etc/passwd", id="the whole disk"),
    pytest.param("../secret", "l/x", id="below a file outside"),
    pytest.param("../missing", "l", id="nothing outside"),
    pytest.param("../root-private/missing", "l", id="nothing in the sibling"),
    pytest.param("/dev/null", "l", id="device"),
    pytest.param("/proc/self/cwd", "l", id="magic link"),
    pytest.param("l", "l", id="circle"),
]

USES: list[object] = [
    pytest.param(read, id="read"),
    pytest.param(write, id="w"),
    pytest.param(lambda io, path: write(io, path, "a"), id="a"),
    pytest.param(lambda io, path: write(io, path, "w+"), id="w+"),
    pytest.param(DiskIo.stat, id="stat"),
    pytest.param(DiskIo.names, id="names"),
    pytest.param(DiskIo.stats, id="stats"),
    pytest.param(DiskIo.sub, id="sub"),
    pytest.param(lambda io, path: io.mkdir(path + "/x"), id="mkdir"),
    pytest.param(lambda io, path: io.rmdir(path + "/x"), id="rmdir"),
    pytest.param(lambda io, path: io.remove(path + "/x"), id="remove"),
    pytest.param(lambda io, path: io.rename(path + "/x", "y"), id="rename from"),
    pytest.param(lambda io, path: io.rename("f", path + "/x"), id="rename to"),
    pytest.param(DiskIo.load_file, id="load_file"),
]


@pytest.mark.parametrize(("target", "path"), ESCAPES)
@pytest.mark.parametrize("use", USES)
def test_links_out(io: DiskIo, base: Path, target: str, path: str, use: Use) -> None:
    link(base, "l", target)
    with pytest.raises(NotFound) as caught:
        use(io, path)
    assert type(caught.value) is NotFound
    assert str(base) not in str(caught.value)
    assert outside(base) == UNTOUCHED
    assert (base / "root" / "f").read_bytes() == b"one"


@pytest.mark.parametrize(("target", "path"), [each for each in ESCAPES if each.values[1] == "l"])
def test_links_out_are_not_listed_but_can_be_removed(io: DiskIo, base: Path, target: str, path: str) -> None:
    link(base, path, target)
    assert io.names() == ["f", "in"]
    assert [stat.name for stat in io.stats()] == ["f", "in"]
    io.rename(path, "in/" + path)
    io.remove("in/" + path)
    assert not (base / "root" / "in" / path).is_symlink()
    assert outside(base) == UNTOUCHED


@pytest.mark.parametrize("use", USES[:8])
@pytest.mark.parametrize("path", ["../secret", "/../secret", "in/../../secret", "..\\secret", "f\0", "..", "in/\x1f"])
def test_spelling_out(io: DiskIo, base: Path, path: str, use: Use) -> None:
    with pytest.raises(InvalidName):
        use(io, path)
    assert outside(base) == UNTOUCHED


@pytest.mark.parametrize(
    "path", ["%2e%2e/secret", "%252e%252e/secret", "..%2fsecret", "..%5csecret", "-private/secret"]
)
def test_encoded_paths_are_names(io: DiskIo, base: Path, path: str) -> None:
    with pytest.raises(NotFound):
        io.open(path)


@pytest.mark.parametrize(
    ("target", "path", "content"),
    [
        pytest.param("in/g", "l", b"two", id="file"),
        pytest.param("in", "l/g", b"two", id="directory"),
        pytest.param("../root/f", "l", b"one", id="out and in again"),
        pytest.param(".", "l/l/l/f", b"one", id="to the root itself"),
    ],
)
def test_links_inside_are_followed(io: DiskIo, base: Path, target: str, path: str, content: bytes) -> None:
    link(base, "l", target)
    assert read(io, path) == content
    assert io.stat(path).size == 3
    assert "l" in io.names()
    assert [stat.is_dir for stat in io.stats() if stat.name == "l"] == [path != "l"]
    write(io, path, "a")
    assert read(io, path) == content + b"new"
    write(io, path)
    assert read(io, path) == b"new"
    assert (base / "root" / "l").is_symlink()


def test_writing_never_creates_through_a_link(io: DiskIo, base: Path) -> None:
    link(base, "l", "in/missing")
    with pytest.raises(NotFound):
        io.open("l", "w")
    assert io.names("in") == ["deep", "g"]


def test_remove_takes_the_link_not_the_target(io: DiskIo, base: Path) -> None:
    link(base, "l", "in/g")
    link(base, "d", "in")
    io.remove("l")
    with pytest.raises(NotDirectory):
        io.rmdir("d")
    io.remove("d")
    assert io.names() == ["f", "in"]
    assert read(io, "in/g") == b"two"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the address of a socket is at most 107 bytes long
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [pytest.param(os.mkfifo, id="fifo"), pytest.param(make_socket, id="socket")])
@pytest.mark.parametrize("use", USES[:5])
def test_special_files(io: DiskIo, base: Path, make: Callable[[Path], None], use: Use) -> None:
    make(base / "root" / "special")
    with pytest.raises(NoAccess) as caught:
        use(io, "special")
    assert type(caught.value) is NoAccess
    assert io.names() == [stat.name for stat in io.stats()] == ["f", "in"]


def test_fifo_with_a_reader_is_not_written(io: DiskIo, base: Path) -> None:
    os.mkfifo(base / "root" / "fifo")
    reader = os.open(base / "root" / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(NoAccess):
            io.open("fifo", "w")
        assert os.read(reader, 1) == b""
    finally:
        close_fd(reader)


@pytest.mark.parametrize("parts", ["in", "in/deep"])
def test_directory_exchanged_for_a_link(io: DiskIo, base: Path, monkeypatch: pytest.MonkeyPatch, parts: str) -> None:
    """The moment before anything is opened, somebody swaps a directory of the path for a link that leads out."""
    (base / "root" / parts / "secret").write_bytes(b"harmless")
    uses: list[Use] = [read, write, DiskIo.stat, DiskIo.remove, lambda io, path: io.rename(path, "x")]
    for number, use in enumerate(uses):
        real_open = os.open
        swapped = base / f"swapped{number}"

        def swap(*args: object, _open: Callable[..., int] = real_open, _to: Path = swapped, **kwargs: object) -> int:
            if not _to.exists():
                (base / "root" / parts).rename(_to)
                (base / "root" / parts).symlink_to(base / "root-private")
            return _open(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", swap)
            with pytest.raises(NotFound):
                use(io, f"{parts}/secret")
        assert (base / "root-private" / "secret").read_bytes() == b"secret"
        (base / "root" / parts).unlink()
        swapped.rename(base / "root" / parts)


def test_parent_exchanged_after_it_was_pinned(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io = DiskIo(base / "root")
    real_mkdir = os.mkdir

    def swap(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        (base / "root" / "in").rename(base / "root" / "moved")
        (base / "root" / "in").symlink_to(base / "root-private")
        real_mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", swap)
    io.mkdir("in/new")
    assert (base / "root" / "moved" / "new").is_dir()
    assert not (base / "root-private" / "new").exists()


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(write, id="w"),
        pytest.param(lambda io, path: write(io, path, "a"), id="a"),
        pytest.param(DiskIo.mkdir, id="mkdir"),
        pytest.param(DiskIo.rmdir, id="rmdir"),
        pytest.param(DiskIo.remove, id="remove"),
        pytest.param(lambda io, path: io.rename(path, "x"), id="rename"),
    ],
)
@pytest.mark.parametrize("path", ["f", "in", "in/deep", "new"])
def test_read_only(base: Path, path: str, use: Use) -> None:
    io = DiskIo(base / "root", writable=False)
    assert not io.writable and not io.sub("in").writable
    with pytest.raises(NoAccess, match="read-only"):
        use(io, path)
    assert io.names() == ["f", "in"]
    assert read(io, "f") == b"one"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
@pytest.mark.parametrize("use", USES[:5])
def test_denied(io: DiskIo, base: Path, use: Use) -> None:
    (base / "root" / "in").chmod(0)
    try:
        with pytest.raises(NoAccess):
            use(io, "in/g")
    finally:
        (base / "root" / "in").chmod(0o755)


def test_denied_outside_is_not_found(io: DiskIo, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link(base, "l", "../secret")
    real_open = os.open

    def deny(path: str, *args: object, **kwargs: object) -> int:
        if str(path).endswith(("/l", "/f")):
            raise PermissionError(errno.EACCES, "denied", path)
        return real_open(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(NoAccess):
        io.open("f")
    with pytest.raises(NotFound):
        io.open("l")


def test_permissions_of_what_is_made(base: Path) -> None:
    before = os.umask(0o027)
    try:
        io = DiskIo(base / "root")
        write(io, "new")
        io.mkdir("newdir")
    finally:
        os.umask(before)
    assert (base / "root" / "new").stat().st_mode & 0o777 == 0o640
    assert (base / "root" / "newdir").stat().st_mode & 0o777 == 0o750


def test_names_that_cannot_be_asked_for_are_not_listed(io: DiskIo, base: Path) -> None:
    for name in (b"a\\b", b"a\nb", b"\xff"):
        (base / "root" / os.fsdecode(name)).write_bytes(b"x")
    assert io.names() == [stat.name for stat in io.stats()] == ["f", "in", "\udcff"]
    assert read(io, "\udcff") == b"x"


def test_names_of_a_directory_that_a_link_leads_to(io: DiskIo, base: Path) -> None:
    link(base, "l", "in")
    assert io.names("l") == ["deep", "g"]
    with pytest.raises(IsDirectory):
        io.open("l")


def test_root_that_is_a_link(base: Path) -> None:
    (base / "alias").symlink_to(base / "root")
    io = DiskIo(base / "alias")
    assert read(io, "in/g") == b"two"
    assert io.sub("in").names() == ["deep", "g"]


def test_whole_disk(base: Path) -> None:
    io = DiskIo("/")
    path = str(base / "root" / "f")
    assert read(io, path) == b"one"
    assert io.stat(path).size == 3
    assert io.stat("").is_dir
    assert io.real_path(path) == os.path.realpath(path)
    assert io.sub(str(base / "root")).names() == ["f", "in"]
    assert len(read(io, "proc/self/status")) > 100


@pytest.mark.parametrize("name", ["missing", "secret"])
def test_root_must_be_a_directory(base: Path, name: str) -> None:
    with pytest.raises(StartError) as caught:
        DiskIo(base / name)
    assert repr(str(base / name)) in str(caught.value)


def test_real_path(io: DiskIo, base: Path) -> None:
    link(base, "l", "in/g")
    link(base, "out", "../secret")
    root = os.path.realpath(base / "root")
    assert io.real_path("") == root
    assert io.real_path("l") == f"{root}/in/g"
    assert io.real_path("new/file") == f"{root}/new/file"
    with pytest.raises(NotFound):
        io.real_path("out")


def test_kind_and_repr(base: Path) -> None:
    io = DiskIo(base / "root")
    assert io.resource_type() == ("disk", "linux")
    assert repr(io) == f"<DiskIo {os.path.realpath(base / 'root')}>"


def test_descriptor_is_the_file_and_not_inherited(io: DiskIo, base: Path) -> None:
    with io.open("f") as handle:
        assert os.pread(handle.fileno(), 10, 0) == b"one"
        assert not os.get_inheritable(handle.fileno())


def test_no_descriptor_leaks_when_emptying_fails(io: DiskIo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "ftruncate", fail)
    with pytest.raises(NoSpace):
        io.open("f", "w")


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOENT, NotFound),
        (errno.ELOOP, NotFound),
        (errno.ENOTDIR, NotDirectory),
        (errno.EISDIR, IsDirectory),
        (errno.EEXIST, Exists),
        (errno.ENOTEMPTY, NotEmpty),
        (errno.EACCES, NoAccess),
        (errno.EPERM, NoAccess),
        (errno.EROFS, NoAccess),
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.ENAMETOOLONG, InvalidName),
        (errno.EINVAL, InvalidName),
        (errno.EIO, IoError),
        (errno.EMFILE, IoError),
    ],
)
def test_error_table(number: int, error: type[GreenbasError]) -> None:
    translated = from_os_error(OSError(number, os.strerror(number), "/absolute/path"), "relative")
    assert type(translated) is error
    assert translated.path == "relative"
    assert "absolute" not in str(translated)
    if error is IoError:
        assert errno.errorcode[number] in str(translated)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_errors_while_reading_and_writing(io: DiskIo, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*args: object) -> int:
        raise OSError(number, "broken")

    expected = NoSpace if number == errno.ENOSPC else IoError
    with io.open("f", "w+") as handle, monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        patch.setattr(os, "pread", fail)
        for use in (lambda: handle.write(b"x"), handle.read, lambda: handle.pread(1, 0)):
            with pytest.raises(expected) as caught:
                use()
            assert type(caught.value) is expected


def test_short_writes_are_continued(io: DiskIo, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, os_write = os.pwrite, os.write
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    monkeypatch.setattr(os, "write", lambda fd, data: os_write(fd, data[:3]))
    with io.open("f", "w") as handle:
        handle.write(b"0123456789")
    with io.open("f", "a") as handle:
        handle.write(b"0123456789")
    assert read(io, "f") == b"0123456789" * 2
