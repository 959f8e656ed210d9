"""Cosockets against gevent's sockets and programs in C: echo, and a proxy. A part of bench.py.

The clients are programs in C as well: no other one is fast enough. They are compiled when they are needed.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cores import Cores
from counted import all_running, alternate, counted_table, run_client
from process import HERE, Running, free_port
from score import Cell
from works import Goal
from wrk import Measurement

NATIVE = HERE / "native"
BUILT = HERE.parent / ".venv" / "loadtests"
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
        alternate(
            cells, started, rounds, seconds, lambda server, long: measure(work, load, server, target, long, cores)
        )
    return list(cells.values())


@contextlib.contextmanager
def servers(work: SocketWork, cells: dict[str, Cell], peer: Path, target: int, cores: Cores) -> Iterator[list[Running]]:
    """Those that run; why the others do not is noted in their cells. Only one at a time gets anything to do."""

    def command(name: str, port: int) -> list[str]:
        ports = [str(port), str(target)] if work.kind == "proxy" else [str(port)]
        python = [sys.executable, str(HERE / "apps" / "sockserver.py"), name, work.kind]
        return [*([str(peer)] if name == work.peer else python), *ports]

    with (
        tempfile.TemporaryDirectory(prefix="greenbas-sockets-") as scratch,
        all_running(cells, Path(scratch), cores, command) as started,
    ):
        yield started


def measure(
    work: SocketWork, load: Path, server: Running, target: int, seconds: float, cores: Cores
) -> Measurement | str:
    """One run of the load against one server; what went wrong, as text."""
    what = [target, work.connections] if work.kind == "proxy" else [work.connections, ECHO_BYTES]
    command = [str(load), str(server.port), *map(str, what), str(seconds)]
    return run_client(server, command, seconds, cores, work.unit)


def sockets_table(work: SocketWork, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first."""
    return counted_table(work.name, work.title, "a second", cells)
