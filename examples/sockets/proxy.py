"""A TCP proxy that blocks nobody: two cosockets for each client, one for each direction.

`greenbas run examples/sockets/proxy.py PORT HOST PORT`
"""

from __future__ import annotations

import sys

from gevent.event import Event

from greenbas import net


def listen(port: int, host: str, host_port: int) -> net.Socket:
    """Take connections, and connect each of them on."""
    listener = net.bind(port, intf="127.0.0.1")
    listener.event(accept, "r", host, host_port)
    return listener


def accept(listener: net.Socket, host: str, port: int) -> None:
    while True:
        listener.accept().event(serve, "s", host, port)


def serve(client: net.Socket, host: str, port: int) -> None:
    """The client's cosocket: one direction. It starts the server's, which is the other one."""
    server = net.connect(host, port)
    there, back = Event(), Event()
    server.event(copy, "s", client, back, there)
    copy(client, server, there, back)


def copy(source: net.Socket, target: net.Socket, done: Event, other: Event) -> None:
    """Pass on what comes, and its end; then wait for the other direction: the end of a function closes its socket."""
    try:
        for data in source:
            target.write(data)  # waits while the target is slow, and TCP slows the source down meanwhile
        target.shutdown()
        done.set()
        other.wait()
    finally:
        target.close()


if __name__ == "__main__":
    listen(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
