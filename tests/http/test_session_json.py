"""Attributes as JSON: what can be stored comes back as it was, what cannot is refused by its name."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from enum import IntEnum
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.http.stores.jsonvalues import MAX_DEPTH, JsonValues, dump


class Colour(IntEnum):
    RED = 1


class Words(str):
    __slots__ = ()


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(VALUES)
def test_values_come_back_as_they_were(value: Any) -> None:
    back = orjson.loads(dump("x", value))
    assert repr(back) == repr(value)  # -0.0 and 1.0 are equal to other values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param((1, 2), "'cart' is .*tuple", id="a tuple would be a list"),
        pytest.param({1, 2}, "'cart' is .*set", id="set"),
        pytest.param(b"a", "'cart' is .*bytes", id="bytes"),
        pytest.param(object(), "'cart' is .*object", id="object"),
        pytest.param(len, "'cart' is .*builtin", id="function"),
        pytest.param(datetime.date(2026, 1, 1), "'cart' is .*date", id="a date would be text"),
        pytest.param(Decimal(1), "'cart' is .*Decimal", id="decimal"),
        pytest.param(Colour.RED, "'cart' is .*Colour", id="an enum would be a number"),
        pytest.param(Words("a"), "'cart' is .*Words", id="a subclass would be text"),
        pytest.param(math.nan, "'cart'.*JSON has no nan", id="nan would be null"),
        pytest.param(-math.inf, "'cart'.*JSON has no -inf", id="infinity"),
        pytest.param(2**63, "'cart'.*64 bits", id="large number"),
        pytest.param("\ud800", "'cart'.*Unicode", id="half a character"),
        pytest.param({"a": [1, {"b": (1,)}]}, r"'cart'\['a'\]\[1\]\['b'\] is \(1,\)", id="inside"),
        pytest.param({1: 2}, "'cart' has the key 1", id="a number as key would be text"),
        pytest.param({"\udfff": 2}, "'cart' has a key that.*Unicode", id="half a character as key"),
        pytest.param(nested(MAX_DEPTH + 1), "nested deeper", id="deep"),
        pytest.param(circle(), "does it hold itself", id="circle"),
    ],
)
def test_what_cannot_be_stored_is_refused(value: Any, message: str) -> None:
    values = JsonValues({})
    with pytest.raises(TypeError, match=message):
        values["cart"] = value
    assert dict(values) == {}
    assert values.changes() == ({}, set())


def test_deepest_that_can_be_stored() -> None:
    assert orjson.loads(dump("x", nested(MAX_DEPTH))) == nested(MAX_DEPTH)


def set_item(values: JsonValues) -> None:
    values["a"] = 2


def change_in_place(values: JsonValues) -> None:
    values["list"].append({"x": 1})


def change_deep_inside(values: JsonValues) -> None:
    values["list"][0]["deep"] = []


def delete_item(values: JsonValues) -> None:
    del values["a"]


def delete_and_set(values: JsonValues) -> None:
    del values["a"]
    values["a"] = 3


def set_and_delete(values: JsonValues) -> None:
    values["new"] = 3
    del values["new"]


def read_all(values: JsonValues) -> None:
    assert dict(values) == {"a": 1, "list": [{}]}


def assign_the_same(values: JsonValues) -> None:
    values["list"] = [{}]


def change_and_undo(values: JsonValues) -> None:
    values["list"].append(1)
    values["list"].pop()


@pytest.mark.parametrize(
    ("change", "written", "deleted"),
    [
        (set_item, {"a": b"2"}, set()),
        (change_in_place, {"list": b'[{},{"x":1}]'}, set()),
        (change_deep_inside, {"list": b'[{"deep":[]}]'}, set()),
        (delete_item, {}, {"a"}),
        (delete_and_set, {"a": b"3"}, set()),
        (set_and_delete, {}, set()),
        (read_all, {}, set()),
        (assign_the_same, {}, set()),
        (change_and_undo, {}, set()),
        (JsonValues.clear, {}, {"a", "list"}),
        (lambda values: values.update(a=5, b=None), {"a": b"5", "b": b"null"}, set()),
        (lambda values: values.pop("list"), {}, {"list"}),
        (lambda values: values.setdefault("a", 9), {}, set()),
    ],
)
def test_changes(change: Any, written: dict[str, bytes], deleted: set[str]) -> None:
    values = JsonValues({"a": b"1", "list": b"[{}]"})
    change(values)
    assert values.changes() == (written, deleted)
    values.saved(written, deleted)
    assert values.changes() == ({}, set())


def test_mapping() -> None:
    values = JsonValues({"a": b"1", "b": b"2"})
    del values["a"]
    values["c"] = 3
    assert (list(values), len(values)) == (["b", "c"], 2)
    assert ("a" in values, "b" in values, "c" in values) == (False, True, True)
    assert repr(values) == "<JsonValues {'b': 2, 'c': 3}>"
    for name in ("a", "nothing"):
        with pytest.raises(KeyError):
            values[name]
        with pytest.raises(KeyError):
            del values[name]


def test_what_was_put_inside_is_named_when_it_is_saved() -> None:
    values = JsonValues({"cart": b"[]"})
    values["cart"].append(object())
    with pytest.raises(TypeError, match=r"'cart'\[0\]"):
        values.changes()
