"""`Departures`: request heads that leave for the backends together, at the end of one turn of the loop.

A head that leaves alone wakes up a backend that has gone to sleep since the last one, which costs both sides more than
sending does. Heads of all requests that have arrived in one turn find it awake. Nothing waits longer than that turn.
"""

from __future__ import annotations

from contextlib import suppress

from gevent import get_hub

from greenbas import spawn
from greenbas.errors import NetError
from greenbas.net import Stream

__all__ = ["SMALL", "Departures"]

SMALL = 16 * 1024  # bytes; what is larger does not care


class Departures:
    """What is to be sent at the end of this turn of the loop; one for each proxy.

    Attributes:
        left: how many turns are over in which something was to be sent.
    """

    __slots__ = ("_waiting", "left")

    def __init__(self) -> None:
        self._waiting: list[tuple[Stream, bytes]] = []
        self.left = 0

    def send(self, stream: Stream, data: bytes) -> int:
        """Send `data` soon; whoever reads from the stream hears of it when that fails.

        Args:
            stream: nobody writes to it until the peer has answered.
            data: at most `SMALL` bytes.

        Returns:
            What `left` is above once it has gone.
        """
        if not self._waiting:
            get_hub().loop.run_callback(self._leave)
        self._waiting.append((stream, data))
        return self.left

    def _leave(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.left += 1
        for stream, data in waiting:
            with suppress(NetError):  # a connection that broke, or was given up: its reader is told by itself
                sent = stream.try_send(data)
                if sent < len(data):
                    spawn(_send_rest, stream, data[sent:], name="proxy:departure")


def _send_rest(stream: Stream, data: bytes) -> None:
    # The kernel has no room for so little: the peer does not read. The time-outs of who waits for its answer apply.
    with suppress(NetError):
        stream.write(data)
