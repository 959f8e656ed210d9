"""A server that the harness starts and certainly ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cores import pinned

HERE = Path(__file__).resolve().parent
START_SECONDS = 20.0  # the slowest peer needs about 2 on a busy machine
STOP_SECONDS = 3.0  # between SIGTERM and SIGKILL; an idle server has nothing to finish
POLL_SECONDS = 0.02
# Settings of the peers may come from the environment as well; a benchmark shall not depend on the caller's shell.
SETTING_PREFIXES = ("GRANIAN_", "UVICORN_", "GUNICORN_", "GREENBAS_", "GEVENT_", "LOCUST_", "WEB_CONCURRENCY", "PYTHON")


class ServerFailed(Exception):
    """The server ended or did not listen in time; the message has the end of its log."""


@dataclass(frozen=True)
class Running:
    """One started server."""

    name: str
    port: int
    pid: int
    log: Path

    def log_tail(self, lines: int = 8) -> str:
        """The last lines the server wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def running(name: str, command: Sequence[str], *, port: int, scratch: Path, core: int | None) -> Iterator[Running]:
    """Start a server in a process group of its own, wait until it listens, and end the whole group at the end."""
    log = scratch / f"{name}-{port}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            pinned(core, command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env=environment(),
            start_new_session=True,
        )
    server = Running(name, port, process.pid, log)
    try:
        wait_listening(server, process)
        yield server
    finally:
        end_group(process)


def environment() -> dict[str, str]:
    """The caller's environment without settings of servers, with the apps and greenbas importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTING_PREFIXES)}
    kept["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE / "apps"), str(HERE.parent)])
    return kept


def wait_listening(server: Running, process: subprocess.Popen[bytes]) -> None:
    """Return when a connection is accepted; raise `ServerFailed` when the process ends or takes too long."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerFailed(f"{server.name} ended with {process.returncode}: {server.log_tail()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        time.sleep(POLL_SECONDS)
    raise ServerFailed(f"{server.name} did not listen within {START_SECONDS:.0f} s: {server.log_tail()}")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL to whatever is left of the group, its leader reaped."""
    try:
        signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:
        # Also after a polite end: workers may outlive the leader.
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def group_cpu(group: int) -> float:
    """Seconds of CPU that all processes of a group have used so far: a server may be a master and its workers."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            # After the name, which may hold anything: state, parent, group, ..., and utime, stime at 11 and 12.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now, below those that the system gives by itself."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def unwind_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that every `finally` runs.

    Ctrl-C itself as well: a shell starts what runs in its background with SIGINT ignored.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
