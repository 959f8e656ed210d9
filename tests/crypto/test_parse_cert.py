"""Certificates read: what BAS's table has, bundles in all formats, and the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import certifi
import certs
import pytest
from certs import END, START, openssl, openssl_bytes
from cryptography import x509

from greenbas import create
from greenbas.crypto import CertStore, describe_chain, parse_cert, parse_cert_time, read_certificates, self_signed
from greenbas.errors import NotFound, PemError, SettingError
from greenbas.io import DiskIo, MemoryIo

UNREADABLE = "pem_cert_unrecognized_format"
EMPTY = dict.fromkeys(("countryname", "province", "locality", "organization", "unit", "commonname", "email"), "")
FULL = {
    "countryname": "SE",
    "province": "Skåne",
    "locality": "Malmö",
    "organization": "Räksmörgås AB",
    "unit": "Web",
    "commonname": "a.example",
    "email": "ops@a.example",
}


# -- as data ------------------------------------------------------------------------------------------------------


def test_every_part() -> None:
    certificate = certs.leaf(dn=FULL, san="a.example;*.b.example;10.0.0.1;me@a.example")
    told = parse_cert(certificate)
    assert told == {
        "subject": FULL,
        "issuer": EMPTY | {"commonname": "Test Middle"},
        "tzfrom": START.strftime("%y%m%d%H%M%SZ"),
        "tzto": END.strftime("%y%m%d%H%M%SZ"),
        "san": ["a.example", "*.b.example"],
        "parent": None,
    }
    assert parse_cert_time(told["tzto"]) == int(END.timestamp())
    assert parse_cert(der(certificate)) == parse_cert(certificate.encode()) == told


def test_a_chain() -> None:
    told = parse_cert(certs.leaf() + certs.middle() + certs.root())
    names = []
    one: Any = told
    while one is not None:
        names.append((one["subject"]["commonname"], one["issuer"]["commonname"]))
        one = one["parent"]
    assert names == [("a.example", "Test Middle"), ("Test Middle", "Test Root"), ("Test Root", "Test Root")]
    assert describe_chain(read_certificates(certs.leaf() + certs.middle() + certs.root())) == told


def test_a_name_can_be_used_again() -> None:
    subject = parse_cert(certs.leaf(dn={"commonname": "a.example", "unit": "Web"}))["subject"]
    assert parse_cert(certs.leaf(dn=subject))["subject"] == subject


def test_names_with_several_values(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(certs.key())
    subject = "/OU=One/OU=Two/CN=a.example"
    made = openssl("req", "-x509", "-new", "-key", f"{tmp_path}/key", "-subj", subject, "-days", "20000")
    told = parse_cert(made)
    assert told["subject"] == EMPTY | {"unit": "One, Two", "commonname": "a.example"}
    assert len(told["tzto"]) == len("20800101000000Z")
    assert told["san"] == []


# -- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A PEM file with a leaf, the authority above it, and a root."""
    path = tmp_path / "bundle.pem"
    path.write_text(certs.leaf() + certs.middle() + certs.root())
    return path


FORMATS = {
    "PEM": lambda path: path.read_bytes(),
    "str": lambda path: path.read_text(),
    "CR LF, with a key and words": lambda path: (
        "Friendly name: \N{SNOWMAN}\n" + certs.key() + path.read_text()
    ).replace("\n", "\r\n"),
    "p7b as PEM": lambda path: openssl_bytes("crl2pkcs7", "-nocrl", "-certfile", str(path)),
    "p7b as DER": lambda path: openssl_bytes("crl2pkcs7", "-nocrl", "-certfile", str(path), "-outform", "DER"),
    "p7b of Windows": lambda path: openssl("crl2pkcs7", "-nocrl", "-certfile", str(path)).replace(
        "PKCS7", "PKCS #7 SIGNED DATA"
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_bundles(form: str, bundle: Path) -> None:
    data = FORMATS[form](bundle)
    found = read_certificates(data)
    expected = x509.load_pem_x509_certificates(bundle.read_bytes())
    assert set(found) == set(expected)
    assert len(found) == 3
    if "p7b" not in form:  # a set has no order of its own
        assert found == expected
    store = create.certstore()
    assert store.add_cert(data) == 3
    assert store.certificates == tuple(found)


def test_the_roots_of_the_web() -> None:
    store = CertStore()
    data = Path(certifi.where()).read_bytes()
    assert store.add_cert(data) == data.count(b"-----BEGIN CERTIFICATE-----") > 100


def der(certificate: str) -> bytes:
    return openssl_bytes("x509", "-outform", "DER", data=certificate)


def cut(text: str) -> str:
    return text[: len(text) // 2]


BAD = {
    "empty": (lambda: "", "the data: it is empty"),
    "white space": (lambda: b" \n", "the data: it is empty"),
    "no certificate": (lambda: "hello", "the data: neither PEM, nor DER of a certificate, nor a p7b file"),
    "binary": (lambda: bytes(range(256)), "the data: neither PEM, nor DER"),
    "a key": (lambda: certs.key(), "the data: no certificate, only a PRIVATE KEY"),
    "a key and a request": (
        lambda: certs.key() + create.csr(certs.key(), {"commonname": "a"}),
        "the data: no certificate, only a PRIVATE KEY and a CERTIFICATE REQUEST",
    ),
    "cut off": (lambda: cut(certs.root()), "the data: the END line is missing; the file is cut off"),
    "the second cut off": (lambda: certs.root() + cut(certs.middle()), "the data: certificate 2 of 2: the END line"),
    "the first cut off": (lambda: cut(certs.root()) + certs.middle(), "the data: certificate 1 of 2: the END line"),
    "no base64": (lambda: certs.root().replace("MII", "M!I"), "is no base64"),
    "no content": (
        lambda: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "the text between BEGIN and END is no base64",
    ),
    "garbage": (
        lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "the data: it cannot be read as a certificate: ",
    ),
    "a version that is none": (
        lambda: der(certs.root()).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),
        "neither PEM, nor DER",
    ),
    "garbage as p7b": (
        lambda: "-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n",
        "the data: it cannot be read as PKCS #7: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong(name: str) -> None:
    make, words = BAD[name]
    for read in (read_certificates, parse_cert, CertStore().add_cert):
        with pytest.raises(PemError, match=re.escape(words)) as caught:
            read(make())
        assert caught.value.code == UNREADABLE


def test_the_format_of_openssl_itself() -> None:
    trusted = openssl("x509", "-trustout", "-addtrust", "serverAuth", data=certs.root())
    with pytest.raises(PemError, match="convert it with: openssl x509 -in OLD -out NEW") as caught:
        read_certificates(trusted)
    assert caught.value.code == "pem_cert_unsupported_type"


def test_an_empty_bundle() -> None:
    empty = openssl("crl2pkcs7", "-nocrl")
    with pytest.raises(PemError) as caught:
        read_certificates(empty)
    assert caught.value.code == UNREADABLE


def test_a_damaged_part_is_told_when_it_is_described() -> None:
    # A text that says to be a boolean: it is looked at only when the name is asked for.
    sound = der(certs.leaf(dn=FULL))
    broken = sound.replace(b"\x0c\x09a.example", b"\x01\x09a.example", 1)
    assert broken != sound
    assert len(read_certificates(broken)) == 1
    with pytest.raises(PemError, match="a part of it cannot be read") as caught:
        parse_cert(broken)
    assert caught.value.code == UNREADABLE


# -- the store ----------------------------------------------------------------------------------------------------


def test_store_counts_what_is_new() -> None:
    store = CertStore()
    assert (len(store), repr(store)) == (0, "<CertStore 0 certificates>")
    assert store.add_cert(certs.root()) == 1
    assert store.add_cert(certs.root() + certs.middle() + certs.middle()) == 1
    assert store.add_cert(certs.root()) == 0
    root, middle = read_certificates(certs.root() + certs.middle())
    assert list(store) == [root, middle]
    assert root in store
    assert read_certificates(self_signed("x")[0])[0] not in store


def test_store_takes_all_or_nothing() -> None:
    store = CertStore()
    with pytest.raises(PemError):
        store.add_cert(certs.root() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert len(store) == 0


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_store_reads_files(kind: str, bundle: Path) -> None:
    io = DiskIo(bundle.parent) if kind == "disk" else MemoryIo()
    if kind == "memory":
        with io.open("bundle.pem", "w") as handle:
            handle.write(bundle.read_bytes())
    with io.open("bad.pem", "w") as handle:
        handle.write(b"hello")
    store = CertStore()
    assert store.add_cert(io, "bundle.pem") == 3
    with pytest.raises(NotFound, match=r"missing\.pem"):
        store.add_cert(io, "missing.pem")
    with pytest.raises(PemError, match=r"'bad\.pem': neither PEM"):
        store.add_cert(io, "bad.pem")


def test_store_misused() -> None:
    store: Any = CertStore()
    with pytest.raises(SettingError, match="an I/O and the name of a file"):
        store.add_cert(MemoryIo())
    with pytest.raises(SettingError, match=r"'root\.pem' is to be read from an I/O; give it as the first argument"):
        store.add_cert("data", "root.pem")
