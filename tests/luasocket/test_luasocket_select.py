"""select: readiness, order, dirty readers, time-outs, and objects of other kinds. Facts checked against LuaSocket."""

from __future__ import annotations

import os
from typing import Any

import gevent
import pytest
from luapeers import SECONDS, dead_port, server, tcp_pair

from greenbas.luasocket import socket


class Wrapper:
    """Anything with a descriptor, such as the objects of tp."""

    def __init__(self, fd: Any, dirty: bool = False) -> None:
        self.fd = fd
        self.is_dirty = dirty

    def getfd(self) -> Any:
        return self.fd

    def dirty(self) -> bool:
        return self.is_dirty


def test_nothing_is_a_time_out() -> None:
    for readers, writers in ((None, None), ([], []), ((), None)):
        for seconds in (0, 0.01, "0"):
            assert socket.select(readers, writers, seconds) == ([], [], "timeout")


def test_success_has_two_values_and_a_time_out_three() -> None:
    with tcp_pair() as (client, peer):
        assert socket.select([client], None, 0.01) == ([], [], "timeout")
        assert socket.select([client], [client]) == ([], [client])
        peer.sendall(b"x")
        assert socket.select([client], None, SECONDS) == ([client], [])
        client.receive(1)
        assert socket.select([client], None, 0) == ([], [], "timeout")
        peer.close()
        assert socket.select([client], None, -1) == ([client], [])  # the end can be read too


def test_results_tell_the_place_of_an_object() -> None:
    with tcp_pair() as (one, first), tcp_pair() as (two, second):
        first.sendall(b"x")
        second.sendall(b"x")
        ready = socket.select([two, one], None, SECONDS)[0]
        while len(ready) < 2:
            ready = socket.select([two, one], None, SECONDS)[0]
        low, high = sorted([one, two], key=lambda sock: sock.getfd())
        assert list(ready) == [low, high]  # by descriptor
        assert (ready[low], ready[high]) == (0, 1)
        assert ready[ready[high]] is high
        assert all(bool(ready[sock]) for sock in (low, high))  # 0 too, as a Lua program expects
        assert ready["nothing of ours"] is None
        assert (low in ready, "nothing of ours" in ready) == (True, False)


def test_dirty_readers_make_nobody_wait() -> None:
    with tcp_pair() as (one, peer), tcp_pair() as (two, _):
        peer.sendall(b"line\nrest")
        assert one.receive() == (b"line", None, None)
        assert one.dirty()
        assert socket.select([two, one]) == ([one], [])  # no time given, and yet it returns


def test_dirty_objects_stand_before_ready_ones() -> None:
    with tcp_pair() as (client, peer):
        peer.sendall(b"x")
        assert socket.select([client], None, SECONDS)[0] == [client]
        dirty = Wrapper(client.getfd(), dirty=True)
        assert socket.select([client, dirty], None, 0)[0] == [dirty, client]


def test_accepting_and_connecting() -> None:
    with server() as (listening, port):
        assert socket.select([listening], None, 0) == ([], [], "timeout")
        client = socket.tcp()
        client.settimeout(0)
        client.connect("127.0.0.1", port)
        assert socket.select(None, [client], SECONDS) == ([], [client])
        assert socket.select([listening], None, SECONDS) == ([listening], [])
        client.close()
    failed = socket.tcp()
    failed.settimeout(0)
    failed.connect("127.0.0.1", dead_port())
    assert socket.select(None, [failed], SECONDS)[1] == [failed]
    failed.close()


def test_what_has_no_descriptor_is_left_out() -> None:
    strange = [1, "text", None, {}, object(), socket.tcp(), Wrapper(-1), Wrapper("x"), Wrapper(None), Wrapper(True)]
    assert socket.select(strange, strange, 0) == ([], [], "timeout")


def test_other_objects() -> None:
    reading, writing = os.pipe()
    reader, writer = Wrapper(reading), Wrapper(float(writing))
    assert socket.select([reader], [writer], SECONDS) == ([], [writer])
    os.write(writing, b"x")
    assert socket.select([reader], None, SECONDS) == ([reader], [])
    os.close(writing)
    os.close(reading)
    with tcp_pair() as (client, peer):
        source, sink = socket.source("until-closed", client), socket.sink("keep-open", client)
        assert socket.select([source], [sink], SECONDS) == ([], [sink])
        peer.sendall(b"data")
        assert socket.select([source], None, SECONDS) == ([source], [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, None), "bad argument #1 to 'select' (table expected, got number)"),
        ((None, "x"), "bad argument #2 to 'select' (table expected, got string)"),
        ((None, None, "soon"), "bad argument #3 to 'select' (number expected, got string)"),
        ((None, None, True), "bad argument #3 to 'select' (number expected, got boolean)"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        socket.select(*arguments)
    assert str(caught.value) == words


def test_the_limit_of_descriptors_is_none() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("needs descriptors above 1024")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    try:
        with tcp_pair() as (client, peer):
            high = socket.tcp()
            os.dup2(client.getfd(), 1500)
            high.setfd(1500)
            peer.sendall(b"x")
            assert high.getfd() > socket._SETSIZE
            assert socket.select([high], [high], SECONDS) == ([high], [high])
            high.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_waiting_for_one_of_many() -> None:
    with server() as (listening, port):
        clients = [socket.connect("127.0.0.1", port)[0] for _ in range(20)]
        accepted = [listening.accept()[0] for _ in clients]
        waiting = gevent.spawn(socket.select, clients)
        gevent.sleep(0)
        accepted[7].send(b"x")
        name = accepted[7].getpeername()
        assert [sock.getsockname() for sock in waiting.get(timeout=SECONDS)[0]] == [name]
        for sock in clients + accepted:
            sock.close()


@pytest.mark.parametrize("wrapped", [False, True])
def test_closing_what_is_waited_for_ends_the_wait(wrapped: bool) -> None:
    with tcp_pair() as (client, _), tcp_pair() as (other, _):
        readers = [other, Wrapper(client.getfd()) if wrapped else client]
        waiting = gevent.spawn(socket.select, readers)
        gevent.sleep(0)
        client.close()
        ready = waiting.get(timeout=SECONDS)
        assert ready == ([readers[1]], [])


def test_a_loop_that_polls_lets_others_run() -> None:
    with tcp_pair() as (client, peer):
        gevent.spawn(peer.sendall, b"x")
        while len(socket.select([client], None, 0)) == 3:
            pass
        client.settimeout(0)
        client.receive(1)
        gevent.spawn(peer.sendall, b"y")
        while client.receive(1)[0] is None:
            pass
