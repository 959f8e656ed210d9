"""How far a message has come, and how far it may still go."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["MAX_HOPS", "forwards_left", "one_forward_less", "via_hops"]

MAX_HOPS = 32  # entries of Via; who has been through so many proxies runs in a circle

Pair = tuple[bytes, bytes]
Pairs = Sequence[Pair]

_DIGITS = re.compile(rb"[0-9]{1,9}")


def forwards_left(method: str, pairs: Pairs) -> int | None:
    """How many proxies a TRACE or OPTIONS request may still go through (RFC 9110 7.6.2).

    Returns:
        None without limit, which is so for all other methods and for a value that is no number; with 0 the request is
        to be answered here.
    """
    if method not in ("TRACE", "OPTIONS"):
        return None
    values = [value for name, value in pairs if name.lower() == b"max-forwards"]
    return min([int(value) for value in values if _DIGITS.fullmatch(value)], default=None)


def via_hops(pairs: Pairs) -> int:
    """How many proxies a message has come through, by its Via fields; over `MAX_HOPS` means 508 (RFC 5842 7.2)."""
    return sum([value.count(b",") + 1 for name, value in pairs if name.lower() == b"via"])


def one_forward_less(method: str, pair: Pair) -> Pairs:
    """What becomes of a Max-Forwards field on its way through: it counts down where it counts at all."""
    if method not in ("TRACE", "OPTIONS"):
        return (pair,)
    left = forwards_left(method, (pair,))
    return ((pair[0], b"%d" % max(0, left - 1)),) if left is not None else ()
