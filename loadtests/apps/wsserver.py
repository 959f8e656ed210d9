"""One of the WebSocket echo servers that are compared: `python wsserver.py NAME PORT`."""

from __future__ import annotations

import select
import socket
import sys
from typing import Any


def greenbas(port: int) -> None:
    """As the documentation writes it."""
    from greenbas import Request, Response, Server

    server = Server()

    @server.directory("echo")
    def echo(request: Request, response: Response) -> None:
        with request.upgrade() as ws:
            for message in ws:
                ws.send(message)

    server.run(port=port, log="none")


def framing(port: int) -> None:
    """The framing library alone, on sockets and epoll, with nothing around it: no time-outs, no slow peers."""
    from websockets.frames import Frame
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    listening = socket.create_server(("127.0.0.1", port), backlog=128)
    poll = select.epoll()
    poll.register(listening.fileno(), select.EPOLLIN)
    connections: dict[int, tuple[socket.socket, Any]] = {}
    while True:
        for number, _ in poll.poll():
            if number == listening.fileno():
                sock, _ = listening.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
                connections[sock.fileno()] = sock, ServerProtocol()
                poll.register(sock.fileno(), select.EPOLLIN)
                continue
            sock, protocol = connections[number]
            try:
                data = sock.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                poll.unregister(number)
                sock.close()
                del connections[number]
                continue
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                elif isinstance(event, Frame) and event.opcode == 1:
                    protocol.send_text(event.data)
            for piece in protocol.data_to_send():
                if piece:
                    sock.send(piece)


def uvicorn(port: int) -> None:
    """uvloop, httptools and the library websockets; compression off, as ours is."""
    import uvicorn as library

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    library.run(
        echo, host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="websockets-sansio", lifespan="off",
        access_log=False, log_level="error", ws_per_message_deflate=False,
    )  # fmt: skip


def gevent_websocket(port: int) -> None:
    """gevent's WSGI server with the handler of gevent-websocket."""
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.handler import WebSocketHandler

    def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        ws = environ["wsgi.websocket"]
        while (message := ws.receive()) is not None:
            ws.send(message)
        return []

    WSGIServer(("127.0.0.1", port), echo, log=None, handler_class=WebSocketHandler).serve_forever()


SERVERS = {"greenbas": greenbas, "framing": framing, "uvicorn": uvicorn, "gevent-websocket": gevent_websocket}

if __name__ == "__main__":
    if sys.argv[1] == "gevent-websocket":
        from gevent import monkey

        monkey.patch_all()
    SERVERS[sys.argv[1]](int(sys.argv[2]))
