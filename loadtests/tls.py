"""TLS of greenbas against gevent's ssl: handshakes a second, and bytes. A part of bench.py."""

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

PEERS = ("greenbas", "gevent")
WARM_UP_SECONDS = 1
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
        for number in range(-1, rounds):
            for server in started:
                cell = cells[server.name]
                if cell.broken:
                    continue
                found = measure(work, server, WARM_UP_SECONDS if number < 0 else seconds, cert, cores)
                if isinstance(found, str):
                    cell.broken = found
                elif number >= 0:
                    cell.rounds.append(found)
    return list(cells.values())


@contextlib.contextmanager
def servers(cells: dict[str, Cell], cores: Cores) -> Iterator[tuple[list[Running], Path]]:
    """Those that run, and the certificate that all of them have."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenbas-tls-")))
        cert, key = make_certificate(scratch)
        started = []
        for name, cell in cells.items():
            port = free_port()
            command = [sys.executable, str(HERE / "apps" / "tlsecho.py"), name, str(port), str(cert), str(key)]
            try:
                started.append(
                    stack.enter_context(running(name, command, port=port, scratch=scratch, core=cores.server))
                )
            except ServerFailed as error:
                cell.broken = str(error)
        yield started, cert


def make_certificate(scratch: Path) -> tuple[Path, Path]:
    """A self-signed one, made in another process: what makes it is not imported here."""
    code = (
        "import sys; from greenbas.crypto import self_signed; cert, key = self_signed(['localhost']); "
        "open('cert.pem', 'w').write(cert); open('key.pem', 'w').write(key)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=scratch, env=environment(), check=True)
    return scratch / "cert.pem", scratch / "key.pem"


def measure(work: TlsWork, server: Running, seconds: int, cert: Path, cores: Cores) -> Measurement | str:
    """One run of the client against one server; what went wrong, as text."""
    command = [sys.executable, str(HERE / "tlsclient.py"), work.kind, str(server.port), str(cert), str(seconds)]
    before = group_cpu(server.pid)
    done = subprocess.run(
        pinned(cores.client, command), capture_output=True, text=True, timeout=seconds + 30, env=environment()
    )
    used = group_cpu(server.pid) - before
    if done.returncode:
        return f"the client failed: {done.stderr.strip()[-200:]}"
    found = json.loads(done.stdout)
    if found["errors"]:
        return f"the client saw {found['errors'][0]}; {server.log_tail(1)}".rstrip("; ")
    return result(found["count"] / work.unit, found["seconds"], used, found["cpu"])


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


def tls_table(work: TlsWork, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first."""
    header = ["a second", "median", "min", "max", "server CPU", "by CPU", "client CPU"]
    rows = [
        [
            cell.peer + (" ~" if cell.client_bound else ""),
            f"{median(cell.rates):,.0f}",
            f"{min(cell.rates):,.0f}",
            f"{max(cell.rates):,.0f}",
            f"{median(one.server_cpu for one in cell.rounds):.0%}",
            f"{median(cell.rates_per_cpu):,.0f}",
            f"{median(one.client_cpu for one in cell.rounds):.0%}",
        ]
        for cell in sorted((cell for cell in cells if cell.rounds), key=lambda cell: -median(cell.rates))
    ]
    errors = [f"! {cell.peer}: {cell.errors}" for cell in cells if cell.errors]
    return "\n".join([f"{work.name}: {work.title}", render(header, rows), *errors])
