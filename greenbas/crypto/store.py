"""The certificates that one trusts: `CertStore`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

from cryptography import x509

from greenbas.crypto.certificates import Openable, read_certificates, read_file
from greenbas.errors import SettingError

__all__ = ["CertStore"]


class CertStore:
    """Certificates of authorities, to check others against (BAS ``ba.create.certstore``).

    It holds them and nothing else; a TLS context is made from it.
    """

    __slots__ = ("_certificates",)

    def __init__(self) -> None:
        # A dict for its order; certificates compare by content.
        self._certificates: dict[x509.Certificate, None] = {}

    def __repr__(self) -> str:
        return f"<CertStore {len(self)} certificates>"

    def __len__(self) -> int:
        return len(self._certificates)

    def __iter__(self) -> Iterator[x509.Certificate]:
        return iter(tuple(self._certificates))

    def __contains__(self, certificate: object) -> bool:
        return certificate in self._certificates

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """All of them, in the order they were added."""
        return tuple(self._certificates)

    @overload
    def add_cert(self, source: bytes | str, name: None = None) -> int: ...
    @overload
    def add_cert(self, source: Openable, name: str) -> int: ...
    def add_cert(self, source: bytes | str | Openable, name: str | None = None) -> int:
        """Add certificates (BAS ``certstore:addcert``): all of them, or none when one cannot be read.

        Args:
            source: PEM, with one or many; p7b, as PEM or DER; or DER of one certificate. With `name`: an I/O.
            name: the file there.

        Returns:
            How many were added; those that were there already do not count.

        Raises:
            PemError: pem_cert_unrecognized_format or pem_cert_unsupported_type.
            IoError: the file cannot be read.
        """
        if isinstance(source, (bytes, str)):
            if name is not None:
                raise SettingError(f"add_cert: {name!r} is to be read from an I/O; give it as the first argument")
            found = read_certificates(source)
        elif name is None:
            raise SettingError("add_cert: give the certificates as bytes or str, or an I/O and the name of a file")
        else:
            found = read_certificates(read_file(source, name), repr(name))
        before = len(self)
        self._certificates.update(dict.fromkeys(found))
        return len(self) - before
