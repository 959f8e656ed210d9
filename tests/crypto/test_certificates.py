"""Certificates that greenbas signs, judged by openssl and by the verifier of the library `cryptography`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certs
import pytest
from certs import END, START, openssl
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from greenbas import create
from greenbas.crypto import load_key, parse_cert, self_signed
from greenbas.errors import PemError, SettingError


def text_of(certificate: str) -> str:
    return re.sub(r"\s+", " ", openssl("x509", "-noout", "-text", data=certificate))


def load(certificate: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.encode())


# -- chains that others accept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecc", "rsa", "ed25519"])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_openssl_accepts_the_chain(kind: str, hash_name: str, tmp_path: Path) -> None:
    certificate = certs.leaf(certs.key(kind), hash=hash_name)
    said = certs.verify(tmp_path, certificate, "-purpose", "sslserver", "-verify_hostname", "a.example")
    assert said == f"{tmp_path}/leaf.pem: OK\n"


@pytest.mark.parametrize(
    ("options", "arguments", "complaint"),
    [
        ({}, ["-verify_hostname", "b.example"], "hostname mismatch"),
        ({}, ["-purpose", "sslclient"], "unsuitable certificate purpose"),
        ({"certtypes": ["SSL_CLIENT"]}, ["-purpose", "sslserver"], "unsuitable certificate purpose"),
        ({"certtypes": ["SSL_CLIENT"]}, ["-purpose", "sslclient"], "leaf.pem: OK"),
        ({"san": "*.a.example"}, ["-verify_hostname", "www.a.example"], "leaf.pem: OK"),
        ({"san": "127.0.0.1"}, ["-verify_ip", "127.0.0.1"], "leaf.pem: OK"),
        ({"san": "127.0.0.1"}, ["-verify_ip", "127.0.0.2"], "IP address mismatch"),
        ({}, ["-attime", str(int(END.timestamp()) + 2)], "certificate has expired"),
        ({}, ["-attime", str(int(START.timestamp()) - 2)], "certificate is not yet valid"),
    ],
    ids=str,
)
def test_openssl_judges(options: dict[str, Any], arguments: list[str], complaint: str, tmp_path: Path) -> None:
    assert complaint in certs.verify(tmp_path, certs.leaf(**options), *arguments)


def test_openssl_refuses_the_root_of_others(tmp_path: Path) -> None:
    other, _ = self_signed("elsewhere.example")
    assert "unable to get local issuer certificate" in certs.verify(tmp_path, certs.leaf(), trusted=other)


def test_another_verifier() -> None:
    builder = PolicyBuilder().store(Store([load(certs.root())]))
    middle = [load(certs.middle())]
    leaf = load(certs.leaf())
    chain = builder.build_server_verifier(x509.DNSName("a.example")).verify(leaf, middle)
    assert chain == [leaf, *middle, load(certs.root())]
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName("b.example")).verify(leaf, middle)
    local = load(certs.leaf(san="127.0.0.1"))
    assert builder.build_server_verifier(x509.IPAddress(ip_address("127.0.0.1"))).verify(local, middle)
    client = load(certs.leaf(certtypes=["SSL_CLIENT"]))
    assert builder.build_client_verifier().verify(client, middle).subjects == [x509.DNSName("a.example")]


def test_no_authority_by_accident(tmp_path: Path) -> None:
    # A server's certificate that signs another: each verifier has to refuse it, because it says what it is.
    server = certs.leaf(certs.key(number=3))
    forged = sign_with(server, certs.key(number=3), "bank.example")
    said = certs.verify(tmp_path, forged, chain=server + certs.middle())
    assert "OK" not in said
    assert "error" in said


def sign_with(issuer: str, key: str, host: str) -> str:
    """A certificate that greenbas would not make."""
    private, above = load_key(key), load(issuer)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    builder = x509.CertificateBuilder(above.subject, name, private.public_key(), 9, START, END)
    return builder.sign(private, SHA256()).public_bytes(Encoding.PEM).decode()


# -- what is in one -----------------------------------------------------------------------------------------------


def test_contents() -> None:
    text = text_of(certs.leaf(dn={"commonname": "a.example", "countryname": "SE"}))
    for part in (
        "Version: 3 (0x2) Serial Number: 3 (0x3)",
        "Issuer: CN = Test Middle ",
        "Subject: C = SE, CN = a.example ",
        "X509v3 Basic Constraints: critical CA:FALSE",
        "X509v3 Key Usage: critical Digital Signature ",
        "X509v3 Extended Key Usage: TLS Web Server Authentication ",
        "X509v3 Subject Alternative Name: DNS:a.example ",
    ):
        assert part in text


def test_key_identifiers_link_the_chain() -> None:
    # Each says its own first, and then that of who signed it.
    (root, of_root), (middle, of_middle), (leaf, of_leaf) = (
        re.findall(r"Key Identifier: ([0-9A-F:]+)", text_of(make())) for make in (certs.root, certs.middle, certs.leaf)
    )
    assert (of_root, of_middle, of_leaf) == (root, root, middle)
    assert len({root, middle, leaf}) == 3


@pytest.mark.parametrize("serial", [1, 2**64, 2**159 - 1])
def test_serial(serial: int) -> None:
    request = create.csr(certs.key(), {"commonname": "a.example"})
    assert load(create.certificate(request, certs.key(), START, END, serial)).serial_number == serial


def test_serials_are_random_unless_given() -> None:
    request = create.csr(certs.key(), {"commonname": "a.example"})
    numbers = {load(create.certificate(request, certs.key(), START, END)).serial_number for _ in range(3)}
    assert len(numbers) == 3
    assert all(number.bit_length() > 64 for number in numbers)


def test_validity() -> None:
    request = create.csr(certs.key(), {"commonname": "a.example"})
    one = load(create.certificate(request, certs.key(), date(2026, 2, 1), {"year": 2055, "month": 3, "sec": 1}))
    assert one.not_valid_before_utc == datetime(2026, 2, 1, tzinfo=UTC)
    assert one.not_valid_after_utc == datetime(2055, 3, 1, 0, 0, 1, tzinfo=UTC)


def test_a_request_of_openssl(tmp_path: Path) -> None:
    # Without extensions: the common name becomes the alternative name, without which no client accepts it.
    (tmp_path / "key").write_text(certs.key())
    request = openssl("req", "-new", "-key", f"{tmp_path}/key", "-subj", "/CN=plain.example")
    certificate = create.certificate(request, certs.key(number=2), START, END, cacert=certs.middle())
    said = certs.verify(tmp_path, certificate, "-purpose", "sslserver", "-verify_hostname", "plain.example")
    assert said.endswith("OK\n")
    as_der = certs.openssl_bytes("req", "-outform", "DER", data=request)
    assert parse_cert(create.certificate(as_der, certs.key(), START, END))["san"] == ["plain.example"]


def test_what_a_request_asks_for_beside_is_left_out(tmp_path: Path) -> None:
    request = request_with(tmp_path, "1.2.3.4=ASN1:NULL", "tlsfeature=status_request", "subjectAltName=DNS:x.example")
    certificate = load(create.certificate(request, certs.key(number=2), START, END, cacert=certs.middle()))
    kinds = [type(extension.value).__name__ for extension in certificate.extensions]
    assert kinds == [
        "BasicConstraints", "SubjectAlternativeName", "SubjectKeyIdentifier", "AuthorityKeyIdentifier",
    ]  # fmt: skip


def request_with(folder: Path, *extensions: str) -> str:
    """A request that openssl makes, for the first key."""
    (folder / "key").write_text(certs.key())
    options = [word for extension in extensions for word in ("-addext", extension)]
    return openssl("req", "-new", "-key", f"{folder}/key", "-subj", "/CN=a.example", *options)


# -- self-signed --------------------------------------------------------------------------------------------------


def test_self_signed(tmp_path: Path) -> None:
    certificate, key = self_signed(["dev.example", "localhost", "127.0.0.1", "::1"], 10)
    for arguments in (["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        said = certs.verify(tmp_path, certificate, "-purpose", "sslserver", *arguments, trusted=certificate)
        assert said.endswith("OK\n")
    assert "self-signed certificate" in certs.verify(tmp_path, certificate)
    told = parse_cert(certificate)
    assert told["subject"] == told["issuer"]
    assert told["subject"]["commonname"] == "dev.example"
    assert openssl("x509", "-noout", "-pubkey", data=certificate) == openssl("pkey", "-pubout", data=key)


def test_self_signed_lasts_as_long_as_it_says() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    certificate = load(self_signed("localhost", 10, now=now)[0])
    assert certificate.not_valid_before_utc < now
    assert certificate.not_valid_after_utc == now + timedelta(days=10)


def test_self_signed_for_a_long_name() -> None:
    long = f"{'a' * 60}.{'b' * 60}.example"
    told = parse_cert(self_signed([long])[0])
    assert (told["subject"]["commonname"], told["san"]) == ("self-signed", [long])


@pytest.mark.parametrize(
    ("names", "days", "words"),
    [
        ([], 1, "names: a certificate needs at least one host name or IP address"),
        ("", 1, "names: a certificate needs at least one"),
        ("a b", 1, "san: 'a b' is no host name"),
        ("localhost", 0, "days: 0 is not positive"),
    ],
)
def test_self_signed_refuses(names: Any, days: int, words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        self_signed(names, days)


# -- what is refused ----------------------------------------------------------------------------------------------

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"validto": START}, "is not after validfrom"),
        ({"validto": START - DAY}, "validto: "),
        ({"validfrom": "now"}, "validfrom: 'now' is no time"),
        ({"validfrom": date(1949, 12, 31)}, "validfrom: a certificate cannot begin or end before 1950"),
        ({"serial": 0}, "serial: 0 is no positive int of at most 159 bits"),
        ({"serial": -1}, "serial: -1 is no positive int"),
        ({"serial": "1"}, "serial: '1' is no positive int"),
        ({"serial": 2**159}, "is no positive int"),
        ({"hash": "sha225"}, "hash: there is no 'sha225'; did you mean 'sha25"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    request = create.csr(certs.key(), {"commonname": "a.example"})
    arguments = {"csr": request, "key": certs.key(), "validfrom": START, "validto": END, **options}
    with pytest.raises(SettingError, match=re.escape(words)):
        create.certificate(**arguments)


REQUEST = create.csr(certs.key(), {"commonname": "a.example"})
UNREADABLE, UNSUPPORTED, MISMATCH = "pem_cert_unrecognized_format", "pem_cert_unsupported_type", "pem_key_cert_mismatch"


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda: {"csr": "hello"}, UNREADABLE, "the request: it cannot be read: "),
        (lambda: {"csr": certs.root()}, UNREADABLE, "no CERTIFICATE REQUEST, only a CERTIFICATE; create.csr makes one"),
        (lambda: {"csr": REQUEST.replace("MII", "MIA", 1)}, UNREADABLE, "the request: it cannot be read"),
        (lambda: {"csr": tampered(REQUEST)}, MISMATCH, "the request: its signature is not of the key in it"),
        (lambda: {"key": certs.key(number=1)}, MISMATCH, "to sign with another one, give its cacert"),
        (lambda: {"cacert": certs.root()}, MISMATCH, "the CA's certificate is not of this key"),
        (lambda: {"cacert": "hello"}, UNREADABLE, "the CA's certificate: neither PEM, nor DER"),
        (
            lambda: {"cacert": self_signed_with(certs.key())},
            UNSUPPORTED,
            "the CA's certificate may not sign others; make one with certtypes=['SSL_CA']",
        ),
    ],
)
def test_what_does_not_fit_is_named(make: Any, code: str, words: str) -> None:
    arguments = {"csr": REQUEST, "key": certs.key(), "validfrom": START, "validto": END, **make()}
    with pytest.raises(PemError, match=re.escape(words)) as caught:
        create.certificate(**arguments)
    assert caught.value.code == code


def tampered(request: str) -> bytes:
    der = certs.openssl_bytes("req", "-outform", "DER", data=request)
    return der.replace(b"a.example", b"b.example")


def self_signed_with(key: str) -> str:
    return create.certificate(create.csr(key, {"commonname": "a.example"}), key, START, END)


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        ("keyUsage=keyCertSign", "it asks to sign certificates, but not to be an authority"),
        ("keyUsage=cRLSign", "it asks to sign certificates, but not to be an authority"),
        ("extendedKeyUsage=OCSPSigning", "the purpose 1.3.6.1.5.5.7.3.9, which is not granted"),
        ("extendedKeyUsage=anyExtendedKeyUsage", "the purpose 2.5.29.37.0, which is not granted"),
    ],
)
def test_a_request_of_others_gets_no_power(extension: str, words: str, tmp_path: Path) -> None:
    assert ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string == "1.3.6.1.5.5.7.3.9"
    with pytest.raises(PemError, match=re.escape(words)) as caught:
        create.certificate(
            request_with(tmp_path, extension), certs.key(number=2), START, END, cacert=certs.middle(), ca=True
        )
    assert caught.value.code == UNSUPPORTED


def test_another_authority_needs_a_yes(tmp_path: Path) -> None:
    request = create.csr(certs.key(), {"commonname": "Evil"}, certtypes=["SSL_CA"])
    with pytest.raises(SettingError, match="ca: the request is for another authority; pass ca=True if"):
        create.certificate(request, certs.key(number=1), START, END, cacert=certs.root())
    # Limited to the level below itself, an authority can grant no other.
    limited = request_with(tmp_path, "basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=keyCertSign")
    below = create.certificate(limited, certs.key(number=1), START, END, cacert=certs.root(), ca=True)
    assert "CA:TRUE, pathlen:0" in text_of(below)
    with pytest.raises(PemError, match="may sign no other authorities"):
        create.certificate(request, certs.key(), START, END, cacert=below, ca=True)


def test_weak_keys_are_not_certified(tmp_path: Path) -> None:
    (tmp_path / "weak").write_text(openssl("genrsa", "1024"))
    request = openssl("req", "-new", "-key", f"{tmp_path}/weak", "-subj", "/CN=a.example")
    with pytest.raises(PemError, match="the request: an RSA key of 1024 bits is too short") as caught:
        create.certificate(request, certs.key(number=2), START, END, cacert=certs.middle())
    assert caught.value.code == "pem_key_unsupported_modulus_length"
