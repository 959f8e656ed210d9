"""`Link`: the inside of a WebSocket, which goes on while no greenlet looks at it.

Rules of this file. All input is taken in the hub, in the callback of the parked stream: so a ping is answered, a close
frame is noticed and a dead peer is found out although the handler only sends, or computes. What comes and is not asked
for waits here, up to `READ_AHEAD`; then the stream is paused and TCP slows the peer down. Nothing in the hub may wait:
a control frame that finds the way blocked is owed, and whoever writes pays it behind his frame.
"""

from __future__ import annotations

import logging
from typing import Any

from greenlet import getcurrent, greenlet

from greenbas.dispatcher import greenlet_name
from greenbas.errors import ConnectionClosed, IncorrectUse, SocketBusy, TimedOut
from greenbas.net.stream import Stream
from greenbas.net.websocketend import LinkEnd
from greenbas.net.websocketkeeper import keep
from greenbas.net.websocketoutput import GONE, LINGERING, OPEN
from greenbas.protocol.websocket import FrameReader, Piece
from greenbas.protocol.websocketdeflate import Codec
from greenbas.protocol.websocketframe import CLOSE, PING, PONG
from greenbas.protocol.websocketlimits import MAX_SIZE, PING_INTERVAL, PING_TIMEOUT, WRITE_TIMEOUT

__all__ = ["Link"]

READ_SIZE = 64 * 1024  # bytes one look takes
READ_AHEAD = 64 * 1024  # bytes kept for a greenlet that does not ask; what the kernel keeps comes on top
PIECE_COST = 64  # what an empty piece counts, so that a flood of empty frames is bounded as well

_EXPIRED = object()
_log = logging.getLogger("greenbas.websocket")


class Link(LinkEnd):
    """One WebSocket's connection.

    Args:
        stream: after the handshake; it belongs to the link from here on.
        client: our side is the client.
        codec: compression, if it was negotiated.
        max_size: bytes of a message that comes; None for any number.
        ping_interval: seconds of silence before a ping; None for no pings.
        ping_timeout: seconds of silence behind it.
        write_timeout: seconds without progress after which sending gives up.
    """

    __slots__ = ("_reader", "_waiter")

    def __init__(
        self,
        stream: Stream,
        *,
        client: bool = False,
        codec: Codec | None = None,
        max_size: int | None = MAX_SIZE,
        ping_interval: float | None = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
        write_timeout: float = WRITE_TIMEOUT,
    ) -> None:
        super().__init__(stream, client, codec, write_timeout, ping_interval, ping_timeout)
        self._reader = FrameReader(client=client, max_size=max_size, codec=codec)
        self._waiter: greenlet | None = None  # who wants a piece

    def start(self, data: bytes = b"") -> None:
        """Begin to take input.

        Args:
            data: what has been read from the stream already.
        """
        keep(self)
        data += self.stream.take_pushed()
        if data:
            self._absorb(data)
        self._look_again()

    # Receiving, in a greenlet.

    def piece(self, timeout: float | None = None) -> Piece:
        """The next piece of a data frame.

        Raises:
            ConnectionClosed: the WebSocket has ended, and everything that came before is taken.
            TimedOut: nothing came in time.
            SocketBusy: another greenlet waits for one.
        """
        if self._waiter is not None:
            raise SocketBusy(f"{greenlet_name()} reads {self!r} while {greenlet_name(self._waiter)} reads it")
        queue = self._queue
        if not queue:
            self._wait(timeout)
        piece = queue.popleft()
        if not queue:
            self._ahead = 0
            if self._paused:
                self._look_again()
        return piece

    def _wait(self, timeout: float | None) -> None:
        queue = self._queue
        if self._failing is not None:
            self._fail(self._failing)
        if timeout is not None and timeout <= 0 and self.ended is None:
            self._drain(1)
        if self.ended is not None and not queue:
            raise ConnectionClosed(*self.ended)
        current, hub = getcurrent(), self.stream.hub
        if current is hub:
            raise IncorrectUse("a callback of the hub cannot wait for a message: spawn a greenlet")
        timer: Any = None
        if timeout is not None:
            if timeout <= 0:
                if queue:
                    return
                raise TimedOut("no message has come")
            timer = hub.loop.timer(timeout)
            timer.start(current.switch, _EXPIRED)
        self._waiter = current
        try:
            while not queue and self.ended is None:
                if hub.switch() is _EXPIRED:
                    raise TimedOut(f"no message came for {timeout:g} s")
        finally:
            self._waiter = None
            if timer is not None:
                timer.stop()
                timer.close()
        if not queue and self.ended is not None:
            raise ConnectionClosed(*self.ended)

    # Input, in the hub.

    def _readable(self) -> None:
        # Named and laid out for the echo of a small message: one look, one switch.
        try:
            data = self.stream.receive(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._absorb(data)
        waiter = self._waiter
        if waiter is not None:
            if self._queue or self.ended is not None:
                waiter.switch()
        elif self._ahead > READ_AHEAD and self._state == OPEN:
            self._paused = True
            self.stream.pause()
            return
        if self.stream.channel is not None and self._failing is None and not self.stream.closed:
            self.stream.park(self._readable)  # looks whether there is more that the socket does not tell

    def _look_again(self) -> None:
        self._paused = False
        if not self.stream.closed:
            self.stream.park(self._readable)

    def _drain(self, looks: int) -> None:
        # In a greenlet: take what has arrived.
        while looks > 0 and self._state != GONE:
            looks -= 1
            try:
                data = self.stream.receive(READ_SIZE)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self._absorb(data)
        self._wake()

    def _absorb(self, data: bytes) -> None:
        if not data:
            self._end(1006, "the connection ended without a close frame")
            self._go()
            return
        self.heard = True
        if self._state >= LINGERING:
            return
        self._absorbing = True
        try:
            for piece in self._reader.feed(data):
                if piece.opcode < CLOSE:
                    if self._state == OPEN:
                        self._queue.append(piece)
                        self._ahead += len(piece.data) + PIECE_COST
                elif piece.opcode == PING:
                    if self._state == OPEN:
                        self.control(PONG, piece.data)  # type: ignore[arg-type]
                elif piece.opcode == PONG:
                    self._answered(piece.data)  # type: ignore[arg-type]
                else:
                    self._closed_by_peer(piece.data)  # type: ignore[arg-type]
                    return  # RFC 6455 1.4: what comes behind it does not count
            if self._reader.failure is not None:
                self._fail_soon(self._reader.failure)
        except ConnectionClosed as failure:
            self._fail_soon(failure)
        except Exception:  # a bug of ours; the peer shall not wait for an answer
            _log.exception("%r failed", self)
            self._fail(ConnectionClosed(1011, "internal error"))
        finally:
            self._absorbing = False

    def _wake(self) -> None:
        # Not in the hub, or in the middle of something: who waits goes on in a moment.
        if self._waiter is not None:
            self.stream.hub.loop.run_callback(self._wake_now)

    def _wake_now(self) -> None:
        waiter = self._waiter
        if waiter is not None and (self._queue or self.ended is not None):
            waiter.switch()
