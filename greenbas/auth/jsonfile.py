"""JSON files that are replaced whole: whoever reads one finds the old or the new, never half of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import orjson

from greenbas.dispatcher import threads
from greenbas.errors import SettingError

__all__ = ["load_json", "parse_json", "save_json"]

MAX_BYTES = 64 * 1024 * 1024


def parse_json(text: str | bytes, what: str) -> Any:
    """The value of a JSON text.

    Raises:
        SettingError: "Parse error"; it is none.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingError(f"Parse error: {what} is not JSON: {error}") from None


def load_json(path: str | os.PathLike[str], what: str) -> Any:
    """The value of a JSON file; only the calling greenlet waits for the disk.

    Raises:
        SettingError: it cannot be read, or is no JSON.
    """
    try:
        data = threads.offload(_read, os.fspath(path))
    except OSError as error:
        raise SettingError(f"{what}: {os.fspath(path)} cannot be read: {error.strerror or error}") from error
    return parse_json(data, f"{what} {os.fspath(path)}")


def save_json(path: str | os.PathLike[str], value: Any, what: str) -> None:
    """Replace a file by a JSON text, which is on the disk before the old one goes; nobody else may read it.

    Raises:
        SettingError: it cannot be written; the old one is as it was.
    """
    from tempfile import mkstemp  # it takes a while, and few programs save

    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        threads.offload(_replace, os.path.realpath(path), data, mkstemp)
    except OSError as error:
        raise SettingError(f"{what}: {os.fspath(path)} cannot be written: {error.strerror or error}") from error


# In a native thread.


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"it is larger than {MAX_BYTES} bytes")
    return data


def _replace(path: str, data: bytes, mkstemp: Callable[..., tuple[int, str]]) -> None:
    folder = os.path.dirname(path)
    descriptor, temporary = mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    # The new name has to last, too.
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
