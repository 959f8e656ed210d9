"""Bodies from one socket to another inside the kernel, through a pipe (Linux splice(2)); also those of requests."""

from __future__ import annotations

import fcntl
import math
import os
import time
from typing import TYPE_CHECKING

from greenbas import Request
from greenbas.dispatcher import close_fd
from greenbas.errors import NetError, SocketClosed
from greenbas.net import Stream

if TYPE_CHECKING:
    from greenbas_plugins.proxy.body import IncomingBody
    from greenbas_plugins.proxy.exchange import Exchange

__all__ = ["splice", "splice_up"]

# Bytes that the pipe holds. The kernel gives a user 64 MiB in all pipes before it makes new ones small.
PIPE_SIZE = 256 * 1024
WRITE_TIMEOUT = 30.0  # seconds in which a slow client has to take at least something
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK if hasattr(os, "SPLICE_F_MOVE") else 0


def splice(exchange: Exchange, body: IncomingBody, client: Stream) -> int:
    """Move the rest of a sized body from the backend to the client.

    Args:
        exchange: whose connection it comes on.
        body: whose `left` bytes are next there.
        client: where they go.

    Returns:
        How many were moved: 0 where that cannot be done; fewer than all when the backend ends or fails before.

    Raises:
        NetError: the client is gone, or takes nothing.
    """
    connection = exchange.connection
    assert connection is not None and body.left is not None
    if client.secure or connection.stream.secure or connection.buffer or not _FLAGS:
        return 0
    source, moved = connection.stream, 0
    if (pipe := _pipe()) is None:
        return 0
    outlet, inlet = pipe
    before = client.claim_writing()
    try:
        while body.left:
            count = _fill(exchange, source, inlet, body.left)
            if not count:
                break
            _empty(outlet, client, count, WRITE_TIMEOUT)
            body.moved(count)
            moved += count
            client.took(count)
    finally:
        client.release_writing(before)
        close_fd(outlet)
        close_fd(inlet)
    return moved


def splice_up(request: Request, backend: Stream, timeout: float) -> BaseException | None:
    """Move the rest of a sized body from the client to the backend, as far as that goes; what is left is to be read.

    Args:
        request: whose body it is; what had arrived of that has been sent already.
        backend: where it goes.
        timeout: seconds in which the backend has to take at least something.

    Returns:
        Why the backend has not got all that the client has lost; None if it has.

    Raises:
        BodyTimeout, IncompleteBody: the client's fault.
    """
    if backend.secure or not _FLAGS or (pipe := _pipe()) is None:
        return None
    outlet, inlet = pipe
    failure: BaseException | None = None

    def move(client: Stream, left: int) -> int:
        nonlocal failure
        try:
            count = os.splice(client.sock.fileno(), inlet, min(left, PIPE_SIZE), flags=_FLAGS)
        except BlockingIOError:
            raise
        except OSError:
            return 0
        try:
            _empty(outlet, backend, count, timeout)
            backend.took(count)
        except BaseException as error:  # also of being killed: what has been taken has to be told first
            failure = error
        return count

    before = backend.claim_writing()
    try:
        while failure is None and request.stream.take_by(move):
            pass
    finally:
        backend.release_writing(before)
        close_fd(outlet)
        close_fd(inlet)
    return failure


def _pipe() -> tuple[int, int] | None:
    try:
        outlet, inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None  # no descriptors are left: it goes another way
    try:
        fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    except OSError:
        pass  # this user has many pipes already: 64 KiB do as well
    return outlet, inlet


def _fill(exchange: Exchange, source: Stream, inlet: int, most: int) -> int:
    # Bytes that are in the pipe now; 0 when the backend has ended or failed.
    while True:
        try:
            return os.splice(source.sock.fileno(), inlet, min(most, PIPE_SIZE), flags=_FLAGS)
        except BlockingIOError:
            exchange.deadline = time.monotonic() + exchange.settings.idle_timeout
            try:
                source.wait_readable()
            except NetError:
                return 0
            exchange.deadline = math.inf
        except OSError:
            return 0


def _empty(outlet: int, target: Stream, count: int, timeout: float) -> None:
    while count:
        try:
            count -= os.splice(outlet, target.sock.fileno(), count, flags=_FLAGS)
        except BlockingIOError:
            target.wait_writable(timeout)
        except OSError as error:
            raise SocketClosed(f"the connection broke while sending: {error.strerror}") from error
