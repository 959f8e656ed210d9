"""`LinkOutput`: how the frames of a WebSocket leave, from several greenlets and from the hub."""

from __future__ import annotations

import logging
from typing import NoReturn

from gevent.lock import Semaphore

from greenbas.dispatcher import spawn
from greenbas.errors import ConnectionClosed, NetError
from greenbas.net.stream import Buffer, Stream
from greenbas.protocol.websocketdeflate import Codec
from greenbas.protocol.websocketframe import CONT, FIN, PONG, make_frame

__all__ = ["CLOSING", "GONE", "LINGERING", "OPEN", "LinkOutput"]

# Open; our close frame has gone and the peer's is awaited; all is said and the peer is to close; closed.
OPEN, CLOSING, LINGERING, GONE = range(4)

_PONG_START = PONG | FIN
_log = logging.getLogger("greenbas.websocket")


class LinkOutput:
    """The sending half of a `Link`.

    Args:
        stream: after the handshake.
        client: our side is the client.
        codec: compression, if it was negotiated.
        write_timeout: seconds without progress after which sending gives up.

    Attributes:
        stream: the connection.
        ended: close code and reason once nothing more can be sent; None while the WebSocket is open.
    """

    __slots__ = ("_client", "_codec", "_lock", "_owed", "_state", "_write_timeout", "ended", "stream")

    def __init__(self, stream: Stream, client: bool, codec: Codec | None, write_timeout: float) -> None:
        self.stream = stream
        self.ended: tuple[int, str] | None = None
        self._client = client
        self._codec = codec
        self._state = OPEN
        self._lock: Semaphore | None = None  # made when somebody has to wait for the peer to take bytes
        self._owed: list[bytes] = []  # control frames for whoever holds the lock
        self._write_timeout = write_timeout

    def __repr__(self) -> str:
        state = ("open", "closing", "lingering", "closed")[self._state]
        return f"<{type(self).__name__} {state} {self.stream!r}>"

    def _lose(self, error: BaseException) -> None:
        # The connection is of no use any more; afterwards `ended` says why.
        raise NotImplementedError

    # Data frames, in a greenlet.

    def send(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        """Send a data frame; suspends while the peer takes nothing. Several greenlets may send at once.

        Raises:
            ConnectionClosed: the WebSocket has ended, or does now because the peer is gone or takes nothing.
        """
        if self.ended is not None:
            raise ConnectionClosed(*self.ended)
        lock = self._lock
        if lock is not None and lock.locked():
            lock.acquire()
            if self.ended is not None:
                lock.release()
                raise ConnectionClosed(*self.ended)
            self._write(self._frame(opcode, payload, fin), lock)
            return
        frame = self._frame(opcode, payload, fin)
        try:
            sent = self.stream.try_send(frame)
        except NetError as error:
            self._lose(error)
            self._raise(error)
        if sent == len(frame):
            self.stream.took(sent)
            return
        self._write(memoryview(frame)[sent:], self._take_lock())

    def _frame(self, opcode: int, payload: bytes, fin: bool) -> bytes:
        # Compressing and sending have to happen in the same order: one frame's window is the other's.
        compressed = False
        if self._codec is not None:
            compressed = opcode != CONT
            payload = self._codec.compress(payload, first=compressed, last=fin)
        return make_frame(opcode, payload, fin=fin, masked=self._client, compressed=compressed)

    def _take_lock(self) -> Semaphore:
        # Nobody has it, so this does not wait: also for the hub.
        if self._lock is None:
            self._lock = Semaphore(1)
        self._lock.acquire(blocking=False)
        return self._lock

    def _write(self, data: Buffer, lock: Semaphore) -> None:
        # With the lock, which is released.
        try:
            self.stream.write(data, self._write_timeout)
            self._pay()
        except BaseException as error:
            self._lose(error)  # part of a frame may have gone: nothing can follow
            if isinstance(error, NetError):
                self._raise(error)
            raise
        finally:
            lock.release()

    def _pay(self) -> None:
        while self._owed:
            data = b"".join(self._owed)
            self._owed.clear()
            self.stream.write(data, self._write_timeout)
        if self._state == LINGERING:
            self.stream.shutdown()

    def _raise(self, error: NetError) -> NoReturn:
        assert self.ended is not None
        raise ConnectionClosed(*self.ended) from error

    # Control frames: these never wait.

    def control(self, opcode: int, payload: bytes = b"") -> None:
        """Send a control frame, or see to it that it is sent."""
        frame = make_frame(opcode, payload, masked=self._client)
        lock = self._lock
        if lock is not None and lock.locked():
            self._owe(frame)
            return
        try:
            sent = self.stream.try_send(frame)
        except NetError as error:
            self._lose(error)
            return
        if sent < len(frame):
            spawn(self._write_quietly, frame[sent:], self._take_lock(), name=f"websocket {self!r}")

    def _owe(self, frame: bytes) -> None:
        # RFC 6455 5.5.3: of several pings the last one may be answered alone. So a peer that sends pings and reads
        # nothing fills no memory.
        if self._owed and frame[0] == _PONG_START == self._owed[-1][0]:
            self._owed[-1] = frame
        else:
            self._owed.append(frame)

    def _write_quietly(self, data: bytes, lock: Semaphore) -> None:
        try:
            self._write(data, lock)
        except ConnectionClosed as closed:
            _log.debug("%r: %s", self, closed)
