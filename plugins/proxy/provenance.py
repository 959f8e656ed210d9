"""Who asked, and for what, as a proxy tells its backend: X-Forwarded-For, -Proto, -Host, -Prefix, and Forwarded.

What a client says about itself is dropped. What a trusted peer says is extended, and there X-Forwarded-For leads, as
it does everywhere in greenbas: many proxies write it and pass on whatever Forwarded their client sent. So a Forwarded
that tells another story is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

__all__ = ["Peer", "extended", "outer_prefix"]

MAX_ELEMENTS = 32  # proxies in a chain; bounds the work for a field of commas

_SCHEMES = frozenset({b"http", b"https", b"ws", b"wss"})
# RFC 9110 7.2: as the server checks the Host field.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.vV]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]+)(?::[0-9]*)?")
# A prefix ends in the links of pages: nothing that could leave the site or a quoted attribute.
_PREFIX = re.compile(rb"(?:/[A-Za-z0-9\-._~!$&()*+;=:@%]+)+")
_DOTS = re.compile(rb"/(?:\.|%2[eE]){1,2}(?:/|\Z)")
_ADDRESS = re.compile(rb"\[([^\]]*)\](?::[0-9_A-Za-z.\-]*)?|([0-9.]+)(?::[0-9_A-Za-z.\-]*)?|([0-9A-Fa-f:.]+(?:%\w+)?)")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR = re.compile(rb"(%b)=(?:(%b)|\"((?:[^\"\\]|\\.)*+)\")[ \t]*([;,]|\Z)[ \t]*" % (_TOKEN, _TOKEN))

Pair = tuple[bytes, bytes]


class Peer:
    """The other end of a client's connection, as the backend is told of it.

    Args:
        address: its IP address; "" or "unix" on a Unix socket.
        secure: whether the connection is encrypted.
        trusted: whether its forwarding fields are believed.

    Attributes:
        address: for X-Forwarded-For; b"" when it has none.
        scheme: b"http" or b"https".
        trusted: as given.
    """

    __slots__ = ("_authority", "_fresh", "_node", "_prefix", "address", "scheme", "trusted")

    def __init__(self, address: str, secure: bool, trusted: bool) -> None:
        self.address = _plain(address)
        self.scheme = b"https" if secure else b"http"
        self.trusted = trusted
        self._node = _node(self.address)
        # What was made last: one client asks the same site again and again.
        self._authority: bytes | None = None
        self._prefix = b""
        self._fresh: tuple[Pair, ...] = ()

    def fresh(self, authority: bytes, prefix: bytes) -> tuple[Pair, ...]:
        """The fields for a request that has come through no other trusted proxy.

        Args:
            authority: what the client asked for; b"" when it did not say.
            prefix: the path that is taken off, b"" for none.
        """
        if authority != self._authority or prefix != self._prefix:
            self._fresh = tuple(self._fields(self.address, self.scheme, authority, prefix, self.element(authority)))
            self._authority, self._prefix = authority, prefix
        return self._fresh

    def element(self, authority: bytes) -> bytes:
        """The element of Forwarded (RFC 7239 4) that this hop adds."""
        return _element(self._node, authority, self.scheme)

    @staticmethod
    def _fields(chain: bytes, scheme: bytes, host: bytes, prefix: bytes, forwarded: bytes) -> list[Pair]:
        fields = [
            (b"X-Forwarded-For", chain),
            (b"X-Forwarded-Proto", scheme),
            (b"X-Forwarded-Host", host),
            (b"X-Forwarded-Prefix", prefix),
            (b"Forwarded", forwarded),
        ]
        return [field for field in fields if field[1]]


def extended(family: Sequence[Pair], peer: Peer, authority: bytes, prefix: bytes) -> list[Pair]:
    """The fields for a request from a trusted proxy: what it said, and this hop.

    Args:
        family: the fields of kind ORIGIN, in order.
        peer: the proxy.
        authority: what the proxy asked for.
        prefix: the path that is taken off here.

    Returns:
        One field of each name that is made here, and the others as they were.
    """
    said, others = _sorted_out(family)
    elements = _elements(said.get(b"forwarded", b""))
    entries = [part.strip(b" \t") for part in said.get(b"x-forwarded-for", b"").split(b",") if part.strip(b" \t")]
    last = elements[-1] if elements and not entries else {}
    scheme = _nearest(said.get(b"x-forwarded-proto") or last.get(b"proto", b"")).lower()
    host = _nearest(said.get(b"x-forwarded-host") or last.get(b"host", b""))
    scheme = scheme if scheme in _SCHEMES else b""
    host = host if _HOST.fullmatch(host) else b""
    if not entries:
        entries = [_plain_node(element.get(b"for", b"")) or b"unknown" for element in elements]
    if elements and [_plain_node(entry) for entry in entries] == [_plain_node(e.get(b"for", b"")) for e in elements]:
        forwarded = said[b"forwarded"] + b", "
    else:
        forwarded = _told(entries, host, scheme)
    fields = Peer._fields(
        b", ".join([*entries, peer.address] if peer.address else entries),
        scheme or peer.scheme,
        host or authority,
        _checked_prefix(said.get(b"x-forwarded-prefix", b"")) + prefix,
        forwarded + peer.element(authority),
    )
    return fields + others


def outer_prefix(values: Sequence[bytes]) -> bytes:
    """The prefix that proxies before this one took off, from all X-Forwarded-Prefix fields; b"" when it is no path."""
    return _checked_prefix(b", ".join(values))


_MADE = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix", b"forwarded"})


def _sorted_out(family: Sequence[Pair]) -> tuple[dict[bytes, bytes], list[Pair]]:
    # The values that are made anew here, joined (RFC 9110 5.3), and the fields that are not.
    said: dict[bytes, bytes] = {}
    others = []
    for name, value in family:
        lower = name.lower()
        if lower not in _MADE:
            others.append((name, value))
        else:
            said[lower] = said[lower] + b", " + value if lower in said else value
    return said, others


def _nearest(value: bytes) -> bytes:
    # The last proxy appends, so the nearest one's word stands last; Request.host and is_secure read it so, too.
    return value.rpartition(b",")[2].strip(b" \t")


def _checked_prefix(value: bytes) -> bytes:
    value = value.strip(b" \t").rstrip(b"/")
    return value if _PREFIX.fullmatch(value) and not _DOTS.search(value) else b""


def _elements(value: bytes) -> list[dict[bytes, bytes]]:
    """The elements of Forwarded, parameters by lower-case name; none at all when one is malformed."""
    elements: list[dict[bytes, bytes]] = []
    element: dict[bytes, bytes] = {}
    position = 0
    value = value.strip(b" \t")
    while position < len(value):
        found = _PAIR.match(value, position)
        if found is None or len(elements) >= MAX_ELEMENTS:
            return []
        text = found[2] if found[2] is not None else re.sub(rb"\\(.)", rb"\1", found[3])
        element[found[1].lower()] = text
        if found[4] != b";":
            elements.append(element)
            element = {}
        position = found.end()
    return elements


def _told(entries: Sequence[bytes], host: bytes, scheme: bytes) -> bytes:
    # X-Forwarded-For in the words of Forwarded (RFC 7239 7.4). Host and scheme are what the nearest proxy said.
    nodes = [_node(_plain_node(entry)) for entry in entries[-MAX_ELEMENTS:]]
    elements = [_element(node) for node in nodes[:-1]] + [_element(node, host, scheme) for node in nodes[-1:]]
    return b"".join([element + b", " for element in elements])


def _element(node: bytes, host: bytes = b"", scheme: bytes = b"") -> bytes:
    host = b';host="' + host + b'"' if host else b""
    return b"for=" + node + host + (b";proto=" + scheme if scheme else b"")


def _node(address: bytes) -> bytes:
    """An address as node of Forwarded (RFC 7239 6): IPv6 in brackets and quotes, b"" as unknown."""
    return b'"[' + address + b']"' if b":" in address else address or b"unknown"


def _plain_node(text: bytes) -> bytes:
    """The address in a node or entry, which may carry a port and, for IPv6, brackets; b"" when there is none."""
    found = _ADDRESS.fullmatch(text)
    if found is None or len(text) > 64:
        return b""
    return _plain((found[1] or found[2] or found[3] or b"").decode("ascii", "replace"))


@lru_cache(maxsize=1024)
def _plain(text: str) -> bytes:
    """An address in its usual form: IPv4 also when the listener is for both families, IPv6 without scope."""
    try:
        address = ip_address(text)
    except ValueError:
        return b""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or address).partition("%")[0].encode()
    return str(address).encode()
