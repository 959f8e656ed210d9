"""Locks of sessions in stores that several processes use: who holds what, and for how long."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import run_program
from redisserver import RedisServer
from sessionstores import redis_process, shared_url, store_url

from greenbas.errors import StoreUnavailable
from greenbas.http.stores import Crowded, Quota, Record, SessionStore, SessionUser, StoreUrl, make_store
from greenbas.http.stores import shared as shared_module
from greenbas.http.stores.shared import LEASE, SharedStore

__all__ = ["redis_process", "shared_url", "store_url"]  # fixtures

ANN = SessionUser("ann")
ONE = Quota(1, True)


@contextlib.contextmanager
def opened(url: str, ahead: float = 0.0) -> Iterator[SessionStore]:
    """A store that is open for a block, as a process has it whose clock is ahead."""
    store = make_store(StoreUrl(url), 2000, lambda values: None)
    store._clock = lambda: time.time() + ahead  # type: ignore[attr-defined]
    store.open()
    try:
        yield store
    finally:
        store.close()


def add(store: SessionStore, token: str, idle: float = 600.0, user: SessionUser | None = None) -> Record:
    now = store._clock()  # type: ignore[attr-defined]
    record = Record(token, "127.0.0.1", now, idle, now + 10_000, store.new_values())
    store.add(record)
    if user is not None:
        store.log_in(record, f"{token}!", user, now + 10_000, idle)
    return record


def log_in(store: SessionStore, token: str, quota: Quota = ONE) -> bool:
    return store.log_in(add(store, token), f"{token}!", ANN, time.time() + 10_000, 600, quota)


def is_crowded(store: SessionStore, quota: Quota = ONE) -> bool:
    try:
        store.check_room("ann", quota)
    except Crowded:
        return True
    return False


def test_who_has_to_go(store_url: str) -> None:
    with opened(store_url) as store:
        old, used, locked, young = (add(store, token, user=ANN) for token in "abcd")
        assert store.find("b!", None)
        store.hold(locked)
        found = store.numbers("ann")
        assert [is_crowded(store, Quota(limit, False)) for limit in (5, 4, 3, 2)] == [False, False, False, True]
        assert [is_crowded(store, Quota(limit, True)) for limit in (2, 1)] == [False, True]
        assert store.numbers("ann") == found  # a look changes nothing
        with pytest.raises(Crowded) as raised:
            log_in(store, "e", Quota(2, False))
        assert raised.value.count == 4
        assert store.numbers("ann") == found  # when there is no room, nobody goes
        assert log_in(store, "f", Quota(4, False))
        assert old.number not in store.numbers("ann")
        assert len(store.numbers("ann")) == 4
        assert log_in(store, "g", Quota(2, True))
        left = store.numbers("ann")
        assert (len(left), locked.number in left, used.number in left, young.number in left) == (2, True, False, False)
        store.let_go(locked)


def test_ones_own_session_needs_no_more_room(store_url: str) -> None:
    with opened(store_url) as store:
        record = add(store, "a", user=ANN)
        assert store.log_in(record, "b", ANN, math.inf, 60, Quota(1, False))
        assert store.numbers("ann") == [record.number]


def test_an_ended_session_takes_nobodys_room(store_url: str) -> None:
    with opened(store_url) as store:
        other, ended = add(store, "a", user=ANN), add(store, "b")
        store.remove(ended)
        assert not store.log_in(ended, "c", ANN, math.inf, 60, ONE)
        assert store.numbers("ann") == [other.number]


def test_a_lock_is_respected_by_others(shared_url: str) -> None:
    with opened(shared_url) as one, opened(shared_url) as other:
        record = add(one, "a", user=ANN)
        assert not is_crowded(other)
        one.hold(record)
        assert is_crowded(other)
        assert is_crowded(one)
        with pytest.raises(Crowded):
            log_in(other, "b")
        one.let_go(record)
        assert not is_crowded(one)  # which tells the store as well
        assert not is_crowded(other)


def test_each_process_has_its_own_lock(shared_url: str) -> None:
    with opened(shared_url) as one, opened(shared_url) as other:
        record = add(one, "a", user=ANN)
        found = other.get(record.number)
        assert found is not None
        one.hold(record)
        other.hold(found)
        one.let_go(record)
        assert is_crowded(one)
        other.let_go(found)
        assert not is_crowded(other)


def test_a_lock_that_is_taken_again_stays(shared_url: str) -> None:
    with opened(shared_url) as store:
        record = add(store, "a", user=ANN)
        store.hold(record)
        store.let_go(record)
        store.hold(record)
        assert is_crowded(store)
        store.let_go(record)


def test_a_store_that_closes_gives_up_its_locks(shared_url: str) -> None:
    with opened(shared_url) as other:
        with opened(shared_url) as one:
            one.hold(add(one, "a", user=ANN))
            assert is_crowded(other)
        assert not is_crowded(other)


def test_locks_of_a_process_that_died_end_with_their_lease(shared_url: str) -> None:
    said = run_program(f"""
        import os, sys, time
        from greenbas.http.stores import Record, SessionUser, StoreUrl, make_store
        store = make_store(StoreUrl({shared_url!r}), 1, print)
        store.open()
        record = Record("t", "peer", time.time(), 600, time.time() + 6000, store.new_values())
        store.add(record)
        store.log_in(record, "u", SessionUser("ann"), time.time() + 6000, 600)
        store.hold(record)
        print("locked", flush=True)
        os._exit(0)
    """)
    assert said == "locked\n"
    with opened(shared_url) as now, opened(shared_url, ahead=LEASE + 1) as later:
        assert is_crowded(now)
        assert not is_crowded(later)
        assert log_in(later, "v")
        assert now.find("u", None) is None


Change = Callable[[SessionStore, Record], object]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda store, record: store.touch(record), id="touch"),
        pytest.param(lambda store, record: store.set_idle(record, 3), id="a shorter limit"),
        pytest.param(lambda store, record: store.rename(record, "b"), id="rename"),
        pytest.param(lambda store, record: store.log_in(record, "b", ANN, math.inf, 3), id="login"),
    ],
)
def test_what_happens_to_a_locked_session_leaves_it_locked(shared_url: str, change: Change) -> None:
    with opened(shared_url) as store, opened(shared_url, ahead=LEASE - 1) as later:
        record = add(store, "a", idle=5)
        store.hold(record)
        change(store, record)
        assert later.get(record.number) is not None
        store.let_go(record)


def test_a_lock_that_cannot_be_taken_is_not_kept(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(shared_url) as store:
        assert isinstance(store, SharedStore)
        record = add(store, "a", user=ANN)

        def fail(*arguments: object) -> None:
            raise StoreUnavailable("gone")

        with monkeypatch.context() as patch:
            patch.setattr(store, "extend", fail)
            with pytest.raises(StoreUnavailable):
                store.hold(record)
        assert not store._held
        assert not is_crowded(store)


def test_sweep_tells_what_was_let_go(shared_url: str) -> None:
    with opened(shared_url) as one, opened(shared_url) as other:
        assert isinstance(one, SharedStore)
        record = add(one, "a", user=ANN)
        one.hold(record)
        one.let_go(record)
        assert is_crowded(other)
        one._maintain(False, False)  # as `sweep` has it done
        assert not is_crowded(other)


def test_many_leases_are_renewed_and_given_up_in_steps(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "LEASE_STEP", 2)
    with opened(shared_url) as store, opened(shared_url, ahead=LEASE + 1) as later:
        assert isinstance(store, SharedStore)
        records = [add(store, token, user=ANN) for token in "abcde"]
        for record in records:
            store.hold(record)
        assert not is_crowded(later)
        monkeypatch.setattr(shared_module, "LEASE", LEASE + 5)
        store._maintain(True, False)  # as `sweep` has it done
        assert [is_crowded(later, Quota(limit, True)) for limit in (5, 1)] == [True, True]
        for record in records:
            store.let_go(record)
        store._maintain(False, False)
        assert not is_crowded(later)


def test_leases_leave_nothing(shared_url: str, request: pytest.FixtureRequest) -> None:
    with opened(shared_url) as store, opened(shared_url, ahead=LEASE + 1) as later:
        assert isinstance(store, SharedStore)
        for token in "abc":
            record = add(store, token, user=ANN)
            store.hold(record)
            if token == "a":
                store.remove(record)
            if token == "b":
                store.let_go(record)
                store._maintain(False, False)
        if shared_url.startswith("redis"):
            server: RedisServer = request.getfixturevalue("redis_process")
            assert [name for name in server.names() if "lease" in name] == [f"greenbas:lease:{record.number}"]
            with server.client() as client:
                assert 0 < client.pttl(f"greenbas:lease:{record.number}") <= LEASE * 1000
        else:
            assert leases(shared_url) == [(record.number,)]
            assert isinstance(later, SharedStore)
            later.clean()
            assert leases(shared_url) == []


def leases(url: str) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        return db.execute("SELECT session FROM lease").fetchall()


def test_file_of_an_earlier_version_gets_leases(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/s.db") as store:
        record = add(store, "a", user=ANN)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as db:
        db.executescript("DROP TABLE lease; PRAGMA user_version = 1")
    with opened(f"sqlite:///{tmp_path}/s.db") as store:
        found = store.find("a!", None)
        assert found is not None
        assert found.number == record.number
        store.hold(found)
        assert is_crowded(store)
