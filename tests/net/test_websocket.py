"""`WebSocket` over a bare connection: our side as the client too, and connections that other libraries have made."""

from __future__ import annotations

import _socket
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
import websocket as websocket_client
from gevent import get_hub
from leaks import nothing_left
from support import wait_until

from greenbas.crypto import self_signed
from greenbas.errors import ConnectionClosed, IncorrectUse, TimedOut
from greenbas.net import Stream
from greenbas.net.handover import stream_of
from greenbas.net.websocket import WebSocket
from greenbas.protocol.websocketframe import CLOSE, PING, TEXT, close_payload, make_frame

MakePair = Callable[..., tuple[Stream, socket.socket]]
HEADERS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@contextlib.contextmanager
def both(pair: MakePair, **settings: Any) -> Iterator[tuple[WebSocket, WebSocket]]:
    """A server and its client, both ours."""
    stream, peer = pair()
    raw = _socket.socket(peer.family, peer.type, peer.proto, fileno=peer.detach())
    one = WebSocket(stream, **settings)
    other = WebSocket(Stream(raw, get_hub()), client=True, **settings)
    try:
        yield one, other
    finally:
        for each in (one, other):
            each.close(timeout=0)
            each.stream.close()


def test_messages_both_ways(pair: MakePair) -> None:
    with both(pair) as (server, client):
        for message in ["", "text", b"binary", "ß" * 100_000, b"\x00" * 500_000]:
            sending = gevent.spawn(client.send, message)
            assert server.receive(10) == message
            sending.get()
            sending = gevent.spawn(server.send, message)
            assert client.receive(10) == message
            sending.get()
        assert client.ping() > 0
        assert server.ping(b"data") > 0
        assert "open 127.0.0.1:" in repr(server)


def test_close_from_either_side(pair: MakePair) -> None:
    for closing in (0, 1):
        with both(pair) as sides:
            closed = gevent.spawn(sides[closing].close, 4000, "enough")
            with pytest.raises(ConnectionClosed) as raised:
                sides[1 - closing].receive(10)
            assert (raised.value.code, raised.value.reason) == (4000, "enough")
            closed.get(timeout=10)
            assert [side.close_code for side in sides] == [4000, 4000]
            wait_until(lambda sides=sides: all(side.stream.closed for side in sides))
            assert repr(sides[0]).startswith("<WebSocket closed 4000")


def test_what_is_read_behind_the_handshake_comes_first(pair: MakePair) -> None:
    stream, peer = pair()
    first = make_frame(TEXT, b"first", masked=True)
    ws = WebSocket(stream, data=first + first[:3])
    peer.sendall(first[3:])
    assert [ws.receive(10), ws.receive(10)] == ["first", "first"]
    peer.sendall(make_frame(CLOSE, close_payload(1000), masked=True))
    assert list(ws) == []


def test_bytes_that_break_the_protocol_behind_the_handshake(pair: MakePair) -> None:
    stream, peer = pair()
    ws = WebSocket(stream, data=make_frame(TEXT, b"no mask"))
    with pytest.raises(ConnectionClosed, match="not masked"):
        ws.receive(10)
    assert peer.recv(100)[2:4] == b"\x03\xea"


def test_a_client_refuses_masked_frames(pair: MakePair) -> None:
    stream, peer = pair()
    ws = WebSocket(stream, client=True)
    peer.sendall(make_frame(TEXT, b"x", masked=True))
    with pytest.raises(ConnectionClosed, match="1002"):
        ws.receive(10)


def test_a_stream_that_is_closed_below(pair: MakePair) -> None:
    stream, _ = pair()
    ws = WebSocket(stream)
    reading = gevent.spawn(ws.receive)
    gevent.sleep(0)
    stream.close()
    with pytest.raises(ConnectionClosed, match="1006"):
        reading.get(timeout=10)
    with pytest.raises(ConnectionClosed, match="1006"):
        ws.send("x")
    assert ws.close_code == 1006
    ws.close()


def test_a_flood_of_pings_fills_no_memory(pair: MakePair) -> None:
    stream, peer = pair(buffer=8192)
    ws = WebSocket(stream)
    writing = gevent.spawn(ws.send, b"x" * 1_000_000)
    gevent.sleep(0.01)
    for number in range(500):
        peer.sendall(make_frame(PING, b"%d" % number, masked=True))
        if number % 50 == 0:
            gevent.sleep(0.001)
    wait_until(lambda: ws._link._owed)
    gevent.sleep(0.01)
    assert len(ws._link._owed) == 1
    got = 0
    while got < 1_000_010 + 5:
        got += len(peer.recv(1 << 20))
    writing.get(timeout=10)


@pytest.mark.parametrize("timeout", [0.02, 0])
def test_a_gevent_timeout_leaves_it_usable(pair: MakePair, timeout: float) -> None:
    stream, peer = pair()
    ws = WebSocket(stream)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        ws.receive()
    with pytest.raises(TimedOut):
        ws.receive(timeout)
    peer.sendall(make_frame(TEXT, b"x", masked=True))
    assert ws.receive(10) == "x"


def test_a_forgotten_one_closes(pair: MakePair) -> None:
    stream, peer = pair()
    WebSocket(stream)
    assert peer.recv(100) == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (1006, ""), (2999, ""), (1000, "x" * 124)])
def test_what_cannot_be_said_at_the_end(pair: MakePair, code: int, reason: str) -> None:
    with both(pair) as (server, _):
        with pytest.raises(ValueError, match=r"cannot be sent|fit into"):
            server.close(code, reason)
        assert not server.closed


# -- connections of other libraries -------------------------------------------------------------------------------


# In a process of its own: its threads would be greenlets here, and it closes sockets under their selectors.
LIBRARY = """
import ssl, sys
from websockets.sync.server import serve
context = None
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
def echo(connection):
    for message in connection:
        connection.send(message)
with serve(echo, "127.0.0.1", 0, ssl=context, compression=None) as server:
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
"""


@contextlib.contextmanager
def library(*certificate: str) -> Iterator[int]:
    """An echo server of the library websockets; gives its port."""
    command = [sys.executable, "-c", LIBRARY, *certificate]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with library() as found:
        yield found


@contextlib.contextmanager
def answering(head: bytes, more: bytes = b"", expected: bytes = b"", then: bytes = b"") -> Iterator[int]:
    """A server that gives one answer: it sends head and more at once, and `then` once `expected` has come."""

    def answer() -> None:
        sock, _ = listening.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(head.replace(b"\n", b"\r\n") + more)
            if expected:
                assert sock.recv(len(expected)) == expected
            sock.sendall(then)
            if not then:
                sock.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = gevent.spawn(answer)
        yield listening.getsockname()[1]
        running.get(timeout=10)


def talk(source: Any) -> None:
    """Say something over a handed over connection, and end it."""
    stream, data, is_websocket = stream_of(source)
    assert is_websocket
    with WebSocket(stream, client=True, data=data) as ws:
        for message in ["text", b"binary", "x" * 200_000]:
            ws.send(message)
            assert ws.receive(10) == message
        assert ws.ping() > 0
    assert ws.close_code == 1000


def test_a_websocket_of_websocket_client(port: int) -> None:
    with nothing_left():
        source = websocket_client.create_connection(f"ws://127.0.0.1:{port}", timeout=10)
        source.send("before")
        assert source.recv() == "before"
        talk(source)
        assert not source.connected
        with pytest.raises(IncorrectUse, match="not connected"):
            stream_of(source)


def test_what_websocket_client_has_read_already(pair: MakePair) -> None:
    stream, peer = pair()
    source = websocket_client.WebSocket()
    source.sock, source.connected = peer, True
    source.frame_buffer.recv_buffer = [make_frame(TEXT, b"early")[:4]]
    taken, data, _ = stream_of(source)
    stream.write(make_frame(TEXT, b"early")[4:])
    ws = WebSocket(taken, client=True, data=data)
    assert ws.receive(10) == "early"
    ws.close(timeout=0)


def test_a_websocket_in_the_middle_of_a_frame_is_left_alone(pair: MakePair) -> None:
    _, peer = pair()
    source = websocket_client.WebSocket()
    source.sock, source.connected = peer, True
    source.frame_buffer.header = (1, 0, 0, 0, 1, 0, 5)
    with pytest.raises(IncorrectUse, match="in the middle of a message") as raised:
        stream_of(source)
    assert raised.value.code == "invalidsocketcon"
    source.sock, source.connected = None, False


def test_a_response_of_requests(port: int) -> None:
    with nothing_left():
        talk(requests.get(f"http://127.0.0.1:{port}/", headers=HEADERS, stream=True, timeout=10))


ACCEPTED = (
    b"HTTP/1.1 101 OK\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"
)


def test_frames_right_behind_the_answer() -> None:
    with answering(ACCEPTED + b"\n", make_frame(TEXT, b"early") + make_frame(CLOSE, b"\x03\xe8")) as port:
        stream, data, is_websocket = stream_of(
            requests.get(f"http://127.0.0.1:{port}/", headers=HEADERS, stream=True, timeout=10)
        )
        assert is_websocket
        assert list(WebSocket(stream, client=True, data=data)) == ["early"]


def test_a_response_without_its_connection() -> None:
    with answering(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", then=b" ") as port:
        response = requests.get(f"http://127.0.0.1:{port}/", timeout=10)
        with pytest.raises(IncorrectUse, match="stream=True"):
            stream_of(response)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (ACCEPTED.replace(b"s3p", b"xxx") + b"\n", "does not fit"),
        (ACCEPTED + b"Sec-WebSocket-Extensions: permessage-x\n\n", "extension"),
    ],
)
def test_a_handshake_that_does_not_fit(head: bytes, words: str) -> None:
    with answering(head) as port:
        response = requests.get(f"http://127.0.0.1:{port}/", headers=HEADERS, stream=True, timeout=10)
        with pytest.raises(IncorrectUse, match=words):
            stream_of(response)
        response.close()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_plain_response_gives_a_plain_stream(version: bytes) -> None:
    head = b"HTTP/" + version + b" 200 OK\nContent-Length: 1000\n\n"
    with answering(head, b"head", expected=b"more", then=b" and tail") as port:
        response = requests.get(f"http://127.0.0.1:{port}/", stream=True, timeout=10)
        stream, data, is_websocket = stream_of(response)
        assert not is_websocket
        stream.write(b"more")
        while piece := stream.read(timeout=10):
            data += piece
        assert data == b"head and tail"
        stream.close()


@pytest.mark.parametrize("source", [None, 7, "ws://x", requests.Response()])
def test_what_has_no_connection(source: Any) -> None:
    with pytest.raises(IncorrectUse) as raised:
        stream_of(source)
    assert raised.value.code == "invalidsocketcon"


def test_encrypted_connections(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for path, text in zip((chain, key), self_signed("127.0.0.1"), strict=True):
        path.write_text(text)
    with library(str(chain), str(key)) as port, nothing_left():
        options = {"ca_certs": str(chain)}
        talk(websocket_client.create_connection(f"wss://127.0.0.1:{port}", timeout=10, sslopt=options))
        url = f"https://127.0.0.1:{port}/"
        talk(requests.get(url, headers=HEADERS, stream=True, timeout=10, verify=str(chain)))
