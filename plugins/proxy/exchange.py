"""`Exchange`: one request through the proxy, from the choice of a backend to the end of its response.

Rules of this file. A request is sent again only if the backend cannot have acted on it: nothing of it has left, or its
method is idempotent (RFC 9110 9.2.2), it is at hand as a whole, and not a byte of an answer has come. A connection goes
back into the pool only when its response was read to its end and its request has gone; in all other cases it is closed.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from greenbas import Request, Response
from greenbas.errors import NetError, SocketClosed, TimedOut
from greenbas_plugins.proxy.answer import answer, answer_failure
from greenbas_plugins.proxy.failure import BadGateway, GatewayTimeout, ProxyFailure
from greenbas_plugins.proxy.forwarding import Peer, upgrade_granted
from greenbas_plugins.proxy.mounted import Mounted, asks_for_upgrade, header_lines, peer_of
from greenbas_plugins.proxy.tunnel import open_tunnel
from greenbas_plugins.proxy.upload import Upload

if TYPE_CHECKING:
    from greenbas_plugins.proxy.backend import BackendConnection
    from greenbas_plugins.proxy.health import Health
    from greenbas_plugins.proxy.incoming import Incoming
    from greenbas_plugins.proxy.proxy import Proxy
    from greenbas_plugins.proxy.settings import ProxySettings
    from greenbas_plugins.proxy.upstream import Upstream

__all__ = ["Exchange"]

IDEMPOTENT = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY", "MKCOL"}
)
# For these a server may miss a Content-Length, also of 0 (RFC 9110 8.6).
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
SWITCHING = 101
LOOK_AFTER = 1.0  # seconds after which it is worth looking whether the client is there still

_log = logging.getLogger("greenbas.proxy")


class ClientGone(Exception):
    """The client is not there any more."""

    def __str__(self) -> str:
        return "the client has gone"


class Exchange:
    """One request and its response.

    Args:
        proxy: whose it is.
        mounted: the place at which the proxy is asked.
        request: the client's.
        response: to the client.
        path: the decoded path below the mount.

    Attributes:
        connection: to the backend, while it is at work.
        upstream: that backend.
        deadline: when it counts as silent, in monotonic seconds; infinite while it is not its turn.
        awaits_head: whether nothing of the answer is there.
        upload: the body of the request, while it is on its way.
        cookie: a Set-Cookie field of the proxy's own, b"" without.
    """

    # Defaults of the class: most requests never change them, and setting each takes as long as reading it.
    connection: BackendConnection | None = None
    upstream: Upstream | None = None
    deadline = math.inf
    awaits_head = True
    upload: Upload | None = None
    cookie = b""
    _upgrade = b""
    _body: bytes | None = b""  # of the request, if it is at hand
    _epoch = 0
    _heard = False  # health has had its verdict
    _late = ""  # why the backend was given up
    _gone = False
    _started = 0.0

    def __init__(self, proxy: Proxy, mounted: Mounted, request: Request, response: Response, path: str) -> None:
        self.proxy = proxy
        self.settings: ProxySettings = proxy.settings
        self.mounted = mounted
        self.request = request
        self.response = response
        self.path = path
        address, trusted = request.hop()
        self.peer: Peer = peer_of(address, request.is_secure(), trusted)

    def __repr__(self) -> str:
        return f"<Exchange {self.request.method} {self.request.target} at {self.upstream}>"

    def run(self) -> None:
        """Have a backend answer, whatever it takes; the client is answered then."""
        watch = self.proxy.watch
        watch.exchanges.add(self)
        if watch.timer is None:
            watch.begin()
        self.response.release_worker()  # it is the backend that works; the proxy has limits of its own
        try:
            if self.request.message.chunks is not None or self.request.message.upgrade:
                self._take_body()
            incoming = self._round_trip()
            if incoming.status == SWITCHING:
                self._switch(incoming)
            else:
                is_clean = answer(self, incoming)
                self._give_back(is_clean and incoming.keep_alive)
        except ProxyFailure as failure:
            answer_failure(self, failure)
        except ClientGone:
            _log.debug("%r: the client has gone", self)
            self.response.break_off(SocketClosed("the client has gone"))
        finally:
            watch.exchanges.discard(self)
            if self.connection is None and self.upload is None and self._heard and self.upstream is not None:
                self.upstream.health.finished()
                if self.proxy.upstreams.waiting:
                    self.proxy.upstreams.next()
            else:
                self._end()

    # From the hub: see `Watch`.

    def look(self, now: float) -> None:
        """End it if the backend is silent for too long, or the client is gone."""
        if now > self.deadline:
            settings = self.settings
            silent = settings.first_byte_timeout if self.awaits_head else settings.idle_timeout
            self.end_late(f"it was silent for {silent:g} s")
            return
        waits = self.deadline != math.inf and now - self._started > LOOK_AFTER
        if waits and self.connection is not None and self.request.is_gone(not self.settings.half_close):
            self._gone = True
            self.connection.close()

    def end_late(self, why: str) -> None:
        """Give the backend up; whoever reads from it hears of it."""
        self._late = why
        if self.connection is not None:
            self.connection.close()

    # In the worker.

    def failure_of(self, error: Exception) -> Exception:
        """What an error at the backend's connection means; health is told."""
        upload = self.upload
        if self._gone:
            return ClientGone()
        if upload is not None and upload.problem is not None:
            return ClientGone() if isinstance(upload.problem, NetError) else upload.problem
        if self._late or isinstance(error, TimedOut):
            found: ProxyFailure = GatewayTimeout(f"{self._name()}: {self._late or error}")
        elif isinstance(error, ProxyFailure) and not isinstance(error, BadGateway):
            return error
        else:
            found = BadGateway(f"{self._name()}: {error}")
        if self.upstream is not None and not self._heard:
            self._heard = True
            self.upstream.health.failed(time.monotonic(), self._epoch, str(found))
            self.upstream.pool.clear()
            self.upstream = None
            self.proxy.upstreams.next()
        return found

    def _take_body(self) -> None:
        message = self.request.message
        if message.upgrade:
            self._upgrade = asks_for_upgrade(self.request)
        if message.chunks is not None:
            # With trailers it stays as it is: they go behind a chunked body.
            at_hand = message.complete and not message.trailers
            self._body = b"".join(self.request.stream.chunks()) if at_hand else None

    def _round_trip(self) -> Incoming:
        tried: list[Health] = []
        sent = 0  # how often it was
        fresh = False
        while True:
            proxy = self.proxy
            upstream = proxy.upstreams.choose(proxy.key(self) if proxy.is_keyed else b"", tried)
            self._heard = False
            self.upstream = upstream
            self._epoch = upstream.health.begin(time.monotonic())
            try:
                return self._attempt(upstream, fresh)
            except (NetError, BadGateway) as error:
                connection, self.connection = self.connection, None
                stale = connection is not None and connection.reused and not connection.heard
                if stale and not self._late and not self._gone:
                    self._abandon()  # it has closed at the moment of reuse: no verdict about the backend
                    failure: Exception = BadGateway(f"{upstream.origin}: {error}")
                else:
                    failure = self.failure_of(error)
                if connection is not None:
                    connection.close()
                    sent += 1
                if not self._may_repeat(failure, connection, sent, len(tried)):
                    raise failure from error
                _log.info("%s: once more: %s", self.request, failure)
                fresh = fresh or connection is not None
                if not stale:
                    tried.append(upstream.health)
                self._stop_upload()

    def _may_repeat(self, failure: Exception, connection: BackendConnection | None, sent: int, tried: int) -> bool:
        if not isinstance(failure, BadGateway) or (self.upload is not None and self.upload.begun):
            return False
        if connection is None:  # nobody was there: nothing has left
            return tried + 1 < len(self.proxy.upstreams.all)
        if connection.heard or sent > self.settings.retries:
            return False
        return self.request.method in IDEMPOTENT and self._body is not None

    def _attempt(self, upstream: Upstream, fresh: bool) -> Incoming:
        request = self.request
        head = self.mounted.head(request, self.peer, self.path, upstream, self._upgrade)
        repeatable = self._body is not None and request.method in IDEMPOTENT
        connection = None if fresh else upstream.pool.take(repeatable)
        if connection is None:
            connection = upstream.connect()
        self.connection = connection
        stream = connection.stream
        message = request.message
        bare = message.chunks is None and message.method not in WITH_BODY
        data = head + b"\r\n" if bare else self._framed(head)
        sent = stream.try_send(data)
        if sent < len(data):
            stream.write(memoryview(data)[sent:], self.settings.idle_timeout)
        self._started = started = time.monotonic()
        if self._body is None:
            self.upload = Upload(self, waits=message.expects_continue)
        else:
            self.deadline = started + self.settings.first_byte_timeout
        incoming = connection.read_head(self.proxy.heads, self.settings.max_head)
        while incoming.status < 200 and incoming.status != SWITCHING:
            self._pass_on(incoming)
            incoming = connection.read_head(self.proxy.heads, self.settings.max_head)
        self.deadline = math.inf
        self.awaits_head = False
        now = time.monotonic()
        upstream.health.heard(now, self._epoch, now - started)
        self._heard = True
        return incoming

    def _framed(self, head: bytes) -> bytes:
        # RFC 9112 6: framing is made here, from what was parsed; nothing of the client's is passed on.
        message = self.request.message
        body = self._body
        if body is None:
            if message.length is None or message.trailers:
                trailer = message.headers.get(b"trailer")
                line = b"Trailer: %b\r\n" % trailer if trailer else b""
                return b"%bTransfer-Encoding: chunked\r\n%b\r\n" % (head, line)
            return b"%bContent-Length: %d\r\n\r\n" % (head, message.length)
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def _pass_on(self, incoming: Incoming) -> None:
        # An interim response (RFC 9110 15.2).
        if incoming.status == 100:
            if self.upload is not None:
                self.upload.go()  # the server says 100 to the client by itself as soon as the body is read
            return
        if self.deadline != math.inf:
            self.deadline = time.monotonic() + self.settings.first_byte_timeout
        fields = self.mounted.response_fields(incoming, self.request, self.peer)
        lines = header_lines(fields)
        self.response.send_interim(incoming.status, b"".join(lines.values()))

    def _switch(self, incoming: Incoming) -> None:
        assert self.connection is not None and self.upstream is not None
        if not self._upgrade or not upgrade_granted(self._upgrade, incoming.pairs):
            raise BadGateway(f"{self._name()}: it has switched to a protocol that nobody has asked for")
        self._stop_upload()
        connection, self.connection = self.connection, None
        open_tunnel(self, connection, incoming)

    def _give_back(self, may_go_on: bool) -> None:
        upload, connection, upstream = self.upload, self.connection, self.upstream
        if may_go_on and connection is not None and upstream is not None and (upload is None or upload.done):
            self.connection = None
            upstream.pool.give(connection)

    def _stop_upload(self) -> None:
        if self.upload is not None:
            self.upload.stop()
            self.upload = None

    def _abandon(self) -> None:
        if self.upstream is not None:
            upstream, self.upstream = self.upstream, None
            if self._heard:
                upstream.health.finished()
            else:
                upstream.health.abandoned(time.monotonic(), self._epoch)
            upstreams = self.proxy.upstreams
            if upstreams.waiting:
                upstreams.next()

    def _end(self) -> None:
        # What is left of it, however it has ended.
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.upload is not None:
            self._stop_upload()
        if self.upstream is not None:
            self._abandon()

    def _name(self) -> str:
        return str(self.upstream.origin) if self.upstream is not None else "the backend"
