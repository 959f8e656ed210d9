"""What a load run has to reach, and the judgement. Pure code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_GENERATOR_CPU = 0.8  # of one core; above, the generator measures its own delays and the run is void

PASSED, FAILED, VOID = 0, 1, 2  # exit codes


@dataclass(frozen=True)
class Threshold:
    """One request name: the slowest 95th percentile, and the fewest requests a second for each user of the run."""

    name: str
    p95_ms: float
    least: float
    fail_ratio: float = 0.0  # on a loopback interface nothing may fail


# The fewest requests are about 0.7 of what the pacing in locustfile.py makes of an unhindered run.
THRESHOLDS = (
    Threshold("sleep 10-50 ms", p95_ms=150, least=0.55),
    Threshold("json", p95_ms=100, least=0.15),
    Threshold("static 1 KiB", p95_ms=100, least=0.15),
    Threshold("static 1 MiB", p95_ms=250, least=0.03),
    Threshold("new connection", p95_ms=100, least=0.13),
    Threshold("form", p95_ms=100, least=0.06),
    Threshold("upload 256 KiB", p95_ms=200, least=0.06),
    Threshold("arrival 20 ms", p95_ms=150, least=0.35),
)


@dataclass(frozen=True)
class Observed:
    """What a run saw of one request name."""

    requests: int
    failures: int
    p95_ms: float


@dataclass(frozen=True)
class Run:
    """What a run was."""

    seconds: float
    users: int
    generator_cpu: float  # share of one core
    exceptions: int = 0  # raised in the users' code


def judge(
    run: Run, observed: Mapping[str, Observed], thresholds: Sequence[Threshold] = THRESHOLDS
) -> tuple[int, list[str]]:
    """The exit code, and a sentence for everything that is not as it should be.

    A void run is neither passed nor failed: its times are the generator's.
    """
    complaints = [line for one in thresholds for line in complaints_about(one, observed.get(one.name), run)]
    if run.exceptions:
        complaints.append(f"{run.exceptions} exceptions in the users' own code")
    if run.generator_cpu > MOST_GENERATOR_CPU:
        void = f"void: the generator used {run.generator_cpu:.0%} of its core, over {MOST_GENERATOR_CPU:.0%}"
        return VOID, [void, *complaints]
    return (FAILED if complaints else PASSED), complaints


def complaints_about(threshold: Threshold, seen: Observed | None, run: Run) -> list[str]:
    """What is wrong with one request name."""
    least = int(threshold.least * run.users * run.seconds)
    if seen is None or seen.requests == 0:
        return [f"{threshold.name}: no request, at least {least} expected"]
    found = []
    if seen.requests < least:
        found.append(f"{threshold.name}: {seen.requests} requests, at least {least} expected")
    if seen.failures / seen.requests > threshold.fail_ratio:
        found.append(f"{threshold.name}: {seen.failures} of {seen.requests} failed, allowed {threshold.fail_ratio:.1%}")
    if seen.p95_ms > threshold.p95_ms:
        found.append(f"{threshold.name}: 95 % within {seen.p95_ms:.0f} ms, {threshold.p95_ms:.0f} ms allowed")
    return found
