"""HTTP dates, both ways."""

from __future__ import annotations

import locale

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.protocol.dates import http_date, parse_http_date

# RFC 9110 5.6.7 shows this moment in all three forms.
EXAMPLE = 784111777


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "Thu, 01 Jan 1970 00:00:00 GMT", id="epoch"),
        pytest.param(EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT", id="rfc"),
        pytest.param(EXAMPLE + 0.999, "Sun, 06 Nov 1994 08:49:37 GMT", id="fraction dropped"),
        pytest.param(-0.5, "Wed, 31 Dec 1969 23:59:59 GMT", id="fraction before the epoch"),
        pytest.param(951782400, "Tue, 29 Feb 2000 00:00:00 GMT", id="leap day"),
        pytest.param(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT", id="last"),
        pytest.param(1e18, "Fri, 31 Dec 9999 23:59:59 GMT", id="too late"),
        pytest.param(float("inf"), "Fri, 31 Dec 9999 23:59:59 GMT", id="infinity"),
        pytest.param(-1e18, "Mon, 01 Jan 0001 00:00:00 GMT", id="too early"),
    ],
)
def test_http_date(seconds: float, text: str) -> None:
    assert http_date(seconds) == text


def test_http_date_ignores_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    before = locale.setlocale(locale.LC_TIME)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"):
        try:
            locale.setlocale(locale.LC_TIME, name)
            break
        except locale.Error:
            continue
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    try:
        assert http_date(1583020800) == "Sun, 01 Mar 2020 00:00:00 GMT"
    finally:
        locale.setlocale(locale.LC_TIME, before)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="imf-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE, id="rfc850"),
        pytest.param("Sun Nov  6 08:49:37 1994", EXAMPLE, id="asctime"),
        pytest.param("Wed Nov 16 08:49:37 1994", EXAMPLE + 10 * 86400, id="asctime, two digits"),
        pytest.param("Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="wrong day name"),
        pytest.param("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800, id="leap second"),
        pytest.param("Tue, 29 Feb 2000 00:00:00 GMT", 951782400, id="leap day"),
        pytest.param("Mon, 01 Jan 0001 00:00:00 GMT", -62135596800, id="first"),
        pytest.param("", None, id="empty"),
        pytest.param("0", None, id="number"),
        pytest.param("Sun, 06 Nov 1994 08:49:37", None, id="no zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 UTC", None, id="other zone"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 +0000", None, id="numeric zone"),
        pytest.param("sun, 06 nov 1994 08:49:37 gmt", None, id="lower case"),
        pytest.param("Sun, 6 Nov 1994 08:49:37 GMT", None, id="one digit"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT; length=5", None, id="old IE parameter"),
        pytest.param("Sun, 06 Foo 1994 08:49:37 GMT", None, id="no such month"),
        pytest.param("Sun, 31 Nov 1994 08:49:37 GMT", None, id="no such day"),
        pytest.param("Sun, 00 Nov 1994 08:49:37 GMT", None, id="day 0"),
        pytest.param("Sun, 29 Feb 2001 08:49:37 GMT", None, id="no leap year"),
        pytest.param("Sun, 06 Nov 0000 08:49:37 GMT", None, id="year 0"),
        pytest.param("Sun, 06 Nov 1994 24:00:00 GMT", None, id="hour 24"),
        pytest.param("Sun, 06 Nov 1994 08:60:00 GMT", None, id="minute 60"),
        pytest.param("Sun, 06 Nov 1994 08:49:61 GMT", None, id="second 61"),
        pytest.param("Sun, 06 Nov ١٩٩٤ 08:49:37 GMT", None, id="other digits"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT\n", None, id="line break"),
    ],
)
def test_parse_http_date(text: str, seconds: int | None) -> None:
    assert parse_http_date(text) == seconds


# The clock stands at 2024-06-15 12:00:00.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", id="past century"),
        pytest.param("Monday, 01-Jan-24 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT", id="this year"),
        pytest.param("Friday, 31-Dec-73 00:00:00 GMT", "Sun, 31 Dec 2073 00:00:00 GMT", id="49 years ahead"),
        pytest.param("Friday, 15-Jun-74 12:00:00 GMT", "Fri, 15 Jun 2074 12:00:00 GMT", id="50 years ahead"),
        pytest.param("Friday, 15-Jun-74 12:00:01 GMT", "Sat, 15 Jun 1974 12:00:01 GMT", id="a second more"),
        pytest.param("Friday, 01-Jan-75 00:00:00 GMT", "Wed, 01 Jan 1975 00:00:00 GMT", id="51 years ahead"),
        pytest.param("Friday, 01-Jan-99 00:00:00 GMT", "Fri, 01 Jan 1999 00:00:00 GMT", id="99"),
        pytest.param("Friday, 29-Feb-00 00:00:00 GMT", "Tue, 29 Feb 2000 00:00:00 GMT", id="leap day in 00"),
    ],
)
def test_two_digit_year(text: str, expected: str) -> None:
    seconds = parse_http_date(text, now=lambda: 1718452800.0)
    assert seconds is not None
    assert http_date(seconds) == expected


def test_two_digit_year_at_the_end_of_a_century() -> None:
    seconds = parse_http_date("Saturday, 01-Jan-01 00:00:00 GMT", now=lambda: 4086000000.0)  # 2099
    assert seconds is not None
    assert http_date(seconds).split()[3] == "2101"


@given(st.integers(-62135596800, 253402300799))
def test_round_trip(seconds: int) -> None:
    assert parse_http_date(http_date(seconds)) == seconds


@given(st.text(max_size=40))
def test_nothing_raises(text: str) -> None:
    parse_http_date(text)
