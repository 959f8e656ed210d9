"""`JsonAuthorizer`: who may do what by URL, method and role."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from greenbas.auth.authorizer import Authorizer
from greenbas.auth.jsonfile import load_json, parse_json, save_json
from greenbas.auth.user import User
from greenbas.errors import SettingError
from greenbas.http import Request

__all__ = ["Constraint", "JsonAuthorizer"]

_KEYS = {"urls", "methods", "roles"}
_SLASHES = re.compile("/{2,}")


@dataclass(frozen=True, slots=True)
class Constraint:
    """What one constraint asks of a request.

    Attributes:
        methods: those that it allows; none is all.
        roles: one of which the user has to have; none is everybody.
    """

    methods: frozenset[str]
    roles: frozenset[str]

    def allows(self, user: User, method: str) -> bool:
        """Whether a user may do this. One without any roles is subject to none (BAS reference d.3)."""
        if not user.roles:
            return True
        if self.methods and method not in self.methods:
            return False
        return not self.roles or not self.roles.isdisjoint(user.roles)


class JsonAuthorizer(Authorizer):
    """Decides by constraints (BAS ``ju:authorizer``).

    A constraint with exactly the path decides, if there is one. Otherwise those with the longest prefix decide, of
    whole path segments; one of them has to allow the request. Where there is none, nobody gets in.

    Args:
        find: the user with a name, if there is one.
    """

    def __init__(self, find: Callable[[str], User | None]) -> None:
        self._find = find
        self._case_sensitive = True
        self._data: dict[str, Any] = {}
        self._exact: dict[str, Constraint] = {}
        self._prefixes: dict[str, list[Constraint]] = {}

    def __repr__(self) -> str:
        return f"<JsonAuthorizer {len(self._data)} constraints>"

    def set(self, constraints: Mapping[str, Any] | str | bytes) -> None:
        """Replace all constraints; this counts from the next request on (BAS ``jauthorizer:set``).

        Args:
            constraints: ``{"name": {"urls": [...], "methods": [...], "roles": [...]}}``, or its JSON text. A URL is a
                path below the protected directory, "/a/b.html" for one resource, "/a/*" for all below; the slash at its
                beginning may be missing. GET includes HEAD. No methods are all methods, no roles everybody.

        Raises:
            SettingError: "Parse error" or "Semantic error", and where; the constraints are as they were.
        """
        given = parse_json(constraints, "the constraints") if isinstance(constraints, str | bytes) else constraints
        if not isinstance(given, Mapping):
            raise SettingError(f"Semantic error: constraints are a dict by name, not a {type(given).__name__}")
        inner = given.get("v")
        if len(given) == 1 and isinstance(inner, Mapping) and "urls" not in inner:
            given = inner
        self._index({name: _checked(name, entry) for name, entry in given.items()})

    def data(self) -> dict[str, Any]:
        """A copy of what was set, to change and `set` again."""
        return {name: {key: list(values) for key, values in entry.items()} for name, entry in self._data.items()}

    def load(self, path: str | os.PathLike[str]) -> None:
        """Replace all constraints by those of a JSON file.

        Raises:
            SettingError: it cannot be read, or as `set`; the constraints are as they were.
        """
        self.set(load_json(path, "the constraints"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all constraints to a JSON file, which is replaced at once or not at all.

        Raises:
            SettingError: it cannot be written.
        """
        save_json(path, self._data, "the constraints")

    def case_sensitive(self, yes: bool) -> bool:
        """Whether paths are compared with their case, as they are unless told otherwise (BAS ``casesensitive``).

        Returns:
            What it was.
        """
        was, self._case_sensitive = self._case_sensitive, bool(yes)
        self._index(self._data)
        return was

    def authorize(self, request: Request, method: str, path: str) -> bool:
        """Whether the one who is logged in may do this.

        The user has to be in the database, with the password that was given at the login; a login by `Request.login`
        needs none.
        """
        who = request.user()
        user = None if who is None else self._find(who.name)
        if who is None or user is None or (who.type != "?" and who.mark != request.sessions.mark(user.identity)):
            return False
        return self._allows(user, "GET" if method == "HEAD" else method, path)

    def _allows(self, user: User, method: str, path: str) -> bool:
        path = self._fold(path)
        exact = self._exact.get(path)
        if exact is not None:
            return exact.allows(user, method)
        while True:
            found = self._prefixes.get(path)
            if found is not None:
                return any(one.allows(user, method) for one in found)
            if not path:
                return False
            path = path.rpartition("/")[0]

    def _index(self, data: dict[str, Any]) -> None:
        exact: dict[str, Constraint] = {}
        prefixes: dict[str, list[Constraint]] = {}
        for entry in data.values():
            methods = frozenset(method.upper() for method in entry["methods"])
            constraint = Constraint(methods, frozenset(entry["roles"]))
            for url in entry["urls"]:
                if url == "*" or url.endswith("/*"):
                    prefixes.setdefault(self._fold(url[:-1]).rstrip("/"), []).append(constraint)
                else:
                    exact.setdefault(self._fold(url), constraint)
        self._data, self._exact, self._prefixes = data, exact, prefixes

    def _fold(self, path: str) -> str:
        # Readers take several slashes for one, so a constraint has to do so, too.
        folded = (_SLASHES.sub("/", path) if "//" in path else path).removeprefix("/")
        return folded if self._case_sensitive else folded.casefold()


def _checked(name: Any, entry: Any) -> dict[str, list[str]]:
    where = f"Semantic error: constraint {name!r:.80}"
    if not isinstance(name, str):
        raise SettingError(f"{where}: a name is text")
    if not isinstance(entry, Mapping) or "urls" not in entry:
        raise SettingError(f"{where} is a dict with 'urls', 'methods' and 'roles', not {entry!r:.80}")
    unknown = set(entry) - _KEYS
    if unknown:
        raise SettingError(f"{where} has an unknown key {min(unknown, key=str)!r:.80}; there are urls, methods, roles")
    checked = {}
    for key in ("urls", "methods", "roles"):
        values = entry.get(key, ())
        if not isinstance(values, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in values):
            raise SettingError(f"{where}: {key} are a list of text, not {values!r:.80}")
        checked[key] = list(values)
    for url in checked["urls"]:
        if "*" in url and url != "*" and (not url.endswith("/*") or "*" in url[:-1]):
            raise SettingError(f"{where}: {url!r:.80}: a '*' stands for everything below a path only, as in '/a/*'")
    return checked
