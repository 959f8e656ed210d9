"""`proxy`: an object of a native thread, used like the original. Mostly sqlite3, which minds its thread."""

from __future__ import annotations

import datetime
import gc
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import monkey
from leaks import native_threads, nothing_left
from support import wait_until

from greenbas.dispatcher import ThreadProxy, proxy, threads

native_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")
native_id: Callable[[], int] = monkey.get_original("_thread", "get_native_id")  # the kernel's number
NativeLock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")
NUMBERS = 1000


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    threads.offload(int)
    with nothing_left():
        yield


def made_in_thread(path: Path) -> Any:
    return proxy(sqlite3.connect, path / "base.db", isolation_level="DEFERRED")


def made_here(path: Path) -> Any:
    return proxy(sqlite3.connect(path / "base.db", check_same_thread=False))


@pytest.fixture(params=[made_in_thread, made_here])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A database in both forms, with a table of numbers and their squares."""
    connection = request.param(tmp_path)
    connection.execute("create table squares (number integer primary key, square integer)")
    connection.executemany("insert into squares values (?, ?)", [(n, n * n) for n in range(NUMBERS)])
    connection.commit()
    yield connection
    connection.close()


# -- sqlite3 ------------------------------------------------------------------------------------------------------


def test_a_query_of_one_row(db: Any) -> None:
    assert db.execute("select square from squares where number = ?", (12,)).fetchone() == (144,)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_a_cursor_is_iterated(db: Any, count: int) -> None:
    cursor = db.execute("select square from squares where number < ? order by number", (count,))
    assert isinstance(cursor, ThreadProxy)
    assert [square for (square,) in cursor] == [n * n for n in range(count)]


def test_rows_are_taken_one_by_one_or_in_bulk(db: Any) -> None:
    cursor = db.cursor()
    cursor.execute("select number from squares order by number")
    assert next(cursor) == (0,)
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(2) == [(2,), (3,)]
    assert len(cursor.fetchall()) == NUMBERS - 4
    assert cursor.fetchone() is None
    with pytest.raises(StopIteration):
        next(cursor)
    cursor.close()


def test_attributes_are_read_and_set(db: Any) -> None:
    cursor = db.execute("select number, square from squares where number = 3")
    assert [column[0] for column in cursor.description] == ["number", "square"]
    assert db.in_transaction is False
    db.isolation_level = None
    assert db.isolation_level is None
    db.row_factory = sqlite3.Row
    row = db.execute("select number, square from squares where number = 3").fetchone()
    assert (row["square"], row[0], len(row), row.keys()) == (9, 3, 2, ["number", "square"])
    assert list(row) == [3, 9]
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = db.nothing_like_it


def test_the_connection_is_a_context_manager_of_transactions(db: Any) -> None:
    with db as entered:
        assert entered is db
        db.execute("insert into squares values (-1, 1)")
        assert db.in_transaction
    assert not db.in_transaction
    with pytest.raises(KeyError), db:
        db.execute("insert into squares values (-2, 4)")
        raise KeyError
    assert db.execute("select count(*) from squares where number < 0").fetchone() == (1,)


def test_errors_of_the_driver_are_raised_as_they_are(db: Any) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        db.execute("select * from nowhere")
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("insert into squares values (1, 1)")
    db.rollback()


def test_functions_given_to_it_are_called_in_its_thread(db: Any) -> None:
    seen: list[int] = []

    def twice(number: int) -> int:
        seen.append(native_ident())
        return 2 * number

    db.create_function("twice", 1, twice)
    assert db.execute("select twice(21)").fetchone() == (42,)
    assert seen and seen[0] != native_ident()


def test_proxies_are_passed_back_as_the_originals(db: Any, tmp_path: Path) -> None:
    copy = sqlite3.connect(tmp_path / "copy.db", check_same_thread=False)
    other = ThreadProxy(db._greenbas_thread, copy)
    db.backup(other)
    db.backup(target=other)
    assert other.execute("select count(*) from squares").fetchone() == (NUMBERS,)
    copy.close()


def test_a_slow_query_does_not_block_the_hub(db: Any) -> None:
    held = NativeLock()
    held.acquire()
    began: list[bool] = []

    def wait() -> int:
        began.append(True)
        held.acquire()
        return 1

    db.create_function("wait", 0, wait)
    query = gevent.spawn(lambda: db.execute("select wait()").fetchone())
    wait_until(lambda: bool(began))
    for _ in range(50):
        gevent.sleep(0)
    assert not query.ready()
    held.release()
    assert query.get(timeout=5) == (1,)


def test_greenlets_that_share_a_connection_take_turns(db: Any) -> None:
    def add(number: int) -> int:
        db.execute("insert into squares values (?, ?)", (number, number * number))
        return int(db.execute("select square from squares where number = ?", (number,)).fetchone()[0])

    found = [gevent.spawn(add, number) for number in range(2000, 2050)]
    gevent.joinall(found, timeout=10, raise_error=True)
    assert [greenlet.value for greenlet in found] == [n * n for n in range(2000, 2050)]
    db.commit()


# -- an object bound to the thread that made it -------------------------------------------------------------------


def test_the_error_of_an_object_bound_to_another_thread_names_the_remedy() -> None:
    connection = sqlite3.connect(":memory:")
    bound = proxy(connection)
    with pytest.raises(sqlite3.ProgrammingError, match="same thread") as caught:
        bound.execute("select 1")
    (note,) = caught.value.__notes__
    assert note.endswith("Let the proxy make it: proxy(function, ...)")
    connection.close()


def test_other_errors_have_no_note(db: Any) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        db.execute("nonsense")
    assert not hasattr(caught.value, "__notes__")


def test_an_object_with_arguments_is_refused() -> None:
    with pytest.raises(TypeError, match="no function or class"):
        proxy([1, 2], 3)


# -- other objects ------------------------------------------------------------------------------------------------


class Box:
    """Notes the thread of everything that happens to it."""

    def __init__(self, *items: object) -> None:
        self.items = dict(enumerate(items))
        self.made_in = native_ident()
        self.thread = native_id()
        self.when = datetime.date(2026, 1, 2)

    def __repr__(self) -> str:
        return f"<Box in {native_ident() == self.made_in}>"

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return native_ident() != self.made_in

    def __getitem__(self, key: int) -> object:
        return self.items[key]

    def __setitem__(self, key: int, value: object) -> None:
        self.items[key] = value

    def __delitem__(self, key: int) -> None:
        del self.items[key]

    def __contains__(self, item: object) -> bool:
        return item in self.items.values()

    def __call__(self, *args: object, **kwargs: object) -> tuple[object, ...]:
        return native_ident() == self.made_in, args, kwargs

    def itself(self) -> Box:
        return self

    def part(self) -> Box:
        return Box("part")

    def holds(self, other: object) -> bool:
        return other is self


def test_the_factory_is_called_in_the_thread_and_everything_else_too() -> None:
    box = proxy(Box, "a", "b")
    assert box.made_in != native_ident()
    assert repr(box) == "<proxy of <Box in True>>"
    assert (len(box), bool(box), "b" in box, "c" in box, box[1]) == (2, False, True, False, "b")
    box[1] = "c"
    del box[0]
    assert box.items == {1: "c"}
    assert box(1, two=2) == (True, (1,), {"two": 2})
    with pytest.raises(KeyError):
        _ = box[0]


def test_results_that_are_no_plain_data_are_proxied_in_the_same_thread() -> None:
    box = proxy(Box, "a")
    part = box.part()
    assert isinstance(part, ThreadProxy)
    assert part.made_in == box.made_in
    assert box.itself() is box
    assert box.holds(box) and not box.holds(part)
    box.other = part
    assert box.other.items == {0: "part"}


def test_what_has_no_ties_to_a_thread_comes_back_as_it_is() -> None:
    """A date came back as a proxy, which is equal to no date."""
    box = proxy(Box, "a")
    assert box.when == datetime.date(2026, 1, 2)
    assert not isinstance(box.when, ThreadProxy)


def test_an_iterator_that_waits_gives_each_item_when_it_comes() -> None:
    """The first of 256 items was kept until all had come: a subscription to messages gave none for ever."""
    lock = NativeLock()

    def messages() -> Iterator[str]:
        for name in "abc":
            lock.acquire()
            yield name

    source = proxy(messages())
    seen: list[str] = []
    lock.acquire()

    def follow() -> None:
        for name in source:
            seen.append(name)

    reader = gevent.spawn(follow)
    for expected in ("a", "ab", "abc"):
        lock.release()
        wait_until(lambda expected=expected: "".join(seen) == expected)  # type: ignore[misc]
    reader.get(timeout=5)


def test_leaving_an_iteration_loses_no_items() -> None:
    numbers = proxy(iter(range(10)))
    for number in numbers:
        if number == 3:
            break
    assert next(numbers) == 4
    assert list(numbers) == [5, 6, 7, 8, 9]


def test_each_proxy_has_a_thread_of_its_own_and_it_ends_with_the_proxy() -> None:
    """It stayed for ever."""
    boxes = [proxy(Box) for _ in range(5)]
    numbers = {box.thread for box in boxes}
    assert len(numbers) == 5
    assert numbers <= native_threads()
    part = boxes[0].part()
    del boxes[:]
    gc.collect()
    assert numbers >= {part.thread}
    wait_until(lambda part=part: numbers & native_threads() == {part.thread})  # type: ignore[misc]
    del part
    wait_until(lambda: not numbers & native_threads())
