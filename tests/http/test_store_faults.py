"""Stores that are slow, gone, or have lost their data: nobody gets somebody else's session, and the log says it."""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis
from redisserver import RedisServer, redis_server
from sessionstores import opened, redis_process, shared_url
from support import wait_until

from greenbas.errors import StoreUnavailable
from greenbas.http.stores import Quota, Record, SessionStore, SessionUser
from greenbas.http.stores.redis import RedisStore

__all__ = ["redis_process", "shared_url"]  # fixtures

ANN = SessionUser("ann")


def add(store: SessionStore, token: str, **values: Any) -> Record:
    now = time.time()
    record = Record(token, "127.0.0.1", now, 600, now + 6000, store.new_values())
    store.add(record)
    record.values.update(values)
    store.save(record)
    return record


def outcomes(jobs: list[gevent.Greenlet]) -> list[str]:
    """What went wrong with each, or ""."""
    gevent.joinall(jobs)
    return [str(job.exception or "") for job in jobs]


# -- a Redis that has lost its data, and gives numbers again ------------------------------------------------------


USES: dict[str, Callable[[SessionStore, Record], object]] = {
    "save": lambda store, record: (record.values.update(secret="of a"), store.save(record)),
    "touch": lambda store, record: store.touch(record),
    "set_idle": lambda store, record: store.set_idle(record, 1),
    "rename": lambda store, record: store.rename(record, "a2"),
    "log_in": lambda store, record: store.log_in(record, "a2", ANN, math.inf, 60),
    "log_in with a quota": lambda store, record: store.log_in(record, "a2", ANN, math.inf, 60, Quota(1, True)),
    "remove": lambda store, record: store.remove(record),
    "hold": lambda store, record: store.hold(record),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_number_that_is_given_again_is_nobody_elses(
    redis_process: RedisServer, use: Callable[[SessionStore, Record], object]
) -> None:
    redis_process.clear()
    with opened(redis_process.url) as store:
        before = add(store, "a")
        redis_process.clear()
        after = add(store, "b", mine=1)
        assert after.number == before.number
        use(store, before)
        found = store.find("b", None)
        assert found is not None
        assert (dict(found.values), found.user, found.idle, found.token) == ({"mine": 1}, None, 600, "b")
        assert store.find("a2", None) is None
        store.check_room("ann", Quota(1, False))


FINDS_OUT: dict[str, Callable[[SessionStore], object]] = {
    "an old client": lambda store: store.find("a", None),
    "a new client": lambda store: add(store, "d"),
    "many at once": lambda store: gevent.joinall([gevent.spawn(store.find, "a", None) for _ in range(9)]),
}


@pytest.mark.parametrize("find_out", FINDS_OUT.values(), ids=FINDS_OUT)
def test_lost_data_is_in_the_log(
    redis_process: RedisServer, caplog: pytest.LogCaptureFixture, find_out: Callable[[SessionStore], object]
) -> None:
    redis_process.clear()
    with opened(redis_process.url) as one, opened(redis_process.url) as other:
        for token in "abc":
            add(one, token)
        assert one.find("unknown", None) is None
        assert other.find("c", None) is not None
        assert caplog.text == ""
        for store in (one, other):
            redis_process.clear()
            caplog.clear()
            find_out(store)
            find_out(store)
            assert [record.levelname for record in caplog.records] == ["ERROR"]  # once
            assert "has lost its data: it has given 0 numbers, and was at 3 already" in caplog.text


# -- a Redis that is slow, busy, or not the master any more -------------------------------------------------------


def test_who_is_killed_leaves_its_answer_to_nobody(redis_process: RedisServer) -> None:
    redis_process.clear()
    with opened(redis_process.url) as store:
        for number in range(20):
            add(store, f"t{number}", number=number)
        for _ in range(5):
            with redis_process.frozen():
                jobs = [gevent.spawn(store.find, f"t{number}", None) for number in range(20)]
                gevent.sleep(0.01)  # all have sent their commands
                gevent.killall(jobs)
            found = [gevent.spawn(store.find, f"t{number}", None) for number in range(20)]
            gevent.joinall(found, raise_error=True)
            assert [job.value.values["number"] for job in found] == list(range(20))


def test_one_request_at_a_time_tries_a_store_that_is_gone(
    redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("greenbas.http.stores.redis.COMMAND_TIMEOUT", 0.2)
    with opened(redis_process.url) as store:
        assert isinstance(store, RedisStore)
        with redis_process.frozen():
            with pytest.raises(StoreUnavailable):
                store.numbers(None)
            store._tried = -math.inf  # the pause is over
            errors = outcomes([gevent.spawn(store.numbers, None) for _ in range(50)])
        assert sum("just been tried" in error for error in errors) == 49
        assert all(errors)
        store._tried = -math.inf
        assert store.numbers(None) is not None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]  # lost, and back


def test_too_many_requests_at_once_are_no_loss(
    redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("greenbas.http.stores.redis.CONNECTIONS", 2)
    monkeypatch.setattr("greenbas.http.stores.redis.COMMAND_TIMEOUT", 5)
    with opened(redis_process.url) as store:
        monkeypatch.setattr("greenbas.http.stores.redis.COMMAND_TIMEOUT", 0.05)
        with redis_process.frozen():
            jobs = [gevent.spawn(store.numbers, None) for _ in range(10)]
            wait_until(lambda: sum(job.dead for job in jobs) == 8)
        errors = outcomes(jobs)
        assert (errors.count(""), sum("2 requests are at it" in error for error in errors)) == (2, 8)
    assert caplog.text == ""


def test_a_replica_is_asked_on_a_new_connection_the_next_time() -> None:
    with redis_server() as server, opened(server.url) as store, server.client() as client:
        record = add(store, "a")
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match=r"(?i)read.?only"):
            store.touch(record)
        before = connections(client)
        client.replicaof("no", "one")
        assert store.touch(record)
        assert connections(client) - before  # one that was not there


def connections(client: redis.Redis) -> set[str]:
    return {found["id"] for found in client.client_list()}


# -- SQLite -------------------------------------------------------------------------------------------------------


def test_requests_do_not_wait_one_after_the_other_for_a_file_that_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(f"sqlite:///{tmp_path}/s.db") as store:
        add(store, "a")
        with (
            monkeypatch.context() as patch,
            contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as db,
        ):
            patch.setattr("greenbas.http.stores.sqlitejobs.BUSY_TIMEOUT", 0.2)
            db.execute("BEGIN IMMEDIATE")
            errors = outcomes([gevent.spawn(store.find, "a", None) for _ in range(20)])
        assert all("locked" in error or "taken too long" in error for error in errors)
        assert sum("taken too long" in error for error in errors) >= 15
        assert store.find("a", None) is not None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "lost the session store sqlite:///" in caplog.records[0].message


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_somebody_has_taken_away(tmp_path: Path, how: str) -> None:
    # Whoever starts now has another file than this process: who is logged in here would not be there.
    path = tmp_path / "s.db"
    with opened(f"sqlite:///{path}") as store:
        add(store, "a")
        path.rename(tmp_path / "kept.db")
        if how == "replaced":
            path.touch()
        with pytest.raises(StoreUnavailable, match="removed or replaced the file"):
            store.find("a", None)
        (tmp_path / "kept.db").replace(path)
        assert store.find("a", None) is not None


def test_a_folder_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened("sqlite:///s.db") as store:
        add(store, "a")
        monkeypatch.chdir("/")
        assert store.find("a", None) is not None


@pytest.mark.parametrize("number", [-1, 0, 2**63, -(2**70), 10**30])
def test_numbers_that_no_session_has(shared_url: str, number: int) -> None:
    with opened(shared_url) as store:
        add(store, "a")
        assert store.get(number) is None


# -- one session object in several greenlets ----------------------------------------------------------------------


def test_what_is_deleted_while_it_is_written_stays_deleted(shared_url: str) -> None:
    with opened(shared_url) as store:
        record = add(store, "a")
        record.values["x"] = 1
        job = gevent.spawn(store.save, record)
        gevent.sleep(0)
        del record.values["x"]
        store.save(record)
        gevent.joinall([job], raise_error=True)
        assert "x" not in record.values
        store.save(record)
        found = store.find("a", None)
        assert found is not None
        assert dict(found.values) == {}


def test_the_last_of_several_writes_counts(shared_url: str) -> None:
    with opened(shared_url) as store:
        record = add(store, "a")
        jobs = []
        for number in range(50):
            record.values["x"] = number
            jobs.append(gevent.spawn(store.save, record))
            gevent.sleep(0)
        gevent.joinall(jobs, raise_error=True)
        found = store.find("a", None)
        assert found is not None
        assert dict(found.values) == {"x": 49}


def test_a_name_that_cannot_be_stored_raises_at_assignment(shared_url: str) -> None:
    with opened(shared_url) as store:
        record = add(store, "a")
        with pytest.raises(TypeError, match=r"session attribute.*not valid Unicode"):
            record.values["\udc80"] = 1
        assert dict(record.values) == {}


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "greenbas.sessions")
