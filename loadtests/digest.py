"""What a login by digest costs in each request, without a cookie: a directory with it and without. Part of bench.py.

Both get the same requests; the one without takes no notice of the digests.

Programs ask so: curl --digest, requests' HTTPDigestAuth. Browsers keep the cookie of their session, and are the work
"login".
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cores import Cores
from counted import all_running, alternate, counted_table, run_client
from peers import serve_app
from process import HERE, Running
from score import Cell
from works import Goal
from wrk import Measurement

__all__ = ["DIGEST_GOALS", "DIGEST_WORKS", "DigestWork", "digest_table", "measure_digest"]

APPS = {"greenbas": "logins:server", "handler": "logins:plain"}


@dataclass(frozen=True)
class DigestWork:
    """One path that is asked for again and again."""

    name: str
    title: str
    path: str


DIGEST_WORKS = (
    DigestWork("digest", "requests with a digest each, to a directory with a login and to one without", "/private/"),
)
DIGEST_GOALS = (Goal("digest", "handler", 0.5),)


def measure_digest(work: DigestWork, rounds: int, seconds: int, cores: Cores) -> list[Cell]:
    """Both servers, in alternating rounds; a first short round is thrown away."""
    cells = {name: Cell(work.name, name) for name in APPS}
    with servers(cells, cores) as started:
        alternate(cells, started, rounds, seconds, lambda server, long: measure(work, server, long, cores))
    return list(cells.values())


@contextlib.contextmanager
def servers(cells: dict[str, Cell], cores: Cores) -> Iterator[list[Running]]:
    """Those that run."""
    with (
        tempfile.TemporaryDirectory(prefix="greenbas-digest-") as scratch,
        all_running(cells, Path(scratch), cores, lambda name, port: serve_app(APPS[name], port)) as started,
    ):
        yield started


def measure(work: DigestWork, server: Running, seconds: float, cores: Cores) -> Measurement | str:
    """One run of the client against one server; what went wrong, as text."""
    command = [sys.executable, str(HERE / "digestclient.py"), str(server.port), work.path, str(seconds)]
    return run_client(server, command, seconds, cores)


def digest_table(work: DigestWork, cells: Sequence[Cell]) -> str:
    """Both servers, the faster one first."""
    return counted_table(work.name, work.title, "requests/s", cells)
