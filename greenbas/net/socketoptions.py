"""Options of sockets, under BAS's names."""

from __future__ import annotations

import _socket
import difflib
import socket
import struct
from collections.abc import Callable
from typing import Any

from greenbas.errors import NetError

__all__ = ["set_option"]


def set_option(sock: _socket.socket, name: str, on: bool, *values: Any) -> None:
    """Set an option; see `Socket.setoption`."""
    found = _OPTIONS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, _OPTIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_OPTIONS)}"
        raise ValueError(f"unknown socket option {name!r}; {hint}")
    try:
        found(sock, bool(on), *values)
    except OSError as error:
        refused = NetError(f"option {name!r} is refused: {error.strerror or error}")
        refused.code = "noimplementation"
        raise refused from error


def _flag(level: int, option: int) -> Callable[..., None]:
    def set_flag(sock: _socket.socket, on: bool) -> None:
        sock.setsockopt(level, option, on)

    return set_flag


def _keepalive(sock: _socket.socket, on: bool, idle: float | None = None, interval: float | None = None) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, on)
    if idle is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(idle)))
    if interval is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(interval)))


def _membership(sock: _socket.socket, on: bool, group: str, interface: str = "") -> None:
    if ":" in group:
        index = socket.if_nametoindex(interface) if interface else 0
        entry = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_JOIN if on else _IPV6_LEAVE, entry)
        return
    entry = socket.inet_aton(group) + socket.inet_aton(interface or "0.0.0.0")
    option = socket.IP_ADD_MEMBERSHIP if on else socket.IP_DROP_MEMBERSHIP
    sock.setsockopt(socket.IPPROTO_IP, option, entry)


_IPV6_JOIN, _IPV6_LEAVE = socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP
_OPTIONS: dict[str, Callable[..., None]] = {
    "tcp-nodelay": _flag(socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keepalive": _keepalive,
    "broadcast": _flag(socket.SOL_SOCKET, socket.SO_BROADCAST),
    "dontroute": _flag(socket.SOL_SOCKET, socket.SO_DONTROUTE),
    "ip-membership": _membership,
}
