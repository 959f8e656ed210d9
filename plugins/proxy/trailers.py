"""The fields behind a body that may go on to the other side."""

from __future__ import annotations

from collections.abc import Sequence

from greenbas_plugins.proxy.fieldnames import END_TO_END, PLAIN, request_kind, response_kind

__all__ = ["request_trailers", "response_trailers", "trailer_lines"]

Pair = tuple[bytes, bytes]
Pairs = Sequence[Pair]


def request_trailers(pairs: Pairs) -> list[Pair]:
    """The fields behind a request's body that may go on; none that could pass for one that was checked."""
    return [pair for pair in pairs if request_kind(pair[0]) == PLAIN and pair[0].lower() not in END_TO_END]


def response_trailers(pairs: Pairs) -> list[Pair]:
    """The fields behind a response's body that may go on (RFC 9110 6.5.1)."""
    return [pair for pair in pairs if response_kind(pair[0]) == PLAIN and pair[0].lower() not in END_TO_END]


def trailer_lines(fields: Pairs) -> bytes:
    """Trailer fields as lines."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])
