"""HTTPS listeners: requests over TLS, and everything that can happen before the first one."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from authority import ann, localhost, root
from gevent.event import Event
from leaks import nothing_left
from support import wait_until
from tlspairs import python_client, server_tls
from web import Client

from greenbas import Request, Response, Server, create
from greenbas.errors import IncorrectUse, TlsError
from greenbas.io import DiskIo
from greenbas.net.tls import ClientTls, ServerTls

HELLO = b"\x16\x03\x01\x02\x00"  # how a handshake begins
Handler = Callable[[Request, Response], Any]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    for make in (localhost, ann):
        make()  # before the counting begins
    with nothing_left():
        yield


@contextlib.contextmanager
def https(function: Handler | None = None, tls: ServerTls | None = None, **settings: Any) -> Iterator[Server]:
    """A started server with a TLS listener."""
    server = Server(**settings)
    if function is not None:
        server.directory()(function)
    server.listen(0, tls=tls or server_tls())
    server.start()
    try:
        yield server
    finally:
        server.stop(drain_timeout=0)


class Secure(Client):
    """A client over TLS."""

    def __init__(self, server: Server, folder: Path, **options: Any) -> None:
        self.sock = python_client(server.listeners[0].port, folder, **options)
        self._left = b""


def about(request: Request, response: Response) -> Any:
    chain, trusted = request.certificate()
    return {
        "secure": request.is_secure(),
        "url": request.url(),
        "cipher": request.cipher(),
        "who": chain and chain["subject"]["commonname"],
        "trusted": trusted,
    }


def knock(server: Server, data: bytes = b"") -> socket.socket:
    """A connection that has sent these bytes."""
    sock = socket.create_connection(("127.0.0.1", server.listeners[0].port), timeout=10)
    sock.sendall(data)
    return sock


def failed(server: Server) -> dict[str, int]:
    return server.service.counters.handshakes_failed


# -- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_request_knows_that_it_is_secure(version: str, tmp_path: Path) -> None:
    import json

    with https(about) as server, Secure(server, tmp_path, version=version) as client:
        for _ in range(2):
            found = json.loads(client.ask("GET /a HTTP/1.1\nHost: shop.test\n\n").body)
            assert found["secure"] is True
            assert found["url"] == "https://shop.test/a"
            assert found["cipher"][1] == version.replace("v", "_")
            assert (found["who"], found["trusted"]) == (None, False)
        assert server.service.counters.handshakes == 1


def test_plain_requests_have_no_certificate(tmp_path: Path) -> None:
    def ask(request: Request, response: Response) -> str:
        for question in (request.cipher, request.certificate, request.client_cert):
            with pytest.raises(TlsError, match="not encrypted") as caught:
                question()
            assert caught.value.code == "sslnotenabled"
        return f"{request.is_secure()} {request.url()}"

    with https(ask) as server:
        server.listen(0)
        with Client(server.listeners[1].port) as client:
            assert client.ask("GET / HTTP/1.1\nHost: x\n\n").body == b"False http://x/"


@pytest.mark.parametrize("proxied", [False, True])
def test_redirect_to_the_tls_listener(proxied: bool, tmp_path: Path) -> None:
    with https(lambda request, response: response.redirect2tls() or "here") as server:
        tls_port = server.listeners[0].port
        plain = server.listen(0)
        with Client(plain.port) as client:
            forwarded = "X-Forwarded-Host: y:1\n" if proxied else ""
            found = client.ask(f"GET /a?b HTTP/1.1\nHost: x:{plain.port}\n{forwarded}\n")
            if proxied:
                assert found.status == 403
            else:
                assert (found.status, found["Location"]) == (301, f"https://x:{tls_port}/a?b")
            found = client.ask("GET / HTTP/1.1\nHost: x\n\n")
            assert (found.status, found["Location"]) == (301, "https://x/")
        server.listeners[0].close()
        with Client(plain.port) as client:
            assert client.ask(f"GET / HTTP/1.1\nHost: x:{plain.port}\n\n").status == 403


def test_pipelined_requests_and_a_large_head(tmp_path: Path) -> None:
    with https(lambda request, response: request.path) as server, Secure(server, tmp_path) as client:
        filler = "X: " + "x" * 9000
        client.send("".join(f"GET /{number} HTTP/1.1\nHost: x\n{filler}\n\n" for number in range(30)))
        assert [client.answer().body for _ in range(30)] == [b"/%d" % number for number in range(30)]


def test_bodies_both_ways(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)

    def echo(request: Request, response: Response) -> None:
        response.set_content_length(len(data))
        for block in request.rawrdr(10_000):
            response.send(block)

    with https(echo) as server, Secure(server, tmp_path) as client:
        sender = gevent.spawn(client.send, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + data)
        assert client.answer().body == data
        sender.join(10)


@pytest.mark.parametrize("size", [10, 70_000, 3_000_000])
def test_files(size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file.bin").write_bytes(data)
    with https() as server:
        server.insert(create.resrdr(DiskIo(str(tmp_path / "www"))))
        with Secure(server, tmp_path) as client:
            assert client.ask("GET /file.bin HTTP/1.1\nHost: x\n\n").body == data
            found = client.ask("GET /file.bin HTTP/1.1\nHost: x\nRange: bytes=3-8\n\n")
            assert (found.status, found.body) == (206, data[3:9])


def test_cookies_are_secure(tmp_path: Path) -> None:
    def cookie(request: Request, response: Response) -> str:
        response.create_cookie("a").activate()
        return ""

    with https(cookie) as server, Secure(server, tmp_path) as client:
        assert "Secure" in client.ask("GET / HTTP/1.1\nHost: x\n\n")["Set-Cookie"]


def test_half_closed_clients_get_their_answer(tmp_path: Path) -> None:
    with https(lambda request, response: "late") as server, Secure(server, tmp_path) as client:
        client.send("GET / HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert client.answer().body == b"late"
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.recv(1) == b""  # close_notify, else it would raise
        client.sock.unwrap()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_client_certificates_on_demand(version: str, tmp_path: Path) -> None:
    def ask(request: Request, response: Response) -> Any:
        before = request.certificate()[1]
        shown = request.client_cert()
        chain, trusted = request.certificate()
        return f"{before} {shown} {chain and chain['subject']['commonname']} {trusted} {request.body().decode()}"

    tls = server_tls(trust=root().store())
    with https(ask, tls) as server:
        for cert, expected in ((ann().files(tmp_path, "ann"), b"True ann True"), (None, b"False None False")):
            with Secure(server, tmp_path, version=version, cert=cert) as client:
                found = client.ask("POST / HTTP/1.1\nHost: x\nContent-Length: 4\n\nbody")
                assert found.body == b"False " + expected + b" body"
                again = client.ask("GET / HTTP/1.1\nHost: x\n\n")
                assert again.body.endswith(expected + b" ")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_requests_that_come_before_the_certificate_are_served(version: str, tmp_path: Path) -> None:
    begun, sent = Event(), Event()

    def ask(request: Request, response: Response) -> str:
        if request.path == "/two":
            return "two"
        begun.set()
        sent.wait(10)
        return f"{request.client_cert()} {request.body().decode()}"

    cert = ann().files(tmp_path, "ann")
    with (
        https(ask, server_tls(trust=root().store())) as server,
        Secure(server, tmp_path, version=version, cert=cert) as client,
    ):
        client.send("POST /one HTTP/1.1\nHost: x\nContent-Length: 8\n\nhalf")
        assert begun.wait(10)
        client.send("rest")
        client.send("GET /two HTTP/1.1\nHost: x\n\n")
        sent.set()
        assert [client.answer().body, client.answer().body] == [b"True halfrest", b"two"]


def test_client_certificates_in_the_handshake(tmp_path: Path) -> None:
    with https(about, server_tls(trust=root().store())) as server:
        listener = server.listeners[0]
        with Secure(server, tmp_path, cert=ann().files(tmp_path, "ann")) as client:
            assert b'"who":null' in client.ask("GET / HTTP/1.1\nHost: x\n\n").body
        listener.client_cert(True)
        with Secure(server, tmp_path, cert=ann().files(tmp_path, "ann")) as client:
            assert b'"who":"ann","trusted":true' in client.ask("GET / HTTP/1.1\nHost: x\n\n").body


# -- listeners ----------------------------------------------------------------------------------------------------


def test_the_context_of_a_listener_may_be_exchanged(tmp_path: Path) -> None:
    with https(about, ServerTls(root().issue("elsewhere").pair())) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            Secure(server, tmp_path)
        server.listeners[0].set_tls(server_tls())
        server.listeners[0].favor_rsa(True)
        with Secure(server, tmp_path) as client:
            assert client.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200


def test_a_plain_listener_has_no_tls() -> None:
    server = Server()
    listener = server.listen(0)
    for change in (lambda: listener.set_tls(server_tls()), lambda: listener.client_cert(True)):
        with pytest.raises(IncorrectUse, match="has no TLS"):
            change()
    with pytest.raises(IncorrectUse, match="no server's context"):
        server.listen(0, tls=ClientTls())  # type: ignore[arg-type]
    server.stop()


def test_reload_under_connections(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = localhost().files(tmp_path, "site")
    with https(about, create.tls_server(files)) as server, Secure(server, tmp_path) as client:
        assert client.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200
        root().issue("elsewhere").files(tmp_path, "site")
        assert server.reload_tls()
        with pytest.raises(ssl.SSLCertVerificationError):
            Secure(server, tmp_path)
        (tmp_path / "site.key").write_text("broken")
        assert not server.reload_tls()
        assert "the certificates stay as they are" in caplog.text
        localhost().files(tmp_path, "site")
        assert server.reload_tls()
        with Secure(server, tmp_path) as other:
            assert other.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200
        assert client.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200


# -- handshakes that fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PROPFIND"])
def test_plain_http_is_told_so(method: str, caplog: pytest.LogCaptureFixture) -> None:
    with https(about) as server, caplog.at_level(logging.INFO, "greenbas.http"):
        with Client(server) as client:
            found = client.ask(f"{method} / HTTP/1.1\nHost: x\n\n")
            assert found.status == 400
            assert b"HTTPS" in found.body
            assert client.closed()
        wait_until(lambda: failed(server) == {"plain HTTP": 1})
    assert "speaks plain HTTP" in caplog.text
    assert "127.0.0.1:" in caplog.text


def test_plain_http_with_a_body_that_nobody_reads() -> None:
    with https(about) as server, Client(server) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000)
        assert client.answer().status == 400


FAILURES = {
    "garbage": HELLO + b"x" * 600,
    "SSL 2": b"\x80\x2e\x01\x00\x02" + b"x" * 60,
    "a SOCKS client": b"\x05\x01\x00" + b"x" * 10,
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_one_line_and_counted(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with https(about) as server, caplog.at_level(logging.INFO, "greenbas.http"):
        sock = knock(server, FAILURES[kind])
        _, port = sock.getsockname()
        wait_until(lambda: failed(server))
        wait_until(lambda: len(server.service.table) == 0)
        assert sum(failed(server).values()) == 1
        sock.close()
    (record,) = [record for record in caplog.records if record.name == "greenbas.http"]
    assert record.levelno == logging.INFO and record.exc_info is None
    assert f"the TLS handshake with 127.0.0.1:{port} failed: " in record.message and "\n" not in record.message


def test_a_client_that_does_not_trust_us(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenbas.http")
    with https(about, ServerTls(root().issue("elsewhere").pair())) as server:
        with pytest.raises(ssl.SSLError):
            Secure(server, tmp_path)
        wait_until(lambda: failed(server))
        assert list(failed(server)) == ["alert bad certificate"]
        wait_until(lambda: caplog.records)
        assert "sent the alert 'bad certificate'" in caplog.text


def test_a_stalled_handshake(caplog: pytest.LogCaptureFixture) -> None:
    with https(about, handshake_timeout=0.05) as server, caplog.at_level(logging.INFO, "greenbas.http"):
        sock = knock(server, HELLO)
        assert sock.recv(100) == b""
        assert failed(server) == {"timeout": 1}
        assert "took longer than 0.05 s" in caplog.text
        sock.close()


def test_a_silent_client_is_closed_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.http.service.SWEEP_INTERVAL", 0.02)
    with https(about, head_timeout=0.05) as server:
        sock = knock(server)
        assert sock.recv(100) == b""
        assert server.service.table.timed_out == 1
        assert failed(server) == {}
        sock.close()


def test_a_look_whether_the_port_is_open_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with https(about) as server, caplog.at_level(logging.INFO, "greenbas.http"):
        for _ in range(3):
            knock(server).close()
        wait_until(lambda: server.service.counters.connections == 3)
        wait_until(lambda: len(server.service.table) == 0)
        assert failed(server) == {}
    assert not [record for record in caplog.records if record.name == "greenbas.http"]


@pytest.mark.parametrize("said", [b"\x16", HELLO, HELLO + b"\x01"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_goes_away(said: bytes, how: str) -> None:
    with https(about) as server:
        sock = knock(server, said)
        wait_until(lambda: server.service.counters.connections)
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        wait_until(lambda: len(server.service.table) == 0)


def test_handshakes_count_as_connections() -> None:
    with https(about, max_connections=3) as server:
        held = [knock(server, HELLO) for _ in range(5)]
        wait_until(lambda: server.service.counters.connections == 5)
        assert len(server.service.table) == 3
        assert server.service.table.evicted == 2
        for sock in held:
            sock.close()


def test_handshakes_count_for_their_peer(tmp_path: Path) -> None:
    with https(about, max_per_peer=2) as server:
        first, second = knock(server, HELLO), Secure(server, tmp_path)
        assert second.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200
        third = knock(server)
        with contextlib.suppress(ConnectionResetError):
            assert third.recv(10) == b""
        first.close()
        wait_until(lambda: len(server.service.table) == 1)
        with Secure(server, tmp_path) as again:
            assert again.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200
        second.sock.close()
        third.close()
        wait_until(lambda: len(server.service.table) == 0)
        assert not server.service.table._peers


# -- the stop -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"\x16", HELLO, b"GET / HTTP/1.1\r\n"])
def test_stop_in_the_middle_of_a_handshake(said: bytes) -> None:
    server = Server()
    server.listen(0, tls=server_tls())
    server.start()
    sock = knock(server, said)
    wait_until(lambda: server.service.counters.connections)
    assert server.stop(drain_timeout=1) == []
    assert sock.recv(1000) == b"" or said.startswith(b"GET")
    assert failed(server) in ({}, {"plain HTTP": 1})
    sock.close()


def test_a_request_at_the_stop_is_answered(tmp_path: Path) -> None:
    def slow(request: Request, response: Response) -> str:
        stopping.append(gevent.spawn(server.stop, 5))
        gevent.sleep(0.05)
        return "answer"

    stopping: list[Any] = []
    server = Server()
    server.directory()(slow)
    server.listen(0, tls=server_tls())
    server.start()
    with Secure(server, tmp_path) as client:
        found = client.ask("GET / HTTP/1.1\nHost: x\n\n")
        assert (found.body, found["Connection"]) == (b"answer", "close")
        assert client.closed()
    gevent.joinall(stopping, timeout=10)


def test_many_handshakes_of_which_most_end_early(tmp_path: Path) -> None:
    with https(about) as server:
        for number in range(150):
            sock = knock(server, HELLO[: number % 6])
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            if not number % 30:
                with Secure(server, tmp_path) as client:
                    assert client.ask("GET / HTTP/1.1\nHost: x\n\n").status == 200
        wait_until(lambda: len(server.service.table) == 0)
        assert server.service.counters.handshakes == 5
