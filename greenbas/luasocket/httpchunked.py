"""Header fields, and the chunked coding as source and sink (RFC 9112 5 and 7.1)."""

from __future__ import annotations

import re
from typing import Any

from greenbas.luasocket import socket
from greenbas.luasocket.ltn12.kinds import Chunk, Pumped, as_chunk

__all__ = ["ChunkedSink", "ChunkedSource", "receive_headers"]

# More than this is no header section but a way to fill memory. Clients and servers allow between 8 and 256 KiB.
HEAD_SIZE = 256 * 1024  # bytes
PIECE_SIZE = 64 * 1024  # bytes of a chunk that are given at a time

_FIELD = re.compile(rb"([^:]*):\s*(.*)", re.DOTALL)
_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,16})\s*(?:;.*)?", re.DOTALL)

Headers = dict[str, str]


def receive_headers(sock: Any, headers: Headers | None = None) -> tuple[Headers | None, str | None]:
    """Read a header section.

    Args:
        sock: where it comes from.
        headers: what to add the fields to; a new dict unless given.

    Returns:
        ``(headers, None)`` or ``(None, err)``. Names are in lower case; the values of a name that comes several times
        are joined by ", "; folded lines are appended as they are, with the space that they begin with.
    """
    found: Headers = {} if headers is None else headers
    size = 0
    line, error, _ = sock.receive("*l")
    while not error and line:
        match = _FIELD.fullmatch(line)
        if match is None:
            return None, "malformed response headers"
        name, value = match[1].decode("latin-1").lower(), match[2]
        size += len(line)
        line, error, _ = sock.receive("*l")
        while not error and line[:1] in (b" ", b"\t") and line:
            value += line
            size += len(line)
            line, error, _ = sock.receive("*l")
        if size > HEAD_SIZE:
            return None, "response headers too large"
        text = value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return (None, error) if error else (found, None)


class ChunkedSource:
    """A source that decodes the chunked coding (``socket.source("http-chunked")``).

    Args:
        sock: where the body comes from.
        headers: fields behind the body are added to it.
    """

    def __init__(self, sock: Any, headers: Headers | None = None) -> None:
        self._sock = sock
        self._headers = headers
        self._left = 0  # bytes of the chunk at hand
        self._done = False

    def __call__(self) -> tuple[Chunk, str | None]:
        """Give the next piece of the body."""
        if self._done:
            return None, None
        if not self._left:
            error = self._begin()
            if error or self._done:
                return None, error
        piece, error, _ = self._sock.receive(min(self._left, PIECE_SIZE))
        if error:
            return None, error
        self._left -= len(piece)
        return (piece, None) if self._left else self._end(piece)

    def _begin(self) -> str | None:
        line, error, _ = self._sock.receive("*l")
        if error:
            return str(error)
        match = _SIZE.fullmatch(line)
        if match is None:
            return "invalid chunk size"
        self._left = int(match[1], 16)
        if self._left:
            return None
        self._done = True
        return receive_headers(self._sock, self._headers)[1]

    def _end(self, piece: bytes) -> tuple[Chunk, str | None]:
        line, error, _ = self._sock.receive("*l")
        if error:
            return None, error
        return (None, "invalid chunk size") if line else (piece, None)

    def getfd(self) -> int:
        """Return the socket's descriptor."""
        return int(self._sock.getfd())

    def dirty(self) -> bool:
        """Say whether received data wait to be read."""
        return bool(self._sock.dirty())


class ChunkedSink:
    """A sink that sends in the chunked coding (``socket.sink("http-chunked")``).

    Args:
        sock: where the body goes.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __call__(self, chunk: Chunk, error: str | None = None) -> Pumped:
        """Send a chunk, or the end of the body."""
        if chunk is None and error:  # the end would make the server take what it has for the whole
            return 1, None
        if chunk is not None:
            chunk = as_chunk(chunk)
            if not chunk:  # would be the end
                return 1, None
        data = b"0\r\n\r\n" if chunk is None else b"%X\r\n%b\r\n" % (len(chunk), chunk)
        sent, failure, _ = self._sock.send(data)
        return (None, failure) if sent is None else (1, None)

    def getfd(self) -> int:
        """Return the socket's descriptor."""
        return int(self._sock.getfd())

    def dirty(self) -> bool:
        """Say whether received data wait to be read."""
        return bool(self._sock.dirty())


# Here and not there, as in LuaSocket: the chunked coding belongs to HTTP.
socket.sourcet["http-chunked"] = ChunkedSource
socket.sinkt["http-chunked"] = ChunkedSink
