"""`SqliteStore`: sessions in a file, for several processes of one machine."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from greenbas.dispatcher.native import Thread
from greenbas.errors import SettingError
from greenbas.http.stores import sqlitejobs as jobs
from greenbas.http.stores.quota import Quota
from greenbas.http.stores.record import Record, SessionUser
from greenbas.http.stores.shared import Identity, SharedStore

__all__ = ["SqliteStore"]

T = TypeVar("T")

MAX_NUMBER = 2**63
CLEAN_STEP = 200  # expired sessions deleted in one transaction: others wait for its end


class SqliteStore(SharedStore):
    """Sessions in an SQLite database, which this class makes.

    All statements run in one native thread, so a slow disk or another process's lock holds up nobody but those who want
    their session.

    Args:
        path: the file.
        clock: unix seconds.
    """

    def __init__(self, path: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(f"sqlite:///{path}", clock=clock)
        self._path = os.path.abspath(path)
        self._file = (0, 0)  # which one it is
        self._thread = Thread(1, name="sessions")
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or make the file; nobody else may read it.

        Raises:
            SettingError: it cannot be opened, or is no database of sessions.
        """
        try:
            self._db = self._thread.offload(jobs.connect, self._path)
            self._file = jobs.file_of(self._path)
        except (OSError, sqlite3.Error) as error:
            raise SettingError(f"session_store: {self._name} cannot be opened: {error}") from error

    def close(self) -> None:
        """Close the file."""
        super().close()
        db, self._db = self._db, None
        if db is not None:
            self._thread.offload(db.close)
        self._thread.close()

    def add(self, record: Record) -> None:
        """Insert a row."""
        row = (record.token, record.peer, record.created, record.accessed, 0, record.idle, record.ends, record.expires)
        sql = (
            "INSERT INTO session (token, peer, created, accessed, uses, idle, ends, expires) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
        )
        (record.number,) = self._run(lambda db: db.execute(sql, row).fetchone())

    def find(self, token: str, peer: str | None) -> Record | None:
        """Read it, and write that it was used."""
        found: dict[str, Any] = {"token": token, "peer": peer, "now": self._clock()}
        return self._run(lambda db: jobs.read(db, db.execute(jobs.USE, found).fetchone()))

    def get(self, number: int) -> Record | None:
        """Read it."""
        if not 0 < number < MAX_NUMBER:
            return None
        sql = f"SELECT {jobs.COLUMNS} FROM session WHERE number = ? AND expires > ?"
        now = self._clock()
        return self._run(lambda db: jobs.read(db, db.execute(sql, (number, now)).fetchone()), writes=False)

    def touch(self, record: Record) -> bool:
        """Move its end."""
        record.accessed = self._clock()
        return self._update(record, "accessed = ?", record.accessed)

    def set_idle(self, record: Record, seconds: float) -> bool:
        """Change its limit, which counts from its last use."""
        record.idle = seconds
        return self._update(record, "idle = ?", seconds)

    def rename(self, record: Record, token: str) -> bool:
        """Exchange its public id."""
        renamed = self._update(record, "token = ?", token)
        record.token = token
        return renamed

    def check_room(self, user: str, quota: Quota) -> None:
        """From the index."""
        self._release()
        now = self._clock()
        self._run(lambda db: jobs.victims(db, user, quota, 0, now), writes=False)

    def log_in(
        self, record: Record, token: str, user: SessionUser, ends: float, idle: float, quota: Quota | None = None
    ) -> bool:
        """One transaction."""
        self._release()
        now = self._clock()

        def room(db: sqlite3.Connection) -> None:
            if quota is not None:
                victims = jobs.victims(db, user.name, quota, record.number, now)
                db.executemany("DELETE FROM session WHERE number = ?", [(number,) for number in victims])

        columns = "token = ?, user = ?, type = ?, mark = ?, ends = ?, idle = ?, accessed = ?"
        done = self._update(record, columns, token, *user, ends, idle, now, after=room)
        record.token, record.user, record.ends, record.idle, record.accessed = token, user, ends, idle, now
        return done

    def write(self, record: Record, written: dict[str, bytes], deleted: set[str]) -> None:
        """One transaction; a session that has ended meanwhile is not made again."""
        self._run(lambda db: jobs.write(db, record.number, written, deleted))

    def remove(self, record: Record) -> bool:
        """Delete it with its attributes."""
        record.end()
        sql = "DELETE FROM session WHERE number = ?"
        return self._run(lambda db: db.execute(sql, (record.number,)).rowcount > 0)

    def numbers(self, user: str | None) -> list[int]:
        """From the indices."""
        sql = "SELECT number FROM session WHERE expires > :now AND (:user IS NULL OR user = :user) ORDER BY number"
        values = {"now": self._clock(), "user": user}
        return [number for (number,) in self._run(lambda db: db.execute(sql, values).fetchall(), writes=False)]

    def users(self) -> list[str]:
        """From the index."""
        sql = "SELECT DISTINCT user FROM session WHERE user IS NOT NULL AND expires > ?"
        now = self._clock()
        return sorted(name for (name,) in self._run(lambda db: db.execute(sql, (now,)).fetchall(), writes=False))

    def note(self, key: str) -> bytes | None:
        """From its table."""
        values = (key, self._clock())
        found = self._run(lambda db: db.execute(jobs.NOTE, values).fetchone(), writes=False)
        return None if found is None else bytes(found[0])

    def set_note(self, key: str, value: bytes | None, was: bytes | None, expires: float) -> bool:
        """One transaction."""
        now = self._clock()
        return self._run(lambda db: jobs.set_note(db, key, value, was, expires, now))

    def notes(self, prefix: str) -> list[tuple[str, bytes]]:
        """From its table."""
        sql = "SELECT key, value FROM note WHERE substr(key, 1, ?) = ? AND expires > ? ORDER BY key"
        values = (len(prefix), prefix, self._clock())
        rows = self._run(lambda db: db.execute(sql, values).fetchall(), writes=False)
        return [(key, bytes(value)) for key, value in rows]

    def extend(self, held: Iterable[Identity], until: float) -> None:
        """Write the leases, and move the ends."""
        sql = "INSERT OR REPLACE INTO lease SELECT number, ?, ? FROM session WHERE number = ?"
        rows = [(self._holder, until, number) for number, _ in held]
        self._run(lambda db: jobs.change_leases(db, sql, rows))

    def release(self, held: Iterable[Identity], before: float) -> None:
        """Delete the leases, and move the ends."""
        sql = "DELETE FROM lease WHERE holder = ? AND until <= ? AND session = ?"
        rows = [(self._holder, before, number) for number, _ in held]
        self._run(lambda db: jobs.change_leases(db, sql, rows))

    def clean(self) -> None:
        """Delete what has expired, some at a time."""
        for table, key, column in jobs.EXPIRING:
            some = f"SELECT {key} FROM {table} WHERE {column} <= ? LIMIT {CLEAN_STEP}"
            while self._delete(f"DELETE FROM {table} WHERE ({key}) IN ({some})", self._clock()) >= CLEAN_STEP:
                pass

    def _delete(self, sql: str, now: float) -> int:
        return self._run(lambda db: db.execute(sql, (now,)).rowcount)

    def _update(
        self, record: Record, columns: str, *values: Any, after: Callable[[sqlite3.Connection], None] | None = None
    ) -> bool:
        sql = f"UPDATE session SET {columns} WHERE number = {record.number} AND expires > {self._clock()!r}"
        if not self._run(lambda db: jobs.update(db, record.number, sql, values, after)):
            record.end()
        return record.alive

    def _run(self, job: Callable[[sqlite3.Connection], T], writes: bool = True) -> T:
        db = self._db
        if db is None:
            raise self._lost(OSError("it is closed"))
        asked = time.monotonic()
        try:
            result = self._thread.offload(self._transact, db, job, writes, asked + jobs.BUSY_TIMEOUT)
        except sqlite3.Error as error:
            self._note_loss(error)
            raise self._lost(error) from error
        self._note_answer(asked)
        return result

    def _transact(self, db: sqlite3.Connection, job: Callable[[sqlite3.Connection], T], writes: bool, by: float) -> T:
        left = by - time.monotonic()
        if left <= 0:
            raise sqlite3.OperationalError("the requests before this one have taken too long")
        if jobs.file_of(self._path) != self._file:
            raise sqlite3.OperationalError("somebody has removed or replaced the file: restart all of its servers")
        db.execute(f"PRAGMA busy_timeout = {math.ceil(left * 1000)}")
        return jobs.in_transaction(db, job, writes)
