"""The users of the load run. Started by `load.py`; any locust can run it against a server with `loadapp`.

Every answer is checked for what it says, not only for its status. Users are paced, not as fast as they can: what is
wanted is steady traffic and honest times. Still, a user who waits for a slow answer asks less often and so hides the
stall from the statistics; `Arrivals` does not wait, and counts from the moment a request was due.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, constant, constant_pacing, events, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from thresholds import Observed, Run, judge
from works import file_bytes

SMALL, LARGE = file_bytes("file1k"), file_bytes("file1m")
UPLOAD = random.Random(1).randbytes(256 * 1024)
UPLOADED = {"bytes": len(UPLOAD), "sha256": hashlib.sha256(UPLOAD).hexdigest()}
FORM = {"name": "Ann Ähre", "note": "a & b = c"}
ARRIVALS_PER_USER = 0.5  # a second, for each user of the run
ARRIVAL_MS = 20


class Visitor(FastHttpUser):
    """What all users have in common: patience with an end, and kept connections."""

    abstract = True
    network_timeout = 10.0
    connection_timeout = 10.0

    def on_start(self) -> None:
        # Locust starts users in batches: without this they would all ask in the same moment for ever.
        gevent.sleep(random.uniform(0, 1))

    def expect(self, name: str, right: Callable[[bytes], bool], method: str, path: str, **how: Any) -> None:
        """One request; a wrong body is a failure."""
        with self.client.request(method, path, name=name, catch_response=True, **how) as response:
            check(response, right)


class Sleeper(Visitor):
    """Waits for handlers that wait: most of a server's life."""

    weight = 4
    wait_time = constant_pacing(0.5)

    @task
    def sleep(self) -> None:
        ms = random.randint(10, 50)
        self.expect("sleep 10-50 ms", f"slept {ms}".encode().__eq__, "GET", f"/sleep/?ms={ms}")


class Reader(Visitor):
    """Reads files and JSON on a kept connection."""

    weight = 3
    wait_time = constant_pacing(0.5)

    @task(4)
    def greeting(self) -> None:
        n = random.randint(1, 99)
        wanted = {"hello": "ann", "n": n, "items": [n * i for i in range(10)]}
        self.expect("json", is_json(wanted), "GET", f"/json/?name=ann&n={n}")

    @task(4)
    def small_file(self) -> None:
        self.expect("static 1 KiB", SMALL.__eq__, "GET", "/static/file1k.bin")

    @task(1)
    def large_file(self) -> None:
        self.expect("static 1 MiB", LARGE.__eq__, "GET", "/static/file1m.bin")


class Newcomer(Visitor):
    """Connects anew for every request."""

    weight = 1
    wait_time = constant_pacing(0.5)

    @task
    def visit(self) -> None:
        close = {"Connection": "close"}
        self.expect("new connection", b"slept 1".__eq__, "GET", "/sleep/?ms=1", headers=close)


class Sender(Visitor):
    """Posts forms and uploads."""

    weight = 2
    wait_time = constant_pacing(1)

    @task
    def form(self) -> None:
        self.expect("form", is_json({"fields": FORM}), "POST", "/form/", data=FORM)

    @task
    def upload(self) -> None:
        binary = {"Content-Type": "application/octet-stream"}
        self.expect("upload 256 KiB", is_json(UPLOADED), "POST", "/upload/", data=UPLOAD, headers=binary)


class Arrivals(Visitor):
    """Requests that are due at fixed times, whether or not earlier ones have been answered."""

    fixed_count = 1
    wait_time = constant(0)
    concurrency = 200

    def on_start(self) -> None:
        self._interval = 1 / (ARRIVALS_PER_USER * users_wanted(self.environment))
        self._due = time.monotonic()
        self._under_way = Pool(self.concurrency)

    def on_stop(self) -> None:
        self._under_way.join(timeout=self.network_timeout)
        self._under_way.kill()

    @task
    def arrive(self) -> None:
        self._due += self._interval
        gevent.sleep(max(0.0, self._due - time.monotonic()))
        self._under_way.spawn(self._ask, self._due)  # waits when all are taken; the due time stays

    def _ask(self, due: float) -> None:
        path = f"/sleep/?ms={ARRIVAL_MS}"
        with self.client.request("GET", path, name=f"arrival {ARRIVAL_MS} ms", catch_response=True) as response:
            check(response, f"slept {ARRIVAL_MS}".encode().__eq__)
            response.request_meta["response_time"] = (time.monotonic() - due) * 1000


def users_wanted(environment: Environment) -> int:
    """The number of users of the run, from locust's command line."""
    options = environment.parsed_options
    return int(options.num_users or 1) if options is not None else 1


def check(response: ResponseContextManager, right: Callable[[bytes], bool]) -> None:
    """Mark a response with a good status and a wrong body as failed."""
    if response.status_code == 200 and not right(response.content or b""):
        response.failure(f"wrong body: {(response.content or b'')[:80]!r}")  # type: ignore[no-untyped-call]


def is_json(wanted: Any) -> Callable[[bytes], bool]:
    """A check for JSON of one value."""

    def right(body: bytes) -> bool:
        try:
            return bool(json.loads(body) == wanted)
        except ValueError:
            return False

    return right


class Clock:
    """CPU and wall time of this process from the start to the end of the run."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def start(self) -> None:
        """The run begins."""
        self.wall, self.cpu = -time.monotonic(), -time.process_time()

    def stop(self) -> None:
        """The run has ended."""
        self.wall += time.monotonic()
        self.cpu += time.process_time()


clock = Clock()


def on_test_start(environment: Environment, **_: Any) -> None:
    """Start the clock."""
    clock.start()


def on_test_stop(environment: Environment, **_: Any) -> None:
    """Stop the clock before reports are written."""
    clock.stop()


def on_quitting(environment: Environment, **_: Any) -> None:
    """Judge the run: locust leaves with the exit code set here."""
    if environment.runner is None or not clock.wall:
        return
    run = Run(
        seconds=clock.wall,
        users=users_wanted(environment),
        generator_cpu=clock.cpu / clock.wall,
        exceptions=sum(int(one["count"]) for one in environment.runner.exceptions.values()),
    )
    observed = {
        entry.name: Observed(entry.num_requests, entry.num_failures, entry.get_response_time_percentile(0.95) or 0.0)
        for entry in environment.stats.entries.values()
    }
    code, complaints = judge(run, observed)
    environment.process_exit_code = code
    write_verdict(run, observed, code, complaints)


def write_verdict(run: Run, observed: dict[str, Observed], code: int, complaints: list[str]) -> None:
    """Leave the judgement where `load.py` asked for it."""
    if path := os.environ.get("LOAD_VERDICT"):
        seen = {name: vars(one) for name, one in sorted(observed.items())}
        verdict = {"code": code, "run": vars(run), "complaints": complaints, "requests": seen}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(verdict, file, indent=2)


for event, listener in (
    (events.test_start, on_test_start),
    (events.test_stop, on_test_stop),
    (events.quitting, on_quitting),
):
    event.add_listener(listener)  # type: ignore[no-untyped-call]
