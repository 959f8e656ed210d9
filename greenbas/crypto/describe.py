"""Certificates as data: `parse_cert` (BAS ``ba.parsecert``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from cryptography import x509

from greenbas.crypto.certificates import BROKEN, read_certificates
from greenbas.crypto.certtime import format_cert_time
from greenbas.crypto.names import describe_name
from greenbas.errors import PemError

__all__ = ["CertificateData", "alternative_names", "describe_chain", "parse_cert"]


class CertificateData(TypedDict):
    """A certificate as data.

    Attributes:
        subject: whose it is: countryname, province, locality, organization, unit, commonname, email; "" where missing.
        issuer: who signed it, likewise.
        tzfrom: when it begins, as `parse_cert_time` reads it.
        tzto: when it ends.
        san: the DNS names that it is for.
        parent: the next one in the chain, if any.
    """

    subject: dict[str, str]
    issuer: dict[str, str]
    tzfrom: str
    tzto: str
    san: list[str]
    parent: CertificateData | None


def parse_cert(data: bytes | str) -> CertificateData:
    """Read a certificate into a dict (BAS ``ba.parsecert``).

    Args:
        data: DER or PEM; a chain, its first certificate first, is linked by `parent`.

    Raises:
        PemError: it cannot be read.
    """
    return describe_chain(read_certificates(data))


def describe_chain(certificates: Sequence[x509.Certificate]) -> CertificateData:
    """Describe a chain, as that of a TLS peer.

    Args:
        certificates: at least one; each one's issuer follows it.

    Returns:
        The first one; `parent` leads to the others.

    Raises:
        PemError: a part of one cannot be read.
    """
    parent: CertificateData | None = None
    for certificate in reversed(certificates):
        parent = _describe(certificate, parent)
    assert parent is not None, "a chain has at least one certificate"
    return parent


def _describe(certificate: x509.Certificate, parent: CertificateData | None) -> CertificateData:
    try:
        return {
            "subject": describe_name(certificate.subject),
            "issuer": describe_name(certificate.issuer),
            "tzfrom": format_cert_time(certificate.not_valid_before_utc),
            "tzto": format_cert_time(certificate.not_valid_after_utc),
            "san": alternative_names(certificate).get_values_for_type(x509.DNSName),
            "parent": parent,
        }
    except BROKEN as error:
        message = f"the certificate: a part of it cannot be read: {error}"
        raise PemError(message, "pem_cert_unrecognized_format") from error


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    """The subject alternative names of a certificate; empty when it has none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
