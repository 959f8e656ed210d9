"""Pumps: they move data from a source to a sink (LuaSocket ``ltn12.pump``)."""

from __future__ import annotations

from greenbas.luasocket.ltn12.kinds import Pumped, Sink, Source, Step, give, need, pull, truth

__all__ = ["all", "step"]


def step(source: Source, sink: Sink) -> Pumped:
    """Move one chunk (``ltn12.pump.step``).

    Args:
        source: asked once.
        sink: given what came, the end or the error included.

    Returns:
        ``(1, None)`` while there is more to come, ``(None, None)`` at the end, ``(None, err)`` after a failure.
    """
    chunk, source_error = pull(source)
    taken, sink_error = give(sink, chunk, source_error if chunk is None else None)
    if chunk is not None and truth(taken):
        return 1, None
    return None, source_error if chunk is None and source_error else sink_error


def all(source: Source, sink: Sink, step: Step | None = None) -> Pumped:
    """Move everything (``ltn12.pump.all``).

    Args:
        source: asked until its end.
        sink: given all.
        step: moves one chunk, as `step` does, unless given.

    Returns:
        ``(1, None)``, or ``(None, err)``.

    Raises:
        TypeError: an argument cannot be called.
    """
    need(source, 1, "all")
    need(sink, 2, "all")
    once: Step = step or _step
    while True:
        answer = once(source, sink)
        more, error = answer if isinstance(answer, tuple) else (answer, None)
        if not truth(more):
            return (None, error) if error else (1, None)


_step = step
