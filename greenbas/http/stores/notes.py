"""`MemoryNotes`: small values by key that expire, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["MemoryNotes"]

LIMIT = 20_000  # a few hundred bytes each; beyond it the oldest go


class MemoryNotes:
    """What `SessionStore.note` and its like keep in this process.

    Args:
        clock: unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._notes: OrderedDict[str, tuple[bytes, float]] = OrderedDict()  # the one that was set last is the last

    def get(self, key: str) -> bytes | None:
        """The value that has not expired."""
        found = self._notes.get(key)
        return found[0] if found is not None and found[1] > self._clock() else None

    def set(self, key: str, value: bytes | None, was: bytes | None, expires: float) -> bool:
        """Replace a value, if it is what the caller believes it to be."""
        if self.get(key) != was:
            return False
        self._notes.pop(key, None)
        if value is not None:
            self._notes[key] = (value, expires)
            while len(self._notes) > LIMIT:
                self._notes.popitem(last=False)
        return True

    def all(self, prefix: str) -> list[tuple[str, bytes]]:
        """Those whose keys begin like that."""
        now = self._clock()
        return [(key, value) for key, (value, ends) in self._notes.items() if ends > now and key.startswith(prefix)]

    def clean(self) -> None:
        """Remove those at the front that have expired."""
        now = self._clock()
        while self._notes and next(iter(self._notes.values()))[1] <= now:
            self._notes.popitem(last=False)
