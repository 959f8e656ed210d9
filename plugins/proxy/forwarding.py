"""`Forwarding`: the header fields of requests and responses, as they go on to the other side.

The fields come from a strict parser, so names are tokens and no value holds a control character but TAB. Framing
fields (Content-Length, Transfer-Encoding, Trailer) never go through here: who sends a message frames it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from greenbas.errors import SettingError
from greenbas_plugins.proxy import fieldnames
from greenbas_plugins.proxy.fieldnames import END_TO_END, UNDERSCORE, Kinds
from greenbas_plugins.proxy.hops import one_forward_less
from greenbas_plugins.proxy.provenance import Peer, extended, outer_prefix
from greenbas_plugins.proxy.upgrades import items

__all__ = ["Forwarding", "Pair", "Pairs", "Peer", "encode_head"]

Pair = tuple[bytes, bytes]
Pairs = Sequence[Pair]

_REQUEST_KINDS = Kinds()
_RESPONSE_KINDS = Kinds(responses=True)
# What Connection says nearly always; no field has one of these names.
_COMMON = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close", b"Upgrade", b"upgrade", b""})
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")


class Forwarding:
    """What one proxy does with header fields.

    Args:
        name: what it calls itself in Via; "" for no Via.
        prefix: the path that is taken off, percent-encoded, without a slash at its end; b"" for none.
        host: the Host that backends get; b"" for the one that the client sent.
        identity: ask backends for bodies without content coding.
        underscores: pass fields on that have "_" in their names.

    Raises:
        SettingError: the name is no token.
    """

    __slots__ = ("_ask_identity", "_host", "_name", "_prefix", "_underscores", "_via")

    def __init__(
        self,
        *,
        name: str = "greenbas",
        prefix: bytes = b"",
        host: bytes = b"",
        identity: bool = False,
        underscores: bool = False,
    ) -> None:
        if name and not _TOKEN.fullmatch(name.encode("utf-8", "replace")):
            raise SettingError(f"name for Via: {name!r:.80} is no token; use letters, digits, '-' and '.'")
        self._prefix = prefix
        self._host = host
        self._ask_identity = identity
        self._underscores = underscores
        self._name = name.encode()
        self._via = ((b"Via", b"1.1 " + self._name),) if name else ()

    def request(
        self,
        pairs: Pairs,
        peer: Peer,
        authority: bytes,
        *,
        http11: bool = True,
        method: str = "GET",
        expects: bool = False,
        upgrade: bytes = b"",
        fallback: bytes = b"",
    ) -> list[Pair]:
        """The fields of a request for the backend.

        Args:
            pairs: as the client sent them.
            peer: the client's connection.
            authority: the host that it asked for; b"" when HTTP/1.0 did not say.
            http11: False when the client spoke HTTP/1.0.
            method: of the request.
            expects: whether the client waits for 100 Continue; the backend is asked the same.
            upgrade: from `upgrade_asked`, when it is to be passed on.
            fallback: the Host when there is neither a setting nor an authority.

        Returns:
            A new list, Host first. The fields that frame the body are missing.
        """
        kinds = _REQUEST_KINDS
        fields = [(b"Host", self._host or authority or fallback)]
        special = []
        for pair in pairs:
            if kinds[pair[0]]:
                special.append(pair)
            else:
                fields.append(pair)
        family: Pairs = ()
        if special:
            fields, family, trailers = self._take_special(fields, special, peer.trusted, method)
            if upgrade:
                fields += ((b"Connection", b"Upgrade"), (b"Upgrade", upgrade))
            elif trailers:
                # RFC 9110 10.1.4: TE is about this connection, and Connection has to say so.
                fields += ((b"Connection", b"TE"), (b"TE", b"trailers"))
        if self._ask_identity:
            fields.append((b"Accept-Encoding", b"identity"))
        if expects:
            fields.append((b"Expect", b"100-continue"))
        if family:
            fields += extended(family, peer, authority, self._prefix)
        else:
            fields += peer.fresh(authority, self._prefix)
        fields += self._via_of(http11)
        return fields

    def response(self, pairs: Pairs, *, http11: bool = True, upgrade: bytes = b"") -> list[Pair]:
        """The fields of a response, final or interim, for the client.

        Args:
            pairs: as the backend sent them.
            http11: False when the backend spoke HTTP/1.0.
            upgrade: the protocol that a 101 switches to, or that a 426 demands.

        Returns:
            A new list. The fields that frame the body are missing.
        """
        kinds = _RESPONSE_KINDS
        fields = []
        special = []
        for pair in pairs:
            if kinds[pair[0]]:
                special.append(pair)
            else:
                fields.append(pair)
        for pair in special:
            kind = kinds[pair[0]]
            if kind == fieldnames.VIA:
                fields.append(pair)
            elif kind == fieldnames.CONNECTION and pair[1] not in _COMMON:
                fields = _without_nominated(fields, pair[1])
        if upgrade:
            fields += ((b"Connection", b"Upgrade"), (b"Upgrade", upgrade))
        fields += self._via_of(http11)
        return fields

    def outer(self, pairs: Pairs, peer: Peer) -> bytes:
        """The prefix that trusted proxies have taken off before this one (X-Forwarded-Prefix); b"" for none."""
        if not peer.trusted:
            return b""
        return outer_prefix([value for name, value in pairs if name.lower() == b"x-forwarded-prefix"])

    def _via_of(self, http11: bool) -> tuple[Pair, ...]:
        return self._via if http11 or not self._name else ((b"Via", b"1.0 " + self._name),)

    def _take_special(
        self, fields: list[Pair], special: list[Pair], trusted: bool, method: str
    ) -> tuple[list[Pair], list[Pair], bool]:
        # Returns the fields that go on, those that say who asked, and whether the client understands trailers.
        family = []
        trailers = False
        for pair in special:
            name, value = pair
            kind = _REQUEST_KINDS[name]
            if kind == fieldnames.CONNECTION:
                if value not in _COMMON:
                    fields = _without_nominated(fields, value)
            elif kind == fieldnames.ORIGIN:
                if trusted:
                    family.append(pair)
            elif kind == fieldnames.TE:
                trailers = trailers or b"trailers" in items(value)
            elif kind == fieldnames.MAX_FORWARDS:
                fields += one_forward_less(method, pair)
            elif self._goes_on(kind):
                fields.append(pair)
        return fields, family, trailers

    def _goes_on(self, kind: int) -> bool:
        if kind == fieldnames.ACCEPT_ENCODING:
            return not self._ask_identity
        return kind == fieldnames.VIA or (kind == UNDERSCORE and self._underscores)


def encode_head(start: bytes, fields: Iterable[Pair]) -> bytes:
    """A whole head, with the empty line behind it.

    Args:
        start: the request line or status line, without its end.
        fields: names and values that have been checked; they are not looked at again.
    """
    lines = list(map(b": ".join, fields))
    return b"\r\n".join([start, *lines, b"\r\n"])


def _without_nominated(fields: list[Pair], connection: bytes) -> list[Pair]:
    nominated = items(connection) - END_TO_END
    # Host stands first in a request, and Host is end-to-end.
    return [pair for pair in fields if pair[0].lower() not in nominated]
