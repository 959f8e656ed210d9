"""X-Forwarded-For, and who tries to cheat with it."""

from __future__ import annotations

import pytest

from greenbas.errors import SettingError
from greenbas.protocol.forwarded import MAX_HOPS, client_address, parse_networks, same_address, trusts

TRUSTED = parse_networks(["10.0.0.0/8", "192.0.2.7", "fd00::/8", "unix"])
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "field", "client"),
    [
        pytest.param(PROXY, None, PROXY, id="no field"),
        pytest.param(PROXY, "", PROXY, id="empty field"),
        pytest.param(PROXY, "203.0.113.9", "203.0.113.9", id="one hop"),
        pytest.param(PROXY, "203.0.113.9, 192.0.2.7", "203.0.113.9", id="two hops"),
        pytest.param(PROXY, "203.0.113.9,10.1.1.1,\t10.2.2.2 ", "203.0.113.9", id="three hops"),
        pytest.param(PROXY, "10.3.3.3, 10.2.2.2", "10.3.3.3", id="all trusted: the leftmost"),
        pytest.param("fd00::1", "2001:db8::9", "2001:db8::9", id="IPv6"),
        pytest.param("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9", id="mapped peer"),
        pytest.param(PROXY, "::ffff:203.0.113.9", "203.0.113.9", id="mapped client"),
        pytest.param(PROXY, "203.0.113.9, ::ffff:10.2.2.2", "203.0.113.9", id="mapped proxy"),
        pytest.param(PROXY, "203.0.113.9:4711", "203.0.113.9", id="port"),
        pytest.param(PROXY, "[2001:db8::9]:4711", "2001:db8::9", id="brackets and port"),
        pytest.param(PROXY, "[2001:db8::9]", "2001:db8::9", id="brackets"),
        pytest.param(PROXY, "2001:DB8:0::9", "2001:db8::9", id="canonical"),
        pytest.param("", "203.0.113.9", "203.0.113.9", id="unix socket"),
        pytest.param("unix", "203.0.113.9", "203.0.113.9", id="unix socket by name"),
    ],
)
def test_client_address(peer: str, field: str | None, client: str) -> None:
    assert client_address(peer, field, TRUSTED) == client


@pytest.mark.parametrize(
    ("peer", "field", "client"),
    [
        pytest.param("203.0.113.9", "127.0.0.1", "203.0.113.9", id="stranger claims to be local"),
        pytest.param("203.0.113.9", "10.0.0.1, 10.0.0.2", "203.0.113.9", id="stranger claims proxies"),
        pytest.param(PROXY, "127.0.0.1, 203.0.113.9", "203.0.113.9", id="invented entry to the left"),
        pytest.param(PROXY, "1.2.3.4, 10.9.9.9, 203.0.113.9", "203.0.113.9", id="invented proxy to the left"),
        pytest.param(PROXY, "127.0.0.1, 203.0.113.9, 10.2.2.2", "203.0.113.9", id="invented, two real hops"),
        pytest.param(PROXY, "127.0.0.1, unknown", PROXY, id="unknown ends the walk"),
        pytest.param(PROXY, "127.0.0.1, _hidden, 10.2.2.2", "10.2.2.2", id="obfuscated ends the walk"),
        pytest.param(PROXY, "127.0.0.1, , 10.2.2.2", "10.2.2.2", id="empty entry ends the walk"),
        pytest.param(PROXY, "127.0.0.1, unix", PROXY, id="unix inside the field"),
        pytest.param(PROXY, "127.0.0.1 10.2.2.2", PROXY, id="space instead of comma"),
        pytest.param(PROXY, "127.0.0.1\r\nX: 10.2.2.2", PROXY, id="line break"),
        pytest.param(PROXY, "010.0.0.1", PROXY, id="octal"),
        pytest.param(PROXY, "167772161", PROXY, id="one number"),
        pytest.param(PROXY, "10.1", PROXY, id="short form"),
        pytest.param(PROXY, "0x7f.0.0.1", PROXY, id="hexadecimal"),
        pytest.param(PROXY, "١٠.0.0.1", PROXY, id="other digits"),
        pytest.param(PROXY, "203.0.113.9:port", PROXY, id="no port"),
        pytest.param(PROXY, "[203.0.113.9", PROXY, id="open bracket"),
        pytest.param(PROXY, "203.0.113.9/8", PROXY, id="network"),
        pytest.param(PROXY, "<script>", PROXY, id="markup"),
        pytest.param(PROXY, "1" * 10000, PROXY, id="long"),
        pytest.param("not an address", "203.0.113.9", "not an address", id="odd peer"),
        pytest.param("::ffff:203.0.113.9", "127.0.0.1", "::ffff:203.0.113.9", id="mapped stranger"),
    ],
)
def test_spoofing(peer: str, field: str, client: str) -> None:
    assert client_address(peer, field, TRUSTED) == client


@pytest.mark.parametrize("peer", ["203.0.113.9", "", "unix", "::ffff:10.0.0.1", "anything"])
def test_nobody_trusted(peer: str) -> None:
    assert client_address(peer, "127.0.0.1", ()) == peer


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.200.0.1", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:192.0.2.7", True),
        ("fd12::1", True),
        ("fe80::1%eth0", False),
        ("", True),
        ("unix", True),
        ("unknown", False),
    ],
)
def test_trusts(peer: str, trusted: bool) -> None:
    assert trusts(peer, TRUSTED) is trusted
    assert not trusts(peer, ())


def test_unix_is_trusted_only_when_listed() -> None:
    assert client_address("unix", "127.0.0.1", parse_networks(["0.0.0.0/0", "::/0"])) == "unix"


def test_hops_are_limited() -> None:
    everybody = parse_networks(["0.0.0.0/0"])
    hops = [f"10.0.{n // 256}.{n % 256}" for n in range(2000)]
    assert client_address(PROXY, ", ".join(hops), everybody) == hops[-MAX_HOPS]
    assert client_address(PROXY, ", ".join(hops[:MAX_HOPS]), everybody) == hops[0]


def test_mapped_network_covers_ipv4() -> None:
    trusted = parse_networks(["::ffff:10.0.0.0/104"])
    assert client_address("10.9.9.9", "203.0.113.9", trusted) == "203.0.113.9"
    assert client_address("11.9.9.9", "203.0.113.9", trusted) == "11.9.9.9"


@pytest.mark.parametrize(
    "item", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "10.0.0.*", "unix:", "::1/129"]
)
def test_bad_network(item: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_networks(["127.0.0.1", item])
    assert repr(item) in str(caught.value)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        pytest.param("10.0.0.1", "10.0.0.1", True, id="equal"),
        pytest.param("10.0.0.1", "10.0.0.2", False, id="different"),
        pytest.param("10.0.0.1", "::ffff:10.0.0.1", True, id="mapped"),
        pytest.param("::ffff:a00:1", "10.0.0.1", True, id="mapped in hexadecimal"),
        pytest.param("::ffff:10.0.0.2", "10.0.0.1", False, id="mapped, different"),
        pytest.param("::10.0.0.1", "10.0.0.1", False, id="compatible is not mapped"),
        pytest.param("2001:db8::1", "2001:0DB8:0:0::1", True, id="spelling"),
        pytest.param("2001:db8::1", "2001:db8::2", False, id="different IPv6"),
        pytest.param("unix", "unix", True, id="texts"),
        pytest.param("x", "y", False, id="different texts"),
        pytest.param("", "10.0.0.1", False, id="nothing"),
    ],
)
def test_same_address(a: str, b: str, same: bool) -> None:
    assert same_address(a, b) is same_address(b, a) is same
