"""From requests to sockets and back: req2sock, sock2req, http2sock."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest
import requests
import websocket
from gevent.event import AsyncResult
from gevent.queue import Queue
from support import wait_until
from web import Client, head, serving

from greenbas import Request, Response, net
from greenbas.errors import IncorrectUse
from greenbas.net import Socket


def port_of(server: Any) -> int:
    return server.listeners[0].port  # type: ignore[no-any-return]


def echo(sock: Socket) -> None:
    while data := sock.read():
        sock.write(data)


def test_a_request_becomes_a_cosocket() -> None:
    def handler(request: Request, response: Response) -> None:
        net.req2sock(request).event(echo, "s")

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1") + "behind the head")
        assert client.read_until(b"head") == b"behind the head"
        client.send("more")
        assert client.read_until(b"more") == b"more"
        assert server.service.workers.active == 0
        client.half_close()
        assert client.closed()


def test_server_sent_events() -> None:
    listeners: list[Socket] = []

    def handler(request: Request, response: Response) -> None:
        response.set_content_type("text/event-stream")
        response.downgrade()
        response.flush()
        sock = net.req2sock(request)
        sock.event(lambda sock: sock.read(), "s")  # until the browser leaves
        listeners.append(sock)

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert b"text/event-stream" in client.read_until(b"\r\n\r\n")
        for number in range(3):
            wait_until(lambda: listeners)
            listeners[0].write(f"data: {number}\n\n")
            assert client.read_until(b"\n\n") == b"data: %d\n\n" % number
        client.reset()
        wait_until(lambda: listeners[0].state() == ("terminated", False))


def test_stopping_the_server_closes_them() -> None:
    def handler(request: Request, response: Response) -> None:
        net.req2sock(request).event(echo, "s")

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1") + "x")
        client.read_until(b"x")
        assert server.stop() == []
        assert client.closed()


def test_there_and_back() -> None:
    def serve(sock: Socket) -> None:
        line = sock.read()
        if line.startswith(b"GET"):
            net.sock2req(sock, line)
        else:
            sock.write(b"not HTTP: " + line)

    listener = net.bind(0, intf="127.0.0.1")

    def accept(listener: Socket) -> None:
        while True:
            listener.accept().event(serve, "s")

    listener.event(accept)
    port = listener.sockname()[1]
    with serving(lambda request, _: f"page {request.path}") as server:
        for _ in range(2):
            assert requests.get(f"http://127.0.0.1:{port}/a", timeout=10).text == "page /a"
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(b"HELO")
            assert other.recv(100) == b"not HTTP: HELO"
        assert server.service.counters.requests == 2
    listener.close()


def test_sock2req_needs_a_server_and_a_connection() -> None:
    with net.bind(0, intf="127.0.0.1") as listener, net.connect("127.0.0.1", listener.sockname()[1]) as sock:
        with pytest.raises(IncorrectUse, match="cannot be handed on"):
            net.sock2req(listener)
        with pytest.raises(IncorrectUse, match="no server runs"):
            net.sock2req(sock)


# -- WebSocket ----------------------------------------------------------------------------------------------------


def test_a_websocket_as_a_cosocket() -> None:
    def serve(sock: Socket) -> None:
        assert sock.websocket()
        while data := sock.read():
            assert sock.fragment is not None
            sock.write(data if sock.fragment.istext else data[::-1])
        ended.set(sock.fragment)

    def handler(request: Request, response: Response) -> None:
        net.req2sock(request).event(serve, "s")

    ended: AsyncResult[Any] = AsyncResult()
    with serving(handler) as server:
        client = websocket.create_connection(f"ws://127.0.0.1:{port_of(server)}/", timeout=10)
        client.send("grün")
        assert client.recv() == "grün"
        client.send_binary(b"abc")
        assert client.recv() == b"cba"
        client.close()
        assert ended.get(timeout=5) is None


def test_large_frames_come_in_pieces() -> None:
    pieces: Queue = Queue()

    def serve(sock: Socket) -> None:
        while sock.read():
            pieces.put(sock.fragment)

    def handler(request: Request, response: Response) -> None:
        net.req2sock(request).event(serve, "s")

    with serving(handler) as server:
        client = websocket.create_connection(f"ws://127.0.0.1:{port_of(server)}/", timeout=10)
        client.send_binary(bytes(1_000_000))
        seen = 0
        while seen < 1_000_000:
            piece = pieces.get(timeout=5)
            seen += len(piece.data)
            assert (piece.bytes_read, piece.frame_len, piece.istext) == (seen, 1_000_000, False)
        client.close()


def test_others_write_to_a_websocket_and_ping_it() -> None:
    found: Queue = Queue()

    def handler(request: Request, response: Response) -> None:
        sock = net.req2sock(request)
        sock.event(lambda sock: sock.read(), "s")
        found.put(sock)

    with serving(handler) as server:
        client = websocket.create_connection(f"ws://127.0.0.1:{port_of(server)}/", timeout=10)
        sock = found.get(timeout=5)
        sock.write("text")
        sock.write(b"text too", True)
        sock.write(b"bytes")
        sock.ping(b"are you there")
        assert [client.recv(), client.recv(), client.recv()] == ["text", "text too", b"bytes"]
        assert client.recv_data_frame(control_frame=True)[1].data == b"are you there"
        sock.close()


def test_http2sock_with_websocket_client(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Request, response: Response) -> None:
        with request.upgrade() as ws:
            for message in ws:
                ws.send(message)

    with serving(handler) as server, caplog.at_level(logging.WARNING):
        made = websocket.create_connection(f"ws://127.0.0.1:{port_of(server)}/", timeout=10)
        with net.http2sock(made) as sock:
            assert sock.websocket()
            for message in ("text", b"bytes", "x" * 100_000):
                sock.write(message)
                got = sock.read(10)
                while len(got) < len(message):
                    got += sock.read(10)
                assert got == message
        wait_until(lambda: not len(server.service.table))
    assert not caplog.records


def test_http2sock_with_requests() -> None:
    def handler(request: Request, response: Response) -> None:
        stream, _ = request.detach()
        stream.write(b"HTTP/1.1 200 OK\r\n\r\nraw")
        while data := stream.read():
            stream.write(data.upper())

    with serving(handler) as server:
        answer = requests.get(f"http://127.0.0.1:{port_of(server)}/", stream=True, timeout=10)
        with net.http2sock(answer) as sock:
            assert sock.read(5) == b"raw"
            sock.write(b"on it goes")
            assert sock.read(5) == b"ON IT GOES"
        with pytest.raises(IncorrectUse, match="has let go of its connection"):
            net.http2sock(answer)


def test_a_dropped_socket_of_a_request_closes() -> None:
    def drops(request: Request, response: Response) -> None:
        net.req2sock(request)

    with serving(drops) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.closed()
        wait_until(lambda: not len(server.service.table))


def test_http2sock_of_something_else() -> None:
    with pytest.raises(IncorrectUse):
        net.http2sock(object())
