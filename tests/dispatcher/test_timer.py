"""Timers: every sentence of bas-api a.3 and of the class's own description."""

from __future__ import annotations

import gc
import logging
import math
import sys
import weakref
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent
from leaks import nothing_left
from support import wait_until

from greenbas.dispatcher import Timer, greenlet_name
from greenbas.errors import IncorrectUse

SOON = 0.002  # seconds
NEVER = 3600.0


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    with nothing_left():
        yield


def turns(count: int = 10) -> None:
    """Give everything that is due a chance to run."""
    for _ in range(count):
        gevent.sleep(SOON / 2)


class Ticks:
    """A callback that counts its calls and returns what it was told to: one result a call, then None."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.count = 0

    def __call__(self) -> Any:
        self.count += 1
        return self.results.pop(0) if self.results else None


# -- set, and what the result of the callback means ---------------------------------------------------------------


def test_a_new_timer_is_inactive() -> None:
    tick = Ticks()
    timer = Timer(tick)
    assert not timer.active
    assert (timer.reset(SOON), timer.cancel()) == (False, False)
    turns()
    assert tick.count == 0


@pytest.mark.parametrize("result", [None, False, 0, 1, "yes", (True,)])
def test_anything_but_true_ends_it(result: object) -> None:
    tick = Ticks(result)
    timer = Timer(tick)
    assert timer.set(SOON) is True
    assert timer.active
    wait_until(lambda: tick.count == 1)
    assert not timer.active
    turns()
    assert tick.count == 1


def test_true_repeats_until_something_else() -> None:
    tick = Ticks(True, True, True, False)
    timer = Timer(tick)
    timer.set(SOON)
    wait_until(lambda: tick.count == 4)
    assert not timer.active
    turns()
    assert tick.count == 4


def test_a_timer_that_has_ended_can_be_set_again() -> None:
    tick = Ticks()
    timer = Timer(tick)
    for count in (1, 2, 3):
        assert timer.set(SOON)
        wait_until(lambda count=count: tick.count == count)  # type: ignore[misc]


def test_set_cancels_an_active_timer_first() -> None:
    tick = Ticks(True)
    timer = Timer(tick)
    timer.set(SOON)
    assert timer.set(NEVER)
    turns()
    assert (tick.count, timer.active) == (0, True)
    timer.cancel()


@pytest.mark.parametrize("seconds", [-1, -0.001, -math.inf, math.nan])
def test_set_refuses_times_that_cannot_be(seconds: float) -> None:
    timer = Timer(Ticks())
    timer.set(NEVER)
    with pytest.raises(ValueError, match="cannot wait"):
        timer.set(seconds)
    assert timer.active
    timer.cancel()


def test_zero_seconds_is_the_next_turn() -> None:
    tick = Ticks(True, True)
    Timer(tick).set(0)
    wait_until(lambda: tick.count == 3)


# -- immediately --------------------------------------------------------------------------------------------------


def test_immediately_calls_once_in_the_callers_greenlet_then_arms() -> None:
    seen: list[object] = []

    def tick() -> bool:
        seen.append(getcurrent())
        return True

    timer = Timer(tick)
    assert timer.set(NEVER, immediately=True) is True
    assert (seen, timer.active) == ([getcurrent()], True)
    timer.cancel()


@pytest.mark.parametrize("result", [None, False])
def test_immediately_does_not_arm_when_that_call_says_stop(result: object) -> None:
    tick = Ticks(result)
    timer = Timer(tick)
    assert timer.set(SOON, immediately=True) is False
    assert not timer.active
    turns()
    assert tick.count == 1


def test_an_immediate_call_that_raises_is_raised_and_the_timer_is_dead(caplog: pytest.LogCaptureFixture) -> None:
    def tick() -> None:
        raise ValueError("broken")

    timer = Timer(tick)
    with pytest.raises(IncorrectUse, match=r"Timer callback failed: ValueError\('broken'\)"):
        timer.set(SOON, immediately=True)
    assert not timer.active


def test_a_time_out_of_the_caller_passes_through_an_immediate_call() -> None:
    timer = Timer(lambda: gevent.sleep(NEVER))
    with pytest.raises(gevent.Timeout), gevent.Timeout(SOON):
        timer.set(SOON, immediately=True)
    assert timer.cancel() is False


# -- reset and cancel ---------------------------------------------------------------------------------------------


def test_reset_changes_the_interval_of_an_active_timer() -> None:
    tick = Ticks(True, True)
    timer = Timer(tick)
    timer.set(NEVER)
    assert timer.reset(SOON) is True
    assert repr(timer).endswith(f"every {SOON:g} s>")
    wait_until(lambda: tick.count == 3)
    assert timer.reset(SOON) is False


def test_cancel_says_whether_it_was_active() -> None:
    tick = Ticks()
    timer = Timer(tick)
    timer.set(SOON)
    assert timer.cancel() is True
    assert timer.cancel() is False
    turns()
    assert tick.count == 0


def test_cancel_stops_a_tick_that_is_due_but_has_not_begun() -> None:
    """It said False, the tick ran all the same, and returning True the timer went on for ever."""
    tick = Ticks(*[True] * 100)
    timer = Timer(tick)
    cancelled: list[bool] = []

    def fire_and_cancel() -> None:
        timer._due()  # as the hub's timer does, the greenlet of the tick is made and not yet run
        cancelled.append(timer.cancel())

    timer.set(NEVER)
    gevent.get_hub().loop.run_callback(fire_and_cancel)
    wait_until(lambda: bool(cancelled))
    turns()
    assert (cancelled, tick.count, timer.active) == ([True], 0, False)


def test_set_replaces_a_tick_that_is_due_but_has_not_begun() -> None:
    tick = Ticks(*[True] * 100)
    timer = Timer(tick)
    done: list[bool] = []

    def fire_and_set() -> None:
        timer._due()
        done.append(timer.set(NEVER))

    timer.set(NEVER)
    gevent.get_hub().loop.run_callback(fire_and_set)
    wait_until(lambda: bool(done))
    turns()
    assert (tick.count, timer.active) == (0, True)
    timer.cancel()


def test_it_is_active_until_the_tick_begins_and_not_during_it() -> None:
    seen: list[bool] = []
    timer = Timer(lambda: seen.append(timer.active))
    timer.set(SOON)
    wait_until(lambda: seen != [])
    assert seen == [False]


# -- from inside the callback -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "result", "active"),
    [
        (lambda timer: timer.cancel(), True, False),
        (lambda timer: timer.set(NEVER), False, True),
        (lambda timer: timer.set(NEVER), True, True),
        (lambda timer: (timer.set(NEVER), timer.cancel()), True, False),
        (lambda timer: timer.reset(SOON), True, True),  # it is not active then: the interval stays
    ],
    ids=["cancel", "set, then False", "set, then True", "set and cancel", "reset"],
)
@pytest.mark.parametrize("immediately", [False, True])
def test_set_and_cancel_inside_the_callback_win_over_its_result(
    inside: Callable[[Timer], object], result: bool, active: bool, immediately: bool
) -> None:
    tick = Ticks(*[result] * 100)

    def call() -> Any:
        again = tick()
        inside(timer)
        return again

    timer = Timer(call)
    assert timer.set(NEVER if immediately else SOON, immediately) is (active if immediately else True)
    wait_until(lambda: tick.count >= 1)
    gevent.sleep(0)
    assert timer.active is active
    timer.cancel()


def test_cancel_from_outside_while_the_callback_blocks() -> None:
    go = Event()
    tick = Ticks(True)

    def call() -> Any:
        again = tick()
        go.wait()
        return again

    timer = Timer(call)
    timer.set(SOON)
    wait_until(lambda: tick.count == 1)
    timer.cancel()
    go.set()
    turns()
    assert (tick.count, timer.active) == (1, False)


def test_set_while_the_callback_blocks_does_not_call_it_twice_at_once() -> None:
    running = 0
    most = 0
    go = Event()
    calls = 0

    def call() -> None:
        nonlocal running, most, calls
        calls += 1
        running += 1
        most = max(most, running)
        go.wait()
        running -= 1

    timer = Timer(call)
    timer.set(SOON)
    wait_until(lambda: calls == 1)
    timer.set(SOON)
    turns()
    assert (calls, timer.active) == (1, True)
    go.set()
    wait_until(lambda: calls == 2)
    assert most == 1


def test_set_while_a_generator_blocks_does_not_kill_it() -> None:
    """The tick met a generator that was running: ValueError, and the timer was dead."""
    go = Event()
    seen: list[str] = []

    def call() -> Generator[bool, None, None]:
        seen.append("first")
        go.wait()
        yield True
        seen.append("second")

    timer = Timer(call)
    timer.set(SOON)
    wait_until(lambda: seen == ["first"])
    timer.set(SOON)
    turns()
    go.set()
    wait_until(lambda: seen == ["first", "second"])


def test_an_immediate_call_inside_the_callback_is_refused() -> None:
    caught: list[Exception] = []

    def call() -> None:
        try:
            timer.set(SOON, immediately=True)
        except IncorrectUse as error:
            caught.append(error)

    timer = Timer(call)
    timer.set(SOON)
    wait_until(lambda: bool(caught))
    assert "is running" in str(caught[0])
    timer.cancel()


# -- generators ---------------------------------------------------------------------------------------------------


def test_a_generator_runs_to_its_next_yield_at_each_tick() -> None:
    seen: list[str] = []

    def call() -> Generator[bool, None, None]:
        for name in "abc":
            seen.append(name)
            yield True
        seen.append("end")

    timer = Timer(call)
    timer.set(SOON)
    assert seen == []
    wait_until(lambda: "end" in seen)
    assert (seen, timer.active) == (["a", "b", "c", "end"], False)
    with pytest.raises(IncorrectUse, match="generator has ended"):
        timer.set(SOON)
    with pytest.raises(IncorrectUse, match="generator has ended"):
        timer.reset(SOON)
    assert timer.cancel() is False


@pytest.mark.parametrize("value", [False, None, 1])
def test_a_generator_that_yields_anything_but_true_has_stopped_for_good(value: object) -> None:
    seen: list[int] = []

    def call() -> Generator[object, None, None]:
        seen.append(1)
        yield value
        seen.append(2)

    timer = Timer(call)
    timer.set(SOON)
    wait_until(lambda: seen == [1])
    turns()
    assert (seen, timer.active) == ([1], False)
    with pytest.raises(IncorrectUse, match="generator has ended"):
        timer.set(SOON)


def test_a_cancelled_generator_goes_on_where_it_stopped() -> None:
    seen: list[int] = []

    def call() -> Generator[bool, None, None]:
        for number in range(5):
            seen.append(number)
            yield True

    timer = Timer(call)
    assert timer.set(NEVER, immediately=True)
    assert timer.cancel()
    assert timer.set(NEVER, immediately=True)
    assert seen == [0, 1]
    timer.cancel()


def test_a_generator_may_end_in_the_immediate_call() -> None:
    def call() -> Generator[bool, None, None]:
        return
        yield True

    timer = Timer(call)
    assert timer.set(SOON, immediately=True) is False
    assert not timer.active


# -- failures -----------------------------------------------------------------------------------------------------


def fails() -> None:
    raise ValueError("broken")


def fails_as_generator() -> Generator[bool, None, None]:
    yield True
    raise ValueError("broken")


def times_out() -> None:
    raise gevent.Timeout(1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (fails, "ValueError('broken')"),
        (fails_as_generator, "ValueError('broken')"),
        (times_out, "<Timeout at "),
    ],
)
def test_a_callback_that_raises_is_dead(
    function: Callable[[], Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    timer = Timer(function)
    with caplog.at_level(logging.ERROR, "greenbas.timer"):
        timer.set(SOON)
        wait_until(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert record.message == f"timer {function.__qualname__} failed and is dead"
    assert record.exc_info is not None
    assert not timer.active
    later: list[Callable[[], object]] = [
        lambda: timer.set(SOON),
        lambda: timer.set(SOON, immediately=True),
        lambda: timer.reset(SOON),
        timer.cancel,
    ]
    for call in later:
        with pytest.raises(IncorrectUse, match="Timer callback failed: ") as caught:
            call()
        assert words in str(caught.value)
        assert caught.value.__cause__ is record.exc_info[1]
    turns()
    assert len(caplog.records) == 1


def test_a_killed_tick_is_no_failure() -> None:
    ticking: list[object] = []

    def call() -> bool:
        ticking.append(getcurrent())
        gevent.sleep(NEVER)
        return True

    timer = Timer(call)
    timer.set(SOON)
    wait_until(lambda: bool(ticking))
    gevent.kill(ticking[0])
    assert timer.cancel() is False
    assert not timer.active


# -- the rest -----------------------------------------------------------------------------------------------------


def test_the_callback_may_block_and_others_go_on() -> None:
    go, other = Event(), Ticks(True, True, True)
    slow = Timer(lambda: go.wait() is None)  # it returns True, which would repeat it
    slow.set(SOON)
    Timer(other).set(SOON)
    wait_until(lambda: other.count == 4)
    assert not slow.active
    go.set()


def test_each_tick_has_a_greenlet_named_after_the_function() -> None:
    names: list[str] = []

    def call() -> bool:
        names.append(greenlet_name())
        return len(names) < 2

    Timer(call).set(SOON)
    wait_until(lambda: len(names) == 2)
    assert names == [f"timer:{call.__qualname__}"] * 2


def test_ticks_see_the_context_in_which_the_timer_was_set() -> None:
    """They began with an empty context, as the hub's callback made their greenlet."""
    name: ContextVar[str] = ContextVar("name")
    seen: list[str] = []

    def call() -> bool:
        seen.append(name.get("nothing"))
        return len(seen) < 3

    name.set("mine")
    Timer(call).set(SOON)
    name.set("later")
    wait_until(lambda: len(seen) == 3)
    assert seen == ["mine"] * 3


def test_an_active_timer_keeps_itself_alive_and_an_inactive_one_does_not() -> None:
    tick = Ticks(True, True)
    Timer(tick).set(SOON)
    gc.collect()
    wait_until(lambda: tick.count == 3)
    gc.collect()
    assert not [item for item in gc.get_objects() if isinstance(item, Timer) and item._function is tick]


def test_as_a_context_manager_it_cancels_itself() -> None:
    tick = Ticks(True)
    with Timer(tick) as timer:
        timer.set(NEVER)
        assert timer.active
    assert not timer.active
    with pytest.raises(KeyError), timer:
        timer.set(NEVER)
        raise KeyError
    assert not timer.active


def test_a_dead_timer_does_not_hide_the_error_of_its_block(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), Timer(fails) as timer:
        timer.set(SOON)
        wait_until(lambda: bool(caplog.records))
        raise KeyError
    with Timer(fails) as timer:
        timer.set(SOON)
        wait_until(lambda: len(caplog.records) == 2)


def test_repr_is_for_operators() -> None:
    timer = Timer(fails)
    assert repr(timer) == "<Timer fails inactive>"
    timer.set(90)
    assert repr(timer) == "<Timer fails every 90 s>"
    timer.cancel()


def test_a_tick_that_wants_to_exit_does_not_end_the_program(caplog: pytest.LogCaptureFixture) -> None:
    timer = Timer(lambda: sys.exit(4))
    timer.set(0)
    wait_until(lambda: "is dead" in caplog.text)
    with pytest.raises(IncorrectUse, match=r"SystemExit\(4\)"):
        timer.set(1)


def test_a_failed_tick_lets_go_of_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that was deferred to it, for one: its client would wait until the collector comes by."""
    # pytest keeps log records, and with them the frames.
    monkeypatch.setattr(logging.getLogger("greenbas.timer"), "propagate", False)

    class Thing:
        pass

    def tick() -> None:
        thing = Thing()
        kept.append(weakref.ref(thing))
        raise ValueError("no")

    kept: list[weakref.ref[Thing]] = []
    timer = Timer(tick)
    timer.set(0)
    wait_until(lambda: kept and kept[0]() is None)
    assert not timer.active
