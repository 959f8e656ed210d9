"""Values of a failed program as short text: whatever they are, however large, and without what looks like a secret."""

from __future__ import annotations

import re
import time
from array import array
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

__all__ = ["MAX_VALUE", "Values", "cut", "masked", "plain", "type_name"]

MAX_VALUE = 200  # characters
MAX_ITEMS = 8  # of a container
MAX_LEVEL = 3  # of containers in containers
MAX_BITS = 512  # of an integer: Python takes quadratic time to write one down, and refuses beyond 4300 digits
HIDDEN = "••••••"

_SECRET_WORDS = (
    r"passw|passphrase|pwd|secret|token|authorization|auth(?!or)|bearer|cookie|credential|session|jwt|csrf|xsrf"
    r"|(?:api|private|access)[_-]?key|(?<![^\W_])(?:dsn|t?otp)(?![^\W_])"  # the short ones only as words
)
_SECRET = re.compile(_SECRET_WORDS, re.IGNORECASE)
# The same inside of a text: password='x', ('token', "y"), api_key=z&..., Authorization: Basic QWxh...
_SECRET_VALUE = re.compile(
    rf"""((?:{_SECRET_WORDS})[\w-]*(?:['"]\s*[,:=]|\s*[:=])\s*)(b?'[^']*'?|b?"[^"]*"?|[^,;)}}\]>'"&\\]+)""",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"""(://[^\s/:@'"]*:)[^\s/'"]+([@…])""")  # one that is cut off has lost its "@"
_TELLING_NOTHING = ("None", "True", "False", "''", '""', "b''")


class Values:
    """Makes the short representations of one page.

    Args:
        deadline: in monotonic seconds; of what comes later only the class is told.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def short(self, name: str, value: object) -> str:
        """A value as at most `MAX_VALUE` characters; never raises.

        Args:
            name: what it is called: values of what sounds like a secret are not shown.
            value: anything.
        """
        text = self._named(name, value, MAX_LEVEL)
        return cut(masked(cut(text, MAX_VALUE)), MAX_VALUE)

    def _named(self, name: str, value: object, level: int) -> str:
        text = self._text(value, level)
        return HIDDEN if _SECRET.search(name) and text not in _TELLING_NOTHING else text

    def _text(self, value: object, level: int) -> str:
        try:
            # By the way it is shown, and not by class: a subclass with the usual way is as large as its parent.
            maker = _MAKERS.get(type(value).__repr__)
            if maker is not None:
                return maker(self, value, level)
            if time.monotonic() > self._deadline:
                return f"<{type_name(value)}, not shown: the values before took too long>"
            return cut("".join((repr(value),)), MAX_VALUE)  # join makes a plain str of whatever repr gave
        except BaseException as error:
            return f"<{type_name(value)}, whose repr raised {type_name(error)}>"

    def _sequence(self, value: Any, level: int) -> str:
        if type(value) is set and not value:
            return "set()"
        items = (self._text(item, level - 1) for item in islice(value, MAX_ITEMS))
        return self._container(value, level, items, _MARKS.get(type(value), "[]"))

    def _mapping(self, value: Any, level: int) -> str:
        items = (
            f"{self._text(key, 0)}: {self._named(_as_name(key), item, level - 1)}"
            for key, item in islice(value.items(), MAX_ITEMS)
        )
        return self._container(value, level, items, "{}")

    def _container(self, value: Any, level: int, items: Iterable[str], marks: str) -> str:
        size = len(value)
        parts = ["…"] if size and not level else list(items)
        if size > MAX_ITEMS and level:
            parts.append(f"… {size - MAX_ITEMS:,} more")
        comma = "," if marks == "()" and size == 1 else ""
        text = f"{marks[0]}{', '.join(parts)}{comma}{marks[1]}"
        return text if type(value) in _MARKS else f"{type_name(value)}({text})"

    def _characters(self, value: Any, level: int) -> str:
        if len(value) <= MAX_VALUE:
            return repr(value)
        return f"{cut(repr(value[:MAX_VALUE]), MAX_VALUE - 24)} {len(value):,} long"

    def _integer(self, value: Any, level: int) -> str:
        bits = int.bit_length(value)
        return int.__repr__(value) if bits <= MAX_BITS else f"<{type_name(value)} of {bits:,} bits>"


_MARKS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", dict: "{}"}
_MAKERS: dict[object, Callable[[Values, Any, int], str]] = {
    **dict.fromkeys((kind.__repr__ for kind in (list, tuple, set, frozenset, deque, array)), Values._sequence),
    **dict.fromkeys((kind.__repr__ for kind in (dict, OrderedDict, defaultdict)), Values._mapping),
    **dict.fromkeys((kind.__repr__ for kind in (str, bytes, bytearray)), Values._characters),
    int.__repr__: Values._integer,
}


def masked(text: str) -> str:
    """A text without the values in it that look like secrets: ``password=...``, ``scheme://user:password@host``."""
    return _SECRET_VALUE.sub(_hide, _URL_PASSWORD.sub(rf"\1{HIDDEN}\2", text))


def type_name(value: object) -> str:
    """The name of a value's class, with its module unless it is built in; never raises."""
    kind = type(value)
    try:
        module, name = kind.__module__, kind.__qualname__
        return cut(name if module in ("builtins", "__main__") else f"{module}.{name}", MAX_VALUE)
    except BaseException:  # a metaclass may do anything
        return "object"


def plain(value: object, most: int) -> str:
    """``str(value)`` as at most `most` characters; never raises."""
    try:
        return cut("".join((str(value),)), most)
    except BaseException as error:
        return f"<{type_name(value)}, whose str raised {type_name(error)}>"


def cut(text: str, most: int) -> str:
    """A text of at most `most` characters, with an ellipsis for what is too much."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _as_name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else key if isinstance(key, str) else ""


def _hide(found: re.Match[str]) -> str:
    return found[0] if found[2].strip() in _TELLING_NOTHING else found[1] + HIDDEN
