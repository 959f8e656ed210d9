"""`Response.set_basic` and `set_digest`: asking for a name and password (RFC 7617, RFC 7616)."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.request
from typing import Any

import pytest
from web import Answer, Client, head, serving

from greenbas import Request, Response
from greenbas.errors import IsCommitted, LocalProtocolError

REALMS = [
    pytest.param("simple", '"simple"', id="simple"),
    pytest.param("", '""', id="empty"),
    pytest.param('a "b" \\c', '"a \\"b\\" \\\\c"', id="9110 5.6.4: escapes"),
    pytest.param('", nonce="x', '"\\", nonce=\\"x"', id="no other parameter"),
    pytest.param("größer", '"größer"', id="letters"),
    pytest.param("a,b=c", '"a,b=c"', id="separators"),
]


def challenged(method: str, realm: str) -> Answer:
    """What a client gets; it is asked again on the same connection."""

    def handler(request: Request, response: Response) -> str:
        response.set_header("WWW-Authenticate", "Other")
        getattr(response, method)(realm)
        return "who are you?"

    with serving(handler) as server, Client(server) as client:
        client.ask(head("GET / HTTP/1.1"))
        return client.ask(head("GET / HTTP/1.1"))


@pytest.mark.parametrize(("realm", "quoted"), REALMS)
def test_basic(realm: str, quoted: str) -> None:
    found = challenged("set_basic", realm)
    assert (found.status, found.body) == (401, b"who are you?")
    assert found["WWW-Authenticate"] == f'Basic realm={quoted}, charset="UTF-8"'


@pytest.mark.parametrize(("realm", "quoted"), REALMS)
def test_digest(realm: str, quoted: str) -> None:
    """7616 3.7: the better algorithm first; clients take the first that they know."""
    found = challenged("set_digest", realm)
    assert (found.status, found.body) == (401, b"who are you?")
    start = re.escape(f'Digest realm={quoted}, qop="auth", nonce=')
    first, second = found.all("WWW-Authenticate")
    better, worse = (
        re.fullmatch(f'{start}"([^"]+)", algorithm={algorithm}', challenge)
        for algorithm, challenge in (("SHA-256", first), ("MD5", second))
    )
    assert better and worse and better[1] == worse[1] and len(better[1]) >= 16


def test_nonces_differ() -> None:
    nonces: set[str] = set()
    with serving(lambda request, response: response.set_digest("r")) as server, Client(server) as client:
        for _ in range(100):
            nonces.update(re.findall('nonce="(.*?)"', client.ask(head("GET / HTTP/1.1")).all("WWW-Authenticate")[0]))
    assert len(nonces) == 100


@pytest.mark.parametrize("method", ["set_basic", "set_digest"])
@pytest.mark.parametrize("realm", ["a\r\nSet-Cookie: b=c", "a\nb", "a\0", "\x7f", "€"])
def test_a_realm_cannot_split_the_head(method: str, realm: str) -> None:
    def handler(request: Request, response: Response) -> str:
        with pytest.raises(LocalProtocolError):
            getattr(response, method)(realm)
        return "x"

    with serving(handler) as server, Client(server) as client:
        found = client.ask(head("GET / HTTP/1.1"))
    assert found.body == b"x" and "Set-Cookie" not in found


@pytest.mark.parametrize("method", ["set_basic", "set_digest"])
def test_after_the_commit(method: str) -> None:
    def handler(request: Request, response: Response) -> None:
        response.flush()
        with pytest.raises(IsCommitted):
            getattr(response, method)("r")

    with serving(handler) as server, Client(server) as client:
        assert client.ask(head("GET / HTTP/1.1")).status == 200


def test_a_client_answers_basic() -> None:
    """The standard library's, which knows how."""

    def handler(request: Request, response: Response) -> str:
        given = request.header("authorization")
        if given is None:
            response.set_basic("größe")
            return "who?"
        return given

    assert opened(handler, urllib.request.HTTPBasicAuthHandler) == b"Basic bmFtZTpwYXNz"


def test_a_client_answers_digest() -> None:
    def handler(request: Request, response: Response) -> str:
        given = request.header("authorization")
        if given is None:
            response.set_digest("r")
            return "who?"
        return given

    text = opened(handler, Sha256Handler).decode()
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', text.removeprefix("Digest ")))
    assert given["algorithm"] == "SHA-256"
    inner = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:auth:{sha256('GET:/')}"
    assert given["response"] == sha256(f"{sha256('name:r:pass')}:{inner}")


def sha256(text: str) -> str:
    """Its hash in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


class Sha256Handler(urllib.request.HTTPDigestAuthHandler):
    """The standard library's client, which takes the first challenge and alone knows no SHA-256."""

    def get_algorithm_impls(self, algorithm: str) -> Any:
        assert algorithm == "SHA-256"
        return sha256, lambda secret, data: sha256(f"{secret}:{data}")


def opened(handler: Any, kind: Any) -> bytes:
    """What urllib gets that knows the password."""
    with serving(handler) as server:
        url = f"http://127.0.0.1:{server.listeners[0].port}/"
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, url, "name", "pass")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), kind(passwords))
        with opener.open(url, timeout=10) as found:
            assert isinstance(found, http.client.HTTPResponse)
            return found.read()
