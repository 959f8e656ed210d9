"""Which core serves and which core asks.

On one core the two would take turns, and a ratio of two servers would mostly show how the scheduler divides time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """The core of the server and that of the client; None where there is nothing to choose."""

    server: int | None
    client: int | None

    @classmethod
    def pick(cls) -> Cores:
        """The first two cores this process may use, or none with fewer than two or without taskset."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2 or shutil.which("taskset") is None:
            return cls(None, None)
        return cls(usable[0], usable[1])

    def __str__(self) -> str:
        if self.server is None:
            return "not pinned (fewer than two cores, or no taskset): ratios are less trustworthy"
        return f"server on core {self.server}, client on core {self.client}"


def pinned(core: int | None, command: Sequence[str]) -> list[str]:
    """`command` on one core, and ended by the kernel when the harness is.

    Both helpers replace themselves by the command, so that the process keeps its id. The death signal is for the one
    case no `finally` sees, a harness that was killed with SIGKILL.
    """
    prefix: list[str] = []
    if shutil.which("setpriv") is not None:
        prefix += ["setpriv", "--pdeathsig", "TERM", "--"]
    if core is not None:
        prefix += ["taskset", "-c", str(core)]
    return [*prefix, *command]
