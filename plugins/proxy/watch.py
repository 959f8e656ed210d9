"""`Watch`: two looks a second at all that a proxy does, instead of a timer for each request.

It ends requests whose backend is silent for too long or whose client has gone, and closes connections that were kept
for too long. It stops by itself when there is nothing to look at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from greenbas import Server
from greenbas_plugins.proxy.presence import look

if TYPE_CHECKING:
    from greenbas_plugins.proxy.exchange import Exchange
    from greenbas_plugins.proxy.pool import Pool

__all__ = ["Watch", "start", "stop"]

INTERVAL = 0.5  # seconds


class Watch:
    """Looks after the exchanges and pools of one proxy.

    Args:
        pools: all of them.
        shortest: the shortest of the time-outs, in seconds: looks come four times as often.

    Attributes:
        exchanges: requests that are at a backend; whoever adds one calls `begin` if there is no timer.
        timer: runs while there is something to look at.
    """

    def __init__(self, pools: Callable[[], Iterable[Pool]], shortest: float) -> None:
        self.exchanges: set[Exchange] = set()
        self._pools = pools
        self._interval = min(INTERVAL, shortest / 4)
        self.timer: Any = None

    def begin(self) -> None:
        """Look from now on, as there is something to look at."""
        self.timer = get_hub().loop.timer(self._interval, self._interval, ref=False)
        self.timer.start(self._look)

    def stop(self) -> None:
        """Look no more, until the next exchange comes."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _look(self) -> None:
        now = time.monotonic()
        for exchange in list(self.exchanges):
            look(exchange, now)
        pools = list(self._pools())
        for pool in pools:
            pool.sweep(now)
        if not self.exchanges and not any(pool.idle for pool in pools):
            self.stop()


def start(server: Server) -> None:
    """A server starts: its proxies begin to check their backends."""
    from greenbas_plugins.proxy.redirector import Redirector

    for directory in server.root.walk():
        if isinstance(directory, Redirector):
            directory.begin_checks()


def stop(server: Server) -> None:
    """A server stops; its proxies are closed by it."""
