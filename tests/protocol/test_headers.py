"""Header fields: the view of a request's, and the lines of a response's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.errors import LocalProtocolError
from greenbas.protocol import RequestHeaders
from greenbas.protocol.headers import header_line, is_token

FIELDS = [
    (b"Host", b"x"),
    (b"Accept", b"text/html"),
    (b"COOKIE", b"a=1"),
    (b"accept", b" */*\t"),
    (b"Cookie", b"b=2"),
    (b"X-Byte", b"\xe4"),
    (b"X-Empty", b""),
]


@pytest.mark.parametrize(
    ("text", "token"),
    [
        pytest.param("Content-Type", True, id="9110 5.6.2: a name"),
        pytest.param("!#$%&'*+-.^_`|~09azAZ", True, id="9110 5.6.2: every kind of character"),
        pytest.param("", False, id="empty"),
        *(pytest.param(f"a{char}b", False, id=f"9110 5.6.2: {char!r}") for char in ' \t\r\n\0\x7f()<>@,;:\\"/[]?={}ä€'),
        pytest.param("a\n", False, id="line break at the end"),
    ],
)
def test_is_token(text: str, token: bool) -> None:
    assert is_token(text) is token


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        pytest.param("X-A", "b", b"X-A: b\r\n", id="9112 5: a line"),
        pytest.param("x-a", "", b"x-a: \r\n", id="9110 5.5: an empty value"),
        pytest.param("X", "a\tb, c", b"X: a\tb, c\r\n", id="9110 5.5: a tab"),
        pytest.param("X", "\xe4\xff\x80", b"X: \xe4\xff\x80\r\n", id="9110 5.5: obs-text"),
        pytest.param("X", "y" * 5000, b"X: " + b"y" * 5000 + b"\r\n", id="a long value"),
    ],
)
def test_header_line(name: str, value: str, line: bytes) -> None:
    assert header_line(name, value) == line
    assert header_line(name, value) == line  # remembered or not


@pytest.mark.parametrize("filler", ["", "y" * 500], ids=["short", "long"])
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        *(
            pytest.param("X", f"a{chr(code)}b", "control", id=f"9110 5.5: {code:#x}")
            for code in [0, 1, 8, 10, 13, 27, 127]
        ),
        pytest.param("X", "a\r\nSet-Cookie: b=c", "control", id="9110 5.5: response splitting"),
        pytest.param("X", "a\n", "control", id="9110 5.5: LF at the end"),
        pytest.param("X", "a\r", "control", id="9110 5.5: CR at the end"),
        pytest.param("X", "\u560a\u560d", "latin-1", id="letters whose low bytes are CR and LF"),
        pytest.param("X", "€", "latin-1", id="beyond latin-1"),
        pytest.param("X\r\nY", "a", "header name", id="9110 5.1: line break in a name"),
        pytest.param("X:", "a", "header name", id="9110 5.1: colon in a name"),
        pytest.param("X ", "a", "header name", id="9112 5.1: space behind a name"),
        pytest.param("", "a", "header name", id="9110 5.1: no name"),
        pytest.param("Ä", "a", "header name", id="9110 5.1: letter beyond ASCII"),
    ],
)
def test_header_line_refuses(name: str, value: str, reason: str, filler: str) -> None:
    for _ in range(2):  # a refusal is not remembered as something good
        with pytest.raises(LocalProtocolError, match=reason):
            header_line(name, value + filler)


@given(st.text(max_size=20), st.text(max_size=200))
def test_a_line_is_one_line_or_an_error(name: str, value: str) -> None:
    try:
        line = header_line(name, value)
    except LocalProtocolError:
        return
    assert line.endswith(b"\r\n") and not set(line[:-2]) & set(b"\r\n\0")
    assert line[:-2].split(b": ", 1) == [name.encode("latin-1"), value.encode("latin-1")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("host", "x", id="lower case"),
        pytest.param("HOST", "x", id="upper case"),
        pytest.param("Accept", "text/html, */*", id="9110 5.3: repeated fields are one list"),
        pytest.param("cookie", "a=1; b=2", id="6265 5.4: cookies are joined in their own way"),
        pytest.param("x-byte", "ä", id="9110 5.5: obs-text as latin-1"),
        pytest.param("X-Empty", "", id="empty is not missing"),
    ],
)
def test_a_value(name: str, value: str) -> None:
    headers = RequestHeaders(FIELDS)
    assert headers[name] == headers.get(name) == value
    assert name in headers


@pytest.mark.parametrize("name", ["x", "", "hos", "host ", "höst", "€"])
def test_a_missing_one(name: str) -> None:
    headers = RequestHeaders(FIELDS)
    assert name not in headers
    assert headers.get(name) is None and headers.get(name, "d") == "d"
    assert headers.get_all(name) == []
    with pytest.raises(KeyError):
        headers[name]


def test_it_is_a_mapping() -> None:
    headers = RequestHeaders(FIELDS)
    assert list(headers) == ["host", "accept", "cookie", "x-byte", "x-empty"]
    assert len(headers) == 5 and bool(headers) and not RequestHeaders([])
    assert dict(headers)["accept"] == "text/html, */*"
    assert 5 not in headers and None not in headers
    assert "host" in repr(headers)


def test_single_values_and_bytes() -> None:
    headers = RequestHeaders(FIELDS)
    assert headers.get_all("ACCEPT") == ["text/html", "*/*"]
    assert headers.get_all("host") == ["x"]
    assert headers.raw() == FIELDS


def test_what_a_caller_does_with_the_list_changes_nothing() -> None:
    """Requests with equal heads share one view."""
    headers = RequestHeaders(FIELDS)
    headers.raw().clear()
    headers.get_all("accept").clear()
    assert headers.raw() == FIELDS and headers.get_all("accept") == ["text/html", "*/*"]
