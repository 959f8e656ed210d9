"""`PasswordCheck`: compares passwords, the slow ones in native threads of their own."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from greenbas.auth.password import StoredPassword
from greenbas.auth.user import User, UserDb
from greenbas.dispatcher import FairPool
from greenbas.http import Request, group_of

__all__ = ["PasswordCheck"]

# Each needs 32 MiB while it runs, and a fifth of a second. An address has one at a time, so a thousand attempts a
# second from there delay others by that fifth at most.
THREADS = 2
WAITING = 4  # of one address; more of them are told to come again
TOTAL = 200
REMEMBERED_SECONDS = 300.0  # programs send name and password with each request
REMEMBERED = 2000

_pool = FairPool(THREADS, waiting=WAITING, total=TOTAL, name="passwords")


class PasswordCheck:
    """Compares passwords with what a user database has stored.

    Args:
        users: the database.
        realm: that HA1 hashes were made for.
        clock: monotonic seconds.
    """

    def __init__(self, users: UserDb, realm: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._users = users
        self._realm = realm
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, float] = OrderedDict()  # passwords that were right, until when

    def matches(self, request: Request, user: User | None, name: str, password: str, *, remember: bool = False) -> bool:
        """Whether this is the password of a user.

        Args:
            request: with which it came.
            user: with this name, if there is one.
            name: as the client says.
            password: likewise.
            remember: a password that was right is right again for five minutes, at no cost.

        Raises:
            Overloaded: too many passwords of this address are being compared.
        """
        if user is not None and user.accepted:
            return True
        stored = self._users.nobody() if user is None or user.password is None else user.password
        if not stored.is_slow:
            return stored.matches(name, self._realm, password) and user is not None
        mark = self._mark(stored, name, password) if remember else b""
        if remember and self._is_remembered(mark):
            return user is not None
        asker = group_of(request.peername()[0])
        right = _pool.offload(asker, stored.matches, name, self._realm, password) and user is not None
        if right and remember:
            self._remember(mark)
        return right

    def _mark(self, stored: StoredPassword, name: str, password: str) -> bytes:
        # Of what is stored, too: a password that is changed is not remembered.
        text = f"{len(name)}:{name}{len(password)}:{password}{stored.identity}"
        return blake2b(text.encode(), key=self._key, digest_size=32).digest()

    def _is_remembered(self, mark: bytes) -> bool:
        return self._remembered.get(mark, 0.0) > self._clock()

    def _remember(self, mark: bytes) -> None:
        self._remembered[mark] = self._clock() + REMEMBERED_SECONDS
        self._remembered.move_to_end(mark)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
