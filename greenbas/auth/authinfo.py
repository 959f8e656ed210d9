"""`AuthInfo`: what a response handler is told when somebody has to log in, or must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from greenbas.http import Request, Response

__all__ = ["AuthInfo", "ResponseHandler"]


@dataclass(slots=True)
class AuthInfo:
    """Why a login page or error is shown (BAS ``authinfo``).

    Attributes:
        type: "basic", "digest" or "form": what is asked for.
        realm: of the authenticator.
        login_attempts: how often this client has failed recently, if the authenticator has a tracker.
        denied: nothing that the client sends counts now: it is banned, or the user has no session left.
        retry_after: seconds until a ban ends; 0 without one.
        seed, seedkey: of a form, the challenge for a hashed password; see `FormScheme`.
        username, password: what the client has sent, after an attempt that has failed; None before. The password is
            None, too, where a hash was sent.
        max_users, recycle, inactive: of the user, when he has too many sessions: `max_users` is the number of those,
            negated.
    """

    type: str
    realm: str
    login_attempts: int = 0
    denied: bool = False
    retry_after: float = 0.0
    seed: str | None = None
    seedkey: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    max_users: int | None = None
    recycle: bool | None = None
    inactive: float | None = None


ResponseHandler = Callable[[Request, Response, AuthInfo], object]
