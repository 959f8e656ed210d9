"""Files on the disk below one directory, and never outside of it.

A path is checked as text first (`paths`), but text proves nothing: a symbolic link may lead out, and whoever can write
below the root can exchange a directory for a link between a check and its use. So the order is turned round: open
first, without side effect, then ask the kernel where the thing that was really opened lies, and only then use it, by
its descriptor. What turns out to lie elsewhere does not exist here, whatever it is: no answer tells about it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from greenbas.dispatcher import close_fd
from greenbas.errors import Exists, IoError, IsDirectory, NoAccess, NotFound, StartError
from greenbas.io.base import Io
from greenbas.io.diskfile import DiskFile, make_stat
from greenbas.io.handle import Mode, Stat, parse_mode
from greenbas.io.oserrors import from_os_error
from greenbas.io.paths import normalize

__all__ = ["DiskIo"]

# O_NONBLOCK: opening a FIFO must not wait for its other end. O_NOCTTY: nor may a terminal become ours.
_SAFE = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_READ = os.O_RDONLY | _SAFE
_DIRECTORY = _READ | os.O_DIRECTORY
# O_PATH opens a place without opening what is there: no permission to read is needed, no device notices.
_PLACE: int = getattr(os, "O_PATH", os.O_RDONLY) | _SAFE

_FD_LINKS = "/proc/self/fd/"
_HAS_FD_LINKS = os.path.isdir(_FD_LINKS)


def _where(fd: int, path: str) -> str:
    """Where the thing behind a descriptor lies, links resolved; "" when the kernel cannot say.

    Without /proc, the path is resolved anew: that is as good a check, but of the path as it is now.
    """
    if not _HAS_FD_LINKS:
        return os.path.realpath(path)
    try:
        return os.readlink(_FD_LINKS + str(fd))
    except OSError:
        return ""


class DiskIo(Io):
    """Files on the disk below one directory.

    Symbolic links are followed as long as they stay below it.

    Args:
        root: the directory, which must exist. Links in its own path are resolved now, once.
        writable: False refuses everything that changes anything.

    Raises:
        StartError: there is no such directory.
    """

    __slots__ = ("_prefix", "_root", "_writable")

    def __init__(self, root: str | os.PathLike[str], *, writable: bool = True) -> None:
        self._root = os.path.realpath(root)
        if not os.path.isdir(self._root):
            raise StartError(f"{os.fspath(root)!r} is no directory; create it or name another root")
        # With the slash, so that /srv/www does not cover /srv/www-private.
        self._prefix = self._root.rstrip("/") + "/"
        self._writable = writable

    def __repr__(self) -> str:
        return f"<DiskIo {self._root}{'' if self._writable else ' read-only'}>"

    @property
    def writable(self) -> bool:
        return self._writable

    def resource_type(self) -> tuple[str, str]:
        return "disk", sys.platform

    def open(self, path: str, mode: str = "r") -> DiskFile:
        wanted = parse_mode(mode)
        relative = normalize(path)
        if wanted.write:
            return self._open_to_write(relative, wanted)
        fd = self._open(relative, _READ)
        return DiskFile(self, relative, wanted, fd, self._file_status(fd, relative))

    def _open_to_write(self, relative: str, mode: Mode) -> DiskFile:
        flags = (os.O_RDWR if mode.read else os.O_WRONLY) | (os.O_APPEND if mode.append else 0) | _SAFE
        with self._parent(relative) as (directory, name):
            if not name:
                raise IsDirectory(relative)
            try:
                # Never through a link: what O_CREAT makes shall be made in this directory.
                fd = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o666, dir_fd=directory)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise from_os_error(error, relative) from None
                fd = self._open(relative, flags)
        file = DiskFile(self, relative, mode, fd, self._file_status(fd, relative))
        if not mode.append:
            # Not by O_TRUNC: a file is emptied only when it is known to be ours.
            file.empty()
        return file

    def _open(self, relative: str, flags: int) -> int:
        """Open something that exists, and return its descriptor once it is known to lie below the root."""
        full = self._prefix + relative
        try:
            fd = os.open(full, flags)
        except OSError as error:
            # "Denied" or "not a directory" would tell about a place outside that a link leads to.
            if error.errno != errno.ENOENT and not self._holds(os.path.realpath(full)):
                raise NotFound(relative) from None
            raise from_os_error(error, relative) from None
        if not self._holds(_where(fd, full)):
            close_fd(fd)
            raise NotFound(relative)
        return fd

    def _holds(self, place: str) -> bool:
        return place.startswith(self._prefix) or place == self._root

    def _file_status(self, fd: int, relative: str) -> os.stat_result:
        """Return the fstat of a regular file; of anything else close the descriptor and raise."""
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            return status
        close_fd(fd)
        raise (IsDirectory if stat.S_ISDIR(status.st_mode) else NoAccess)(relative)

    @contextmanager
    def _parent(self, relative: str) -> Iterator[tuple[int, str]]:
        """Pin the directory that something lies in, for a change there; gives its descriptor and the name in it."""
        if not self._writable:
            raise NoAccess(relative, "this I/O is read-only")
        parent, _, name = relative.rpartition("/")
        directory = self._open(parent, _PLACE | os.O_DIRECTORY)
        try:
            yield directory, name
        except OSError as error:
            raise error if isinstance(error, IoError) else from_os_error(error, relative) from None
        finally:
            close_fd(directory)

    def stat(self, path: str) -> Stat:
        relative = normalize(path)
        fd = self._open(relative, _PLACE)
        try:
            status = os.fstat(fd)
        finally:
            close_fd(fd)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise NoAccess(relative, "is neither file nor directory")
        return make_stat(relative, status)

    def fingerprint(self, path: str) -> tuple[int, ...] | None:
        # By name alone: whoever compares it with that of a file that was opened here knows that it is the same file,
        # and so that it lies below the root. The change time shows what a touched modification time hides.
        try:
            status = os.stat(self._prefix + normalize(path))
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_dev

    def names(self, path: str = "") -> list[str]:
        relative = normalize(path)
        with self._scan(relative) as entries:
            return sorted(entry.name for entry in entries if self._listed(relative, entry))

    def stats(self, path: str = "") -> list[Stat]:
        relative = normalize(path)
        found: list[Stat] = []
        with self._scan(relative) as entries:
            for entry in entries:
                try:
                    if entry.is_symlink():
                        found.append(self.stat(f"{relative}/{entry.name}"))
                    elif self._listed(relative, entry):
                        found.append(make_stat(entry.name, entry.stat(follow_symlinks=False)))
                except OSError:
                    continue  # gone since, or a link that leads nowhere or out
        return sorted(found, key=lambda each: each.name)

    @contextmanager
    def _scan(self, relative: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        fd = self._open(relative, _DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                yield entries
        except OSError as error:
            raise error if isinstance(error, IoError) else from_os_error(error, relative) from None
        finally:
            close_fd(fd)

    def _listed(self, relative: str, entry: os.DirEntry[str]) -> bool:
        try:
            normalize(entry.name)
            if entry.is_symlink():
                self.stat(f"{relative}/{entry.name}")
                return True
        except OSError:
            return False
        return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)

    def mkdir(self, path: str) -> None:
        relative = normalize(path)
        with self._parent(relative) as (directory, name):
            if not name:
                raise Exists(relative)
            os.mkdir(name, dir_fd=directory)

    def rmdir(self, path: str) -> None:
        relative = normalize(path)
        with self._parent(relative) as (directory, name):
            _must_not_be_root(name)
            os.rmdir(name, dir_fd=directory)

    def remove(self, path: str) -> None:
        relative = normalize(path)
        with self._parent(relative) as (directory, name):
            if not name:
                raise IsDirectory(relative)
            os.unlink(name, dir_fd=directory)

    def rename(self, old: str, new: str) -> None:
        source, target = normalize(old), normalize(new)
        with self._parent(source) as (old_directory, old_name), self._parent(target) as (new_directory, new_name):
            _must_not_be_root(old_name)
            _must_not_be_root(new_name)
            try:
                os.rename(old_name, new_name, src_dir_fd=old_directory, dst_dir_fd=new_directory)
            except OSError as error:
                # With both directories pinned, only the source can be missing.
                raise from_os_error(error, source if error.errno == errno.ENOENT else target) from None

    def sub(self, path: str) -> DiskIo:
        relative = normalize(path)
        fd = self._open(relative, _PLACE | os.O_DIRECTORY)
        try:
            return DiskIo(_where(fd, self._prefix + relative), writable=self._writable)
        finally:
            close_fd(fd)

    def real_path(self, path: str) -> str:
        relative = normalize(path)
        place = os.path.realpath(self._prefix + relative)
        if not self._holds(place):
            raise NotFound(relative)
        return place


def _must_not_be_root(name: str) -> None:
    if not name:
        raise NoAccess("", "the root stays where it is")
