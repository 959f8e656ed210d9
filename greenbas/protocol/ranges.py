"""Byte ranges: the Range and Content-Range fields (RFC 9110 section 14)."""

from __future__ import annotations

import re

__all__ = ["content_range", "parse_ranges", "unsatisfied_range"]

# RFC 9110 17.15: many ranges cost the server far more than the client. Players and download managers ask for
# one to a handful; PDF readers, the greediest, for about ten.
MAX_RANGES = 16

_HEADER = re.compile(r"bytes=(.*)", re.IGNORECASE)
# 18 digits: more than any file has, and no work for int().
_SPEC = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


def parse_ranges(value: str, size: int) -> list[tuple[int, int]] | None:
    """Read a Range field for something of a known size.

    Args:
        value: the field value.
        size: bytes of the whole.

    Returns:
        Half-open intervals (start, stop) in the order asked for, overlapping and adjacent ones joined. An empty list:
        valid, but nothing of it exists, answer 416. None: answer the whole, because the unit is another one, the
        field is malformed, the whole is empty, or it asks for more than `MAX_RANGES` ranges or more bytes than there
        are. RFC 9110 14.2 lets a server ignore any Range.
    """
    found = _HEADER.fullmatch(value)
    # RFC 9110 5.6.1.2: empty elements of a list are skipped.
    specs = [spec for spec in (part.strip(" \t") for part in found[1].split(",")) if spec] if found else []
    # Something empty is sent whole: 416 would fail the clients that put "bytes=0-" on every request, and no
    # Content-Range can describe the suffix of nothing, although 14.1.2 calls that satisfiable.
    if not specs or len(specs) > MAX_RANGES or not size:
        return None
    ranges: list[tuple[int, int]] = []
    for spec in specs:
        interval = _interval(spec, size)
        if interval is None:
            return None
        ranges.append(interval)
    return _limited(ranges, size)


def _interval(spec: str, size: int) -> tuple[int, int] | None:
    """Read one range-spec (RFC 9110 14.1.1); an interval with start >= size is not satisfiable."""
    found = _SPEC.fullmatch(spec)
    if not found or spec == "-":
        return None
    first, last = found[1], found[2]
    if not first:
        # "-0" asks for nothing and is unsatisfiable; a suffix longer than the whole is the whole (14.1.2).
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    start = int(first)
    if not last:
        return start, size
    return (start, min(int(last) + 1, size)) if start <= int(last) else None


def _limited(ranges: list[tuple[int, int]], size: int) -> list[tuple[int, int]] | None:
    satisfiable = [interval for interval in ranges if interval[0] < size]
    # RFC 9110 17.15: overlapping ranges multiply the answer.
    if sum(stop - start for start, stop in satisfiable) > size:
        return None
    return _joined(satisfiable)


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join what touches. The rest keeps its order, as RFC 9110 15.3.7.2 wants the parts sent."""
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        touching = [other for other in joined if other[0] <= stop and start <= other[1]]
        if not touching:
            joined.append((start, stop))
            continue
        place = joined.index(touching[0])
        joined[place] = (min(start, *(other[0] for other in touching)), max(stop, *(other[1] for other in touching)))
        joined = [other for other in joined if other not in touching[1:]]
    return joined


def content_range(start: int, stop: int, size: int) -> str:
    """Write the Content-Range of a 206 answer.

    Args:
        start: first byte.
        stop: the byte behind the last one.
        size: bytes of the whole.

    Returns:
        The field value, such as ``bytes 0-499/1234`` (RFC 9110 section 14.4).
    """
    return f"bytes {start}-{stop - 1}/{size}"


def unsatisfied_range(size: int) -> str:
    """Write the Content-Range of a 416 answer.

    Args:
        size: bytes of the whole.

    Returns:
        The field value, such as ``bytes */1234`` (RFC 9110 section 14.4).
    """
    return f"bytes */{size}"
