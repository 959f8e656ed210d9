"""WebSocket echo of 100 bytes, against others and against the framing library alone. A part of bench.py."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cores import Cores
from counted import all_running, alternate, counted_table, run_client
from process import HERE, Running
from score import Cell
from works import Goal
from wrk import Measurement

# The name of each and the module without which it cannot run.
PEERS = {
    "greenbas": "greenbas",
    "framing": "websockets",
    "uvicorn": "uvicorn, httptools, uvloop, websockets",
    "gevent-websocket": "gevent, geventwebsocket",
}


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
        alternate(cells, started, rounds, seconds, lambda server, long: measure(work, server, long, cores))
    return list(cells.values())


@contextlib.contextmanager
def servers(cells: dict[str, Cell], cores: Cores) -> Iterator[list[Running]]:
    """Those that run; why the others do not is noted in their cells."""
    for name, cell in cells.items():
        cell.absent = missing(name)
    program = str(HERE / "apps" / "wsserver.py")
    with (
        tempfile.TemporaryDirectory(prefix="greenbas-ws-") as scratch,
        all_running(cells, Path(scratch), cores, lambda *what: [sys.executable, program, *map(str, what)]) as started,
    ):
        yield started


def missing(name: str) -> str:
    """Why a server cannot run here, or "" if it can."""
    tried = subprocess.run(
        [sys.executable, "-c", f"import {PEERS[name]}"], capture_output=True, text=True, cwd=HERE.parent
    )
    if tried.returncode == 0:
        return ""
    return f"not installed: {''.join(tried.stderr.strip().splitlines()[-1:])}"


def measure(work: WsWork, server: Running, seconds: float, cores: Cores) -> Measurement | str:
    """One run of the client against one server; what went wrong, as text."""
    command = [sys.executable, str(HERE / "wsclient.py"), str(server.port), str(work.connections), str(seconds)]
    return run_client(server, command, seconds, cores)


def ws_table(work: WsWork, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first."""
    return counted_table(work.name, work.title, "echoes a second", cells)
