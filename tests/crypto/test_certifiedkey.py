"""A key with its certificates: found, put in order, and refused where they do not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import certs
import pytest
from certs import END, START, openssl, openssl_bytes
from OpenSSL import SSL

from greenbas import create
from greenbas.crypto import CertifiedKey, read_certificates, self_signed
from greenbas.errors import IoError, NoAccess, NotFound, PemError
from greenbas.io import MemoryIo


@pytest.mark.parametrize("order", ["012", "210", "201", "0102", "10x2"])
def test_the_chain_is_put_in_order(order: str) -> None:
    parts = {"0": certs.leaf_once(), "1": certs.middle(), "2": certs.root(), "x": self_signed("x.example")[0]}
    made = create.certifiedkey("".join(parts[one] for one in order), certs.key())
    leaf, *above = read_certificates(certs.leaf_chain())
    assert (made.certificate, made.chain) == (leaf, tuple(above))


def test_openssl_takes_it() -> None:
    made = CertifiedKey(certs.leaf_chain(), certs.key())
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(made.certificate)
    context.use_privatekey(made.private_key)
    context.check_privatekey()
    for one in made.chain:
        context.add_extra_chain_cert(one)


@pytest.mark.parametrize(
    ("kind", "options", "shown", "names"),
    [
        ("ecc", {}, "ECC a.example until", ("a.example",)),
        ("rsa", {"san": "B.example;10.0.0.1"}, "RSA b.example 10.0.0.1 until", ("b.example", "10.0.0.1")),
        ("ed25519", {"san": "me@a.example"}, "EdDSA a.example until", ("a.example",)),
        ("ecc", {"dn": {"commonname": "Ada"}, "san": "::1"}, "ECC ::1 until", ("::1",)),
        ("ecc", {"dn": {"commonname": "Ada"}, "san": ""}, "ECC ada until", ("ada",)),
    ],
)
def test_what_it_says_of_itself(kind: str, options: dict[str, Any], shown: str, names: tuple[str, ...]) -> None:
    made = CertifiedKey(certs.leaf(certs.key(kind), **options), certs.key(kind))
    assert made.names == names
    assert repr(made) == f"<CertifiedKey {shown} {END:%Y-%m-%d}>"
    assert (made.not_before, made.not_after) == (int(START.timestamp()), int(END.timestamp()))
    assert made.kind == shown.partition(" ")[0]


def test_where_they_may_stand(tmp_path: Path) -> None:
    locked = openssl("pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:secret", data=certs.key())
    p7b = openssl("crl2pkcs7", "-nocrl", "-certfile", str(save(tmp_path, "chain.pem", certs.leaf_chain())))
    io = MemoryIo()
    for name, text in {"chain.pem": certs.leaf_chain(), "key.pem": locked, "both.pem": locked + p7b}.items():
        save(tmp_path, name, text)
        with io.open(name, "w") as handle:
            handle.write(text.encode())
    der = openssl_bytes("pkey", "-outform", "DER", data=certs.key())
    made = [
        CertifiedKey(certs.leaf_chain(), locked, password="secret"),
        CertifiedKey(certs.leaf_chain().encode(), der),
        CertifiedKey(p7b, certs.key()),
        CertifiedKey(certs.key() + certs.leaf_chain()),
        CertifiedKey("chain.pem", "key.pem", password=b"secret", io=io),
        create.certifiedkey("both.pem", password="secret", io=io),
        CertifiedKey.from_files(tmp_path / "chain.pem", tmp_path / "key.pem", password="secret"),
        CertifiedKey.from_files(f"{tmp_path}/both.pem", password="secret"),
    ]
    assert {(one.certificate, one.chain) for one in made} == {(made[0].certificate, made[0].chain)}
    assert len(made[0].chain) == 2


def save(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("cert", "key", "code", "words"),
    [
        (
            certs.leaf, lambda: certs.key("rsa"), "pem_key_cert_mismatch",
            "the certificate is for another key than the key; give the key that the certificate was requested with",
        ),
        (certs.leaf, lambda: None, "pem_key_unrecognized_format", "the key: no private key, only a CERTIFICATE"),
        (certs.leaf, lambda: "x", "pem_key_unrecognized_format", "the key: neither PEM nor DER"),
        (certs.key, certs.key, "pem_cert_unrecognized_format", "the certificate: no certificate, only a PRIVATE KEY"),
        (lambda: self_signed_by_openssl("rsa:1024"), certs.key, "pem_key_unsupported_modulus_length", "1024 bits"),
        (
            lambda: self_signed_by_openssl("ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), certs.key,
            "pem_cert_unsupported_type", "the certificate: the curve secp256k1 is not supported",
        ),
        (
            lambda: self_signed_by_openssl("ec", "-pkeyopt", "ec_paramgen_curve:sect233k1"), certs.key,
            "pem_cert_unsupported_type", "the certificate: its kind of key is not supported",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit(cert: Any, key: Any, code: str, words: str) -> None:
    with pytest.raises(PemError, match=re.escape(words)) as caught:
        CertifiedKey(cert(), key())
    assert caught.value.code == code


def self_signed_by_openssl(kind: str, *options: str) -> str:
    return openssl("req", "-x509", "-newkey", kind, *options, "-nodes", "-keyout", "/dev/null", "-subj", "/CN=a")


def test_files_are_named(tmp_path: Path) -> None:
    cert, key = save(tmp_path, "a.pem", certs.leaf()), save(tmp_path, "a.key", certs.key("rsa"))
    with pytest.raises(PemError, match=r"/a\.pem' is for another key than '.*/a\.key';"):
        CertifiedKey.from_files(cert, key)
    with pytest.raises(NotFound, match=r"no such file or directory: '.*/b\.key'"):
        CertifiedKey.from_files(cert, tmp_path / "b.key")
    with pytest.raises(IoError, match=r"cannot be read: Is a directory: '"):
        CertifiedKey.from_files(tmp_path, key)
    with pytest.raises(NotFound, match=r"b\.pem"):
        CertifiedKey("b.pem", io=MemoryIo())


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)  # chmod does not stop root, who may run this
    with pytest.raises(NoAccess, match=r"access denied: 'a\.key'"):
        CertifiedKey.from_files("a.key")


def test_it_shows_no_secret() -> None:
    made = CertifiedKey(certs.leaf(), certs.key())
    assert "PRIVATE" not in repr(made) + str(vars(made) if hasattr(made, "__dict__") else "")
