"""Blocks: what a page has opened and not ended yet."""

from __future__ import annotations

from dataclasses import dataclass

from greenbas.pages.statement import Statement

__all__ = ["OWNERS", "Block", "is_clause"]

# What may stand before each clause.
OWNERS = {
    "elif": ("if",),
    "else": ("if", "for", "while", "try"),
    "except": ("try",),
    "finally": ("try",),
    "case": ("match",),
}


@dataclass(slots=True)
class Block:
    """A statement, and its block if it opens one.

    Args:
        keyword: the word that makes it a header, "" for a plain statement.
        text: the first row of the header.
        line: the line of the header in the page.
        column: its column.
        level: the level of the header in the generated source.
        empty: whether nothing stands in the block, or in its last clause, so far.
        clauses: whether a clause, such as else or case, has followed.
    """

    keyword: str
    text: str
    line: int
    column: int
    level: int
    empty: bool = True
    clauses: bool = False

    @property
    def clause_level(self) -> int:
        """The level of the clauses that continue the block."""
        return self.level + 1 if self.keyword == "match" else self.level

    @property
    def body_level(self) -> int:
        """The level of what stands in it."""
        return self.clause_level + 1

    @property
    def wanting(self) -> bool:
        """Whether it is a match that has no case so far."""
        return self.keyword == "match" and not self.clauses

    def takes(self, statement: Statement) -> bool:
        """Whether a statement is a clause that continues this block."""
        return is_clause(statement) and self.keyword in OWNERS[statement.keyword]


def is_clause(statement: Statement) -> bool:
    """Whether a statement continues a block; case is also an ordinary name."""
    return statement.keyword in OWNERS and statement.colon is not None
