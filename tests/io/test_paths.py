"""The spelling of paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.errors import InvalidName
from greenbas.io.paths import MAX_PATH, MAX_SEGMENT, hidden, normalize

LONG = "x" * MAX_SEGMENT


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        pytest.param("", "", id="root"),
        pytest.param("/", "", id="slash"),
        pytest.param("///", "", id="slashes"),
        pytest.param(".", "", id="dot"),
        pytest.param("a", "a", id="name"),
        pytest.param("/a/b", "a/b", id="leading slash"),
        pytest.param("a/b/", "a/b", id="trailing slash"),
        pytest.param("a//b", "a/b", id="double slash"),
        pytest.param("./a/./b/.", "a/b", id="dots"),
        pytest.param("a/../b", "b", id="up and down"),
        pytest.param("a/b/../../c", "c", id="up twice"),
        pytest.param("a/..", "", id="up to the root"),
        pytest.param(".hidden", ".hidden", id="hidden"),
        pytest.param("a/.hidden", "a/.hidden", id="hidden below"),
        pytest.param("...", "...", id="three dots"),
        pytest.param("a/..b/c..", "a/..b/c..", id="dots in names"),
        pytest.param("%2e%2e/%2f", "%2e%2e/%2f", id="percent signs are plain"),
        pytest.param("%252e%252e", "%252e%252e", id="double-encoded too"),
        pytest.param("a b/ü/日本", "a b/ü/日本", id="Unicode"),
        pytest.param("\udcff", "\udcff", id="not UTF-8 on the disk"),
        pytest.param("..;/a", "..;/a", id="semicolon"),
        pytest.param("C:/x", "C:/x", id="drive"),
        pytest.param("~/x", "~/x", id="tilde"),
        pytest.param("\N{FULLWIDTH FULL STOP}" * 2, "\N{FULLWIDTH FULL STOP}" * 2, id="wide dots are no dots"),
        pytest.param(f"{LONG}/{LONG}", f"{LONG}/{LONG}", id="longest segments"),
    ],
)
def test_normalize(path: str, canonical: str) -> None:
    assert normalize(path) == canonical
    assert normalize(canonical) == canonical


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("..", id="up"),
        pytest.param("/..", id="up from the slash"),
        pytest.param("../a", id="up and away"),
        pytest.param("a/../..", id="up too often"),
        pytest.param("a/../../a", id="out and in again"),
        pytest.param("./..", id="dot, up"),
        pytest.param("//..//", id="up between slashes"),
        pytest.param("a\0", id="NUL"),
        pytest.param("a\0/../b", id="NUL hidden by .."),
        pytest.param("a\\b", id="backslash"),
        pytest.param("..\\a", id="up by backslash"),
        pytest.param("a\nb", id="line break"),
        pytest.param("a\rb", id="carriage return"),
        pytest.param("a\tb", id="tab"),
        pytest.param("a\x1bb", id="escape"),
        pytest.param("a\x7f", id="delete"),
        pytest.param("a\x85b", id="next line"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param(LONG + "x", id="long segment"),
        pytest.param("ü" * (MAX_SEGMENT // 2 + 1), id="long segment in bytes"),
        pytest.param("/".join(["x"] * (MAX_PATH // 2 + 1)), id="long path"),
    ],
)
def test_refused(path: str) -> None:
    with pytest.raises(InvalidName) as caught:
        normalize(path)
    assert caught.value.code == "invalidname"


@given(st.text(st.sampled_from("ab./"), max_size=30))
def test_canonical_form(path: str) -> None:
    try:
        canonical = normalize(path)
    except InvalidName:
        assert ".." in path.split("/")
        return
    segments = canonical.split("/") if canonical else []
    assert not {"", ".", ".."} & set(segments)
    assert normalize("/" + canonical + "/") == canonical


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", False),
        ("a", False),
        ("a.b", False),
        ("a/b.c", False),
        (".a", True),
        ("a/.b", True),
        (".a/b", True),
        ("a/.b/c", True),
        ("/.a", True),
        ("a/..", True),
    ],
)
def test_hidden(path: str, expected: bool) -> None:
    assert hidden(path) is expected
