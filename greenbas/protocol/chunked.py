"""`ChunkedBody`: the chunked transfer coding of a request body (RFC 9112 7.1), strictly.

Not by httptools: behind the last chunk it goes on into whatever follows, and where that began it does not tell.
"""

from __future__ import annotations

import re
from enum import Enum

from greenbas.errors import RemoteProtocolError

__all__ = ["ChunkedBody"]

MAX_LINE = 1024  # bytes of a chunk's size with its extensions; sizes take a few, extensions are hardly ever used
MAX_TRAILERS = 16 * 1024  # bytes; as much as a head
# Bytes that framing may add to a body: an allowance, then eight bytes a byte of body, which one-byte chunks
# ("1\r\na\r\n", five bytes) do not reach and endless chunk extensions do.
ALLOWANCE = 16 * 1024
RATIO = 8

# Sixteen hexadecimal digits would overflow what others count in. No space is allowed around the size: parsers that
# disagree about it are what smuggling lives from.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")


class _Expects(Enum):
    SIZE = "the size of a chunk"
    DATA = "the data of a chunk"
    DATA_END = "the end of a chunk"
    TRAILER = "a trailer"


class ChunkedBody:
    """Decodes one chunked body.

    Attributes:
        complete: the last chunk and the trailers have arrived.
        trailers: name and value pairs behind the last chunk.
    """

    __slots__ = ("_buffer", "_expects", "_fed", "_left", "_received", "_trailer_bytes", "complete", "trailers")

    def __init__(self) -> None:
        self._expects = _Expects.SIZE
        self._buffer = b""  # a line that has not ended
        self._left = 0  # bytes of the chunk that are still to come
        self._fed = 0
        self._received = 0
        self._trailer_bytes = 0
        self.complete = False
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Decode what has arrived.

        Returns:
            The decoded pieces, and the bytes behind the end of the body.

        Raises:
            RemoteProtocolError: the framing is wrong, or far larger than what it frames.
        """
        self._fed += len(data)
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        pieces: list[bytes] = []
        place = 0
        while place < len(data) and not self.complete:
            if self._expects is _Expects.DATA:
                piece = data[place : place + self._left]
                pieces.append(piece)
                place += len(piece)
                self._take(len(piece))
            else:
                end = data.find(b"\r\n", place)
                if end < 0:
                    self._buffer = self._beginning(data[place:])
                    place = len(data)
                else:
                    self._line(data[place:end])
                    place = end + 2
        self._check_overhead()
        return pieces, data[place:]

    def _take(self, count: int) -> None:
        self._received += count
        self._left -= count
        if not self._left:
            self._expects = _Expects.DATA_END

    def _line(self, line: bytes) -> None:
        if self._expects is _Expects.SIZE:
            match = _SIZE.fullmatch(line)
            if match is None or len(line) > MAX_LINE:
                raise RemoteProtocolError(f"{line[:40]!r} is not the size of a chunk")
            self._left = int(match[1], 16)
            self._expects = _Expects.DATA if self._left else _Expects.TRAILER
        elif self._expects is _Expects.DATA_END:
            if line:
                raise RemoteProtocolError("a chunk is longer than its size says")
            self._expects = _Expects.SIZE
        elif not line:
            self.complete = True
        else:
            self._trailer(line)

    def _trailer(self, line: bytes) -> None:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f"{line[:40]!r} is not a trailer field")
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > MAX_TRAILERS:
            raise RemoteProtocolError(f"the trailers are over {MAX_TRAILERS} bytes", 431)
        self.trailers += ((match[1], match[2]),)

    def _beginning(self, line: bytes) -> bytes:
        # Of a line whose end has not come: refused at once when it cannot become a good one.
        limit = MAX_TRAILERS if self._expects is _Expects.TRAILER else MAX_LINE
        if self._expects is _Expects.DATA_END and line != b"\r":
            raise RemoteProtocolError("a chunk is longer than its size says")
        if b"\n" in line or b"\r" in line[:-1] or len(line) > limit:
            raise RemoteProtocolError(f"{line[:40]!r} is not {self._expects.value}")
        return line

    def _check_overhead(self) -> None:
        if self._fed - self._received > ALLOWANCE + RATIO * self._received and self._expects is not _Expects.TRAILER:
            raise RemoteProtocolError("chunk framing far larger than the body")
