"""`IncomingBody`: the body of a backend's response as it arrives, with its framing taken off."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from greenbas.errors import RemoteProtocolError, SocketClosed
from greenbas.protocol import ChunkedBody
from greenbas_plugins.proxy.failure import BadGateway

if TYPE_CHECKING:
    from greenbas_plugins.proxy.exchange import Exchange
    from greenbas_plugins.proxy.incoming import Incoming

__all__ = ["IncomingBody"]

READ_SIZE = 64 * 1024
LARGE_READ = 256 * 1024  # of bodies that are known to be long: fewer turns of the interpreter for each byte


class IncomingBody:
    """Reads one body from the backend of an exchange.

    Args:
        exchange: whose connection it comes on; its `deadline` is set while nothing comes.
        incoming: the head.
        method: of the request.

    Attributes:
        complete: everything has come, and was taken.
        left: bytes that are still to come; None when that is not known.
        trailers: the fields behind a chunked body, once it is complete.
    """

    __slots__ = ("_connection", "_decoder", "_exchange", "complete", "left", "trailers")

    def __init__(self, exchange: Exchange, incoming: Incoming, method: str) -> None:
        assert exchange.connection is not None
        self._exchange = exchange
        self._connection = exchange.connection
        self.left = incoming.body_length(method)
        self.complete = self.left == 0
        self._decoder = ChunkedBody() if incoming.chunked and not self.complete else None
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def leaves_clean(self) -> bool:
        """Whether it was read to an end that its framing told, so that another response may follow it."""
        return self.complete and (self.left is not None or self._decoder is not None)

    def take(self) -> bytes:
        """What has come already, b"" if nothing has."""
        connection = self._connection
        data, connection.buffer = connection.buffer, b""
        if not data:
            try:
                data = connection.stream.receive(READ_SIZE)
            except BlockingIOError:
                return b""
            except OSError as error:
                raise SocketClosed(f"it broke the connection in the middle of its answer: {error}") from error
            if not data:
                self._end()
        return self._decode(data)

    def next(self) -> bytes:
        """The next piece, as soon as there is one; b"" at the end.

        Raises:
            SocketClosed: the backend closed before the end.
            BadGateway: the chunks are malformed.
        """
        while not self.complete:
            connection = self._connection
            data, connection.buffer = connection.buffer, b""
            if not data:
                exchange = self._exchange
                exchange.deadline = time.monotonic() + exchange.settings.idle_timeout
                size = LARGE_READ if self.left is not None and self.left > LARGE_READ else READ_SIZE
                data = connection.stream.read(size)
                exchange.deadline = math.inf
                if not data:
                    self._end()
            if piece := self._decode(data):
                return piece
        return b""

    def moved(self, count: int) -> None:
        """Somebody else has taken so many bytes off the connection."""
        assert self.left is not None
        self.left -= count
        self.complete = not self.left

    def _decode(self, data: bytes) -> bytes:
        decoder = self._decoder
        if decoder is not None:
            try:
                pieces, self._connection.buffer = decoder.feed(data)
            except RemoteProtocolError as error:
                raise BadGateway(f"the body of its answer is malformed: {error}") from error
            self.complete = decoder.complete
            self.trailers = decoder.trailers
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.left is not None:
            if len(data) > self.left:
                data, self._connection.buffer = data[: self.left], data[self.left :]
            self.left -= len(data)
            self.complete = not self.left
        return data

    def _end(self) -> None:
        # The backend closed.
        if self._decoder is not None or self.left is not None:
            raise SocketClosed("it closed the connection in the middle of its answer")
        self.complete = True
