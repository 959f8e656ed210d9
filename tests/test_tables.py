"""Dataclasses from TOML: which values fit which annotations, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union

import pytest

from greenbas.errors import SettingError
from greenbas.tables import convert, make_table, nearest


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 3, 3),
        (float, 2.5, 2.5),
        (float, 3, 3.0),
        (str, "a", "a"),
        (bool, True, True),
        (tuple, ["a", 1], ("a", 1)),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (tuple[str, ...], [], ()),
        (tuple[float, ...], [1, 2.5], (1.0, 2.5)),
        (tuple[str, int], ["a", 1], ("a", 1)),
        (list[int], [1, 2], [1, 2]),
        (list, [1, "a"], [1, "a"]),
        (list[tuple[int, ...]], [[1], [2, 3]], [(1,), (2, 3)]),
        (frozenset[str], ["a", "a"], frozenset("a")),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (int | None, 3, 3),
        (Optional[float], 3, 3.0),  # noqa: UP045
        (Union[str, int], 3, 3),  # noqa: UP007
        (float | int, 3, 3),
        (str | tuple[str, ...], ["a"], ("a",)),
        (str | tuple[str, ...], "a", "a"),
        (Literal["a", "b"], "b", "b"),
        (Any, [1], [1]),
        (object, "a", "a"),
        (Callable[..., Any], "a", "a"),
    ],
    ids=str,
)
def test_what_fits(hint: Any, value: Any, expected: Any) -> None:
    made = convert("x", value, hint)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (int, "3", "x: '3' is not a whole number"),
        (int, 3.0, "x: 3.0 is not a whole number"),
        (int, True, "x: True is not a whole number"),
        (float, "3", "x: '3' is not a number"),
        (float, False, "x: False is not a number"),
        (str, 3, "x: 3 is not a text"),
        (bool, 1, "x: 1 is neither True nor False"),
        (bool, "yes", "x: 'yes' is neither True nor False"),
        (tuple[str, ...], "a", "x: 'a' is not an array"),
        (tuple[str, ...], ["a", 1], "x: 1 is not a text"),
        (tuple[str, int], ["a"], "x: ['a'] must have 2 elements"),
        (list[int], {"a": 1}, "x: {'a': 1} is not an array"),
        (dict[str, int], [1], "x: [1] is not a table"),
        (int | None, "3", "x: '3' is not a whole number"),
        (str | tuple[str, ...], ["a", 1], "x: 1 is not a text"),
        (str | tuple[str, ...], 1, "x: 1 is not a text"),
        (str | dict[str, int], [1], "x: [1] is not a text"),
        (Literal["a", "b"], "c", "x: 'c' is none of a, b"),
    ],
    ids=str,
)
def test_what_does_not_fit(hint: Any, value: Any, words: str) -> None:
    with pytest.raises(SettingError) as caught:
        convert("x", value, hint)
    assert str(caught.value) == words


@dataclass(frozen=True, kw_only=True)
class Table:
    """One field of each sort."""

    must: str
    may: int = 1
    made: list[int] = field(default_factory=list)
    derived: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.may < 0:
            raise ValueError(f"may: {self.may} is below 0")
        if self.may > 9:
            raise SettingError(f"may: {self.may} is above 9")


def test_a_table() -> None:
    assert make_table(Table, {"must": "a"}) == Table(must="a")
    assert make_table(Table, {"must": "a", "may": 3, "made": [1]}) == Table(must="a", may=3, made=[1])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "'must' is missing"),
        ({"must": 3}, "must: 3 is not a text"),
        ({"must": "a", "mai": 3}, "unknown setting 'mai'; did you mean 'may'?"),
        ({"must": "a", "q": 3}, "unknown setting 'q'; there are must, may, made, derived"),
        ({"must": "a", "derived": 3}, "derived cannot be set"),
        ({"must": "a", "may": -1}, "may: -1 is below 0"),
        ({"must": "a", "may": 10}, "may: 10 is above 9"),
    ],
)
def test_a_wrong_table(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        make_table(Table, given)
    assert str(caught.value) == words


def test_nearest() -> None:
    assert nearest("htp", ("http", "app")) == "; did you mean 'http'?"
    assert nearest("xyz", ("http", "app")) == "; there are http, app"
