"""permessage-deflate (RFC 7692): how it is configured, negotiated, and undone without a bomb going off."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import InvalidHeaderFormat, NegotiationError, PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension

from greenbas.errors import ConnectionClosed

__all__ = ["Codec", "Deflate", "negotiate"]

NAME = "permessage-deflate"
WINDOW = 32 * 1024  # bytes that deflate looks back at most
# zlib has no way to say "only so many bytes, and none at all": asking for 0 means any number.
LEAST = 1
_EMPTY_BLOCK = b"\x00\x00\xff\xff"


@dataclass(frozen=True)
class Deflate:
    """How messages are compressed.

    Args:
        window_bits: 9 to 15; how far either side looks back, as a power of two. 12 needs a third of the memory of 15
            (36 KB a connection instead of 95) and compresses messages of some KiB as well.
        memory_level: 1 to 9; zlib's own tables.
        no_context_takeover: forget everything after each message: an idle connection then needs no memory for it, and
            small messages compress hardly at all.
    """

    window_bits: int = 12
    memory_level: int = 5
    no_context_takeover: bool = False

    def __post_init__(self) -> None:
        if not 9 <= self.window_bits <= 15:
            raise ValueError(f"window_bits {self.window_bits}: use 9 to 15")
        if not 1 <= self.memory_level <= 9:
            raise ValueError(f"memory_level {self.memory_level}: use 1 to 9")


def negotiate(offers: list[str], settings: Deflate) -> tuple[str, Codec] | None:
    """Choose among the client's offers.

    Args:
        offers: the values of Sec-WebSocket-Extensions.
        settings: ours.

    Returns:
        The header value that accepts the first offer that can be met, and the codec for it; or None.

    Raises:
        ValueError: the header is malformed.
    """
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=settings.no_context_takeover,
        client_no_context_takeover=settings.no_context_takeover,
        server_max_window_bits=settings.window_bits,
        client_max_window_bits=settings.window_bits,
        compress_settings={"memLevel": settings.memory_level},
    )
    for offer in offers:
        try:
            extensions = parse_extension(offer)
        except InvalidHeaderFormat as error:
            raise ValueError(f"Sec-WebSocket-Extensions: {error}") from None
        for name, parameters in extensions:
            if name != NAME:
                continue
            try:
                accepted, extension = factory.process_request_params(parameters, [])
            except NegotiationError:
                continue  # the next one may do
            return build_extension([(extension.name, accepted)]), Codec(extension)
    return None


class Codec:
    """Compresses and inflates the messages of one connection.

    Args:
        extension: the library's, as negotiated.
    """

    __slots__ = ("_extension",)

    def __init__(self, extension: PerMessageDeflate) -> None:
        self._extension = extension

    def __repr__(self) -> str:
        return f"<Codec {self._extension!r}>"

    def compress(self, payload: bytes, *, first: bool = True, last: bool = True) -> bytes:
        """The payload of a frame; RSV1 belongs on the first frame of a message only."""
        opcode = Opcode.BINARY if first else Opcode.CONT
        return bytes(self._extension.encode(Frame(opcode, payload, last)).data)

    def inflate(self, payload: bytes, *, first: bool, last: bool, most: int | None) -> bytes:
        """What a piece of a compressed message becomes.

        Args:
            payload: some bytes of the message, in order.
            first: whether they are the first of the message.
            last: whether they are the last.
            most: more bytes than these are refused; None for any number.

        Raises:
            ConnectionClosed: 1009 for more than that, 1002 for what is no deflate stream.
        """
        extension = self._extension
        # The library works on frames. A piece of a frame looks to it like a fragment: the bytes are the same.
        frame = Frame(Opcode.BINARY if first else Opcode.CONT, payload, last, rsv1=first)
        try:
            data = bytes(extension.decode(frame, max_size=None if most is None else max(most, LEAST)).data)
        except PayloadTooBig:
            raise ConnectionClosed(1009, "the message is too large when inflated") from None
        except ProtocolError:
            raise ConnectionClosed(1002, "the compressed message is damaged") from None
        if most is not None and len(data) > most:
            raise ConnectionClosed(1009, "the message is too large when inflated")
        decoder: Any = getattr(extension, "decoder", None)
        if decoder is not None and decoder.eof:
            self._begin_again(decoder.unused_data, data)
        return data

    def _begin_again(self, unused: bytes, data: bytes) -> None:
        # A final block inside the stream (RFC 7692 7.2.3.4 allows it). zlib stops there for good; what follows, the
        # next message, needs a decoder that still remembers what came before.
        if unused.rstrip(b"\x00\xff"):
            raise ConnectionClosed(1002, "the compressed message goes on after its last block")
        extension = self._extension
        extension.decoder = zlib.decompressobj(wbits=-extension.remote_max_window_bits, zdict=data[-WINDOW:])
