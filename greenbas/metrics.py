"""`Metrics`: how much a server does, how fast, and where, for status pages and exporters.

A server that has none installed pays nothing. One that has pays about a microsecond a request, and four looks at the
clock a second. The memory is bounded: so many rows, whatever the number of directories.
"""

from __future__ import annotations

import os
import resource
import time
import weakref
from bisect import bisect_left
from collections import deque
from typing import Any

from greenbas.http import HttpService, Request, Response, State
from greenbas.server import Server
from greenbas.vfs import Directory

__all__ = ["Metrics"]

MAX_ROWS = 200  # directories counted one by one; more than a person reads, and half a megabyte at most
MAX_TEXT = 200  # characters of a path or description; names of directories may come from outside
# Latencies in seconds: eight steps a decade from 10 µs, where the quickest handlers are, to a minute. A percentile is
# off by a sixth at most.
BOUNDS = (*(1e-5 * 10 ** (step / 8) for step in range(8 * 7 - 1)), 60.0)
TICK = 0.25  # seconds between looks at how late the hub is
TICKS_A_SECOND = 4
MINUTE, RECENT = 60, 10  # seconds that rates are told for
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")

Key = tuple[str | None, str]
NOBODY: Key = (None, "nobody")  # 404, and what ended before a directory could answer
OTHERS: Key = (None, "others")  # all directories beyond MAX_ROWS


class Metrics:
    """Counts requests and their latency by directory, and samples how late the hub is.

    Args:
        server: the server; not changed before `install`.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._service: HttpService | None = None
        self._inner: Any = None  # what answered before
        self._answer: Any = None  # what answers now: the same, timed
        self._rows: dict[Key, _Row] = {}
        # By id, which is the quickest to find; the reference shows whether it is still the same directory.
        self._known: dict[int, tuple[weakref.ref[Directory], _Row]] = {}
        self._started = time.monotonic()
        self._started_at = time.time()
        self._clock = _Clock(self._started, 0)

    def __repr__(self) -> str:
        state = "installed" if self._service is not None else "not installed"
        return f"<Metrics {state}, {len(self._rows)} rows>"

    def install(self) -> None:
        """Begin to count; does nothing when it has begun.

        Raises:
            IncorrectUse: the server has not started.
        """
        if self._service is not None:
            return
        self._service = service = self.server.service
        self._started, self._started_at = time.monotonic(), time.time()
        self._clock = _Clock(self._started, service.counters.requests)
        self._inner = service.answer
        self._answer = service.answer = self._timed(service.answer)
        timer: Any = service.hub.loop.timer(TICK, TICK, ref=False)
        self._clock.start(timer, self._tick)

    def remove(self) -> None:
        """Stop counting, and put back what answered before; what has been counted stays."""
        service, self._service = self._service, None
        if service is None:
            return
        # Somebody may have put another one around ours: then it stays, and only passes on.
        if service.answer is self._answer:
            service.answer = self._inner
        self._inner = self._answer = None
        self._clock.stop()

    def snapshot(self) -> dict[str, Any]:
        """Everything that is known now, ready for JSON.

        Times are in seconds, those of latencies in milliseconds, sizes in bytes. ``None`` stands for what the system
        does not tell. A look at 15,000 connections takes two milliseconds, so ask each second at most.

        Returns:
            A dict with the keys uptime, started, pid, listeners, connections, workers, queue, requests, refused, tls,
            hub, failures, memory, descriptors, directories: a list of rows, the busiest first, and backends: the rows
            of `Directory.report`.

        Raises:
            IncorrectUse: the server has not started.
        """
        now = time.monotonic()
        service, table, workers = self.server.service, self.server.service.table, self.server.service.workers
        rows = [(*key, row) for key, row in self._rows.items() if row.requests]
        return {
            "uptime": round(now - self._started, 3),
            "started": round(self._started_at, 3),
            "pid": os.getpid(),
            "listeners": [f"{listener.url_host}:{listener.port}" for listener in self.server.listeners],
            "connections": {
                "total": service.counters.connections,
                "open": len(table),
                "idle": table.count(State.IDLE),
                "limit": table.limit,
                "evicted": table.evicted,
                "timed_out": table.timed_out,
            },
            "workers": {"active": workers.active, "idle": workers.idle, "limit": workers.limit},
            "queue": {"length": workers.queued, "limit": workers.queue_length},
            "requests": self._requests(now),
            "refused": service.counters.refused,
            "tls": {
                "handshakes": service.counters.handshakes,
                "failed": dict(service.counters.handshakes_failed),
            },
            "hub": self._hub(),
            "failures": self.server.site.failures,
            "memory": {"rss": _resident()},
            "descriptors": {"open": _descriptors(), "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0]},
            "directories": [
                {"path": path, "kind": kind, **row.snapshot(self._clock, now)}
                for path, kind, row in sorted(rows, key=lambda found: -found[2].requests)
            ],
            "backends": [
                {"path": directory.base_uri(), **row}
                for directory in self.server.root.walk()
                for row in directory.report()
            ],
        }

    def _requests(self, now: float) -> dict[str, Any]:
        total = self.server.service.counters.requests
        rows = list(self._rows.values())
        return {
            "total": total,
            "errors": sum(row.errors for row in rows),
            "per_second": self._clock.rate(total, now, RECENT),
            "per_second_minute": self._clock.rate(total, now, MINUTE),
            "statuses": {name: sum(row.statuses[i] for row in rows) for i, name in enumerate(_CLASSES)},
        }

    def _hub(self) -> dict[str, Any]:
        watchdog = self.server.watchdog
        return {
            "lag": round(self._clock.lag, 6),
            "lag_max": round(self._clock.worst_lag(), 6),
            "blocked": watchdog.blocked if watchdog is not None else 0,
            "blocked_seconds": round(watchdog.blocked_seconds, 3) if watchdog is not None else 0.0,
        }

    def _timed(self, inner: Any) -> Any:
        # The path of every request: local names, and nothing that grows.
        clock = time.monotonic
        known = self._known

        def answer(request: Request, response: Response) -> None:
            if self._service is None:
                inner(request, response)
                return
            started = clock()
            status = 0
            try:
                inner(request, response)
                if response.broken is None:
                    status = response.get_status() // 100
            finally:
                seconds = clock() - started
                running = request.running
                found = known.get(id(running))
                row = found[1] if found is not None and found[0]() is running else self._row_of(running)
                row.requests += 1
                row.statuses[status if status < 6 else 5] += 1
                row.buckets[bisect_left(BOUNDS, seconds)] += 1
                if seconds > row.longest:
                    row.longest = seconds
                if request.method != "HEAD":
                    row.bytes += response.byte_count()

        return answer

    def _row_of(self, running: object) -> _Row:
        if not isinstance(running, Directory):
            return self._row(NOBODY)
        row = self._row(_key_of(running))
        self._known[id(running)] = weakref.ref(running), row
        return row

    def _row(self, key: Key) -> _Row:
        if key not in self._rows and len(self._rows) >= MAX_ROWS and key != NOBODY:
            key = OTHERS
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row()
        return row

    def _tick(self) -> None:
        service = self._service
        if service is None or service.draining:
            self._clock.stop()  # nobody has to remove what a server that is gone has installed
            return
        if self._clock.tick(time.monotonic(), service.counters.requests):
            for row in self._rows.values():
                row.history.append(row.requests)
            self._sweep()

    def _sweep(self) -> None:
        # Once a second. What has moved to another path is looked up again, and what is gone is forgotten.
        in_use = set()
        for number, (reference, row) in list(self._known.items()):
            directory = reference()
            if directory is None or len(self._known) > 2 * MAX_ROWS or self._rows.get(_key_of(directory)) is not row:
                del self._known[number]
            else:
                in_use.add(id(row))
        if len(self._rows) >= MAX_ROWS:
            # Room for new directories: the rows of those that are gone, once they are quiet.
            for key, row in list(self._rows.items()):
                if key[0] is not None and id(row) not in in_use and row.history[0] == row.requests:
                    self._row(OTHERS).absorb(self._rows.pop(key))


class _Row:
    """What one directory has done."""

    __slots__ = ("buckets", "bytes", "history", "longest", "requests", "statuses")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0  # of bodies
        self.longest = 0.0  # seconds
        self.statuses = [0] * 6  # by the first digit; 0 for no answer
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.history: deque[int] = deque([0] * RECENT, RECENT)  # requests at each of the last seconds

    @property
    def errors(self) -> int:
        """Statuses of 500 and above, and answers that were broken off or never came."""
        return self.statuses[0] + self.statuses[5]

    def absorb(self, other: _Row) -> None:
        """Add what another row has counted."""
        self.requests += other.requests
        self.bytes += other.bytes
        self.longest = max(self.longest, other.longest)
        self.statuses = [mine + theirs for mine, theirs in zip(self.statuses, other.statuses, strict=True)]
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.history = deque((m + t for m, t in zip(self.history, other.history, strict=True)), RECENT)

    def percentile(self, share: float) -> float:
        """The seconds within which this share of the requests was answered, by interpolation in a step."""
        wanted = share * self.requests
        before = 0
        for index, count in enumerate(self.buckets):
            if count and before + count >= wanted:
                low = BOUNDS[index - 1] if index else 0.0
                high = min(BOUNDS[index], self.longest) if index < len(BOUNDS) else self.longest
                return low + (high - low) * (wanted - before) / count
            before += count
        return self.longest

    def snapshot(self, clock: _Clock, now: float) -> dict[str, Any]:
        """The row as a reader sees it."""
        return {
            "requests": self.requests,
            "per_second": clock.rate_since(self.requests - self.history[0], now, RECENT),
            "errors": self.errors,
            "statuses": dict(zip(_CLASSES, self.statuses, strict=True)),
            "p50": round(self.percentile(0.5) * 1000, 3),
            "p95": round(self.percentile(0.95) * 1000, 3),
            "p99": round(self.percentile(0.99) * 1000, 3),
            "max": round(self.longest * 1000, 3),
            "bytes": self.bytes,
        }


class _Clock:
    """Notes how late the hub calls it, and how many requests there were at each second."""

    def __init__(self, started: float, requests: int) -> None:
        self._timer: Any = None
        self._due = started + TICK
        self._ticks = 0
        self._seconds: deque[tuple[float, int]] = deque([(started, requests)], MINUTE)
        self._lags: deque[float] = deque([0.0], MINUTE * TICKS_A_SECOND)

    @property
    def lag(self) -> float:
        """How many seconds late the last tick was."""
        return self._lags[-1]

    def worst_lag(self) -> float:
        """The same, the most of the last minute."""
        return max(self._lags)

    def start(self, timer: Any, tick: Any) -> None:
        """Begin to tick."""
        self._timer = timer
        self._due = time.monotonic() + TICK
        timer.start(tick)

    def stop(self) -> None:
        """Tick no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def tick(self, now: float, requests: int) -> bool:
        """Note that it is `now`; returns whether another second is over."""
        self._lags.append(max(0.0, now - self._due))
        # As libev does it: on time in the next round, however late this one was.
        self._due = max(self._due + TICK, now)
        self._ticks += 1
        if self._ticks % TICKS_A_SECOND:
            return False
        self._seconds.append((now, requests))
        return True

    def rate(self, requests: int, now: float, seconds: int) -> float:
        """Requests a second, from how many there are `now` in all, over the last `seconds` or since the start."""
        return self.rate_since(requests - self._seconds[-min(seconds, len(self._seconds))][1], now, seconds)

    def rate_since(self, requests: int, now: float, seconds: int) -> float:
        """Requests a second, from how many there were in that time."""
        # A server that is younger than a second has not had one request in a microsecond.
        elapsed = max(1.0, now - self._seconds[-min(seconds, len(self._seconds))][0])
        return round(requests / elapsed, 3)


def _key_of(directory: Directory) -> Key:
    function = directory.function
    kind = type(directory).__name__
    if function is not None:
        # Several unnamed directories may share a path: their functions tell them apart.
        name = str(getattr(function, "__qualname__", type(function).__name__)).rpartition("<locals>.")[2]
        kind = f"{name}()" if kind == "Directory" else f"{kind} {name}()"
    return directory.base_uri()[:MAX_TEXT], kind[:MAX_TEXT]


def _resident() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_SIZE
    except (OSError, ValueError, IndexError):
        return None


def _descriptors() -> int | None:
    # The size of the folder is their number since Linux 6.2, and 0 before; to list thousands takes milliseconds.
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
