"""What an owner closes, and what registers with it by itself."""

from __future__ import annotations

import contextvars
import gc
import logging
import threading
import time
from typing import Any

import gevent
import pytest
from gevent import get_hub
from leaks import nothing_left
from support import wait_until

from greenbas import Timer, spawn
from greenbas.dispatcher import Owner, current_owner
from greenbas.net import Listener
from greenbas.vfs import Directory


class Closable:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def close(self) -> None:
        self.log.append(self.name)
        if self.name == "bad":
            raise ValueError("cannot close")


def test_what_is_owned_is_closed_in_reverse_order() -> None:
    owner, log = Owner("app"), []
    for name in ("one", "two", "three"):
        assert owner.own(Closable(log, name)).name == name
    owner.close()
    assert log == ["three", "two", "one"]
    owner.close()
    assert log == ["three", "two", "one"]


def test_what_fails_does_not_keep_the_rest_open(caplog: pytest.LogCaptureFixture) -> None:
    owner, log = Owner("app"), []
    for name in ("one", "bad", "three"):
        owner.own(Closable(log, name))
    with caplog.at_level(logging.ERROR, "greenbas.owner"):
        owner.close()
    assert log == ["three", "bad", "one"]
    assert "closing" in caplog.text and "cannot close" in caplog.text


@pytest.mark.parametrize("method", ["close", "cancel", "unlink", "kill", "stop"])
def test_what_can_be_owned(method: str) -> None:
    called = []
    thing = type("Thing", (), {method: lambda self: called.append(method)})()
    owner = Owner("app")
    owner.own(thing)
    owner.close()
    assert called == [method]


def test_what_cannot_be_closed_cannot_be_owned() -> None:
    with pytest.raises(TypeError, match="has none of the methods close"):
        Owner("app").own(5)


def test_there_is_no_owner_outside() -> None:
    assert current_owner() is None
    owner = Owner("app")
    with owner.current():
        assert current_owner() is owner
        inner = Owner("inner")
        with inner.current():
            assert current_owner() is inner
        assert current_owner() is owner
    assert current_owner() is None


def test_timers_are_cancelled() -> None:
    ticks = []
    owner = Owner("app")
    with owner.current():
        timer = Timer(lambda: ticks.append(1) or True)
        timer.set(0.001)
    wait_until(lambda: len(ticks) > 2)
    owner.close()
    assert not timer.active


def test_a_failed_timer_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner("app")
    with owner.current():
        timer = Timer(lambda: 1 / 0)
        timer.set(0)
    wait_until(lambda: not timer.active)
    wait_until(lambda: "is dead" in caplog.text)
    caplog.clear()
    owner.close()
    assert not caplog.records


def sleeper(ended: list[str]) -> None:
    try:
        time.sleep(60)
    finally:
        ended.append("ended")


def by_spawn(ended: list[str]) -> Any:
    return spawn(sleeper, ended)


def by_gevent(ended: list[str]) -> Any:
    return gevent.spawn(sleeper, ended)


def by_thread(ended: list[str]) -> Any:
    thread = threading.Thread(target=sleeper, args=(ended,))
    thread.start()
    return thread


def by_thread_in_greenlet(ended: list[str]) -> Any:
    return spawn(lambda: by_gevent(ended).join())


def by_gevent_in_gevent(ended: list[str]) -> Any:
    return gevent.spawn(lambda: gevent.spawn(sleeper, ended))


def by_gevent_in_thread(ended: list[str]) -> Any:
    thread = threading.Thread(target=gevent.spawn, args=(sleeper, ended))
    thread.start()
    return thread


def by_timer(ended: list[str]) -> Any:
    timer = Timer(lambda: sleeper(ended))
    timer.set(0)
    return timer


WAYS = [by_spawn, by_gevent, by_thread, by_thread_in_greenlet, by_gevent_in_gevent, by_gevent_in_thread, by_timer]


# pytest reports a SystemExit in a thread, about which Python itself is silent.
@pytest.mark.filterwarnings("ignore:Exception in thread:pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("start", WAYS)
def test_greenlets_are_killed(start: Any) -> None:
    ended: list[str] = []
    with nothing_left():
        owner = Owner("app")
        with owner.current():
            kept = start(ended)
        gevent.sleep(0.01)
        owner.close()
        wait_until(lambda: ended == ["ended"])
        del kept


def test_greenlets_of_others_stay() -> None:
    owner = Owner("app")
    ended: list[str] = []
    other = gevent.spawn(sleeper, ended)
    gevent.sleep(0)
    owner.close()
    assert not ended
    other.kill()


def test_the_greenlet_that_closes_survives() -> None:
    owner = Owner("app")
    with owner.current():
        closing = spawn(owner.close)
    closing.join()
    assert closing.successful()


def test_one_that_resists_does_not_hold_up_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.dispatcher.owner.KILL_SECONDS", 0.05)
    stop = []

    def stubborn() -> None:
        while not stop:
            try:
                time.sleep(0.01)
            except gevent.GreenletExit:
                pass

    owner, log = Owner("app"), []
    owner.own(Closable(log, "first"))
    with owner.current():
        greenlet = spawn(stubborn)
    gevent.sleep(0)
    owner.close()
    assert log == ["first"]
    stop.append(1)
    greenlet.join()


def test_listeners_are_closed() -> None:
    owner = Owner("app")
    with owner.current():
        listener = Listener(get_hub(), lambda sock: sock.close())
    owner.close()
    assert listener.closed


def test_directories_are_unlinked() -> None:
    root, owner = Directory(), Owner("app")
    with owner.current():
        child = Directory("x")
        root.insert(child)
    owner.close()
    assert child.parent is None and root.children == []


def test_what_is_gone_by_itself_is_forgotten() -> None:
    owner = Owner("app")
    with owner.current():
        for _ in range(100):
            Timer(print)
            spawn(int).join()
    gevent.sleep(0)
    gc.collect()
    assert owner.things() == []
    assert repr(owner) == "<Owner 'app' of 0 things>"


def test_a_native_thread_sees_the_owner_of_its_caller() -> None:
    from greenbas import offload

    owner = Owner("app")
    with owner.current():
        assert offload(current_owner) is owner
    assert contextvars.copy_context().run(current_owner) is None


def test_what_is_opened_after_the_end_is_closed_when_the_last_has_left() -> None:
    owner, log = Owner("app"), []
    with owner.current():
        with owner.current():
            owner.close()
            timer, greenlet = Timer(print), gevent.spawn(gevent.sleep, 60)
            timer.set(60)
            owner.own(Closable(log, "late"))
        assert timer.active and not greenlet.dead and log == []
    assert not timer.active and greenlet.dead and log == ["late"] and owner.things() == []


def test_what_a_left_over_greenlet_opens_is_closed_soon() -> None:
    owner = Owner("app")
    opened: list[Any] = []

    def open_late() -> None:
        timer = Timer(print)
        timer.set(60)
        opened.extend([timer, gevent.spawn(gevent.sleep, 60)])

    with owner.current():
        context = contextvars.copy_context()
    owner.close()
    context.run(open_late)
    assert opened[0].active
    wait_until(lambda: not opened[0].active and opened[1].dead)


def test_a_child_hands_on_what_comes_late() -> None:
    parent, log = Owner("app"), []
    child = Owner("module", parent)
    parent.own(child)
    child.own(Closable(log, "early"))
    child.close()
    child.own(Closable(log, "late"))
    assert log == ["early"]
    parent.close()
    assert log == ["early", "late"]


def test_those_that_resist_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[tuple[int, bool]] = []
    join = gevent.joinall

    def joinall(greenlets: list[Any], timeout: float) -> Any:
        joined.append((len(greenlets), timeout <= 0.05))
        return join(greenlets, timeout=timeout)

    monkeypatch.setattr("greenbas.dispatcher.owner.KILL_SECONDS", 0.05)
    monkeypatch.setattr(gevent, "joinall", joinall)
    go, owner = gevent.event.Event(), Owner("app")

    def stubborn() -> None:
        while not go.is_set():
            try:
                go.wait()
            except gevent.GreenletExit:
                pass

    child = owner.own(Owner("module", owner))
    with child.current():
        greenlets = [gevent.spawn(stubborn) for _ in range(3)]
    with owner.current():
        greenlets.append(gevent.spawn(stubborn))
    gevent.sleep(0)
    owner.close()
    assert joined == [(4, True)]
    go.set()
    join(greenlets)
