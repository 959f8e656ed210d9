"""`Session`: a session as handlers see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from greenbas.errors import Expired, IncorrectUse, SessionExpired
from greenbas.http.stores import Record, SessionUser

if TYPE_CHECKING:
    from greenbas.http.request import Request
    from greenbas.http.sessions import Sessions

__all__ = ["Session"]

MAX_IDLE = 1e9  # seconds; thirty years


class Session:
    """What a server remembers of one client from request to request (BAS session).

    Attributes are set and read as those of any object, ``session.cart = []``, or as items, ``session["cart"]``. Names
    of methods, and names that begin with "_", are taken. In memory an attribute is any object, and all requests of the
    session share it. In other stores it is a JSON value, which is written at the end of the request if it has changed,
    also if that was in place; attributes that have not changed are not touched.

    Methods raise SessionExpired when the session has ended, where nothing else is said. Use `Request.session` to get
    one; it may be kept beyond the request.
    """

    # In a memory store the attributes are the instance's dict, which all objects of the session share: reading one
    # takes no code of ours. Elsewhere that dict stays empty.
    __slots__ = ("__dict__", "__weakref__", "_hold", "_record", "_request", "_sessions")

    _hold: _Hold | None  # what keeps the session from expiring, as long as this object lives
    _record: Record
    _request: Request | None
    _sessions: Sessions

    def __init__(self, record: Record, sessions: Sessions, request: Request | None) -> None:
        # By the slots themselves: `__setattr__` sets attributes of the session.
        _set_record(self, record)
        _set_sessions(self, sessions)
        _set_request(self, request)
        values = record.values
        if type(values) is dict:
            _set_dict(self, values)

    def __repr__(self) -> str:
        return repr(self._record).replace("Record", "Session", 1)

    # Attributes.

    def __getattr__(self, name: str) -> Any:
        # Called for what is neither a method nor in the instance's dict.
        if name[:1] == "_":
            raise AttributeError(f"a session has no {name!r}")
        try:
            return self._live().values[name]
        except KeyError:
            raise AttributeError(f"this session has no {name!r} yet; there are: {self._names()}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        record = self._record
        if name in _OWN or name[:1] == "_" or not record.alive:
            self._check_name(name, value)
        record.values[name] = value
        if record.shared:
            self._write_through()

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"this session has no {name!r}; there are: {self._names()}") from None

    def __getitem__(self, name: str) -> Any:
        return self._live().values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if type(name) is not str or not name:
            raise TypeError(f"session attribute {name!r}: use a str as name")
        self.__setattr__(name, value)

    def __delitem__(self, name: str) -> None:
        del self._live().values[name]
        self._write_through()

    def __contains__(self, name: object) -> bool:
        return name in self._live().values

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._live().values))

    def __len__(self) -> int:
        return len(self._live().values)

    def __bool__(self) -> bool:
        return True  # also without attributes

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default when there is none."""
        return self._live().values.get(name, default)

    def attributes(self) -> MutableMapping[str, Any]:
        """All attributes by name, to look at and to change (BAS ``session:attributes``); names as elsewhere."""
        return self._live().values

    @property
    def onterminate(self) -> Callable[[], object] | None:
        """Called without arguments, in a greenlet of its own, when the session has ended (BAS ``onterminate``).

        Assign a function. Sessions in memory have this alone.
        """
        hook: Callable[[], object] | None = self._live().values.get("onterminate")
        return hook

    def save(self) -> None:
        """Write what has changed now; at the end of the request it is done by itself.

        A session that is used outside of its request writes what is assigned at once, and needs this for what is
        changed in place. Sessions in memory never do.

        Raises:
            TypeError: a value cannot be stored; the message names the attribute.
            StoreUnavailable: the store does not answer.
        """
        record = self._record
        if record.shared and record.alive:
            self._sessions.store.save(record)

    # What is known about it.

    def id(self, public: bool = False) -> int | str:
        """The number of the session in its store, or its public id (BAS ``session:id``).

        Args:
            public: the text that is in the client's cookie. Who has it has the session; it changes at a login. The
                number is no secret.
        """
        record = self._live()
        return record.token if public else record.number

    def creation_time(self) -> float:
        """When it was made, in unix seconds (BAS ``session:creationtime``)."""
        return self._live().created

    def last_accessed_time(self, update: bool = False) -> float:
        """When it was used last, in unix seconds; -1 when it has ended (BAS ``session:lastaccessedtime``).

        Args:
            update: it is used now.
        """
        record = self._record
        if not record.alive or (update and not self._sessions.store.touch(record)):
            return -1
        return record.accessed

    def max_inactive_interval(self, seconds: float | None = None) -> float:
        """How long it may be unused, in seconds (BAS ``session:maxinactiveinterval``).

        Args:
            seconds: a new limit; `session_lifetime` ends it all the same.

        Returns:
            The limit that was in force.

        Raises:
            ValueError: the new one is not positive, or over thirty years.
        """
        record = self._live()
        before = record.idle
        if seconds is not None:
            if not 0 < seconds <= MAX_IDLE:
                raise ValueError(f"a session cannot be inactive for {seconds!r} seconds: use 1 to {MAX_IDLE:.0f}")
            self._must_live(self._sessions.store.set_idle(record, float(seconds)))
        return before

    def use_counter(self) -> int:
        """How many requests have used it after the one that made it (BAS ``session:usecounter``)."""
        return self._live().uses

    def peername(self) -> str:
        """The address of the client that it was made for (BAS ``session:peername``)."""
        return self._live().peer

    def user(self) -> SessionUser | None:
        """Who has logged in, if anybody (BAS ``session:user``)."""
        return self._live().user

    # Its life.

    def lock(self) -> bool:
        """Keep it from expiring while this object is there, or until `release` (BAS ``session:lock``).

        `session_lifetime` ends it all the same.

        Returns:
            False when this object has locked it already.
        """
        record = self._live()
        if getattr(self, "_hold", None) is not None:
            return False
        self._sessions.store.hold(record)
        object.__setattr__(self, "_hold", _Hold(self._sessions, record))
        return True

    def release(self) -> bool:
        """Undo `lock` (BAS ``session:release``); False when this object has not locked it. Never raises."""
        locked = getattr(self, "_hold", None) is not None
        object.__setattr__(self, "_hold", None)
        return locked

    def terminate(self) -> bool:
        """End it now, even if it is locked (BAS ``session:terminate``).

        The browser forgets its cookie, if this is the session of a request that can tell it so.

        Returns:
            False when it has ended before.
        """
        return self._sessions.terminate(self)

    def rotate(self) -> None:
        """Give it a new public id, and the client a new cookie; the old id is unknown from then on.

        For whenever the client gains rights: an id that somebody has planted or seen before is worth nothing then.

        Raises:
            IncorrectUse: this is not the session of a request that runs, so that nobody could tell the client.
            IsCommitted: the response head has been sent.
        """
        self._sessions.rotate(self)

    # Inside.

    def _live(self) -> Record:
        if not self._record.alive:
            raise SessionExpired("the session has ended: ask the request for another one")
        return self._record

    def _check_name(self, name: str, value: Any) -> None:
        self._live()
        if name == "onterminate":
            _check_hook(value)
        elif name[0] == "_":
            raise AttributeError(f"{name!r} is an invalid session attribute: names that begin with _ are taken")
        else:
            raise AttributeError(f"{name!r} is an invalid session attribute: it is one of the session's own names")

    def _must_live(self, lived: bool) -> None:
        if not lived:
            raise SessionExpired("the session has ended meanwhile: ask the request for another one")

    def _running(self) -> Request:
        request = self._request
        if request is not None and not request.valid():
            raise Expired("the request is over: its client cannot be told a new id any more")
        if request is None or request.used_session is not self:
            raise IncorrectUse("only the request whose session this is can tell the client a new id")
        return request

    def _write_through(self) -> None:
        # Outside of a request nobody writes later what was assigned.
        if self._record.shared and (self._request is None or not self._request.valid()):
            self.save()

    def _names(self) -> str:
        return ", ".join(self._record.values) or "none"


class _Hold:
    # Goes with the object that has it.

    __slots__ = ("_record", "_sessions")

    def __init__(self, sessions: Sessions, record: Record) -> None:
        self._sessions, self._record = sessions, record

    def __del__(self) -> None:
        self._sessions.store.let_go(self._record)


def _check_hook(hook: object) -> None:
    if hook is not None and not callable(hook):
        raise TypeError(f"session attribute 'onterminate' is called without arguments; {hook!r:.80} is no function")


_set_record = vars(Session)["_record"].__set__
_set_sessions = vars(Session)["_sessions"].__set__
_set_request = vars(Session)["_request"].__set__
_set_dict = vars(Session)["__dict__"].__set__
_OWN = frozenset(name for name in vars(Session) if not name.startswith("__"))
