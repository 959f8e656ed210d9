"""RFC 7578 and RFC 2046: the bytes of a form become the same events however they are cut, or are refused."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from forms import BOUNDARY, field, form
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from greenbas.errors import BadMultipart
from greenbas.protocol.multipart import (
    MAX_PART_FIELDS,
    MAX_PART_HEAD,
    MAX_PARTS,
    MAX_PREAMBLE,
    FormParser,
    PartHead,
    PartHeaders,
    form_boundary,
    known_charset,
)

Parts = list[tuple[PartHead, bytes]]
DELIMITER = b"\r\n--" + BOUNDARY.encode()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def parse(pieces: Iterable[bytes], boundary: str = BOUNDARY, max_parts: int = MAX_PARTS) -> Parts:
    """The parts of a form that comes in these pieces; checks the order of the events on the way."""
    parser = FormParser(boundary, max_parts)
    found: Parts = []
    collected: list[bytes] | None = None
    for piece in pieces:
        for event in parser.feed(piece):
            if isinstance(event, PartHead):
                assert collected is None, "a head inside a part"
                found.append((event, b""))
                collected = []
            else:
                assert collected is not None, "bytes or an end outside of a part"
                if event is None:
                    found[-1] = (found[-1][0], b"".join(collected))
                    collected = None
                else:
                    assert event, "an empty piece"
                    collected.append(event)
    parser.close()
    assert collected is None, "a part that does not end"
    return found


def heads(*dispositions: str) -> list[PartHead]:
    """What becomes of these Content-Disposition values."""
    data = form(*[f"Content-Disposition: {value}\r\n\r\n".encode() for value in dispositions])
    return [head for head, _ in parse([data])]


def summary(parts: Parts) -> list[tuple[str, str | None, bytes]]:
    return [(head.name, head.raw_filename, data) for head, data in parts]


# -- the bytes ----------------------------------------------------------------------------------------------------

# Everything that looks like a boundary without being one.
NEARLY = [
    b"",
    b"\r",
    b"\r\n",
    b"\n",
    b"\r\n--",
    b"\r\n-",
    DELIMITER[:-1],
    DELIMITER[:-1] + b"x",
    DELIMITER[2:],  # without its CRLF
    b"x" + DELIMITER[2:] + b"--",
    b"\n" + DELIMITER[2:],
    b"\r\r\n\r\n-" + DELIMITER[4:],
    DELIMITER[:-1] * 20,
    b"\r\n--" * 20 + b"\r",
]


@pytest.mark.parametrize("data", NEARLY)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_what_only_looks_like_a_boundary_is_data(data: bytes, size: int) -> None:
    wire = form(field("a", data), field("b", data + b"x" + data, "f"))
    assert summary(parse(cut(wire, size))) == [("a", None, data), ("b", "f", data + b"x" + data)]


WIRE = (
    b"pre\r\n"
    + form(field("a", b"1\r\n2"), field("", b"", "f"), field("c", b"\r\n"))
    + b"epilogue"
    + form(field("d", b""))
)
PARTS = [("a", None, b"1\r\n2"), ("", "f", b""), ("c", None, b"\r\n")]


@pytest.mark.parametrize("at", range(len(WIRE) + 1))
def test_a_form_may_be_cut_anywhere(at: int) -> None:
    """RFC 2046 5.1.1: preamble and epilogue are ignored, even when the epilogue looks like another form."""
    assert summary(parse([piece for piece in (WIRE[:at], WIRE[at:]) if piece])) == PARTS


@pytest.mark.parametrize("size", [*range(1, 12), 64, len(WIRE)])
def test_a_form_may_come_in_small_pieces(size: int) -> None:
    assert summary(parse(cut(WIRE, size))) == PARTS


def test_bytes_are_passed_on_as_they_come() -> None:
    parser = FormParser(BOUNDARY)
    wire = form(field("a", b""), end=b"")[: -len(DELIMITER)]
    (head,) = parser.feed(wire)
    assert isinstance(head, PartHead)
    for piece in (b"x", b"y" * 65536, b"z\rz", b"\n"):
        assert list(parser.feed(piece)) == [piece]
    assert list(parser.feed(DELIMITER[:9])) == []  # it may be the end
    assert list(parser.feed(b"!")) == [DELIMITER[:9] + b"!"]
    assert list(parser.feed(DELIMITER + b"--")) == [None]
    parser.close()


@pytest.mark.parametrize("wire", [form(), form(end=b"--"), b"preamble\r\n" + form()])
def test_a_form_may_be_empty(wire: bytes) -> None:
    assert parse([wire]) == []
    assert parse(cut(wire, 1)) == []


def test_the_last_line_end_may_be_missing() -> None:
    assert summary(parse([form(field("a", b"x"), end=b"--")])) == [("a", None, b"x")]


def test_equal_names_stay_apart_and_in_order() -> None:
    parts = parse([form(field("a", b"1"), field("b", b"2"), field("a", b"3"))])
    assert summary(parts) == [("a", None, b"1"), ("b", None, b"2"), ("a", None, b"3")]


# -- what is refused, whole and byte by byte ----------------------------------------------------------------------

GOOD = field("a", b"x")
LONG = "n" * 100

REFUSED = {
    "nothing": b"",
    "no boundary": b"just text",
    "no boundary in sight": b"x" * (MAX_PREAMBLE + 100),
    "another boundary": form(GOOD, boundary="other"),
    "a preamble that is too long": b"x" * (MAX_PREAMBLE + 1) + b"\r\n" + form(GOOD),
    "a boundary in the middle of the first line": b"x" + form(GOOD),
    "no final boundary": form(GOOD, end=b"\r\n"),
    "no end behind the final boundary": form(GOOD, end=b""),
    "half an end": form(GOOD, end=b"-"),
    "no boundary behind a part": b"--" + BOUNDARY.encode() + b"\r\n" + GOOD,
    "an end in a head": form(GOOD, end=b"\r\nContent-Disposition: form-data"),
    "more behind a boundary": form(GOOD, end=b"xx\r\n"),
    "more behind the first boundary": b"--" + BOUNDARY.encode() + b"x\r\n" + GOOD,
    "LF only": form(GOOD, field("b", b"y")).replace(b"\r\n", b"\n"),
    "LF only in a head": form(GOOD.replace(b"\r\n", b"\n")),
    "LF only between the parts": form(GOOD, field("b", b"")).replace(DELIMITER, DELIMITER[1:]),
    "CR only": form(GOOD).replace(b"\r\n", b"\r"),
    "no head": form(b"\r\nx"),
    "no Content-Disposition": form(b"Content-Type: text/plain\r\n\r\nx"),
    "two of them": form(b"Content-Disposition: form-data; name=a\r\n" + GOOD),
    "two types": form(field("a", b"x", "f", "Content-Type: text/plain", "content-type: text/html")),
    "two lengths": form(field("a", b"x", "f", "Content-Length: 1", "Content-Length: 1")),
    "a wrong length": form(field("a", b"xyz", "f", "Content-Length: 2")),
    "a length that is none": form(field("a", b"xyz", "f", "Content-Length: +3")),
    "attachment": form(b'Content-Disposition: attachment; name="a"\r\n\r\nx'),
    "no name": form(b"Content-Disposition: form-data\r\n\r\nx"),
    "a file name alone": form(b'Content-Disposition: form-data; filename="f"\r\n\r\nx'),
    "no type": form(b'Content-Disposition: ; name="a"\r\n\r\nx'),
    "a line without colon": form(field("a", b"x", None, "Content-Type text/plain")),
    "a line without a name": form(field("a", b"x", None, ": text/plain")),
    "a bad field name": form(field("a", b"x", None, "Content Type: text/plain")),
    "a folded line at the start": form(b" x: y\r\n" + GOOD),
    "NUL in a name": form(field("a\0b", b"x")),
    "CR in a name": form(GOOD.replace(b'"a"', b'"a\rb"')),
    "LF in a name": form(GOOD.replace(b'"a"', b'"a\nb"')),
    "CRLF in a name": form(GOOD.replace(b'"a"', b'"a\r\nb"')),
    "escaped CR in a name": form(field("a\rb", b"x")),
    "escaped LF in a file name": form(field("a", b"x", "f\ng")),
    "NUL in a file name": form(field("a", b"x", "f\0.txt")),
    "ESC in a type": form(field("a", b"x", "f", "Content-Type: \x1b[2J")),
    "DEL in a type": form(field("a", b"x", "f", "Content-Type: \x7f")),
    "a name that is not UTF-8": form(GOOD.replace(b'"a"', b'"\xff"')),
    "a long line": form(field("a", b"x", None, "X: " + "y" * MAX_PART_HEAD)),
    "a line without an end": form(field("a", b"x", None, "X: " + "y" * 3 * MAX_PART_HEAD))[: 2 * MAX_PART_HEAD],
    "a long head": form(field("a", b"x", None, *[f"X-{i}: {'y' * 600}" for i in range(15)])),
    "a long head in UTF-8": form(field("a", b"x", None, *[f"X-{i}: {'ä' * 300}" for i in range(15)])),
    "many fields": form(field("a", b"x", None, *[f"X-{i}: y" for i in range(MAX_PART_FIELDS)])),
    "too many parts": form(*[GOOD] * (MAX_PARTS + 1)),
    "far too many parts": form(*[GOOD] * 10_000),
}


@pytest.mark.parametrize("size", [1, 1000, 1 << 30])
@pytest.mark.parametrize("wire", REFUSED.values(), ids=REFUSED)
def test_refused(wire: bytes, size: int) -> None:
    with pytest.raises(BadMultipart) as caught:
        parse(cut(wire, size))
    assert caught.value.status == 400
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("data", [form(GOOD), b""])
def test_a_refusal_stays(data: bytes) -> None:
    parser = FormParser(BOUNDARY)
    with pytest.raises(BadMultipart, match="control character") as first:
        list(parser.feed(form(field("a\0", b"x"))))
    with pytest.raises(BadMultipart) as second:
        list(parser.feed(data))
    assert str(second.value) == str(first.value)
    with pytest.raises(BadMultipart, match="control character"):
        parser.close()


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_limits_are_inclusive(size: int) -> None:
    space = MAX_PART_HEAD - len(field("a", b"", None, "X: ")) + 2
    for wire in [
        form(*[GOOD] * MAX_PARTS),
        form(field("a", b"x", None, *[f"X-{i}: y" for i in range(MAX_PART_FIELDS - 1)])),
        form(field("a", b"x", None, "X: " + "y" * space)),
        b"x" * (MAX_PREAMBLE - 2) + b"\r\n" + form(GOOD),
    ]:
        assert parse(cut(wire, size))
    with pytest.raises(BadMultipart, match=f"over {MAX_PART_HEAD} bytes"):
        parse(cut(form(field("a", b"x", None, "X: y" + "y" * space)), size))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_number_of_parts_can_be_chosen(most: int) -> None:
    assert len(parse([form(*[GOOD] * most)], max_parts=most)) == most
    with pytest.raises(BadMultipart, match=f"there may be {most} parts"):
        parse([form(*[GOOD] * (most + 1))], max_parts=most)


# -- the head of a part -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('form-data; name="a"', "a", None),
        ("form-data; name=a", "a", None),
        ('form-data; name=""', "", None),
        ('Form-Data;NAME="a";FileName="f"', "a", "f"),
        ('form-data ; name = "a" ; filename = "f" ;', "a", "f"),
        ('form-data; filename="f"; name="a"', "a", "f"),
        ('form-data; name="a"; filename=""', "a", ""),
        ('form-data; name="a"; filename=f.txt', "a", "f.txt"),
        ('form-data; name="a"; filename="名前 ü.txt"', "a", "名前 ü.txt"),
        ('form-data; name="ä b"; filename="x;y=z.txt"', "ä b", "x;y=z.txt"),
        ('form-data; name="%22"; filename="a%22b%20c%.txt"', '"', 'a"b%20c%.txt'),
        ('form-data; name="a"; filename="a\\"b\\\\c.txt"', "a", 'a"b\\c.txt'),
        ('form-data; name="a\\" b\\";"; filename="f"', 'a" b";', "f"),
        ('form-data; name="a"; filename="C:\\dir\\f.txt"', "a", "C:\\dir\\f.txt"),
        ('form-data; name="a"; filename="dir\\"', "a", "dir\\"),
        ("form-data; name=\"a\"; filename*=UTF-8''%e2%82%ac.txt", "a", None),
        ('form-data; name="a"; filename="f"; filename*=UTF-8\'\'..%2Fg', "a", "f"),
        ('form-data; name="a"; size=12; creation-date="Wed, 1 Jan 2025"', "a", None),
    ],
)
def test_names(disposition: str, name: str, filename: str | None) -> None:
    """RFC 7578 4.2: quotes as browsers and others write them; filename* has no meaning."""
    (head,) = heads(disposition)
    assert (head.name, head.raw_filename) == (name, filename)


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="a',
        'form-data; name="a"b',
        'form-data; name=a"b',
        'form-data; name="a" filename="f"',
        'form-data; name="a"; name="b"',
        'form-data; name="a"; Name=a',
        'form-data; name="a"; filename="f"; filename="g"',
        'form-data; name="a"; filename="f"; x',
        'form-data; name="a";; filename="f"',
        'form-data, name="a"',
        'form-data; name="a", form-data; name="b"',
        "form-data; name=",
        'form-data; ="a"',
        'form-data; na me="a"',
        'form-data; name="a"; filename="a\\"; name="b"',
        'form-data; name="a\\"; b\\""; filename="f"',
        "form-data; name" + " " * 1000 + "x",
        "form-data; name=" + '"\\' * 1000,
    ],
)
def test_a_disposition_that_can_be_read_in_two_ways_is_refused(disposition: str) -> None:
    with pytest.raises(BadMultipart):
        heads(disposition)


@pytest.mark.parametrize(
    ("raw", "filename"),
    [
        ("f.txt", "f.txt"),
        ("", ""),
        ("dir/f.txt", "f.txt"),
        ("/etc/passwd", "passwd"),
        ("../../f", "f"),
        ("C:\\My Files\\f.txt", "f.txt"),
        ("\\\\server\\share\\f", "f"),
        ("a\\b/c\\d", "d"),
        ("a/b\\", ""),
        ("dir/", ""),
        ("..", ""),
        (".", ""),
        ("x/..", ""),
        ("x\\..", ""),
        ("...", "..."),
        (".htaccess", ".htaccess"),
        (" f ", " f "),
    ],
)
def test_a_file_name_is_reduced_to_its_last_component(raw: str, filename: str) -> None:
    ((head, _),) = parse([form(field("a", b"", raw))])
    assert (head.raw_filename, head.filename) == (raw, filename)


@pytest.mark.parametrize(
    ("lines", "kind", "charset"),
    [
        ([], "text/plain", None),
        (["Content-Type: image/PNG"], "image/png", None),
        (["content-type:Text/HTML ; charset=UTF-8"], "text/html", "utf-8"),
        (['Content-Type: text/plain; charset="iso-8859-1"; x=y'], "text/plain", "iso-8859-1"),
        (["Content-Type: text/plain; charset=Shift_JIS"], "text/plain", "shift-jis"),
        (["Content-Type: text/plain; charset=klingon"], "text/plain", None),
        (["Content-Type: text/plain; charset=punycode"], "text/plain", None),
        (["Content-Type: text/plain; charset=hex"], "text/plain", None),
        (["Content-Type: text/plain; charset=utf-8; charset=utf-16"], "text/plain", None),
        (["Content-Type: text/plain; charset"], "text/plain", None),
        (["Content-Type: "], "", None),
        (["Content-Type: text/plain;", " charset=utf-8"], "text/plain", "utf-8"),
    ],
)
def test_types(lines: list[str], kind: str, charset: str | None) -> None:
    ((head, _),) = parse([form(field("a", b"x", None, *lines))])
    assert (head.content_type, head.charset) == (kind, charset)


def test_headers_are_found_in_any_case() -> None:
    wire = form(field("a", b"x", "f", "X-One:  1 \t", "x-one: 2", "Content-Transfer-Encoding: binary"))
    ((head, _),) = parse([wire])
    assert head.headers["X-ONE"] == "1, 2"
    assert head.transfer_encoding == head.headers.get("content-transfer-encoding") == "binary"
    assert "x-ONE" in head.headers and "x-two" not in head.headers
    assert list(head.headers) == ["content-disposition", "x-one", "content-transfer-encoding"]
    assert len(head.headers) == 3
    assert repr(PartHeaders([("A", "b")])) == "<PartHeaders {'a': 'b'}>"
    ((bare, _),) = parse([form(GOOD)])
    assert bare.transfer_encoding is None


LABELS = (
    "utf-8 UTF8 us-ascii latin1 ISO_8859-1 iso-8859-15 windows-1252 cp1251 koi8-r macintosh gbk gb18030 big5 utf-16le"
)


@pytest.mark.parametrize("label", LABELS.split())
def test_known_character_sets_decode(label: str) -> None:
    name = known_charset(label)
    assert name is not None
    assert "ab".encode(name).decode(name, "replace") == "ab"
    assert isinstance(bytes(range(256)).decode(name, "replace"), str)


@pytest.mark.parametrize("label", ["", "idna", "punycode", "unicode_escape", "utf-7", "rot13", "zlib", "mbcs", "../x"])
def test_other_codecs_of_python_are_no_character_sets(label: str) -> None:
    assert known_charset(label) is None


# -- the boundary -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (f"multipart/form-data; boundary={BOUNDARY}", BOUNDARY),
        ("Multipart/Form-Data;Boundary=x", "x"),
        ('multipart/form-data; charset=utf-8; boundary="a b:c"', "a b:c"),
        ("multipart/form-data; boundary=----=_Part_1:2/3", "----=_Part_1:2/3"),
        ("multipart/form-data; boundary=*****", "*****"),
        ("multipart/form-data; boundary=" + "x" * 70, "x" * 70),
        ("multipart/form-data ; boundary=x;", "x"),
        ("", None),
        ("text/plain; boundary=x", None),
        ("multipart/mixed; boundary=x", None),
        ("multipart/form-datax; boundary=x", None),
    ],
)
def test_boundaries(content_type: str, boundary: str | None) -> None:
    assert form_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; boundary",
        "; boundary=",
        '; boundary=""',
        '; boundary="',
        '; boundary=" "',
        '; boundary="x "',
        "; boundary=" + "x" * 71,
        '; boundary="a\\"b"',
        '; boundary="a\\b"',
        "; boundary=\xfc",
        '; boundary="a\tb"',
        "; boundary=a; boundary=b",
        "; boundary=a, multipart/form-data; boundary=b",
        "; boundary=a b",
    ],
)
def test_bad_boundaries(parameters: str) -> None:
    with pytest.raises(BadMultipart, match="boundary of 1 to 70 characters"):
        form_boundary("multipart/form-data" + parameters)


@pytest.mark.parametrize("boundary", ["x", "-", "--", "a b", "'()+_,-./:=?", "*****", "x" * 70])
def test_any_boundary_works(boundary: str) -> None:
    data = b"\r\n--" + boundary[:-1].encode() + b"!"
    wire = form(field("a", data), field("b", b""), boundary=boundary)
    for size in (1, 5, 1 << 30):
        assert summary(parse(cut(wire, size), boundary)) == [("a", None, data), ("b", None, b"")]


# -- anything -----------------------------------------------------------------------------------------------------

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\\%"), max_size=20
)  # "%22" means a quote: what a browser cannot tell apart, nobody can
DATA = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([*NEARLY, b"-", b"\r\n--" + BOUNDARY[:5].encode()])), max_size=5
).map(b"".join)
FORMS = st.lists(st.tuples(NAMES, st.none() | NAMES, DATA), max_size=6)


@hypothesis_settings(deadline=None, max_examples=200)
@given(FORMS, st.lists(st.integers(min_value=0, max_value=2000), max_size=12))
def test_what_is_encoded_comes_out(parts: list[tuple[str, str | None, bytes]], cuts: list[int]) -> None:
    parts = [(name, filename, data) for name, filename, data in parts if DELIMITER not in b"\r\n" + data + b"\r\n"]
    wire = form(*[field(name, data, filename) for name, filename, data in parts])
    edges = [0, *sorted(min(at, len(wire)) for at in cuts), len(wire)]
    pieces = [wire[start:stop] for start, stop in pairwise(edges) if start < stop]
    assert summary(parse(pieces)) == parts


@hypothesis_settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 300), st.integers(0, 40), st.integers(1, 50))
def test_a_damaged_form_is_parsed_the_same_way_however_it_is_cut(junk: bytes, at: int, lost: int, size: int) -> None:
    wire = form(field("a", b"1" * 50), field("b", b"2", "f", "Content-Type: text/html"))
    wire = wire[:at] + junk + wire[at + lost :]

    def outcome(pieces: list[bytes]) -> object:
        try:
            return summary(parse(pieces))
        except BadMultipart:
            return "refused"

    assert outcome(cut(wire, size)) == outcome([wire])
