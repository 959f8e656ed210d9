"""The kinds of session stores, for tests that have to hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redisserver import RedisServer, redis_server

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


def empty_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_process")
        server.clear()
        return server.url
    return kind
