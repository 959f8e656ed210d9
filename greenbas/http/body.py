"""`Body`: the body of a request as the handler reads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from greenbas.errors import BodyTimeout, BodyTooLarge, IncompleteBody, SocketClosed, TimedOut
from greenbas.http.settings import HttpSettings
from greenbas.net import Stream
from greenbas.protocol import Message, RequestReader

__all__ = ["Body"]

READ_SIZE = 64 * 1024
CHUNKED_READ_SIZE = 16 * 1024  # bytes; tiny chunks take a microsecond each, and this many bytes hold up to 2,700
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Body:
    """Reads a request body as it arrives; nothing is read ahead of the handler, so TCP slows the sender down.

    Args:
        message: the request; its `chunks` hold what came with the head.
        reader: turns bytes of the stream into chunks.
        stream: where more comes from.
        settings: the minimum rate and the memory limit.
    """

    __slots__ = ("_left", "_message", "_reader", "_settings", "_since", "_stream", "asked_to_continue")

    def __init__(self, message: Message, reader: RequestReader, stream: Stream, settings: HttpSettings) -> None:
        self._message = message
        self._reader = reader
        self._stream = stream
        self._settings = settings
        self._since = 0.0
        self._left = b""  # of a chunk that was larger than what was asked for
        self.asked_to_continue = False

    @property
    def complete(self) -> bool:
        """Whether everything has arrived; it may still wait to be read."""
        return self._message.complete

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, fewer only at the end; all of it without a size, within the memory limit.

        Raises:
            BodyTooLarge: 413; over `max_body`, or over `max_memory_body` without a size.
            BodyTimeout: 408; slower than the minimum rate.
            IncompleteBody: the peer went away.
        """
        limit = self._settings.max_memory_body
        wanted = size if size >= 0 else limit + 1
        if size < 0 and (self._message.length or 0) > limit:
            raise self._too_large()
        parts: list[bytes] = []
        while wanted > 0 and (piece := self._left or self._next_chunk()):
            parts.append(piece[:wanted])
            self._left = piece[wanted:]
            wanted -= len(parts[-1])
        if size < 0 and wanted <= 0:
            raise self._too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def blocks(self, size: int) -> Iterator[bytes]:
        """Blocks of exactly `size` bytes; the last one may be shorter."""
        while block := self.read(size):
            yield block

    def chunks(self) -> Iterator[bytes]:
        """The bytes in the pieces in which they arrive, for those who only pass them on."""
        while chunk := self._left or self._next_chunk():
            self._left = b""
            yield chunk

    def take_by(self, move: Callable[[Stream, int], int]) -> int:
        """Have somebody else take bytes of the body from the connection, such as the kernel.

        Args:
            move: called with the client's stream, and how many bytes of the body have not arrived. It takes at most so
                many and returns how many, 0 at the end of the stream, and raises BlockingIOError while there are none.
                With any other exception the body and the connection end.

        Returns:
            What `move` has returned; 0 without a call where the body is to be read here: it has no length, bytes of it
            wait already, all of it is here, or the connection is encrypted.

        Raises:
            BodyTimeout: 408; slower than the minimum rate.
            IncompleteBody: the peer went away.
        """
        message, stream = self._message, self._stream
        if message.length is None or message.complete or message.chunks or self._left or message.error is not None:
            return 0
        if stream.secure or stream.holds_input:
            return 0
        self._continue()
        while True:
            try:
                count = move(stream, message.length - message.received)
            except BlockingIOError:
                self._await(stream.wait_readable)
                continue
            except BaseException:
                # How many it has taken before that nobody knows.
                self._give_up(IncompleteBody(f"whoever took the body has failed after {message.received} bytes"))
                raise
            if not count:
                self._reader.eof()
                raise message.error or IncompleteBody("the peer closed")
            self._reader.skip(count)
            return count

    def discard(self, most: int, deadline: float) -> bool:
        """Read and drop what is left; gives up after `most` bytes or at `deadline` (monotonic seconds).

        Returns:
            Whether the end of the body was reached, so that the connection can go on.
        """
        message = self._message
        if message.chunks is None:
            return True
        end = message.received + most
        while True:
            message.chunks.clear()
            if message.complete:
                return True
            if message.error is not None or message.received > end:
                return False
            try:
                self._receive(deadline - time.monotonic())
            except (TimedOut, SocketClosed, BodyTimeout):
                return False

    def _next_chunk(self) -> bytes:
        message = self._message
        chunks = message.chunks
        if chunks is None:
            return b""
        while not chunks:
            if message.error is not None:
                raise message.error
            if message.complete:
                return b""
            self._continue()
            self._await(self._receive)
        if message.error is not None and not message.complete:
            raise message.error
        return chunks.popleft()

    def _await(self, wait: Callable[[float], object]) -> None:
        received = self._message.received
        try:
            wait(self._patience())
        except TimedOut:
            raise self._give_up(BodyTimeout(f"only {received} bytes of the body came in time")) from None
        except SocketClosed as error:
            raise self._give_up(IncompleteBody(f"the peer broke off after {received} bytes of the body")) from error

    def _receive(self, timeout: float) -> None:
        size = READ_SIZE if self._message.length is not None else CHUNKED_READ_SIZE
        data = self._stream.read(size, timeout)
        if data:
            self._reader.feed(data)
        else:
            self._reader.eof()

    def _continue(self) -> None:
        # RFC 9110 10.1.1: only now, as the handler has read without refusing first.
        if self._message.expects_continue and not self.asked_to_continue:
            self.asked_to_continue = True
            self._stream.write(_CONTINUE, self._settings.write_timeout)

    def _patience(self) -> float:
        # Seconds until the body is slower than the minimum rate. Each byte buys a little more time, but a fast start
        # does not buy a long silence.
        settings = self._settings
        now = time.monotonic()
        self._since = self._since or now
        silence = max(settings.body_grace, settings.write_timeout)
        if not settings.body_rate:
            return silence
        return min(silence, self._since + settings.body_grace + self._message.received / settings.body_rate - now)

    def _too_large(self) -> BodyTooLarge:
        limit = self._settings.max_memory_body
        return BodyTooLarge(f"the request body is over {limit} bytes: read it in blocks, or raise max_memory_body")

    def _give_up(self, error: BodyTimeout | IncompleteBody) -> BodyTimeout | IncompleteBody:
        self._message.error = error
        self._message.keep_alive = False
        return error
