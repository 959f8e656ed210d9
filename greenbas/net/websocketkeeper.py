"""One timer for all WebSockets of a hub: pings, and the ends that never come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gevent.hub import Hub

if TYPE_CHECKING:
    from greenbas.net.websocketend import LinkEnd

__all__ = ["Keeper", "forget", "keep"]

# Seconds between looks. A timer of its own for each connection would be set and cancelled with every message; a look
# at 10,000 idle ones takes about a millisecond. Nobody minds that a ping of every 20 s goes out a second late.
INTERVAL = 1.0

_keepers: dict[Hub, Keeper] = {}  # only those that have something to do


class Keeper:
    """Looks after the open WebSockets of one hub; without any it does nothing.

    Args:
        hub: the hub.
    """

    def __init__(self, hub: Hub) -> None:
        self.links: set[LinkEnd] = set()
        self._hub = hub
        self._timer: Any = hub.loop.timer(INTERVAL, INTERVAL, ref=False)

    def __repr__(self) -> str:
        return f"<Keeper of {len(self.links)} WebSockets>"

    def add(self, link: LinkEnd) -> None:
        """Look after a WebSocket from now on."""
        self.links.add(link)
        if not self._timer.active:
            self._timer.start(self.look)

    def remove(self, link: LinkEnd) -> None:
        """Forget one that has closed; with the last one the keeper ends."""
        self.links.discard(link)
        if not self.links:
            _keepers.pop(self._hub, None)
            self._timer.stop()
            self._timer.close()

    def look(self) -> None:
        """Tell those whose time has come."""
        now = time.monotonic()
        for link in list(self.links):
            if link.heard or link.due <= now:
                link.tick(now)


def keep(link: LinkEnd) -> None:
    """Look after a WebSocket from now on."""
    hub = link.stream.hub
    keeper = _keepers.get(hub)
    if keeper is None:
        keeper = _keepers[hub] = Keeper(hub)
    keeper.add(link)


def forget(link: LinkEnd) -> None:
    """Forget one that has closed."""
    keeper = _keepers.get(link.stream.hub)
    if keeper is not None:
        keeper.remove(link)
