"""UDP sockets: connected and not, broadcast, multicast."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from gevent.event import AsyncResult
from leaks import nothing_left

from greenbas import net, spawn
from greenbas.errors import CannotResolve, IncorrectUse, NetError, TimedOut
from greenbas.net import Socket


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Every test closes what it opens."""
    with nothing_left():
        yield


def server() -> Socket:
    return net.udpcon(intf="127.0.0.1")


def test_a_connected_socket_and_one_that_is_not() -> None:
    with server() as there, net.udpcon("127.0.0.1", there.sockname()[1]) as here:
        here.write(b"question")
        data, address, port = there.recvfrom(5)
        assert (data, address, port) == (b"question", *here.sockname()[:2])
        there.sendto(b"answer", address, port)
        assert here.read(5) == b"answer"
        assert here.peername() == there.sockname()


def test_datagrams_keep_their_borders() -> None:
    with server() as there, net.udpcon("127.0.0.1", there.sockname()[1]) as here:
        for data in (b"one", b"", b"two" * 1000):
            here.write(data)
        assert [there.read(5), there.read(5), there.read(5)] == [b"one", b"", b"two" * 1000]


def test_empty_datagrams_are_no_end() -> None:
    with server() as there, net.udpcon("127.0.0.1", there.sockname()[1]) as here:
        for _ in range(5):
            here.write(b"")
            assert there.read(5) == b""


def test_what_is_beyond_the_size_is_lost() -> None:
    with server() as there, net.udpcon("127.0.0.1", there.sockname()[1]) as here:
        here.write(b"long message")
        here.write(b"next")
        assert there.recvfrom(5, size=4)[0] == b"long"
        assert there.read(5) == b"next"


def test_time_outs() -> None:
    with server() as there:
        for call in (there.read, there.recvfrom):
            with pytest.raises(TimedOut):
                call(0.01)


def test_a_udp_server_as_a_function() -> None:
    def serve(sock: Socket) -> None:
        while True:
            data, address, port = sock.recvfrom()
            sock.sendto(data.upper(), address, port)

    with server() as there:
        there.event(serve, "s")
        with net.udpcon("127.0.0.1", there.sockname()[1]) as here:
            for word in ("one", "two"):
                here.write(word)
                assert here.read(5) == word.upper().encode()


def test_udpcon_inside_a_cosocket() -> None:
    got = AsyncResult()
    with server() as there:

        def client(sock: Socket) -> None:
            assert net.udpcon("127.0.0.1", there.sockname()[1]) is sock
            sock.write(b"x")
            got.set(sock.read(5))

        net.event(client)
        data, *place = there.recvfrom(5)
        there.sendto(data * 2, *place)
        assert got.get(timeout=5) == b"xx"


def test_a_peer_that_does_not_listen() -> None:
    with server() as there:
        port = there.sockname()[1]
    with net.udpcon("127.0.0.1", port) as here:
        here.write(b"x")
        with pytest.raises(NetError, match=f"127.0.0.1:{port}.*refused"):
            here.read(5)
        here.write(b"the socket is usable still")


def test_a_local_port_of_ones_choice() -> None:
    with server() as there:
        port = there.sockname()[1]
    with server() as peer, net.udpcon("127.0.0.1", peer.sockname()[1], local_port=port) as here:
        assert here.sockname()[1] == port


def test_broadcast_and_multicast() -> None:
    with server() as there, net.udpcon(intf="127.0.0.1") as here:
        here.setoption("broadcast", True)
        here.setoption("dontroute", False)
        group = "239.1.2.3"
        there.setoption("ip-membership", True, group, "127.0.0.1")
        there.setoption("ip-membership", False, group, "127.0.0.1")
        with pytest.raises(NetError, match="option 'ip-membership' is refused"):
            there.setoption("ip-membership", False, group, "127.0.0.1")


def test_multicast_arrives() -> None:
    group = "239.77.1.2"
    with net.udpcon(intf=group) as there, net.udpcon(intf="127.0.0.1") as here:
        there.setoption("ip-membership", True, group, "127.0.0.1")
        raw = here._stream.sock  # type: ignore[union-attr]
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        here.sendto(b"to all", group, there.sockname()[1])
        assert there.recvfrom(5)[0] == b"to all"


def test_closing_wakes_the_receiver() -> None:
    there = server()
    waiter = spawn(there.recvfrom)
    spawn(there.close).join()
    with pytest.raises(NetError):
        waiter.get(timeout=5)


def test_mistakes() -> None:
    with server() as there:
        with pytest.raises(NetError, match=r"sending 70000 bytes to 127.0.0.1:9 failed: Message too long"):
            there.sendto(bytes(70000), "127.0.0.1", 9)
        with pytest.raises(NetError, match="Destination address required: connect the socket, or use sendto"):
            there.write(b"x")
    with pytest.raises(CannotResolve):
        net.udpcon("nosuch.invalid", 1)
    with net.bind(0, intf="127.0.0.1") as listener, pytest.raises(IncorrectUse, match=r"recvfrom\(\) is for UDP"):
        listener.recvfrom()
