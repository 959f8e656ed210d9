"""Arguments as Lua takes them: numbers where strings are wanted, numeric strings where numbers are.

A wrong type raises TypeError and a wrong value ValueError, in Lua's words: ``bad argument #1 to 'send' (string
expected, got table)``. Arguments are counted without the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "Data",
    "boolean",
    "bytes_of",
    "expected",
    "field",
    "invalid",
    "number",
    "optional",
    "payload",
    "shown_number",
    "text",
    "type_name",
]

Data = bytes | bytearray | memoryview | str | int | float

_NAMES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    ((int, float), "number"),
    ((str, bytes, bytearray, memoryview), "string"),
    ((list, tuple, dict, set, frozenset), "table"),
    (type(None), "nil"),
)


def type_name(value: object) -> str:
    """What Lua calls the type of a value; Python's name where Lua has none."""
    for types, name in _NAMES:
        if isinstance(value, types):
            return name
    return "function" if callable(value) else type(value).__name__


def expected(position: int, function: str, wanted: str, value: object) -> TypeError:
    """The error for an argument of the wrong type."""
    return TypeError(f"bad argument #{position} to '{function}' ({wanted} expected, got {type_name(value)})")


def invalid(position: int, function: str, words: str) -> ValueError:
    """The error for an argument with a wrong value."""
    return ValueError(f"bad argument #{position} to '{function}' ({words})")


def bytes_of(value: object, position: int, function: str) -> bytes | bytearray | memoryview:
    """A string of bytes: text is sent as UTF-8, a number as Lua writes it."""
    if isinstance(value, bytes | bytearray):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, memoryview):
        return value.cast("B")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return shown_number(value).encode()
    raise expected(position, function, "string", value)


def payload(value: object, position: int, function: str) -> bytes | bytearray | memoryview:
    """What `send` takes: a string, or a list of them, or lists of those (BAS takes one level)."""
    if isinstance(value, list | tuple):
        return b"".join(payload(part, position, function) for part in value)
    return bytes_of(value, position, function)


def text(value: object, position: int, function: str) -> str:
    """A string that names something: a host, a port, a mode."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return shown_number(value)
    raise expected(position, function, "string", value)


def number(value: object, position: int, function: str) -> int | float:
    """A number, or a string that is one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str | bytes):
        try:
            return _parse(value)
        except ValueError:
            pass
    raise expected(position, function, "number", value)


def optional(value: object, default: int | float, position: int, function: str) -> int | float:
    """A number; None is the default, as nil is in Lua."""
    return default if value is None else number(value, position, function)


def boolean(value: object, position: int, function: str) -> bool:
    """True or False and nothing that merely counts as one."""
    if isinstance(value, bool):
        return value
    raise expected(position, function, "boolean", value)


def field(table: object, name: str, kind: str, position: int, function: str) -> Any:
    """A field of a table argument, with the type that it must have: "boolean", "number" or "string"."""
    if not isinstance(table, Mapping):
        raise expected(position, function, "table", table)
    value = table.get(name)
    if type_name(value) != kind:
        raise TypeError(f"bad argument #{position} to '{function}' ({kind} '{name}' field expected)")
    return value


def shown_number(value: int | float) -> str:
    """A number as Lua writes it."""
    if isinstance(value, int):
        return str(int(value))
    shown = f"{value:.14g}"
    return shown + ".0" if shown.lstrip("-").isdigit() else shown


def _parse(value: str | bytes) -> int | float:
    try:
        return int(value)
    except ValueError:
        return float(value)
