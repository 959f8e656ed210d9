"""`Balancer`: which of several servers gets a request."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence

from greenbas.errors import SettingError
from greenbas_plugins.proxy.health import Health
from greenbas_plugins.proxy.healthstatus import State

__all__ = ["POLICIES", "Balancer", "cookie_value"]

POLICIES = ("round_robin", "least_connections", "hash")

_DIGEST = 8  # bytes
_RANGE = float(1 << 8 * _DIGEST)


class Balancer:
    """Spreads requests over servers by their weights, and passes over those that are down or full.

    - ``round_robin``: in turn, each as often as its weight says and as evenly as that goes (the smooth weighted round
      robin of nginx).
    - ``least_connections``: to the one with the fewest requests in flight for its weight; among equals in turn.
    - ``hash``: one key, one server, as long as it is ready. When a server goes only its keys move, each to its own
      second choice, and they come back with it (weighted rendezvous hashing). Without a key in turn.

    When all are down because requests failed, they are tried before their time, one request at a time for each: so a
    backend that was restarted is found by the next request, and one that hangs holds up a single client. When active
    checks have taken all of them out, there is none.

    Args:
        servers: what is known about each of them; each with a name of its own.
        policy: one of `POLICIES`.

    Attributes:
        servers: the same, as a tuple.

    Raises:
        SettingError: there is no such policy, no server, or two of one name.
    """

    __slots__ = ("_credit", "_hashes", "_policy", "servers")

    def __init__(self, servers: Sequence[Health], policy: str = "round_robin") -> None:
        if policy not in POLICIES:
            raise SettingError(f"policy: {policy!r:.80} is none of {', '.join(POLICIES)}")
        names = [server.name for server in servers]
        if not names:
            raise SettingError("servers: there are none; name at least one backend")
        for name in names:
            if names.count(name) > 1:
                raise SettingError(f"servers: {name!r:.80} is listed twice; give it a weight instead")
        self.servers = tuple(servers)
        self._policy = policy
        self._credit = dict.fromkeys(names, 0)
        # A digest that has the server's name in it already; the key is added to a copy.
        self._hashes = {name: hashlib.blake2b(name.encode(), digest_size=_DIGEST) for name in names}

    def choose(self, now: float, key: bytes = b"", tried: Collection[Health] = ()) -> Health | None:
        """Choose the server of a request; it is for the caller to `begin` it there, at once.

        Args:
            now: the time in seconds, of the clock that the servers' health is told.
            key: what ``hash`` goes by: an address, a cookie; b"" for none.
            tried: servers where this request has failed.

        Returns:
            A server, or None; then see `why`.
        """
        ready = [server for server in self.servers if server.ready(now) and server not in tried]
        if not ready:
            return self._last_resort(now, tried)
        if len(ready) == 1 and len(self.servers) == 1:
            return ready[0]
        if self._policy == "hash" and key:
            return max(ready, key=lambda server: self._score(server, key))
        if self._policy == "least_connections":
            least = min(server.in_flight / server.weight for server in ready)
            ready = [server for server in ready if server.in_flight / server.weight == least]
        return self._next(ready)

    def why(self, now: float, tried: Collection[Health] = ()) -> str:
        """Say why there was no server.

        Args:
            now: the time in seconds.
            tried: as for `choose`.

        Returns:
            "tried": this request has failed wherever it could go. "full": a healthy server has as many requests as it
            may have, and will take this one later. "trial": a server is being tried, and its state is known soon.
            "down": there is no healthy server; see `retry_after`.
        """
        states = [server.state for server in self.servers if server not in tried]
        if not states:
            return "tried"
        if State.UP in states:
            return "full"
        return "trial" if State.TRIAL in states else "down"

    def retry_after(self, now: float) -> int:
        """Whole seconds after which asking again makes sense, for Retry-After (RFC 9110 10.2.3); at least 1."""
        soonest = min(server.due_in(now) for server in self.servers)
        # Active checks do not say when they will pass; they come every few seconds.
        return max(1, math.ceil(soonest)) if soonest < math.inf else 5

    def _next(self, ready: list[Health]) -> Health:
        # Each gains its weight, and the one that is chosen pays for all: over a round nobody gains or loses.
        credit = self._credit
        for server in ready:
            credit[server.name] += server.weight
        chosen = max(ready, key=lambda server: credit[server.name])
        credit[chosen.name] -= sum(server.weight for server in ready)
        return chosen

    def _score(self, server: Health, key: bytes) -> float:
        digest = self._hashes[server.name].copy()
        digest.update(key)
        # Evenly spread over (0, 1). The negative logarithm is an exponential variable; with its rate as the weight, a
        # server has the smallest of all as often as its weight says.
        share = (int.from_bytes(digest.digest()) + 0.5) / _RANGE
        return server.weight / -math.log(share) if share < 1 else math.inf

    def _last_resort(self, now: float, tried: Collection[Health]) -> Health | None:
        left = [server for server in self.servers if server not in tried]
        if any(server.state is State.UP for server in left):
            return None  # they are full, and will have room
        down = [server for server in left if server.state is State.DOWN and not server.full]
        return min(down, key=lambda server: server.due_in(now), default=None)


def cookie_value(header: bytes, name: bytes) -> bytes:
    """The raw value of one cookie, as a key for ``hash``.

    Args:
        header: the Cookie field; several joined with "; ".
        name: of the cookie.

    Returns:
        The value of the first cookie of that name, b"" when there is none.
    """
    if name not in header:
        return b""
    for part in header.split(b";"):
        key, equals, value = part.partition(b"=")
        if equals and key.strip(b" \t") == name:
            return value.strip(b" \t")
    return b""
