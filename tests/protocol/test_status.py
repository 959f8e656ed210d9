"""Status codes."""

from __future__ import annotations

import pytest

from greenbas.protocol import reason
from greenbas.protocol.status import BODILESS


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        pytest.param(100, "Continue", id="9110 15.2.1"),
        pytest.param(200, "OK", id="9110 15.3.1"),
        pytest.param(302, "Found", id="9110 15.4.3: not the original's Moved Temporarily"),
        pytest.param(404, "Not Found", id="9110 15.5.5"),
        pytest.param(431, "Request Header Fields Too Large", id="6585 5"),
        pytest.param(500, "Internal Server Error", id="9110 15.6.1: not the original's Server Error"),
        pytest.param(505, "HTTP Version Not Supported", id="9110 15.6.6"),
        pytest.param(299, "Success", id="9110 15: unknown, 2xx"),
        pytest.param(399, "Redirection", id="9110 15: unknown, 3xx"),
        pytest.param(499, "Client Error", id="9110 15: unknown, 4xx"),
        pytest.param(599, "Server Error", id="9110 15: unknown, 5xx"),
        pytest.param(999, "Unknown", id="9110 15: of no class"),
    ],
)
def test_reason(code: int, phrase: str) -> None:
    assert reason(code) == phrase


@pytest.mark.parametrize("code", [204, 304])
def test_bodiless(code: int) -> None:
    """9110 15.3.5, 15.4.5"""
    assert code in BODILESS


@pytest.mark.parametrize("code", [200, 201, 206, 301, 302, 400, 404, 500])
def test_not_bodiless(code: int) -> None:
    assert code not in BODILESS


def test_every_phrase_may_stand_in_a_status_line() -> None:
    """9112 4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )"""
    for code in range(100, 1000):
        assert reason(code).isascii() and reason(code).isprintable() and reason(code)
