"""Opening a connection: names, several addresses, one time-out for all of it."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import time

from gevent import get_hub

from greenbas.errors import CannotConnect, NetError, TimedOut
from greenbas.net.resolver import Address, host_words, resolve
from greenbas.net.stream import Stream

__all__ = ["CONNECT_TIMEOUT", "bind_interface", "open_stream"]

# Seconds for name, addresses and TLS handshake together. The kernel repeats a lost packet after 1, 3 and 7 s.
CONNECT_TIMEOUT = 10.0


def open_stream(
    host: str,
    port: int | str,
    *,
    intf: str | None = None,
    family: int = 0,
    timeout: float | None = CONNECT_TIMEOUT,
) -> Stream:
    """Connect by TCP; the addresses of the host are tried one after the other.

    Args:
        host: a name or an address.
        port: a number or the name of a service.
        intf: the local address, or the name of the network interface, to connect from.
        family: AF_INET or AF_INET6 alone; 0 is both.
        timeout: seconds in all; an address that does not answer leaves time for the next one.

    Raises:
        CannotResolve: the host has no address.
        CannotConnect: nobody answers there; the message has the reason of the first address.
        TimedOut: not within the time-out.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    addresses = resolve(host, port, family=family, timeout=timeout)
    where = host_words(host, port)
    problem: NetError | None = None
    for tried, address in enumerate(addresses):
        share = None
        if deadline is not None:
            share = max(0.0, deadline - time.monotonic()) / (len(addresses) - tried)
        try:
            return _connect(address, intf, share)
        except TimedOut:
            problem = problem or TimedOut(f"cannot connect to {where}: no answer for {timeout:g} s")
        except OSError as error:
            problem = problem or CannotConnect(f"cannot connect to {where}: {error.strerror or error}")
            problem.__cause__ = error
    assert problem is not None, "getaddrinfo gave no address and no error"
    raise problem


def bind_interface(sock: _socket.socket, intf: str) -> None:
    """Use one network interface only: by its address, or by its name.

    Raises:
        OSError: there is no such address or interface here.
    """
    try:
        found = socket.getaddrinfo(intf, 0, sock.family, sock.type, flags=socket.AI_NUMERICHOST)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, intf.encode() + b"\0")
    else:
        sock.bind(found[0][4])


def _connect(address: Address, intf: str | None, timeout: float | None) -> Stream:
    family, kind, protocol, _, place = address
    sock = _socket.socket(family, kind, protocol)
    stream = Stream(sock, get_hub())
    try:
        if intf is not None:
            bind_interface(sock, intf)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(place)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            stream.wait_writable(timeout)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        stream.peername()  # while it is there: a broken connection has no peer any more, and messages name it
    except BaseException:
        stream.close()
        raise
    return stream
