"""`AuthUser`: a user database that is a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from greenbas.auth.password import NOBODY_PLAIN, NOBODY_SLOW, StoredPassword
from greenbas.auth.user import User, UserDb, read_user
from greenbas.http import Request

__all__ = ["AuthUser"]

MAX_ARGUMENTS = 3


class AuthUser(UserDb):
    """A user database that is a function (BAS ``ba.create.authuser``).

    Args:
        function: called with name, password and request, or with the first or the first two of them; the password is
            None where the client sends a hash. It returns the stored password, as `read_password` takes it; or True
            when the password is right, where it is given; or None or False for an unknown user or a wrong password.
            Behind it, in a tuple, may stand max_users, recycle, and inactive in seconds. When it answers the request
            itself, the login counts as denied.

    Raises:
        TypeError: the function cannot be called like that.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._arguments = _count_arguments(function)
        self._slow = False  # whether it has returned a hash that takes time

    def __repr__(self) -> str:
        return f"<AuthUser {self._function!r:.80}>"

    def find(self, name: str, password: str | None, request: Request) -> User | None:
        """What the function says."""
        return self._read(name, self._function(*(name, password, request)[: self._arguments]))

    def nobody(self) -> StoredPassword:
        """As slow as the slowest that the function has returned."""
        return NOBODY_SLOW if self._slow else NOBODY_PLAIN

    def get_pwd(self, name: str) -> tuple[Any, ...] | None:
        """What the function says when it is asked without a password."""
        result = self._function(*(name, None, None)[: self._arguments])
        if self._read(name, result) is None or result is True:
            return None
        password, *options = result if isinstance(result, tuple) else (result,)
        return None if password is True else (password, *options)

    def _read(self, name: str, result: Any) -> User | None:
        password, *options = result if isinstance(result, tuple) and result else (result,)
        if password is None or password is False:
            return None
        user = read_user(name, password, options, f"the user database returned for {name!r:.80}")
        self._slow = self._slow or (user.password is not None and user.password.is_slow)
        return user


def _count_arguments(function: Any) -> int:
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise TypeError(f"a user database is a plain function of name, password and request, not {function!r:.80}")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return MAX_ARGUMENTS - 1  # something built in, which does not tell
    for count in range(MAX_ARGUMENTS, 0, -1):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return count
    raise TypeError(f"a user database is called with name, password and request; {function!r:.80} takes {signature}")
