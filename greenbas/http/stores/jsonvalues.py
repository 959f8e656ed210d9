"""`JsonValues`: the attributes of a session in a store that keeps JSON; knows which of them have changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import orjson
from gevent.lock import BoundedSemaphore

__all__ = ["JsonValues", "dump"]

MAX_DEPTH = 100  # lists within lists; what goes deeper is most likely a circle
MAX_INT = 2**63  # larger numbers come back as floats from many readers of JSON, this one included


class JsonValues(MutableMapping[str, Any]):
    """Attributes as JSON: decoded when they are asked for, checked when they are assigned.

    What was handed out may be changed in place; `changes` compares it with what it was.

    Args:
        stored: JSON by name, as the store has it.

    Attributes:
        turn: has who writes the changes: greenlets that use the same session object write one after the other.
    """

    __slots__ = ("_gone", "_stored", "_values", "turn")

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self._stored = dict(stored)
        self._values: dict[str, Any] = {}  # what was asked for or assigned
        self._gone: set[str] = set()  # stored ones that were deleted
        self.turn = BoundedSemaphore()

    def __repr__(self) -> str:
        return f"<JsonValues {dict(self)!r}>"

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            if name in self._gone:
                raise
        value = self._values[name] = orjson.loads(self._stored[name])
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        dump(name, value)
        self._values[name] = value
        self._gone.discard(name)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._values.pop(name, None)
        if name in self._stored:
            self._gone.add(name)

    def __contains__(self, name: object) -> bool:
        return name in self._values or (name in self._stored and name not in self._gone)

    def __iter__(self) -> Iterator[str]:
        kept = [name for name in self._stored if name not in self._gone]
        return iter(kept + [name for name in self._values if name not in self._stored])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def changes(self) -> tuple[dict[str, bytes], set[str]]:
        """What has to be written, as JSON by name, and the names that have to be deleted.

        Raises:
            TypeError: something was put into a value that JSON does not have; the message names the attribute.
        """
        now = {name: dump(name, value) for name, value in self._values.items()}
        return {name: data for name, data in now.items() if data != self._stored.get(name)}, set(self._gone)

    def saved(self, written: Mapping[str, bytes], deleted: set[str]) -> None:
        """The changes have been written."""
        self._stored.update(written)
        for name in deleted:
            self._stored.pop(name, None)
        self._gone -= deleted
        self._gone.update(name for name in written if name not in self._values)  # deleted while it was written


def dump(name: str, value: Any) -> bytes:
    """JSON of a value that comes back as it is.

    Args:
        name: of the attribute, for messages.
        value: None, a bool, int, finite float or str, or a list or dict of such, with str as keys.

    Raises:
        TypeError: it is something else; the message says what and where.
    """
    _check_text("session attribute", name)
    _check(f"session attribute {name!r}", value, 0)
    return orjson.dumps(value)


def _check(place: str, value: Any, depth: int) -> None:
    # Strict, because what came back as something else, a tuple as a list or a date as text, would fail later and far
    # away from here. Subclasses would come back as what they are made of.
    kind = type(value)
    if value is None or kind is bool:
        return
    if kind is str:
        _check_text(place, value)
    elif kind is int:
        if not -MAX_INT <= value < MAX_INT:
            raise TypeError(f"{place}: the number has more than 64 bits; store it as text")
    elif kind is float:
        if not math.isfinite(value):
            raise TypeError(f"{place}: JSON has no {value}; use None")
    elif kind is list or kind is dict:
        if depth >= MAX_DEPTH:
            raise TypeError(f"{place} is nested deeper than {MAX_DEPTH} levels: does it hold itself?")
        _check_inside(place, value, depth + 1)
    else:
        raise TypeError(
            f"{place} is {value!r:.80}, a {kind.__name__}, which this session store cannot keep: use None, bool, int, "
            "float, str, list or dict, or session_store = 'memory', which keeps any object"
        )


def _check_inside(place: str, value: list[Any] | dict[Any, Any], depth: int) -> None:
    if isinstance(value, list):
        for number, item in enumerate(value):
            _check(f"{place}[{number}]", item, depth)
        return
    for key, item in value.items():
        if type(key) is not str:
            raise TypeError(f"{place} has the key {key!r:.80}: JSON has text as keys only")
        _check_text(f"{place} has a key that", key)
        _check(f"{place}[{key!r:.80}]", item, depth)


def _check_text(place: str, text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise TypeError(f"{place}: {text!r:.80} is not valid Unicode") from None
