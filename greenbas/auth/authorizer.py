"""`Authorizer`: whether somebody who is logged in may do something."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from greenbas.http import Request

__all__ = ["Authorizer", "FunctionAuthorizer"]


class Authorizer:
    """Decides what a user may do."""

    def authorize(self, request: Request, method: str, path: str) -> bool:
        """Whether the one who is logged in may do this (BAS ``authorizer:authorize``).

        Args:
            request: whose user it is about.
            method: such as "GET".
            path: below the protected directory.

        Returns:
            False, too, when nobody is logged in.
        """
        raise NotImplementedError


class FunctionAuthorizer(Authorizer):
    """An authorizer that is a function (BAS ``ba.create.authorizer``).

    Args:
        function: called with the user's name, the method, the path below the protected directory, and, if it takes
            four arguments, the session. Only True allows.

    Raises:
        TypeError: it cannot be called like that.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise TypeError(f"an authorizer is a plain function of name, method and path, not {function!r:.80}")
        self._function = function
        self._arguments = _count_arguments(function)

    def __repr__(self) -> str:
        return f"<FunctionAuthorizer {self._function!r:.80}>"

    def authorize(self, request: Request, method: str, path: str) -> bool:
        """What the function says."""
        session = request.session()
        user = None if session is None else session.user()
        if user is None:
            return False
        return self._function(*(user.name, method, path, session)[: self._arguments]) is True


def _count_arguments(function: Any) -> int:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return 3
    for count in (4, 3):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return count
    raise TypeError(f"an authorizer is called with name, method, path and session; {function!r:.80} takes {signature}")
