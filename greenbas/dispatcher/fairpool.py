"""`FairPool`: native threads for heavy work that others ask for, shared out fairly among those who ask."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import ParamSpec, TypeVar

from gevent.event import Event

from greenbas.dispatcher.native import Thread
from greenbas.errors import Overloaded

__all__ = ["FairPool"]

P = ParamSpec("P")
R = TypeVar("R")


class FairPool:
    """Native threads with a queue for each who asks; the queues take turns.

    Whoever asks a thousand times a second waits behind himself, and others wait behind one of his jobs at most.

    Args:
        size: how many threads.
        waiting: how many jobs of one asker may wait.
        total: how many may wait in all.
        name: for logs.
    """

    def __init__(self, size: int, *, waiting: int, total: int, name: str) -> None:
        self._thread = Thread(size, name=name)
        self._free = size
        self._waiting = waiting
        self._total = total
        self._queues: OrderedDict[Hashable, deque[Event]] = OrderedDict()  # in the order of their turns
        self._running: set[Hashable] = set()

    def __repr__(self) -> str:
        return f"<FairPool {self._thread.name} {len(self._running)} running, {self._length()} waiting>"

    def offload(self, asker: Hashable, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in a thread and wait for its result; only this greenlet waits.

        One job of an asker runs at a time.

        Args:
            asker: who wants it.
            function: what to call. A leaf: it must not log, nor use locks that anybody else uses.

        Raises:
            Overloaded: too many wait already.
            Whatever the function raises.
        """
        self._take_turn(asker)
        try:
            return self._thread.offload(function, *args, **kwargs)
        finally:
            self._end_turn(asker)

    def _take_turn(self, asker: Hashable) -> None:
        if self._free and asker not in self._running and asker not in self._queues:
            self._begin(asker)
            return
        queue = self._queues.get(asker)
        if (queue is not None and len(queue) >= self._waiting) or self._length() >= self._total:
            raise Overloaded(f"{self._length()} jobs wait for {self._thread.name} already")
        if queue is None:
            queue = self._queues[asker] = deque()
        turn = Event()
        queue.append(turn)
        try:
            turn.wait()
        except BaseException:  # killed while it waited
            if turn.is_set():
                self._end_turn(asker)
            else:
                self._leave(asker, turn)
            raise

    def _begin(self, asker: Hashable) -> None:
        self._free -= 1
        self._running.add(asker)

    def _end_turn(self, asker: Hashable) -> None:
        self._free += 1
        self._running.discard(asker)
        self._wake()

    def _wake(self) -> None:
        # Whoever's turn it is runs from here on, before he knows.
        for asker, queue in list(self._queues.items()):
            if not self._free:
                return
            if asker not in self._running:
                turn = queue.popleft()
                if queue:
                    self._queues.move_to_end(asker)
                else:
                    del self._queues[asker]
                self._begin(asker)
                turn.set()

    def _leave(self, asker: Hashable, turn: Event) -> None:
        queue = self._queues[asker]
        queue.remove(turn)
        if not queue:
            del self._queues[asker]

    def _length(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
