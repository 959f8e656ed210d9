"""Reading certificates: one, a PEM bundle, or a PKCS #7 file (p7b)."""

from __future__ import annotations

import warnings
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from greenbas.crypto.pem import Block, labels, read_blocks, to_bytes
from greenbas.errors import PemError

__all__ = ["BROKEN", "Openable", "Readable", "read_certificates", "read_file"]

# What the library raises when something is wrong in a certificate or request; much of it only when a part is asked for.
BROKEN = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE")
_BUNDLES = ("PKCS7", "PKCS #7 SIGNED DATA", "CMS")
_TRUSTED = "TRUSTED CERTIFICATE"

_UNRECOGNIZED = "pem_cert_unrecognized_format"


class Readable(Protocol):
    """An open file."""

    def read(self) -> bytes:
        """Return all of it."""

    def close(self) -> None:
        """Close it."""


class Openable(Protocol):
    """Where files are: any `greenbas.io.Io`."""

    def open(self, path: str) -> Readable:
        """Open a file to read it."""


def read_file(io: Openable, name: str) -> bytes:
    """Read a file of an I/O.

    Raises:
        IoError: as the I/O's `open` says.
    """
    handle = io.open(name)
    try:
        return handle.read()
    finally:
        handle.close()


def read_certificates(data: bytes | str, source: str = "the data") -> list[x509.Certificate]:
    """Read all certificates there are.

    Args:
        data: PEM with one or more certificates or PKCS #7 bundles, where other blocks are skipped; or DER of either.
        source: what it is called in messages, such as its file.

    Returns:
        The certificates in their order; at least one.

    Raises:
        PemError: pem_cert_unrecognized_format (no certificate, or one that cannot be read), or
            pem_cert_unsupported_type (in a container of OpenSSL's own).
    """
    raw = to_bytes(data)
    blocks = read_blocks(raw)
    with warnings.catch_warnings():
        # The library complains of what is out there: bundles that openssl writes unsorted, roots with the serial 0.
        warnings.simplefilter("ignore", UserWarning)
        return _read_pem(blocks, source) if blocks else _read_der(raw, source)


def _read_pem(blocks: list[Block], source: str) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    holders = [block for block in blocks if block.label in (*_CERTIFICATES, *_BUNDLES)]
    if not holders:
        raise _none_there(blocks, source)
    for number, block in enumerate(holders, 1):
        place = f"{source}: {block.label.lower()} {number} of {len(holders)}" if len(holders) > 1 else source
        content = _content(block, place)
        found += [_certificate(content, place)] if block.label in _CERTIFICATES else _bundle(content, place)
    return found


def _none_there(blocks: list[Block], source: str) -> PemError:
    if any(block.label == _TRUSTED for block in blocks):
        remedy = "convert it with: openssl x509 -in OLD -out NEW"
        return PemError(f"{source}: a {_TRUSTED} is OpenSSL's own format; {remedy}", "pem_cert_unsupported_type")
    return PemError(f"{source}: no certificate, only {labels(blocks)}", _UNRECOGNIZED)


def _content(block: Block, place: str) -> bytes:
    if not block.complete:
        raise PemError(f"{place}: the END line is missing; the file is cut off", _UNRECOGNIZED)
    if not block.data:
        raise PemError(f"{place}: the text between BEGIN and END is no base64", _UNRECOGNIZED)
    return block.data


def _read_der(raw: bytes, source: str) -> list[x509.Certificate]:
    if not raw.strip():
        raise PemError(f"{source}: it is empty", _UNRECOGNIZED)
    try:
        return [_certificate(raw, source)]
    except PemError:
        pass
    try:
        return _bundle(raw, source)
    except PemError:
        raise PemError(f"{source}: neither PEM, nor DER of a certificate, nor a p7b file", _UNRECOGNIZED) from None


def _certificate(content: bytes, place: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(content)
    except BROKEN as error:
        raise PemError(f"{place}: it cannot be read as a certificate: {error}", _UNRECOGNIZED) from error


def _bundle(content: bytes, place: str) -> list[x509.Certificate]:
    try:
        found = load_der_pkcs7_certificates(content)
    except BROKEN as error:
        raise PemError(f"{place}: it cannot be read as PKCS #7: {error}", _UNRECOGNIZED) from error
    if not found:
        raise PemError(f"{place}: the PKCS #7 bundle has no certificate in it", _UNRECOGNIZED)
    return found
