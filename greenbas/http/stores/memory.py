"""`MemoryStore`: sessions of one process, with any Python object as attribute."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

from gevent import get_hub

from greenbas.errors import StoreUnavailable
from greenbas.http.stores.base import SessionStore
from greenbas.http.stores.notes import MemoryNotes
from greenbas.http.stores.quota import Crowded, Quota
from greenbas.http.stores.record import Record, SessionUser

__all__ = ["MemoryStore"]

# Expired sessions removed in one go: half a millisecond, after which everybody else has a turn.
SWEEP_STEP = 200


class MemoryStore(SessionStore):
    """Sessions in this process.

    When there are too many, one goes for each new one: the oldest of those that were never used again, so that clients
    without cookies cannot push out anybody else, and only then the one that was not used for the longest time. What
    somebody holds stays.

    Args:
        limit: how many there may be.
        ended: called with the attributes of a session that has ended.
        clock: unix seconds.
    """

    def __init__(
        self, limit: int, ended: Callable[[MutableMapping[str, Any]], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._limit = limit
        self._ended = ended
        self._clock = clock
        self._notes = MemoryNotes(clock)
        self._numbers = itertools.count(1)
        self._by_token: dict[str, Record] = {}
        self._by_number: dict[int, Record] = {}
        self._by_user: dict[str, set[int]] = {}
        # Who may go when there are too many, the first first. Who is held is in neither.
        self._fresh: OrderedDict[int, None] = OrderedDict()
        self._used: OrderedDict[int, None] = OrderedDict()
        # Whom to look at in which second. It may be too early, as being used does not move anybody.
        self._due: dict[int, dict[int, None]] = {}
        self._swept = int(clock())  # the last second that was looked at
        self._rest: dict[int, None] = {}  # whom it is the turn of now

    def __len__(self) -> int:
        return len(self._by_number)

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self)} sessions>"

    def close(self) -> None:
        """End all sessions."""
        for record in list(self._by_number.values()):
            self.remove(record)

    def new_values(self) -> MutableMapping[str, Any]:
        """A dict."""
        return {}

    def add(self, record: Record) -> None:
        """Take in a session, for which another one may have to go.

        Raises:
            StoreUnavailable: there are too many, and all of them are held.
        """
        while len(self._by_number) >= self._limit:
            self._evict()
        record.number = next(self._numbers)
        self._by_token[record.token] = record
        self._by_number[record.number] = record
        self._fresh[record.number] = None
        self._schedule(record, record.expires)

    def find(self, token: str, peer: str | None) -> Record | None:
        """The session, if it has not expired; a removal that is due is not waited for."""
        record = self._by_token.get(token)
        if record is None:
            return None
        now = self._clock()
        if now >= record.ends or (now - record.accessed >= record.idle and not record.locks):
            self.remove(record)
            return None
        if peer is not None and peer != record.peer:
            return None
        record.accessed = now
        record.uses += 1
        if not record.locks:
            if record.uses == 1:
                self._promote(record)
            else:
                self._used.move_to_end(record.number)
        return record

    def get(self, number: int) -> Record | None:
        """The session itself."""
        record = self._by_number.get(number)
        if record is not None and self._is_over(record):
            self.remove(record)
            return None
        return record

    def touch(self, record: Record) -> bool:
        """Move its end."""
        record.accessed = self._clock()
        return record.alive

    def set_idle(self, record: Record, seconds: float) -> bool:
        """Change its limit; a shorter one counts from the next sweep."""
        record.idle = seconds
        if record.alive:
            self._schedule(record, record.expires)
        return record.alive

    def rename(self, record: Record, token: str) -> bool:
        """Exchange its public id."""
        if not record.alive:
            return False
        del self._by_token[record.token]
        record.token = token
        self._by_token[token] = record
        return True

    def check_room(self, user: str, quota: Quota) -> None:
        """From the index."""
        self._victims(user, quota, 0)

    def log_in(
        self, record: Record, token: str, user: SessionUser, ends: float, idle: float, quota: Quota | None = None
    ) -> bool:
        """Exchange its public id, and index it by its user; no other greenlet has a turn in between."""
        if not record.alive:
            return False
        for victim in [] if quota is None else self._victims(user.name, quota, record.number):
            self.remove(victim)
        self.rename(record, token)
        self._forget_user(record)
        record.user = user
        self._by_user.setdefault(user.name, set()).add(record.number)
        if not record.locks:
            self._promote(record)
        record.ends = ends
        record.accessed = self._clock()
        return self.set_idle(record, idle)

    def remove(self, record: Record) -> bool:
        """End it."""
        if not record.alive:
            return False
        del self._by_token[record.token], self._by_number[record.number]
        self._fresh.pop(record.number, None)
        self._used.pop(record.number, None)
        self._forget_user(record)
        self._unschedule(record)
        self._ended(record.end())
        return True

    def numbers(self, user: str | None) -> list[int]:
        """From the indices."""
        known = self._by_number if user is None else self._by_user.get(user, ())
        return sorted(number for number in known if not self._is_over(self._by_number[number]))

    def users(self) -> list[str]:
        """From the index."""
        return sorted(name for name in self._by_user if self.numbers(name))

    def hold(self, record: Record) -> None:
        """Take it out of the order in which sessions go."""
        record.locks += 1
        self._fresh.pop(record.number, None)
        self._used.pop(record.number, None)

    def let_go(self, record: Record) -> None:
        """Put it back, as the youngest."""
        record.locks -= 1
        if record.alive and not record.locks:
            (self._used if record.uses or record.user else self._fresh)[record.number] = None
            self._schedule(record, record.expires)

    def note(self, key: str) -> bytes | None:
        """From a dict."""
        return self._notes.get(key)

    def set_note(self, key: str, value: bytes | None, was: bytes | None, expires: float) -> bool:
        """In a dict."""
        return self._notes.set(key, value, was, expires)

    def notes(self, prefix: str) -> list[tuple[str, bytes]]:
        """From a dict."""
        return self._notes.all(prefix)

    def sweep(self) -> None:
        """Remove some that have expired, and come back for the rest."""
        self._notes.clean()
        now = int(self._clock())
        if not self._due and not self._rest:
            self._swept = now
        for _ in range(SWEEP_STEP):
            if self._rest:
                self._look_at(next(iter(self._rest)))
            elif self._swept < now:
                self._swept += 1
                self._rest = self._due.pop(self._swept, {})
            else:
                return
        get_hub().loop.run_callback(self.sweep)

    def _look_at(self, number: int) -> None:
        record = self._by_number[number]
        if self._is_over(record):
            self.remove(record)
        else:
            # Used since, or held: then once more when it would have expired now, and at its release.
            self._schedule(record, min(self._clock() + record.idle, record.ends) if record.locks else record.expires)

    def _is_over(self, record: Record) -> bool:
        now = self._clock()
        return now >= record.ends or (now >= record.expires and not record.locks)

    def _schedule(self, record: Record, when: float) -> None:
        self._unschedule(record)
        record.due = max(int(when), self._swept) + 1
        self._due.setdefault(record.due, {})[record.number] = None

    def _unschedule(self, record: Record) -> None:
        self._rest.pop(record.number, None)
        second = self._due.get(record.due)
        if second is not None:
            second.pop(record.number, None)
            if not second:
                del self._due[record.due]

    def _promote(self, record: Record) -> None:
        self._fresh.pop(record.number, None)
        self._used[record.number] = None
        self._used.move_to_end(record.number)

    def _victims(self, user: str, quota: Quota, own: int) -> list[Record]:
        others = [self._by_number[number] for number in self.numbers(user) if number != own]
        excess = len(others) - quota.limit + 1
        if excess <= 0:
            return []
        free = [record for record in others if not record.locks and (quota.recycle or not record.uses)]
        if len(free) < excess:
            raise Crowded(len(others))
        return sorted(free, key=lambda record: (record.uses > 0, record.accessed))[:excess]

    def _evict(self) -> None:
        for order in (self._fresh, self._used):
            if order:
                self.remove(self._by_number[next(iter(order))])
                return
        raise StoreUnavailable(
            f"there are {len(self)} sessions, and all are locked: raise session_limit, or release some of them"
        )

    def _forget_user(self, record: Record) -> None:
        if record.user is not None:
            mine = self._by_user[record.user.name]
            mine.discard(record.number)
            if not mine:
                del self._by_user[record.user.name]
