"""The two time-outs of a socket: `block`, and `total` for a whole call."""

from __future__ import annotations

import time
from collections.abc import Callable

from greenbas.luasocket.usage import invalid, number, text

__all__ = ["Timeouts"]

_FOREVER = -1.0


class Timeouts:
    """How long calls on one socket may wait.

    Alone, each of the two is a deadline for the whole call, which begins with `mark`. Together, `total` is the deadline
    and `block` limits each wait on the way to it.

    Args:
        clock: gives seconds.
    """

    __slots__ = ("_clock", "_start", "block", "total")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = 0.0
        self.block: float = _FOREVER
        self.total: float = _FOREVER

    def set(self, value: object, mode: object) -> None:
        """Take the arguments of `settimeout`: seconds, None or negative for none, and a mode, of which a letter counts.

        Raises:
            TypeError: the value is no number.
            ValueError: there is no such mode.
        """
        seconds = _FOREVER if value is None else float(number(value, 1, "settimeout"))
        letter = text(mode, 2, "settimeout")[:1]
        if letter == "b":
            self.block = seconds if seconds >= 0 else _FOREVER
        elif letter in ("t", "r"):
            self.total = seconds if seconds >= 0 else _FOREVER
        else:
            raise invalid(2, "settimeout", "invalid timeout mode")

    @property
    def polls(self) -> bool:
        """Whether calls shall not wait at all."""
        return self.block == 0

    def mark(self) -> None:
        """A call begins."""
        self._start = self._clock()

    def remaining(self) -> float | None:
        """Seconds that the call may wait now; None is for ever."""
        block, total = self.block, self.total
        if total >= 0:
            left = max(0.0, self._start + total - self._clock())
            return left if block < 0 else min(block, left)
        if block < 0:
            return None
        return max(0.0, self._start + block - self._clock())
