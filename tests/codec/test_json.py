"""JSON: whatever comes out is JSON, and what has no JSON form is a TypeError."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.codec import encode_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("", '""'),
        ('ü\n"\\\u2028\x00', '"ü\\n\\"\\\\\u2028\\u0000"'),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (2**63, str(2**63)),
        (2**64, str(2**64)),
        (-(2**64), str(-(2**64))),
        ([2**200, "ü"], f'[{2**200},"\\u00fc"]'),
        ((1, [2]), "[1,[2]]"),
        ({"a": {}}, '{"a":{}}'),
        ({2: "a", None: "b", True: "c", 1.5: "d"}, '{"2":"a","null":"b","true":"c","1.5":"d"}'),
        (math.nan, "null"),
        (math.inf, "null"),
        (datetime.date(2026, 11, 21), '"2026-11-21"'),
        (datetime.datetime(2026, 11, 21, 8, 15, tzinfo=datetime.UTC), '"2026-11-21T08:15:00+00:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        ({datetime.date(2026, 1, 2): 1}, '{"2026-01-02":1}'),
        ("\ud800", '"\\ud800"'),
        ({"\udfff": 1}, '{"\\udfff":1}'),
    ],
)
def test_encode(value: Any, text: str) -> None:
    assert encode_json(value) == text.encode()


@given(VALUES)
def test_what_is_written_can_be_read_again(value: Any) -> None:
    written = encode_json(value)
    assert json.loads(written) == value
    assert b"\n" not in written


def circular() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "object"),
        ({"a": {1, 2}}, "set"),
        (b"bytes", "bytes"),
        ([lambda: None], "function"),
        ({(1, 2): 3}, "keys must be"),
        (1 + 2j, "complex"),
        (circular(), "Circular"),
        ([2**64, math.nan], "no JSON form"),
    ],
)
def test_what_has_no_json_form(value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        encode_json(value)
