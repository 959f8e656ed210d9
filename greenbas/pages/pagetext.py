"""The text of a page and the places in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from greenbas.errors import PageSyntaxError

__all__ = ["PageText", "Place"]

LINE_BREAK = re.compile(r"\r\n?|\n")  # as Python and text files have it; str.splitlines knows more


class Place(NamedTuple):
    """A place in a page: its line counted from 1, and its column in characters and in UTF-8 bytes, both from 0."""

    line: int
    column: int
    byte: int


class PageText:
    """The text of a page.

    Args:
        text: the page; a byte order mark at its start is dropped.
        filename: what errors call the page.

    Raises:
        PageSyntaxError: the text has no UTF-8 form, because it holds a lone surrogate.
    """

    __slots__ = ("_last", "_starts", "filename", "text")

    def __init__(self, text: str, filename: str) -> None:
        self.text = text = text.removeprefix("\ufeff")
        self.filename = filename
        self._starts = [0, *(found.end() for found in LINE_BREAK.finditer(text))]
        self._last = 0, Place(1, 0, 0)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            self.text = text.encode(errors="replace").decode()  # for the line that the error shows
            line = bisect_right(self._starts, error.start)
            raise self.error(
                f"the page holds {text[error.start]!r}, half of a surrogate pair, which UTF-8 cannot carry",
                line,
                error.start - self._starts[line - 1],
            ) from None

    def place(self, index: int) -> Place:
        """Where a character stands; ask in ascending order, then the whole page costs one pass."""
        line = bisect_right(self._starts, index)
        start = self._starts[line - 1]
        known, last = self._last
        if last.line == line and known <= index:
            byte = last.byte + len(self.text[known:index].encode())
        else:
            byte = len(self.text[start:index].encode())
        place = Place(line, index - start, byte)
        self._last = index, place
        return place

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its line break."""
        if not 1 <= number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else None
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")

    def error(self, message: str, line: int, column: int | None = None) -> PageSyntaxError:
        """The error for a line counted from 1 and a column counted from 0."""
        offset = None if column is None else column + 1
        return PageSyntaxError(message, self.filename, line, offset, self.line(line))
