"""The TLS part of the benchmark: both servers do what the client asks, and what is measured is put together rightly."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import tls
from cores import Cores
from counted import result
from score import Cell
from tls import PEERS, TLS_GOALS, TLS_WORKS, measure, servers, tls_table

BY_WORK = {work.name: work for work in TLS_WORKS}


def test_goals_name_known_works_and_peers() -> None:
    assert all(goal.work in BY_WORK and goal.peer in PEERS for goal in TLS_GOALS)


def test_both_servers_do_all_works(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {name: Cell("any", name) for name in PEERS}
    with contextlib.ExitStack() as stack:
        started, cert = stack.enter_context(servers(cells, Cores(None, None)))
        assert [server.name for server in started] == list(PEERS)
        for server in started:
            for work in TLS_WORKS:
                found = measure(work, server, 0.1, cert, Cores(None, None))  # type: ignore[arg-type]
                assert not isinstance(found, str), found
                assert found.requests > 0
                assert found.rate > 0


def test_what_goes_wrong_is_said(tmp_path: Path) -> None:
    cells = {name: Cell("any", name) for name in PEERS}
    with servers(cells, Cores(None, None)) as (started, _):
        (tmp_path / "other.pem").write_text(tls.make_certificate(tmp_path)[0].read_text())
        found = measure(BY_WORK["tls-handshake"], started[0], 1, tmp_path / "other.pem", Cores(None, None))
        assert isinstance(found, str) and "CERTIFICATE_VERIFY_FAILED" in found


def test_the_table() -> None:
    cell = Cell("tls-down", "greenbas", [result(300, 2.0, 1.0, 0.96), result(500, 2.0, 1.0, 0.97)])
    broken = Cell("tls-down", "gevent", broken="no such luck")
    lines = tls_table(BY_WORK["tls-down"], [broken, cell]).splitlines()
    assert lines[0].startswith("tls-down: ")
    assert lines[3].split() == ["greenbas", "~", "200", "150", "250", "50%", "2,500.0", "96%"]
    assert lines[-1] == "! gevent: no such luck"
