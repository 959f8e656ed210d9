"""`ChunkedBody`: the chunked transfer coding of a request body (RFC 9112 7.1), decoded by httptools."""

from __future__ import annotations

import httptools

from greenbas.errors import RemoteProtocolError

__all__ = ["ChunkedBody"]

# Bytes that framing and trailers may add to a body: an allowance for heads of chunks and trailers, then eight bytes a
# byte of body, which one-byte chunks ("1\r\na\r\n", five bytes) do not reach and endless chunk extensions do.
ALLOWANCE = 16 * 1024
RATIO = 8

# The parser wants a head first. The upgrade makes it stop behind the body and say where that is; without it, it would go
# on into the next request.
_HEAD = b"POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class ChunkedBody:
    """Decodes one chunked body.

    Attributes:
        complete: the last chunk and the trailers have arrived.
        trailers: name and value pairs behind the last chunk.
    """

    __slots__ = ("_fed", "_fields", "_parser", "_pieces", "_received", "complete", "trailers")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._fields: list[tuple[bytes, bytes]] = []
        self._fed = 0
        self._received = 0
        self.complete = False
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)
        self._fields.clear()

    def on_body(self, data: bytes) -> None:
        """Called by httptools with decoded bytes."""
        self._pieces.append(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools for each trailer."""
        self._fields.append((name, value))

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Decode what has arrived.

        Returns:
            The decoded pieces, and the bytes behind the end of the body.

        Raises:
            RemoteProtocolError: the framing is wrong, or far larger than what it frames.
        """
        self._pieces = pieces = []
        rest = b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as end:
            rest = data[end.args[0] :]
            self.complete = True
            self.trailers = tuple(self._fields)
            self._parser = None  # it refers back to this object
        except httptools.HttpParserError as error:
            self._parser = None
            raise RemoteProtocolError(str(error)) from error
        self._fed += len(data) - len(rest)
        self._received += sum(map(len, pieces))
        if self._fed - self._received > ALLOWANCE + RATIO * self._received:
            self._parser = None
            raise RemoteProtocolError("chunk framing far larger than the body")
        return pieces, rest
