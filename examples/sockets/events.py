"""Server-Sent Events: the connection of a request becomes a cosocket, and a timer writes to all of them.

`greenbas serve examples.sockets.events:server`, and a browser.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from greenbas import Request, Response, Server, Timer, create, net
from greenbas.errors import NetError
from greenbas.io import DiskIo

SECONDS = 0.5  # between events
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"

server = Server()
server.insert(create.resrdr(DiskIo(Path(__file__).parent / "public"), name=None))
listeners: set[net.Socket] = set()


@server.directory("events")
def events(request: Request, response: Response) -> None:
    """Take the connection: the handler ends, the stream goes on."""
    request.allow(["GET"])
    sock = net.req2sock(request)
    sock.write(HEAD + message(now()))
    sock.event(listen, "s")


def listen(sock: net.Socket) -> None:
    """A cosocket for each browser. It says nothing, so what can be read is its end."""
    listeners.add(sock)
    try:
        while sock.read():
            pass
    finally:
        listeners.discard(sock)


def tell_all() -> bool:
    """The timer: it is no cosocket, so a write never waits; what a slow browser does not take is queued."""
    text = message(now())
    for sock in list(listeners):
        try:
            sock.write(text)
        except NetError:  # QueueFull: it has taken nothing for minutes. It will come again by itself
            sock.close()
    return True


def now() -> dict[str, float]:
    """What the page shows."""
    return {
        "time": time.time(),
        "listeners": len(listeners),
        "sockets": net.stat()[1],
        "cpu": round(time.process_time() * 1000),
    }


def message(data: dict[str, float]) -> str:
    """An event as it is sent; an empty line ends it."""
    return f"data: {json.dumps(data)}\n\n"


timer = Timer(tell_all)
timer.set(SECONDS)
