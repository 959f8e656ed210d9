"""`WsgiInput`: the stream ``wsgi.input``, from which an application reads the request body (PEP 3333)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from greenbas.errors import BodyTooLarge, RemoteProtocolError
from greenbas.http import Body

__all__ = ["NO_BODY", "UnreadableBody", "WsgiInput"]

# For readline() without a size. A body may be one endless line; what read() without a size may hold is max_memory_body,
# and this is its default.
LONGEST_LINE = 10 * 1024 * 1024  # bytes


class UnreadableBody(RemoteProtocolError, OSError):
    """The body cannot be read: too large, too slow, malformed, or broken off; .status says which.

    An OSError besides, as that is what frameworks expect of a broken stream. An application that lets it pass has the
    client answered with the status.
    """


class WsgiInput:
    """A request body as a file to read.

    Nothing is read before the application asks for it; a client that waits for "100 Continue" gets it then.

    Args:
        body: the body as it arrives; None when there is none.
    """

    __slots__ = ("_at", "_body", "_piece")

    def __init__(self, body: Body | None) -> None:
        self._body = body
        self._piece = b""  # what has arrived and was not wholly read
        self._at = 0  # how far it was read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end of the body; all of it without a size, within `max_memory_body`.

        Raises:
            UnreadableBody: too large, too slow, malformed, or broken off.
        """
        body = self._body
        if body is None or size == 0:
            return b""
        left = self._piece[self._at :]
        with _as_os_error():
            if size is None or size < 0:
                self._piece, self._at = b"", 0
                return left + body.read()
            if size <= len(left):
                self._at += size
                return left[:size]
            self._piece, self._at = b"", 0
            return left + body.read(size - len(left))

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to the next newline, which is included, or at most `size` bytes.

        Raises:
            UnreadableBody: as `read`; also for a line of more than 10 MiB, when no size is given.
        """
        unlimited = size is None or size < 0
        left = LONGEST_LINE + 1 if size is None or size < 0 else size
        parts: list[bytes] = []
        while left > 0 and self._has_more():
            newline = self._piece.find(b"\n", self._at, self._at + left)
            end = newline + 1 if newline >= 0 else min(len(self._piece), self._at + left)
            parts.append(self._piece[self._at : end])
            left -= end - self._at
            self._at = end
            if newline >= 0:
                break
        else:
            if unlimited and left == 0:
                raise UnreadableBody(f"a line of the request body is over {LONGEST_LINE} bytes", BodyTooLarge.status)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read lines until they have `hint` bytes together; all of them without a hint, within `max_memory_body`.

        Raises:
            UnreadableBody: as `read`.
        """
        if hint is None or hint <= 0:
            *lines, last = self.read().split(b"\n")
            return [line + b"\n" for line in lines] + ([last] if last else [])
        found: list[bytes] = []
        while hint > 0 and (line := self.readline()):
            found.append(line)
            hint -= len(line)
        return found

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _has_more(self) -> bool:
        # Whether there is something at `_at`; waits for it.
        if self._at < len(self._piece):
            return True
        if self._body is None:
            return False
        with _as_os_error():
            self._piece, self._at = next(self._body.chunks(), b""), 0
        return bool(self._piece)


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except RemoteProtocolError as error:
        raise UnreadableBody(str(error), error.status) from error


NO_BODY = WsgiInput(None)
