"""Sources: functions that give data chunk by chunk (LuaSocket ``ltn12.source``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from greenbas.luasocket.ltn12.filter import flow
from greenbas.luasocket.ltn12.kinds import BLOCKSIZE, Chunk, Filter, Source, as_chunk, need, pull
from greenbas.luasocket.usage import expected

__all__ = ["cat", "chain", "empty", "error", "file", "rewind", "simplify", "string", "table"]

Given = tuple[Chunk, str | None]


def empty() -> Source:
    """Make a source that is at its end (``ltn12.source.empty``)."""
    return lambda: (None, None)


def error(message: str) -> Source:
    """Make a source that fails (``ltn12.source.error``).

    Args:
        message: why.
    """
    return lambda: (None, message)


def file(handle: Any, message: str | None = None) -> Source:
    """Make a source of an open file, which it closes at the end (``ltn12.source.file``).

    Args:
        handle: has ``read(size)`` and ``close()``; None makes a source that fails, so that failures of opening need no
            case of their own.
        message: why the handle is None.
    """
    if handle is None:
        return error(message or "unable to open file")
    done = False

    def read() -> Given:
        nonlocal done
        if done:
            return None, None
        try:
            chunk = handle.read(BLOCKSIZE)
        except OSError as failure:
            done = True
            handle.close()
            return None, failure.strerror or str(failure)
        if not chunk:
            done = True
            handle.close()
            return None, None
        return as_chunk(chunk), None

    return read


def simplify(source: Source) -> Source:
    """Make a plain source of a fancy one (``ltn12.source.simplify``).

    Args:
        source: may return ``(chunk, successor)``; the successor is asked from then on.
    """
    need(source, 1, "simplify")

    def read() -> Given:
        nonlocal source
        chunk, following = pull(source)
        if callable(following):
            source, following = following, None
        return chunk, following if chunk is None else None

    return read


def string(data: bytes | str | None) -> Source:
    """Make a source of data in memory (``ltn12.source.string``).

    Args:
        data: given in pieces of BLOCKSIZE bytes; None makes an empty source.
    """
    if data is None:
        return empty()
    view, position = as_chunk(data), 0

    def read() -> Given:
        nonlocal position
        chunk = view[position : position + BLOCKSIZE]
        position += BLOCKSIZE
        return chunk or None, None

    return read


def table(chunks: Sequence[bytes | str]) -> Source:
    """Make a source of a list of chunks (``ltn12.source.table``).

    Args:
        chunks: given one by one; may grow meanwhile.

    Raises:
        TypeError: it is no list or tuple.
    """
    if not isinstance(chunks, list | tuple):
        raise expected(1, "table", "table", chunks)
    position = 0

    def read() -> Given:
        nonlocal position
        if position >= len(chunks):
            return None, None
        position += 1
        return as_chunk(chunks[position - 1]), None

    return read


def rewind(source: Source) -> Source:
    """Make a source that takes chunks back (``ltn12.source.rewind``).

    Args:
        source: asked when nothing was given back.

    Returns:
        The source; called with a chunk, it keeps it and gives it next. What was given back last comes first.
    """
    need(source, 1, "rewind")
    kept: list[bytes] = []

    def read(chunk: Chunk = None) -> tuple[Chunk, Any]:
        if chunk is not None:
            kept.append(as_chunk(chunk))
            return None, None
        return (kept.pop(), None) if kept else pull(source)

    return read


def chain(source: Source, *filters: Filter) -> Source:
    """Make a source that gives what filters make of another one (``ltn12.source.chain``).

    Args:
        source: where the data come from.
        filters: at least one, in the order in which data pass them.

    Raises:
        TypeError: an argument cannot be called.
        ValueError: when it runs: it is read after its end ("source is empty!"), or a filter returned None to a chunk.
    """
    need(source, 1, "chain")
    for number, filter in enumerate(filters or (None,), 2):
        need(filter, number, "chain")
    pending: Iterator[bytes] = iter(())
    state = "open"

    def read() -> Given:
        nonlocal pending, state
        if state == "done":
            raise ValueError("source is empty!")
        while True:
            piece = next(pending, None)
            if piece is not None:
                return piece, None
            if state == "ended":
                state = "done"
                return None, None
            chunk, error = pull(source)
            if chunk is None and error:
                return None, error
            if chunk is None:
                state = "ended"
            pending = flow(filters, chunk)

    return read


def cat(*sources: Source) -> Source:
    """Make one source of several, one after the other (``ltn12.source.cat``).

    Args:
        sources: any number of them.
    """
    for number, source in enumerate(sources, 1):
        need(source, number, "cat")
    left = list(sources)

    def read() -> tuple[Chunk, Any]:
        while left:
            chunk, error = pull(left[0])
            if chunk is not None or error:
                return chunk, error
            left.pop(0)
        return None, None

    return read
