"""Whether the peer is who it should be: its certificate's chain and its name."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from greenbas.errors import NotTrusted
from greenbas.net.tls import native

__all__ = [
    "Verdict",
    "has_name",
    "host_bytes",
    "is_address",
    "not_trusted",
    "peer_certificate",
    "verdict_on",
    "verify_as_client",
]

OK = 0
NO_CERTIFICATE = -1  # ours: OpenSSL has no number for it
_EXPIRED = frozenset({9, 10})  # not yet valid, has expired
# OpenSSL's numbers (X509_V_ERR) and our words for them, for `NotTrusted.reason`.
_REASONS = {
    NO_CERTIFICATE: "nocert",
    9: "notyetvalid",
    10: "expired",
    18: "selfsigned",
    2: "unknownca",
    19: "unknownca",
    20: "unknownca",
    21: "unknownca",
    23: "revoked",
}
_WORDS = {
    NO_CERTIFICATE: "it sent none",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "it was issued by an unknown CA (which signed itself)",
    2: "it was issued by an unknown CA",
    20: "it was issued by an unknown CA",
    21: "it was issued by an unknown CA, and comes without the certificates in between",
    23: "it has been revoked",
}


class Verdict(str):
    """What is wrong with a peer's certificate (BAS ``sock:trusted``); false, whatever it says.

    "cert": trusted, wrong name. "cn": right name, not trusted. "certcn": trusted and the right name, but expired or not
    valid yet. "none": nothing of it is right.
    """

    def __bool__(self) -> bool:
        return False


def verdict_on(code: int, named: bool) -> Literal[True] | Verdict:
    """BAS's verdict.

    Args:
        code: what OpenSSL found about the chain.
        named: whether the certificate is for the host that was asked for.
    """
    if code == OK:
        return True if named else Verdict("cert")
    if not named:
        return Verdict("none")
    return Verdict("certcn" if code in _EXPIRED else "cn")


def not_trusted(peer: str, code: int, host: str, verdict: Verdict, certificate: x509.Certificate | None) -> NotTrusted:
    """The error that says what is wrong with the certificate of `peer`."""
    if code == OK:
        names = ", ".join(_names(certificate)) or "nobody"
        return NotTrusted(
            f"{peer}: the certificate is not for {host!r} but for {names[:200]}", str(verdict), "wronghost"
        )
    words = _WORDS.get(code) or native.verify_words(code)
    also = "" if verdict != "none" or code == NO_CERTIFICATE else f", and it is not for {host!r}"
    reason = _REASONS.get(code, "invalid")
    return NotTrusted(f"{peer}: the certificate cannot be trusted: {words}{also}", str(verdict), reason)


def has_name(certificate: x509.Certificate | None, host: str) -> bool:
    """Whether a certificate is for a host name or IP address (RFC 6125; the common name does not count)."""
    if certificate is None:
        return False
    try:
        if is_address(host):
            verify_certificate_ip_address(certificate, host.strip("[]"))
        else:
            verify_certificate_hostname(certificate, host_bytes(host).decode())
    except (VerificationError, CertificateError, ValueError):  # ValueError: no name that a host can have
        return False
    return True


def is_address(host: str) -> bool:
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def host_bytes(host: str) -> bytes:
    """A host name as it travels: lower case, without the last dot, letters beyond ASCII as punycode.

    Raises:
        ValueError: no host can have this name.
    """
    name = host.rstrip(".").lower()
    return name.encode() if name.isascii() else name.encode("idna")


def verify_as_client(store: crypto.X509Store | None, leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> int:
    """What is wrong with a client's certificate, as `native.verify_result` tells it; 0 for nothing.

    Done anew on each connection, for what OpenSSL found is lost behind a verify callback, and on resumption.

    Args:
        store: the CAs that issue certificates for clients; None trusts nobody.
        leaf: the certificate.
        chain: what the client sent besides, in any order.
    """
    if store is None:
        return 20
    untrusted = [crypto.X509.from_cryptography(one) for one in chain]
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), untrusted).verify_certificate()
    except crypto.X509StoreContextError as error:
        return int(error.errors[0]) if error.errors else 1
    finally:
        native.forget_errors()
    return OK if _is_for_clients(leaf) else 26  # X509_V_ERR_INVALID_PURPOSE


def _is_for_clients(leaf: x509.Certificate) -> bool:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def _names(certificate: x509.Certificate | None) -> list[str]:
    if certificate is None:
        return []
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def peer_certificate(connection: SSL.Connection) -> x509.Certificate | None:
    """The certificate that the peer showed."""
    return connection.get_peer_certificate(as_cryptography=True)
