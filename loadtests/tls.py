"""TLS of greenbas against gevent's ssl: handshakes a second, and bytes. A part of bench.py."""

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
from process import HERE, Running, environment
from score import Cell
from works import Goal
from wrk import Measurement

PEERS = ("greenbas", "gevent")
MIB = 1024 * 1024


@dataclass(frozen=True)
class TlsWork:
    """What is counted: `unit` of it are one."""

    name: str
    kind: str
    title: str
    unit: int = 1


TLS_WORKS = (
    TlsWork("tls-handshake", "handshake", "TLS 1.3 handshakes, P-256, none resumed"),
    TlsWork("tls-down", "down", "MiB from the server over TLS", MIB),
    TlsWork("tls-up", "up", "MiB to the server over TLS", MIB),
)
TLS_GOALS = (
    Goal("tls-handshake", "gevent", 0.9),
    Goal("tls-down", "gevent", 1.0),
    Goal("tls-up", "gevent", 0.9),
)


def measure_tls(work: TlsWork, rounds: int, seconds: int, cores: Cores) -> list[Cell]:
    """Both servers, in alternating rounds; a first short round is thrown away."""
    cells = {name: Cell(work.name, name) for name in PEERS}
    with servers(cells, cores) as (started, cert):
        alternate(cells, started, rounds, seconds, lambda server, long: measure(work, server, long, cert, cores))
    return list(cells.values())


@contextlib.contextmanager
def servers(cells: dict[str, Cell], cores: Cores) -> Iterator[tuple[list[Running], Path]]:
    """Those that run, and the certificate that all of them have."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenbas-tls-")))
        cert, key = make_certificate(scratch)
        program = str(HERE / "apps" / "tlsecho.py")

        def command(name: str, port: int) -> list[str]:
            return [sys.executable, program, name, str(port), str(cert), str(key)]

        yield stack.enter_context(all_running(cells, scratch, cores, command)), cert


def make_certificate(scratch: Path) -> tuple[Path, Path]:
    """A self-signed one, made in another process: what makes it is not imported here."""
    code = (
        "import sys; from greenbas.crypto import self_signed; cert, key = self_signed(['localhost']); "
        "open('cert.pem', 'w').write(cert); open('key.pem', 'w').write(key)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=scratch, env=environment(), check=True)
    return scratch / "cert.pem", scratch / "key.pem"


def measure(work: TlsWork, server: Running, seconds: float, cert: Path, cores: Cores) -> Measurement | str:
    """One run of the client against one server; what went wrong, as text."""
    command = [sys.executable, str(HERE / "tlsclient.py"), work.kind, str(server.port), str(cert), str(seconds)]
    return run_client(server, command, seconds, cores, work.unit)


def tls_table(work: TlsWork, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first."""
    return counted_table(work.name, work.title, "a second", cells)
