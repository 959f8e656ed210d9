"""Giving a stream back to an HTTP server: the server is of a later room, so it puts itself down here."""

from __future__ import annotations

from collections.abc import Callable

from greenbas.errors import IncorrectUse
from greenbas.net.stream import Stream

__all__ = ["Adopt", "give_back", "offer", "withdraw"]

Adopt = Callable[[Stream, bytes], None]

_servers: list[Adopt] = []  # of the running servers, the youngest last


def offer(adopt: Adopt) -> None:
    """A server runs: `adopt` makes an HTTP connection of a stream and of what was read from it."""
    _servers.append(adopt)


def withdraw(adopt: Adopt) -> None:
    """The server runs no more."""
    if adopt in _servers:
        _servers.remove(adopt)


def give_back(stream: Stream, data: bytes) -> None:
    """Give a stream to the server that was started last.

    Raises:
        IncorrectUse: no server runs.
        SocketClosed: it takes no more connections.
    """
    if not _servers:
        raise IncorrectUse("no server runs that could take the connection: start one first")
    _servers[-1](stream, data)
