"""`RedisStore`: sessions in Redis, for several processes and machines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from gevent.lock import BoundedSemaphore

from greenbas.dispatcher import is_patched
from greenbas.dispatcher.native import Thread
from greenbas.errors import StoreUnavailable
from greenbas.http.stores import redisscripts as scripts
from greenbas.http.stores.jsonvalues import JsonValues
from greenbas.http.stores.quota import Crowded, Quota
from greenbas.http.stores.record import Record, SessionUser
from greenbas.http.stores.redisclient import redis_client
from greenbas.http.stores.shared import Identity, SharedStore
from greenbas.http.stores.url import StoreUrl

__all__ = ["RedisStore"]

# Redis answers within a millisecond, or not at all. Requests wait for it, so both are short.
CONNECT_TIMEOUT = 2.0  # seconds
COMMAND_TIMEOUT = 2.0  # seconds
CONNECTIONS = 32  # one serves some ten thousand commands a second; who finds none free waits as long as for a command
# After a time-out nobody tries for so long, and then one does, or a thousand requests would wait for what is known.
PAUSE = 1.0  # seconds
THREADS = 8  # where nothing is monkey-patched, redis-py needs threads to wait in
PREFIX = "greenbas:"
_NO_QUOTA = ("", "", "")

_log = logging.getLogger("greenbas.sessions")


class RedisStore(SharedStore):
    """Sessions in a Redis database, below keys that begin with "greenbas:".

    Args:
        url: the address.
        clock: unix seconds.

    Raises:
        SettingError: the package redis is not installed, or does not take the address.
    """

    def __init__(self, url: StoreUrl, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(url.shown, clock=clock)
        self._client = redis_client(url, CONNECTIONS, CONNECT_TIMEOUT, COMMAND_TIMEOUT)
        self._turns = BoundedSemaphore(CONNECTIONS)
        self._scripts: dict[str, Any] = {}
        self._thread = None if is_patched() else Thread(THREADS, name="sessions")
        self._newest = 0  # the highest number that it has given, as far as we know

    def open(self) -> None:
        """Look whether it is there, for the log: when it comes later, that is fine."""
        try:
            self._run(scripts.NUMBERS, "sessions")
        except StoreUnavailable:
            pass  # the log has it

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._client.redis.close()
        if self._thread is not None:
            self._thread.close()

    def add(self, record: Record) -> None:
        """Make the hash."""
        fields = {
            "peer": record.peer,
            "created": repr(record.created),
            "accessed": repr(record.accessed),
            "idle": repr(record.idle),
            "uses": 0,
            "ends": repr(record.ends),
        }
        newest = self._newest
        record.number = int(self._run(scripts.ADD, record.token, *_flat(fields)))
        self._look_for_loss(record.number - 1, newest)
        self._newest = max(self._newest, record.number)

    def find(self, token: str, peer: str | None) -> Record | None:
        """Read it, and write that it was used."""
        newest = self._newest
        answer = self._run(scripts.FIND, token, peer or "")
        if isinstance(answer, int):
            self._look_for_loss(answer, newest)
            return None
        return self._read(answer)

    def get(self, number: int) -> Record | None:
        """Read it."""
        return self._read(self._run(scripts.GET, number))

    def touch(self, record: Record) -> bool:
        """Move its end."""
        record.accessed = self._clock()
        return self._update(record, accessed=repr(record.accessed))

    def set_idle(self, record: Record, seconds: float) -> bool:
        """Change its limit, which counts from its last use."""
        record.idle = seconds
        return self._update(record, idle=repr(seconds))

    def rename(self, record: Record, token: str) -> bool:
        """Exchange its public id."""
        renamed = self._update(record, token=token)
        record.token = token
        return renamed

    def check_room(self, user: str, quota: Quota) -> None:
        """One script."""
        self._release()
        count = self._run(scripts.ROOM, user, quota.limit, int(quota.recycle))
        if count:
            raise Crowded(count)

    def log_in(
        self, record: Record, token: str, user: SessionUser, ends: float, idle: float, quota: Quota | None = None
    ) -> bool:
        """One script."""
        self._release()
        now = self._clock()
        room = _NO_QUOTA if quota is None else (user.name, quota.limit, int(quota.recycle))
        limits = {"ends": repr(ends), "idle": repr(idle), "accessed": repr(now)}
        done = self._update(record, room, token=token, user=user.name, type=user.type, mark=user.mark, **limits)
        record.token, record.user, record.ends, record.idle, record.accessed = token, user, ends, idle, now
        return done

    def write(self, record: Record, written: dict[str, bytes], deleted: set[str]) -> None:
        """One script; a session that has ended meanwhile is not made again."""
        fields = {f"@{name}": value for name, value in written.items()}
        gone = [f"@{name}" for name in deleted]
        self._run(scripts.WRITE, *_meant(record), len(fields), *_flat(fields), *gone)

    def remove(self, record: Record) -> bool:
        """Delete its keys."""
        record.end()
        return bool(self._run(scripts.REMOVE, *_meant(record)))

    def numbers(self, user: str | None) -> list[int]:
        """From the sets."""
        return sorted(int(number) for number in self._run(scripts.NUMBERS, _set_of(user)))

    def users(self) -> list[str]:
        """From the sets."""
        return sorted(name.decode() for name in self._run(scripts.USERS))

    def note(self, key: str) -> bytes | None:
        """One script."""
        found: bytes | None = self._run(scripts.NOTE, key)
        return found

    def set_note(self, key: str, value: bytes | None, was: bytes | None, expires: float) -> bool:
        """One script."""
        return bool(self._run(scripts.SET_NOTE, key, was or b"", value or b"", repr(expires)))

    def notes(self, prefix: str) -> list[tuple[str, bytes]]:
        """One script."""
        flat = self._run(scripts.NOTES, prefix)
        return [(key.decode(), value) for key, value in zip(flat[::2], flat[1::2], strict=True)]

    def extend(self, held: Iterable[Identity], until: float) -> None:
        """One script."""
        self._run(scripts.EXTEND, self._holder, repr(until), *_all_meant(held))

    def release(self, held: Iterable[Identity], before: float) -> None:
        """One script."""
        self._run(scripts.RELEASE, self._holder, repr(before), *_all_meant(held))

    def clean(self) -> None:
        """Nothing: Redis does it by itself."""

    def _update(self, record: Record, room: tuple[Any, ...] = _NO_QUOTA, **fields: Any) -> bool:
        answer = self._run(scripts.UPDATE, *_meant(record), *room, *_flat(fields))
        if answer < 0:
            raise Crowded(-answer)
        if not answer:
            record.end()
        return record.alive

    def _read(self, answer: list[Any] | None) -> Record | None:
        record = _read(answer)
        if record is not None:
            self._newest = max(self._newest, record.number)
        return record

    def _look_for_loss(self, given: int, newest: int) -> None:
        # When somebody is not known any more, the log says whose fault that is; only the first who finds out writes.
        if given < min(newest, self._newest):
            self._newest = given
            _log.error(
                "the session store %s has lost its data: it has given %d numbers, and was at %d already; those who "
                "were logged in have to log in again",
                self._name,
                given,
                newest,
            )

    def _run(self, script: str, *values: Any) -> Any:
        # The pool has a connection for each turn: who finds none free has not found that Redis is gone.
        if not self._turns.acquire(timeout=COMMAND_TIMEOUT):
            raise self._lost(TimeoutError(f"{CONNECTIONS} requests are at it, and others wait"))
        try:
            began = time.monotonic()
            if not self._answers:
                if began - self._tried < PAUSE:
                    raise self._lost(TimeoutError("it has just been tried"))
                self._tried = began  # by this one; nobody else has to wait for what it finds
            answer = self._call(script, values)
            self._note_answer(began)
            return answer
        finally:
            self._turns.release()

    def _call(self, script: str, values: tuple[Any, ...]) -> Any:
        call = self._scripts.get(script)
        if call is None:
            call = self._scripts[script] = self._client.redis.register_script(script)
        arguments = [PREFIX, repr(self._clock()), *values]
        try:
            return call(args=arguments) if self._thread is None else self._thread.offload(call, args=arguments)
        except self._client.errors as error:
            if not isinstance(error, self._client.complaint):
                self._note_loss(error)
            elif isinstance(error, self._client.demoted):
                # Its connections lead to a server that only follows another one now; new ones may find that.
                self._client.redis.connection_pool.disconnect(inuse_connections=False)
            raise self._lost(error) from error


def _flat(fields: dict[str, Any]) -> list[Any]:
    return [part for item in fields.items() for part in item]


def _meant(record: Record) -> tuple[Any, ...]:
    return record.number, repr(record.created)


def _all_meant(held: Iterable[Identity]) -> list[Any]:
    return [part for number, created in held for part in (number, repr(created))]


def _set_of(user: str | None) -> str:
    return "sessions" if user is None else f"user:{user}"


def _read(answer: list[Any] | None) -> Record | None:
    if answer is None:
        return None
    number, flat = answer
    fields: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
    stored = {name[1:].decode(): value for name, value in fields.items() if name.startswith(b"@")}
    known = {name.decode(): value.decode() for name, value in fields.items() if not name.startswith(b"@")}
    idle, ends = float(known["idle"]), float(known["ends"])
    record = Record(known["token"], known["peer"], float(known["accessed"]), idle, ends, JsonValues(stored))
    record.number, record.uses, record.created = int(number), int(known["uses"]), float(known["created"])
    if "user" in known:
        record.user = SessionUser(known["user"], known["type"], known["mark"])
    return record
