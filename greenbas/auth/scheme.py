"""`Scheme` and `Attempt`: a way to log in, and one try to do so."""

from __future__ import annotations

import ipaddress
from enum import Enum

from greenbas.auth.authinfo import AuthInfo
from greenbas.auth.passwordcheck import PasswordCheck
from greenbas.auth.user import User
from greenbas.http import Request, Session, SessionUser

__all__ = ["Attempt", "Scheme", "Verdict", "may_send_passwords"]


class Verdict(Enum):
    """What an attempt has proved."""

    RIGHT = "right"
    WRONG = "wrong"
    STALE = "stale"  # who knows the password has proved it with what cannot be used any more; it is no failure


class Attempt:
    """One try to log in.

    Args:
        request: with which it came.
        name: of the user whom it is about; checked by whoever goes on.
        password: as the client says; None where it says a hash.

    Attributes:
        request, name, password: as given.
        type: how, for the session: "basic", "digest" or "form".
    """

    __slots__ = ("name", "password", "request")

    type = ""

    def __init__(self, request: Request, name: str, password: str | None) -> None:
        self.request = request
        self.name = name
        self.password = password

    def prove(self, user: User | None, check: PasswordCheck) -> Verdict:
        """Compare with what is stored; it takes as long when there is no such user.

        Raises:
            Overloaded: too many passwords are being compared.
        """
        raise NotImplementedError

    def go_on(self) -> SessionUser | None:
        """Who it is, where the client has logged in before and proves so without a cookie; None to begin anew."""
        return None

    def resume(self) -> Session | None:
        """The session that goes with a proof, where there is one already that the client has no cookie of."""
        return None

    def welcome(self, session: Session) -> bool:
        """The login has succeeded. Returns False when the request is answered with that."""
        return True


class Scheme:
    """A way to log in.

    Attributes:
        type: for `AuthInfo`.
    """

    type = ""

    def attempt(self, request: Request) -> Attempt | None:
        """The try that a request makes; None when there is none, or none that could be understood."""
        raise NotImplementedError

    def ask(self, request: Request, info: AuthInfo, attempt: Attempt | None, verdict: Verdict | None) -> None:
        """Answer that somebody has to log in.

        Args:
            request: the request.
            info: what is known about it.
            attempt: that has failed, if there was one.
            verdict: about that.
        """
        raise NotImplementedError

    def refuse(self, request: Request, info: AuthInfo) -> None:
        """Answer that nobody can log in now; `info` says why."""
        raise NotImplementedError


def may_send_passwords(request: Request) -> bool:
    """Whether nobody can listen: over TLS, or from this very machine."""
    if request.is_secure():
        return True
    try:
        address = ipaddress.ip_address(request.peername()[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
