"""What an `SqliteStore` does in its native thread: tables, statements, and what has to be one transaction."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from gevent import monkey

from greenbas.http.stores.jsonvalues import JsonValues
from greenbas.http.stores.quota import Crowded, Quota
from greenbas.http.stores.record import Record, SessionUser

__all__ = [
    "BUSY_TIMEOUT",
    "COLUMNS",
    "EXPIRING",
    "NOTE",
    "USE",
    "change_leases",
    "connect",
    "file_of",
    "in_transaction",
    "read",
    "set_note",
    "update",
    "victims",
    "write",
]

T = TypeVar("T")

# Seconds that a request waits for its turn, in this process and among others; each turn takes a millisecond at most.
BUSY_TIMEOUT = 5.0
SCHEMA = 2  # in the file's user_version; a file of version 1 gets the tables that it lacks

_native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")  # gevent's would need a hub in the thread

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
CREATE TABLE IF NOT EXISTS lease (  -- who keeps a session, and until when unless he says so again
    session INTEGER NOT NULL REFERENCES session ON DELETE CASCADE, holder TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (session, holder)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS note_expires ON note (expires);
"""
EXPIRING = (("session", "number", "expires"), ("lease", "session, holder", "until"), ("note", "key", "expires"))
COLUMNS = "number, token, peer, created, accessed, uses, idle, ends, user, type, mark"
NOTE = "SELECT value FROM note WHERE key = ? AND expires > ?"
_LEASED = "coalesce((SELECT max(until) FROM lease WHERE session = number), 0)"
_RENEW = f"UPDATE session SET expires = min(max(accessed + idle, {_LEASED}), ends)"
USE = (
    f"UPDATE session SET accessed = :now, uses = uses + 1, expires = min(max(:now + idle, {_LEASED}), ends) "
    "WHERE token = :token AND expires > :now AND ends > :now AND (:peer IS NULL OR peer = :peer) "
    f"RETURNING {COLUMNS}"
)
# Those that go first come first.
_OTHERS = (
    f"SELECT number, uses, {_LEASED} FROM session "
    "WHERE user = ? AND number != ? AND expires > ? ORDER BY uses > 0, accessed, number"
)


def connect(path: str) -> sqlite3.Connection:
    """Open or make the file.

    Raises:
        OSError, sqlite3.Error: it cannot be opened, or is no database of sessions.
    """
    # Made first with the rights that it is to have; SQLite would ask the umask.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, 1, SCHEMA):
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


def file_of(path: str) -> tuple[int, int]:
    """Which file is there: device and inode; zeros when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0  # no file's
    return found.st_dev, found.st_ino


def in_transaction(db: sqlite3.Connection, job: Callable[[sqlite3.Connection], T], writes: bool) -> T:
    """Do a job that reads, or one that writes as well: whole or not at all, and nobody else in between."""
    # Also for reading: what several statements see belongs together. IMMEDIATE, because a transaction that begins with
    # reading cannot wait for its turn to write.
    db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        result = job(db)
        db.execute("COMMIT")
        return result
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def update(
    db: sqlite3.Connection,
    number: int,
    sql: str,
    values: tuple[Any, ...],
    after: Callable[[sqlite3.Connection], None] | None,
) -> bool:
    """Run an UPDATE of one session, and what belongs to it; False when the session has ended."""
    if db.execute(sql, values).rowcount == 0:
        return False
    db.execute(f"{_RENEW} WHERE number = ?", (number,))
    if after is not None:
        after(db)
    return True


def victims(db: sqlite3.Connection, user: str, quota: Quota, own: int, now: float) -> list[int]:
    """Who has to go for one more session of a user, besides his own.

    Raises:
        Crowded: there is no room.
    """
    others = db.execute(_OTHERS, (user, own, now)).fetchall()
    excess = len(others) - quota.limit + 1
    free = [number for number, uses, leased in others if leased <= now and (quota.recycle or not uses)]
    if excess > len(free):
        raise Crowded(len(others))
    return free[: max(0, excess)]


def change_leases(db: sqlite3.Connection, sql: str, rows: list[tuple[str, float, int]]) -> None:
    """Change leases, each given by holder, time and session, and move the ends of the sessions."""
    db.executemany(sql, rows)
    db.executemany(f"{_RENEW} WHERE number = ?", [(number,) for _, _, number in rows])


def read(db: sqlite3.Connection, row: tuple[Any, ...] | None) -> Record | None:
    """The session of a row of COLUMNS."""
    if row is None:
        return None
    number, token, peer, created, accessed, uses, idle, ends, user, kind, mark = row
    stored = dict(db.execute("SELECT name, value FROM attribute WHERE session = ?", (number,)).fetchall())
    record = Record(token, peer, accessed, idle, ends, JsonValues(stored))
    record.number, record.created, record.uses = number, created, uses
    record.user = None if user is None else SessionUser(user, kind, mark)
    return record


def set_note(
    db: sqlite3.Connection, key: str, value: bytes | None, was: bytes | None, expires: float, now: float
) -> bool:
    """See `SessionStore.set_note`."""
    found = db.execute(NOTE, (key, now)).fetchone()
    if (None if found is None else bytes(found[0])) != was:
        return False
    if value is None:
        db.execute("DELETE FROM note WHERE key = ?", (key,))
    else:
        db.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (key, value, expires))
    return True


def write(db: sqlite3.Connection, number: int, written: dict[str, bytes], deleted: set[str]) -> None:
    """Write and delete attributes of a session, if it lives."""
    if db.execute("SELECT 1 FROM session WHERE number = ?", (number,)).fetchone() is None:
        return
    db.executemany("DELETE FROM attribute WHERE session = ? AND name = ?", [(number, name) for name in deleted])
    rows = [(number, name, value) for name, value in written.items()]
    db.executemany("INSERT OR REPLACE INTO attribute VALUES (?, ?, ?)", rows)


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
