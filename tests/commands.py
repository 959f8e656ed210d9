"""Runs commands in a folder of their own, as a user does: to their end, or as servers that are stopped again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from launch import ROOT, START_SECONDS

GREENBAS = [sys.executable, "-m", "greenbas"]
END_SECONDS = 20.0  # hard: the command is killed and the test fails


def environment() -> dict[str, str]:
    """That of the tests, in which greenbas is found from any folder."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def fill(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files, by path below the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def finished(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


class Running:
    """A server in a process of its own.

    Attributes:
        port: of the first address that it printed.
    """

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err
        self.port = self._wait_for_port()

    @property
    def out(self) -> str:
        """What it has printed."""
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        """What it has said on standard error."""
        return self._err.read_text("utf-8")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def code(self, timeout: float = END_SECONDS) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(timeout)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; returns the exit code."""
        self.send(number)
        return self.code()

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"greenbas serves http://\S+:(\d+)/\n", self.out)):
            if self.process.poll() is not None:
                raise RuntimeError(f"exit code {self.process.returncode}, said:\n{self.out}{self.err}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no address after {START_SECONDS:g} s, said:\n{self.out}{self.err}")
            time.sleep(0.01)
        return int(found[1])


@contextlib.contextmanager
def running(folder: Path, command: list[str]) -> Iterator[Running]:
    """Start a server; it has printed its address. What it said is added to whatever fails in the block."""
    with tempfile.TemporaryDirectory() as logs:
        out, err = Path(logs) / "out", Path(logs) / "err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )
        try:
            yield Running(process, out, err)
        except BaseException as error:
            error.add_note(f"{' '.join(command)} said:\n{out.read_text('utf-8')}{err.read_text('utf-8')}")
            raise
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def working_in(folder: Path, files: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in a folder with these files; modules that are imported meanwhile are forgotten."""
    fill(folder, files)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and error output of a command that ends by itself, run in this process."""
    from greenbas import cli

    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    code = caught.value.code
    if isinstance(code, str):  # Python prints it, and exits with 1
        return 1, out, f"{err}{code}\n"
    return int(code or 0), out, err
