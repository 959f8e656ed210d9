"""BAS's additions for TLS on TCP objects: upgrade, dohandshake, sslhandshake, certificate, secure."""

from __future__ import annotations

import socket as native
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from authority import localhost, root
from leaks import nothing_left
from luapeers import SECONDS, lua_pair, read_all, server, tcp_pair
from support import wait_until
from tlspairs import client_tls, server_tls

from greenbas import net, threads
from greenbas.errors import IncorrectUse
from greenbas.luasocket import socket
from greenbas.net.tls import ClientTls


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    localhost()  # made before the counting begins
    with nothing_left():
        yield


def secure_pair(context: Any = None, host: str | None = "localhost") -> tuple[Any, Any]:
    """Two objects that are encrypted with each other."""
    client, accepted = lua_pair()
    other = gevent.spawn(accepted.upgrade, server_tls())
    assert client.upgrade(context or client_tls(), host) == (1, None)
    assert other.get() == (1, None)
    return client, accepted


def close(*socks: Any) -> None:
    for sock in socks:
        sock.close()


def test_everything_works_on_an_encrypted_connection() -> None:
    client, accepted = secure_pair()
    assert client.send("line\r\nrest") == (10, None, None)
    assert accepted.receive() == (b"line", None, None)
    assert accepted.dirty()
    assert socket.select([accepted], None, -1)[0] == [accepted]
    assert accepted.receive(4) == (b"rest", None, None)
    accepted.settimeout(0.02)
    assert accepted.receive() == (None, "timeout", b"")
    accepted.settimeout(0)
    assert accepted.receive() == (None, "timeout", b"")
    accepted.settimeout(SECONDS)
    data = bytes(range(256)) * 20_000
    reader = gevent.spawn(accepted.receive, len(data))
    assert client.send(data) == (len(data), None, None)
    assert reader.get() == (data, None, None)
    assert client.shutdown("send") == 1
    assert accepted.receive("*a") == (None, "closed", b"")
    close(client, accepted)


def test_the_rest_of_a_record_is_dirty() -> None:
    client, accepted = secure_pair()
    client.send(bytes(16_000))
    assert accepted.receive(8192) == (bytes(8192), None, None)
    assert accepted.dirty()  # OpenSSL has it, and the descriptor says nothing
    assert socket.select([accepted], None, SECONDS)[0] == [accepted]
    assert accepted.receive(7808) == (bytes(7808), None, None)
    assert not accepted.dirty()
    close(client, accepted)


def test_a_long_send_that_times_out_can_be_resumed() -> None:
    client, accepted = secure_pair()
    data = bytes(range(256)) * 60_000
    client.settimeout(0.05)
    _, err, last = client.send(data)
    assert err == "timeout"
    reader = gevent.spawn(accepted.receive, len(data))
    client.settimeout(SECONDS)
    assert client.send(data, last + 1) == (len(data), None, None)
    assert reader.get() == (data, None, None)
    close(client, accepted)


def test_in_the_middle_of_a_conversation() -> None:
    client, accepted = lua_pair()

    def serve() -> None:
        assert accepted.receive() == (b"STARTTLS", None, None)
        accepted.send("go on\r\n")
        assert accepted.sslhandshake(server_tls()) == (1, None)
        accepted.send(accepted.receive()[0] + b"!\n")

    serving = gevent.spawn(serve)
    client.send("STARTTLS\r\n")
    assert client.receive() == (b"go on", None, None)
    assert client.dohandshake({"shark": client_tls(), "host": "localhost"}) == (1, None)
    assert client.dohandshake() == (1, None)  # it is encrypted already
    with pytest.raises(IncorrectUse, match="encrypted already"):
        client.upgrade(client_tls())
    client.send("secret\n")
    assert client.receive() == (b"secret!", None, None)
    serving.get()
    close(client, accepted)


def test_what_came_in_the_clear_is_no_data_afterwards() -> None:
    client, accepted = lua_pair()
    accepted.send("220 ready\r\n250 inserted by somebody\r\n")
    assert client.receive() == (b"220 ready", None, None)
    assert client.dirty()
    done, err = client.upgrade(client_tls(), "localhost")
    assert done is None
    assert err.code.startswith("ssl")
    assert client.receive() == (None, "closed", b"")
    close(client, accepted)


def test_the_certificate() -> None:
    client, accepted = secure_pair()
    data, valid = client.certificate()
    assert data["subject"]["commonname"] == "localhost"
    assert valid
    assert accepted.certificate() == (None, False)
    close(client, accepted)
    assert client.certificate() == (None, "sslnotenabled")


@pytest.mark.parametrize(
    ("context", "host", "reason"),
    [
        (lambda: ClientTls(), "localhost", "not trusted|trusted"),
        (client_tls, "example.com", "example.com"),
    ],
    ids=["unknown authority", "wrong name"],
)
def test_a_server_that_is_not_trusted(context: Any, host: str, reason: str) -> None:
    client, accepted = lua_pair()
    other = gevent.spawn(accepted.upgrade, server_tls())
    done, err = client.upgrade(context(), host)
    assert done is None
    assert err.code == "sslnottrusted"
    assert client.getfd() == -1  # nothing can be sent by mistake
    assert client.send(b"x") == (None, "closed", 0)
    other.get()
    close(accepted)


def test_without_verification_on_request() -> None:
    client, accepted = secure_pair(ClientTls(verify=False), "example.com")
    assert client.certificate()[1] is False
    close(client, accepted)


def test_the_name_is_the_one_that_was_connected_to() -> None:
    with server() as (listening, port):

        def serve() -> None:
            accepted, _ = listening.accept()
            accepted.settimeout(SECONDS)
            accepted.upgrade(server_tls())
            accepted.receive("*a")
            accepted.close()

        serving = gevent.spawn(serve)
        client = socket.tcp()
        client.settimeout(SECONDS)
        assert client.connect("localhost", port) == (1, None)
        assert client.upgrade(client_tls()) == (1, None)
        client.close()
        serving.get()


@pytest.mark.parametrize("how", ["silence", "end", "nonsense"])
def test_a_handshake_that_fails(how: str) -> None:
    with tcp_pair() as (client, peer):
        if how == "end":
            peer.shutdown(native.SHUT_WR)
        elif how == "nonsense":
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.settimeout(0.05 if how == "silence" else SECONDS)
        done, err = client.upgrade(client_tls(), "localhost")
        assert done is None
        assert err.code == {"silence": "timeout", "end": err.code, "nonsense": "sslhandshake"}[how]
        assert (err == "timeout") == (how == "silence")
        assert client.getfd() == -1


def test_killed_in_a_handshake() -> None:
    with tcp_pair() as (client, peer):
        waiting = gevent.spawn(client.upgrade, client_tls(), "localhost")
        gevent.sleep(0.01)
        waiting.kill()
        assert client.getfd() == -1
        assert read_all(peer)  # the hello, and the end


def test_closed_in_a_handshake() -> None:
    with tcp_pair() as (client, _):
        waiting = gevent.spawn(client.upgrade, client_tls(), "localhost")
        gevent.sleep(0.01)
        client.close()
        assert waiting.get(timeout=SECONDS) == (None, "closed")


def test_wrong_contexts() -> None:
    with tcp_pair() as (client, _):
        for call in (client.upgrade, client.dohandshake, socket.secure):
            with pytest.raises(TypeError, match="TLS context expected, got string"):
                call("context")


def test_against_python(tmp_path: Path) -> None:
    authority = tmp_path / "root.pem"
    authority.write_text(root().cert)
    context = ssl.create_default_context(cafile=str(authority))
    with server() as (listening, port):

        def serve() -> None:
            accepted, _ = listening.accept()
            accepted.settimeout(SECONDS)
            assert accepted.upgrade(server_tls()) == (1, None)
            accepted.send(accepted.receive()[0] + b" too\n")
            accepted.close()

        serving = gevent.spawn(serve)
        plain = native.create_connection(("127.0.0.1", port), SECONDS)
        with context.wrap_socket(plain, server_hostname="localhost") as peer:
            peer.sendall(b"python\n")
            assert peer.recv(100) == b"python too\n"
            assert peer.recv(100) == b""  # with close_notify: ssl would raise
        serving.get()


def test_in_a_native_thread() -> None:
    with server() as (listening, port):

        def serve() -> None:
            accepted, _ = listening.accept()
            accepted.settimeout(SECONDS)
            assert accepted.upgrade(server_tls()) == (1, None)
            accepted.send(accepted.receive()[0] + b"!\n")
            accepted.receive("*a")
            accepted.close()

        def ask(context: ClientTls) -> list[Any]:
            client = socket.connect("127.0.0.1", port)[0]
            client.settimeout(SECONDS)
            found = [client.upgrade(context, "localhost"), client.send("thread\n"), client.receive()]
            found.append(gevent._hub_local.get_hub_if_exists())
            client.close()
            return found

        serving = gevent.spawn(serve)
        assert threads.offload(ask, client_tls()) == [(1, None), (7, None, None), (b"thread!", None, None), None]
        serving.get()


def test_secure_encrypts_all_that_follow() -> None:
    with server() as (listening, port):

        def serve() -> None:
            for _ in range(2):
                accepted, _ = listening.accept()
                accepted.settimeout(SECONDS)
                accepted.upgrade(server_tls())
                accepted.send("secret\n")
                accepted.close()

        serving = gevent.spawn(serve)
        try:
            assert socket.secure(client_tls()) is None
            client, err = socket.connect("localhost", port)
            assert err is None
            assert client.certificate()[1]
            assert client.receive() == (b"secret", None, None)
            client.close()
        finally:
            socket.secure(False)
        one = socket.tcp()
        assert one.sock({"shark": client_tls()}) is None  # for this object alone
        assert one.connect("localhost", port) == (1, None)
        assert one.certificate()[1]
        one.close()
        serving.get()
        plain, err = socket.connect("localhost", port)
        assert (err, plain.certificate()) == (None, (None, "sslnotenabled"))
        plain.close()


def test_an_encrypted_connection_moves_to_net_and_back() -> None:
    client, accepted = secure_pair()
    accepted.send("read ahead\nmore\n")
    assert client.receive() == (b"read ahead", None, None)
    sock = client.sock()
    assert sock.trusted("localhost") is True
    assert sock.read(SECONDS) == b"more\n"
    sock.write(b"from net\n")
    assert accepted.receive() == (b"from net", None, None)
    wrapped = socket.tcp()
    assert wrapped.connect(sock) == (1, None)
    wrapped.settimeout(SECONDS)
    assert wrapped.certificate()[1]
    accepted.send("back\n")
    assert wrapped.receive() == (b"back", None, None)
    wrapped.send("yes\n")
    assert accepted.receive() == (b"yes", None, None)
    wrapped.close()
    assert accepted.receive() == (None, "closed", b"")
    close(accepted)


def test_a_socket_that_was_accepted_by_tls_is_encrypted_before_it_moves() -> None:
    listening = net.bind(0, intf="127.0.0.1", tls=server_tls())
    client, err = socket.connect("localhost", listening.sockname()[1])
    assert err is None
    client.settimeout(SECONDS)
    upgrading = gevent.spawn(client.upgrade, client_tls())
    wrapped = socket.tcp()
    assert wrapped.connect(listening.accept()) == (1, None)
    assert upgrading.get() == (1, None)
    wrapped.send("secret\n")
    assert client.receive() == (b"secret", None, None)
    close(client, wrapped)
    listening.close()


def test_a_forgotten_one_closes() -> None:
    client, accepted = secure_pair()
    del client
    wait_until(lambda: accepted.receive()[1] == "closed")
    close(accepted)
