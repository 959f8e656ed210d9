"""Signing certificates: `make_certificate` (BAS ``ba.create.certificate``, RFC 5280)."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from greenbas.crypto.certificates import BROKEN, read_certificates
from greenbas.crypto.certtime import Moment, to_datetime
from greenbas.crypto.keys import PrivateKey, public_bytes
from greenbas.crypto.names import alternative_name, is_host
from greenbas.crypto.request import KeyLike, hash_for, open_key, read_csr, signature_hash
from greenbas.crypto.usages import check_purposes, is_authority
from greenbas.errors import PemError, SettingError

__all__ = ["make_certificate"]

# What is taken over from a request; anything else in it is the authority's to decide.
_COPIED = (x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
_MAX_SERIAL_BITS = 159  # 20 octets with the sign bit clear (RFC 5280 4.1.2.2)

_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


def make_certificate(
    csr: bytes | str,
    key: KeyLike,
    validfrom: Moment,
    validto: Moment,
    serial: int | None = None,
    *,
    cacert: bytes | str | None = None,
    hash: str = "sha256",
    ca: bool = False,
) -> str:
    """Sign a certificate (BAS ``ba.create.certificate``); `greenbas.create.certificate` says what it takes."""
    algorithm = signature_hash(hash)
    start, end = to_datetime("validfrom", validfrom), to_datetime("validto", validto)
    if end <= start:
        raise SettingError(f"validto: {end:%Y-%m-%d %H:%M:%S} is not after validfrom, {start:%Y-%m-%d %H:%M:%S}")
    number = _serial(serial)
    request, private = read_csr(csr), open_key(key)
    issuer = None if cacert is None else read_certificates(cacert, "the CA's certificate")[0]
    if issuer is None:
        _check_same(request, private, "the request is not of this key; to sign with another one, give its cacert")
        name, authority_id = request.subject, _key_id(private)
    else:
        _check_same(issuer, private, "the CA's certificate is not of this key; give the one that belongs to the key")
        _check_may_issue(issuer, request, ca)
        name, authority_id = issuer.subject, _authority_id(issuer)
    public: _PublicKey = request.public_key()  # type: ignore[assignment]  # read_csr lets no other kinds pass
    builder = x509.CertificateBuilder(name, request.subject, public, number, start, end)
    for extension, critical in _extensions(request):
        builder = builder.add_extension(extension, critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    builder = builder.add_extension(authority_id, critical=False)
    return builder.sign(private, hash_for(private, algorithm)).public_bytes(Encoding.PEM).decode("ascii")


def _serial(serial: int | None) -> int:
    if serial is None:
        return x509.random_serial_number()
    if not isinstance(serial, int) or serial <= 0 or serial.bit_length() > _MAX_SERIAL_BITS:
        raise SettingError(f"serial: {serial!r} is no positive int of at most {_MAX_SERIAL_BITS} bits")
    return serial


def _check_same(holder: object, private: PrivateKey, message: str) -> None:
    if public_bytes(holder) != public_bytes(private):
        raise PemError(message, "pem_key_cert_mismatch")


def _check_may_issue(issuer: x509.Certificate, request: x509.CertificateSigningRequest, ca: bool) -> None:
    """Check that a CA may sign this, and that its owner wants to.

    Whoever sends a request may ask for anything: what would give power over other certificates needs a yes.
    """
    code = "pem_cert_unsupported_type"
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        signs = bool(issuer.subject) and constraints.ca and _may_sign(issuer)
    except x509.ExtensionNotFound:
        signs = False
    except BROKEN as error:
        raise PemError(f"the CA's certificate: {error}", "pem_cert_unrecognized_format") from error
    if not signs:
        raise PemError("the CA's certificate may not sign others; make one with certtypes=['SSL_CA']", code)
    check_purposes(request.extensions)
    if not is_authority(request.extensions):
        return
    if not ca:
        raise SettingError("ca: the request is for another authority; pass ca=True if it may sign certificates")
    if constraints.path_length == 0:
        raise PemError("the CA's certificate may sign no other authorities (its path length is 0)", code)


def _may_sign(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _authority_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    # Not computed when it says one: there is more than one way to compute it (RFC 5280 4.2.1.2).
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _key_id(private: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key())


def _extensions(request: x509.CertificateSigningRequest) -> list[tuple[x509.ExtensionType, bool]]:
    """What the certificate says of its own, from the request."""
    asked = {type(one.value): one for one in request.extensions}
    authority = is_authority(request.extensions)
    constraints = asked.get(x509.BasicConstraints)
    length = constraints.value.path_length if constraints and authority else None
    found: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(authority, length), True)]
    found += [(asked[kind].value, asked[kind].critical) for kind in _COPIED if kind in asked]
    common = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if x509.SubjectAlternativeName not in asked and common and not authority:
        host = str(common[0].value)
        if is_host(host):
            found.append((x509.SubjectAlternativeName([alternative_name(host)]), False))
    return found
