"""One or more native threads with a queue: `Thread`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from gevent import get_hub, monkey
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub, Waiter
from gevent.threadpool import ThreadPool

__all__ = ["Thread"]

P = ParamSpec("P")
R = TypeVar("R")
Outcome = tuple[Any, BaseException | None]

_log = logging.getLogger("greenbas.threads")
_native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")
# Native threads that run a job now -> the hub that it came from. For all queues: a job of one may use another.
_hubs: dict[int, Hub] = {}


class Thread:
    """Native threads with one first-in-first-out queue (BAS ``ba.thread.create``).

    The threads begin with the first job and end when the object is closed or nobody refers to it.

    Args:
        size: how many threads; with one, jobs run strictly one after the other, in the same thread.
        name: for logs.
    """

    def __init__(self, size: int = 1, *, name: str = "thread") -> None:
        self.name = name
        self._size = size
        self._pool: ThreadPool | None = None
        self._pending = 0
        self._begun = 0
        # A queue of our own, because the pool's spawn() suspends its caller while all threads are busy.
        self._queue: deque[_Job] = deque()
        self._closing = False
        self._running: dict[int, str] = {}  # native thread id -> what runs there

    def __repr__(self) -> str:
        return f"<Thread {self.name} {self._pending} pending, size {self._size}>"

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool is not None:
            try:
                # The last reference may go in any thread.
                pool.hub.loop.run_callback_threadsafe(pool.kill)
            except Exception:
                return  # the hub or the process has ended, and its threads with it

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    def run(self, function: Callable[[], Any]) -> int:
        """Queue a function and go on; its result is dropped, its error logged (BAS ``thr:run``).

        Returns:
            How many jobs are pending now, this one included: 1 when it starts at once.
        """
        job = _Job(self._log_error, function, (), {})
        hub = self._foreign_hub()
        if hub is None:
            self._submit(job)
            return self._pending
        hub.loop.run_callback_threadsafe(self._submit, job)
        return self._pending + 1

    def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function there and wait for its result; only this greenlet waits.

        In a native thread already, it is called right away. Context variables are seen as here.

        Raises:
            Whatever the function raises.
        """
        if self._foreign_hub() is not None:
            return function(*args, **kwargs)
        waiter = Waiter()
        job = _Job(waiter.switch, function, args, kwargs)
        self._submit(job)
        try:
            value, error = waiter.get()
        except BaseException:  # killed while it waited
            self._forget(job)
            raise
        if error is not None:
            try:
                raise error
            finally:
                del error  # a cycle with its own traceback
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
            self._begin_queued()

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
        if self._pending:
            self._closing = True
        else:
            self._end()

    def _foreign_hub(self) -> Hub | None:
        # In a native thread that cannot wait: the hub that has to do it. None in the thread of a hub.
        hub = _hubs.get(_native_ident())
        if hub is None and self._pool is not None and get_hub_if_exists() is None:
            hub = self._pool.hub
        return hub

    # In the hub's thread.

    def _submit(self, job: _Job) -> None:
        self._pending += 1
        self._queue.append(job)
        self._begin_queued()

    def _begin_queued(self) -> None:
        while self._queue and self._begun < self._size:
            job = self._queue.popleft()
            self._begun += 1
            pool = self._threads()
            try:
                pool.spawn(_outcome, self, job, pool.hub).rawlink(job.linked(self._finished))
            except Exception as error:  # no thread could be started
                pool.hub.loop.run_callback(self._finish, job, (None, error))

    def _finished(self, job: _Job, result: Any) -> None:
        self._finish(job, result.value if result.successful() else (None, result.exception))

    def _finish(self, job: _Job, outcome: Outcome) -> None:
        self._begun -= 1
        self._pending -= 1
        self._begin_queued()
        if self._closing and not self._pending:
            self._end()
        job.deliver(outcome)

    def _forget(self, job: _Job) -> None:
        if job in self._queue:
            self._queue.remove(job)
            self._pending -= 1

    def _threads(self) -> ThreadPool:
        # Made on first use: a pool belongs to one hub, and a module may be imported before the hub's thread is known.
        if self._pool is None or self._pool.hub is not get_hub():
            self._pool = ThreadPool(self._size, hub=get_hub())
        return self._pool

    def _end(self) -> None:
        self._closing = False
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.kill()

    def _log_error(self, outcome: Outcome) -> None:
        if outcome[1] is not None:
            _log.error("a job of %s failed", self.name, exc_info=outcome[1])


class _Job:
    """A call that waits or runs, and what to do with its outcome."""

    __slots__ = ("args", "context", "deliver", "function", "kwargs")

    def __init__(
        self,
        deliver: Callable[[Outcome], object],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.deliver = deliver
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = copy_context()

    def linked(self, finished: Callable[[_Job, Any], None]) -> Callable[[Any], None]:
        return lambda result: finished(self, result)


def _outcome(owner: Thread, job: _Job, hub: Hub) -> Outcome:
    # Errors travel as values: raised inside the pool, gevent would print them besides.
    ident = _native_ident()
    owner._running[ident] = getattr(job.function, "__qualname__", repr(job.function))
    _hubs[ident] = hub
    try:
        return job.context.run(job.function, *job.args, **job.kwargs), None
    except BaseException as error:
        return None, error
    finally:
        del _hubs[ident]
        owner._running.pop(ident, None)
