"""The programs in C do what they should, and the servers of the socket benchmark answer them."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import counted
import pytest
import sockets
from cores import Cores
from process import free_port, running
from sockets import SOCKET_WORKS, BuildFailed, built, measure_sockets, sockets_table

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, which is not installed")


@needs_compiler
@pytest.mark.parametrize("work", SOCKET_WORKS, ids=lambda work: work.name)
def test_all_servers_answer(work: sockets.SocketWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "WARM_UP_SECONDS", 0.1)
    cells = measure_sockets(work, rounds=1, seconds=0.2, cores=Cores(None, None))
    assert [cell.peer for cell in cells] == ["greenbas", "gevent", work.peer]
    assert [cell.errors for cell in cells] == ["", "", ""]
    assert all(len(cell.rounds) == 1 and cell.rates[0] > 0 for cell in cells)
    table = sockets_table(work, cells)
    assert table.startswith(f"{work.name}: ")
    assert len(table.splitlines()) == 6


@needs_compiler
def test_proxy_in_c_passes_everything_on(tmp_path: Path) -> None:
    data = bytes(range(256)) * 8192
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(10)
        port = free_port()
        command = [str(built("spliceproxy")), str(port), str(target.getsockname()[1])]
        with running("spliceproxy", command, port=port, scratch=tmp_path, core=None):
            target.accept()[0].close()  # `running` has looked whether it listens
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                server, _ = target.accept()
                with server:
                    for giver, taker in ((client, server), (server, client)):
                        giver.setblocking(False)
                        taker.settimeout(10)
                        assert exchange(giver, taker, data) == data
                        giver.settimeout(10)


def exchange(giver: socket.socket, taker: socket.socket, data: bytes) -> bytes:
    sent, found = 0, b""
    while len(found) < len(data):
        if sent < len(data):
            try:
                sent += giver.send(data[sent : sent + 65536])
            except BlockingIOError:
                pass
        if sent == len(data) or sent - len(found) > 65536:
            found += taker.recv(65536)
    return found


@needs_compiler
def test_load_notices_a_wrong_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [str(built("echoload")), str(listening.getsockname()[1]), "1", "100", "5"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as load:
            server, _ = listening.accept()
            with server:
                data = server.recv(100)
                server.sendall(data[:50] + data[49:99])
                assert load.communicate(timeout=10)[1] == "the server answered something else\n"
    assert load.returncode == 1


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sockets, "BUILT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailed, match="no gcc"):
        built("echoload")
    cells = measure_sockets(SOCKET_WORKS[0], rounds=1, seconds=1, cores=Cores(None, None))
    assert {cell.absent for cell in cells} == {"not built: no gcc"}
    assert [cell.errors for cell in cells] == ["", "", ""]
    assert "not built: no gcc" in sockets_table(SOCKET_WORKS[0], cells)


@needs_compiler
def test_a_program_that_does_not_compile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sockets, "BUILT", tmp_path / "built")
    monkeypatch.setattr(sockets, "NATIVE", tmp_path)
    (tmp_path / "common.h").write_text("")
    (tmp_path / "wrong.c").write_text("int main() { return nothing; }\n")
    with pytest.raises(BuildFailed, match="nothing"):
        built("wrong")
