"""Between sources and Python's iterators of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from greenbas.luasocket.ltn12.kinds import Chunk, Source, as_chunk, pull
from greenbas.luasocket.ltn12.source import string

__all__ = ["as_source", "from_iter", "to_iter"]


def from_iter(chunks: Iterable[bytes | str]) -> Source:
    """Make a source of anything that can be iterated: a list, a generator, an open file.

    Args:
        chunks: bytes, or str that is sent as UTF-8. What it raises comes out of the source.

    Returns:
        The source.
    """
    iterator: Iterator[bytes | str] | None = None
    done = False

    def read() -> tuple[Chunk, str | None]:
        nonlocal iterator, done
        if done:
            return None, None
        if iterator is None:
            iterator = iter(chunks)
        for chunk in iterator:
            return as_chunk(chunk), None
        done = True
        return None, None

    return read


def to_iter(source: Source) -> Iterator[bytes]:
    """Iterate over what a source gives.

    Args:
        source: any source.

    Yields:
        Its chunks.

    Raises:
        OSError: the source failed; the message is its error.
    """
    while True:
        chunk, error = pull(source)
        if callable(error):
            source, error = error, None
        if chunk is None:
            if error:
                raise OSError(error)
            return
        yield chunk


def as_source(value: Any) -> Source:
    """Make a source of what was given as one.

    Args:
        value: a source, bytes or str, or anything that can be iterated.

    Raises:
        TypeError: it is none of these.
    """
    if callable(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, bytes | bytearray | memoryview | str):
        return string(bytes(value) if isinstance(value, bytearray | memoryview) else value)
    if isinstance(value, Iterable) and not isinstance(value, dict):
        return from_iter(value)
    got = "nil" if value is None else type(value).__name__
    raise TypeError(f"a source or an iterable of bytes expected, got {got}")
