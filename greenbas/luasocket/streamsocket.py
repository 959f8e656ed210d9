"""What TCP and Unix streams have in common: listening, accepting, sending and receiving by pattern."""

from __future__ import annotations

import _socket
import socket
import time
from typing import Any

from greenbas.luasocket.base import DONE, BaseSocket, Done, Value
from greenbas.luasocket.messages import ErrorText, error_text
from greenbas.luasocket.receive import Buffer, parse_pattern
from greenbas.luasocket.usage import Data, invalid, number, optional, payload, text
from greenbas.luasocket.waiting import READ, WRITE, took
from greenbas.net.resolver import host_words

__all__ = ["BACKLOG", "StreamSocket"]

BACKLOG = 32  # connections that wait to be accepted
SEND_SIZE = 256 * 1024  # bytes offered to one send

Received = tuple[bytes, None, None] | tuple[None, ErrorText, bytes]
Sent = tuple[int, None, None] | tuple[None, ErrorText, int]

_SHUTDOWN = {"receive": socket.SHUT_RD, "send": socket.SHUT_WR, "both": socket.SHUT_RDWR}


class StreamSocket(BaseSocket):
    """A stream: a master that becomes a server by listening, or a client by connecting."""

    __slots__ = ("_birth", "_buffer", "_received", "_sent")

    def __init__(self, group: str, state: str, sock: _socket.socket | None = None) -> None:
        super().__init__(group, state, socket.SOCK_STREAM, sock)
        self._buffer = Buffer()
        self._birth = time.monotonic()
        self._received = 0
        self._sent = 0

    def listen(self, backlog: int | str | None = BACKLOG) -> Done:
        """Begin to listen; the class becomes server.

        Args:
            backlog: connections that may wait to be accepted.
        """
        self._need("listen", "master")
        count = int(optional(backlog, BACKLOG, 1, "listen"))
        try:
            self._born().listen(count)
        except OSError as error:
            return None, error_text(error, f"listen on {self._words()}")
        self._state = "server"
        return DONE

    def accept(self) -> Value:
        """The next connection, as a client whose own time-outs are off."""
        self._need("accept", "server")
        self._timeouts.mark()
        try:
            return self._reading(self._attempt, READ, self._accept_now), None
        except OSError as error:
            return None, error_text(error, f"accept on {self._words()}")

    def send(self, data: Data | list[Any] | tuple[Any, ...], i: int | str | None = 1, j: int | str | None = -1) -> Sent:
        """Send all of the data, or what lies between two positions.

        Args:
            data: bytes, text (as UTF-8), a number, or a list of them.
            i: the first byte to send, counted from 1; a negative one counts from the end.
            j: the last one.

        Returns:
            The position of the last byte sent, None, None; or None, the error, and that position: a call with the next
            one goes on.
        """
        self._need("send", "client")
        content = payload(data, 1, "send")
        if i == 1 and j == -1:
            first, last = 1, len(content)
        else:
            first, last = _between(len(content), optional(i, 1, 2, "send"), optional(j, -1, 3, "send"))
        self._timeouts.mark()
        start = first - 1
        before = self._sent - start
        try:
            self._writing(self._send_all, memoryview(content)[start : max(start, last)])
        except OSError as error:
            return None, error_text(error, f"send {last - start} bytes on {self._words()}"), self._sent - before
        return self._sent - before, None, None

    def receive(self, pattern: int | str | bytes | None = "*l", prefix: Data | None = b"") -> Received:
        """Receive by pattern.

        Args:
            pattern: "*l" for a line without its end, in which no CR is left; "*a" for all until the end; or a number of
                bytes, where 0 waits until there is input. BAS writes "l" and "a".
            prefix: what a call that failed gave as its third value. It stands before the data and counts towards a
                number of bytes.

        Returns:
            The data, None, None; or None, the error, and what was received before it.
        """
        self._need("receive", "client")
        what = parse_pattern(pattern)
        self._timeouts.mark()
        data, failure = self._reading(self._buffer.receive, what, b"" if prefix is None else prefix, self._read)
        if failure is None:
            return data, None, None
        return None, error_text(failure, f"receive on {self._words()}"), data

    def shutdown(self, how: str | None = "both") -> int:
        """End one direction, "receive" or "send", or "both"; what fails is ignored.

        Returns:
            1
        """
        self._need("shutdown", "client")
        direction = _SHUTDOWN.get("both" if how is None else text(how, 1, "shutdown"))
        if direction is None:
            raise invalid(1, "shutdown", f"invalid option '{how}'")
        if self._sock is not None:
            self._shut(direction)
        return 1

    def getstats(self) -> tuple[int, int, float]:
        """Bytes that were received by the program, bytes sent, and the age in seconds."""
        self._need("getstats", "client")
        return self._received + self._buffer.consumed, self._sent, time.monotonic() - self._birth

    def setstats(self, received: int | None = None, sent: int | None = None, age: float | None = None) -> int:
        """Set what `getstats` tells; None leaves a value as it is.

        Returns:
            1
        """
        self._need("setstats", "client")
        if received is not None:
            self._received = int(number(received, 1, "setstats")) - self._buffer.consumed
        if sent is not None:
            self._sent = int(number(sent, 2, "setstats"))
        if age is not None:
            self._birth = time.monotonic() - number(age, 3, "setstats")
        return 1

    def close(self) -> int:
        """Close; what nobody has received is dropped, and greenlets that wait on the socket get "closed".

        Returns:
            1
        """
        self._buffer.take()
        return super().close()

    def dirty(self) -> bool:
        """Whether there are bytes that were read and not yet received."""
        return bool(self._buffer)

    # Inside. What moves bytes goes through `_pull` and `_push`.

    def _pull(self, size: int) -> bytes:
        return self._open().recv(size)

    def _push(self, data: memoryview) -> int:
        return self._open().send(data)

    def _shut(self, direction: int) -> None:
        try:
            self._open().shutdown(direction)
        except OSError:
            return  # the peer was faster

    def _read(self, size: int) -> bytes:
        data = self._attempt(READ, self._pull, size)
        took(len(data))
        return data

    def _send_all(self, data: memoryview) -> None:
        self._open()
        while data:
            count = self._attempt(WRITE, self._push, data[:SEND_SIZE])
            self._sent += count
            data = data[count:]
            took(count)

    def _accept_now(self) -> StreamSocket:
        while True:
            try:
                fd, place = self._open()._accept()  # type: ignore[attr-defined]
            except ConnectionAbortedError:
                continue  # it was gone before anybody looked
            sock = self._open()
            made = type(self)._of(_socket.socket(sock.family, sock.type, sock.proto, fileno=fd))
            if isinstance(place, tuple):
                made._peer = host_words(place[0], place[1])
            return made

    @classmethod
    def _of(cls, sock: _socket.socket) -> StreamSocket:
        """A client on an accepted socket."""
        raise NotImplementedError


def _between(size: int, i: float, j: float) -> tuple[int, int]:
    """Positions as Lua has them, made positive and cut to the data."""
    first, last = int(i), int(j)
    if first < 0:
        first += size + 1
    if last < 0:
        last += size + 1
    return max(first, 1), min(last, size)
