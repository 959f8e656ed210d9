"""Cosockets against gevent's sockets and programs in C: echo, and a proxy. A part of bench.py.

The clients are programs in C as well: no other one is fast enough. They are compiled when they are needed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
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

NATIVE = HERE / "native"
BUILT = HERE.parent / ".venv" / "loadtests"
WARM_UP_SECONDS = 1
MIB = 1024 * 1024


@dataclass(frozen=True)
class SocketWork:
    """What is asked, by which of the programs in C, and which of them answers beside the servers in Python."""

    name: str
    kind: str
    title: str
    load: str
    peer: str
    peer_program: str
    connections: int
    unit: int = 1  # what the load counts, for one of what is shown


SOCKET_WORKS = (
    SocketWork("socket-echo", "echo", "echo of 100 bytes, 64 connections", "echoload", "c", "echoserver", 64),
    SocketWork(
        "socket-proxy", "proxy", "MiB through a proxy, 4 connections", "bulkload", "splice", "spliceproxy", 4, MIB
    ),
)
SOCKET_GOALS = (
    Goal("socket-echo", "gevent", 1.6),
    Goal("socket-echo", "c", 0.6),
)
ECHO_BYTES = 100


class BuildFailed(Exception):
    """A program in C cannot be made here."""


def built(name: str) -> Path:
    """A program of native/, compiled unless that was done before.

    Raises:
        BuildFailed: no compiler, or it complains.
    """
    sources = [NATIVE / f"{name}.c", NATIVE / "common.h"]
    program = BUILT / name
    if program.exists() and program.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BuildFailed("not built: no gcc")
    BUILT.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-Wall", "-o", str(program), str(sources[0])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if "error" in line]
        raise BuildFailed(f"not built: {''.join(complaints[:1]) or 'the compiler failed'}")
    return program


def measure_sockets(work: SocketWork, rounds: int, seconds: float, cores: Cores) -> list[Cell]:
    """All servers, in alternating rounds; a first short round is thrown away."""
    cells = {name: Cell(work.name, name) for name in ("greenbas", "gevent", work.peer)}
    try:
        load, peer = built(work.load), built(work.peer_program)
    except BuildFailed as error:
        for cell in cells.values():
            cell.absent = str(error)
        return list(cells.values())
    target = free_port()
    with servers(work, cells, peer, target, cores) as started:
        for number in range(-1, rounds):
            for server in started:
                cell = cells[server.name]
                if cell.broken:
                    continue
                found = measure(work, load, server, target, WARM_UP_SECONDS if number < 0 else seconds, cores)
                if isinstance(found, str):
                    cell.broken = found
                elif number >= 0:
                    cell.rounds.append(found)
    return list(cells.values())


@contextlib.contextmanager
def servers(work: SocketWork, cells: dict[str, Cell], peer: Path, target: int, cores: Cores) -> Iterator[list[Running]]:
    """Those that run; why the others do not is noted in their cells. Only one at a time gets anything to do."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenbas-sockets-")))
        started = []
        for name, cell in cells.items():
            port = free_port()
            ports = [str(port), str(target)] if work.kind == "proxy" else [str(port)]
            python = [sys.executable, str(HERE / "apps" / "sockserver.py"), name, work.kind]
            command = [str(peer)] if name == work.peer else python
            try:
                started.append(
                    stack.enter_context(
                        running(name, [*command, *ports], port=port, scratch=scratch, core=cores.server)
                    )
                )
            except ServerFailed as error:
                cell.broken = str(error)
        yield started


def measure(
    work: SocketWork, load: Path, server: Running, target: int, seconds: float, cores: Cores
) -> Measurement | str:
    """One run of the load against one server; what went wrong, as text."""
    what = [target, work.connections] if work.kind == "proxy" else [work.connections, ECHO_BYTES]
    command = [str(load), str(server.port), *map(str, what), str(seconds)]
    before = group_cpu(server.pid)
    done = subprocess.run(
        pinned(cores.client, command), capture_output=True, text=True, timeout=seconds + 30, env=environment()
    )
    used = group_cpu(server.pid) - before
    if done.returncode:
        return f"{load.name} failed: {done.stderr.strip()[-200:]}; {server.log_tail(1)}".rstrip("; ")
    found = json.loads(done.stdout)
    if not found["count"]:
        return f"nothing came through; {server.log_tail(1)}".rstrip("; ")
    return Measurement(
        rate=found["count"] / work.unit / found["seconds"],
        requests=int(found["count"] / work.unit),
        bytes_read=0,
        p50_ms=0.0,
        p99_ms=0.0,
        errors="",
        client_cpu=found["cpu"],
        server_cpu=used / found["seconds"],
    )


def sockets_table(work: SocketWork, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first, with the CPU time that one of what is counted takes there."""
    header = ["a second", "median", "min", "max", "server CPU", "us CPU each", "client CPU"]
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
    return "\n".join([f"{work.name}: {work.title}", render(header, rows), *notes])
