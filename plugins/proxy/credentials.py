"""What lets a client in here: its session, and a password that it has proved. Backends do not get that.

Whoever has the cookie of a session is its user, on this whole server; and Basic carries the password itself.
"""

from __future__ import annotations

from collections.abc import Callable

from greenbas import Request

__all__ = ["without_own", "without_session"]

Pair = tuple[bytes, bytes]

_SCHEMES = (b"basic", b"digest")


def without_own(fields: list[Pair], request: Request) -> list[Pair]:
    """The fields of a request without what has been used to let it in.

    The cookie goes that names the session of the request. Authorization goes if the client has logged in with it: by
    Basic or Digest; a token for the backend, beside a login by a form, stays.

    Args:
        fields: those for the backend.
        request: the client's; who it is has been found out already.
    """
    session = request.used_session
    if session is None:
        return fields
    token = str(session.id(public=True)).encode("latin-1")
    user = session.user()
    by_header = user is not None and user.type in ("basic", "digest")
    kept = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"authorization" and by_header and value.lstrip().partition(b" ")[0].lower() in _SCHEMES:
            continue
        if lower == b"cookie":
            value = _without(value, lambda cookie: cookie.partition(b"=")[2].strip() == token)
            if not value:
                continue
        kept.append((name, value))
    return kept


def without_session(cookies: str, request: Request) -> str:
    """The value of a Cookie field without any session of this server, whether or not there is such a one."""
    own = request.sessions.parameter.encode("latin-1", "replace")
    left = _without(cookies.encode("latin-1", "replace"), lambda one: one.partition(b"=")[0].strip().endswith(own))
    return left.decode("latin-1")


def _without(cookies: bytes, is_own: Callable[[bytes], bool]) -> bytes:
    # As it was if nothing has to go: servers differ about spaces and empty pairs.
    found = cookies.split(b";")
    kept = [one for one in found if not is_own(one)]
    return cookies if len(kept) == len(found) else b";".join(kept).strip(b" \t")
