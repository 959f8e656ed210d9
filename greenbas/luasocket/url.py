"""URLs taken apart and put together (LuaSocket ``socket.url``).

Parts are str. Octets that are no UTF-8, after unescaping too, are kept as lone surrogates, so that escaping gives them
back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from greenbas.luasocket.usage import expected

__all__ = ["Segments", "absolute", "build", "build_path", "escape", "parse", "parse_path", "unescape"]

Text = str | bytes

_SCHEME = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"//([^/?#]*)")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^A-Za-z0-9_]")
# RFC 2396 3.3: what a segment may hold besides letters and digits; ";" would begin parameters.
_SEGMENT_UNSAFE = re.compile(rb"[^A-Za-z0-9_.!~*'():@&=+$,-]")


class Segments(list[str]):
    """The segments of a path.

    Attributes:
        is_absolute: 1 when the path begins with "/", else None.
        is_directory: 1 when it ends with "/", else None.
    """

    is_absolute: int | None = None
    is_directory: int | None = None


def _text(value: Any, number: int, function: str) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise expected(number, function, "string", value)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def escape(text: Text) -> str:
    """Escape all octets besides letters, digits and "_" (``url.escape``).

    Args:
        text: str is taken as UTF-8.

    Returns:
        The text with ``%xx`` in lower case.
    """
    octets = _octets(_text(text, 1, "escape"))
    return _UNSAFE.sub(lambda match: b"%%%02x" % match[0][0], octets).decode()


def unescape(text: Text) -> str:
    """Undo `escape` (``url.unescape``).

    Args:
        text: "%" without two digits behind it stays.

    Returns:
        The text.
    """
    octets = _octets(_text(text, 1, "unescape"))
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), octets).decode("utf-8", "surrogateescape")


def parse(url: Text | None, default: Mapping[str, Any] | None = None) -> tuple[dict[str, Any] | None, str | None]:
    """Take a URL apart, decoding nothing (``url.parse``, RFC 2396).

    Args:
        url: absolute or relative.
        default: parts for those that the URL has not.

    Returns:
        The parts that there are, and None: scheme, authority, userinfo, user, password, host (an IPv6 address without
        brackets), port (str), path (with its "/"), params, query, fragment. ``(None, "invalid url")`` for none or "".
    """
    if not url:
        return None, "invalid url"
    rest = _text(url, 1, "parse")
    parts: dict[str, Any] = dict(default or {})
    if match := _SCHEME.match(rest):
        parts["scheme"], rest = match[1], rest[match.end() :]
    if match := _AUTHORITY.match(rest):
        parts["authority"], rest = match[1], rest[match.end() :]
    for name, mark in (("fragment", "#"), ("query", "?"), ("params", ";")):
        rest, found, part = rest.partition(mark)
        if found:
            parts[name] = part
    if rest:
        parts["path"] = rest
    if parts.get("authority") is not None:
        _parse_authority(parts)
    return parts, None


def _parse_authority(parts: dict[str, Any]) -> None:
    authority = _text(parts["authority"], 1, "parse")
    userinfo, at, rest = authority.partition("@")
    if at:
        parts["userinfo"] = userinfo
    else:
        rest = authority
    host, colon, port = rest.rpartition(":")
    if colon and "]" not in port:
        parts["port"], rest = port, host
    if rest:
        bracketed = rest.startswith("[") and rest.endswith("]") and len(rest) > 2
        parts["host"] = rest[1:-1] if bracketed else rest
    if parts.get("userinfo") is not None:
        user, colon, password = parts["userinfo"].rpartition(":")
        parts["user"] = user if colon else parts["userinfo"]
        if colon:
            parts["password"] = password


def build(parts: Mapping[str, Any]) -> str:
    """Put a URL together (``url.build``).

    Args:
        parts: as `parse` returns them; host, port, user and password come before authority and userinfo.

    Returns:
        The URL; nothing is escaped.
    """
    given = {name: _text(value, 1, "build") for name, value in parts.items() if name in _PARTS and value is not None}
    url = given.get("path", "")
    for name, mark in (("params", ";"), ("query", "?")):
        if name in given:
            url += mark + given[name]
    authority = _authority(given) if "host" in given else given.get("authority")
    if authority is not None:
        url = f"//{authority}{url}"
    if "scheme" in given:
        url = f"{given['scheme']}:{url}"
    return f"{url}#{given['fragment']}" if "fragment" in given else url


_PARTS = frozenset(
    ["scheme", "authority", "userinfo", "user", "password", "host", "port", "path", "params", "query", "fragment"]
)


def _authority(given: Mapping[str, str]) -> str:
    authority = f"[{given['host']}]" if ":" in given["host"] else given["host"]
    if "port" in given:
        authority += ":" + given["port"]
    userinfo = given.get("userinfo")
    if "user" in given:
        userinfo = given["user"] + (":" + given["password"] if "password" in given else "")
    return authority if userinfo is None else f"{userinfo}@{authority}"


def absolute(base: Text | Mapping[str, Any], relative: Text | None) -> str:
    """Resolve a reference (``url.absolute``, RFC 2396 5.2, for dots and queries RFC 3986 5.2).

    Args:
        base: an absolute URL, or its parts.
        relative: a reference; an absolute URL is returned as it is, besides the dots in its path.

    Returns:
        The absolute URL, without segments "." and ".."; "//" in a path stays.
    """
    base_parts = dict(base) if isinstance(base, Mapping) else parse(base)[0]
    parts = parse(relative)[0]
    if parts is None:
        parts = base_parts or {}
    elif base_parts is not None and "scheme" not in parts:
        parts = _resolve(base_parts, parts)
    if parts.get("path"):
        parts = {**parts, "path": _without_dots(_text(parts["path"], 1, "absolute"))}
    return build(parts)


def _resolve(base: Mapping[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    def inherit(*names: str) -> None:
        parts.update({name: base[name] for name in names if base.get(name) is not None})

    inherit("scheme")
    if "authority" in parts:
        return parts
    inherit("authority", "userinfo", "user", "password", "host", "port")
    if "path" not in parts:
        inherit("path")
        if "params" not in parts:
            inherit("params")
            if "query" not in parts:
                inherit("query")
    elif not parts["path"].startswith("/"):
        folder = _text(base.get("path") or "", 1, "absolute").rpartition("/")[0]
        parts["path"] = f"{folder}/{parts['path']}"
    return parts


def _without_dots(path: str) -> str:
    # RFC 3986 5.2.4; ".." that would leave the root is dropped, of a relative path it stays.
    kept: list[str] = []
    root = path.startswith("/")
    segments = path[1:].split("/") if root else path.split("/")
    for segment in segments:
        if segment == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif segment != "." and not (root and segment == ".."):
            kept.append(segment)
    if segments[-1] in (".", "..") and (not kept or kept[-1] != ".."):
        kept.append("")
    return ("/" if root else "") + "/".join(kept)


def parse_path(path: Text | None) -> Segments:
    """Break a path into segments and unescape them (``url.parse_path``).

    Args:
        path: empty segments are left out.

    Returns:
        The segments, with ``is_absolute`` and ``is_directory``.
    """
    text = "" if path is None else _text(path, 1, "parse_path")
    segments = Segments(unescape(segment) for segment in text.split("/") if segment)
    segments.is_absolute = 1 if text.startswith("/") else None
    segments.is_directory = 1 if text.endswith("/") else None
    return segments


def build_path(segments: Iterable[Text], unsafe: bool = False) -> str:
    """Put a path together (``url.build_path``).

    Args:
        segments: as `parse_path` returns them; a plain list makes a relative path.
        unsafe: do not escape what has a meaning in paths.

    Returns:
        The path.
    """
    texts = [_text(segment, 1, "build_path") for segment in segments]
    path = "/".join(texts if unsafe else [_protect(text) for text in texts])
    if texts and getattr(segments, "is_directory", None):
        path += "/"
    return f"/{path}" if getattr(segments, "is_absolute", None) else path


def _protect(segment: str) -> str:
    return _SEGMENT_UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], _octets(segment)).decode()
