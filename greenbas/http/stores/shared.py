"""`SharedStore`: what stores have in common that several processes use."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any

from greenbas.dispatcher import spawn
from greenbas.errors import StoreUnavailable
from greenbas.http.stores.base import SessionStore
from greenbas.http.stores.jsonvalues import JsonValues
from greenbas.http.stores.record import Record

__all__ = ["LEASE", "SharedStore"]

# A session that this process holds is kept for so long, again and again. When the process dies, it expires after that.
LEASE = 30.0  # seconds
RENEWALS = 10.0  # seconds between them: two may fail
CLEANING = 5.0  # seconds between looks for what has expired

_log = logging.getLogger("greenbas.sessions")


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
        self._held: Counter[int] = Counter()
        self._renewed = self._cleaned = time.monotonic()
        self._busy = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    def new_values(self) -> MutableMapping[str, Any]:
        """Attributes that know which of them have changed."""
        return JsonValues({})

    def save(self, record: Record) -> None:
        """Write what has changed, attribute by attribute."""
        values = record.values
        if isinstance(values, JsonValues):
            written, deleted = values.changes()
            if written or deleted:
                self.write(record.number, written, deleted)
                values.saved(written, deleted)

    def hold(self, record: Record) -> None:
        """Keep it by a lease, which is renewed."""
        self._held[record.number] += 1
        self.extend([record.number], self._clock() + LEASE)

    def let_go(self, record: Record) -> None:
        """Renew the lease no more."""
        self._held[record.number] -= 1
        if self._held[record.number] <= 0:
            del self._held[record.number]

    def sweep(self) -> None:
        """Renew leases and clean up, now and then, in a greenlet."""
        now = time.monotonic()
        renew = bool(self._held) and now - self._renewed >= RENEWALS
        clean = now - self._cleaned >= CLEANING
        if (renew or clean) and not self._busy:
            self._busy = True
            spawn(self._maintain, renew, clean, name=f"sessions in {self._name}")

    def _maintain(self, renew: bool, clean: bool) -> None:
        try:
            if renew:
                self._renewed = time.monotonic()
                self.extend(list(self._held), self._clock() + LEASE)
            if clean:
                self._cleaned = time.monotonic()
                self.clean()
        except StoreUnavailable as error:
            _log.warning("maintenance has to wait: %s", error)
        finally:
            self._busy = False

    def _lost(self, error: BaseException) -> StoreUnavailable:
        return StoreUnavailable(f"the session store {self._name} does not answer: {error or type(error).__name__}")

    @abstractmethod
    def write(self, number: int, written: dict[str, bytes], deleted: set[str]) -> None:
        """Write and delete these attributes, if the session lives."""

    @abstractmethod
    def extend(self, numbers: list[int], until: float) -> None:
        """Let these sessions live until then at least, but not beyond their end."""

    @abstractmethod
    def clean(self) -> None:
        """Remove what has expired, in small steps."""
