"""Mail messages as sources (LuaSocket ``smtp.message``, RFC 2045-2046)."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from random import SystemRandom
from typing import Any

from greenbas.luasocket.headers import canonical
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import Chunk, Source, as_chunk, pull

__all__ = ["ZONE", "message"]

ZONE = "-0000"  # UTC, which says nothing about where the sender is (RFC 5322 3.3)
TEXT_TYPE = 'text/plain; charset="iso-8859-1"'
UNICODE_TYPE = 'text/plain; charset="utf-8"'

_NAME = re.compile(rb"[!-9;-~]+")  # RFC 5322 3.6.8
_BREAKING = re.compile(rb"[\r\n\0]")
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_counter = itertools.count(1)
_random = SystemRandom()


class BodyFailedError(Exception):
    """A source inside of the message failed; `message` returns the error."""


def message(parts: Mapping[str, Any], version: str, zone: str = ZONE) -> Source:
    """Make a message a source.

    Args:
        parts: headers and body, see `greenbas.luasocket.smtp.message`.
        version: for the field X-Mailer.
        zone: behind the date.

    Raises:
        TypeError: a body or a part is of no kind that can be sent.
        ValueError: a header is malformed.
    """
    outer = {**parts, "headers": _outer_headers(parts, version, zone)}
    _examine(outer)
    chunks = _message(outer)
    failed = False

    def read() -> tuple[Chunk, str | None]:
        nonlocal failed
        try:
            return (None, None) if failed else (next(chunks, None), None)
        except BodyFailedError as failure:
            failed = True
            return None, str(failure)

    return read


def _outer_headers(parts: Mapping[str, Any], version: str, zone: str) -> dict[str, Any]:
    headers = _lower(parts.get("headers"))
    when = formatdate(time.time()).rpartition(" ")[0]
    headers.setdefault("date", f"{when} {parts.get('zone') or zone}")
    headers.setdefault("x-mailer", version)
    headers["mime-version"] = "1.0"
    return headers


def _lower(headers: Mapping[Any, Any] | None) -> dict[str, Any]:
    return {
        (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower(): value
        for name, value in (headers or {}).items()
    }


def _examine(part: Any) -> None:
    """Find what is wrong before the first byte is sent."""
    if not isinstance(part, Mapping):
        raise TypeError(f"a message part is a dict with headers and body, got {type(part).__name__}")
    _head(_lower(part.get("headers")))
    body = part.get("body")
    if isinstance(body, list | tuple | Mapping):
        for inner in _inner(body):
            _examine(inner)
    elif not isinstance(body, bytes | str):
        as_source(body)


def _head(headers: Mapping[str, Any]) -> bytes:
    """The header section with the empty line behind it."""
    lines = [_line(name, value) for name, value in headers.items() if value is not None]
    return b"".join(lines) + b"\r\n"


def _line(name: str, value: Any) -> bytes:
    key, content = as_chunk(canonical(name)), as_chunk(value)
    if not _NAME.fullmatch(key):
        raise ValueError(f"header name {name!r}: only visible ASCII without a colon is allowed")
    if _BREAKING.search(content):
        raise ValueError(f"header {name}: the value holds CR, LF or NUL")
    return b"%b: %b\r\n" % (key, content)


def _message(part: Mapping[str, Any]) -> Iterator[bytes]:
    headers, body = _lower(part.get("headers")), part.get("body")
    if isinstance(body, list | tuple | Mapping):
        yield from _multipart(headers, body)
        return
    # LuaSocket's default; text of Python that it cannot hold is sent as UTF-8 and says so.
    unicode = isinstance(body, str) and not body.isascii()
    headers.setdefault("content-type", UNICODE_TYPE if unicode else TEXT_TYPE)
    yield _head(headers)
    yield from _body(as_source(body))


def _body(source: Source) -> Iterator[bytes]:
    while True:
        try:
            chunk, error = pull(source)
        except OSError as failure:
            raise BodyFailedError(failure.strerror or str(failure)) from failure
        if callable(error):
            source, error = error, None
        if chunk is None:
            if error:
                raise BodyFailedError(error)
            return
        yield chunk


def _inner(body: Any) -> list[Any]:
    """The parts of a multipart table: a list, or a dict with the keys 1, 2, ... as in Lua."""
    if not isinstance(body, Mapping):
        return list(body)
    return list(itertools.takewhile(lambda part: part is not None, (body.get(n) for n in itertools.count(1))))


def _multipart(headers: dict[str, Any], body: Any) -> Iterator[bytes]:
    kind = as_chunk(headers.get("content-type") or "multipart/mixed").decode("utf-8", "surrogateescape")
    given = _BOUNDARY.search(kind)
    boundary = (given[1] or given[2]) if given else _new_boundary()
    headers["content-type"] = kind if given else f'{kind}; boundary="{boundary}"'
    extra: Mapping[Any, Any] = body if isinstance(body, Mapping) else {}
    mark = boundary.encode("utf-8", "surrogateescape")
    yield _head(headers)
    if extra.get("preamble") is not None:
        yield as_chunk(extra["preamble"])
        yield b"\r\n"
    for part in _inner(body):
        yield b"\r\n--%b\r\n" % mark
        yield from _message(part)
    yield b"\r\n--%b--\r\n\r\n" % mark
    if extra.get("epilogue") is not None:
        yield as_chunk(extra["epilogue"])
        yield b"\r\n"


def _new_boundary() -> str:
    now = time.strftime("%d%m%Y%H%M%S")
    return f"{now}{_random.randrange(100_000):05d}=={next(_counter):05d}"
