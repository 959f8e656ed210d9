"""Pages that cannot be compiled: what the error says, and where it points."""

from __future__ import annotations

import traceback

import pytest
from pagerun import FILENAME, refused, run

from greenbas.errors import PageSyntaxError
from greenbas.pages.compiler import parse_psp
from greenbas.pages.syntax import renumber

NO_EXPRESSION = "this is no expression; statements go into <?psp ... ?>"
STRING = (
    "this string is never closed in this tag; the tag ends at '?>' even in a string: if there is to be one in it, "
    r"write '?\x3e'"
)
ONE_LINE = (
    "{!r} without an open block of {}: the {!r} of line {} has its block in its own line, and ended with it; end its "
    "tag behind the ':', and write <?psp end ?> after the last clause"
)
NO_BLOCK = "end without an open block; a tag leaves a block open only if its last line ends in ':'"
SEVERAL = "several values in one tag; write one expression, such as an f-string, or two tags"
MORE = "this line is indented more than the one before it, which opens no block"
LESS = "this line is indented less than the first line of its tag"
NONE = "the indentation of this line is that of no line before it in its tag"
YIELD = "a page cannot yield: it emits by <?psp= ... ?> and print; yield is for a def inside it"
UNICODE = "(unicode error) 'unicodeescape' codec can't decode bytes in position 0-5: unknown Unicode character name"
AWAIT = "a page cannot await: it calls functions that block; await is for an async def inside it"


def never_ended(header: str, line: int) -> str:
    return f"the block opened by {header!r} at line {line} is never ended: add <?psp end ?>"


def decorated(decorator: str, line: int) -> str:
    return (
        f"after the decorator {decorator!r} of line {line} only white space and a tag with its def or class can follow"
    )


def misfit(clause: str, header: str, line: int) -> str:
    return (
        f"{clause!r} does not fit the innermost open block, {header!r} of line {line}; "
        "if it is for one around that, write <?psp end ?> first"
    )


TAGS = [
    ("<?psp ", "start tag without end tag", 1, 1),
    ("a\nb<?psp= x\n", "start tag without end tag", 2, 2),
    ("<?psp= ?>", "this tag holds no expression", 1, 1),
    ("\na<?psp=! # comment\n?>", "this tag holds no expression", 2, 2),
    ("<?psp=?>", "this tag holds no expression", 1, 1),
    ("<?psp= x = 1 ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= x; ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= import x ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= if x: ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= for x in y: ?>", NO_EXPRESSION, 1, 8),
    ("\n<?psp=\n  x += 1 ?>", NO_EXPRESSION, 3, 3),
    ("<?psp= x\ny ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= yield x ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= *x ?>", NO_EXPRESSION, 1, 8),
    ("<?psp= a, b ?>", SEVERAL, 1, 8),
    ("é<?psp=! a, ?>", SEVERAL, 1, 10),
    ("<?psp=\n a,\n b ?>", SEVERAL, 2, 2),
    ("<?psp= x for x in y ?>", "a generator has no text; join its values, or write a loop around a tag", 1, 8),
    ("<?psp= a b ?>", "invalid syntax", 1, 10),
    ("é <?psp= é é ?>", "invalid syntax", 1, 12),
    ("<?psp= a + ?>", "invalid syntax", 1, 12),
    ("<?psp= a\n+ b c\n?>", "invalid syntax. Perhaps you forgot a comma?", 1, 8),
    ("<?psp= (a\n\n, 1 2) ?>", "invalid syntax. Perhaps you forgot a comma?", 3, 3),
    ("<?psp= f'{a b}' ?>", "f-string: invalid syntax. Perhaps you forgot a comma?", 1, 11),
    ("<?psp= f'{}' ?>", "f-string: empty expression not allowed", 1, 14),
    ("<?psp= x) ?>", "unmatched ')'", 1, 9),
    ("<?psp= a)\n+ (b ?>", "unmatched ')'", 1, 9),
    ("<?psp= f(x ?>", "'(' is never closed in this tag", 1, 9),
    ("<?psp= 'x ?>", STRING, 1, 8),
    ("<?psp= 'a?>b' ?>", STRING, 1, 8),
    ("<?psp= x \\?>", "the backslash continues the line, but the tag ends here", 1, 8),
]

LEXICAL = [
    ("<?psp x = [\n 1\n?>]", "'[' is never closed in this tag", 1, 11),
    ("<?psp f(\n {\n?>})", "'{' is never closed in this tag", 2, 2),
    ("<?psp x = (1\n\n ] ?>", "']' does not close '(' of line 1", 3, 2),
    ("<?psp x = 1} ?>", "unmatched '}'", 1, 12),
    ("<?psp x = 'abc ?>", STRING, 1, 11),
    ('é<?psp\n é = f"abc\n?>', "this string is never closed in this tag", 3 - 1, 7),
    ("<?psp x = '''abc\n\n?>'''<?psp x ?>", STRING, 1, 11),
    ("<?psp\n  x = '''abc\n\n?>", STRING, 2, 7),
    ("<?psp else: x = 'abc ?>", STRING, 1, 17),
    ("<?psp x = 3 \\?>", "the backslash continues the line, but the tag ends here", 1, 11),
    ("<?psp x = 3 \\ ?>", "unexpected character after line continuation character", 1, 14),
    ("<?psp if x ?>", "expected ':' at the end of this 'if'", 1, 10),
    ("<?psp\n\n  else ?>", "expected ':' at the end of this 'else'", 3, 3),
    ("<?psp async def f() ?>", "expected ':' at the end of this 'def'", 1, 19),
    ("<?psp whlie x: ?>", "'whlie' opens no block, so that nothing can follow its ':'", 1, 14),
    ("<?psp f = lambda a: ?>", "'f' opens no block, so that nothing can follow its ':'", 1, 19),
]

BLOCKS = [
    ("a\n<?psp end ?>", NO_BLOCK, 2, 7),
    ("<?psp if 1: ?><?psp end ?>\n<?psp # c\n end # d ?>", NO_BLOCK, 3, 2),
    ("<?psp if 1:\n x = 1 ?><?psp end ?>", NO_BLOCK, 2, 16),
    ("<?psp if 1: ?>", never_ended("if 1:", 1), 1, 7),
    ("a\n  <?psp\n for x in y: # c ?>\n\n", never_ended("for x in y:", 3), 3, 2),
    ("<?psp if 1: ?>\n<?psp while 1: ?><?psp end ?>", never_ended("if 1:", 1), 1, 7),
    ("<?psp if 1: ?>\n<?psp while 1: ?>", never_ended("while 1:", 2), 2, 7),
    ("<?psp if 1:\n   x\nelse: ?>", never_ended("if 1:", 1), 1, 7),
    ("<?psp if 1: ?>\n<?psp else: x = 1 ?>", never_ended("if 1:", 1), 1, 7),
    ("<?psp match x: ?> <?psp case 1: ?>", never_ended("match x:", 1), 1, 7),
    ("<?psp match x:\n  case 1: ?>", never_ended("match x:", 1), 1, 7),
    ("<?psp def f(a=lambda: 1): ?>", never_ended("def f(a=lambda: 1):", 1), 1, 7),
    ("<?psp end\nx = 1 ?>", "end has to stand alone in its tag", 1, 7),
    ("<?psp if 1: ?><?psp x = 1\n      end ?>", "end has to stand alone in its tag", 2, 7),
    ("<?psp else: ?>", "'else' without an open block of if, for, while or try", 1, 7),
    ("<?psp elif 1: ?>", "'elif' without an open block of if", 1, 7),
    ("<?psp except OSError: ?>", "'except' without an open block of try", 1, 7),
    ("<?psp finally: ?>", "'finally' without an open block of try", 1, 7),
    ("<?psp case 1: ?>", "'case' without an open block of match", 1, 7),
    ("<?psp if 1: x = 1 ?><?psp else: ?>", ONE_LINE.format("else", "if, for, while or try", "if", 1), 1, 27),
    ("<?psp\nif 1: x = 1 ?>\n a <?psp elif 1: x = 1 ?>", ONE_LINE.format("elif", "if", "if", 2), 3, 10),
    ("<?psp if 1: x = 1 ?><?psp x = 1 ?><?psp elif 1: ?>", "'elif' without an open block of if", 1, 41),
    ("<?psp for x in y: pass ?><?psp elif 1: ?>", "'elif' without an open block of if", 1, 32),
    ("<?psp if 1: ?>a<?psp endif ?>", "'endif' ends no block: write <?psp end ?>, whatever the block is", 1, 22),
    ("<?psp if x: ?>a<?psp end if ?>", "'end if' ends no block: write <?psp end ?>, whatever the block is", 1, 22),
    ("<?psp if 1: ?>a<?psp End; # if\n ?>", "'End;' ends no block: write <?psp end ?>, whatever the block is", 1, 22),
    ("<?psp while 1: ?>a<?psp done ?>", "'done' ends no block: write <?psp end ?>, whatever the block is", 1, 25),
    ("<?psp with x: ?>a<?psp else: ?>", misfit("else", "with x:", 1), 1, 24),
    ("<?psp if 1: ?>a\n<?psp case 1: ?>", misfit("case", "if 1:", 1), 2, 7),
    ("<?psp for x in y: ?>a\n<?psp elif 1: ?>", misfit("elif", "for x in y:", 1), 2, 7),
    ("<?psp if 1: ?><?psp try: ?><?psp elif 1: ?>", misfit("elif", "try:", 1), 1, 34),
    ("<?psp match 1: ?><?psp case 1: ?><?psp else: ?>", misfit("else", "match 1:", 1), 1, 40),
    (
        "<?psp if 1: ?><?psp x = 1\nelse: ?><?psp end ?>",
        "'else' without a block of if, for, while or try before it in this tag; "
        "in a tag of its own it continues the block of an earlier tag",
        2,
        1,
    ),
    ("<?psp if 1:\n  x = 1\n  elif: 3 ?>", "'elif' without a block of if before it in this tag", 3, 3),
    (
        "<?psp if 0: ?>a<?psp elif 1:\n  x = 3\ny = 4 ?>b<?psp end ?>",
        "this line stands behind the block 'if 0:' of line 1, which only <?psp end ?> ends; "
        "write it in a tag after that",
        3,
        1,
    ),
    ("<?psp try: ?>a\n<?psp end ?>", "the block opened by 'try:' at line 1 has no except or finally", 2, 7),
    ("<?psp match 2: ?> <?psp end ?>", "the block opened by 'match 2:' at line 1 has no case", 1, 25),
    (
        "<?psp match 2: ?>\n x<?psp case 2: ?><?psp end ?>",
        "only white space may stand between 'match 2:' of line 1 and its first case",
        2,
        1,
    ),
    (
        "<?psp match 2: ?><?psp= 1 ?><?psp case 2: ?><?psp end ?>",
        "only white space may stand between 'match 2:' of line 1 and its first case",
        1,
        18,
    ),
    (
        "<?psp match 2: ?><?psp x = 1 ?><?psp case 2: ?><?psp end ?>",
        "only white space may stand between 'match 2:' of line 1 and its first case",
        1,
        24,
    ),
    ("<?psp @deco ?>", decorated("@deco", 1), 1, 7),
    ("<?psp @deco ?>\na<?psp def f(): ?><?psp end ?>", decorated("@deco", 1), 2, 1),
    ("<?psp\n@deco ?><?psp= 1 ?>", decorated("@deco", 2), 2, 9),
    ("<?psp if 1: ?><?psp @deco ?><?psp end ?>", decorated("@deco", 1), 1, 35),
    ("<?psp if 1: ?><?psp @deco ?><?psp else: ?>", decorated("@deco", 1), 1, 35),
    ("<?psp @deco ?><?psp x = 1 ?>", "invalid syntax", 1, 21),
]

INDENTATION = [
    ("<?psp\n\n  x = 1\n y = 2\n?>", LESS, 4, 2),
    ("<?psp\nx = 1\n  y = 1?>", MORE, 3, 3),
    ("<?psp\nif 1:\n    x = 1\n  y = 1?>", NONE, 4, 3),
    ("<?psp\nif 1:\nx = 1\n?>", "expected an indented block after line 2", 3, 1),
    ("<?psp\nif 1:\n  x = 1\nelse:\ny = 1\n?>", "expected an indented block after line 4", 5, 1),
    ("<?psp x = 1\n   y = 2\n  z = 3 ?>", MORE, 2, 4),
    ("<?psp if 1:\n  x = 1\n    y = 2 ?>", MORE, 3, 5),
    ("a\n<?psp\n\tif 1:\n\t  x = 1\n\t y = 2 ?>", NONE, 5, 3),
    ("<?psp\n  if 1: x = 1\n    y = 2 ?>", MORE, 3, 5),
]

PYTHON = [
    ("<?psp x = = 1 ?>", "invalid syntax", 1, 11),
    ("\n\n  é<?psp é = = 1 ?>", "invalid syntax", 3, 14),
    ("<?psp if 1: ?>\n\n<?psp\n  x = 1\n  é = 'é' 2\n?><?psp end ?>", "invalid syntax", 5, 11),
    ("<?psp x = f'é{a b}' ?>", "f-string: invalid syntax. Perhaps you forgot a comma?", 1, 15),
    ("<?psp x = $ ?>", "invalid syntax", 1, 11),
    ("<?psp x = a\xa0+ 1 ?>", "invalid non-printable character U+00A0", 1, 12),
    ("<?psp if 1: ?>\n é<?psp break ?><?psp end ?>", "'break' outside loop", 2, 9),
    ("é<?psp continue ?>", "'continue' not properly in loop", 1, 8),
    ("<?psp class A:\n  é = 1; return ?>", "'return' outside function", 2, 10),
    ("<?psp nonlocal x ?>", "no binding for nonlocal 'x' found", 1, 7),
    ("<?psp from os import * ?>", "import * only allowed at module level", 1, 22),
    ("<?psp def f(a, a): ?><?psp end ?>", "duplicate argument 'a' in function definition", 1, 16),
    ("a<?psp if 0: ?>b<?psp else: ?><?psp elif 0: ?><?psp end ?>", "invalid syntax", 1, 37),
    ("<?psp if 1:\n  try:\n    x = 1\n  y = 2 ?>", "expected 'except' or 'finally' block", 4, 3),
    ("<?psp x = '\\N{zz}' ?>", UNICODE, 1, 20),
    ("<?psp x = " + "(" * 300 + ")" * 300 + " ?>", "too many nested parentheses", 1, 211),
    ("<?psp x = " + "-" * 100_000 + "1 ?>", "this page is nested too deep for Python's compiler", 1, None),
    ("\n<?psp= " + "-" * 100_000 + "1 ?>", "this expression is nested too deep for Python's compiler", 2, 8),
    ("<?psp while 1: ?>\n" * 21 + "<?psp end ?>" * 21, "too many statically nested blocks", 21, 7),
    ("<?psp if 1: ?>\n" * 101 + "<?psp end ?>" * 101, "too many levels of indentation", 100, 7),
    ("<?psp yield 1 ?>", YIELD, 1, 7),
    ("\né<?psp x = [(yield from y)] ?>", YIELD, 2, 14),
    ("<?psp def f(a=(yield)): ?><?psp end ?>", YIELD, 1, 16),
    ("<?psp f = lambda a=(yield): 1 ?>", YIELD, 1, 21),
    ("<?psp @(yield)\ndef f(): ?><?psp end ?>", YIELD, 1, 9),
    ("<?psp= await x ?>", AWAIT, 1, 8),
    ("<?psp async for x in y: ?><?psp end ?>", AWAIT, 1, 7),
    ("<?psp if 1:\n async with x: pass\n?>", AWAIT, 2, 2),
]


@pytest.mark.parametrize(("text", "message", "line", "offset"), TAGS + LEXICAL + BLOCKS + INDENTATION + PYTHON)
def test_error(text: str, message: str, line: int, offset: int | None) -> None:
    error = refused(text)
    assert error.msg == message
    assert (error.lineno, error.offset) == (line, offset)
    assert error.text == text.split("\n")[line - 1]
    if offset is not None:
        assert 1 <= offset <= len(error.text) + 1


@pytest.mark.parametrize(("text", "message", "line", "offset"), TAGS + LEXICAL + BLOCKS + INDENTATION)
def test_error_of_the_translation_alone(text: str, message: str, line: int, offset: int | None) -> None:
    if message.startswith(("invalid syntax", "unexpected character")) and "<?psp=" not in text:
        parse_psp(text)  # what Python has to say comes when the source is compiled
        return
    with pytest.raises(PageSyntaxError) as caught:
        parse_psp(text, embed=True, filename="x.psp")
    error = caught.value
    assert (error.msg, error.filename, error.lineno, error.offset) == (message, "x.psp", line, offset)


def test_line_numbers_in_the_messages_of_python_are_those_of_the_page() -> None:
    message = "'(' of 12 things on line 3 (detected at line 40)"
    assert renumber(message, lambda line: line + 2) == "'(' of 12 things on line 5 (detected at line 42)"


def test_an_error_without_a_place_of_its_own_has_that_of_its_text() -> None:
    text = "\n\na<?psp= 1 ?>\n\n<?psp try: ?>a<?psp except OSError: ?>b<?psp except* KeyError: ?>c<?psp end ?>"
    error = refused(text)
    assert (error.msg, error.lineno) == ("cannot have both 'except' and 'except*' on the same 'try'", 5)


def test_it_prints_like_a_syntax_error_of_python() -> None:
    error = refused("a\n  é <?psp= é é ?>")
    assert traceback.format_exception_only(error) == [
        f'  File "{FILENAME}", line 2\n',
        "    é <?psp= é é ?>\n",
        "               ^\n",
        "greenbas.errors.PageSyntaxError: invalid syntax\n",
    ]


def test_crlf_pages_have_the_same_places() -> None:
    error = refused("a\r\nb\r\n<?psp\r\nx = 1\r\n y = 2\r\n?>\r\n")
    assert (error.msg, error.lineno, error.offset, error.text) == (MORE, 5, 2, " y = 2")


def test_yield_and_await_work_in_functions() -> None:
    text = "<?psp def f(): yield 1\nasync def g(): return [await x async for x in y]\nh = lambda: (yield)\n?>"
    assert run(text + "<?psp= list(f()) ?>") == "[1]"
