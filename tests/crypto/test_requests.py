"""Certificate signing requests, as openssl sees them."""

from __future__ import annotations

import re
from typing import Any

import certs
import pytest
from certs import openssl

from greenbas import create
from greenbas.errors import PemError, SettingError

NAME = {"commonname": "a.example"}
FULL = {
    "email": "ops@a.example",
    "commonname": "a.example",
    "unit": "Web",
    "organization": "Räksmörgås AB",
    "locality": "Malmö",
    "province": "Skåne",
    "countryname": "SE",
}


def text_of(request: str) -> str:
    assert "self-signature verify OK" in openssl("req", "-verify", "-noout", data=request, ok=False)
    options = ["-nameopt", "RFC2253,-esc_msb,utf8,-dn_rev", "-reqopt", "no_pubkey"]
    return re.sub(r"\s+", " ", openssl("req", "-noout", "-text", *options, data=request))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "Subject: CN=a.example "),
        ({}, "CA:FALSE X509v3 Key Usage: critical Digital Signature X509v3 Extended Key Usage: TLS Web Server Auth"),
        ({}, "X509v3 Subject Alternative Name: DNS:a.example "),
        ({}, "Signature Algorithm: ecdsa-with-SHA256"),
        ({"hash": "sha384"}, "Signature Algorithm: ecdsa-with-SHA384"),
        ({"hash": "sha512"}, "Signature Algorithm: ecdsa-with-SHA512"),
        (
            {"dn": FULL},
            "Subject: C=SE,ST=Skåne,L=Malmö,O=Räksmörgås AB,OU=Web,CN=a.example,emailAddress=ops@a.example ",
        ),
        ({"dn": {**NAME, "unit": ""}}, "Subject: CN=a.example "),
        ({"san": "a.example;*.a.example; 10.0.0.1 ;a.example;"}, ": DNS:a.example, DNS:*.a.example, IP Address:10."),
        ({"san": ["::1", "me@a.example"]}, "Name: IP Address:0:0:0:0:0:0:0:1, email:me@a.example "),
        ({"dn": {"commonname": "10.0.0.1"}}, "Name: IP Address:10.0.0.1 "),
        ({"certtypes": ["SSL_CLIENT", "SSL_SERVER"]}, "Usage: TLS Web Client Authentication, TLS Web Server Auth"),
        ({"certtypes": "OBJECT_SIGNING"}, "X509v3 Extended Key Usage: Code Signing"),
        ({"certtypes": ["SSL_CA"]}, "X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign "),
        ({"certtypes": ["OBJECT_SIGNING_CA"]}, "X509v3 Basic Constraints: critical CA:TRUE"),
        ({"certtypes": ["SSL_CA"], "keyusages": ["KEY_CERT_SIGN"]}, "Key Usage: critical Certificate Sign "),
        (
            {"keyusages": ["NON_REPUDIATION", "KEY_ENCIPHERMENT", "DATA_ENCIPHERMENT", "KEY_AGREEMENT", "CRL_SIGN"]},
            "critical Non Repudiation, Key Encipherment, Data Encipherment, Key Agreement, CRL Sign ",
        ),
    ],
    ids=str,
)
def test_openssl_sees(options: dict[str, Any], told: str) -> None:
    assert told in text_of(create.csr(certs.key(), **{"dn": NAME, **options}))


@pytest.mark.parametrize(
    "options",
    [
        {"san": ""},
        {"san": []},
        {"dn": {"commonname": "Ada Lovelace"}, "certtypes": ["SSL_CLIENT"]},
        {"certtypes": ["SSL_CA"]},
    ],
    ids=str,
)
def test_no_alternative_name(options: dict[str, Any]) -> None:
    assert "Alternative Name" not in text_of(create.csr(certs.key(), **{"dn": NAME, **options}))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("rsa", "sha256WithRSAEncryption"),
        ("ed25519", "Signature Algorithm: ED25519"),
        ("ed448", "Signature Algorithm: ED448"),
    ],
)
def test_kinds_of_keys(kind: str, told: str) -> None:
    assert told in text_of(create.csr(certs.key(kind), NAME))


def test_an_encrypted_key() -> None:
    locked = openssl("pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:secret", data=certs.key())
    text_of(create.csr({"key": locked, "pwd": "secret"}, NAME))
    text_of(create.csr({"key": certs.key()}, NAME))
    with pytest.raises(PemError) as caught:
        create.csr(locked, NAME)
    assert caught.value.code == "pem_key_passphrase_required"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dn": {}}, "dn: commonname is missing; give the name of the host, person or authority"),
        ({"dn": {"commonname": ""}}, "dn: commonname is missing"),
        ({"dn": {"commonName": "a"}}, "dn: there is no 'commonName'; did you mean 'commonname'?"),
        ({"dn": {**NAME, "country": "SE"}}, "dn: there is no 'country'; did you mean 'countryname'?"),
        ({"dn": {**NAME, "x": "SE"}}, "dn: there is no 'x'; use countryname, province, locality, organization, unit,"),
        ({"dn": {**NAME, "countryname": "SWE"}}, "dn: countryname is 'SWE'; it must be two letters, such as 'SE'"),
        ({"dn": {"commonname": "a" * 65}}, "dn: commonname has 65 characters, and 64 is the most"),
        ({"dn": {"commonname": "a\0.example"}}, "commonname has characters that cannot be printed: 'a\\x00.example'"),
        ({"dn": {"commonname": "a\nb"}}, "cannot be printed"),
        ({"dn": {"commonname": "\ud800"}}, "cannot be printed"),
        ({"dn": {"commonname": 7}}, "dn: commonname is 7, which is no str"),
        ({"san": "a b"}, "san: 'a b' is no host name, IP address or e-mail address"),
        ({"san": "a.*.example"}, "san: 'a.*.example' is no host name"),
        ({"san": "10.0.0.256"}, "san: '10.0.0.256' is no host name"),
        ({"san": "fe80::1%eth0"}, "san: 'fe80::1%eth0' is no host name"),
        ({"san": "a\0b"}, "san: 'a\\x00b' is no host name"),
        ({"san": f"{'a' * 64}.example"}, "is no host name"),
        ({"san": "bücher.example"}, "write letters that are not ASCII in the xn-- form"),
        ({"certtypes": ["SSL_SERVR"]}, "certtypes: there is no 'SSL_SERVR'; did you mean 'SSL_SERVER'?"),
        ({"certtypes": ["ssl_server"]}, "certtypes: there is no 'ssl_server'; did you mean 'SSL_SERVER'?"),
        ({"keyusages": ["SIGNATURE"]}, "keyusages: there is no 'SIGNATURE'; did you mean 'DIGITAL_SIGNATURE'?"),
        ({"keyusages": ["KEY_CERT_SIGN"]}, "KEY_CERT_SIGN is for authorities; add 'SSL_CA' to certtypes"),
        ({"certtypes": ["SSL_CA"], "keyusages": ["CRL_SIGN"]}, "an authority signs certificates; add 'KEY_CERT_SIGN'"),
        ({"hash": "sha1"}, "hash: there is no 'sha1'; did you mean 'sha"),
        ({"hash": "md5"}, "hash: there is no 'md5'; use sha256, sha384 or sha512"),
        ({"key": {"key": "x", "password": "y"}}, "key: there is no 'password'; did you mean 'pwd'?"),
        ({"key": {"pwd": "y"}}, "key: the dict has no 'key'"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        create.csr(**{"key": certs.key(), "dn": NAME, **options})
