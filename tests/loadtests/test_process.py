"""Servers are started, watched and ended; the server here is python's own http.server."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from cores import Cores, pinned
from process import ServerFailed, environment, free_port, group_cpu, running

HTTP = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
# A worker that ignores SIGTERM, as a child of the server: only the group's SIGKILL ends it.
STUBBORN = """
import os, signal, socket, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("worker", "w").write(str(os.getpid()))
    time.sleep(60)
while not os.path.exists("worker"):
    time.sleep(0.01)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)
"""


def gone(pid: int) -> bool:
    """Whether a process has ended within a second; a zombie that nobody reaps has."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_ended_on_leaving(tmp_path: Path) -> None:
    port = free_port()
    with running("http", [*HTTP, str(port)], port=port, scratch=tmp_path, core=None) as server:
        assert os.getpgid(server.pid) == server.pid
        assert group_cpu(server.pid) > 0
    assert gone(server.pid)


def test_ended_on_interrupt(tmp_path: Path) -> None:
    port = free_port()
    started = running("http", [*HTTP, str(port)], port=port, scratch=tmp_path, core=None)
    with pytest.raises(KeyboardInterrupt), started as server:
        raise KeyboardInterrupt
    assert gone(server.pid)


def test_workers_are_ended_as_well(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", STUBBORN, str(port)]
    with running("stubborn", command, port=port, scratch=tmp_path, core=None):
        worker = int((tmp_path / "worker").read_text())
    assert gone(worker)


def test_a_server_that_ends_is_reported_with_its_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such setting')"]
    started = running("bad", command, port=free_port(), scratch=tmp_path, core=None)
    with pytest.raises(ServerFailed, match="bad ended with 1: no such setting"), started:
        pass


def test_environment_is_free_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANIAN_WORKERS", "7")
    monkeypatch.setenv("WEB_CONCURRENCY", "7")
    assert not {"GRANIAN_WORKERS", "WEB_CONCURRENCY"} & set(environment())
    assert str(Path("loadtests") / "apps") in environment()["PYTHONPATH"]


@pytest.mark.parametrize(("usable", "text"), [({3}, "not pinned"), ({4, 2, 7}, "server on core 2, client on core 4")])
def test_cores(monkeypatch: pytest.MonkeyPatch, usable: set[int], text: str) -> None:
    monkeypatch.setattr("cores.os.sched_getaffinity", lambda pid: usable)
    monkeypatch.setattr("cores.shutil.which", lambda name: f"/bin/{name}")
    assert str(Cores.pick()).startswith(text)


def test_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cores.shutil.which", lambda name: None)
    assert pinned(None, ["a", "b"]) == ["a", "b"]
    assert pinned(1, ["a", "b"]) == ["taskset", "-c", "1", "a", "b"]
