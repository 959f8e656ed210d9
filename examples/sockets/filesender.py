"""A file sender of two cosockets, which the receiver throttles with the lines "pause" and "go".

    greenbas run examples/sockets/filesender.py FILE [PORT]
    nc 127.0.0.1 PORT

The connection's own cosocket listens to the receiver. A second one, without a connection, reads the file and writes
to the first: it waits while the receiver is slow, and rests when it is told to.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from greenbas import net

PIECE = 16 * 1024  # bytes


class Delivery:
    """What the two cosockets of a delivery share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paused = False


def listen(path: Path, port: int = 0) -> net.Socket:
    """Send a file to everybody who connects."""
    listener = net.bind(port, intf="127.0.0.1")
    listener.event(accept, "r", path)
    return listener


def accept(listener: net.Socket, path: Path) -> None:
    while True:
        listener.accept().event(obey, "s", Delivery(path))


def obey(connection: net.Socket, delivery: Delivery) -> None:
    """The connection's cosocket: starts the sender, and does what the receiver says."""
    sender = net.event(send, connection, delivery)
    for line in lines(connection):
        delivery.paused = line == b"pause"
        if sender is not None and not delivery.paused:
            sender.enable()  # goes on at once, if it rests
    if sender is not None:
        sender.close()  # the receiver is gone: who rests wakes up and ends


def send(me: net.Socket, connection: net.Socket, delivery: Delivery) -> None:
    """The sender's cosocket."""
    with delivery.path.open("rb") as file:
        while piece := file.read(PIECE):
            if delivery.paused:
                me.disable()
            connection.write(piece)
    connection.shutdown()  # and `obey` reads on until the receiver ends the connection


def lines(connection: net.Socket) -> Iterator[bytes]:
    """What arrives, line by line; the last one may have no end."""
    rest = b""
    for data in connection:
        *complete, rest = (rest + data).split(b"\n")
        yield from (line.strip() for line in complete)


if __name__ == "__main__":
    listener = listen(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"connect to port {listener.sockname()[1]}")
