"""`Quota`: how many sessions a user may have at once, and what happens to the one too many."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Crowded", "Quota"]


class Quota(NamedTuple):
    """What a login asks of the other sessions of its user.

    If there are too many, those that were never used again go first, the oldest before the others, and then, if they
    recycle, those that were not used for the longest time. What somebody has locked stays. When that makes no room,
    none of them goes.

    Attributes:
        limit: sessions that the user may have, the new one included; 1 or more.
        recycle: whether those that were used may go.
    """

    limit: int
    recycle: bool


class Crowded(Exception):
    """There is no room for one more session of this user.

    Args:
        count: how many sessions he has.
    """

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} sessions, none of which may go")
        self.count = count
