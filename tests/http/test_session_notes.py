"""Notes in the store of the sessions: small values that processes agree on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from sessionstores import redis_process, shared_url, store_url
from support import wait_until
from web import serving

from greenbas.http import SessionStore
from greenbas.http.stores import notes

__all__ = ["redis_process", "shared_url", "store_url"]  # fixtures


@pytest.fixture
def store(store_url: str) -> Iterator[SessionStore]:
    with serving(session_store=store_url) as server:
        yield server.service.sessions.store


def later(seconds: float = 60.0) -> float:
    return time.time() + seconds


def test_replacing(store: SessionStore) -> None:
    assert store.note("a") is None
    assert store.set_note("a", b"1", None, later()) is True
    assert store.set_note("a", b"2", None, later()) is False
    assert store.set_note("a", b"2", b"0", later()) is False
    assert store.note("a") == b"1"
    assert store.set_note("a", b"\x00\xff", b"1", math.inf) is True
    assert store.set_note("a", b"3", b"\x00\xff", later()) is True
    assert store.note("a") == b"3"
    assert store.set_note("a", None, b"2", 0.0) is False
    assert store.set_note("a", None, b"3", 0.0) is True
    assert store.note("a") is None
    assert store.set_note("a", b"4", None, later()) is True


def test_listing(store: SessionStore) -> None:
    for key in ("x:b", "y:a", "x:größe %_", "x"):
        store.set_note(key, key.encode(), None, math.inf if key == "x" else later())
    assert sorted(store.notes("x:")) == [("x:b", b"x:b"), ("x:größe %_", "x:größe %_".encode())]
    assert len(store.notes("x")) == 3
    assert store.notes("z") == []


def test_expiry(store: SessionStore) -> None:
    store.set_note("short", b"1", None, later(0.2))
    store.set_note("long", b"1", None, later())
    wait_until(lambda: store.note("short") is None)
    assert [key for key, _ in store.notes("")] == ["long"]
    assert store.set_note("short", b"2", None, later()) is True
    assert store.set_note("gone", b"1", None, later(-5)) is True
    wait_until(lambda: store.note("gone") is None)


def test_what_has_expired_is_removed_from_memory() -> None:
    now = [1000.0]
    made = notes.MemoryNotes(lambda: now[0])
    for number in range(10):
        made.set(str(number), b"1", None, 1010.0)
    now[0] = 1011.0
    made.clean()
    assert made._notes == {}


def test_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "LIMIT", 5)
    made = notes.MemoryNotes(lambda: 0.0)
    for number in range(9):
        made.set(str(number), b"1", None, 10.0)
    made.set("4", b"2", b"1", 10.0)  # set last, so it stays longest
    made.set("9", b"1", None, 10.0)
    assert [key for key, _ in made.all("")] == ["6", "7", "8", "4", "9"]


def test_one_of_many_wins(shared_url: str) -> None:
    with serving(session_store=shared_url) as one, serving(session_store=shared_url) as two:
        stores: list[Any] = [server.service.sessions.store for server in (one, two)]
        tries = [gevent.spawn(stores[number % 2].set_note, "a", b"%d" % number, None, later()) for number in range(20)]
        gevent.joinall(tries, timeout=10, raise_error=True)
        assert [one.value for one in tries].count(True) == 1
        assert stores[0].note("a") == stores[1].note("a")
