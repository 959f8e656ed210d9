"""Random pages: well-formed ones emit what they should, and ill-formed ones fail with a place."""

from __future__ import annotations

import re
import traceback
import warnings
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pagerun import run

from greenbas.errors import PageSyntaxError
from greenbas.pages.compiler import compile_page, parse_psp


@dataclass(frozen=True)
class Made:
    """A piece of a page and what it emits."""

    page: str
    emitted: str


TEXT = st.sampled_from(["a", "é", " b ", "'", '"""', "\\n", "<p>", "{x}", "\t."]).map(lambda text: Made(text, text))
PLAIN = st.sampled_from(
    [
        Made("<?psp= '<' ?>", "&lt;"),
        Made("<?psp=! '<' # c ?>", "<"),
        Made("<?psp= 1 +\n  2 ?>", "3"),
        Made("<?psp x = '''\n  é\n''' ?>", ""),
        Made("<?psp\n  for x in (1, 2):\n      write('w')\n  y = x\n?>", "ww"),
        Made("<?psp if 1: write('i') ?>", "i"),
        Made("<?psp # comment ?>", ""),
    ]
)


def together(pieces: list[Made]) -> Made:
    return Made("".join(piece.page for piece in pieces), "".join(piece.emitted for piece in pieces))


def blocks(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    """Blocks around pieces, each a page with its places for them and what it emits of them."""
    tags = [
        ("<?psp if 1: ?>{0}<?psp else: ?>{1}<?psp end ?>", "{0}"),
        ("<?psp if 0: ?>{0}<?psp elif 0: y = 2 ?>{0}<?psp else: # c ?>{1}<?psp end # if ?>", "{1}"),
        ("<?psp if 0: ?>{0}<?psp else:\n y = 2\n z = 3 ?>{1}<?psp end ?>", "{1}"),
        ("<?psp for i in '12': ?>{0}<?psp else: ?>{1}<?psp end ?>", "{0}{0}{1}"),
        ("<?psp for i in '12':\n   if i == '2': ?>{0}<?psp end ?>{1}<?psp end ?>", "{1}{0}{1}"),
        (
            "<?psp try: ?>{0}<?psp 1/0 ?>{1}<?psp except OSError: ?>z<?psp except ArithmeticError: ?>{1}<?psp end ?>",
            "{0}{1}",
        ),
        ("<?psp try: ?>{0}<?psp finally:\n    y = 1 ?>{1}<?psp end ?>", "{0}{1}"),
        ("<?psp match 2: ?>\n <?psp case 1: ?>{0}<?psp case 2: ?>{1}<?psp end ?>", "{1}"),
        ("<?psp match 1:\n  case 1: ?>{0}<?psp case _: y = 2 ?>{1}<?psp end ?>", "{0}"),
        ("<?psp def f(): ?>{0}<?psp end ?><?psp f(); f() ?>{1}", "{0}{0}{1}"),
        ("<?psp class A: ?>{0}<?psp def g(self): ?>{1}<?psp end ?><?psp end ?><?psp A().g() ?>", "{0}{1}"),
    ]
    return st.builds(
        lambda tag, first, second: Made(
            tag[0].replace("{0}", first.page).replace("{1}", second.page),
            tag[1].replace("{0}", first.emitted).replace("{1}", second.emitted),
        ),
        st.sampled_from(tags),
        inner,
        inner,
    )


PAGES = st.recursive(
    st.lists(TEXT | PLAIN, max_size=3).map(together),
    lambda inner: st.lists(TEXT | PLAIN | blocks(inner), max_size=4).map(together),
    max_leaves=12,
)


@given(PAGES)
def test_blocks_in_blocks(made: Made) -> None:
    # The bars keep what a page drops, a tail of white space, out of it.
    assert run(f"|{made.page}|") == f"|{made.emitted}|"


WORDS = """if x:|else:|elif y: z|end|for a in b:|match x:|case 1:|case _: q|try:|except:|finally:|def f():|class A:|@d
x = 1|x|'''|'|"|(|)|[|]|{|}|\\|# c|;|:|,|f'{x}'|f'''|lambda|lambda:|yield|await x|return|async |with x:|é|<?|?>|<?psp
<?psp= |html|<?psp end ?>|<?psp if 1: ?>|<?psp else: ?>|=|\\N{x}|!|$|0777|\xa0|℘|b'é'|break|global x|*a|:=|not"""
FRAGMENTS = [*WORDS.replace("\n", "|").split("|"), "\n", "\n  ", "\n\t", "\r\n", "\r", "\x0c", "\u2028", "'\\\n", " "]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14), st.sampled_from(["%s", "<?psp %s ?>", "<?psp if 1: ?>%s"]))
def test_nonsense_fails_with_a_place(fragments: list[str], frame: str) -> None:
    text = frame % " ".join(fragments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for compiler in (parse_psp, lambda text: compile_page(text, "x.psp")):
            try:
                compiler(text)
            except PageSyntaxError as error:
                check_place(error, re.split("\r\n|\r|\n", text))


def check_place(error: PageSyntaxError, lines: list[str]) -> None:
    assert error.lineno is not None and 1 <= error.lineno <= len(lines)
    assert error.text == lines[error.lineno - 1]
    assert error.offset is None or 1 <= error.offset <= len(error.text) + 1
    assert traceback.format_exception_only(error)


@pytest.mark.parametrize(
    "text",
    ["<?psp \\\n x = 1\n\\\n ?>a", "<?psp x = 1 \\\n  \n ?>a", "<?psp if 1: ?>\n<?psp x = 1\n\\\n?>a<?psp end ?>"],
)
def test_a_backslash_never_reaches_what_follows_its_tag(text: str) -> None:
    assert run(text) == "a"
