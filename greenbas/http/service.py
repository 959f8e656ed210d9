"""`HttpService`: what the connections of one server share, and its life from the first accept to the last drain."""

from __future__ import annotations

import _socket
import itertools
import logging
import resource
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gevent.hub import Hub
from greenlet import getcurrent

from greenbas.dispatcher.workers import Worker, Workers
from greenbas.errors import SocketClosed
from greenbas.http.accesslog import AccessLog
from greenbas.http.arrival import Arrival
from greenbas.http.connection import Connection, State
from greenbas.http.request import Request
from greenbas.http.response import Response
from greenbas.http.sessions import Sessions
from greenbas.http.settings import HttpSettings
from greenbas.http.statusline import HeadStart
from greenbas.http.table import ConnectionTable
from greenbas.http.tracker import LoginTracker
from greenbas.net import Stream, handback
from greenbas.protocol import HeadParser, ReaderLimits
from greenbas.protocol.forwarded import parse_networks

if TYPE_CHECKING:
    from greenbas.net.tls import ServerTls

__all__ = ["Counters", "HttpService"]

Answer = Callable[[Request, Response], None]
Find = Callable[[Request, str], bool]

# At stop, connections that are idle stay open this long: a client that has a request on its way gets its answer, with
# "Connection: close", instead of a reset. Under load the next request comes within milliseconds.
LAST_REQUESTS = 0.25  # seconds
# Seconds between looks at the time-outs: they are coarse, and a look at 15,000 connections takes 2 ms.
SWEEP_INTERVAL = 1.0
POLL = 0.01  # seconds between looks whether the drain is over

_log = logging.getLogger("greenbas.http")


@dataclass(slots=True)
class Counters:
    """What has happened so far."""

    connections: int = 0
    requests: int = 0
    refused: int = 0  # bad requests, overload, over a limit
    handshakes: int = 0  # of TLS, that succeeded
    handshakes_failed: dict[str, int] = field(default_factory=dict)  # by reason, in OpenSSL's words or ours


class HttpService:
    """The HTTP side of a server.

    Args:
        hub: the hub it runs in.
        settings: limits and time-outs.
        answer: called in a worker with every request; it produces the response and raises only what means that there is
            none (the client is gone, the worker is killed).
        find: called by forwards and includes with the request and a path; has that resource answer and says whether
            there is one.
        tracker: of logins; a new one unless given.
    """

    def __init__(
        self, hub: Hub, settings: HttpSettings, answer: Answer, find: Find, tracker: LoginTracker | None = None
    ) -> None:
        self.hub = hub
        self.settings = settings
        self.answer = answer
        self.find = find
        self.workers = Workers(hub, limit=settings.max_workers, queue_length=settings.queue_length)
        self.table = ConnectionTable(settings, settings.max_connections or _descriptor_share())
        self.reader_limits = ReaderLimits(
            max_head=settings.max_head,
            max_fields=settings.max_fields,
            max_target=settings.max_target,
            max_body=settings.max_body,
        )
        self.heads = HeadParser(self.reader_limits)
        self.head_start = HeadStart(settings.server_name)
        self.trusted = parse_networks(settings.trusted_proxies)
        self.sessions = Sessions(settings)
        self.tracker = LoginTracker() if tracker is None else tracker
        self.tracker.bind(settings, self.sessions.store)
        self.counters = Counters()
        self.access_log: AccessLog | None = None
        self.tls_port: Callable[[], int | None] = lambda: None  # where clients find TLS; the server knows
        self.draining = False
        self.drain_began = 0.0  # in monotonic seconds
        self._timer: Any = hub.loop.timer(SWEEP_INTERVAL, SWEEP_INTERVAL, ref=False)
        self._request_ids = itertools.count(1)
        self._id_prefix = secrets.token_hex(3)

    def __repr__(self) -> str:
        return f"<HttpService {self.table!r} {self.workers!r}>"

    def start(self) -> None:
        """Begin to enforce the time-outs."""
        if not self._timer.active:
            handback.offer(self.adopt)
            self.head_start.refresh()
            self._timer.start(self._each_second)

    def _each_second(self) -> None:
        self.head_start.refresh()
        self.table.sweep()
        self.sessions.store.sweep()

    def next_request_id(self) -> str:
        """An id for a request: a random part for the process, and a number."""
        return f"{self._id_prefix}-{next(self._request_ids):x}"

    def accept(self, sock: _socket.socket, tls: ServerTls | None = None) -> None:
        """Take in a connection; called in the hub. Over a limit it is closed at once.

        Args:
            sock: as it was accepted.
            tls: the context of a TLS listener: the client has to begin with a handshake.
        """
        peer = _peer_of(sock) if self.settings.max_per_peer is not None else ""
        if not self.table.admit(peer):
            self.counters.refused += 1
            sock.close()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # may fail: the peer can be gone already
        self.counters.connections += 1
        stream = Stream(sock, self.hub)
        self.table.add(Connection(self, stream) if tls is None else Arrival(self, stream, tls), peer)

    def adopt(self, stream: Stream, data: bytes = b"") -> None:
        """Serve HTTP on a stream that somebody else has had (BAS ``ba.socket.sock2req``).

        Args:
            stream: connected; nobody else may use it any more.
            data: what was read from it already.

        Raises:
            SocketClosed: it is closed, or the server is stopping or over its limit of connections.
        """
        if stream.closed:
            raise SocketClosed("the stream is closed")
        if stream.on_close is not None:
            before, stream.on_close = stream.on_close, None
            before()  # it is no longer the connection that it was
        peer = stream.peername()[0] if self.settings.max_per_peer is not None else ""
        if self.draining or not self.table.admit(peer):
            stream.close()
            raise SocketClosed("the server takes no more connections")
        self.table.add(Connection(self, stream, data), peer)

    def drain(self, seconds: float, sleep: Callable[[float], None]) -> list[str]:
        """Finish what runs: requests on their way get an answer that closes, the rest of the connections close.

        In order: every reply from now on says "Connection: close"; idle connections have a moment for requests that are
        on their way, then close; running requests have `seconds`; what still runs then is killed. Listeners are closed
        before, by the caller.

        Args:
            seconds: for running requests.
            sleep: waits cooperatively.

        Returns:
            The names of the workers that were killed.
        """
        self.draining = True
        self.drain_began = time.monotonic()
        handback.withdraw(self.adopt)
        deadline = time.monotonic() + seconds
        last_requests = min(deadline, time.monotonic() + LAST_REQUESTS)
        current = getcurrent()
        mine = getattr(current.job, "__self__", None) if isinstance(current, Worker) else None
        own = 0 if mine is None else 1  # a handler that stops its server does not wait for itself
        while len(self.table) > own and time.monotonic() < last_requests:
            self._send_away()
            sleep(POLL)
        for connection in self.table.in_state(State.IDLE, State.HEAD):
            connection.last_look()
        while max(len(self.table), len(self.workers.busy)) > own and time.monotonic() < deadline:
            self._send_away()
            sleep(POLL)
        killed = self.workers.kill_all()
        for name in killed:
            _log.warning("killed at stop: %s", name)
        if killed:
            sleep(POLL)
        for connection in self.table.in_state(*State):
            if connection is not mine:
                connection.close_now()
        self._timer.stop()
        self.workers.close()
        return killed

    def _send_away(self) -> None:
        for connection in self.table.in_state(State.DETACHED):
            connection.go_away()


def _peer_of(sock: _socket.socket) -> str:
    try:
        address = sock.getpeername()
    except OSError:
        return ""
    return address[0] if isinstance(address, tuple) else "unix"


def _descriptor_share() -> int:
    # A tenth stays for files, upstreams and databases.
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 50_000 if soft == resource.RLIM_INFINITY else max(16, soft * 9 // 10)
