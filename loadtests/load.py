"""Two minutes of mixed load on one greenbas: `python loadtests/load.py [--seconds 120] [--users 200]`.

Exit code 0: everything within `thresholds.py`; 1: not; 2: void, the generator was the bottleneck.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cores import Cores, pinned
from probe import complaint
from process import HERE, Running, ServerFailed, environment, free_port, running, unwind_on_signals
from table import render
from thresholds import FAILED, PASSED, THRESHOLDS, VOID
from works import WORKS, write_files

JSON_WORK = next(work for work in WORKS if work.name == "json")
RESULTS = HERE / "results"
VERDICT = RESULTS / "load.json"
LOG = RESULTS / "load.log"
WORDS = {PASSED: "passed", FAILED: "failed", VOID: "void"}
SPAWN_SECONDS = 2  # until all users are there
GRACE_SECONDS = 60  # beyond the run: starting, stopping, writing the report
STOP_SECONDS = 12  # for requests under way at the end; more than the users' own patience


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server and locust, print the judgement; returns the exit code."""
    options = parse(arguments)
    unwind_on_signals()
    RESULTS.mkdir(parents=True, exist_ok=True)
    VERDICT.unlink(missing_ok=True)  # an old one must not pass for this run's
    try:
        return measure(options.users, options.seconds)
    except (ServerFailed, subprocess.TimeoutExpired) as error:
        print(f"load: {error}", file=sys.stderr)
        return FAILED


def measure(users: int, seconds: int) -> int:
    """One run; the server has to be well before and after it."""
    cores = Cores.pick()
    print(f"{users} users for {seconds} s; {cores}", flush=True)
    with tempfile.TemporaryDirectory(prefix="greenbas-load-") as folder:
        scratch = Path(folder)
        write_files(scratch / "static")
        port = free_port()
        command = server_command(port, scratch)
        with running("greenbas", command, port=port, scratch=scratch, core=cores.server) as server:
            check(server, "before the run")
            code = run_locust(port, users, seconds, scratch, cores)
            check(server, "after the run")
            if "Traceback" in server.log.read_text(errors="replace"):
                print(f"the server's log has a traceback:\n{server.log_tail(30)}")
                code = code or FAILED
    if not VERDICT.exists():
        print(f"load: locust left no verdict (exit code {code}): {LOG.read_text()[-2000:]}", file=sys.stderr)
        return code or FAILED
    print(report(json.loads(VERDICT.read_text())))
    return code


def server_command(port: int, scratch: Path) -> list[str]:
    """`greenbas serve` with the app under load and a folder of files."""
    what = ["loadapp:server", f"static={scratch / 'static'}"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--log", "none"]
    return [sys.executable, "-m", "greenbas", "serve", *what, *where]


def check(server: Running, when: str) -> None:
    """A server that does not answer rightly ends the run."""
    if wrong := complaint(server.port, JSON_WORK):
        raise ServerFailed(f"{server.name} {when}: {wrong}; {server.log_tail()}")


def run_locust(port: int, users: int, seconds: int, scratch: Path, cores: Cores) -> int:
    """Locust without its web page, reports into `results/`; returns its exit code."""
    command = [
        sys.executable, "-m", "locust", "--locustfile", str(HERE / "locustfile.py"), "--headless", "--only-summary",
        "--host", f"http://127.0.0.1:{port}", "--users", str(users), "--spawn-rate", str(users // SPAWN_SECONDS),
        "--run-time", f"{seconds}s", "--stop-timeout", str(STOP_SECONDS), "--loglevel", "WARNING",
        "--html", str(RESULTS / "load.html"), "--csv", str(RESULTS / "load"),
    ]  # fmt: skip
    surroundings = {**environment(), "LOAD_VERDICT": str(VERDICT)}
    # Locust's summary repeats what report() prints: into a file with it.
    with LOG.open("wb") as log:
        done = subprocess.run(
            pinned(cores.client, command),
            cwd=scratch,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=seconds + GRACE_SECONDS,
        )
    return done.returncode


def report(verdict: dict[str, Any]) -> str:
    """The table of request names, and the judgement."""
    run, seen = verdict["run"], verdict["requests"]
    allowed = {one.name: one.p95_ms for one in THRESHOLDS}
    rows = [
        [name, f"{one['requests']:,}", str(one["failures"]), f"{one['p95_ms']:.0f}", f"{allowed.get(name, 0):.0f}"]
        for name, one in seen.items()
    ]
    word = WORDS[verdict["code"]]
    lines = [
        render(["request", "count", "failed", "p95 ms", "allowed"], rows),
        f"generator: {run['generator_cpu']:.0%} of its core",
        *(f"! {line}" for line in verdict["complaints"]),
        f"{word}; report: {(RESULTS / 'load.html').relative_to(HERE.parent)}",
    ]
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Load one greenbas with mixed traffic and judge the outcome.")
    parser.add_argument("--seconds", type=int, default=120, help="length of the run (%(default)s)")
    parser.add_argument("--users", type=int, default=200, help="simultaneous users (%(default)s)")
    options = parser.parse_args(arguments)
    if not 5 <= options.seconds <= 3600:
        parser.error("--seconds is a number from 5 to 3600")
    if not 10 <= options.users <= 5000:
        parser.error("--users is a number from 10 to 5000: with fewer, some kinds of user are missing")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
