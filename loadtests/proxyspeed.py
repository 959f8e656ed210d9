"""How fast bytes go through the reverse proxies: responses by wrk, and uploads. A part of proxy.py."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cores import Cores
from counted import alternate, counted_table, run_client
from peers import nginx_path
from probe import complaint
from process import HERE, Running, ServerFailed, group_cpu
from proxybackend import MIB, backend_running, body_of, write_body
from proxypeers import cells_of, proxies_running
from score import Cell
from works import HELLO, Work
from wrk import Measurement, WrkFailed, measure, shortfall

__all__ = ["SPEED_WORKS", "SpeedWork", "measure_speed", "speed_table"]


@dataclass(frozen=True)
class SpeedWork:
    """One body that goes through, again and again: a response, or that of a request."""

    name: str
    path: str
    title: str
    size: int  # bytes of the body
    connections: int
    in_mib: bool = False  # MiB are counted: of these bodies there are few in a second


SPEED_WORKS = (
    SpeedWork("proxy-small", "/small", "small response through a proxy, 64 connections", len(HELLO), 64),
    SpeedWork("proxy-1m", "/1m", "1 MiB responses through a proxy, 64 connections", MIB, 64),
    SpeedWork("proxy-100m", "/100m", "100 MiB responses through a proxy, 4 connections", 100 * MIB, 4, True),
    SpeedWork("proxy-upload", "/upload", "100 MiB uploads through a proxy, 2 connections", 100 * MIB, 2, True),
)


def measure_speed(work: SpeedWork, rounds: int, seconds: float, cores: Cores) -> list[Cell]:
    """All proxies, in alternating rounds; a first short round is thrown away."""
    cells = cells_of(work.name)
    if nginx_path() is None:
        for cell in cells.values():
            cell.absent = "left out: no nginx, which is the backend"
        return list(cells.values())
    with tempfile.TemporaryDirectory(prefix="greenbas-proxy-") as folder:
        scratch = Path(folder)
        write_body(scratch, work.path.strip("/"), work.size)
        try:
            with (
                backend_running(scratch, cores) as backend,
                proxies_running(cells, backend.port, scratch, cores) as started,
            ):
                note_complaints(work, cells, started)
                alternate(cells, started, rounds, seconds, lambda proxy, long: once(work, proxy, backend, long, cores))
        except ServerFailed as error:
            for cell in cells.values():
                cell.broken = str(error)
    return list(cells.values())


def note_complaints(work: SpeedWork, cells: dict[str, Cell], started: Sequence[Running]) -> None:
    """The answers have to be right and the connections kept before anything is counted."""
    # An upload is answered by the small response, whoever asks.
    expected = HELLO if work.path == "/upload" else body_of(work.size)
    for proxy in started:
        if wrong := complaint(proxy.port, Work(work.name, "handler", work.path, work.title, expected)):
            cells[proxy.name].broken = f"{wrong}; {proxy.log_tail(1)}".rstrip("; ")


def once(work: SpeedWork, proxy: Running, backend: Running, seconds: float, cores: Cores) -> Measurement | str:
    """One run against one proxy; what went wrong, as text.

    The backend's time counts as the client's, for they share a core: the two together may be what is too slow.
    """
    before = group_cpu(backend.pid)
    found = uploads(work, proxy, seconds, cores) if work.path == "/upload" else responses(work, proxy, seconds, cores)
    if isinstance(found, str) or cores.client is None:
        return found
    return replace(found, client_cpu=found.client_cpu + (group_cpu(backend.pid) - before) / seconds)


def responses(work: SpeedWork, proxy: Running, seconds: float, cores: Cores) -> Measurement | str:
    """One run of wrk."""
    try:
        found = measure(proxy, work.path, max(1, round(seconds)), cores.client, connections=work.connections)
    except WrkFailed as error:
        return str(error)
    if wrong := found.errors or shortfall(found, work.size):
        return wrong
    # Bytes rather than whole responses: most of a hundred MiB may have come when the time is up.
    return replace(found, rate=found.rate * found.bytes_read / found.requests / MIB) if work.in_mib else found


def uploads(work: SpeedWork, proxy: Running, seconds: float, cores: Cores) -> Measurement | str:
    """One run of the client that sends."""
    what = [proxy.port, work.path, work.size, work.connections, seconds]
    command = [sys.executable, str(HERE / "uploader.py"), *map(str, what)]
    return run_client(proxy, command, seconds, cores, MIB)


def speed_table(work: SpeedWork, cells: Sequence[Cell]) -> str:
    """The proxies at one work, fastest first."""
    return counted_table(work.name, work.title, "MiB a second" if work.in_mib else "responses a second", cells)
