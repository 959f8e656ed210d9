"""`Outgoing`: bytes on their way to a stream, in order, whoever writes them."""

from __future__ import annotations

from collections import deque
from typing import Any

from greenlet import getcurrent, greenlet

from greenbas.errors import NetError, TimedOut
from greenbas.net.stream import SEND_SIZE, TURN_SIZE, Buffer, Stream

__all__ = ["WRITE_TIMEOUT", "Outgoing", "as_bytes"]

WRITE_TIMEOUT = 30.0  # seconds without any progress: a peer that takes nothing for this long is gone

_WRITE = 2  # libev's event flag


def as_bytes(data: str | Buffer) -> Buffer:
    """Text as UTF-8, and buffers with items of a byte."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray):
        return data
    return memoryview(data).cast("B")


class Outgoing:
    """What several greenlets write to one stream.

    Whatever the kernel takes leaves at once; the rest is sent by a callback in the hub, so that a writer can go on, or
    wait for the end of his bytes.

    Args:
        stream: nobody else writes to it.
    """

    __slots__ = ("_error", "_pieces", "_put", "_sent", "_stream", "_timer", "_waiting", "_watcher", "queued", "timeout")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._pieces: deque[memoryview] = deque()
        self.queued = 0  # bytes that the kernel has not taken yet
        self._put = self._sent = 0  # bytes so far: by them a writer knows when his have gone
        self._waiting: list[tuple[int, greenlet]] = []
        self._watcher: Any = None
        self._timer: Any = None
        self._error: NetError | None = None
        self.timeout: float | None = WRITE_TIMEOUT

    @property
    def is_waited_for(self) -> bool:
        """Whether a writer waits until his bytes have gone."""
        return bool(self._waiting)

    def put(self, data: Buffer) -> int:
        """Send bytes, or queue what does not go at once.

        Args:
            data: from `as_bytes`.

        Returns:
            The bytes that are queued now.

        Raises:
            SocketClosed: the connection is broken, or closed here.
            TimedOut: the peer has taken nothing for too long.
        """
        if not self.queued and self._error is None:
            stream = self._stream
            try:
                # As try_send() and took(): this is the way of nearly every write, and a call a fiftieth of its time.
                sent = stream._send(data, 0)
            except BlockingIOError:
                sent = 0
            except NetError:
                raise
            except OSError as error:
                raise stream._broken("writing", error) from error
            stream._turn += sent
            if stream._turn >= TURN_SIZE:
                stream.took(0)
            if sent == len(data):
                return 0
            self._queue(memoryview(data)[sent:])
            self._start()
            return self.queued
        if self._error is not None:
            raise self._error
        self._queue(memoryview(data))
        return self.queued

    def drain(self) -> None:
        """Wait until everything that was put so far has gone; raises as `put`."""
        if self._error is not None:
            raise self._error
        if not self._pieces:
            return
        entry = self._put, getcurrent()
        self._waiting.append(entry)
        try:
            outcome = self._stream.hub.switch()
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        if isinstance(outcome, NetError):
            raise outcome

    def stop(self, error: NetError) -> None:
        """Drop what is queued; whoever waits, and puts more, gets `error`."""
        if self._error is None:
            self._error = error
        self._pieces.clear()
        self.queued = 0
        self._end_watching()
        if self._waiting:
            self._stream.hub.loop.run_callback(self._wake_all)

    def _queue(self, view: memoryview) -> None:
        if not view.readonly:
            view = memoryview(bytes(view))  # the writer may go on using its buffer
        self._pieces.append(view)
        self.queued += len(view)
        self._put += len(view)

    # In the hub.

    def _start(self) -> None:
        stream = self._stream
        self._watcher = stream.hub.loop.io(stream.sock.fileno(), _WRITE)
        self._watcher.start(self._writable)
        if self.timeout is not None:
            self._timer = stream.hub.loop.timer(self.timeout)
            self._timer.start(self._timed_out)

    def _writable(self) -> None:
        before = self._sent
        try:
            while self._pieces and self._sent - before < TURN_SIZE:
                piece = self._pieces[0]
                sent = self._stream.try_send(piece[:SEND_SIZE])
                if not sent:
                    break
                self._sent += sent
                self.queued -= sent
                if sent == len(piece):
                    self._pieces.popleft()
                else:
                    self._pieces[0] = piece[sent:]
        except NetError as error:
            self.stop(error)
            return
        if self._sent == before:
            return
        if not self._pieces:
            self._end_watching()
        elif self._timer is not None:
            self._timer.again(self._timed_out)
        self._wake_those_done()

    def _wake_those_done(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._sent:
            self._waiting.pop(0)[1].switch(None)

    def _wake_all(self) -> None:
        while self._waiting:  # who was killed meanwhile has removed himself
            self._waiting.pop(0)[1].switch(self._error)

    def _timed_out(self) -> None:
        self.stop(TimedOut(f"{self._stream!r} took nothing for {self.timeout:g} s; {self.queued} bytes are lost"))
        self._stream.close()

    def _end_watching(self) -> None:
        for watcher in (self._watcher, self._timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._timer = None
