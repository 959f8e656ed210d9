"""Range and Content-Range."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.protocol.ranges import MAX_RANGES, content_range, parse_ranges, unsatisfied_range

Intervals = list[tuple[int, int]]
ONES = ",".join(f"{2 * n}-{2 * n}" for n in range(MAX_RANGES))


@pytest.mark.parametrize(
    ("value", "size", "ranges"),
    [
        pytest.param("bytes=0-499", 10000, [(0, 500)], id="first 500"),
        pytest.param("bytes=500-999", 10000, [(500, 1000)], id="second 500"),
        pytest.param("bytes=-500", 10000, [(9500, 10000)], id="last 500"),
        pytest.param("bytes=9500-", 10000, [(9500, 10000)], id="from 9500"),
        pytest.param("bytes=0-0,-1", 10000, [(0, 1), (9999, 10000)], id="first and last"),
        pytest.param("BYTES=0-0", 10, [(0, 1)], id="unit in any case"),
        pytest.param("bytes=0-", 10, [(0, 10)], id="all"),
        pytest.param("bytes=0-9", 10, [(0, 10)], id="exactly all"),
        pytest.param("bytes=0-10", 10, [(0, 10)], id="one too many"),
        pytest.param("bytes=5-999999999999999999", 10, [(5, 10)], id="18 digits"),
        pytest.param("bytes=-11", 10, [(0, 10)], id="suffix longer than all"),
        pytest.param("bytes=9-", 10, [(9, 10)], id="last byte"),
        pytest.param("bytes=007-008", 10, [(7, 9)], id="leading zeros"),
        pytest.param("bytes= 0-1 ,\t3-4 ", 10, [(0, 2), (3, 5)], id="white space"),
        pytest.param("bytes=,,0-1,,3-4,", 10, [(0, 2), (3, 5)], id="empty elements"),
        pytest.param("bytes=10-", 10, [], id="behind the end"),
        pytest.param("bytes=10-20,30-", 10, [], id="all behind the end"),
        pytest.param("bytes=-0", 10, [], id="suffix of nothing"),
        pytest.param("bytes=20-30,0-1", 10, [(0, 2)], id="one of two behind the end"),
        pytest.param("bytes=0-", 0, None, id="empty file"),
        pytest.param("bytes=-5", 0, None, id="suffix of an empty file"),
        pytest.param("bytes=5-", 0, None, id="behind an empty file"),
    ],
)
def test_valid(value: str, size: int, ranges: Intervals | None) -> None:
    assert parse_ranges(value, size) == ranges


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=5",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=0-1-2",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes =0-1",
        "bytes: 0-1",
        " bytes=0-1",
        "items=0-1",
        "bytes=0-1;2-3",
        "bytes=0-1,x",
        "bytes=0-1\n",
        "bytes=٠-١",
        "bytes=0-" + "9" * 19,
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_ignored(value: str) -> None:
    assert parse_ranges(value, 100) is None


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        pytest.param(f"bytes={ONES}", [(2 * n, 2 * n + 1) for n in range(MAX_RANGES)], id="as many as allowed"),
        pytest.param(f"bytes={ONES},99-99", None, id="one more"),
        pytest.param("bytes=0-,0-", None, id="everything twice"),
        pytest.param("bytes=0-,5-5", None, id="everything and a byte"),
        pytest.param("bytes=" + ",".join(["0-"] * 1000), None, id="everything often"),
        pytest.param("bytes=0-59,40-79", [(0, 80)], id="overlap no larger than the file"),
    ],
)
def test_abuse(value: str, ranges: Intervals | None) -> None:
    assert parse_ranges(value, 100) == ranges


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        pytest.param("bytes=0-4,5-9", [(0, 10)], id="adjacent"),
        pytest.param("bytes=5-9,0-4", [(0, 10)], id="adjacent, backwards"),
        pytest.param("bytes=0-4,6-9", [(0, 5), (6, 10)], id="a gap of one"),
        pytest.param("bytes=50-59,0-9", [(50, 60), (0, 10)], id="order kept"),
        pytest.param("bytes=0-9,20-29,10-19", [(0, 30)], id="bridge"),
        pytest.param("bytes=40-49,0-9,20-29,10-19", [(40, 50), (0, 30)], id="bridge behind another"),
        pytest.param("bytes=0-9,2-3", [(0, 10)], id="inside"),
        pytest.param("bytes=2-3,0-9", [(0, 10)], id="around"),
    ],
)
def test_joined(value: str, ranges: Intervals) -> None:
    assert parse_ranges(value, 100) == ranges


@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)).map(sorted), min_size=1, max_size=MAX_RANGES),
    st.integers(1, 120),
)
def test_same_bytes_as_asked_for(pairs: list[list[int]], size: int) -> None:
    wanted = {place for first, last in pairs for place in range(first, last + 1) if place < size}
    ranges = parse_ranges("bytes=" + ",".join(f"{first}-{last}" for first, last in pairs), size)
    total = sum(max(0, min(last + 1, size) - first) for first, last in pairs)
    if total > size:
        assert ranges is None
        return
    assert ranges is not None
    assert {place for start, stop in ranges for place in range(start, stop)} == wanted
    assert sum(stop - start for start, stop in ranges) == len(wanted)
    edges = sorted(ranges)
    assert all(before[1] < after[0] for before, after in pairwise(edges))


def test_content_range() -> None:
    assert content_range(0, 500, 1234) == "bytes 0-499/1234"
    assert content_range(1233, 1234, 1234) == "bytes 1233-1233/1234"
    assert unsatisfied_range(1234) == "bytes */1234"
