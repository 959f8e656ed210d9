"""What can be served: every form of APP, and one line about each that cannot."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import fill
from web import get

from greenbas.app import load
from greenbas.application import Application
from greenbas.errors import StartError
from greenbas.server import Server
from greenbas.vfs import Directory

APP = """
from greenbas import Server, create
from greenbas.io import MemoryIo

server = Server()
other = Server(idle_timeout=3)

@server.directory("hello")
def hello(request, response):
    return f"hello {request.relpath}"

class Handlers:
    def method(self, request, response):
        return f"method {request.relpath}"

handlers = Handlers()
folder = create.dir("named")
folder.set_func(lambda request, response: f"folder {request.relpath}")
number = 5
def no_handler(): ...
async def coroutine(request, response): ...
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application in the current folder; modules that a test imports are forgotten."""
    fill(
        tmp_path,
        {
            "hello.py": APP,
            "pack/__init__.py": "",
            "pack/inner.py": APP,
            "www/index.html": "index",
            "www/sub/a.txt": "a",
            "x=y/b.txt": "b",
        },
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def bodies(specs: list[str], *paths: str) -> list[str | int]:
    """The bodies of these paths, or their status unless it is 200."""
    server = load(specs)
    server.listen(0)
    server.start()
    try:
        answers = [get(server, path) for path in paths]
        return [answer.body.decode() if answer.status == 200 else answer.status for answer in answers]
    finally:
        server.stop(drain_timeout=0)


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["www"], {"/": "index", "/sub/a.txt": "a", "/missing": 404}),
        (["./www/"], {"/": "index"}),
        (["www/sub"], {"/a.txt": "a"}),
        (["."], {"/www/": "index", "/hello.py": 404}),
        ([], {}),
        (["x=y"], {"/b.txt": "b"}),
        (["p=www"], {"/p/": "index", "/p": 302, "/": 404}),
        (["/p/=www"], {"/p/sub/a.txt": "a"}),
        (["p/q=www"], {"/p/q/": "index", "/p/q": 302, "/p/": 404}),
        (["=www"], {"/": "index"}),
        (["p=x=y"], {"/p/b.txt": "b"}),
        (["p=www", "p=x=y"], {"/p/": "index", "/p/b.txt": "b"}),
        (["www", "p=x=y"], {"/": "index", "/p/b.txt": "b"}),
        (["hello:server"], {"/hello/1": "hello 1", "/x": 404}),
        (["pack.inner:server"], {"/hello/1": "hello 1"}),
        (["hello:hello"], {"/1": "hello 1", "/": "hello "}),
        (["hello:handlers.method"], {"/1/2": "method 1/2"}),
        (["hello:folder"], {"/named/1": "folder 1", "/1": 404}),
        (["p=hello:hello"], {"/p": "hello ", "/p/1": "hello 1", "/1": 404}),
        (["p/q=hello:hello"], {"/p/q": "hello ", "/p/q/1": "hello 1"}),
        (["p/q=hello:folder"], {"/p/q/named/1": "folder 1"}),
        (["www", "hello:server"], {"/": "index", "/hello/1": "hello 1"}),
        (["hello:server", "www"], {"/": "index", "/hello/1": "hello 1"}),
        (["www", "api=hello:hello", "x=y"], {"/": "index", "/api/1": "hello 1", "/b.txt": "b"}),
        (["hello:hello", "hello:handlers.method"], {"/1": "hello 1"}),
        (["p=hello:hello", "p/q=www"], {"/p/q/": "hello q/"}),
        (["p/q=hello:hello", "p=www"], {"/p/q/1": "hello 1", "/p/": "index"}),
    ],
)
def test_what_can_be_served(specs: list[str], expected: dict[str, str | int]) -> None:
    assert dict(zip(expected, bodies(specs, *expected), strict=True)) == expected


def test_folders_are_applications() -> None:
    (reader,) = load(["www"]).root.children
    assert isinstance(reader, Application)
    assert reader.io().writable  # its pages may keep something there


def test_the_tree_is_no_deeper_than_asked_for() -> None:
    server = load(["p/q=www", "p/r=hello:hello", "p/s=hello:folder"])
    (place,) = server.root.children
    assert [repr(child) for child in place.children] == [
        "<Application 'q' priority 0>",
        "<Directory 'r' priority 0>",
        "<Directory 's' priority 0>",
    ]


def test_the_server_is_the_one_of_the_module() -> None:
    server = load(["www", "hello:other"])
    assert server is sys.modules["hello"].other
    assert server.settings.idle_timeout == 3


BROKEN = {
    "syntax.py": "x = 1\ndef f(:\n    pass\n",
    "missing.py": "import os\nimport nowhere\n",
    "outer.py": "import missing\n",
    "late.py": "def f():\n    return {}['key']\n\nf()\n",
    "library.py": "import json\njson.loads('{')\n",
    "lines.py": "raise ValueError('one\\n  two\\nthree')\n",
    "wordless.py": "assert False\n",
    "leaves.py": "import sys\nsys.exit(3)\n",
    "settings.py": "from greenbas import Server\nserver = Server(idel_timeout=3)\n",
    "folder.py": "from greenbas.io import DiskIo\nDiskIo('nowhere')\n",
    "handler.py": "from greenbas import Server\nserver = Server()\n@server.directory\ndef f(request, response): ...\n",
    "string.py2": "",
    "evaluates.py": "eval('1 +')\n",
    "pack/bad.py": "1 / 0\n",
    "site.py": "server = 5\n",
    "only_a_file.py": "",
}


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        (["nowhere"], "nowhere: no such folder, and not of the form module:name"),
        (["p=nowhere"], "nowhere: no such folder, and not of the form module:name"),
        (["nowhere/"], "nowhere/: no such folder, and not of the form module:name"),
        ([""], ": no such folder, and not of the form module:name"),
        (["hello.py2"], "hello.py2: no such folder, and not of the form module:name"),
        ([":x"], ":x: no such folder, and not of the form module:name"),
        (["hello:"], "hello:: no such folder, and not of the form module:name; did you mean hello:server?"),
        (["hello"], "hello: no such folder, and not of the form module:name; did you mean hello:server?"),
        (["hello.py"], "hello.py: no such folder, and not of the form module:name; did you mean hello:server?"),
        (["./hello.py"], "./hello.py: no such folder, and not of the form module:name; did you mean hello:server?"),
        (["hello.py:other"], "hello.py:other: no such folder, .*; did you mean hello:other?"),
        (["./hello:other"], "./hello:other: no such folder, .*; did you mean hello:other?"),
        (["pack/inner.py"], "pack/inner.py: no such folder, .*; did you mean pack.inner:server?"),
        (["pack/inner:x"], "pack/inner:x: no such folder, .*; did you mean pack.inner:x?"),
        (["pack.inner"], "pack.inner: no such folder, .*; did you mean pack.inner:server?"),
        (["../up:x"], "../up:x: no such folder, and not of the form module:name"),
        (["..up:x"], "..up:x: no such folder, and not of the form module:name"),
        (["a b:x"], "a b:x: no such folder, and not of the form module:name"),
        (["nomodule:x"], "nomodule: no such module here or on the Python path"),
        (["pack.none:x"], "pack.none: no such module here or on the Python path"),
        (["hello.deeper:x"], "hello.deeper: no such module here or on the Python path"),
        (["hello:nothing"], "hello:nothing: hello ({here}/hello.py) has no 'nothing'"),
        (["hello:handlers.nothing"], "hello:handlers.nothing: hello ({here}/hello.py) has no 'nothing'"),
        (["sys:nothing"], "sys:nothing: sys (built in) has no 'nothing'"),
        (["hello:number"], "hello:number is 5: it must be a Server, a Directory, a handler or a WSGI application"),
        (["hello:Handlers"], "hello:Handlers is <class 'hello.Handlers'>: it must be a Server, .*"),
        (["greenbas:Server"], "greenbas:Server is <class 'greenbas.server.Server'>: it must be a Server, .*"),
        (["hello:no_handler"], "hello:no_handler: a directory function is called with (request, response); .*"),
        (["hello:coroutine"], "hello:coroutine: .* is async: write a plain function, it may block"),
        (["hello:server", "hello:other"], "2 of the applications are Servers: serve one, .*"),
        (["hello:server", "hello:server"], "2 of the applications are Servers: serve one, .*"),
        (["p=hello:server"], "p=hello:server: a Server cannot have a prefix or a priority"),
        (["../x=www"], "../x=www: directory name '..': .*"),
        (["hello:folder", "hello:folder"], "hello:folder: <Directory 'named' .*> is inserted at /named/: .*"),
        (["syntax:x"], "syntax: {here}/syntax.py line 2: invalid syntax"),
        (["missing:x"], "missing: {here}/missing.py line 2: ModuleNotFoundError: No module named 'nowhere'"),
        (["outer:x"], "outer: {here}/missing.py line 2: ModuleNotFoundError: .*"),
        (["late:x"], "late: {here}/late.py line 2: KeyError: 'key'"),
        (["library:x"], "library: {here}/library.py line 2: JSONDecodeError: .*"),
        (["lines:x"], "lines: {here}/lines.py line 1: ValueError: one two three"),
        (["wordless:x"], "wordless: {here}/wordless.py line 1: AssertionError"),
        (["leaves:x"], "leaves: {here}/leaves.py line 2: SystemExit: 3"),
        (["settings:server"], "settings: {here}/settings.py line 2: SettingError: .*did you mean 'idle_timeout'?"),
        (["folder:x"], "folder: {here}/folder.py line 2: StartError: 'nowhere' is no directory; .*"),
        (["handler:server"], "handler: {here}/handler.py line 3: TypeError: write @server.directory() .*"),
        (["evaluates:x"], "evaluates: {here}/evaluates.py line 1: SyntaxError: .*"),
        (["pack.bad:x"], "pack.bad: {here}/pack/bad.py line 1: ZeroDivisionError: division by zero"),
        (["site:server"], "site:server: site (.*/site.py) has no 'server'"),
    ],
    ids=lambda value: " ".join(value) or "empty" if isinstance(value, list) else "",
)
def test_what_cannot_be_served(here: Path, specs: list[str], words: str) -> None:
    fill(here, BROKEN)
    with pytest.raises(StartError) as caught:
        load(specs)
    # ".*" stands for anything, everything else for itself.
    pattern = ".*".join(re.escape(part) for part in words.format(here=here).split(".*"))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)


def test_nothing_is_installed_twice_when_a_later_one_fails() -> None:
    with pytest.raises(StartError):
        load(["hello:folder", "nowhere"])
    made = sys.modules["hello"].folder
    assert isinstance(made, Directory)
    assert made.parent is None


def test_the_current_folder_comes_before_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = here / "other"
    fill(other, {"which.py": "from greenbas import Server\nserver = Server(idle_timeout=1)\n"})
    fill(here, {"which.py": "from greenbas import Server\nserver = Server(idle_timeout=2)\n"})
    monkeypatch.setattr(sys, "path", [str(other), *(path for path in sys.path if path not in ("", str(here)))])
    assert load(["which:server"]).settings.idle_timeout == 2


def test_an_empty_list_is_an_empty_server() -> None:
    server = load([])
    assert isinstance(server, Server)
    assert server.root.children == []
