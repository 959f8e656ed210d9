"""`Pipe`: what bytes go through on their way from one socket to another inside the kernel."""

from __future__ import annotations

import fcntl
import os

from greenbas.dispatcher import close_fd

__all__ = ["Pipe"]

# The kernel gives a user who is not root 64 MiB in all pipes before it makes new ones tiny. A large one moves a body in
# fewer turns; when there are many, smaller ones do.
LARGE, SMALL = 1024 * 1024, 256 * 1024  # bytes
LARGE_ONES = 32


class Pipe:
    """An open pipe, which waits for nothing; a context manager.

    Attributes:
        outlet: the descriptor to read from; inlet: the one to write to.
        size: bytes that are worth moving at a time.

    Raises:
        OSError: no descriptors are left.
    """

    __slots__ = ("inlet", "outlet", "size")

    opened = 0  # pipes, at this moment

    def __init__(self) -> None:
        self.outlet, self.inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.size = LARGE if Pipe.opened < LARGE_ONES else SMALL
        Pipe.opened += 1
        try:
            fcntl.fcntl(self.inlet, fcntl.F_SETPIPE_SZ, self.size)
        except OSError:
            pass  # this user has many pipes already: 64 KiB do as well

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *error: object) -> None:
        Pipe.opened -= 1
        close_fd(self.outlet)
        close_fd(self.inlet)
