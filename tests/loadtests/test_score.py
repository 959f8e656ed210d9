"""Medians, ratios, verdicts and their tables."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from score import Cell, Ratio, exit_code, ratio, ratios
from table import ratio_table, render, work_table
from works import WORKS, Goal
from wrk import Measurement

HELLO = WORKS[0]


def cell(peer: str, rates: Sequence[float], *, work: str = "hello", wrk: float = 0.5, errors: str = "") -> Cell:
    """A cell with a round for each rate, the server always busy."""
    return Cell(work, peer, [Measurement(rate, 1000, 200_000, 1.0, 2.0, errors, wrk, 1.0) for rate in rates])


def compared(ours: Cell, theirs: Cell, goal: float | None = None) -> Ratio:
    """Their ratio, which has to exist."""
    found = ratio(ours, theirs, goal)
    assert found is not None
    return found


def test_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() -> None:
    # The machine slows down fourfold in the middle of the run; greenbas stays twice as fast throughout.
    found = compared(cell("greenbas", [200, 50, 50]), cell("granian", [100, 25, 25]))
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_ratio_of_unequal_rounds() -> None:
    found = compared(cell("greenbas", [100, 120, 90]), cell("granian", [100, 100]))
    assert (found.value, found.low, found.high) == (1.1, 1.0, 1.2)


def test_no_ratio_without_rounds() -> None:
    assert ratio(cell("greenbas", [1]), Cell("hello", "bjoern", absent="not built")) is None
    assert ratio(cell("greenbas", [1]), cell("bjoern", [0])) is None


@pytest.mark.parametrize(
    ("rate", "goal", "verdict"), [(110, 1.1, "met"), (109, 1.1, "missed"), (109, None, ""), (500, 2.0, "met")]
)
def test_verdict(rate: float, goal: float | None, verdict: str) -> None:
    assert compared(cell("greenbas", [rate]), cell("granian", [100]), goal).verdict == verdict


def test_errors_void_the_ratio() -> None:
    found = compared(cell("greenbas", [300], errors="Non-2xx or 3xx responses: 1"), cell("granian", [100]), 1.1)
    assert (found.verdict, found.met) == ("void", None)


def test_busy_client_leaves_the_decision_to_cpu_time() -> None:
    ours, theirs = cell("greenbas", [100], wrk=0.99), cell("nginx", [100], wrk=0.99)
    theirs.rounds = [Measurement(100, 1000, 200_000, 1.0, 2.0, "", 0.99, 0.5)]
    found = compared(ours, theirs, 0.9)
    assert (found.value, found.per_cpu, found.decisive, found.verdict) == (1.0, 0.5, 0.5, "missed")


def test_ratios_compare_within_a_work() -> None:
    cells = [
        cell("greenbas", [100]),
        cell("granian", [50]),
        Cell("hello", "bjoern", absent="not built"),
        cell("greenbas", [30], work="file1k"),
        cell("nginx", [60], work="file1k"),
        cell("nginx", [60], work="file1m"),
    ]
    found = ratios(cells, [Goal("hello", "granian", 1.1), Goal("file1k", "nginx", 0.6)])
    assert [(one.work, one.peer, one.value, one.verdict) for one in found] == [
        ("hello", "granian", 2.0, "met"),
        ("file1k", "nginx", 0.5, "missed"),
    ]


def test_exit_code() -> None:
    good, missed = (
        [cell("greenbas", [1]), Cell("hello", "bjoern", absent="not built")],
        ratios([cell("greenbas", [1]), cell("granian", [1])], [Goal("hello", "granian", 1.1)]),
    )
    assert exit_code(good, [], strict=True) == 0
    assert exit_code(good, missed, strict=False) == 0
    assert exit_code(good, missed, strict=True) == 1
    assert exit_code([*good, Cell("hello", "uvicorn", broken="status 500")], [], strict=False) == 1
    assert exit_code([cell("greenbas", [1], errors="Socket errors: ...")], [], strict=False) == 1


def test_errors_are_named_once() -> None:
    broken = cell("uvicorn", [1, 2, 3], errors="timeout")
    broken.broken = "short"
    assert broken.errors == "short; timeout"


def test_render() -> None:
    assert render(["server", "rate"], [["a", "1"], ["longname", "12,345"]]).splitlines() == [
        "server      rate",
        "--------  ------",
        "a              1",
        "longname  12,345",
    ]


def test_work_table_is_sorted_and_marks_what_is_odd() -> None:
    text = work_table(
        HELLO,
        [
            cell("pywsgi", [1000, 3000, 2000]),
            cell("nginx", [90_000], wrk=0.99),
            cell("uvicorn", [5000], errors="timeout"),
            Cell("hello", "bjoern", absent="not built: no gcc"),
        ],
    )
    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines[3:6]] == ["nginx ~", "uvicorn !", "pywsgi"]
    assert lines[5].split()[1:4] == ["2,000", "1,000", "3,000"]
    assert "! uvicorn: timeout" in lines
    assert "  bjoern: not built: no gcc" in lines


def test_ratio_table() -> None:
    found = ratios([cell("greenbas", [100]), cell("granian", [80])], [Goal("hello", "granian", 1.1)])
    assert ratio_table(found).splitlines()[-1].split() == [
        "hello",
        "granian",
        "1.25",
        "1.25",
        "1.25",
        "1.25",
        "1.10",
        "met",
    ]
    assert ratio_table([]) == "greenbas / peer: nothing to compare"
