"""`Message`: one request as the parser saw it."""

from __future__ import annotations

from collections import deque

from greenbas.errors import RemoteProtocolError
from greenbas.protocol.section import HeaderSection

__all__ = ["Message"]


class Message:
    """One request as it came off the wire; its body may still be arriving.

    Attributes:
        method: as sent; methods are case-sensitive (RFC 9110 9.1).
        target: the raw request target.
        path: the target's path, decoded; "*" for ``OPTIONS *``.
        plain: HTTP/1.1, kept alive, without a body, and not HEAD: the answer needs no second look at any of these.
        query: the target's query, still encoded.
        authority: the host of an absolute target, else the Host field, else b"" (HTTP/1.0).
        http11: False for HTTP/1.0.
        fields: the header section.
        headers: the last value by lower-case name; bytes on both sides. Not to be changed.
        keep_alive: whether the client allows another request on this connection.
        upgrade: the client asks for another protocol.
        length: the Content-Length, 0 without a body, None for a chunked one.
        chunks: body bytes that have arrived and were not taken yet; None without a body.
        received: body bytes that have arrived so far.
        complete: the whole message has arrived.
        error: why the rest of the body cannot be had.
        trailers: the fields after a chunked body (RFC 9112 7.1.2), in order.
    """

    __slots__ = (
        "authority",
        "chunks",
        "complete",
        "error",
        "fields",
        "headers",
        "http11",
        "keep_alive",
        "length",
        "method",
        "path",
        "plain",
        "query",
        "received",
        "target",
        "trailers",
        "upgrade",
    )

    def __init__(self, method: str, target: bytes, fields: HeaderSection) -> None:
        self.method = method
        self.target = target
        self.path = ""
        self.query = b""
        self.authority = fields.host
        self.http11 = True
        self.fields = fields
        self.headers = fields.last
        self.keep_alive = fields.keep_alive
        self.plain = fields.keep_alive and method != "HEAD"
        self.upgrade = False
        self.length: int | None = 0
        self.chunks: deque[bytes] | None = None
        self.received = 0
        self.complete = True
        self.error: RemoteProtocolError | None = None
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 Continue before it sends the body (RFC 9110 10.1.1)."""
        return b"expect" in self.headers and self.http11 and not self.received and not self.complete
