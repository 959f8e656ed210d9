"""Long transfers through proxies: their source, their client, how much memory grew meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import counted
import downloader
import proxypeers
import pytest
from cores import Cores
from downloader import download
from memory import Peak, processes, resident, settled
from process import HERE, Running, free_port, running
from proxy import PROXY_GOALS
from proxyflat import BOUND, BOUND_MIB, GIB, FlatWork, Transfer, flat_table, measure_flat
from score import Cell, ratios
from support import need_command, wait_until
from wrk import Measurement

ALONE = Cores(None, None)
MIB = 1024 * 1024
GROWING = """
import sys
for line in sys.stdin:
    block = bytearray(b"x") * (int(line) * 1024 * 1024)
    print("done", flush=True)
"""

HOARDING = """
import socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, held = listening.accept()[0], []
    try:
        head = client.recv(65536)
        if head:
            with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as source:
                source.sendall(head.replace(b"\\r\\n", b"\\r\\nConnection: close\\r\\n", 1))
                while data := source.recv(1 << 20):
                    held.append(data)
            client.sendall(b"".join(held))
    except OSError:
        pass
    held.clear()
    client.close()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloader, "STALL_SECONDS", 0.0)  # where it does not run in another process
    monkeypatch.setattr(counted, "WARM_UP_SECONDS", 0.1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, str(HERE / "apps" / "bulksource.py"), str(port)]
    with running("source", command, port=port, scratch=tmp_path_factory.mktemp("source"), core=None) as found:
        yield found


@pytest.mark.parametrize("framing", ["sized", "chunked"])
@pytest.mark.parametrize("size", [0, 5, MIB, 3 * MIB + 7])
def test_the_source_gives_what_it_says(source: Running, framing: str, size: int) -> None:
    found = download(source.port, f"/{framing}/{size}", size, 10)
    assert (found["count"], found["errors"]) == (size, [])
    found = download(source.port, f"/{framing}/{size}", size + 1, 10)
    assert found["errors"] == [f"OSError: {size} bytes instead of {size + 1}"]


def test_the_client_stops_when_the_time_is_up(source: Running) -> None:
    found = download(source.port, f"/sized/{1000 * GIB}", 1000 * GIB, 0.1)
    assert 0 < found["count"] < 1000 * GIB
    assert found["errors"] == []


def test_a_short_transfer() -> None:
    need_command("nginx")
    cells = measure_flat(FlatWork("any", "any", "chunked", 4 * MIB, 10), 1, ALONE)
    assert [cell.peer for cell in cells] == ["greenbas", "nginx", "haproxy", BOUND]
    assert [cell.errors for cell in cells] == [""] * 4
    assert all(cell.rounds[0].bytes_read == 4 * MIB for cell in cells[:3] if not cell.absent)
    assert all(0 < cell.rates[0] <= 1 for cell in cells[:3] if not cell.absent)
    assert cells[3].rates == [1 / BOUND_MIB]


def test_a_proxy_that_holds_nothing_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hoarder(scratch: Path, port: int, backend: int) -> list[str]:
        return [sys.executable, "-c", HOARDING, str(port), str(backend)]

    hoarding = proxypeers.Proxy("greenbas", hoarder, lambda: sys.executable)
    monkeypatch.setattr(proxypeers, "PROXIES", {"greenbas": hoarding})
    cells = measure_flat(FlatWork("proxy-flat", "any", "sized", 48 * MIB, 10), 1, ALONE)
    assert [cell.errors for cell in cells] == ["", ""]
    assert [one.verdict for one in ratios(cells, PROXY_GOALS)] == ["missed"]
    assert cells[0].rates[0] < 1 / 40


def test_memory_of_a_group(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GROWING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdin and child.stdout
        before = settled(child.pid)
        assert processes(child.pid) == [Path(f"/proc/{child.pid}")]
        with Peak(child.pid) as peak:
            for mib in (64, 1):
                child.stdin.write(b"%d\n" % mib)
                child.stdin.flush()
                assert child.stdout.readline() == b"done\n"
                if mib == 64:
                    assert 60 * 1024 < resident(processes(child.pid)) - before < 80 * 1024
                    wait_until(lambda: peak.grown > 60)
        assert 60 < peak.grown < 80
        assert resident(processes(child.pid)) - before < 20 * 1024
        child.stdin.close()


def test_the_table() -> None:
    def cell(peer: str, grown: float, gib: float) -> Cell:
        return Cell("any", peer, [Transfer(1.0, 1, int(gib * GIB), 4000.0, 4000.0, "", grown_mib=grown)])

    bound = Cell("any", BOUND, [Measurement(1 / BOUND_MIB, 0, 0, 0.0, 0.0, "")])
    cells = [cell("nginx", 2.5, 10), cell("greenbas", 0.5, 8), Cell("any", "haproxy", absent="none"), bound]
    lines = flat_table(FlatWork("any", "a transfer", "sized", 1, 1), cells).splitlines()
    assert lines[0] == "any: a transfer; greenbas may grow by 8 MiB"
    assert [line.split() for line in lines[3:5]] == [
        ["greenbas", "0.5", "8.00", "2,048"],
        ["nginx", "2.5", "10.00", "2,560"],
    ]
    assert lines[5:] == ["  haproxy: none"]
