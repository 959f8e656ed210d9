"""`OutputBase`: the buffer of a response, and when its head and its bytes leave.

Rules of this file. Status and headers may change until the head is *committed*, which happens when the buffer
overflows, on `flush`, on `send`, or at the end. A response that ends uncommitted gets a Content-Length; one that
commits earlier is chunked, or raw when the handler announced its length, or ends with the connection for HTTP/1.0.
Framing headers are ours: no handler can contradict the bytes that follow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from greenbas.errors import (
    Abort,
    Expired,
    LocalProtocolError,
    MixingWriteSend,
    NetError,
    SocketBusy,
    SocketClosed,
)
from greenbas.http.responsehead import ResponseHead
from greenbas.net import Buffer
from greenbas.protocol.status import BODILESS

if TYPE_CHECKING:
    from greenbas.http.connection import Connection
    from greenbas.http.filter import Filter
    from greenbas.http.request import Request

__all__ = ["MSG_MORE", "NO_LINES", "Mode", "OutputBase", "as_bytes"]

Mode = Literal["", "write", "send", "aborted", "over"]

_log = logging.getLogger("greenbas.http")

LARGE = 256 * 1024  # a body beyond this goes out by itself: joining it with the head would copy it once more
NO_LINES: dict[str, bytes] = {}
_HTML_LINE = b"Content-Type: text/html; charset=utf-8\r\n"
_HTML_LINES = {"content-type": _HTML_LINE}
_OVER = "request/response expired: it was used after the request had ended"
MSG_MORE = 0x8000  # Linux: more follows, so the head and the file that comes behind it share packets


class OutputBase(ResponseHead):
    """Head, buffer and wire of a response."""

    __slots__ = (
        "_before",
        "_body_size",
        "_chunked",
        "_connection",
        "_mode",
        "_parts",
        "_sent",
        "_size",
        "_trailers",
        "broken",
        "filter",
    )

    _before: Mode  # the mode that an abort ended

    def __init__(self, connection: Connection, request: Request) -> None:
        # All in one place, without a call of super(): it is the path of every request.
        self._connection = connection
        self._request = request
        self._status = 200
        self._reason = None
        self._lines = None
        self._announced = None
        self._committed = False
        self._close = False
        self._downgraded = False
        self._parts: list[bytes] = []
        self._size = 0  # bytes in _parts
        self._body_size = 0  # bytes of body produced before those
        self._sent = 0  # bytes of body that went out
        self._chunked = False
        self._trailers = b""
        self._mode: Mode = ""
        self.filter: Filter | None = None  # the one that is active
        self.broken: NetError | None = None  # why the client can no longer be reached

    def __repr__(self) -> str:
        committed = " committed" if self._committed else ""
        return f"<{type(self).__name__} {self._status}{committed} {self.byte_count()} bytes>"

    # Output.

    def write(self, *data: str | Buffer) -> int:
        """Add to the output; text as UTF-8 (BAS ``response:write``).

        Args:
            *data: text or bytes.

        Returns:
            The bytes of body produced so far.

        Raises:
            MixingWriteSend: `send` was used before.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
            LocalProtocolError: more than the announced Content-Length.
        """
        if self._mode != "write":
            self._enter("write")
        parts = self._parts
        for piece in data:
            if type(piece) is not bytes:
                piece = piece.encode() if isinstance(piece, str) else as_bytes(piece)
            parts.append(piece)
            self._size += len(piece)
        if self._announced is not None and self._body_size + self._size > self._announced:
            self._parts.clear()
            self._size = 0
            raise LocalProtocolError(f"more than the announced Content-Length of {self._announced} was written")
        if self._size > self._connection.service.settings.response_buffer:
            self._overflow()
        return self._body_size + self._size

    def flush(self) -> None:
        """Send what is buffered, the head included (BAS ``response:flush``).

        Raises:
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        self._check_running()
        if self.filter is not None:
            self.filter.flush()
        else:
            self._flush_parts()

    def byte_count(self) -> int:
        """Bytes of body produced so far (BAS ``response:bytecount``)."""
        return self._body_size + self._size

    def write_size(self) -> int:
        """Bytes that wait in the buffer (BAS ``response:writesize``)."""
        return self._size

    def valid(self) -> bool:
        """False once the request is over (BAS ``response:valid``)."""
        return self._request.valid()

    # For directories and the connection.

    def finish_with(self, body: bytes, lines: Mapping[str, bytes] = _HTML_LINES) -> None:
        """Use `body` as a handler's result, with these header lines (by lower-case name) where it has set none."""
        if self._mode or self._committed:
            self._check_running()
            if not self._committed and not self._request.included:
                self._lines = {**lines, **(self._lines or NO_LINES)}
            self.write(body)
            return
        self._lines = lines if self._lines is None else {**lines, **self._lines}
        self._mode = "write"
        self._parts = [body]
        self._size = len(body)

    def take_worker(self) -> None:
        """The bytes have gone, and the handler goes on: it counts again; see `release_worker`."""
        self._connection.service.workers.take_slot()

    def release_worker(self) -> None:
        """Only bytes are left to send: from here on a slow client takes no worker from other handlers."""
        self._connection.service.workers.release_slot()

    def break_off(self, error: NetError) -> None:
        """The rest cannot be produced: end the connection, so that the client does not take the part for the whole."""
        self.broken = self.broken or error

    def is_lost_by(self, error: NetError) -> bool:
        """Whether an error that ended the handler only tells that the client is gone."""
        if self.broken is None:
            return False
        return self._mode != "over" or isinstance(error, SocketClosed)  # "over": who has the connection now knows

    @property
    def body_sent(self) -> int:
        """Bytes of body that went to the client, framing not counted."""
        return self._sent

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can serve another request after this response."""
        return not self._close and self.broken is None

    def finish(self) -> None:
        """Send what is left and end the message; nothing more can be written.

        Raises:
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        if self.broken is not None:
            raise self.broken
        if not self._committed:
            self._finish_at_once()
            return
        if self._size:
            self._flush_parts(final=True)
        if self._chunked:
            self._transmit(b"0\r\n%b\r\n" % self._trailers, final=True)
        elif self._announced is not None and self._body_size < self._announced:
            self._break_promise(self._body_size)

    def expire(self) -> None:
        """The request is over: whoever kept this object must not reach into the next response of the connection."""
        self._committed = True
        self._mode = "over"
        self.broken = None  # its traceback holds the frames of the handler

    # Inside.

    def _enter(self, mode: Literal["write", "send"]) -> None:
        self._check_running()
        if self._mode and self._mode != mode:
            raise MixingWriteSend("write() and send() in one response: use one of them")
        self._mode = mode

    def _check_running(self) -> None:
        if self._mode == "over":
            raise Expired(_OVER)
        if self._mode == "aborted":
            raise Abort  # once more: somebody has caught it and goes on, and there shall be no more output

    def _overflow(self) -> None:
        if self.filter is not None:
            self.filter.take()
        elif self._is_bodiless() and not self._committed:
            # HEAD tells the length that GET would have (RFC 9110 9.3.2): count on, keep nothing.
            self._parts.clear()
            self._body_size += self._size
            self._size = 0
        else:
            self._flush_parts()

    def _finish_at_once(self) -> None:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        length = self._body_size + self._size
        message = self._request.message
        service = self._connection.service
        lines = self._lines
        plain = message.plain and not (self._close or service.draining) and self._status not in BODILESS
        if plain and lines is not None and self._announced is None and length <= LARGE:
            # The way of nearly every response, in one piece; what follows is the general one.
            self._committed = True
            fields = b"".join(lines.values())
            if length and "content-type" not in lines:
                fields += _HTML_LINE
            data = b"%b%bContent-Length: %d\r\n\r\n%b" % (self._start_of_head(lines), fields, length, body)
            self._body_size = self._sent = length
            self._size = 0
            self._transmit(data, final=True)
            return
        head, body = self._general_head(body, length)
        self._body_size, self._sent = length, len(body)
        self._size = 0
        self._parts = []
        if len(body) <= LARGE:
            self._transmit(head + body, final=True)
        else:
            self._transmit(head, MSG_MORE)
            self._transmit(body, final=True)

    def _general_head(self, body: bytes, length: int) -> tuple[bytes, bytes]:
        # The head, and the body that goes with it: none for HEAD and some statuses.
        if self._announced is None:
            self._announced = length
        elif self._announced != length and not self._is_bodiless():
            self._break_promise(length)
        return b"".join(self._commit()), b"" if self._is_bodiless() else body

    def _break_promise(self, length: int) -> None:
        # The client was told more: only the end of the connection shows it.
        self._close = True
        _log.warning("%r: the body has %d bytes, Content-Length says %d", self._request, length, self._announced)

    def _flush_parts(self, final: bool = False) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._body_size += len(data)
        self._size = 0
        head = b"" if self._committed else b"".join(self._commit())
        if self._is_bodiless():
            data = b""
        self._sent += len(data)
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self._transmit(head + data, final=final)

    def _commit(self) -> list[bytes]:
        # The head, in pieces to be joined, perhaps with the body.
        self._committed = True
        message = self._request.message
        connection = self._connection
        lines = self._lines or NO_LINES
        head = [self._start_of_head(lines), *lines.values()]
        if self._status == 205:
            head.append(b"Content-Length: 0\r\n")
        # RFC 9110 8.6: a 204 has no Content-Length, and in a 304 it would be that of a 200.
        elif self._status not in BODILESS:
            if self._announced != 0 and "content-type" not in lines:
                head.append(_HTML_LINE)
            if self._announced is not None:
                head.append(b"Content-Length: %d\r\n" % self._announced)
            elif message.http11 and not self._downgraded:
                self._chunked = not self._is_bodiless()
                head.append(b"Transfer-Encoding: chunked\r\n")
            else:
                self._close = True
        if message.expects_continue:
            self._request.stream.asked_to_continue = True  # an interim response cannot follow this one
        if self._close or not connection.may_keep_alive(message):
            self._close = True
            head.append(b"Connection: close\r\n\r\n")
        else:
            head.append(b"\r\n" if message.http11 else b"Connection: keep-alive\r\n\r\n")
        return head

    def _start_of_head(self, lines: Mapping[str, bytes]) -> bytes:
        start = self._connection.service.head_start
        if len(lines) > 1 and ("date" in lines or "server" in lines):
            return start.lines_beside(self._status, self._reason, lines)
        return start.lines(self._status, self._reason)

    def _is_bodiless(self) -> bool:
        return self._status in BODILESS or self._request.method == "HEAD"

    def _transmit(self, data: bytes, flags: int = 0, *, final: bool = False) -> None:
        connection = self._connection
        try:
            sent = connection.stream.try_send(data, flags)
            if sent < len(data):
                if final:
                    connection.service.workers.release_slot()
                connection.stream.write(memoryview(data)[sent:], connection.service.settings.write_timeout)
        except SocketBusy:
            raise  # a mistake of the handler's greenlets; what the other one writes goes on
        except NetError as error:
            self.broken = error
            raise


def as_bytes(data: Any) -> bytes:
    """What may be written, as bytes.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)  # a copy: the caller may go on using its buffer
    raise TypeError(f"output is str or bytes, not {type(data).__name__}: {data!r:.80}")
