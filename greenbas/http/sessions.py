"""`Sessions`: the sessions of one server: who gets which, their ids, their limits and their ends."""

from __future__ import annotations

import hmac
import logging
import math
import secrets
import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import gevent

from greenbas.dispatcher import spawn
from greenbas.errors import IsCommitted
from greenbas.http.responsehead import NO_STORE
from greenbas.http.session import Session
from greenbas.http.sessioncookie import ID, SessionCookie
from greenbas.http.settings import HttpSettings
from greenbas.http.stores import Quota, Record, SessionUser, StoreUrl, make_store

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["Sessions"]

ID_BYTES = 20  # of randomness in an id
MARK_LENGTH = 32  # digits of the marks of passwords
MARKS = 1000  # that are remembered
KEY_SECONDS = 60.0  # between looks whether other processes have another key by now
HOOK_SECONDS = 2.0  # at the end of the server, for functions that are called when a session ends

_log = logging.getLogger("greenbas.sessions")


class Sessions:
    """The sessions of one server.

    Args:
        settings: those that begin with `session_` count here.

    Attributes:
        store: where they are kept.
        parameter: what the parameter of a session URL is called.

    Raises:
        SettingError: the store needs something that is not installed.
    """

    def __init__(self, settings: HttpSettings) -> None:
        url = settings.session_store
        assert isinstance(url, StoreUrl)
        self.store = make_store(url, settings.session_limit, self._ended)
        self.parameter = settings.session_cookie
        self._cookie = SessionCookie(settings.session_cookie, settings.session_path)
        self._idle = settings.session_idle
        self._lifetime = math.inf if settings.session_lifetime is None else settings.session_lifetime
        self._bind_peer = settings.session_bind_peer
        self._mark_key: bytes | None = None
        self._mark_key_seen = 0.0
        self._marks: dict[str, str] = {}
        self._hooks: set[gevent.Greenlet] = set()

    def __repr__(self) -> str:
        return f"<Sessions in {self.store!r}>"

    def open(self) -> None:
        """The server starts.

        Raises:
            SettingError: the store cannot be what the settings say.
        """
        self.store.open()

    def close(self) -> None:
        """The server ends, and with it the sessions in memory."""
        self.store.close()
        gevent.joinall(list(self._hooks), timeout=HOOK_SECONDS)

    # Which session.

    def find(self, request: Request, secure: bool, create: bool) -> Session | None:
        """The session of a request that has not asked for it before, or whose session has ended since."""
        token = self._cookie.read(request.message.fields, secure)
        record = None if token is None else self.store.find(token, self._peer(request) if self._bind_peer else None)
        if record is None:
            # Also for an id that we do not know: whoever made it up, or planted it here, shall not know the new one.
            if not create:
                return None
            record = self._create(request)
        request.used_session = session = self._session(record, request)
        return session

    def with_number(self, number: int) -> Session | None:
        """The living session with a number (BAS ``ba.session``); it does not count as used."""
        record = self.store.get(number)
        return None if record is None else Session(record, self, None)

    def with_id(self, public: str, request: Request, create: bool = False) -> Session | None:
        """The living session with a public id, as `find` finds it by the cookie (BAS ``ba.session``).

        Args:
            public: the id, from whoever has sent it.
            request: whose client wants it.
            create: make it the session of this request; without a session of this id, the request has its own, or a
                new one.
        """
        record = self.store.find(public, self._peer(request)) if ID.fullmatch(public) else None
        if record is None:
            return request.session(create=True) if create else None
        session = self._session(record, request)
        if create:
            request.used_session = session
        return session

    def numbers(self, user: str | None = None) -> list[int]:
        """The numbers of all living sessions, or of those of a user, in ascending order (BAS ``ba.sessions``)."""
        return self.store.numbers(user)

    def users(self) -> list[str]:
        """The names of those who are logged in (BAS ``ba.users``)."""
        return self.store.users()

    def resume(self, number: int, token: str, name: str, request: Request) -> Session | None:
        """For authenticators: make the session with a number that of a request, if it still belongs to a user.

        Args:
            number: of the session.
            token: the public id that it has had; it may have another one by now.
            name: the user, who has just shown that it is he.
            request: his.
        """
        peer = self._peer(request)
        record = self.store.find(token, peer)  # it is used now
        if record is None and (found := self.store.get(number)) is not None and found.token != token:
            record = self.store.find(found.token, peer)
        if record is None or record.number != number or record.user is None or record.user.name != name:
            return None
        request.used_session = session = self._session(record, request)
        return session

    def mark(self, secret: str) -> str:
        """Text that stands for a secret, so that one sees whether it is still the same; all processes make the same."""
        self._key()
        mark = self._marks.get(secret)
        if mark is None:
            if len(self._marks) >= MARKS:
                self._marks.clear()
            mark = self._marks[secret] = self.sign(secret)
        return mark

    def sign(self, text: str) -> str:
        """The same, for texts that come only once or twice."""
        return hmac.digest(self._key(), text.encode(), "sha256").hex()[:MARK_LENGTH]

    # What happens to it.

    def log_in(
        self, request: Request, user: SessionUser, *, inactive: float | None = None, quota: Quota | None = None
    ) -> Session:
        """For authenticators: the session of a request belongs to a user from here on; there is one if there was none.

        Its id changes, so that nobody who knew it before is logged in as well, and its lifetime begins anew. Attributes
        stay.

        Args:
            request: who has proved to be the user.
            user: the user, and how that was proved.
            inactive: seconds that the session may be unused; as it was unless given.
            quota: how many sessions the user may have, and which of them may end for this one; any number unless given.

        Raises:
            Crowded: there is no room; the session, which may be new, is as it was.
            IsCommitted: the response head has been sent.
            SessionExpired: it has ended meanwhile.
        """
        session = request.session(create=True)
        self._must_be_open(request)
        record = session._record
        ends = time.time() + self._lifetime
        idle = record.idle if inactive is None else float(inactive)
        session._must_live(self.store.log_in(record, _new_id(), user, ends, idle, quota))
        self._cookie.send(request, record.token)
        return session

    def rotate(self, session: Session) -> None:
        """See `Session.rotate`."""
        request = session._running()
        self._must_be_open(request)
        session._must_live(self.store.rename(session._live(), _new_id()))
        self._cookie.send(request, session._record.token)

    def terminate(self, session: Session) -> bool:
        """See `Session.terminate`."""
        request = session._request
        ended = session._record.alive and self.store.remove(session._record)
        own = request is not None and request.used_session is session
        if own and request is not None and not request.response.committed():
            self._cookie.send(request, "")
        return ended

    def terminate_all(self, user: str) -> int:
        """End all sessions of a user, and tell how many there were."""
        found = [self.store.get(number) for number in self.store.numbers(user)]
        return sum(self.store.remove(record) for record in found if record is not None)

    # Inside.

    def _session(self, record: Record, request: Request) -> Session:
        session = Session(record, self, request)
        if record.shared:
            if request.unsaved_sessions is None:
                request.unsaved_sessions = []
            request.unsaved_sessions.append(session)
        return session

    def _create(self, request: Request) -> Record:
        self._must_be_open(request)
        now = time.time()
        peer = request.peername()[0]
        record = Record(_new_id(), peer, now, self._idle, now + self._lifetime, self.store.new_values())
        self.store.add(record)
        self._cookie.send(request, record.token)
        response = request.response
        if not request.included and response.contains_header("Cache-Control") is None:
            response.set_header("Cache-Control", NO_STORE)  # a cache must not give the cookie to somebody else
        return record

    def _peer(self, request: Request) -> str | None:
        return request.peername()[0] if self._bind_peer else None

    def _must_be_open(self, request: Request) -> None:
        if request.response.committed():
            raise IsCommitted("a session cannot begin or change its id now: the response head has been sent")

    def _key(self) -> bytes:
        key = self._mark_key
        if key is None or (self.store.shared and time.monotonic() - self._mark_key_seen > KEY_SECONDS):
            # Also now and then: a store that was emptied has none, and somebody else may have made another one since.
            found = key or secrets.token_bytes(ID_BYTES)
            if not self.store.set_note("key", found, None, math.inf):
                found = self.store.note("key") or found
            if found != key:
                self._marks.clear()
            self._mark_key, self._mark_key_seen = found, time.monotonic()
            return found
        return key

    def _ended(self, values: MutableMapping[str, Any]) -> None:
        hook = values.get("onterminate")
        if hook is not None:
            greenlet = spawn(_call_hook, hook, name="onterminate")
            self._hooks.add(greenlet)
            greenlet.rawlink(self._hooks.discard)


def _call_hook(hook: Any) -> None:
    try:
        hook()
    except Exception:
        _log.exception("onterminate of a session failed")


def _new_id() -> str:
    return secrets.token_hex(ID_BYTES)
