"""`ConnectionTable`: all connections of a server, their time-outs, and which goes when there are too many."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from typing import TYPE_CHECKING

from greenbas.http.connection import Connection, State

if TYPE_CHECKING:
    from typing import TypeAlias

    from greenbas.http.arrival import Arrival
    from greenbas.http.settings import HttpSettings

    Entry: TypeAlias = Connection | Arrival

__all__ = ["ConnectionTable"]

EVICTION_BATCH = 64  # victims found by one look over all connections, so that a flood does not look again each time


class ConnectionTable:
    """The connections of one server.

    Nothing here costs a request anything: a connection notes when its state began, and a sweep looks at the notes.

    Args:
        settings: the time-outs and limits.
        limit: connections in all.
    """

    def __init__(self, settings: HttpSettings, limit: int) -> None:
        self._settings = settings
        self._all: set[Entry] = set()
        self._peers: Counter[str] = Counter()
        self._peer_of: dict[Entry, str] = {}
        self._victims: list[tuple[Entry, float]] = []
        self.limit = limit
        self.evicted = 0
        self.timed_out = 0

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"<ConnectionTable {len(self._all)} of {self.limit}>"

    def count(self, state: State) -> int:
        """How many connections are in this state."""
        return sum(connection.state is state for connection in self._all)

    def in_state(self, *states: State) -> list[Entry]:
        """The connections in these states."""
        return [connection for connection in self._all if connection.state in states]

    def admit(self, peer: str) -> bool:
        """Whether a new connection from `peer` may come in; makes room for it if need be."""
        most = self._settings.max_per_peer
        if most is not None and self._peers[peer] >= most:
            return False
        return len(self._all) < self.limit or self.evict()

    def add(self, connection: Entry, peer: str) -> None:
        """Take in a connection."""
        self._all.add(connection)
        if self._settings.max_per_peer is not None:
            self._peers[peer] += 1
            self._peer_of[connection] = peer

    def remove(self, connection: Entry) -> None:
        """Forget a connection that has closed."""
        self._all.discard(connection)
        peer = self._peer_of.pop(connection, None)
        if peer is not None:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    def replace(self, old: Entry, new: Entry) -> None:
        """Have `new` take the place of `old`, which has become it."""
        self._all.discard(old)
        self._all.add(new)
        peer = self._peer_of.pop(old, None)
        if peer is not None:
            self._peer_of[new] = peer

    def evict(self) -> bool:
        """Close the oldest idle connection, or else the oldest without a request; False when all are busy."""
        for look in range(2):
            while self._victims:
                connection, since = self._victims.pop()
                if connection.since == since and connection.state in (State.IDLE, State.HEAD):
                    self.evicted += 1
                    connection.close()
                    return True
            if not look:
                self._find_victims()
        return False

    def sweep(self) -> None:
        """Close what has been idle too long, and answer heads that do not come, and whom somebody has forgotten."""
        now = time.monotonic()
        head_deadline = now - self._settings.head_timeout
        idle_deadline = now - self._settings.idle_timeout
        for connection in list(self._all):
            if connection.state is State.IDLE:
                if connection.since < idle_deadline:
                    self.timed_out += 1
                    connection.close()
            elif connection.state is State.BUSY:
                if isinstance(connection, Connection) and connection.end_forgotten(now):
                    self.timed_out += 1
            elif connection.state is State.HEAD and connection.since < head_deadline:
                self.timed_out += 1
                connection.head_timed_out()

    def _find_victims(self) -> None:
        waiting = self.in_state(State.IDLE, State.HEAD)
        oldest = heapq.nsmallest(EVICTION_BATCH, waiting, key=lambda one: (one.state is not State.IDLE, one.since))
        self._victims = [(connection, connection.since) for connection in reversed(oldest)]
