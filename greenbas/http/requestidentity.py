"""`Identity`: the session of a request, and who is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from greenbas.http import login
from greenbas.http.requestasker import Asker
from greenbas.http.requestcontents import first_of
from greenbas.http.stores import SessionUser
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.target import parse_pairs

if TYPE_CHECKING:
    from greenbas.http.session import Session
    from greenbas.http.sessions import Sessions
    from greenbas.http.tracker import LoginTracker

__all__ = ["Identity"]


class Identity(Asker):
    """The part of a request about its session and its user."""

    __slots__ = ()

    @overload
    def session(self, create: Literal[True]) -> Session: ...
    @overload
    def session(self, create: bool = False) -> Session | None: ...

    def session(self, create: bool = False) -> Session | None:
        """The session of this client (BAS ``request:session``).

        The first call in a request counts as a use of the session.

        Args:
            create: make one where there is none, and send its cookie with the response.

        Returns:
            The same object for the whole request; None without a session.

        Raises:
            IsCommitted: one has to be made, but the response head has been sent.
            StoreUnavailable: 503; nobody knows whether there is one.
        """
        session = self.used_session
        if session is not None and session._record.alive:
            return session
        connection = self._live()
        service = connection.service
        # As `is_secure`, which most requests need not ask.
        secure = (connection.stream.channel is not None or bool(service.trusted)) and self.is_secure()
        return service.sessions.find(self._whole(), secure, create)

    def url_session(self, relpath: str | None = None, create: bool = False) -> tuple[Session | None, str]:
        """The session that a URL names, for clients without cookies (BAS ``ba.session(request, relpath)``).

        Who has such a URL has the session: use it where cookies cannot be, and not with logins that matter. No session
        is taken from a URL unless this is called.

        Args:
            relpath: a path whose first segment may be the public id of a session; without it the parameter of the query
                counts that `Response.encode_redirect_url` has added.
            create: make it the session of this request; where the URL names none, the request gets its own, or a new
                one.

        Returns:
            The session, or None, and the path behind the segment; the whole path when it names no session.
        """
        sessions = self.sessions
        if relpath is None:
            public = first_of(parse_pairs(self.query), sessions.parameter) or ""
            return sessions.with_id(public, self._whole(), create), ""
        public, _, rest = relpath.partition("/")
        named = sessions.with_id(public, self._whole())
        if named is None:
            return (self.session(True) if create else None), relpath
        if create:
            self.used_session = named
        return named, rest

    def user(self) -> SessionUser | None:
        """Who is logged in, if anybody (BAS ``request:user``).

        Raises:
            StoreUnavailable: 503; nobody knows.
        """
        session = self.session()
        return None if session is None else session._record.user

    def login(self, username: str = "", max_users: int = 1, recycle: bool = True) -> str | bool:
        """Log this client in, as the program has found out by itself who it is (BAS ``request:login``).

        Its session, which is made if there is none, gets a new id.

        Args:
            username: the user; "" for somebody who has no name.
            max_users: sessions that the user may have at once.
            recycle: an older one of them ends for this one.

        Returns:
            The name of the user when one is logged in already; else whether there was room for one more session.

        Raises:
            IsCommitted: the response head has been sent.
            StoreUnavailable: 503; nobody knows.
        """
        need_text("login: the name", username)
        need_number("login: max_users", max_users, "give how many sessions there may be", whole=True)
        user = self.user()
        if user is not None:
            return user.name
        return login.enter(self._whole(), SessionUser(username), max_users, recycle) is None

    def logout(self, all: bool = False) -> bool:
        """End the session of this client (BAS ``request:logout``).

        Args:
            all: end all sessions of its user.

        Returns:
            False when nobody was logged in; a session, if there was one, has ended all the same.
        """
        return login.leave(self._whole(), all)

    @property
    def tracker(self) -> LoginTracker:
        """The login tracker of this server."""
        return self._live().service.tracker

    @property
    def sessions(self) -> Sessions:
        """All sessions of this server."""
        return self._live().service.sessions
