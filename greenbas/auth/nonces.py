"""`Nonces`: the nonces of digest authentication: ours alone, for a while, and each count once (RFC 7616 5.4, 5.5)."""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from greenbas.auth.user import User

__all__ = ["Nonce", "NonceLogin", "Nonces"]

# A client that goes on for longer gets another one with a response that is good, so nobody is asked again.
LIFETIME = 300.0  # seconds
RENEW_AFTER = 150.0  # seconds
# Requests of one client that are under way at once may overtake each other by so many.
WINDOW = 128
_WINDOW_BITS = (1 << WINDOW) - 1
LIMIT = 20_000  # nonces that have been used; some 5 MB
_STAMP = 8  # bytes
_RANDOM = 12
_SEAL = 16
_LENGTH = 4 * (_STAMP + _RANDOM + _SEAL) // 3  # of the text


class Nonce:
    """One that has been used rightly.

    Attributes:
        issued: in seconds of the clock.
        name: of the user who has used it.
        login: what the first request has come to, for the following ones; None while there is nothing.
    """

    __slots__ = ("_highest", "_seen", "issued", "login", "name")

    def __init__(self, issued: float, name: str) -> None:
        self.issued = issued
        self.name = name
        self.login: NonceLogin | None = None
        self._highest = 0
        self._seen = 0  # a bit for each of the last counts; the lowest is the highest count

    def count(self, number: int) -> bool:
        """Note that a count was used; False when it was before, or is so old that nobody knows."""
        if number == self._highest + 1:  # as nearly always
            self._seen = (self._seen << 1 | 1) & _WINDOW_BITS
            self._highest = number
            return True
        if number > self._highest:
            self._seen = (self._seen << min(number - self._highest, WINDOW) | 1) & _WINDOW_BITS
            self._highest = number
            return True
        bit = 1 << (self._highest - number) if self._highest - number < WINDOW else 0
        if number < 1 or not bit or self._seen & bit:
            return False
        self._seen |= bit
        return True


class NonceLogin(NamedTuple):
    """A login by digest, for clients that send no cookie.

    Attributes:
        session: the number of its session; it stays.
        token: the public id that the session had then.
        user: as the database had it.
        algorithm: of the digest.
        secret: what the digests are made with.
    """

    session: int
    token: str
    user: User
    algorithm: str
    secret: str


class Nonces:
    """Makes nonces and knows which of them may still be used, and for which counts.

    A nonce carries its time and a seal, so that only those are kept with which somebody has shown that he knows a
    password. They count in this process alone: elsewhere they are stale, and the client gets another one.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: OrderedDict[str, Nonce] = OrderedDict()  # in the order of their first use
        self._forgotten = float("-inf")  # what was issued until then, and is not known, may have been used

    def issue(self) -> str:
        """A new nonce."""
        head = int(self._clock() * 1000).to_bytes(_STAMP, "big") + secrets.token_bytes(_RANDOM)
        return urlsafe_b64encode(head + self._seal(head)).decode()

    def use(self, nonce: str, count: str, name: str) -> Nonce | None:
        """Take a nonce and count of somebody who has proved with it who he is.

        Args:
            nonce: as the client sent it.
            count: eight hexadecimal digits.
            name: of the user.

        Returns:
            None when it is stale: not ours, too old, used by somebody else, or the count is not new.
        """
        known = self._used.get(nonce)
        if known is None:
            issued = self._issued(nonce)
            if issued is None or issued <= self._forgotten:
                return None
            known = Nonce(issued, name)
        if known.name != name or not self.use_again(known, count):
            return None
        if nonce not in self._used:
            self._keep(nonce, known)
        return known

    def find(self, nonce: str) -> Nonce | None:
        """One that has been used rightly before."""
        return self._used.get(nonce)

    def use_again(self, nonce: Nonce, count: str) -> bool:
        """Take a count, eight hexadecimal digits, of a nonce; False when the nonce is too old, or the count not new."""
        return self._clock() - nonce.issued <= LIFETIME and nonce.count(int(count, 16))

    def next_nonce(self, nonce: Nonce) -> str | None:
        """The one to go on with, once this one gets old."""
        return self.issue() if self._clock() - nonce.issued > RENEW_AFTER else None

    def _keep(self, nonce: str, known: Nonce) -> None:
        self._used[nonce] = known
        oldest = next(iter(self._used.values()))
        while len(self._used) > LIMIT or self._clock() - oldest.issued > 2 * LIFETIME:
            _, oldest = self._used.popitem(last=False)
            self._forgotten = max(self._forgotten, oldest.issued)
            oldest = next(iter(self._used.values()))

    def _issued(self, nonce: str) -> float | None:
        # When, if it is ours.
        if len(nonce) != _LENGTH:
            return None
        try:
            data = urlsafe_b64decode(nonce)
        except (Base64Error, ValueError):
            return None
        head, seal = data[:-_SEAL], data[-_SEAL:]
        # One nonce has one text only.
        if not hmac.compare_digest(seal, self._seal(head)) or urlsafe_b64encode(data).decode() != nonce:
            return None
        return int.from_bytes(head[:_STAMP], "big") / 1000

    def _seal(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, sha256)[:_SEAL]
