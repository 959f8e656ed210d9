"""Peers for objects of greenbas.luasocket: plain sockets of Python on the loopback interface."""

from __future__ import annotations

import contextlib
import socket as native
from collections.abc import Iterator
from typing import Any

from greenbas.luasocket import socket, unix

SECONDS = 5  # what a test waits at most for what has to come


@contextlib.contextmanager
def tcp_pair() -> Iterator[tuple[Any, native.socket]]:
    """A tcp{client}, and the plain socket that has accepted it."""
    with native.create_server(("127.0.0.1", 0)) as listening:
        client, err = socket.connect("127.0.0.1", listening.getsockname()[1])
        assert err is None
        peer, _ = listening.accept()
    client.settimeout(SECONDS)
    peer.settimeout(SECONDS)
    with peer:
        yield client, peer
    client.close()


@contextlib.contextmanager
def unix_pair() -> Iterator[tuple[Any, native.socket]]:
    """A unixstream{client}, and the plain socket at its other end."""
    ours, peer = native.socketpair()
    client = unix.UnixStream(None, "client")
    client.setfd(ours.detach())
    client.settimeout(SECONDS)
    peer.settimeout(SECONDS)
    with peer:
        yield client, peer
    client.close()


@contextlib.contextmanager
def server(backlog: int = 32) -> Iterator[tuple[Any, int]]:
    """A tcp{server}, and its port."""
    made, err = socket.bind("127.0.0.1", 0, backlog)
    assert err is None
    made.settimeout(SECONDS)
    yield made, made.getsockname()[1]
    made.close()


def lua_pair() -> tuple[Any, Any]:
    """Two tcp{client} that are connected with each other."""
    with server() as (listening, port):
        one, _ = socket.connect("127.0.0.1", port)
        two, _ = listening.accept()
    one.settimeout(SECONDS)
    two.settimeout(SECONDS)
    return one, two


def read_all(peer: native.socket) -> bytes:
    """What comes until the end."""
    parts = []
    while data := peer.recv(65536):
        parts.append(data)
    return b"".join(parts)


def dead_port() -> int:
    """A port on which nobody listens."""
    with native.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
