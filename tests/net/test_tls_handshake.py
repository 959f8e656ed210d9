"""Handshakes: who is trusted, what is negotiated, what is resumed, and every way in which one can fail."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest
from authority import Authority, Issued, localhost, root, stranger
from leaks import nothing_left
from support import wait_until
from tlspairs import (
    SECONDS,
    Ends,
    client_tls,
    exchange,
    port_of_ours,
    quietly,
    read_all,
    server_tls,
    shake,
    sockets,
)

from greenbas.crypto import self_signed
from greenbas.dispatcher import spawn
from greenbas.errors import IncorrectUse, NotTrusted, SocketClosed, TimedOut, TlsError
from greenbas.net.tls import ClientTls, ServerTls, Verdict, default_client, handshake


@pytest.fixture(autouse=True, scope="module")  # a look after each test would take as long as the tests
def clean() -> Iterator[None]:
    localhost()  # made before the counting begins
    with nothing_left():
        yield


@pytest.fixture
def ends() -> Iterator[Ends]:
    found = shake(client_tls(), server_tls())
    yield found
    found.close()


# -- what both ends know afterwards -------------------------------------------------------------------------------


def test_bytes_go_both_ways(ends: Ends) -> None:
    exchange(ends)
    assert ends.client.secure and ends.server.secure


def test_what_was_negotiated(ends: Ends) -> None:
    for channel in (ends.client_channel, ends.server_channel):
        assert channel.cipher() == ("AES_128_GCM_SHA256", "TLS_1_3")
        assert not channel.is_resumed
    assert ends.server_channel.server_name == "localhost"
    assert repr(ends.client_channel) == "<TlsChannel TLSv1.3 TLS_AES_128_GCM_SHA256>"


def test_the_server_is_trusted_and_its_certificate_is_data(ends: Ends) -> None:
    chain, valid = ends.client_channel.certificate()
    assert chain is not None and chain["subject"]["commonname"] == "localhost" and valid
    assert ends.client_channel.trusted() is True
    assert ends.client_channel.trusted("127.0.0.1") is True
    assert ends.client_channel.trusted("::1") is True
    assert ends.client_channel.trusted("example.com") == "cert"


def test_a_client_without_a_certificate(ends: Ends) -> None:
    assert ends.server_channel.certificate() == (None, False)
    assert ends.server_channel.trusted("ann") == "none"
    with pytest.raises(ValueError, match="name the host"):
        ends.server_channel.trusted()


def test_a_verdict_is_false_whatever_it_says() -> None:
    assert not Verdict("certcn")
    assert Verdict("certcn") == "certcn"


# -- bad certificates ---------------------------------------------------------------------------------------------


def of_nobody() -> Issued:
    return Issued(*self_signed(["localhost"]))


def without_intermediate() -> Issued:
    middle = Authority("between", root())
    issued = middle.issue("localhost")
    return Issued(issued.cert.replace(middle.chain, ""), issued.key)


BAD = {
    "wrong host": (lambda: root().issue("example.com"), "cert", "wronghost", "is not for 'localhost' but for example"),
    "expired": (lambda: root().issue("localhost", valid=(-9, -2)), "certcn", "expired", "it has expired"),
    "not yet valid": (lambda: root().issue("localhost", valid=(2, 9)), "certcn", "notyetvalid", "not valid yet"),
    "unknown CA": (lambda: stranger().issue("localhost"), "cn", "unknownca", "issued by an unknown CA"),
    "self-signed": (of_nobody, "cn", "selfsigned", "it is self-signed"),
    "no intermediate": (without_intermediate, "cn", "unknownca", "issued by an unknown CA"),
    "nothing right": (lambda: stranger().issue("example.com"), "none", "unknownca", "and it is not for 'localhost'"),
    "expired and wrong": (lambda: root().issue("a.test", valid=(-9, -2)), "none", "expired", "and it is not for"),
    "a client's": (lambda: root().issue("localhost", types=["SSL_CLIENT"]), "cn", "invalid", "purpose"),
    "no name": (lambda: root().issue("ann@example.com", types=["SSL_SERVER"]), "cert", "wronghost", "but for nobody"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("again", [False, True])
def test_a_bad_certificate(kind: str, again: bool) -> None:
    issue, verdict, reason, words = BAD[kind]
    server, client = ServerTls(issue().pair()), client_tls()
    for _ in range(1 + again):  # a session that was resumed must not make it better
        with pytest.raises(NotTrusted) as caught:
            shake(client, server)
    error = caught.value
    assert (error.code, error.verdict, error.reason) == ("sslnottrusted", verdict, reason)
    assert words in str(error)
    assert str(error).startswith("localhost (127.0.0.1:") and "\n" not in str(error)


@pytest.mark.parametrize("kind", BAD)
def test_a_client_that_does_not_verify_can_ask(kind: str) -> None:
    issue, verdict, *_ = BAD[kind]
    server, client = ServerTls(issue().pair()), client_tls(verify=False)
    port = port_of_ours()
    for turn in range(2):
        ends = shake(client, server, port=port)
        assert ends.client_channel.trusted("localhost") == verdict
        assert ends.client_channel.is_resumed == (turn == 1)  # and resumed sessions say the same
        exchange(ends)
        ends.close()


def test_an_intermediate_comes_along() -> None:
    issued = Authority("between", root()).issue("localhost")
    ends = shake(client_tls(), ServerTls(issued.pair()))
    chain, valid = ends.client_channel.certificate()
    assert valid and chain is not None and chain["parent"] is not None
    assert chain["parent"]["subject"]["commonname"] == "between"
    ends.close()


def test_wildcards_and_other_spellings_of_a_name() -> None:
    server = ServerTls(root().issue("*.example.com", "xn--bcher-kva.example").pair())
    for name in ("a.example.com", "A.Example.COM", "a.example.com.", "bücher.example"):
        ends = shake(client_tls(), server, name=name)
        assert ends.client_channel.trusted() is True
        ends.close()
    with pytest.raises(NotTrusted):
        shake(client_tls(), server, name="a.b.example.com")


def test_the_default_trusts_no_strangers() -> None:
    assert default_client() is default_client()
    with pytest.raises(NotTrusted):
        shake(default_client(), server_tls())


def test_the_system_trusts_no_strangers() -> None:
    with pytest.raises(NotTrusted):
        shake(ClientTls("system"), server_tls())


# -- versions, suites, protocols ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "found"),
    [
        ((), (), ""),
        (("http/1.1",), ("http/1.1",), "http/1.1"),
        (("h2", "http/1.1"), ("http/1.1",), "http/1.1"),
        (("b", "a"), ("a", "b"), "a"),
        ((), ("http/1.1",), ""),
        (("http/1.1",), (), ""),
    ],
)
def test_alpn(client: tuple[str, ...], server: tuple[str, ...], found: str) -> None:
    ends = shake(client_tls(alpn=client), server_tls(alpn=server))
    assert ends.client_channel.alpn == ends.server_channel.alpn == found
    ends.close()


def test_alpn_of_one_connection() -> None:
    ends = shake(client_tls(), server_tls(alpn=["mqtt"]), alpn=["mqtt"])
    assert ends.client_channel.alpn == "mqtt"
    ends.close()


def test_no_common_protocol() -> None:
    client, server = sockets()
    other = spawn(quietly, handshake, server, server_tls(alpn=["http/1.1"]))
    with pytest.raises(TlsError, match="'no application protocol'") as caught:
        handshake(client, client_tls(alpn=["h2"]), server_name="localhost")
    assert caught.value.code == "sslalertrecv"
    error = other.get(timeout=SECONDS)
    assert isinstance(error, TlsError)
    assert "speaks only 'h2', not 'http/1.1'" in str(error)


@pytest.mark.parametrize("alpn", ["h2", [""], ["x" * 256], ["é"]])
def test_alpn_that_cannot_be(alpn: list[str]) -> None:
    with pytest.raises(ValueError, match="alpn"):
        ClientTls(alpn=alpn)


# -- resumption ---------------------------------------------------------------------------------------------------


def resumed(client: ClientTls, server: ServerTls, port: int, name: str = "localhost") -> bool:
    ends = shake(client, server, port=port, name=name)
    exchange(ends)
    found = ends.client_channel.is_resumed
    assert ends.server_channel.is_resumed == found
    assert ends.client_channel.trusted() is True
    ends.close()
    return found


def test_a_session_is_resumed_with_the_same_server_only() -> None:
    client, server, port = client_tls(), server_tls(), port_of_ours()
    assert [resumed(client, server, port) for _ in range(3)] == [False, True, True]
    assert not resumed(client, server, port_of_ours())
    assert not resumed(client, server, port, "127.0.0.1")
    assert not resumed(client_tls(), server, port)
    assert resumed(client, server, port)


def test_a_session_can_be_released() -> None:
    client, server, port = client_tls(), server_tls(), port_of_ours()
    assert [resumed(client, server, port) for _ in range(2)] == [False, True]
    client.release_session("localhost")
    assert not resumed(client, server, port)
    client.release_session()
    assert not resumed(client, server, port)


def test_the_cache_forgets_the_one_used_least() -> None:
    client, server = client_tls(cache_size=2), server_tls()
    first, second, third = port_of_ours(), port_of_ours(), port_of_ours()
    assert [resumed(client, server, port) for port in (first, second, first, third)] == [False, False, True, False]
    assert resumed(client, server, first)
    assert not resumed(client, server, second)


def test_no_cache() -> None:
    client, server, port = client_tls(cache_size=0), server_tls(), port_of_ours()
    assert not any(resumed(client, server, port) for _ in range(3))


def test_another_name_is_checked_on_a_resumed_session_too() -> None:
    # Somebody else may answer at the name's address, with a ticket that is ours.
    client, port = client_tls(), port_of_ours()
    assert not resumed(client, server_tls(), port)
    with pytest.raises(NotTrusted) as caught:
        shake(client, ServerTls(root().issue("example.com").pair()), port=port)
    assert caught.value.verdict == "cert"


# -- failures -----------------------------------------------------------------------------------------------------


def test_a_stalled_handshake_names_the_peer() -> None:
    client, server = sockets()
    _, port, _ = server.peername()
    with pytest.raises(TimedOut, match=f"^the TLS handshake with 127.0.0.1:{port} took longer than 0.05 s$"):
        handshake(server, server_tls(), timeout=0.05)
    assert server.closed
    assert client.read(timeout=SECONDS) == b""
    client.close()


@pytest.mark.parametrize("secure", ["client", "server"])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "wrong version number|http request|packet length too long"),
        (b"\x16\x03\x01\x00\x05hello", "bad|unexpected|length|record"),
        (b"SSH-2.0-OpenSSH\r\n", "wrong version number|packet length too long"),
    ],
)
def test_a_peer_that_speaks_something_else(secure: str, said: bytes, reason: str) -> None:
    ours, other = sockets()
    other.write(said)
    with pytest.raises(TlsError) as caught:
        handshake(ours, client_tls() if secure == "client" else server_tls(), server_name="localhost")
    assert caught.value.code == "sslhandshake"
    assert any(words in caught.value.reason for words in reason.split("|")), caught.value.reason
    assert "failed: " in str(caught.value) and "127.0.0.1:" in str(caught.value)
    assert ours.closed
    other.close()


@pytest.mark.parametrize("after", [0, 1, 3, 100])
def test_a_peer_that_goes_away(after: int) -> None:
    ours, other = sockets()
    other.write(client_hello()[:after] or b"\x16")
    other.close()
    with pytest.raises((TlsError, SocketClosed), match=r"the TLS handshake with 127\.0\.0\.1"):
        handshake(ours, server_tls())
    assert ours.closed


def client_hello() -> bytes:
    from OpenSSL import SSL

    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(10_000)


def test_a_reset_in_the_middle() -> None:
    ours, other = sockets()
    waiting = spawn(quietly, handshake, ours, server_tls())
    other.write(client_hello())
    assert other.read(timeout=SECONDS)  # its half is said
    other.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    error = waiting.get(timeout=SECONDS)
    assert isinstance(error, TlsError | SocketClosed) and "reset" in str(error), error
    assert ours.closed


def test_closed_by_somebody_else_meanwhile() -> None:
    ours, other = sockets()
    waiting = spawn(quietly, handshake, ours, server_tls())
    wait_until(lambda: ours._reader is not None)
    ours.close()
    error = waiting.get(timeout=SECONDS)
    assert isinstance(error, SocketClosed) and "closed" in str(error)
    other.close()


def test_killed_meanwhile() -> None:
    ours, other = sockets()
    waiting = spawn(handshake, ours, server_tls())
    wait_until(lambda: ours._reader is not None)
    waiting.kill()
    assert ours.closed
    other.close()


def test_nobody_writes_in_the_clear_meanwhile() -> None:
    ours, other = sockets()
    waiting = spawn(quietly, handshake, ours, client_tls(), server_name="localhost")
    wait_until(lambda: ours._reader is not None)
    with pytest.raises(OSError, match="writes to"):
        ours.write(b"secret")
    ours.close()
    waiting.join(SECONDS)
    other.close()


def test_twice(ends: Ends) -> None:
    with pytest.raises(IncorrectUse, match="encrypted already"):
        handshake(ends.client, client_tls())
    exchange(ends)


def test_on_a_closed_stream() -> None:
    ours, other = sockets()
    ours.close()
    other.close()
    with pytest.raises(SocketClosed, match="the stream is closed"):
        handshake(ours, client_tls())


def test_a_name_that_no_host_can_have() -> None:
    ours, other = sockets()
    with pytest.raises(ValueError):
        handshake(ours, client_tls(), server_name="bü" + "x" * 80)
    assert ours.closed
    other.close()


def test_the_last_bytes_of_a_client_that_reads_nothing_arrive() -> None:
    client, server = client_tls(), server_tls()
    for _ in range(20):
        ends = shake(client, server)
        ends.client.write(b"last words")
        ends.client.close()
        assert read_all(ends.server) == b"last words"
        assert ends.server_channel.ended_cleanly
        ends.server.close()


def test_streams_that_nobody_has_any_more_close() -> None:
    ends = shake(client_tls(), server_tls())
    server = ends.server
    del ends
    with contextlib.suppress(SocketClosed):  # what was unread there makes it a reset
        assert read_all(server) == b""
    server.close()
