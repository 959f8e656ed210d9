"""Native threads: queues, results, and what must not happen between them and the hub (dependencies A1 and A2)."""

from __future__ import annotations

import _thread
import gc
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import monkey
from leaks import native_threads, nothing_left
from programs import run_program
from support import wait_until

from greenbas.dispatcher import threads
from greenbas.dispatcher.native import Thread
from greenbas.errors import SettingError
from greenbas.net import read_piece

native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")
native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")
native_id: Callable[[], int] = monkey.get_original("_thread", "get_native_id")  # the kernel's number
NativeLock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")


class Gate:
    """Holds native threads back until the test opens it."""

    def __init__(self) -> None:
        self._lock = NativeLock()
        self._lock.acquire()
        self.waiting = 0

    def wait(self) -> None:
        self.waiting += 1
        self._lock.acquire()
        self._lock.release()

    def open(self) -> None:
        self._lock.release()


@pytest.fixture
def make() -> Iterator[Callable[..., Thread]]:
    """Makes threads that are ended when the test is over."""
    made: list[Thread] = []

    def make(size: int = 1, name: str = "thread") -> Thread:
        made.append(Thread(size, name=name))
        return made[-1]

    threads.offload(int)
    with nothing_left():
        yield make
        for thread in made:
            thread.close()


# -- run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4])
def test_run_never_waits_and_returns_how_many_are_pending(make: Callable[..., Thread], size: int) -> None:
    """With two jobs more than threads, the caller was suspended until one of them had ended."""
    thread = make(size)
    gate = Gate()
    began = time.monotonic()
    try:
        assert [thread.run(gate.wait) for _ in range(10)] == list(range(1, 11))
        assert thread.pending == 10
        wait_until(lambda: gate.waiting == size)
        assert repr(thread) == f"<Thread thread 10 pending, size {size}>"
    finally:
        gate.open()
    wait_until(lambda: thread.pending == 0)
    assert gate.waiting == 10
    assert thread.run(lambda: None) == 1
    assert time.monotonic() - began < 5


def test_jobs_run_first_in_first_out(make: Callable[..., Thread]) -> None:
    thread = make()
    seen: list[object] = []
    gate = Gate()
    thread.run(gate.wait)
    others = [gevent.spawn(thread.offload, seen.append, f"offloaded {n}") for n in range(5)]
    gevent.sleep(0)
    for number in range(20):
        thread.run(lambda number=number: seen.append(number))  # type: ignore[misc]
    gate.open()
    last = thread.offload(lambda: len(seen))
    assert last == 25
    assert seen == [*(f"offloaded {n}" for n in range(5)), *range(20)]
    gevent.joinall(others)


def test_one_thread_runs_all_jobs_of_a_thread_of_its_own(make: Callable[..., Thread]) -> None:
    thread = make()
    idents = {thread.offload(native_ident) for _ in range(20)}
    idents |= {found.get() for found in [gevent.spawn(thread.offload, native_ident) for _ in range(20)]}
    assert len(idents) == 1
    assert idents != {native_ident()}


def test_as_many_jobs_run_at_once_as_there_are_threads(make: Callable[..., Thread]) -> None:
    thread = make(3)
    gate = Gate()
    for _ in range(5):
        thread.run(gate.wait)
    wait_until(lambda: gate.waiting == 3)
    native_sleep(0.02)
    assert gate.waiting == 3
    thread.resize(4)
    wait_until(lambda: gate.waiting == 4)
    gate.open()
    wait_until(lambda: thread.pending == 0)


def test_the_error_of_a_job_is_logged_in_the_hubs_thread(
    make: Callable[..., Thread], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    thread = make(name="database")
    where: list[int] = []
    caplog.handler.addFilter(lambda _: where.append(native_ident()) or True)  # type: ignore[func-returns-value]
    with caplog.at_level(logging.ERROR, "greenbas.threads"):
        thread.run(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        wait_until(lambda: thread.pending == 0)
    (record,) = caplog.records
    assert record.message == "a job of database failed"
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError
    assert where == [native_ident()]
    assert capfd.readouterr().err == ""  # gevent would print it besides


def test_a_job_can_queue_another_one(make: Callable[..., Thread]) -> None:
    """The call gave the thread a hub and the queue a new pool: two jobs of one thread could run at once."""
    thread, other = make(), make()
    seen: list[tuple[str, int]] = []

    def first() -> None:
        seen.append(("first", native_ident()))
        thread.run(lambda: seen.append(("second", native_ident())))
        other.run(lambda: seen.append(("other", native_ident())))
        native_sleep(0.02)
        seen.append(("first ends", native_ident()))

    thread.run(first)
    wait_until(lambda: len(seen) == 4)
    by_name = dict(seen)
    assert by_name["first"] == by_name["second"] != by_name["other"]
    names = [name for name, _ in seen]
    assert names.index("second") > names.index("first ends")
    wait_until(lambda: (thread.pending, other.pending) == (0, 0))
    assert thread.offload(native_ident) == by_name["first"]


# -- the library's threads ----------------------------------------------------------------------------------------


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Thread]:
    """The library's threads as in a fresh process."""
    fresh = Thread(threads.DEFAULT_THREADS, name="library")
    monkeypatch.setattr(threads, "_library", fresh)
    yield fresh
    fresh.close()


@pytest.mark.parametrize(
    ("count", "result"),
    [(None, 4), (1, 4), (4, 4), (5, 5), (19, 19)],
)
def test_configure_only_grows(library: Thread, count: int | None, result: int) -> None:
    assert threads.configure(count) == result
    assert threads.configure() == result
    assert threads.configure(3) == result


@pytest.mark.parametrize("count", [0, -1, 20, 1000])
def test_configure_has_a_range(library: Thread, count: int) -> None:
    with pytest.raises(SettingError, match=f"threads: {count} is out of range, use 1 to 19"):
        threads.configure(count)
    assert threads.configure() == 4


def test_configure_takes_effect_while_jobs_wait(library: Thread) -> None:
    gate = Gate()
    assert [threads.run(gate.wait) for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    wait_until(lambda: gate.waiting == 4)
    threads.configure(6)
    wait_until(lambda: gate.waiting == 6)
    gate.open()
    wait_until(lambda: library.pending == 0)


def test_dbg_shows_the_stack_of_each_running_job(library: Thread) -> None:
    gate = Gate()

    def wait_for_the_database() -> None:
        gate.wait()

    assert threads.dbg() == []
    for _ in range(6):
        threads.run(wait_for_the_database)
    wait_until(lambda: gate.waiting == 4)
    dumps = threads.dbg()
    gate.open()
    assert len(dumps) == 4
    for dump in dumps:
        assert dump.startswith("library: ")
        assert "wait_for_the_database" in dump.partition("\n")[0]
        assert "gate.wait()" in dump
    wait_until(lambda: library.pending == 0)
    assert threads.dbg() == []


def test_create_makes_a_thread_of_its_own(library: Thread) -> None:
    mine, other = threads.create(name="mine"), threads.create()
    assert mine.size == 1
    assert len({mine.offload(native_ident), other.offload(native_ident), threads.offload(native_ident)}) == 3
    assert repr(mine) == "<Thread mine 0 pending, size 1>"
    mine.close()
    other.close()


# -- offload ------------------------------------------------------------------------------------------------------


def test_offload_passes_arguments_and_the_result(make: Callable[..., Thread]) -> None:
    def call(*args: object, **kwargs: object) -> object:
        return native_ident(), args, kwargs

    ident, args, kwargs = make().offload(call, 1, 2, function=3, name=4)  # type: ignore[misc]
    assert ident != native_ident()
    assert (args, kwargs) == ((1, 2), {"function": 3, "name": 4})


class OwnError(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("broken"), OwnError("odd"), StopIteration(1), gevent.Timeout(1)])
def test_offload_raises_what_the_function_raises(
    make: Callable[..., Thread], error: BaseException, capfd: pytest.CaptureFixture[str]
) -> None:
    def call() -> None:
        raise error

    thread = make()
    with pytest.raises(type(error)) as caught:
        thread.offload(call)
    assert caught.value is error
    assert any(entry.name == "call" for entry in caught.traceback)
    assert thread.pending == 0
    assert capfd.readouterr().err == ""


def test_offload_sees_the_callers_context_and_changes_nothing_of_it(make: Callable[..., Thread]) -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("mine")

    def call() -> str:
        was = name.get()
        name.set("changed")
        return was

    assert make().offload(call) == "mine"
    assert name.get() == "mine"


def test_run_sees_the_callers_context(make: Callable[..., Thread]) -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("mine")
    seen: list[str] = []
    make().run(lambda: seen.append(name.get()))
    name.set("later")
    wait_until(lambda: bool(seen))
    assert seen == ["mine"]


def test_the_hub_goes_on_meanwhile(make: Callable[..., Thread]) -> None:
    gate = Gate()
    waiting = gevent.spawn(make().offload, gate.wait)
    wait_until(lambda: gate.waiting == 1)
    for _ in range(100):
        gevent.sleep(0)
    assert not waiting.ready()
    gate.open()
    waiting.get(timeout=5)


def test_offload_inside_a_native_thread_is_a_plain_call(make: Callable[..., Thread]) -> None:
    """In a thread of another queue, it made a new pool for the hub that it gave that thread."""
    one, two = make(), make()
    before = two.offload(native_ident)
    inner = one.offload(lambda: (native_ident(), one.offload(native_ident), two.offload(native_ident)))
    assert len(set(inner)) == 1
    assert two.offload(native_ident) == before
    assert (one.pending, two.pending) == (0, 0)


def test_offload_inside_a_thread_that_is_not_ours_is_a_plain_call(make: Callable[..., Thread]) -> None:
    """It gave that thread a hub, and the queue a new pool."""
    thread = make()
    before = thread.offload(native_ident)
    seen: list[tuple[int, int]] = []
    start: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
    start(lambda: seen.append((native_ident(), thread.offload(native_ident))), ())
    wait_until(lambda: bool(seen))
    ((own, found),) = seen
    assert own == found
    assert thread.offload(native_ident) == before


def test_a_killed_waiter_leaves_the_thread_usable(make: Callable[..., Thread]) -> None:
    thread = make()
    gate = Gate()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        thread.offload(gate.wait)
    assert thread.pending == 1  # it cannot be stopped
    gate.open()
    wait_until(lambda: thread.pending == 0)
    assert thread.offload(int) == 0


def test_the_job_of_a_killed_waiter_is_not_begun(make: Callable[..., Thread]) -> None:
    thread = make()
    gate = Gate()
    thread.run(gate.wait)
    ran: list[bool] = []
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        thread.offload(ran.append, True)
    assert thread.pending == 1
    gate.open()
    wait_until(lambda: thread.pending == 0)
    thread.offload(int)
    assert ran == []


def test_close_ends_the_threads_when_their_jobs_are_done(make: Callable[..., Thread]) -> None:
    thread = make()
    gate = Gate()
    ran: list[int] = []
    number = thread.offload(native_id)
    thread.run(gate.wait)
    thread.run(lambda: ran.append(1))
    thread.run(lambda: ran.append(2))
    thread.run(lambda: ran.append(3))
    closing = gevent.spawn(thread.close)
    gevent.sleep(0.01)
    assert number in native_threads()
    gate.open()
    wait_until(lambda: number not in native_threads())
    closing.get(timeout=5)
    assert ran == [1, 2, 3]
    assert thread.offload(int) == 0  # it can be used again


def test_a_thread_that_nobody_refers_to_ends() -> None:
    """Native threads were left behind, one for each proxy that had been made."""
    numbers = {Thread().offload(native_id) for _ in range(5)}
    gc.collect()
    wait_until(lambda: not numbers & native_threads())


# -- A1: patched locks and native threads -------------------------------------------------------------------------


def test_log_records_of_threads_and_hub_all_arrive() -> None:
    """A1: a patched lock that a native thread and the hub contend for loses its wake-up, and the program hangs."""
    said = run_program(
        """
        import greenbas
        greenbas.patch()
        import io, logging, time
        import gevent, gevent.monkey
        from greenbas import offload, threads

        native_sleep = gevent.monkey.get_original("time", "sleep")

        class Slow(io.StringIO):
            def write(self, text):
                native_sleep(0.00001)   # in the lock: the others come meanwhile
                return super().write(text)

        stream = Slow()
        late = logging.StreamHandler(stream)      # its lock is made after patching
        logging.basicConfig(handlers=[late], format="%(message)s", level=logging.INFO)

        def work(name, pause):
            for number in range(100):
                logging.getLogger(f"test.{name}.{number}").info("%s %d", name, number)
                if number % 10 == 0:
                    pause(0)

        threads.configure(6)
        jobs = [gevent.spawn(offload, work, f"thread{n}", native_sleep) for n in range(10)]
        jobs += [gevent.spawn(work, f"hub{n}", time.sleep) for n in range(5)]
        gevent.joinall(jobs, raise_error=True)
        lines = stream.getvalue().splitlines()
        print(len(lines), len(set(lines)))
        """
    )
    assert said == "1500 1500\n"


def test_handlers_made_before_patching_get_native_locks_too() -> None:
    said = run_program(
        """
        import io, logging
        stream = io.StringIO()
        early = logging.StreamHandler(stream)
        logging.basicConfig(handlers=[early], format="%(message)s", level=logging.INFO)
        import greenbas
        greenbas.patch()
        import gevent, gevent.monkey
        native = type(gevent.monkey.get_original("_thread", "RLock")())
        late = logging.StreamHandler(stream)
        print(type(early.lock) is native, type(late.lock) is native, type(logging._lock) is native)
        """
    )
    assert said == "True True True\n"


# -- A2: slow jobs delay nobody else ------------------------------------------------------------------------------


def test_slow_jobs_delay_neither_name_lookups_nor_cold_reads(
    library: Thread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A2: the hub's own pool has ten threads, and the resolver shares it."""
    gate = Gate()
    for _ in range(20):
        threads.run(gate.wait)
    wait_until(lambda: gate.waiting == threads.DEFAULT_THREADS)
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "file", os.O_RDONLY)

    def cold(*args: object) -> int:
        raise BlockingIOError(11, "not in memory")

    monkeypatch.setattr(os, "preadv", cold)
    try:
        with gevent.Timeout(5):
            assert socket.getaddrinfo("localhost", 80)
            assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
            assert read_piece(fd, 4, 3) == b"3456"
        assert gate.waiting == threads.DEFAULT_THREADS  # the slow ones are at it still
    finally:
        os.close(fd)
        gate.open()
    wait_until(lambda: library.pending == 0)


def test_native_lock_is_native() -> None:
    """The tests above prove nothing if their gate suspends a greenlet only."""
    assert type(NativeLock()) is not _thread.allocate_lock  # type: ignore[comparison-overlap]
    assert type(NativeLock()).__module__ == "_thread"
