"""Making sockets: the functions of LuaSocket's module that give a connection or a server in one call."""

from __future__ import annotations

import socket
from typing import Any

from greenbas.luasocket.addresses import FAMILIES, find
from greenbas.luasocket.base import Value
from greenbas.luasocket.inet import new_socket
from greenbas.luasocket.messages import ErrorText, error_text
from greenbas.luasocket.streamsocket import BACKLOG
from greenbas.luasocket.tcp import Tcp
from greenbas.luasocket.udp import Udp
from greenbas.luasocket.usage import invalid, optional, text

__all__ = ["bind", "connect", "connect4", "connect6", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"]

_INET, _INET6 = socket.AF_INET, socket.AF_INET6


def tcp() -> Tcp:
    """A TCP object that gets a descriptor when the first address decides on its family."""
    return Tcp()


def tcp4() -> Value:
    """A TCP object for IPv4, and None; or None and the error."""
    return _made(Tcp, _INET)


def tcp6() -> Value:
    """A TCP object for IPv6 alone, and None; or None and the error."""
    return _made(Tcp, _INET6)


def udp() -> Udp:
    """A UDP object that gets a descriptor when the first address decides on its family."""
    return Udp()


def udp4() -> Value:
    """A UDP object for IPv4, and None; or None and the error."""
    return _made(Udp, _INET)


def udp6() -> Value:
    """A UDP object for IPv6 alone, and None; or None and the error."""
    return _made(Udp, _INET6)


def _made(kind: type[Tcp] | type[Udp], family: int) -> Value:
    try:
        return kind(new_socket(family, socket.SOCK_STREAM if kind is Tcp else socket.SOCK_DGRAM)), None
    except OSError as error:
        return None, error_text(error, f"make a {kind.__name__} socket")


def connect(
    address: str,
    port: int | str,
    laddr: str | None = None,
    lport: int | str | None = None,
    family: str | None = None,
) -> Value:
    """Connect by TCP, without a time-out.

    Args:
        address: a name or an address; the addresses of a name are tried one after the other.
        port: a number or the name of a service.
        laddr: the own address to connect from; "*" for any, which is of use with a port.
        lport: the own port.
        family: "inet" or "inet6" to use nothing else; "unspec".

    Returns:
        The client and None; or None and the error.
    """
    shown = "unspec" if family is None else text(family, 5, "connect")
    if shown not in FAMILIES:
        raise invalid(5, "connect", f"invalid option '{shown}'")
    return _connected(FAMILIES[shown], address, port, laddr, lport)


def connect4(address: str, port: int | str, laddr: str | None = None, lport: int | str | None = None) -> Value:
    """`connect` by IPv4 alone."""
    return _connected(_INET, address, port, laddr, lport)


def connect6(address: str, port: int | str, laddr: str | None = None, lport: int | str | None = None) -> Value:
    """`connect` by IPv6 alone."""
    return _connected(_INET6, address, port, laddr, lport)


def _connected(family: int, address: Any, port: Any, laddr: Any, lport: Any) -> Value:
    made = Tcp()
    made._family = family
    if laddr is not None:
        bound = made.bind(laddr, "0" if lport is None else lport)
        if bound[0] is None:
            made.close()
            return bound
    done = made.connect(address, port)
    if done[0] is None:
        made.close()
        return done
    return made, None


def bind(host: str, port: int | str, backlog: int | str | None = BACKLOG) -> Value:
    """Listen on the first address of a host that can be had, with the option reuseaddr.

    Args:
        host: a name or an address; "*" is every IPv4 address of this machine.
        port: a number or the name of a service; 0 lets the system choose.
        backlog: connections that may wait to be accepted.

    Returns:
        The server and None; or None and the error.
    """
    name, service, count = text(host, 1, "bind"), text(port, 2, "bind"), optional(backlog, BACKLOG, 3, "bind")
    if name == "*":
        name = "0.0.0.0"
    try:
        found = find(name, service, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except OSError as error:
        return None, error_text(error, f"listen on {name} port {service}")
    problem: ErrorText | None = None
    for address in found:
        server, failed = _listening(address[0], address[4], int(count), f"listen on {name} port {service}")
        if server is not None:
            return server, None
        problem = problem or failed
    return None, problem or ErrorText("no info on address")


def _listening(family: int, place: Any, backlog: int, what: str) -> Value:
    try:
        sock = new_socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(place)
            sock.listen(backlog)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        return None, error_text(error, what)
    return Tcp(sock, "server"), None
