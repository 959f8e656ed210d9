"""The judgement of a load run."""

from __future__ import annotations

import pytest
from thresholds import FAILED, PASSED, THRESHOLDS, VOID, Observed, Run, Threshold, judge

RUN = Run(seconds=10, users=100, generator_cpu=0.3)
TABLE = (Threshold("page", p95_ms=50, least=0.5), Threshold("odd", p95_ms=500, least=0.1, fail_ratio=0.1))
GOOD = {"page": Observed(500, 0, 50), "odd": Observed(100, 10, 500)}


def test_everything_exactly_at_its_threshold_passes() -> None:
    assert judge(RUN, GOOD, TABLE) == (PASSED, [])


@pytest.mark.parametrize(
    ("name", "seen", "complaint"),
    [
        ("page", Observed(499, 0, 50), "page: 499 requests, at least 500 expected"),
        ("page", Observed(500, 1, 50), "page: 1 of 500 failed, allowed 0.0%"),
        ("odd", Observed(100, 11, 50), "odd: 11 of 100 failed, allowed 10.0%"),
        ("page", Observed(500, 0, 51), "page: 95 % within 51 ms, 50 ms allowed"),
        ("page", Observed(0, 0, 0), "page: no request, at least 500 expected"),
    ],
)
def test_one_thing_wrong(name: str, seen: Observed, complaint: str) -> None:
    assert judge(RUN, {**GOOD, name: seen}, TABLE) == (FAILED, [complaint])


def test_a_request_that_never_happened() -> None:
    code, complaints = judge(RUN, {}, TABLE)
    assert code == FAILED and len(complaints) == 2


def test_exceptions_of_users_fail() -> None:
    run = Run(seconds=10, users=100, generator_cpu=0.3, exceptions=2)
    assert judge(run, GOOD, TABLE) == (FAILED, ["2 exceptions in the users' own code"])


@pytest.mark.parametrize("observed", [GOOD, {}])
def test_a_busy_generator_is_void_whatever_it_saw(observed: dict[str, Observed]) -> None:
    code, complaints = judge(Run(seconds=10, users=100, generator_cpu=0.81), observed, TABLE)
    assert code == VOID
    assert complaints[0] == "void: the generator used 81% of its core, over 80%"


def test_eighty_percent_is_not_over() -> None:
    assert judge(Run(seconds=10, users=100, generator_cpu=0.8), GOOD, TABLE)[0] == PASSED


def test_fewest_requests_grow_with_users_and_time() -> None:
    half = Run(seconds=5, users=100, generator_cpu=0.3)
    assert judge(half, {"page": Observed(250, 0, 1), "odd": Observed(50, 0, 1)}, TABLE) == (PASSED, [])


def test_names_are_unique() -> None:
    assert len({one.name for one in THRESHOLDS}) == len(THRESHOLDS)
