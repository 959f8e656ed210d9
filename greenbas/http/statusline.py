"""The beginning of every response head, made once a second for each status: status line, Date and Server."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from functools import lru_cache

from greenbas.errors import LocalProtocolError
from greenbas.protocol import http_date
from greenbas.protocol import reason as reason_phrase
from greenbas.protocol.headers import header_line

__all__ = ["HeadStart"]


@lru_cache(maxsize=128)
def _plain_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode("ascii")


class HeadStart:
    """Makes the first lines of response heads.

    Args:
        server_name: the Server header; "" for none.
        clock: unix seconds.
    """

    def __init__(self, server_name: str, clock: Callable[[], float] = time.time) -> None:
        self._server = header_line("Server", server_name) if server_name else b""
        self._clock = clock
        self._made: dict[int, bytes] = {}
        self._date = b""
        self.refresh()

    def refresh(self) -> None:
        """Take the current date; to be called once a second."""
        self._date = f"Date: {http_date(self._clock())}\r\n".encode("ascii")
        self._made.clear()

    def lines(self, status: int, reason: str | None = None) -> bytes:
        """Status line, Date (RFC 9110 6.6.1) and Server, each with its CRLF."""
        if reason is not None:
            return self._make(status, reason)
        return self._made.get(status) or self._remember(status)

    def lines_beside(self, status: int, reason: str | None, headers: Container[str]) -> bytes:
        """The same without those that the handler has set itself, given by lower-case name."""
        line = _plain_line(status) if reason is None else f"HTTP/1.1 {status} {reason}\r\n".encode("ascii")
        date = b"" if "date" in headers else self._date
        return line + date + (b"" if "server" in headers else self._server)

    def _remember(self, status: int) -> bytes:
        made = self._made[status] = self._make(status, reason_phrase(status))
        return made

    def _make(self, status: int, reason: str) -> bytes:
        if not reason.isascii() or not reason.isprintable():
            raise LocalProtocolError(f"reason phrase {reason!r}: use printable ASCII")
        return f"HTTP/1.1 {status} {reason}\r\n".encode("ascii") + self._date + self._server
