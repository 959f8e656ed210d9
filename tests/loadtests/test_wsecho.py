"""The WebSocket benchmark: greenbas and the bare library answer it, and its table says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from cores import Cores
from peers import python
from process import HERE, free_port, running
from score import Cell, ratios
from wrk import Measurement
from wsecho import PEERS, WS_GOALS, WS_WORKS, WsWork, measure, missing, ws_table

ALONE = Cores(None, None)


@pytest.mark.parametrize("name", ["greenbas", "framing"])
def test_a_server_answers(name: str, tmp_path: Path) -> None:
    port = free_port()
    command = python(str(HERE / "apps" / "wsserver.py"), name, str(port))
    with running(name, command, port=port, scratch=tmp_path, core=None) as server:
        found = measure(WsWork("ws-echo", "a few", 3), server, 1, ALONE)
    assert isinstance(found, Measurement), found
    assert found.requests > 10
    assert found.server_cpu > 0


def test_a_wrong_server_is_a_sentence(tmp_path: Path) -> None:
    port = free_port()
    command = python("-m", "http.server", str(port), "--bind", "127.0.0.1")
    with running("nobody", command, port=port, scratch=tmp_path, core=None) as server:
        found = measure(WsWork("ws-echo", "one", 1), server, 1, ALONE)
    assert isinstance(found, str)
    assert "no handshake" in found


def test_goals_name_known_works_and_peers() -> None:
    for goal in WS_GOALS:
        assert goal.work in {work.name for work in WS_WORKS}
        assert goal.peer in PEERS


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "uvicorn", "no_such_module_anywhere")
    assert missing("uvicorn") == "not installed: ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    assert missing("greenbas") == ""


def test_table_and_ratios() -> None:
    def cell(peer: str, rate: float) -> Cell:
        return Cell("ws-echo", peer, [Measurement(rate, 100, 0, 0.0, 0.0, "", 0.5, 1.0)])

    cells = [cell("greenbas", 80_000), cell("framing", 100_000), Cell("ws-echo", "uvicorn", absent="not installed: x")]
    assert [one.verdict for one in ratios(cells, WS_GOALS)] == ["met"]
    lines = ws_table(WS_WORKS[0], cells).splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["framing", "greenbas", "uvicorn:"]
    assert "12.5" in lines[4]
