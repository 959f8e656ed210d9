"""Sealed text: what a client keeps for us and can neither read nor change."""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["make_key", "seal", "unseal"]

NONCE_BYTES = 12  # SP 800-38D 8.2.2: random ones, for at most 2^32 texts with one key
STAMP_BYTES = 8
_TEXT, _BYTES = b"t", b"b"


def make_key(size: int = 32) -> bytes:
    """A random key.

    Args:
        size: 16 or 32 bytes.

    Raises:
        ValueError: another size.
    """
    if size not in (16, 32):
        raise ValueError(f"an AES key has 16 or 32 bytes, not {size!r:.80}")
    return secrets.token_bytes(size)


def seal(key: bytes, data: str | bytes, purpose: str = "", *, clock: Callable[[], float] = time.time) -> str:
    """Encrypt and authenticate; see `greenbas.create.aes_encode`."""
    if not isinstance(data, str | bytes):
        raise TypeError(f"text or bytes can be encrypted, not {data!r:.80}; make JSON of it first")
    kind, plain = (_TEXT, data.encode()) if isinstance(data, str) else (_BYTES, data)
    stamp = int(clock() * 1000).to_bytes(STAMP_BYTES, "big")
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = _cipher(key).encrypt(nonce, kind + stamp + plain, purpose.encode())
    return urlsafe_b64encode(nonce + sealed).decode().rstrip("=")


def unseal(
    key: bytes,
    text: str | None,
    purpose: str = "",
    max_age: float | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> str | bytes | None:
    """Decrypt what `seal` has made; see `greenbas.create.aes_decode`."""
    cipher = _cipher(key)
    if not isinstance(text, str):
        return None  # the field is missing
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        plain = cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode())
    except (ValueError, InvalidTag):  # UnicodeEncodeError and binascii.Error are ValueErrors
        return None
    kind, stamp, rest = plain[:1], plain[1 : 1 + STAMP_BYTES], plain[1 + STAMP_BYTES :]
    if max_age is not None and clock() - int.from_bytes(stamp, "big") / 1000 > max_age:
        return None
    return rest.decode() if kind == _TEXT else rest


def _cipher(key: bytes) -> AESGCM:
    if not isinstance(key, bytes | bytearray) or len(key) not in (16, 32):
        raise ValueError("an AES key has 16 or 32 bytes: make one with create.aes_key()")
    return AESGCM(bytes(key))
