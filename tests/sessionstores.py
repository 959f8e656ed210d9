"""The kinds of session stores, for tests that have to hold for all of them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch import ROOT, free_port, wait_for_listener
from redisserver import RedisServer, redis_server

from greenbas.http.stores import SessionStore, StoreUrl, make_store

KINDS = ["memory", "sqlite", "redis"]


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting `session_store` of an empty store of each kind."""
    return empty_store(request.param, request, tmp_path)


@pytest.fixture(params=["sqlite", "redis"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same of those that several processes can use."""
    return empty_store(request.param, request, tmp_path)


@contextlib.contextmanager
def opened(url: str) -> Iterator[SessionStore]:
    """A store that is open for a block."""
    store = make_store(StoreUrl(url), 2000, lambda values: None)
    store.open()
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def process(program: str, url: str) -> Iterator[int]:
    """A program in a process of its own, which gets a port and the URL of a store; yields the port it listens at."""
    port = free_port()
    command = [sys.executable, "-c", textwrap.dedent(program), str(port), url]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for_listener(started, port)
        yield port
        started.terminate()
        assert started.wait(10) == 0
    finally:
        started.kill()
        started.wait()


def empty_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_process")
        server.clear()
        return server.url
    return kind
