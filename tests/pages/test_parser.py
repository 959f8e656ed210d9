"""The syntax of tags, and the places they are at."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.errors import PageSyntaxError
from greenbas.pages.pagetext import PageText, Place
from greenbas.pages.parser import Literal, Tag, parse


def parts(text: str) -> list[str | tuple[str, str]]:
    """Literal texts, and pairs of the mark and the code of tags."""
    found = parse(PageText(text, "x.psp"))
    return [part.text if isinstance(part, Literal) else (part.mark, "\n".join(part.rows)) for part in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n", ["\n"]),
        (" \r\n ", [" \r\n "]),
        ("a", ["a"]),
        ("\ufeffa", ["a"]),
        ("\ufeff<?psp x ?>", [("", " x ")]),
        ("a\ufeffb", ["a\ufeffb"]),
        ("<?psp?>", [("", "")]),
        ("<?psp x?>", [("", " x")]),
        ("<?psp\nx\n?>", [("", "\nx\n")]),
        ("<?psp\tx?>", [("", "\tx")]),
        ("<?psp\r\nx\ry\r\n?>", [("", "\nx\ny\n")]),
        ("<?psp=x?>", [("=", "x")]),
        ("<?psp= x ?>", [("=", " x ")]),
        ("<?psp=! x ?>", [("=!", " x ")]),
        ("<?psp=!x?>", [("=!", "x")]),
        ("<?psp= !x ?>", [("=", " !x ")]),
        ("<?psp ! ?>", [("", " ! ")]),
        # What begins like a tag and is none.
        ("<?psp", ["<?psp"]),
        ("<?pspx ?>", ["<?pspx ?>"]),
        ("<?psp! x ?>", ["<?psp! x ?>"]),
        ("<?psp\xa0x ?>", ["<?psp\xa0x ?>"]),
        ("<?PSP x ?>", ["<?PSP x ?>"]),
        ("<? psp x ?>", ["<? psp x ?>"]),
        ("<?xml version='1.0'?>\n<?php x ?><?lsp y ?>", ["<?xml version='1.0'?>\n<?php x ?><?lsp y ?>"]),
        ("a ?> b", ["a ?> b"]),
        ("<?xml <?psp= x ?> ?>", ["<?xml ", ("=", " x "), " ?>"]),
        # Nested marks are counted.
        ("<?psp x = '<?xml ?>' ?>a", [("", " x = '<?xml ?>' "), "a"]),
        ("<?psp= '<? <? ?> ?>' ?>a", [("=", " '<? <? ?> ?>' "), "a"]),
        ("<?psp '<?psp x ?>' ?>", [("", " '<?psp x ?>' ")]),
        ("<?psp '?>'", [("", " '"), "'"]),
        # Line breaks after tags.
        ("<?psp x ?>\na", [("", " x "), "a"]),
        ("<?psp x ?>\r\na", [("", " x "), "a"]),
        ("<?psp x ?>\n\na", [("", " x "), "\na"]),
        ("<?psp x ?>\ra", [("", " x "), "\ra"]),
        ("<?psp x ?> \na", [("", " x "), " \na"]),
        ("<?psp= x ?>\na", [("=", " x "), "\na"]),
        ("<?psp=! x ?>\r\na", [("=!", " x "), "\r\na"]),
        # The tail.
        ("<?psp x ?>\n \t\r\n\f\v", [("", " x ")]),
        ("<?psp= x ?>\n", [("=", " x ")]),
        ("a<?psp x ?>\xa0", ["a", ("", " x "), "\xa0"]),
        ("<?psp x ?> a ", [("", " x "), " a "]),
        ("<?psp x ?> <?psp y ?>", [("", " x "), " ", ("", " y ")]),
    ],
)
def test_parts(text: str, expected: list[str | tuple[str, str]]) -> None:
    assert parts(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "line", "offset", "shown"),
    [
        ("<?psp ", "start tag without end tag", 1, 1, "<?psp "),
        ("a\nb <?psp= x\n\n", "start tag without end tag", 2, 3, "b <?psp= x"),
        ("a\r\rb\r\n é<?psp x\r\n", "start tag without end tag", 4, 3, " é<?psp x"),
        ("<?psp '<?' ?>", "start tag without end tag; a '<?' inside a tag needs a '?>' of its own", 1, 1, None),
        ("<?psp a ?>\n<?psp b", "start tag without end tag", 2, 1, "<?psp b"),
        ("<?psp '\0' ?>", "a NUL character in code; write it as \\0 in a string", 1, 8, None),
        ("\n<?psp=\n '\0' ?>", "a NUL character in code; write it as \\0 in a string", 3, 3, None),
        ("a\n\ud800", "the page holds '\\ud800', half of a surrogate pair, which UTF-8 cannot carry", 2, 1, "?"),
    ],
)
def test_error(text: str, message: str, line: int, offset: int, shown: str | None) -> None:
    with pytest.raises(PageSyntaxError) as caught:
        parse(PageText(text, "x.psp"))
    error = caught.value
    assert (error.msg, error.filename, error.lineno, error.offset) == (message, "x.psp", line, offset)
    assert error.text == (shown if shown is not None else text.split("\n")[line - 1])


@given(st.text(st.sampled_from("<?psp=!> x\r\n\té😀"), max_size=40))
def test_places_are_those_of_the_text(text: str) -> None:
    page = PageText(text, "x.psp")
    try:
        found = parse(page)
    except PageSyntaxError:
        return
    for part in found:
        place = part.start if isinstance(part, Tag) else part.place
        assert place == place_of(text, index_of(text, place))
        begin = text[index_of(text, place) :]
        assert begin.startswith(f"<?psp{part.mark}" if isinstance(part, Tag) else part.text)
        if isinstance(part, Tag):
            last = len(part.rows) - 1
            end = index_of(text, part.at(last, len(part.rows[last])))
            assert text.startswith("?>", end)


def starts(text: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\r\n|\r|\n", text))]


def index_of(text: str, place: Place) -> int:
    return starts(text)[place.line - 1] + place.column


def place_of(text: str, index: int) -> Place:
    line = max(number for number, start in enumerate(starts(text), 1) if start <= index)
    before = text[starts(text)[line - 1] : index]
    return Place(line, len(before), len(before.encode()))


def test_lines_are_those_of_python() -> None:
    page = PageText("a\u2028\x0b\x0c\x85b\r\nc\rd\ne", "x.psp")
    assert [page.line(number) for number in range(7)] == ["", "a\u2028\x0b\x0c\x85b", "c", "d", "e", "", ""]


def test_places_may_be_asked_in_any_order() -> None:
    page = PageText("éa\nbébé", "x.psp")
    expected = [Place(2, 3, 4), Place(2, 1, 1), Place(1, 1, 2), Place(2, 4, 6)]
    assert [page.place(index) for index in (6, 4, 1, 7)] == expected
