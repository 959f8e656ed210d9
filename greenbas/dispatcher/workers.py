"""Worker greenlets: they run handlers, at most so many at a time, with a bounded queue behind them.

A worker is a bare greenlet that the hub switches into directly. It goes back on a stack when its job is done, so that a
small response costs two switches and no new greenlet.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent.hub import Hub
from greenlet import GreenletExit, getcurrent, greenlet

from greenbas.errors import Overloaded

__all__ = ["IDLE_WORKERS", "MAX_WORKERS", "QUEUE_LENGTH", "Workers"]

MAX_WORKERS = 1000  # handlers running at once; a blocked one costs 10 to 20 KiB, so this is 20 MiB at most
QUEUE_LENGTH = 1000  # jobs waiting for a worker; with handlers of 50 ms the last one waits 50 ms more, not seconds
IDLE_WORKERS = 128  # workers kept for the next burst; about 1 MiB

Job = Callable[[], None]
_log = logging.getLogger("greenbas.dispatcher")


class Worker(greenlet):
    """One worker; `job` is what it runs, None while it waits on the stack."""

    __slots__ = ("counted", "job", "number", "pool")

    def __init__(self, pool: Workers, number: int) -> None:
        super().__init__(self._work, pool.hub)
        self.pool = pool
        self.number = number
        self.job: Job | None = None
        self.counted = True

    @property
    def name(self) -> str:
        """For logs and stack dumps."""
        owner = getattr(self.job, "__self__", None)
        if owner is None:
            return f"worker-{self.number}"
        try:
            return f"worker-{self.number} {owner!r}"
        except Exception:  # a log line or a dump is being made: it must not fail
            return f"worker-{self.number} {type(owner).__name__}"

    def _work(self) -> None:
        pool = self.pool
        try:
            while self.job is not None:
                try:
                    self.job()
                except GreenletExit:
                    return
                except KeyboardInterrupt:
                    raise  # through the hub to the main greenlet: Ctrl-C must end a program whatever runs at the moment
                except BaseException:
                    _log.exception("%s failed outside of its handler", self.name)
                self.job = None
                pool.wait_for_job(self)
        finally:
            pool.forget(self)


class Workers:
    """The pool of workers of one hub.

    Args:
        hub: the hub they belong to.
        limit: how many jobs run at once.
        queue_length: how many wait beyond that.
    """

    def __init__(self, hub: Hub, *, limit: int = MAX_WORKERS, queue_length: int = QUEUE_LENGTH) -> None:
        self.hub = hub
        self.limit = limit
        self.queue_length = queue_length
        self.active = 0
        self._idle: list[Worker] = []
        self._queue: deque[Job] = deque()
        self._all: set[Worker] = set()
        self._made = 0
        self._wait = hub.switch

    def __repr__(self) -> str:
        return f"<Workers {self.active} active of {self.limit}, {len(self._queue)} queued, {len(self._idle)} idle>"

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return len(self._queue)

    @property
    def idle(self) -> int:
        """Workers that wait for a job."""
        return len(self._idle)

    @property
    def busy(self) -> list[Worker]:
        """The workers that run a job now, waiting writers included."""
        return [worker for worker in self._all if worker.job is not None]

    def run(self, job: Job) -> None:
        """Run a job in a worker; called in the hub. Returns when the job blocks or ends, or at once when it is queued.

        Raises:
            Overloaded: `limit` jobs run and `queue_length` wait.
        """
        if self.active >= self.limit:
            if len(self._queue) >= self.queue_length:
                raise Overloaded(f"{self.limit} requests run and {self.queue_length} wait")
            self._queue.append(job)
            return
        self.active += 1
        worker = self._idle.pop() if self._idle else self._make()
        worker.job = job
        worker.switch()

    def release_slot(self) -> None:
        """The current worker's handler is done and only bytes are left to move: stop counting it against the limit.

        So a thousand slow readers do not keep handlers from running.
        """
        worker = getcurrent()
        if isinstance(worker, Worker) and worker.counted:
            worker.counted = False
            self.active -= 1
            self._start_queued()

    def take_slot(self) -> None:
        """Count the current worker again, before it runs the next handler; it may exceed the limit by itself."""
        worker = getcurrent()
        if isinstance(worker, Worker) and not worker.counted:
            worker.counted = True
            self.active += 1

    def kill_all(self) -> list[str]:
        """End every busy worker with GreenletExit and drop the queue; returns the names of the killed."""
        self._queue.clear()
        killed = [worker for worker in self.busy if worker is not getcurrent()]
        names = [worker.name for worker in killed]
        for worker in killed:
            self.hub.loop.run_callback(_kill, worker)
        return names

    def close(self) -> None:
        """End the idle workers: a greenlet that waits is never collected, and would keep the pool alive."""
        idle, self._idle = self._idle, []
        for worker in idle:
            self.hub.loop.run_callback(worker.switch)

    # For workers.

    def wait_for_job(self, worker: Worker) -> None:
        """Called by a worker that has done its job; returns when it has another one, or none, which means to end."""
        if worker.counted:
            self.active -= 1
        else:
            worker.counted = True
        if self._queue and self.active < self.limit:
            self.active += 1
            worker.job = self._queue.popleft()
            # Through the hub, so that a long queue of quick jobs does not keep the sockets waiting.
            self.hub.loop.run_callback(worker.switch)
        elif len(self._idle) >= IDLE_WORKERS:
            return
        else:
            self._idle.append(worker)
        self._wait()

    def forget(self, worker: Worker) -> None:
        """Called by a worker that ends."""
        self._all.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.job is not None:
            worker.job = None
            if worker.counted:
                self.active -= 1
        self._start_queued()

    def _make(self) -> Worker:
        self._made += 1
        worker = Worker(self, self._made)
        self._all.add(worker)
        return worker

    def _start_queued(self) -> None:
        if self._queue and self.active < self.limit:
            # The slot is taken now: a job that arrives before the callback would overtake the queue.
            self.active += 1
            worker = self._idle.pop() if self._idle else self._make()
            worker.job = self._queue.popleft()
            self.hub.loop.run_callback(worker.switch)


def _kill(worker: Any) -> None:
    if not worker.dead and worker.job is not None:
        worker.throw(GreenletExit)
