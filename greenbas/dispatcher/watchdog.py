"""The hub watchdog: notices when one greenlet keeps everything else waiting, and shows where."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from gevent import monkey
from gevent.hub import Hub
from greenlet import greenlet

from greenbas.dispatcher.greenlets import greenlet_name

__all__ = ["BLOCKED_AFTER", "HubWatchdog"]

BLOCKED_AFTER = 0.25  # seconds; people notice delays from about 0.1 s, and a garbage collection may take some of that
_DESPERATE_AFTER = 20  # limits; when the hub is stuck that long, the report cannot wait until the hub can log it
_OUTERMOST = 4  # calls that may be the own ones of the greenlet; a frame that is asked for its names keeps their values
_LOOKS = 4  # looks per limit, so that a block is seen between 1 and 1.25 limits

_log = logging.getLogger("greenbas.dispatcher")
_start_native_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
_native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")
_native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")


class HubWatchdog:
    """Watches one hub from a native thread.

    A timer in the hub notes the time; the thread looks whether the note is old. A greenlet that holds the hub longer
    than the limit is logged once, with its name, its stack and how long it took, and counted.

    Args:
        hub: the hub to watch; make the watchdog in its thread.
        limit: seconds that one greenlet may keep the hub.
    """

    def __init__(self, hub: Hub, *, limit: float = BLOCKED_AFTER) -> None:
        self._hub = hub
        self._limit = limit
        self._thread = _native_ident()
        self._beat = time.monotonic()
        self._timer: Any = None
        self._generation = 0
        # The beat before the block that is going on, and who and where; until the hub is free again.
        self._report: tuple[float, str] | None = None
        self.blocked = 0  # how often the hub was blocked
        self.blocked_seconds = 0.0

    def start(self) -> None:
        """Begin to watch; does nothing when it is running."""
        if self._timer is not None:
            return
        self._beat = time.monotonic()
        self._timer = self._hub.loop.timer(0.0, self._limit / _LOOKS, ref=False)
        self._timer.start(self._note)
        self._generation += 1
        _start_native_thread(self._watch, (self._generation,))

    def stop(self) -> None:
        """Stop watching; the thread ends within the limit."""
        timer, self._timer = self._timer, None
        self._generation += 1
        if timer is not None:
            timer.stop()
            timer.close()

    def _note(self) -> None:
        now = time.monotonic()
        if self._report is not None:
            (since, report), self._report = self._report, None
            seconds = now - since
            self.blocked_seconds += seconds
            # Logged here and not in the thread: log handlers belong to the hub's thread.
            _log.warning("the hub was blocked for %.2f s by %s", seconds, report)
        self._beat = now

    def _watch(self, generation: int) -> None:
        desperate = False
        while generation == self._generation:
            _native_sleep(self._limit / _LOOKS)
            since, report = self._beat, self._report
            held = time.monotonic() - since
            if held <= self._limit:
                desperate = False
            elif report is None:
                described = self._describe()
                if since == self._beat and generation == self._generation:  # else the hub got free meanwhile
                    self._report = since, described
                    self.blocked += 1
            elif held > self._limit * _DESPERATE_AFTER and not desperate:
                desperate = True
                os.write(2, f"greenbas: the hub has been blocked for {held:.0f} s by {report[1]}\n".encode())

    def _describe(self) -> str:
        # Frames keep alive all that they know, such as an application that is being unloaded: they are let go before
        # sources are read for the report.
        name, calls = self._look()
        return f"{name}:\n{''.join(traceback.StackSummary.from_list(calls).format())}"

    def _look(self) -> tuple[str, list[traceback.FrameSummary]]:
        # Who holds the hub, and in which calls, the outermost first; their lines are not looked up.
        frame = sys._current_frames().get(self._thread)
        if frame is None:
            return "a thread that has ended", []
        stack = list(traceback.walk_stack(frame))[::-1]
        name = self._name_of([frame for frame, _ in stack[:_OUTERMOST]])
        return name, [
            traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name, lookup_line=False)
            for frame, line in stack
        ]

    def _name_of(self, outermost: list[FrameType]) -> str:
        # The outermost frames of a worker or spawned greenlet are methods of the greenlet itself.
        for frame in outermost:
            owner = frame.f_locals.get("self")
            if issubclass(type(owner), greenlet):  # isinstance() would ask a lazy object, here in the wrong thread
                return greenlet_name(owner)
        # A greenlet keeps its frame while others run: the one without a frame is running.
        main = self._hub.parent
        return "main" if main is not None and main.gr_frame is None else "a greenlet"
