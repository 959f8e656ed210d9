"""Single sign-on against a provider of this test: the whole way, and everything that may be wrong on it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from launch import free_port, launched
from web import directory, serving

from greenbas import Request, Response


def encode(data: bytes) -> str:
    """Base64 as tokens have it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """An OpenID provider where everybody is ann at once. What `changes` has goes into the token or its header."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.other = ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.issuer = ""
        self.codes: dict[str, dict[str, str]] = {}
        self.reset()

    def reset(self) -> None:
        self.claims: dict[str, Any] = {}
        self.algorithm, self.kid, self.signer, self.answer = "ES256", "ec", self.key, None

    def handle(self, request: Request, response: Response) -> Any:
        if request.path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        return {"/authorize": self.authorize, "/token": self.token, "/keys": self.keys}[request.path](request, response)

    def authorize(self, request: Request, response: Response) -> None:
        asked = request.data()
        assert (asked["client_id"], asked["response_type"]) == ("greenbas", "code")
        assert asked["code_challenge_method"] == "S256"
        code = f"code{len(self.codes)}"
        self.codes[code] = asked
        response.send_redirect(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    def token(self, request: Request, response: Response) -> Any:
        if self.answer is not None:
            return self.answer
        given = request.data()
        asked = self.codes.pop(given["code"], None)
        challenge = encode(hashlib.sha256(given["code_verifier"].encode()).digest())
        if asked is None or given["client_secret"] != "secret" or challenge != asked["code_challenge"]:
            response.status = 400
            return {"error": "invalid_grant"}
        claims = {
            "iss": self.issuer, "aud": "greenbas", "sub": "0815", "preferred_username": "ann",
            "exp": time.time() + 60, "nonce": asked["nonce"],
        } | self.claims  # fmt: skip
        return {"id_token": self.sign(claims), "token_type": "Bearer", "access_token": "x"}

    def sign(self, claims: Any) -> str:
        head = {"alg": self.algorithm, "kid": self.kid}
        text = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
        if self.algorithm == "RS256":
            signature = self.rsa.sign(text.encode(), padding.PKCS1v15(), SHA256())
        elif self.algorithm == "none":
            signature = b""
        else:
            pair = decode_dss_signature(self.signer.sign(text.encode(), ec.ECDSA(SHA256())))
            signature = b"".join(number.to_bytes(32, "big") for number in pair)
        return f"{text}.{encode(signature)}"

    def keys(self, request: Request, response: Response) -> Any:
        point, numbers = self.key.public_key().public_numbers(), self.rsa.public_key().public_numbers()
        x, y = (encode(number.to_bytes(32, "big")) for number in (point.x, point.y))
        n, e = encode(numbers.n.to_bytes(256, "big")), encode(numbers.e.to_bytes(3, "big"))
        return {
            "keys": [
                {"kty": "EC", "crv": "P-256", "kid": "ec", "x": x, "y": y},
                {"kty": "RSA", "kid": "rsa", "n": n, "e": e},
            ]
        }


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, Provider]]:
    provider = Provider()
    with serving() as server:
        server.insert(directory(None, provider.handle))
        provider.issuer = f"http://127.0.0.1:{server.listeners[0].port}"
        port = free_port()
        site = f"http://127.0.0.1:{port}"
        with (
            mock.patch.dict(os.environ, SIGNON_ISSUER=provider.issuer, SIGNON_HERE=site),
            launched("examples.signon.site:server", "--port", str(port)),
        ):
            yield site, provider


@pytest.fixture
def site(running: tuple[str, Provider]) -> str:
    running[1].reset()
    return running[0]


@pytest.fixture
def provider(running: tuple[str, Provider]) -> Provider:
    return running[1]


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_the_whole_way(site: str, provider: Provider, browser: requests.Session, algorithm: str) -> None:
    provider.algorithm, provider.kid = algorithm, {"ES256": "ec", "RS256": "rsa"}[algorithm]
    assert browser.get(f"{site}/staff/", timeout=10).status_code == 403
    page = browser.get(f"{site}/private/mail", timeout=10)
    assert (page.url, "Hello, ann!" in page.text) == (f"{site}/private/mail", True)
    steps = [urlsplit(one.url).path for one in page.history]
    assert steps == ["/private/mail", "/signon/", "/authorize", "/signon/back"]
    assert browser.get(f"{site}/staff/", timeout=10).text == "for the staff"  # one login counts everywhere
    assert browser.get(f"{site}/logout/", timeout=10).text == "Goodbye."
    assert browser.get(f"{site}/staff/", timeout=10).status_code == 403


def test_the_session_gets_a_new_id(site: str, browser: requests.Session) -> None:
    browser.get(f"{site}/signon/", timeout=10, allow_redirects=False)
    before = browser.cookies["gbsid"]
    browser.get(f"{site}/private/", timeout=10)
    assert browser.cookies["gbsid"] != before


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "http://evil.example"}, {"aud": "other"}, {"aud": ["greenbas", "other"]}, {"aud": None}, {"exp": 5},
        {"exp": None}, {"nonce": "x"}, {"nonce": None}, {"sub": ""}, {"sub": None},
    ],
)  # fmt: skip
def test_tokens_with_wrong_claims(site: str, provider: Provider, browser: requests.Session, wrong: Any) -> None:
    provider.claims = wrong
    refuses(site, browser)


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("none", "ec"), ("HS256", "ec"), ("ES256", "rsa"), ("RS256", "ec"), ("ES256", "x")]
)
def test_tokens_with_wrong_headers(
    site: str, provider: Provider, browser: requests.Session, algorithm: str, kid: str
) -> None:
    provider.algorithm, provider.kid = algorithm, kid
    refuses(site, browser)


def test_tokens_that_others_have_signed(site: str, provider: Provider, browser: requests.Session) -> None:
    provider.signer = provider.other
    refuses(site, browser)


@pytest.mark.parametrize(
    "answer", [{}, {"id_token": 5}, {"id_token": "a.b.c"}, {"id_token": ""}, {"id_token": "e30.e30.e30"}, [], "x"]
)
def test_answers_without_a_token(site: str, provider: Provider, browser: requests.Session, answer: Any) -> None:
    provider.answer = answer
    refuses(site, browser)


def refuses(site: str, browser: requests.Session) -> None:
    page = browser.get(f"{site}/private/", timeout=10)
    assert page.status_code == 403
    assert browser.get(f"{site}/staff/", timeout=10).status_code == 403
    assert browser.get(f"{site}/logout/", timeout=10).text == "You had not logged in."


def come_back(browser: requests.Session, site: str, **changes: str) -> requests.Response:
    away = browser.get(f"{site}/signon/", timeout=10, allow_redirects=False).headers["Location"]
    back = browser.get(away, timeout=10, allow_redirects=False).headers["Location"]
    given = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()} | changes
    return browser.get(f"{site}/signon/back?{urlencode(given)}", timeout=10, allow_redirects=False)


@pytest.mark.parametrize(
    "changes", [{"state": "x"}, {"state": ""}, {"code": "x"}, {"error": "access_denied"}, {"state": "ü"}]
)
def test_what_was_meddled_with(site: str, browser: requests.Session, changes: dict[str, str]) -> None:
    assert come_back(browser, site, **changes).status_code == 403


def test_a_login_is_for_who_has_begun_it(site: str, browser: requests.Session) -> None:
    away = browser.get(f"{site}/signon/", timeout=10, allow_redirects=False).headers["Location"]
    back = browser.get(away, timeout=10, allow_redirects=False).headers["Location"]
    with requests.Session() as other:
        assert other.get(back, timeout=10).status_code == 400
    assert browser.get(back, timeout=10, allow_redirects=False).status_code == 302
    assert browser.get(back, timeout=10, allow_redirects=False).status_code == 400  # for one try
