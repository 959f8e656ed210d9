"""The proxy's part of the benchmark as a whole: its works and goals, and what it says where a program is missing."""

from __future__ import annotations

import sys

import bench
import proxypeers
import proxyspeed
import pytest
from cores import Cores
from proxy import PROXY_GOALS, PROXY_WORKS, measure_proxy, proxy_table
from proxyflat import BOUND
from proxypeers import PROXIES, Proxy, cells_of
from proxyspeed import SPEED_WORKS
from score import Cell, ratios
from table import ratio_table
from wrk import Measurement

ALONE = Cores(None, None)


def test_goals_name_known_works_and_peers() -> None:
    known = {work.name for work in PROXY_WORKS}
    assert len(known) == len(PROXY_WORKS)
    assert {goal.work for goal in PROXY_GOALS} == known
    assert {goal.peer for goal in PROXY_GOALS} <= {*PROXIES, BOUND}


def test_bench_has_the_works() -> None:
    assert bench.parse(["--work", "proxy-idle,proxy-small"]).work == [PROXY_WORKS[0], PROXY_WORKS[4]]
    assert bench.parse([]).work[-len(PROXY_WORKS) :] == list(PROXY_WORKS)


def test_without_haproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxypeers.shutil.which", lambda name: None)
    cells = cells_of("proxy-idle")
    assert (cells["haproxy"].absent, cells["haproxy"].errors) == ("left out: no haproxy", "")
    assert cells["greenbas"].absent == ""
    for work in PROXY_WORKS:
        assert "  haproxy: left out: no haproxy" in proxy_table(work, list(cells.values())).splitlines()


def test_without_nginx_there_is_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxyspeed, "nginx_path", lambda: None)
    cells = measure_proxy(SPEED_WORKS[0], 1, 1, ALONE)
    assert {cell.absent for cell in cells} == {"left out: no nginx, which is the backend"}
    assert not any(cell.errors for cell in cells)


def test_a_proxy_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Proxy("nginx", lambda scratch, port, backend: [sys.executable, "-c", "exit('no luck')"], lambda: "there")
    monkeypatch.setattr(proxypeers, "PROXIES", {"nginx": ends})
    for work in (PROXY_WORKS[4], PROXY_WORKS[5]):
        found = measure_proxy(work, 1, 0.1, ALONE)[0]
        assert found.errors == "nginx ended with 1: no luck"
        assert "! nginx: nginx ended with 1: no luck" in proxy_table(work, [found])


def cell(work: str, peer: str, rate: float) -> Cell:
    return Cell(work, peer, [Measurement(rate, 1, 0, 0.0, 0.0, "")])


@pytest.mark.parametrize(
    ("work", "peer", "ours", "theirs", "verdict"),
    [
        ("proxy-small", "nginx", 70, 100, "met"),
        ("proxy-small", "nginx", 69, 100, "missed"),
        ("proxy-small", "haproxy", 1, 100, ""),
        ("proxy-idle", "nginx", 1024 / 3, 1024 / 17, "met"),
        ("proxy-idle", "nginx", 1024 / 18, 1024 / 17, "missed"),
        ("proxy-flat", BOUND, 1 / 7, 1 / 8, "met"),
        ("proxy-flat", BOUND, 1 / 9, 1 / 8, "missed"),
        ("proxy-flat-chunked", BOUND, 1 / 9, 1 / 8, "missed"),
    ],
)
def test_verdicts(work: str, peer: str, ours: float, theirs: float, verdict: str) -> None:
    found = ratios([cell(work, "greenbas", ours), cell(work, peer, theirs)], PROXY_GOALS)
    assert [one.verdict for one in found] == [verdict]


def test_no_ratio_by_cpu_where_memory_is_compared() -> None:
    found = ratios([cell("proxy-idle", "greenbas", 2), cell("proxy-idle", "nginx", 1)], PROXY_GOALS)
    assert ratio_table(found).splitlines()[-1].split() == [
        "proxy-idle", "nginx", "2.00", "2.00", "2.00", "1.00", "met",
    ]  # fmt: skip
