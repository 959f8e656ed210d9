"""The request target: its four forms, percent-decoding, and the query."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_to_bytes

from greenbas.errors import RemoteProtocolError

__all__ = ["BAD_QUERY", "MAX_PAIRS", "PATH_SAFE", "decode_path", "fold_dots", "parse_pairs", "path_of", "split_target"]

# A form with more fields than this is an attack on the parser, not a form; Django chose the same number.
MAX_PAIRS = 1000

PATH_SAFE = "/:@!$&'()*+,;=~-._"  # characters of a path that need no escape in a URL (RFC 3986 3.3)

# RFC 3986 3.3: pchar and "/". httptools lets more through (quotes, "<", "|", "^") because browsers send them
# unescaped in queries; those stay allowed there. "#" never belongs in a target (RFC 9112 3.2).
_BAD_PATH = re.compile(rb'[^!-~]|[#<>"\\`{}]')
BAD_QUERY = re.compile(rb"[^!-~]|#")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)(/[^?]*)?(?:\?(.*))?", re.DOTALL)


def split_target(method: str, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Split a request target into path, query and, in absolute form, the authority that replaces Host.

    Args:
        method: the request method; it decides which forms are allowed (RFC 9112 3.2).
        target: the target as it was on the wire.

    Returns:
        (path, query, authority): still percent-encoded; the path is ``*`` for ``OPTIONS *``.

    Raises:
        RemoteProtocolError: 400 for a target that is in none of the forms.
    """
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
        authority = None
    elif target == b"*" and method == "OPTIONS":
        return target, b"", None
    elif match := _ABSOLUTE.fullmatch(target):
        authority, path, query = match[1], match[2] or b"/", match[3] or b""
    else:
        raise RemoteProtocolError(f"request target {target[:80]!r} is not a path")
    if _BAD_PATH.search(path) or (query and BAD_QUERY.search(query)):
        raise RemoteProtocolError(f"request target {target[:80]!r} holds a character that must be escaped")
    return path, query, authority


def path_of(path: bytes) -> str:
    """Check and decode the path of a target in origin form; see `decode_path`."""
    if _BAD_PATH.search(path):
        raise RemoteProtocolError(f"path {path[:80]!r} holds a character that must be escaped")
    return decode_path(path)


def decode_path(path: bytes) -> str:
    """Percent-decode a path once, as UTF-8, and fold its dot segments (RFC 3986 5.2.4).

    Nothing behind this function ever sees a ``..`` segment, however it was escaped.

    Raises:
        RemoteProtocolError: 400 for a bad escape, bytes that are not UTF-8, an escaped NUL, or a path above the root.
    """
    if b"%" not in path:
        decoded = path.decode("ascii")
    elif _BAD_ESCAPE.search(path):
        raise RemoteProtocolError(f"path {path[:80]!r} holds a bad percent escape")
    else:
        try:
            decoded = unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            raise RemoteProtocolError(f"path {path[:80]!r} is not UTF-8") from None
        if "\0" in decoded:
            raise RemoteProtocolError(f"path {path[:80]!r} holds an escaped NUL")
    folded = fold_dots(decoded)
    if folded is None:
        raise RemoteProtocolError(f"path {decoded[:80]!r} climbs above the root")
    return folded


_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def fold_dots(path: str) -> str | None:
    """Fold the dot segments of an absolute, decoded path (RFC 3986 5.2.4); None for one that climbs above the root."""
    if "/." not in path:
        return path
    folded: list[str] = []
    segments = path.split("/")
    for segment in segments[1:]:
        if segment == "..":
            if not folded:
                return None
            folded.pop()
        elif segment != ".":
            folded.append(segment)
    if segments[-1] in (".", ".."):
        folded.append("")  # "/a/." and "/a/b/.." name the directory
    return "/" + "/".join(folded)


def parse_pairs(text: str, limit: int = MAX_PAIRS) -> list[tuple[str, str]]:
    """The name and value pairs of a query or a url-encoded body, given as latin-1, in order, duplicates kept.

    ``+`` and escapes are decoded as UTF-8; what is not UTF-8 becomes U+FFFD. A name without ``=`` has the value "".
    (WHATWG URL, application/x-www-form-urlencoded parsing.)

    Raises:
        RemoteProtocolError: 400 when there are more than `limit` pairs.
    """
    if not text:
        return []
    fields = text.split("&", limit)
    if len(fields) > limit:
        raise RemoteProtocolError(f"more than {limit} url-encoded fields")
    pairs = []
    for field in fields:
        if field:
            name, _, value = field.partition("=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if not text.isascii():
        # Bytes that nobody escaped: browsers do not send them, curl does.
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8", "replace")
    return unquote(text) if "%" in text else text
