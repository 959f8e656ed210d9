"""`RedisStore`: sessions in Redis, for several processes and machines."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from greenbas.dispatcher import is_patched
from greenbas.dispatcher.native import Thread
from greenbas.errors import SettingError, StoreUnavailable
from greenbas.http.stores import redisscripts as scripts
from greenbas.http.stores.jsonvalues import JsonValues
from greenbas.http.stores.record import Record, SessionUser
from greenbas.http.stores.shared import SharedStore
from greenbas.http.stores.url import StoreUrl

__all__ = ["RedisStore"]

# Redis answers within a millisecond, or not at all. Requests wait for it, so both are short.
CONNECT_TIMEOUT = 2.0  # seconds
COMMAND_TIMEOUT = 2.0  # seconds
CONNECTIONS = 32  # one serves some ten thousand commands a second; who finds none free waits as long as for a command
# After a time-out nobody tries for so long, or a thousand requests would wait for what is known already.
PAUSE = 1.0  # seconds
THREADS = 8  # where nothing is monkey-patched, redis-py needs threads to wait in
PREFIX = "greenbas:"

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
        self._redis, self._errors, self._complaint = _client(url)
        self._scripts: dict[str, Any] = {}
        self._thread = None if is_patched() else Thread(THREADS, name="sessions")
        self._answers = True
        self._tried = -math.inf

    def open(self) -> None:
        """Look whether it is there, for the log: when it comes later, that is fine."""
        try:
            self._run(scripts.NUMBERS, "sessions")
        except StoreUnavailable:
            pass  # the log has it

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        if self._thread is not None:
            self._thread.close()

    def add(self, record: Record) -> None:
        """Make the hash."""
        fields = {
            "peer": record.peer,
            "created": repr(record.created),
            "accessed": repr(record.accessed),
            "uses": 0,
            "ends": repr(record.ends),
        }
        record.number = int(self._run(scripts.ADD, record.token, repr(record.idle), *_flat(fields)))

    def find(self, token: str, peer: str | None) -> Record | None:
        """Read it, and write that it was used."""
        return _read(self._run(scripts.FIND, token, peer or ""))

    def get(self, number: int) -> Record | None:
        """Read it."""
        return _read(self._run(scripts.GET, number))

    def touch(self, record: Record) -> bool:
        """Move its end."""
        record.accessed = self._clock()
        return self._update(record, record.expires, accessed=repr(record.accessed))

    def set_idle(self, record: Record, seconds: float) -> bool:
        """Change its limit, which counts from its last use."""
        record.idle = seconds
        return self._update(record, record.expires, idle=repr(seconds))

    def rename(self, record: Record, token: str) -> bool:
        """Exchange its public id."""
        renamed = self._update(record, None, token=token)
        record.token = token
        return renamed

    def log_in(self, record: Record, token: str, user: SessionUser, ends: float, idle: float) -> bool:
        """One script."""
        now = self._clock()
        limits = {"ends": repr(ends), "idle": repr(idle), "accessed": repr(now)}
        names = {"user": user.name, "type": user.type, "mark": user.mark}
        done = self._update(record, min(now + idle, ends), token=token, **names, **limits)
        record.token, record.user, record.ends, record.idle, record.accessed = token, user, ends, idle, now
        return done

    def write(self, number: int, written: dict[str, bytes], deleted: set[str]) -> None:
        """One script; a session that has ended meanwhile is not made again."""
        fields = {f"@{name}": value for name, value in written.items()}
        self._run(scripts.WRITE, number, len(fields), *_flat(fields), *(f"@{name}" for name in deleted))

    def remove(self, record: Record) -> bool:
        """Delete its keys."""
        record.end()
        return bool(self._run(scripts.REMOVE, record.number))

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

    def extend(self, numbers: list[int], until: float) -> None:
        """Move their ends."""
        self._run(scripts.EXTEND, repr(until), *numbers)

    def clean(self) -> None:
        """Nothing: Redis does it by itself."""

    def _update(self, record: Record, expires: float | None, **fields: Any) -> bool:
        when = "" if expires is None else repr(expires)
        if not self._run(scripts.UPDATE, record.number, when, *_flat(fields)):
            record.end()
        return record.alive

    def _run(self, script: str, *values: Any) -> Any:
        if not self._answers and time.monotonic() - self._tried < PAUSE:
            raise self._lost(TimeoutError("it has just been tried"))
        call = self._scripts.get(script)
        if call is None:
            call = self._scripts[script] = self._redis.register_script(script)
        arguments = [PREFIX, repr(self._clock()), *values]
        try:
            answer = call(args=arguments) if self._thread is None else self._thread.offload(call, args=arguments)
        except self._errors as error:
            if not isinstance(error, self._complaint):
                self._note_loss(error)
            raise self._lost(error) from error
        if not self._answers:
            self._answers = True
            _log.warning("the session store %s is back", self._name)
        return answer

    def _note_loss(self, error: BaseException) -> None:
        if self._answers:
            _log.error("lost the session store %s: %s; requests that need it get 503", self._name, error)
        self._answers = False
        self._tried = time.monotonic()


def _client(url: StoreUrl) -> tuple[Any, tuple[type[Exception], ...], type[Exception]]:
    # A client, what it raises when Redis cannot be used, and which of these says that it is there and does not want to.
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise SettingError(
            f"session_store: {url.shown} needs the package redis, which is not installed: pip install 'greenbas[redis]'"
        ) from error
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=COMMAND_TIMEOUT,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=COMMAND_TIMEOUT,
            # Once more at once, for a connection that Redis has closed while it was idle.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except ValueError as error:
        raise SettingError(f"session_store: {url.shown}: {error}") from error
    return redis.Redis(connection_pool=pool), (redis.RedisError, OSError), redis.ResponseError


def _flat(fields: dict[str, Any]) -> list[Any]:
    return [part for item in fields.items() for part in item]


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
