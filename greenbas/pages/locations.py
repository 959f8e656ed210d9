"""Places of the generated source turned into places of the page, for tracebacks."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from greenbas.pages.source import SourceLine

__all__ = ["relocate"]

UNKNOWN = -1  # the column of what has no text in the page; tracebacks then show the line without a mark


def relocate(nodes: Iterable[ast.AST], lines: Sequence[SourceLine]) -> None:
    """Give each node the place in the page that its source comes from.

    Columns are counted in bytes of UTF-8, as Python does. The calls around an expression get the expression's place.
    """
    Relocation(lines).run(nodes)


class Relocation:
    """The places of one page."""

    def __init__(self, lines: Sequence[SourceLine]) -> None:
        self.lines = lines
        # Once for each line, and not for each node: there may be many on a long line.
        self.ends = [line.start + len(line.text[line.start : line.end].rstrip().encode()) for line in lines]

    def run(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            if getattr(node, "end_lineno", None) is not None:
                self.move(node)

    def move(self, node: ast.AST) -> None:
        first, last = self.index(node.lineno), self.index(node.end_lineno)  # type: ignore[attr-defined]
        line, end_line = self.lines[first].place.line, self.lines[last].place.line
        column = self.column(first, node.col_offset)  # type: ignore[attr-defined]
        end_column = self.column(last, node.end_col_offset)  # type: ignore[attr-defined]
        if column == UNKNOWN:
            end_line, end_column = line, UNKNOWN
        elif end_column == UNKNOWN or (end_line, end_column) < (line, column):
            # A block that ends in literal text: its header.
            end_line, end_column = line, self.column(first, self.ends[first])
        node.lineno, node.end_lineno = line, end_line  # type: ignore[attr-defined]
        node.col_offset, node.end_col_offset = column, end_column  # type: ignore[attr-defined]

    def index(self, number: int) -> int:
        """Python 3.11 tells wrong places for what is inside f-strings of several lines."""
        return min(max(number, 1), len(self.lines)) - 1

    def column(self, index: int, column: int) -> int:
        line = self.lines[index]
        if line.start < 0:
            return UNKNOWN
        return line.place.byte + min(max(column, line.start), self.ends[index]) - line.start
