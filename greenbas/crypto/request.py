"""Certificate signing requests: `make_csr` (BAS ``ba.create.csr``, RFC 2986)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from greenbas.crypto.certificates import BROKEN
from greenbas.crypto.keys import PrivateKey, check_key_type
from greenbas.crypto.names import alternative_name, is_host, make_name, split_names
from greenbas.crypto.options import choose
from greenbas.crypto.pem import labels, read_blocks, to_bytes
from greenbas.crypto.readkey import load_key
from greenbas.crypto.usages import usage_extensions
from greenbas.errors import PemError, SettingError

__all__ = ["Hash", "KeyLike", "hash_for", "make_csr", "open_key", "read_csr", "signature_hash"]

Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
KeyLike = bytes | str | Mapping[str, str | bytes]

_HASHES: dict[str, Hash] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_KEY_PARTS = {"key": True, "pwd": False}
_REQUESTS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")


def make_csr(
    key: KeyLike,
    dn: Mapping[str, str],
    san: str | Iterable[str] | None = None,
    certtypes: str | Iterable[str] = (),
    keyusages: str | Iterable[str] = (),
    hash: str = "sha256",
) -> str:
    """Make a certificate signing request (BAS ``ba.create.csr``); `greenbas.create.csr` says what it takes."""
    algorithm = signature_hash(hash)
    extensions = usage_extensions(certtypes, keyusages)
    private = open_key(key)
    builder = x509.CertificateSigningRequestBuilder().subject_name(make_name(dn))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    names = _names(san, dn["commonname"], authority=_of_authority(extensions))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(private, hash_for(private, algorithm))
    return signed.public_bytes(Encoding.PEM).decode("ascii")


def _of_authority(extensions: list[tuple[x509.ExtensionType, bool]]) -> bool:
    return any(isinstance(one, x509.BasicConstraints) and one.ca for one, _ in extensions)


def _names(san: str | Iterable[str] | None, common: str, *, authority: bool) -> list[x509.GeneralName]:
    if san is not None:
        return [alternative_name(name) for name in split_names(san)]
    # Clients look at nothing else today (RFC 9525 section 2), so the common name stands here as well. That of an
    # authority, or of a person, is no name to connect to.
    return [alternative_name(common)] if not authority and is_host(common) else []


def open_key(key: KeyLike) -> PrivateKey:
    """Read a private key as users give it.

    Args:
        key: PEM, or a dict with ``key`` (PEM) and ``pwd`` (its password), as in BAS.

    Raises:
        SettingError: a dict with other keys.
        PemError: as `load_key` says.
    """
    if isinstance(key, (bytes, str)):
        return load_key(key)
    for name in key:
        choose("key", name, _KEY_PARTS)
    if "key" not in key:
        raise SettingError("key: the dict has no 'key'; put the PEM text there, and the password under 'pwd'")
    return load_key(key["key"], key.get("pwd"))


def signature_hash(name: str) -> Hash:
    """The hash function with this name: sha256, sha384 or sha512.

    Raises:
        SettingError: it is none of these.
    """
    return choose("hash", name, _HASHES)


def hash_for(key: PrivateKey, algorithm: Hash) -> Hash | None:
    """What a key signs with: the keys of EdDSA bring a hash function of their own (RFC 8410)."""
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else algorithm


def read_csr(data: bytes | str) -> x509.CertificateSigningRequest:
    """Read a request, and check that who made it has the key.

    Args:
        data: PEM or DER.

    Raises:
        PemError: pem_cert_unrecognized_format, pem_cert_unsupported_type (a kind of key), or pem_key_cert_mismatch:
            the signature is not of the key in it.
    """
    try:
        request = x509.load_der_x509_csr(_content(to_bytes(data)))
        # Parts are read when they are asked for: what is wrong with them shall be said here.
        _ = request.subject, request.extensions
        signed = request.is_signature_valid
        check_key_type(request.public_key(), "the request", "pem_cert_unsupported_type")
    except PemError:
        raise
    except UnsupportedAlgorithm as error:
        raise PemError(f"the request: {error}", "pem_cert_unsupported_type") from error
    except BROKEN as error:
        raise PemError(f"the request: it cannot be read: {error}", "pem_cert_unrecognized_format") from error
    if not signed:
        raise PemError("the request: its signature is not of the key in it", "pem_key_cert_mismatch")
    return request


def _content(raw: bytes) -> bytes:
    blocks = read_blocks(raw)
    if not blocks:
        return raw
    found = next((block for block in blocks if block.label in _REQUESTS), None)
    if found is None:
        message = f"the request: no CERTIFICATE REQUEST, only {labels(blocks)}; create.csr makes one"
        raise PemError(message, "pem_cert_unrecognized_format")
    return found.data or b""
