"""Reading private keys, and telling what is wrong with one: `load_key`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from greenbas.crypto.keys import PrivateKey, check_key_type
from greenbas.crypto.pem import Block, labels, read_blocks, to_bytes
from greenbas.errors import PemError

__all__ = ["load_key"]

_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY")

# Ciphers of the old format (RFC 1421 4.6.1.3, as OpenSSL writes it): bytes of IV and of a block.
_CIPHERS = {"AES-128-CBC": 16, "AES-192-CBC": 16, "AES-256-CBC": 16, "DES-EDE3-CBC": 8}

_UNRECOGNIZED = "pem_key_unrecognized_format"
_UNSUPPORTED = "pem_key_unsupported_format"
_UNSUPPORTED_CIPHER = "pem_key_unsupported_encryption_type"
_CONVERT = "convert it with: openssl pkcs8 -topk8 -v2 aes256 -in OLD -out NEW"


def load_key(data: bytes | str, password: str | bytes | None = None, source: str = "the key") -> PrivateKey:
    """Read a private key.

    Args:
        data: PEM, where other blocks are skipped, or DER.
        password: of an encrypted key; others do not need it.
        source: what the key is called in messages, such as its file.

    Returns:
        A key of the library `cryptography`.

    Raises:
        PemError: pem_key_unrecognized_format (no private key), pem_key_unsupported_format (a kind, curve or container
            that is of no use here), pem_key_unsupported_modulus_length, pem_key_unsupported_encryption_type,
            pem_key_passphrase_required, pem_key_wrong_iv, pem_key_wrong_length, or pem_key_parse_error (a wrong
            password, or damage).
    """
    raw = to_bytes(data)
    blocks = read_blocks(raw)
    encrypted = False
    if blocks:
        block = _key_block(blocks, source)
        encrypted = _check_encryption(block, source)
        raw, load = block.pem, load_pem_private_key
    else:
        load = load_der_private_key
    key = _load(load, raw, _secret(password), source, encrypted, bool(blocks))
    check_key_type(key, source)
    found: PrivateKey = key
    return found


def _secret(password: str | bytes | None) -> bytes | None:
    # An empty password is none: that is how forms and configuration files say it.
    return (password.encode() if isinstance(password, str) else password) or None


def _key_block(blocks: list[Block], source: str) -> Block:
    found = next((block for block in blocks if block.label in _KEYS), None)
    if found is None:
        other = next((block.label for block in blocks if block.label.endswith("PRIVATE KEY")), None)
        if other:
            raise PemError(f"{source}: {other} is a format that is not supported; {_CONVERT}", _UNSUPPORTED)
        raise PemError(f"{source}: no private key, only {labels(blocks)}", _UNRECOGNIZED)
    if not found.complete:
        raise PemError(f"{source}: the END line is missing; the file is cut off", "pem_key_parse_error")
    if found.data is None:
        raise PemError(f"{source}: the text between BEGIN and END is no base64", "pem_key_parse_error")
    return found


def _check_encryption(block: Block, source: str) -> bool:
    """Check what can be checked without the password; returns whether the key is encrypted."""
    if "DEK-Info" not in block.headers:
        return block.label == "ENCRYPTED PRIVATE KEY"
    cipher, _, vector = (part.strip() for part in block.headers["DEK-Info"].partition(","))
    if cipher not in _CIPHERS:
        raise PemError(f"{source}: encrypted with {cipher}, which is not supported; {_CONVERT}", _UNSUPPORTED_CIPHER)
    size = _CIPHERS[cipher]
    try:
        right = len(bytes.fromhex(vector)) == size
    except ValueError:
        right = False
    if not right:
        raise PemError(f"{source}: the IV in its DEK-Info is not {size} bytes in hex: {vector!r}", "pem_key_wrong_iv")
    length = len(block.data or b"")
    if not length or length % size:
        raise PemError(
            f"{source}: {length} bytes of encrypted data are not whole blocks of {size}; some of the file is missing",
            "pem_key_wrong_length",
        )
    return True


def _load(load: Callable[..., Any], raw: bytes, password: bytes | None, source: str, encrypted: bool, pem: bool) -> Any:
    try:
        return load(raw, password)
    except TypeError as error:
        if password is None:
            message = f"{source}: it is encrypted; give its password"
            raise PemError(message, "pem_key_passphrase_required") from error
        return _load(load, raw, None, source, encrypted, pem)
    except UnsupportedAlgorithm as error:
        raise PemError(f"{source}: {error}", _UNSUPPORTED_CIPHER if encrypted else _UNSUPPORTED) from error
    except ValueError as error:
        raise _explain(error, source, encrypted, pem) from error


def _explain(error: ValueError, source: str, encrypted: bool, pem: bool) -> PemError:
    # The library says it in words only.
    words = str(error)
    if "encryption algorithm" in words or "unknown cipher" in words:
        message = f"{source}: encrypted in a way that is not supported ({words.rstrip('.')}); {_CONVERT}"
        return PemError(message, _UNSUPPORTED_CIPHER)
    if encrypted or "password" in words.lower():
        return PemError(f"{source}: the password is wrong, or the data is damaged", "pem_key_parse_error")
    if not pem:
        return PemError(f"{source}: neither PEM nor DER of a private key", _UNRECOGNIZED)
    return PemError(f"{source}: its data cannot be read as a key; it is damaged", "pem_key_parse_error")
