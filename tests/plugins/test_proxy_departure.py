"""Request heads that leave together at the end of a turn of the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import gevent
import pytest
from leaks import nothing_left
from proxies import OK, proxied
from scripted import scripted
from tlspairs import sockets
from web import get

from greenbas.errors import NetError
from greenbas.net import Stream
from greenbas_plugins.proxy.departure import Departures


@contextlib.contextmanager
def pair() -> Iterator[tuple[Stream, Stream]]:
    """Two ends of a connection."""
    one, other = sockets()
    try:
        yield one, other
    finally:
        one.close()
        other.close()


def test_they_leave_at_the_end_of_the_turn_and_in_order() -> None:
    departures = Departures()
    with nothing_left(), pair() as (one, first), pair() as (two, second):
        departures.send(one, b"a")
        departures.send(two, b"b")
        with pytest.raises(BlockingIOError):
            first.receive(10)  # this greenlet still has its turn
        assert first.read(timeout=5) == b"a"
        assert second.read(timeout=5) == b"b"
        departures.send(one, b"c")  # the next turn
        assert first.read(timeout=5) == b"c"


def test_one_that_is_closed_keeps_no_other_one_back() -> None:
    departures = Departures()
    with nothing_left(), pair() as (one, _), pair() as (two, second):
        departures.send(one, b"a")
        departures.send(two, b"b")
        one.close()
        assert second.read(timeout=5) == b"b"


def test_what_the_kernel_has_no_room_for_follows() -> None:
    departures = Departures()
    with nothing_left(), pair() as (one, first):
        filled = 0
        while sent := one.try_send(bytes(65536)):
            filled += sent
        departures.send(one, b"the end")
        gevent.idle()
        received = b""
        while len(received) < filled + 7:
            received += first.read(timeout=5)
        assert received.endswith(b"\0the end")


def test_a_peer_that_goes_while_it_waits() -> None:
    departures = Departures()
    with nothing_left(), pair() as (one, first):
        while one.try_send(bytes(65536)):
            pass
        departures.send(one, b"the end")
        gevent.idle()
        first.close()
        with pytest.raises(NetError):
            while one.read(timeout=5):
                pass
            one.write(b"x")


def test_an_answer_that_comes_before_its_question(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The head would follow on a connection that may be another request's by then."""
    monkeypatch.setattr(Departures, "_leave", lambda self: None)  # a turn that does not end
    with scripted(lambda conversation: conversation.send(OK)) as backend, proxied(backend.port) as server:
        assert get(server, "/app/").status == 502
    assert "it has answered before it was asked" in caplog.text
