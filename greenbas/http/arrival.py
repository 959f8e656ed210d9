"""`Arrival`: a client of a TLS listener, from the accept to the end of its handshake."""

from __future__ import annotations

import logging
import math
import socket
import time
from typing import TYPE_CHECKING

from greenbas.dispatcher import spawn
from greenbas.errors import NetError, SocketClosed, TimedOut, TlsError
from greenbas.http.connection import Connection, State
from greenbas.net import Stream

if TYPE_CHECKING:
    from greenbas.http.service import HttpService
    from greenbas.net.tls import ServerTls

__all__ = ["Arrival"]

# Who speaks HTTP to a TLS port has mistaken it for another; the answer reaches him only if what he sent is read first.
PLAIN_SECONDS = 1.0
PLAIN_SIZE = 64 * 1024  # bytes
_PLAIN_HTTP = b"This port speaks HTTPS: begin the address with https:// instead of http://.\n"
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_PLAIN_HTTP), _PLAIN_HTTP)
)
_HANDSHAKE = 22  # the first byte of a TLS connection (RFC 8446 5.1); that of an HTTP request is a letter

_log = logging.getLogger("greenbas.http")


class Arrival:
    """One client that has not ended its handshake. It stands in the table of connections, and counts as one.

    As long as it says nothing it has no greenlet; then it gets one, which waits for the handshake.

    Args:
        service: the server it belongs to.
        stream: its stream, not encrypted yet.
        tls: the context of the listener.

    Attributes:
        state: HEAD, then CLOSED; the connection that it becomes has states of its own.
        since: when it came, as long as it is silent.
    """

    __slots__ = ("_speaks", "service", "since", "state", "stream", "tls")

    def __init__(self, service: HttpService, stream: Stream, tls: ServerTls) -> None:
        self.service = service
        self.stream = stream
        self.tls = tls
        self.state = State.HEAD
        self.since = time.monotonic()
        self._speaks = False
        stream.park(self._begin)

    def __repr__(self) -> str:
        return f"<Arrival {'in its handshake' if self._speaks else 'silent'}>"

    def close(self) -> None:
        """Give up; the greenlet of the handshake, if any, ends with SocketClosed."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.stream.close()
            self.service.table.remove(self)

    def close_now(self) -> None:
        """As `close`."""
        self.close()

    def go_away(self) -> None:
        """As `close`."""
        self.close()

    def head_timed_out(self) -> None:
        """It has said nothing for as long as a head may take."""
        self.close()

    def last_look(self) -> None:
        """At stop: there is no request that could be answered."""
        self.close()

    # In the hub.

    def _begin(self) -> None:
        if self._speaks:
            return  # the greenlet has not run yet
        try:
            first = self.stream.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self.close()  # a look whether the port is open: no handshake, so none has failed
            return
        self._speaks = True
        self.since = math.inf  # no longer for the sweep: the handshake has a time-out of its own
        self.stream.pause()
        speaks_http = first[0] != _HANDSHAKE and first.isalpha()
        address, port, _ = self.stream.peername()
        spawn(self._refuse if speaks_http else self._shake_hands, name=f"TLS handshake with {address}:{port}")

    # In a greenlet.

    def _shake_hands(self) -> None:
        from greenbas.net.tls import handshake

        service = self.service
        address, port, _ = self.stream.peername()
        try:
            handshake(self.stream, self.tls, timeout=service.settings.handshake_timeout)
        except NetError as error:
            if self.state is not State.CLOSED:  # else the server has closed it, which is no failure of the handshake
                self._count(_reason(error))
                _log.info("%s", error)
        except Exception:
            _log.exception("the TLS handshake with %s:%s failed", address, port)
        else:
            self._go_on()
        finally:
            self.close()

    def _go_on(self) -> None:
        service = self.service
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED  # the stream is not ours any more
        service.counters.handshakes += 1
        connection = Connection(service, self.stream)
        service.table.replace(self, connection)
        if service.draining:
            connection.last_look()

    def _refuse(self) -> None:
        stream = self.stream
        address, port, _ = stream.peername()
        try:
            self._count("plain HTTP")
            _log.info("the TLS handshake with %s:%s failed: the peer speaks plain HTTP", address, port)
            stream.write(_BAD_REQUEST, PLAIN_SECONDS)
            stream.shutdown()
            deadline = time.monotonic() + PLAIN_SECONDS
            left = PLAIN_SIZE
            while left > 0 and (data := stream.read(timeout=deadline - time.monotonic())):
                left -= len(data)
        except NetError:
            pass  # he has gone, or reads nothing
        finally:
            self.close()

    def _count(self, reason: str) -> None:
        failed = self.service.counters.handshakes_failed
        failed[reason] = failed.get(reason, 0) + 1


def _reason(error: NetError) -> str:
    if isinstance(error, TimedOut):
        return "timeout"
    if isinstance(error, SocketClosed):
        return "closed"
    return error.reason or error.code if isinstance(error, TlsError) else error.code
