"""`User`: what a user database says about one user, and `UserDb`, what authenticators need of such a database."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from greenbas.auth.password import NOBODY_PLAIN, StoredPassword, read_password
from greenbas.errors import SettingError
from greenbas.http import Request

__all__ = ["MAX_USERS", "User", "UserDb", "read_user"]

MAX_USERS = 3  # sessions of one user at a time, as the original's documentation says


@dataclass(frozen=True, slots=True)
class User:
    """One user.

    Attributes:
        name: of the user.
        password: what is stored; None when `accepted` says it all.
        accepted: the database has looked at the password itself, and it is right.
        max_users: how many sessions the user may have at once; below 1 nobody gets in.
        recycle: one more login ends an older session instead of being refused.
        inactive: seconds that the session may be unused; the setting `session_idle` unless given.
        roles: what the user is, for constraints.
        identity: text that changes whenever the password does; as secret as that.
    """

    name: str
    password: StoredPassword | None = field(default=None, repr=False)
    accepted: bool = False
    max_users: int = MAX_USERS
    recycle: bool = False
    inactive: float | None = None
    roles: frozenset[str] = frozenset()

    identity: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stored = "" if self.password is None else self.password.identity
        object.__setattr__(self, "identity", hashlib.sha256(stored.encode()).hexdigest())


class UserDb:
    """A database of users: what an authenticator asks (BAS user database)."""

    def find(self, name: str, password: str | None, request: Request) -> User | None:
        """The user with a name.

        Args:
            name: as the client says, checked for length and control characters.
            password: what the client says it is; None where it says a hash.
            request: in which it says so. A database that answers it has the login denied.

        Returns:
            None when there is none.
        """
        raise NotImplementedError

    def get(self, name: str) -> User | None:
        """The user with a name, if the database knows at once and is in no need of the request.

        What it returns is the same object as before for as long as nothing has changed about the user.
        """
        return None

    def algorithms(self) -> tuple[str, ...]:
        """The digest algorithms to offer, the preferred one first: MD5 only where stored hashes leave no choice."""
        return ("SHA-256",)

    def nobody(self) -> StoredPassword:
        """What to compare the password of an unknown user with, so that it takes as long as that of a known one."""
        return NOBODY_PLAIN

    def get_pwd(self, name: str) -> tuple[Any, ...] | None:
        """Password or hashes, max_users, recycle and inactive of a user (BAS ``userdb:getpwd``).

        Returns:
            None for one that does not exist, or whose password the database does not tell.
        """
        raise NotImplementedError


def read_user(name: str, password: Any, options: Sequence[Any], whose: str) -> User:
    """Make a user of what a callback has returned.

    Args:
        name: of the user.
        password: as `read_password` takes it, or True.
        options: max_users, recycle and inactive in this order, each of which may be left out.
        whose: for messages.

    Raises:
        SettingError: something else.
    """
    rest = list(options)
    max_users = rest.pop(0) if rest and is_number(rest[0]) else MAX_USERS
    recycle = rest.pop(0) if rest and isinstance(rest[0], bool) else False
    inactive = rest.pop(0) if rest and is_number(rest[0]) else None
    if any(one is not None for one in rest):
        raise SettingError(f"{whose}: behind the password stand max_users, recycle and inactive, not {rest!r:.80}")
    stored = None if password is True else read_password(password, whose)
    return User(name, stored, password is True, checked_limit(max_users, whose), recycle, checked_idle(inactive, whose))


def is_number(value: object) -> bool:
    """Whether it is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def checked_limit(value: Any, whose: str) -> int:
    """A `max_users`, if it can be one."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingError(f"{whose}: max_users {value!r:.80} is not a whole number")
    return value


def checked_idle(value: Any, whose: str) -> float | None:
    """An `inactive`, if it can be one."""
    if value is None:
        return None
    if not is_number(value) or not 0 < value < math.inf:
        raise SettingError(f"{whose}: inactive {value!r:.80} is not a positive number of seconds")
    return float(value)
