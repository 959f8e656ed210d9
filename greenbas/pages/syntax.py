"""Python's syntax errors in terms of the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from greenbas.errors import PageSyntaxError
from greenbas.pages.pagetext import PageText
from greenbas.pages.source import SourceLine

__all__ = ["explain_parse", "explain_placed", "offset_in", "renumber"]

LINE = re.compile(r"\b((?:on|at) line )(\d+)")


def renumber(message: str, line_of: Callable[[int], int]) -> str:
    """A message of Python's parser with its line numbers replaced."""
    return LINE.sub(lambda found: found[1] + str(line_of(int(found[2]))), message)


def offset_in(error: SyntaxError, text: str) -> int | None:
    """The offset of an error in its line.

    Python 3.11 counts that of an error inside an f-string from the parenthesis that it puts around a replacement field.
    """
    if not error.offset:
        return None
    shown = (error.text or "").rstrip("\n")
    if not error.msg.startswith("f-string") or shown == text:
        return error.offset
    found = text.find(shown[1:-1])
    return found + error.offset - 1 if len(shown) > 2 and found >= 0 else None


def explain_parse(error: SyntaxError, lines: Sequence[SourceLine], page: PageText) -> PageSyntaxError:
    """The page's error for one that tells a place in the generated source."""

    def line_of(number: int) -> int:
        return lines[min(max(number, 1), len(lines)) - 1].place.line

    line = lines[min(max(error.lineno or 1, 1), len(lines)) - 1]
    column = line.place.column if line.literal else None
    offset = offset_in(error, line.text)
    if line.start >= 0 and offset is not None:
        column = line.place.column + min(max(offset - 1, line.start), line.end) - line.start
    return page.error(renumber(error.msg, line_of), line.place.line, column)


def explain_placed(error: SyntaxError, page: PageText) -> PageSyntaxError:
    """The page's error for one that tells a place in the page, with a column counted in bytes."""
    line = error.lineno or 1
    column = None
    if error.offset and error.offset > 0:
        column = len(page.line(line).encode()[: error.offset - 1].decode("utf-8", "ignore"))
    return page.error(error.msg, line, column)
