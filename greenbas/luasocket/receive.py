"""Receiving by pattern: the buffer behind a stream, which knows no sockets."""

from __future__ import annotations

from collections.abc import Callable

from greenbas.errors import SocketClosed
from greenbas.luasocket.usage import bytes_of, expected, invalid, number

__all__ = ["Buffer", "Pattern", "parse_pattern"]

Read = Callable[[int], bytes]
Pattern = int | str  # a count, "l" or "a"

READ_SIZE = (
    8192  # bytes that one read asks for, as in LuaSocket: a descriptor that is given away lacks the rest of them
)
LARGE_READ = 256 * 1024  # bytes asked for where all of them are wanted
_LIMIT = 2**63
_LETTERS = {"*l": "l", "*a": "a", "l": "l", "a": "a"}


def parse_pattern(pattern: object) -> Pattern:
    """What to receive: a count of bytes, "l" for a line, or "a" for all until the end.

    Args:
        pattern: a number, "*l" or "*a" with anything behind it, BAS's "l" or "a"; None is a line.

    Raises:
        TypeError, ValueError: it is something else.
    """
    if type(pattern) is int and 0 <= pattern < _LIMIT:
        return pattern
    if pattern is None:
        return "l"
    if isinstance(pattern, str | bytes | bytearray):
        shown = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
        letter = _LETTERS.get(shown[:2])
        if letter is not None:
            return letter
        try:
            pattern = number(shown, 1, "receive")
        except TypeError:
            raise invalid(1, "receive", "invalid receive pattern") from None
    if isinstance(pattern, bool) or not isinstance(pattern, int | float):
        raise expected(1, "receive", "string", pattern)
    if not 0 <= pattern < _LIMIT:
        raise invalid(1, "receive", "invalid receive pattern")
    return int(pattern)


class Buffer:
    """Bytes that were read from a peer and not yet received by the program."""

    __slots__ = ("_data", "consumed")

    def __init__(self) -> None:
        self._data = b""
        self.consumed = 0  # bytes in all that the program has received

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self) -> bytes:
        """Give the bytes away: whoever has the descriptor from now on needs them."""
        data, self._data = self._data, b""
        return data

    def put(self, data: bytes) -> None:
        """Begin with bytes that somebody else has read."""
        self._data = data

    def receive(self, pattern: Pattern, prefix: object, read: Read) -> tuple[bytes, OSError | None]:
        """Receive by pattern.

        Args:
            pattern: as of `parse_pattern`.
            prefix: what a call that failed has received before; it counts towards a number of bytes.
            read: reads up to so many bytes from the peer, b"" at its end, or raises OSError.

        Returns:
            The data, prefix included, and None; or what came before a failure, prefix included, and the failure.
        """
        if prefix == b"" and type(pattern) is int and 0 < pattern <= len(self._data):
            return self._ready(pattern), None  # the short way of small messages
        before = bytes(bytes_of(prefix, 2, "receive"))
        wanted: int | None = None
        if isinstance(pattern, int):
            wanted = pattern - len(before)
            if before and wanted <= 0:
                return before, None
        parts: list[bytes] = []
        failure: OSError | None = None
        try:
            if wanted is not None:
                self._count(wanted, parts, read)
            elif pattern == "l":
                self._line(parts, read)
            else:
                self._all(parts, read)
        except OSError as error:
            failure = error
        except BaseException:  # killed, or a time-out of gevent: the bytes are for the next call
            self._data = b"".join(parts) + self._data
            raise
        data = b"".join(parts)
        self.consumed += len(data)
        if pattern == "l":
            data = _bare(data, failure is None)
        elif pattern == "a" and data and isinstance(failure, SocketClosed):
            failure = None
        return before + data, failure

    def _ready(self, count: int) -> bytes:
        data = self._data
        self._data = data[count:]
        self.consumed += count
        return data[:count]

    def _fill(self, read: Read, size: int = READ_SIZE) -> bytes:
        data, self._data = self._data, b""
        if not data:
            data = read(size)
            if not data:
                raise SocketClosed("the peer has sent all that it will send")
        return data

    def _count(self, wanted: int, parts: list[bytes], read: Read) -> None:
        while True:
            data = self._fill(read, max(READ_SIZE, min(wanted, LARGE_READ)))
            parts.append(data[:wanted])
            self._data = data[wanted:]
            wanted -= len(data)
            if wanted <= 0:
                return

    def _line(self, parts: list[bytes], read: Read) -> None:
        while True:
            data = self._fill(read)
            end = data.find(b"\n") + 1
            if end:
                parts.append(data[:end])
                self._data = data[end:]
                return
            parts.append(data)

    def _all(self, parts: list[bytes], read: Read) -> None:
        while True:
            parts.append(self._fill(read, LARGE_READ))


def _bare(line: bytes, complete: bool) -> bytes:
    # Every CR goes, wherever it stands.
    return (line[:-1] if complete else line).replace(b"\r", b"")
