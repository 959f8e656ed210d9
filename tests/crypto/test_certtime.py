"""Times of certificates, and times as users give them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from greenbas.crypto import parse_cert_time
from greenbas.crypto.certtime import format_cert_time, to_datetime
from greenbas.errors import SettingError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("700101000001Z", 1),
        ("19700101000001Z", 1),
        ("000101000000Z", 946684800),
        ("491231235959Z", 2524607999),
        ("20500101000000Z", 2524608000),
        ("500101000000Z", -631152000),
        ("240229120000Z", 1709208000),
        ("99991231235959Z", 253402300799),
        (b"240229120000Z", 1709208000),
        # not times
        ("", 0),
        ("230229120000Z", 0),
        ("240230120000Z", 0),
        ("241301000000Z", 0),
        ("240001000000Z", 0),
        ("240101240000Z", 0),
        ("240101006000Z", 0),
        ("240101000060Z", 0),
        ("2401010000Z", 0),
        ("240101000000", 0),
        ("240101000000z", 0),
        ("240101000000+0100", 0),
        ("20240101000000.5Z", 0),
        ("0240101000000Z", 0),
        (" 240101000000Z", 0),
        ("240101000000Z\n", 0),
        ("24010100000\N{ARABIC-INDIC DIGIT ONE}Z", 0),
        ("00000101000000Z", 0),
        (b"\xff40229120000Z", 0),
    ],
)
def test_parse_cert_time(text: str, seconds: int) -> None:
    assert parse_cert_time(text) == seconds


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), "491231235959Z"),
        (datetime(2050, 1, 1, tzinfo=UTC), "20500101000000Z"),
        (datetime(1950, 1, 1, tzinfo=UTC), "500101000000Z"),
        (datetime(1949, 12, 31, tzinfo=UTC), "19491231000000Z"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "251231230000Z"),
    ],
)
def test_format_cert_time(moment: datetime, text: str) -> None:
    assert format_cert_time(moment) == text
    assert parse_cert_time(text) == moment.timestamp()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (datetime(2026, 5, 1, 12, 30, 5, 999), datetime(2026, 5, 1, 12, 30, 5)),
        (datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 5, 1, 10)),
        (date(2026, 5, 1), datetime(2026, 5, 1)),
        ({"year": 2026, "month": 5}, datetime(2026, 5, 1)),
        ({"sec": 5, "min": 4, "hour": 3, "day": 2, "month": 1, "year": 2026}, datetime(2026, 1, 2, 3, 4, 5)),
    ],
)
def test_times_of_users(given: Any, expected: datetime) -> None:
    assert to_datetime("validto", given) == expected.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("2026-05-01", "validto: '2026-05-01' is no time; give a datetime, a date, or a dict with year and month"),
        (1777633200, "validto: 1777633200 is no time"),
        ({"year": 2026}, "validto: month is missing"),
        ({"month": 1}, "validto: year is missing"),
        ({"year": 2026, "month": 1, "minute": 3}, "validto: a time has no 'minute'; use year, month, day,"),
        ({"year": 2026, "month": 13}, "is no time: month must be in 1..12"),
        ({"year": 2026, "month": "1"}, "is no time:"),
    ],
)
def test_what_is_no_time(given: Any, words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        to_datetime("validto", given)
