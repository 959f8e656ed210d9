"""The first lines of a response head, remembered for a second."""

from __future__ import annotations

import pytest
from support import wait_until
from web import Client, head, serving

from greenbas.errors import LocalProtocolError
from greenbas.http.statusline import HeadStart


def test_lines() -> None:
    start = HeadStart("greenbas", clock=lambda: 0)
    date = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    assert start.lines(200) == b"HTTP/1.1 200 OK\r\n" + date + b"Server: greenbas\r\n"
    assert start.lines(200) == start.lines(200)
    assert start.lines(799) == b"HTTP/1.1 799 Unknown\r\n" + date + b"Server: greenbas\r\n"
    assert start.lines(200, "Fine").startswith(b"HTTP/1.1 200 Fine\r\n")
    assert start.lines(200).startswith(b"HTTP/1.1 200 OK\r\n")  # an own reason is not remembered


def test_without_a_server_name() -> None:
    assert b"Server" not in HeadStart("").lines(200)


@pytest.mark.parametrize("reason", ["a\r\nb", "ä", "\0", "\t"])
def test_bad_reasons(reason: str) -> None:
    with pytest.raises(LocalProtocolError):
        HeadStart("").lines(200, reason)


def test_the_date_moves_when_it_is_told_to() -> None:
    now = 0.0
    start = HeadStart("", clock=lambda: now)
    before = start.lines(200)
    now = 1.5
    assert start.lines(200) == before
    start.refresh()
    assert b"00:00:01 GMT" in start.lines(200) and b"00:00:01 GMT" in start.lines(404)


def test_the_server_moves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """9110 6.6.1: the date is that of the response, not of the first one."""
    monkeypatch.setattr("greenbas.http.service.SWEEP_INTERVAL", 0.02)
    with serving(lambda request, response: "x") as server, Client(server) as client:
        first = client.ask(head("GET / HTTP/1.1"))["Date"]
        wait_until(lambda: client.ask(head("GET / HTTP/1.1"))["Date"] != first)
