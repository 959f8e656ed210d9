"""Cookies that come, and cookies that are set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.errors import IncorrectUse, LocalProtocolError
from greenbas.protocol.cookies import MAX_SIZE, Cookie, parse_cookies


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("a=1", {"a": "1"}, id="one"),
        pytest.param("a=1; b=2", {"a": "1", "b": "2"}, id="two"),
        pytest.param("a=1;b=2", {"a": "1", "b": "2"}, id="no space"),
        pytest.param(" \ta = 1 ;; ; b=2 ;", {"a": "1", "b": "2"}, id="loose"),
        pytest.param("a=1; a=2", {"a": "1"}, id="first wins"),
        pytest.param("a=; a=2", {"a": ""}, id="first wins though empty"),
        pytest.param("a=b=c==", {"a": "b=c=="}, id="equals in the value"),
        pytest.param("a", {}, id="no equals"),
        pytest.param("a; b=2", {"b": "2"}, id="no equals before another"),
        pytest.param("=__Host-sid=evil; a=1", {"a": "1"}, id="no name"),
        pytest.param('a="x y"', {"a": "x y"}, id="quoted"),
        pytest.param('a=""', {"a": ""}, id="quoted empty"),
        pytest.param('a="', {"a": '"'}, id="lone quote"),
        pytest.param('a="x', {"a": '"x'}, id="open quote"),
        pytest.param("a=%C3%A4%20%3B", {"a": "ä ;"}, id="percent"),
        pytest.param('a="%22"', {"a": '"'}, id="percent within quotes"),
        pytest.param("a=%zz%", {"a": "%zz%"}, id="no escape"),
        pytest.param("a=%ff", {"a": "�"}, id="not UTF-8"),
        pytest.param("a=x+y", {"a": "x+y"}, id="plus stays"),
        pytest.param("a b=1; {x}=2; $Path=3", {"a b": "1", "{x}": "2", "$Path": "3"}, id="odd names"),
        pytest.param("a=\x00\xff", {"a": "\x00\xff"}, id="odd bytes"),
    ],
)
def test_parse_cookies(header: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(header) == cookies


@given(st.text(max_size=60))
def test_parsing_never_raises(header: str) -> None:
    parse_cookies(header)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_values_come_back(value: str) -> None:
    pair = Cookie("a", value).header_value().partition(";")[0]
    assert pair.isascii() and pair.isprintable() and not set(' ",\\') & set(pair)
    assert parse_cookies(pair) == {"a": value}


def make(name: str = "a", value: str = "b", **attributes: object) -> Cookie:
    cookie = Cookie(name, value)
    for attribute, setting in attributes.items():
        setattr(cookie, attribute, setting)
    return cookie


@pytest.mark.parametrize(
    ("cookie", "header"),
    [
        pytest.param(make(), "a=b; HttpOnly; SameSite=Lax", id="defaults"),
        pytest.param(make(http_only=False, same_site=None), "a=b", id="bare"),
        pytest.param(make(max_age=0), "a=b; HttpOnly; SameSite=Lax", id="session"),
        pytest.param(
            make(max_age=3600, http_only=False, same_site=None),
            "a=b; Expires=Thu, 01 Jan 1970 01:01:40 GMT; Max-Age=3600",
            id="an hour",
        ),
        pytest.param(
            make(max_age=-5, http_only=False, same_site=None),
            "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0",
            id="in the past",
        ),
        pytest.param(
            make(domain="example.com", path="/x", comment="why", secure=True, same_site="None"),
            "a=b; Domain=example.com; Path=/x; Comment=why; Secure; HttpOnly; SameSite=None",
            id="everything",
        ),
        pytest.param(
            make(name="__Host-a", path="/", secure=True, same_site="Strict"),
            "__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Strict",
            id="host prefix",
        ),
        pytest.param(make(name="__Secure-a", secure=True), "__Secure-a=b; Secure; HttpOnly; SameSite=Lax", id="secure"),
        pytest.param(make(value='; "x"%\r\n'), "a=%3B%20%22x%22%25%0D%0A; HttpOnly; SameSite=Lax", id="escaped"),
    ],
)
def test_header_value(cookie: Cookie, header: str) -> None:
    assert cookie.header_value(now=lambda: 100.0) == header


@pytest.mark.parametrize(
    ("cookie", "words"),
    [
        pytest.param(make(name=""), "''", id="no name"),
        pytest.param(make(name="a b"), "'a b'", id="space in the name"),
        pytest.param(make(name="a=b"), "'a=b'", id="equals in the name"),
        pytest.param(make(name="a\r\nSet-Cookie: x"), "Set-Cookie", id="line break in the name"),
        pytest.param(make(name="ä"), "'ä'", id="non-ASCII name"),
        pytest.param(make(path="/; Domain=evil"), "'/; Domain=evil'", id="semicolon in the path"),
        pytest.param(make(path="/\r\nX: y"), r"'/\\r\\nX: y'", id="line break in the path"),
        pytest.param(make(path="/ä"), "percent-encode", id="non-ASCII path"),
        pytest.param(make(domain="a;b"), "'a;b'", id="semicolon in the domain"),
        pytest.param(make(comment="a\x7f"), "'a\\\\x7f'", id="control in the comment"),
        pytest.param(make(same_site="lax"), "'lax'", id="same_site spelling"),
        pytest.param(make(same_site=""), "''", id="same_site empty"),
        pytest.param(make(same_site="None"), "secure = True", id="None without secure"),
        pytest.param(make(name="__Secure-a"), "secure = True", id="prefix without secure"),
        pytest.param(make(name="__secure-a"), "secure = True", id="prefix in lower case"),
        pytest.param(make(name="__Host-a", secure=True), "path=None", id="host without path"),
        pytest.param(make(name="__Host-a", path="/"), "secure=False", id="host without secure"),
        pytest.param(make(name="__HOST-a", path="/", secure=True, domain="x"), "domain='x'", id="host with domain"),
        pytest.param(make(value="\ud800"), "Unicode", id="lone surrogate"),
        pytest.param(make(value="x" * MAX_SIZE), "session", id="too long"),
    ],
)
@pytest.mark.parametrize("use", [Cookie.header_value, Cookie.activate], ids=["header_value", "activate"])
def test_refused(cookie: Cookie, words: str, use: Callable[[Cookie], object]) -> None:
    cookie._activate = lambda _: pytest.fail("an invalid cookie was activated")
    with pytest.raises(LocalProtocolError, match=words):
        use(cookie)


def test_longest_that_fits() -> None:
    assert make(value="x" * (MAX_SIZE - 2)).header_value().startswith("a=xxx")


def test_activate_hands_the_cookie_over() -> None:
    sent: list[Cookie] = []
    cookie = Cookie("a", "b", activate=sent.append)
    assert sent == []
    cookie.activate()
    assert sent == [cookie]


def test_activate_without_a_response() -> None:
    with pytest.raises(IncorrectUse, match="'sid' belongs to no response"):
        Cookie("sid").activate()


def test_delete_needs_activate_and_can_be_taken_back() -> None:
    sent: list[Cookie] = []
    cookie = Cookie("a", "b", activate=sent.append)
    cookie.delete()
    assert sent == []
    assert "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0" in cookie.header_value()
    cookie.max_age = 60
    assert "Max-Age=60" in cookie.header_value()


def test_name_is_read_only_and_value_stays_out_of_repr() -> None:
    cookie = Cookie("sid", "secret")
    assert cookie.name == "sid"
    with pytest.raises(AttributeError):
        cookie.name = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        cookie.httponly = True  # type: ignore[attr-defined]
    assert "sid" in repr(cookie) and "secret" not in repr(cookie)
