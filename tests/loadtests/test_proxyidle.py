"""Idle WebSockets through proxies: opened, held, checked, and what each takes."""

from __future__ import annotations

import resource
import socket
import sys
import threading
from pathlib import Path

import memory
import proxyidle
import proxypeers
import pytest
from cores import Cores
from process import Running, ServerFailed
from proxyidle import IdleWork, check, idle_table, measure_idle
from score import Cell
from support import need_command
from wrk import Measurement

ALONE = Cores(None, None)
REFUSING = """
import socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    try:
        listening.accept()[0].sendall(b"no\\r\\n\\r\\n")
    except OSError:
        pass  # whoever only looked is gone
"""
FEW = IdleWork("proxy-idle", "a few WebSockets", 5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxyidle, "WARM_UP", 2)
    monkeypatch.setattr(memory, "SETTLE_POLL_SECONDS", 0.01)


def test_all_proxies_hold_them() -> None:
    need_command("nginx")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    cells = measure_idle(FEW, 1, ALONE)
    assert [cell.peer for cell in cells] == ["greenbas", "nginx", "haproxy"]
    assert [cell.errors for cell in cells] == ["", "", ""]
    assert all(len(cell.rounds) == 1 and cell.rates[0] > 0 for cell in cells if not cell.absent)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_no_more_rounds_than_are_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxyidle, "memory_each", lambda proxy, count: 2.0)
    monkeypatch.setattr(proxypeers, "PROXIES", {"any": proxypeers.Proxy("any", listening, lambda: sys.executable)})
    (cell,) = measure_idle(FEW, 50, ALONE)
    assert cell.rates == [512.0] * proxyidle.MOST_ROUNDS


def listening(scratch: Path, port: int, backend: int) -> list[str]:
    """A proxy that opens no WebSocket."""
    return [sys.executable, "-c", REFUSING, str(port)]


def test_who_opens_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxypeers, "PROXIES", {"any": proxypeers.Proxy("any", listening, lambda: sys.executable)})
    (cell,) = measure_idle(FEW, 1, ALONE)
    assert cell.errors == r"no WebSocket through any: b'no\r\n\r\n'"


def test_too_few_descriptors_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idle.resource.getrlimit", lambda kind: (100, 150))
    assert all("RLIMIT_NOFILE" in cell.errors for cell in measure_idle(FEW, 1, ALONE))


def test_closed_and_wrong_ones_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    proxy = Running("any", 1, 1, tmp_path / "log")
    near, far = socket.socketpair()
    gone, other = socket.socketpair()
    with near, far, gone:
        other.close()
        with pytest.raises(ServerFailed, match="any closed 1 of 2 WebSockets"):
            check(proxy, [near, gone])
        peer = threading.Thread(target=answer_wrongly, args=(far,))
        peer.start()
        with pytest.raises(ServerFailed, match="HELLO"):
            check(proxy, [near])
        peer.join()


def answer_wrongly(sock: socket.socket) -> None:
    """In capitals."""
    sock.recv(100)
    sock.sendall(b"\x81\x05HELLO")


def test_the_table() -> None:
    def cell(peer: str, *kibs: float) -> Cell:
        return Cell("proxy-idle", peer, [Measurement(1024 / kib, 5, 0, 0.0, 0.0, "") for kib in kibs])

    cells = [cell("nginx", 18, 17, 19), cell("greenbas", 3, 2, 2.5), Cell("proxy-idle", "haproxy", broken="no luck")]
    lines = idle_table(FEW, cells).splitlines()
    assert lines[0] == "proxy-idle: a few WebSockets"
    assert [line.split() for line in lines[3:5]] == [
        ["greenbas", "2.5", "2.0", "3.0"],
        ["nginx", "18.0", "17.0", "19.0"],
    ]
    assert lines[5] == "! haproxy: no luck"
