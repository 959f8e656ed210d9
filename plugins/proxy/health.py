"""`Health`: whether one server may be given a request, from how the requests before it went and from active checks.

The states and what leads from one to the next stand in healthstatus.py. A request that ends in another state than it
began in (its epoch is over) is counted and moves nothing: it says how the server was, not how it is. An answer that is
cut short in the middle is a failure. Nothing here reads a clock; `now` is in seconds of any clock that never goes back.
"""

from __future__ import annotations

import logging
from collections import deque

from greenbas.errors import SettingError
from greenbas_plugins.proxy.healthsettings import HealthSettings
from greenbas_plugins.proxy.healthstatus import HealthStatus, State, percentile

__all__ = ["Health"]

LATENCIES = 256  # the last so many are kept for the percentiles of the status page
MAX_WHY = 200  # characters of the last error; it may quote what the server sent
FOREVER = float("inf")

_DEFAULTS = HealthSettings()
_log = logging.getLogger("greenbas.proxy")


class Health:
    """What is known about one server.

    Args:
        name: of the server, the same in every process: requests are spread by it.
        weight: its share of the requests, from 1.
        limit: requests it is given at a time; 0 for no limit.
        settings: when it counts as down.

    Attributes:
        state: see the table above.
        epoch: which stay in a state this is.
        in_flight: requests it has not finished.
        served: requests it has answered.
        failures: requests it has failed.
        last_error: why it failed last, or what the last check said.

    Raises:
        SettingError: weight or limit is out of its range.
    """

    __slots__ = (
        "_due",
        "_failed_at",
        "_latencies",
        "_misses",
        "_passes",
        "_settings",
        "_wait",
        "epoch",
        "failures",
        "in_flight",
        "last_error",
        "limit",
        "name",
        "served",
        "state",
        "weight",
    )

    def __init__(self, name: str, *, weight: int = 1, limit: int = 0, settings: HealthSettings = _DEFAULTS) -> None:
        if type(weight) is not int or not 1 <= weight <= 1000:
            raise SettingError(f"weight of {name}: {weight!r:.80} is not a whole number from 1 to 1000")
        if type(limit) is not int or limit < 0:
            raise SettingError(f"limit of {name}: {limit!r:.80} is not a number of requests, or 0 for none")
        self.name = name
        self.weight = weight
        self.limit = limit
        self.state = State.UP
        self.epoch = self.in_flight = self.served = self.failures = 0
        self.last_error = ""
        self._settings = settings
        self._wait = settings.down_time  # seconds it is down for the next time
        self._due = 0.0  # when the trial may begin, in DOWN
        # When it failed, and how many requests it had answered until then.
        self._failed_at: deque[tuple[float, int]] = deque(maxlen=settings.fails)
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._passes = self._misses = 0  # active checks in a row

    def __repr__(self) -> str:
        return f"<Health {self.name} {self.state} {self.in_flight} in flight, {self.failures} failed>"

    @property
    def full(self) -> bool:
        """Whether it has as many requests as it may have at a time."""
        return 0 < self.limit <= self.in_flight

    def ready(self, now: float) -> bool:
        """Whether it may be given a request now: it is up or due for its trial, and not full."""
        if self.state is State.UP:
            return not 0 < self.limit <= self.in_flight
        return self.state is State.DOWN and now >= self._due and not self.full

    def due_in(self, now: float) -> float:
        """Seconds until it may be tried: 0 when it is up, due or on trial; without end when checks took it out."""
        if self.state is State.SICK:
            return FOREVER
        return max(0.0, self._due - now) if self.state is State.DOWN else 0.0

    # A request, from beginning to end.

    def begin(self, now: float) -> int:
        """Count a request that is given to it.

        In DOWN that makes it the trial, even before its time: see `Balancer.choose`.

        Args:
            now: the time in seconds.

        Returns:
            The epoch, which the end of the request has to name.
        """
        if self.state is State.DOWN:
            self._enter(State.TRIAL)
        self.in_flight += 1
        return self.epoch

    def heard(self, now: float, epoch: int, latency: float) -> int:
        """The server has answered; the request goes on until `finished`.

        Args:
            now: the time in seconds.
            epoch: from `begin`.
            latency: seconds until the first byte of the answer.

        Returns:
            The epoch for what follows: a trial ends here.
        """
        self.served += 1
        self._latencies.append(latency)
        if epoch == self.epoch and self.state is State.TRIAL:
            self._recover()
            return self.epoch
        return epoch

    def cut_short(self, now: float, epoch: int, why: str) -> None:
        """The server has answered, and not kept it up: it broke off, fell silent, or sent nonsense. `finished` follows.

        Args:
            now: the time in seconds.
            epoch: from `heard`.
            why: one line for logs and the status page.
        """
        self.served -= 1
        self._count_failure(now, epoch, why)

    def finished(self) -> None:
        """A request is over, and what is to be said about it has been said."""
        self.in_flight -= 1

    def failed(self, now: float, epoch: int, why: str) -> None:
        """The request is over, and the server is to blame: not reached, too late, cut short, or nonsense.

        Args:
            now: the time in seconds.
            epoch: from `begin`.
            why: one line for logs and the status page.
        """
        self.in_flight -= 1
        self._count_failure(now, epoch, why)

    def _count_failure(self, now: float, epoch: int, why: str) -> None:
        self.failures += 1
        self.last_error = why[:MAX_WHY]
        if epoch != self.epoch:
            return
        if self.state is State.TRIAL:
            self._wait = min(2 * self._wait, self._settings.max_down_time)
            self._go_down(now)
        elif self.state is State.UP:
            self._failed_at.append((now, self.served))
            if self._fails_too_often(now):
                self._go_down(now)

    def abandoned(self, now: float, epoch: int) -> None:
        """The request is over without a word about the server: its client has gone."""
        self.in_flight -= 1
        if epoch == self.epoch and self.state is State.TRIAL:
            self._enter(State.DOWN)
            self._due = now

    def _fails_too_often(self, now: float) -> bool:
        fails = self._settings.fails
        if len(self._failed_at) < fails:
            return False
        since, served = self._failed_at[0]
        # A busy server that fails once in a thousand requests is better than none.
        return now - since <= self._settings.window and self.served - served <= fails

    # Active checks.

    def check_passed(self, now: float) -> None:
        """An active check found the server well."""
        self._misses = 0
        self._passes += 1
        if self._passes >= self._settings.rise and self.state is not State.UP:
            self._recover()

    def check_failed(self, now: float, why: str) -> None:
        """An active check found the server ill.

        Args:
            now: the time in seconds.
            why: one line for logs and the status page.
        """
        self._passes = 0
        self._misses += 1
        self.last_error = why[:MAX_WHY]
        if self._misses >= self._settings.fall and self.state is not State.SICK:
            self._enter(State.SICK)

    # The states.

    def _enter(self, state: State) -> None:
        before, self.state = self.state, state
        self.epoch += 1
        if state is State.UP:
            _log.warning("%s is up again", self.name)
        elif before is State.UP:
            _log.warning("%s is left alone for now: %s", self.name, self.last_error)

    def _recover(self) -> None:
        self._enter(State.UP)
        self._wait = self._settings.down_time
        self._failed_at.clear()

    def _go_down(self, now: float) -> None:
        self._enter(State.DOWN)
        self._due = now + self._wait

    def status(self, now: float) -> HealthStatus:
        """The server as the status page shows it."""
        ordered = sorted(self._latencies)
        due = self.due_in(now)
        return HealthStatus(
            name=self.name,
            state=self.state,
            weight=self.weight,
            limit=self.limit,
            in_flight=self.in_flight,
            served=self.served,
            failures=self.failures,
            p50=percentile(ordered, 50),
            p95=percentile(ordered, 95),
            last_error=self.last_error,
            due_in=due if due < FOREVER else None,
        )
