"""The works, the browser's head, and the command lines."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import bench
import browser
import idle
import load
import pytest
from holder import is_complete
from peers import BY_NAME, PEERS, Peer, Place
from probe import complaint
from process import free_port, running
from works import FILE_SIZES, GOALS, WORKS, file_bytes, write_files

BY_WORK = {work.name: work for work in WORKS}


def test_head_is_as_large_as_a_browsers() -> None:
    head = browser.head(BY_WORK["json"].path, 40000)
    assert 500 <= len(head) <= 600
    assert head.startswith(b"GET /json/?name=ann&n=3 HTTP/1.1\r\nHost: 127.0.0.1:40000\r\n")
    assert head.endswith(b"\r\n\r\n")


def test_goals_name_known_works_and_peers() -> None:
    for goal in GOALS:
        assert BY_WORK[goal.work].kind in BY_NAME[goal.peer].kinds


def test_json_is_compared_by_value() -> None:
    work = BY_WORK["json"]
    assert work.accepts(json.dumps(json.loads(work.expected), indent=4).encode())
    assert not work.accepts(b'{"hello": "ann"}')
    assert not work.accepts(b"oops")


def test_hello_is_compared_by_bytes() -> None:
    assert BY_WORK["hello"].accepts(b"Hello, world!")
    assert not BY_WORK["hello"].accepts(b"Hello, world!\n")


def test_the_page_becomes_what_is_expected() -> None:
    body = BY_WORK["page"].expected
    assert b"<h1>Hello, ann!</h1>" in body and b"<?" not in body
    assert 150 <= len(body) <= 250


@pytest.mark.parametrize(
    ("name", "peer"),
    [("wsgi", "greenbas"), *itertools.product(("page", "session", "login"), ("greenbas", "handler"))],
)
def test_greenbas_answers(name: str, peer: str, tmp_path: Path) -> None:
    work = BY_WORK[name]
    place = Place(free_port(), tmp_path, work.kind)
    with running(peer, BY_NAME[peer].command(place), port=place.port, scratch=tmp_path, core=None):
        assert complaint(place.port, work) is None


def test_files(tmp_path: Path) -> None:
    write_files(tmp_path / "static")
    for name, size in FILE_SIZES.items():
        data = (tmp_path / "static" / f"{name}.bin").read_bytes()
        assert len(data) == size and data == file_bytes(name)
        assert BY_WORK[name].path == f"/static/{name}.bin"


def test_missing_module_is_a_sentence() -> None:
    absent = Peer("nobody", ("handler",), lambda place: [], "no_such_module_anywhere", "pip install nobody")
    assert absent.missing() == (
        "not built: ModuleNotFoundError: No module named 'no_such_module_anywhere' (pip install nobody)"
    )


def test_bench_options() -> None:
    options = bench.parse([])
    assert (options.rounds, options.seconds, options.only) == (5, 3, list(PEERS))
    assert options.work[: len(WORKS)] == list(WORKS)  # and those that need other clients behind them
    options = bench.parse(["--only", "nginx,greenbas", "--work", "file1m", "--rounds", "2"])
    assert [peer.name for peer in options.only] == ["greenbas", "nginx"]
    assert [work.name for work in options.work] == ["file1m"]


@pytest.mark.parametrize("wrong", [["--only", "apache"], ["--work", "x"], ["--rounds", "0"], ["--seconds", "61"]])
def test_bench_refuses(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.parse(wrong)
    assert wrong[1] in capsys.readouterr().err


def test_idle_and_load_options_are_bounded() -> None:
    assert idle.parse([]).connections == 15_000
    assert (load.parse([]).seconds, load.parse([]).users) == (120, 200)
    for parse, wrong in [(idle.parse, "--connections=0"), (load.parse, "--seconds=0"), (load.parse, "--users=100000")]:
        with pytest.raises(SystemExit):
            parse([wrong])


def test_idle_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idle.resource.getrlimit", lambda kind: (1024, 4096))
    with pytest.raises(idle.LimitTooLow, match=r"RLIMIT_NOFILE.* the hard limit here is 4096.*--connections 3506"):
        idle.raise_limit(15_000)


def test_is_complete() -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-Length: 3\r\n\r\nabc"
    assert is_complete(whole)
    assert not any(is_complete(whole[:size]) for size in range(len(whole)))
    with pytest.raises(ConnectionError, match="503"):
        is_complete(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
