"""The protocols that a client asks to switch to, and whether a backend has switched to one of them (RFC 9110 7.8)."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["items", "upgrade_asked", "upgrade_granted"]

Pairs = Sequence[tuple[bytes, bytes]]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
# Protocols that would carry HTTP requests past everything that checks them here.
_NO_UPGRADE = re.compile(rb"h2c?|(?:http|tls)(?:/.*)?", re.IGNORECASE)


def upgrade_asked(pairs: Pairs) -> bytes:
    """The protocols that a request asks to switch to, as Upgrade names them; b"" for none.

    HTTP/2 and TLS are left out: nothing here could look into what follows, and requests would reach the backend that
    nobody has checked (h2c smuggling). An Upgrade that Connection does not name is none (RFC 9110 7.8).
    """
    if b"upgrade" not in items(_joined(pairs, b"connection")):
        return b""
    asked = [item.strip(b" \t") for item in _joined(pairs, b"upgrade").split(b",")]
    return b", ".join([item for item in asked if _TOKEN.fullmatch(item) and not _NO_UPGRADE.fullmatch(item)])


def upgrade_granted(asked: bytes, pairs: Pairs) -> bool:
    """Whether a 101 response switches to what was asked for (RFC 9110 15.2.2).

    Args:
        asked: from `upgrade_asked`.
        pairs: the fields of the response.
    """
    granted = items(_joined(pairs, b"upgrade"))
    return bool(granted) and granted <= items(asked) and b"upgrade" in items(_joined(pairs, b"connection"))


def items(value: bytes) -> set[bytes]:
    """A list of tokens (RFC 9110 5.6.1), in lower case. One with parameters is none of those that are looked for."""
    return {item for item in (part.strip(b" \t") for part in value.lower().split(b",")) if item}


def _joined(pairs: Pairs, wanted: bytes) -> bytes:
    return b",".join([value for name, value in pairs if name.lower() == wanted])
