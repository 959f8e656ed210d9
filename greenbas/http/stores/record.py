"""`Record`: what is known about one session, whatever store has it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NamedTuple

__all__ = ["Record", "SessionUser"]


class SessionUser(NamedTuple):
    """Whom a session belongs to.

    Attributes:
        name: as given at the login; "" for a login without a name.
        type: how it was authenticated: "basic", "digest", "form", ...; "?" when the program said so by itself.
        mark: what the authenticator wants to know again, such as a digest of the password hash, by which it sees that
            the password has changed; never the password.
    """

    name: str
    type: str = "?"
    mark: str = ""


class Record:
    """One session. Of a memory store it is the session itself; of the others what was read at the last look.

    Args:
        token: the public id.
        peer: the address of who made it.
        now: unix seconds.
        idle: seconds that it may be unused.
        ends: unix seconds when it ends, used or not.
        values: its attributes: a dict that everybody uses, or what was read for one request of a shared store.

    Attributes:
        number: its name within the store; it stays when the token changes.
        created, accessed: unix seconds.
        uses: requests after the first.
        user: who has logged in, if anybody.
        alive: False once it has ended.
        locks: how many hold it.
        shared: whether it is of a shared store.
        due: the second in which a memory store looks at it again.
    """

    __slots__ = (
        "accessed",
        "alive",
        "created",
        "due",
        "ends",
        "idle",
        "locks",
        "number",
        "peer",
        "shared",
        "token",
        "user",
        "uses",
        "values",
    )

    def __init__(
        self, token: str, peer: str, now: float, idle: float, ends: float, values: MutableMapping[str, Any]
    ) -> None:
        self.number = 0
        self.token = token
        self.created = self.accessed = now
        self.uses = 0
        self.idle = idle
        self.ends = ends
        self.peer = peer
        self.user: SessionUser | None = None
        self.values = values
        self.shared = type(values) is not dict
        self.alive = True
        self.locks = 0
        self.due = 0

    def __repr__(self) -> str:
        # Without the token: a repr ends in logs.
        state = "" if self.alive else " ended"
        return f"<Record {self.number}{f' of {self.user.name!r}' if self.user else ''}{state}>"

    @property
    def expires(self) -> float:
        """When it ends unless it is used or locked, in unix seconds."""
        return min(self.accessed + self.idle, self.ends)

    def end(self) -> MutableMapping[str, Any]:
        """From here on its attributes cannot be used; returns what they were."""
        values = self.values
        self.alive = False
        self.values = {}
        if type(values) is not dict:
            return values
        kept = dict(values)
        values.clear()  # whoever has the dict finds nothing in it
        return kept
