"""The Authorization field: Basic (RFC 7617) and Digest (RFC 7616) credentials as they come from clients."""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = ["MAX_NAME", "MAX_PASSWORD", "BasicClaim", "DigestClaim", "is_name", "is_password", "parse_authorization"]

# What is longer is no name or password of anybody, and whoever sends it wants it hashed, logged or looked up.
MAX_NAME = 255  # characters
MAX_PASSWORD = 1024  # characters

MAX_CNONCE = 256  # characters

HEX_LENGTH = {"MD5": 32, "SHA-256": 64}
_ALGORITHMS = {name.lower(): name for name in HEX_LENGTH}
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Possessive throughout: whatever comes, a character is looked at once. So `findall` is only for what is all parameters.
_PARAMETER = re.compile(
    rf'[ \t,]*+({_TOKEN}+)[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|({_TOKEN}+))[ \t]*+(?:,|$)', re.DOTALL
)
_ALL = re.compile(rf"(?:{_PARAMETER.pattern})*+[ \t,]*+", re.DOTALL)
# RFC 9110 5.6.4 has any character escaped; but Windows sends "DOMAIN\name" as it is.
_ESCAPE = re.compile(r'\\(["\\])')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VISIBLE = re.compile(r"[ -~]+")
_NC = re.compile(r"[0-9A-Fa-f]{8}")
_HEX = re.compile(r"[0-9A-Fa-f]+")
# As nearly all clients write it: what the challenge gave first, then five parameters in any order, with nothing that
# needs care. Anything else takes the long way, which comes to the same.
_USUAL = re.compile(
    r'Digest username="([ !#-\[\]-~]{1,255}+)", ?realm="([ !#-\[\]-~]*+)", ?nonce="([ !#-\[\]-~]*+)", '
    r'?uri="([ !#-\[\]-~]*+)"(?:, ?(?:nc=([0-9A-Fa-f]{8})|response="([0-9a-f]{32}|[0-9a-f]{64})"'
    r'|cnonce="([ !#-\[\]-~]{1,256}+)"|algorithm=(MD5|SHA-256)|qop="?+(auth)"?+)(?=,|$)){5}'
)
_NEEDED = ("realm", "nonce", "uri", "response", "nc", "cnonce")


class BasicClaim(NamedTuple):
    """A name, and the password that is to prove it."""

    name: str
    password: str


class DigestClaim(NamedTuple):
    """A name, and the hash that is to prove that its sender knows the password.

    Attributes:
        name: as it goes into the hash.
        realm, nonce, uri, cnonce: as sent.
        response: the hash in lower-case hexadecimal.
        algorithm: "MD5" or "SHA-256".
        nc: how many requests the client has made with this nonce, as sent: eight hexadecimal digits.
    """

    name: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    nc: str
    cnonce: str


def parse_authorization(value: bytes) -> BasicClaim | DigestClaim | None:
    """Read an Authorization field.

    Args:
        value: as it was on the wire.

    Returns:
        None for another scheme, and for anything that is malformed, too long, or not as our challenges ask for it.
    """
    usual = _USUAL.fullmatch(value.decode("latin-1"))
    if usual is not None and (claim := _usual_claim(usual)) is not None:
        return claim
    scheme, _, rest = value.strip(b" \t").partition(b" ")
    lowered = scheme.lower()
    if lowered == b"digest":
        return _digest(rest.decode("latin-1"))
    if lowered == b"basic":
        return _basic(rest.strip(b" "))
    return None


def is_name(text: str) -> bool:
    """Whether it can be the name of a user: not empty, not too long, without control characters."""
    return 0 < len(text) <= MAX_NAME and _CONTROL.search(text) is None


def is_password(text: str) -> bool:
    """Whether it can be a password; RFC 7617 2 has control characters neither in names nor in passwords."""
    return 0 < len(text) <= MAX_PASSWORD and _CONTROL.search(text) is None


def _basic(encoded: bytes) -> BasicClaim | None:
    try:
        data = binascii.a2b_base64(encoded)
    except binascii.Error:
        return None
    if binascii.b2a_base64(data, newline=False) != encoded:
        return None  # that function skips what is not base64
    text = _decode(data)
    name, colon, password = text.partition(":")
    return BasicClaim(name, password) if colon and is_name(name) and is_password(password) else None


def _decode(data: bytes) -> str:
    # Our challenges ask for UTF-8 (RFC 7617 2.1); what is no UTF-8 comes from clients that know latin-1 only.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _usual_claim(match: re.Match[str]) -> DigestClaim | None:
    name, realm, nonce, uri, nc, response, cnonce, algorithm, qop = match.groups()
    # Five of five: none of them stands there twice.
    if None in (nc, response, cnonce, qop) or len(response) != HEX_LENGTH.get(algorithm):
        return None
    return DigestClaim(name, realm, nonce, uri, response, algorithm, nc, cnonce)


def _digest(text: str) -> DigestClaim | None:
    given = _parameters(text)
    if given is None:
        return None
    name = _name(given)
    algorithm = _ALGORITHMS.get(given.get("algorithm", "MD5").lower())
    # An old client without qop (RFC 2069), or one that wants auth-int, has not done what the challenge says.
    if name is None or algorithm is None or given.get("qop") != "auth" or given.get("userhash", "false") != "false":
        return None
    try:
        realm, nonce, uri, response, nc, cnonce = [given[one] for one in _NEEDED]
    except KeyError:
        return None
    if len(response) != HEX_LENGTH[algorithm] or not _HEX.fullmatch(response) or not _NC.fullmatch(nc):
        return None
    if not _VISIBLE.fullmatch(cnonce) or len(cnonce) > MAX_CNONCE:
        return None  # it goes back to the client in a header
    return DigestClaim(name, realm, nonce, uri, response.lower(), algorithm, nc, cnonce)


def _parameters(text: str) -> dict[str, str] | None:
    if not _ALL.fullmatch(text):
        return None
    given = _PARAMETER.findall(text)
    found = {name.lower(): quoted or token for name, quoted, token in given}
    if len(found) != len(given):
        return None  # RFC 7616 3.4: each once; of two of them, two readers may take different ones
    if "\\" in text:
        found = {name: _ESCAPE.sub(r"\1", value) for name, value in found.items()}
    return found


def _name(given: dict[str, str]) -> str | None:
    plain, extended = given.get("username"), given.get("username*")
    if (plain is None) == (extended is None):
        return None  # RFC 7616 3.4.4: one of the two
    if plain is not None:
        name = plain if plain.isascii() else _decode(plain.encode("latin-1"))
    else:
        assert extended is not None
        charset, _, rest = extended.partition("'")
        encoded = rest.partition("'")[2]
        if charset.lower() != "utf-8":
            return None
        try:
            name = unquote_to_bytes(encoded).decode()
        except UnicodeDecodeError:
            return None
    return name if is_name(name) else None
