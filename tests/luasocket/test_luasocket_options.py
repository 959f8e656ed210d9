"""Options of sockets: what each takes and gives, and what is refused. Facts checked against LuaSocket."""

from __future__ import annotations

from typing import Any

import pytest
from luapeers import server

from greenbas.luasocket import socket, unix

MAKERS: dict[str, Any] = {
    "tcp": lambda: socket.tcp4()[0],
    "udp": lambda: socket.udp4()[0],
    "udp6": lambda: socket.udp6()[0],
    "unixstream": unix.stream,
    "unixdgram": unix.dgram,
}


def made(kind: str) -> Any:
    sock = MAKERS[kind]()
    if sock is None:
        pytest.skip("needs IPv6")
    return sock


SET_AND_GET: list[tuple[str, str, Any]] = [
    *(("tcp", name, True) for name in ("keepalive", "reuseaddr", "reuseport", "tcp-nodelay")),
    ("tcp", "tcp-keepidle", 100),
    ("tcp", "tcp-keepcnt", 3),
    ("tcp", "tcp-keepintvl", 7),
    ("tcp", "linger", {"on": True, "timeout": 3}),
    ("tcp", "linger", {"on": False, "timeout": 0}),
    ("tcp", "bindtodevice", "lo"),
    *(("udp", name, True) for name in ("dontroute", "broadcast", "reuseaddr", "reuseport")),
    ("udp", "ip-multicast-loop", False),
    ("udp", "ip-multicast-if", "127.0.0.1"),
    ("udp6", "ipv6-unicast-hops", 3),
    ("udp6", "ipv6-multicast-hops", 4),
    ("udp6", "ipv6-multicast-loop", False),
    ("udp6", "ipv6-v6only", False),
    ("unixstream", "keepalive", True),
    ("unixstream", "reuseaddr", True),
    ("unixstream", "linger", {"on": True, "timeout": 1}),
    ("unixdgram", "reuseaddr", True),
]


@pytest.mark.parametrize(("kind", "name", "value"), SET_AND_GET)
def test_set_and_get(kind: str, name: str, value: Any) -> None:
    sock = made(kind)
    before, err = sock.getoption(name)
    assert err is None
    assert type(before) is type(value)
    assert sock.setoption(name, value) == (1, None)
    assert sock.getoption(name) == (value, None)
    sock.close()
    assert sock.setoption(name, value) == (None, "setsockopt failed")
    assert sock.getoption(name) == (None, "getsockopt failed")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("name", ["recv-buffer-size", "send-buffer-size"])
def test_buffer_sizes(kind: str, name: str) -> None:
    sock = made(kind)
    sock.setoption(name, 20_000)
    assert sock.getoption(name)[0] >= 20_000  # the kernel doubles it
    sock.close()


def test_hops_are_two_options() -> None:
    sock = made("udp6")
    sock.setoption("ipv6-unicast-hops", 11)
    sock.setoption("ipv6-multicast-hops", 12)
    assert sock.getoption("ipv6-unicast-hops") == (11, None)
    sock.close()


SET_ONLY: list[tuple[str, str, Any]] = [
    ("tcp", "tcp-defer-accept", 1),
    ("tcp", "tcp-fastopen", 5),
    ("tcp", "tcp-fastopen-connect", 0),
    ("udp", "ip-multicast-ttl", 3),
    ("udp", "ip-multicast-if", "*"),
    ("udp", "ip-add-membership", {"multiaddr": "239.1.2.3", "interface": "127.0.0.1"}),
    ("udp6", "ipv6-add-membership", {"multiaddr": "ff02::1:7", "interface": 1}),
]


@pytest.mark.parametrize(("kind", "name", "value"), SET_ONLY)
def test_set_only(kind: str, name: str, value: Any) -> None:
    sock = made(kind)
    assert sock.setoption(name, value) == (1, None)
    if name != "ip-multicast-if":
        with pytest.raises(ValueError, match=f"bad argument #1 to 'getoption' \\(unsupported option `{name}'\\)"):
            sock.getoption(name)
    sock.close()


def test_an_option_of_the_other_family_fails() -> None:
    tcp, udp = made("tcp"), made("udp")
    assert tcp.setoption("ipv6-v6only", True) == (None, "setsockopt failed")
    assert udp.getoption("ipv6-v6only") == (None, "getsockopt failed")
    assert udp.setoption("ip-drop-membership", {"multiaddr": "239.1.2.4", "interface": "*"})[0] is None
    tcp.close()
    udp.close()


@pytest.mark.parametrize("kind", ["tcp", "udp", "unixstream", "unixdgram"])
def test_the_error_can_only_be_asked_for(kind: str) -> None:
    sock = made(kind)
    assert sock.getoption("error") == (None, None)
    with pytest.raises(ValueError, match="unsupported option `error'"):
        sock.setoption("error", True)
    sock.close()


S = "bad argument #2 to 'setoption' "
REFUSED: list[tuple[str, str, Any, type[Exception], str]] = [
    ("tcp", "foo", True, ValueError, "bad argument #1 to 'setoption' (unsupported option `foo')"),
    ("tcp", "broadcast", True, ValueError, "bad argument #1 to 'setoption' (unsupported option `broadcast')"),
    ("udp", "linger", True, ValueError, "bad argument #1 to 'setoption' (unsupported option `linger')"),
    ("tcp", "keepalive", 1, TypeError, S + "(boolean expected, got number)"),
    ("tcp", "keepalive", None, TypeError, S + "(boolean expected, got nil)"),
    ("tcp", "keepalive", "true", TypeError, S + "(boolean expected, got string)"),
    ("tcp", "tcp-keepidle", True, TypeError, S + "(number expected, got boolean)"),
    ("tcp", "bindtodevice", True, TypeError, S + "(string expected, got boolean)"),
    ("tcp", "linger", 1, TypeError, S + "(table expected, got number)"),
    ("tcp", "linger", {}, TypeError, S + "(boolean 'on' field expected)"),
    ("tcp", "linger", {"on": True}, TypeError, S + "(number 'timeout' field expected)"),
    ("udp", "ip-multicast-if", "foo", ValueError, S + "(ip expected)"),
    ("udp", "ip-add-membership", 1, TypeError, S + "(table expected, got number)"),
    ("udp", "ip-add-membership", {"multiaddr": "239.1.1.1"}, TypeError, S + "(string 'interface' field expected)"),
    ("udp", "ip-add-membership", {"interface": "*"}, TypeError, S + "(string 'multiaddr' field expected)"),
    (
        "udp", "ip-add-membership", {"multiaddr": "x", "interface": "*"},
        ValueError, S + "(invalid 'multiaddr' ip address)",
    ),
    (
        "udp", "ip-add-membership", {"multiaddr": "239.1.1.1", "interface": "x"},
        ValueError, S + "(invalid 'interface' ip address)",
    ),
    (
        "udp6", "ipv6-add-membership", {"multiaddr": "ff02::1", "interface": "x"},
        TypeError, S + "(number 'interface' field expected)",
    ),
    ("udp6", "ipv6-add-membership", {"multiaddr": "239.1.1.1"}, ValueError, S + "(invalid 'multiaddr' ip address)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "value", "error", "words"), REFUSED)
def test_refused(kind: str, name: str, value: Any, error: type[Exception], words: str) -> None:
    sock = made(kind)
    with pytest.raises(error) as caught:
        sock.setoption(name, value)
    assert str(caught.value) == words
    sock.close()


def test_options_of_servers() -> None:
    with server() as (listening, _):
        assert listening.getoption("reuseaddr") == (True, None)
        assert listening.setoption("keepalive", True) == (1, None)
