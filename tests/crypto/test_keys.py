"""Keys: made, derived from a seed, and read; what is wrong with one that cannot be used."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from typing import Any

import certs
import gevent
import pytest
from certs import openssl, openssl_bytes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from greenbas import create
from greenbas.crypto import generate_key, load_key
from greenbas.crypto.keys import CURVES
from greenbas.errors import PemError, SettingError

# -- making -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "ASN1 OID: prime256v1"),
        ({"curve": "SECP384R1"}, "ASN1 OID: secp384r1"),
        ({"curve": "SECP521R1"}, "ASN1 OID: secp521r1"),
        ({"curve": "BRAINPOOLP256R1"}, "ASN1 OID: brainpoolP256r1"),
        ({"curve": "BRAINPOOLP384R1"}, "ASN1 OID: brainpoolP384r1"),
        ({"curve": "BRAINPOOLP512R1"}, "ASN1 OID: brainpoolP512r1"),
        ({"key": "rsa"}, "2048 bit"),
        ({"key": "rsa", "bits": 2056}, "2056 bit"),
    ],
    ids=str,
)
def test_openssl_reads_what_is_made(options: dict[str, Any], told: str) -> None:
    pem = create.key(**options)
    assert pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert told in openssl("pkey", "-noout", "-text", data=pem)
    assert "Key is valid" in openssl("pkey", "-check", "-noout", data=pem)


def test_random_keys_differ() -> None:
    assert create.key() != create.key()


def test_an_rsa_key_is_made_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    # Native identities: patched ones are those of greenlets.
    native = gevent.monkey.get_original("_thread", "get_ident")
    seen = []

    def make(*options: object) -> str:
        seen.append(native())
        return "made"

    monkeypatch.setattr("greenbas.crypto.generate_key", make)
    assert create.key("rsa") == create.key("ecc") == "made"
    assert len(set(seen)) == 2
    assert seen[1] == native()
    assert threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize("curve", CURVES)
def test_the_same_seed_gives_the_same_key(curve: str) -> None:
    one = create.key(curve=curve, rnd="correct horse battery staple")
    assert one == create.key(curve=curve, rnd=b"correct horse battery staple")
    assert one != create.key(curve=curve, rnd="correct horse battery stapler")
    assert "Key is valid" in openssl("pkey", "-check", "-noout", data=one)
    key = load_key(one)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers().private_value == expected_scalar(b"correct horse battery staple", curve)


def expected_scalar(seed: bytes, curve: str) -> int:
    """HKDF (RFC 5869) with SHA-512, and FIPS 186-5 A.2.1, written out."""
    order = CURVES[curve].group_order
    length = (order.bit_length() + 64 + 7) // 8
    secret = hmac.digest(b"greenbas create.key rnd 1", seed, hashlib.sha512)
    output = block = b""
    for number in range(1, 4):
        block = hmac.digest(secret, block + curve.encode() + bytes([number]), hashlib.sha512)
        output += block
    return int.from_bytes(output[:length], "big") % (order - 1) + 1


def test_a_seed_gives_this_key_for_ever() -> None:
    key = load_key(generate_key(rnd="seed"))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert hex(key.private_numbers().private_value) == SEED_KEY


SEED_KEY = "0x24a6bc21a0351b40fabc82066f4604b079bdd79a2d6e86b4da84b1224e929c34"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": "ec"}, "key: there is no 'ec'; did you mean 'ecc'?"),
        ({"key": "dsa"}, "key: there is no 'dsa'; did you mean 'rsa'?"),
        ({"key": "quantum"}, "key: there is no 'quantum'; use ecc or rsa"),
        ({"curve": "secp256r1"}, "curve: there is no 'secp256r1'; did you mean 'SECP256R1'?"),
        ({"curve": "BRAINPOOL256"}, "did you mean 'BRAINPOOLP256R1'?"),
        ({"curve": "x"}, "BRAINPOOLP384R1 or BRAINPOOLP512R1"),
        ({"key": "rsa", "bits": 1024}, "bits: 1024 is out of range, use 2048 to 8192 in steps of 8"),
        ({"key": "rsa", "bits": 2049}, "bits: 2049 is out of range"),
        ({"key": "rsa", "bits": 8200}, "bits: 8200 is out of range"),
        ({"key": "rsa", "bits": "2048"}, "bits: '2048' is out of range"),
        ({"key": "rsa", "rnd": "seed"}, "rnd: an RSA key cannot be derived from a seed"),
        ({"rnd": ""}, "rnd: the seed must be str or bytes, and not empty"),
        ({"rnd": 7}, "rnd: the seed must be str or bytes, and not empty"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        create.key(**options)


# -- reading ------------------------------------------------------------------------------------------------------

PASSWORD = "pass:secret"
FORMATS = {
    "PKCS #8": ("pkey",),
    "old": ("pkey", "-traditional"),
    "DER": ("pkey", "-outform", "DER"),
    "encrypted, PKCS #8": ("pkcs8", "-topk8", "-v2", "aes256", "-passout", PASSWORD),
    "encrypted, scrypt": ("pkcs8", "-topk8", "-scrypt", "-passout", PASSWORD),
    "encrypted, DER": ("pkcs8", "-topk8", "-v2", "aes256", "-outform", "DER", "-passout", PASSWORD),
    "encrypted, old, AES-128": ("pkey", "-traditional", "-aes128", "-passout", PASSWORD),
    "encrypted, old, 3DES": ("pkey", "-traditional", "-des3", "-passout", PASSWORD),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["ecc", "rsa"])
@pytest.mark.parametrize("password", ["secret", b"secret"], ids=["str", "bytes"])
def test_formats(kind: str, form: str, password: str | bytes) -> None:
    data = openssl_bytes(*FORMATS[form], data=certs.key(kind))
    # One password for all files is usual: those that are not encrypted need none, and do not mind.
    assert pem_of(load_key(data, password)) == certs.key(kind)
    if not form.startswith("encrypted"):
        assert pem_of(load_key(data)) == pem_of(load_key(data, "")) == certs.key(kind)


def pem_of(key: Any) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


@pytest.mark.parametrize("kind", ["ed25519", "ed448"])
def test_edwards_keys(kind: str) -> None:
    assert pem_of(load_key(certs.key(kind))) == certs.key(kind)


def test_a_key_among_other_blocks() -> None:
    parameters = openssl("ecparam", "-name", "prime256v1", "-genkey")
    assert parameters.startswith("-----BEGIN EC PARAMETERS-----")
    assert isinstance(load_key(parameters), ec.EllipticCurvePrivateKey)
    mixed = "Bag Attributes: none, \N{SNOWMAN}\r\n" + certs.root() + certs.key("rsa").replace("\n", "\r\n")
    assert isinstance(load_key(mixed), rsa.RSAPrivateKey)


def encrypted_old() -> str:
    return openssl(*FORMATS["encrypted, old, AES-128"], data=certs.key())


def changed(text: str, pattern: str, new: str) -> str:
    result, count = re.subn(pattern, new, text, flags=re.DOTALL)
    assert count == 1
    return result


def with_bytes_cut(text: str) -> str:
    head, body, foot = text.partition("\n\n")[0], text.partition("\n\n")[2], "-----END EC PRIVATE KEY-----\n"
    data = base64.b64decode(body.removesuffix(foot))
    return f"{head}\n\n{base64.b64encode(data[:-3]).decode()}\n{foot}"


BAD = {
    "no PEM": (lambda: "hello", "pem_key_unrecognized_format", "the key: neither PEM nor DER of a private key"),
    "empty": (lambda: "", "pem_key_unrecognized_format", "neither PEM nor DER"),
    "a certificate": (lambda: certs.root(), "pem_key_unrecognized_format", "no private key, only a CERTIFICATE"),
    "a public key": (
        lambda: openssl("pkey", "-pubout", data=certs.key()),
        "pem_key_unrecognized_format",
        "no private key, only a PUBLIC KEY",
    ),
    "OpenSSH": (
        lambda: ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        ),
        "pem_key_unsupported_format",
        "OPENSSH PRIVATE KEY is a format that is not supported; convert it with: openssl",
    ),
    "secp256k1": (
        lambda: openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout"),
        "pem_key_unsupported_format",
        "the curve secp256k1 is not supported; use SECP256R1,",
    ),
    "sect233k1": (
        lambda: openssl("ecparam", "-name", "sect233k1", "-genkey", "-noout"),
        "pem_key_unsupported_format",
        "is not supported",
    ),
    "X25519": (
        lambda: certs.key("x25519"),
        "pem_key_unsupported_format",
        "keys of the kind X25519 are not supported; use ECC, RSA or Ed25519",
    ),
    "RSA 1024": (
        lambda: openssl("genrsa", "1024"),
        "pem_key_unsupported_modulus_length",
        "an RSA key of 1024 bits is too short; use 2048 or more",
    ),
    "cut off": (lambda: certs.key()[:-40], "pem_key_parse_error", "the END line is missing"),
    "no base64": (lambda: changed(certs.key(), "MIG", "M!G"), "pem_key_parse_error", "is no base64"),
    "no key": (
        lambda: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "pem_key_parse_error",
        "cannot be read as a key; it is damaged",
    ),
    "unknown cipher": (
        lambda: encrypted_old().replace("AES-128-CBC", "CAMELLIA-128-CBC"),
        "pem_key_unsupported_encryption_type",
        "encrypted with CAMELLIA-128-CBC, which is not supported; convert it with: openssl",
    ),
    "unknown cipher of PKCS #8": (
        lambda: openssl("pkcs8", "-topk8", "-v2", "camellia128", "-passout", PASSWORD, data=certs.key()),
        "pem_key_unsupported_encryption_type",
        "encrypted in a way that is not supported (Unknown key encryption algorithm",
    ),
    "IV is no hex": (
        lambda: changed(encrypted_old(), "CBC,..", "CBC,XY"),
        "pem_key_wrong_iv",
        "the IV in its DEK-Info is not 16 bytes in hex: 'XY",
    ),
    "IV too short": (
        lambda: changed(encrypted_old(), "CBC,..", "CBC,"),
        "pem_key_wrong_iv",
        "the IV in its DEK-Info is not 16 bytes in hex",
    ),
    "length": (
        lambda: with_bytes_cut(encrypted_old()),
        "pem_key_wrong_length",
        "bytes of encrypted data are not whole blocks of 16; some of the file is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_key(name: str) -> None:
    make, code, words = BAD[name]
    with pytest.raises(PemError, match=re.escape(words)) as caught:
        load_key(make(), "secret")
    assert caught.value.code == code
    assert str(caught.value).startswith("the key: ")


@pytest.mark.parametrize("form", [form for form in FORMATS if form.startswith("encrypted")])
def test_passwords(form: str) -> None:
    data = openssl_bytes(*FORMATS[form], data=certs.key())
    for none in (None, "", b""):
        with pytest.raises(PemError, match=r"server\.key: it is encrypted; give its password") as caught:
            load_key(data, none, "server.key")
        assert caught.value.code == "pem_key_passphrase_required"
    with pytest.raises(PemError, match=r"server\.key: the password is wrong, or the data is damaged") as caught:
        load_key(data, "wrong", "server.key")
    assert caught.value.code == "pem_key_parse_error"
