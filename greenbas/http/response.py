"""`Response`: status, headers and output of one request, and when they leave.

Rules of this file. Status and headers may change until the head is *committed*, which happens when the buffer
overflows, on `flush`, on `send`, or at the end. A response that ends uncommitted gets a Content-Length; one that
commits earlier is chunked, or raw when the handler announced its length, or ends with the connection for HTTP/1.0.
Framing headers are ours: no handler can contradict the bytes that follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urljoin

from greenbas.codec import encode_json
from greenbas.errors import Abort, Expired, IncorrectUse, LocalProtocolError, MixingWriteSend, NetError
from greenbas.http.errorpage import error_page
from greenbas.http.responsehead import HTML, NO_STORE, ResponseHead
from greenbas.net import Buffer, send_file
from greenbas.protocol.status import BODILESS

if TYPE_CHECKING:
    from greenbas.http.connection import Connection
    from greenbas.http.request import Request

__all__ = ["Response"]

LARGE = 256 * 1024  # a body beyond this goes out by itself: joining it with the head would copy it once more
_NO_LINES: dict[str, bytes] = {}
_HTML_LINE = b"Content-Type: text/html; charset=utf-8\r\n"
_HTML_LINES = {"content-type": _HTML_LINE}
# Characters of a URL that a Location keeps; everything else is escaped, so that no value can break the header.
_URL_SAFE = "/:?#[]@!$&'()*+,;=%-._~"
_OVER = "request/response expired: it was used after the request had ended"
_MSG_MORE = 0x8000  # Linux: more follows, so the head and the file that comes behind it share packets


class Response(ResponseHead):
    """The response to one request."""

    __slots__ = ("_body_size", "_chunked", "_connection", "_mode", "_parts", "_sent", "_size", "broken")

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
        self._mode: Literal["", "write", "send", "over"] = ""
        self.broken: NetError | None = None  # why the client can no longer be reached

    def __repr__(self) -> str:
        return f"<Response {self._status}{' committed' if self._committed else ''} {self.byte_count()} bytes>"

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
        for piece in data:
            piece = piece.encode() if isinstance(piece, str) else _as_bytes(piece)
            self._parts.append(piece)
            self._size += len(piece)
        if self._announced is not None and self.byte_count() > self._announced:
            self._parts.clear()
            self._size = 0
            raise LocalProtocolError(f"more than the announced Content-Length of {self._announced} was written")
        if self._size > self._connection.service.settings.response_buffer:
            self._overflow()
        return self.byte_count()

    def flush(self) -> None:
        """Send what is buffered, the head included (BAS ``response:flush``).

        Raises:
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        if self._mode == "over":
            raise Expired(_OVER)
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
        if self._announced is None:
            raise IncorrectUse("send() needs the size first: call set_content_length")
        data = data.encode() if isinstance(data, str) else _as_bytes(data)
        if self._body_size + len(data) > self._announced:
            raise LocalProtocolError(f"more than the announced Content-Length of {self._announced} was sent")
        self._parts.append(data)
        self._size = len(data)
        self._flush_parts()

    def json(self, *values: Any, return2caller: bool = False) -> None:
        """Answer with JSON and end the handler (BAS ``response:json``).

        Headers and output so far are dropped; status and cookies stay. The answer is not to be cached.

        Args:
            *values: one value, or several that are sent as an array.
            return2caller: return instead of ending the handler.

        Raises:
            IsCommitted: output has gone already.
            TypeError: a value has no JSON form.
        """
        body = encode_json(values[0] if len(values) == 1 else values)
        self.reset()
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", NO_STORE)
        self.write(body)
        if not return2caller:
            raise Abort

    def send_error(self, code: int, message: str | None = None) -> None:
        """Replace the output by an error page (BAS ``response:senderror``). Does not end the handler.

        Args:
            code: the status.
            message: a sentence for the reader; escaped.

        Raises:
            IsCommitted: output has gone already.
        """
        self.send_error_page(code, error_page(code, message))

    def send_error_page(self, code: int, page: str) -> None:
        """Replace the output by an HTML page of ours with this status; headers stay."""
        self._check_open("the response")
        self._drop_output()
        self.set_status(code)
        self.set_header("Content-Type", HTML)
        self.set_header("Cache-Control", NO_STORE)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.write(page)

    def send_redirect(self, url: str, permanent: bool = False, return2caller: bool = False) -> None:
        """Send the client elsewhere: 302, or 301 if permanent (BAS ``response:sendredirect``).

        Args:
            url: absolute, or relative to the request's URL.
            permanent: clients may remember it for ever.
            return2caller: return instead of ending the handler.

        Raises:
            IsCommitted: output has gone already.
        """
        self.redirect_with(301 if permanent else 302, url)
        if not return2caller:
            raise Abort

    def redirect_with(self, status: int, url: str) -> None:
        """An empty response with this 3xx status and an absolute Location."""
        self._check_open("the response")
        self._drop_output()
        self.set_status(status)
        self.set_header("Location", quote(urljoin(self._request.url(), url), safe=_URL_SAFE))

    def abort(self) -> None:
        """End the handler; what was written is the answer (BAS ``response:abort``)."""
        raise Abort

    def reset(self, what: Literal["all", "headers", "buffer"] = "all") -> None:
        """Drop headers, buffered output, or both; cookies stay (BAS ``response:reset``).

        Raises:
            IsCommitted: output has gone already.
        """
        self._check_open("the response")
        if what != "buffer" and self._lines is not None:
            cookies = self._lines.get("set-cookie")
            self._lines = {"set-cookie": cookies} if cookies else None
        if what != "headers":
            self._drop_output()

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
        if not self._committed:
            self._lines = lines if self._lines is None else {**lines, **self._lines}
        if self._mode or self._committed:
            self.write(body)
            return
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
        self._body_size += sent
        self._sent += sent

    def release_worker(self) -> None:
        """Only bytes are left to send: from here on a slow client takes no worker from other handlers."""
        self._connection.service.workers.release_slot()

    def break_off(self, error: NetError) -> None:
        """The rest cannot be produced: end the connection, so that the client does not take the part for the whole."""
        self.broken = self.broken or error

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
            self._transmit(b"0\r\n\r\n", final=True)
        elif self._announced is not None and self._body_size < self._announced:
            self._close = True  # the client was promised more: only the end of the connection tells it

    def expire(self) -> None:
        """The request is over: whoever kept this object must not reach into the next response of the connection."""
        self._committed = True
        self._mode = "over"
        self.broken = None  # its traceback holds the frames of the handler

    # Inside.

    def _enter(self, mode: Literal["write", "send"]) -> None:
        if self._mode == "over":
            raise Expired(_OVER)
        if self._mode and self._mode != mode:
            raise MixingWriteSend("write() and send() in one response: use one of them")
        self._mode = mode

    def _overflow(self) -> None:
        if self._is_bodiless() and not self._committed:
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
        elif self._announced != length:
            self._close = self._close or not self._is_bodiless()
        return b"".join(self._commit()), b"" if self._is_bodiless() else body

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
        except NetError as error:
            self.broken = error
            raise

    def _drop_output(self) -> None:
        self._parts.clear()
        self._size = self._body_size = 0
        self._announced = None
        self._mode = ""


def _as_bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)  # a copy: the caller may go on using its buffer
    raise TypeError(f"output is str or bytes, not {type(data).__name__}: {data!r:.80}")
