"""The state machine of a server's health: each row of its table, and what must not move it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxies import succeeded

from greenbas.errors import SettingError
from greenbas_plugins.proxy.health import LATENCIES, MAX_WHY, Health
from greenbas_plugins.proxy.healthsettings import HealthSettings
from greenbas_plugins.proxy.healthstatus import State

SETTINGS = HealthSettings(fails=3, window=10, down_time=2, max_down_time=5, rise=2, fall=3)


def make(**options: int) -> Health:
    return Health("http://one", settings=SETTINGS, **options)


class Play:
    """Plays a script of words against a server: "fail", "ok", "gone", "pass", "miss", numbers are seconds."""

    def __init__(self, server: Health) -> None:
        self.server = server
        self.now = 100.0
        self.open: list[int] = []

    def run(self, script: Sequence[str | float]) -> Health:
        for word in script:
            self.step(word)
        return self.server

    def step(self, word: str | float) -> None:
        server = self.server
        if isinstance(word, int | float):
            self.now += word
        elif word == "begin":
            self.open.append(server.begin(self.now))
        elif word == "pass":
            server.check_passed(self.now)
        elif word == "miss":
            server.check_failed(self.now, "no answer")
        else:
            # Ends the request that is open longest, or a new one.
            epoch = self.open.pop(0) if self.open else server.begin(self.now)
            self.end(word, epoch)

    def end(self, word: str, epoch: int) -> None:
        if word == "ok":
            succeeded(self.server, self.now, epoch, 0.01)
        elif word == "fail":
            self.server.failed(self.now, epoch, "connection refused")
        else:
            self.server.abandoned(self.now, epoch)


DOWN = ["fail"] * 3
SICK = ["miss"] * 3


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ([], State.UP),
        # UP
        (["fail", "fail"], State.UP),
        (DOWN, State.DOWN),
        (["fail", 4, "fail", 4, "fail"], State.DOWN),
        (["fail", 6, "fail", 6, "fail"], State.UP),
        (["fail", 6, "fail", 6, "fail", 1, "fail"], State.DOWN),
        (["fail", "ok", "fail", "ok", "fail"], State.DOWN),
        (["fail", "ok", "ok", "ok", "fail", "fail"], State.DOWN),
        (["fail", "ok", "ok", "ok", "ok", "fail", "fail"], State.UP),
        (["gone"] * 9, State.UP),
        (SICK, State.SICK),
        (["miss", "miss", "pass", "miss", "miss"], State.UP),
        # DOWN
        ([*DOWN, 2, "begin"], State.TRIAL),
        ([*DOWN, 2], State.DOWN),
        ([*DOWN, *SICK], State.SICK),
        ([*DOWN, "pass"], State.DOWN),
        ([*DOWN, "pass", "pass"], State.UP),
        # TRIAL
        ([*DOWN, 2, "ok"], State.UP),
        ([*DOWN, 2, "fail"], State.DOWN),
        ([*DOWN, 2, "gone"], State.DOWN),
        ([*DOWN, 2, "begin", *SICK], State.SICK),
        ([*DOWN, 2, "begin", "pass", "pass"], State.UP),
        # UP again begins anew
        ([*DOWN, 2, "ok", "fail", "fail"], State.UP),
        ([*DOWN, 2, "ok", *DOWN], State.DOWN),
        # SICK
        ([*SICK, "ok", "ok"], State.SICK),
        ([*SICK, "pass"], State.SICK),
        ([*SICK, "pass", "miss", "pass"], State.SICK),
        ([*SICK, "pass", "pass"], State.UP),
        ([*SICK, "pass", "pass", *SICK], State.SICK),
    ],
    ids=str,
)
def test_table_of_states(script: Sequence[str | float], state: State) -> None:
    assert Play(make()).run(script).state is state


@pytest.mark.parametrize(
    ("script", "state"),
    [
        # Begun while it was up, ended when it is thought down: neither longer nor shorter.
        ([*["begin"] * 4, *DOWN, "ok"], State.DOWN),
        ([*["begin"] * 4, *DOWN, 2, "fail"], State.DOWN),
        # Begun before the trial, ended during it.
        ([*["begin"] * 4, *DOWN, 2, "begin", "fail"], State.TRIAL),
        ([*["begin"] * 4, *DOWN, 2, "begin", "ok"], State.TRIAL),
        # Begun as the trial, ended when checks have decided.
        ([*DOWN, 2, "begin", *SICK, "ok"], State.SICK),
        ([*DOWN, 2, "begin", "pass", "pass", "fail"], State.UP),
        (["begin", *SICK, "pass", "pass", "fail", "fail", "fail"], State.UP),
    ],
    ids=str,
)
def test_late_news_move_nothing(script: Sequence[str | float], state: State) -> None:
    play = Play(make())
    assert play.run(script).state is state
    if state is State.DOWN:
        play.step(2)
        assert play.server.ready(play.now)


def test_down_for_twice_as_long_with_each_trial_that_fails_up_to_the_limit() -> None:
    play = Play(make())
    play.run(DOWN)
    waits = []
    for _ in range(4):
        waits.append(play.server.due_in(play.now))
        play.step(waits[-1])
        play.step("fail")
    assert waits == [2, 4, 5, 5]
    play.run([5, "ok", *DOWN])
    assert play.server.due_in(play.now) == 2


def test_ready_only_when_due_and_for_one_trial_at_a_time() -> None:
    play = Play(make())
    play.run(DOWN)
    assert not play.server.ready(play.now)
    assert not play.server.ready(play.now + 1.9)
    assert play.server.ready(play.now + 2)
    play.run([2, "begin"])
    assert not play.server.ready(play.now)
    play.step("gone")
    assert play.server.ready(play.now)


def test_begun_before_its_time_is_the_trial_all_the_same() -> None:
    assert Play(make()).run([*DOWN, "ok"]).state is State.UP
    play = Play(make())
    assert play.run([*DOWN, "begin"]).state is State.TRIAL
    play.step("gone")
    assert play.server.ready(play.now), "nobody has learnt anything: the next request may try"


def test_sick_is_never_due() -> None:
    server = Play(make()).run(SICK)
    assert server.due_in(1e9) == math.inf
    assert not server.ready(1e9)
    assert server.status(1e9).due_in is None


def test_limit() -> None:
    server = make(limit=2)
    epochs = [server.begin(0), server.begin(0)]
    assert server.full and not server.ready(0)
    server.heard(0, epochs[0], 0.1)
    assert server.full, "an answer that has begun still takes its place"
    server.finished()
    assert not server.full and server.ready(0)
    assert not make().full


def test_heard_ends_the_trial_before_the_transfer_ends() -> None:
    play = Play(make())
    play.run([*DOWN, 2])
    epoch = play.server.begin(play.now)
    play.server.heard(play.now, epoch, 0.01)
    assert (play.server.state, play.server.in_flight) == (State.UP, 1)
    play.server.finished()
    assert play.server.in_flight == 0


def test_status() -> None:
    server = make(weight=3, limit=9)
    for latency in range(1, 101):
        succeeded(server, 0, server.begin(0), latency / 1000)
    server.failed(0, server.begin(0), "x" * 1000)
    server.begin(0)
    status = server.status(0)
    assert (status.p50, status.p95) == (0.05, 0.095)
    assert (status.name, status.state, status.weight, status.limit) == ("http://one", "up", 3, 9)
    assert (status.in_flight, status.served, status.failures, status.due_in) == (1, 100, 1, 0)
    assert status.last_error == "x" * MAX_WHY
    assert repr(server) == "<Health http://one up 1 in flight, 1 failed>"


def test_status_of_a_server_that_was_never_asked() -> None:
    status = make().status(0)
    assert (status.p50, status.p95, status.last_error) == (None, None, "")


def test_only_the_last_latencies_count() -> None:
    server = make()
    for latency in [9.0] * 1000 + [0.5] * LATENCIES:
        succeeded(server, 0, server.begin(0), latency)
    assert server.status(0).p95 == 0.5


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"fails": 0}, "fails: 0"),
        ({"rise": 1.5}, "rise: 1.5"),
        ({"fall": True}, "fall: True"),
        ({"window": 0}, "window: 0"),
        ({"window": math.nan}, "window: nan"),
        ({"down_time": math.inf}, "down_time: inf"),
        ({"down_time": "1"}, "down_time: '1'"),
        ({"down_time": 60}, "max_down_time: 30.0 is below down_time, 60"),
    ],
    ids=str,
)
def test_settings_are_checked(options: dict[str, float], word: str) -> None:
    with pytest.raises(SettingError, match=word):
        HealthSettings(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"weight": 0}, {"weight": 1001}, {"weight": 1.0}, {"limit": -1}, {"limit": None}])
def test_servers_are_checked(options: dict[str, int]) -> None:
    with pytest.raises(SettingError, match="of http://one: "):
        make(**options)


WORDS = st.sampled_from(["begin", "ok", "fail", "gone", "pass", "miss"]) | st.sampled_from([0.5, 2.0, 20.0])


@given(st.lists(WORDS, max_size=60))
def test_whatever_happens_the_counts_are_right_and_it_comes_back(script: list[str | float]) -> None:
    play = Play(make())
    server = play.run(script)
    assert server.in_flight == len(play.open)
    while play.open:
        play.step("gone")
    assert server.in_flight == 0
    assert server.due_in(play.now) <= SETTINGS.max_down_time or server.state is State.SICK
    if server.state is State.SICK:
        play.run(["pass", "pass"])
    play.run([SETTINGS.max_down_time])
    assert server.ready(play.now)
    play.step("ok")
    assert server.state is State.UP


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (["fail", "fail"], []),
        (["fail", "fail", "fail"], ["left alone for now: connection refused"]),
        (["fail", "fail", "fail", 2, "fail", 4, "fail"], ["left alone for now: connection refused"]),  # once
        (["fail", "fail", "fail", 2, "ok"], ["left alone for now: connection refused", "up again"]),
        (["miss", "miss", "miss", "pass", "pass"], ["left alone for now: no answer", "up again"]),
        (["fail", "fail", "fail", "miss", "miss", "miss"], ["left alone for now: connection refused"]),
    ],
)
def test_the_log_tells_when_a_server_goes_and_comes_back(
    script: list[str | float], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    Play(make()).run(script)
    assert caplog.messages == [f"http://one is {one}" for one in told]
