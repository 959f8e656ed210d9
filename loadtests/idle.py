"""What an idle keep-alive connection costs: `python loadtests/idle.py [--connections N] [--peer NAME]`.

Opens the connections, one request on each, waits until the server's memory has settled, and divides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from cores import Cores
from holder import Holder, HolderFailed
from peers import BY_NAME, Place
from probe import ask_fresh, complaint
from process import HERE, Running, ServerFailed, free_port, running, unwind_on_signals
from works import WORKS, Work, write_files

HELLO = next(work for work in WORKS if work.name == "hello")
CHOICES = ("greenbas", "pywsgi")  # one process each, so that one RSS is the whole server
GOAL_KIB = 3.0
SPARE_DESCRIPTORS = 200  # the server's listener, epoll, log, modules; the client's own
SERVER_SHARE = 0.9  # greenbas takes connections up to this part of its descriptor limit
FRESH_REQUESTS = 51
SETTLE_SECONDS = 30.0
POLL_SECONDS = 0.2
STILL_KIB = 64  # less growth than this over three polls is settled
IDLE_TIMEOUT = 600  # beyond the run: nobody's time-out may close what is being counted


@dataclass(frozen=True)
class Idle:
    """The result."""

    peer: str
    connections: int
    rss_before_kib: int
    rss_after_kib: int
    kib_each: float
    fresh_ms_before: float
    fresh_ms_after: float


class LimitTooLow(Exception):
    """This machine does not allow that many descriptors."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the result; returns the exit code."""
    options = parse(arguments)
    unwind_on_signals()
    try:
        raise_limit(options.connections)
        found = measure(options.peer, options.connections)
    except (LimitTooLow, ServerFailed, HolderFailed) as error:
        print(f"idle: {error}", file=sys.stderr)
        return 1
    print(report(found))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(found), indent=2) + "\n")
    return int(options.strict and found.kib_each > GOAL_KIB)


def measure(peer: str, connections: int) -> Idle:
    """Start the server, hold the connections, compare its memory before and after."""
    cores = Cores.pick()
    print(f"{peer}: {connections:,} connections; {cores}", flush=True)
    with tempfile.TemporaryDirectory(prefix="greenbas-idle-") as folder:
        scratch = Path(folder)
        write_files(scratch / "static")
        port = free_port()
        with running(peer, command(peer, port, scratch), port=port, scratch=scratch, core=cores.server) as server:
            check(server, HELLO)
            # What the first requests bring into memory for good belongs to no connection.
            with Holder(port, HELLO.path, 64, cores.client):
                pass
            fresh_before = fresh_ms(server)
            before = settled_rss_kib(server.pid)
            with Holder(port, HELLO.path, connections, cores.client) as holder:
                after = settled_rss_kib(server.pid)
                fresh_after = fresh_ms(server)
                holder.check_all_open()
    return Idle(peer, connections, before, after, (after - before) / connections, fresh_before, fresh_after)


def command(peer: str, port: int, scratch: Path) -> list[str]:
    """The server's command, its idle time-out out of the way."""
    found = BY_NAME[peer].command(Place(port, scratch, "handler"))
    return [*found, "--set", f"idle_timeout={IDLE_TIMEOUT}"] if peer == "greenbas" else found


def check(server: Running, work: Work) -> None:
    """The answers have to be right and the connections kept before anything is counted."""
    if wrong := complaint(server.port, work):
        raise ServerFailed(f"{server.name}: {wrong}")


def raise_limit(connections: int) -> None:
    """Raise this process's descriptor limit, which the server and the client inherit, as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = int(connections / SERVER_SHARE) + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < enough:
        most = int((hard - SPARE_DESCRIPTORS) * SERVER_SHARE)
        raise LimitTooLow(
            f"{connections} connections need a descriptor limit (RLIMIT_NOFILE) of {enough}; the hard limit here is "
            f"{hard}, enough for --connections {most}"
        )
    # Not to infinity: some programs walk over all descriptors they might have.
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough) if hard == resource.RLIM_INFINITY else hard, hard))


def settled_rss_kib(pid: int) -> int:
    """The resident memory once it has stopped to grow."""
    seen = [rss_kib(pid)]
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        seen.append(rss_kib(pid))
        if len(seen) > 3 and max(seen[-4:]) - min(seen[-4:]) < STILL_KIB:
            return seen[-1]
    raise ServerFailed(f"its memory did not settle within {SETTLE_SECONDS:.0f} s: {seen[-4:]} KiB")


def rss_kib(pid: int) -> int:
    """Resident memory from /proc/PID/statm, whose second field counts pages."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError) as error:
        raise ServerFailed("the server has ended") from error
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def fresh_ms(server: Running) -> float:
    """The median time of a request on a new connection, in milliseconds."""
    return median(ask_fresh(server.port, HELLO.path).seconds for _ in range(FRESH_REQUESTS)) * 1000


def report(found: Idle) -> str:
    """The result in words."""
    verdict = "met" if found.kib_each <= GOAL_KIB else "missed"
    goal = f" (goal {GOAL_KIB:.0f}: {verdict})" if found.peer == "greenbas" else ""
    lines = [
        f"  {found.kib_each:.2f} KiB of server memory a connection{goal}",
        f"  RSS {found.rss_before_kib / 1024:.1f} MiB before, {found.rss_after_kib / 1024:.1f} MiB after",
        f"  request on a fresh connection {found.fresh_ms_before:.2f} ms before, {found.fresh_ms_after:.2f} ms after",
    ]
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure the memory of idle keep-alive connections.")
    parser.add_argument("--connections", type=int, default=15_000, help="how many (%(default)s)")
    parser.add_argument("--peer", choices=CHOICES, default="greenbas", help="the server (%(default)s)")
    parser.add_argument("--json", type=Path, help="where the result goes (loadtests/results/idle-PEER.json)")
    parser.add_argument("--strict", action="store_true", help="a missed goal is an error")
    options = parser.parse_args(arguments)
    if not 1 <= options.connections <= 200_000:
        parser.error("--connections is a number from 1 to 200000")
    options.json = options.json or HERE / "results" / f"idle-{options.peer}.json"
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
