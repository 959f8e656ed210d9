"""Conditional requests: entity tags, dates, and what follows from them (RFC 9110 section 13)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from enum import Enum

from greenbas.protocol.dates import parse_http_date

__all__ = ["Verdict", "evaluate", "if_range_holds", "make_etag", "parse_etags", "strong_match", "weak_match"]

# RFC 9110 13.2.1: methods that neither select nor change a representation ignore conditions.
_UNCONDITIONAL = frozenset({"CONNECT", "OPTIONS", "TRACE"})

# RFC 9110 8.8.3. Obsolete text (bytes from 0x80) is allowed, as the field is read as Latin-1.
_ETAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
_ETAG_FORM = re.compile(_ETAG)
_NEXT_ETAG = re.compile(rf"[ \t,]*({_ETAG})[ \t]*(?=,|$)")

_ANY = ("*",)


class Verdict(Enum):
    """What the conditions of a request make of it; the value is the status to answer, or None to go on."""

    PROCEED = None
    NOT_MODIFIED = 304
    FAILED = 412


def evaluate(method: str, get: Callable[[str], str | None], etag: str | None, modified: int | None) -> Verdict:
    """Evaluate all conditions of a request but If-Range, in the order of RFC 9110 section 13.2.2.

    Args:
        method: the request's.
        get: gives a request field by its lower-case name; several fields joined with ", ".
        etag: of what is there now, with its quotes; None when it has none.
        modified: when that changed last, in whole seconds since the epoch. When both are None there is nothing, so
            that a PUT with ``If-None-Match: *`` creates and one with ``If-Match: *`` fails.

    Returns:
        Whether to go on, to answer 304, or to answer 412.
    """
    if method in _UNCONDITIONAL:
        return Verdict.PROCEED
    # 13.2.2 steps 1 and 2: If-Unmodified-Since counts only without If-Match.
    tags = get("if-match")
    if tags is not None:
        if not _matches(tags, etag, modified, strong_match):
            return Verdict.FAILED
    elif _changed_after(get("if-unmodified-since"), modified) is True:
        return Verdict.FAILED
    # Steps 3 and 4: If-Modified-Since counts only without If-None-Match, and only for GET and HEAD.
    reading = method in ("GET", "HEAD")
    tags = get("if-none-match")
    if tags is not None:
        if _matches(tags, etag, modified, weak_match):
            return Verdict.NOT_MODIFIED if reading else Verdict.FAILED
    elif reading and _changed_after(get("if-modified-since"), modified) is False:
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def _matches(field: str, etag: str | None, modified: int | None, compare: Callable[[str, str], bool]) -> bool:
    tags = parse_etags(field)
    if tags == _ANY:
        return etag is not None or modified is not None
    return etag is not None and any(compare(tag, etag) for tag in tags)


def _changed_after(field: str | None, modified: int | None) -> bool | None:
    """Compare with a date; None where 13.1.3 and 13.1.4 say to ignore it: no date, no valid one, nothing to compare."""
    if field is None or modified is None:
        return None
    limit = parse_http_date(field)
    return None if limit is None else modified > limit


def if_range_holds(value: str, etag: str | None, modified: int | None, *, now: Callable[[], float] = time.time) -> bool:
    """Say whether a Range may be answered with parts.

    Args:
        value: the If-Range field.
        etag: of what is there now, with its quotes, or None.
        modified: when that changed last, in whole seconds since the epoch, or None.
        now: the clock, in seconds since the epoch.

    Returns:
        True when the validator is strong and the same; else the whole is to be sent (RFC 9110 section 13.1.5).
    """
    if _ETAG_FORM.fullmatch(value):
        return etag is not None and strong_match(value, etag)
    # 13.1.5: the date must be exactly Last-Modified, and strong: 8.8.2.2 doubts a change less than a second old,
    # as another one may follow within the same second.
    return modified is not None and parse_http_date(value) == modified and now() - modified >= 1


def parse_etags(value: str) -> tuple[str, ...]:
    """Read a list of entity tags.

    Args:
        value: the If-Match or If-None-Match field.

    Returns:
        The tags as written, ``W/`` and quotes included; ``("*",)`` for a lone star. The list ends before the first
        malformed one, so that nothing malformed ever matches (RFC 9110 section 8.8.3).
    """
    if value.strip(" \t") == "*":
        return _ANY
    tags: list[str] = []
    found = _NEXT_ETAG.match(value)
    while found:
        tags.append(found[1])
        found = _NEXT_ETAG.match(value, found.end())
    return tuple(tags)


def strong_match(one: str, other: str) -> bool:
    """Compare two entity tags by the strong rule: equal, and neither is weak.

    Args:
        one: a tag with its quotes.
        other: a tag with its quotes.

    Returns:
        Whether both name the same bytes (RFC 9110 section 8.8.3.2).
    """
    return one == other and not one.startswith("W/")


def weak_match(one: str, other: str) -> bool:
    """Compare two entity tags by the weak rule: equal, whether weak or not.

    Args:
        one: a tag with its quotes.
        other: a tag with its quotes.

    Returns:
        Whether both are as good as the same (RFC 9110 section 8.8.3.2).
    """
    return one.removeprefix("W/") == other.removeprefix("W/")


def make_etag(mtime_ns: int, size: int) -> str:
    """Make the entity tag of a file.

    Args:
        mtime_ns: when it changed last, in nanoseconds since the epoch.
        size: in bytes.

    Returns:
        A strong tag with its quotes. Strong, because a file system that counts nanoseconds, or the jiffies of its
        kernel, gives two states of equal size one time only when both were written within that step.
    """
    return f'"{mtime_ns:x}-{size:x}"'
