"""`Owner`: what has been opened on somebody's behalf, to be closed together with him."""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from typing import Any, TypeVar

import gevent
from greenlet import GreenletExit, getcurrent

from greenbas.errors import IncorrectUse

__all__ = ["Owner", "current_owner"]

T = TypeVar("T")
End = Callable[[Any], object]

# A greenlet that is killed may clean up, but not hold up who waits for its end.
KILL_SECONDS = 2.0

_log = logging.getLogger("greenbas.owner")
_current: ContextVar[Owner | None] = ContextVar("greenbas_owner", default=None)


class Owner:
    """Knows what was opened while it was the current owner, and closes all of it.

    Timers, greenlets (threads of patched code are greenlets), directories and listeners register by themselves;
    anything else that has to be closed is given to `own`. The current owner is a context variable, so what a greenlet
    or timer of an owner opens belongs to that owner too.

    Args:
        name: for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False
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
        return _current.set(self)

    def leave(self, token: Token[Owner | None]) -> None:
        """Be the current owner no longer."""
        _current.reset(token)

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
        self._things[next(self._numbers)] = (lambda: thing), None
        return thing

    def watch(self, thing: Any, end: End | None = None) -> None:
        """As `own`, without keeping it alive: what goes by itself need not be closed.

        Args:
            thing: what to close.
            end: closes it when called with it; without one it is done as in `own`.
        """
        number = next(self._numbers)
        self._things[number] = weakref.ref(thing, lambda _: self._things.pop(number, None)), end

    def things(self) -> list[Any]:
        """What it owns now, in the order of opening."""
        return [thing for find, _ in list(self._things.values()) if (thing := find()) is not None]

    def close(self) -> None:
        """Close everything, the youngest first. What fails is logged, and the rest is closed nevertheless."""
        self.closed = True
        while self._things:  # what ends may open something once more
            entries = list(self._things.values())
            self._things.clear()
            for find, end in reversed(entries):
                thing = find()
                if thing is not None:
                    self._close(thing, end)

    def _close(self, thing: Any, end: End | None) -> None:
        try:
            if end is not None:
                end(thing)
            elif isinstance(thing, gevent.Greenlet):
                if thing is not getcurrent():
                    thing.kill(_exit_of(thing), timeout=KILL_SECONDS)
            elif (closer := _closer(thing)) is not None:
                closer()
        except IncorrectUse:
            pass  # such as a timer that has failed: it is over already
        except Exception:
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
    if owner is None or owner.closed:
        return
    owner.watch(greenlet)
    if greenlet.gr_context is None:  # gevent's own spawn hands on no context; what this one opens has an owner too
        greenlet.gr_context = context = Context()
        context.run(_current.set, owner)
