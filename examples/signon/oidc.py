"""Logging in at somebody else's: the authorization code flow of OpenID Connect Core 1.0, with PKCE (RFC 7636).

Everything blocks, as it may in a handler. Where the provider's TLS certificate can be trusted, this is safe against
providers that are mixed up, codes that are planted, and tokens that are used again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request as Fetch
from urllib.request import urlopen

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["Provider", "SignOnError"]

TIMEOUT = 10.0  # seconds for each question to the provider
LEEWAY = 60  # seconds that clocks may differ
MAX_ANSWER = 1 << 20  # bytes


class SignOnError(Exception):
    """What came back is not a login."""


@dataclass
class Provider:
    """Somebody who knows the users.

    Attributes:
        issuer: the provider's address, as its tokens name it.
        client_id, client_secret: what it has given us.
        redirect_uri: where it sends people back to, as it was told.
    """

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    _known: dict[str, Any] | None = None

    def begin(self) -> tuple[str, dict[str, str]]:
        """Where to send somebody, and what to keep for `finish` in his session."""
        kept = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        question = {
            "response_type": "code",
            "scope": "openid profile",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": kept["state"],
            "nonce": kept["nonce"],
            "code_challenge": encode(hashlib.sha256(kept["verifier"].encode()).digest()),
            "code_challenge_method": "S256",
        }
        return f"{self._metadata()['authorization_endpoint']}?{urlencode(question)}", kept

    def finish(self, answer: dict[str, str], kept: dict[str, str]) -> dict[str, Any]:
        """The claims about somebody who has come back.

        Args:
            answer: the parameters that he has come back with.
            kept: what `begin` has said to keep.

        Raises:
            SignOnError: he has not logged in, or somebody has meddled with it.
        """
        if not secrets.compare_digest(answer.get("state", "").encode(), kept["state"].encode()):
            raise SignOnError("the state is not the one that was sent: this was begun elsewhere")
        if "error" in answer or "code" not in answer:
            raise SignOnError(f"the provider says {answer.get('error', 'nothing')!r:.80}")
        fields = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "code_verifier": kept["verifier"],
        }
        token = self._fetch(self._metadata()["token_endpoint"], urlencode(fields).encode()).get("id_token")
        if not isinstance(token, str):
            raise SignOnError("the provider has sent no token")
        return self._checked(self._claims(token), kept["nonce"])

    def _checked(self, claims: dict[str, Any], nonce: str) -> dict[str, Any]:
        # Core 3.1.3.7
        audience = claims.get("aud")
        if claims.get("iss") != self.issuer:
            raise SignOnError("the token is of another provider")
        if audience != self.client_id and audience != [self.client_id]:
            raise SignOnError("the token is for somebody else")
        if not isinstance(claims.get("exp"), int | float) or claims["exp"] < time.time() - LEEWAY:
            raise SignOnError("the token has expired")
        if claims.get("nonce") != nonce:
            raise SignOnError("the token is of another login")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise SignOnError("the token names nobody")
        return claims

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            head, body, signature = token.split(".")
            header, claims = json.loads(decode(head)), json.loads(decode(body))
            signed, signature_bytes = f"{head}.{body}".encode(), decode(signature)
            keys = self._fetch(self._metadata()["jwks_uri"])["keys"]
            key = next(key for key in keys if key.get("kid") == header.get("kid"))
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise SignOnError("the token cannot be read") from error
        try:
            verify(header.get("alg"), key, signed, signature_bytes)
        except (InvalidSignature, ValueError, KeyError) as error:
            raise SignOnError("the token is not signed by the provider") from error
        if not isinstance(claims, dict):
            raise SignOnError("the token cannot be read")
        return claims

    def _metadata(self) -> dict[str, Any]:
        if self._known is None:
            known = self._fetch(f"{self.issuer}/.well-known/openid-configuration")
            if known.get("issuer") != self.issuer:
                raise SignOnError("the provider says that it is another one")
            self._known = known
        return self._known

    def _fetch(self, url: str, data: bytes | None = None) -> dict[str, Any]:
        try:
            with urlopen(Fetch(url, data), timeout=TIMEOUT) as answer:
                found = json.loads(answer.read(MAX_ANSWER))
        except (OSError, ValueError) as error:
            raise SignOnError(f"the provider does not answer: {error}") from error
        if not isinstance(found, dict):
            raise SignOnError("the provider's answer makes no sense")
        return found


def verify(algorithm: object, key: dict[str, str], signed: bytes, signature: bytes) -> None:
    """Check a signature (RFC 7518 3.3, 3.4). The algorithm has to be one of the key's kind, never "none"."""
    if algorithm == "ES256" and key["kty"] == "EC" and key["crv"] == "P-256" and len(signature) == 64:
        point = ec.EllipticCurvePublicNumbers(number(key["x"]), number(key["y"]), ec.SECP256R1())
        pair = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        point.public_key().verify(encode_dss_signature(*pair), signed, ec.ECDSA(SHA256()))
    elif algorithm == "RS256" and key["kty"] == "RSA":
        numbers = rsa.RSAPublicNumbers(number(key["e"]), number(key["n"]))
        numbers.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
    else:
        raise ValueError(f"{algorithm!r:.20} with such a key")


def number(text: str) -> int:
    """A number as keys have it."""
    return int.from_bytes(decode(text), "big")


def encode(data: bytes) -> str:
    """Base64 as tokens have it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of such base64."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
