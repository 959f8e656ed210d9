"""Timers: a function called after some seconds, again and again while it says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextvars import copy_context
from types import TracebackType
from typing import Any

from gevent import Timeout, get_hub
from gevent.lock import Semaphore

from greenbas.dispatcher.greenlets import spawn
from greenbas.dispatcher.owner import current_owner
from greenbas.errors import IncorrectUse
from greenbas.protocol.arguments import need_number

__all__ = ["Timer"]

_log = logging.getLogger("greenbas.timer")

Tick = Callable[[], Any]


class Timer:
    """A timer that calls a function in a greenlet of its own (BAS ``ba.timer``).

    The function may block, and is never called twice at once: a tick that is due meanwhile waits. Returning True arms
    the timer again with the same interval; anything else ends it. A generator function runs to its next ``yield`` at
    each tick: ``yield True`` waits for the next tick, ``yield False`` or the end stops for good. A function that
    raises is dead: the error is logged, and later calls here raise it. Ticks see the context variables of the caller
    of `set`.

    An active timer keeps itself alive. As a context manager it cancels itself at the end of the block.

    Args:
        function: called without arguments.
    """

    def __init__(self, function: Tick) -> None:
        if not callable(function):
            raise TypeError(f"a timer calls a function without arguments, not {function!r:.80}: give the function")
        self._function = function
        self._generator: Generator[Any, None, None] | None = None
        self._exhausted = False
        self._failure: BaseException | None = None
        self._seconds = 0.0
        self._watcher: Any = None
        self._armings = 0  # counts set, reset and cancel, so that a tick that is due or running notices them
        self._context = copy_context()
        self._one_call = Semaphore()
        owner = current_owner()
        if owner is not None:
            owner.watch(self)

    def __repr__(self) -> str:
        state = f"every {self._seconds:g} s" if self.active else "inactive"
        return f"<Timer {_name(self._function)} {state}>"

    def __enter__(self) -> Timer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._failure is None:
            self.cancel()

    @property
    def active(self) -> bool:
        """Whether a tick is due."""
        return self._watcher is not None

    def set(self, seconds: float, immediately: bool = False) -> bool:
        """Arm the timer; an active one is cancelled first (BAS ``timer:set``).

        Args:
            seconds: until the first tick, and between ticks.
            immediately: call the function once now, and arm only if it asks for more.

        Returns:
            True, or False when the immediate call said that it is enough.

        Raises:
            IncorrectUse: the function raised before, its generator has ended, or an immediate call meets one that runs.
            ValueError: `seconds` is negative.
            TypeError: it is no number.
        """
        self._check()
        if not need_number("timer: the interval", seconds, "give seconds, such as 0.5") >= 0:
            raise ValueError(f"a timer cannot wait {seconds} seconds: use 0 or more")
        if immediately and self._one_call.locked():
            raise IncorrectUse("the timer's function is running: it cannot be called immediately")
        self._disarm()
        self._seconds = seconds
        self._context = copy_context()
        if immediately:
            with self._one_call:
                arming = self._armings
                again = self._call()
            self._check(ended=False)
            if arming != self._armings:
                return self.active  # the function itself set or cancelled the timer
            if not again:
                return False
        self._arm()
        return True

    def reset(self, seconds: float) -> bool:
        """Change the interval of an active timer, counted from now; False when it is inactive (BAS ``timer:reset``)."""
        self._check()
        need_number("timer: the interval", seconds, "give seconds, such as 0.5")
        return self.active and self.set(seconds)

    def cancel(self) -> bool:
        """Stop; True if the timer was active (BAS ``timer:cancel``)."""
        self._check(ended=False)
        was_active = self.active
        self._disarm()
        return was_active

    def _arm(self) -> None:
        self._armings += 1
        self._watcher = get_hub().loop.timer(self._seconds)
        self._watcher.start(self._due)

    def _disarm(self) -> None:
        self._armings += 1
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def _due(self) -> None:
        self._context.run(spawn, self._tick, self._armings, name=f"timer:{_name(self._function)}")

    def _tick(self, arming: int) -> None:
        with self._one_call:
            if arming != self._armings:
                return  # set or cancelled since it became due
            self._disarm()
            arming = self._armings
            try:
                again = self._call()
            except Timeout as error:  # an immediate call lets it through: it may be meant for the caller
                again = self._fail(error)
            if again and arming == self._armings:
                self._arm()

    def _call(self) -> bool:
        try:
            result = next(self._generator) if self._generator is not None else self._function()
            if isinstance(result, Generator):
                self._generator = result
                result = next(result)
        except StopIteration:
            return self._end()
        except (Exception, SystemExit) as error:  # a tick that wants to exit shall not end the server
            return self._fail(error)
        if self._generator is not None and result is not True:
            return self._end()
        return result is True

    def _end(self) -> bool:
        self._exhausted = True
        self._disarm()
        return False

    def _fail(self, error: BaseException) -> bool:
        self._failure = error
        self._disarm()
        _log.error("timer %s failed and is dead", _name(self._function), exc_info=error)
        _forget_frames(error)
        return False

    def _check(self, ended: bool = True) -> None:
        if self._failure is not None:
            raise IncorrectUse(f"Timer callback failed: {self._failure!r}") from self._failure
        if ended and self._exhausted:
            raise IncorrectUse("the timer's generator has ended: make a new timer")


def _forget_frames(error: BaseException | None) -> None:
    # The log has them. Here they would keep alive what the tick held, such as a response that somebody waits for.
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _name(function: Tick) -> str:
    return getattr(function, "__qualname__", repr(function))
