"""WebSocket frames on their way out, and what a close frame says (RFC 6455 sections 5.2 and 5.5)."""

from __future__ import annotations

import secrets
import struct

from websockets.exceptions import ProtocolError
from websockets.frames import Close

from greenbas.errors import ConnectionClosed

try:
    from websockets.speedups import apply_mask
except ImportError:  # an installation without a compiler
    from websockets.utils import apply_mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "PING",
    "PONG",
    "TEXT",
    "apply_mask",
    "close_payload",
    "make_frame",
    "parse_close",
]

CONT, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
FIN, RSV1, MASK = 0x80, 0x40, 0x80

MAX_REASON = 123  # bytes: a control frame has at most 125, and two of them are the code

_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")


def make_frame(
    opcode: int, payload: bytes, *, fin: bool = True, masked: bool = False, compressed: bool = False
) -> bytes:
    """One frame as it goes on the wire.

    The library's `Frame.serialize` does the same; for frames of some 100 bytes it takes four times as long.

    Args:
        opcode: one of the constants of this module.
        payload: already compressed if it is to be.
        fin: whether it is the last frame of its message.
        masked: with a random mask, as clients have to (RFC 6455 5.3).
        compressed: the payload is the first one of a compressed message (RFC 7692 6.1).
    """
    first = opcode | FIN if fin else opcode
    if compressed:
        first |= RSV1
    length = len(payload)
    mask_bit = MASK if masked else 0
    if length < 126:
        head = _SHORT.pack(first, mask_bit | length)
    elif length < 65536:
        head = _MEDIUM.pack(first, mask_bit | 126, length)
    else:
        head = _LONG.pack(first, mask_bit | 127, length)
    if not masked:
        return head + payload
    mask = secrets.token_bytes(4)
    return b"%b%b%b" % (head, mask, apply_mask(payload, mask))


def close_payload(code: int, reason: str = "") -> bytes:
    """What a close frame carries.

    Args:
        code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
        reason: words for a person, at most 123 bytes of UTF-8.

    Raises:
        ValueError: the code cannot be sent, or the reason is too long.
    """
    try:
        payload = Close(code, reason).serialize()
    except ProtocolError:
        raise ValueError(f"close code {code} cannot be sent: use 1000, 1001, or one from 3000 to 4999") from None
    if len(payload) > MAX_REASON + 2:
        raise ValueError(f"the reason has {len(payload) - 2} bytes of UTF-8: {MAX_REASON} fit into a close frame")
    return payload


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame that came (RFC 6455 7.1.5, 7.1.6); 1005 for an empty one.

    Raises:
        ConnectionClosed: 1002 for a bad code, 1007 for a reason that is not UTF-8: with that the connection fails.
    """
    try:
        close = Close.parse(payload)
    except ProtocolError as error:
        raise ConnectionClosed(1002, f"bad close frame: {error}") from None
    except UnicodeDecodeError:
        raise ConnectionClosed(1007, "the reason of a close frame is not UTF-8") from None
    return int(close.code), close.reason
