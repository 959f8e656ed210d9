"""`Owner`: what has been opened on somebody's behalf, to be closed together with him."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from typing import Any, TypeVar

import gevent
from gevent._hub_local import get_hub_if_exists
from greenlet import GreenletExit, getcurrent

from greenbas.errors import IncorrectUse

__all__ = ["Owner", "current_owner"]

T = TypeVar("T")
End = Callable[[Any], object]

# Greenlets that are killed may clean up, but all together not hold up longer who waits for their end.
KILL_SECONDS = 2.0

_log = logging.getLogger("greenbas.owner")
_current: ContextVar[Owner | None] = ContextVar("greenbas_owner", default=None)


class Owner:
    """Knows what was opened while it was the current owner, and closes all of it.

    Timers, greenlets (threads of patched code are greenlets), directories and listeners register by themselves;
    anything else that has to be closed is given to `own`. The current owner is a context variable, so what a greenlet
    or timer of an owner opens belongs to that owner too.

    Whoever works on behalf of an owner when it is closed may go on, such as a request. What is opened then is closed
    when the last of them has left.

    Args:
        name: for messages.
        parent: who takes what is opened after this one has been closed.
    """

    def __init__(self, name: str, parent: Owner | None = None) -> None:
        self.name = name
        self.closed = False
        self._parent = parent
        self._inside = 0  # how many work on its behalf, between `enter` and `leave`
        self._closing = 0  # how many calls of `close` will look for more
        self._numbers = itertools.count()
        self._things: dict[int, tuple[Callable[[], Any], End | None]] = {}  # in the order of opening
        _watch_greenlets()

    def __repr__(self) -> str:
        return f"<Owner {self.name!r} of {len(self._things)} things>"

    @contextmanager
    def current(self) -> Iterator[None]:
        """Be the current owner in a block."""
        token = self.enter()
        try:
            yield
        finally:
            self.leave(token)

    def enter(self) -> Token[Owner | None]:
        """As `current`, for the path of requests: give the result to `leave`."""
        token = _current.set(self)
        self._inside += 1
        return token

    def leave(self, token: Token[Owner | None]) -> None:
        """Be the current owner no longer."""
        _current.reset(token)
        self._inside -= 1
        if self.closed and not self._inside and self._things:
            self.close()

    def own(self, thing: T) -> T:
        """Close `thing` together with the owner; it is kept alive until then.

        Args:
            thing: with a method `close`, `cancel`, `unlink`, `kill` or `stop`; the first of them that it has is called.

        Returns:
            The thing.

        Raises:
            TypeError: it has none of these methods.
        """
        if _closer(thing) is None:
            raise TypeError(f"{thing!r:.80} cannot be owned: it has none of the methods {', '.join(_CLOSERS)}")
        place = self._open()
        place._things[next(place._numbers)] = (lambda: thing), None
        return thing

    def watch(self, thing: Any, end: End | None = None) -> None:
        """As `own`, without keeping it alive: what goes by itself need not be closed.

        Args:
            thing: what to close.
            end: closes it when called with it; without one it is done as in `own`.
        """
        place = self._open()
        things, number = place._things, next(place._numbers)
        things[number] = weakref.ref(thing, lambda _: things.pop(number, None)), end

    def things(self) -> list[Any]:
        """What it owns now, in the order of opening."""
        return [thing for find, _ in list(self._things.values()) if (thing := find()) is not None]

    def close(self) -> None:
        """Close everything: first greenlets, then the rest, the youngest first. What fails is logged."""
        deadline = time.monotonic() + KILL_SECONDS
        self.closed = True
        self._closing += 1
        try:
            while self._things:  # what ends may open something once more
                self._close_all(self._take(), deadline)
        finally:
            self._closing -= 1

    def _open(self) -> Owner:
        # Where something registers now.
        if not self.closed:
            return self
        if self._parent is not None:
            return self._parent._open()
        if not self._inside and not self._closing and get_hub_if_exists() is not None:
            # Left over, such as a greenlet that has resisted: nobody will leave. Not at once: a timer is not yet set.
            self._closing += 1
            Context().run(gevent.spawn, self._close_late)
        return self

    def _close_late(self) -> None:
        try:
            self.close()
        finally:
            self._closing -= 1

    def _take(self) -> list[tuple[Any, End | None]]:
        # What is to be closed, the youngest first; what modules own is closed together with the rest.
        entries = list(self._things.values())
        self._things.clear()
        found: list[tuple[Any, End | None]] = []
        for find, end in reversed(entries):
            thing = find()
            if isinstance(thing, Owner):
                thing.closed = True
                found += thing._take()
            elif thing is not None:
                found.append((thing, end))
        return found

    def _close_all(self, things: list[tuple[Any, End | None]], deadline: float) -> None:
        greenlets = [thing for thing, _ in things if isinstance(thing, gevent.Greenlet) and thing is not getcurrent()]
        for greenlet in greenlets:
            greenlet.kill(_exit_of(greenlet), block=False)
        try:
            gevent.joinall(greenlets, timeout=max(0.0, deadline - time.monotonic()))
        finally:
            for thing, end in things:
                if not isinstance(thing, gevent.Greenlet):
                    self._close(thing, end)

    def _close(self, thing: Any, end: End | None) -> None:
        try:
            if end is not None:
                end(thing)
            elif (closer := _closer(thing)) is not None:
                closer()
        except IncorrectUse:
            pass  # such as a timer that has failed: it is over already
        except (GreenletExit, KeyboardInterrupt):
            raise
        except BaseException:  # a SystemExit or a Timeout too: the rest is to be closed
            _log.exception("%s: closing %r failed", self.name, thing)


def current_owner() -> Owner | None:
    """On whose behalf the current greenlet works; None outside of any application."""
    return _current.get()


_CLOSERS = ("close", "cancel", "unlink", "kill", "stop")
_watching = False


def _closer(thing: object) -> Callable[[], Any] | None:
    return next((method for name in _CLOSERS if callable(method := getattr(thing, name, None))), None)


def _exit_of(greenlet: gevent.Greenlet) -> type[BaseException]:
    # A thread of patched code is silent about SystemExit alone. One that does not run yet must end as greenlets do.
    target = getattr(getattr(greenlet, "_run", None), "__self__", None)
    return SystemExit if greenlet and isinstance(target, threading.Thread) else GreenletExit


def _watch_greenlets() -> None:
    # Once, and only in programs that have owners: it is a call for each greenlet.
    global _watching
    if not _watching:
        _watching = True
        gevent.Greenlet.add_spawn_callback(_spawned)


def _spawned(greenlet: gevent.Greenlet) -> None:
    owner = _current.get()
    if owner is None:
        return
    owner.watch(greenlet)
    if greenlet.gr_context is None:  # gevent's own spawn hands on no context; what this one opens has an owner too
        greenlet.gr_context = context = Context()
        context.run(_current.set, owner)
