"""Filters for base64, quoted-printable, line breaks and dot-stuffing, after RFC 2045 (LuaSocket ``mime``).

The functions with short names work on pieces, see `greenbas.luasocket.mimecore` and `greenbas.luasocket.mimelines`; the
others make filters of them for `greenbas.luasocket.ltn12`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenbas.luasocket.ltn12.filter import cycle
from greenbas.luasocket.ltn12.kinds import Filter
from greenbas.luasocket.mimecore import b64, qp, unb64, unqp
from greenbas.luasocket.mimelines import LINE, dot, eol, qpwrp, wrp

__all__ = [
    "b64",
    "decode",
    "decodet",
    "dot",
    "encode",
    "encodet",
    "eol",
    "normalize",
    "qp",
    "qpwrp",
    "stuff",
    "unb64",
    "unqp",
    "wrap",
    "wrapt",
    "wrp",
]

Maker = Callable[..., Filter]


def _base64(*_: Any) -> Filter:
    return cycle(b64, b"")


def _quoted_printable(mode: str | None = None, *_: Any) -> Filter:
    return cycle(qp, b"", b"=0D=0A" if mode == "binary" else b"\r\n")


def _from_base64(*_: Any) -> Filter:
    return cycle(unb64, b"")


def _from_quoted_printable(*_: Any) -> Filter:
    return cycle(unqp, b"")


def _text_lines(length: int | None = None, *_: Any) -> Filter:
    limit = LINE if length is None else length
    return cycle(wrp, limit, limit)


def _quoted_lines(*_: Any) -> Filter:
    return cycle(qpwrp, LINE, LINE)


# What `encode`, `decode` and `wrap` choose from; programs may add to them.
encodet: dict[str, Maker] = {"base64": _base64, "quoted-printable": _quoted_printable}
decodet: dict[str, Maker] = {"base64": _from_base64, "quoted-printable": _from_quoted_printable}
wrapt: dict[str, Maker] = {
    "text": _text_lines,
    "base64": _text_lines,
    "default": _text_lines,
    "quoted-printable": _quoted_lines,
}


def _choose(makers: dict[str, Maker], name: Any, options: tuple[Any, ...]) -> Filter:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if not isinstance(name, str):
        name, options = "default", (name, *options)
    if name not in makers:
        raise ValueError(f"unknown key ({name})")
    return makers[name](*options)


def encode(name: str | None = None, *options: Any) -> Filter:
    """Make a filter that encodes (``mime.encode``).

    Args:
        name: "base64" or "quoted-printable", or another key of `encodet`.
        options: for quoted-printable the mode: with "binary" CRLF is data and not the end of a line.

    Raises:
        ValueError: the name is not known.
    """
    return _choose(encodet, name, options)


def decode(name: str | None = None, *options: Any) -> Filter:
    """Make a filter that decodes (``mime.decode``).

    Args:
        name: "base64" or "quoted-printable", or another key of `decodet`.
        options: passed on.

    Raises:
        ValueError: the name is not known.
    """
    return _choose(decodet, name, options)


def wrap(name: str | int | None = None, *options: Any) -> Filter:
    """Make a filter that breaks lines (``mime.wrap``).

    Args:
        name: "text", "base64" or "quoted-printable", or another key of `wrapt`; left out, text.
        options: bytes of a line, 76 unless given; lines of quoted-printable always have 76.

    Raises:
        ValueError: the name is not known.
    """
    return _choose(wrapt, name, options)


def normalize(marker: bytes | str | None = None) -> Filter:
    """Make a filter that makes all line ends the same (``mime.normalize``).

    Args:
        marker: what they become; CRLF unless given.
    """
    return cycle(eol, 0, marker)


def stuff() -> Filter:
    """Make a filter that doubles dots at the beginning of lines, as SMTP wants it (``mime.stuff``)."""
    return cycle(dot, 2)
