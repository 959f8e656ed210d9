"""Connections for the tests of streams."""

from __future__ import annotations

import _socket
import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from gevent import get_hub
from leaks import nothing_left

from greenbas.net import Stream

Pair = tuple[Stream, socket.socket]
TIMEOUT = 10.0  # seconds; a peer that waits so long fails the test


def raw(sock: socket.socket) -> _socket.socket:
    """The socket as the listener would hand it on: the C object, without gevent."""
    return _socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())


def connect(kind: type[Stream] = Stream, buffer: int | None = None) -> Pair:
    """A stream and its peer over TCP.

    Args:
        kind: the stream's class.
        buffer: bytes that the kernel keeps at most on each side, about; its own choice unless given.
    """
    with socket.socket() as listening:
        if buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        peer = socket.socket()
        peer.settimeout(TIMEOUT)
        if buffer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        peer.connect(listening.getsockname())
        accepted, _ = listening.accept()
    return kind(raw(accepted), get_hub()), peer


@pytest.fixture
def pair() -> Iterator[Callable[..., Pair]]:
    """Makes connections that are closed when the test is over, and looks that nothing is left."""
    with nothing_left(), contextlib.ExitStack() as made:

        def make(kind: type[Stream] = Stream, buffer: int | None = None) -> Pair:
            stream, peer = connect(kind, buffer)
            made.callback(stream.close)
            made.callback(peer.close)
            return stream, peer

        yield make
