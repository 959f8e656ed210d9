"""`LoginTracker`: who has logged in, who has tried to, and who has tried too often."""

from __future__ import annotations

import inspect
import ipaddress
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import orjson
from gevent.lock import BoundedSemaphore

from greenbas.errors import IncorrectUse, StoreUnavailable
from greenbas.http.settings import HttpSettings
from greenbas.http.stores import SessionStore

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["FailedLogin", "LoginTracker", "SuccessfulLogin", "group_of"]

MAX_SUCCESSFUL = 50  # as many as the original shows
KEPT = 24 * 3600.0  # seconds; failures are shown for so long
TRIES = 20  # to change a note that other processes change at the same time
_SUCCESSES, _ADDRESS, _USER = "logins", "login:address:", "login:user:"

_log = logging.getLogger("greenbas.auth")


class SuccessfulLogin(NamedTuple):
    """Somebody who has logged in.

    Attributes:
        name: of the user.
        addr: the client's address.
        time: unix seconds.
    """

    name: str
    addr: str
    time: float


class FailedLogin(NamedTuple):
    """Somebody who has tried to.

    Attributes:
        name: that he has tried last.
        addr: his address.
        time: of the last time, in unix seconds.
        counter: how often, also while he was banned.
        aux: how many of them count no more; ``counter - aux`` are the recent ones.
    """

    name: str
    addr: str
    time: float
    counter: int
    aux: int


class LoginTracker:
    """Counts failed logins by address, and by address and user, and bans after too many (BAS ``ba.tracker``).

    It knows of the logins at authenticators with ``tracker=True``. What it knows is in the store of the sessions, so
    processes that share that share this, too.

    Args:
        clock: unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._limits: tuple[int | None, int | None] = (None, None)
        self._ban = 0.0
        self._bound: SessionStore | None = None
        self._clock = clock
        self._function: Callable[..., Any] | None = None
        self._arguments = 0
        self._turns: WeakValueDictionary[str, BoundedSemaphore] = WeakValueDictionary()

    def __repr__(self) -> str:
        return "<LoginTracker>" if self._bound is None else f"<LoginTracker in {self._bound!r}>"

    def bind(self, settings: HttpSettings, store: SessionStore) -> None:
        """The server starts: from here on there is something to track.

        Args:
            settings: those that begin with `tracker_` count here.
            store: where it is kept.
        """
        self._limits = (settings.tracker_max_login, settings.tracker_max_user)
        self._ban = settings.tracker_ban_time
        self._bound = store

    def successful(self) -> list[SuccessfulLogin]:
        """Who has logged in, the last one last; fifty at most (BAS ``ba.tracker.successful``)."""
        found = self._store.note(_SUCCESSES)
        return [] if found is None else [SuccessfulLogin(*entry) for entry in orjson.loads(found)]

    def attempted(self) -> list[FailedLogin]:
        """Who has failed to log in, by address, the last one last (BAS ``ba.tracker.attempted``)."""
        nodes = [_Node.read(value) for _, value in self._store.notes(_ADDRESS)]
        return sorted((node.shown() for node in nodes), key=lambda one: one.time)

    def clear_cache(self) -> bool:
        """Forget all failures, and the bans with them (BAS ``ba.tracker.clearcache``)."""
        for prefix in (_ADDRESS, _USER):
            for key, _ in self._store.notes(prefix):
                self._change(key, lambda node: None)
        return True

    def set_log(self, function: Callable[..., object] | None = None) -> None:
        """Have a function called with each login, or none (BAS ``ba.tracker.setlogh``).

        Args:
            function: called with whether it succeeded, the name, the address, and, if it takes four arguments, the
                request. An error in it is logged, and it is not called again.

        Raises:
            TypeError: it cannot be called like that.
        """
        if function is None:
            self._function = None
            return
        if not callable(function):
            raise TypeError(f"set_log: a function of success, name, address and request, not {function!r:.80}")
        signature = inspect.signature(function)
        try:
            signature.bind(True, "", "", None)
            self._arguments = 4
        except TypeError:
            signature.bind(True, "", "")
            self._arguments = 3
        self._function = function

    # For authenticators.

    def look(self, request: Request, name: str) -> tuple[int, float]:
        """How often this client has failed recently, and for how many seconds it is banned; 0.0 when it is not."""
        now = self._clock()
        nodes = [self._node(key) for key in self._keys(request, name)]
        left = [node.banned(now, limit, self._ban) for node, limit in zip(nodes, self._limits, strict=True)]
        return max(node.recent(now, self._ban) for node in nodes), max(left)

    def failed(self, request: Request, name: str) -> tuple[int, float]:
        """Note that a login has failed, or was tried during a ban; returns the same as `look`."""
        now, addr = self._clock(), request.peername()[0]
        result = (0, 0.0)
        for key, limit in zip(self._keys(request, name), self._limits, strict=True):
            node = self._change(key, partial(_Node.fail, name=name, addr=addr, now=now, limit=limit, ban=self._ban))
            if node is not None:
                found = node.recent(now, self._ban), node.banned(now, limit, self._ban)
                result = max(result[0], found[0]), max(result[1], found[1])
        self._call(False, name, request)
        return result

    def succeeded(self, request: Request, name: str) -> None:
        """Note that a login has succeeded: the failures of this user from this address are forgiven."""
        by_address, by_user = self._keys(request, name)
        forgiven = 0
        if self._store.note(by_user) is not None:
            forgiven = self._node(by_user).recent(self._clock(), self._ban)
            self._change(by_user, lambda node: None)
        if forgiven:
            self._change(by_address, lambda node: node.forgive(forgiven))
        entry = SuccessfulLogin(name, request.peername()[0], self._clock())
        with self._turn(_SUCCESSES):
            for _ in range(TRIES):
                was = self._store.note(_SUCCESSES)
                entries = [*([] if was is None else orjson.loads(was)), list(entry)][-MAX_SUCCESSFUL:]
                if self._store.set_note(_SUCCESSES, orjson.dumps(entries), was, float("inf")):
                    break
        self._call(True, name, request)

    def turn(self, request: Request) -> BoundedSemaphore:
        """For a block in which no other greenlet of this process counts a login from the same address."""
        return self._turn(f"attempt:{group_of(request.peername()[0])}")

    # Inside.

    @property
    def _store(self) -> SessionStore:
        if self._bound is None:
            raise IncorrectUse("the server has not started: nobody has logged in yet")
        return self._bound

    def _keys(self, request: Request, name: str) -> tuple[str, str]:
        group = group_of(request.peername()[0])
        return f"{_ADDRESS}{group}", f"{_USER}{group}:{name}"

    def _node(self, key: str) -> _Node:
        found = self._store.note(key)
        return _Node() if found is None else _Node.read(found)

    def _change(self, key: str, change: Callable[[_Node], _Node | None]) -> _Node | None:
        with self._turn(key):
            for _ in range(TRIES):
                was = self._store.note(key)
                node = change(_Node() if was is None else _Node.read(was))
                if self._store.set_note(key, None if node is None else node.text(), was, self._clock() + KEPT):
                    return node
        raise StoreUnavailable(f"{TRIES} others have changed {key!r:.80} at the same time")

    def _turn(self, key: str) -> BoundedSemaphore:
        # Of the greenlets of this process one at a time, so that only other processes can be in between.
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = BoundedSemaphore()
        return turn

    def _call(self, successful: bool, name: str, request: Request) -> None:
        _log.info("login of %r from %s %s", name, request.peername()[0], "succeeded" if successful else "failed")
        if self._function is None:
            return
        try:
            self._function(*(successful, name, request.peername()[0], request)[: self._arguments])
        except Exception:
            _log.exception("the function of the login tracker failed and is not called again")
            self._function = None


class _Node:
    # What is known about one address, or about a user at one.

    def __init__(
        self, name: str = "", addr: str = "", when: float = 0.0, counter: int = 0, aux: int = 0, until: float = 0.0
    ) -> None:
        self.name, self.addr, self.when, self.counter, self.aux, self.until = name, addr, when, counter, aux, until

    @classmethod
    def read(cls, text: bytes) -> _Node:
        return cls(*orjson.loads(text))

    def text(self) -> bytes:
        return orjson.dumps([self.name, self.addr, self.when, self.counter, self.aux, self.until])

    def shown(self) -> FailedLogin:
        return FailedLogin(self.name, self.addr, self.when, self.counter, self.aux)

    def recent(self, now: float, ban: float) -> int:
        # What lies behind a ban, or longer back than one, counts no more.
        old = now - self.when >= ban if not self.until else now >= self.until
        return 0 if old else self.counter - self.aux

    def banned(self, now: float, limit: int | None, ban: float) -> float:
        return max(0.0, self.until - now) if limit is not None and self.recent(now, ban) >= limit else 0.0

    def fail(self, name: str, addr: str, now: float, limit: int | None, ban: float) -> _Node:
        if not self.recent(now, ban):
            self.aux, self.until = self.counter, 0.0
        self.name, self.addr, self.when = name, addr, now
        self.counter += 1
        if limit is not None and not self.until and self.counter - self.aux >= limit:
            self.until = now + ban
            _log.warning("%s is banned for %.0f s: %d failed logins, the last as %r", addr, ban, limit, name)
        return self

    def forgive(self, count: int) -> _Node:
        self.aux = min(self.counter, self.aux + count)
        return self


def group_of(address: str) -> str:
    """Whom an address stands for: in IPv6 everybody has 2^64 of them, so its network does."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
