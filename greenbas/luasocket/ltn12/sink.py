"""Sinks: functions that take data chunk by chunk (LuaSocket ``ltn12.sink``)."""

from __future__ import annotations

from typing import Any

from greenbas.luasocket.ltn12.filter import flow
from greenbas.luasocket.ltn12.kinds import Chunk, Filter, Pumped, Sink, as_chunk, give, need, truth

__all__ = ["chain", "error", "file", "null", "simplify", "table"]


def table(chunks: list[bytes] | None = None) -> tuple[Sink, list[bytes]]:
    """Make a sink that collects chunks in a list (``ltn12.sink.table``).

    Args:
        chunks: the list; a new one unless given.

    Returns:
        The sink and the list.
    """
    collected: list[bytes] = [] if chunks is None else chunks

    def take(chunk: Chunk, error: str | None = None) -> Pumped:
        if chunk is not None:
            collected.append(as_chunk(chunk))
        return 1, None

    return take, collected


def null() -> Sink:
    """Make a sink that drops everything (``ltn12.sink.null``)."""
    return lambda chunk, error=None: (1, None)


def error(message: str) -> Sink:
    """Make a sink that fails (``ltn12.sink.error``).

    Args:
        message: why.
    """
    return lambda chunk, error=None: (None, message)


_failing = error  # the name is that of a parameter further down


def file(handle: Any, message: str | None = None) -> Sink:
    """Make a sink of an open file, which it closes at the end (``ltn12.sink.file``).

    Args:
        handle: has ``write(data)`` and ``close()``; None makes a sink that fails.
        message: why the handle is None.
    """
    if handle is None:
        return _failing(message or "unable to open file")

    def take(chunk: Chunk, error: str | None = None) -> Pumped:
        try:
            if chunk is None:
                handle.close()
            else:
                _write_all(handle, chunk)
        except OSError as failure:
            return None, failure.strerror or str(failure)
        return 1, None

    return take


def _write_all(handle: Any, chunk: bytes) -> None:
    # An unbuffered file may take less than it was given; one without a count took all.
    written = handle.write(chunk)
    while written is not None and written < len(chunk):
        chunk = chunk[written:]
        written = handle.write(chunk)


def simplify(sink: Sink) -> Sink:
    """Make a plain sink of a fancy one (``ltn12.sink.simplify``).

    Args:
        sink: may return ``(1, successor)``; the successor is given what follows.
    """
    need(sink, 1, "simplify")

    def take(chunk: Chunk, error: str | None = None) -> Pumped:
        nonlocal sink
        taken, following = give(sink, chunk, error)
        if not truth(taken):
            return None, following
        if callable(following):
            sink = following
        return 1, None

    return take


def chain(*parts: Any) -> Sink:
    """Make a sink that gives another one what filters make of the data (``ltn12.sink.chain``).

    Args:
        parts: filters in the order in which data pass them, then the sink.

    Raises:
        TypeError: there are fewer than two, or one cannot be called.
        ValueError: when it runs: a filter returned None to a chunk.
    """
    for number, part in enumerate(parts if len(parts) > 1 else (*parts, None), 1):
        need(part, number, "chain")
    filters: tuple[Filter, ...] = parts[:-1]
    sink: Sink = parts[-1]

    def take(chunk: Chunk, error: str | None = None) -> Pumped:
        for piece in flow(filters, chunk):
            taken, failure = give(sink, piece, error)
            if not truth(taken):
                return None, failure
        if chunk is not None:
            return 1, None
        taken, failure = give(sink, None, error)
        return (1, None) if truth(taken) else (None, failure)

    return take
