"""A private key with the certificates that vouch for it: `CertifiedKey`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography import x509

from greenbas.crypto.certificates import BROKEN, Openable, read_certificates, read_file
from greenbas.crypto.describe import alternative_names
from greenbas.crypto.keys import PrivateKey, check_key_type, key_kind, public_bytes
from greenbas.crypto.readkey import load_key
from greenbas.errors import IoError, NoAccess, NotFound, PemError

__all__ = ["CertifiedKey"]


class CertifiedKey:
    """A certificate, its private key, and the chain up to an authority (BAS ``ba.create.sharkcert``).

    It never changes; to renew a certificate, make another one. What it shows of itself has no secret in it.

    Args:
        cert: PEM, DER or p7b: the certificate, and those of the authorities between it and the root, in any order. With
            `io`, the name of a file there.
        key: PEM or DER of the key; None when it stands in the same PEM as the certificate. With `io`, a file's name.
        password: of an encrypted key.
        io: where the files are.

    Raises:
        PemError: .code says why: pem_key_cert_mismatch, pem_cert_..., pem_key_... as `load_key` has them.
        IoError: a file cannot be read.

    Attributes:
        certificate: its own certificate, an object of the library `cryptography`.
        chain: the authorities' above it, each the issuer of the one before.
        private_key: its key.
        names: DNS names and IP addresses that it is for, in small letters; the common name when it lists none.
    """

    __slots__ = ("certificate", "chain", "names", "private_key")

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    private_key: PrivateKey
    names: tuple[str, ...]

    def __init__(
        self,
        cert: bytes | str,
        key: bytes | str | None = None,
        *,
        password: str | bytes | None = None,
        io: Openable | None = None,
    ) -> None:
        if io is None:
            self._build(cert, cert if key is None else key, password, "the certificate", "the key")
            return
        cert_name = os.fsdecode(cert)
        key_name = cert_name if key is None else os.fsdecode(key)
        self._build(read_file(io, cert_name), read_file(io, key_name), password, repr(cert_name), repr(key_name))

    @classmethod
    def from_files(
        cls,
        cert_path: str | os.PathLike[str],
        key_path: str | os.PathLike[str] | None = None,
        *,
        password: str | bytes | None = None,
    ) -> CertifiedKey:
        """Read files of the operating system.

        Args:
            cert_path: the certificate and its chain.
            key_path: the key; None when it is in the same file.
            password: of an encrypted key.

        Raises:
            PemError: as for the class; the message has the path.
            NotFound: there is no such file.
            NoAccess: it may not be read.
            IoError: it cannot be read.
        """
        cert, key = os.fspath(cert_path), os.fspath(cert_path if key_path is None else key_path)
        made = cls.__new__(cls)
        made._build(_read_path(cert), _read_path(key), password, repr(cert), repr(key))
        return made

    def _build(
        self, cert: bytes | str, key: bytes | str, password: str | bytes | None, cert_name: str, key_name: str
    ) -> None:
        certificates = read_certificates(cert, cert_name)
        self.private_key = load_key(key, password, key_name)
        self.certificate = _find_leaf(certificates, self.private_key, cert_name, key_name)
        self.chain = _order_chain(self.certificate, certificates)
        self.names = _names(self.certificate, cert_name)

    def __repr__(self) -> str:
        until = self.certificate.not_valid_after_utc
        return f"<CertifiedKey {self.kind} {' '.join(self.names) or '(no name)'} until {until:%Y-%m-%d}>"

    @property
    def kind(self) -> str:
        """The kind of key: "ECC", "RSA" or "EdDSA"."""
        return key_kind(self.private_key)

    @property
    def not_before(self) -> float:
        """When it begins, in seconds since the epoch."""
        return self.certificate.not_valid_before_utc.timestamp()

    @property
    def not_after(self) -> float:
        """When it ends, in seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()


def _read_path(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise NotFound(path) from error
    except PermissionError as error:
        raise NoAccess(path) from error
    except OSError as error:
        raise IoError(path, f"cannot be read: {error.strerror}") from error


def _find_leaf(
    certificates: Sequence[x509.Certificate], private: PrivateKey, cert_name: str, key_name: str
) -> x509.Certificate:
    # By the key and not by its place: files with the authority first are common.
    wanted = public_bytes(private)
    for certificate in certificates:
        if public_bytes(certificate) == wanted:
            return certificate
    first = certificates[0]
    try:
        check_key_type(first.public_key(), cert_name, "pem_cert_unsupported_type")
    except PemError:
        raise
    except BROKEN as error:  # of a kind that the library does not know
        message = f"{cert_name}: its kind of key is not supported: {error}"
        raise PemError(message, "pem_cert_unsupported_type") from error
    message = f"{cert_name} is for another key than {key_name}; give the key that the certificate was requested with"
    raise PemError(message, "pem_key_cert_mismatch")


def _order_chain(leaf: x509.Certificate, certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Who signed the leaf, who signed that one, and so on: each certifies the one before it (RFC 8446 4.4.2)."""
    chain = [leaf]
    while True:
        last = chain[-1]
        above = next((one for one in certificates if one not in chain and _issued(one, last)), None)
        if above is None:
            return tuple(chain[1:])
        chain.append(above)


def _names(certificate: x509.Certificate, cert_name: str) -> tuple[str, ...]:
    try:
        listed = alternative_names(certificate)
        hosts = listed.get_values_for_type(x509.DNSName)
        hosts += [str(address) for address in listed.get_values_for_type(x509.IPAddress)]
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(name.lower() for name in hosts or [str(one.value) for one in common])
    except BROKEN as error:
        message = f"{cert_name}: its names cannot be read: {error}"
        raise PemError(message, "pem_cert_unrecognized_format") from error


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # not by name, not by signature, or by a kind of signature that the library does not know
        return False
    return True
