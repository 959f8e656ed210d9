"""What an expression tag may hold."""

from __future__ import annotations

import ast
import keyword

from greenbas.errors import PageSyntaxError
from greenbas.pages.pagetext import PageText
from greenbas.pages.parser import Tag
from greenbas.pages.statement import Spot, scan
from greenbas.pages.syntax import offset_in, renumber

__all__ = ["read_expression"]

NO_EXPRESSION = "this is no expression; statements go into <?psp ... ?>"
STATEMENT_WORDS = frozenset(keyword.kwlist) - {"None", "True", "False", "not", "lambda", "await"}


def read_expression(tag: Tag, page: PageText) -> tuple[Spot, Spot]:
    """Where the expression of a tag begins and ends.

    Raises:
        PageSyntaxError: there is none, it is none, or there are several.
    """
    lines = scan(tag, page)
    if not lines:
        raise page.error("this tag holds no expression", tag.start.line, tag.start.column)
    begin = lines[0].row, lines[0].column
    last = lines[-1].end_row
    rows = [tag.rows[begin[0]][begin[1] :], *tag.rows[begin[0] + 1 : last + 1]]
    check(Candidate(tag, page, begin, "\n".join(rows)), lines[0].first)
    end = len(tag.rows[last].rstrip())
    return begin, (last, end)


class Candidate:
    """The text of an expression tag and where it comes from."""

    __slots__ = ("begin", "page", "tag", "text")

    def __init__(self, tag: Tag, page: PageText, begin: Spot, text: str) -> None:
        self.tag = tag
        self.page = page
        self.begin = begin
        self.text = text

    def fail(self, message: str, row: int = 0, column: int | None = 0) -> PageSyntaxError:
        """The error for a place in the text, counted from 0."""
        row = min(row, self.text.count("\n"))
        shift = self.begin[1] if row == 0 else 0
        place = self.tag.at(self.begin[0] + row, shift + (column or 0))
        return self.page.error(message, place.line, None if column is None else place.column)

    def line_of(self, number: int) -> int:
        """The page's line of a line of the text, counted from 1."""
        return self.tag.place.line + self.begin[0] + number - 1


def check(candidate: Candidate, first: str) -> None:
    """Refuse what is not exactly one expression."""
    try:
        # The parentheses let it go on over several lines.
        value = ast.parse(f"({candidate.text}\n)", mode="eval").body
    except SyntaxError as error:
        raise explain(candidate, first, error) from None
    except (MemoryError, RecursionError):
        raise candidate.fail("this expression is nested too deep for Python's compiler") from None
    bare = value.lineno == 1 and value.col_offset == 0  # what has no parentheses of its own begins with ours
    if isinstance(value, ast.Tuple) and bare:
        raise candidate.fail("several values in one tag; write one expression, such as an f-string, or two tags")
    if isinstance(value, ast.GeneratorExp) and bare:
        raise candidate.fail("a generator has no text; join its values, or write a loop around a tag")
    if isinstance(value, ast.Yield | ast.YieldFrom):
        raise candidate.fail(NO_EXPRESSION)


def explain(candidate: Candidate, first: str, error: SyntaxError) -> PageSyntaxError:
    """The error for what Python does not take as an expression."""
    added = "("
    try:
        ast.parse(candidate.text)
    except SyntaxError as other:
        if first in STATEMENT_WORDS:
            return candidate.fail(NO_EXPRESSION)
        if "\n" not in candidate.text:  # no parentheses were needed, and what Python says may be about them
            error, added = other, ""
    else:
        return candidate.fail(NO_EXPRESSION)
    row = min(error.lineno or 1, candidate.text.count("\n") + 1) - 1
    offset = offset_in(error, (added + candidate.text).split("\n")[row])
    if offset is None:
        column = None
    else:
        column = max(offset - 1 - (len(added) if row == 0 else 0), 0)
    return candidate.fail(renumber(error.msg, candidate.line_of), row, column)
