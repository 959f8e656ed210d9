"""A socket of greenbas and its peer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from greenbas import net
from greenbas.net import Socket


@contextlib.contextmanager
def pair() -> Iterator[tuple[Socket, socket.socket]]:
    """A connected socket and its peer, a socket of Python's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = net.connect("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
    with sock, peer:
        peer.settimeout(10)
        yield sock, peer
