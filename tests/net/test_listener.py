"""Listeners: where they can listen and where not, what they hand on, and running out of descriptors."""

from __future__ import annotations

import _socket
import errno
import itertools
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub
from leaks import held, nothing_left
from programs import run_program
from support import wait_until

from greenbas.errors import BindFailed
from greenbas.net import Listener, resolver
from greenbas.net.listener import ACCEPTS_PER_TURN

TIMEOUT = 5.0


class Accepted:
    """Takes what a listener hands on and keeps it open."""

    def __init__(self) -> None:
        self.sockets: list[_socket.socket] = []
        self.greenlets: set[object] = set()

    def __call__(self, sock: _socket.socket) -> None:
        self.greenlets.add(gevent.getcurrent())
        self.sockets.append(sock)

    def __len__(self) -> int:
        return len(self.sockets)

    def close(self) -> None:
        while self.sockets:
            self.sockets.pop().close()


@pytest.fixture
def accepted() -> Iterator[Accepted]:
    socket.getaddrinfo("localhost", 80)  # the resolver's thread stays
    with nothing_left():
        accepted = Accepted()
        yield accepted
        accepted.close()


@pytest.fixture
def listen(accepted: Accepted) -> Iterator[Callable[..., Listener]]:
    """Makes listeners, closed at the end."""
    made: list[Listener] = []

    def listen(on_accept: Callable[[Any], None] = accepted, *, started: bool = True, **options: Any) -> Listener:
        made.append(Listener(get_hub(), on_accept, **options))
        if started:
            made[-1].start()
        return made[-1]

    yield listen
    for listener in made:
        listener.close()


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), timeout=TIMEOUT)


def connect_at_once(port: int) -> _socket.socket:
    """Connect without giving the hub a turn: the connection waits in the kernel."""
    sock = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(("127.0.0.1", port))
    return sock


def refused(port: int, host: str = "127.0.0.1") -> bool:
    try:
        connect(port, host).close()
    except ConnectionRefusedError:
        return True
    return False


# -- where --------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_named_with_the_reason(listen: Callable[..., Listener]) -> None:
    taken = listen().port
    before = held()
    with pytest.raises(BindFailed) as caught:
        listen(port=taken)
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{taken}: Address already in use"
    assert caught.value.code == "bind"
    assert held().within(before)


def test_a_port_taken_for_all_addresses(listen: Callable[..., Listener]) -> None:
    taken = listen(host="").port
    for host in ("", "127.0.0.1", "::1", "0.0.0.0"):
        with pytest.raises(BindFailed, match=f":{taken}: Address already in use"):
            listen(host=host, port=taken)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", -1, "cannot listen on 127.0.0.1:-1: a port is 0 to 65535"),
        ("127.0.0.1", 65536, "cannot listen on 127.0.0.1:65536: a port is 0 to 65535"),
        ("", 70000, "cannot listen on *:70000: a port is 0 to 65535"),
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1:0: Cannot assign requested address"),
        ("no-such-host.invalid", 0, "cannot listen on no-such-host.invalid:0: "),
        ("x" * 64 + ".invalid", 0, f"cannot listen on {'x' * 64}.invalid:0: "),  # UnicodeError from the codec
        ("a..b", 0, "cannot listen on a..b:0: "),
        ("300.300.300.300", 0, "cannot listen on 300.300.300.300:0: "),
        ("a\0b", 0, "cannot listen on a\0b:0: "),
    ],
)
def test_what_cannot_be_listened_on(
    listen: Callable[..., Listener], host: str, port: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = held()
    with pytest.raises(BindFailed) as caught:
        listen(host=host, port=port)
    assert str(caught.value).startswith(words)
    assert len(str(caught.value)) > len(words) or not words.endswith(": ")
    assert "\n" not in str(caught.value)
    assert held().within(before)


@pytest.mark.parametrize(
    ("host", "reached_by", "refused_by", "url_host"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["::1"], "127.0.0.1"),
        ("::1", ["::1"], ["127.0.0.1"], "[::1]"),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"], ["::1"], "localhost"),
        ("::", ["127.0.0.1", "::1"], [], "localhost"),
        ("", ["127.0.0.1", "127.0.0.2", "::1"], [], "localhost"),
    ],
)
def test_hosts(
    listen: Callable[..., Listener],
    accepted: Accepted,
    host: str,
    reached_by: list[str],
    refused_by: list[str],
    url_host: str,
) -> None:
    listener = listen(host=host)
    assert listener.port != 0
    assert listener.url_host == url_host
    assert repr(listener) == f"<Listener {url_host}:{listener.port}>"
    for count, address in enumerate(reached_by, 1):
        connect(listener.port, address).close()
        wait_until(lambda count=count: len(accepted) == count)  # type: ignore[misc]
    assert all(refused(listener.port, address) for address in refused_by)


def test_every_address_without_ipv6(listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    real = resolver._getaddrinfo
    monkeypatch.setattr(resolver, "_getaddrinfo", lambda *a, **k: [e for e in real(*a, **k) if e[0] == socket.AF_INET])
    assert listen(host="").address[0] == "0.0.0.0"


def test_a_name_is_looked_up(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen(host="localhost")
    connect(listener.port, "localhost").close()
    wait_until(lambda: len(accepted) == 1)


# -- accepting ----------------------------------------------------------------------------------------------------


def test_connections_are_handed_on_in_the_hub(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen()
    with connect(listener.port) as client:
        wait_until(lambda: len(accepted) == 1)
        (sock,) = accepted.sockets
        assert accepted.greenlets == {get_hub()}
        assert type(sock) is _socket.socket
        assert not os.get_inheritable(sock.fileno())
        client.sendall(b"x")
        wait_until(lambda: sock.recv(1) == b"x")


def test_connections_before_the_start_wait(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen(started=False)
    client = connect(listener.port)
    gevent.sleep(0.01)
    assert len(accepted) == 0
    listener.start()
    listener.start()
    wait_until(lambda: len(accepted) == 1)
    client.close()


def test_others_have_turns_while_very_many_come(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen()
    clients = [connect_at_once(listener.port) for _ in range(ACCEPTS_PER_TURN * 3)]
    seen = [0]
    while len(accepted) < len(clients):
        gevent.sleep(0)
        seen.append(len(accepted))
    assert max(after - before for before, after in itertools.pairwise(seen)) <= ACCEPTS_PER_TURN
    for client in clients:
        client.close()


def test_an_on_accept_that_raises_loses_no_descriptor(
    listen: Callable[..., Listener], caplog: pytest.LogCaptureFixture
) -> None:
    good = Accepted()

    def sometimes(sock: _socket.socket) -> None:
        if len(caplog.records) < 20:
            raise ValueError("no")
        good(sock)

    listener = listen(sometimes)
    before = held()
    with caplog.at_level(logging.ERROR, "greenbas.net"):
        for _ in range(20):
            with connect(listener.port) as client:
                assert client.recv(1) == b""
    assert [record.message for record in caplog.records] == ["a new connection was dropped"] * 20
    assert held().within(before)
    connect(listener.port).close()
    wait_until(lambda: len(good) == 1)
    good.close()


class FakeSocket:
    """Accepts what the test says: errors and connections; somebody waits always, or never."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, 0

    def __init__(self, *results: int | OSError, waits: bool = True) -> None:
        self.results = list(results)
        self._sides = socket.socketpair()
        if waits:
            self._sides[1].send(b"x")

    def _accept(self) -> tuple[int, object]:
        if not self.results:
            raise BlockingIOError
        result = self.results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result, ("127.0.0.1", 1)

    def fileno(self) -> int:
        return self._sides[0].fileno()


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EHOSTUNREACH, errno.EINTR])
def test_a_peer_that_gave_up_keeps_nobody_from_being_accepted(
    listen: Callable[..., Listener], accepted: Accepted, number: int
) -> None:
    left, right = socket.socketpair()
    listener = listen()
    listener._accept_from(FakeSocket(failure(number), left.detach()), 10)
    assert len(accepted) == 1
    assert listener._timer is None
    right.close()


# -- moving and closing -------------------------------------------------------------------------------------------


def test_set_port_keeps_what_was_accepted(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen()
    old = listener.port
    client = connect(old)
    wait_until(lambda: len(accepted) == 1)
    waiting = connect_at_once(old)
    listener.set_port(0)
    assert listener.port != old
    assert len(accepted) == 2  # the one that waited in the kernel came along
    assert refused(old)
    other = connect(listener.port)
    wait_until(lambda: len(accepted) == 3)
    for sock, mine in zip((client, waiting, other), accepted.sockets, strict=True):
        sock.sendall(b"alive")
        wait_until(lambda mine=mine: mine.recv(10) == b"alive")  # type: ignore[misc]
        sock.close()


def test_set_port_to_another_host(listen: Callable[..., Listener]) -> None:
    listener = listen()
    listener.set_port(0, host="::1")
    assert not refused(listener.port, "::1")
    listener.set_port(0)
    assert listener.address[0] == "::1"


def test_set_port_that_fails_leaves_everything(listen: Callable[..., Listener], accepted: Accepted) -> None:
    taken, listener = listen().port, listen()
    port = listener.port
    before = held()
    for bad in (taken, 99999):
        with pytest.raises(BindFailed):
            listener.set_port(bad)
    assert held().within(before)
    assert listener.port == port
    connect(port).close()
    wait_until(lambda: len(accepted) == 1)


def test_set_port_to_where_it_listens_changes_nothing(listen: Callable[..., Listener], accepted: Accepted) -> None:
    """It was refused: the address was in use, by itself."""
    listener = listen()
    port = listener.port
    listener.set_port(port)
    listener.set_port(port, host="127.0.0.1")
    assert listener.port == port
    connect(port).close()
    wait_until(lambda: len(accepted) == 1)


def test_set_port_does_not_start(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen(started=False)
    listener.set_port(0)
    client = connect(listener.port)
    gevent.sleep(0.01)
    assert len(accepted) == 0
    client.close()


def test_close_accepts_first_what_waits_in_the_kernel(listen: Callable[..., Listener], accepted: Accepted) -> None:
    listener = listen()
    port = listener.port
    clients = [connect_at_once(port) for _ in range(ACCEPTS_PER_TURN + 36)]
    assert len(accepted) == 0
    listener.close()
    assert len(accepted) == len(clients)
    assert refused(port)
    assert repr(listener) == "<Listener closed>"
    for client in clients:
        client.close()


def test_closing_again_or_before_the_start_is_right(listen: Callable[..., Listener]) -> None:
    listener = listen(started=False)
    port = listener.port
    listener.close()
    listener.close()
    listener.start()
    assert refused(port)


# -- out of descriptors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_it_pauses_when_resources_have_run_out(
    listen: Callable[..., Listener], accepted: Accepted, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen()
    listener._accept_from(FakeSocket(failure(number), failure(number)), 10)
    (record,) = caplog.records
    assert record.getMessage() == f"cannot accept, trying again every 0.1 s: {os.strerror(number)}"
    assert not listener._watcher.active
    client = connect(listener.port)
    wait_until(lambda: len(accepted) == 1)  # by itself, after the pause
    client.close()


def test_an_outage_is_logged_once(
    listen: Callable[..., Listener], accepted: Accepted, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten lines a second were written, for as long as it lasted."""
    listener = listen()

    def again() -> None:
        if listener._timer is not None:
            listener._timer.stop()
            listener._go_on()
        listener._accept_from(FakeSocket(failure(errno.EMFILE)), 10)

    for _ in range(5):
        again()
    assert len(caplog.records) == 1
    connect(listener.port).close()
    wait_until(lambda: len(accepted) == 1)
    again()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("act", ["close", "set_port"])
def test_closing_and_moving_during_the_pause(listen: Callable[..., Listener], accepted: Accepted, act: str) -> None:
    listener = listen()
    listener._accept_from(FakeSocket(failure(errno.EMFILE)), 10)
    if act == "close":
        listener.close()
        assert listener._timer is None
    else:
        listener.set_port(0)
        connect(listener.port).close()
        wait_until(lambda: len(accepted) == 1)


def test_what_can_be_relieved_needs_no_pause(listen: Callable[..., Listener], accepted: Accepted) -> None:
    relieved: list[bool] = []
    listener = listen(relieve=lambda: relieved.append(True) is None)
    left, right = socket.socketpair()
    listener._accept_from(FakeSocket(failure(errno.EMFILE), failure(errno.EMFILE), left.detach()), 10)
    assert (len(relieved), len(accepted), listener._timer) == (2, 1, None)
    right.close()


def test_the_last_descriptor_is_no_outage(
    listen: Callable[..., Listener], accepted: Accepted, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel says EMFILE though nobody waits: a connection was dropped to make room for none."""
    left, right = socket.socketpair()
    listener = listen(relieve=lambda: pytest.fail("nobody waits"))
    listener._accept_from(FakeSocket(left.detach(), failure(errno.EMFILE), waits=False), 10)
    assert (len(accepted), listener._timer, caplog.records) == (1, None, [])
    right.close()


def test_out_of_descriptors_it_does_not_spin_and_serves_once_there_are_some() -> None:
    said = run_program(
        """
        import _socket, os, time
        import gevent
        from gevent import get_hub
        from greenbas.net import Listener, Stream

        def on_accept(sock):
            stream = Stream(sock, get_hub())
            gevent.spawn(lambda: (stream.write(stream.read(10, 5).upper()), stream.close()))

        listener = Listener(get_hub(), on_accept)
        clients = []
        for _ in range(5):
            client = _socket.socket()
            client.connect(("127.0.0.1", listener.port))      # it waits in the kernel
            client.send(b"hello")
            clients.append(client)
        get_hub().threadpool
        fillers = []
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
        listener.start()
        gevent.sleep(0.05)
        wall, used = time.monotonic(), time.process_time()
        gevent.sleep(0.5)
        wall, used = time.monotonic() - wall, time.process_time() - used
        print("busy" if used > wall / 4 else "calm")
        for filler in fillers:
            os.close(filler)
        for client in clients:
            client.setblocking(False)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                gevent.sleep(0.01)
                try:
                    print(client.recv(10))
                    break
                except BlockingIOError:
                    pass
        """,
        descriptors=40,
    )
    assert said.splitlines() == ["calm", *["b'HELLO'"] * 5]


def test_out_of_descriptors_a_server_drops_the_oldest_idle_connection_and_goes_on() -> None:
    said = run_program(
        """
        import _socket, os, time
        import gevent
        from greenbas import Server

        server = Server(max_connections=1000)
        server.directory("hello")(lambda request, response: "hi")
        server.listen(0)
        server.start()
        port = server.listeners[0].port

        def connected():
            client = _socket.socket()
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            return client

        def answer(client):
            client.send(b"GET /hello/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                gevent.sleep(0.01)
                try:
                    return client.recv(1000).partition(b" ")[2][:3]
                except BlockingIOError:
                    pass

        first = connected()
        print(answer(first))
        late = _socket.socket()
        fillers = []
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
        late.connect(("127.0.0.1", port))
        late.setblocking(False)
        print(answer(late))
        print(first.recv(10))
        """,
        descriptors=60,
    )
    assert said.splitlines() == ["b'200'", "b'200'", "b''"]
