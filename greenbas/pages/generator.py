"""From the parts of a page to Python source."""

from __future__ import annotations

import re
from collections.abc import Sequence

from greenbas.pages.block import OWNERS, Block, is_clause
from greenbas.pages.expression import read_expression
from greenbas.pages.indentation import arrange
from greenbas.pages.pagetext import PageText, Place
from greenbas.pages.parser import SPACE, Literal, Tag
from greenbas.pages.source import SourceLine
from greenbas.pages.statement import Spot, Statement, scan

__all__ = ["Generator"]

INDENT = "    "
LIKE_END = re.compile(
    r"(?:end[ _]?(?:if|for|while|try|with|def|class|match|case|foreach)?|fi|done)\s*;?", re.IGNORECASE
)


class Generator:
    """Makes the body of a page's function.

    Rule 1: `arrange` has understood the indentation of the page; a line of source is indented by its level, which is
    the number of blocks around it.
    Rule 2: a row of a page becomes a line of source, and only the white space before a statement is changed, so that
    the inside of strings stays as it is.

    Args:
        page: the page.
        level: the level of the body.
        text: the function that makes the text of a `<?psp=! ?>`.
        join: whether an expression and the literal text after it share a call.
    """

    def __init__(self, page: PageText, *, level: int, text: str = "str", join: bool = False) -> None:
        self.page = page
        self.level = level
        self.lines: list[SourceLine] = []
        self._text = text
        self._join = join
        self._blocks: list[Block] = []  # open ones, the innermost last
        self._complete: Block | None = None  # the last statement, if its block is in its own line
        self._decorator: Block | None = None  # one that still wants its def

    def run(self, parts: Sequence[Literal | Tag]) -> list[SourceLine]:
        """The lines of source.

        Raises:
            PageSyntaxError: blocks, indentation or an expression tag make no sense.
        """
        before: Literal | Tag | None = None
        for part in parts:
            if isinstance(part, Literal):
                self._literal(part, self._join and isinstance(before, Tag) and bool(before.mark))
            elif part.mark:
                self._expression(part)
            else:
                self._code(part)
            before = part
        self._finish()
        return self.lines

    @property
    def _body_level(self) -> int:
        return self._blocks[-1].body_level if self._blocks else self.level

    # -- what is emitted ------------------------------------------------------------------------------------------

    def _literal(self, part: Literal, joined: bool) -> None:
        if self._wants_more(part.place, bool(part.text.strip(SPACE))):
            return
        if joined:  # to the call that the line before ends
            line = self.lines[-1]
            self.lines[-1] = line._replace(text=line.text[:-1] + ",")
            self.lines.append(SourceLine(f"{part.text!r})", part.place, literal=True))
            return
        self._fill()
        self.lines.append(
            SourceLine(f"{INDENT * self._body_level}_emit({part.text!r})", part.place, literal=True),
        )

    def _expression(self, tag: Tag) -> None:
        self._wants_more(tag.start, True)
        begin, end = read_expression(tag, self.page)
        self._fill()
        before = "_emit(_escape(" if tag.mark == "=" else f"_emit({self._text}("
        if begin[0] == end[0] and "#" not in tag.rows[end[0]]:
            self._write(tag, self._body_level, begin, end, before, "))")
        else:  # the comment ends with the line
            self._write(tag, self._body_level, begin, end, before)
            self.lines.append(SourceLine("))", tag.at(*end)))

    def _fill(self) -> None:
        if self._blocks:
            self._blocks[-1].empty = False

    def _write(self, tag: Tag, level: int, begin: Spot, end: Spot, before: str = "", after: str = "") -> None:
        """Copy code from one place of a tag to another, the first row at a level."""
        (row, column), (last, stop) = begin, end
        lead = INDENT * level + before
        for number in range(row, last + 1):
            text = tag.rows[number][column : stop if number == last else None]
            start, tail = len(lead), after if number == last else ""
            place = tag.at(number, column)
            self.lines.append(SourceLine(lead + text + tail, place, start, start + len(text)))
            lead, column = "", 0

    def _pass(self, block: Block, place: Place) -> None:
        """Python wants a statement in each block."""
        if block.empty and not block.wanting:
            self.lines.append(SourceLine(f"{INDENT * block.body_level}pass", place))

    # -- code -----------------------------------------------------------------------------------------------------

    def _code(self, tag: Tag) -> None:
        statements = scan(tag, self.page)
        if not statements:
            return
        if len(statements) == 1:
            self._must_not_be_like_end(tag, statements[0])
        for statement in statements:
            if statement.first == "end" and statement.size == 1:
                if len(statements) > 1:
                    raise self._error("end has to stand alone in its tag", tag, statement)
                self._end(tag, statement)
                return
        arrange(tag, statements, self.page)
        if self._continues(statements[0]):
            self._wants_decorated(tag.at(statements[0].row, statements[0].column))
            self._clauses(tag, statements)
        else:
            self._statements(tag, statements)
        last = statements[-1]
        self._decorator = self._block(tag, last, 0) if last.first == "@" else None

    def _continues(self, first: Statement) -> bool:
        """Whether a tag continues a block; case is that only in a match, or where it can be nothing else."""
        in_match = bool(self._blocks) and self._blocks[-1].keyword == "match"
        return is_clause(first) and (first.keyword != "case" or first.opens or in_match)

    def _statements(self, tag: Tag, statements: list[Statement]) -> None:
        """A tag that begins with a statement."""
        first, base = statements[0], self._body_level
        if self._decorator is None:
            self._wants_more(tag.at(first.row, first.column), True)
        self._fill()
        opened: list[Block] = []
        for statement in statements:
            self._nest(tag, statement, opened, base)
            self._write_statement(tag, statement, base)
        last = statements[-1]
        self._keep(opened if last.opens else [])
        self._complete = self._block(tag, last, base + last.depth) if last.keyword and last.body is not None else None

    def _clauses(self, tag: Tag, statements: list[Statement]) -> None:
        """A tag that begins with a clause of the innermost block, and holds nothing but such clauses."""
        block = self._block_for(tag, statements[0])
        self._pass(block, tag.start)
        self._blocks.pop()
        base, opened, last = block.clause_level, [block], statements[-1]
        for statement in statements:
            if statement.depth == 0 and not block.takes(statement):
                raise self._error(
                    f"this line stands behind the block {block.text!r} of line {block.line}, which only "
                    "<?psp end ?> ends; write it in a tag after that",
                    tag,
                    statement,
                )
            self._nest(tag, statement, opened, base)
            if statement is last and statement.depth == 0 and statement.body is not None:
                self._write_apart(tag, statement, base)
            else:
                self._write_statement(tag, statement, base)
        self._keep(opened if last.opens else [block])
        self._blocks[-1].empty = last.opens

    def _write_statement(self, tag: Tag, statement: Statement, base: int) -> None:
        end = statement.end_row
        spot = end, len(tag.rows[end])
        self._write(tag, base + statement.depth, (statement.row, statement.column), spot)

    def _write_apart(self, tag: Tag, clause: Statement, base: int) -> None:
        """``else: x = 1`` in two lines, because what follows the tag is in its block too."""
        assert clause.colon is not None and clause.body is not None
        self._write(tag, base, (clause.row, clause.column), clause.colon)
        self._write(tag, base + 1, clause.body, (clause.end_row, len(tag.rows[clause.end_row])))

    def _keep(self, opened: list[Block]) -> None:
        """Leave blocks open for what follows the tag; a case belongs to its match, and they have one end."""
        for block in opened:
            block.empty = False
        self._blocks += [block for block in opened if block.keyword != "case"]
        if opened:
            self._blocks[-1].empty = True

    def _nest(self, tag: Tag, statement: Statement, opened: list[Block], base: int) -> None:
        """Note a statement among those of its tag: `opened` has the last one of each depth that is still around it."""
        depth = statement.depth
        owner = opened[depth] if depth < len(opened) else None
        if owner is not None and owner.takes(statement):
            owner.clauses = True
            del opened[depth + 1 :]
            return
        if is_clause(statement) and (statement.keyword != "case" or statement.opens):
            around = opened[depth - 1] if depth else None
            if around is None or not around.takes(statement) or statement.keyword != "case":
                hint = "; in a tag of its own it continues the block of an earlier tag" if depth == 0 else ""
                message = f"{without(statement, 'a block')} before it in this tag{hint}"
                raise self._error(message, tag, statement)
            around.clauses = True
        del opened[depth:]
        opened.append(self._block(tag, statement, base + depth))

    def _block(self, tag: Tag, statement: Statement, level: int) -> Block:
        row, column = statement.row, statement.column
        place = tag.at(row, column)
        end = statement.colon[1] if statement.colon and statement.colon[0] == row else None
        return Block(statement.keyword, tag.rows[row][column:end].strip(), place.line, place.column, level)

    def _block_for(self, tag: Tag, clause: Statement) -> Block:
        """The open block that a clause continues."""
        if not self._blocks:
            before = self._complete
            hint = ""
            if before is not None and before.keyword in OWNERS[clause.keyword]:
                hint = (
                    f": the {before.keyword!r} of line {before.line} has its block in its own line, and ended with it; "
                    "end its tag behind the ':', and write <?psp end ?> after the last clause"
                )
            raise self._error(without(clause, "an open block") + hint, tag, clause)
        block = self._blocks[-1]
        if not block.takes(clause):
            raise self._error(
                f"{clause.keyword!r} does not fit the innermost open block, {block.text!r} of line {block.line}; "
                "if it is for one around that, write <?psp end ?> first",
                tag,
                clause,
            )
        return block

    # -- ends -----------------------------------------------------------------------------------------------------

    def _end(self, tag: Tag, statement: Statement) -> None:
        self._wants_decorated(tag.at(statement.row, statement.column))
        if not self._blocks:
            raise self._error(
                "end without an open block; a tag leaves a block open only if its last line ends in ':'", tag, statement
            )
        block = self._blocks.pop()
        missing = "case" if block.wanting else "except or finally" if block.keyword == "try" else ""
        if missing and not block.clauses:
            message = f"the block opened by {block.text!r} at line {block.line} has no {missing}"
            raise self._error(message, tag, statement)
        self._pass(block, tag.start)

    def _must_not_be_like_end(self, tag: Tag, statement: Statement) -> None:
        """What other languages end blocks with is a name in Python, and would do nothing."""
        text = tag.rows[statement.row][statement.column :].partition("#")[0].strip()
        if statement.end_row == statement.row and text != "end" and LIKE_END.fullmatch(text):
            raise self._error(f"{text!r} ends no block: write <?psp end ?>, whatever the block is", tag, statement)

    def _finish(self) -> None:
        if self._decorator is not None:
            self._wants_decorated(None)
        if self._blocks:
            block = self._blocks[-1]
            raise self.page.error(
                f"the block opened by {block.text!r} at line {block.line} is never ended: add <?psp end ?>",
                block.line,
                block.column,
            )

    def _wants_more(self, place: Place, something: bool) -> bool:
        """Whether only a case or a def can follow in the source; if there is `something` else, refuse it."""
        if something:
            self._wants_decorated(place)
        if self._decorator is not None:
            return True
        block = self._blocks[-1] if self._blocks else None
        if block is None or not block.wanting:
            return False
        if something:
            raise self.page.error(
                f"only white space may stand between {block.text!r} of line {block.line} and its first case",
                place.line,
                place.column,
            )
        return True

    def _wants_decorated(self, place: Place | None) -> None:
        """Refuse what stands between a decorator and its def."""
        found = self._decorator
        if found is not None:
            line, column = (place.line, place.column) if place else (found.line, found.column)
            raise self.page.error(
                f"after the decorator {found.text!r} of line {found.line} only white space and a tag with its def "
                "or class can follow",
                line,
                column,
            )

    def _error(self, message: str, tag: Tag, statement: Statement) -> Exception:
        place = tag.at(statement.row, statement.column)
        return self.page.error(message, place.line, place.column)


def without(clause: Statement, block: str) -> str:
    """What is wrong with a clause that stands alone."""
    *others, last = OWNERS[clause.keyword]
    owners = f"{', '.join(others)} or {last}" if others else last
    return f"{clause.keyword!r} without {block} of {owners}"
