"""Echo and proxy on sockets: sockserver.py greenbas|gevent echo PORT, or greenbas|gevent proxy PORT TARGET_PORT."""

from __future__ import annotations

import socket
import sys
from typing import Any

import gevent
from gevent import socket as gsocket
from gevent.server import StreamServer

READ_SIZE = 65536  # what greenbas reads, too


def greenbas_echo(port: int) -> None:
    """Cosockets, as the documentation has them."""
    from greenbas import net

    def echo(sock: net.Socket) -> None:
        while data := sock.read():
            sock.write(data)

    def accept(listener: net.Socket) -> None:
        while True:
            listener.accept().event(echo, "s")

    net.bind(port, intf="127.0.0.1").event(accept, "r")
    net.join()


def greenbas_proxy(port: int, target: int) -> None:
    """The example, as it is."""
    from examples.sockets import proxy
    from greenbas import net

    proxy.listen(port, "127.0.0.1", target)
    net.join()


def gevent_echo(port: int) -> None:
    """A StreamServer; its sockets have no TCP_NODELAY by themselves."""

    def echo(sock: Any, address: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(READ_SIZE):
            sock.sendall(data)

    StreamServer(("127.0.0.1", port), echo).serve_forever()


def gevent_proxy(port: int, target: int) -> None:
    """The same for a proxy, with a greenlet for each direction."""

    def copy(source: Any, sink: Any) -> None:
        try:
            while data := source.recv(READ_SIZE):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()

    def forward(client: Any, address: object) -> None:
        server = gsocket.create_connection(("127.0.0.1", target))
        back = gevent.spawn(copy, server, client)
        copy(client, server)
        back.join()

    StreamServer(("127.0.0.1", port), forward).serve_forever()


if __name__ == "__main__":
    globals()[f"{sys.argv[1]}_{sys.argv[2]}"](*map(int, sys.argv[3:]))
