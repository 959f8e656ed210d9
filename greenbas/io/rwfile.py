"""Whole files at once (BAS ``require"rwfile"``).

A write is atomic: readers see the old content or the new one, and a crash leaves one of them.
"""

from __future__ import annotations

import os
import stat
from json import dumps, loads
from typing import Any, overload

from greenbas.errors import IoError, IsDirectory, NotFound
from greenbas.io.base import FileHandle, Io
from greenbas.io.oserrors import from_os_error
from greenbas.io.paths import normalize

__all__ = ["file", "json"]

_NOTHING: Any = object()  # None is a JSON value


@overload
def file(io: Io, name: str, data: None = None) -> bytes: ...
@overload
def file(io: Io, name: str, data: bytes | str) -> None: ...
def file(io: Io, name: str, data: bytes | str | None = None) -> bytes | None:
    """Read or write a whole file (BAS ``rwfile.file``).

    Args:
        io: where the file is.
        name: its path; a symbolic link is replaced by the file.
        data: what to write, a str as UTF-8; None to read.

    Returns:
        The content when reading.

    Raises:
        NotFound: nothing to read, or no directory to write in. Besides, what `Io.open` and `Io.rename` raise.
    """
    if data is not None:
        _write(io, normalize(name), data.encode() if isinstance(data, str) else data)
        return None
    with io.open(name) as handle:
        return handle.read()


def json(io: Io, name: str, table: Any = _NOTHING) -> Any:
    """Read or write a JSON file (BAS ``rwfile.json``).

    Args:
        io: where the file is.
        name: its path.
        table: what to write; left out to read.

    Returns:
        The document when reading; a byte order mark before it is skipped.

    Raises:
        IoError: the file is not JSON, with the code ``jsonerr``. Besides, what `file` raises.
        TypeError: `table` holds something that JSON cannot; nothing is written then.
        ValueError: it holds a NaN, an infinity or itself; likewise.
    """
    if table is not _NOTHING:
        return file(io, name, dumps(table, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    try:
        return loads(file(io, name))
    except (ValueError, RecursionError) as error:
        failure = IoError(name, f"is not JSON, {error}")
        failure.code = "jsonerr"
        raise failure from error


def _write(io: Io, name: str, data: bytes) -> None:
    if not name:
        raise IsDirectory(name)
    parent = name.rpartition("/")[0]
    # Hidden, so that it is never served; random, as two may write at once.
    temporary = f"{parent}/.{os.urandom(8).hex()}.tmp"
    handle = io.open(temporary, "w")
    try:
        with handle:
            _keep_mode(io, name, handle)
            handle.write(data)
            _sync(handle)
        io.rename(temporary, name)
    except BaseException as error:
        _discard(io, temporary)
        if isinstance(error, OSError) and not isinstance(error, IoError):
            raise from_os_error(error, name) from None
        raise


def _discard(io: Io, temporary: str) -> None:
    try:
        io.remove(temporary)
    except IoError:
        pass  # what went wrong first matters more


def _keep_mode(io: Io, name: str, handle: FileHandle) -> None:
    """Give the new file the permissions of the old one, which may hold secrets."""
    descriptor = handle.fileno()
    if descriptor is None:
        return
    try:
        with io.open(name) as old:
            previous = old.fileno()
            if previous is not None:
                os.fchmod(descriptor, stat.S_IMODE(os.fstat(previous).st_mode))
    except NotFound:
        pass


def _sync(handle: FileHandle) -> None:
    """Have the data on the device before the name: else a power cut may leave the new name with nothing in it."""
    handle.flush()
    descriptor = handle.fileno()
    if descriptor is not None:
        os.fsync(descriptor)
