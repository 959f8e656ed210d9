"""Starts the `greenbas` command in a process of its own, as a user does."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
LOWEST_PORT = 20000  # of those that `free_port` gives
START_SECONDS = 20.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, and that the system gives nobody by itself.

    One that the system chooses may be somebody's a moment later: every connection and every port 0 takes one of those.
    """
    while True:
        port = LOWEST_PORT + secrets.randbelow(_ephemeral_ports() - LOWEST_PORT)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def _ephemeral_ports() -> int:
    """Where the ports begin that the system chooses."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32768
    return max(lowest, LOWEST_PORT + 1000)


@contextlib.contextmanager
def launched(app: str, *options: str) -> Iterator[str]:
    """``greenbas serve app`` in the project's folder; yields the URL of its root, without the last slash.

    The process gets SIGTERM at the end, and has to be gone within STOP_SECONDS with exit code 0.
    """
    command = [sys.executable, "-m", "greenbas", "serve", app, "--port", "0", *options]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield wait_for_address(process, log)
            process.terminate()
            code = process.wait(STOP_SECONDS)
            assert code == 0, f"exit code {code}"
        except BaseException as error:
            log.seek(0)
            error.add_note(f"{' '.join(command[1:])} said:\n{log.read()}")
            raise
        finally:
            process.kill()
            process.wait()


def wait_for_address(process: subprocess.Popen[bytes], log: TextIO) -> str:
    """The address that a server prints once it listens; by a port of the system's choice nobody gets in its way."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        log.seek(0)
        if found := re.search(r"^greenbas serves (http://\S+)/$", log.read(), re.MULTILINE):
            return found[1]
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no address printed after {START_SECONDS:g} s")
        time.sleep(0.02)


def wait_for_listener(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once the port is open."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with exit code {process.returncode}") from None
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on port {port} after {START_SECONDS:g} s") from None
            time.sleep(0.02)
