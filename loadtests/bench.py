"""greenbas against its peers: `python loadtests/bench.py`. How to read the numbers: README.md beside this file."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cores import Cores
from digest import DIGEST_GOALS, DIGEST_WORKS, DigestWork, digest_table, measure_digest
from peers import BY_NAME, PEERS, Peer, Place
from probe import complaint
from process import HERE, Running, ServerFailed, free_port, running, unwind_on_signals
from proxy import PROXY_GOALS, PROXY_WORKS, ProxyWork, measure_proxy, proxy_table
from score import SUBJECT, Cell, Ratio, exit_code, ratios
from sockets import SOCKET_GOALS, SOCKET_WORKS, SocketWork, measure_sockets, sockets_table
from table import ratio_table, work_table
from tls import TLS_GOALS, TLS_WORKS, TlsWork, measure_tls, tls_table
from works import GOALS, WORKS, Work, write_files
from wrk import WrkFailed, measure, shortfall
from wsecho import WS_GOALS, WS_WORKS, WsWork, measure_ws, ws_table

WARM_UP_SECONDS = 1
MOST_ROUNDS = 50
MOST_SECONDS = 60
# Works with clients or servers of their own: their class, what measures them, and what writes their table.
PARTS: tuple[tuple[Any, Callable[..., list[Cell]], Callable[..., str]], ...] = (
    (TlsWork, measure_tls, tls_table),
    (DigestWork, measure_digest, digest_table),
    (WsWork, measure_ws, ws_table),
    (SocketWork, measure_sockets, sockets_table),
    (ProxyWork, measure_proxy, proxy_table),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the results; returns the exit code."""
    options = parse(arguments)
    unwind_on_signals()
    cores = Cores.pick()
    print(f"{cores}; {options.rounds} rounds of {options.seconds} s")
    missing = {peer.name: peer.missing() or "" for peer in options.only}
    cells: list[Cell] = []
    for work in options.work:
        found, text = measured(work, missing, cores, options)
        cells += found
        print(f"\n{text}", flush=True)
    compared = ratios(cells, (*GOALS, *DIGEST_GOALS, *TLS_GOALS, *WS_GOALS, *SOCKET_GOALS, *PROXY_GOALS))
    print(f"\n{ratio_table(compared)}")
    write_results(options.json, cells, compared, cores, options)
    return exit_code(cells, compared, strict=options.strict)


def measured(work: Any, missing: dict[str, str], cores: Cores, options: argparse.Namespace) -> tuple[list[Cell], str]:
    """One work, of whatever class, and its table."""
    for kind, measure_part, part_table in PARTS:
        if isinstance(work, kind):
            found = measure_part(work, options.rounds, options.seconds, cores)
            return found, part_table(work, found)
    peers = [peer for peer in options.only if work.kind in peer.kinds]
    found = measure_work(work, peers, missing, cores, options)
    return found, work_table(work, found)


def measure_work(
    work: Work, peers: Sequence[Peer], missing: dict[str, str], cores: Cores, options: argparse.Namespace
) -> list[Cell]:
    """All peers at one work, in alternating rounds, so that a slow minute of the machine hits everyone."""
    cells = {peer.name: Cell(work.name, peer.name) for peer in peers}
    with started(work, peers, missing, cells, cores) as servers:
        for number in range(-1, options.rounds):
            for server in servers:
                seconds = WARM_UP_SECONDS if number < 0 else options.seconds
                measure_once(cells[server.name], server, work, seconds, cores, keep=number >= 0)
    return list(cells.values())


@contextlib.contextmanager
def started(
    work: Work, peers: Sequence[Peer], missing: dict[str, str], cells: dict[str, Cell], cores: Cores
) -> Iterator[list[Running]]:
    """The servers that run and answer rightly; what is wrong with the others is noted in their cells."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenbas-bench-")))
        scratch.chmod(0o755)  # nginx started by root reads it as somebody else
        write_files(scratch / "static")
        servers = []
        for peer in peers:
            cell = cells[peer.name]
            if missing[peer.name]:
                note_missing(cell, missing[peer.name])
                continue
            try:
                place = Place(free_port(), scratch, work.kind)
                server = stack.enter_context(
                    running(peer.name, peer.command(place), port=place.port, scratch=scratch, core=cores.server)
                )
            except ServerFailed as error:
                cell.broken = str(error)
                continue
            if wrong := complaint(server.port, work):
                cell.broken = f"{wrong}; {server.log_tail(1)}".rstrip("; ")
            else:
                servers.append(server)
        yield servers


def note_missing(cell: Cell, reason: str) -> None:
    """A peer that is not there is reported; without greenbas itself there is nothing to report about."""
    if cell.peer == SUBJECT:
        cell.broken = reason
    else:
        cell.absent = reason


def measure_once(cell: Cell, server: Running, work: Work, seconds: int, cores: Cores, *, keep: bool) -> None:
    """One run of wrk against one server."""
    if cell.broken:
        return
    try:
        found = measure(server, work.path, seconds, cores.client, work.headers)
    except WrkFailed as error:
        cell.broken = str(error)
        return
    cell.broken = shortfall(found, len(work.expected))
    if keep:
        cell.rounds.append(found)


def write_results(
    path: Path, cells: Sequence[Cell], compared: Sequence[Ratio], cores: Cores, options: argparse.Namespace
) -> None:
    """Everything measured, as JSON."""
    result: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": str(cores),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": {peer.name: version(peer) for peer in options.only if peer.distribution},
        "cells": [cell.as_json() for cell in cells],
        "ratios": [one.as_json() for one in compared],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def version(peer: Peer) -> str | None:
    """The installed version of a peer."""
    try:
        return importlib.metadata.version(peer.distribution or peer.name)
    except importlib.metadata.PackageNotFoundError:
        return None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare greenbas with its peers by wrk.")
    parser.add_argument("--rounds", type=bounded(MOST_ROUNDS), default=5, help="alternating rounds (%(default)s)")
    parser.add_argument("--seconds", type=bounded(MOST_SECONDS), default=3, help="length of one run (%(default)s)")
    parser.add_argument("--only", type=names(BY_NAME), default=list(PEERS), metavar="NAME,...", help=listed(BY_NAME))
    works = {work.name: work for work in (*WORKS, *DIGEST_WORKS, *TLS_WORKS, *WS_WORKS, *SOCKET_WORKS, *PROXY_WORKS)}
    every = list(works.values())
    parser.add_argument("--work", type=names(works), default=every, metavar="NAME,...", help=listed(works))
    parser.add_argument("--json", type=Path, default=HERE / "results" / "bench.json", help="where the results go")
    parser.add_argument("--strict", action="store_true", help="a missed goal is an error")
    return parser.parse_args(arguments)


def bounded(most: int) -> Any:
    """An argparse type: a whole number from 1 to `most`."""

    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between 1 and {most}")
        return value

    return number


def names(known: dict[str, Any]) -> Any:
    """An argparse type: some of the known things, in their usual order."""

    def chosen(text: str) -> list[Any]:
        wanted = {name.strip() for name in text.split(",") if name.strip()}
        if unknown := wanted - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {listed(sorted(unknown))}; there are {listed(known)}")
        return [value for name, value in known.items() if name in wanted]

    return chosen


def listed(known: Any) -> str:
    """Names with commas."""
    return ", ".join(known)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
