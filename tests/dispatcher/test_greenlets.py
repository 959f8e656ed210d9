"""Greenlets of ours: names, and the context that they start with."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent import get_hub
from greenlet import getcurrent, greenlet
from leaks import nothing_left
from support import wait_until

from greenbas.dispatcher import greenlet_name, spawn, yield_hub

user: ContextVar[str] = ContextVar("user", default="nobody")


class Report:
    def monthly(self) -> str:
        return greenlet_name()

    def __call__(self) -> str:
        return greenlet_name()

    def __repr__(self) -> str:
        return "<Report>"


def weekly() -> str:
    return greenlet_name()


@pytest.mark.parametrize(
    ("function", "name", "expected"),
    [
        (weekly, None, "weekly"),
        (Report().monthly, None, "Report.monthly"),
        (Report(), None, "<Report>"),
        (weekly, "report:weekly", "report:weekly"),
    ],
)
def test_a_greenlet_is_named_after_its_function_or_as_told(
    function: Callable[[], str], name: str | None, expected: str
) -> None:
    """One that had not begun or had ended went by the name of the current one."""
    made = spawn(function, name=name)
    assert greenlet_name(made) == expected
    assert made.get(timeout=5) == expected
    assert greenlet_name(made) == expected


def test_names_of_other_greenlets() -> None:
    bare = greenlet(greenlet_name, get_hub())
    assert greenlet_name() == "main"
    assert greenlet_name(get_hub()) == "hub"
    assert greenlet_name(bare) == f"greenlet-{id(bare):x}"
    assert greenlet_name(gevent.spawn(int)).startswith("Greenlet-")


def test_arguments_and_result_are_passed() -> None:
    def call(*args: object, **kwargs: object) -> object:
        return args, kwargs

    assert spawn(call, 1, 2, three=3).get(timeout=5) == ((1, 2), {"three": 3})


def test_it_runs_when_the_caller_next_blocks() -> None:
    ran: list[bool] = []
    spawn(ran.append, True)
    assert ran == []
    yield_hub()
    assert ran == [True]


def test_an_error_is_the_result_of_the_greenlet(capfd: pytest.CaptureFixture[str]) -> None:
    made = spawn(lambda: [][1])
    with pytest.raises(IndexError):
        made.get(timeout=5)
    assert "IndexError" in capfd.readouterr().err


def test_the_context_is_copied_when_it_is_spawned() -> None:
    seen: list[str] = []

    def call() -> None:
        seen.append(user.get())
        user.set("changed there")
        gevent.sleep(0)
        seen.append(user.get())

    token = user.set("anna")
    made = spawn(call)
    user.set("bert")
    made.join()
    assert seen == ["anna", "changed there"]
    assert user.get() == "bert"
    user.reset(token)


def test_the_context_is_passed_on_by_a_greenlet_to_those_it_spawns() -> None:
    def outer() -> Any:
        user.set("outer")
        return spawn(user.get).get(timeout=5)

    assert spawn(outer).get(timeout=5) == "outer"
    assert user.get() == "nobody"


def test_plain_gevent_greenlets_start_empty() -> None:
    """Why spawn does it: without this difference the tests above would prove nothing."""
    token = user.set("anna")
    assert gevent.spawn(user.get).get(timeout=5) == "nobody"
    user.reset(token)


def test_yield_hub_lets_everyone_have_a_turn() -> None:
    turns: list[str] = []

    def other(name: str) -> None:
        for _ in range(3):
            turns.append(name)
            yield_hub()

    with nothing_left():
        for name in "ab":
            spawn(other, name)
        wait_until(lambda: len(turns) == 6)
    assert turns == ["a", "b"] * 3
    assert getcurrent() is greenlet.getcurrent()
