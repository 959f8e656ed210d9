"""A certificate for development, which signs itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from greenbas.crypto.issue import make_certificate
from greenbas.crypto.keys import generate_key
from greenbas.crypto.names import split_names
from greenbas.crypto.request import make_csr
from greenbas.errors import SettingError

__all__ = ["DEFAULT_DAYS", "self_signed"]

# Browsers refuse server certificates that are valid for more than 398 days.
DEFAULT_DAYS = 365
# Clocks of other machines may be behind.
_BACKDATED = timedelta(days=1)
_MAX_COMMON_NAME = 64


def self_signed(
    names: str | Iterable[str], days: int = DEFAULT_DAYS, *, now: datetime | None = None
) -> tuple[str, str]:
    """Make a key and a certificate for a server, which nobody trusts unless told to.

    Args:
        names: host names and IP addresses that it is for; the first one is its common name.
        days: how long it is valid from now on.
        now: the time, with its zone.

    Returns:
        PEM of the certificate, and of the key (not encrypted).

    Raises:
        SettingError: no name, or one that no certificate can be for; or `days` is not positive.
    """
    hosts = split_names(names)
    if not hosts:
        raise SettingError("names: a certificate needs at least one host name or IP address")
    if days <= 0:
        raise SettingError(f"days: {days} is not positive")
    at = now or datetime.now(UTC)
    key = generate_key()
    common = hosts[0] if len(hosts[0]) <= _MAX_COMMON_NAME else "self-signed"
    request = make_csr(key, {"commonname": common}, hosts, ["SSL_SERVER"])
    return make_certificate(request, key, at - _BACKDATED, at + timedelta(days=days)), key
