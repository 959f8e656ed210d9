"""The functions of BAS's socket library: where sockets come from, and where they go."""

from __future__ import annotations

import _socket
import ipaddress
import socket as constants
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub

from greenbas.errors import CannotConnect
from greenbas.net.binding import bound_datagram, listening
from greenbas.net.connecting import CONNECT_TIMEOUT, open_stream
from greenbas.net.coroutine import getsock
from greenbas.net.handback import give_back
from greenbas.net.resolver import host_words, resolve
from greenbas.net.socket import Socket
from greenbas.net.socketbase import sockets
from greenbas.net.stream import Stream

if TYPE_CHECKING:
    from greenbas.net.tls import ClientTls, ServerTls
    from greenbas.net.websocket import WebSocket

__all__ = ["bind", "connect", "event", "http2sock", "req2sock", "sock2req", "stat", "udpcon"]


class Upgradable(Protocol):
    """A request whose connection can be taken; see `greenbas.http.Request`."""

    def detach(self, going_away: Callable[[], object] | None = None) -> tuple[Stream, bytes]:
        """Take the connection."""

    def header(self, name: str) -> str | None:
        """A header field."""

    def upgrade(self) -> WebSocket:
        """Make a WebSocket of it."""


def bind(port: int, *, intf: str = "", ipv6: bool = False, tls: ServerTls | None = None) -> Socket:
    """A listening socket (BAS ``ba.socket.bind``). In a cosocket without a connection, it becomes the cosocket's.

    Args:
        port: 0 lets the system choose; `Socket.sockname` tells.
        intf: an address, or the name of a network interface; "" is every address, IPv6 included.
        ipv6: IPv6 alone.
        tls: accepted connections begin with a TLS handshake.

    Raises:
        BindFailed: names the address and the reason.
    """
    host, interface = (intf, None) if not intf or _is_address(intf) else ("", intf)
    if ipv6 and not host:
        host = "::"
    sock = _fresh()
    sock.attach(Stream(listening(host, port, intf=interface), get_hub()), "listening", tls=tls)
    return sock


def connect(
    address: str,
    port: int | str,
    *,
    intf: str | None = None,
    ipv6: bool = False,
    tls: ClientTls | None = None,
    alpn: tuple[str, ...] | None = None,
    timeout: float | None = CONNECT_TIMEOUT,
) -> Socket:
    """Connect by TCP, perhaps with TLS (BAS ``ba.socket.connect``). In a cosocket without a connection, it gets it.

    Args:
        address: a name or an address.
        port: a number or the name of a service.
        intf: the local address, or the name of the network interface, to connect from.
        ipv6: IPv6 alone.
        tls: shake hands as a TLS client; the peer has to be trusted and to have the name `address`.
        alpn: with `tls`, the protocols to offer.
        timeout: seconds for name, connection and handshake together.

    Raises:
        CannotResolve: the name has no address.
        CannotConnect: nobody answers there.
        TimedOut: not within the time-out.
        TlsError, NotTrusted: the handshake failed.
    """
    sock = _fresh()
    deadline = None if timeout is None else time.monotonic() + timeout
    with sock.doing("connect"):
        family = constants.AF_INET6 if ipv6 else 0
        stream = open_stream(address, port, intf=intf, family=family, timeout=timeout)
        if tls is not None:
            from greenbas.net.tls import handshake

            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            handshake(stream, tls, server_name=address, alpn=alpn, timeout=left)
    sock.attach(stream, "tcp", address=address)
    return sock


def udpcon(
    address: str | None = None,
    port: int | str = 0,
    *,
    intf: str = "",
    local_port: int = 0,
    ipv6: bool = False,
    timeout: float | None = CONNECT_TIMEOUT,
) -> Socket:
    """A UDP socket (BAS ``ba.socket.udpcon``). In a cosocket without a connection, it becomes the cosocket's.

    Args:
        address: the peer, the only one that `read` and `write` are for then; without one see `recvfrom` and `sendto`.
        port: the peer's port.
        intf: the local address to receive on; "" is every address.
        local_port: the port to receive on; 0 lets the system choose.
        ipv6: IPv6 alone.
        timeout: seconds for the look-up of the peer's name.

    Raises:
        BindFailed: the local address is not to be had.
        CannotResolve: the peer's name has no address.
        CannotConnect: the peer cannot be reached from here.
    """
    sock = _fresh()
    family = constants.AF_INET6 if ipv6 else 0
    if address is None:
        made = bound_datagram(intf or ("::" if ipv6 else "0.0.0.0"), local_port)
    else:
        found = resolve(address, port, family=family, kind=constants.SOCK_DGRAM, timeout=timeout)[0]
        if local_port or intf:
            made = bound_datagram(intf or ("::" if found[0] == constants.AF_INET6 else "0.0.0.0"), local_port)
        else:
            made = _socket.socket(found[0], found[1], found[2])
        try:
            made.connect(found[4])
        except OSError as error:
            made.close()
            raise CannotConnect(f"cannot connect to {host_words(address, port)}: {error.strerror}") from error
    sock.attach(Stream(made, get_hub()), "udp", address=address or "")
    return sock


def event(function: Callable[..., Any], *args: Any) -> Socket | None:
    """Start a function as a cosocket that has no connection yet; it runs at once (BAS ``ba.socket.event``).

    Args:
        function: called with its socket and `args`.
        *args: for the function.

    Returns:
        The socket; None when the function has ended already.
    """
    if not callable(function):
        raise TypeError(f"event() takes a function, not {function!r:.80}")
    sock = Socket()
    coroutine = sock.begin(function, "s", args)
    return None if coroutine.dead else sock


def req2sock(request: Upgradable, raw: bool = False) -> Socket:
    """Take the connection of a request (BAS ``ba.socket.req2sock``).

    A request for a WebSocket is answered as `Request.upgrade` does it, and the socket is a WebSocket. Otherwise the
    socket is a TCP connection, whose first read has what came behind the request. When the server stops it is closed.

    Args:
        request: the one that is handled now; output that was written goes out first.
        raw: do not answer a request for a WebSocket.

    Raises:
        IncorrectUse: see `Request.detach`.
    """
    sock = Socket()
    if not raw and (request.header("upgrade") or "").lower() == "websocket":
        websocket = request.upgrade()
        sock.attach_websocket(websocket, websocket.stream)
        return sock
    # Weak: a socket that the handler drops is to close at once, not at the end of the server.
    close = weakref.WeakMethod(sock.close)
    stream, data = request.detach(lambda: (end := close()) and end())
    stream.unread(data)
    sock.attach(stream, "tcp")
    return sock


def http2sock(http: Any) -> Socket:
    """Take the connection of an HTTP client (BAS ``ba.socket.http2sock``).

    Args:
        http: a ``websocket.WebSocket`` of websocket-client, or a ``requests.Response`` made with ``stream=True``. An
            answer 101 to a request for a WebSocket makes the socket a WebSocket.

    Raises:
        IncorrectUse: it is of another kind, or has no connection any more.
    """
    from greenbas.net.handover import stream_of
    from greenbas.net.websocket import WebSocket

    stream, data, is_websocket = stream_of(http)
    sock = Socket()
    if is_websocket:
        sock.attach_websocket(WebSocket(stream, client=True, data=data), stream)
        return sock
    stream.unread(data)
    sock.attach(stream, "tcp")
    return sock


def sock2req(sock: Socket, data: bytes = b"") -> None:
    """Give a connection to the HTTP server, which awaits a request on it (BAS ``ba.socket.sock2req``).

    Args:
        sock: a TCP connection, perhaps encrypted; it is without a connection afterwards.
        data: what was read already and belongs to the request.

    Raises:
        IncorrectUse: it is no TCP connection, has output that waits, or no server runs.
        SocketClosed: the server takes no more connections.
    """
    stream = sock.take_stream()
    give_back(stream, stream.take_pushed() + data)


def stat() -> tuple[int, int]:
    """How many socket objects there are, and how many of them have a connection (BAS ``ba.socket.stat``)."""
    found = list(sockets)
    return len(found), sum(sock.state()[1] for sock in found)


def _fresh() -> Socket:
    # Inside of a cosocket that has nothing yet: that one.
    current = getsock()
    if current is not None and current.is_blank() and isinstance(current, Socket):
        return current
    return Socket()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
