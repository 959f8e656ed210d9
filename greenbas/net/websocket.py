"""`WebSocket`: messages over a stream, as a handler sees them (RFC 6455)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from types import TracebackType

from gevent.lock import Semaphore
from greenlet import getcurrent, greenlet

from greenbas.errors import ConnectionClosed, IncorrectUse
from greenbas.net.stream import Buffer, Stream
from greenbas.net.websocketend import LINGER
from greenbas.net.websocketlink import Link
from greenbas.protocol.websocket import Piece
from greenbas.protocol.websocketdeflate import Codec
from greenbas.protocol.websocketframe import BINARY, CONT, PING, TEXT
from greenbas.protocol.websocketlimits import CLOSE_TIMEOUT, MAX_SIZE, PING_INTERVAL, PING_TIMEOUT, WRITE_TIMEOUT

__all__ = ["WebSocket"]

CLEAN = frozenset({1000, 1001, 1005})  # close codes of a conversation that is over rather than broken off
MAX_PING = 125  # bytes of a control frame
JOINED = 1024  # pieces of a message that are kept apart: joined earlier they cost time, later memory

Message = str | Buffer


class WebSocket:
    """One WebSocket after its handshake; `Request.upgrade` makes them for a server.

    Several greenlets may send at once, one may receive. Pings are answered, and a peer that is gone is noticed, also
    while no greenlet receives. One that nobody refers to any more closes with 1000; as a context manager it closes at
    the end of the block, and with 1011 when an exception leaves it.

    Args:
        stream: connected, the handshake done; it belongs to the WebSocket from here on.
        client: our side is the client, which masks what it sends.
        data: what has been read behind the handshake already.
        subprotocol: the one that was agreed on.
        codec: compression, if it was agreed on.
        max_size: bytes of a message that comes, inflated; larger ones end the connection with 1009. None for any.
        ping_interval: seconds of silence before a ping; None for none.
        ping_timeout: seconds of silence behind it, after which the peer counts as gone.
        write_timeout: seconds in which a slow peer has to take at least something.

    Attributes:
        subprotocol: the one that was agreed on, or None.
    """

    __slots__ = ("__weakref__", "_fragmenting", "_joined", "_link", "_parts", "_sender", "_skipping", "subprotocol")

    def __init__(
        self,
        stream: Stream,
        *,
        client: bool = False,
        data: bytes = b"",
        subprotocol: str | None = None,
        codec: Codec | None = None,
        max_size: int | None = MAX_SIZE,
        ping_interval: float | None = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
        write_timeout: float = WRITE_TIMEOUT,
    ) -> None:
        self.subprotocol = subprotocol
        # The pieces of a message that has begun: a time-out in the middle of it loses nothing.
        self._parts: list[str | bytes] = []
        self._joined = 0
        self._skipping = False  # what is left of a message was not wanted
        self._fragmenting: Semaphore | None = None
        self._sender: greenlet | None = None  # who sends a message in several frames
        self._link = Link(
            stream,
            client=client,
            codec=codec,
            max_size=max_size,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            write_timeout=write_timeout,
        )
        self._link.start(data)

    def __repr__(self) -> str:
        peer = self._link.stream.peername()
        state = f"closed {self.close_code}" if self.closed else "open"
        return f"<WebSocket {state} {peer[0]}:{peer[1]}>"

    def __del__(self) -> None:
        link: Link | None = getattr(self, "_link", None)
        if link is not None and link.ended is None:
            # The last reference may go in any thread, and between any two steps of the hub.
            link.stream.hub.loop.run_callback_threadsafe(link.close, 1000, "")

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self._link.close(1011 if isinstance(error, Exception) else 1001, "")

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._link.ended is not None

    @property
    def close_code(self) -> int | None:
        """The close code: the peer's, or ours if we closed first; 1006 for a broken connection; None while open."""
        ended = self._link.ended
        return None if ended is None else ended[0]

    @property
    def close_reason(self) -> str | None:
        """The words that came with the close code; None while open."""
        ended = self._link.ended
        return None if ended is None else ended[1]

    @property
    def stream(self) -> Stream:
        """The stream below; for its addresses and its certificate, not for its bytes."""
        return self._link.stream

    def peername(self) -> tuple[str, int, bool]:
        """The peer's address, port, and whether it is IPv6 (BAS ``sock:peername``)."""
        return self._link.stream.peername()

    # Receiving.

    def receive(self, timeout: float | None = None) -> str | bytes:
        """The next message: `str` for text, `bytes` for binary.

        Args:
            timeout: seconds to wait for the whole of it; None waits for ever. What has come of it by then is kept.

        Raises:
            ConnectionClosed: the WebSocket is closed, by whichever side, and every message before is taken.
            TimedOut: the message did not come in time.
            SocketBusy: another greenlet is receiving; the message names both.
        """
        link = self._link
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._skipping:
            self._skip(deadline)
        piece = link.piece(None if deadline is None else deadline - time.monotonic())
        if piece.last and not self._parts:
            return piece.data
        while not piece.last:
            self._keep(piece)
            piece = link.piece(None if deadline is None else deadline - time.monotonic())
        self._keep(piece)
        parts, self._parts = self._parts, []
        self._joined = 0
        return _join(parts, piece.istext)

    def __iter__(self) -> Iterator[str | bytes]:
        """The messages, until the WebSocket closes with 1000, 1001 or without a code.

        Raises:
            ConnectionClosed: it closes with another code, or breaks: 1006.
        """
        while True:
            try:
                message = self.receive()
            except ConnectionClosed:
                if self.close_code in CLEAN:
                    return
                raise
            yield message

    def fragments(self, timeout: float | None = None) -> Iterator[str | bytes]:
        """The next message in pieces as they arrive, so that a large one is never in memory as a whole.

        The limit for a message counts here as well: open the WebSocket with a larger `max_size`, or None. What is left
        when the loop ends early is dropped.

        Args:
            timeout: seconds to wait for each piece; None waits for ever.

        Raises:
            ConnectionClosed, TimedOut, SocketBusy: while iterating; as `receive`.
        """
        if self._skipping:
            self._skip(None if timeout is None else time.monotonic() + timeout)
        parts, self._parts, self._joined = self._parts, [], 0
        self._skipping = bool(parts)
        yield from parts
        while True:
            piece = self._link.piece(timeout)
            self._skipping = not piece.last
            if piece.data:
                yield piece.data
            if piece.last:
                return

    def read_piece(self, timeout: float | None = None) -> Piece | None:
        """The next piece of a frame as it arrives (BAS ``sock:read``); use either this or `receive`.

        Returns:
            The piece; None when the WebSocket was closed in order, see `close_code`.

        Raises:
            ConnectionClosed: it closed with a code that says that something was wrong, or broke.
            TimedOut, SocketBusy: as `receive`.
        """
        try:
            return self._link.piece(timeout)
        except ConnectionClosed:
            if self.close_code in CLEAN:
                return None
            raise

    # Sending.

    def send(self, message: Message | Iterable[Message]) -> None:
        """Send a message; suspends while the peer is slower than we are.

        Args:
            message: text as `str`, binary as `bytes` or the like; or an iterable of either kind, of which each piece is
                sent as a fragment of one message as soon as it is there.

        Raises:
            ConnectionClosed: the WebSocket is closed; 1006 when the peer is gone, or takes nothing for `write_timeout`.
            TypeError: it is none of these.
        """
        if self._sender is not None:
            self._wait_for_sender(message)
        elif isinstance(message, str):
            self._link.send(TEXT, message.encode())
        elif isinstance(message, bytes):
            self._link.send(BINARY, message)
        elif isinstance(message, bytearray | memoryview):
            self._link.send(BINARY, bytes(message))
        else:
            self._send_fragments(message)

    def _send_fragments(self, pieces: Iterable[Message]) -> None:
        if isinstance(pieces, dict) or not isinstance(pieces, Iterable):
            raise TypeError(f"a message is str or bytes, or pieces of them, not {type(pieces).__name__}")
        self._sender = getcurrent()
        if self._fragmenting is None:
            self._fragmenting = Semaphore(1)
        self._fragmenting.acquire(blocking=False)
        begun = False
        try:
            istext = False
            for piece in pieces:
                if begun and isinstance(piece, str) is not istext:
                    raise TypeError("the pieces of one message are all str or all bytes")
                istext = isinstance(piece, str)
                payload = piece.encode() if isinstance(piece, str) else bytes(piece)
                self._link.send(CONT if begun else TEXT if istext else BINARY, payload, fin=False)
                begun = True
            if begun:
                self._link.send(CONT, b"")
                begun = False
        finally:
            if begun:
                self._link.close(1011, "")  # the message has no end, so nothing can follow it
            self._sender = None
            self._fragmenting.release()

    def _wait_for_sender(self, message: Message | Iterable[Message]) -> None:
        if self._sender is getcurrent():
            raise IncorrectUse("the pieces of a message cannot send another message in between")
        lock = self._fragmenting
        while self._sender is not None and lock is not None:
            lock.acquire()
            lock.release()
        self.send(message)

    def ping(self, data: str | bytes | None = None, timeout: float = PING_TIMEOUT) -> float:
        """Ask the peer for a sign of life and wait for it (RFC 6455 5.5.2).

        Silent peers are asked by themselves; this is to know it now, or to measure.

        Args:
            data: at most 125 bytes, which the peer sends back; random unless given.
            timeout: seconds to wait.

        Returns:
            Seconds until the answer came.

        Raises:
            ConnectionClosed: the WebSocket is closed.
            TimedOut: no answer came in time; the WebSocket stays open.
        """
        return self._link.ping(_ping_payload(secrets.token_bytes(4) if data is None else data), timeout)

    def send_ping(self, data: str | bytes = b"") -> None:
        """Send a ping and do not wait for the answer (BAS ``sock:ping``).

        Args:
            data: at most 125 bytes.

        Raises:
            ConnectionClosed: the WebSocket is closed.
        """
        if self._link.ended is not None:
            raise ConnectionClosed(*self._link.ended)
        self._link.control(PING, _ping_payload(data))

    def close(self, code: int = 1000, reason: str = "", timeout: float = CLOSE_TIMEOUT) -> None:
        """Close, and wait until the peer agrees; does nothing when it is closed.

        Messages that have come and were not received are lost. A greenlet that waits for one gets `ConnectionClosed`.

        Args:
            code: 1000 for the end, 1001 for a server that stops, 3000 to 4999 as the two sides see fit.
            reason: a few words for a person, at most 123 bytes of UTF-8.
            timeout: seconds to wait for the peer; then the connection is cut.

        Raises:
            ValueError: the code cannot be sent, or the reason is too long.
        """
        self._link.close(code, reason)
        self._link.wait_closed(timeout)

    def go_away(self) -> None:
        """Send 1001, without waiting for anything, and cut the connection soon: the server stops."""
        self._link.close(1001, "the server is going away", LINGER)

    # Inside.

    def _keep(self, piece: Piece) -> None:
        parts = self._parts
        if piece.data:
            parts.append(piece.data)
            if len(parts) - self._joined > JOINED:
                parts[self._joined :] = [_join(parts[self._joined :], piece.istext)]
                self._joined = len(parts)

    def _skip(self, deadline: float | None) -> None:
        while self._skipping:
            piece = self._link.piece(None if deadline is None else deadline - time.monotonic())
            self._skipping = not piece.last


def _join(parts: list[str | bytes], istext: bool) -> str | bytes:
    return "".join(parts) if istext else b"".join(parts)  # type: ignore[arg-type]


def _ping_payload(data: str | bytes) -> bytes:
    payload = data.encode() if isinstance(data, str) else bytes(data)
    if len(payload) > MAX_PING:
        raise ValueError(f"a ping carries at most {MAX_PING} bytes, not {len(payload)}")
    return payload
