"""One or more native threads with a queue: `Thread`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, ParamSpec, TypeVar

from gevent import get_hub, monkey
from gevent.threadpool import ThreadPool

__all__ = ["Thread"]

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("greenbas.threads")
_native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")


class Thread:
    """Native threads with one first-in-first-out queue (BAS ``ba.thread.create``).

    Args:
        size: how many threads; with one, jobs run strictly one after the other, in the same thread.
        name: for logs.
    """

    def __init__(self, size: int = 1, *, name: str = "thread") -> None:
        self.name = name
        self._size = size
        self._pool: ThreadPool | None = None
        self._pending = 0
        self._running: dict[int, str] = {}  # native thread id -> what runs there

    def __repr__(self) -> str:
        return f"<Thread {self.name} {self._pending} pending, size {self._size}>"

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    def run(self, function: Callable[[], Any]) -> int:
        """Queue a function; its result is dropped, its error logged (BAS ``thr:run``).

        Returns:
            How many jobs are pending now, this one included: 1 when it starts at once.
        """
        self._pending += 1
        result = self._threads().spawn(_outcome, self, copy_context(), function, (), {})
        result.rawlink(self._done)
        return self._pending

    def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function there and wait for its result; only this greenlet waits.

        In a native thread already, it is called right away. Context variables are seen as here.

        Raises:
            Whatever the function raises.
        """
        if _native_ident() != get_hub().thread_ident or self._in_own_thread():
            return function(*args, **kwargs)
        self._pending += 1
        try:
            value, error = self._threads().apply(_outcome, (self, copy_context(), function, args, kwargs))
        finally:
            self._pending -= 1
        if error is not None:
            raise error
        result: R = value
        return result

    @property
    def size(self) -> int:
        """How many threads it may use."""
        return self._size

    def resize(self, size: int) -> None:
        """Use more threads; the number never falls."""
        self._size = max(self._size, size)
        if self._pool is not None:
            self._pool.maxsize = self._size

    def dbg(self) -> list[str]:
        """A stack dump of each job that runs now (BAS ``thr:dbg``)."""
        frames = sys._current_frames()
        return [
            f"{self.name}: {what}\n" + "".join(traceback.format_stack(frames[ident]))
            for ident, what in list(self._running.items())
            if ident in frames
        ]

    def close(self) -> None:
        """End the threads when their jobs are done."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.kill()

    def _in_own_thread(self) -> bool:
        return _native_ident() in self._running

    def _threads(self) -> ThreadPool:
        # Made on first use: a pool belongs to one hub, and a module may be imported before the hub's thread is known.
        if self._pool is None or self._pool.hub is not get_hub():
            self._pool = ThreadPool(self._size, hub=get_hub())
        return self._pool

    def _done(self, result: Any) -> None:
        self._pending -= 1
        error = result.value[1] if result.successful() else result.exception
        if error is not None:
            _log.error("a job of %s failed", self.name, exc_info=error)


def _outcome(
    owner: Thread, context: Context, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, BaseException | None]:
    # Errors travel as values: raised inside the pool, gevent would print them besides.
    ident = _native_ident()
    owner._running[ident] = getattr(function, "__qualname__", repr(function))
    try:
        return context.run(function, *args, **kwargs), None
    except BaseException as error:
        return None, error
    finally:
        owner._running.pop(ident, None)
