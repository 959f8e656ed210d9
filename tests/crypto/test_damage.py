"""Damaged input of every kind is a PemError: nothing of the library's own comes out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certs
import pytest
from certs import END, START, openssl, openssl_bytes
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from greenbas import create
from greenbas.crypto import CertifiedKey, CertStore, describe_chain, load_key, parse_cert, read_certificates
from greenbas.errors import PemError

ROUNDS = 200


def damage(data: bytes, chance: random.Random) -> bytes:
    """Exchange, remove or insert a few bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        what = chance.randrange(3)
        if what == 0:
            changed[at] = chance.randrange(256)
        elif what == 1:
            del changed[at : at + chance.randint(1, 5)]
        else:
            changed[at:at] = chance.randbytes(chance.randint(1, 4))
    return bytes(changed)


def der(certificate: str) -> bytes:
    return openssl_bytes("x509", "-outform", "DER", data=certificate)


def p7b(folder: Path) -> bytes:
    (folder / "chain.pem").write_text(certs.leaf_chain())
    return openssl_bytes("crl2pkcs7", "-nocrl", "-certfile", f"{folder}/chain.pem", "-outform", "DER")


def request() -> str:
    return create.csr(certs.key(), {"commonname": "a.example"})


def read_bundle(data: bytes) -> None:
    CertStore().add_cert(data)
    describe_chain(read_certificates(data))


Reader = Callable[[bytes], Any]
KINDS: dict[str, tuple[Callable[[Path], bytes | str], Reader]] = {
    "certificate": (lambda _: der(certs.leaf()), parse_cert),
    "PEM": (lambda _: certs.leaf(), parse_cert),
    "p7b": (p7b, read_bundle),
    "certified key": (lambda _: der(certs.leaf()), lambda data: CertifiedKey(data, certs.key())),
    "key": (lambda _: openssl_bytes("pkey", "-outform", "DER", data=certs.key()), load_key),
    "encrypted key": (
        lambda _: openssl("pkey", "-traditional", "-aes128", "-passout", "pass:x", data=certs.key()),
        lambda data: load_key(data, "x"),
    ),
    "request": (
        lambda _: openssl_bytes("req", "-outform", "DER", data=request()),
        lambda data: create.certificate(data, certs.key(), START, END),
    ),
    "certificate of the authority": (
        lambda _: der(certs.middle()),
        lambda data: create.certificate(request(), certs.key(number=2), START, END, cacert=data),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_damage(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    sound = make(tmp_path)
    data = sound.encode() if isinstance(sound, str) else sound
    read(data)
    chance = random.Random(kind)  # the same each time
    refused = 0
    for _ in range(ROUNDS):
        try:
            read(damage(data, chance))
        except PemError as error:
            assert error.code.startswith("pem_")
            refused += 1
    assert refused > ROUNDS / 2


def test_a_signed_request_with_a_broken_name_inside() -> None:
    # What only its own signer can make, so that random damage never gets past the signature.
    key: Any = load_key(certs.key())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
    builder = x509.CertificateSigningRequestBuilder(name)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x03\x82\x05a")
    signed = builder.add_extension(odd, critical=False).sign(key, SHA256()).public_bytes(Encoding.PEM)
    with pytest.raises(PemError, match="the request: it cannot be read"):
        create.certificate(signed, certs.key(), START, END)
