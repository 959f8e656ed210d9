"""Runs all tests, a few pytest processes at a time: `python tests/run.py`.

pytest-xdist does not work under gevent. So the test files are dealt out in groups, the largest first, and each free
process takes the next group. What a group prints is shown when it has ended; the exit code is 1 when one has failed.

With arguments it is plain pytest in this process: `python tests/run.py tests/net -k echo`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
# Two, or one on a single core: more would only make the tests with real browsers and servers wait for each other.
PROCESSES = min(2, os.cpu_count() or 1)
GROUP_BYTES = 150_000  # of test files in a group, about: a process takes a second to start, and the last runs alone
SLOW = {"browser": 8}  # folders whose tests take so many times as long as others of their size
POLL = 0.05  # seconds between looks
SUMMARY = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed|deselected)")


@dataclass
class Run:
    """One pytest process."""

    files: list[str]
    process: subprocess.Popen[bytes]
    output: IO[str]
    started: float = field(default_factory=time.monotonic)


def groups(folder: Path, most: int = GROUP_BYTES) -> list[list[str]]:
    """The test files below a folder in groups of about the same size, the largest first; a folder's stay together."""
    found: list[tuple[int, list[str]]] = []
    for directory in sorted({path.parent for path in folder.rglob("test_*.py")}):
        size, files = 0, list[str]()
        for path in sorted(directory.glob("test_*.py")):
            files.append(str(path.relative_to(ROOT)))
            size += path.stat().st_size * SLOW.get(directory.name, 1)
            if size >= most:
                found.append((size, files))
                size, files = 0, []
        if files:
            found.append((size, files))
    return [files for _, files in sorted(found, reverse=True)]


def start(files: list[str]) -> Run:
    """Begin with a group; its output goes to a file."""
    output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - `show` closes it
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *files]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    return Run(files, process, output)


def ended(waiting: list[list[str]]) -> Iterator[Run]:
    """All groups, each when it has ended."""
    running: list[Run] = []
    try:
        while waiting or running:
            while waiting and len(running) < PROCESSES:
                running.append(start(waiting.pop(0)))
            done = [run for run in running if run.process.poll() is not None]
            for run in done:
                running.remove(run)
                yield run
            if not done:
                time.sleep(POLL)
    finally:
        for run in running:  # after Ctrl-C
            run.process.kill()
            run.process.wait()


def show(run: Run) -> Counter[str]:
    """Print what a group has said, without the dots where all is well; returns how many passed, failed and so on."""
    run.output.seek(0)
    text = run.output.read()
    run.output.close()
    last = text.rstrip().rpartition("\n")[2]
    counts = Counter({"error" if what == "errors" else what: int(number) for number, what in SUMMARY.findall(last)})
    where = run.files[0] if len(run.files) == 1 else f"{Path(run.files[0]).parent} ({len(run.files)} files)"
    print(f"{where}: {last.strip('= ')}", flush=True)
    if run.process.returncode:
        print(text, flush=True)
    return counts


def main(arguments: list[str]) -> int:
    """Run all tests, or pytest with arguments; returns the exit code."""
    if arguments:
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])
    began = time.monotonic()
    total: Counter[str] = Counter()
    failed: list[Run] = []
    for run in ended(groups(ROOT / "tests")):
        total += show(run)
        if run.process.returncode:
            failed.append(run)
    counts = ", ".join(f"{number} {what}" for what, number in sorted(total.items()))
    print(f"\nAll tests: {counts} in {(time.monotonic() - began) / 60:.1f} minutes")
    for run in failed:
        print(f"failed, exit code {run.process.returncode}: {' '.join(run.files)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
