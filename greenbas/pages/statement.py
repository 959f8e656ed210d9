"""The statements of a tag: where its logical lines begin, and which of them open a block."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from greenbas.pages.pagetext import PageText
from greenbas.pages.parser import Tag

__all__ = ["CLAUSES", "HEADERS", "Statement", "scan"]

CLAUSES = frozenset({"elif", "else", "except", "finally", "case"})
HEADERS = CLAUSES | {"if", "for", "while", "try", "with", "def", "class", "match"}
HARD = HEADERS - {"match", "case"}  # keywords everywhere, so that they cannot be but headers

Spot = tuple[int, int]  # row and column in a tag, from 0
STRING_HINT = r"; the tag ends at '?>' even in a string: if there is to be one in it, write '?\x3e'"
CLOSING = {")": "(", "]": "[", "}": "{"}
NO_CODE = frozenset({tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER})


@dataclass(slots=True)
class Statement:
    """A logical line of a tag.

    Args:
        row: the row it begins in.
        column: the column it begins at.
        first: its first token.
        end_row: the last row that belongs to it.
        keyword: the word that makes it the header of a block (the second one after async); "" for all others.
        size: the number of its tokens.
        colon: where the text after the header's colon begins, if there is such a colon.
        body: where a statement behind that colon begins, as in ``else: x = 1``.
        depth: how many blocks of the same tag it is in.
    """

    row: int
    column: int
    first: str
    end_row: int = -1
    keyword: str = ""
    size: int = 0
    colon: Spot | None = None
    body: Spot | None = None
    depth: int = 0

    @property
    def opens(self) -> bool:
        """Whether its block begins on the next line."""
        return self.colon is not None and self.body is None


def scan(tag: Tag, page: PageText) -> list[Statement]:
    """The statements of a tag, in order.

    Raises:
        PageSyntaxError: a bracket or string that is not closed, a bracket too many, a line that goes on after the tag.
    """
    return Scanner(tag, page).run()


class Scanner:
    """Finds the statements of one tag.

    The tokenizer sees the code in parentheses, so that it does not judge the indentation, which has no meaning before
    it is clear where the first row belongs.
    """

    def __init__(self, tag: Tag, page: PageText) -> None:
        self.tag = tag
        self.page = page
        self.brackets: list[tuple[str, Spot]] = []
        self.current: Statement | None = None
        self.lambdas = 0  # whose colons are still to come, in the current statement outside brackets
        self.last = "", (0, 0)  # the last token of the current statement

    def run(self) -> list[Statement]:
        found: list[Statement] = []
        end = len(self.tag.rows)
        try:
            for kind, text, spot in self.tokens():
                if spot[0] >= end:
                    break
                if kind == tokenize.NL:
                    self.line_break(spot[0])
                elif kind not in NO_CODE:
                    if self.current is None:
                        self.current = Statement(*spot, text)
                        found.append(self.current)
                    self.token(self.current, kind, text, spot)
        except tokenize.TokenError as error:
            if not self.brackets:
                message, (row, column) = error.args
                self.fail_string(str(message), (max(row - 1, 0), column - (row == 1)))
        self.finish()
        return found

    def tokens(self) -> Iterator[tuple[int, str, Spot]]:
        rows = self.tag.rows
        lines = iter(["(" + rows[0] + "\n", *(row + "\n" for row in rows[1:]), ")"])
        stream = tokenize.generate_tokens(lambda: next(lines, ""))
        next(stream)  # the parenthesis
        for token in stream:
            row, column = token.start
            yield token.type, token.string, (row - 1, column - (row == 1))

    def token(self, statement: Statement, kind: int, text: str, spot: Spot) -> None:
        if kind == tokenize.ERRORTOKEN and ("'" in text or '"' in text):
            self.fail_string("unterminated string literal", spot)
        if statement.size == 0 or (statement.size == 1 and statement.first == "async"):
            statement.keyword = text if text in HEADERS else ""
        statement.size += 1
        if not self.brackets:
            if statement.colon is not None and statement.body is None:
                statement.body = spot
            elif text == "lambda":
                self.lambdas += 1
            elif text == ":" and self.lambdas:
                self.lambdas -= 1
            elif text == ":" and statement.keyword and statement.colon is None:
                statement.colon = spot[0], spot[1] + 1
        self.last = text, spot
        if kind == tokenize.OP:
            self.bracket(text, spot)

    def bracket(self, text: str, spot: Spot) -> None:
        if text in "([{":
            self.brackets.append((text, spot))
        elif text in CLOSING:
            if not self.brackets:
                self.fail(f"unmatched {text!r}", spot)
            opening, where = self.brackets.pop()
            if opening != CLOSING[text]:
                line = self.tag.at(*where).line
                self.fail(f"{text!r} does not close {opening!r} of line {line}", spot)

    def line_break(self, row: int) -> None:
        statement = self.current
        if self.brackets or statement is None:
            return
        statement.end_row = row
        text, spot = self.last
        if self.tag.mark:
            pass  # the lines of an expression, which may begin with if and else
        elif statement.keyword in HARD and statement.colon is None:
            self.fail(f"expected ':' at the end of this {statement.keyword!r}", spot)
        elif text == ":" and not statement.keyword:
            self.fail(f"{statement.first!r} opens no block, so that nothing can follow its ':'", spot)
        self.current = None
        self.lambdas = 0

    def finish(self) -> None:
        if self.brackets:
            text, spot = self.brackets[-1]
            self.fail(f"{text!r} is never closed in this tag", spot)
        if self.current is not None:
            self.fail("the backslash continues the line, but the tag ends here", self.last[1])

    def fail_string(self, message: str, spot: Spot) -> NoReturn:
        if "string" in message:
            to_the_end = "multi-line" in message or spot[0] == len(self.tag.rows) - 1
            message = "this string is never closed in this tag" + (STRING_HINT if to_the_end else "")
        self.fail(message, spot)

    def fail(self, message: str, spot: Spot) -> NoReturn:
        place = self.tag.at(min(spot[0], len(self.tag.rows) - 1), max(spot[1], 0))
        raise self.page.error(message, place.line, place.column)
