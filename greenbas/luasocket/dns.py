"""Names of hosts (LuaSocket ``socket.dns``). Look-ups suspend the greenlet that asks and nobody else."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from gevent import monkey

from greenbas.luasocket.addresses import address_name, find, off_hub
from greenbas.luasocket.messages import ErrorText, error_text
from greenbas.luasocket.usage import text

__all__ = ["getaddrinfo", "gethostname", "getnameinfo", "tohostname", "toip"]

Failure = tuple[None, ErrorText]
Host = dict[str, Any]  # name: str, alias: list[str], ip: list[str]

_by_name: Callable[..., Any] = monkey.get_original("socket", "gethostbyname_ex")
_by_address: Callable[..., Any] = monkey.get_original("socket", "gethostbyaddr")
_names: Callable[..., Any] = monkey.get_original("socket", "getnameinfo")


def toip(host: str) -> tuple[str, Host] | Failure:
    """The first IPv4 address of a host, and a dict of its `name`, `alias` names and all its addresses, `ip`."""
    found = _host(_by_name, text(host, 1, "toip"))
    return (found["ip"][0], found) if isinstance(found, dict) else (None, found)


def tohostname(address: str) -> tuple[str, Host] | Failure:
    """The name of an address (or of a host), and the dict of `toip`."""
    found = _host(_by_address, text(address, 1, "tohostname"))
    return (found["name"], found) if isinstance(found, dict) else (None, found)


def getaddrinfo(host: str) -> tuple[list[dict[str, str]], None] | Failure:
    """The addresses of a host, each as a dict of `family`, "inet" or "inet6", and `addr`."""
    name = text(host, 1, "getaddrinfo")
    try:
        found = find(name, "", socket.AF_UNSPEC, socket.SOCK_STREAM)
    except OSError as error:
        return None, error_text(error, f"look up {name}")
    places = [address_name(place, family) for family, _, _, _, place in found]
    return [{"family": family, "addr": address} for address, _, family in places], None


def getnameinfo(host: str | None = None, service: str | int | None = None) -> tuple[list[str], str | None] | Failure:
    """The names of a host, and of a service if one is given.

    Args:
        host: an address or a name; None asks for the service alone.
        service: a port or a name.

    Returns:
        The names without repetition, and the name of the service or None; or None and the error.
    """
    if host is None and service is None:
        raise TypeError("host and serv cannot be both nil")
    name = "" if host is None else text(host, 1, "getnameinfo")
    port = "" if service is None else text(service, 2, "getnameinfo")
    try:
        found = find(name, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        pairs = [off_hub(_names, place, 0) for _, _, _, _, place in found]
    except (OSError, UnicodeError) as error:
        return None, error_text(error if isinstance(error, OSError) else OSError(), f"look up {name} {port}")
    return list(dict.fromkeys(host for host, _ in pairs)), pairs[0][1] if service is not None else None


def gethostname() -> tuple[str, None] | Failure:
    """The name of this machine."""
    try:
        return socket.gethostname(), None
    except OSError as error:
        return None, error_text(error, "the name of this machine")


def _host(ask: Callable[..., Any], name: str) -> Host | ErrorText:
    try:
        found, aliases, addresses = off_hub(ask, name)
    except (OSError, UnicodeError) as error:
        return ErrorText("host not found", "cannotresolve", f"look up {name}: {error}")
    return {"name": found, "alias": aliases, "ip": addresses}
