"""`Tunnel`: two connections joined, for WebSockets and whatever else HTTP was upgraded to.

While nothing moves a tunnel has no greenlet: each side is parked with a callback that hands its bytes to the other.
Only a side that takes less than comes gets a greenlet, which waits with the bytes; the other is not read meanwhile.
"""

from __future__ import annotations

import _socket
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenbas import spawn
from greenbas.errors import NetError
from greenbas.net import Stream
from greenbas_plugins.proxy.backend import BackendConnection
from greenbas_plugins.proxy.mounted import header_lines

if TYPE_CHECKING:
    from greenbas_plugins.proxy.exchange import Exchange
    from greenbas_plugins.proxy.incoming import Incoming

__all__ = ["Tunnel", "open_tunnel"]

READ_SIZE = 64 * 1024
ROUNDS = 4  # reads of one side before others get their turn
WRITE_TIMEOUT = 30.0  # seconds in which a slow side has to take at least something
HALF_CLOSED = 60.0  # seconds of silence, when one side has ended, after which the other one is given up
# A peer that has vanished without a word is found by the kernel: after a minute, and four probes 15 s apart.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))

_log = logging.getLogger("greenbas.proxy")


class Tunnel:
    """Moves bytes both ways until both sides have ended, or one is broken.

    Args:
        client: one side.
        backend: the other.
        forget: called with the tunnel when it is over.
    """

    __slots__ = ("_flows", "_forget", "_timer", "closed")

    def __init__(self, client: Stream, backend: Stream, forget: Callable[[Tunnel], object]) -> None:
        self._forget = forget
        self.closed = False
        self._timer: Any = None
        self._flows = (_Flow(self, client, backend), _Flow(self, backend, client))

    def __repr__(self) -> str:
        return f"<Tunnel {'closed' if self.closed else 'open'}>"

    def begin(self, from_client: bytes, from_backend: bytes) -> None:
        """Start, with what has been read from both sides already."""
        before = self._flows[0].source.on_close

        def closed() -> None:
            # The server closes the client's side at the end of its drain.
            if before is not None:
                before()
            self.close()

        self._flows[0].source.on_close = closed
        for flow, data in zip(self._flows, (from_client, from_backend), strict=True):
            _keep_alive(flow.source.sock)
            flow.begin(data)

    def ended(self) -> None:
        """One side sends no more; when both do not, that is the end."""
        if all(flow.ended for flow in self._flows):
            self.close()
        elif self._timer is None:
            self._timer = self._flows[0].source.hub.loop.timer(HALF_CLOSED, HALF_CLOSED, ref=False)
            self._timer.start(self._look)

    def close(self) -> None:
        """Close both sides; closing again does nothing."""
        if not self.closed:
            self.closed = True
            if self._timer is not None:
                self._timer.stop()
                self._timer.close()
            for flow in self._flows:
                flow.source.close()
            self._forget(self)

    def _look(self) -> None:
        # Of a tunnel that is half closed: what is silent now has been forgotten.
        if not any(flow.moved for flow in self._flows):
            self.close()
        for flow in self._flows:
            flow.moved = False


class _Flow:
    # One direction.

    __slots__ = ("_input", "ended", "moved", "source", "target", "tunnel")

    def __init__(self, tunnel: Tunnel, source: Stream, target: Stream) -> None:
        self.tunnel = tunnel
        self.source = source
        self.target = target
        self.ended = False
        self.moved = False
        self._input = self._readable

    def begin(self, data: bytes) -> None:
        if data:
            self._wait_with(data)
        elif not self.tunnel.closed:
            self.source.park(self._input)

    def _readable(self) -> None:
        # In the hub.
        source, tunnel = self.source, self.tunnel
        for _ in range(ROUNDS):
            try:
                data = source.receive(READ_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("%r: %s", tunnel, error)
                tunnel.close()
                return
            if not data:
                self._end()
                return
            self.moved = True
            try:
                sent = self.target.try_send(data)
            except NetError as error:
                _log.debug("%r: %s", tunnel, error)
                tunnel.close()
                return
            if sent < len(data):
                self._wait_with(data[sent:])
                return
            if len(data) < READ_SIZE and source.channel is None:
                return
        if source.channel is not None:
            source.park(self._input)  # which looks for what it has decrypted already

    def _wait_with(self, data: bytes) -> None:
        self.source.pause()
        spawn(self._write, data, name=f"tunnel {self.source!r}")

    def _write(self, data: bytes) -> None:
        try:
            self.target.write(data, WRITE_TIMEOUT)
            if not self.tunnel.closed:
                self.source.park(self._input)
        except NetError as error:
            _log.debug("%r: %s", self.tunnel, error)
            self.tunnel.close()

    def _end(self) -> None:
        # RFC 9110 says nothing of half-closed tunnels: the other direction goes on.
        self.source.pause()
        self.ended = True
        self.target.shutdown()
        self.tunnel.ended()


def open_tunnel(exchange: Exchange, connection: BackendConnection, incoming: Incoming) -> None:
    """Answer 101 and join the two connections; the worker is free then."""
    request, response = exchange.request, exchange.response
    tunnels = exchange.proxy.tunnels
    try:
        granted = incoming.last.get(b"upgrade", b"websocket")
        lines = header_lines(exchange.mounted.response_fields(incoming, request, exchange.peer))
        for name in ("upgrade", "connection"):
            lines.pop(name, None)
        fields = b"Upgrade: %b\r\nConnection: Upgrade\r\n%b%b" % (granted, b"".join(lines.values()), exchange.cookie)
        head = response.switch_protocols(fields)
        stream, data = request.detach()
        stream.peername()  # which remembers it: the access log asks when the client is gone
        tunnel = Tunnel(stream, connection.stream, tunnels.discard)
        tunnels.add(tunnel)
        try:
            stream.write(head, WRITE_TIMEOUT)
        except NetError:
            tunnel.close()
            return
    except BaseException:
        connection.close()
        raise
    rest, connection.buffer = connection.buffer, b""
    tunnel.begin(data, rest)


def _keep_alive(sock: _socket.socket) -> None:
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
