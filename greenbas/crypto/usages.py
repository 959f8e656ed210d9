"""What a certificate may be used for: BAS's words and the extensions they stand for."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from greenbas.crypto.options import choose_all
from greenbas.errors import PemError, SettingError

__all__ = ["check_purposes", "is_authority", "usage_extensions"]

# The purpose in extendedKeyUsage (RFC 5280 4.2.1.12); None for what makes an authority.
_TYPES = {
    "SSL_CLIENT": ExtendedKeyUsageOID.CLIENT_AUTH,
    "SSL_SERVER": ExtendedKeyUsageOID.SERVER_AUTH,
    "SSL_CA": None,
    "OBJECT_SIGNING": ExtendedKeyUsageOID.CODE_SIGNING,
    "OBJECT_SIGNING_CA": None,
}

# The bit of keyUsage (RFC 5280 4.2.1.3), as the library calls it.
_USAGES = {
    "DIGITAL_SIGNATURE": "digital_signature",
    "NON_REPUDIATION": "content_commitment",
    "KEY_ENCIPHERMENT": "key_encipherment",
    "DATA_ENCIPHERMENT": "data_encipherment",
    "KEY_AGREEMENT": "key_agreement",
    "KEY_CERT_SIGN": "key_cert_sign",
    "CRL_SIGN": "crl_sign",
}
# What a request of others may ask for. Not here: to speak for the authority itself, as about revoked certificates.
_HARMLESS = {*_TYPES.values(), ExtendedKeyUsageOID.EMAIL_PROTECTION}
_SIGNS = "KEY_CERT_SIGN"
_DEFAULT_USAGES = ("DIGITAL_SIGNATURE",)
_AUTHORITY_USAGES = ("DIGITAL_SIGNATURE", _SIGNS, "CRL_SIGN")


def usage_extensions(
    certtypes: str | Iterable[str], keyusages: str | Iterable[str]
) -> list[tuple[x509.ExtensionType, bool]]:
    """The extensions for BAS's words.

    Args:
        certtypes: of SSL_CLIENT, SSL_SERVER, SSL_CA, OBJECT_SIGNING, OBJECT_SIGNING_CA; none is SSL_SERVER.
        keyusages: of DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_ENCIPHERMENT, DATA_ENCIPHERMENT, KEY_AGREEMENT,
            KEY_CERT_SIGN, CRL_SIGN; none is DIGITAL_SIGNATURE, and for an authority KEY_CERT_SIGN and CRL_SIGN too.

    Returns:
        Each extension, and whether it is critical.

    Raises:
        SettingError: an unknown word, or an authority that may not sign, or something else that may.
    """
    types = choose_all("certtypes", certtypes, _TYPES) or {"SSL_SERVER": _TYPES["SSL_SERVER"]}
    authority = None in types.values()
    usages = choose_all("keyusages", keyusages, _USAGES)
    if usages and authority and _SIGNS not in usages:
        raise SettingError(f"keyusages: an authority signs certificates; add {_SIGNS!r}, or leave keyusages out")
    if not authority and _SIGNS in usages:
        raise SettingError(f"keyusages: {_SIGNS} is for authorities; add 'SSL_CA' to certtypes, or leave it out")
    given = set(usages or (_AUTHORITY_USAGES if authority else _DEFAULT_USAGES))
    bits = {bit: word in given for word, bit in _USAGES.items()}
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=None), True),
        (x509.KeyUsage(**bits, encipher_only=False, decipher_only=False), True),
    ]
    purposes = [purpose for purpose in types.values() if purpose is not None]
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    return extensions


def is_authority(extensions: x509.Extensions) -> bool:
    """Whether a certificate or request with these extensions is one of an authority."""
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def check_purposes(extensions: x509.Extensions) -> None:
    """Check that a request, unless it is one of an authority, asks for nothing that only authorities may do.

    Raises:
        PemError: it asks to sign certificates or revocations, or for a purpose that is not known to be harmless.
    """
    code = "pem_cert_unsupported_type"
    authority = is_authority(extensions)
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage) and not authority and (value.key_cert_sign or value.crl_sign):
            raise PemError("the request: it asks to sign certificates, but not to be an authority", code)
        if isinstance(value, x509.ExtendedKeyUsage):
            for purpose in value:
                if purpose not in _HARMLESS:
                    what = purpose.dotted_string
                    raise PemError(f"the request: it asks for the purpose {what}, which is not granted", code)
