"""Filters, sources, sinks and pumps: streams of bytes as functions (LuaSocket ``ltn12``, technical note LTN012).

A *source* gives the next chunk each time it is called: ``(chunk, None)``, then ``(None, None)`` at the end, or
``(None, err)`` after a failure. A *sink* takes chunks: ``sink(chunk)``, then ``sink(None)`` at the end or
``sink(None, err)`` after a failure; it returns ``(1, None)``, or ``(None, err)`` to make the pump stop. A *filter*
changes chunks: ``filter(chunk)`` returns what is ready; ``b""`` then asks for the rest until it returns ``b""``, which
means that it needs more; None tells the end, again and again until it returns None. *Pumps* move chunks from a source
to a sink. An empty chunk has no meaning of its own and is passed on.

Foreign functions may return a chunk, or 1, without the tuple. `from_iter` and `to_iter` lead to Python's iterators.

Failures that a source or sink of this module meets are returned, in words, never raised; what a file's ``read`` raises
besides OSError is a fault of the program and passes through.
"""

from __future__ import annotations

from greenbas.luasocket.ltn12 import filter, pump, sink, source
from greenbas.luasocket.ltn12.iterators import from_iter, to_iter
from greenbas.luasocket.ltn12.kinds import BLOCKSIZE, Chunk, Filter, Pumped, Sink, Source, Step

__all__ = [
    "BLOCKSIZE",
    "Chunk",
    "Filter",
    "Pumped",
    "Sink",
    "Source",
    "Step",
    "filter",
    "from_iter",
    "pump",
    "sink",
    "source",
    "to_iter",
]
