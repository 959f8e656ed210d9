"""The watchdog names what keeps the hub; its clock is ours here, so that a slow machine changes nothing."""

from __future__ import annotations

import linecache
import logging
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub, monkey
from leaks import native_threads, nothing_left
from support import wait_until

from greenbas.dispatcher import HubWatchdog, Workers, spawn
from greenbas.dispatcher import watchdog as watchdog_module

native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")
LIMIT = 0.02  # seconds


class Clock:
    """Stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watchdog_module, "time", clock)
    return clock


@pytest.fixture
def dog(clock: Clock, caplog: pytest.LogCaptureFixture) -> Iterator[HubWatchdog]:
    caplog.set_level(logging.WARNING, "greenbas.dispatcher")
    with nothing_left():
        before = native_threads()
        dog = HubWatchdog(get_hub(), limit=LIMIT)
        dog.start()
        yield dog
        dog.stop()
        wait_until(lambda: native_threads() <= before)


def hold_the_hub(dog: HubWatchdog, clock: Clock, seconds: float = 3 * LIMIT) -> None:
    """Keep every other greenlet waiting until the watchdog has seen it."""
    before = dog.blocked
    deadline = time.monotonic() + 5
    clock.now += seconds
    while dog.blocked == before and time.monotonic() < deadline:
        native_sleep(0.001)


def noted(dog: HubWatchdog, clock: Clock) -> None:
    """Return when the hub has had its turn and said so."""
    wait_until(lambda: dog._beat == clock.now)


def test_a_blocking_greenlet_is_counted_and_logged_once_with_name_and_stack(
    dog: HubWatchdog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def compute_too_long() -> None:
        hold_the_hub(dog, clock)
        for _ in range(8):  # it goes on, and the watchdog looks again
            clock.now += LIMIT
            native_sleep(LIMIT / 4)

    spawn(compute_too_long, name="report:monthly").join()
    noted(dog, clock)
    (record,) = caplog.records
    first, *stack = record.getMessage().splitlines()
    assert first == f"the hub was blocked for {11 * LIMIT:.2f} s by report:monthly:"
    assert any("in compute_too_long" in line for line in stack)
    assert any("hold_the_hub" in line for line in stack)
    assert dog.blocked == 1
    assert dog.blocked_seconds == pytest.approx(11 * LIMIT)


class Held:
    """Something whose end can be seen."""


def test_a_report_keeps_nothing_alive_while_sources_are_read(
    dog: HubWatchdog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload found the port of the old application in use: the report still had its frames, and they its listener."""
    reading: list[Any] = []
    seen: list[Held | None] = []
    read = linecache.getline

    def slow(*args: Any) -> str:
        reading.append(args)
        wait_natively(lambda: bool(seen))
        return read(*args)

    monkeypatch.setattr(linecache, "getline", slow)

    def unload() -> weakref.ref[Held]:
        held = Held()
        clock.now += 3 * LIMIT
        wait_natively(lambda: bool(reading))
        return weakref.ref(held)

    def reload() -> None:
        found = unload()
        seen.append(found())

    spawn(reload).join()
    assert reading and seen == [None]
    noted(dog, clock)


def wait_natively(condition: Callable[[], bool]) -> None:
    """Poll without giving way to the hub."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        native_sleep(0.001)


def test_each_block_is_a_report(dog: HubWatchdog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for count in (1, 2, 3):
        spawn(hold_the_hub, dog, clock).join()
        noted(dog, clock)
        assert (dog.blocked, len(caplog.records)) == (count, count)


def in_spawned(call: Callable[[], None]) -> None:
    spawn(call, name="import:users").join()


def in_worker(call: Callable[[], None]) -> None:
    workers = Workers(get_hub())
    get_hub().loop.run_callback(workers.run, Job(call).job)
    wait_until(lambda: workers.active == 0 and bool(workers._idle))
    gevent.kill(workers._idle[0])


class Job:
    def __init__(self, call: Callable[[], None]) -> None:
        self.job = lambda: None
        self.call = call
        self.job = self.run  # a bound method, as connections give

    def __repr__(self) -> str:
        return "<Job GET /slow>"

    def run(self) -> None:
        self.call()


def in_main(call: Callable[[], None]) -> None:
    call()


def in_hub_callback(call: Callable[[], None]) -> None:
    done: list[bool] = []
    get_hub().loop.run_callback(lambda: (call(), done.append(True)))
    wait_until(lambda: bool(done))


def in_foreign_greenlet(call: Callable[[], None]) -> None:
    gevent.spawn(call).join()


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (in_spawned, "import:users"),
        (in_worker, "worker-1 <Job GET /slow>"),
        (in_main, "main"),
        (in_hub_callback, "hub"),
        (in_foreign_greenlet, "a greenlet"),  # the stack says more
    ],
)
def test_the_report_names_who_blocks(
    where: Callable[[Callable[[], None]], None],
    name: str,
    dog: HubWatchdog,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    where(lambda: hold_the_hub(dog, clock))
    noted(dog, clock)
    (record,) = caplog.records
    assert record.getMessage().splitlines()[0].endswith(f" s by {name}:")


def test_a_repr_that_fails_does_not_end_the_watch(
    dog: HubWatchdog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The name of a worker holds what it serves; an error there ended the watching thread for good."""

    class Broken(Job):
        def __repr__(self) -> str:
            raise ValueError("broken")

    workers = Workers(get_hub())
    get_hub().loop.run_callback(workers.run, Broken(lambda: hold_the_hub(dog, clock)).job)
    wait_until(lambda: bool(workers._idle))
    noted(dog, clock)
    assert "s by worker-1 Broken:" in caplog.records[0].getMessage()
    spawn(hold_the_hub, dog, clock, name="next").join()
    noted(dog, clock)
    assert "s by next" in caplog.records[1].getMessage()
    gevent.kill(workers._idle[0])


def test_nothing_is_reported_while_nobody_blocks(
    dog: HubWatchdog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        clock.now += 0.9 * LIMIT
        noted(dog, clock)
    assert (dog.blocked, dog.blocked_seconds, caplog.records) == (0, 0.0, [])


def test_a_block_that_may_never_end_is_written_to_standard_error(
    dog: HubWatchdog, clock: Clock, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    def stuck() -> None:
        hold_the_hub(dog, clock)
        clock.now += 20 * LIMIT
        deadline = time.monotonic() + 5
        while not said and time.monotonic() < deadline:
            native_sleep(LIMIT)
            err = capfd.readouterr().err
            if err:
                said.append(err)
        native_sleep(4 * LIMIT)

    spawn(stuck, name="stuck").join()
    said.append(capfd.readouterr().err)
    assert said[0].startswith("greenbas: the hub has been blocked for 0 s by stuck:\n")
    assert "in stuck" in said[0]
    assert said[1:] == [""]  # once
    noted(dog, clock)
    assert (dog.blocked, len(caplog.records)) == (1, 1)


def test_after_stop_nothing_is_seen_and_the_thread_has_ended(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    before = native_threads()
    dog = HubWatchdog(get_hub(), limit=LIMIT)
    with nothing_left():
        dog.stop()  # before the start: nothing happens
        dog.start()
        dog.start()
        assert len(native_threads() - before) == 1
        dog.stop()
        dog.stop()
        wait_until(lambda: native_threads() <= before)
    clock.now += 100 * LIMIT
    native_sleep(2 * LIMIT)
    gevent.sleep(0)
    assert (dog.blocked, caplog.records) == (0, [])


def test_it_can_be_started_again(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    before = native_threads()
    dog = HubWatchdog(get_hub(), limit=LIMIT)
    dog.start()
    dog.stop()
    clock.now += 100 * LIMIT  # while it was off
    dog.start()
    noted(dog, clock)
    spawn(hold_the_hub, dog, clock).join()
    noted(dog, clock)
    dog.stop()
    assert dog.blocked == 1
    wait_until(lambda: native_threads() <= before)
