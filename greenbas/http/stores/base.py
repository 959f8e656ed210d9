"""`SessionStore`: what sessions need of the place where they are kept."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from greenbas.http.stores.quota import Quota
from greenbas.http.stores.record import Record, SessionUser

__all__ = ["SessionStore"]


class SessionStore:
    """Keeps sessions. Every method may raise StoreUnavailable, which clients see as 503.

    Attributes:
        shared: whether other processes may use the same sessions. Attributes are JSON then, a `Record` is what was read
            at the last look, and `save` writes what has changed of it.
    """

    shared = False

    def open(self) -> None:
        """The server starts.

        Raises:
            SettingError: it cannot be what the settings say.
        """

    def close(self) -> None:
        """The server has ended."""

    def new_values(self) -> MutableMapping[str, Any]:
        """The attributes of a new session."""
        raise NotImplementedError

    def add(self, record: Record) -> None:
        """Take in a new session, and give it its number."""
        raise NotImplementedError

    def find(self, token: str, peer: str | None) -> Record | None:
        """The living session with this public id, noting that it is used now.

        Args:
            token: the public id.
            peer: only if it was made from this address; None from any.
        """
        raise NotImplementedError

    def get(self, number: int) -> Record | None:
        """The living session with this number; it does not count as used."""
        raise NotImplementedError

    def touch(self, record: Record) -> bool:
        """Note that it is used now; False when it has ended."""
        raise NotImplementedError

    def set_idle(self, record: Record, seconds: float) -> bool:
        """Change how long it may be unused; False when it has ended."""
        raise NotImplementedError

    def rename(self, record: Record, token: str) -> bool:
        """Give it another public id; the old one is unknown from then on. False when it has ended."""
        raise NotImplementedError

    def check_room(self, user: str, quota: Quota) -> None:
        """Look whether one more session of a user would find room now; nothing is changed.

        Raises:
            Crowded: it would not.
        """
        raise NotImplementedError

    def log_in(
        self, record: Record, token: str, user: SessionUser, ends: float, idle: float, quota: Quota | None = None
    ) -> bool:
        """All at once, whatever other processes do: make room, and give it another public id, a user, and new limits.

        Args:
            record: the session; it does not count if it is the user's already.
            token: the new public id.
            user: whom it belongs to from then on.
            ends: unix seconds when it ends, used or not.
            idle: seconds that it may be unused.
            quota: who has to go for it; None for nobody.

        Returns:
            False when it has ended.

        Raises:
            Crowded: there is no room; nothing has changed.
        """
        raise NotImplementedError

    def save(self, record: Record) -> None:
        """Write the attributes that have changed, and no others; nothing when the session has ended meanwhile.

        Raises:
            TypeError: one of them has no JSON form.
        """

    def remove(self, record: Record) -> bool:
        """End it; False when it has ended already."""
        raise NotImplementedError

    def numbers(self, user: str | None) -> list[int]:
        """The numbers of the living sessions, of one user or all, in ascending order."""
        raise NotImplementedError

    def users(self) -> list[str]:
        """The names of those who have a living session, sorted."""
        raise NotImplementedError

    def hold(self, record: Record) -> None:
        """Keep it although nobody uses it, or somebody needs its room, as often as this is called, until `let_go`."""
        raise NotImplementedError

    def let_go(self, record: Record) -> None:
        """Undo one `hold`. May be called anywhere, and does not wait."""
        raise NotImplementedError

    # Besides sessions: what else the processes of one server have to agree on, such as failed logins.

    def note(self, key: str) -> bytes | None:
        """A small value that was set and has not expired."""
        raise NotImplementedError

    def set_note(self, key: str, value: bytes | None, was: bytes | None, expires: float) -> bool:
        """Replace a small value, if nobody else has done so meanwhile.

        Args:
            key: its name.
            value: not empty; None deletes it.
            was: what it is, as far as the caller knows; None when there is none.
            expires: unix seconds; infinite for never.

        Returns:
            False when it is something else.
        """
        raise NotImplementedError

    def notes(self, prefix: str) -> list[tuple[str, bytes]]:
        """All small values whose keys begin like that."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Called each second in the hub: begin to remove what has expired, in small steps."""
