"""`FairPool`: heavy work in native threads, in turns."""

from __future__ import annotations

import threading
from typing import Any

import gevent
import pytest
from gevent import monkey
from leaks import nothing_left
from support import wait_until

from greenbas.dispatcher import FairPool
from greenbas.errors import Overloaded

NativeEvent: Any = monkey.get_original("threading", "Event")
native_sleep: Any = monkey.get_original("time", "sleep")


def pool(size: int = 1, waiting: int = 3, total: int = 100) -> FairPool:
    return FairPool(size, waiting=waiting, total=total, name="test")


class Gate:
    """A job that ends when the test says so. Polls, because patched locks lose wake-ups between threads."""

    def __init__(self) -> None:
        self.open = False
        self.began = False

    def __call__(self) -> str:
        self.began = True
        for _ in range(2000):
            if self.open:
                return "done"
            native_sleep(0.002)
        raise TimeoutError


def test_results_and_errors() -> None:
    made = pool()
    assert made.offload("a", divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        made.offload("a", divmod, 7, 0)
    assert made.offload("a", divmod, 8, 2) == (4, 0)
    assert repr(made) == "<FairPool test 0 running, 0 waiting>"


def test_it_is_another_thread() -> None:
    native: Any = monkey.get_original("_thread", "get_ident")
    assert pool().offload("a", native) != native()
    assert threading.main_thread()


def test_askers_take_turns() -> None:
    made, gate, order = pool(waiting=10), Gate(), []
    first = gevent.spawn(made.offload, "z", gate)
    wait_until(lambda: gate.began)
    jobs = [gevent.spawn(made.offload, asker, order.append, asker) for asker in "aaaabbc"]
    gevent.sleep(0)
    gate.open = True
    gevent.joinall([first, *jobs], timeout=5, raise_error=True)
    assert "".join(order) == "abcabaa"


def test_one_job_of_an_asker_at_a_time() -> None:
    made, gate = pool(size=2), Gate()
    first = gevent.spawn(made.offload, "a", gate)
    wait_until(lambda: gate.began)
    second = gevent.spawn(made.offload, "a", int, "5")
    assert made.offload("b", int, "6") == 6
    assert not second.ready()
    gate.open = True
    assert (first.get(timeout=5), second.get(timeout=5)) == ("done", 5)


def test_too_many() -> None:
    made, gate = pool(waiting=2, total=3), Gate()
    jobs = [gevent.spawn(made.offload, "a", gate)]
    wait_until(lambda: gate.began)
    jobs += [gevent.spawn(made.offload, asker, int, "5") for asker in "aab"]
    gevent.sleep(0)
    for asker in ("a", "c"):
        with pytest.raises(Overloaded, match="3 jobs wait for test"):
            made.offload(asker, int, "5")
    gate.open = True
    assert [job.get(timeout=5) for job in jobs] == ["done", 5, 5, 5]
    assert made.offload("a", int, "7") == 7


@pytest.mark.parametrize("killed", [0, 1, 2])
def test_who_is_killed_is_not_waited_for(killed: int) -> None:
    made, gate = pool(), Gate()
    with nothing_left():
        jobs = [gevent.spawn(made.offload, "a", gate)]
        wait_until(lambda: gate.began)
        jobs += [gevent.spawn(made.offload, "b", int, "5") for _ in range(2)]
        gevent.sleep(0)
        jobs[killed].kill()
        gate.open = True
        gevent.joinall(jobs, timeout=5)
        assert all(job.ready() for job in jobs)
        assert made.offload("b", int, "6") == 6
        made._thread.close()
    assert repr(made) == "<FairPool test 0 running, 0 waiting>"
