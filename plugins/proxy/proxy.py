"""`Proxy`: what the requests through one redirector share."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gevent import sleep

from greenbas import Request, Response, spawn
from greenbas.errors import RemoteProtocolError
from greenbas_plugins.proxy.balance import cookie_value
from greenbas_plugins.proxy.check import check
from greenbas_plugins.proxy.departure import Departures
from greenbas_plugins.proxy.exchange import Exchange
from greenbas_plugins.proxy.healthstatus import HealthStatus
from greenbas_plugins.proxy.hooks import ModifyResponse, OnError
from greenbas_plugins.proxy.hops import forwards_left
from greenbas_plugins.proxy.incoming import IncomingHeads
from greenbas_plugins.proxy.mounted import Mounted, Rewrite
from greenbas_plugins.proxy.pool import Pool
from greenbas_plugins.proxy.settings import ProxySettings
from greenbas_plugins.proxy.upstream import Upstream, Upstreams
from greenbas_plugins.proxy.watch import Watch

if TYPE_CHECKING:
    from greenbas_plugins.proxy.tunnel import Tunnel

__all__ = ["Proxy"]

# Servers differ about parameters and backslashes in paths: Tomcat takes "..;a" for "..", and IIS "\\" for "/".
_CLIMBS = re.compile(r"(?:^|[/\\])\.\.(?:;[^/\\]*)?(?:[/\\]|$)")
MOUNTS = 16  # paths at which one proxy is found: one, but for directories whose function asks for others
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"  # of what is asked about a proxy itself
PATH_SAFE = "/:@!$&'()*+,;=~-._"


class Proxy:
    """A set of backends, and everything that is kept between two requests to them.

    Args:
        upstreams: the backends.
        settings: time-outs and limits.
        rewrite: called with the request and what is about to be sent, which it may change.
        modify_response: called with the request and the response, which it may change.
        on_error: called with request, response and the failure; it answers and returns True, or leaves it to the proxy.

    Attributes:
        is_keyed: whether the client decides about the backend.
        tunnels: those that are open.
        watch: looks after the requests that are at a backend.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        settings: ProxySettings,
        *,
        rewrite: Rewrite | None = None,
        modify_response: ModifyResponse | None = None,
        on_error: OnError | None = None,
    ) -> None:
        self.settings = settings
        self.upstreams = Upstreams(upstreams, settings)
        self.rewrite = rewrite
        self.modify_response = modify_response
        self.on_error = on_error
        self.is_keyed = settings.balance in ("client", "cookie")
        self.heads = IncomingHeads()
        self.departures = Departures()
        self.tunnels: set[Tunnel] = set()
        shortest = min(settings.first_byte_timeout, settings.idle_timeout, settings.keepalive or 1.0)
        self.watch = Watch(self._pools, shortest)
        self._mounts: dict[str, Mounted] = {}
        self._checker: Any = None

    def __repr__(self) -> str:
        names = ", ".join(str(one.origin) for one in self.upstreams.all)
        return f"<Proxy {names}: {len(self.watch.exchanges)} requests, {len(self.tunnels)} tunnels>"

    def serve(self, request: Request, response: Response, path: str) -> None:
        """Have a backend answer.

        Args:
            request: the client's.
            response: its response.
            path: the decoded path below the place of the proxy.
        """
        if ".." in path and _CLIMBS.search(path):
            raise RemoteProtocolError(f"the path {path[:80]!r} may mean another place to the backend than it does here")
        if b"max-forwards" in request.message.headers and _ends_here(request):
            response.set_header("Allow", METHODS)
            if request.method == "TRACE":
                response.send_error(405)  # which would show what proxies before this one have added (RFC 9110 9.3.8)
            else:
                response.set_status(204)
            return
        asked = request.path
        place = asked[: len(asked) - len(path)] if asked.endswith(path) else "/"
        mounted = self._mounts.get(place) or self._mount(place)
        Exchange(self, mounted, request, response, path).run()

    def key(self, exchange: Exchange) -> bytes:
        """What decides about the backend where requests of one client go to the same."""
        balance = self.settings.balance
        if balance == "client":
            return exchange.request.peername()[0].encode()
        if balance != "cookie":
            return b""
        name = self.settings.sticky_cookie.encode()
        found = cookie_value(exchange.request.message.headers.get(b"cookie", b""), name)
        if not found and not exchange.cookie:
            found = secrets.token_urlsafe(12).encode()
            secure = b"; Secure" if exchange.request.is_secure() else b""
            path = exchange.mounted.mount or b"/"
            exchange.cookie = b"Set-Cookie: %b=%b; Path=%b; HttpOnly; SameSite=Lax%b\r\n" % (name, found, path, secure)
        return found or exchange.cookie.partition(b"=")[2].partition(b";")[0]

    def begin_checks(self, is_wanted: Callable[[], bool]) -> None:
        """Ask the backends every few seconds whether they are well, if there is a path for that.

        Args:
            is_wanted: is asked each time whether to go on.
        """
        if self.settings.health_path and self._checker is None:
            self._checker = spawn(self._check, is_wanted, name=f"health checks of {self!r}")

    def report(self) -> list[dict[str, Any]]:
        """A row for each backend, for the status page; what waits and the tunnels are those of all of them."""
        now = time.monotonic()
        return [self._row(one, one.health.status(now)) for one in self.upstreams.all]

    def close(self) -> None:
        """The server stops: close what waits for another request."""
        checker, self._checker = self._checker, None
        if checker is not None:
            checker.kill(block=False)
        for pool in self._pools():
            pool.clear()
        self.watch.stop()

    def _row(self, upstream: Upstream, status: HealthStatus) -> dict[str, Any]:
        return {
            "name": status.name,
            "state": status.state.value,
            "weight": status.weight,
            "in_flight": status.in_flight,
            "limit": status.limit,
            "idle": len(upstream.pool.idle),
            "queued": self.upstreams.queued,
            "served": status.served,
            "failures": status.failures,
            "p50": None if status.p50 is None else round(status.p50 * 1000, 3),
            "p95": None if status.p95 is None else round(status.p95 * 1000, 3),
            "tunnels": len(self.tunnels),
            "last_error": status.last_error,
        }

    def _mount(self, place: str) -> Mounted:
        mount = quote(place.rstrip("/"), safe=PATH_SAFE).encode("ascii")
        if len(self._mounts) >= MOUNTS:
            self._mounts.clear()
        made = self._mounts[place] = Mounted(mount, self.upstreams.all, self.settings, self.rewrite)
        return made

    def _pools(self) -> Iterable[Pool]:
        return [one.pool for one in self.upstreams.all]

    def _check(self, is_wanted: Callable[[], bool]) -> None:
        while is_wanted():
            for upstream in self.upstreams.all:
                spawn(check, upstream, self.settings, name=f"health check of {upstream.origin}")
            sleep(self.settings.health_interval)
        self._checker = None


def _ends_here(request: Request) -> bool:
    # RFC 9110 7.6.2: who is to pass it on no further is the one who is asked.
    return forwards_left(request.method, request.message.fields.pairs) == 0
