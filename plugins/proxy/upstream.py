"""`Upstream`, one backend with its connections and its health, and `Upstreams`, all those of a proxy and who waits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from gevent.event import Event

from greenbas_plugins.proxy.backend import BackendConnection
from greenbas_plugins.proxy.balance import Balancer
from greenbas_plugins.proxy.connecting import Admits, open_stream
from greenbas_plugins.proxy.failure import Unavailable
from greenbas_plugins.proxy.health import Health
from greenbas_plugins.proxy.healthsettings import HealthSettings
from greenbas_plugins.proxy.origin import Origin
from greenbas_plugins.proxy.pool import Pool
from greenbas_plugins.proxy.settings import ProxySettings

if TYPE_CHECKING:
    from greenbas.net import tls as nettls

__all__ = ["Upstream", "Upstreams"]

ALONE_FAILS = 1000  # failures in a row: one trial at a time is right then
POLICIES = {"round_robin": "round_robin", "least": "least_connections", "client": "hash", "cookie": "hash"}


class Upstream:
    """One backend.

    Args:
        origin: where it is.
        weight: its share of the requests, beside the others.
        settings: of the proxy.
        tls: the context for https.
        admits: see `open_stream`.
        alone: there is no other backend.

    Attributes:
        health: what is known about it, and how much it has to do.
        pool: connections that wait.
    """

    def __init__(
        self,
        origin: Origin,
        weight: int,
        settings: ProxySettings,
        tls: nettls.ClientTls | None = None,
        admits: Admits | None = None,
        alone: bool = True,
    ) -> None:
        self.origin = origin
        self._settings = settings
        self._tls = tls
        self._admits = admits
        # Without another one beside it, a backend is asked all the same: there is nobody to spare the client the error.
        rules = HealthSettings(fails=ALONE_FAILS if alone else settings.max_fails, window=settings.fail_timeout)
        self.health = Health(str(origin), weight=weight, limit=settings.limit, settings=rules)
        self.pool = Pool(settings.keepalive_connections, settings.keepalive)

    def __repr__(self) -> str:
        return f"<Upstream {self.origin} {self.health.state.value} {self.health.in_flight} in flight {self.pool!r}>"

    def connect(self) -> BackendConnection:
        """A new connection; raises as `open_stream`."""
        return BackendConnection(open_stream(self.origin, self._settings.connect_timeout, self._tls, self._admits))


class Upstreams:
    """The backends of one proxy. Requests wait here when all have as many as they may have.

    Args:
        upstreams: at least one.
        settings: of the proxy.

    Attributes:
        all: the backends.
        waiting: the turns of those who wait.
    """

    def __init__(self, upstreams: Sequence[Upstream], settings: ProxySettings) -> None:
        self.all = tuple(upstreams)
        self._settings = settings
        self._only = self.all[0] if len(self.all) == 1 else None
        self._of = {one.health: one for one in upstreams}
        self._balancer = Balancer([one.health for one in upstreams], POLICIES[settings.balance])
        self.waiting: deque[Event] = deque()

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self.waiting)

    def choose(self, key: bytes = b"", tried: Collection[Health] = ()) -> Upstream:
        """The backend for the next request; waits for one while all are full. It is counted: call its health's verdict.

        Args:
            key: the same one gets the same backend, with the policies "client" and "cookie".
            tried: those at which this request has failed.

        Raises:
            Unavailable: none is fit for work, too many wait, or the turn did not come in time.
        """
        now = time.monotonic()
        if self._only is not None and not self.waiting and self._only.health.ready(now):
            return self._only
        deadline, is_new = 0.0, True
        while True:
            now = time.monotonic()
            # Nobody overtakes those who wait.
            found = None if is_new and self.waiting else self._balancer.choose(now, key, tried)
            if found is not None:
                return self._of[found]
            why = "full" if is_new and self.waiting else self._balancer.why(now, tried)
            is_new = False
            if why == "tried":
                tried = ()
                continue
            if why not in ("full", "trial"):
                raise Unavailable(f"no backend is fit for work ({', '.join(map(self._words, self.all))})")
            deadline = deadline or now + self._settings.queue_timeout
            if len(self.waiting) >= self._settings.queue:
                raise Unavailable(f"all backends have {self._settings.limit} requests, and {self.queued} wait")
            self._wait(deadline - now)

    def retry_after(self) -> int:
        """Seconds after which a client may try again."""
        return max(self._settings.retry_after, self._balancer.retry_after(time.monotonic()))

    def next(self) -> None:
        """A request has ended: let the next one have its turn."""
        if self.waiting:
            self.waiting.popleft().set()

    def close(self) -> None:
        """Close the connections that wait."""
        for upstream in self.all:
            upstream.pool.close()

    def _wait(self, seconds: float) -> None:
        turn = Event()
        self.waiting.append(turn)
        try:
            turn.wait(max(0.0, seconds))
        except BaseException:
            if turn.is_set():
                self.next()  # the turn is somebody else's
            raise
        finally:
            if turn in self.waiting:
                self.waiting.remove(turn)
        if not turn.is_set():
            raise Unavailable(f"the request waited {self._settings.queue_timeout:g} s: all backends are busy")

    @staticmethod
    def _words(upstream: Upstream) -> str:
        return f"{upstream.origin}: {upstream.health.last_error or upstream.health.state.value}"
