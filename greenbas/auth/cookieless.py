"""`Cookieless`: the sessions of programs that send name and password with each request, and keep no cookies."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from greenbas.http import Request, Session

__all__ = ["Cookieless"]

LIMIT = 20_000  # programs that are remembered; some 10 MB. The session of one that is forgotten ends by itself.
MAX_AGENT = 200  # characters of a User-Agent that tell programs apart; a head has room for thousands


@dataclass(slots=True)
class _Login:
    session: int
    token: str
    uses: int


class Cookieless:
    """Knows which session a program had with its last request.

    Without that each request would begin one. Programs are told apart by user, address and User-Agent. Browsers keep
    cookies, and two of them may have all three in common, so they are left out; as is a session whose cookie somebody
    has sent back after all.
    """

    def __init__(self) -> None:
        self._logins: OrderedDict[tuple[str, str, str], _Login] = OrderedDict()

    def find(self, request: Request, name: str) -> Session | None:
        """The session that the user's program had, which becomes that of the request; None for none.

        Args:
            request: which has proved whose it is.
            name: of the user.
        """
        key = _program(request, name)
        login = None if key is None else self._logins.get(key)
        if key is None or login is None:
            return None
        sessions = request.sessions
        known = sessions.with_number(login.session)
        if known is not None and known.use_counter() == login.uses:
            session = sessions.resume(login.session, login.token, name, request)
            if session is not None:
                login.uses = max(login.uses, session.use_counter())
                self._logins.move_to_end(key)
                return session
        self._logins.pop(key, None)
        return None

    def note(self, request: Request, name: str, session: Session) -> None:
        """The user's program has begun a session."""
        key = _program(request, name)
        if key is None:
            return
        self._logins[key] = _Login(int(session.id()), str(session.id(True)), session.use_counter())
        self._logins.move_to_end(key)
        if len(self._logins) > LIMIT:
            self._logins.popitem(last=False)


def _program(request: Request, name: str) -> tuple[str, str, str] | None:
    agent = request.header("user-agent") or ""
    if agent.startswith("Mozilla/") or request.header("cookie") is not None:
        return None
    return name, request.peername()[0], agent[:MAX_AGENT]
