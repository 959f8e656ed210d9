"""`Guard`: what stands before a protected directory."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from greenbas.http import Request, SessionUser
from greenbas.protocol.headers import header_line

__all__ = ["Authenticates", "Authorizes", "Guard", "Pass"]

_PRIVATE = {"cache-control": header_line("Cache-Control", "private")}


class Authenticates(Protocol):
    """What a directory needs of an authenticator."""

    def authenticate(self, request: Request, path: str) -> SessionUser | None:
        """Who asks; None when the request has been answered."""


class Authorizes(Protocol):
    """What a directory needs of an authorizer."""

    def authorize(self, request: Request, method: str, path: str) -> bool:
        """Whether the one who is logged in may do this; False when nobody is."""


class Pass(Enum):
    """What a guard has decided."""

    ADMITTED = "admitted"
    ANSWERED = "answered"  # the client has to log in, and knows it
    DENIED = "denied"  # the directory is to say so


class Guard:
    """An authenticator, an authorizer, or both.

    Args:
        authenticator: finds out who asks; without one only those get in who have logged in elsewhere.
        authorizer: says whether he may; without one everybody may who has logged in.

    Raises:
        TypeError: they are something else.
    """

    def __init__(self, authenticator: Authenticates | None, authorizer: Authorizes | None) -> None:
        _check("authenticator", authenticator, "authenticate")
        _check("authorizer", authorizer, "authorize")
        self.authenticator = authenticator
        # Ours need not look once more whether somebody has logged in.
        self._identify = getattr(authenticator, "identify", None) or getattr(authenticator, "authenticate", None)
        self.authorizer = authorizer

    def __repr__(self) -> str:
        return f"<Guard {self.authenticator!r} {self.authorizer!r}>"

    def look_at(self, request: Request, path: str) -> Pass:
        """Decide about a request.

        Args:
            request: from a client; not in a forward or include.
            path: below the protected directory.
        """
        if request.user() is None:
            if self._identify is None:
                return Pass.DENIED
            # Whatever it returns that is no user: only one that has logged in comes further.
            if self._identify(request, path) is None:
                return Pass.ANSWERED
        if self.authorizer is not None and self.authorizer.authorize(request, request.method, path) is not True:
            return Pass.DENIED
        # Caches that many share must not keep it for those who have not logged in. What is set already stays.
        if not request.response.committed():
            request.response.adopt_lines(_PRIVATE)
        return Pass.ADMITTED


def _check(what: str, thing: Any, method: str) -> None:
    if thing is not None and not callable(getattr(thing, method, None)):
        raise TypeError(f"set_auth: an {what} has a method {method}; {thing!r:.80} has none")
