"""What pages emit, as a table; and what `parse_psp` and `compile_page` give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pagerun import FILENAME, Output, call, run

from greenbas.errors import PageSyntaxError
from greenbas.pages import compiler
from greenbas.pages.compiler import PARAMETERS, compile_page, parse_psp
from greenbas.pages.escape import escape

TEXT = [
    ("", ""),
    ("a", "a"),
    ("\n", "\n"),
    (" \n \n", " \n \n"),
    ("a\0b\\n'\"'''\"\"\"{x}%s$\\", "a\0b\\n'\"'''\"\"\"{x}%s$\\"),
    ("a\r\nb\rc\x85\u2028d\x0b\x0c", "a\r\nb\rc\x85\u2028d\x0b\x0c"),
    ("äöü €😀<?psp= 1 ?>é", "äöü €😀1é"),
    ("a'''<?psp= 1 ?>\"\"\"\\<?psp= 2 ?>]===]", "a'''1\"\"\"\\2]===]"),
    ("<?psp?>", ""),
    ("<?psp ?>\n", ""),
    ("<?psp # only a comment ?>a", "a"),
    ("<?psp\n\n # one\n # two\n ?>a", "a"),
    ("a<?psp x = 1 ?>\nb", "ab"),
    ("a<?psp= 1 ?>\nb", "a1\nb"),
    ("a<?psp= 1 ?>\n \n", "a1"),
    ("\ufeffa<?psp= 1 ?>", "a1"),
]

EXPRESSIONS = [
    ("<?psp= '<&>' ?>", "&lt;&amp;&gt;"),
    ("<?psp=! '<&>' ?>", "<&>"),
    ("<?psp= None ?><?psp= 1.5 ?><?psp=! None ?><?psp=! 2 ?>", "None1.5None2"),
    ("<?psp=! b'x' ?>", "b'x'"),
    ("<?psp='a'?>", "a"),
    ("<?psp= 1 # comment?>", "1"),
    ("<?psp= '#' ?>x", "#x"),
    ("<?psp= 1 + # one\n 2 # two ?>x", "3x"),
    ("<?psp=\n\n  1\n + 2\n\n?>x", "3x"),
    ("<?psp=\n  [1,\n2][\n  1]\n?>x", "2x"),
    ("<?psp= 1\nif 0\nelse 2 # a\n # b\n?>!", "2!"),
    ("<?psp= 1 + \\\n 1 ?>", "2"),
    ("<?psp= 'a'\n'b' ?>", "ab"),
    ("<?psp= '''a\n  b''' ?>", "a\n  b"),
    ("<?psp= '''a\r\n  b''' ?>\r\nc", "a\n  b\r\nc"),
    ("<?psp= (1, 2) ?>", "(1, 2)"),
    ("<?psp= (1,)[0] ?>", "1"),
    ("<?psp= (x := 5) ?><?psp= x ?>", "55"),
    ("<?psp= x := 5 ?><?psp= x ?>", "55"),
    ("<?psp= (lambda a, b: b)(1, 2) ?>", "2"),
    ("<?psp= [x for x in 'ab'] ?>", "[&#x27;a&#x27;, &#x27;b&#x27;]"),
    ("<?psp= ', '.join(x for x in 'ab') ?>", "a, b"),
    ("<?psp= f'{1:>3}{2!r}{3=}' ?>", "  123=3"),
    ("<?psp= {1: 2}[1] ?><?psp= 'abc'[1:] ?>", "2bc"),
    ("<?psp= not 1 ?><?psp= True ?><?psp= ... ?>", "FalseTrueEllipsis"),
    ("<?psp= '<? ?>' ?>", "&lt;? ?&gt;"),
    ("<?psp end = 3 ?><?psp= end ?>", "3"),
    ("<?psp= app['title'] ?><?psp=! app['title'] ?>", "&lt;App&gt;<App>"),
    ("<?psp= request ?>", "the request"),
    ("a<?psp print('b') ?>c<?psp write('d', b'e') ?>f", "ab\ncdef"),
    ("a<?psp= write('b') or 'c' ?>d", "abcd"),
]

BLOCKS = [
    ("<?psp if 1: ?>a<?psp end ?>b", "ab"),
    ("<?psp if 0: ?>a<?psp end ?>b", "b"),
    ("<?psp if 0: ?>a<?psp elif 1: ?>b<?psp else: ?>c<?psp end ?>d", "bd"),
    ("<?psp if 0: ?>a<?psp elif 0: ?>b<?psp else: ?>c<?psp end ?>d", "cd"),
    ("<?psp for x in 'ab': ?>(<?psp= x ?>)<?psp end ?>", "(a)(b)"),
    ("<?psp for x in '': ?>(<?psp= x ?>)<?psp else: ?>none<?psp end ?>", "none"),
    ("<?psp for x in 'abc': ?><?psp if x == 'b': continue ?>[<?psp= x ?>]<?psp end ?>", "[a][c]"),
    ("<?psp for x in 'abc': ?><?psp if x == 'b': break ?><?psp= x ?><?psp else: ?>no<?psp end ?>", "a"),
    ("<?psp n = 2\nwhile n: ?><?psp= n ?><?psp n -= 1 ?><?psp else: ?>!<?psp end ?>", "21!"),
    ("<?psp try: ?>a<?psp= 1/0 ?>b<?psp except ZeroDivisionError: ?>c<?psp end ?>", "ac"),
    ("<?psp try: ?>a<?psp except KeyError: ?>b<?psp else: ?>c<?psp finally: ?>d<?psp end ?>", "acd"),
    ("<?psp try: ?><?psp {}[1] ?><?psp except (KeyError, OSError) as e: ?><?psp= e ?><?psp end ?>", "1"),
    ("<?psp try: ?><?psp raise OSError ?><?psp except* OSError: ?>b<?psp end ?>", "b"),
    ("<?psp try: ?><?psp finally: ?>a<?psp end ?>", "a"),
    ("<?psp import contextlib\nwith contextlib.suppress(OSError): ?>a<?psp raise OSError ?>b<?psp end ?>c", "ac"),
    ("<?psp def f(a): ?>(<?psp= a ?>)<?psp end ?>x<?psp f(1) ?><?psp f('<') ?>", "x(1)(&lt;)"),
    ("<?psp def f(n): ?>[<?psp if n: f(n - 1) ?>]<?psp end ?><?psp f(2) ?>", "[[[]]]"),
    ("<?psp def f(): ?>a<?psp yield 1 ?>b<?psp end ?><?psp for x in f(): ?>-<?psp end ?>", "a-b"),
    ("<?psp def f(): ?>a<?psp return 7 ?>b<?psp end ?><?psp x = f() ?><?psp= x ?>", "a7"),
    ("<?psp class A: ?>in class<?psp x = 3 ?><?psp end ?><?psp= A.x ?>", "in class3"),
    (
        "<?psp class A:\n  def f(self): ?>f<?psp end ?><?psp def g(self): ?>g<?psp end ?><?psp end ?><?psp A().g() ?>",
        "g",
    ),
    ("<?psp async def f(): ?>a<?psp end ?><?psp c = f()\ntry:\n c.send(None)\nexcept StopIteration: pass ?>b", "ab"),
    ("<?psp match 1: ?>\n <?psp case 1: ?>one<?psp case _: ?>other<?psp end ?>", "one"),
    ("<?psp match 2: ?>\n <?psp # c ?> <?psp case 1: ?>one<?psp case _: ?>other<?psp end ?>", "other"),
    ("<?psp match [2]:\n case 1: ?>one<?psp case [x] if x: ?><?psp= x ?><?psp end ?>", "2"),
    ("<?psp match 2: ?> <?psp case 1: x = 1 ?>a<?psp case 2: x = 2 ?><?psp= x ?><?psp end ?>", "2"),
    ("<?psp match 2:\n  case 1:\n   x=1\n  case 2: ?>two<?psp case _: x = 3 ?>q<?psp end ?>", "two"),
    ("<?psp match 1: ?><?psp case 1: ?><?psp match 2: ?> <?psp case 2: ?>in<?psp end ?>out<?psp end ?>", "inout"),
    ("<?psp match 1: ?><?psp case 1: ?><?psp end ?>x", "x"),
    ("<?psp match = 3; case = 4 ?><?psp= match + case ?>", "7"),
    ("<?psp match: int = 3\ncase: int = 1 ?><?psp= match + case ?>", "4"),
    # Empty bodies.
    ("<?psp if 1: ?><?psp end ?>a", "a"),
    ("<?psp if 0: ?><?psp elif 0: ?><?psp else: ?><?psp end ?>a", "a"),
    ("<?psp if 1: ?><?psp # nothing ?><?psp end ?>a", "a"),
    ("<?psp try: ?><?psp except OSError: ?><?psp finally: ?><?psp end ?>a", "a"),
    ("<?psp class A: ?><?psp end ?><?psp= A.__name__ ?>", "A"),
    ("<?psp for x in 'ab': ?><?psp if x: ?><?psp end ?><?psp end ?><?psp= x ?>", "b"),
    # Headers among other code, several headers in one tag.
    ("<?psp x = 2\nif x == 2: ?>a<?psp end ?>", "a"),
    ("<?psp for x in '12':\n   if x == '2': ?>two<?psp end ?>;<?psp end ?>", ";two;"),
    (
        "<?psp\nfor x in '123':\n    if x == '1':\n        y = 1\n    else: ?><?psp= x ?><?psp end ?>;<?psp end ?>",
        ";2;3;",
    ),
    ("<?psp for x in '12':\n  print(x)\n  for y in 'ab': ?><?psp= y ?><?psp end ?><?psp end ?>", "1\nab2\nab"),
    ("<?psp if 1:\n  x = 1\nelse:\n  x = 2\n?><?psp= x ?>", "1"),
    ("<?psp if 0: x = 1\nelse: ?>a<?psp x = 2 ?><?psp end ?><?psp= x ?>", "a2"),
    ("<?psp if 1: # comment\n\n # comment: ?>a<?psp end # of if ?>b", "ab"),
    ("<?psp if 1: # comment ?>a<?psp # before\nend ?>b", "ab"),
    # A clause with code.
    ("<?psp if 0: ?>a<?psp else: x = 1 ?>b<?psp= x ?><?psp end ?>c", "b1c"),
    ("<?psp if 1: ?>a<?psp else: x = 1; y = 2 ?>b<?psp= x ?><?psp end ?>c", "ac"),
    ("<?psp if 0: ?>a<?psp elif (lambda: 1)(): x = {1: 2}; y = 3 ?><?psp= x[1] ?><?psp end ?>", "2"),
    ("<?psp if 0: ?>a<?psp elif lambda: 0: x = 3 ?><?psp= x ?><?psp end ?>", "3"),
    ("<?psp if 0: ?>a<?psp else:\n   x = 1\n   y = 2 ?>b<?psp= y ?><?psp end ?>c", "b2c"),
    ("<?psp if 0: ?><?psp else: \\\n x = 3 ?><?psp= x ?><?psp end ?>", "3"),
    ("<?psp if 0: ?><?psp else: x = '''\n a\n''' ?><?psp= x ?><?psp end ?>", "\n a\n"),
    ("<?psp if 0: ?><?psp elif 0:\n  x = 1\nelse: ?>z<?psp end ?>", "z"),
    ("<?psp if 0: ?><?psp else:\n  for x in 'ab': ?><?psp= x ?><?psp end ?>!<?psp end ?>", "ab!"),
    (
        "<?psp try: ?><?psp {}[1] ?><?psp except OSError:\n  x = 1\nexcept KeyError: x = 2\nfinally:\n  y = 3\n"
        "?><?psp= x + y ?><?psp end ?>",
        "5",
    ),
    # Decorators.
    ("<?psp def twice(f): return lambda: (f(), f())\n@twice\ndef g(): ?>G<?psp end ?><?psp g() ?>", "GG"),
    (
        "<?psp def twice(f): return lambda: (f(), f()) ?><?psp @twice ?>\n <?psp def g(): ?>G<?psp end ?><?psp g() ?>",
        "GG",
    ),
    ("<?psp @staticmethod ?><?psp @staticmethod ?><?psp class A: ?>a<?psp end ?>", "a"),
]

# What is an error outside a function.
RETURNS = [
    ("<?psp n = 0\ndef up():\n  nonlocal n\n  n += 1 ?><?psp up(); up() ?><?psp= n ?>", "2"),
    ("a<?psp return ?>b<?psp= 1 ?>", "a"),
    ("a<?psp if 1: return ?>b", "a"),
    ("a<?psp if 1: ?>b<?psp return ?>c<?psp end ?>d", "ab"),
    ("<?psp try: ?>a<?psp return ?><?psp finally: ?>b<?psp end ?>c", "ab"),
]

INDENTATION = [
    # The first line where it stands in the page.
    ("<?psp x = 1\n      y = 2 ?><?psp= x + y ?>", "3"),
    ("  <p><?psp if 1:\n           x = 1\n         y = 2 ?><?psp= x + y ?>", "  <p>3"),
    ("<?psp if 1:\n        x = 1\n      else:\n        x = 2 ?><?psp= x ?>", "1"),
    ("\t<?psp if 1:\n\t\t\tx = 1\n\t      y = 2 ?><?psp= x + y ?>", "\t3"),
    # The first line like the leftmost of the others.
    ("<?psp x = 1\ny = 2 ?><?psp= x + y ?>", "3"),
    ("    <p><?psp x = 1\n  y = 2\n  z = 3 ?><?psp= x + y + z ?>", "    <p>6"),
    ("<?psp if 1:\n    x = 1\ny = 2 ?><?psp= x + y ?>", "3"),
    ("<?psp if 1:\n  x = 1\nelse:\n  x = 2 ?><?psp= x ?>", "1"),
    # The others are the body of the first line.
    ("<?psp if 1:\nx = 1\ny = 2\n?><?psp= x + y ?>", "3"),
    ("<?psp if 1:\n   x = 1\n   y = 2\n?><?psp= x + y ?>", "3"),
    ("          <?psp for x in 'ab':\n  if x == 'a':\n    y = x ?><?psp= y ?>", "          a"),
    # Code that begins on a later line.
    ("<?psp\n      x = 1\n      y = 2\n?><?psp= x + y ?>", "3"),
    ("<?psp # comment\n\n   # comment\n  if 1:\n # comment\n     x = 1\n\n  y = 2\n?><?psp= x + y ?>", "3"),
    ("<?psp\n\tif 1:\n\t    x = 1\n            y = 2\n?><?psp= x + y ?>", "3"),
    ("<?psp\r\n  if 1:\r\n    x = 1\r\n  y = 2\r\n?>\r\n<?psp= x + y ?>\r\n!", "3\r\n!"),
    ("<?psp if 1: ?>\r\n<?psp x = 1 ?>\r\n<?psp= x ?>\r\n<?psp end ?>\r\nb", "1\r\nb"),
    # Inside other blocks.
    ("<?psp if 1: ?><?psp if 1:\n x = 1\n y = 2 ?><?psp= x + y ?><?psp end ?>", "3"),
    ("<?psp if 1: ?>\n<?psp\nif 1:\n  x = 1\ny = 2\n?><?psp= x + y ?><?psp end ?>", "3"),
    # Lines that go on.
    ("<?psp x = {\n1:\n   2,\n} ?><?psp= x[1] ?>", "2"),
    ("<?psp\n    x = [1,\n2]\n    y = (3,\n            4)\n?><?psp= x + list(y) ?>", "[1, 2, 3, 4]"),
    ("<?psp x = \\\n 3 ?><?psp= x ?>", "3"),
    ("<?psp \\\n x = 3 ?><?psp= x ?>", "3"),
    ("<?psp x = 3\n\\\n ?><?psp= x ?>", "3"),
    ("<?psp x = 3 \\\n\n?>y", "y"),
    ("<?psp if 1: ?><?psp\n  x = (1 +\n# comment\n2)\n  y = 1 ?><?psp= x + y ?><?psp end ?>", "4"),
    ("<?psp if (1 and\nTrue): ?>a<?psp end ?>", "a"),
    ("<?psp def f(a: int,\n  b: dict = {1:\n 2}) -> int: ?>a<?psp end ?><?psp f(1) ?>", "a"),
    # No blocks, though colons.
    ("<?psp x = {1: 2, 3:4}; y = x[1:] if 0 else 'ab'[1:] ?><?psp= y ?>", "b"),
    ("<?psp f = lambda a, *b: {1: a} ?><?psp= f(3)[1] ?>", "3"),
    ("<?psp x: int = 3; y: str ?><?psp= x ?>", "3"),
    ("<?psp if (y := 3) > 2: x = 1; z = 2; ?><?psp= x + y + z ?>", "6"),
    ("<?psp x = 1; y = 2; ?><?psp= x + y ?>", "3"),
    ("<?psp class A: x = 1\nclass B(A): pass ?><?psp= B.x ?>", "1"),
]

NAMES = [
    ("<?psp x = 1 ?><?psp print(x) ?>", "1\n"),
    ("<?psp x = 2 ?><?psp= [x * y for y in (1, 2)] ?>", "[2, 4]"),
    ("<?psp x = 2\ndef f(): return x ?><?psp x = 3 ?><?psp= f() ?>", "3"),
    ("<?psp f = lambda: app['title'] ?><?psp=! f() ?>", "<App>"),
    ("<?psp def f():\n  return [print(request) for _ in 'a'] ?><?psp f() ?>", "the request\n"),
    ("<?psp def outer(a):\n  def inner(): ?><?psp= a ?><?psp end ?><?psp inner() ?><?psp end ?><?psp outer(7) ?>", "7"),
    ("<?psp class A:\n  x = app ?><?psp=! A.x['title'] ?>", "<App>"),
    ("<?psp def gen():\n  yield from 'ab' ?><?psp= list(gen())[1] ?>", "b"),
    ("<?psp import io\nx = io.StringIO('z') ?><?psp= x.read() ?>", "z"),
    ("<?psp def print(x): write('P', x) ?><?psp print('q') ?>", "Pq"),
    ("<?psp global g\ng = 1\ndef f(): return g ?><?psp= f() ?>", "1"),
    ("<?psp= __name__ ?> <?psp= __file__ ?>", f"greenbas.page:{FILENAME} {FILENAME}"),
    ("<?psp from dataclasses import dataclass\n@dataclass\nclass A:\n  x: 'int' = 3 ?><?psp= A().x ?>", "3"),
    ("<?psp é = 'é' ?><?psp= é ?>", "é"),
    ("<?psp 'this is no docstring' ?><?psp= 1 ?>", "1"),
    ("<?psp _emit('a', b'b') ?><?psp= _escape('<') ?>", "ab&amp;lt;"),
]


@pytest.mark.parametrize(("text", "expected"), TEXT + EXPRESSIONS + BLOCKS + INDENTATION + NAMES)
def test_page(text: str, expected: str) -> None:
    assert run(text, io=None) == expected
    assert run_source(parse_psp(text), "page") == expected
    assert run_source(parse_psp(text, embed=True)) == expected


@pytest.mark.parametrize(("text", "expected"), RETURNS)
def test_page_as_a_function(text: str, expected: str) -> None:
    assert run(text) == expected
    assert run_source(parse_psp(text), "page") == expected
    body = "".join(f"  {line}\n" for line in parse_psp(text, embed=True).splitlines())
    assert run_source(f"def spliced():\n{body}spliced()\n") == expected


def run_source(source: str, function: str = "") -> str:
    """What source emits, or a function that it defines."""
    output = Output()
    values: dict[str, Any] = dict.fromkeys(PARAMETERS)
    values |= {"request": "the request", "app": {"title": "<App>"}, "print": output.print, "write": output.emit}
    values |= {"_emit": output.emit, "_escape": escape}
    names: dict[str, Any] = {"__name__": f"greenbas.page:{FILENAME}", "__file__": FILENAME}
    assert source.endswith("\n")
    if function:
        exec(source, names)
        names[function](**values)
    else:
        exec(source, names | values)
    return output.text


def test_a_variable_may_be_called_str() -> None:
    assert run("<?psp str = 3 ?><?psp=! '<b>' ?><?psp= str ?>") == "<b>3"


def test_strings_of_several_lines_stay_as_they_are() -> None:
    string = "'''\n a\n\tb\n        c\\\n d\n\n'''"
    plain = eval(string)
    for depth in range(4):
        opened, ended = "<?psp if 1: ?>" * depth, "<?psp end ?>" * depth
        assert run(f"{opened}<?psp s = {string} ?><?psp=! s ?>{ended}") == plain
        assert run(f"{opened}<?psp\n  if 1:\n       s = {string}\n  t = 1\n?><?psp=! s ?>{ended}") == plain
        assert run(f"{opened}<?psp=! {string} ?>{ended}") == plain
        assert run(f"{opened}<?psp\n   s = (f{string},\n{string})\n?><?psp=! s[0] + s[1] ?>{ended}") == plain * 2


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "<?psp" not in text))
def test_literal_text_is_sent_as_it_is(text: str) -> None:
    text = text.removeprefix("\ufeff")
    assert run(text) == text
    assert run(f"{text}<?psp= 1 ?>{text}|") == f"{text}1{text}|"
    after = text.removeprefix("\r\n") if text.startswith("\r\n") else text.removeprefix("\n")
    assert run(f"<?psp if 1: ?>{text}|<?psp end ?>{text}|") == f"{after}|{after}|"


def test_what_stands_before_an_expression_is_emitted_before_it_runs() -> None:
    output = Output()
    seen = []

    def look() -> str:
        seen.append(output.text)
        return "x"

    page = compile_page("a<?psp= request() ?>b<?psp= request() ?><?psp=! request() ?>c", FILENAME)
    call(page, output, request=look)
    assert seen == ["a", "axb", "axbx"]
    assert output.calls == [(b"a",), ("x", b"b"), ("x",), ("x", b"c")]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("é", [("é".encode(),)]),
        ("<?psp= 'é' ?>é", [("é", "é".encode())]),
        ("<?psp= 1 # c\n?>a", [("1", b"a")]),
        ("<?psp= 'a' ?><?psp # c ?>a", [("a",), (b"a",)]),
        ("<?psp if 1: ?><?psp= 'a' ?><?psp end ?>a", [("a",), (b"a",)]),
        ("<?psp if 0: ?><?psp= 'a' ?><?psp end ?>a", [(b"a",)]),
        ("<?psp _emit('a') ?>b", [("a",), (b"b",)]),
    ],
)
def test_literal_text_is_bytes_and_code_keeps_its_strings(text: str, calls: list[tuple[str | bytes, ...]]) -> None:
    output = Output()
    call(compile_page(text, FILENAME), output)
    assert output.calls == calls


def test_strings_in_f_strings_of_several_lines_stay_strings() -> None:
    text = "a<?psp x = f'''\n\n{\"b\"}{ 'c' }\n''' ?>b<?psp= f'''\n{\n'c'\n}''' ?>c"
    assert run(text) == "ab\ncc"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("a", ("_emit",)),
        ("<?psp= 1 ?>", ("_emit", "_escape")),
        ("<?psp=! app ?>", ("app", "_emit")),
        ("<?psp request ?>", ("request",)),
        ("<?psp x.request ?>", ()),
        ("request response", ("_emit",)),
        ("<?psp write; env; request ?>", ("request", "env", "write")),
        ("<?psp def f(): return [dir for x in 'a'] ?>", ("dir",)),
        ("<?psp f'{page}' ?>", ("page",)),
        ("<?psp io = 1 ?>", ("io",)),
        ("<?psp= session.n ?>", ("session", "_emit", "_escape")),
        ("<?psp session.n = 1 ?>", ("session",)),
        ("<?psp session = request.session(); session ?>", ("request",)),
        ("<?psp from x import session ?>a<?psp= session ?>", ("_emit", "_escape")),
        ("<?psp import x as session ?><?psp= session ?>", ("_emit", "_escape")),
        ("<?psp for session in x: ?><?psp= session ?><?psp end ?>", ("_emit", "_escape")),
        ("<?psp def session(): pass ?><?psp= session() ?>", ("_emit", "_escape")),
        ("<?psp def session2(): pass ?><?psp= session ?>", ("session", "_emit", "_escape")),
        ("<?psp " + "; ".join(PARAMETERS) + " ?>a<?psp= 1 ?>", (*PARAMETERS, "_emit", "_escape")),
    ],
)
def test_parameters_are_the_names_that_a_page_mentions(text: str, expected: tuple[str, ...]) -> None:
    page = compile_page(text, FILENAME)
    assert page.parameters == expected
    code = page.function.__code__
    assert code.co_varnames[: code.co_argcount] == expected
    assert (code.co_name, code.co_filename) == ("page", FILENAME)


def test_each_page_has_globals_of_its_own() -> None:
    first, second = (compile_page("<?psp global g; g = 1 ?>", FILENAME) for _ in range(2))
    call(first, Output())
    assert first.function.__globals__["g"] == 1
    assert "g" not in second.function.__globals__
    assert "page" not in second.function.__globals__


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("", "pass\n"),
        ("<?psp # c ?>", "pass\n"),
        ("a'\n", '_emit("a\'\\n")\n'),
        ("<?psp= x ?>a", "_emit(_escape(x))\n_emit('a')\n"),
        ("<?psp=! x ?>", "_emit(str(x))\n"),
        ("<?psp= x # c ?>", "_emit(_escape(x # c\n))\n"),
        ("<?psp if x: ?>a<?psp else: ?><?psp end ?>", "if x: \n    _emit('a')\nelse: \n    pass\n"),
        ("<?psp\n  if x:\n      y = 1\n?>", "if x:\n    y = 1\n"),
        ("<?psp return ?>a", "return \n_emit('a')\n"),
        ("<?psp yield 1 ?>", "yield 1 \n"),
    ],
)
def test_source(text: str, source: str) -> None:
    assert parse_psp(text, embed=True) == source
    function = parse_psp(text)
    head, _, body = function.partition("\n")
    assert head == (
        "def page(request, response, cookie, session, env, page, app, io, dir, pathname, print, write, _emit, _escape):"
    )
    assert [line.strip() for line in body.splitlines()] == [line.strip() for line in source.splitlines()]


def test_embedded_source_can_be_spliced_into_a_function() -> None:
    body = parse_psp("<?psp for x in items: ?>[<?psp= x ?>]<?psp if x: return x ?><?psp end ?>", embed=True)
    source = "def f(items, _emit, _escape):\n" + "".join(f"  {line}\n" for line in body.splitlines())
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    output = Output()
    assert namespace["f"]([0, 1, 2], output.emit, escape) == 1
    assert output.text == "[0][1]"


@pytest.mark.parametrize(
    "text",
    [
        "<p class='x'>é\n" * 70_000,
        "<p class='x'>é" * 70_000,
        "<p>é<?psp= x ?></p>\n" * 5_000,
        "<p>é<?psp= x ?></p>" * 5_000,
        "<p>é<?psp for x in y: ?></p><?psp end ?>" * 2_500,
        "<?psp x = [" + "1, " * 50_000 + "] ?>",
        "<?psp= [" + "1,\n" * 50_000 + "] ?>",
        "<?psp '" + "<? ?>" * 50_000 + "' ?>",
        "<?psp" * 200_000,
        "<?psp " + "pass\n" * 10_000 + " ?>",
    ],
    ids=lambda text: f"{text[:20]!r}x{len(text)}",
)
def test_large_pages_compile(text: str) -> None:
    # Each takes 0.02 to 1 s. What grows with the square of a page would run into the time limit of tests.
    compile_page(text, FILENAME)


@pytest.mark.parametrize(
    "text", ["<p>{0}</p>", "<p><?psp= {0} ?></p>", "<?psp if {0}: ?>a<?psp else: ?>b<?psp end ?>\n"]
)
def test_a_page_that_is_parsed_in_pieces_is_as_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names, its lines, and what it emits."""
    whole = "".join(text.format(number) + "\n" for number in range(60)) + "<?psp= request ?><?psp 1/0 ?>"
    found = []
    for size in (10**6, 5):
        monkeypatch.setattr(compiler, "CHUNK", size)
        output = Output()
        page = compile_page(whole, FILENAME)
        with pytest.raises(ZeroDivisionError) as caught:
            call(page, output, request="end")
        assert caught.tb.tb_next is not None
        found.append((page.parameters, output.text, caught.traceback[-1].lineno, page.function.__code__.co_code))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<?psp yield 1 ?>", "a page cannot yield"),
        ("<?psp x = 1 1 ?>", "invalid syntax"),
        ("<?psp return; global a; a = 1 ?>", None),
    ],
)
def test_mistakes_in_a_later_piece(text: str, message: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "CHUNK", 5)
    whole = "".join(f"<p><?psp= {number} ?></p>\n" for number in range(60)) + text
    if message is None:
        compile_page(whole, FILENAME)
        return
    with pytest.raises(PageSyntaxError, match=message) as caught:
        compile_page(whole, FILENAME)
    assert caught.value.lineno == 61
