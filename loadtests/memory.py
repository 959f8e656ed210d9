"""The memory of a server that has several processes: what they have to themselves, without files and shared parts."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType

__all__ = ["Peak", "processes", "resident", "settled"]

POLL_SECONDS = 0.02
SETTLE_POLL_SECONDS = 0.1
SETTLE_SECONDS = 10.0
STILL_KIB = 64  # less change than this over three polls is settled


def processes(group: int) -> list[Path]:
    """The folders of /proc of a process group: a server may be a master and its workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            # After the name, which may hold anything: state, parent, group.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                found.append(folder)
    return found


def resident(folders: list[Path]) -> int:
    """KiB that these processes have to themselves in memory: pages of no file."""
    total = 0
    for folder in folders:
        with contextlib.suppress(OSError):
            rows = (folder / "status").read_text().splitlines()
            total += sum(int(row.split()[1]) for row in rows if row.startswith("RssAnon:"))
    return total


def settled(group: int) -> int:
    """The same of a group, in KiB, once it changes no more; after ten seconds as it is then."""
    folders, seen = processes(group), []
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        seen.append(resident(folders))
        if len(seen) > 3 and max(seen[-4:]) - min(seen[-4:]) < STILL_KIB:
            break
        time.sleep(SETTLE_POLL_SECONDS)
    return seen[-1]


class Peak:
    """The most that a group had while the context lasted."""

    def __init__(self, group: int) -> None:
        self._folders = processes(group)
        self._start = self._most = resident(self._folders)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def grown(self) -> float:
        """MiB between the start and the peak."""
        return (self._most - self._start) / 1024

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        self._most = max(self._most, resident(self._folders))
