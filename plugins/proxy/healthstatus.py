"""`State`: what is thought of one server, and `HealthStatus`: the server as the status page shows it.

==========  ===================================================  ==========================================
state       event                                                next
==========  ===================================================  ==========================================
UP          the last `fails` failures lie within `window`, and   DOWN for `down_time`
            at most as many answers came between them
UP          `fall` checks failed in a row                        SICK
DOWN        a request begins (`ready` once its time is over)     TRIAL
DOWN        `fall` checks failed in a row                        SICK
DOWN        `rise` checks passed in a row                        UP
TRIAL       its request is answered: the head is there           UP
TRIAL       its request fails                                    DOWN, twice as long as before
TRIAL       its request is abandoned                             DOWN, due at once
TRIAL       `fall` checks failed, `rise` checks passed in a row  SICK, UP
SICK        `rise` checks passed in a row                        UP
==========  ===================================================  ==========================================
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["HealthStatus", "State", "percentile"]


class State(enum.StrEnum):
    """What is thought of a server; the table is in the docstring of this module."""

    UP = "up"
    DOWN = "down"
    TRIAL = "trial"
    SICK = "sick"


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """One server as the status page shows it.

    `p50` and `p95` are seconds to the first byte of an answer, None before the first; `due_in` the seconds until the
    next trial, None when there will be none because active checks took the server out.
    """

    name: str
    state: State
    weight: int
    limit: int
    in_flight: int
    served: int
    failures: int
    p50: float | None
    p95: float | None
    last_error: str
    due_in: float | None


def percentile(ordered: list[float], percent: int) -> float | None:
    """The value that so many percent do not exceed (nearest rank); None when there is none.

    Args:
        ordered: the values, the smallest first.
        percent: 1 to 100.
    """
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None
