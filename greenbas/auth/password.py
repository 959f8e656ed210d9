"""`StoredPassword`: what a user database knows of a password, and how a password is compared with it."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

from greenbas.errors import SettingError
from greenbas.protocol.authorization import is_password
from greenbas.protocol.digest import ALGORITHMS, ha1

__all__ = ["NOBODY_PLAIN", "NOBODY_SLOW", "ScryptHash", "StoredPassword", "hash_password", "read_password"]

# OWASP's advice for scrypt: 32 MiB and three passes, a fifth of a second.
LOG_COST, BLOCK, PASSES = 15, 8, 3
MAX_MEMORY = 256 * 1024 * 1024  # bytes; a hash of somebody else's making may not ask for more
MAX_PASSES = 16
SALT_BYTES = 16
HASH_BYTES = 32

_SCRYPT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_KEY = secrets.token_bytes(16)
_HA1 = {32: "MD5", 64: "SHA-256"}


@dataclass(frozen=True, slots=True)
class ScryptHash:
    """A salted hash that takes time and memory to compute (RFC 7914).

    Attributes:
        log_cost: the base-2 logarithm of N.
        block: r.
        passes: p.
        salt, digest: bytes.
    """

    log_cost: int
    block: int
    passes: int
    salt: bytes
    digest: bytes = field(repr=False)

    def matches(self, password: str) -> bool:
        """Whether it is the hash of this password. Slow, and to be called in a native thread."""
        return hmac.compare_digest(self.digest, self.compute(password))

    def compute(self, password: str) -> bytes:
        """The hash of a password with these parameters."""
        cost = 1 << self.log_cost
        return hashlib.scrypt(
            password.encode(),
            salt=self.salt,
            n=cost,
            r=self.block,
            p=self.passes,
            maxmem=_memory(self.log_cost, self.block, self.passes),
            dklen=len(self.digest) or HASH_BYTES,
        )

    def text(self) -> str:
        """As it is written in databases."""
        salt, digest = (b64encode(data).decode().rstrip("=") for data in (self.salt, self.digest))
        return f"$scrypt$ln={self.log_cost},r={self.block},p={self.passes}${salt}${digest}"


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """What is stored of one password; at least one of these.

    Attributes:
        plain: the password itself.
        scrypt: its salted hash.
        ha1: hashes of name, realm and password, by algorithm ("MD5", "SHA-256"), in lower-case hexadecimal.
    """

    plain: str | None = field(default=None, repr=False)
    scrypt: ScryptHash | None = None
    ha1: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_slow(self) -> bool:
        """Whether comparing takes so long that it belongs in a native thread."""
        return self.scrypt is not None

    @property
    def identity(self) -> str:
        """Text that changes whenever this does. As secret as the password."""
        return f"{self.plain!r}/{self.scrypt.text() if self.scrypt else None}/{sorted(self.ha1.items())}"

    def matches(self, name: str, realm: str, password: str) -> bool:
        """Whether this is the password of the user with that name in that realm; in constant time."""
        if self.scrypt is not None:
            return self.scrypt.matches(password)
        for algorithm in ALGORITHMS:
            if algorithm in self.ha1:
                return hmac.compare_digest(self.ha1[algorithm], ha1(algorithm, name, realm, password))
        return self.plain is not None and _same(self.plain, password)

    def secret(self, algorithm: str, name: str, realm: str) -> str | None:
        """The `ha1` for a digest with this algorithm; None where what is stored gives none."""
        if algorithm in self.ha1:
            return self.ha1[algorithm]
        return None if self.plain is None else ha1(algorithm, name, realm, self.plain)

    def secrets(self) -> list[str]:
        """What a hashed login form may have hashed: the password, or its `ha1`."""
        return [self.plain] if self.plain is not None else list(self.ha1.values())


def read_password(value: Any, whose: str) -> StoredPassword:
    """Understand a stored password.

    Args:
        value: text: the password, or "$scrypt$..." of `hash_password`. Or a list of one to three hashes: "$scrypt$..."
            and HA1 hashes, which are 32 (MD5) or 64 (SHA-256) hexadecimal digits.
        whose: for messages.

    Raises:
        SettingError: it is nothing of the kind.
    """
    if isinstance(value, StoredPassword):
        return value
    if isinstance(value, str):
        if value.startswith("$scrypt$"):
            return StoredPassword(scrypt=_read_scrypt(value, whose))
        if not is_password(value) or not _is_unicode(value):
            raise SettingError(f"{whose}: a password has 1 to 1024 characters, and no control characters among them")
        return StoredPassword(plain=value)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) for one in value):
        raise SettingError(f"{whose}: a password is text, or a list of hashes; this is a {type(value).__name__}")
    scrypt = None
    hashes: dict[str, str] = {}
    for one in value:
        if one.startswith("$scrypt$"):
            scrypt = _read_scrypt(one, whose)
        elif len(one) in _HA1 and re.fullmatch("[0-9A-Fa-f]+", one):
            hashes[_HA1[len(one)]] = one.lower()
        else:
            raise SettingError(f"{whose}: a hash is 32 (MD5) or 64 (SHA-256) hexadecimal digits, or '$scrypt$...'")
    return StoredPassword(scrypt=scrypt, ha1=hashes)


def hash_password(password: str) -> str:
    """A salted scrypt hash of a password, to be stored in its place. Takes a fifth of a second of native code.

    Raises:
        SettingError: it is empty, longer than 1024 characters, or has control characters.
    """
    if not is_password(password):
        raise SettingError("a password has 1 to 1024 characters, and no control characters among them")
    empty = ScryptHash(LOG_COST, BLOCK, PASSES, secrets.token_bytes(SALT_BYTES), b"")
    return ScryptHash(LOG_COST, BLOCK, PASSES, empty.salt, empty.compute(password)).text()


def _read_scrypt(text: str, whose: str) -> ScryptHash:
    match = _SCRYPT.fullmatch(text)
    if match is None:
        raise SettingError(f"{whose}: the scrypt hash is not like '$scrypt$ln=15,r=8,p=3$SALT$HASH'")
    log_cost, block, passes = (int(match[number]) for number in (1, 2, 3))
    too_much = _memory(log_cost, block, passes) > MAX_MEMORY or passes > MAX_PASSES
    if not 1 <= log_cost <= 31 or not block or not passes or too_much:
        raise SettingError(f"{whose}: ln={log_cost},r={block},p={passes} asks for more memory or time than is sensible")
    try:
        salt, digest = (b64decode(match[number] + "=" * (-len(match[number]) % 4)) for number in (4, 5))
    except binascii.Error:
        raise SettingError(f"{whose}: salt or hash is not base64") from None
    if len(digest) < 16:
        raise SettingError(f"{whose}: the hash has {len(digest)} bytes, which anybody can guess")
    return ScryptHash(log_cost, block, passes, salt, digest)


def _same(left: str, right: str) -> bool:
    # Of hashes, because compare_digest tells by its time whether the lengths are equal.
    return hmac.compare_digest(*(hashlib.sha256(_KEY + text.encode()).digest() for text in (left, right)))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _memory(log_cost: int, block: int, passes: int) -> int:
    # What OpenSSL needs, and some more for itself.
    return 128 * block * ((1 << log_cost) + passes + 2) + (1 << 20)


# For users that do not exist: comparing takes the same time, and nothing matches.
NOBODY_PLAIN = StoredPassword(plain=secrets.token_hex(16))
NOBODY_SLOW = StoredPassword(
    scrypt=ScryptHash(LOG_COST, BLOCK, PASSES, secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES))
)
