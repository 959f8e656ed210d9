"""Hosts, ports and addresses: look-ups that suspend nobody else, and names of addresses as LuaSocket gives them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from gevent import monkey
from gevent._hub_local import get_hub_if_exists

from greenbas.dispatcher.native import Thread
from greenbas.net.resolver import Address, resolve

__all__ = ["FAMILIES", "Name", "address_name", "find", "numeric", "off_hub"]

P = ParamSpec("P")
R = TypeVar("R")

Name = tuple[str, int, str]  # address, port, family

FAMILIES = {"unspec": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet4": socket.AF_INET, "inet6": socket.AF_INET6}
REVERSE_THREADS = 4  # reverse look-ups at once; `net.resolver` has the threads for the others

_threads = Thread(REVERSE_THREADS, name="luasocket.dns")
_getaddrinfo: Callable[..., list[Address]] = monkey.get_original("socket", "getaddrinfo")


def off_hub(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call what blocks in a thread of its own; where there is no hub to hold up, call it right here."""
    if get_hub_if_exists() is None:
        return function(*args, **kwargs)
    return _threads.offload(function, *args, **kwargs)


def find(
    host: str, port: str, family: int, kind: int, *, flags: int = 0, timeout: float | None = None
) -> list[Address]:
    """The addresses of a host, in the order in which to try them.

    Args:
        host: a name or an address; "" with AI_PASSIVE is every address of this machine.
        port: a number or the name of a service.
        family: AF_INET, AF_INET6 or AF_UNSPEC.
        kind: SOCK_STREAM or SOCK_DGRAM.
        flags: of getaddrinfo.
        timeout: seconds; None waits as long as the system does.

    Raises:
        OSError: CannotResolve or gaierror; TimedOut.
    """
    try:
        if get_hub_if_exists() is None:
            return _getaddrinfo(host or None, port, family, kind, 0, flags)
        return resolve(host, port, family=family, kind=kind, flags=flags, timeout=timeout)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} can be no host name") from None


def numeric(address: str, port: str, family: int, kind: int) -> Address:
    """A literal address and a port number; names are not looked up.

    Raises:
        gaierror: one of the two is a name.
    """
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        return _getaddrinfo(address, port, family, kind, 0, flags)[0]
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, f"{address!r} is no address") from None


def address_name(place: Any, family: int) -> Name:
    """A socket address as LuaSocket tells it: text, port, and "inet", "inet6" or "unspec"."""
    if family == socket.AF_INET6:
        host, port, _, scope = place
        if scope and "%" not in host:
            host = f"{host}%{socket.if_indextoname(scope)}"
        return host, port, "inet6"
    if family == socket.AF_INET:
        return place[0], place[1], "inet"
    return "", 0, "unspec"
