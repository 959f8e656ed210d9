"""Sockets that are bound to an address of this machine."""

from __future__ import annotations

import _socket
import socket
from typing import Any

from greenbas.errors import BindFailed, CannotResolve, TimedOut
from greenbas.net.connecting import bind_interface
from greenbas.net.resolver import host_words, resolve

__all__ = ["BACKLOG", "bound_datagram", "listening"]

BACKLOG = 1024  # connections that wait in the kernel; Linux cuts it to net.core.somaxconn (4096 nowadays)

_EVERYWHERE = ("", "::")


def listening(host: str, port: int, *, intf: str | None = None, backlog: int = BACKLOG) -> _socket.socket:
    """A TCP socket that listens, non-blocking.

    Args:
        host: an address or name; "" is every address, IPv6 included.
        port: 0 lets the system choose.
        intf: the name of a network interface to listen on alone.
        backlog: connections that wait in the kernel.

    Raises:
        BindFailed: names the address and the reason.
    """
    return _bound(host, port, socket.SOCK_STREAM, intf, backlog)


def bound_datagram(host: str, port: int, *, intf: str | None = None) -> _socket.socket:
    """A UDP socket with an address of its own, non-blocking; see `listening`."""
    return _bound(host, port, socket.SOCK_DGRAM, intf, None)


def _bound(host: str, port: int, kind: int, intf: str | None, backlog: int | None) -> _socket.socket:
    problem: OSError | None = None
    for family, _, protocol, _, address in _addresses(host, port, kind):
        try:
            sock = _socket.socket(family, kind, protocol)
        except OSError as error:  # such as IPv6 where there is none
            problem = problem or error
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host in _EVERYWHERE else 1)
            if intf is not None:
                bind_interface(sock, intf)
            sock.bind(address)
            if backlog is not None:
                sock.listen(backlog)
            sock.setblocking(False)
            return sock
        except OSError as error:
            sock.close()
            problem = problem or error
    reason = problem.strerror if problem is not None else "the name has no address"
    raise BindFailed(f"cannot listen on {host_words(host or '*', port)}: {reason}") from problem


def _addresses(host: str, port: int, kind: int) -> list[Any]:
    where = host_words(host or "*", port)
    if not 0 <= port <= 65535:
        raise BindFailed(f"cannot listen on {where}: a port is 0 to 65535")
    try:
        found = resolve(host, port, kind=kind, flags=socket.AI_PASSIVE)
    except (CannotResolve, TimedOut) as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise BindFailed(f"cannot listen on {where}: {reason}") from error
    # For "every address" one IPv6 socket serves both kinds.
    return sorted(found, key=lambda entry: entry[0] != socket.AF_INET6) if host == "" else list(found)
