"""Base64, quoted-printable, lines and dots. The tables were compared with LuaSocket's own answers."""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbas.luasocket import ltn12, mime

CRLF = b"\r\n"
BROKEN_UP = st.lists(st.binary(max_size=12))
# Bytes that mean something to the filters are more likely.
TEXT = st.lists(st.sampled_from([b"\r", b"\n", CRLF, b" ", b"\t", b"=", b"a", b"=4", b"=41", b".", b"\xff", b"\0"]))


def through(made: Any, chunks: list[bytes]) -> bytes:
    """What a filter makes of chunks."""
    return b"".join(ltn12.to_iter(ltn12.source.chain(ltn12.from_iter(chunks), made)))


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        (mime.b64, (b"", b"abcd"), (b"YWJj", b"d")),
        (mime.b64, (b"ab", b"c"), (b"YWJj", b"")),
        (mime.b64, (b"a", b""), (b"", b"a")),
        (mime.b64, (b"d",), (b"ZA==", None)),
        (mime.b64, (b"de", None), (b"ZGU=", None)),
        (mime.b64, (b"",), (None, None)),
        (mime.b64, (None,), (None, None)),
        (mime.b64, ("ä",), (b"w6Q=", None)),
        (mime.b64, (12.5,), (b"MTIuNQ==", None)),
        (mime.unb64, (b"", b"YWJjZA"), (b"abc", b"ZA")),
        (mime.unb64, (b"ZA", b"=="), (b"d", b"")),
        (mime.unb64, (b"Y W\r\nJ.j",), (b"abc", None)),
        (mime.unb64, (b"YWI=YQ==",), (b"aba", None)),
        (mime.unb64, (b"YW",), (None, None)),
        (mime.unb64, (None,), (None, None)),
        (mime.qp, (b"", b"ma\xe7\xe3=1"), (b"ma=E7=E3=3D1", b"")),
        (mime.qp, (b"", b"a \r\nb\t\r\n"), (b"a=20\r\nb=09\r\n", b"")),
        (mime.qp, (b"", b"a b"), (b"a", b" b")),
        (mime.qp, (b"", b"a\r"), (b"a", b"\r")),
        (mime.qp, (b"", b"a\rb\n"), (b"a=0Db=0A", b"")),
        (mime.qp, (b"", b"a\r\nb", b"=0D=0A"), (b"a=0D=0Ab", b"")),
        (mime.qp, (b" ",), (b"=20=\r\n", None)),
        (mime.qp, (b" b",), (b"=20b=\r\n", None)),
        (mime.qp, (b"",), (None, None)),
        (mime.unqp, (b"", b"ma=E7=e3=3d1"), (b"ma\xe7\xe3=1", b"")),
        (mime.unqp, (b"", b"soft=\r\nbreak"), (b"softbreak", b"")),
        (mime.unqp, (b"", b"a=4"), (b"a", b"=4")),
        (mime.unqp, (b"=4", b"1"), (b"A", b"")),
        (mime.unqp, (b"", b"=XY=4"), (b"=XY", b"=4")),
        (mime.unqp, (b"", b"a\0\x7f\xff\tb\r\n"), (b"a\tb\r\n", b"")),
        (mime.unqp, (b"", b"a\r"), (b"a", b"\r")),
        (mime.unqp, (b"=4",), (None, None)),
        (mime.wrp, (4, b"abcdef", 4), (b"abcd\r\nef", 2)),
        (mime.wrp, (4, b"ab\ncd\r\n", 4), (b"ab\r\ncd\r\n", 4)),
        (mime.wrp, (0, b"", 4), (b"", 0)),
        (mime.wrp, (2, None, 4), (CRLF, 4)),
        (mime.wrp, (4, None, 4), (None, 4)),
        (mime.wrp, (76, b"a" * 80), (b"a" * 76 + CRLF + b"aaaa", 72)),
        (mime.qpwrp, (5, b"ab=41", 5), (b"ab=\r\n=41", 2)),
        (mime.qpwrp, (4, b"abcdef", 4), (b"abc=\r\ndef", 1)),
        (mime.qpwrp, (2, None, 4), (b"=\r\n", 4)),
        (mime.qpwrp, (4, None, 4), (None, 4)),
        (mime.eol, (0, b"a\rb\nc\r\nd\n\re"), (b"a\r\nb\r\nc\r\nd\r\ne", 0)),
        (mime.eol, (0, b"\r\r"), (CRLF * 2, 0)),
        (mime.eol, (0, b"\n\n", "|"), (b"||", 0)),
        (mime.eol, (0, b"a\r"), (b"a\r\n", 13)),
        (mime.eol, (13, b"\nb"), (b"b", 0)),
        (mime.eol, (13, b"\rb"), (b"\r\nb", 0)),
        (mime.eol, (10, b"b"), (b"b", 0)),
        (mime.eol, (10, b""), (b"", 10)),
        (mime.eol, (13, None), (None, 0)),
        (mime.dot, (2, b".a"), (b"..a", 0)),
        (mime.dot, (0, b".a\r\n.\r\nb.\r"), (b".a\r\n..\r\nb.\r", 1)),
        (mime.dot, (1, b"\n.."), (b"\n...", 0)),
        (mime.dot, (0, b"\n."), (b"\n.", 0)),
        (mime.dot, (0, None), (None, 2)),
    ],
)
def test_core(function: Callable[..., Any], arguments: Any, result: Any) -> None:
    assert function(*arguments) == result


def test_what_follows_a_stray_cr_is_kept() -> None:
    # LuaSocket drops it.
    assert mime.unqp(b"", b"a\rb") == (b"ab", b"")
    assert mime.unqp(b"\r", b"=41") == (b"A", b"")


def test_core_functions_work_with_cycle() -> None:
    # cycle passes a third argument.
    assert through(ltn12.filter.cycle(mime.b64, b""), [b"ab", b"cd"]) == b"YWJjZA=="
    assert through(ltn12.filter.cycle(mime.unqp, b""), [b"=4", b"1"]) == b"A"
    assert through(ltn12.filter.cycle(mime.dot, 2), [b".", b"\r\n."]) == b"..\r\n.."
    assert through(ltn12.filter.cycle(mime.qp, b""), [b"=\r", b"\n"]) == b"=3D\r\n"


# -- filters ------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(BROKEN_UP)
def test_base64_round_trip(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    encoded = through(mime.encode("base64"), chunks)
    assert encoded == base64.b64encode(data)
    wrapped = through(ltn12.filter.chain(mime.encode("base64"), mime.wrap("base64")), chunks)
    assert all(len(line) <= 76 for line in wrapped.split(CRLF))
    assert through(mime.decode("base64"), [wrapped[:7], wrapped[7:]]) == data


@settings(max_examples=50, deadline=None)
@given(BROKEN_UP | TEXT)
def test_binary_quoted_printable_round_trip(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    made = ltn12.filter.chain(mime.encode("quoted-printable", "binary"), mime.wrap("quoted-printable"))
    encoded = through(made, chunks)
    assert all(len(line) <= 76 for line in encoded.split(CRLF))
    assert re.search(rb"[^\x20-\x7e\t\r\n]|[ \t](?:\r\n|$)", encoded) is None
    assert through(mime.decode("quoted-printable"), [encoded]) == data
    assert quopri.decodestring(encoded.replace(CRLF, b"\n")) == data


@settings(max_examples=50, deadline=None)
@given(TEXT)
def test_text_quoted_printable_round_trip(chunks: list[bytes]) -> None:
    text = through(mime.normalize(), chunks)
    encoded = through(mime.encode("quoted-printable"), [text])
    assert through(mime.decode("quoted-printable"), [encoded]) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda: mime.encode("base64"),
        lambda: mime.decode("base64"),
        lambda: mime.encode("quoted-printable"),
        lambda: mime.encode("quoted-printable", "binary"),
        lambda: mime.decode("quoted-printable"),
        lambda: mime.wrap("text", 5),
        lambda: mime.wrap("quoted-printable"),
        lambda: mime.normalize("\n"),
        mime.stuff,
    ],
)
@settings(max_examples=25, deadline=None)
@given(chunks=TEXT)
def test_filters_do_not_care_how_data_are_broken_up(make: Callable[[], Any], chunks: list[bytes]) -> None:
    assert through(make(), chunks) == through(make(), [b"".join(chunks)])


@pytest.mark.parametrize(
    ("made", "data", "result"),
    [
        (mime.wrap(), b"a" * 77, b"a" * 76 + b"\r\na\r\n"),
        (mime.wrap(10), b"a" * 11, b"a" * 10 + b"\r\na\r\n"),
        (mime.wrap("text", 3), b"abcd", b"abc\r\nd\r\n"),
        (mime.normalize(), b"a\nb\r", b"a\r\nb\r\n"),
        (mime.normalize("\n"), b"a\r\nb\r", b"a\nb\n"),
        (mime.stuff(), b".\r\n..\r\na.b", b"..\r\n...\r\na.b"),
    ],
)
def test_filters(made: Any, data: bytes, result: bytes) -> None:
    assert through(made, [data]) == result


@settings(max_examples=50, deadline=None)
@given(TEXT)
def test_stuffed_text_never_ends_a_mail(chunks: list[bytes]) -> None:
    stuffed = through(mime.stuff(), chunks)
    assert CRLF + b"." + CRLF not in CRLF + stuffed
    assert (CRLF + stuffed).replace(CRLF + b"..", CRLF + b".") == CRLF + b"".join(chunks)


@pytest.mark.parametrize("function", [mime.encode, mime.decode, mime.wrap])
def test_an_unknown_name(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown key \(rot13\)"):
        function("rot13")


@pytest.mark.parametrize("function", [mime.encode, mime.decode])
def test_a_name_is_needed(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown key \(default\)"):
        function()


def test_filters_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mime.encodet, "upper", lambda: lambda chunk: chunk and chunk.upper())
    assert through(mime.encode("upper"), [b"abc"]) == b"ABC"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mime.b64({}), r"bad argument #1 to 'b64' \(string expected, got table\)"),  # type: ignore[arg-type]
        (lambda: mime.unqp(b"", []), r"bad argument #2 to 'unqp' \(string expected, got table\)"),  # type: ignore[arg-type]
        (lambda: mime.dot("x", b""), r"bad argument #1 to 'dot' \(number expected, got string\)"),  # type: ignore[arg-type]
        (lambda: mime.wrp(None, b""), r"bad argument #1 to 'wrp' \(number expected, got nil\)"),  # type: ignore[arg-type]
    ],
)
def test_wrong_types_raise(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
