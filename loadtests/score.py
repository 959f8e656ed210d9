"""From single runs to medians, ratios and verdicts. Pure code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from works import Goal
from wrk import Measurement

SUBJECT = "greenbas"
CLIENT_BOUND = 0.95  # share of its core that wrk uses when it is the one that cannot go faster


@dataclass
class Cell:
    """One server at one work: its rounds, or why there are none."""

    work: str
    peer: str
    rounds: list[Measurement] = field(default_factory=list)
    absent: str = ""  # not built or not installed: no error
    broken: str = ""  # did not start, or answered wrongly: an error

    @property
    def rates(self) -> list[float]:
        """Requests a second, round by round."""
        return [one.rate for one in self.rounds]

    @property
    def rates_per_cpu(self) -> list[float]:
        """Requests a second of the server's CPU time, round by round."""
        return [one.rate_per_cpu for one in self.rounds]

    @property
    def errors(self) -> str:
        """Everything that went wrong, without repetition."""
        found = [self.broken, *(one.errors for one in self.rounds)]
        return "; ".join(dict.fromkeys(error for error in found if error))

    @property
    def client_bound(self) -> bool:
        """Whether wrk was the bottleneck: the server may be faster than this cell says."""
        return bool(self.rounds) and median(one.client_cpu for one in self.rounds) >= CLIENT_BOUND

    def as_json(self) -> dict[str, Any]:
        """Everything, for the results file."""
        return {
            "work": self.work,
            "peer": self.peer,
            "absent": self.absent,
            "errors": self.errors,
            "client_bound": self.client_bound,
            "median": median(self.rates) if self.rounds else None,
            "rounds": [vars(one) for one in self.rounds],
        }


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as a peer greenbas is at a work."""

    work: str
    peer: str
    value: float
    low: float
    high: float
    per_cpu: float  # the same for requests in a second of the server's CPU time
    goal: float | None
    void: bool  # one of the two cells has errors
    client_bound: bool

    @property
    def decisive(self) -> float:
        """The ratio held to the goal: that by CPU where wrk was too slow to tell the two apart."""
        return self.per_cpu if self.client_bound else self.value

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, or when the numbers are void."""
        return None if self.goal is None or self.void else self.decisive >= self.goal

    @property
    def verdict(self) -> str:
        """The same in a word."""
        if self.void:
            return "void"
        return {None: "", True: "met", False: "missed"}[self.met]

    def as_json(self) -> dict[str, Any]:
        """Everything, for the results file."""
        return {**vars(self), "verdict": self.verdict}


def ratio(ours: Cell, theirs: Cell, goal: float | None = None) -> Ratio | None:
    """Compare two cells, or None when one of them has no rounds.

    The median of the ratios of each round, not the ratio of the medians: the two runs of one round lie seconds apart,
    so that a machine that slows down for a while slows both.
    """
    pairs = quotients(ours.rates, theirs.rates)
    if not pairs:
        return None
    return Ratio(
        work=ours.work,
        peer=theirs.peer,
        value=median(pairs),
        low=min(pairs),
        high=max(pairs),
        per_cpu=median(quotients(ours.rates_per_cpu, theirs.rates_per_cpu) or [0.0]),
        goal=goal,
        void=bool(ours.errors or theirs.errors),
        client_bound=ours.client_bound or theirs.client_bound,
    )


def quotients(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round; rounds without a result of the peer are left out."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if b > 0]


def ratios(cells: Sequence[Cell], goals: Iterable[Goal]) -> list[Ratio]:
    """greenbas against every peer, work by work."""
    factors = {(goal.work, goal.peer): goal.factor for goal in goals}
    subjects = {cell.work: cell for cell in cells if cell.peer == SUBJECT}
    found = (
        ratio(subjects[cell.work], cell, factors.get((cell.work, cell.peer)))
        for cell in cells
        if cell.peer != SUBJECT and cell.work in subjects
    )
    return [one for one in found if one is not None]


def exit_code(cells: Iterable[Cell], found: Iterable[Ratio], *, strict: bool) -> int:
    """1 for errors, and with `strict` for missed goals as well; 0 otherwise."""
    if any(cell.errors for cell in cells):
        return 1
    return int(strict and any(one.met is False for one in found))
