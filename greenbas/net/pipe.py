"""Named pipes as sockets."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from typing import Any, cast

from gevent import get_hub

from greenbas.dispatcher import close_fd
from greenbas.errors import CannotConnect, Exists, IncorrectUse, NoAccess, NotFound
from greenbas.net.socket import Socket
from greenbas.net.stream import Buffer, Stream

__all__ = ["mkfifo", "open"]

FIFO_MODE = 0o700  # BAS's default: nobody but the owner


def mkfifo(path: str, mode: int = FIFO_MODE) -> None:
    """Make a named pipe (BAS ``ba.pipe.mkfifo``).

    Args:
        path: where.
        mode: its permissions, before the umask.

    Raises:
        Exists, NotFound, NoAccess: name the path.
        OSError: the file system cannot do it.
    """
    try:
        os.mkfifo(path, mode)
    except FileExistsError:
        raise Exists(path) from None
    except FileNotFoundError:
        raise NotFound(path) from None
    except PermissionError:
        raise NoAccess(path) from None


def open(path: str, function: Callable[..., Any] | None = None, *args: Any) -> Socket:
    """Open a named pipe (BAS ``ba.pipe.open``).

    Args:
        path: of a pipe that exists.
        function: becomes a cosocket's, called with the socket and `args`: it reads and writes. Without one the pipe is
            for writing alone.
        *args: for the function.

    Raises:
        CannotConnect: for writing, when nobody has the pipe open for reading.
        IncorrectUse: something else than a pipe has this path.
        NotFound, NoAccess: name the path.
    """
    # With a writer of our own, readers do not meet the end whenever the last other one leaves.
    flags = os.O_WRONLY if function is None else os.O_RDWR
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(path) from None
    except PermissionError:
        raise NoAccess(path) from None
    except OSError as error:
        raise CannotConnect(f"cannot write to the pipe {path}: nobody reads it ({error.strerror})") from error
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        close_fd(descriptor)  # nothing has happened to it: it was not truncated
        raise IncorrectUse(f"{path} is no named pipe: make one with mkfifo()")
    sock = Socket()
    end = PipeEnd(descriptor)
    sock.attach(Stream(cast("Any", end), get_hub()), "pipe", address=path)
    if function is not None:
        sock.event(function, "s", *args)
    return sock


class PipeEnd:
    """A descriptor with the methods of a socket that `Stream` needs."""

    family, type, proto = socket.AF_UNSPEC, socket.SOCK_STREAM, 0

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._descriptor

    def setblocking(self, on: bool) -> None:
        """Whether calls wait."""
        os.set_blocking(self._descriptor, on)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to `size` bytes."""
        return os.read(self._descriptor, size)

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Write what fits."""
        return os.write(self._descriptor, data)

    def shutdown(self, how: int) -> None:
        """A pipe has no half to close: nothing happens."""

    def getpeername(self) -> Any:
        """Pipes have no names on the other side."""
        raise OSError("a pipe has no peer")

    getsockname = getpeername

    def close(self) -> None:
        """Close the descriptor; closing again does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            close_fd(descriptor)

    def __del__(self) -> None:
        self.close()
