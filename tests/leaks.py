"""What a test must leave as it found it: greenlets, watchers of the hub, descriptors, native threads."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from gevent import get_hub, sleep
from greenlet import greenlet
from support import wait_until

sleep(0)  # makes the hub and starts it
# What exists already is no leak of a test. Without this every look at all objects would take a tenth of a second.
gc.collect()
gc.freeze()


@dataclass(frozen=True)
class Held:
    """What this process holds now."""

    greenlets: int  # those that have not ended
    watchers: int  # those that are active
    descriptors: int

    def within(self, limit: Held) -> bool:
        """Whether nothing is more than there."""
        return all(mine <= theirs for mine, theirs in zip(astuple(self), astuple(limit), strict=True))


def held() -> Held:
    """Count; garbage is collected before."""
    gc.collect()
    found = [item for item in gc.get_objects() if isinstance(item, greenlet) and not item.dead]
    # A native thread is a greenlet without a parent, and has one for its work.
    ours = sum(item.parent is not None and type(item).__name__ != "_WorkerGreenlet" for item in found)
    return Held(ours, get_hub().loop.activecnt, len(os.listdir("/proc/self/fd")))


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """The block must leave no greenlet, active watcher or descriptor behind; what ends by itself has a few seconds."""
    before = held()
    yield
    try:
        wait_until(lambda: held().within(before))
    except BaseException as error:
        error.add_note(f"before: {before}, now: {held()}")
        raise


def native_threads() -> set[int]:
    """The threads of the operating system in this process, by the kernel's number."""
    return {int(name) for name in os.listdir("/proc/self/task")}
