"""URLs, paths and header names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from greenbas.luasocket import headers, url

BASE = "http://a/b/c/d;p?q"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "scheme://userinfo@host:port/path;params?query#fragment",
            {
                "scheme": "scheme",
                "authority": "userinfo@host:port",
                "userinfo": "userinfo",
                "user": "userinfo",
                "host": "host",
                "port": "port",
                "path": "/path",
                "params": "params",
                "query": "query",
                "fragment": "fragment",
            },
        ),
        (
            "http://user:pass@host",
            {
                "scheme": "http",
                "authority": "user:pass@host",
                "userinfo": "user:pass",
                "user": "user",
                "password": "pass",
                "host": "host",
            },
        ),
        ("//h?q/r", {"authority": "h", "host": "h", "query": "q/r"}),
        ("//h#f?g", {"authority": "h", "host": "h", "fragment": "f?g"}),
        (
            "http://[::1]:80/x",
            {"scheme": "http", "authority": "[::1]:80", "host": "::1", "port": "80", "path": "/x"},
        ),
        ("http://[::1]", {"scheme": "http", "authority": "[::1]", "host": "::1"}),
        ("//:80/", {"authority": ":80", "port": "80", "path": "/"}),
        ("//u:@h:", {"authority": "u:@h:", "userinfo": "u:", "user": "u", "password": "", "host": "h", "port": ""}),
        ("/a%20b;c;d?e?f#g#h", {"path": "/a%20b", "params": "c;d", "query": "e?f", "fragment": "g#h"}),
        ("mailto:a@b", {"scheme": "mailto", "path": "a@b"}),
        ("a/b:c", {"path": "a/b:c"}),
        ("?", {"query": ""}),
        (b"http://h/\xc3\xa9\xff", {"scheme": "http", "authority": "h", "host": "h", "path": "/é\udcff"}),
    ],
)
def test_parse(text: str | bytes, parts: dict[str, str]) -> None:
    assert url.parse(text) == (parts, None)


@pytest.mark.parametrize("text", ["", None, b""])
def test_nothing_is_no_url(text: str | None) -> None:
    assert url.parse(text) == (None, "invalid url")


def test_parse_fills_in_defaults() -> None:
    default = {"path": "/", "scheme": "http", "sink": print}
    parts, _ = url.parse("//h", default)
    assert parts == {"path": "/", "scheme": "http", "sink": print, "authority": "h", "host": "h"}
    assert default == {"path": "/", "scheme": "http", "sink": print}


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, ""),
        ({"path": "/x"}, "/x"),
        ({"host": "h", "port": 8080, "path": "/x"}, "//h:8080/x"),
        ({"host": "::1", "scheme": "http"}, "http://[::1]"),
        ({"authority": "old", "host": "h"}, "//h"),
        ({"authority": "old"}, "//old"),
        ({"host": "h", "userinfo": "old", "user": "u", "password": "p"}, "//u:p@h"),
        ({"host": "h", "userinfo": "i"}, "//i@h"),
        ({"host": "h", "password": "p"}, "//h"),
        ({"scheme": "s", "host": "h", "path": "/p", "params": "a", "query": "b", "fragment": "c"}, "s://h/p;a?b#c"),
        ({"host": "h", "query": None, "sink": print}, "//h"),
    ],
)
def test_build(parts: dict[str, Any], text: str) -> None:
    assert url.build(parts) == text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["http:", "//", "a", "/", "..", "?", "#", ";", "@", ":", "%41", "é"]), min_size=1))
def test_build_undoes_parse(pieces: list[str]) -> None:
    text = "".join(pieces)
    parts, _ = url.parse(text)
    assert parts is not None
    assume(":" not in parts.get("host", ""))  # an IPv6 address gets brackets, whether it had any or not
    assert url.build(parts) == text


# RFC 3986 5.4, and what RFC 2396 had besides.
@pytest.mark.parametrize(
    ("reference", "result"),
    [
        ("g:h", "g:h"),
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("g?y#s", "http://a/b/c/g?y#s"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y#s"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g//h", "http://a/b/c/g//h"),
        # LuaSocket takes these for segments of the path.
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/./x", "http://a/b/c/g#s/./x"),
        ("//./x", "http://./x"),
        ("http://h/x/../y?z/../", "http://h/y?z/../"),
        (None, "http://a/b/c/d;p?q"),
    ],
)
def test_absolute(reference: str, result: str) -> None:
    assert url.absolute(BASE, reference) == result
    parts, _ = url.parse(BASE)
    assert parts is not None
    assert url.absolute(parts, reference) == result
    assert url.parse(BASE)[0] == parts


@pytest.mark.parametrize(
    ("base", "reference", "result"),
    [
        ("http://a", "g", "http://a/g"),
        ("http://u:p@h:8/x", "/y", "http://u:p@h:8/y"),
        ("", "a/../b", "b"),
        ("http://[::1]:80/x/", "y", "http://[::1]:80/x/y"),
        ({"scheme": "http", "host": "h", "path": "/x"}, "y", "http://h/y"),
    ],
)
def test_absolute_of_other_bases(base: Any, reference: str, result: str) -> None:
    assert url.absolute(base, reference) == result


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a b/ü_~", "a%20b%2f%c3%bc_%7e"), (b"\xff\0", "%ff%00"), ("", ""), (7, "7"), ("%41", "%2541")],
)
def test_escape(text: Any, escaped: str) -> None:
    assert url.escape(text) == escaped


@pytest.mark.parametrize(("text", "plain"), [("%41%zz%4%", "A%zz%4%"), ("%c3%BC", "ü"), ("%ff", "\udcff"), ("+", "+")])
def test_unescape(text: str, plain: str) -> None:
    assert url.unescape(text) == plain


@settings(max_examples=50, deadline=None)
@given(st.binary())
def test_unescape_undoes_escape(data: bytes) -> None:
    assert url.unescape(url.escape(data)).encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize(
    ("path", "segments", "absolute", "directory"),
    [
        ("/eu/tu/ele", ["eu", "tu", "ele"], 1, None),
        ("eu/", ["eu"], None, 1),
        ("/", [], 1, 1),
        ("", [], None, None),
        (None, [], None, None),
        ("a//%2fb", ["a", "/b"], None, None),
    ],
)
def test_parse_path(path: str, segments: list[str], absolute: int | None, directory: int | None) -> None:
    parsed = url.parse_path(path)
    assert (list(parsed), parsed.is_absolute, parsed.is_directory) == (segments, absolute, directory)


@pytest.mark.parametrize("path", ["/eu/tu/ele", "eu/", "a%2Fb/c;d", "", "a@:$&=+,-.!~*'()/x"])
def test_build_path_undoes_parse_path(path: str) -> None:
    assert url.unescape(url.build_path(url.parse_path(path))) == url.unescape(path)


def test_build_path_protects_segments() -> None:
    assert url.build_path(["a/b", "c;d", "e?f#g", "ü"]) == "a%2Fb/c%3Bd/e%3Ff%23g/%C3%BC"
    assert url.build_path(["a/b", "c;d"], True) == "a/b/c;d"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: url.escape(None), r"bad argument #1 to 'escape' \(string expected, got nil\)"),  # type: ignore[arg-type]
        (lambda: url.parse(["x"]), r"bad argument #1 to 'parse' \(string expected, got table\)"),  # type: ignore[arg-type]
        (lambda: url.build({"path": {}}), r"bad argument #1 to 'build' \(string expected, got table\)"),
    ],
)
def test_wrong_types_raise(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "usual"),
    [("content-md5", "Content-MD5"), ("ETAG", "ETag"), ("mime-version", "MIME-Version"), ("x-a", "x-a")],
)
def test_canonical_names(name: str, usual: str) -> None:
    assert headers.canonical(name) == usual


def test_names_may_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(headers.canonic, "x-a", "X-A")
    assert headers.canonical("x-a") == "X-A"
