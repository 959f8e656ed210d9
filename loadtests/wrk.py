"""wrk: one run of it, and what it prints."""

from __future__ import annotations

import re
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from browser import HEADERS
from cores import pinned
from process import Running, group_cpu

CONNECTIONS = 64
TIMEOUT_SECONDS = 5
GRACE_SECONDS = 30.0  # beyond its own duration; then wrk hangs and is killed

MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}


class WrkFailed(Exception):
    """wrk did not run, or printed something unknown."""


@dataclass(frozen=True)
class Measurement:
    """One run of wrk."""

    rate: float  # requests/s
    requests: int
    bytes_read: int
    p50_ms: float
    p99_ms: float
    errors: str  # "" when there were none
    client_cpu: float = 0.0  # share of one core that wrk used
    server_cpu: float = 0.0  # the same of the server

    @property
    def rate_per_cpu(self) -> float:
        """Requests the server answers in a second of its CPU time: what counts when wrk is the slower one."""
        return self.rate / self.server_cpu if self.server_cpu > 0 else 0.0


def command(url: str, seconds: int, more: Sequence[tuple[str, str]] = (), connections: int = CONNECTIONS) -> list[str]:
    """One thread, kept connections, the head of a browser, and more headers."""
    headers = [part for name, value in (*HEADERS, *more) for part in ("-H", f"{name}: {value}")]
    length = [f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s"]
    return ["wrk", "-t1", f"-c{connections}", *length, "--latency", *headers, url]


def measure(
    server: Running,
    path: str,
    seconds: int,
    core: int | None,
    headers: Sequence[tuple[str, str]] = (),
    connections: int = CONNECTIONS,
) -> Measurement:
    """Run wrk once. Nothing else may be waited for meanwhile: its CPU time is read from that of all ended children."""
    client, group, started = children_cpu(), group_cpu(server.pid), time.monotonic()
    line = command(f"http://127.0.0.1:{server.port}{path}", seconds, headers, connections)
    output = run(pinned(core, line), seconds + GRACE_SECONDS)
    wall = time.monotonic() - started
    return parse(output, client_cpu=(children_cpu() - client) / wall, server_cpu=(group_cpu(server.pid) - group) / wall)


def run(arguments: Sequence[str], seconds: float) -> str:
    """What wrk printed; `subprocess.run` kills it on any way out."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=seconds)
    except FileNotFoundError as error:
        raise WrkFailed("wrk is not installed (Debian: apt install wrk)") from error
    except subprocess.TimeoutExpired as error:
        raise WrkFailed(f"wrk did not end within {seconds:.0f} s") from error
    if done.returncode != 0:
        raise WrkFailed(f"wrk ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def children_cpu() -> float:
    """Seconds of CPU used by all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def parse(output: str, *, client_cpu: float = 0.0, server_cpu: float = 0.0) -> Measurement:
    """Read wrk's report. Raises `WrkFailed` for anything that is not one."""
    total = re.search(r"(\d+) requests in \S+, ([\d.]+)([KMGT]?B) read", output)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", output, re.MULTILINE)
    if total is None or rate is None:
        raise WrkFailed(f"not a report of wrk: {output!r}")
    return Measurement(
        rate=float(rate[1]),
        requests=int(total[1]),
        bytes_read=int(float(total[2]) * BYTES[total[3]]),
        p50_ms=percentile(output, 50),
        p99_ms=percentile(output, 99),
        errors=errors(output),
        client_cpu=client_cpu,
        server_cpu=server_cpu,
    )


def percentile(output: str, percent: int) -> float:
    """One line of the latency distribution, in milliseconds."""
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m|h) *$", output, re.MULTILINE)  # wrk pads seconds
    if found is None:
        raise WrkFailed(f"no {percent} % line in: {output!r}")
    return float(found[1]) * MS[found[2]]


def errors(output: str) -> str:
    """The lines that wrk prints only when something went wrong."""
    found = re.findall(r"^\s*((?:Socket errors|Non-2xx or 3xx responses): .*?)\s*$", output, re.MULTILINE)
    return "; ".join(found)


def shortfall(measurement: Measurement, body_length: int) -> str:
    """ "" or a complaint when fewer bytes came than the bodies alone have: somebody answers short.

    wrk rounds what it read to two digits, and counts responses it has only begun to read: a tenth of slack.
    """
    if measurement.requests == 0:
        return "no request was answered"
    each = measurement.bytes_read / measurement.requests
    if each < 0.9 * body_length:
        return f"only {each:.0f} bytes a response, the body has {body_length}"
    return ""
