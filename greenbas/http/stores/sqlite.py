"""`SqliteStore`: sessions in a file, for several processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from gevent import monkey

from greenbas.dispatcher.native import Thread
from greenbas.errors import SettingError
from greenbas.http.stores.jsonvalues import JsonValues
from greenbas.http.stores.record import Record, SessionUser
from greenbas.http.stores.shared import SharedStore

__all__ = ["SqliteStore"]

T = TypeVar("T")

_native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")  # gevent's would need a hub in the thread

BUSY_TIMEOUT = 5.0  # seconds that a statement waits for other processes; each of them needs a millisecond at most
CLEAN_STEP = 200  # expired sessions deleted in one transaction: others wait for its end
SCHEMA = 1  # in the file's user_version

_TABLES = """
CREATE TABLE IF NOT EXISTS session (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    token TEXT NOT NULL UNIQUE, peer TEXT NOT NULL, created REAL NOT NULL, accessed REAL NOT NULL,
    uses INTEGER NOT NULL, idle REAL NOT NULL, ends REAL NOT NULL, expires REAL NOT NULL,
    user TEXT, type TEXT, mark TEXT);
CREATE INDEX IF NOT EXISTS session_expires ON session (expires);
CREATE INDEX IF NOT EXISTS session_user ON session (user) WHERE user IS NOT NULL;
CREATE TABLE IF NOT EXISTS attribute (
    session INTEGER NOT NULL REFERENCES session ON DELETE CASCADE, name TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (session, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS note_expires ON note (expires);
"""
_COLUMNS = "number, token, peer, created, accessed, uses, idle, ends, user, type, mark"
_NOTE = "SELECT value FROM note WHERE key = ? AND expires > ?"
# A lease may let it live longer than its last use does.
_USE = (
    "UPDATE session SET accessed = :now, uses = uses + 1, expires = max(expires, min(:now + idle, ends)) "
    "WHERE token = :token AND expires > :now AND ends > :now AND (:peer IS NULL OR peer = :peer) "
    f"RETURNING {_COLUMNS}"
)


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
        self._path = path
        self._thread = Thread(1, name="sessions")
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or make the file; nobody else may read it.

        Raises:
            SettingError: it cannot be opened, or is no database of sessions.
        """
        try:
            self._db = self._thread.offload(self._connect)
        except (OSError, sqlite3.Error) as error:
            raise SettingError(f"session_store: {self._name} cannot be opened: {error}") from error

    def close(self) -> None:
        """Close the file."""
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
        return self._run(lambda db: _read(db, db.execute(_USE, found).fetchone()))

    def get(self, number: int) -> Record | None:
        """Read it."""
        sql = f"SELECT {_COLUMNS} FROM session WHERE number = ? AND expires > ?"
        now = self._clock()
        return self._run(lambda db: _read(db, db.execute(sql, (number, now)).fetchone()), writes=False)

    def touch(self, record: Record) -> bool:
        """Move its end."""
        record.accessed = self._clock()
        return self._update(record, "accessed = ?, expires = max(expires, ?)", record.accessed, record.expires)

    def set_idle(self, record: Record, seconds: float) -> bool:
        """Change its limit, which counts from its last use."""
        record.idle = seconds
        return self._update(record, "idle = ?1, expires = min(accessed + ?1, ends)", seconds)

    def rename(self, record: Record, token: str) -> bool:
        """Exchange its public id."""
        renamed = self._update(record, "token = ?", token)
        record.token = token
        return renamed

    def log_in(self, record: Record, token: str, user: SessionUser, ends: float, idle: float) -> bool:
        """One statement."""
        now = self._clock()
        columns = "token = ?, user = ?, type = ?, mark = ?, ends = ?, idle = ?, accessed = ?, expires = ?"
        done = self._update(record, columns, token, *user, ends, idle, now, min(now + idle, ends))
        record.token, record.user, record.ends, record.idle, record.accessed = token, user, ends, idle, now
        return done

    def write(self, number: int, written: dict[str, bytes], deleted: set[str]) -> None:
        """One transaction; a session that has ended meanwhile is not made again."""
        self._run(lambda db: _write(db, number, written, deleted))

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
        found = self._run(lambda db: db.execute(_NOTE, values).fetchone(), writes=False)
        return None if found is None else bytes(found[0])

    def set_note(self, key: str, value: bytes | None, was: bytes | None, expires: float) -> bool:
        """One transaction."""
        now = self._clock()
        return self._run(lambda db: _set_note(db, key, value, was, expires, now))

    def notes(self, prefix: str) -> list[tuple[str, bytes]]:
        """From its table."""
        sql = "SELECT key, value FROM note WHERE substr(key, 1, ?) = ? AND expires > ? ORDER BY key"
        values = (len(prefix), prefix, self._clock())
        rows = self._run(lambda db: db.execute(sql, values).fetchall(), writes=False)
        return [(key, bytes(value)) for key, value in rows]

    def extend(self, numbers: list[int], until: float) -> None:
        """Move their ends."""
        sql = "UPDATE session SET expires = max(expires, min(?, ends)) WHERE number = ?"
        rows = [(until, number) for number in numbers]
        self._run(lambda db: db.executemany(sql, rows))

    def clean(self) -> None:
        """Delete what has expired, some at a time."""
        sql = f"DELETE FROM session WHERE number IN (SELECT number FROM session WHERE expires <= ? LIMIT {CLEAN_STEP})"
        now = self._clock()
        while self._run(lambda db: db.execute(sql, (now,)).rowcount) >= CLEAN_STEP:
            pass
        self._run(lambda db: db.execute("DELETE FROM note WHERE expires <= ?", (now,)))

    def _update(self, record: Record, columns: str, *values: Any) -> bool:
        sql = f"UPDATE session SET {columns} WHERE number = {record.number} AND expires > {self._clock()!r}"
        if self._run(lambda db: db.execute(sql, values).rowcount) == 0:
            record.end()
        return record.alive

    def _run(self, job: Callable[[sqlite3.Connection], T], writes: bool = True) -> T:
        db = self._db
        if db is None:
            raise self._lost(OSError("it is closed"))
        try:
            return self._thread.offload(_in_transaction, db, job) if writes else self._thread.offload(job, db)
        except sqlite3.Error as error:
            raise self._lost(error) from error

    # In the native thread.

    def _connect(self) -> sqlite3.Connection:
        # Made first with the rights that it is to have; SQLite would ask the umask.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError(f"it has version {version}, not {SCHEMA}; use another file")
            # WAL: who reads waits for nobody. NORMAL: a crash of the machine may cost the last writes, never the file.
            _patiently(db, "PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            if version != SCHEMA:
                db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT")
        except BaseException:
            db.close()
            raise
        return db


def _patiently(db: sqlite3.Connection, sql: str) -> None:
    # The change to WAL does not wait for another process that is just at it, as other statements do.
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            db.execute(sql)
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            _native_sleep(0.01)


def _in_transaction(db: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
    # IMMEDIATE, because a transaction that begins with reading cannot wait for its turn to write.
    db.execute("BEGIN IMMEDIATE")
    try:
        result = job(db)
        db.execute("COMMIT")
        return result
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _read(db: sqlite3.Connection, row: tuple[Any, ...] | None) -> Record | None:
    if row is None:
        return None
    number, token, peer, created, accessed, uses, idle, ends, user, kind, mark = row
    stored = dict(db.execute("SELECT name, value FROM attribute WHERE session = ?", (number,)).fetchall())
    record = Record(token, peer, accessed, idle, ends, JsonValues(stored))
    record.number, record.created, record.uses = number, created, uses
    record.user = None if user is None else SessionUser(user, kind, mark)
    return record


def _set_note(
    db: sqlite3.Connection, key: str, value: bytes | None, was: bytes | None, expires: float, now: float
) -> bool:
    found = db.execute(_NOTE, (key, now)).fetchone()
    if (None if found is None else bytes(found[0])) != was:
        return False
    if value is None:
        db.execute("DELETE FROM note WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (key, value, expires))
    return True


def _write(db: sqlite3.Connection, number: int, written: dict[str, bytes], deleted: set[str]) -> None:
    if db.execute("SELECT 1 FROM session WHERE number = ?", (number,)).fetchone() is None:
        return
    db.executemany("DELETE FROM attribute WHERE session = ? AND name = ?", [(number, name) for name in deleted])
    rows = [(number, name, value) for name, value in written.items()]
    db.executemany("INSERT OR REPLACE INTO attribute VALUES (?, ?, ?)", rows)
