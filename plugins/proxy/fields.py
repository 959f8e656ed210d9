"""`Fields`: header fields that hooks read and change as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from greenbas.errors import LocalProtocolError
from greenbas_plugins.proxy.fieldnames import CONNECTION, DROPPED, TE, request_kind, response_kind

__all__ = ["Fields"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Fields:
    """The header fields of one message, in order; names in any case, bytes above ASCII as latin-1.

    A hook may say who it is and what it wants, but not how the message is framed: Content-Length, Transfer-Encoding,
    Connection and their kin are refused.

    Args:
        pairs: names and values as on the wire; the list is changed in place.
        responses: whether they are a response's.

    Attributes:
        pairs: the same list.
    """

    __slots__ = ("_responses", "pairs")

    def __init__(self, pairs: list[tuple[bytes, bytes]], *, responses: bool = False) -> None:
        self.pairs = pairs
        self._responses = responses

    def __repr__(self) -> str:
        return f"<Fields {[name.decode('latin-1') for name, _ in self.pairs]}>"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.pairs])

    def __len__(self) -> int:
        return len(self.pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def get(self, name: str) -> str | None:
        """The value of a field, several joined with ", "; None when there is none."""
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def get_all(self, name: str) -> list[str]:
        """Each value of a field by itself, in order."""
        wanted = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for key, value in self.pairs if key.lower() == wanted]

    def set(self, name: str, value: str) -> None:
        """Replace a field, all of them when there are several; the new one stands where the first stood.

        Raises:
            LocalProtocolError: the name is no token or not for hooks, or the value cannot be sent.
        """
        pair = self._checked(name, value)
        wanted = pair[0].lower()
        at = next((index for index, (key, _) in enumerate(self.pairs) if key.lower() == wanted), len(self.pairs))
        self.pairs[at:] = [pair, *(kept for kept in self.pairs[at:] if kept[0].lower() != wanted)]

    def add(self, name: str, value: str) -> None:
        """Add a field beside those of its name, as for Set-Cookie.

        Raises:
            LocalProtocolError: as `set`; or a second Host.
        """
        pair = self._checked(name, value)
        if pair[0].lower() == b"host" and name in self:
            raise LocalProtocolError("a request has one Host; use set()")
        self.pairs.append(pair)

    def remove(self, *names: str) -> None:
        """Take all fields of these names away.

        Raises:
            LocalProtocolError: one of them is not for hooks, or is Host.
        """
        for name in names:
            wanted = self._named(name).lower()
            if wanted == b"host" and not self._responses:
                raise LocalProtocolError("a request needs its Host (RFC 9112 3.2); use set()")
            self.pairs[:] = [pair for pair in self.pairs if pair[0].lower() != wanted]

    def update(self, fields: Iterable[tuple[str, str]]) -> None:
        """Set several fields.

        Raises:
            LocalProtocolError: as `set`.
        """
        for name, value in fields:
            self.set(name, value)

    def _checked(self, name: str, value: str) -> tuple[bytes, bytes]:
        key = self._named(name)
        if not isinstance(value, str):
            raise TypeError(f"field {name}: the value is a {type(value).__name__}, not a text")
        if _CONTROL.search(value):
            raise LocalProtocolError(f"field {name}: the value {value[:80]!r} holds a control character")
        try:
            return key, value.strip(" \t").encode("latin-1")
        except UnicodeEncodeError:
            raise LocalProtocolError(
                f"field {name}: the value {value[:80]!r} is not latin-1; percent-encode it"
            ) from None

    def _named(self, name: str) -> bytes:
        if not isinstance(name, str):
            raise TypeError(f"the name of a field is a {type(name).__name__}, not a text")
        if not _TOKEN.fullmatch(name):
            raise LocalProtocolError(f"{name!r:.80} is not a field name: use letters, digits and '-'")
        key = name.encode()
        kind = (response_kind if self._responses else request_kind)(key)
        if kind in (CONNECTION, TE) or (kind == DROPPED and key.lower() not in _FOR_HOOKS):
            raise LocalProtocolError(f"field {name} is about the connection or the framing, which are the proxy's own")
        return key


# Dropped when they come from outside; a hook may mean them.
_FOR_HOOKS = frozenset({b"alt-svc", b"host", b"proxy-authorization", b"proxy-authenticate"})
