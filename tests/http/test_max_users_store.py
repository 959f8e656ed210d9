"""How many sessions a user may have when several processes let him in at the same moment, and which of them stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest
from sessionstores import KINDS, empty_store, process, redis_process
from support import wait_until
from web import Answer, Client, get, head

__all__ = ["redis_process"]  # a fixture

PROGRAM = """
    import sys
    import greenbas
    greenbas.patch()
    from greenbas import Server

    server = Server(session_store=sys.argv[2])
    locked = {}

    @server.directory("use")
    def use(request, response):
        return str(request.session(True).use_counter())

    @server.directory("login")
    def login(request, response):
        recycle = request.data("recycle") == "True"
        return str(request.login(request.data("name"), int(request.data("max")), recycle))

    @server.directory("count")
    def count(request, response):
        return server.sessions(request.data("name") or None)

    @server.directory("lock")
    def lock(request, response):
        session = locked[request.session().id()] = request.session()
        return str(session.lock())

    @server.directory("release")
    def release(request, response):
        return str(locked.pop(request.session().id()).release())

    server.run(port=int(sys.argv[1]), log="none")
"""
CLIENTS = 8
ROUNDS = 5  # a race that is there loses most of them


@pytest.fixture(scope="module", params=KINDS)
def ports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Of two processes with one store, if they can share it. They stay; so each test has users of its own."""
    url = empty_store(request.param, request, tmp_path_factory.mktemp("store"))
    with ExitStack() as stack:
        jobs = [gevent.spawn(stack.enter_context, process(PROGRAM, url)) for _ in range(1 if url == "memory" else 2)]
        gevent.joinall(jobs, raise_error=True)
        yield [job.value for job in jobs]


def cookie_of(answer: Answer) -> str:
    found = re.match(r"gbsid=\w+", answer["set-cookie"])
    assert found, answer
    return f"Cookie: {found[0]}"


def login(name: str, limit: int, recycle: bool) -> str:
    return f"/login?name={name}&max={limit}&recycle={recycle}"


def used_session(port: int) -> str:
    """The cookie of a session that has been used again, so that nobody may end it for a login that does not recycle."""
    cookie = cookie_of(get(port, "/use"))
    assert get(port, "/use", cookie).body == b"1"
    return cookie


def log_in_at_once(ports: list[int], path: str, cookies: list[str | None]) -> list[bytes]:
    """Have a client for each cookie, or without one, ask for a path, all at the same moment; returns what they got."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(ports[number % len(ports)])) for number in range(len(cookies))]
        texts = [head(f"GET {path} HTTP/1.1", *([] if cookie is None else [cookie])) for cookie in cookies]
        jobs = [gevent.spawn(client.ask, text) for client, text in zip(clients, texts, strict=True)]
        gevent.joinall(jobs, raise_error=True)
        return [job.value.body for job in jobs]


def count(port: int, name: str) -> int:
    return len(json.loads(get(port, f"/count?name={name}").body))


@pytest.mark.parametrize("limit", [1, 3])
def test_exactly_max_users_get_in_at_once(ports: list[int], limit: int) -> None:
    for name in (f"exactly{limit}.{number}" for number in range(ROUNDS)):
        cookies: list[str | None] = [used_session(ports[number % len(ports)]) for number in range(CLIENTS)]
        assert log_in_at_once(ports, login(name, limit, False), cookies).count(b"True") == limit
        assert [count(port, name) for port in ports] == [limit] * len(ports)


@pytest.mark.parametrize("recycle", [True, False])
def test_more_never_stay_than_max_users(ports: list[int], recycle: bool) -> None:
    # Clients without a session: theirs are new, and make room for each other.
    for name in (f"fresh{recycle}.{number}" for number in range(ROUNDS)):
        results = log_in_at_once(ports, login(name, 3, recycle), [None] * CLIENTS)
        assert results == [b"True"] * CLIENTS
        assert count(ports[0], name) == 3


def test_with_recycle_all_get_in_and_max_users_stay(ports: list[int]) -> None:
    for name in (f"recycled.{number}" for number in range(ROUNDS)):
        cookies: list[str | None] = [used_session(ports[number % len(ports)]) for number in range(CLIENTS)]
        assert log_in_at_once(ports, login(name, 3, True), cookies) == [b"True"] * CLIENTS
        assert count(ports[0], name) == 3


def test_a_refused_login_leaves_no_session(ports: list[int]) -> None:
    assert get(ports[0], login("bob", 1, False), used_session(ports[0])).body == b"True"
    before = json.loads(get(ports[0], "/count").body)
    answer = get(ports[-1], login("bob", 1, False))
    assert (answer.body, "set-cookie" in answer) == (b"False", False)
    assert json.loads(get(ports[0], "/count").body) == before


def test_a_session_that_another_process_has_locked_stays(ports: list[int]) -> None:
    first, last = ports[0], ports[-1]
    cookies = [cookie_of(get(first, login("ann", 2, True))) for _ in range(2)]
    assert get(first, "/lock", cookies[0]).body == b"True"
    # The other one goes, although it is the younger.
    third = cookie_of(get(last, login("ann", 2, True)))
    assert [cookie_is_anns(last, cookie) for cookie in [*cookies, third]] == [True, False, True]
    # With all of them locked nobody else gets in, in whatever process.
    assert get(last, "/lock", third).body == b"True"
    assert [get(port, login("ann", 2, True)).body for port in ports] == [b"False"] * len(ports)
    # A lock ends with its release, not only when its lease does.
    assert get(first, "/release", cookies[0]).body == b"True"
    wait_until(lambda: get(last, login("ann", 2, True)).body == b"True")
    assert [cookie_is_anns(first, cookie) for cookie in [cookies[0], third]] == [False, True]


def cookie_is_anns(port: int, cookie: str) -> bool:
    return "set-cookie" not in get(port, "/use", cookie)
