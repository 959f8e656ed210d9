"""`HealthSettings`: when a server counts as down."""

from __future__ import annotations

import math
from dataclasses import dataclass

from greenbas.errors import SettingError

__all__ = ["HealthSettings"]


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """When a server counts as down.

    Args:
        fails: failures that take it out (the default of nginx is 1, which one cut transfer reaches).
        window: seconds in which they have to happen.
        down_time: seconds until the first trial; doubled by each trial that fails.
        max_down_time: seconds, the limit of that.
        rise: active checks that must pass in a row for a server to come back (haproxy: 2).
        fall: active checks that must fail in a row to take it out (haproxy: 3).

    Raises:
        SettingError: a value is out of its range.
    """

    fails: int = 3
    window: float = 10.0
    down_time: float = 1.0
    max_down_time: float = 30.0
    rise: int = 2
    fall: int = 3

    def __post_init__(self) -> None:
        for label in ("fails", "rise", "fall"):
            number = getattr(self, label)
            if type(number) is not int or number < 1:
                raise SettingError(f"{label}: {number!r:.80} is not a whole number of 1 or more")
        for label in ("window", "down_time", "max_down_time"):
            seconds = getattr(self, label)
            if type(seconds) not in (int, float) or not 0 < seconds < math.inf:
                raise SettingError(f"{label}: {seconds!r:.80} is not a number of seconds above 0")
        if self.max_down_time < self.down_time:
            raise SettingError(f"max_down_time: {self.max_down_time} is below down_time, {self.down_time}")
