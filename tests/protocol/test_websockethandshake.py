"""The opening handshake: which requests are proper, which subprotocol is chosen, and whose pages are let in."""

from __future__ import annotations

import pytest

from greenbas.protocol import RequestHeaders
from greenbas.protocol.websockethandshake import accept_key, choose_subprotocol, handshake_fault, is_own_origin

GOOD = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def headers(**changes: str | None) -> RequestHeaders:
    """Those of a proper handshake, with some changed; None removes one."""
    fields = GOOD | {name.replace("_", "-"): value for name, value in changes.items()}
    return RequestHeaders((name.encode(), value.encode()) for name, value in fields.items() if value is not None)


def test_the_key_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("method", "http11", "changes", "status"),
    [
        ("GET", True, {}, None),
        ("GET", True, {"Upgrade": "WebSocket"}, None),
        ("GET", True, {"Upgrade": "h2c, websocket"}, None),
        ("GET", True, {"Connection": "UPGRADE"}, None),
        ("GET", True, {"Upgrade": None}, 426),
        ("GET", True, {"Upgrade": "websockets"}, 426),
        ("POST", True, {}, 405),
        ("GET", False, {}, 400),
        ("GET", True, {"Connection": None}, 400),
        ("GET", True, {"Connection": "close"}, 400),
        ("GET", True, {"Sec-WebSocket-Version": None}, 426),
        ("GET", True, {"Sec-WebSocket-Version": "12"}, 426),
        ("GET", True, {"Sec-WebSocket-Version": "13, 12"}, 426),
        ("GET", True, {"Sec-WebSocket-Key": None}, 400),
        ("GET", True, {"Sec-WebSocket-Key": ""}, 400),
        ("GET", True, {"Sec-WebSocket-Key": "x" * 21 + "=="}, 400),
        ("GET", True, {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
    ],
)
def test_requests(method: str, http11: bool, changes: dict[str, str | None], status: int | None) -> None:
    fault = handshake_fault(method, http11, headers(**changes))
    assert (fault and fault[0]) == status
    if fault:
        assert fault[1].endswith(".")


@pytest.mark.parametrize(
    ("offers", "ours", "chosen"),
    [
        ([], [], None),
        (["a"], [], None),
        ([], ["a"], None),
        (["a, b"], ["b", "a"], "b"),
        (["a", "b"], ["b", "a"], "b"),
        (["A"], ["a"], None),
    ],
)
def test_subprotocols(offers: list[str], ours: list[str], chosen: str | None) -> None:
    assert choose_subprotocol(offers, ours) == chosen


@pytest.mark.parametrize("offer", ["", "a,", "a b", "a;b", "ä"])
def test_malformed_subprotocols(offer: str) -> None:
    with pytest.raises(ValueError, match="not the name of a subprotocol"):
        choose_subprotocol([offer], ["a"])


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "others", "own"),
    [
        ("http://x", "http", "x", (), True),
        ("http://x:80", "http", "x", (), True),
        ("http://x", "http", "x:80", (), True),
        ("https://x", "https", "x:443", (), True),
        ("http://X", "http", "x", (), True),
        ("http://x:8080", "http", "x:8080", (), True),
        ("http://[::1]", "http", "[::1]:80", (), True),
        ("http://x:8080", "http", "x", (), False),
        ("https://x", "http", "x", (), False),
        ("http://y.x", "http", "x", (), False),
        ("http://x.y", "http", "x", (), False),
        ("http://x/", "http", "x", (), False),
        ("http://x?", "http", "x", (), True),
        ("http://u@x", "http", "x", (), False),
        ("http://x:port", "http", "x", (), False),
        ("http://x:99999", "http", "x", (), False),
        ("null", "http", "null", (), False),
        ("", "http", "", (), False),
        ("x", "http", "x", (), False),
        ("file://", "http", "x", (), False),
        ("https://y", "http", "x", ("https://y",), True),
        ("https://y:443", "http", "x", ("https://y",), True),
        ("http://y", "http", "x", ("https://y",), False),
        ("app://y", "http", "x", ("app://y",), True),
        ("null", "http", "x", ("null",), True),
        ("null", "http", "x", ("*",), True),
        ("http://x", "http", "x", ("https://y",), True),
    ],
)
def test_origins(origin: str, scheme: str, host: str, others: tuple[str, ...], own: bool) -> None:
    assert is_own_origin(origin, scheme, host, others) is own
