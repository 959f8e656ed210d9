"""Send and receive on one connection at the same time, with a pair of cosockets.

    greenbas run examples/sockets/duplex.py HOST PORT FILE

The file goes to an echo server and comes back. One function that sent it all before it read would wait for ever: the
server stops taking when nobody takes what it sends back.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gevent.event import AsyncResult

from greenbas import net


def through(host: str, port: int, data: bytes) -> bytes:
    """What an echo server makes of some data, however much it is."""
    result: AsyncResult[Any] = AsyncResult()
    net.event(receive, host, port, data, result)
    echoed: bytes = result.get()
    return echoed


def receive(sock: net.Socket, host: str, port: int, data: bytes, result: AsyncResult[Any]) -> None:
    """The first cosocket connects, starts the other one, and reads until the end."""
    try:
        net.connect(host, port)  # in a cosocket without a connection, the connection is the cosocket's
        net.event(send, sock, data)
        result.set(b"".join(sock))
    except OSError as error:
        result.set_exception(error)


def send(me: net.Socket, connection: net.Socket, data: bytes) -> None:
    """The second one has no connection of its own, and writes to that of the first."""
    connection.write(data)
    connection.shutdown()


if __name__ == "__main__":
    host, port, path = sys.argv[1:]
    sent = Path(path).read_bytes()
    came = through(host, int(port), sent)
    print(f"{len(came)} bytes came back, {'the same' if came == sent else 'others'}")
