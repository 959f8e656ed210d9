"""`JsonUser`: a user database that is a dict, or the same as JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from greenbas.auth.constraints import JsonAuthorizer
from greenbas.auth.jsonfile import load_json, parse_json, save_json
from greenbas.auth.password import NOBODY_PLAIN, NOBODY_SLOW, StoredPassword, read_password
from greenbas.auth.user import MAX_USERS, User, UserDb, checked_idle, checked_limit
from greenbas.errors import SettingError
from greenbas.http import Request
from greenbas.protocol.authorization import is_name

__all__ = ["JsonUser"]

_KEYS = {"pwd", "roles", "maxusers", "maxUsers", "max_users", "recycle", "inactive"}
_LIMITS = ("max_users", "maxusers", "maxUsers")


class JsonUser(UserDb):
    """Users by name (BAS ``ba.create.jsonuser``).

    Each is ``{"pwd": ..., "roles": [...]}``, where the password is one for `read_password`, and may have ``max_users``
    (how many sessions at a time; 3), ``recycle`` (whether one more login ends an older one; false) and ``inactive``
    (seconds until an unused session ends). A user with ``max_users`` 0 is ignored.

    Args:
        users: the users, or their JSON text; none unless given.

    Raises:
        SettingError: as `set`.
    """

    def __init__(self, users: Mapping[str, Any] | str | bytes | None = None) -> None:
        self._data: dict[str, Any] = {}
        self._users: dict[str, User] = {}
        self._nobody = NOBODY_PLAIN
        self._algorithms: tuple[str, ...] = ("SHA-256",)
        if users is not None:
            self.set(users)

    def __repr__(self) -> str:
        return f"<JsonUser {len(self._users)} users>"

    def set(self, users: Mapping[str, Any] | str | bytes) -> None:
        """Replace all users; this counts from the next request on (BAS ``ju:set``).

        Args:
            users: the users, or their JSON text.

        Raises:
            SettingError: "Parse error" or "Semantic error", and where; the users are as they were.
        """
        given = parse_json(users, "the user database") if isinstance(users, str | bytes) else users
        if not isinstance(given, Mapping):
            raise SettingError(f"Semantic error: users are a dict by name, not a {type(given).__name__}")
        inner = given.get("v")
        if len(given) == 1 and isinstance(inner, Mapping) and "pwd" not in inner:
            given = inner  # as some tools of the original write it
        made = {name: _read_user(name, entry) for name, entry in given.items()}
        self._data = {name: dict(entry) for name, entry in given.items()}
        self._users = {name: user for name, user in made.items() if user.max_users != 0}
        self._describe()

    def data(self) -> dict[str, Any]:
        """A copy of what was set, to change and `set` again."""
        return {name: dict(entry) for name, entry in self._data.items()}

    def load(self, path: str | os.PathLike[str]) -> None:
        """Replace all users by those of a JSON file.

        Raises:
            SettingError: it cannot be read, or as `set`; the users are as they were.
        """
        self.set(load_json(path, "the user database"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all users to a JSON file, which is replaced at once or not at all; nobody else may read it.

        Raises:
            SettingError: it cannot be written.
        """
        save_json(path, self._data, "the user database")

    def authorizer(self, constraints: Mapping[str, Any] | str | bytes | None = None) -> JsonAuthorizer:
        """An authorizer by the roles of these users (BAS ``ju:authorizer``).

        Args:
            constraints: as `JsonAuthorizer.set` takes them; without any nobody may do anything.
        """
        made = JsonAuthorizer(self.get)
        if constraints is not None:
            made.set(constraints)
        return made

    def get(self, name: str) -> User | None:
        """The user with a name, if there is one."""
        return self._users.get(name)

    def find(self, name: str, password: str | None, request: Request) -> User | None:
        """The user with a name, whatever the password."""
        return self._users.get(name)

    def algorithms(self) -> tuple[str, ...]:
        """SHA-256 and MD5, if there are users for whom only a hash of that kind is stored."""
        return self._algorithms

    def nobody(self) -> StoredPassword:
        """As slow as the slowest of all."""
        return self._nobody

    def get_pwd(self, name: str) -> tuple[Any, ...] | None:
        """Password or hashes, max_users, recycle and inactive of a user (BAS ``userdb:getpwd``)."""
        user = self._users.get(name)
        return None if user is None else (self._data[name]["pwd"], user.max_users, user.recycle, user.inactive)

    def _describe(self) -> None:
        stored = [user.password for user in self._users.values() if user.password is not None]
        self._nobody = NOBODY_SLOW if any(one.is_slow for one in stored) else NOBODY_PLAIN
        # Whoever has a hash of one kind can use no other; with the password itself both can be made.
        forced = [set(one.ha1) for one in stored if one.ha1]
        needs_md5 = any("SHA-256" not in kinds for kinds in forced)
        needs_sha = any("MD5" not in kinds for kinds in forced)
        if not needs_md5:
            self._algorithms = ("SHA-256",)
        else:
            self._algorithms = ("SHA-256", "MD5") if needs_sha else ("MD5",)


def _read_user(name: Any, entry: Any) -> User:
    whose = f"Semantic error: user {name!r:.80}"
    if not isinstance(name, str) or not is_name(name):
        raise SettingError(f"{whose}: a name has 1 to 255 characters, and no control characters among them")
    if not isinstance(entry, Mapping):
        raise SettingError(f"{whose}: a user is a dict with 'pwd' and 'roles', not a {type(entry).__name__}")
    unknown = set(entry) - _KEYS
    missing = {"pwd", "roles"} - set(entry)
    if unknown or missing:
        fault = f"has no {min(missing)!r}" if missing else f"has an unknown key {min(unknown, key=str)!r:.80}"
        raise SettingError(f"{whose} {fault}; there are pwd, roles, max_users, recycle and inactive")
    roles = entry["roles"]
    if not isinstance(roles, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in roles):
        raise SettingError(f"{whose}: roles are a list of text, not {roles!r:.80}")
    recycle = entry.get("recycle", False)
    if not isinstance(recycle, bool):
        raise SettingError(f"{whose}: recycle is true or false, not {recycle!r:.80}")
    return User(
        name,
        read_password(entry["pwd"], whose),
        max_users=checked_limit(next((entry[key] for key in _LIMITS if key in entry), MAX_USERS), whose),
        recycle=recycle,
        inactive=checked_idle(entry.get("inactive"), whose),
        roles=frozenset(roles),
    )
