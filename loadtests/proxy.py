"""The reverse proxy against nginx and haproxy: how fast, and how much memory. A part of bench.py."""

from __future__ import annotations

from collections.abc import Sequence

from cores import Cores
from proxyflat import BOUND, FLAT_WORKS, FlatWork, flat_table, measure_flat
from proxyidle import IDLE_WORKS, IdleWork, idle_table, measure_idle
from proxyspeed import SPEED_WORKS, SpeedWork, measure_speed, speed_table
from score import Cell
from works import Goal

__all__ = ["PROXY_GOALS", "PROXY_WORKS", "ProxyWork", "measure_proxy", "proxy_table"]

ProxyWork = SpeedWork | IdleWork | FlatWork

PROXY_WORKS: tuple[ProxyWork, ...] = (*SPEED_WORKS, *IDLE_WORKS, *FLAT_WORKS)
PROXY_GOALS = (
    Goal("proxy-small", "nginx", 0.7),
    Goal("proxy-1m", "nginx", 1.0),
    Goal("proxy-100m", "nginx", 1.0),
    Goal("proxy-upload", "nginx", 1.0),
    # These two are about memory: no more than nginx, and no more than the bound.
    Goal("proxy-idle", "nginx", 1.0),
    *(Goal(work.name, BOUND, 1.0) for work in FLAT_WORKS),
)


def measure_proxy(work: ProxyWork, rounds: int, seconds: float, cores: Cores) -> list[Cell]:
    """All proxies at one work, in turns."""
    if isinstance(work, IdleWork):
        return measure_idle(work, rounds, cores)
    if isinstance(work, FlatWork):
        return measure_flat(work, seconds, cores)
    return measure_speed(work, rounds, seconds, cores)


def proxy_table(work: ProxyWork, cells: Sequence[Cell]) -> str:
    """The proxies at one work, the best first."""
    if isinstance(work, IdleWork):
        return idle_table(work, cells)
    if isinstance(work, FlatWork):
        return flat_table(work, cells)
    return speed_table(work, cells)
