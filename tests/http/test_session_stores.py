"""What every session store has to do, and what is special about each."""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import leaks
import pytest
from programs import run_program
from redisserver import RedisServer
from sessionstores import opened, redis_process, shared_url, store_url
from support import wait_until

from greenbas.errors import SettingError, StoreUnavailable
from greenbas.http.stores import MemoryStore, Record, SessionStore, SessionUser, StoreUrl, make_store
from greenbas.http.stores import shared as shared_module
from greenbas.http.stores.redis import RedisStore
from greenbas.http.stores.sqlite import CLEAN_STEP, SqliteStore

__all__ = ["redis_process", "shared_url", "store_url"]  # fixtures

ANN, BOB = SessionUser("ann", "form", "x"), SessionUser("bob")


@pytest.fixture
def store(store_url: str) -> Iterator[SessionStore]:
    with opened(store_url) as store:
        yield store


def add(store: SessionStore, token: str = "t", idle: float = 60, life: float = math.inf, **values: Any) -> Record:
    now = store._clock()  # type: ignore[attr-defined]
    record = Record(token, "127.0.0.1", now, idle, now + life, store.new_values())
    store.add(record)
    record.values.update(values)
    store.save(record)
    return record


Later = Callable[[float], None]


@pytest.fixture
def later(store: SessionStore, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Later:
    """Lets seconds pass for a store, in which Redis believes because its keys live shorter."""
    clock = Clock(time.time())
    monkeypatch.setattr(store, "_clock", clock)
    server: RedisServer | None = request.getfixturevalue("redis_process") if isinstance(store, RedisStore) else None

    def pass_time(seconds: float) -> None:
        clock.now += seconds
        if server is not None:
            with server.client() as client:
                for key in client.keys("*"):
                    left = client.pttl(key)
                    if left > 0:
                        client.pexpire(key, max(0, left - int(seconds * 1000)))

    return pass_time


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_new_session_can_be_found(store: SessionStore) -> None:
    made = add(store, cart=[1, {"a": None}], name="Zoë")
    found = store.find("t", None)
    assert found is not None
    assert dict(found.values) == {"cart": [1, {"a": None}], "name": "Zoë"}
    assert (found.number, found.token, found.peer, found.uses) == (made.number, "t", "127.0.0.1", 1)
    assert (found.idle, found.ends, found.user) == (60, math.inf, None)
    assert made.created == found.created <= found.accessed <= time.time()
    again = store.get(made.number)
    assert again is not None
    assert (again.uses, again.accessed) == (1, found.accessed)
    assert dict(again.values) == dict(found.values)


def test_nobody_else_is_found(store: SessionStore) -> None:
    record = add(store)
    assert store.find("u", None) is None
    assert store.find("", None) is None
    assert store.get(record.number + 1) is None
    assert store.get(-1) is None


def test_peer(store: SessionStore) -> None:
    add(store)
    assert store.find("t", "127.0.0.2") is None
    found = store.find("t", "127.0.0.1")
    assert found is not None
    assert found.uses == 1  # the wrong address was no use


def test_numbers_are_not_given_twice(store: SessionStore) -> None:
    numbers = []
    for token in "abc":
        numbers.append(add(store, token).number)
        assert store.remove(store_get(store, numbers[-1]))
    assert len(set(numbers)) == 3
    assert store.numbers(None) == []


def store_get(store: SessionStore, number: int) -> Record:
    record = store.get(number)
    assert record is not None
    return record


def test_an_idle_session_ends(store: SessionStore, later: Later) -> None:
    record = add(store, idle=10)
    add(store, "other")
    later(9)
    assert store.get(record.number) is not None
    later(2)
    assert store.get(record.number) is None
    assert store.find("t", None) is None
    assert store.numbers(None) == [record.number + 1]


def test_uses_keep_it_alive(store: SessionStore, later: Later) -> None:
    record = add(store, idle=10)
    for _ in range(5):
        later(9)
        assert store.find("t", None) is not None
    later(11)
    assert store.get(record.number) is None


def test_its_lifetime_ends_it_although_it_is_used_and_held(store: SessionStore, later: Later) -> None:
    record = add(store, life=20, idle=15)
    store.hold(record)
    later(10)
    assert store.find("t", None) is not None
    later(9)
    assert store.find("t", None) is not None
    later(2)
    assert store.find("t", None) is None
    assert store.get(record.number) is None
    store.let_go(record)


def test_what_is_held_does_not_expire(store: SessionStore, later: Later) -> None:
    record = add(store, idle=10)
    store.hold(record)
    store.hold(record)
    store.let_go(record)
    later(20)
    store.sweep()
    assert store.numbers(None) == [record.number]
    assert store.find("t", None) is not None
    store.let_go(record)
    later(50)
    assert store.get(record.number) is None


def test_a_shorter_limit_counts_from_the_last_use(store: SessionStore, later: Later) -> None:
    record = add(store)
    later(10)
    assert store.set_idle(record, 11)
    later(2)
    assert store.get(record.number) is None


def test_a_longer_limit(store: SessionStore, later: Later) -> None:
    record = add(store, idle=10)
    assert store.set_idle(record, 60)
    later(50)
    assert store_get(store, record.number).idle == 60


def test_touch(store: SessionStore, later: Later) -> None:
    record = add(store, idle=10)
    later(9)
    assert store.touch(record)
    later(9)
    assert store_get(store, record.number).uses == 0
    assert store.remove(record)
    assert not store.touch(record)


def test_rename(store: SessionStore) -> None:
    record = add(store, x=1)
    assert store.rename(record, "new")
    assert store.find("t", None) is None
    found = store.find("new", None)
    assert found is not None
    assert (found.number, found.token, dict(found.values)) == (record.number, "new", {"x": 1})
    assert store.remove(found)
    assert not store.rename(record, "third")
    assert store.find("third", None) is None


def test_log_in(store: SessionStore) -> None:
    record = add(store, life=5, x=1)
    assert store.log_in(record, "new", ANN, time.time() + 1000, 30)
    assert store.find("t", None) is None
    found = store.find("new", None)
    assert found is not None
    assert (found.user, found.idle, dict(found.values)) == (ANN, 30, {"x": 1})
    assert found.ends > time.time() + 900
    assert store.remove(found)
    assert not store.log_in(record, "third", BOB, math.inf, 30)
    assert store.find("third", None) is None


def test_users_and_numbers(store: SessionStore) -> None:
    ends = time.time() + 1000
    records = [add(store, token) for token in "abcd"]
    numbers = [record.number for record in records]
    for record, user in zip(records, [ANN, ANN, BOB], strict=False):
        store.log_in(record, record.token * 2, user, ends, 60)
    assert store.users() == ["ann", "bob"]
    assert store.numbers(None) == numbers
    assert store.numbers("ann") == numbers[:2]
    assert store.numbers("nobody") == []
    store.log_in(records[1], "x", BOB, ends, 60)
    assert (store.numbers("ann"), store.numbers("bob")) == (numbers[:1], numbers[1:3])
    store.remove(records[0])
    assert store.users() == ["bob"]
    store.remove(records[1])
    store.remove(records[2])
    assert (store.users(), store.numbers(None)) == ([], numbers[3:])


@pytest.mark.parametrize("name", ["", "Zoë", "a b:c*", "'; --", "x" * 500])
def test_odd_user_names(store: SessionStore, name: str) -> None:
    record = add(store)
    store.log_in(record, "new", SessionUser(name, "?", name), math.inf, 60)
    assert store_get(store, record.number).user == SessionUser(name, "?", name)
    assert (store.users(), store.numbers(name)) == ([name], [record.number])


def test_users_whose_sessions_expired_are_gone(store: SessionStore, later: Later) -> None:
    record = add(store)
    store.log_in(record, "new", ANN, math.inf, 10)
    later(11)
    assert (store.users(), store.numbers("ann")) == ([], [])


@pytest.mark.parametrize("name", ["", "Zoë", "@x", "token", "ends", "a\nb", "x" * 500])
def test_odd_attribute_names(store: SessionStore, name: str) -> None:
    record = add(store)
    record.values[name] = 1
    store.save(record)
    assert dict(store_get(store, record.number).values) == {name: 1}
    assert store_get(store, record.number).token == "t"


def test_two_at_once_lose_no_attribute(store: SessionStore) -> None:
    add(store, both=0, gone=1)
    first, second = store.find("t", None), store.find("t", None)
    assert first is not None and second is not None
    first.values["a"] = 1
    second.values["b"] = 2
    del second.values["gone"]
    first.values["both"] = 1
    store.save(second)
    store.save(first)
    assert dict(store_get(store, first.number).values) == {"a": 1, "b": 2, "both": 1}


def test_an_ended_session_is_not_made_again(shared_url: str) -> None:
    with opened(shared_url) as store:
        add(store)
        first, second = store.find("t", None), store.find("t", None)
        assert first is not None and second is not None
        first.values["x"] = 1
        assert store.remove(second)
        store.save(first)
        assert store.find("t", None) is None
        assert store.get(first.number) is None
        assert not store.remove(first)
        assert store.numbers(None) == []


def test_stores_of_one_place_share_sessions(shared_url: str) -> None:
    with opened(shared_url) as one, opened(shared_url) as other:
        record = add(one, x=[1])
        found = other.find("t", None)
        assert found is not None
        found.values["x"].append(2)
        other.save(found)
        assert dict(store_get(one, record.number).values) == {"x": [1, 2]}
        assert other.remove(found)
        assert not one.touch(record)


def test_a_lease_is_renewed(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "RENEWALS", 0)
    with opened(shared_url) as store:
        record = add(store, idle=0.2)
        monkeypatch.setattr(shared_module, "LEASE", 0.2)
        store.hold(record)
        monkeypatch.setattr(shared_module, "LEASE", 30)
        store.sweep()
        gevent.sleep(0.4)
        assert store.numbers(None) == [record.number]
        store.let_go(record)
        store.sweep()
        assert not store._held  # type: ignore[attr-defined]


def test_thousands_leave_nothing(store: SessionStore, store_url: str, request: pytest.FixtureRequest) -> None:
    add(store, "first", idle=0.05)
    with leaks.nothing_left():
        for number in range(1000):
            record = add(store, f"t{number}", idle=0.05, x=number)
            if number % 3 == 0:
                store.log_in(record, f"u{number}", SessionUser(f"user{number % 5}"), math.inf, 0.05)
            if number % 4 == 0:
                store.remove(record)
        wait_until(lambda: clean(store) == [])
        clean(store)  # those that have expired since
    if isinstance(store, MemoryStore):
        held = [value for value in vars(store).values() if isinstance(value, dict)]
        wait_until(lambda: store.sweep() or held == [{}] * len(held))
    elif isinstance(store, RedisStore):
        add(store, "last", idle=0.001)  # cleans up in passing
        server: RedisServer = request.getfixturevalue("redis_process")
        wait_until(lambda: server.names() <= {f"greenbas:{name}" for name in ("number", "sessions", "users")})
    else:
        with contextlib.closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as db:
            counts = "SELECT (SELECT count(*) FROM session), (SELECT count(*) FROM attribute)"
            assert db.execute(counts).fetchone() == (0, 0)


def clean(store: SessionStore) -> list[int]:
    store.sweep()
    if isinstance(store, SqliteStore | RedisStore):
        store.clean()
    return store.numbers(None)


# -- memory -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ended() -> list[dict[str, Any]]:
    return []


Make = Callable[..., Record]


@pytest.fixture
def memory(clock: Clock, ended: list[dict[str, Any]]) -> MemoryStore:
    return MemoryStore(4, ended.append, clock=clock)


def enter(store: MemoryStore, clock: Clock, token: str, idle: float = 100) -> Record:
    record = Record(token, "peer", clock.now, idle, clock.now + 1000, {"token": token})
    store.add(record)
    return record


def test_oldest_that_was_never_used_again_goes_first(memory: MemoryStore, clock: Clock) -> None:
    for token in "abcd":
        enter(memory, clock, token)
        clock.now += 1
    assert memory.find("a", None)
    left = []
    for token in "efgh":
        enter(memory, clock, token)
        left.append("".join(t for t in "abcdefgh" if t in memory._by_token))
    assert left == ["acde", "adef", "aefg", "afgh"]


def test_then_the_one_that_was_unused_longest(memory: MemoryStore, clock: Clock) -> None:
    records = {token: enter(memory, clock, token) for token in "abcd"}
    for token in "bcda":
        assert memory.find(token, None)
        clock.now += 1
    memory.hold(records["c"])
    enter(memory, clock, "e")
    assert sorted(memory._by_token) == ["a", "c", "d", "e"]
    memory.find("e", None)
    enter(memory, clock, "f")
    assert sorted(memory._by_token) == ["a", "c", "e", "f"]


def test_login_counts_as_use(memory: MemoryStore, clock: Clock) -> None:
    memory.log_in(enter(memory, clock, "a"), "A", ANN, 2000, 100)
    for token in "bcdef":
        enter(memory, clock, token)
    assert memory.find("A", None)
    assert memory.users() == ["ann"]


def test_when_all_are_held_there_is_no_more(memory: MemoryStore, clock: Clock) -> None:
    records = [enter(memory, clock, token) for token in "abcd"]
    for record in records:
        memory.hold(record)
    with pytest.raises(StoreUnavailable, match="session_limit"):
        enter(memory, clock, "e")
    memory.let_go(records[2])
    enter(memory, clock, "e")
    assert sorted(memory._by_token) == ["a", "b", "d", "e"]


def test_sweep_removes_what_is_due(memory: MemoryStore, clock: Clock, ended: list[dict[str, Any]]) -> None:
    for token, idle in {"a": 10, "b": 20, "c": 5000}.items():
        enter(memory, clock, token, idle)
    for seconds, gone in [(9, ""), (2, "a"), (20, "ab"), (100, "ab"), (860, "ab"), (100, "abc")]:
        clock.now += seconds
        memory.sweep()
        wait_until(lambda: not memory._rest and memory._swept == int(clock.now))
        assert "".join(values["token"] for values in ended) == gone
    assert len(memory) == 0


def test_sweep_after_uses(memory: MemoryStore, clock: Clock) -> None:
    enter(memory, clock, "a", 10)
    for _ in range(10):
        clock.now += 7
        memory.sweep()
        assert memory.find("a", None)
    clock.now += 12
    memory.sweep()
    assert len(memory) == 0


def test_sweep_of_held_ones(memory: MemoryStore, clock: Clock) -> None:
    record = enter(memory, clock, "a", 10)
    memory.hold(record)
    for _ in range(20):
        clock.now += 13
        memory.sweep()
    assert memory.get(record.number) is record
    memory.let_go(record)
    clock.now += 1
    memory.sweep()
    assert len(memory) == 0


def test_sweep_when_the_clock_goes_back(memory: MemoryStore, clock: Clock) -> None:
    enter(memory, clock, "a", 10)
    clock.now -= 500
    enter(memory, clock, "b", 10)
    memory.sweep()
    clock.now += 512
    memory.sweep()
    assert len(memory) == 0


def test_sweep_is_done_in_small_steps(clock: Clock) -> None:
    store = MemoryStore(10_000, lambda values: None, clock=clock)
    for number in range(5000):
        enter(store, clock, str(number), 10)
    clock.now += 12
    store.sweep()
    assert len(store) > 4000
    wait_until(lambda: len(store) == 0)


def test_attributes_of_an_ended_session_are_let_go(memory: MemoryStore, clock: Clock) -> None:
    record = enter(memory, clock, "a")
    values = record.values
    memory.remove(record)
    assert (dict(values), dict(record.values), record.alive) == ({}, {}, False)


# -- SQLite -------------------------------------------------------------------------------------------------------


def test_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with opened(f"sqlite:///{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sessions_outlive_the_server(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/s.db") as store:
        add(store, x=1)
    with opened(f"sqlite:///{tmp_path}/s.db") as store:
        found = store.find("t", None)
        assert found is not None
        assert dict(found.values) == {"x": 1}


def other_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 77")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda path: path.write_bytes(b"not a database, " * 100), "not a database", id="no database"),
        pytest.param(other_database, "version 77.*another file", id="of somebody else"),
        pytest.param(lambda path: path.mkdir(), "cannot be opened.*irectory", id="a folder"),
    ],
)
def test_file_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(tmp_path / "s.db")
    with pytest.raises(SettingError, match=message), opened(f"sqlite:///{tmp_path}/s.db"):
        pass


def test_folder_that_is_missing() -> None:
    with pytest.raises(SettingError, match=r"cannot be opened.*No such file"), opened("sqlite:////no/such/folder/s.db"):
        pass


def test_a_broken_statement_is_unavailable(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/s.db") as store:
        add(store)
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as db:
            db.execute("DROP TABLE attribute")
        with pytest.raises(StoreUnavailable, match="no such table"):
            store.find("t", None)
    with pytest.raises(StoreUnavailable, match="closed"):
        store.find("t", None)


def test_many_expired_rows_go_in_steps(tmp_path: Path) -> None:
    clock = Clock()
    store = SqliteStore(str(tmp_path / "s.db"), clock=clock)
    store.open()
    for number in range(CLEAN_STEP * 2 + 1):
        store.add(Record(str(number), "peer", clock.now, 10, 5000, store.new_values()))
    clock.now += 11
    store.clean()
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as db:
        assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)
    store.close()


# -- Redis --------------------------------------------------------------------------------------------------------


def test_keys_expire_by_themselves(redis_process: RedisServer) -> None:
    redis_process.clear()
    with opened(redis_process.url) as store:
        record = add(store, "tok", idle=100, x=1)
        store.log_in(record, "new", ANN, math.inf, 100)
        with redis_process.client() as client:
            for key in ("id:new", f"session:{record.number}", "user:ann"):
                assert 99_000 < client.pttl(f"greenbas:{key}") <= 100_000, key
        assert "greenbas:id:tok" not in redis_process.names()


def test_redis_in_a_program_that_is_not_patched(redis_process: RedisServer) -> None:
    redis_process.clear()
    said = run_program(f"""
        import gevent, time
        from greenbas.dispatcher import is_patched
        from greenbas.http.stores import Record, StoreUrl, make_store
        assert not is_patched()
        store = make_store(StoreUrl({redis_process.url!r}), 1, print)
        store.open()
        store.add(Record("t", "peer", time.time(), 60, time.time() + 60, store.new_values()))
        jobs = [gevent.spawn(store.find, "t", None) for _ in range(50)]
        gevent.joinall(jobs, raise_error=True)
        print(max(job.value.uses for job in jobs))
        store.close()
    """)
    assert said == "50\n"


def test_redis_goes_and_comes_back(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.http.stores.redis.PAUSE", 0.05)
    server = RedisServer()
    server.start()
    caplog.set_level(logging.WARNING, "greenbas.sessions")
    try:
        with opened(server.url) as store:
            add(store)
            server.kill()
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match=rf"{server.url} does not answer"):
                    store.find("t", None)
            assert [record.message.startswith("lost the session store") for record in caplog.records] == [True]
            server.start()
            wait_until(lambda: works(store))
            assert "is back" in caplog.records[-1].message
    finally:
        server.kill()


def works(store: SessionStore) -> bool:
    try:
        store.users()
    except StoreUnavailable:
        return False
    return True


def test_redis_that_is_not_there_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer()
    with opened(server.url) as store:
        assert "lost the session store" in caplog.text
        with pytest.raises(StoreUnavailable, match="just been tried"):
            store.numbers(None)


def test_silent_redis_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.http.stores.redis.COMMAND_TIMEOUT", 0.1)
    monkeypatch.setattr("greenbas.http.stores.redis.CONNECT_TIMEOUT", 0.1)
    listener = gevent.socket.create_server(("127.0.0.1", 0))
    with opened(f"redis://127.0.0.1:{listener.getsockname()[1]}/0") as store, pytest.raises(StoreUnavailable):
        store.find("t", None)
    listener.close()


def test_password_is_not_shown(redis_process: RedisServer) -> None:
    url = redis_process.url.replace("//", "//user:geheim@")
    with opened(url) as store:
        with pytest.raises(StoreUnavailable) as raised:
            store.find("t", None)
        assert "geheim" not in str(raised.value) + repr(store)


# -- the setting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "shown"),
    [
        ("memory", "memory", "memory"),
        ("sqlite:///a.db", "sqlite", "sqlite:///a.db"),
        ("sqlite:////var/a.db", "sqlite", "sqlite:////var/a.db"),
        ("redis://localhost", "redis", "redis://localhost"),
        ("redis://localhost:6379/3", "redis", "redis://localhost:6379/3"),
        ("rediss://h:1/0", "rediss", "rediss://h:1/0"),
        ("redis://:pw@h/0", "redis", "redis://:***@h/0"),
        ("redis://me:p@w@h/0", "redis", "redis://me:***@h/0"),
        ("redis://me@h/0", "redis", "redis://me@h/0"),
    ],
)
def test_url(text: str, scheme: str, shown: str) -> None:
    url = StoreUrl(text)
    assert (str(url) == text, url.scheme, repr(url)) == (True, scheme, repr(shown))


@pytest.mark.parametrize(
    "text",
    ["", "Memory", "memcached://h", "sqlite:", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:a.db",
     "sqlite:///a/", "sqlite:///a\0b", "redis:", "redis://", "redis:///0", "redis://h:99999/0", "redis://h:0/0",
     "redis://h:x/0", "redis://h/x", "redis://h/0/1"],
)  # fmt: skip
def test_url_that_is_none(text: str) -> None:
    with pytest.raises(SettingError, match="session_store"):
        StoreUrl(text)


def test_url_of_a_wrong_type() -> None:
    with pytest.raises(SettingError, match=r"session_store: 5 is not a str; use 'memory'"):
        StoreUrl(5)  # type: ignore[arg-type]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(SettingError, match=r"pip install 'greenbas\[redis\]'"):
        make_store(StoreUrl("redis://localhost"), 1, lambda values: None)
