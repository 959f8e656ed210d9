"""Digest authentication on the wire: the examples of RFC 7616, and Authorization fields of every kind."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.protocol.authorization import BasicClaim, DigestClaim, is_name, is_password, parse_authorization
from greenbas.protocol.digest import authentication_info, digest_challenge, expected_response, ha1

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
MD5 = "8ca523f5e9506fed4657c9700eebdbec"
SHA256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def claimed(algorithm: str, response: str) -> DigestClaim:
    return DigestClaim(
        "Mufasa", "http-auth@example.org", NONCE, "/dir/index.html", response, algorithm, "00000001", CNONCE
    )


@pytest.mark.parametrize(("algorithm", "response"), [("MD5", MD5), ("SHA-256", SHA256)])
def test_example_of_the_rfc(algorithm: str, response: str) -> None:
    """7616 3.9.1"""
    secret = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert expected_response(secret, "GET", claimed(algorithm, response)) == response


def test_the_field_of_the_rfc() -> None:
    field = (
        'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256, '
        f'nonce="{NONCE}", nc=00000001, cnonce="{CNONCE}", qop=auth, response="{SHA256}", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert parse_authorization(field.encode()) == claimed("SHA-256", SHA256)


GOOD = {
    "username": '"ann"',
    "realm": '"r"',
    "nonce": '"n"',
    "uri": '"/x"',
    "response": f'"{SHA256}"',
    "algorithm": "SHA-256",
    "qop": "auth",
    "nc": "0000000a",
    "cnonce": '"c"',
}


def digest_field(scheme: str = "Digest", **changes: str | None) -> bytes:
    fields = {**GOOD, **{name.replace("_star", "*"): value for name, value in changes.items()}}
    return f"{scheme} {', '.join(f'{name}={value}' for name, value in fields.items() if value is not None)}".encode(
        "latin-1"
    )


@pytest.mark.parametrize(
    ("field", "attribute", "expected"),
    [
        pytest.param(digest_field(), "nc", "0000000a", id="plain"),
        pytest.param(digest_field("dIGEST"), "name", "ann", id="scheme in any case"),
        pytest.param(digest_field(algorithm='"sha-256"'), "algorithm", "SHA-256", id="algorithm in any case, quoted"),
        pytest.param(digest_field(algorithm=None, response=f'"{MD5}"'), "algorithm", "MD5", id="MD5 without algorithm"),
        pytest.param(digest_field(qop='"auth"'), "name", "ann", id="qop quoted, as old clients do"),
        pytest.param(digest_field(response=f'"{SHA256.upper()}"'), "response", SHA256, id="upper case"),
        pytest.param(digest_field(username='"a\\"b\\\\c"'), "name", 'a"b\\c', id="escapes"),
        pytest.param(digest_field(username='"DOM\\ann"'), "name", "DOM\\ann", id="no escape: Windows"),
        pytest.param(digest_field(username='"a,b=c"'), "name", "a,b=c", id="separators in quotes"),
        pytest.param(digest_field(username='"gr\xc3\xb6\xc3\x9fe"'), "name", "größe", id="UTF-8"),
        pytest.param(digest_field(username='"gr\xf6\xdfe"'), "name", "größe", id="latin-1"),
        pytest.param(digest_field(username=None, username_star="utf-8''J%C3%A4s%C3%B8n"), "name", "Jäsøn", id="7616 4"),
        pytest.param(digest_field(opaque='""', userhash="false"), "name", "ann", id="more parameters"),
        pytest.param(digest_field().replace(b", ", b" \t,, "), "name", "ann", id="9110 5.6.1: empty elements"),
        pytest.param(digest_field().replace(b"=", b" = "), "name", "ann", id="spaces around ="),
        pytest.param(digest_field() + b" ,", "name", "ann", id="comma at the end"),
    ],
)  # fmt: skip
def test_digest_fields(field: bytes, attribute: str, expected: str) -> None:
    claim = parse_authorization(field)
    assert isinstance(claim, DigestClaim)
    assert getattr(claim, attribute) == expected


BROKEN = [
    b"", b" ", b"Digest", b"Digest ", b"Digest x", b"Digest =", b"Digest a=b", b"Bearer abc", b"Negotiate", b"\xff\xfe",
    b"Digest " + b"," * 9000, b"Digest " + b'a="' * 4000, b'Digest username="' + b"\\" * 15_000,
    b"Digest " + b"a=b," * 4000, b"Digest" + b" " * 15_000,
    *[digest_field(**{name: None}) for name in GOOD if name != "algorithm"],
    digest_field(algorithm=None), digest_field(algorithm="SHA-512-256"), digest_field(algorithm="SHA-256-sess"),
    digest_field(algorithm="MD5"), digest_field(qop="auth-int"), digest_field(qop='"auth,auth-int"'),
    digest_field(qop=""), digest_field(nc="1"), digest_field(nc="0000000g"), digest_field(nc="-0000001"),
    digest_field(nc="000000001"), digest_field(response='""'), digest_field(response=f'"{"g" * 64}"'),
    digest_field(cnonce='""'), digest_field(cnonce='"a\r\nb"'), digest_field(cnonce='"\xe9"'),
    digest_field(cnonce=f'"{"c" * 257}"'), digest_field(username='""'), digest_field(username='"a\0b"'),
    digest_field(username=f'"{"a" * 256}"'), digest_field(username='"a\x1bb"'), digest_field(username='"a\x85b"'),
    digest_field(username='"ann'), digest_field(username='ann"'), digest_field(userhash="true"),
    digest_field(username_star="UTF-8''ann"), digest_field(username=None, username_star="UTF-8''%ff"),
    digest_field(username=None, username_star="ISO-8859-1''ann"), digest_field(username=None, username_star="ann"),
    digest_field() + b', username="bob"', digest_field() + b', USERNAME="bob"', digest_field() + b" junk",
    digest_field() + b', nonce="m"', digest_field().replace(b", ", b" "),
]  # fmt: skip


@pytest.mark.parametrize("field", BROKEN, ids=lambda field: repr(field[:40]))
def test_what_is_no_credential(field: bytes) -> None:
    assert parse_authorization(field) is None


def basic(data: bytes) -> bytes:
    return b"Basic " + base64.b64encode(data)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(basic(b"Aladdin:open sesame"), ("Aladdin", "open sesame"), id="7617 2"),
        pytest.param(b"Basic dGVzdDoxMjPCow==", ("test", "123\N{POUND SIGN}"), id="7617 2.1: UTF-8"),
        pytest.param(basic("a:ü".encode("latin-1")), ("a", "ü"), id="latin-1"),
        pytest.param(basic(b"a:b:c"), ("a", "b:c"), id="colon in the password"),
        pytest.param(b"bAsIc  " + base64.b64encode(b"a:b") + b" ", ("a", "b"), id="case and spaces"),
        pytest.param(basic(b"a"), None, id="no colon"),
        pytest.param(basic(b""), None, id="nothing"),
        pytest.param(basic(b"a:"), None, id="no password"),
        pytest.param(basic(b":b"), None, id="no name"),
        pytest.param(basic(b"a\0:b"), None, id="NUL in the name"),
        pytest.param(basic(b"a:b\0"), None, id="NUL in the password"),
        pytest.param(basic(b"a:b\r\n"), None, id="line end"),
        pytest.param(basic(b"a" * 256 + b":b"), None, id="long name"),
        pytest.param(basic(b"a:" + b"b" * 1024), ("a", "b" * 1024), id="longest password"),
        pytest.param(basic(b"a:" + b"b" * 1025), None, id="too long a password"),
        pytest.param(b"Basic", None, id="only the scheme"),
        pytest.param(b"Basic YTpi!", None, id="no base64"),
        pytest.param(b"Basic YT pi", None, id="space inside"),
        pytest.param(b"Basic YTpi=", None, id="wrong padding"),
        pytest.param(b"Basic YTpiYw", None, id="padding missing"),
        pytest.param(b"Basic YTpi, realm=x", None, id="parameters"),
    ],
)
def test_basic_fields(field: bytes, expected: tuple[str, str] | None) -> None:
    assert parse_authorization(field) == (None if expected is None else BasicClaim(*expected))


@given(st.binary(max_size=200), st.sampled_from([b"", b"Basic ", b"Digest ", digest_field() + b","]))
def test_whatever_comes_is_read_or_not(data: bytes, before: bytes) -> None:
    claim = parse_authorization(before + data)
    assert claim is None or is_name(claim.name)


@given(st.text(max_size=300))
def test_names_and_passwords(text: str) -> None:
    for check in (is_name, is_password):
        assert not check(text) or (text and "\0" not in text and "\n" not in text)


@pytest.mark.parametrize(
    ("stale", "expected"),
    [(False, 'nonce="n", charset=UTF-8'), (True, 'nonce="n", stale=true, charset=UTF-8')],
)
def test_challenge(stale: bool, expected: str) -> None:
    made = digest_challenge('a "b"', "n", "SHA-256", stale)
    assert made == f'Digest realm="a \\"b\\"", domain="/", qop="auth", algorithm=SHA-256, {expected}'


@pytest.mark.parametrize(("following", "start"), [(None, 'rspauth="'), ("m", 'nextnonce="m", rspauth="')])
def test_authentication_info(following: Any, start: str) -> None:
    """7616 3.5: as the response, but without the method."""
    claim = claimed("SHA-256", SHA256)
    made = authentication_info("s", claim, following)
    proof = expected_response("s", "", claim)
    assert made == f'{start}{proof}", cnonce="{CNONCE}", nc=00000001, qop=auth'
