"""`HeaderSection`: the header fields of a request, parsed and checked, and what they say about the connection."""

from __future__ import annotations

import re

from greenbas.errors import RemoteProtocolError
from greenbas.protocol.headers import RequestHeaders

__all__ = ["HeaderSection", "checked_host", "is_host"]

# RFC 9110 7.2: uri-host [":" port]; the characters of reg-name, or an IP literal in brackets.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.vV]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")


class HeaderSection:
    """The fields of one head. Several requests may share one, so nothing in it ever changes.

    Args:
        pairs: names and values in order, as they were on the wire.
        http11: False for HTTP/1.0.

    Attributes:
        pairs: the same, as a tuple.
        last: the last value by lower-case name.
        host: the Host field, b"" without one.
        keep_alive: whether the client allows another request on the connection.

    Raises:
        RemoteProtocolError: 400; the Host field is missing, repeated or malformed.
    """

    __slots__ = ("_view", "host", "keep_alive", "last", "pairs")

    def __init__(self, pairs: list[tuple[bytes, bytes]], http11: bool) -> None:
        self.pairs = tuple(pairs)
        self.last = {name.lower(): value for name, value in pairs}
        self.host = self._take_host(http11)
        self.keep_alive = self._take_connection(http11)
        self._view: RequestHeaders | None = None

    @property
    def view(self) -> RequestHeaders:
        """The fields as handlers see them."""
        if self._view is None:
            self._view = RequestHeaders(self.pairs)
        return self._view

    def plus(self, place: int, name: bytes, value: bytes) -> HeaderSection:
        """A section with one more field, which this one does not have; it says nothing about host or connection."""
        made = HeaderSection.__new__(HeaderSection)
        made.pairs = (*self.pairs[:place], (name, value), *self.pairs[place:])
        made.last = {**self.last, name.lower(): value}
        made.host, made.keep_alive, made._view = self.host, self.keep_alive, None
        return made

    def without(self, wanted: bytes) -> HeaderSection:
        """A section without the fields of this name, given in lower case; not for host or connection."""
        made = HeaderSection.__new__(HeaderSection)
        made.pairs = tuple(pair for pair in self.pairs if pair[0].lower() != wanted)
        made.last = {name: value for name, value in self.last.items() if name != wanted}
        made.host, made.keep_alive, made._view = self.host, self.keep_alive, None
        return made

    def count(self, wanted: bytes) -> int:
        """How many fields have this name, given in lower case."""
        return len(self._values(wanted))

    def _values(self, wanted: bytes) -> list[bytes]:
        return [value for name, value in self.pairs if name.lower() == wanted]

    def _take_host(self, http11: bool) -> bytes:
        # RFC 9112 3.2: exactly one valid Host in HTTP/1.1.
        host = self.last.get(b"host")
        if host is None:
            if http11:
                raise RemoteProtocolError("HTTP/1.1 needs a Host field")
            return b""
        if len(self.last) != len(self.pairs) and self.count(b"host") > 1:
            raise RemoteProtocolError("more than one Host field")
        return checked_host(host.strip(b" \t"))

    def _take_connection(self, http11: bool) -> bool:
        # RFC 9112 9.3
        value = self.last.get(b"connection")
        if value is None or (http11 and value == b"keep-alive" and len(self.last) == len(self.pairs)):
            return http11
        options = {option.strip(b" \t") for option in b",".join(self._values(b"connection")).lower().split(b",")}
        return b"close" not in options and (http11 or b"keep-alive" in options)


def is_host(host: bytes) -> bool:
    """Whether it is a host name or address, perhaps with a port (RFC 9110 7.2)."""
    return _HOST.fullmatch(host) is not None


def checked_host(host: bytes) -> bytes:
    """The host itself, when it is well-formed.

    Raises:
        RemoteProtocolError: 400.
    """
    if not is_host(host):
        raise RemoteProtocolError(f"Host {host[:80]!r} is not a host name")
    return host
