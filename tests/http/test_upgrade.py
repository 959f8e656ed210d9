"""`request.upgrade`: the handshake and its refusals, what a handler sees, and how it all ends."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import websocket as websocket_client
from leaks import nothing_left
from support import wait_until
from web import Client, ask, serving
from websockets.sync.client import connect
from wsraw import BINARY, CLOSE, CONT, PING, PONG, TEXT, Peer, close_frame, handshake, masked

from greenbas import Request, Response, Server
from greenbas.errors import ConnectionClosed, IncorrectUse, SocketBusy, TimedOut
from greenbas.net.websocket import WebSocket
from greenbas.protocol.websocketdeflate import Deflate

Handler = Callable[[WebSocket], Any]


def echo(request: Request, response: Response) -> None:
    """The example of the documentation."""
    with request.upgrade() as ws:
        for message in ws:
            ws.send(message)


@contextlib.contextmanager
def socket_of(handler: Handler, **options: Any) -> Iterator[Server]:
    """A server whose handler gets the WebSocket."""

    def function(request: Request, response: Response) -> None:
        with request.upgrade(**options) as ws:
            handler(ws)

    with serving(function, dev=True) as server:
        yield server


def url(server: Server, path: str = "/") -> str:
    """Of the server, for a client."""
    return f"ws://127.0.0.1:{server.listeners[0].port}{path}"


# -- echo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["", "hello", "κόσμε 🙂", b"", b"\x00\xff", b"x" * 70_000, "ß" * 40_000])
def test_echo_with_websocket_client(message: str | bytes) -> None:
    with serving(echo) as server:
        client = websocket_client.create_connection(url(server), timeout=10)
        client.send(message, websocket_client.ABNF.OPCODE_BINARY if isinstance(message, bytes) else 1)
        assert client.recv() == message
        client.close()


def test_echo_with_the_library_websockets() -> None:
    with serving(echo) as server, connect(url(server)) as client:
        for message in ["a", b"b", "c" * 100_000, "z"]:
            client.send(message)
            assert client.recv(10) == message
        client.send(part for part in ["in ", "pieces"])
        assert client.recv(10) == "in pieces"
        pong = client.ping(b"?")
        assert pong.wait(10)
        client.close(3000, "done")
        assert client.close_code == 3000


def test_frames_right_behind_the_head() -> None:
    with serving(echo) as server, Peer.open(server, "/", more=masked(TEXT, b"early") + masked(PING, b"!")) as peer:
        assert [peer.frame(), peer.frame()] in ([(PONG, b"!"), (TEXT, b"early")], [(TEXT, b"early"), (PONG, b"!")])
        peer.send(masked(TEXT, b"later"))
        assert peer.text() == "later"


def test_an_http_request_before_it_on_the_same_connection() -> None:
    with serving() as server:
        server.directory("echo")(echo)
        server.directory("hello")(lambda request, response: "hi")
        with Client(server) as client:
            assert client.ask("GET /hello HTTP/1.1\nHost: x\n\n").body == b"hi"
            client.send(handshake("/echo"))
            client.read_until(b"\r\n\r\n")
            client.send(masked(TEXT, b"x"))
            assert client.read_until(b"x") == b"\x81\x01x"


# -- the handshake ------------------------------------------------------------------------------------------------


def without(name: str) -> str:
    """A handshake that lacks a field."""
    return "\n".join(line for line in handshake("/").split("\n") if not line.lower().startswith(f"{name}:"))


def replaced(name: str, value: str) -> str:
    """A handshake with another value of a field."""
    return without(name)[:-1] + f"{name}: {value}\n\n"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (without("upgrade"), 426, b"Upgrade: websocket"),
        (replaced("upgrade", "h2c"), 426, b"Upgrade: websocket"),
        (without("connection"), 400, b"Connection: Upgrade is missing"),
        (replaced("connection", "keep-alive"), 400, b"Connection: Upgrade is missing"),
        (without("sec-websocket-version"), 426, b"has to be 13"),
        (replaced("sec-websocket-version", "8"), 426, b"version 8"),
        (without("sec-websocket-key"), 400, b"Sec-WebSocket-Key"),
        (replaced("sec-websocket-key", "dGhlIHNhbXBsZQ=="), 400, b"16 bytes"),
        (replaced("sec-websocket-key", "?" * 24), 400, b"16 bytes"),
        (handshake("/", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, b"once"),
        (handshake("/").replace("GET", "POST", 1), 405, b"GET"),
        (handshake("/").replace("HTTP/1.1", "HTTP/1.0"), 400, b"HTTP/1.1"),
        (handshake("/", "Content-Length: 1") + "x", 400, b"no body"),
        (handshake("/", "Sec-WebSocket-Protocol: a b"), 400, b"subprotocol"),
        (handshake("/", "Origin: http://evil.example"), 403, b"origin"),
        (handshake("/", "Origin: https://x"), 403, b"origin"),
        (handshake("/", "Origin: http://x:81"), 403, b"origin"),
        (handshake("/", "Origin: null"), 403, b"origin"),
        (handshake("/", "Origin: http://x", "Origin: http://x"), 403, b"origin"),
        (handshake("/", "Origin: http://x@evil.example"), 403, b"origin"),
        (handshake("/", "Origin: http://[x"), 403, b"origin"),
    ],
)
def test_what_is_no_handshake_is_answered(text: str, status: int, words: bytes) -> None:
    after = []

    def function(request: Request, response: Response) -> None:
        request.upgrade()
        after.append(request)

    with serving(function) as server:
        answer = ask(server, text)
        assert answer.status == status
        assert words in answer.body
        assert after == []
        if status == 426:
            assert (answer["Sec-WebSocket-Version"], answer["Upgrade"]) == ("13", "websocket")
        if status == 405:
            assert answer["Allow"] == "GET"


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "upgrade", "UPGRADE , x"])
def test_connection_may_name_more(connection: str) -> None:
    with serving(echo) as server, Client(server) as client:
        client.send(replaced("connection", connection))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


@pytest.mark.parametrize(
    ("host", "origin", "origins", "settings"),
    [
        ("x", "http://x", None, {}),
        ("x:80", "http://x", None, {}),
        ("X.example:8080", "http://x.example:8080", None, {}),
        ("[::1]:9357", "http://[::1]:9357", None, {}),
        ("x", "https://shop.example", ["https://shop.example"], {}),
        ("x", "https://shop.example:443", ["https://shop.example"], {}),
        ("x", "null", ["null"], {}),
        ("x", "https://anybody.example", ["*"], {}),
        ("x", None, None, {}),
        ("x", "https://x", None, {"trusted_proxies": ("127.0.0.1",)}),
    ],
)
def test_origins_that_are_let_in(host: str, origin: str | None, origins: Any, settings: dict[str, Any]) -> None:
    def function(request: Request, response: Response) -> None:
        request.upgrade(origins=origins).close()

    lines = [f"Origin: {origin}"] if origin else []
    lines += ["X-Forwarded-Proto: https"] if settings else []
    with serving(function, **settings) as server, Client(server) as client:
        client.send(handshake("/", *lines).replace("Host: x\n", f"Host: {host}\n"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")


def test_a_refused_origin_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(echo) as server:
        ask(server, handshake("/chat", "Origin: http://evil.example"))
    (record,) = [record for record in caplog.records if record.name == "greenbas.websocket"]
    assert "a page of 'http://evil.example' may not open a WebSocket of http://x/chat" in record.getMessage()


def test_upgrade_is_ignored_unless_the_handler_wants_it() -> None:
    with serving(lambda request, response: "plain") as server, Client(server) as client:
        for _ in range(2):
            answer = client.ask(handshake("/"))
            assert (answer.status, answer.body) == (200, b"plain")
        assert (
            client.ask("GET / HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\n\n").status == 200
        )


def test_headers_and_cookies_go_out_with_the_101() -> None:
    def function(request: Request, response: Response) -> None:
        cookie = response.create_cookie("seen")
        cookie.value = "yes"
        cookie.activate()
        response.set_header("X-Room", "7")
        request.upgrade().close()

    with serving(function) as server, Peer.open(server, "/") as peer:
        assert b"\r\nX-Room: 7\r\n" in peer.head
        assert b"\r\nSet-Cookie: seen=yes" in peer.head
        assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" in peer.head
        assert b"\r\nDate: " in peer.head
        assert b"Content-" not in peer.head
        assert b"Sec-WebSocket-Ext" not in peer.head


@pytest.mark.parametrize(
    ("ours", "offered", "chosen"),
    [
        ([], ["chat"], None),
        (["chat"], [], None),
        (["chat", "superchat"], ["superchat, chat"], "chat"),
        (["graphql-ws"], ["a", "graphql-ws"], "graphql-ws"),
        (["a"], ["b"], None),
    ],
)
def test_subprotocols(ours: list[str], offered: list[str], chosen: str | None) -> None:
    with socket_of(lambda ws: ws.send(repr(ws.subprotocol)), subprotocols=ours) as server:
        lines = [f"Sec-WebSocket-Protocol: {names}" for names in offered]
        with Peer.open(server, "/", *lines) as peer:
            line = f"\r\nSec-WebSocket-Protocol: {chosen}\r\n".encode()
            assert (line in peer.head) == (chosen is not None)
            assert (b"Sec-WebSocket-Protocol" in peer.head) == (chosen is not None)
            assert peer.text() == repr(chosen)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"subprotocols": "chat"}, TypeError),
        ({"origins": "http://x"}, TypeError),
        ({"subprotocols": ["a b"]}, ValueError),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception]) -> None:
    caught = []

    def function(request: Request, response: Response) -> str:
        with pytest.raises(error) as raised:
            request.upgrade(**options)
        caught.append(raised.value)
        return "no"

    with serving(function) as server:
        assert ask(server, handshake("/")).body == b"no"
    assert caught


def test_upgrade_after_output_is_a_mistake() -> None:
    def function(request: Request, response: Response) -> None:
        response.write("too early")
        with pytest.raises(IncorrectUse, match="comes too late"):
            request.upgrade()

    with serving(function) as server:
        assert ask(server, handshake("/")).body == b"too early"


def test_upgrade_in_an_include_is_a_mistake() -> None:
    with serving() as server:
        server.directory("echo")(echo)

        @server.directory("outer")
        def outer(request: Request, response: Response) -> None:
            with pytest.raises(IncorrectUse):
                response.include("/echo")
            response.write("still here")

        assert ask(server, handshake("/outer")).body == b"still here"


def test_one_line_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenbas.access")
    from greenbas.http import AccessLog

    with serving(echo) as server:
        server.service.access_log = AccessLog()
        with Peer.open(server, "/room?x=1") as peer:
            peer.send(masked(TEXT, b"x"))
            peer.text()
            peer.send(close_frame())
            assert peer.closing() == 1000
        wait_until(lambda: [record for record in caplog.records if record.name == "greenbas.access"])
    (record,) = [record for record in caplog.records if record.name == "greenbas.access"]
    assert (record.status, record.target, record.client) == (101, "/room?x=1", "127.0.0.1")  # type: ignore[attr-defined]


# -- compression --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [True, Deflate(window_bits=9), Deflate(no_context_takeover=True)])
def test_compression(compression: bool | Deflate) -> None:
    got = []
    with (
        socket_of(lambda ws: got.append([ws.send(message) for message in ws]), compression=compression) as server,
        connect(url(server)) as client,
    ):
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in ["a" * 1000, "a" * 1000, b"\x00" * 100_000, "z"]:
            client.send(message)
            assert client.recv(10) == message


def test_no_compression_unless_asked_for() -> None:
    with serving(echo) as server, connect(url(server)) as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("plain")
        assert client.recv(10) == "plain"


# -- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, None])
def test_iteration_ends_when_the_peer_closes_in_order(code: int | None) -> None:
    ended = []

    def handler(ws: WebSocket) -> None:
        ended.append((list(ws), ws.close_code, ws.close_reason, ws.closed))

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        peer.send(masked(TEXT, b"last"), close_frame(code, b"bye"), masked(TEXT, b"too late"))
        assert peer.closing() == code
        wait_until(lambda: ended)
        assert ended == [(["last"], code or 1005, "" if code is None else "bye", True)]


@pytest.mark.parametrize(
    ("frames", "code"), [(close_frame(3001, b"why"), 3001), (masked(0x3), 1002), (masked(TEXT, b"\xff"), 1007)]
)
def test_iteration_raises_when_something_was_wrong(frames: bytes, code: int) -> None:
    caught = []

    def handler(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosed) as raised:
            next(iter(ws))
        caught.append((raised.value.code, ws.close_code))
        with pytest.raises(ConnectionClosed):
            ws.send("x")
        with pytest.raises(ConnectionClosed):
            ws.receive()

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        peer.send(frames)
        assert peer.closing() == code
        wait_until(lambda: caught)
        assert caught == [(code, code)]


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_connection_that_breaks_is_1006(how: str) -> None:
    caught = []

    def handler(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosed) as raised:
            ws.receive()
        caught.append(raised.value)

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        if how == "reset":
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        if how == "half":
            peer.sock.shutdown(socket.SHUT_WR)
        else:
            peer.sock.close()
        wait_until(lambda: caught)
        assert caught[0].code == 1006
        assert "without a close frame" in caught[0].reason


def test_a_gone_client_is_no_failure_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    def forever(ws: WebSocket) -> None:
        while True:
            ws.send(ws.receive())

    with socket_of(forever) as server:
        with Peer.open(server, "/") as peer:
            peer.send(masked(TEXT, b"x"))
            peer.text()
        wait_until(lambda: not server.service.workers.busy)
        assert server.site.failures == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_end_of_the_block_sends_1000_and_waits() -> None:
    states = []

    def function(request: Request, response: Response) -> None:
        with request.upgrade() as ws:
            ws.send("bye")
        states.append(ws.closed)

    with serving(function) as server, Peer.open(server, "/") as peer:
        assert peer.text() == "bye"
        assert peer.frame() == (CLOSE, b"\x03\xe8")
        assert states == []
        peer.send(masked(TEXT, b"not wanted"), close_frame(1000))
        assert peer.at_end()
        wait_until(lambda: states == [True])


def test_an_exception_in_the_block_sends_1011(caplog: pytest.LogCaptureFixture) -> None:
    def handler(ws: WebSocket) -> None:
        raise RuntimeError("a bug")

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        assert peer.frame() == (CLOSE, b"\x03\xf3")
        peer.send(close_frame(1011))
        assert peer.at_end()
        wait_until(lambda: server.site.failures == 1)
    assert "a bug" in caplog.text


def test_the_end_of_the_handler_closes_without_a_block() -> None:
    def function(request: Request, response: Response) -> None:
        request.upgrade().send("only this")

    with serving(function) as server, Peer.open(server, "/") as peer:
        assert peer.text() == "only this"
        gc.collect()  # on CPython the last reference is gone already
        assert peer.frame() == (CLOSE, b"\x03\xe8")
        peer.send(close_frame(1000))
        assert peer.at_end()


def test_a_websocket_may_outlive_its_handler() -> None:
    kept = []
    with serving(lambda request, response: kept.append(request.upgrade())) as server, Peer.open(server, "/") as peer:
        wait_until(lambda: not server.service.workers.busy)
        (ws,) = kept
        peer.send(masked(TEXT, b"still?"))
        assert ws.receive(10) == "still?"
        ws.send("yes")
        assert peer.text() == "yes"
        gevent.spawn(ws.close, 3000, "enough")
        assert peer.frame() == (CLOSE, b"\x0b\xb8enough")
        peer.send(close_frame(3000))
        assert peer.at_end()
        ws.close()
        assert (ws.close_code, ws.close_reason) == (3000, "enough")


def test_close_does_not_wait_for_ever() -> None:
    done = []

    def handler(ws: WebSocket) -> None:
        ws.close(1000, timeout=0.05)
        done.append(ws.close_code)

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        assert peer.frame() == (CLOSE, b"\x03\xe8")
        wait_until(lambda: done == [1000])
        assert peer.at_end()


@pytest.mark.parametrize("where", ["receive", "iterate", "sleep"])
def test_the_stop_of_the_server_sends_1001(where: str) -> None:
    ended = []

    def handler(ws: WebSocket) -> None:
        if where == "iterate":
            ended.append(list(ws))
        elif where == "receive":
            with pytest.raises(ConnectionClosed, match="1001"):
                ws.receive()
            ended.append("receive")
        else:
            gevent.sleep(0.05)

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        wait_until(lambda: server.service.workers.busy)
        stopping = gevent.spawn(server.stop, drain_timeout=5)
        opcode, payload = peer.frame()
        assert opcode == CLOSE
        if where != "sleep":
            assert payload == b"\x03\xe9the server is going away"
        peer.send(close_frame(1001))
        assert peer.at_end()
        peer.sock.close()
        stopping.get(timeout=10)
        assert ended == {"iterate": [[]], "receive": ["receive"], "sleep": []}[where]


def test_the_request_timeout_ends_with_the_upgrade() -> None:
    def handler(ws: WebSocket) -> None:
        for message in ws:
            gevent.sleep(0.15)
            ws.send(message)

    def function(request: Request, response: Response) -> None:
        with request.upgrade() as ws:
            handler(ws)

    with serving(function, request_timeout=0.1) as server, Peer.open(server, "/") as peer:
        for _ in range(2):
            peer.send(masked(TEXT, b"slow"))
            assert peer.text() == "slow"


def test_open_websockets_do_not_count_as_running_handlers() -> None:
    with serving(max_workers=1, queue_length=0) as server:
        server.directory("echo")(echo)
        server.directory("hello")(lambda request, response: "hi")
        with Peer.open(server, "/echo") as one, Peer.open(server, "/echo") as two:
            assert ask(server, "GET /hello HTTP/1.1\nHost: x\n\n").body == b"hi"
            for peer in (one, two):
                peer.send(masked(BINARY, b"x"))
                assert peer.frame() == (BINARY, b"x")


# -- receiving and sending ----------------------------------------------------------------------------------------


def test_two_readers_are_named() -> None:
    caught: list[str] = []

    def handler(ws: WebSocket) -> None:
        def second() -> None:
            with pytest.raises(SocketBusy) as raised:
                ws.receive()
            caught.append(str(raised.value))
            ws.close(timeout=0)

        greenlet = gevent.spawn(second)
        greenlet.name = "second"
        with pytest.raises(ConnectionClosed):
            ws.receive()

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        peer.closing()
        wait_until(lambda: caught)
        assert caught[0].startswith("second reads ")
        assert "worker-" in caught[0]


def test_receive_with_a_timeout_keeps_what_has_come() -> None:
    got = []

    def handler(ws: WebSocket) -> None:
        with pytest.raises(TimedOut):
            ws.receive(0.05)
        with pytest.raises(TimedOut):
            ws.receive(0)
        ws.send("begin")
        with pytest.raises(TimedOut):
            while True:
                ws.receive(0.05)
        ws.send("go on")
        got.append(ws.receive(10))

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        assert peer.text() == "begin"
        peer.send(masked(TEXT, b"one, ", fin=False))
        assert peer.text() == "go on"
        peer.send(masked(CONT, b"two"))
        wait_until(lambda: got == ["one, two"])


def test_receive_without_waiting_takes_what_is_there() -> None:
    got = []

    def handler(ws: WebSocket) -> None:
        ws.send("now")
        while not got:
            gevent.sleep(0.001)
            with contextlib.suppress(TimedOut):
                got.append(ws.receive(0))

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        peer.text()
        peer.send(masked(TEXT, b"there"))
        wait_until(lambda: got == ["there"])


def test_fragments_come_as_they_arrive() -> None:
    got: list[str | bytes] = []

    def handler(ws: WebSocket) -> None:
        got.extend(ws.fragments())
        got.append(ws.receive())

    with socket_of(handler, max_size=None) as server, Peer.open(server, "/") as peer:
        frame = masked(BINARY, b"a" * 100_000)
        peer.send(frame[:50_000])
        wait_until(lambda: sum(map(len, got)) > 40_000)
        peer.send(frame[50_000:], masked(TEXT, b"next"))
        wait_until(lambda: got and got[-1] == "next")
        assert b"".join(got[:-1]) == b"a" * 100_000  # type: ignore[arg-type]
        assert len(got) > 2


def test_the_rest_of_a_message_that_nobody_wants_is_dropped() -> None:
    got = []

    def handler(ws: WebSocket) -> None:
        for piece in ws.fragments():
            got.append(piece)
            break
        got.append(ws.receive())

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        peer.send(masked(TEXT, b"one", fin=False), masked(CONT, b"two", fin=False), masked(CONT, b"three"))
        peer.send(masked(TEXT, b"four"))
        wait_until(lambda: got == ["one", "four"])


def test_pieces_for_a_socket_as_in_the_original() -> None:
    got = []

    def handler(ws: WebSocket) -> None:
        while (piece := ws.read_piece()) is not None:
            got.append(piece[:5])

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        frame = masked(TEXT, b"abcdef")
        peer.send(frame[:9])
        wait_until(lambda: got)
        peer.send(frame[9:], masked(BINARY, b"x"), close_frame(1000))
        peer.closing()
        assert got == [("abc", True, 3, 6, False), ("def", True, 6, 6, True), (b"x", False, 1, 1, True)]


def test_a_message_over_the_limit() -> None:
    with serving(lambda request, response: list(request.upgrade(max_size=10))) as server:
        with Peer.open(server, "/") as peer:
            peer.send(masked(BINARY, b"x" * 11))
            assert peer.closing() == 1009
        with Peer.open(server, "/") as peer:
            peer.send(masked(BINARY, b"x" * 6, fin=False), masked(CONT, b"x" * 5))
            assert peer.closing() == 1009


def test_sending_what_is_no_message() -> None:
    errors = []

    def handler(ws: WebSocket) -> None:
        for wrong in (None, 7, {"a": 1}, ["a", b"b"], [3.5]):
            with pytest.raises(TypeError) as raised:
                ws.send(wrong)  # type: ignore[arg-type]
            errors.append(str(raised.value))
            if isinstance(wrong, list):
                return

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        wait_until(lambda: len(errors) == 4)
        peer.send(close_frame())
        assert "not NoneType" in errors[0]


def test_a_message_in_pieces_and_others_wait() -> None:
    def handler(ws: WebSocket) -> None:
        def slow() -> Iterator[str]:
            for word in ["a", "b", "c"]:
                gevent.sleep(0.01)
                yield word

        first = gevent.spawn(ws.send, slow())
        gevent.sleep(0)
        second = gevent.spawn(ws.send, "second")
        ws.send(b"third")
        gevent.joinall([first, second], raise_error=True)

    with socket_of(handler) as server, connect(url(server)) as client:
        got = [client.recv(10) for _ in range(3)]
        assert got[0] == "abc"
        assert set(got[1:]) == {"second", b"third"}


def test_many_senders_and_a_slow_reader() -> None:
    def handler(ws: WebSocket) -> None:
        senders = [gevent.spawn(lambda n=n: [ws.send(bytes([n]) * 50_000) for _ in range(10)]) for n in range(8)]
        gevent.joinall(senders, raise_error=True)
        ws.receive()

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        gevent.sleep(0.05)
        peer.send(masked(PING, b"between"))
        frames = [peer.frame() for _ in range(81)]
        assert frames.count((PONG, b"between")) == 1
        assert sorted(payload[0] for opcode, payload in frames if opcode == BINARY) == sorted(list(range(8)) * 10)
        assert all(payload == payload[:1] * 50_000 for opcode, payload in frames if opcode == BINARY)
        peer.send(close_frame())


def test_a_peer_that_takes_nothing_is_given_up() -> None:
    caught = []

    def handler(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosed) as raised:
            while True:
                ws.send(b"x" * 500_000)
        caught.append(raised.value)

    with socket_of(handler, write_timeout=0.1) as server, Peer.open(server, "/"):
        wait_until(lambda: caught)
        assert caught[0].code == 1006
        assert "could not write for 0.1 s" in caught[0].reason


def test_a_peer_that_sends_without_end_is_slowed_down() -> None:
    def handler(ws: WebSocket) -> None:
        while link._ahead <= 64 * 1024:
            gevent.sleep(0.005)
        held.append(link._ahead)
        for _ in range(2000):
            ws.receive()
        ws.send("all")

    held: list[int] = []

    def function(request: Request, response: Response) -> None:
        nonlocal link
        with request.upgrade() as ws:
            link = ws._link
            handler(ws)

    link: Any = None
    with serving(function) as server, Peer.open(server, "/") as peer:
        for _ in range(20):
            peer.send(masked(BINARY, b"x" * 10_000) * 100)
        assert peer.text() == "all"
        assert held[0] < 300_000


def test_pings_are_answered_while_the_handler_does_something_else() -> None:
    with socket_of(lambda ws: gevent.sleep(0.3)) as server, Peer.open(server, "/") as peer:
        peer.send(masked(PING, b"are you there?"))
        assert peer.frame() == (PONG, b"are you there?")


def test_a_handler_that_only_sends_notices_the_end() -> None:
    caught = []

    def handler(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosed) as raised:
            while True:
                ws.send("tick")
                gevent.sleep(0.002)
        caught.append(raised.value.code)

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        peer.text()
        peer.send(close_frame(1001))
        wait_until(lambda: caught == [1001])


def test_ping_measures() -> None:
    got = []

    def handler(ws: WebSocket) -> None:
        got.append(ws.ping())
        got.append(ws.ping("data"))
        ws.send_ping(b"no wait")
        with pytest.raises(ValueError, match="125"):
            ws.ping(b"x" * 126)
        with pytest.raises(TimedOut):
            ws.ping(b"nobody", timeout=0.05)
        with pytest.raises(ConnectionClosed):
            ws.ping()
        with pytest.raises(ConnectionClosed):
            ws.send_ping()
        got.append("end")

    with socket_of(handler) as server, Peer.open(server, "/") as peer:
        for _ in range(2):
            opcode, payload = peer.frame()
            assert opcode == PING
            peer.send(masked(PONG, b"of somebody else"), masked(PONG, payload))
        assert peer.frame() == (PING, b"no wait")
        assert peer.frame() == (PING, b"nobody")
        assert peer.frame()[0] == PING
        peer.send(close_frame(1000))
        wait_until(lambda: got[-1:] == ["end"])
        assert 0 < got[0] < 10


def test_a_silent_peer_is_asked_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.net.websocketkeeper.INTERVAL", 0.02)
    caught = []

    def handler(ws: WebSocket) -> None:
        with pytest.raises(ConnectionClosed) as raised:
            ws.receive()
        caught.append(raised.value)

    with socket_of(handler, ping_interval=0.05, ping_timeout=0.6) as server, Peer.open(server, "/") as peer:
        for _ in range(3):  # it answers for a while
            assert peer.frame() == (PING, b"")
            peer.send(masked(PONG))
        assert peer.frame() == (PING, b"")
        assert peer.frame() == (CLOSE, b"\x03\xf3keepalive ping timeout")
        wait_until(lambda: caught)
        assert caught[0].code == 1006
        assert "no answer to a ping" in caught[0].reason


def test_a_peer_that_talks_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.net.websocketkeeper.INTERVAL", 0.01)
    with (
        serving(lambda request, response: list(request.upgrade(ping_interval=5))) as server,
        Peer.open(server, "/") as peer,
    ):
        for _ in range(10):
            peer.send(masked(TEXT, b"x"))
            gevent.sleep(0.01)
        peer.send(close_frame())
        assert peer.closing() == 1000  # and no ping before it


# -- what is left -------------------------------------------------------------------------------------------------


def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.net.websocketkeeper.INTERVAL", 0.02)
    monkeypatch.setattr("greenbas.net.websocketend.LINGER", 0.1)
    with serving(echo) as server, nothing_left():
        for number in range(120):
            with Peer.open(server, "/") as peer:
                peer.send(masked(TEXT, b"x" * (number * 50)))
                if number % 2:
                    peer.frame()
                if number % 3 == 0:
                    peer.send(close_frame())
                if number % 5 == 0:
                    peer.send(masked(0x3))
                if number % 7 == 0:
                    peer.send(masked(TEXT, b"half", fin=False)[:7])
    gc.collect()
    left = [item for item in gc.get_objects() if type(item).__name__ in ("WebSocket", "Link", "FrameReader", "Keeper")]
    assert left == []


@pytest.mark.parametrize("point", ["receive", "send"])
def test_a_handler_that_is_killed(point: str) -> None:
    def handler(ws: WebSocket) -> None:
        if point == "receive":
            ws.receive()
        while True:
            ws.send(b"x" * 500_000)

    with nothing_left(), socket_of(handler) as server, Peer.open(server, "/"):
        wait_until(lambda: server.service.workers.busy)
        gevent.sleep(0.02)
        server.service.workers.kill_all()
        wait_until(lambda: not server.service.workers.busy)


def test_unlinking_the_directory_leaves_open_websockets_alone() -> None:
    with serving() as server:
        server.directory("room")(echo)
        with Peer.open(server, "/room") as peer:
            for directory in server.site.root.children:
                directory.unlink()
            assert ask(server, handshake("/room")).status == 404
            peer.send(masked(TEXT, b"still here"))
            assert peer.text() == "still here"


def test_thousands_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.net.websocketkeeper.INTERVAL", 0.05)
    hello, bye = masked(TEXT, b"x"), close_frame()

    def visit(server: Server, number: int) -> None:
        with Peer.open(server, "/", "Sec-WebSocket-Extensions: permessage-deflate") as peer:
            peer.send(hello)
            peer.frame()
            if number % 2:
                peer.send(bye)

    def compressed(request: Request, response: Response) -> None:
        with request.upgrade(compression=True) as ws:
            for message in ws:
                ws.send(message)

    def count() -> int:
        gc.collect()
        return len(gc.get_objects())

    with serving(compressed) as server, nothing_left():
        for number in range(100):
            visit(server, number)
        wait_until(lambda: len(server.service.table) == 0)
        before = count()
        for number in range(1000):
            visit(server, number)
        wait_until(lambda: len(server.service.table) == 0)
        wait_until(lambda: count() < before + 100)
