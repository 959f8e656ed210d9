"""The digest part of the benchmark: the client logs in with each request where it has to, and the server lets it in."""

from __future__ import annotations

from cores import Cores
from counted import result
from digest import APPS, DIGEST_GOALS, DIGEST_WORKS, digest_table, measure, servers
from digestclient import digests
from score import Cell

(WORK,) = DIGEST_WORKS


def test_goals_name_known_works_and_peers() -> None:
    assert all(goal.work == WORK.name and goal.peer in APPS for goal in DIGEST_GOALS)


def test_both_servers_answer() -> None:
    cells = {name: Cell(WORK.name, name) for name in APPS}
    with servers(cells, Cores(None, None)) as started:
        assert [server.name for server in started] == list(APPS)
        for server in started:
            found = measure(WORK, server, 0.1, Cores(None, None))
            assert not isinstance(found, str), found
            assert found.requests > 0


def test_what_goes_wrong_is_said() -> None:
    cells = {"greenbas": Cell(WORK.name, "greenbas")}
    wrong = type(WORK)("digest", "a path that is not there", "/none")
    with servers(cells, Cores(None, None)) as (server, *_):
        found = measure(wrong, server, 0.1, Cores(None, None))
        assert isinstance(found, str) and "a wrong answer" in found


def test_each_request_has_a_digest_of_its_own() -> None:
    following = digests("GET /a HTTP/1.1\r\n", "/a", "Demo", "n0nce")
    heads = [following().decode() for _ in range(3)]
    assert all(f"nc=0000000{number}" in head for number, head in enumerate(heads, 1))
    assert len({head.partition("response=")[2] for head in heads}) == 3


def test_the_table() -> None:
    lines = digest_table(WORK, [Cell("digest", "greenbas", [result(300, 2.0, 1.0, 0.5)])]).splitlines()
    assert lines[0].startswith("digest: ")
    assert lines[3].split()[:2] == ["greenbas", "150"]
