"""`LinkEnd`: how long a WebSocket lives: pings, and each way in which it can end."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from gevent.event import Event

from greenbas.errors import ConnectionClosed, TimedOut
from greenbas.net.stream import Stream
from greenbas.net.websocketkeeper import forget
from greenbas.net.websocketoutput import CLOSING, GONE, LINGERING, OPEN, LinkOutput
from greenbas.protocol.websocket import Piece
from greenbas.protocol.websocketdeflate import Codec
from greenbas.protocol.websocketframe import CLOSE, PING, close_payload, parse_close
from greenbas.protocol.websocketlimits import CLOSE_TIMEOUT

__all__ = ["LINGER", "LinkEnd"]

# Seconds for the peer to close the connection after our close frame says what it did wrong. Closing with unread input
# would reset the connection, and the peer would never read our close frame.
LINGER = 3.0
LOOKS = 16  # looks at what has arrived when sending has failed: somewhere in it may be the close frame that says why

_log = logging.getLogger("greenbas.websocket")


class LinkEnd(LinkOutput):
    """Pings and ends of a `Link`, which has the same arguments.

    Attributes:
        heard: something has come since the keeper looked last.
        due: when the keeper has to do something, in monotonic seconds.
    """

    __slots__ = (
        "_absorbing",
        "_ahead",
        "_done",
        "_failing",
        "_on_close",
        "_paused",
        "_ping_interval",
        "_ping_timeout",
        "_pinged",
        "_pings",
        "_queue",
        "due",
        "heard",
    )

    def __init__(
        self,
        stream: Stream,
        client: bool,
        codec: Codec | None,
        write_timeout: float,
        ping_interval: float | None,
        ping_timeout: float,
    ) -> None:
        super().__init__(stream, client, codec, write_timeout)
        self.heard = False
        self._queue: deque[Piece] = deque()
        self._ahead = 0  # what the queue holds, about, in bytes
        self._paused = False  # the queue holds enough
        self._absorbing = False  # input is being taken: who waits is told behind it
        self._failing: ConnectionClosed | None = None  # what comes behind the messages in the queue
        self._done: Event | None = None
        self._pings: dict[bytes, Event] | None = None
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._pinged = False
        self.due = self._next_ping(time.monotonic())
        self._on_close: Callable[[], object] | None = stream.on_close
        stream.on_close = self._stream_closed

    # What `Link` does.

    def _wake(self) -> None:
        # Tell who waits for input.
        raise NotImplementedError

    def _look_again(self) -> None:
        # Take input again after a pause.
        raise NotImplementedError

    def _drain(self, looks: int) -> None:
        # Take what has arrived.
        raise NotImplementedError

    # Pings.

    def ping(self, payload: bytes, timeout: float) -> float:
        """Ask the peer for a sign of life; returns how many seconds it took.

        Raises:
            ConnectionClosed: the WebSocket has ended.
            TimedOut: no answer came.
        """
        if self.ended is not None:
            raise ConnectionClosed(*self.ended)
        if self._pings is None:
            self._pings = {}
        answered = self._pings.setdefault(payload, Event())
        started = time.monotonic()
        self.control(PING, payload)
        try:
            if not answered.wait(timeout):
                raise TimedOut(f"no answer to a ping for {timeout:g} s")
        finally:
            self._pings.pop(payload, None)
        if self.ended is not None:
            raise ConnectionClosed(*self.ended)
        return time.monotonic() - started

    def _answered(self, payload: bytes) -> None:
        # RFC 6455 5.5.3: an answer may stand for the pings before it as well.
        pings = self._pings
        if pings and payload in pings:
            for sent, answered in list(pings.items()):
                answered.set()
                if sent == payload:
                    break

    def tick(self, now: float) -> None:
        """What has to be done now and then; called in the hub."""
        if self._state != OPEN:
            self.heard = False
            if self.due <= now:
                self._go()
        elif self._failing is not None:
            if self.due <= now:
                self._fail(self._failing)
        elif self.heard or self._paused or (self._lock is not None and self._lock.locked()):
            # Alive; or we are slower than the peer; or a large message is on its way, and has a time-out of its own.
            self.heard = self._pinged = False
            self.due = self._next_ping(now)
        elif not self._pinged:
            self._pinged = True
            self.due = now + self._ping_timeout
            self.control(PING)
        else:
            self._end(1006, f"no answer to a ping for {self._ping_timeout:g} s")
            self.control(CLOSE, close_payload(1011, "keepalive ping timeout"))
            self._go()

    def _next_ping(self, now: float) -> float:
        return float("inf") if self._ping_interval is None else now + self._ping_interval

    # The end.

    def close(self, code: int, reason: str, patience: float = CLOSE_TIMEOUT) -> None:
        """Send a close frame if none was sent, without waiting for anything; what has come and was not taken is lost.

        Args:
            code: the close code.
            reason: words for a person.
            patience: seconds for the peer's close frame; then the connection is cut.

        Raises:
            ValueError: the code cannot be sent, or the reason is too long.
        """
        payload = close_payload(code, reason)
        if self._state != OPEN:
            return
        self._queue.clear()
        self._ahead = 0
        self._state = CLOSING
        self.due = time.monotonic() + patience
        self._end(code, reason)
        self.control(CLOSE, payload)
        if self._paused or self._failing is not None:
            self._look_again()

    def wait_closed(self, timeout: float) -> None:
        """Wait until both sides have said that they close, or the connection is gone; then close it at the latest."""
        if self._state == CLOSING:
            if self._done is None:
                self._done = Event()
            if not self._done.wait(timeout):
                self._go()

    def _end(self, code: int, reason: str) -> None:
        # From here on nothing is sent, and who waits learns it.
        if self.ended is None:
            self.ended = code, reason
        for answered in (self._pings or {}).values():
            answered.set()
        if not self._absorbing:
            self._wake()

    def _linger(self, seconds: float) -> None:
        # All is said; the connection is closed when the peer closes it, or after these seconds.
        if self._state == GONE:
            return
        self._state = LINGERING
        self.due = time.monotonic() + seconds
        if self._done is not None:
            self._done.set()
        if self._lock is None or not self._lock.locked():
            self.stream.shutdown()

    def _fail_soon(self, failure: ConnectionClosed) -> None:
        # What came before it was in order, and can be answered before the end: whoever asks for more ends it.
        if self._queue and self._state == OPEN:
            self._failing = failure
            self.due = time.monotonic() + LINGER
            self.stream.pause()
        else:
            self._fail(failure)

    def _fail(self, failure: ConnectionClosed) -> None:
        # The peer broke the protocol (RFC 6455 7.1.7).
        if self._failing is not None:
            self._failing = None
            self._look_again()
        _log.info("%s: %s", self.stream.peername()[0], failure)
        already = self._state != OPEN
        self._end(failure.code, failure.reason)
        if not already:
            self.control(CLOSE, close_payload(int(failure.code), failure.reason))
        self._linger(LINGER)

    def _closed_by_peer(self, payload: bytes) -> None:
        code, reason = parse_close(payload)
        was_open = self._state == OPEN
        self._end(code, reason)
        if was_open:
            self._state = CLOSING
            self.control(CLOSE, payload[:2])
        # RFC 6455 7.1.1: it is the server that closes. The peer has said its last word; the keeper's next look is time
        # enough for what it has sent behind that nevertheless.
        self._linger(LINGER if self._client else 0.0)

    def _lose(self, error: BaseException) -> None:
        # Sending has failed. Perhaps the peer has said why, and it is not read yet.
        if self.ended is None and not self._absorbing:
            self._drain(LOOKS)
        self._end(1006, str(error) or type(error).__name__)
        self._go()

    def _go(self) -> None:
        if self._state != GONE:
            self.stream.close()  # which calls `_stream_closed`

    def _stream_closed(self) -> None:
        self._state = GONE
        forget(self)
        self._end(1006, "the connection was closed")
        if self._done is not None:
            self._done.set()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
