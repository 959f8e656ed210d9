"""The proxies that are compared: they pass on what they should, keep connections, and count what was counted."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import proxypeers
import proxyspeed
import pytest
from cores import Cores
from counted import result
from process import Running
from proxybackend import MIB, backend_running, body_of, write_body
from proxypeers import one_running
from proxyspeed import SPEED_WORKS, SpeedWork, measure_speed, note_complaints, once, speed_table
from score import Cell
from support import need_command
from works import HELLO
from wrk import Measurement

ALONE = Cores(None, None)
BY_NAME = {work.name: work for work in SPEED_WORKS}
UPLOAD = SpeedWork("proxy-upload", "/upload", "a few uploads", 3 * MIB + 5, 2, True)


@pytest.fixture
def scratch() -> Iterator[Path]:
    # Not tmp_path: its parents are closed to a worker of nginx that has dropped its rights.
    with tempfile.TemporaryDirectory(prefix="greenbas-test-") as folder:
        yield Path(folder)


@pytest.fixture
def backend(scratch: Path) -> Iterator[Running]:
    need_command("nginx")
    write_body(scratch, "1m", MIB)
    with backend_running(scratch, ALONE) as found:
        yield found


def asked(port: int, path: str, times: int, headers: Mapping[str, str]) -> list[bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        found = []
        for _ in range(times):
            connection.request("GET", path, headers=dict(headers))
            found.append(connection.getresponse().read())
        return found


def accepted(backend: Running) -> int:
    """The connections that the backend has had so far."""
    text = asked(backend.port, "/counts", 1, {})[0].decode()
    found = re.search(r"^ *(\d+) +\d+ +\d+ *$", text, re.MULTILINE)
    assert found, text
    return int(found[1])


@pytest.mark.parametrize("name", ["greenbas", "nginx", "haproxy"])
def test_a_proxy_keeps_connections_and_passes_everything_on(name: str, backend: Running, scratch: Path) -> None:
    if name != "greenbas":
        need_command(name)
    with one_running(name, backend.port, scratch, ALONE) as proxy:
        cells = {name: Cell("any", name)}
        for work in (BY_NAME["proxy-small"], BY_NAME["proxy-1m"], UPLOAD):
            note_complaints(work, cells, [proxy])
            assert cells[name].errors == ""
        before = accepted(backend)
        assert asked(proxy.port, "/small", 50, {}) == [HELLO] * 50
        assert asked(proxy.port, "/1m", 3, {}) == [body_of(MIB)] * 3
        assert accepted(backend) - before <= 3  # the question itself is one
        found = once(UPLOAD, proxy, backend, 0.1, ALONE)
        assert isinstance(found, Measurement), found
        assert found.rate > 0 and found.requests >= 3


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk, which is not installed")
def test_responses_are_counted_in_mib(backend: Running) -> None:
    work = SpeedWork("any", "/1m", "any", MIB, 2, True)
    found = once(work, backend, backend, 1, ALONE)  # the backend is a server like any other
    assert isinstance(found, Measurement), found
    assert found.errors == ""
    assert found.rate > 0
    assert found.bytes_read >= 0.9 * found.requests * MIB


def test_bodies_that_are_not_whole_count_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = Measurement(rate=2.0, requests=6, bytes_read=750 * MIB, p50_ms=1.0, p99_ms=1.0, errors="")
    monkeypatch.setattr(proxyspeed, "measure", lambda *arguments, **more: seen)
    server = Running("any", 1, 1, tmp_path)
    found = proxyspeed.responses(BY_NAME["proxy-100m"], server, 3, ALONE)
    assert isinstance(found, Measurement) and found.rate == 250.0  # MiB in each of 3 seconds
    assert proxyspeed.responses(BY_NAME["proxy-small"], server, 3, ALONE) == seen
    short = SpeedWork("any", "/1m", "any", 1000 * MIB, 1)
    assert proxyspeed.responses(short, server, 3, ALONE) == "only 131072000 bytes a response, the body has 1048576000"


def test_wrong_answers_are_sentences(backend: Running) -> None:
    cells = {"backend": Cell("any", "backend")}
    note_complaints(SpeedWork("any", "/nothing", "any", 13, 1), cells, [backend])
    assert cells["backend"].errors == "status 404"
    wrong = proxyspeed.uploads(SpeedWork("any", "/1m", "any", MIB, 1, True), backend, 0.1, ALONE)
    assert wrong.startswith("the client saw OSError: answered 405")  # type: ignore[union-attr]


def test_the_time_of_the_backend_counts_as_the_clients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = iter([10.0, 10.8])
    monkeypatch.setattr(proxyspeed, "group_cpu", lambda group: next(times))
    monkeypatch.setattr(proxyspeed, "responses", lambda *arguments: result(100, 2.0, 1.0, 0.5))
    server = Running("any", 1, 1, tmp_path)
    found = once(BY_NAME["proxy-small"], server, server, 2.0, Cores(0, 1))
    assert isinstance(found, Measurement)
    assert found.client_cpu == pytest.approx(0.9)
    assert Cell("any", "any", [found]).client_bound is False
    times = iter([10.0, 11.0])
    found = once(BY_NAME["proxy-small"], server, server, 2.0, Cores(0, 1))
    assert isinstance(found, Measurement)
    assert Cell("any", "any", [found]).client_bound is True


def test_one_run_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    need_command("nginx")
    names = ("greenbas", "nginx")
    monkeypatch.setattr(proxypeers, "PROXIES", {name: proxypeers.PROXIES[name] for name in names})
    cells = measure_speed(UPLOAD, rounds=2, seconds=0.1, cores=ALONE)
    assert [(cell.peer, len(cell.rounds), cell.errors) for cell in cells] == [(name, 2, "") for name in names]
    assert speed_table(UPLOAD, cells).splitlines()[0] == "proxy-upload: a few uploads"


def test_the_table() -> None:
    cells = [Cell("proxy-100m", "greenbas", [result(1000, 2.0, 1.0, 0.97)]), Cell("proxy-100m", "haproxy", absent="no")]
    lines = speed_table(BY_NAME["proxy-100m"], cells).splitlines()
    assert lines[1].startswith("MiB a second  ")
    assert lines[3].split() == ["greenbas", "~", "500", "500", "500", "50%", "1,000.0", "97%"]
    assert lines[4] == "  haproxy: no"
