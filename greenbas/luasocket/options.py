"""Socket options by LuaSocket's names: what type each has, and whether it can be set and asked for."""

from __future__ import annotations

import _socket
import ipaddress
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from greenbas.luasocket.messages import os_words
from greenbas.luasocket.usage import boolean, field, invalid, number, text

__all__ = [
    "TCP_OPTIONS",
    "UDP_OPTIONS",
    "UNIX_DGRAM_OPTIONS",
    "UNIX_STREAM_OPTIONS",
    "Option",
    "get_option",
    "set_option",
]

_SET = "setoption"
_TEXT_SIZE = 64  # bytes that the kernel may need for the name of a device

Encode = Callable[[Any], int | bytes]
Decode = Callable[[_socket.socket, int, int], Any]


class Option(NamedTuple):
    """One option.

    Args:
        level: the level of setsockopt.
        number: the option of setsockopt.
        encode: turns the argument into what setsockopt takes, or raises; None when it cannot be set.
        decode: asks the kernel; None when it cannot be asked for.
    """

    level: int
    number: int
    encode: Encode | None
    decode: Decode | None


def set_option(options: dict[str, Option], sock: _socket.socket | None, name: object, value: object) -> None:
    """Set an option.

    Raises:
        TypeError, ValueError: there is none of this name here that can be set, or the value is wrong.
        OSError: the system refuses, or the socket has no descriptor.
    """
    option = options.get(text(name, 1, _SET))
    if option is None or option.encode is None:
        raise invalid(1, _SET, f"unsupported option `{name}'")
    encoded = option.encode(value)
    if sock is None:
        raise OSError("the socket has no descriptor yet, or none any more")
    sock.setsockopt(option.level, option.number, encoded)


def get_option(options: dict[str, Option], sock: _socket.socket | None, name: object) -> Any:
    """The value of an option; raises as `set_option`."""
    option = options.get(text(name, 1, "getoption"))
    if option is None or option.decode is None:
        raise invalid(1, "getoption", f"unsupported option `{name}'")
    if sock is None:
        raise OSError("the socket has no descriptor yet, or none any more")
    return option.decode(sock, option.level, option.number)


# What arguments become.


def _flag(value: object) -> int:
    return int(boolean(value, 2, _SET))


def _count(value: object) -> int:
    return int(number(value, 2, _SET))


def _device(value: object) -> bytes:
    return text(value, 2, _SET).encode() + b"\0"


def _linger(value: object) -> bytes:
    on = field(value, "on", "boolean", 2, _SET)
    return struct.pack("ii", on, int(field(value, "timeout", "number", 2, _SET)))


def _interface(value: object) -> bytes:
    shown = text(value, 2, _SET)
    if shown == "*":
        return bytes(4)
    try:
        return socket.inet_aton(shown)
    except OSError:
        raise invalid(2, _SET, "ip expected") from None


def _membership(value: object) -> bytes:
    group = _group(field(value, "multiaddr", "string", 2, _SET), ipaddress.IPv4Address)
    shown = text(field(value, "interface", "string", 2, _SET), 2, _SET)
    if shown == "*":
        return group + bytes(4)
    try:
        return group + socket.inet_aton(shown)
    except OSError:
        raise invalid(2, _SET, "invalid 'interface' ip address") from None


def _membership6(value: object) -> bytes:
    group = _group(field(value, "multiaddr", "string", 2, _SET), ipaddress.IPv6Address)
    assert isinstance(value, dict)
    index = 0
    if value.get("interface") is not None:
        index = int(field(value, "interface", "number", 2, _SET))
    return group + struct.pack("@I", index)


def _group(shown: object, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bytes:
    try:
        return kind(text(shown, 2, _SET)).packed
    except ValueError:
        raise invalid(2, _SET, "invalid 'multiaddr' ip address") from None


# What the kernel answers.


def _get_flag(sock: _socket.socket, level: int, option: int) -> bool:
    return bool(sock.getsockopt(level, option))


def _get_count(sock: _socket.socket, level: int, option: int) -> int:
    return sock.getsockopt(level, option)


def _get_device(sock: _socket.socket, level: int, option: int) -> str:
    return os.fsdecode(sock.getsockopt(level, option, _TEXT_SIZE).rstrip(b"\0"))


def _get_linger(sock: _socket.socket, level: int, option: int) -> dict[str, Any]:
    on, seconds = struct.unpack("ii", sock.getsockopt(level, option, 8))
    return {"on": bool(on), "timeout": seconds}


def _get_interface(sock: _socket.socket, level: int, option: int) -> str:
    return socket.inet_ntoa(sock.getsockopt(level, option, 4))


def _get_error(sock: _socket.socket, level: int, option: int) -> str | None:
    code = sock.getsockopt(level, option)
    return os_words(code) if code else None


def _both(level: int, option: int) -> Option:
    return Option(level, option, _flag, _get_flag)


def _number(level: int, option: int) -> Option:
    return Option(level, option, _count, _get_count)


_SOL, _TCP, _IP, _IP6 = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6

_KEEPALIVE = {"keepalive": _both(_SOL, socket.SO_KEEPALIVE)}
_REUSE = {"reuseaddr": _both(_SOL, socket.SO_REUSEADDR)}
_LINGER = {"linger": Option(_SOL, socket.SO_LINGER, _linger, _get_linger)}
_ERROR = {"error": Option(_SOL, socket.SO_ERROR, None, _get_error)}
_COMMON = {
    **_REUSE,
    **_ERROR,
    "reuseport": _both(_SOL, socket.SO_REUSEPORT),
    "recv-buffer-size": _number(_SOL, socket.SO_RCVBUF),
    "send-buffer-size": _number(_SOL, socket.SO_SNDBUF),
}

TCP_OPTIONS = {
    **_COMMON,
    **_KEEPALIVE,
    **_LINGER,
    "bindtodevice": Option(_SOL, socket.SO_BINDTODEVICE, _device, _get_device),
    "tcp-nodelay": _both(_TCP, socket.TCP_NODELAY),
    "tcp-keepidle": _number(_TCP, socket.TCP_KEEPIDLE),
    "tcp-keepcnt": _number(_TCP, socket.TCP_KEEPCNT),
    "tcp-keepintvl": _number(_TCP, socket.TCP_KEEPINTVL),
    "ipv6-v6only": Option(_IP6, socket.IPV6_V6ONLY, _flag, None),
    "tcp-defer-accept": Option(_TCP, socket.TCP_DEFER_ACCEPT, _count, None),
    "tcp-fastopen": Option(_TCP, socket.TCP_FASTOPEN, _count, None),
    "tcp-fastopen-connect": Option(_TCP, 30, _count, None),  # TCP_FASTOPEN_CONNECT, which Python does not name
}

UDP_OPTIONS = {
    **_COMMON,
    "dontroute": _both(_SOL, socket.SO_DONTROUTE),
    "broadcast": _both(_SOL, socket.SO_BROADCAST),
    "ip-multicast-loop": _both(_IP, socket.IP_MULTICAST_LOOP),
    "ip-multicast-if": Option(_IP, socket.IP_MULTICAST_IF, _interface, _get_interface),
    "ip-multicast-ttl": Option(_IP, socket.IP_MULTICAST_TTL, _count, None),
    "ip-add-membership": Option(_IP, socket.IP_ADD_MEMBERSHIP, _membership, None),
    "ip-drop-membership": Option(_IP, socket.IP_DROP_MEMBERSHIP, _membership, None),
    "ipv6-unicast-hops": _number(_IP6, socket.IPV6_UNICAST_HOPS),
    # LuaSocket has the option of the unicast hops here too.
    "ipv6-multicast-hops": _number(_IP6, socket.IPV6_MULTICAST_HOPS),
    "ipv6-multicast-loop": _both(_IP6, socket.IPV6_MULTICAST_LOOP),
    "ipv6-v6only": _both(_IP6, socket.IPV6_V6ONLY),
    "ipv6-add-membership": Option(_IP6, socket.IPV6_JOIN_GROUP, _membership6, None),
    "ipv6-drop-membership": Option(_IP6, socket.IPV6_LEAVE_GROUP, _membership6, None),
}

# LuaSocket lets these only be set.
UNIX_STREAM_OPTIONS = {**_REUSE, **_KEEPALIVE, **_LINGER, **_ERROR}
UNIX_DGRAM_OPTIONS = {**_REUSE, **_ERROR}
