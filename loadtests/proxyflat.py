"""Whether the memory of a reverse proxy stays flat through a long transfer, of any length. A part of proxy.py.

What is counted is 1 / MiB of growth, so that more is better as everywhere else; less than a MiB counts as one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cores import Cores
from counted import alternate, run_client
from memory import Peak
from process import HERE, Running, ServerFailed, free_port, running
from proxypeers import cells_of, proxies_running
from score import Cell
from table import render
from wrk import Measurement

__all__ = ["BOUND", "BOUND_MIB", "FLAT_WORKS", "FlatWork", "flat_table", "measure_flat"]

GIB = 1024**3
BOUND = "bound"  # a peer of that name, which always grows by as much as greenbas may
BOUND_MIB = 8.0


@dataclass(frozen=True)
class FlatWork:
    """One transfer: how long, how framed, and for how many times the seconds of a round at most."""

    name: str
    title: str
    framing: str  # the path at the source: sized, chunked
    size: int
    patience: float


@dataclass(frozen=True)
class Transfer(Measurement):
    """One of them, made."""

    grown_mib: float = 0.0


FLAT_WORKS = (
    FlatWork("proxy-flat", "memory of a proxy through 10 GiB with their length", "sized", 10 * GIB, 20),
    FlatWork("proxy-flat-chunked", "memory of a proxy through up to 2 GiB in chunks", "chunked", 2 * GIB, 1),
)


def measure_flat(work: FlatWork, seconds: float, cores: Cores) -> list[Cell]:
    """All proxies, one transfer each, after a short one that brings everything into memory."""
    cells = cells_of(work.name)
    with tempfile.TemporaryDirectory(prefix="greenbas-proxyflat-") as folder:
        scratch, port = Path(folder), free_port()
        scratch.chmod(0o755)
        command = [sys.executable, str(HERE / "apps" / "bulksource.py"), str(port)]
        try:
            with (
                running("backend", command, port=port, scratch=scratch, core=cores.client),
                proxies_running(cells, port, scratch, cores) as started,
            ):
                alternate(
                    cells, started, 1, seconds * work.patience, lambda proxy, long: once(work, proxy, long, cores)
                )
        except ServerFailed as error:
            for cell in cells.values():
                cell.broken = str(error)
    bound = Measurement(rate=1 / BOUND_MIB, requests=0, bytes_read=0, p50_ms=0.0, p99_ms=0.0, errors="")
    return [*cells.values(), Cell(work.name, BOUND, [bound])]


def once(work: FlatWork, proxy: Running, seconds: float, cores: Cores) -> Measurement | str:
    """One transfer, for so many seconds at most; what went wrong, as text."""
    what = [proxy.port, f"/{work.framing}/{work.size}", work.size, seconds]
    with Peak(proxy.pid) as peak:
        found = run_client(proxy, [sys.executable, str(HERE / "downloader.py"), *map(str, what)], seconds, cores)
    if isinstance(found, str):
        return found
    moved, took = found.requests, found.requests / found.rate
    # No shares of cores: a ratio by CPU time would say nothing about memory.
    return Transfer(
        rate=1 / max(peak.grown, 1.0),
        requests=1,
        bytes_read=moved,
        p50_ms=took * 1000,
        p99_ms=took * 1000,
        errors="",
        grown_mib=peak.grown,
    )


def flat_table(work: FlatWork, cells: Sequence[Cell]) -> str:
    """The proxies, the one that grew least first."""
    found = [(cell.peer, one) for cell in cells for one in cell.rounds if isinstance(one, Transfer)]
    rows = [[peer, *row(one)] for peer, one in sorted(found, key=lambda pair: pair[1].grown_mib)]
    title = f"{work.name}: {work.title}; greenbas may grow by {BOUND_MIB:.0f} MiB"
    notes = [f"  {cell.peer}: {cell.absent}" for cell in cells if cell.absent]
    notes += [f"! {cell.peer}: {cell.errors}" for cell in cells if cell.errors]
    return "\n".join([title, render(["grown by", "MiB", "GiB moved", "MiB a second"], rows), *notes])


def row(one: Transfer) -> list[str]:
    """What one transfer has shown."""
    return [f"{one.grown_mib:.1f}", f"{one.bytes_read / GIB:.2f}", f"{one.bytes_read / 1048.576 / one.p50_ms:,.0f}"]
