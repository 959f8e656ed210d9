"""`StatusSettings`: the table ``[plugin.statuspage]`` of greenbas.toml, and who is in a list of networks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from greenbas.errors import SettingError

__all__ = ["StatusSettings", "covers", "is_known"]

MIN_INTERVAL = 0.2  # seconds; a snapshot of a server with thousands of connections takes milliseconds

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Settings of the status page. Checked when made.

    Attributes:
        allow: addresses and networks of the clients that may see it, and ``unix`` for those on a Unix socket.
        interval: seconds between the updates of an open page.
        hosts: names of the server by which it may be asked for, besides addresses and ``localhost``.
    """

    allow: tuple[str, ...] = ("127.0.0.0/8", "::1")
    interval: float = 2.0
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.allow, tuple):
            raise SettingError(f"allow: {self.allow!r:.80} is no list of networks, such as ['127.0.0.0/8', '::1']")
        _networks(self.allow)
        if not isinstance(self.hosts, tuple):
            raise SettingError(f"hosts: {self.hosts!r:.80} is no list of names, such as ['shop.example']")
        for name in self.hosts:
            if not (isinstance(name, str) and _NAME.fullmatch(name)):
                raise SettingError(f"hosts: {name!r:.80} is no name: write it in ASCII, without scheme and port")
        if not (isinstance(self.interval, int | float) and MIN_INTERVAL <= self.interval < float("inf")):
            raise SettingError(f"interval: {self.interval!r:.80} is not {MIN_INTERVAL} seconds or more")


def is_known(names: tuple[str, ...], host: str) -> bool:
    """Whether a server may be asked for under this host.

    Args:
        names: those it has besides addresses and ``localhost``.
        host: what the client asked for, lower case, without port.
    """
    host = host.removesuffix(".")
    if host == "localhost" or any(host == name.lower().removesuffix(".") for name in names):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def covers(items: tuple[str, ...], address: str) -> bool:
    """Whether a client is in one of these networks.

    Args:
        items: addresses, networks such as ``10.0.0.0/8``, and ``unix``.
        address: of the client; "" or "unix" for one on a Unix socket.
    """
    if address in ("", "unix"):
        return "unix" in items
    try:
        client = ip_address(address)
    except ValueError:
        return False
    # A listener for both families sees IPv4 clients as ::ffff:a.b.c.d.
    if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    return any(client in network for network in _networks(items))


@lru_cache(maxsize=16)
def _networks(items: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    found = []
    for item in items:
        if item == "unix":
            continue
        try:
            found.append(ip_network(item))
        except ValueError as error:
            raise SettingError(
                f"allow: {item!r:.80}: {error}; write an address, a network such as '10.0.0.0/8', or 'unix'"
            ) from None
    return found
