"""The syntax of tags: what of a page is literal text, code, or an expression."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenbas.pages.pagetext import LINE_BREAK, PageText, Place

__all__ = ["Literal", "Tag", "parse"]

SPACE = " \t\r\n\f\v"
START = re.compile(r"<\?psp(?:(=!?)|(?=[ \t\r\n\f\v])|(?=\?>))")
MARK = re.compile(r"<\?|\?>")


@dataclass(slots=True)
class Literal:
    """Text that is sent as it is.

    Args:
        text: at least one character.
        place: of its first character.
    """

    text: str
    place: Place


@dataclass(slots=True)
class Tag:
    """A tag.

    Args:
        mark: "" for code, "=" for an expression, "=!" for one that is not escaped.
        rows: the lines of what is between the marks, without line breaks.
        place: where the first row begins; the others begin at column 0 of the lines that follow.
        start: where the tag begins.
    """

    mark: str
    rows: list[str]
    place: Place
    start: Place

    def at(self, row: int, column: int) -> Place:
        """The place in the page of a place in the rows, both counted from 0."""
        byte = len(self.rows[row][:column].encode())
        if row == 0:
            return Place(self.place.line, self.place.column + column, self.place.byte + byte)
        return Place(self.place.line + row, column, byte)


def parse(page: PageText) -> list[Literal | Tag]:
    """Split a page into its parts.

    A line break right after a code tag and a tail of white space after the last tag are dropped.

    Raises:
        PageSyntaxError: a tag has no end, or holds NUL.
    """
    parts: list[Literal | Tag] = []
    text, position = page.text, 0
    while found := START.search(text, position):
        if found.start() > position:
            parts.append(Literal(text[position : found.start()], page.place(position)))
        start, place = page.place(found.start()), page.place(found.end())
        position = end_of(page, found.end(), start)
        code = LINE_BREAK.sub("\n", text[found.end() : position - 2])  # as Python does with its sources
        tag = Tag(found[1] or "", code.split("\n"), place, start)
        refuse_nul(page, tag)
        parts.append(tag)
        if not tag.mark:
            position += 2 if text.startswith("\r\n", position) else text.startswith("\n", position)
    tail = text[position:]
    if tail.strip(SPACE) or (tail and not parts):
        parts.append(Literal(tail, page.place(position)))
    return parts


def end_of(page: PageText, position: int, start: Place) -> int:
    """The index after the end mark of the tag whose inside begins at `position`."""
    depth, hint = 1, ""
    for mark in MARK.finditer(page.text, position):
        if mark[0] == "<?":
            depth, hint = depth + 1, "; a '<?' inside a tag needs a '?>' of its own"
        else:
            depth -= 1
        if depth == 0:
            return mark.end()
    raise page.error(f"start tag without end tag{hint}", start.line, start.column)


def refuse_nul(page: PageText, tag: Tag) -> None:
    """Literal text may hold NUL, but Python takes no source with it."""
    for number, row in enumerate(tag.rows):
        if "\0" in row:
            place = tag.at(number, row.index("\0"))
            raise page.error("a NUL character in code; write it as \\0 in a string", place.line, place.column)
