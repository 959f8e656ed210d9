"""Metrics of a server: what is counted where, latencies, rates, the lag of the hub; and that memory is bounded."""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import statistics
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from gevent import sleep
from leaks import nothing_left
from support import wait_until
from web import Client, ask, get, head, serving

from greenbas import Request, Response, Server, create
from greenbas.application import Application
from greenbas.errors import Abort, IncorrectUse, StartError
from greenbas.io import MemoryIo
from greenbas.metrics import BOUNDS, MAX_ROWS, MAX_TEXT, MINUTE, RECENT, TICK, Metrics, _Clock, _Row
from greenbas.vfs import Directory

Found = tuple[Server, Metrics]
NO_STATUSES = dict.fromkeys(("none", "1xx", "2xx", "3xx", "4xx", "5xx"), 0)


@pytest.fixture
def measured() -> Iterator[Found]:
    """A server without directories, and its metrics."""
    with serving() as server:
        metrics = Metrics(server)
        metrics.install()
        yield server, metrics
        metrics.remove()


def rows(metrics: Metrics) -> dict[tuple[str | None, str], dict[str, Any]]:
    """The rows of a snapshot by path and kind."""
    return {(row["path"], row["kind"]): row for row in metrics.snapshot()["directories"]}


def write(io: MemoryIo, path: str, text: str) -> None:
    with io.open(path, "w") as file:
        file.write(text.encode())


def counted(metrics: Metrics) -> int:
    return sum(row["requests"] for row in metrics.snapshot()["directories"])


# -- who is counted -----------------------------------------------------------------------------------------------


def test_rows_by_directory(measured: Found) -> None:
    server, metrics = measured

    @server.directory("shop")
    def shop(request: Request, response: Response) -> str:
        return "soup"

    @server.directory("shop")
    class Never:
        def __init__(self, request: Request, response: Response) -> None:
            raise AssertionError

    for path in ("/shop", "/shop/a", "/shop/b/c", "/nothing", "/"):
        get(server, path)
    found = rows(metrics)
    assert set(found) == {("/shop/", "shop()"), (None, "nobody")}
    assert found["/shop/", "shop()"]["requests"] == 3
    assert found["/shop/", "shop()"]["bytes"] == 12
    assert found[None, "nobody"]["requests"] == 2
    assert [row["requests"] for row in metrics.snapshot()["directories"]] == [3, 2]


def test_failures_of_an_application_count_under_it(measured: Found) -> None:
    """A page that cannot be compiled once was nobody's; and so was the answer while an application does not run."""
    server, metrics = measured
    io = MemoryIo()
    for name, text in (("bad.psp", "<?psp end ?>"), ("good.psp", "x"), (".preload.py", "")):
        write(io, name, text)
    app = Application(io, name="shop")
    server.insert(app)
    assert [get(server, path).status for path in ("/shop/bad.psp", "/shop/good.psp", "/shop/none")] == [500, 200, 404]
    write(io, ".preload.py", "1/0")
    with pytest.raises(StartError):
        app.reload()
    assert get(server, "/shop/good.psp").status == 503
    found = rows(metrics)
    assert set(found) == {("/shop/", "Application"), (None, "nobody")}
    assert found["/shop/", "Application"]["statuses"] == {**NO_STATUSES, "2xx": 1, "5xx": 2}
    assert found[None, "nobody"]["requests"] == 1


def test_two_at_one_path_and_what_passes(measured: Found) -> None:
    server, metrics = measured

    @server.directory(priority=5)
    def passes(request: Request, response: Response) -> bool:
        return False

    @server.directory()
    def answers(request: Request, response: Response) -> None:
        response.status = 204

    assert get(server, "/x").status == 204
    (only,) = metrics.snapshot()["directories"]
    assert (only["path"], only["kind"]) == ("/", "answers()")


class Odd(Directory):
    """Answers without a function."""

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        request.running = self
        response.write("odd")
        return True


class CallMe:
    def __call__(self, request: Request, response: Response) -> str:
        return "called"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: Odd("d"), "Odd"),
        (lambda: _with_function(Directory("d"), CallMe()), "CallMe()"),
        (lambda: _with_function(Directory("d"), lambda request, response: ""), "<lambda>()"),
        (lambda: _with_function(Odd("d"), CallMe()), "Odd CallMe()"),
    ],
)
def test_kinds(measured: Found, make: Any, kind: str) -> None:
    server, metrics = measured
    server.insert(make())
    get(server, "/d/")
    assert list(rows(metrics)) == [("/d/", kind)]


def _with_function(directory: Directory, function: Any) -> Directory:
    directory.set_func(function)
    return directory


def test_a_directory_that_moves(measured: Found) -> None:
    server, metrics = measured
    inner, outer = _with_function(Directory("inner"), CallMe()), Directory("outer")
    server.insert(inner)
    server.insert(outer)
    get(server, "/inner")
    inner.unlink()
    outer.insert(inner)
    metrics._sweep()
    get(server, "/outer/inner")
    assert {path for path, _ in rows(metrics)} == {"/inner/", "/outer/inner/"}


# -- what is counted ----------------------------------------------------------------------------------------------


def test_statuses_and_errors(measured: Found) -> None:
    server, metrics = measured

    @server.directory("d")
    def answer(request: Request, response: Response) -> None:
        what = request.data("s") or ""
        if what == "fail":
            raise ValueError("planted")
        if what == "late":
            response.write("x")
            response.flush()
            raise ValueError("planted")
        response.status = int(what)
        raise Abort

    for status in (200, 201, 302, 404, 418, 503):
        get(server, f"/d?s={status}")
    get(server, "/d?s=fail")
    with Client(server) as client:
        client.send(head("GET /d?s=late HTTP/1.1"))
        assert b"\r\n1\r\nx" in client.rest()
    wait_until(lambda: counted(metrics) == 8)
    (row,) = metrics.snapshot()["directories"]
    assert row["statuses"] == {"none": 1, "1xx": 0, "2xx": 2, "3xx": 1, "4xx": 2, "5xx": 2}
    assert row["errors"] == 3
    told = metrics.snapshot()
    assert told["requests"]["statuses"] == row["statuses"]
    assert (told["requests"]["errors"], told["requests"]["total"], told["failures"]) == (3, 8, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_exceptions_pass_through(error: type[BaseException]) -> None:
    server = Server()
    server.start()
    metrics = Metrics(server)
    server.service.answer = _raiser(error("planted"))
    metrics.install()
    request: Any = _Request()
    with pytest.raises(error, match="planted"):
        server.service.answer(request, _Response())  # type: ignore[arg-type]
    metrics.remove()
    server.stop(drain_timeout=0)
    assert rows(metrics)[None, "nobody"]["errors"] == 1


class _Request:
    method, running = "GET", None


class _Response:
    broken = None

    def get_status(self) -> int:
        return 200

    def byte_count(self) -> int:
        return 0


def _raiser(error: BaseException) -> Any:
    def answer(request: Request, response: Response) -> None:
        raise error

    return answer


def test_bytes_of_head_requests_are_not_counted(measured: Found) -> None:
    server, metrics = measured
    server.directory("d")(lambda request, response: "12345")
    ask(server, head("HEAD /d HTTP/1.1"))
    get(server, "/d")
    assert metrics.snapshot()["directories"][0]["bytes"] == 5


def test_bytes_of_files(measured: Found) -> None:
    server, metrics = measured
    io = MemoryIo()
    with io.open("big.bin", "wb") as file:
        file.write(bytes(500_000))
    server.insert(create.resrdr(io, name="files"))
    assert len(get(server, "/files/big.bin").body) == 500_000
    wait_until(lambda: counted(metrics) == 1)
    assert metrics.snapshot()["directories"][0]["bytes"] == 500_000


def test_a_slow_handler(measured: Found) -> None:
    server, metrics = measured

    @server.directory("slow")
    def slow(request: Request, response: Response) -> str:
        sleep(0.05)
        return ""

    for _ in range(3):
        get(server, "/slow")
    row = rows(metrics)["/slow/", "slow()"]
    assert 45 <= row["p50"] <= row["p95"] <= row["p99"] <= row["max"] < 5000


# -- latencies ----------------------------------------------------------------------------------------------------


def filled(seconds: list[float]) -> _Row:
    """A row that has seen these latencies."""
    metrics = Metrics(Server())
    row = metrics._row(("/", "x"))
    now = iter([moment for one in seconds for moment in (0.0, one)])
    answer: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(now))
        answer = metrics._timed(lambda request, response: None)
    metrics._service = object()  # type: ignore[assignment]
    metrics._row_of = lambda running: row  # type: ignore[method-assign]
    for _ in seconds:
        answer(_Request(), _Response())
    return row


SHAPES = {
    "one": [0.003],
    "equal": [0.02] * 50,
    "quick": [2e-6] * 100,
    "spread": [random.Random(1).lognormvariate(-5, 1.5) for _ in range(5000)],
    "two humps": [0.001] * 900 + [0.5] * 100,
    "beyond the last step": [100.0] * 10,
    "nothing": [0.0] * 10,
}


@pytest.mark.parametrize("seconds", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles(seconds: list[float], share: float) -> None:
    row = filled(seconds)
    exact = sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]
    found = row.percentile(share)
    assert found <= row.longest == max(seconds)
    # A step is a third wide; within the first one there is nothing to tell.
    assert exact / 1.36 <= found <= exact * 1.36 or max(found, exact) <= BOUNDS[0] or found >= BOUNDS[-1]


def test_percentiles_are_interpolated() -> None:
    seconds = [0.010 + n * 0.00001 for n in range(300)]
    found = filled(seconds).percentile(0.5)
    assert abs(found - statistics.median(seconds)) < 0.0005


def test_steps() -> None:
    assert BOUNDS[0] == 1e-5 and BOUNDS[-1] == 60.0
    assert list(BOUNDS) == sorted(BOUNDS)
    assert max(high / low for low, high in itertools.pairwise(BOUNDS)) < 1.34


# -- bounds -------------------------------------------------------------------------------------------------------


def test_memory_is_bounded(measured: Found) -> None:
    server, metrics = measured
    made = []
    for letter in "abcdefghijkl":
        server.insert(group := Directory(letter))
        for number in range(MAX_ROWS // 4):
            made.append(_with_function(Directory(f"{number}"), CallMe()))
            group.insert(made[-1])
    with Client(server) as client:
        for directory in made:
            assert client.ask(head(f"GET {directory.base_uri()} HTTP/1.1")).status == 200
    found = rows(metrics)
    assert len(found) == MAX_ROWS + 1
    assert found[None, "others"]["requests"] == 2 * MAX_ROWS
    assert counted(metrics) == len(made)
    metrics._sweep()
    assert len(metrics._known) <= 2 * MAX_ROWS


def test_rows_of_what_is_gone_make_room(measured: Found) -> None:
    server, metrics = measured
    with Client(server) as client:
        for number in range(MAX_ROWS + 5):
            directory = _with_function(Directory(f"d{number}"), CallMe())
            server.insert(directory)
            client.ask(head(f"GET /d{number} HTTP/1.1"))
            if number:
                directory.unlink()
    del directory
    gc.collect()
    for row in metrics._rows.values():
        row.history.extend([row.requests] * RECENT)
    metrics._sweep()
    assert set(rows(metrics)) == {("/d0/", "CallMe()"), (None, "others")}
    assert counted(metrics) == MAX_ROWS + 5
    get(server, "/nothing")
    assert rows(metrics)[None, "nobody"]["requests"] == 1


def test_directories_are_not_kept_alive(measured: Found) -> None:
    server, metrics = measured
    directory = _with_function(Directory("d"), CallMe())
    server.insert(directory)
    get(server, "/d")
    directory.unlink()
    reference = weakref.ref(directory)
    del directory
    gc.collect()
    assert reference() is None
    metrics._sweep()
    assert not metrics._known
    assert counted(metrics) == 1


def test_long_names_are_cut(measured: Found) -> None:
    server, metrics = measured
    server.insert(_with_function(Directory("n" * 1000), CallMe()))
    get(server, "/" + "n" * 1000)
    ((path, _),) = rows(metrics)
    assert path is not None and len(path) == MAX_TEXT


# -- the clock ----------------------------------------------------------------------------------------------------


def test_rates() -> None:
    clock = _Clock(100.0, 1000)
    assert clock.rate(1000, 100.0, RECENT) == 0
    assert clock.rate(1005, 100.2, RECENT) == 5  # not 25: that would be a guess
    now = 100.0
    for second in range(1, 121):
        now = 100.0 + second
        for part in range(4):
            over = clock.tick(now - 0.75 + part / 4, 1000 + 10 * second)
            assert over is (part == 3)
    assert clock.rate(1000 + 1200, now, RECENT) == pytest.approx(10, rel=0.02)
    for second in range(1, 11):
        for _ in range(4):
            clock.tick(now + second, 2200 + 100 * second)
    assert clock.rate(3200, now + 10, RECENT) == pytest.approx(100, rel=0.02)
    assert clock.rate(3200, now + 10, MINUTE) == pytest.approx(25, rel=0.1)


def test_lag() -> None:
    clock = _Clock(0.0, 0)
    told = []
    for now in (0.25, 0.5, 0.85, 1.0, 3.0, 3.25, 3.51):
        clock.tick(now, 0)
        told.append(round(clock.lag, 6))
    # On time at 1.0 although 0.85 was late; after a long stop one tick comes at once, and what was missed never does.
    assert told == [0, 0, 0.1, 0, 1.75, 0.25, 0.26]
    assert clock.worst_lag() == 1.75
    for step in range(4 * MINUTE):
        clock.tick(4 + step * TICK, 0)
    assert clock.worst_lag() < 1


def test_a_blocked_hub_shows(measured: Found) -> None:
    _, metrics = measured
    end = time.monotonic() + TICK + 0.15
    while time.monotonic() < end:  # nobody else runs meanwhile
        pass
    wait_until(lambda: metrics.snapshot()["hub"]["lag_max"] >= 0.1)


# -- the snapshot, installing and removing ------------------------------------------------------------------------


def test_snapshot(measured: Found) -> None:
    server, metrics = measured
    hold = threading.Event()

    @server.directory("wait")
    def wait(request: Request, response: Response) -> str:
        hold.wait()
        return ""

    with Client(server) as idle, Client(server) as busy:
        idle.ask(head("GET / HTTP/1.1"))
        busy.send(head("GET /wait HTTP/1.1"))
        wait_until(lambda: metrics.snapshot()["workers"]["active"] == 1)
        told = json.loads(json.dumps(metrics.snapshot()))
        hold.set()
        busy.answer()
    assert set(told) == {
        *("uptime", "started", "pid", "listeners", "connections", "workers", "queue", "requests", "refused", "tls"),
        *("hub", "failures", "memory", "descriptors", "directories", "backends"),
    }
    assert 0 <= told["uptime"] < 60 and abs(told["started"] - time.time()) < 60
    assert told["pid"] == os.getpid()
    assert told["listeners"] == [f"127.0.0.1:{server.listeners[0].port}"]
    connections = told["connections"]
    assert (connections["total"], connections["open"], connections["idle"]) == (2, 2, 1)
    assert connections["limit"] == server.service.table.limit
    assert told["workers"]["limit"] == server.settings.max_workers
    assert told["queue"] == {"length": 0, "limit": server.settings.queue_length}
    assert (told["requests"]["total"], told["refused"], told["failures"]) == (2, 0, 0)
    assert told["tls"] == {"handshakes": 0, "failed": {}}
    assert set(told["hub"]) == {"lag", "lag_max", "blocked", "blocked_seconds"}
    assert told["memory"]["rss"] > 1_000_000
    assert 3 < told["descriptors"]["open"] <= told["descriptors"]["limit"]


def test_rates_of_a_running_server(measured: Found) -> None:
    server, metrics = measured
    server.directory("d")(lambda request, response: "")
    get(server, "/d")
    told = metrics.snapshot()
    assert told["requests"]["per_second"] > 0
    assert told["directories"][0]["per_second"] > 0


def test_before_the_start() -> None:
    metrics = Metrics(Server())
    with pytest.raises(IncorrectUse, match="not started"):
        metrics.install()
    with pytest.raises(IncorrectUse, match="not started"):
        metrics.snapshot()
    metrics.remove()
    assert repr(metrics) == "<Metrics not installed, 0 rows>"


def test_remove_puts_back() -> None:
    with serving(lambda request, response: "x") as server:
        before = server.service.answer
        metrics = Metrics(server)
        metrics.install()
        metrics.install()
        assert server.service.answer != before
        get(server, "/")
        metrics.remove()
        metrics.remove()
        assert server.service.answer == before
        get(server, "/")
        assert counted(metrics) == 1
        metrics.install()
        get(server, "/")
        assert counted(metrics) == 2
        metrics.remove()


def test_remove_under_another_wrapper() -> None:
    with serving(lambda request, response: "x") as server:
        metrics = Metrics(server)
        metrics.install()
        ours, seen = server.service.answer, []

        def around(request: Request, response: Response) -> None:
            seen.append(request.path)
            ours(request, response)

        server.service.answer = around
        metrics.remove()
        assert get(server, "/a").body == b"x"
        assert (seen, counted(metrics)) == (["/a"], 0)


@pytest.mark.parametrize("removed", [True, False])
def test_nothing_is_left(removed: bool) -> None:
    with nothing_left():
        with serving(lambda request, response: "x") as server:
            metrics = Metrics(server)
            metrics.install()
            get(server, "/")
            if removed:
                metrics.remove()
        reference = weakref.ref(metrics)
        del metrics, server
        wait_until(lambda: gc.collect() is not None and reference() is None)
