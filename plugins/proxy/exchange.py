"""`Exchange`: one request through the proxy, from the choice of a backend to the end of its response.

A connection goes back into the pool only when its response was read to its end and its request has gone; in all other
cases it is closed. When a request may be sent again: see attempt.py.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from greenbas import Request, Response
from greenbas.errors import NetError, SocketClosed, TimedOut
from greenbas_plugins.proxy.answer import answer, answer_failure
from greenbas_plugins.proxy.attempt import SWITCHING, attempt, may_repeat
from greenbas_plugins.proxy.failure import BadGateway, ClientGone, GatewayTimeout, ProxyFailure
from greenbas_plugins.proxy.forwarding import Peer
from greenbas_plugins.proxy.mounted import Mounted, asks_for_upgrade, peer_of
from greenbas_plugins.proxy.tunnel import open_tunnel
from greenbas_plugins.proxy.upgrades import upgrade_granted

if TYPE_CHECKING:
    from greenbas_plugins.proxy.backend import BackendConnection
    from greenbas_plugins.proxy.health import Health
    from greenbas_plugins.proxy.incoming import Incoming
    from greenbas_plugins.proxy.proxy import Proxy
    from greenbas_plugins.proxy.settings import ProxySettings
    from greenbas_plugins.proxy.upload import Upload
    from greenbas_plugins.proxy.upstream import Upstream

__all__ = ["Exchange"]

_log = logging.getLogger("greenbas.proxy")


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
        epoch: which stay in a state its health was in when the request began there.
        deadline: when it counts as silent, in monotonic seconds; infinite while it is not its turn.
        started: when the request was sent, in monotonic seconds.
        awaits_head: whether nothing of the answer is there.
        upgrade: the protocols that the client asks to switch to.
        body: of the request, if it is at hand; None when it is still to come.
        upload: the body of the request, while it is on its way.
        cookie: a Set-Cookie field of the proxy's own, b"" without.
        half_closed: the client had nothing more to say when its answer began.
        heard: whether health has had its verdict.
        asked: whether the client was asked if it is there; see presence.py.
        gone: it is not.
        doubtful: the answer has no body for another reason than its framing.
    """

    # Defaults of the class: most requests never change them, and setting each takes as long as reading it.
    connection: BackendConnection | None = None
    upstream: Upstream | None = None
    epoch = 0
    deadline = math.inf
    started = 0.0
    awaits_head = True
    upgrade = b""
    body: bytes | None = b""
    upload: Upload | None = None
    cookie = b""
    half_closed = False
    asked = False
    gone = False
    doubtful = False
    heard = False
    _late = ""  # why the backend was given up

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
                if is_clean and incoming.keep_alive:
                    self._give_back(incoming)
        except ProxyFailure as failure:
            answer_failure(self, failure)
        except ClientGone:
            _log.debug("%r: the client has gone", self)
            self.response.break_off(SocketClosed("the client has gone"))
        finally:
            watch.exchanges.discard(self)
            if self.connection is None and self.upload is None and self.heard and self.upstream is not None:
                self.upstream.health.finished()
                if self.proxy.upstreams.waiting:
                    self.proxy.upstreams.next()
            else:
                self._end()

    # From the hub: see presence.py.

    def end_late(self, why: str) -> None:
        """Give the backend up; whoever reads from it hears of it."""
        self._late = why
        if self.connection is not None:
            self.connection.close()

    def cancel(self) -> None:
        """Nobody waits for the answer; whoever reads it hears of it."""
        self.gone = True
        if self.connection is not None:
            self.connection.close()

    # In the worker.

    def failure_of(self, error: Exception) -> Exception:
        """What an error at the backend's connection means; health is told."""
        upload = self.upload
        if self.gone:
            return ClientGone()
        if upload is not None and upload.problem is not None:
            return ClientGone() if isinstance(upload.problem, NetError) else upload.problem
        if self._late or isinstance(error, TimedOut):
            found: ProxyFailure = GatewayTimeout(f"{self._name()}: {self._late or error}")
        elif isinstance(error, ProxyFailure) and not isinstance(error, BadGateway):
            return error
        else:
            found = BadGateway(f"{self._name()}: {error}")
        if (upstream := self.upstream) is not None:
            now, why = time.monotonic(), str(found)
            upstream.pool.clear()
            if self.heard:
                upstream.health.cut_short(now, self.epoch, why)
            else:
                self.heard = True
                upstream.health.failed(now, self.epoch, why)
                self.upstream = None
                self.proxy.upstreams.next()
        return found

    def _take_body(self) -> None:
        message = self.request.message
        if message.upgrade:
            self.upgrade = asks_for_upgrade(self.request)
        if message.chunks is not None:
            # With trailers it stays as it is: they go behind a chunked body.
            at_hand = message.complete and not message.trailers
            self.body = b"".join(self.request.stream.chunks()) if at_hand else None

    def _round_trip(self) -> Incoming:
        tried: list[Health] = []
        sent = 0  # how often it was
        fresh = False
        while True:
            proxy = self.proxy
            upstream = proxy.upstreams.choose(proxy.key(self) if proxy.is_keyed else b"", tried)
            self.heard = False
            self.upstream = upstream
            self.epoch = upstream.health.begin(time.monotonic())
            try:
                return attempt(self, upstream, fresh)
            except (NetError, BadGateway) as error:
                connection, self.connection = self.connection, None
                self.deadline = math.inf
                stale = connection is not None and connection.reused and not connection.heard
                if stale and not self._late and not self.gone:
                    self._abandon()  # it has closed at the moment of reuse: no verdict about the backend
                    failure: Exception = BadGateway(f"{upstream.origin}: {error}")
                else:
                    failure = self.failure_of(error)
                if connection is not None:
                    connection.close()
                    sent += 1
                if not may_repeat(self, failure, connection, sent, len(tried)):
                    raise failure from error
                _log.info("%s: once more: %s", self.request, failure)
                fresh = fresh or connection is not None
                if not stale:
                    tried.append(upstream.health)
                self._stop_upload()

    def _switch(self, incoming: Incoming) -> None:
        assert self.connection is not None and self.upstream is not None
        if not self.upgrade or not upgrade_granted(self.upgrade, incoming.pairs):
            raise BadGateway(f"{self._name()}: it has switched to a protocol that nobody has asked for")
        self._stop_upload()
        connection, self.connection = self.connection, None
        open_tunnel(self, connection, incoming)

    def _give_back(self, incoming: Incoming) -> None:
        upload, connection, upstream = self.upload, self.connection, self.upstream
        if connection is not None and upstream is not None and (upload is None or upload.done):
            self.connection = None
            if self.doubtful and incoming.announces_body:
                upstream.pool.give(connection, doubtful=True)
            else:
                upstream.pool.give(connection)

    def _stop_upload(self) -> None:
        if self.upload is not None:
            self.upload.stop()
            self.upload = None

    def _abandon(self) -> None:
        if self.upstream is not None:
            upstream, self.upstream = self.upstream, None
            if self.heard:
                upstream.health.finished()
            else:
                upstream.health.abandoned(time.monotonic(), self.epoch)
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
