"""WebSocket frames as they come in, piece by piece (RFC 6455 section 5).

The reader of the framing library hands out whole frames only. This one hands out what has arrived: text that is not
UTF-8 is found in the middle of a frame that trickles, and a large frame is never held in one piece by the reader. The
mask, the close frames and the compression are the library's.
"""

from __future__ import annotations

from codecs import utf_8_decode
from typing import NamedTuple, NoReturn

from greenbas.errors import ConnectionClosed
from greenbas.protocol.websocketdeflate import Codec
from greenbas.protocol.websocketframe import (
    BINARY,
    CLOSE,
    CONT,
    FIN,
    MASK,
    PING,
    PONG,
    RSV1,
    TEXT,
    apply_mask,
)
from greenbas.protocol.websocketlimits import MAX_SIZE

__all__ = ["FrameReader", "Piece"]

MAX_CONTROL = 125  # RFC 6455 5.5
_UNUSED_BITS = 0x30  # RSV2 and RSV3: no extension that we know uses them
_OPCODES = frozenset({CONT, TEXT, BINARY, CLOSE, PING, PONG})
# The first byte of half a surrogate pair, if the second one is A0 or more. Python alone waits for the third, since its
# error handlers may want to see all of it.
_SURROGATE = 0xED
_CONTROL = 0x8  # this bit of an opcode says that the frame is a control frame
_WHOLE_BINARY = BINARY | FIN
_WHOLE = frozenset({TEXT | FIN, _WHOLE_BINARY})  # first bytes of a message in one frame


class Piece(NamedTuple):
    """Some bytes of a frame, or all of them.

    Attributes:
        data: `str` of a text message, else `bytes`; may be empty, as the middle of a character waits for its end.
        istext: whether it belongs to a text message.
        bytes_read: bytes of the frame that have arrived with this piece, as they were on the wire.
        frame_len: bytes that the frame has.
        last: whether the message ends with it.
        opcode: TEXT or BINARY for all frames of such a message; or PING, PONG, CLOSE.
    """

    data: str | bytes
    istext: bool
    bytes_read: int
    frame_len: int
    last: bool
    opcode: int


class FrameReader:
    """Takes bytes, gives pieces of frames.

    Args:
        client: our side is the client: frames have no mask then (RFC 6455 5.1).
        max_size: bytes of a message, inflated; None for any number.
        codec: compression, if it was negotiated.

    Attributes:
        failure: why the connection has to fail, with the close code for it; nothing is read any more then.
    """

    __slots__ = (
        "_codec",
        "_compressed",
        "_fin",
        "_first",
        "_in_frame",
        "_kept",
        "_length",
        "_mask",
        "_mask_bit",
        "_max_size",
        "_opcode",
        "_read",
        "_size",
        "_tail",
        "failure",
    )

    def __init__(self, *, client: bool = False, max_size: int | None = MAX_SIZE, codec: Codec | None = None) -> None:
        self.failure: ConnectionClosed | None = None
        self._mask_bit = 0 if client else MASK
        self._max_size = max_size
        self._codec = codec
        self._kept = b""  # the beginning of a frame's head, or of a control frame
        # The data frame that is being read.
        self._in_frame = False
        self._length = 0
        self._read = 0
        self._mask = b""
        self._fin = False
        # The message that it belongs to.
        self._opcode = 0  # 0 between messages
        self._compressed = False
        self._first = False  # nothing of it has been inflated yet
        self._size = 0  # bytes of it so far, inflated
        self._tail = b""  # the first bytes of a character

    def __repr__(self) -> str:
        if self.failure is not None:
            return f"<FrameReader failed: {self.failure}>"
        return f"<FrameReader {self._read} of {self._length} bytes of a frame, {self._size} of a message>"

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; returns what they complete, in order. Look at `failure` behind it."""
        pieces: list[Piece] = []
        if self.failure is None:
            try:
                self._take(data, pieces)
            except ConnectionClosed as failure:
                self.failure = failure.with_traceback(None)
                self._kept = b""
        return pieces

    def _take(self, data: bytes, pieces: list[Piece]) -> None:
        # One algorithm: the loop over the frames in `data`, with the way of most messages laid out in the middle.
        if self._kept:
            data, self._kept = self._kept + data, b""
        at, end = 0, len(data)
        while at < end:
            if self._in_frame:
                at = self._take_payload(data, at, end, pieces)
                continue
            if end - at < 2:
                self._check_first(data[at])  # at once, though the second byte has not come yet
                break
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            if second & MASK != self._mask_bit:
                self._fail("the frame is not masked" if self._mask_bit else "the frame is masked")
            start = at + 2
            if length > MAX_CONTROL:
                self._check_first(first, length)
                start += 2 if length == 126 else 8
                if start > end:
                    break
                length = self._long_length(data, at + 2, start)
            if self._mask_bit:
                start += 4
            stop = start + length
            whole = stop <= end
            if whole and first in _WHOLE and not self._opcode:
                # A message in one frame, which is here.
                if self._max_size is not None and length > self._max_size:
                    self._fail_size(length)
                payload = data[start:stop]
                if self._mask_bit:
                    payload = apply_mask(payload, data[start - 4 : start])
                if first == _WHOLE_BINARY:
                    pieces.append(Piece(payload, False, length, length, True, BINARY))
                else:
                    pieces.append(Piece(_decode(payload), True, length, length, True, TEXT))
                at = stop
                continue
            self._check_first(first, length)
            if first & _CONTROL:
                if not whole:
                    break
                payload = data[start:stop]
                if self._mask_bit:
                    payload = apply_mask(payload, data[start - 4 : start])
                pieces.append(Piece(payload, False, length, length, True, first & 0x0F))
                at = stop
                continue
            if start > end:
                break
            self._begin_frame(first, length, data[start - 4 : start] if self._mask_bit else b"")
            at = start
            if start == end and not length:
                self._take_payload(data, at, end, pieces)
        if at < end:
            self._kept = data[at:]

    def _check_first(self, first: int, length: int = 0) -> None:
        # What the first byte of a frame says, RFC 6455 5.2, 5.4 and 5.5, RFC 7692 6.
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            self._fail(f"the opcode {opcode} is reserved")
        if first & _UNUSED_BITS:
            self._fail("a reserved bit is set")
        if opcode & _CONTROL:
            if not first & FIN:
                self._fail("a control frame is fragmented")
            if length > MAX_CONTROL:
                self._fail("a control frame has more than 125 bytes")
        if first & RSV1 and (self._codec is None or opcode & _CONTROL or opcode == CONT):
            self._fail("a reserved bit is set")
        if opcode == CONT:
            if not self._opcode:
                self._fail("a continuation without a beginning")
        elif not opcode & _CONTROL and self._opcode:
            self._fail("a new message within another")

    def _long_length(self, data: bytes, start: int, stop: int) -> int:
        length = int.from_bytes(data[start:stop])
        if length >> 63:
            self._fail("the frame's length has its highest bit set")
        if length < (126 if stop - start == 2 else 65536):
            self._fail(f"the length {length} is written in more bytes than it needs")
        return length

    def _begin_frame(self, first: int, length: int, mask: bytes) -> None:
        opcode = first & 0x0F
        if opcode != CONT:
            self._opcode = opcode
            self._compressed = self._first = bool(first & RSV1)
            self._size = 0
        if self._max_size is not None and not self._compressed and self._size + length > self._max_size:
            self._fail_size(self._size + length)
        self._in_frame = True
        self._fin = bool(first & FIN)
        self._length = length
        self._read = 0
        self._mask = mask

    def _take_payload(self, data: bytes, at: int, end: int, pieces: list[Piece]) -> int:
        # Some bytes of a data frame; returns where the next ones are.
        read = self._read
        stop = min(end, at + self._length - read)
        payload = data[at:stop]
        if self._mask_bit:
            turn = read & 3
            payload = apply_mask(payload, self._mask[turn:] + self._mask[:turn] if turn else self._mask)
        self._read = read = read + stop - at
        ended = read == self._length
        last = ended and self._fin
        if self._compressed and self._codec is not None:
            most = None if self._max_size is None else self._max_size - self._size
            payload = self._codec.inflate(payload, first=self._first, last=last, most=most)
            self._first = False
        self._size += len(payload)
        opcode = self._opcode
        if opcode == TEXT:
            pieces.append(Piece(self._text(payload, last), True, read, self._length, last, TEXT))
        else:
            pieces.append(Piece(payload, False, read, self._length, last, BINARY))
        if ended:
            self._in_frame = False
            if last:
                self._opcode = 0
        return stop

    def _text(self, payload: bytes, last: bool) -> str:
        if self._tail:
            payload = self._tail + payload
        text, used = _decode_part(payload, last)
        self._tail = tail = payload[used:]
        if tail and tail[0] == _SURROGATE and tail[1:2] >= b"\xa0":
            raise ConnectionClosed(1007, "the text is not UTF-8")
        return text

    def _fail(self, reason: str) -> NoReturn:
        raise ConnectionClosed(1002, reason)

    def _fail_size(self, size: int) -> NoReturn:
        raise ConnectionClosed(1009, f"a message of {size} bytes or more is over the limit of {self._max_size}")


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ConnectionClosed(1007, "the text is not UTF-8") from None


def _decode_part(payload: bytes, last: bool) -> tuple[str, int]:
    # It complains about the first byte that cannot be right, be the character complete or not.
    try:
        return utf_8_decode(payload, "strict", last)
    except UnicodeDecodeError:
        raise ConnectionClosed(1007, "the text is not UTF-8") from None
