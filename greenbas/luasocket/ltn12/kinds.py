"""What sources, sinks and filters look like, and the calls that accept their looser forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenbas.luasocket.usage import expected

__all__ = [
    "BLOCKSIZE",
    "Chunk",
    "Filter",
    "Pumped",
    "Sink",
    "Source",
    "Step",
    "as_chunk",
    "give",
    "need",
    "pull",
    "truth",
]

BLOCKSIZE = 2048  # bytes that a file source reads, and that `source.string` gives, at a time

Chunk = bytes | None
# What sources give is Any, because a foreign source may leave the tuple away, and a fancy one gives its successor.
Source = Callable[[], Any]
Sink = Callable[..., Any]
Filter = Callable[[Chunk], Chunk]
Pumped = tuple[int | None, str | None]  # (1, None), or (None, err); (None, None) at the end
Step = Callable[[Source, Sink], Pumped]


def as_chunk(value: object) -> bytes:
    """Take what was given as data.

    Args:
        value: bytes or another buffer, str (UTF-8), or a number, which stands for its digits as in Lua.

    Returns:
        The bytes.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value).encode()
    raise TypeError(f"bytes expected, got {type(value).__name__}")


def need(value: object, number: int, function: str) -> None:
    """Check that an argument can be called.

    Args:
        value: the argument.
        number: its place, from 1.
        function: the function that it was given to.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(value):
        raise expected(number, function, "function", value)


def truth(value: object) -> bool:
    """Say whether Lua holds a value for true: all but nil and false, so 0 and "" too."""
    return value is not None and value is not False


def pull(source: Source) -> tuple[Chunk, Any]:
    """Ask a source for its next chunk.

    Args:
        source: any source, of foreign make too.

    Returns:
        The chunk, and the error; for a fancy source its successor instead of the error.
    """
    given = source()
    chunk, error = given if isinstance(given, tuple) else (given, None)
    return (None if chunk is None else as_chunk(chunk)), error


def give(sink: Sink, chunk: Chunk, error: str | None = None) -> tuple[Any, str | None]:
    """Hand a chunk to a sink.

    Args:
        sink: any sink, of foreign make too.
        chunk: the data; None at the end.
        error: why it ended early.

    Returns:
        Something true, and None; or None and the error.
    """
    answer = sink(chunk, error)
    if not isinstance(answer, tuple):
        return answer, None
    return answer[0], answer[1] if len(answer) > 1 else None
