"""`Incoming`: the head of a backend's response, parsed by httptools and judged by what it leaves open.

Rules of this file. Framing comes from here alone, and a response whose framing can be read in two ways is refused: what
one side takes for the end of a message and the other does not is how answers reach the wrong client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import httptools

from greenbas_plugins.proxy.failure import BadGateway

__all__ = ["BODILESS", "Incoming", "IncomingHeads"]

# As with the heads of requests: heads that come again, byte for byte, are parsed once. A backend's differ in their
# dates, which change once a second.
REMEMBERED = 256
REMEMBERED_SIZE = 2048  # bytes
GLIMPSES = 2048
BODILESS = frozenset({204, 304})  # RFC 9110 15.3.5, 15.4.5
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_URLS = frozenset(
    {b"location", b"content-location", b"refresh", b"link", b"set-cookie", b"sourcemap", b"service-worker-allowed"}
)


class Incoming:
    """The head of a response. Several exchanges may share one, so nothing in it ever changes but `lines`.

    Attributes:
        status: 100 to 999.
        reason: the phrase, "" without.
        pairs: names and values as they were on the wire.
        last: the last value by lower-case name.
        http11: False for HTTP/1.0.
        keep_alive: whether the backend allows another request on this connection.
        length: of the body, as the head tells it; None when only its end shows.
        chunked: whether it is chunked.
        has_urls: whether there is a field that may name the backend's URLs or paths.
        lines: the header lines for the client, once they have been made.
    """

    __slots__ = ("chunked", "has_urls", "http11", "keep_alive", "last", "length", "lines", "pairs", "reason", "status")

    def __init__(self, status: int, reason: str, pairs: list[tuple[bytes, bytes]], http11: bool) -> None:
        self.status = status
        self.reason = reason
        self.pairs = tuple(pairs)
        self.last = last = {name.lower(): value for name, value in pairs}
        self.http11 = http11
        self.has_urls = not _URLS.isdisjoint(last)
        self.chunked = b"transfer-encoding" in last
        self.length = int(last[b"content-length"]) if b"content-length" in last else None
        self.lines: Mapping[str, bytes] | None = None
        options = last.get(b"connection", b"").lower()
        if len(last) != len(pairs):
            options = b",".join(value for name, value in pairs if name.lower() == b"connection").lower()
        names = {option.strip() for option in options.split(b",")} if options else set()
        self.keep_alive = b"close" not in names if http11 else b"keep-alive" in names
        self._check()

    def body_length(self, method: str) -> int | None:
        """How long the body behind this head is: 0 for none, None when its framing tells (RFC 9112 6.3)."""
        if method == "HEAD" or self.status in BODILESS:
            return 0
        return None if self.chunked else self.length

    @property
    def announces_body(self) -> bool:
        """Whether the head speaks of a body, be there one or not."""
        return self.chunked or bool(self.length)

    def _check(self) -> None:
        if self.chunked:
            codings = [value for name, value in self.pairs if name.lower() == b"transfer-encoding"]
            if len(codings) > 1 or codings[0].strip().lower() != b"chunked":
                raise BadGateway(f"the transfer coding {b', '.join(codings)[:80]!r} is not understood")
            if not self.http11:
                raise BadGateway("Transfer-Encoding in a response of HTTP/1.0")
            if self.length is not None:
                raise BadGateway("both Transfer-Encoding and Content-Length")
        if not 100 <= self.status <= 999:
            raise BadGateway(f"the status {self.status} does not exist")


class IncomingHeads:
    """Parses the heads of responses."""

    __slots__ = ("_glimpsed", "_known")

    def __init__(self) -> None:
        self._known: dict[bytes, Incoming] = {}
        self._glimpsed: set[int] = set()

    def find(self, head: bytes) -> Incoming:
        """Parse a head, from the status line to the empty line, which is included.

        Raises:
            BadGateway: it is not HTTP.
        """
        found = self._known.get(head)
        if found is None:
            found = parse(head)
            if len(head) <= REMEMBERED_SIZE:
                self._remember(head, found)
        return found

    def _remember(self, head: bytes, found: Incoming) -> None:
        # Only what has come before: a backend that numbers its responses would push all others out.
        if hash(head) not in self._glimpsed:
            if len(self._glimpsed) >= GLIMPSES:
                self._glimpsed.clear()
            self._glimpsed.add(hash(head))
            return
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[head] = found


class _Seen:
    """What httptools calls back with."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.reason = b""
        self.whole = False

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.whole = True


def parse(head: bytes) -> Incoming:
    """Parse one head; see `IncomingHeads.find`."""
    if not head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
        raise BadGateway(f"it answered {head[:40]!r}, which is not HTTP/1.1")
    seen = _Seen()
    parser = httptools.HttpResponseParser(seen)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # a 101; what follows is not for this parser anyway
    except httptools.HttpParserError as error:
        raise BadGateway(f"it answered something that is not HTTP: {error}") from error
    if not seen.whole:
        raise BadGateway("the head of its answer has no end where its empty line is")
    reason = seen.reason.decode("latin-1")
    if _CONTROL.search(seen.reason):
        raise BadGateway(f"a control character in the reason {seen.reason[:40]!r}")
    if not (reason.isascii() and reason.isprintable()):
        reason = ""
    return Incoming(parser.get_status_code(), reason, seen.fields, head[7:8] == b"1")
