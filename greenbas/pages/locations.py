"""Places of the generated source turned into places of the page, for tracebacks."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

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

    def move(self, node: Any) -> None:
        number, end_number = node.lineno, node.end_lineno
        last = len(self.lines)
        # Python 3.11 tells wrong places for what is inside f-strings of several lines.
        first = min(max(number, 1), last) - 1
        final = first if end_number == number else min(max(end_number, 1), last) - 1
        line = self.lines[first].place.line
        end_line = line if final == first else self.lines[final].place.line
        column = self.column(first, node.col_offset)
        end_column = self.column(final, node.end_col_offset)
        if column == UNKNOWN:
            end_line, end_column = line, UNKNOWN
        elif end_column == UNKNOWN or (end_line, end_column) < (line, column):
            # A block that ends in literal text: its header.
            end_line, end_column = line, self.column(first, self.ends[first])
        node.lineno, node.end_lineno = line, end_line
        node.col_offset, node.end_col_offset = column, end_column

    def column(self, index: int, column: int) -> int:
        line = self.lines[index]
        start = line.start
        if start < 0:
            return UNKNOWN
        end = self.ends[index]
        return line.place.byte + (start if column < start else end if column > end else column) - start
