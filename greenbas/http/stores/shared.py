"""`SharedStore`: what stores have in common that several processes use."""

from __future__ import annotations

import logging
import secrets
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple

from greenbas.dispatcher import spawn
from greenbas.errors import StoreUnavailable
from greenbas.http.stores.base import SessionStore
from greenbas.http.stores.jsonvalues import JsonValues
from greenbas.http.stores.record import Record

__all__ = ["LEASE", "Identity", "SharedStore"]

# A session that this process holds is kept for so long, again and again. When the process dies, its lock ends after
# that: no sooner than three renewals, so that a short stop of the process or of the store costs no lock, and soon
# enough for a user whose only session was locked, and who waits at the login.
LEASE = 30.0  # seconds
RENEWALS = 10.0  # seconds between them: two may fail
LEASE_STEP = 200  # leases that are renewed in one go: others wait for its end
CLEANING = 5.0  # seconds between looks for what has expired

_log = logging.getLogger("greenbas.sessions")


class Identity(NamedTuple):
    """Which session is meant: a store that has lost its data gives numbers once more, but not at the same time.

    Attributes:
        number: the session's.
        created: unix seconds.
    """

    number: int
    created: float


class SharedStore(SessionStore):
    """A store outside of this process.

    Args:
        name: of the store, without a password, for messages.
        clock: unix seconds.
    """

    shared = True

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._clock = clock
        self._holder = secrets.token_hex(8)  # whose leases are this process's
        self._held: Counter[Identity] = Counter()
        self._let_go: set[Identity] = set()  # what the store does not know yet
        self._renewed = self._cleaned = time.monotonic()
        self._busy = False
        self._answers = True
        self._tried = time.monotonic()  # when it did not answer the last time

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    def close(self) -> None:
        """Give up the leases, if the store is there."""
        self._let_go.update(self._held)
        self._held.clear()
        try:
            self._release()
        except StoreUnavailable:
            pass  # they expire

    def new_values(self) -> MutableMapping[str, Any]:
        """Attributes that know which of them have changed."""
        return JsonValues({})

    def save(self, record: Record) -> None:
        """Write what has changed, attribute by attribute."""
        values = record.values
        if isinstance(values, JsonValues):
            with values.turn:
                written, deleted = values.changes()
                if written or deleted:
                    self.write(record, written, deleted)
                    values.saved(written, deleted)

    def hold(self, record: Record) -> None:
        """Keep it by a lease, which is renewed."""
        held = _identity(record)
        self._held[held] += 1
        try:
            self.extend([held], self._clock() + LEASE)
        except BaseException:
            self.let_go(record)  # nobody else will: the caller has no lock
            raise

    def let_go(self, record: Record) -> None:
        """Renew the lease no more; the store learns of it before the next login, or the next sweep."""
        held = _identity(record)
        self._held[held] -= 1
        if self._held[held] <= 0:
            del self._held[held]
            self._let_go.add(held)

    def sweep(self) -> None:
        """Renew and give up leases and clean up, now and then, in a greenlet."""
        now = time.monotonic()
        renew = bool(self._held) and now - self._renewed >= RENEWALS
        clean = now - self._cleaned >= CLEANING
        if (renew or clean or self._let_go) and not self._busy:
            self._busy = True
            spawn(self._maintain, renew, clean, name=f"sessions in {self._name}")

    def _maintain(self, renew: bool, clean: bool) -> None:
        try:
            self._release()
            if renew:
                self._renewed = time.monotonic()
                for some in _steps(self._held):
                    self.extend(some, self._clock() + LEASE)
            if clean:
                self._cleaned = time.monotonic()
                self.clean()
        except StoreUnavailable as error:
            _log.warning("maintenance has to wait: %s", error)
        finally:
            self._busy = False

    def _release(self) -> None:
        let_go, self._let_go = self._let_go, set()
        before = self._clock() + LEASE
        for some in _steps(held for held in let_go if held not in self._held):
            # Only leases that are not younger than this: somebody may take one again before the store has read it.
            self.release(some, before)

    def _lost(self, error: BaseException) -> StoreUnavailable:
        return StoreUnavailable(f"the session store {self._name} does not answer: {error or type(error).__name__}")

    def _note_loss(self, error: BaseException) -> None:
        if self._answers:
            _log.error("lost the session store %s: %s; requests that need it get 503", self._name, error)
        self._answers = False
        self._tried = time.monotonic()

    def _note_answer(self, asked: float) -> None:
        # Answers to what was asked before the last try say nothing about now.
        if not self._answers and asked >= self._tried:
            self._answers = True
            _log.warning("the session store %s is back", self._name)

    @abstractmethod
    def write(self, record: Record, written: dict[str, bytes], deleted: set[str]) -> None:
        """Write and delete these attributes, if the session lives."""

    @abstractmethod
    def extend(self, held: Iterable[Identity], until: float) -> None:
        """Let this process have a lease of these sessions until then; they live as long, but not beyond their end."""

    @abstractmethod
    def release(self, held: Iterable[Identity], before: float) -> None:
        """End those leases of this process that would end then or earlier."""

    @abstractmethod
    def clean(self) -> None:
        """Remove what has expired, in small steps."""


def _steps(held: Iterable[Identity]) -> Iterator[list[Identity]]:
    rest = list(held)
    for start in range(0, len(rest), LEASE_STEP):
        yield rest[start : start + LEASE_STEP]


def _identity(record: Record) -> Identity:
    return Identity(record.number, record.created)
