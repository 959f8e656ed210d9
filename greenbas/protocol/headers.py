"""Header fields: a view of a request's, and the checked lines of a response's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from greenbas.errors import LocalProtocolError

__all__ = ["RequestHeaders", "header_line", "is_token", "quoted"]

# RFC 9110 5.6.2
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 5.5: CR, LF and NUL are dangerous; the other controls but TAB have no meaning either.
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Longer values are mostly unique (locations, tags of long lists): remembering them would only push the common ones out.
_REMEMBERED_LENGTH = 128


def is_token(text: str) -> bool:
    """Whether the text is a token, as field names, methods and cookie names are."""
    return _TOKEN.fullmatch(text) is not None


def quoted(text: str) -> str:
    """Text as a quoted-string (RFC 9110 5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header_line(name: str, value: str) -> bytes:
    """One field line with its CRLF, checked.

    Raises:
        LocalProtocolError: the name is no token, or the value holds CR, LF, NUL or another control, or is not latin-1.
    """
    if len(value) <= _REMEMBERED_LENGTH:
        return _remembered_line(name, value)
    return _line(name, value)


def _line(name: str, value: str) -> bytes:
    if not is_token(name):
        raise LocalProtocolError(f"{name!r} is not a header name: use letters, digits and '-'")
    if _BAD_VALUE.search(value):
        raise LocalProtocolError(f"header {name}: the value {value[:80]!r} holds a control character")
    try:
        return f"{name}: {value}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(
            f"header {name}: the value {value[:80]!r} is not latin-1; percent-encode it (RFC 8187 for parameters)"
        ) from None


_remembered_line = lru_cache(maxsize=1024)(_line)


class RequestHeaders(Mapping[str, str]):
    """The header fields of a request: names in any case, the values of a repeated field joined with ", ".

    Args:
        fields: name and value pairs as they were on the wire.
    """

    __slots__ = ("_fields", "_joined")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields = tuple(fields)
        self._joined: dict[str, str] = {}
        for name, value in self._fields:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
            if key in self._joined:
                # RFC 9110 5.3; RFC 6265 5.4 has Cookie joined with "; ".
                text = self._joined[key] + ("; " if key == "cookie" else ", ") + text
            self._joined[key] = text

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def __repr__(self) -> str:
        return f"<RequestHeaders {self._joined!r}>"

    def get_all(self, name: str) -> list[str]:
        """Each value of the field by itself, in order; an empty list when it is missing."""
        wanted = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1").strip(" \t") for key, value in self._fields if key.lower() == wanted]

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Names and values as they were on the wire, order and duplicates kept."""
        return list(self._fields)
