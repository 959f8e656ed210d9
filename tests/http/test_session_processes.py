"""Several processes with one store: each sees the sessions of the others, and nothing is lost under load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest
from sessionstores import process, redis_process, shared_url
from web import Answer, Client, get, head

__all__ = ["redis_process", "shared_url"]  # fixtures

PROGRAM = """
    import sys
    import greenbas
    greenbas.patch()
    from greenbas import Server

    server = Server(session_store=sys.argv[2])

    @server.directory("set")
    def set_(request, response):
        session = request.session(True)
        session[request.data("name")] = request.data("value")
        return str(session.id())

    @server.directory("all")
    def all_(request, response):
        return dict(request.session(True).attributes())

    @server.directory("sessions")
    def sessions(request, response):
        return server.sessions()

    @server.directory("end")
    def end(request, response):
        return str(request.session(True).terminate())

    @server.directory("rotate")
    def rotate(request, response):
        request.session(True).rotate()

    server.run(port=int(sys.argv[1]), log="none")
"""
WRITERS, WRITES = 8, 25  # clients at each process, and what each of them writes


@pytest.fixture
def ports(shared_url: str) -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        # Both at once: both make the tables, if there are any.
        jobs = [gevent.spawn(stack.enter_context, process(PROGRAM, shared_url)) for _ in range(2)]
        gevent.joinall(jobs, raise_error=True)
        yield jobs[0].value, jobs[1].value


def cookie_of(answer: Answer) -> str:
    found = re.match(r"gbsid=\w+", answer["set-cookie"])
    assert found
    return f"Cookie: {found[0]}"


def test_two_processes_share_sessions_under_load(ports: tuple[int, int]) -> None:
    first, second = ports
    made = get(first, "/set?name=start&value=1")
    cookie = cookie_of(made)

    def write(port: int, writer: int) -> None:
        with Client(port) as client:
            for number in range(WRITES):
                path = f"/set?name={port}.{writer}.{number}&value={number}"
                answer = client.ask(head(f"GET {path} HTTP/1.1", cookie))
                assert (answer.status, answer.body) == (200, made.body), answer
                # Somebody else's session meanwhile.
                assert client.ask(head("GET /set?name=x&value=1 HTTP/1.1")).status == 200

    jobs = [gevent.spawn(write, port, writer) for port in ports for writer in range(WRITERS)]
    gevent.joinall(jobs, raise_error=True)
    for port in ports:
        found = json.loads(get(port, "/all", cookie).body)
        assert len(found) == 1 + 2 * WRITERS * WRITES
    numbers = [json.loads(get(port, "/sessions").body) for port in ports]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) == 1 + 2 * WRITERS * WRITES
    # What one process does to the session counts at once in the other.
    rotated = cookie_of(get(second, "/rotate", cookie))
    assert json.loads(get(first, "/all", cookie).body) == {}
    assert len(json.loads(get(first, "/all", rotated).body)) == 1 + 2 * WRITERS * WRITES
    assert get(second, "/end", rotated).body == b"True"
    assert json.loads(get(first, "/all", rotated).body) == {}
