"""`Output`: what a response sends, and when it leaves.

Rules of this file. Status and headers may change until the head is *committed*, which happens when the buffer
overflows, on `flush`, on `send`, or at the end. A response that ends uncommitted gets a Content-Length; one that
commits earlier is chunked, or raw when the handler announced its length, or ends with the connection for HTTP/1.0.
Framing headers are ours: no handler can contradict the bytes that follow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from greenbas.errors import (
    Abort,
    Expired,
    IncorrectUse,
    LocalProtocolError,
    MixingWriteSend,
    NetError,
    SocketBusy,
    SocketClosed,
)
from greenbas.http.responsehead import ResponseHead
from greenbas.net import Buffer, Stream, send_file
from greenbas.protocol import reason as reason_phrase
from greenbas.protocol.headers import header_line
from greenbas.protocol.status import BODILESS

if TYPE_CHECKING:
    from greenbas.http.connection import Connection
    from greenbas.http.filter import Filter
    from greenbas.http.request import Request

__all__ = ["Kept", "Output"]

Mode = Literal["", "write", "send", "aborted", "over"]
Kept = tuple[list[bytes], int, int, int | None, Mode, Any]  # output that is set aside

_log = logging.getLogger("greenbas.http")

LARGE = 256 * 1024  # a body beyond this goes out by itself: joining it with the head would copy it once more
_NO_LINES: dict[str, bytes] = {}
_HTML_LINE = b"Content-Type: text/html; charset=utf-8\r\n"
_HTML_LINES = {"content-type": _HTML_LINE}
_OVER = "request/response expired: it was used after the request had ended"
_MSG_MORE = 0x8000  # Linux: more follows, so the head and the file that comes behind it share packets


class Output(ResponseHead):
    """A response without the conveniences; `Response` adds those."""

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
                piece = piece.encode() if isinstance(piece, str) else _as_bytes(piece)
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

    def send(self, data: str | Buffer) -> None:
        """Send raw bytes at once; needs `set_content_length` first (BAS ``response:send``).

        Raises:
            MixingWriteSend: `write` was used before.
            IncorrectUse: no length is announced.
            LocalProtocolError: more than the announced length.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        self._enter("send")
        self.bypass_filter()
        if self._announced is None:
            raise IncorrectUse("send() needs the size first: call set_content_length")
        data = data.encode() if isinstance(data, str) else _as_bytes(data)
        if self._body_size + len(data) > self._announced:
            raise LocalProtocolError(f"more than the announced Content-Length of {self._announced} was sent")
        self._parts.append(data)
        self._size = len(data)
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
                self._lines = {**lines, **(self._lines or _NO_LINES)}
            self.write(body)
            return
        self._lines = lines if self._lines is None else {**lines, **self._lines}
        self._mode = "write"
        self._parts = [body]
        self._size = len(body)

    def send_file(self, fd: int, offset: int, count: int) -> None:
        """Send part of a file as it is, within the announced Content-Length.

        Args:
            fd: a descriptor of a regular file, open for reading.
            offset: the first byte.
            count: how many bytes.

        Raises:
            IncorrectUse: no length is announced, or `write` was used.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        if self._announced is None or self._mode == "write":
            raise IncorrectUse("send_file() needs set_content_length first, and no write()")
        self._enter("send")
        self.bypass_filter()
        if not self._committed:
            self._transmit(b"".join(self._commit()), _MSG_MORE if not self._is_bodiless() else 0)
        if self._is_bodiless():
            self._body_size += count
            return
        self.release_worker()
        connection = self._connection
        try:
            sent = send_file(connection.stream, fd, offset, count, connection.service.settings.write_timeout)
        except NetError as error:
            self.broken = error
            raise
        finally:
            self.take_worker()  # whoever catches an error goes on as a handler
        self._body_size += sent
        self._sent += sent

    def send_by(self, move: Callable[[Stream], int]) -> int:
        """Have somebody else send part of the body, within the announced Content-Length.

        Args:
            move: called with the client's stream when all that was written is in the kernel. It sends bytes of the
                body there and returns how many; if it has sent others than it says, it has to raise a NetError.

        Returns:
            What `move` has returned.

        Raises:
            IncorrectUse: no length is announced, or `write` was used, or this response has no body.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        if self._announced is None or self._mode == "write" or self._is_bodiless():
            raise IncorrectUse("send_by() needs set_content_length first, a status with a body, and no write()")
        self._enter("send")
        self.bypass_filter()
        if not self._committed:
            self._transmit(b"".join(self._commit()), _MSG_MORE)
        try:
            sent = move(self._connection.stream)
        except NetError as error:
            self.broken = error
            raise
        self._body_size += sent
        self._sent += sent
        return sent

    def set_trailers(self, lines: bytes) -> None:
        """Have header lines sent behind a chunked body (RFC 9112 7.1.2); nothing happens to one that is not chunked.

        Args:
            lines: each with its CRLF; checked by the caller.
        """
        self._trailers = lines

    def send_interim(self, status: int, lines: bytes = b"") -> bool:
        """Send an interim response, such as 103 Early Hints (RFC 9110 15.2), in front of the real one.

        Args:
            status: 102 to 199, but 101, which `switch_protocols` is for.
            lines: its header lines.

        Returns:
            Whether it was sent: a client of HTTP/1.0 knows none, and behind the head there can be none.

        Raises:
            ValueError: the status is another.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        if not 102 <= status <= 199:
            raise ValueError(f"the status {status} is not that of an interim response: use 102 to 199")
        if self._committed or not self._request.message.http11:
            return False
        self._transmit(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason_phrase(status).encode("ascii"), lines))
        return True

    # For filters, forwards and includes.

    def abort(self) -> NoReturn:
        """End the handler; what was written is the answer (BAS ``response:abort``).

        Whoever catches this, a `BaseException`, can go on, but his next output ends him again.

        Raises:
            Abort: always.
        """
        if self._mode not in ("over", "aborted"):
            self._before, self._mode = self._mode, "aborted"
        raise Abort

    def get_data(self) -> bytes | None:
        """What waits in the buffer; None once the head has gone (BAS ``response:getdata``)."""
        return None if self._committed else b"".join(self._parts)

    def take_data(self) -> bytes:
        """Take what waits out of the buffer, as if it had never been written."""
        data = b"".join(self._parts)
        self._parts = []
        self._size = 0
        self._announced = None
        return data

    def put_data(self, data: bytes, *, send: bool = False, last: bool = False) -> None:
        """Put data into the empty buffer, as if it had been written.

        Args:
            data: the bytes.
            send: let them and the head go now.
            last: nothing more can be written behind them.
        """
        self._parts = [data] if data else []
        self._size = len(data)
        if last:
            self._announced = self.byte_count()
        if send:
            self._flush_parts()

    def set_coding_header(self, name: str, value: str) -> None:
        """Set a header about the coding of the whole output, even while an include produces part of it."""
        self._set_line(name.lower(), header_line(name, value))

    @property
    def buffer_size(self) -> int:
        """Bytes of output that are kept back."""
        return self._connection.service.settings.response_buffer

    def end_filter(self) -> None:
        """From here on output goes to the client as it is."""
        self.filter = None

    def bypass_filter(self) -> None:
        """What comes now goes out as it is: a filter works on what is written, not on files (BAS ``setresponse``).

        Raises:
            MixingWriteSend: the filter has had output already.
        """
        if self.filter is not None and not self.filter.abort():
            raise MixingWriteSend("a filter has taken output: what is sent as it is cannot follow")

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

    def hand_over(self) -> None:
        """Send what was written; the connection is somebody else's from here on.

        Raises:
            IncorrectUse: the head has said that the body is chunked.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        self._check_running()
        self.bypass_filter()
        if self._size or self._mode == "write":
            if not self._committed and self._announced is None:
                self.downgrade()  # the end of the connection will be the end of the body
            self._flush_parts()
        if self._chunked:
            raise IncorrectUse("the head has said chunked: call downgrade() before the first flush()")
        self._committed = True
        self._mode = "over"
        self.broken = SocketClosed("the connection was taken from the response")

    def switch_protocols(self, lines: bytes) -> bytes:
        """Answer 101: the head that is for the caller to send, once he has the stream (RFC 9110 15.2.2).

        Args:
            lines: header lines of the switch; those that the handler has set stand behind them.

        Raises:
            IsCommitted: the head has gone.
            IncludeNotValid: inside an include.
        """
        self._check_open("the protocol")
        self._drop_output()
        self._status, self._reason = 101, None
        own = self._lines or _NO_LINES
        return b"".join([self._start_of_head(own), lines, *own.values(), b"\r\n"])

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
            self._transmit(head, _MSG_MORE)
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
        lines = self._lines or _NO_LINES
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

    def _drop_output(self) -> None:
        self._check_running()
        self._set_aside()

    def _set_aside(self) -> Kept:
        # The output so far, for `_restore`; what follows begins from nothing.
        held = self.filter.set_aside() if self.filter is not None else None
        kept = self._parts, self._size, self._body_size, self._announced, self._mode, held
        self._parts = []
        self._size = self._body_size = 0
        self._announced = None
        self._mode = ""
        return kept

    def _restore(self, kept: Kept) -> None:
        self._parts, self._size, self._body_size, self._announced, self._mode, held = kept
        if self.filter is not None and held is not None:
            self.filter.restore(held)

    def _go_on(self) -> None:
        # An abort ended below an include or forward whose caller asked to go on.
        if self._mode == "aborted":
            self._mode = self._before


def _as_bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)  # a copy: the caller may go on using its buffer
    raise TypeError(f"output is str or bytes, not {type(data).__name__}: {data!r:.80}")
