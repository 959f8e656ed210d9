"""Workers: how many run, who waits, in which order, and that nothing is lost count of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event
from greenlet import GreenletExit, getcurrent
from leaks import nothing_left
from support import wait_until

from greenbas.dispatcher import Workers
from greenbas.dispatcher.workers import IDLE_WORKERS
from greenbas.errors import Overloaded

Job = Callable[[], None]


def in_hub(*calls: Job) -> list[BaseException | None]:
    """Make the calls in the hub, in one turn, as the callbacks of sockets do; what each raised."""
    raised: list[BaseException | None] = []

    def make_all() -> None:
        for call in calls:
            try:
                call()
            except BaseException as error:
                raised.append(error)
            else:
                raised.append(None)

    get_hub().loop.run_callback(make_all)
    wait_until(lambda: len(raised) == len(calls))
    return raised


def start(workers: Workers, *jobs: Job) -> None:
    """Run jobs, none of which is refused."""
    assert in_hub(*[lambda job=job: workers.run(job) for job in jobs]) == [None] * len(jobs)  # type: ignore[misc]


def counts(workers: Workers) -> tuple[int, int, int]:
    """Active, queued and busy."""
    return workers.active, workers.queued, len(workers.busy)


def quiet(workers: Workers) -> bool:
    return counts(workers) == (0, 0, 0)


@pytest.fixture
def make() -> Iterator[Callable[..., Workers]]:
    """Makes pools whose greenlets are gone at the end."""
    made: list[Workers] = []

    def make(limit: int = 2, queue_length: int = 2) -> Workers:
        made.append(Workers(get_hub(), limit=limit, queue_length=queue_length))
        return made[-1]

    with nothing_left():
        yield make
        for workers in made:
            workers.kill_all()
            wait_until(lambda workers=workers: quiet(workers))  # type: ignore[misc]
            for worker in list(workers._all):
                gevent.kill(worker)
        made.clear()


class Gate:
    """A job that waits until the test lets it go on."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.opened = Event()

    def __repr__(self) -> str:
        return f"<Gate {self.name}>"

    def job(self) -> None:
        self.log.append(f"{self.name} starts")
        self.opened.wait()
        self.log.append(f"{self.name} ends")


def gates(names: str) -> tuple[list[str], list[Gate]]:
    log: list[str] = []
    return log, [Gate(name, log) for name in names]


# -- limit, queue, order ------------------------------------------------------------------------------------------


def test_a_job_runs_at_once_in_a_worker_of_the_hub(make: Callable[..., Workers]) -> None:
    workers = make()
    seen: list[object] = []
    in_hub(lambda: workers.run(lambda: seen.append(getcurrent().parent)), lambda: seen.append("returned"))
    assert seen == [get_hub(), "returned"]


@pytest.mark.parametrize(
    ("limit", "queue_length", "jobs", "running", "queued", "refused"),
    [
        (1, 0, 1, 1, 0, 0),
        (1, 0, 2, 1, 0, 1),
        (2, 2, 2, 2, 0, 0),
        (2, 2, 3, 2, 1, 0),
        (2, 2, 4, 2, 2, 0),
        (2, 2, 5, 2, 2, 1),
        (2, 2, 9, 2, 2, 5),
        (50, 10, 100, 50, 10, 40),
    ],
)
def test_limit_and_queue(
    make: Callable[..., Workers], limit: int, queue_length: int, jobs: int, running: int, queued: int, refused: int
) -> None:
    workers = make(limit, queue_length)
    go = Event()
    done: list[int] = []

    def job(number: int) -> None:
        go.wait()
        done.append(number)

    raised = in_hub(*[lambda n=n: workers.run(lambda: job(n)) for n in range(jobs)])  # type: ignore[misc]
    assert counts(workers) == (running, queued, running)
    assert sum(isinstance(error, Overloaded) for error in raised) == refused
    assert raised[: jobs - refused] == [None] * (jobs - refused)
    go.set()
    wait_until(lambda: quiet(workers))
    assert sorted(done) == list(range(jobs - refused))


def test_overloaded_says_the_numbers(make: Callable[..., Workers]) -> None:
    workers = make(1, 0)
    (gate,) = gates("a")[1]
    error = in_hub(lambda: workers.run(gate.job), lambda: workers.run(gate.job))[1]
    assert str(error) == "1 requests run and 0 wait"


def test_queued_jobs_run_in_the_order_they_came(make: Callable[..., Workers]) -> None:
    workers = make(1, 100)
    order: list[int] = []
    log, (first,) = gates("a")
    start(workers, first.job, *[lambda n=n: order.append(n) for n in range(50)])  # type: ignore[misc]
    assert (workers.queued, order) == (50, [])
    first.opened.set()
    wait_until(lambda: quiet(workers))
    assert (log, order) == (["a starts", "a ends"], list(range(50)))


def test_quick_jobs_of_a_queue_leave_turns_to_others(make: Callable[..., Workers]) -> None:
    workers = make(1, 1000)
    done: list[int] = []
    turns: list[int] = []
    _, (first,) = gates("a")
    start(workers, first.job, *[lambda n=n: done.append(n) for n in range(500)])  # type: ignore[misc]

    def other() -> None:
        while len(done) < 500:
            turns.append(len(done))
            gevent.sleep(0)

    greenlet = gevent.spawn(other)
    first.opened.set()
    greenlet.join()
    # At least every few dozen jobs: gevent runs some callbacks in a row before it looks at sockets.
    assert max(after - before for before, after in zip(turns, [*turns[1:], 500], strict=True)) <= 100


def test_an_idle_worker_is_used_again(make: Callable[..., Workers]) -> None:
    workers = make()
    seen: list[object] = []
    for _ in range(5):
        start(workers, lambda: seen.append(getcurrent()))
    assert len(set(seen)) == 1


# -- slots --------------------------------------------------------------------------------------------------------


def test_release_slot_lets_a_queued_job_run(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    log, (a, b) = gates("ab")

    def releasing() -> None:
        workers.release_slot()
        a.job()

    start(workers, releasing, b.job)
    wait_until(lambda: log == ["a starts", "b starts"])
    assert counts(workers) == (1, 0, 2)
    a.opened.set()
    wait_until(lambda: len(workers.busy) == 1)
    assert workers.active == 1
    b.opened.set()
    wait_until(lambda: quiet(workers))


def test_slots_are_counted_once_and_taken_back(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    seen: list[int] = []

    def job() -> None:
        for step in (workers.release_slot, workers.release_slot, workers.take_slot, workers.take_slot):
            step()
            seen.append(workers.active)

    start(workers, job)
    assert seen == [0, 0, 1, 1]
    assert quiet(workers)


def test_take_slot_may_exceed_the_limit_and_the_queue_waits_until_it_is_back(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    log, (a, b, c) = gates("abc")

    def releasing() -> None:
        workers.release_slot()
        a.job()
        workers.take_slot()
        log.append(f"{workers.active} active")

    start(workers, releasing, b.job, c.job)
    wait_until(lambda: "b starts" in log)
    a.opened.set()
    wait_until(lambda: "2 active" in log)
    gevent.sleep(0)
    assert "c starts" not in log
    assert counts(workers) == (1, 1, 1)
    b.opened.set()
    wait_until(lambda: "c starts" in log)
    c.opened.set()
    wait_until(lambda: quiet(workers))


def test_slots_outside_of_workers_are_ignored(make: Callable[..., Workers]) -> None:
    workers = make()
    workers.release_slot()
    workers.take_slot()
    assert workers.active == 0


def test_a_released_slot_goes_to_who_waits_and_not_to_who_comes(make: Callable[..., Workers]) -> None:
    """In the turn in which a slot was released, a new job overtook the queue."""
    workers = make(1, 5)
    log, (b, c) = gates("bc")

    def releasing() -> None:
        get_hub().switch()
        workers.release_slot()
        get_hub().switch()

    start(workers, releasing, b.job)
    (first,) = workers.busy
    in_hub(first.switch, lambda: workers.run(c.job))
    wait_until(lambda: bool(log))
    assert log == ["b starts"]
    assert counts(workers) == (1, 1, 2)


def test_a_job_that_got_a_released_slot_can_be_killed_before_it_begins(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    log, (b,) = gates("b")

    def releasing() -> None:
        get_hub().switch()
        workers.release_slot()
        get_hub().switch()

    start(workers, releasing, b.job)
    (first,) = workers.busy
    in_hub(first.switch, workers.kill_all)
    wait_until(lambda: quiet(workers))
    assert "b ends" not in log


# -- failures and ends --------------------------------------------------------------------------------------------


class OwnError(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("broken"), OwnError("odd"), gevent.Timeout(1)])
def test_a_job_that_raises_is_logged_and_its_worker_goes_on(
    make: Callable[..., Workers], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    workers = make()
    seen: list[object] = []

    def job() -> None:
        seen.append(getcurrent())
        raise error

    with caplog.at_level(logging.ERROR, "greenbas.dispatcher"):
        start(workers, job)
    (record,) = caplog.records
    assert record.message == "worker-1 failed outside of its handler"
    assert record.exc_info is not None and record.exc_info[1] is error
    start(workers, lambda: seen.append(getcurrent()))
    assert seen[0] is seen[1]
    assert quiet(workers)


def test_a_job_that_ends_by_greenletexit_ends_its_worker(
    make: Callable[..., Workers], caplog: pytest.LogCaptureFixture
) -> None:
    workers = make(1, 5)
    seen: list[object] = []

    def job() -> None:
        seen.append(getcurrent())
        raise GreenletExit

    start(workers, job, lambda: seen.append(getcurrent()))
    wait_until(lambda: len(seen) == 2)
    assert seen[0] is not seen[1]
    assert quiet(workers)
    assert caplog.records == []


def test_ctrl_c_in_a_worker_reaches_the_main_greenlet(make: Callable[..., Workers]) -> None:
    """It was logged as a failed job, and the program went on."""
    workers = make()

    def job() -> None:
        raise KeyboardInterrupt

    get_hub().loop.run_callback(workers.run, job)
    with pytest.raises(KeyboardInterrupt):
        wait_until(lambda: False)
    assert quiet(workers)


def test_idle_workers_are_bounded(make: Callable[..., Workers]) -> None:
    workers = make(IDLE_WORKERS * 2)
    go = Event()
    start(workers, *[go.wait] * (IDLE_WORKERS * 2))
    assert counts(workers) == (IDLE_WORKERS * 2, 0, IDLE_WORKERS * 2)
    go.set()
    wait_until(lambda: quiet(workers))
    wait_until(lambda: len(workers._all) == IDLE_WORKERS)
    assert repr(workers) == f"<Workers 0 active of {IDLE_WORKERS * 2}, 0 queued, {IDLE_WORKERS} idle>"
    go.clear()
    start(workers, *[go.wait] * (IDLE_WORKERS * 2))
    assert workers.active == IDLE_WORKERS * 2


# -- killing ------------------------------------------------------------------------------------------------------


def waits_for_ever(_: Workers) -> None:
    Event().wait()


def sleeps(_: Workers) -> None:
    gevent.sleep(60)


def yields(_: Workers) -> None:
    while True:
        gevent.sleep(0)


def waits_without_slot(workers: Workers) -> None:
    workers.release_slot()
    Event().wait()


def cleans_up_slowly(_: Workers) -> None:
    try:
        Event().wait()
    finally:
        gevent.sleep(0.01)


def swallows(_: Workers) -> None:
    try:
        Event().wait()
    except GreenletExit:
        return


def fails_when_killed(_: Workers) -> None:
    try:
        Event().wait()
    except GreenletExit:
        raise ValueError("in cleaning up") from None


STATES = [waits_for_ever, sleeps, yields, waits_without_slot, cleans_up_slowly, swallows, fails_when_killed]


@pytest.mark.parametrize("state", STATES)
def test_kill_all_ends_a_worker_in_each_state(make: Callable[..., Workers], state: Callable[[Workers], None]) -> None:
    workers = make(3, 5)
    ran: list[str] = []
    start(workers, *[lambda: state(workers)] * 3)
    assert len(workers.busy) == 3
    assert sorted(workers.kill_all()) == ["worker-1", "worker-2", "worker-3"]
    wait_until(lambda: quiet(workers))
    start(workers, *[lambda: ran.append("again")] * 3)
    wait_until(lambda: ran == ["again"] * 3)
    assert quiet(workers)


def test_kill_all_drops_the_queue(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    log, (a, b) = gates("ab")
    start(workers, a.job, b.job)
    workers.kill_all()
    assert workers.queued == 0
    wait_until(lambda: quiet(workers))
    assert log == ["a starts"]


def test_kill_all_leaves_idle_workers_alone(make: Callable[..., Workers]) -> None:
    workers = make(5)
    start(workers, lambda: None)
    assert workers.kill_all() == []
    gevent.sleep(0)
    assert len(workers._all) == 1


def test_kill_all_by_a_worker_spares_that_worker(make: Callable[..., Workers]) -> None:
    workers = make(5)
    killed: list[list[str]] = []
    log, (a,) = gates("a")
    start(workers, a.job, lambda: killed.append(workers.kill_all()))
    assert killed == [["worker-1 <Gate a>"]]
    wait_until(lambda: quiet(workers))
    assert log == ["a starts"]


def test_a_queued_job_can_be_killed_between_its_giving_and_its_beginning(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    log, (b,) = gates("b")
    killed: list[list[str]] = []
    start(workers, get_hub().switch, b.job)
    (first,) = workers.busy
    in_hub(first.switch, lambda: killed.append([repr(log), *workers.kill_all()]))
    wait_until(lambda: quiet(workers))
    assert killed == [["[]", "worker-1 <Gate b>"]]
    assert "b ends" not in log


def test_a_killed_worker_frees_its_slot_for_the_queue(make: Callable[..., Workers]) -> None:
    workers = make(1, 5)
    log, (a, b) = gates("ab")
    start(workers, a.job, b.job)
    gevent.kill(workers.busy[0])
    wait_until(lambda: "b starts" in log)
    b.opened.set()
    wait_until(lambda: quiet(workers))


def test_a_worker_killed_on_the_stack_is_used_no_more(make: Callable[..., Workers]) -> None:
    workers = make()
    start(workers, lambda: None)
    (idle,) = workers._all
    gevent.kill(idle)
    wait_until(lambda: not workers._all)
    ran: list[bool] = []
    start(workers, lambda: ran.append(True))
    assert ran == [True]


# -- names and counters -------------------------------------------------------------------------------------------


def test_a_busy_worker_is_named_after_whose_job_it_runs(make: Callable[..., Workers]) -> None:
    workers = make()
    _, (a,) = gates("a")
    start(workers, a.job)
    (worker,) = workers.busy
    assert worker.name == "worker-1 <Gate a>"
    a.opened.set()
    wait_until(lambda: quiet(workers))
    assert worker.name == "worker-1"


def test_counters_agree_after_ten_thousand_jobs(make: Callable[..., Workers]) -> None:
    """Jobs of every kind, in bursts over the limit."""
    workers = make(20, 30)
    ended = [0]
    accepted = refused = 0

    def at_once() -> None:
        pass

    def waiting() -> None:
        gevent.sleep(0)

    def raising() -> None:
        raise ValueError

    def killed() -> None:
        gevent.sleep(0)
        raise GreenletExit

    def slots() -> None:
        workers.release_slot()
        gevent.sleep(0)
        workers.take_slot()
        gevent.sleep(0)

    def released() -> None:
        workers.release_slot()
        gevent.sleep(0)

    kinds = [at_once, waiting, raising, killed, slots, released, at_once]

    def counted(kind: Job) -> Job:
        def job() -> None:
            try:
                kind()
            finally:
                ended[0] += 1

        return job

    logging.disable(logging.ERROR)
    try:
        for burst in range(100):
            calls = [counted(kinds[(burst + n) % len(kinds)]) for n in range(100)]
            for error in in_hub(*[lambda job=job: workers.run(job) for job in calls]):  # type: ignore[misc]
                accepted += error is None
                refused += isinstance(error, Overloaded)
        wait_until(lambda: quiet(workers))
    finally:
        logging.disable(logging.NOTSET)
    assert accepted + refused == 10_000
    assert accepted >= 5000
    assert ended == [accepted]
    assert len(workers._all) == len(workers._idle) <= IDLE_WORKERS
