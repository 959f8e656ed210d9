"""Sockets with TLS: connect, bind, upgrade in both roles, and what they tell about the peer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
from authority import root
from gevent.event import AsyncResult
from leaks import nothing_left
from support import wait_until
from tlspairs import client_tls, server_tls
from web import serving

from greenbas import net, spawn
from greenbas.errors import NetError, NotTrusted, SocketBusy, TimedOut
from greenbas.net import Socket

LARGE = 4 * 1024 * 1024


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Every test closes what it opens."""
    server_tls()  # what is made once and kept
    with nothing_left():
        yield


def echo(sock: Socket) -> None:
    while data := sock.read():
        sock.write(data)


def accept(listener: Socket, function: Any = echo) -> None:
    while True:
        listener.accept().event(function, "s")


def start_tls(sock: Socket) -> None:
    """A server that begins in the clear."""
    sock.write(b"ready\n")
    assert sock.read() == b"STARTTLS\n"
    sock.write(b"go\n")
    assert sock.upgrade(server_tls())
    echo(sock)


def exactly(sock: Socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.read(10)
        assert piece
        data += piece
    return data


def test_an_echo_over_tls() -> None:
    with net.bind(0, intf="127.0.0.1", tls=server_tls()) as listener:
        listener.event(accept)
        with net.connect("localhost", listener.sockname()[1], tls=client_tls()) as sock:
            for data in (b"small", bytes(LARGE)):
                writer = spawn(sock.write, data)
                assert exactly(sock, len(data)) == data
                assert writer.get(timeout=5) == 0
            name, version = sock.cipher()
            assert version == "TLS_1_3"
            assert name in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
            assert sock.trusted() is True
            assert sock.trusted("example.com") == "cert"
            assert sock.isresumed() is False
            assert sock.maxsize(1024) is True
            assert sock.maxsize(7) is False
            found, valid = sock.certificate()
            assert valid
            assert "localhost" in found["san"]


def test_the_session_is_resumed() -> None:
    with net.bind(0, intf="127.0.0.1", tls=server_tls()) as listener:
        listener.event(accept)
        tls = client_tls()
        resumed = []
        for _ in range(2):
            with net.connect("localhost", listener.sockname()[1], tls=tls) as sock:
                sock.write(b"x")
                assert sock.read(5) == b"x"
                resumed.append(sock.isresumed())
        assert resumed == [False, True]


def test_upgrade_in_the_middle_of_a_conversation() -> None:
    with net.bind(0, intf="127.0.0.1") as listener:
        listener.event(accept, "r", start_tls)
        with net.connect("localhost", listener.sockname()[1]) as sock:
            assert sock.read(5) == b"ready\n"
            sock.write(b"STARTTLS\n")
            assert sock.read(5) == b"go\n"
            assert sock.upgrade(client_tls()) is True
            assert sock.upgrade(client_tls()) is False  # it is encrypted already
            sock.write(b"secret")
            assert sock.read(5) == b"secret"
        assert sock.upgrade(client_tls()) is False  # closed


def test_a_name_that_is_wrong_and_an_authority_that_is_unknown() -> None:
    with (
        net.bind(0, intf="127.0.0.1", tls=server_tls()) as here,
        net.bind(0, intf="127.0.0.3", tls=server_tls()) as listener,
    ):
        here.event(accept)
        listener.event(accept)
        port = here.sockname()[1]
        with pytest.raises(NotTrusted) as unknown:
            net.connect("localhost", port, tls=net.tls.ClientTls())
        assert (unknown.value.code, unknown.value.verdict) == ("sslnottrusted", "cn")
        with pytest.raises(NotTrusted) as wrong:
            net.connect("127.0.0.3", listener.sockname()[1], tls=client_tls())
        assert wrong.value.verdict == "cert"


def test_a_client_that_does_not_go_on_holds_up_nobody() -> None:
    with net.bind(0, intf="127.0.0.1", tls=server_tls()) as listener:
        listener.event(accept)
        port = listener.sockname()[1]
        with net.connect("127.0.0.1", port), net.connect("localhost", port, tls=client_tls()) as sock:
            sock.write(b"x")
            assert sock.read(5) == b"x"


def test_the_time_out_of_connect_covers_the_handshake() -> None:
    with net.bind(0, intf="127.0.0.1") as listener:
        with pytest.raises(TimedOut, match="TLS handshake with localhost"):
            net.connect("localhost", listener.sockname()[1], tls=client_tls(), timeout=0.1)
        listener.accept(5).close()


def test_others_cannot_write_into_a_handshake() -> None:
    with net.bind(0, intf="127.0.0.1") as listener, net.connect("127.0.0.1", listener.sockname()[1]) as sock:
        peer = listener.accept(5)
        upgrade = spawn(sock.upgrade, client_tls())
        wait_until(lambda: sock.state() == ("upgrade", True))
        with pytest.raises(SocketBusy, match="in the middle of its TLS handshake"):
            sock.write(b"in the clear")
        peer.close()
        with pytest.raises(NetError, match="the TLS handshake with"):
            upgrade.get(timeout=5)


def test_the_end_and_a_half_close() -> None:
    with net.bind(0, intf="127.0.0.1", tls=server_tls()) as listener:
        answered: AsyncResult[bytes] = AsyncResult()

        def answer(sock: Socket) -> None:
            answered.set(b"".join(sock))
            sock.write(b"an answer behind the end")

        listener.event(accept, "r", answer)
        with net.connect("localhost", listener.sockname()[1], tls=client_tls()) as sock:
            sock.write(b"all of it")
            sock.shutdown()
            assert sock.read(5) == b"an answer behind the end"
            assert sock.read(5) == b""
        assert answered.get(timeout=5) == b"all of it"


def test_disable_and_enable_with_tls() -> None:
    got: list[Any] = []

    def rests(sock: Socket) -> None:
        got.append(sock.read())
        got.append(sock.disable())
        got.append(sock.read())

    accepted: list[Socket] = []

    def take(listener: Socket) -> None:
        accepted.append(listener.accept())
        accepted[0].event(rests, "s")

    with net.bind(0, intf="127.0.0.1", tls=server_tls()) as listener:
        listener.event(take)
        with net.connect("localhost", listener.sockname()[1], tls=client_tls()) as sock:
            sock.write(b"one")
            wait_until(lambda: got == [b"one"])
            sock.write(b"two")
            gevent.sleep(0.01)
            assert got == [b"one"]
            accepted[0].enable("on")
            wait_until(lambda: got == [b"one", "on", b"two"])
    accepted.clear()


def test_alpn() -> None:
    with net.bind(0, intf="127.0.0.1", tls=server_tls(alpn=("echo/1", "echo/2"))) as listener:
        listener.event(accept)
        port = listener.sockname()[1]
        with net.connect("localhost", port, tls=client_tls(), alpn=("echo/2",)) as sock:
            assert sock._channel().alpn == "echo/2"


def test_a_tls_connection_goes_to_http(tmp_path: Path) -> None:
    def serve(sock: Socket) -> None:
        net.sock2req(sock, sock.read())

    authority = tmp_path / "root.pem"
    authority.write_text(root().cert)
    with net.bind(0, intf="127.0.0.1", tls=server_tls()) as listener, serving(lambda request, _: request.url()):
        listener.event(accept, "r", serve)
        url = f"https://localhost:{listener.sockname()[1]}/a"
        assert requests.get(url, verify=str(authority), timeout=10).text == url
