"""Paths inside an I/O: one canonical spelling, and no way out of the root by spelling.

This is the first of two guards. It is about text alone: what the operating system makes of a canonical path, symbolic
links above all, is checked by the I/O itself when it opens something.
"""

from __future__ import annotations

import re

from greenbas.errors import InvalidName

__all__ = ["hidden", "normalize"]

# What Linux allows (NAME_MAX, and PATH_MAX less room for the root's own path); the same for every I/O, so that what
# works in memory works on disk.
MAX_SEGMENT = 255  # bytes
MAX_PATH = 3072  # bytes

# A backslash separates on Windows and in the URLs that some browsers make; control characters, the second block of
# them included, forge log lines and listings.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


def normalize(path: str) -> str:
    """Return the one spelling that a path has inside an I/O.

    Percent signs mean themselves: a URL was decoded once, when it was read, and is not decoded again.

    Args:
        path: segments separated by "/", relative to the root; a leading "/", empty segments, "." and a ".." that
            stays inside are folded.

    Returns:
        The segments joined with "/"; "" for the root.

    Raises:
        InvalidName: the path leaves the root, holds NUL, another control character or a backslash, is too long, or
            cannot be encoded.
    """
    if _FORBIDDEN.search(path):
        raise InvalidName(path, "a path must not hold a backslash or a control character")
    # Most paths are canonical already, and need no list.
    if path[:1] in ("/", ".") or path[-1:] == "/" or "//" in path or "/." in path:
        path = _folded(path)
    if len(path) > MAX_SEGMENT or not path.isascii():
        _check_length(path)
    return path


def _folded(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if not segments:
                raise InvalidName(path, "a path must not leave the root")
            segments.pop()
        elif segment and segment != ".":
            segments.append(segment)
    return "/".join(segments)


def _check_length(path: str) -> None:
    try:
        # surrogateescape: names that are not UTF-8 come from directory listings in this form.
        encoded = path.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise InvalidName(path, "a path must be valid Unicode") from None
    if len(encoded) > MAX_PATH or max(map(len, encoded.split(b"/"))) > MAX_SEGMENT:
        raise InvalidName(path, f"a path takes at most {MAX_PATH} bytes and each of its parts {MAX_SEGMENT}")


def hidden(path: str) -> bool:
    """Say whether a path is hidden, so that it is never served.

    Args:
        path: a path, canonical or not.

    Returns:
        True when any segment starts with "." (BAS resource reader).
    """
    return path.startswith(".") or "/." in path
