"""The depth of the statements of a tag, wherever its first row stands."""

from __future__ import annotations

from itertools import pairwise

from greenbas.pages.pagetext import PageText
from greenbas.pages.parser import Tag
from greenbas.pages.statement import Statement

__all__ = ["arrange"]

TAB = 8  # columns, as Python counts them


class Misfit(Exception):
    """The indentation of a statement makes no sense."""

    def __init__(self, statement: Statement, message: str) -> None:
        super().__init__(message)
        self.statement = statement


def arrange(tag: Tag, statements: list[Statement], page: PageText) -> None:
    """Give each statement of a tag its depth.

    Code that begins in the row of the tag's mark stands behind it, so that its indentation can mean three things. The
    first one that makes sense counts: its column in the page, the same indentation as the leftmost of the other rows,
    or that all the other rows are in its block.

    Raises:
        PageSyntaxError: none makes sense; it names the first row that fits nowhere.
    """
    if len(statements) < 2:
        return
    indents = [indentation(tag, statement) for statement in statements[1:]]
    misfits = []
    for first in first_indents(tag, statements[0], page, min(indents)):
        try:
            depths = depths_of(statements, [first, *indents], tag)
        except Misfit as misfit:
            misfits.append(misfit)
        else:
            for statement, depth in zip(statements, depths, strict=True):
                statement.depth = depth
            return
    # What got furthest was probably meant; of equals the one that does not ask for a certain column.
    furthest = max(reversed(misfits), key=lambda misfit: misfit.statement.row)
    place = tag.at(furthest.statement.row, furthest.statement.column)
    raise page.error(str(furthest), place.line, place.column)


def indentation(tag: Tag, statement: Statement) -> int:
    return len(tag.rows[statement.row][: statement.column].expandtabs(TAB))


def first_indents(tag: Tag, first: Statement, page: PageText, others: int) -> list[int]:
    """What the indentation of the first statement can be."""
    if first.row > 0:
        return [indentation(tag, first)]
    place = tag.at(0, first.column)
    column = len(page.line(place.line)[: place.column].expandtabs(TAB))
    return [column, others, others - 1] if first.opens else [column, others]


def depths_of(statements: list[Statement], indents: list[int], tag: Tag) -> list[int]:
    """The depths that follow from indentations, by the rules of Python."""
    levels = [indents[0]]
    depths = [0]
    for (before, statement), indent in zip(pairwise(statements), indents[1:], strict=True):
        if before.opens:
            if indent <= levels[-1]:
                raise Misfit(statement, f"expected an indented block after line {tag.at(before.row, 0).line}")
            levels.append(indent)
        elif indent > levels[-1]:
            raise Misfit(statement, "this line is indented more than the one before it, which opens no block")
        while levels and levels[-1] > indent:
            levels.pop()
        if not levels:
            raise Misfit(statement, "this line is indented less than the first line of its tag")
        if levels[-1] != indent:
            raise Misfit(statement, "the indentation of this line is that of no line before it in its tag")
        depths.append(len(levels) - 1)
    return depths
