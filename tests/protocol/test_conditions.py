"""Conditional requests."""

from __future__ import annotations

import pytest

from greenbas.protocol.conditions import (
    Verdict,
    evaluate,
    if_range_holds,
    make_etag,
    parse_etags,
    strong_match,
    weak_match,
)

ETAG = '"abc"'
MODIFIED = 784111777
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"

PROCEED, NOT_MODIFIED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED


def judge(method: str, fields: dict[str, str], etag: str | None = ETAG, modified: int | None = MODIFIED) -> Verdict:
    return evaluate(method, fields.get, etag, modified)


@pytest.mark.parametrize(
    ("fields", "get", "put"),
    [
        pytest.param({}, PROCEED, PROCEED, id="none"),
        # 13.1.1
        pytest.param({"if-match": "*"}, PROCEED, PROCEED, id="match any"),
        pytest.param({"if-match": ETAG}, PROCEED, PROCEED, id="match"),
        pytest.param({"if-match": '"x", "abc"'}, PROCEED, PROCEED, id="match second"),
        pytest.param({"if-match": '"x"'}, FAILED, FAILED, id="no match"),
        pytest.param({"if-match": 'W/"abc"'}, FAILED, FAILED, id="match compares strongly"),
        pytest.param({"if-match": "abc"}, FAILED, FAILED, id="match without quotes"),
        pytest.param({"if-match": ""}, FAILED, FAILED, id="match empty"),
        # 13.1.2
        pytest.param({"if-none-match": "*"}, NOT_MODIFIED, FAILED, id="none-match any"),
        pytest.param({"if-none-match": ETAG}, NOT_MODIFIED, FAILED, id="none-match"),
        pytest.param({"if-none-match": 'W/"abc"'}, NOT_MODIFIED, FAILED, id="none-match compares weakly"),
        pytest.param({"if-none-match": '"x",W/"y" , "abc"'}, NOT_MODIFIED, FAILED, id="none-match third"),
        pytest.param({"if-none-match": '"x"'}, PROCEED, PROCEED, id="none-match other"),
        pytest.param({"if-none-match": '"*"'}, PROCEED, PROCEED, id="none-match quoted star"),
        # 13.1.3
        pytest.param({"if-modified-since": EARLIER}, PROCEED, PROCEED, id="modified since"),
        pytest.param({"if-modified-since": SAME}, NOT_MODIFIED, PROCEED, id="not modified since, same"),
        pytest.param({"if-modified-since": LATER}, NOT_MODIFIED, PROCEED, id="not modified since"),
        pytest.param({"if-modified-since": "yesterday"}, PROCEED, PROCEED, id="modified since no date"),
        # 13.1.4
        pytest.param({"if-unmodified-since": EARLIER}, FAILED, FAILED, id="unmodified since, but is"),
        pytest.param({"if-unmodified-since": SAME}, PROCEED, PROCEED, id="unmodified since, same"),
        pytest.param({"if-unmodified-since": LATER}, PROCEED, PROCEED, id="unmodified since"),
        pytest.param({"if-unmodified-since": "yesterday"}, PROCEED, PROCEED, id="unmodified since no date"),
        # 13.2.2: the order
        pytest.param({"if-match": ETAG, "if-unmodified-since": EARLIER}, PROCEED, PROCEED, id="match beats date"),
        pytest.param({"if-match": '"x"', "if-unmodified-since": LATER}, FAILED, FAILED, id="no match beats date"),
        pytest.param({"if-none-match": '"x"', "if-modified-since": SAME}, PROCEED, PROCEED, id="none-match beats date"),
        pytest.param({"if-none-match": "", "if-modified-since": SAME}, PROCEED, PROCEED, id="even an empty one"),
        pytest.param({"if-match": '"x"', "if-none-match": ETAG}, FAILED, FAILED, id="match comes first"),
        pytest.param({"if-match": ETAG, "if-none-match": ETAG}, NOT_MODIFIED, FAILED, id="then none-match"),
        pytest.param({"if-unmodified-since": SAME, "if-modified-since": SAME}, NOT_MODIFIED, PROCEED, id="two dates"),
    ],
)
def test_evaluate(fields: dict[str, str], get: Verdict, put: Verdict) -> None:
    assert judge("GET", fields) is get
    assert judge("HEAD", fields) is get
    for method in ("PUT", "DELETE", "POST", "MOVE"):
        assert judge(method, fields) is put
    # 13.2.1
    for method in ("OPTIONS", "CONNECT", "TRACE"):
        assert judge(method, fields) is PROCEED


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        pytest.param({"if-match": "*"}, FAILED, id="match any"),
        pytest.param({"if-match": ETAG}, FAILED, id="match"),
        pytest.param({"if-none-match": "*"}, PROCEED, id="none-match any"),
        pytest.param({"if-none-match": ETAG}, PROCEED, id="none-match"),
        pytest.param({"if-unmodified-since": EARLIER}, PROCEED, id="unmodified since"),
    ],
)
def test_nothing_there(fields: dict[str, str], verdict: Verdict) -> None:
    assert judge("PUT", fields, None, None) is verdict


def test_only_a_date() -> None:
    assert judge("GET", {"if-none-match": "*"}, None) is NOT_MODIFIED
    assert judge("GET", {"if-none-match": ETAG}, None) is PROCEED
    assert judge("GET", {"if-modified-since": SAME}, None) is NOT_MODIFIED
    assert judge("GET", {"if-modified-since": SAME}, ETAG, None) is PROCEED


def test_weak_etag_never_satisfies_if_match() -> None:
    assert judge("PUT", {"if-match": 'W/"abc"'}, 'W/"abc"') is FAILED


def test_verdicts_are_status_codes() -> None:
    assert (NOT_MODIFIED.value, FAILED.value) == (304, 412)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        pytest.param("*", ("*",), id="star"),
        pytest.param(" * ", ("*",), id="star with space"),
        pytest.param('"a"', ('"a"',), id="one"),
        pytest.param('"a", W/"b","c"', ('"a"', 'W/"b"', '"c"'), id="three"),
        pytest.param('"a,b", "c d"', ('"a,b"',), id="comma within, space refused"),
        pytest.param(', ,"a",,"b",', ('"a"', '"b"'), id="empty elements"),
        pytest.param('""', ('""',), id="empty tag"),
        pytest.param('"\xe4"', ('"\xe4"',), id="obsolete text"),
        pytest.param("", (), id="nothing"),
        pytest.param("abc", (), id="no quotes"),
        pytest.param('"a" "b"', (), id="no comma"),
        pytest.param('"a", b, "c"', ('"a"',), id="stops at the malformed one"),
        pytest.param('w/"a"', (), id="lower-case w"),
        pytest.param('"a', (), id="open"),
        pytest.param('*, "a"', (), id="star in a list"),
    ],
)
def test_parse_etags(value: str, tags: tuple[str, ...]) -> None:
    assert parse_etags(value) == tags


# RFC 9110 8.8.3.2 has this table.
@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        pytest.param('W/"1"', 'W/"1"', False, True, id="both weak"),
        pytest.param('W/"1"', 'W/"2"', False, False, id="both weak, different"),
        pytest.param('W/"1"', '"1"', False, True, id="one weak"),
        pytest.param('"1"', '"1"', True, True, id="strong"),
    ],
)
def test_comparison(one: str, other: str, strong: bool, weak: bool) -> None:
    assert strong_match(one, other) is strong_match(other, one) is strong
    assert weak_match(one, other) is weak_match(other, one) is weak


@pytest.mark.parametrize(
    ("value", "age", "holds"),
    [
        pytest.param('"abc"', 0, True, id="etag"),
        pytest.param('"x"', 100, False, id="other etag"),
        pytest.param('W/"abc"', 100, False, id="weak etag"),
        pytest.param('"abc", "x"', 100, False, id="list"),
        pytest.param("*", 100, False, id="star"),
        pytest.param("abc", 100, False, id="no quotes"),
        pytest.param(SAME, 100, True, id="date"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", 100, True, id="date in another form"),
        pytest.param(SAME, 1, True, id="date a second old"),
        pytest.param(SAME, 0.9, False, id="date too fresh to be strong"),
        pytest.param(LATER, 100, False, id="later is not the same"),
        pytest.param(EARLIER, 100, False, id="earlier is not the same"),
        pytest.param("", 100, False, id="empty"),
    ],
)
def test_if_range(value: str, age: float, holds: bool) -> None:
    assert if_range_holds(value, ETAG, MODIFIED, now=lambda: MODIFIED + age) is holds


def test_if_range_without_validators() -> None:
    assert not if_range_holds(ETAG, None, MODIFIED)
    assert not if_range_holds('W/"abc"', 'W/"abc"', MODIFIED)
    assert not if_range_holds(SAME, ETAG, None)
    assert not if_range_holds("nonsense", None, None)


def test_make_etag() -> None:
    etag = make_etag(1_700_000_000_123_456_789, 1024)
    assert parse_etags(etag) == (etag,)
    assert strong_match(etag, make_etag(1_700_000_000_123_456_789, 1024))
    assert etag != make_etag(1_700_000_000_123_456_790, 1024)
    assert etag != make_etag(1_700_000_000_123_456_789, 1025)
