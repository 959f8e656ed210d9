"""Opening a connection to a backend: by TCP, perhaps with TLS, or by a Unix socket."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gevent import get_hub, sleep

from greenbas.errors import CannotConnect, NetError, TimedOut
from greenbas.net import Stream, connect, resolve
from greenbas_plugins.proxy.origin import Origin

if TYPE_CHECKING:
    from greenbas.net import tls as nettls

__all__ = ["Admits", "open_stream"]

Admits = Callable[[str, str], None]  # called with host and address; raises if it must not be connected to

BACKLOG_POLL = 0.005  # seconds between tries while the queue of a Unix socket is full: the kernel does not tell


def open_stream(
    origin: Origin, timeout: float, tls: nettls.ClientTls | None = None, admits: Admits | None = None
) -> Stream:
    """Connect to a backend.

    Args:
        origin: where it is.
        timeout: seconds for name, connection and handshake together.
        tls: the context for https; None verifies against the usual authorities.
        admits: is asked about each address, after the look-up and right before the connection: what a name means may
            change between two look-ups.

    Raises:
        NetError: as `greenbas.net.connect` and `greenbas.net.tls.handshake`.
    """
    deadline = time.monotonic() + timeout
    if origin.path:
        return _open_unix(origin.path, deadline)
    stream = _open_tcp(origin, deadline, admits)
    if origin.secure:
        from greenbas.net import tls as nettls

        left = max(0.0, deadline - time.monotonic())
        context = tls or nettls.default_client()
        nettls.handshake(stream, context, server_name=origin.host, alpn=("http/1.1",), timeout=left)
    return stream


def _open_tcp(origin: Origin, deadline: float, admits: Admits | None) -> Stream:
    addresses = resolve(origin.host, origin.port, timeout=max(0.0, deadline - time.monotonic()))
    problem: NetError | None = None
    for tried, found in enumerate(addresses):
        address = found[4][0]
        if admits is not None:
            admits(origin.host, address)
        share = max(0.0, deadline - time.monotonic()) / (len(addresses) - tried)
        try:
            return connect(address, origin.port, timeout=share).take_stream()
        except (CannotConnect, TimedOut) as error:
            problem = problem or error
    assert problem is not None, "a name without addresses"
    raise problem


def _open_unix(path: str, deadline: float) -> Stream:
    stream = Stream(_socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), get_hub())
    try:
        while code := stream.sock.connect_ex(path):
            if code != errno.EAGAIN:
                raise CannotConnect(f"cannot connect to unix:{path}: {os.strerror(code)}")
            if time.monotonic() > deadline:
                raise TimedOut(f"cannot connect to unix:{path}: too many wait there")
            sleep(BACKLOG_POLL)
    except OSError as error:
        stream.close()
        if isinstance(error, NetError):
            raise
        raise CannotConnect(f"cannot connect to unix:{path}: {error}") from error
    except BaseException:
        stream.close()
        raise
    return stream
