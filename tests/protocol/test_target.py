"""Request targets: forms, percent-decoding, dot segments, and url-encoded pairs."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.errors import RemoteProtocolError
from greenbas.protocol.target import MAX_PAIRS, decode_path, parse_pairs, path_of, split_target


@pytest.mark.parametrize(
    ("method", "target", "parts"),
    [
        pytest.param("GET", b"/", (b"/", b"", None), id="9112 3.2.1: the root"),
        pytest.param("GET", b"/a/b?c=d", (b"/a/b", b"c=d", None), id="9112 3.2.1: origin form"),
        pytest.param("GET", b"/a?b?c/d", (b"/a", b"b?c/d", None), id="3986 3.4: query with ? and /"),
        pytest.param("GET", b"/?", (b"/", b"", None), id="9112 3.2.1: empty query"),
        pytest.param("GET", b"//a/b", (b"//a/b", b"", None), id="9112 3.2.1: two slashes are a path, no host"),
        pytest.param("GET", b"/http://a/", (b"/http://a/", b"", None), id="9112 3.2.1: a URL as a path"),
        pytest.param("GET", b"/:@!$&'()*+,;=-._~", (b"/:@!$&'()*+,;=-._~", b"", None), id="3986 3.3: pchar"),
        pytest.param("GET", b'/?<>"{}|^`\\', (b"/", b'<>"{}|^`\\', None), id="browsers do not escape these in queries"),
        pytest.param("GET", b"http://a", (b"/", b"", b"a"), id="9112 3.2.2: absolute form without a path"),
        pytest.param("GET", b"http://a?b", (b"/", b"b", b"a"), id="9112 3.2.2: absolute form with a query only"),
        pytest.param("PUT", b"HTTPS://a:1/b/c?d", (b"/b/c", b"d", b"a:1"), id="9112 3.2.2: absolute form"),
        pytest.param("GET", b"http://[::1]:80/", (b"/", b"", b"[::1]:80"), id="9112 3.2.2: IPv6"),
        pytest.param("OPTIONS", b"*", (b"*", b"", None), id="9112 3.2.4: asterisk form"),
        pytest.param("OPTIONS", b"/", (b"/", b"", None), id="9110 9.3.7: OPTIONS of a resource"),
    ],
)
def test_split_target(method: str, target: bytes, parts: tuple[bytes, bytes, bytes | None]) -> None:
    assert split_target(method, target) == parts


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        pytest.param("GET", b"", 400, id="9112 3.2: empty"),
        pytest.param("GET", b"a", 400, id="9112 3.2: no slash"),
        pytest.param("GET", b"?a", 400, id="9112 3.2: query only"),
        pytest.param("GET", b"*", 400, id="9112 3.2.4: asterisk with GET"),
        pytest.param("OPTIONS", b"*?a", 400, id="9112 3.2.4: asterisk with a query"),
        pytest.param("OPTIONS", b"**", 400, id="9112 3.2.4: two asterisks"),
        pytest.param("GET", b"a:80", 400, id="9112 3.2.3: authority form"),
        pytest.param("GET", b"ftp://a/", 400, id="9112 3.2.2: another scheme"),
        pytest.param("GET", b"http:/a", 400, id="9112 3.2.2: one slash"),
        pytest.param("GET", b"http:///a", 400, id="9110 4.2.1: no host"),
        pytest.param("GET", b"http://", 400, id="9110 4.2.1: nothing"),
        pytest.param("GET", b"http://u:p@a/", 400, id="9110 4.2.4: userinfo"),
        pytest.param("GET", b"http://a/b#c", 400, id="9112 3.2: fragment"),
        pytest.param("GET", b"http://a#c", 400, id="9112 3.2: fragment behind the host"),
        *(
            pytest.param("GET", b"/a" + char + b"b", 400, id=f"3986 3.3: {char!r} in a path")
            for char in [
                b"\x00",
                b"\t",
                b"\n",
                b"\r",
                b" ",
                b'"',
                b"#",
                b"<",
                b">",
                b"\\",
                b"`",
                b"{",
                b"}",
                b"\x7f",
                b"\x80",
            ]
        ),
        *(
            pytest.param("GET", b"/?a" + char + b"b", 400, id=f"3986 3.4: {char!r} in a query")
            for char in [b"\x00", b"\t", b"\n", b"\r", b" ", b"#", b"\x7f", b"\x80"]
        ),
        pytest.param("GET", b"http://a/b\x00", 400, id="9112 3.2.2: NUL in absolute form"),
        pytest.param("GET", b"http://a/?b\n", 400, id="9112 3.2.2: LF in the query of absolute form"),
    ],
)
def test_split_target_refuses(method: str, target: bytes, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        split_target(method, target)
    assert caught.value.status == status


DECODED = [
    pytest.param(b"/", "/", id="the root"),
    pytest.param(b"/a/b", "/a/b", id="plain"),
    pytest.param(b"/%61%2F%41", "/a/A", id="3986 2.1: either case"),
    pytest.param(b"/%C3%A4/%e2%82%ac", "/ä/€", id="UTF-8"),
    pytest.param(b"/%2561", "/%61", id="decoded once"),
    pytest.param(b"/a+b", "/a+b", id="plus is no space in a path"),
    pytest.param(b"/a;b=c", "/a;b=c", id="3986 3.3: parameters stay"),
    pytest.param(b"/.", "/", id="3986 5.2.4: one dot"),
    pytest.param(b"/./a", "/a", id="3986 5.2.4: one dot in front"),
    pytest.param(b"/a/.", "/a/", id="3986 5.2.4: one dot at the end names the directory"),
    pytest.param(b"/a/./b", "/a/b", id="3986 5.2.4: one dot within"),
    pytest.param(b"/a/..", "/", id="3986 5.2.4: two dots at the end"),
    pytest.param(b"/a/b/..", "/a/", id="3986 5.2.4: two dots at the end of more"),
    pytest.param(b"/a/b/../c", "/a/c", id="3986 5.2.4: two dots within"),
    pytest.param(b"/a/b/c/./../../g", "/a/g", id="3986 5.2.4: its own example"),
    pytest.param(b"/a/%2e%2E/b", "/b", id="escaped dots"),
    pytest.param(b"/a/.%2e/b", "/b", id="half escaped dots"),
    pytest.param(b"/a%2f..%2fb", "/b", id="escaped slashes around dots"),
    pytest.param(b"/a/...", "/a/...", id="three dots are a name"),
    pytest.param(b"/..a/.b/c..", "/..a/.b/c..", id="names with dots"),
    pytest.param(b"/a//b", "/a//b", id="two slashes stay"),
    pytest.param(b"//../a", "/a", id="two dots behind two slashes"),
    pytest.param(b"/a%5c..%5cb", "/a\\..\\b", id="backslashes are no slashes"),
]


@pytest.mark.parametrize(("path", "decoded"), DECODED)
def test_decode_path(path: bytes, decoded: str) -> None:
    assert decode_path(path) == decoded
    assert path_of(path) == decoded


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(b"/%", id="3986 2.1: nothing behind the percent sign"),
        pytest.param(b"/%a", id="3986 2.1: one digit"),
        pytest.param(b"/%zz", id="3986 2.1: no digits"),
        pytest.param(b"/%+1", id="3986 2.1: sign"),
        pytest.param(b"/% 1", id="3986 2.1: space"),
        pytest.param(b"/%u0041", id="3986 2.1: %u"),
        pytest.param(b"/%00", id="NUL"),
        pytest.param(b"/a%00.html", id="NUL within"),
        pytest.param(b"/%ff", id="no UTF-8"),
        pytest.param(b"/%c0%af", id="overlong slash"),
        pytest.param(b"/%c0%ae%c0%ae/", id="overlong dots"),
        pytest.param(b"/%ed%a0%80", id="surrogate"),
        pytest.param(b"/..", id="above the root"),
        pytest.param(b"/../a", id="above the root and down again"),
        pytest.param(b"/a/../../b", id="above the root later"),
        pytest.param(b"/%2e%2e", id="above the root, escaped"),
        pytest.param(b"/%2e%2e%2fa", id="above the root, all escaped"),
        pytest.param(b"/..%2f", id="above the root, slash escaped"),
    ],
)
def test_decode_path_refuses(path: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_path(path)
    assert caught.value.status == 400


@pytest.mark.parametrize("path", [b"/a b", b"/a\x00", b'/a"', b"/a\\b", b"/a#b", b"/\xe4", b"/\n"])
def test_path_of_checks_the_characters_too(path: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        path_of(path)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_a_quoted_path_comes_back(text: str) -> None:
    path = "/" + "/".join(part for part in text.split("/") if part not in (".", ".."))
    assert decode_path(quote(path).encode()) == path


@given(
    st.lists(
        st.sampled_from([b"/", b".", b"..", b"%2e", b"%2f", b"a", b"%5c", b"%252e", b"//", b"%c0%ae"]), max_size=12
    )
)
def test_no_dot_segment_comes_through(parts: list[bytes]) -> None:
    try:
        decoded = decode_path(b"/" + b"".join(parts))
    except RemoteProtocolError:
        return
    assert decoded.startswith("/")
    assert not {".", ".."} & set(decoded.split("/"))


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("a=b", [("a", "b")], id="one"),
        pytest.param("a=b&c=d&a=e", [("a", "b"), ("c", "d"), ("a", "e")], id="in order, duplicates kept"),
        pytest.param("a", [("a", "")], id="no equals sign"),
        pytest.param("a=", [("a", "")], id="no value"),
        pytest.param("=a", [("", "a")], id="no name"),
        pytest.param("a=b=c", [("a", "b=c")], id="equals sign in a value"),
        pytest.param("&&a=b&", [("a", "b")], id="empty fields"),
        pytest.param("a+b=c+d", [("a b", "c d")], id="plus is a space"),
        pytest.param("a%2Bb=%26%3D%25", [("a+b", "&=%")], id="escapes"),
        pytest.param("%C3%A4=%e2%82%ac", [("ä", "€")], id="UTF-8"),
        pytest.param("a=%ff%C3", [("a", "\ufffd\ufffd")], id="no UTF-8"),
        pytest.param("a=%zz%", [("a", "%zz%")], id="no escapes"),
        pytest.param("a=b;c=d", [("a", "b;c=d")], id="a semicolon separates nothing"),
        pytest.param("a=%00", [("a", "\0")], id="NUL is a value"),
        pytest.param("a=\xc3\xa4", [("a", "ä")], id="bytes of UTF-8 that nobody escaped"),
        pytest.param("\xc3\xa4=%C3%A4\xc3\xa4", [("ä", "ää")], id="escaped and not"),
    ],
)
def test_parse_pairs(text: str, pairs: list[tuple[str, str]]) -> None:
    """WHATWG URL, parsing application/x-www-form-urlencoded. The text stands for bytes, as latin-1."""
    assert parse_pairs(text) == pairs


def test_limit_of_pairs() -> None:
    assert len(parse_pairs("&".join(["a=b"] * MAX_PAIRS))) == MAX_PAIRS
    with pytest.raises(RemoteProtocolError) as caught:
        parse_pairs("&".join(["a=b"] * (MAX_PAIRS + 1)))
    assert caught.value.status == 400
    assert parse_pairs("a&b", limit=2) == [("a", ""), ("b", "")]
    with pytest.raises(RemoteProtocolError):
        parse_pairs("a&b&c", limit=2)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(st.lists(st.tuples(names, names), max_size=6))
def test_pairs_come_back(pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(urlencode(pairs)) == pairs
    assert parse_pairs(urlencode(pairs, quote_via=quote)) == pairs


@given(st.text("ab&=+%0C3A4;?/ \xe4", max_size=30))
def test_pairs_like_the_standard_library(text: str) -> None:
    ascii_only = quote_plus(text, safe="ab&=+%;?/")
    assert parse_pairs(ascii_only) == parse_qsl(ascii_only, keep_blank_values=True)
