"""Errors of running pages: tracebacks name and show the lines of the page, and mark the right columns."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

import pytest
from pagerun import FILENAME, Output, call, run

from greenbas.pages.compiler import compile_page


def frames(text: str, filename: str = FILENAME) -> list[traceback.FrameSummary]:
    """The frames of a page that fails, innermost last, without those around it."""
    try:
        run(text, filename)
    except Exception as error:
        return [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    raise AssertionError(f"nothing failed: {text!r}")


def marked(frame: traceback.FrameSummary, text: str) -> str:
    """What a traceback marks in the page."""
    if frame.colno is None or frame.end_colno is None:
        return ""
    lines = text.replace("\r\n", "\n").removeprefix("\ufeff").encode().split(b"\n")
    assert frame.lineno is not None and frame.end_lineno is not None
    if frame.lineno == frame.end_lineno:
        return lines[frame.lineno - 1][frame.colno : frame.end_colno].decode()
    first, *between = lines[frame.lineno - 1 : frame.end_lineno - 1]
    last = lines[frame.end_lineno - 1][: frame.end_colno]
    return b"\n".join([first[frame.colno :], *between, last]).decode()


@pytest.mark.parametrize(
    ("text", "line", "mark"),
    [
        ("<?psp 1/0 ?>", 1, "1/0"),
        ("<?psp= 1/0 ?>", 1, "1/0"),
        ("<?psp=1/0?>", 1, "1/0"),
        ("<?psp=! 1/0 ?>", 1, "1/0"),
        ("a\nb\n<?psp x = 1 ?><?psp x = 1/0 ?>", 3, "1/0"),
        ("é€😀 <?psp 'é' + 1 ?>", 1, "'é' + 1"),
        ("\ufeffé <?psp 'é' + 1 ?>", 1, "'é' + 1"),
        ("é€😀 <?psp= 'é' + 1 ?>é", 1, "'é' + 1"),
        ("é\n  é <?psp= 1 ?><?psp= 2 ?>é<?psp= 'é' + 1 ?>", 2, "'é' + 1"),
        ("\n<?psp\n\n    x = 1\n    é = x / 0\n?>", 5, "x / 0"),
        ("<?psp x = 1\n  é = x / 0\n?>", 2, "x / 0"),
        ("<?psp if 1:\n\ty = 1 / 0 ?>", 2, "1 / 0"),
        ("<?psp if 1: ?>\n\n  <?psp for x in 'a': ?>\n<?psp\n x / 1\n?><?psp end ?><?psp end ?>", 5, "x / 1"),
        ("<?psp x = '''\n\n''' ?>\n\n<?psp= x / 1 ?>", 5, "x / 1"),
        ("<?psp if 1: ?><?psp\n   x = '''\n\n''' + 1\n?><?psp end ?>", 2, "'''\n\n''' + 1"),
        ("a\n\n'''\n\n<?psp 1/0 ?>", 5, "1/0"),
        ("a\r\nb\r\n<?psp\r\n  1/0\r\n?>", 4, "1/0"),
        ("<?psp x = (1,\n  'é' + 2,\n 3) ?>", 2, "'é' + 2"),
        ("<?psp= [1,\n  'é' + 2,\n 3] ?>", 2, "'é' + 2"),
        ("<?psp= # c\n   1 / 0\n?>", 2, "1 / 0"),
        ("<?psp= 1 / \\\n 0 ?>", 1, "1 / \\\n 0"),
        ("<?psp if 1 / 0: ?><?psp end ?>", 1, "1 / 0"),
        ("<?psp if 0: ?>\n<?psp elif 1 / 0: ?><?psp end ?>", 2, "1 / 0"),
        ("<?psp if 0: ?>\n<?psp else: é = 1 / 0 ?><?psp end ?>", 2, "1 / 0"),
        ("<?psp if 0: ?>\n<?psp else: é = 1; é = (1 /\n0) ?><?psp end ?>", 2, "1 /\n0"),
        ("<?psp for x in 1: ?>a\n<?psp end ?>", 1, "for x in 1:"),
        ("<?psp while 1 / 0: ?>a<?psp end ?>", 1, "1 / 0"),
        ("é<?psp with 1: ?>a\n<?psp end ?>", 1, "with 1:"),
        ("<?psp match 1 / 0: ?>\n<?psp case 1: ?>a<?psp end ?>", 1, "1 / 0"),
        ("<?psp match 1: ?>\n<?psp case int(a=1): ?>a<?psp end ?>\n<?psp 1/0 ?>", 3, "1/0"),
        ("é<?psp class A(metaclass=3): ?>a\n<?psp end ?>", 1, "class A(metaclass=3):"),
        ("<?psp @missing\ndef f(): ?>a\n<?psp end ?>", 1, "missing"),
        ("<?psp raise ValueError(\n 'x') ?>", 1, "raise ValueError(\n 'x')"),
        ("<?psp try: ?>\n<?psp 1/0 ?>\n<?psp except missing: ?>b<?psp end ?>", 3, "missing"),
        ("<?psp= missing ?>", 1, "missing"),
        ("\n<?psp= [x / 0 for x in (1, 2)] ?>", 2, "x / 0"),
    ],
)
def test_the_last_frame_is_at_the_line_of_the_page(text: str, line: int, mark: str) -> None:
    frame = frames(text)[-1]
    assert (frame.filename, frame.lineno) == (FILENAME, line)
    assert frame.line == text.replace("\r\n", "\n").removeprefix("\ufeff").split("\n")[line - 1].strip()
    assert marked(frame, text) == mark


def test_a_traceback_as_it_is_printed() -> None:
    text = "é\n<?psp def f(x): ?>\n  <b>é<?psp= 1 / x ?></b>\n<?psp end ?>\n <?psp f(0) ?>\n"
    try:
        run(text)
    except ZeroDivisionError as error:
        printed = "".join(traceback.format_exception(error))
    assert printed.endswith(
        f'  File "{FILENAME}", line 5, in page\n'
        "    <?psp f(0) ?>\n"
        "          ^^^^\n"
        f'  File "{FILENAME}", line 3, in f\n'
        "    <b>é<?psp= 1 / x ?></b>\n"
        "               ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
    )


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("text", ["a\nb <?psp= request ?> c", "a\nb <?psp=! request ?> c"])
def test_an_expression_without_text_is_marked(text: str) -> None:
    page = compile_page(text, FILENAME)
    with pytest.raises(ValueError, match="no text") as caught:
        call(page, Output(), request=Unprintable())
    frame = next(frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == FILENAME)
    assert (frame.lineno, marked(frame, text)) == (2, "request")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a", 1),
        ("<?psp\n\n?>a\n", 3),
        ("<?psp if 1: ?>\n\nx<?psp end ?>", 2),
        ("<?psp if 1: ?>\n<?psp # nothing\n?><?psp end ?>\n\na", 4),
    ],
)
def test_a_failing_emit_is_at_the_line_of_its_text(text: str, line: int) -> None:
    def broken(*parts: str | bytes) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone") as caught:
        call(compile_page(text, FILENAME), Output(), _emit=broken)
    frame = next(frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == FILENAME)
    assert (frame.lineno, frame.colno) == (line, None)
    assert traceback.format_exception(caught.value)


def test_a_new_version_of_a_page_shows_its_own_lines() -> None:
    assert frames("a\n<?psp= 1/0 ?> old")[-1].line == "<?psp= 1/0 ?> old"
    assert frames("a\n<?psp= 1/0 ?> new")[-1].line == "<?psp= 1/0 ?> new"


def test_a_page_on_the_disk_shows_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "page.psp"
    for version in ("old", "newer"):
        text = f"é\n<?psp= 1/0 ?> {version}"
        path.write_text(text, "utf-8-sig")
        frame = frames(text, str(path))[-1]
        assert (frame.lineno, frame.line, marked(frame, text)) == (2, text.split("\n")[1], "1/0")


def test_lines_are_counted_as_python_counts_them() -> None:
    # str.splitlines, by which linecache takes a text apart, also ends lines at these.
    text = "a\u2028b\x0bc\x0cd\x85e\x1cf\r\ng\rh\n<?psp= 1/0 ?> here"
    frame = frames(text)[-1]
    assert (frame.lineno, frame.line) == (4, "<?psp= 1/0 ?> here")


def test_compiling_leaves_nothing_in_the_cache_of_lines() -> None:
    linecache.cache[FILENAME] = (3, None, ["old\n"], FILENAME)
    compile_page("a", FILENAME)
    assert FILENAME not in linecache.cache


@pytest.mark.parametrize(
    "text",
    [
        "<?psp é = f'''é\n{'é' +\n1}''' ?>",
        "é<?psp\n   é = f'''é{1 + 'é'}é\né{2}''' ?>",
        "é<?psp= f'''é\n\n\n{ 'é' + 1 }é''' ?>é",
        "é<?psp= f'é{\"é\" + 1}' ?>",
        "<?psp x = f'''\n\n\n{f\"\"\"\n{1/0}\n\"\"\"}''' ?>\na",
    ],
)
def test_f_strings_of_several_lines_never_break_a_traceback(text: str) -> None:
    # Python 3.11 places what is in them by guess.
    with pytest.raises((TypeError, ZeroDivisionError)) as caught:
        run(text)
    assert FILENAME in "".join(traceback.format_exception(caught.value))
    for frame in frames(text):
        assert frame.lineno is not None and 1 <= frame.lineno <= text.count("\n") + 1
