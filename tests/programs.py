"""Runs a Python program in a process of its own, for what cannot be tested in the patched process of the tests."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from launch import ROOT

PROGRAM_SECONDS = 20.0  # hard: the program is killed and the test fails


def run_program(source: str, *, descriptors: int | None = None, seconds: float = PROGRAM_SECONDS) -> str:
    """Run a script; the test fails when it does not end in time with exit code 0.

    Args:
        source: the program's text; an indented block is fine.
        descriptors: the most that it may open.
        seconds: how long it may take.

    Returns:
        What it printed.
    """
    text = textwrap.dedent(source)
    if descriptors is not None:
        limit = f"resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))"
        text = f"import resource; {limit}\n{text}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        said = b"".join(part for part in (error.stdout, error.stderr) if isinstance(part, bytes))
        raise AssertionError(f"the program did not end in {seconds:g} s; it said:\n{said.decode()}") from None
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
