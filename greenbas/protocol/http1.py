"""`RequestReader`: cuts the bytes of one connection into HTTP/1.1 requests.

Nothing here waits or knows a socket: bytes are fed, messages come out.

Rules of this file. A head is cut off at its empty line and parsed whole, so one parser serves all connections, and
where the next message begins is always known exactly. One message is out at a time: the next head is looked at when
the one before has been answered, however many are pipelined.
"""

from __future__ import annotations

from greenbas.errors import BodyTooLarge, IncompleteBody, RemoteProtocolError
from greenbas.protocol.chunked import ChunkedBody
from greenbas.protocol.head import HeadParser, ReaderLimits
from greenbas.protocol.message import Message

__all__ = ["RequestReader"]


class RequestReader:
    """Cuts the bytes of one connection into messages.

    Feed it whatever arrives and ask for the `next` message; before asking again, the body of the last one has to be
    complete. When `error` is set, the connection is to be answered with `error.status` and closed.

    Args:
        limits: what is accepted.
        heads: parses the heads; readers with the same limits may share it.
    """

    __slots__ = ("_buffer", "_chunked", "_heads", "_open", "error", "finished", "refuses_head_method")

    def __init__(self, limits: ReaderLimits, heads: HeadParser | None = None) -> None:
        self._heads = heads or HeadParser(limits)
        self._buffer = b""  # what has arrived and belongs to no message yet
        self._open: Message | None = None  # the message whose body is arriving
        self._chunked: ChunkedBody | None = None  # decodes it when it is chunked
        self.error: RemoteProtocolError | None = None
        self.refuses_head_method = False  # what was refused is a HEAD request, whose answer has no body
        self.finished = False  # nothing more is read: the last message said close, or the peer did

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Never raises: see `error` and the message's own."""
        if self._open is not None:
            self._feed_body(data)
        elif not self.finished:
            self._buffer = self._buffer + data if self._buffer else data

    def next(self) -> Message | None:
        """The next message, its body perhaps still to come; None when no whole head has arrived, or after an error."""
        buffer = self._buffer
        if not buffer or self.finished:
            return None
        if buffer[0] in b"\r\n":
            buffer = self._without_empty_lines(buffer)
        end = buffer.find(b"\r\n\r\n") + 4
        try:
            if end < 4:
                refusal = self._heads.check_beginning(buffer) if buffer else None
                if refusal is not None:
                    raise refusal
                return None
            message = self._heads.parse(buffer if end == len(buffer) else buffer[:end])
        except RemoteProtocolError as error:
            self.error = error.with_traceback(None)  # its frames refer to this object
            self.finished = True
            self.refuses_head_method = buffer.startswith(b"HEAD ")
            return None
        self._buffer = buffer[end:]
        if not message.keep_alive:
            self.finished = True
        if not message.complete:
            self._begin_body(message)
        return message

    def _without_empty_lines(self, buffer: bytes) -> bytes:
        # RFC 9112 2.2: empty lines in front of the request line are ignored, and end in CRLF as all lines do.
        while buffer.startswith(b"\r\n"):
            buffer = buffer[2:]
        if buffer[:1] == b"\n" or (buffer[:1] == b"\r" and len(buffer) > 1):
            self.error = RemoteProtocolError("a bare CR or LF in front of the request line")
            self.finished = True
        self._buffer = buffer
        return b"" if buffer == b"\r" or self.finished else buffer

    def skip(self, count: int) -> None:
        """Somebody else has taken `count` bytes of the open body, whose length is known, off the connection."""
        message = self._open
        assert message is not None and message.length is not None
        message.received += count
        if message.received == message.length:
            message.complete = True
            self._open = None

    def eof(self) -> None:
        """The peer sends no more: an open body is incomplete."""
        self.finished = True
        message = self._open
        if message is not None:
            self._abandon(message, IncompleteBody(f"the peer closed after {message.received} bytes of the body"))

    def take_rest(self) -> bytes:
        """The bytes behind the last message, for a new owner of the connection."""
        rest, self._buffer = self._buffer, b""
        return rest

    def close(self) -> None:
        """Nothing more will be read; gives memory back."""
        self.finished = True
        self._buffer = b""
        self._open = self._chunked = self.error = None

    def _begin_body(self, message: Message) -> None:
        self._open = message
        self._chunked = ChunkedBody() if message.length is None else None
        data, self._buffer = self._buffer, b""
        if data:
            self._feed_body(data)

    def _feed_body(self, data: bytes) -> None:
        message = self._open
        assert message is not None and message.chunks is not None
        rest = b""
        if self._chunked is not None:
            try:
                pieces, rest = self._chunked.feed(data)
            except RemoteProtocolError as error:
                self._abandon(message, error)
                return
            message.received += sum(map(len, pieces))
            message.complete = self._chunked.complete
            message.trailers = self._chunked.trailers
        else:
            assert message.length is not None
            left = message.length - message.received
            if len(data) > left:
                data, rest = data[:left], data[left:]
            pieces = [data]
            message.received += len(data)
            message.complete = message.received == message.length
        limit = self._heads.limits.max_body
        if limit is not None and message.received > limit and message.error is None:
            message.error = BodyTooLarge(f"the request body is over {limit} bytes")
        if message.error is None:
            message.chunks.extend(pieces)
        if message.complete:
            self._open = self._chunked = None
            self._buffer = b"" if self.finished else rest

    def _abandon(self, message: Message, error: RemoteProtocolError) -> None:
        message.error = message.error or error
        message.keep_alive = False
        self._open = self._chunked = None
        self.finished = True
