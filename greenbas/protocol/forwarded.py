"""Who is asking, when trusted proxies stand in between: X-Forwarded-For."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

from greenbas.errors import SettingError

__all__ = ["Networks", "client_address", "parse_networks", "same_address", "trusts"]

Networks: TypeAlias = "tuple[IPv4Network | IPv6Network | Literal['unix'], ...]"

# More proxies than anyone chains; bounds the work for a header of commas when everybody is trusted.
MAX_HOPS = 32

# An IPv6 address with scope, brackets and port is shorter; keeps junk out of the cache.
_MAX_LENGTH = 64
# Peers and proxies repeat: parsing takes microseconds, remembering it a tenth of that.
_REMEMBERED = 1024

_PORT = r"(?::[0-9]{1,5})?"
_WITH_PORT = re.compile(rf"\[([^\]]*)\]{_PORT}|([0-9.]+){_PORT}")


def parse_networks(items: Iterable[str]) -> Networks:
    """Read the list of trusted proxies.

    Args:
        items: addresses, networks such as ``10.0.0.0/8``, and ``unix`` for peers on a Unix socket.

    Returns:
        What `client_address` takes.

    Raises:
        SettingError: an item is none of these; the message names it.
    """
    return tuple(_network(item) for item in items)


def _network(item: str) -> IPv4Network | IPv6Network | Literal["unix"]:
    if item == "unix":
        return "unix"
    try:
        network = ip_network(item)
    except ValueError as error:
        raise SettingError(
            f"trusted proxy {item!r}: {error}; write an address, a network such as '10.0.0.0/8', or 'unix'"
        ) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def client_address(peer: str, forwarded_for: str | None, trusted: Networks) -> str:
    """Find the address of the client behind trusted proxies.

    X-Forwarded-For grows to the right: each proxy appends whom it talked to. So what a trusted proxy wrote is
    believed from right to left, and what stands left of the first stranger may be invented.

    Args:
        peer: the address of the connection; "" or "unix" for a Unix socket.
        forwarded_for: the X-Forwarded-For field, several joined with ", "; None when there is none.
        trusted: from `parse_networks`.

    Returns:
        The first address from the right that is not trusted. The last good one before an entry that is no address;
        the leftmost when all are trusted; `peer` when it is not trusted itself.
    """
    if not trusted or not forwarded_for or not trusts(peer, trusted):
        return peer
    client = peer
    # With more hops than allowed the leftmost piece holds commas, is no address, and ends the walk.
    for entry in reversed(forwarded_for.rsplit(",", MAX_HOPS)):
        address = _entry(entry.strip(" \t"))
        if address is None:
            break
        client = str(address)
        if not _covers(address, trusted):
            break
    return client


def trusts(peer: str, trusted: Networks) -> bool:
    """Say whether the other end of a connection is a trusted proxy, whose X-Forwarded fields are to be believed.

    Args:
        peer: the address of the connection; "" or "unix" for a Unix socket.
        trusted: from `parse_networks`.

    Returns:
        Whether it is one.
    """
    # Only the connection itself can be a Unix socket: "unix" inside the header is somebody's invention.
    if peer in ("", "unix"):
        return "unix" in trusted
    address = _parse(peer)
    return address is not None and _covers(address, trusted)


def _covers(address: IPv4Address | IPv6Address, trusted: Networks) -> bool:
    return any(network != "unix" and address in network for network in trusted)


def _entry(text: str) -> IPv4Address | IPv6Address | None:
    """Read one entry, which may carry a port and, for IPv6, brackets."""
    found = _WITH_PORT.fullmatch(text)
    return _parse((found[1] or found[2]) if found else text)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    return _parse_short(text) if len(text) <= _MAX_LENGTH else None


@lru_cache(_REMEMBERED)
def _parse_short(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A dual-stack listener sees IPv4 peers as ::ffff:a.b.c.d.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def same_address(a: str, b: str) -> bool:
    """Compare two addresses; an IPv4 address equals its IPv4-mapped IPv6 form (BAS ``ba.cmpaddr``).

    Args:
        a: an address as text.
        b: an address as text.

    Returns:
        Whether they are the same; texts that are no addresses are compared as they stand.
    """
    if a == b:
        return True
    address = _parse(a)
    return address is not None and address == _parse(b)
