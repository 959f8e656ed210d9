"""Names in certificates: distinguished names, and those that a certificate is for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.x509.oid import NameOID

from greenbas.crypto.options import choose_all
from greenbas.errors import SettingError

__all__ = ["alternative_name", "canonical_names", "describe_name", "is_host", "make_name", "split_names"]

# In the order that names are written in, the widest first; the most characters of each (RFC 5280 appendix A.1).
_PARTS: dict[str, tuple[x509.ObjectIdentifier, int]] = {
    "countryname": (NameOID.COUNTRY_NAME, 2),
    "province": (NameOID.STATE_OR_PROVINCE_NAME, 128),
    "locality": (NameOID.LOCALITY_NAME, 128),
    "organization": (NameOID.ORGANIZATION_NAME, 64),
    "unit": (NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
    "commonname": (NameOID.COMMON_NAME, 64),
    "email": (NameOID.EMAIL_ADDRESS, 255),
}

# A "*" only as the whole first label (RFC 6125 6.4.3). The underscore is no letter of host names, but is in use.
# A last label of digits alone is an IP address that has been mistyped.
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_MAIL = re.compile(r"[!-?A-~]+@[A-Za-z0-9.-]+")


def make_name(dn: Mapping[str, str]) -> x509.Name:
    """A distinguished name from BAS's table.

    Args:
        dn: commonname, and optionally countryname (two letters), province, locality, organization, unit, email; ""
            counts as missing.

    Raises:
        SettingError: an unknown part, no commonname, or text that cannot stand there.
    """
    choose_all("dn", dn, _PARTS)
    given = {part: text for part, text in dn.items() if text not in ("", None)}
    if "commonname" not in given:
        raise SettingError("dn: commonname is missing; give the name of the host, person or authority")
    for part, text in given.items():
        _check_part(part, text)
    return x509.Name([x509.NameAttribute(_PARTS[part][0], given[part]) for part in _PARTS if part in given])


def _check_part(part: str, text: str) -> None:
    if not isinstance(text, str):
        raise SettingError(f"dn: {part} is {text!r}, which is no str")
    # A NUL or line end has been used to make one name look like another.
    if not text.isprintable():
        raise SettingError(f"dn: {part} has characters that cannot be printed: {text!r}")
    if part == "countryname" and not re.fullmatch("[A-Za-z]{2}", text):
        raise SettingError(f"dn: countryname is {text!r}; it must be two letters, such as 'SE'")
    most = _PARTS[part][1]
    if len(text) > most:
        raise SettingError(f"dn: {part} has {len(text)} characters, and {most} is the most")


def describe_name(name: x509.Name) -> dict[str, str]:
    """A distinguished name as a dict with all parts of BAS's table; several values of one are joined by ", "."""
    return {
        part: ", ".join(_text(attribute) for attribute in name.get_attributes_for_oid(oid))
        for part, (oid, _) in _PARTS.items()
    }


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value.decode("latin-1") if isinstance(value, bytes) else value


def split_names(san: str | Iterable[str]) -> list[str]:
    """The names in BAS's "a;b;c", or in a list."""
    names = san.split(";") if isinstance(san, str) else list(san)
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def canonical_names(names: str | Iterable[str]) -> list[str]:
    """Host names and IP addresses as a certificate for them gives them back: in small letters, addresses shortened."""
    return [str(_address(name) or name.lower()) for name in split_names(names)]


def is_host(text: str) -> bool:
    """Whether this can be the name of a host, with or without a wildcard, or is an IP address."""
    return _HOST.fullmatch(text) is not None or _address(text) is not None


def alternative_name(text: str) -> x509.GeneralName:
    """One name that a certificate is for.

    Args:
        text: a host name, which may begin with "*.", an IP address, or an e-mail address.

    Raises:
        SettingError: it is none of these.
    """
    address = _address(text)
    if address is not None:
        return x509.IPAddress(address)
    if _HOST.fullmatch(text):
        return x509.DNSName(text)
    if _MAIL.fullmatch(text):
        return x509.RFC822Name(text)
    hint = "" if text.isascii() else "; write letters that are not ASCII in the xn-- form"
    raise SettingError(f"san: {text!r} is no host name, IP address or e-mail address{hint}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        # A zone, as in fe80::1%eth0, is of this machine only and cannot stand in a certificate.
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
