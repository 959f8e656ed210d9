"""Echo in all three modes: asynchronous sockets, cosockets, and blocking in a handler.

    greenbas run examples/sockets/echo.py
    curl 'http://127.0.0.1:9357/ask?mode=s&text=hello'

The function is the same each time, for all reading and writing here looks blocking and suspends one greenlet. The
modes differ in whom the socket belongs to.
"""

from __future__ import annotations

from typing import Literal

from greenbas import Request, Response, Server, net

Mode = Literal["r", "s"]
ports: dict[str, int] = {}
server = Server()


def echo(sock: net.Socket) -> None:
    """Send back what comes, until the other side sends no more."""
    while data := sock.read():
        sock.write(data)


def accept(listener: net.Socket, mode: Mode) -> None:
    """Give each connection to a function of its own, which closes it when it ends."""
    while True:
        listener.accept().event(echo, mode)


def listen(mode: Mode, port: int = 0) -> net.Socket:
    """Echo on a port: "r" makes asynchronous sockets, "s" cosockets."""
    listener = net.bind(port, intf="127.0.0.1")
    listener.event(accept, "r", mode)
    ports[mode] = listener.sockname()[1]
    return listener


@server.directory("ask")
def ask(request: Request, response: Response) -> str:
    """A client in a handler: a plain socket that blocks the handler, and nobody else."""
    text = request.data("text") or "hello"
    port = ports[request.data("mode") or "s"]
    answer = b""
    with net.connect("127.0.0.1", port, timeout=2) as sock:
        sock.write(text)
        while len(answer) < len(text.encode()):
            answer += sock.read(5)
    response.set_content_type("text/plain; charset=utf-8")
    return answer.decode()


@server.directory("echo")
def echo_here(request: Request, response: Response) -> None:
    """From here on the connection is no HTTP any more, and echoes what comes behind the request."""
    with net.req2sock(request) as sock:
        echo(sock)


if __name__ == "__main__":
    with listen("r"), listen("s"):
        for mode, port in ports.items():
            print(f'echo in mode "{mode}" on port {port}')
        server.run(port=9357)
