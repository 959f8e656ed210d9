"""What the benches with clients of their own share: rounds in turns, one run of a client, and the table.

Such a client prints a JSON object: what it has counted, in how many seconds, and the share of a core it took.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from cores import Cores, pinned
from process import Running, ServerFailed, environment, free_port, group_cpu, running
from score import Cell
from table import render
from wrk import Measurement

__all__ = ["WARM_UP_SECONDS", "all_running", "alternate", "counted_table", "result", "run_client"]

WARM_UP_SECONDS = 1.0
PATIENCE = 30  # seconds for a client to start and to say what it has found

Measure = Callable[[Running, float], Measurement | str]


@contextlib.contextmanager
def all_running(
    cells: Mapping[str, Cell], scratch: Path, cores: Cores, command: Callable[[str, int], Sequence[str]]
) -> Iterator[list[Running]]:
    """The servers that run; why the others do not is noted in their cells.

    Args:
        cells: by the servers' names; those that are known to be absent are not started.
        scratch: an empty folder.
        cores: they get the server's.
        command: that of a server, by its name and its port.
    """
    with contextlib.ExitStack() as stack:
        started = []
        for name, cell in cells.items():
            if cell.absent:
                continue
            port = free_port()
            server = running(name, command(name, port), port=port, scratch=scratch, core=cores.server)
            try:
                started.append(stack.enter_context(server))
            except ServerFailed as error:
                cell.broken = str(error)
        yield started


def alternate(cells: Mapping[str, Cell], started: Sequence[Running], rounds: int, seconds: float, run: Measure) -> None:
    """All servers in alternating rounds, into their cells; a first short round is thrown away.

    Args:
        cells: by the servers' names.
        started: the servers that run.
        rounds: how many.
        seconds: of each.
        run: measures one server for so many seconds, or says what went wrong: then that server is left out.
    """
    for number in range(-1, rounds):
        for server in started:
            cell = cells[server.name]
            if cell.broken:
                continue
            found = run(server, min(WARM_UP_SECONDS, seconds) if number < 0 else seconds)
            if isinstance(found, str):
                cell.broken = found
            elif number >= 0:
                cell.rounds.append(found)


def run_client(
    server: Running, command: Sequence[str], seconds: float, cores: Cores, unit: int = 1
) -> Measurement | str:
    """One run of a client against one server; what went wrong, as text.

    Args:
        server: what it asks.
        command: the client.
        seconds: how long it takes.
        cores: it gets the client's.
        unit: what it counts, for one of what is shown.
    """
    before = group_cpu(server.pid)
    command = pinned(cores.client, list(command))
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE, env=environment())
    used = group_cpu(server.pid) - before
    if done.returncode:
        return f"the client failed: {done.stderr.strip()[-200:]}; {server.log_tail(1)}".rstrip("; ")
    found = json.loads(done.stdout)
    if errors := found.get("errors"):
        return f"the client saw {errors[0]}; {server.log_tail(1)}".rstrip("; ")
    if not found["count"]:
        return f"nothing came through; {server.log_tail(1)}".rstrip("; ")
    return result(found["count"] / unit, found["seconds"], used, found["cpu"])


def result(count: float, seconds: float, server_seconds: float, client_cpu: float) -> Measurement:
    """As those of wrk, without latencies."""
    return Measurement(
        rate=count / seconds,
        requests=int(count),
        bytes_read=0,
        p50_ms=0.0,
        p99_ms=0.0,
        errors="",
        client_cpu=client_cpu,
        server_cpu=server_seconds / seconds,
    )


def counted_table(name: str, title: str, counted: str, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first, with the CPU time that one of what is counted takes there.

    Args:
        name: of the work.
        title: what is done.
        counted: what stands above the column of names.
        cells: the servers; of those that are not there the reason is noted.
    """
    header = [counted, "median", "min", "max", "server CPU", "us CPU each", "client CPU"]
    rows = [
        [
            cell.peer + (" !" if cell.errors else "") + (" ~" if cell.client_bound else ""),
            f"{median(cell.rates):,.0f}",
            f"{min(cell.rates):,.0f}",
            f"{max(cell.rates):,.0f}",
            f"{median(one.server_cpu for one in cell.rounds):.0%}",
            f"{1e6 / (median(cell.rates_per_cpu) or 1e6):,.1f}",
            f"{median(one.client_cpu for one in cell.rounds):.0%}",
        ]
        for cell in sorted((cell for cell in cells if cell.rounds), key=lambda cell: -median(cell.rates))
    ]
    notes = [f"  {cell.peer}: {cell.absent}" for cell in cells if cell.absent]
    notes += [f"! {cell.peer}: {cell.errors}" for cell in cells if cell.errors]
    return "\n".join([f"{name}: {title}", render(header, rows), *notes])
