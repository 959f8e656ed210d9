"""`Pool`: the connections to one backend that wait for their next request."""

from __future__ import annotations

import time

from greenbas_plugins.proxy.backend import BackendConnection

__all__ = ["Pool"]

A_MOMENT = 0.01  # seconds
# A broken backend sends a body where none can be: with HEAD, or 304. It may come later than the head, as the backend's
# kernel keeps small segments back until the one before is acknowledged, which takes 40 ms at worst.
REST = 0.05  # seconds


class Pool:
    """Connections that are kept. It takes back only those whose last response was read to its end.

    Args:
        most: how many are kept.
        seconds: for how long.

    Attributes:
        idle: those that wait, the one used last at the end; at the beginning those that rest, which are taken last.
        closed: whether nothing is kept any more.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self.idle: list[BackendConnection] = []
        self.closed = False

    def __repr__(self) -> str:
        return f"<Pool {len(self.idle)} idle>"

    def take(self, repeatable: bool = False) -> BackendConnection | None:
        """A connection that is alive, as far as can be known; None when there is none.

        Args:
            repeatable: the request can be sent once more. One that was in use a moment ago is not looked at again then:
                the loop tells of its end, and has not had the time to miss it.
        """
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.doubtful:
                if time.monotonic() - connection.since < REST:
                    idle.append(connection)  # the others in front of it rest for longer
                    return None
                connection.doubtful = False
            if (repeatable and time.monotonic() - connection.since < A_MOMENT) or connection.is_alive():
                connection.reused = connection.busy = True
                connection.heard = False
                return connection
            connection.close()
        return None

    def give(self, connection: BackendConnection, *, doubtful: bool = False) -> None:
        """Keep a connection whose response has been read to its end; with bytes behind that it is closed.

        Args:
            connection: the connection.
            doubtful: whether there may be more to come although there must not: it rests for a while.
        """
        if self.closed or connection.buffer or len(self.idle) >= self._most or connection.stream.closed:
            connection.close()
            return
        connection.since = time.monotonic()
        connection.busy = False
        connection.on_stale = self._drop
        connection.stream.park(connection.stale)
        if doubtful:
            connection.rest()
            self.idle.insert(0, connection)
        else:
            self.idle.append(connection)

    def sweep(self, now: float) -> None:
        """Close what has waited for too long."""
        idle = self.idle
        late = [one for one in idle if now - one.since > self._seconds]
        if late:
            self.idle = [one for one in idle if now - one.since <= self._seconds]
            for connection in late:
                connection.close()

    def clear(self) -> None:
        """Close all that wait: the backend has died, and theirs is the next failure."""
        idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close all, and keep none from here on."""
        self.closed = True
        self.clear()

    def _drop(self, connection: BackendConnection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)
