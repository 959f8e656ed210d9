"""WebSocket echo of 100 bytes, against others and against the framing library alone. A part of bench.py."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cores import Cores, pinned
from process import HERE, Running, ServerFailed, environment, free_port, group_cpu, running
from score import Cell
from table import render
from works import Goal
from wrk import Measurement

# The name of each and the module without which it cannot run.
PEERS = {
    "greenbas": "greenbas",
    "framing": "websockets",
    "uvicorn": "uvicorn, httptools, uvloop, websockets",
    "gevent-websocket": "gevent, geventwebsocket",
}
WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class WsWork:
    """An echo over so many connections at once."""

    name: str
    title: str
    connections: int


WS_WORKS = (WsWork("ws-echo", "WebSocket echo of 100 bytes, 64 connections", 64),)
# At most 1.3 times the CPU of the library alone.
WS_GOALS = (
    Goal("ws-echo", "framing", 1 / 1.3),
    Goal("ws-echo", "uvicorn", 1.3),
    Goal("ws-echo", "gevent-websocket", 2.0),
)


def measure_ws(work: WsWork, rounds: int, seconds: int, cores: Cores) -> list[Cell]:
    """All servers, in alternating rounds; a first short round is thrown away."""
    cells = {name: Cell(work.name, name) for name in PEERS}
    with servers(cells, cores) as started:
        for number in range(-1, rounds):
            for server in started:
                cell = cells[server.name]
                if cell.broken:
                    continue
                found = measure(work, server, WARM_UP_SECONDS if number < 0 else seconds, cores)
                if isinstance(found, str):
                    cell.broken = found
                elif number >= 0:
                    cell.rounds.append(found)
    return list(cells.values())


@contextlib.contextmanager
def servers(cells: dict[str, Cell], cores: Cores) -> Iterator[list[Running]]:
    """Those that run; why the others do not is noted in their cells."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenbas-ws-")))
        started = []
        for name, cell in cells.items():
            if reason := missing(name):
                cell.absent = reason
                continue
            port = free_port()
            command = [sys.executable, str(HERE / "apps" / "wsserver.py"), name, str(port)]
            try:
                started.append(
                    stack.enter_context(running(name, command, port=port, scratch=scratch, core=cores.server))
                )
            except ServerFailed as error:
                cell.broken = str(error)
        yield started


def missing(name: str) -> str:
    """Why a server cannot run here, or "" if it can."""
    tried = subprocess.run(
        [sys.executable, "-c", f"import {PEERS[name]}"], capture_output=True, text=True, cwd=HERE.parent
    )
    if tried.returncode == 0:
        return ""
    return f"not installed: {''.join(tried.stderr.strip().splitlines()[-1:])}"


def measure(work: WsWork, server: Running, seconds: int, cores: Cores) -> Measurement | str:
    """One run of the client against one server; what went wrong, as text."""
    command = [sys.executable, str(HERE / "wsclient.py"), str(server.port), str(work.connections), str(seconds)]
    before = group_cpu(server.pid)
    done = subprocess.run(
        pinned(cores.client, command), capture_output=True, text=True, timeout=seconds + 30, env=environment()
    )
    used = group_cpu(server.pid) - before
    if done.returncode:
        return f"the client failed: {done.stderr.strip()[-200:]}; {server.log_tail(1)}".rstrip("; ")
    found = json.loads(done.stdout)
    return Measurement(
        rate=found["count"] / found["seconds"],
        requests=found["count"],
        bytes_read=0,
        p50_ms=0.0,
        p99_ms=0.0,
        errors="",
        client_cpu=found["cpu"],
        server_cpu=used / found["seconds"],
    )


def ws_table(work: WsWork, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first, with the CPU time that each echo takes there."""
    header = ["echoes a second", "median", "min", "max", "server CPU", "us CPU each", "client CPU"]
    rows = [
        [
            cell.peer + (" !" if cell.errors else "") + (" ~" if cell.client_bound else ""),
            f"{median(cell.rates):,.0f}",
            f"{min(cell.rates):,.0f}",
            f"{max(cell.rates):,.0f}",
            f"{median(one.server_cpu for one in cell.rounds):.0%}",
            f"{1e6 / median(cell.rates_per_cpu):.1f}",
            f"{median(one.client_cpu for one in cell.rounds):.0%}",
        ]
        for cell in sorted((cell for cell in cells if cell.rounds), key=lambda cell: -median(cell.rates))
    ]
    notes = [f"  {cell.peer}: {cell.absent}" for cell in cells if cell.absent]
    notes += [f"! {cell.peer}: {cell.errors}" for cell in cells if cell.errors]
    return "\n".join([f"{work.name}: {work.title}", render(header, rows), *notes])
