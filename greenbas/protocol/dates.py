"""Dates as HTTP writes them: always GMT, always English, whole seconds (RFC 9110 section 5.6.7)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import date
from functools import lru_cache

__all__ = ["http_date", "parse_http_date"]

# Not strftime: its names follow the locale, and RFC 9110 5.6.7 spells these out.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBER = {name: number for number, name in enumerate(_MONTHS) if name}

# An IMF-fixdate has a four-digit year: what lies outside is written as the nearest date that can be.
_EARLIEST = -62135596800  # 0001-01-01 00:00:00
_LATEST = 253402300799  # 9999-12-31 23:59:59

_EPOCH_DAY = date(1970, 1, 1).toordinal()

# A year of files, or the seconds of a busy quarter of an hour; 1,024 entries are about 150 KiB.
_REMEMBERED = 1024

_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH = "(?P<month>" + "|".join(_MONTH_NUMBER) + ")"
_SHORT_DAY = "(?:" + "|".join(_DAYS) + ")"
_LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"

# The three forms of RFC 9110 5.6.7. The name of the day is not compared with the date: it carries nothing.
_IMF_FIXDATE = re.compile(rf"{_SHORT_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} GMT")
_RFC850 = re.compile(rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} GMT")
_ASCTIME = re.compile(rf"{_SHORT_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_CLOCK} (?P<year>[0-9]{{4}})")


def http_date(seconds: float) -> str:
    """Write a time as an IMF-fixdate, such as ``Sun, 06 Nov 1994 08:49:37 GMT``.

    Args:
        seconds: since the epoch; fractions are dropped, times outside the years 1 to 9999 are moved to the edge.

    Returns:
        29 ASCII characters (RFC 9110 section 5.6.7).
    """
    return _format(int(min(max(seconds, _EARLIEST), _LATEST) // 1))


@lru_cache(_REMEMBERED)
def _format(seconds: int) -> str:
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"


def parse_http_date(text: str, *, now: Callable[[], float] = time.time) -> int | None:
    """Read any of the three forms of an HTTP-date.

    Args:
        text: the field value, without surrounding white space.
        now: the clock, in seconds since the epoch, that gives a two-digit year its century.

    Returns:
        Seconds since the epoch, or None when the text is no date or names a day that does not exist
        (RFC 9110 section 5.6.7).
    """
    found = _IMF_FIXDATE.fullmatch(text) or _ASCTIME.fullmatch(text)
    if found:
        return _seconds(int(found["year"]), found)
    found = _RFC850.fullmatch(text)
    return _seconds(_full_year(found, now), found) if found else None


def _full_year(found: re.Match[str], now: Callable[[], float]) -> int:
    """Give a two-digit year its century: the latest one that is not more than 50 years ahead."""
    today = time.gmtime(now())
    limit = today.tm_year + 50
    year = limit - (limit - int(found["year"])) % 100
    # To the second: RFC 9110 5.6.7 says "more than 50 years in the future" of the whole timestamp.
    moment = (_MONTH_NUMBER[found["month"]], *(int(found[part]) for part in ("day", "hour", "minute", "second")))
    return year - 100 if year == limit and moment > today[1:6] else year


def _seconds(year: int, found: re.Match[str]) -> int | None:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    # 60 is a leap second: RFC 9110 5.6.7 takes its clock from RFC 5322, which allows it.
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, _MONTH_NUMBER[found["month"]], int(found["day"])).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second
