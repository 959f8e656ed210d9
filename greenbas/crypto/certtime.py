"""The times of a certificate (RFC 5280 section 4.1.2.5)."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime
from typing import Any

from greenbas.crypto.options import listed
from greenbas.errors import SettingError

__all__ = ["Moment", "format_cert_time", "parse_cert_time", "to_datetime"]

Moment = datetime | date | dict[str, int]

_TIME = re.compile(r"([0-9]{2}|[0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z")
# RFC 5280 4.1.2.5.1: two digits from 50 on are 19xx; 4.1.2.5.2: from 2050 on years have four.
_PIVOT = 50
_FOUR_DIGITS = 2050
_EARLIEST_YEAR = 1950
_PARTS = {"year": None, "month": None, "day": 1, "hour": 0, "min": 0, "sec": 0}


def parse_cert_time(text: str | bytes) -> int:
    """Read the time of a certificate (BAS ``ba.parsecerttime``).

    Args:
        text: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, always UTC.

    Returns:
        Seconds since the epoch; 0 when the text is no such time.
    """
    found = _TIME.fullmatch(text.decode("latin-1") if isinstance(text, bytes) else text)
    if found is None:
        return 0
    year, *rest = (int(part) for part in found.groups())
    if len(found[1]) == 2:
        year += 1900 if year >= _PIVOT else 2000
    try:
        return calendar.timegm(datetime(year, *rest, tzinfo=UTC).timetuple())  # type: ignore[misc, arg-type]
    except ValueError:
        return 0


def format_cert_time(moment: datetime) -> str:
    """Write a time as a certificate has it, and as `parse_cert_time` reads it.

    Args:
        moment: with its time zone.
    """
    at = moment.astimezone(UTC)
    year = f"{at.year:04}" if at.year >= _FOUR_DIGITS or at.year < _EARLIEST_YEAR else f"{at.year % 100:02}"
    return f"{year}{at.month:02}{at.day:02}{at.hour:02}{at.minute:02}{at.second:02}Z"


def to_datetime(option: str, moment: Moment) -> datetime:
    """A time as users give it, in UTC and whole seconds.

    Args:
        option: what it is for, for the message.
        moment: a datetime (UTC unless it has a time zone), a date (its first second), or a dict as in BAS: year, month,
            and optionally day, hour, min, sec.

    Raises:
        SettingError: it is no time, or has a part that is unknown or out of range.
    """
    at = _convert(option, moment)
    # The library ends in a panic on years that RFC 5280 has no way to write.
    if at.year < _EARLIEST_YEAR:
        raise SettingError(f"{option}: a certificate cannot begin or end before {_EARLIEST_YEAR}: {at:%Y-%m-%d}")
    return at


def _convert(option: str, moment: Moment) -> datetime:
    if isinstance(moment, datetime):
        at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return at.astimezone(UTC).replace(microsecond=0)
    if isinstance(moment, date):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, dict):
        raise SettingError(f"{option}: {moment!r} is no time; give a datetime, a date, or a dict with year and month")
    return _from_parts(option, moment)


def _from_parts(option: str, parts: dict[str, Any]) -> datetime:
    for name in parts:
        if name not in _PARTS:
            raise SettingError(f"{option}: a time has no {name!r}; use {listed(_PARTS)}")
    values = _PARTS | parts
    for name, value in values.items():
        if value is None:
            raise SettingError(f"{option}: {name} is missing")
    try:
        return datetime(*values.values(), tzinfo=UTC)  # type: ignore[misc]
    except (ValueError, TypeError) as error:
        raise SettingError(f"{option}: {parts} is no time: {error}") from None
