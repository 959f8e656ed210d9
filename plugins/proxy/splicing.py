"""Bodies from one socket to another inside the kernel, through a pipe (Linux splice(2)); also those of requests."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from greenbas import Request
from greenbas.errors import NetError, SocketClosed
from greenbas.net import Stream
from greenbas_plugins.proxy.pipe import Pipe

if TYPE_CHECKING:
    from greenbas_plugins.proxy.body import IncomingBody
    from greenbas_plugins.proxy.exchange import Exchange

__all__ = ["splice", "splice_up"]

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
    try:
        pipe = Pipe()
    except OSError:
        return 0  # no descriptors are left: it goes another way
    with pipe, _writing(client):
        while body.left:
            count = _fill(exchange, source, pipe, body.left)
            if not count:
                break
            _empty(pipe, client, count, WRITE_TIMEOUT)
            body.moved(count)
            moved += count
            client.took(count)
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
    if backend.secure or not _FLAGS:
        return None
    try:
        pipe = Pipe()
    except OSError:
        return None
    failure: BaseException | None = None

    def move(client: Stream, left: int) -> int:
        nonlocal failure
        try:
            count = os.splice(client.sock.fileno(), pipe.inlet, min(left, pipe.size), flags=_FLAGS)
        except BlockingIOError:
            raise
        except OSError:
            return 0
        try:
            _empty(pipe, backend, count, timeout)
            backend.took(count)
        except BaseException as error:  # also of being killed: what has been taken has to be told first
            failure = error
        return count

    with pipe, _writing(backend):
        while failure is None and request.stream.take_by(move):
            pass
    return failure


@contextmanager
def _writing(stream: Stream) -> Iterator[None]:
    # Nobody else's bytes go in between.
    before = stream.claim_writing()
    try:
        yield
    finally:
        stream.release_writing(before)


def _fill(exchange: Exchange, source: Stream, pipe: Pipe, most: int) -> int:
    # Bytes that are in the pipe now; 0 when the backend has ended or failed.
    while True:
        try:
            return os.splice(source.sock.fileno(), pipe.inlet, min(most, pipe.size), flags=_FLAGS)
        except BlockingIOError:
            exchange.deadline = time.monotonic() + exchange.settings.idle_timeout
            try:
                source.wait_readable()
            except NetError:
                return 0
            exchange.deadline = math.inf
        except OSError:
            return 0


def _empty(pipe: Pipe, target: Stream, count: int, timeout: float) -> None:
    while count:
        try:
            count -= os.splice(pipe.outlet, target.sock.fileno(), count, flags=_FLAGS)
        except BlockingIOError:
            target.wait_writable(timeout)
        except OSError as error:
            raise SocketClosed(f"the connection broke while sending: {error.strerror}") from error
