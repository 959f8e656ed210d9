"""Filters: functions that change chunks (LuaSocket ``ltn12.filter``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from greenbas.luasocket.ltn12.kinds import Chunk, Filter, need

__all__ = ["chain", "cycle", "flow"]

INAPPROPRIATE = "filter returned inappropriate nil"


def cycle(low: Callable[..., tuple[Chunk, Any]], context: Any = None, extra: Any = None) -> Filter:
    """Make a filter of a low-level one (``ltn12.filter.cycle``).

    Args:
        low: called with context, chunk and extra; returns the output and the new context.
        context: what the first call gets.
        extra: passed on each time.

    Returns:
        The filter.

    Raises:
        TypeError: `low` cannot be called.
    """
    need(low, 1, "cycle")

    def run(chunk: Chunk) -> Chunk:
        nonlocal context
        output, context = low(context, chunk, extra)
        return output

    return run


def drain(filter: Filter, chunk: Chunk) -> Iterator[bytes]:
    """Everything that a filter makes of one chunk, or of the end."""
    output = filter(chunk)
    if chunk is None:
        empty = False
        while output is not None:
            if output:
                yield output
            elif empty:  # twice: it would go on for ever
                raise ValueError('filter returned ""')
            empty = not output
            output = filter(None)
        return
    while output:
        yield output
        output = filter(b"")
    if output is None:
        raise ValueError(INAPPROPRIATE)


def flow(filters: tuple[Filter, ...], chunk: Chunk) -> Iterator[bytes]:
    """Everything that a row of filters makes of one chunk, piece by piece.

    Args:
        filters: in the order in which data pass them.
        chunk: the data; None at the end, which reaches each filter behind what those before it still had.

    Yields:
        Chunks that are not empty.

    Raises:
        ValueError: a filter returned None to a chunk.
    """
    if not filters:
        if chunk:
            yield chunk
        return
    first, rest = filters[0], filters[1:]
    for piece in drain(first, chunk):
        yield from flow(rest, piece)
    if chunk is None:
        yield from flow(rest, None)


def chain(*filters: Filter) -> Filter:
    """Make one filter of several (``ltn12.filter.chain``).

    Args:
        filters: at least one, in the order in which data pass them.

    Returns:
        The filter.

    Raises:
        TypeError: there is none, or one cannot be called.
        ValueError: when it runs: a filter returned None to a chunk.
    """
    if not filters:
        raise TypeError("bad argument #1 to 'chain' (function expected, got no value)")
    for number, filter in enumerate(filters, 1):
        need(filter, number, "chain")
    pending: Iterator[bytes] = iter(())
    ended = False

    def run(chunk: Chunk) -> Chunk:
        nonlocal pending, ended
        if chunk is None and not ended:
            pending, ended = _then(pending, flow(filters, None)), True
        elif chunk:
            pending = _then(pending, flow(filters, chunk))
        return next(pending, None if ended else b"")

    return run


def _then(first: Iterator[bytes], second: Iterator[bytes]) -> Iterator[bytes]:
    # The first is nearly always at its end already. Asking it for one piece keeps a long stream from piling up
    # iterators inside each other.
    for piece in first:
        return _joined(piece, first, second)
    return second


def _joined(piece: bytes, first: Iterator[bytes], second: Iterator[bytes]) -> Iterator[bytes]:
    yield piece
    yield from first
    yield from second
