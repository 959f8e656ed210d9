"""The page of a failure for developers: what it tells, what it hides, and that nothing makes it fail or grow."""

from __future__ import annotations

import collections
import json
import linecache
import re
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from web import get, serving

from greenbas import Request, Response
from greenbas.codec import encode_json
from greenbas.errors import PageSyntaxError
from greenbas.http.failurepage import MAX_PAGE, failure_json, failure_page, prefers_json
from greenbas.http.failuretrace import MAX_EXCEPTIONS, MAX_FRAMES, Frame, describe
from greenbas.http.failurevalues import HIDDEN, MAX_VALUE, Values

VOID = {"meta", "link", "br"}
MAY_STAY_OPEN = {"tr", "th", "td"}
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "b", "i", "u", "code", "pre", "span", "mark"}
TAGS |= {"details", "summary", "table", "tr", "th", "td"}


class Checker(HTMLParser):
    """Complains about tags that do not match, and collects what is in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "style", "onclick"}
        if tag not in VOID | MAY_STAY_OPEN:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if not self.open or self.open[-1] != "style" else ""


def raised(function: Callable[[], Any]) -> BaseException:
    """What a function raises, with its traceback."""
    try:
        function()
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


def page_of(error: BaseException, target: str = "/dir/?a=1") -> Checker:
    """The page, which must be well-formed, small enough and encodable."""
    page = failure_page(error, 500, "abc-1", "GET", target)
    assert len(page.encode()) <= MAX_PAGE
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert set(checker.tags) <= TAGS
    return checker


def frames_of(error: BaseException) -> list[Frame]:
    """The frames of the exception itself."""
    return [frame for frame in describe(error)[0].frames if isinstance(frame, Frame)]


def compiled(source: str, file: Path | str) -> CodeType:
    """Code of a file; when it has a folder, the file is written."""
    if isinstance(file, Path):
        file.write_text(source, "utf-8")
    return compile(source, str(file), "exec")


def run(code: CodeType, names: dict[str, Any] | None = None) -> BaseException:
    """What the code raises."""
    return raised(lambda: exec(code, {"__name__": "planted"} if names is None else names))


# -- what it tells ------------------------------------------------------------------------------------------------

TWENTY = "".join(f"line_{number} = {number}\n" for number in range(1, 12)) + "1 / 0\n" + "# end\n" * 8


def test_type_message_request_and_place(tmp_path: Path) -> None:
    error = run(compiled(TWENTY, tmp_path / "shop.py"))
    text = page_of(error, "/<dir>/?a=1&b=2").text
    assert "500 Internal Server Error" in text
    assert "request id abc-1" in text
    assert "ZeroDivisionError" in text and "division by zero" in text
    assert "GET /<dir>/?a=1&b=2" in text
    assert f"{tmp_path}/shop.py:12 <module>" in text
    assert "Traceback (most recent call last)" in text


def test_ten_lines_with_the_one_that_failed(tmp_path: Path) -> None:
    frame = frames_of(run(compiled(TWENTY, tmp_path / "shop.py")))[-1]
    assert frame.source is not None
    assert (frame.source.first, frame.source.marked, len(frame.source.lines)) == (7, 12, 10)
    page = failure_page(run(compiled(TWENTY, tmp_path / "shop.py")), 500, "abc-1", "GET", "/")
    assert "<mark><i>12</i>1 / 0</mark>" in page
    assert "<span><i>7</i>line_7 = 7</span>" in page
    assert ">6</i>line_6" not in page and page.count("# end") == 4


@pytest.mark.parametrize(("line", "first", "count"), [(1, 1, 5), (3, 1, 7), (30, 25, 6)])
def test_lines_at_the_ends_of_a_file(tmp_path: Path, line: int, first: int, count: int) -> None:
    source = "\n" * (line - 1) + "1 / 0" + "\n#" * (30 - line) + "\n"
    found = frames_of(run(compiled(source, tmp_path / "short.py")))[-1].source
    assert found is not None
    assert (found.first, len(found.lines), found.marked) == (first, count, line)


def test_library_code_is_only_named() -> None:
    frames = frames_of(raised(lambda: json.loads("{")))
    assert [frame.own for frame in frames] == [True, True, False, False, False]
    assert not any(frame.source or frame.values for frame in frames if not frame.own)
    assert re.search(rf"{json.__file__}:[0-9]+ loads", page_of(raised(lambda: json.loads("{"))).text)


def test_library_calls_are_folded() -> None:
    def back() -> None:
        raise LookupError

    three = {"key": lambda value: back()}
    error = raised(lambda: json.loads("[1]", parse_int=lambda text: back()))
    names = [frame.own for frame in frames_of(error)]
    assert names[:2] == [True, True] and names[-2:] == [True, True] and names.count(False) >= 3
    page = failure_page(error, 500, "abc-1", "GET", "/")
    assert re.search(r"<details class=gap><summary>[0-9]+ calls of libraries</summary><p class=line>", page)
    folded = page[page.index("<details class=gap>") :].partition("</details>")[0]
    assert folded.count("<p class=line>") == names.count(False)
    short = failure_page(raised(lambda: sorted([1], key=three["key"])), 500, "abc-1", "GET", "/")
    assert "<details class=gap>" not in short.partition("</style>")[2]


def test_code_of_the_package_is_foreign_but_pages_are_not() -> None:
    from greenbas.protocol import forwarded  # a file of the package

    foreign = run(compile("1 / 0", forwarded.__file__, "exec"))
    assert [frame.own for frame in frames_of(foreign)][-1] is False
    page = run(compile("1 / 0", forwarded.__file__ + ".psp", "exec"))
    assert [frame.own for frame in frames_of(page)][-1] is True


def test_local_values(tmp_path: Path) -> None:
    source = "def sell(dish, amount, __hidden=1):\n    total = [amount] * 3\n    return total[dish]\nsell('soup', 2)\n"
    frame = frames_of(run(compiled(source, tmp_path / "sell.py")))[-1]
    assert frame.values == (("dish", "'soup'"), ("amount", "2"), ("total", "[2, 2, 2]"))
    text = page_of(run(compiled(source, tmp_path / "sell.py"))).text
    assert "3 local names" in text and "[2, 2, 2]" in text


def test_what_a_module_defines_is_left_out(tmp_path: Path) -> None:
    source = "import json\nclass A: pass\ndef f(): pass\nleft = 1\n1 / 0\n"
    assert frames_of(run(compiled(source, tmp_path / "module.py")))[-1].values == (("left", "1"),)


def test_what_the_compiler_of_pages_adds_is_left_out() -> None:
    names = {"__name__": "page", "_emit": 1, "mine": 2}
    assert frames_of(run(compile("1 / 0", "index.psp", "exec"), names))[-1].values == (("mine", "2"),)


def test_many_names(tmp_path: Path) -> None:
    source = "def f():\n" + "".join(f"    name{n} = {n}\n" for n in range(50)) + "    1 / 0\nf()\n"
    frame = frames_of(run(compiled(source, tmp_path / "many.py")))[-1]
    assert (len(frame.values), frame.more) == (30, 20)
    assert "50 local names" in page_of(run(compiled(source, tmp_path / "many.py"))).text


class Loader:
    """Has the source of a page that is on no disk."""

    def get_source(self, name: str) -> str:
        return "<h1>\n<?psp= 1 / 0 ?>\n"


def test_source_of_a_page_from_its_loader() -> None:
    names = {"__name__": "page", "__loader__": Loader()}
    error = run(compile("\n1 / 0", "app/index.psp", "exec"), names)
    source = frames_of(error)[-1].source
    assert source is not None
    assert source.lines == ("<h1>", "<?psp= 1 / 0 ?>")


def test_source_of_a_page_from_linecache() -> None:
    linecache.cache["cached.psp"] = (1, None, ["first\n", "second\n"], "cached.psp")
    try:
        source = frames_of(run(compile("\n1 / 0", "cached.psp", "exec")))[-1].source
    finally:
        del linecache.cache["cached.psp"]
    assert source is not None
    assert source.lines == ("first", "second")


# -- causes, groups, syntax errors --------------------------------------------------------------------------------


def with_cause() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        error.add_note("a note")
        raise RuntimeError("outer") from error


def with_context() -> None:
    try:
        raise KeyError("inner")
    except KeyError:
        raise RuntimeError("outer")  # noqa: B904


def without_context() -> None:
    try:
        raise KeyError("inner")
    except KeyError:
        raise RuntimeError("outer") from None


def group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("two", [TypeError("deep")])])


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (with_cause, [("RuntimeError", ""), ("KeyError", "The direct cause of the RuntimeError")]),
        (with_context, [("RuntimeError", ""), ("KeyError", "While this was handled, the RuntimeError came")]),
        (without_context, [("RuntimeError", "")]),
        (
            group,
            [
                ("ExceptionGroup", ""),
                ("ValueError", "Exception 1 of 2 in the ExceptionGroup"),
                ("ExceptionGroup", "Exception 2 of 2 in the ExceptionGroup"),
                ("TypeError", "Exception 1 of 1 in the ExceptionGroup"),
            ],
        ),
    ],
)
def test_related_exceptions(function: Callable[[], None], told: list[tuple[str, str]]) -> None:
    error = raised(function)
    assert [(failure.kind, failure.relation) for failure in describe(error)] == told
    text = page_of(error).text
    assert all(f"{relation}: {kind}" in text for kind, relation in told if relation)
    assert ("a note" in text) is (function is with_cause)


def test_a_chain_that_bites_its_tail() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert [failure.message for failure in describe(one)] == ["one", "two"]


def test_a_long_chain_and_a_large_group() -> None:
    error: Exception = ValueError(0)
    for number in range(1, 100):
        following = ValueError(number)
        following.__context__ = error
        error = following
    assert len(describe(error)) == MAX_EXCEPTIONS
    assert len(describe(ExceptionGroup("many", [ValueError(n) for n in range(10_000)]))) == MAX_EXCEPTIONS
    page_of(ExceptionGroup("many", [error, *[ValueError(n) for n in range(1000)]]))


def test_syntax_error_of_a_file(tmp_path: Path) -> None:
    source = "".join(f"a{number} = {number}\n" for number in range(1, 9)) + "def f(:\n    pass\n" + "# end\n" * 9
    file = tmp_path / "bad.py"
    file.write_text(source)
    error = raised(lambda: compile(source, str(file), "exec"))
    place = frames_of(error)[-1]
    assert place.source is not None
    assert (place.file, place.line, place.function) == (str(file), 9, "")
    assert (place.source.first, place.source.marked, len(place.source.lines), place.source.offset) == (4, 9, 10, 7)
    assert "<mark><i>9</i>def f(<u>:</u></mark>" in failure_page(error, 500, "abc-1", "GET", "/")


@pytest.mark.parametrize("on_disk", [True, False])
def test_page_syntax_error(tmp_path: Path, on_disk: bool) -> None:
    file = tmp_path / "index.psp"
    if on_disk:
        file.write_text("<h1>\n<?psp if ?>\n")
    error = raised(lambda: (_ for _ in ()).throw(PageSyntaxError("no condition", str(file), 2, 7, "<?psp if ?>")))
    source = frames_of(error)[-1].source
    assert source is not None
    assert source.lines == (("<h1>", "<?psp if ?>") if on_disk else ("<?psp if ?>",))
    text = page_of(error).text
    assert "greenbas.errors.PageSyntaxError" in text and f"{file}:2" in text


@pytest.mark.parametrize(
    "details",
    [
        ("f.py", None, None, None),
        ("f.py", 10**9, 5, "x"),
        ("f.py", -3, -7, ""),
        (None, 1, 1, "text"),
        ("\0.py", 1, 10**9, "text\udc80"),
        ("/dev/zero", 1, 1, "text"),
        ("/", 1, 1, None),
    ],
)
def test_odd_syntax_errors(details: tuple[Any, ...]) -> None:
    page_of(SyntaxError("odd", details))


# -- values: secrets, limits, hostility ---------------------------------------------------------------------------


def short(name: str, value: object) -> str:
    return Values(time.monotonic() + 10).short(name, value)


@dataclass
class User:
    name: str
    password: str


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter2"),
        ("db_passwd", "hunter2"),
        ("SECRET", b"hunter2"),
        ("token", ["hunter2"]),
        ("csrf_token", "hunter2"),
        ("authorization", "hunter2"),
        ("api_key", "hunter2"),
        ("cookies", {"a": "hunter2"}),
        ("user", User("Ada", "hunter2")),
        ("users", [User("Ada", "hunter2")]),
        ("form", {"name": "Ada", "password": "hunter2"}),
        ("form", collections.OrderedDict(password="hunter2")),
        ("nested", {"db": {"password": "hunter2"}}),
        ("nested", [{"token": {"x": "hunter2"}}]),
        ("pairs", [("Authorization", "hunter2")]),
        ("raw", b"GET / HTTP/1.1\r\nAuthorization: Basic hunter2 hunter2\r\nHost: x"),
        ("url", "/login?token=hunter2&a=1"),
        ("text", 'password = "hunter2"'),
        ("text", "X-Api-Key: hunter2"),
    ],
)
def test_secrets_are_hidden(name: str, value: object) -> None:
    text = short(name, value)
    assert "hunter2" not in text
    assert HIDDEN in text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("token", None, "None"),
        ("has_password", False, "False"),
        ("password", "", "''"),
        ("form", {"password": None, "a": 1}, "{'password': None, 'a': 1}"),
        ("note", "the token is gone", "'the token is gone'"),
        ("pass_", "soup", "'soup'"),
    ],
)
def test_what_tells_nothing_is_shown(name: str, value: object, text: str) -> None:
    assert short(name, value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "[]"),
        ((1,), "(1,)"),
        ((1, 2), "(1, 2)"),
        (set(), "set()"),
        ({1}, "{1}"),
        (frozenset({1}), "frozenset([1])"),
        ({"a": [1, (2,)]}, "{'a': [1, (2,)]}"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, … 92 more]"),
        ([[[["deep"]]]], "[[[[…]]]]"),
        (collections.defaultdict(int, a=1), "collections.defaultdict({'a': 1})"),
        (collections.deque([1]), "collections.deque([1])"),
        (array("i", [1]), "array.array([1])"),
        (1.5, "1.5"),
        (True, "True"),
        (10**400, "<int of 1,329 bits>"),
        (ValueError("x"), "ValueError('x')"),
    ],
)
def test_representations(value: object, text: str) -> None:
    assert short("value", value) == text


def endless() -> Iterator[int]:
    while True:
        yield 1


class Raises:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class Recursive:
    def __repr__(self) -> str:
        return repr(self)


class Huge:
    def __repr__(self) -> str:
        return "<b>" * 3_000_000


class NotText:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]


class OddText(str):
    def __str__(self) -> str:
        raise ValueError

    def __len__(self) -> int:
        raise ValueError

    def __getitem__(self, key: object) -> str:
        raise ValueError


class ReturnsOdd:
    def __repr__(self) -> str:
        return OddText("odd")


class OddMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise ValueError(name)


def unnamed() -> object:
    # Not at the top of the module: pytest looks at the classes there.
    return OddMeta("Unnamed", (), {})()


class Pretender:
    @property
    def __class__(self) -> Any:  # type: ignore[misc]
        raise ValueError


class EndlessDict(dict[str, int]):
    def items(self) -> Any:
        return ((f"{n}", n) for n in endless())


class Waits:
    def __repr__(self) -> str:
        threading.Event().wait(100)  # patched: as a query to a database would
        return "waited"


def nested() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def itself() -> dict[str, Any]:
    mine: dict[str, Any] = {}
    mine["me"] = mine
    return mine


# Functions, for pytest itself would look at the values.
HOSTILE: dict[str, Callable[[], object]] = {
    "raises": lambda: Raises(ValueError("no")),
    "exits": lambda: Raises(SystemExit()),
    "interrupts": lambda: Raises(KeyboardInterrupt()),
    "generator exit": lambda: Raises(GeneratorExit()),
    "no memory": lambda: Raises(MemoryError()),
    "recursive": Recursive,
    "huge": Huge,
    "no text": NotText,
    "odd text": lambda: OddText("x"),
    "returns odd text": ReturnsOdd,
    "odd class": unnamed,
    "pretender": Pretender,
    "endless dict": lambda: EndlessDict(a=1),
    "endless generator": endless,
    "nested": nested,
    "holds itself": itself,
    "long str": lambda: "x" * 10_000_000,
    "long bytes": lambda: bytes(10_000_000),
    "long bytearray": lambda: bytearray(10_000_000),
    "large int": lambda: 1 << 10_000_000,
    "long list": lambda: [0] * 10_000_000,
    "large dict": lambda: dict.fromkeys(range(100_000)),
    "half characters": lambda: ["\udc80\0\x1b</pre><script>"],
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values(make: Callable[[], object]) -> None:
    value = make()
    text = short("value", value)
    assert type(text) is str
    assert 0 < len(text) <= MAX_VALUE

    def fail(given: object) -> None:
        raise LookupError

    error = raised(lambda: fail(value))
    assert frames_of(error)[-1].values[0][0] == "given"
    page_of(error)


def test_a_value_that_waits_does_not_hold_the_page() -> None:
    def fail(first: object, second: object, third: object) -> None:
        raise LookupError

    frame = frames_of(raised(lambda: fail(Waits(), User("Ada", "x"), 3)))[-1]
    first, second, third = (value for _, value in frame.values)
    assert first.endswith("Waits, whose repr raised gevent.timeout.Timeout>")
    assert second.endswith("User, not shown: the values before took too long>")
    assert third == "3"


class Message(Exception):
    def __str__(self) -> str:
        raise ValueError


class Chain(Exception):
    __cause__ = property(lambda self: 1 / 0)


class OddLocals(dict[str, Any]):
    def __iter__(self) -> Any:
        raise SystemExit


@pytest.mark.parametrize(
    "error",
    [
        Message(),
        Chain("odd chain"),
        ValueError("m" * 10_000_000),
        ValueError("\udcff</p><script>alert(1)</script>"),
        ValueError(Recursive()),
        SystemExit(3),
        BaseExceptionGroup("g", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_hostile_exceptions(error: BaseException) -> None:
    found = raised(lambda: (_ for _ in ()).throw(error))
    checker = page_of(found)
    assert type(error).__name__ in checker.text
    encode_json(failure_json(found, 500, "abc-1", "GET", "/\udcff"))


def test_hostile_locals_and_loader() -> None:
    class Angry:
        def get_source(self, name: str) -> str:
            raise SystemExit

    names = {"__name__": "angry", "__loader__": Angry()}
    error = raised(lambda: exec(compile("1 / 0", "angry.psp", "exec"), names, OddLocals()))
    assert frames_of(error)[-1].own
    assert "angry.psp:1" in page_of(error).text


def test_everything_is_escaped(tmp_path: Path) -> None:
    source = "x = '<script>alert(1)</script>'\nraise ValueError(x)\n"
    error = run(compiled(source, tmp_path / "a<b>&.py"))
    page = failure_page(error, 500, "<script>", "<script>", "/<script>")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


def test_deep_recursion() -> None:
    def down(level: int) -> int:
        return down(level + 1)

    error = raised(lambda: down(0))
    (failure,) = describe(error)
    assert sum(isinstance(frame, Frame) for frame in failure.frames) == 30
    (gap,) = (frame for frame in failure.frames if isinstance(frame, int))
    assert gap > 500
    assert f"{gap:,} calls left out" in page_of(error).text


def test_frames_in_all() -> None:
    def down(level: int) -> int:
        return down(level - 1) if level else 1 // 0

    error = raised(lambda: down(100))
    for _ in range(5):
        following = raised(lambda: down(100))
        following.__context__ = error
        error = following
    failures = describe(error)
    assert len(failures) == 6
    assert sum(isinstance(frame, Frame) for failure in failures for frame in failure.frames) == MAX_FRAMES
    page_of(error)


def test_a_large_page_tells_the_innermost_frames_first(tmp_path: Path) -> None:
    # Lines and values that are long and become six times longer when they are escaped.
    names = "".join(f"    v{n} = '\"' * 190\n" for n in range(30))
    source = f"def f(level):\n{names}    x = 1 // level; '{chr(34) * 200}'\n    f(level - 1)\nf(20)\n"
    error = run(compiled(source, tmp_path / "wide.py"))
    assert len(frames_of(error)) > 20
    page = failure_page(error, 500, "abc-1", "GET", "/")
    assert len(page.encode()) > MAX_PAGE // 2
    lines = re.findall(r"<(p class=line|details class=frame open)><?.*?/wide\.py:", page)
    whole = [line.startswith("details") for line in lines]
    assert whole[-3:] == [True] * 3
    assert whole[2:6] == [False] * 4
    page_of(error)


def test_the_longest_names(tmp_path: Path) -> None:
    def fail() -> None:
        raise type('"' * 5000, (Exception,), {})('"' * 10_000)

    error = raised(fail)
    for _ in range(MAX_EXCEPTIONS):
        code = compile("1 / 0", '"' * 5000, "exec").replace(co_qualname='"' * 5000)
        following = run(code, {"__name__": "planted"} | {'"' * 5000: 1})
        following.__context__ = error
        error = following
    page_of(error, '"' * 100_000)


def test_when_the_page_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(error: BaseException, *, with_values: bool = True) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("greenbas.http.failurepage.describe", broken)
    error = raised(lambda: int("<x>"))
    page = failure_page(error, 500, "abc-1", "GET", "/")
    assert "ValueError: invalid literal" in unescape(page)
    assert "abc-1" in page
    assert failure_json(error, 500, "abc-1", "GET", "/")["error"] == "ValueError"


# -- JSON ---------------------------------------------------------------------------------------------------------


def test_json(tmp_path: Path) -> None:
    error = run(compiled(TWENTY, tmp_path / "shop.py"))
    told = failure_json(error, 503, "abc-1", "POST", "/x")
    assert {key: told[key] for key in ("error", "message", "request", "status", "method", "target")} == {
        "error": "ZeroDivisionError",
        "message": "division by zero",
        "request": "abc-1",
        "status": 503,
        "method": "POST",
        "target": "/x",
    }
    last = {"file": str(tmp_path / "shop.py"), "line": 12, "function": "<module>", "code": "1 / 0"}
    assert told["traceback"][-1] == last
    (cause,) = failure_json(raised(with_cause), 500, "abc-1", "GET", "/")["related"]
    assert (cause["error"], cause["message"]) == ("KeyError", "'inner'\na note")
    assert encode_json(told)


def test_json_runs_no_repr() -> None:
    asked = []

    class Counts:
        def __repr__(self) -> str:
            asked.append(self)
            return ""

    def fail(value: Counts) -> None:
        raise LookupError

    failure_json(raised(lambda: fail(Counts())), 500, "abc-1", "GET", "/")
    assert asked == []


@pytest.mark.parametrize(
    ("accept", "requested_with", "json_wanted"),
    [
        (None, None, False),
        ("", None, False),
        ("*/*", None, False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None, False),
        ("application/json", None, True),
        ("application/json, text/plain, */*", None, True),
        ("Application/JSON; charset=utf-8", None, True),
        ("application/problem+json", None, True),
        ("text/html, application/json", None, False),
        ("text/html;q=0.5, application/json", None, True),
        ("text/html, application/json;q=0.9", None, False),
        ("application/json;q=0", None, False),
        ("application/json;q=junk", None, True),
        (",;,;q=;,=", None, False),
        ("text/html", "XMLHttpRequest", True),
        (None, "fetch", False),
    ],
)
def test_who_prefers_json(accept: str | None, requested_with: str | None, json_wanted: bool) -> None:
    assert prefers_json(accept, requested_with) is json_wanted


def test_both_can_be_sent() -> None:
    def answer(request: Request, response: Response) -> None:
        error = raised(lambda: int("\udcff<x>"))
        if prefers_json(request.header("accept")):
            response.status = 503
            response.json(failure_json(error, 503, request.id, request.method, request.target))
        response.send_error_page(500, failure_page(error, 500, request.id, request.method, request.target))

    with serving(answer) as server:
        page = get(server, "/caf%C3%A9?a=1&b=2")
        told = get(server, "/caf%C3%A9?a=1&b=2", "Accept: application/json")
    assert (page.status, page["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "GET /caf%C3%A9?a=1&amp;b=2" in page.body.decode()
    assert (told.status, told["Content-Type"]) == (503, "application/json")
    assert json.loads(told.body)["target"] == "/caf%C3%A9?a=1&b=2"


def test_nothing_is_loaded_by_the_page(tmp_path: Path) -> None:
    page = failure_page(run(compiled(TWENTY, tmp_path / "shop.py")), 500, "abc-1", "GET", "/")
    assert not re.search(r"https?:|url\(|<script|@import", page)


@pytest.mark.parametrize(
    "name",
    ["pwd", "db_passwd", "auth", "DSN", "session_id", "jwt", "csrf", "otp", "totp_code", "aws_access_key", "bearer"],
)
def test_more_names_of_secrets(name: str) -> None:
    values = Values(time.monotonic() + 10)
    assert values.short(name, "hunter2") == HIDDEN
    assert "hunter2" not in values.short("data", {name: "hunter2"})
    assert "hunter2" not in values.short("text", f"{name}=hunter2&x=1")


@pytest.mark.parametrize("name", ["author", "authors", "footprint", "option", "key", "passenger_count_"])
def test_names_that_only_sound_like_secrets(name: str) -> None:
    assert Values(time.monotonic() + 10).short(name, "soup") == "'soup'"


@pytest.mark.parametrize(
    "text", ["postgres://me:hunter2@db/x", "redis://:hun@ter2@h:1", "amqp://u:hunter2" + "x" * 300]
)
def test_passwords_of_urls_are_hidden(text: str) -> None:
    shown = Values(time.monotonic() + 10).short("url", text)
    assert "hunter2" not in shown and "ter2" not in shown and HIDDEN in shown
    assert Values(time.monotonic() + 10).short("url", "http://host:80/x@y") == "'http://host:80/x@y'"


def test_messages_and_targets_have_no_secrets() -> None:
    word = "retnuh"[::-1]  # the page shows these lines

    def fails() -> None:
        error = ValueError(f"cannot connect to db://me:{word}2@host, pwd={word}3, port=5")
        error.add_note(f"token: {word}4")
        raise error

    error = raised(fails)
    target = f"/login?password={word}5&a=1"
    page = page_of(error, target).text
    told = json.dumps(failure_json(error, 500, "abc-1", "GET", target))
    for text in (page, told):
        assert not re.search(f"{word}[2-5]", text)
        assert "port=5" in text and "&a=1" in text
    assert f"GET /login?password={HIDDEN}&a=1" in page
    (first,) = describe(error)
    assert first.message == f"cannot connect to db://me:{HIDDEN}@host, pwd={HIDDEN}, port=5"
    assert first.notes == (f"token: {HIDDEN}",)
