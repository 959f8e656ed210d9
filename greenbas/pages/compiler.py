"""Server pages compiled to functions.

The way of a page: `parse` splits it into literal text and tags, `scan` finds the statements of a tag, `arrange` their
depth, `Generator` makes source of all that, and here Python makes a function of the source, with the places of the page
instead of those of the source.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from greenbas.pages.generator import Generator
from greenbas.pages.locations import relocate
from greenbas.pages.pagetext import PageText, Place
from greenbas.pages.parser import parse
from greenbas.pages.source import SourceLine
from greenbas.pages.syntax import explain_parse, explain_placed

__all__ = ["PARAMETERS", "CompiledPage", "compile_page", "parse_psp"]

PARAMETERS = (
    "request", "response", "cookie", "session", "env", "page", "app", "io", "dir", "pathname", "print", "write",
)  # fmt: skip
EMITTERS = ("_emit", "_escape")
COSTLY = frozenset({"session"})  # what would make one for each client: not for a page that binds the name itself

# Where str.splitlines, which linecache uses, sees the end of a line, but Python does not.
NO_LINE_BREAKS = re.compile("[\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
CHUNK = 500  # lines of source that are parsed at once: some ten milliseconds
SUSPENDING = frozenset({ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith})
TOO_DEEP = "this page is nested too deep for Python's compiler"


@dataclass(frozen=True, slots=True)
class CompiledPage:
    """A page that is ready to run.

    Args:
        function: the page; it takes the values of `parameters` in their order, emits by ``_emit(*parts)``, where parts
            are str or bytes, and makes text safe by ``_escape(value)``.
        parameters: the names that the page mentions, in the order of `PARAMETERS`, then `_emit` and `_escape`.
    """

    function: Callable[..., Any]
    parameters: tuple[str, ...]


class PageLoader:
    """Shows linecache, and with it tracebacks, the source of a page that is no file on the disk.

    Args:
        text: the page.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, name: str) -> str:
        """The page, with its lines where Python counts them (PEP 302)."""
        return NO_LINE_BREAKS.sub(" ", self._text)


def parse_psp(text: str, embed: bool = False, filename: str = "<page>") -> str:
    """Translate a page to Python source (BAS ``ba.parselsp``).

    The source is for reading, for storing, and for building into other source. What Python says about the code of the
    page is seen when that is compiled.

    Args:
        text: the page.
        embed: give only the body, at indentation 0, instead of a function ``page(request, ..., _emit, _escape)``.
        filename: what errors call the page.

    Returns:
        Source that ends in a line break.

    Raises:
        PageSyntaxError: the tags, blocks or indentation of the page make no sense.
    """
    page = PageText(text, filename)
    lines = Generator(page, level=0 if embed else 1).run(parse(page))
    source = [line.text for line in lines] or ["pass" if embed else "    pass"]
    if not embed:
        source.insert(0, f"def page({', '.join(PARAMETERS + EMITTERS)}):")
    return "\n".join(source) + "\n"


def compile_page(text: str, filename: str) -> CompiledPage:
    """Compile a page to a function of its own.

    Tracebacks of the function tell the lines of the page, and show them even if it is no file on the disk.

    Args:
        text: the page.
        filename: what errors and tracebacks call the page.

    Raises:
        PageSyntaxError: the page cannot be compiled; the message tells the remedy, the attributes the place.
    """
    page = PageText(text, filename)
    body = Generator(page, level=1, text="_str", join=True).run(parse(page))
    top = Place(1, 0, 0)
    function: ast.FunctionDef | None = None
    names: set[str] = set()
    costly = [name for name in COSTLY if name in text]
    bound: set[str] = set()
    suspends = False
    for lines in chunks(SourceLine("def page():", top), body or [SourceLine("    pass", top)]):
        tree = syntax_tree(lines, page)
        nodes = nodes_of(tree)
        literals_to_bytes(nodes, lines)
        relocate(nodes, lines)
        names.update(node.id for node in nodes if type(node) is ast.Name)
        bound.update(name for name in costly if any(binds(node, name) for node in nodes))
        suspends = suspends or any(type(node) in SUSPENDING for node in nodes)
        part = tree.body[0]
        assert isinstance(part, ast.FunctionDef)
        if function is None:
            whole, function = tree, part
        else:
            function.body += part.body
    assert function is not None
    if suspends:
        refuse_suspension(function, page)
    parameters = add_parameters(function, names - bound)
    linecache.cache.pop(filename, None)  # what it has of an older version of the page
    return CompiledPage(build(whole, page), parameters)


def chunks(head: SourceLine, body: list[SourceLine]) -> Iterator[list[SourceLine]]:
    """The body in pieces that Python can parse one by one, each below the head.

    The parser holds the interpreter, and with it all greenlets, from its beginning to its end. A piece ends before a
    line of ours that emits outside all blocks: nothing that came before it goes on there.
    """
    lines = [head]
    for line in body:
        if len(lines) > CHUNK and line.text.startswith("    _emit(") and (line.literal or line.start > len("    ")):
            yield lines
            lines = [head]
        lines.append(line)
    yield lines


def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """The nodes of a tree that have a place or are around such, without the countless ones that say load or store."""
    found: list[ast.AST] = [tree]
    for node in found:  # which grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                found += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return found


def syntax_tree(lines: list[SourceLine], page: PageText) -> ast.Module:
    try:
        return ast.parse("\n".join(line.text for line in lines) + "\n", page.filename)
    except SyntaxError as error:
        raise explain_parse(error, lines, page) from None
    except (MemoryError, RecursionError):
        raise page.error(TOO_DEEP, 1) from None


def literals_to_bytes(nodes: list[ast.AST], lines: list[SourceLine]) -> None:
    """Encode literal text now, so that no request has to."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            line = lines[min(node.lineno, len(lines)) - 1]
            # Python 3.11 may place what is inside an f-string of several lines on a line that it is not on.
            if line.literal and line.text.endswith(f"{node.value!r})"):
                node.value = node.value.encode()


def binds(node: ast.AST, name: str) -> bool:
    """Whether a node makes a variable of this name: an assignment, an import, a def, a class."""
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == name
    return getattr(node, "name", None) == name


def add_parameters(function: ast.FunctionDef, names: set[str]) -> tuple[str, ...]:
    """Make parameters of the names that a page mentions, and tell them."""
    used = tuple(name for name in PARAMETERS + EMITTERS if name in names)
    place = {"lineno": 1, "col_offset": -1, "end_lineno": 1, "end_col_offset": -1}
    function.args.args = [ast.arg(arg=name, annotation=None, type_comment=None, **place) for name in used]
    return used


def refuse_suspension(function: ast.FunctionDef, page: PageText) -> None:
    """A page is a function that is called once and blocks, so that it can neither yield nor await."""
    for node in of_page_level(function.body):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            message = "a page cannot yield: it emits by <?psp= ... ?> and print; yield is for a def inside it"
        elif isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            message = "a page cannot await: it calls functions that block; await is for an async def inside it"
        else:
            continue
        column = len(page.line(node.lineno).encode()[: node.col_offset].decode("utf-8", "ignore"))
        raise page.error(message, node.lineno, column)


def of_page_level(nodes: list[Any]) -> Iterator[ast.AST]:
    """The nodes below some nodes that run with the page itself and not when a function in it is called."""
    waiting: list[ast.AST] = nodes[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, node.args]
        elif isinstance(node, ast.Lambda):
            waiting.append(node.args)
        else:
            waiting += ast.iter_child_nodes(node)


def build(tree: ast.Module, page: PageText) -> Callable[..., Any]:
    """The function that a syntax tree with the places of the page defines."""
    try:
        code = compile(tree, page.filename, "exec")
    except SyntaxError as error:
        raise explain_placed(error, page) from None
    except (MemoryError, RecursionError):
        raise page.error(TOO_DEEP, 1) from None
    namespace: dict[str, Any] = {
        "__builtins__": builtins,
        "__name__": f"greenbas.page:{page.filename}",
        "__file__": page.filename,
        "__loader__": PageLoader(page.text),
        "_str": str,  # a page may have a variable str
    }
    exec(code, namespace)
    function: Callable[..., Any] = namespace.pop("page")
    return function
