"""What is said about an argument of the wrong type: which one, its value, and the remedy."""

from __future__ import annotations

__all__ = ["need_number", "need_text"]

MAX_SHOWN = 80  # characters of a value in a message


def need_text(what: str, value: object, remedy: str = "") -> str:
    """The value, if it is text.

    Args:
        what: the argument, such as ``"include: the path"``.
        value: what was given for it.
        remedy: what to do instead; for numbers and bytes there is one already.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, str):
        return value
    if not remedy and isinstance(value, bytes | bytearray | memoryview):
        remedy = "decode it first"
    elif not remedy and isinstance(value, int | float):
        remedy = f"write {str(value)!r}"
    raise TypeError(f"{what} is text, not {_shown(value)}{remedy and ': ' + remedy}")


def need_number(what: str, value: object, remedy: str, *, whole: bool = False) -> float:
    """The value, if it is a number, and a whole one if that is asked for.

    Args:
        what: the argument, such as ``"timer: the seconds"``.
        value: what was given for it.
        remedy: what to do instead.
        whole: an int.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, int if whole else int | float) and not isinstance(value, bool):
        return value
    hint = f": write {value} without the quotes" if isinstance(value, str) and value.isdecimal() else f": {remedy}"
    raise TypeError(f"{what} is a {'whole ' if whole else ''}number, not {_shown(value)}{hint}")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "..."
