"""Native threads, for code that cannot cooperate: C drivers, long computations, slow disks.

Each purpose has a pool of its own, never the hub's: that one has ten threads and the resolver shares it, so twenty slow
jobs there would stop every name look-up.

What runs here should be a leaf: compute or call the driver, return the result. Sockets, locks and queues of patched
modules belong to the hub's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from greenbas.dispatcher.native import Thread
from greenbas.dispatcher.proxy import proxy
from greenbas.errors import SettingError

__all__ = ["DEFAULT_THREADS", "MAX_THREADS", "Thread", "configure", "create", "dbg", "offload", "proxy", "run"]

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_THREADS = 4  # for run() and offload(); such code mostly waits for a database or disk, not for the processor
MAX_THREADS = 19  # BAS allows fewer than 20; more threads than that only queue for the interpreter lock

_library = Thread(DEFAULT_THREADS, name="library")


def run(function: Callable[[], Any]) -> int:
    """Queue a function for the next free library thread; returns the pending jobs (BAS ``ba.thread.run``)."""
    return _library.run(function)


def offload(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a library thread and wait for its result; only the calling greenlet waits.

    Raises:
        Whatever the function raises.
    """
    return _library.offload(function, *args, **kwargs)


def configure(count: int | None = None) -> int:
    """Get or raise the number of library threads (BAS ``ba.thread.configure``).

    Args:
        count: 1 to `MAX_THREADS`; a smaller one than now changes nothing.

    Returns:
        The number in force.

    Raises:
        SettingError: `count` is out of range.
    """
    if count is not None:
        if not 1 <= count <= MAX_THREADS:
            raise SettingError(f"threads: {count} is out of range, use 1 to {MAX_THREADS}")
        _library.resize(count)
    return _library.size


def create(*, name: str = "thread") -> Thread:
    """A thread of its own with its own queue, for objects that must stay in one thread (BAS ``ba.thread.create``)."""
    return Thread(1, name=name)


def dbg() -> list[str]:
    """A stack dump of each job in the library threads (BAS ``ba.thread.dbg``)."""
    return _library.dbg()
