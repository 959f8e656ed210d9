"""`Output`: output that does not go through the buffer: raw bytes, files, and connections that become another's."""

from __future__ import annotations

from collections.abc import Callable

from greenbas.errors import IncorrectUse, LocalProtocolError, NetError, SocketClosed
from greenbas.http.outputbase import MSG_MORE, NO_LINES, as_bytes
from greenbas.http.outputtap import TappedOutput
from greenbas.net import Buffer, Stream, send_file
from greenbas.protocol import reason as reason_phrase

__all__ = ["Output"]


class Output(TappedOutput):
    """A response without the conveniences; `Response` adds those."""

    __slots__ = ()

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
        data = data.encode() if isinstance(data, str) else as_bytes(data)
        if self._body_size + len(data) > self._announced:
            raise LocalProtocolError(f"more than the announced Content-Length of {self._announced} was sent")
        self._parts.append(data)
        self._size = len(data)
        self._flush_parts()

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
            self._transmit(b"".join(self._commit()), MSG_MORE if not self._is_bodiless() else 0)
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
            self._transmit(b"".join(self._commit()), MSG_MORE)
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
        own = self._lines or NO_LINES
        return b"".join([self._start_of_head(own), lines, *own.values(), b"\r\n"])
