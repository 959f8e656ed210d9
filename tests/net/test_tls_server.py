"""Servers' contexts: certificates by name and by kind, their exchange, certificates of clients."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, Issued, ann, localhost, root, rsa_key, stranger
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from leaks import nothing_left
from tlspairs import (
    SECONDS,
    client_tls,
    exchange,
    port_of_ours,
    python_client,
    quietly,
    server_tls,
    shake,
    sockets,
    stream_of,
)

from greenbas import create
from greenbas.dispatcher import spawn
from greenbas.errors import GreenbasError, IncorrectUse, PemError, SettingError, TlsError
from greenbas.net.tls import CertFiles, ClientTls, ServerTls, handshake, request_certificate


@pytest.fixture(autouse=True, scope="module")  # a look after each test would take as long as the tests
def clean() -> Iterator[None]:
    for make in (localhost, ann, rsa_key):
        make()  # before the counting begins
    with nothing_left():
        yield


def shown(server: ServerTls, name: str = "localhost", **options: Any) -> str:
    """The common name of the certificate that a client gets that asks for this name."""
    ends = shake(client_tls(verify=False, **options), server, name=name)
    chain, _ = ends.client_channel.certificate()
    ends.close()
    assert chain is not None
    return str(chain["subject"]["commonname"])


# -- certificates by name and kind --------------------------------------------------------------------------------


def test_each_name_gets_its_certificate() -> None:
    names = ["localhost", "shop.test", "*.wild.test", "both.test"]
    server = ServerTls(*(root().issue(name).pair() for name in names))
    asked = [
        "localhost",
        "shop.test",
        "SHOP.test",
        "a.wild.test",
        "both.test",
        "unknown.test",
        "a.b.wild.test",
        "wild.test",
    ]
    assert [shown(server, name) for name in asked] == [
        "localhost",
        "shop.test",
        "shop.test",
        "*.wild.test",
        "both.test",
        "localhost",
        "localhost",
        "localhost",
    ]
    assert shown(server, "127.0.0.1") == "localhost"  # an address is not asked for
    assert repr(server) == "<ServerTls 4 certificates, names *.wild.test, both.test, localhost, shop.test>"


def test_names_that_are_given() -> None:
    special = root().issue("special")
    server = server_tls(names={"A.test": [special.pair()], "*.b.test": [special.pair()]})
    assert [shown(server, name) for name in ("a.test", "x.b.test", "c.test")] == ["special", "special", "localhost"]
    assert shown(ServerTls(names={"a.test": [special.pair()]}), "whoever") == "special"


def test_alpn_survives_the_choice_by_name() -> None:
    server = ServerTls(localhost().pair(), root().issue("shop.test").pair(), alpn=["http/1.1"])
    for name in ("localhost", "shop.test"):
        ends = shake(client_tls(alpn=["http/1.1"]), server, name=name)
        assert ends.client_channel.alpn == "http/1.1"
        ends.close()


def test_a_session_of_one_name_is_resumed() -> None:
    server, client = ServerTls(localhost().pair(), root().issue("shop.test").pair()), client_tls()
    port = port_of_ours()
    found = []
    for _turn in range(2):
        ends = shake(client, server, name="shop.test", port=port)
        found.append(ends.client_channel.is_resumed)
        ends.close()
    assert found == [False, True]


def kind_shown(server: ServerTls) -> str:
    """The kind of key that a client is shown that knows both."""
    ends = shake(client_tls(), server)
    key = type(ends.client_channel.chain()[0].public_key()).__name__
    ends.close()
    return "RSA" if "RSA" in key else "EC"


@pytest.mark.parametrize("order", [("ecc", "rsa"), ("rsa", "ecc")])
@pytest.mark.parametrize("favor_rsa", [False, True])
def test_two_kinds_of_keys(order: tuple[str, ...], favor_rsa: bool) -> None:
    server = ServerTls(*(root().issue("localhost", key=kind).pair() for kind in order), favor_rsa=favor_rsa)
    assert kind_shown(server) == ("RSA" if favor_rsa else "EC")
    server.set_favor_rsa(not favor_rsa)
    assert kind_shown(server) == ("EC" if favor_rsa else "RSA")


def test_each_kind_has_its_own_chain() -> None:
    middles = {kind: Authority(f"between {kind}", root()) for kind in ("ecc", "rsa")}
    pairs = [middle.issue("localhost", key=kind).pair() for kind, middle in middles.items()]
    for favor, expected in ((False, "between ecc"), (True, "between rsa")):
        ends = shake(client_tls(), ServerTls(*pairs, favor_rsa=favor))
        chain, valid = ends.client_channel.certificate()
        assert valid and chain is not None and chain["parent"] is not None
        assert chain["parent"]["subject"]["commonname"] == expected
        assert len(ends.client_channel.chain()) == 2
        ends.close()


@pytest.mark.parametrize(
    ("certs", "options", "error", "words"),
    [
        (0, {}, SettingError, "needs a certificate"),
        (1, {"client_cert": "maybe"}, SettingError, "client_cert 'maybe': use no, ask, require"),
        (1, {"client_cert": "require"}, SettingError, "needs trust"),
        (1, {"alpn": "h2"}, ValueError, "alpn 'h2'"),
    ],
)
def test_contexts_that_cannot_be(certs: int, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ServerTls(*[localhost().pair()] * certs, **options)


def test_create() -> None:
    assert isinstance(create.tls_server(localhost().pair()), ServerTls)
    assert isinstance(create.tls_client(root().store()), ClientTls)


# -- exchange -----------------------------------------------------------------------------------------------------


def test_reload_reads_the_files_again(tmp_path: Path) -> None:
    files = root().issue("before").files(tmp_path, "shop")
    server = create.tls_server(files)
    before = shake(client_tls(), server, name="before")
    root().issue("after").files(tmp_path, "shop")
    server.reload()
    assert shown(server, "before") == shown(server, "after") == "after"
    exchange(before)  # it lives on
    before.close()


def encrypted(key: str, password: bytes) -> str:
    private: Any = load_pem_private_key(key.encode(), None)
    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)).decode())


def test_an_encrypted_key(tmp_path: Path) -> None:
    issued = root().issue("localhost")
    cert, key = Issued(issued.cert, encrypted(issued.key, b"secret")).files(tmp_path, "locked")
    assert shown(ServerTls(CertFiles(cert, key, "secret"))) == "localhost"
    for wrong in (None, "guess"):
        with pytest.raises(PemError) as caught:
            ServerTls(CertFiles(cert, key, wrong))
        assert caught.value.code.startswith("pem_key")
    assert "secret" not in repr(CertFiles(cert, key, "secret"))


def break_key(folder: Path) -> None:
    (folder / "shop.key").write_text(root().issue("other").key)


def break_cert(folder: Path) -> None:
    (folder / "shop.pem").write_text("nothing of the kind")


def remove(folder: Path) -> None:
    os.unlink(folder / "shop.pem")


@pytest.mark.parametrize("spoil", [break_key, break_cert, remove])
def test_a_bad_pair_keeps_the_old_one(spoil: Any, tmp_path: Path) -> None:
    server = create.tls_server(root().issue("shop.test").files(tmp_path, "shop"), localhost().files(tmp_path, "local"))
    spoil(tmp_path)
    with pytest.raises(GreenbasError):
        server.reload()
    assert [shown(server, "shop.test"), shown(server)] == ["shop.test", "localhost"]
    root().issue("shop.test").files(tmp_path, "shop")
    server.reload()


def test_an_expired_one_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        create.tls_server(root().issue("old", valid=(-9, -1)).files(tmp_path, "old"))
        create.tls_server(root().issue("new", valid=(1, 9)).files(tmp_path, "new"))
    assert [record.message.rpartition("/")[2] for record in caplog.records] == [
        "old.pem has expired",
        "new.pem is not valid yet",
    ]


def test_certificates_may_be_exchanged_and_added() -> None:
    server = server_tls()
    server.set_certs(root().issue("a.test").pair())
    server.add_cert(root().issue("b.test").pair())
    assert [shown(server, name) for name in ("a.test", "b.test", "localhost")] == ["a.test", "b.test", "a.test"]
    with pytest.raises(SettingError):
        server.set_certs()
    with pytest.raises(SettingError):
        server.set_client_cert("require")
    assert shown(server, "b.test") == "b.test"


# -- certificates of clients, in the handshake --------------------------------------------------------------------


@pytest.mark.parametrize("issued", ["ann", "stranger", "server", "expired", "none"])
@pytest.mark.parametrize("turns", [1, 2])
def test_who_is_asked(issued: str, turns: int) -> None:
    certs = {
        "ann": (ann, ("ann", True, True)),
        "stranger": (lambda: stranger().issue("ann", types=["SSL_CLIENT"]), ("ann", False, "cn")),
        "server": (lambda: root().issue("ann"), ("ann", False, "cn")),
        "expired": (lambda: root().issue("ann", types=["SSL_CLIENT"], valid=(-9, -2)), ("ann", False, "certcn")),
        "none": (None, (None, False, "none")),
    }
    issue, (name, valid, verdict) = certs[issued]
    server = server_tls(client_cert="ask", trust=root().store())
    client = client_tls(cert=issue().pair() if issue else None)
    port = port_of_ours()
    for _ in range(turns):  # on a second connection nothing is lost, and nobody becomes trusted
        ends = shake(client, server, port=port)
        chain, trusted = ends.server_channel.certificate()
        assert (chain and chain["subject"]["commonname"], trusted) == (name, valid)
        assert ends.server_channel.trusted("ann") == verdict
        if name:
            assert ends.server_channel.trusted("bob") == ("cert" if verdict is True else "none")
        exchange(ends)
        ends.close()


def test_a_client_with_an_intermediate() -> None:
    issued = Authority("people", root()).issue("ann", types=["SSL_CLIENT"])
    server = server_tls(client_cert="ask", trust=root().store())
    ends = shake(client_tls(cert=issued.pair()), server)
    exchange(ends)
    chain, trusted = ends.server_channel.certificate()
    assert trusted and chain is not None and chain["parent"] is not None
    ends.close()


def test_nobody_is_trusted_without_trust() -> None:
    ends = shake(client_tls(cert=ann().pair()), server_tls(client_cert="ask"))
    chain, trusted = ends.server_channel.certificate()
    assert chain is not None and not trusted
    ends.close()


@pytest.mark.parametrize(
    ("issue", "reason"),
    [
        (None, "peer did not return a certificate"),
        (lambda: stranger().issue("ann", types=["SSL_CLIENT"]), "certificate verify failed"),
        (lambda: root().issue("ann"), "certificate verify failed"),
    ],
)
def test_a_required_certificate(issue: Any, reason: str) -> None:
    server = server_tls(client_cert="require", trust=root().store())
    mine, theirs = sockets()
    other = spawn(quietly, handshake, theirs, server)
    client = client_tls(cert=issue().pair() if issue else None)
    handshake(mine, client, server_name="localhost")  # in TLS 1.3 it hears of its refusal afterwards only
    with pytest.raises(TlsError) as caught:
        mine.read(timeout=SECONDS)
    assert caught.value.code == "sslalertrecv"
    error = other.get(timeout=SECONDS)
    assert isinstance(error, TlsError) and error.reason == reason
    mine.close()


def test_a_required_certificate_that_is_there() -> None:
    server = server_tls(client_cert="require", trust=root().store())
    ends = shake(client_tls(cert=ann().pair()), server)
    assert ends.server_channel.trusted("ann") is True
    exchange(ends)
    ends.close()


def test_asking_may_begin_and_end_while_it_runs() -> None:
    server, client = server_tls(trust=root().store()), client_tls(cert=ann().pair())
    found = []
    for turn in range(3):
        server.set_client_cert("ask" if turn == 1 else "no")
        ends = shake(client, server)
        found.append(ends.server_channel.certificate()[1])
        ends.close()
    assert found == [False, True, False]


# -- on demand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_3", "TLSv1_2"])
@pytest.mark.parametrize("has", [True, False])
@pytest.mark.parametrize("said", [b"", b"said before", b"x" * 40_000])
def test_a_certificate_on_demand(version: str, has: bool, said: bytes, tmp_path: Path) -> None:
    cert = ann().files(tmp_path, "ann")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def client() -> bytes:
            with python_client(port, tmp_path, version=version, cert=cert if has else None) as sock:
                sock.sendall(said or b"-")
                answer = sock.recv(100)
                sock.sendall(b"bye")
                return answer + sock.recv(100)

        other = spawn(client)
        accepted, _ = listening.accept()
    stream = stream_of(accepted)
    channel = handshake(stream, server_tls(trust=root().store()))
    if not said:
        assert stream.read(1, timeout=SECONDS) == b"-"
    assert request_certificate(stream, SECONDS) is has
    assert request_certificate(stream, SECONDS) is has  # once more is no harm
    chain, trusted = channel.certificate()
    assert ((chain and chain["subject"]["commonname"]), trusted) == (("ann", True) if has else (None, False))
    got = b""
    while len(got) < len(said):
        got += stream.read(timeout=SECONDS)
    assert got == said
    stream.write(b"hello")
    assert stream.read(timeout=SECONDS) == b"bye"
    stream.write(b"!")
    assert other.get(timeout=SECONDS) == b"hello!"
    stream.close()


def test_a_client_that_does_not_offer_it_is_not_asked() -> None:
    ends = shake(client_tls(), server_tls(trust=root().store()))
    assert not request_certificate(ends.server)
    exchange(ends)
    ends.close()


def test_our_own_client_answers() -> None:
    ends = shake(client_tls(cert=ann().pair()), server_tls(trust=root().store()))
    reader = spawn(ends.client.read, 100, SECONDS)
    assert request_certificate(ends.server, SECONDS)
    assert ends.server_channel.trusted("ann") is True
    ends.server.write(b"welcome")
    assert reader.get(timeout=SECONDS) == b"welcome"
    ends.close()


def test_a_client_that_goes_away_instead() -> None:
    ends = shake(client_tls(cert=ann().pair()), server_tls(trust=root().store()))
    asking = spawn(quietly, request_certificate, ends.server, SECONDS)
    ends.client.close()
    found = asking.get(timeout=SECONDS)
    assert found is False or isinstance(found, TlsError)
    ends.close()


def test_a_client_that_does_not_answer() -> None:
    ends = shake(client_tls(cert=ann().pair()), server_tls(trust=root().store()))
    with pytest.raises(TimeoutError):
        request_certificate(ends.server, 0.05)
    ends.close()


def test_who_cannot_ask() -> None:
    ends = shake(client_tls(), server_tls())
    with pytest.raises(IncorrectUse):
        request_certificate(ends.client)
    ends.close()
    plain, other = sockets()
    with pytest.raises(TlsError, match="not encrypted") as caught:
        request_certificate(plain)
    assert caught.value.code == "sslnotenabled"
    plain.close()
    other.close()
