"""Digest authentication on the wire (RFC 7616): challenges, hashes, and what the server proves in return."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial

from greenbas.protocol.authorization import DigestClaim
from greenbas.protocol.headers import quoted

__all__ = ["ALGORITHMS", "authentication_info", "digest_challenge", "expected_response", "ha1"]

# The better one first, as challenges offer them (RFC 7616 3.7).
ALGORITHMS: dict[str, Callable[[bytes], hashlib._Hash]] = {
    "SHA-256": hashlib.sha256,
    "MD5": partial(hashlib.md5, usedforsecurity=False),
}

TARGETS = 1000  # hashes of method and URI that are remembered, as clients ask for the same again; 8 MB at most


def digest_challenge(realm: str, nonce: str, algorithm: str, stale: bool = False) -> str:
    """The value of a WWW-Authenticate field.

    Args:
        realm: what clients show, and what goes into the hash.
        nonce: fresh.
        algorithm: "SHA-256" or "MD5".
        stale: the client's password was right, only its nonce was not: it need not ask its user again.
    """
    old = ", stale=true" if stale else ""
    return (
        f'Digest realm={quoted(realm)}, domain="/", qop="auth", algorithm={algorithm}, nonce="{nonce}"{old}, '
        "charset=UTF-8"
    )


def ha1(algorithm: str, name: str, realm: str, password: str) -> str:
    """The hash of name, realm and password that proofs are made of, in lower-case hexadecimal (RFC 7616 3.4.2)."""
    return _hash(algorithm, f"{name}:{realm}:{password}")


def expected_response(secret: str, method: str, claim: DigestClaim) -> str:
    """The hash that proves a claim (RFC 7616 3.4.1).

    Args:
        secret: the `ha1` of the user.
        method: of the request; "" for what the server proves in return (3.5).
        claim: what else goes into it.
    """
    a2 = _hash_of_target(claim.algorithm, method, claim.uri)
    return _hash(claim.algorithm, f"{secret}:{claim.nonce}:{claim.nc}:{claim.cnonce}:auth:{a2}")


def authentication_info(secret: str, claim: DigestClaim, next_nonce: str | None = None) -> str:
    """The value of an Authentication-Info field: that we know the password too (RFC 7616 3.5).

    Args:
        secret: the `ha1` of the user.
        claim: what the client has sent.
        next_nonce: the nonce to go on with.
    """
    proof = f'rspauth="{expected_response(secret, "", claim)}", cnonce={quoted(claim.cnonce)}, nc={claim.nc}, qop=auth'
    return proof if next_nonce is None else f'nextnonce="{next_nonce}", {proof}'


@lru_cache(TARGETS)
def _hash_of_target(algorithm: str, method: str, uri: str) -> str:
    return _hash(algorithm, f"{method}:{uri}")


def _hash(algorithm: str, text: str) -> str:
    data = text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass")
    return ALGORITHMS[algorithm](data).hexdigest()
