"""greenbas.toml: what it may say, what is wrong with it in one line, and who wins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import GREENBAS, called, fill, running, working_in
from launch import free_port
from web import ask, get

from greenbas import cli, plugin
from greenbas.config import Config, ServerTable, find, read
from greenbas.errors import SettingError, StartError
from greenbas.http import HttpSettings
from greenbas.io import Io
from greenbas.mounts import install_mounts
from greenbas.plugin import Plugin
from greenbas.vfs import Directory

APP = """
from greenbas import Server, create
from greenbas.vfs import Directory

server = Server(idle_timeout=7, head_timeout=8)

@server.directory("hello")
def hello(request, response):
    return f"hello {request.relpath}"

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"wsgi"]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with an application and a folder; no plugin is known, imported modules are forgotten."""
    monkeypatch.setattr(plugin, "_all", plugin.Plugins())
    files = {"app.py": APP, "www/index.html": "index", "www/404.html": "none", "sub/own.py": APP}
    with working_in(tmp_path, files, monkeypatch):
        yield tmp_path


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Settings of the plugin of these tests."""

    number: int = 1
    words: tuple[str, ...] = ()
    password: str = field(default="", repr=False)


class Box(Directory):
    """Tells how it was made."""

    def __init__(
        self, name: str | None = "box", *, io: Io | None = None, size: float = 1.0, tags: tuple[str, ...] = (),
        priority: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(name, priority=priority)
        self.io, self.size, self.tags = io, size, tags
        self.set_func(lambda request, response: f"box {size!r} {tags!r} {request.relpath}")


def strict(shape: str) -> Directory:
    """A kind that takes no name."""
    if shape != "round":
        raise ValueError(f"shape {shape!r}: use 'round'")
    made = Directory()
    made.set_func(lambda request, response: shape)
    return made


def free(**options: Any) -> Directory:
    """A kind that takes anything."""
    made = Directory(options.get("name"))
    made.set_func(lambda request, response: str(sorted(options)))
    return made


def failing() -> Directory:
    """A kind whose code fails."""
    raise RuntimeError("no luck")


def register() -> None:
    """The plugin of these tests."""
    kinds: dict[str, Any] = {"box": Box, "strict": strict, "free": free, "wrong": lambda: 5, "failing": failing}
    plugin.register(Plugin(name="boxes", summary="boxes of all sorts", kinds=kinds, settings=Knobs))


def section(out: str, name: str) -> list[str]:
    """The lines of one section of what ``greenbas check`` prints."""
    found = re.search(rf"^{name}.*\n((?:  .*\n)*)", out, re.MULTILINE)
    assert found is not None, out
    return [line.strip() for line in found[1].splitlines()]


# -- the file -----------------------------------------------------------------------------------------------------


def test_everything_that_a_file_may_say(here: Path) -> None:
    fill(
        here,
        {
            "greenbas.toml": """
            [server]
            host = ""
            port = 80
            port_range = 90
            log = "json"

            [http]
            idle_timeout = 20
            trusted_proxies = ["127.0.0.1", "unix"]
            dev = true

            [[app]]
            path = "www"

            [[app]]
            path = "app:server"
            prefix = "shop"
            priority = 3

            [[mount]]
            kind = "box"
            prefix = "ops/status"
            size = 2

            [plugin.boxes]
            number = 3
            """
        },
    )
    config = find(None)
    assert config is not None
    assert config == read("greenbas.toml")
    assert config.server == {"host": "", "port": 80, "port_range": 90, "log": "json"}
    assert config.http == {"idle_timeout": 20.0, "trusted_proxies": ("127.0.0.1", "unix"), "dev": True}
    specs = [(one.place, one.prefix, one.priority) for one in config.specs()]
    assert specs == [("www", "", 0), ("app:server", "shop", 3)]
    (mount,) = config.mounts
    assert (mount.kind, mount.prefix, mount.options, mount.number) == ("box", "ops/status", {"size": 2}, 1)
    assert config.plugins == {"boxes": {"number": 3}}


def test_no_file(here: Path) -> None:
    assert find(None) is None
    with pytest.raises(StartError, match=r"^missing.toml: No such file or directory$"):
        find("missing.toml")
    with pytest.raises(StartError, match=r"^www: Is a directory$"):
        find("www")


def test_an_empty_file_says_nothing(here: Path) -> None:
    fill(here, {"greenbas.toml": ""})
    assert find(None) == Config(file=Path("greenbas.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[http\n", "greenbas.toml line 1: Expected ']' at the end of a table declaration"),
        ("\n\n[http]\nx = \n", "greenbas.toml line 4: Invalid value"),
        ("[http]\n[http]\n", "greenbas.toml line 2: Cannot declare ('http',) twice"),
        ("x = '", "greenbas.toml: .*end of document.*"),
        ("[htp]\n", "greenbas.toml: unknown table 'htp'; did you mean 'http'?"),
        ("[apps]\n", "greenbas.toml: unknown table 'apps'; did you mean 'app'?"),
        ("port = 3\n", "greenbas.toml: unknown table 'port'; there are server, http, app, mount, plugin, .*"),
        ("http = 3\n", "greenbas.toml: [http] 3 is not a table"),
        ("[[http]]\n", "greenbas.toml: [http] [{}] is not a table"),
        ("[app]\npath = 'www'\n", "greenbas.toml: [app] is an array of tables: write [[app]]"),
        ("mount = [3]\n", "greenbas.toml: [[mount]] 1: 3 is not a table"),
        (
            "[http]\nidle_timout = 3\n",
            "greenbas.toml: [http] unknown setting 'idle_timout'; did you mean 'idle_timeout'?",
        ),
        ("[http]\nidle_timeout = 'x'\n", "greenbas.toml: [http] idle_timeout: 'x' is not a number"),
        ("[http]\nidle_timeout = -1\n", "greenbas.toml: [http] idle_timeout: -1.0 must be more than zero"),
        ("[http]\nmax_fields = 1.5\n", "greenbas.toml: [http] max_fields: 1.5 is not a whole number"),
        ("[http]\ndev = 1\n", "greenbas.toml: [http] dev: 1 is neither True nor False"),
        ("[http]\ntrusted_proxies = ['x']\n", "greenbas.toml: [http] trusted proxy 'x': .*"),
        ("[http]\ntrusted_proxies = 'x'\n", "greenbas.toml: [http] trusted_proxies: 'x' is not an array"),
        ("[server]\nprot = 3\n", "greenbas.toml: [server] unknown setting 'prot'; did you mean 'port'?"),
        ("[server]\nport = '3'\n", "greenbas.toml: [server] port: '3' is not a whole number"),
        ("[server]\nport = -1\n", "greenbas.toml: [server] port: -1 is no port: use 0 to 65535"),
        ("[server]\nport = 65536\n", "greenbas.toml: [server] port: 65536 is no port: use 0 to 65535"),
        ("[server]\nport_range = 70000\n", "greenbas.toml: [server] port_range: 70000 is no port: use 0 to 65535"),
        ("[server]\nhost = 'a\\u0000'\n".replace("'", '"'), "greenbas.toml: [server] host: 'a\\x00' holds a NUL: .*"),
        (
            f"[http]\nhead_timeout = 1{'0' * 400}\n",
            "greenbas.toml: [http] head_timeout: the number has 1,329 bits: TOML has whole numbers of 64",
        ),
        (f"[server]\nlog = [0x{'f' * 5000}]\n", "greenbas.toml: [server] log: this list is none of text, json, none"),
        (f"[http]\nhead_timeout = {'1' * 5000}\n", "greenbas.toml: a value that cannot be read: .*4300 digits.*"),
        (f"x = {'[' * 5000}{']' * 5000}\n", "greenbas.toml: its arrays or tables are nested too deeply"),
        ("[server]\nhost = 3\n", "greenbas.toml: [server] host: 3 is not a text"),
        ("[server]\nlog = 'xml'\n", "greenbas.toml: [server] log: 'xml' is none of text, json, none"),
        ("[server]\nport_range = 80\n", "greenbas.toml: [server] port_range 80 is below port 9357"),
        ("[[app]]\npath='a'\n[[app]]\n", "greenbas.toml: [[app]] 2: 'path' is missing"),
        ("[[app]]\npath='a'\nprefx='b'\n", "greenbas.toml: [[app]] 1: unknown setting 'prefx'; did you mean 'prefix'?"),
        ("[[app]]\npath = 3\n", "greenbas.toml: [[app]] 1: path: 3 is not a text"),
        ("[[mount]]\nprefix = 'a'\n", "greenbas.toml: [[mount]] 1: 'kind' is missing"),
        ("[[mount]]\nkind = 3\n", "greenbas.toml: [[mount]] 1: kind: 3 is not a text"),
        ("[[mount]]\nkind='box'\nname='a'\n", "greenbas.toml: [[mount]] 1: the name is the last segment of prefix: .*"),
        ("[plugin]\nboxes = 3\n", "greenbas.toml: [plugin] boxes = 3 is no table of a plugin: write [plugin.boxes]"),
    ],
)
def test_a_file_that_is_wrong(here: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    fill(here, {"greenbas.toml": text})
    with pytest.raises(SettingError) as caught:
        read("greenbas.toml")
    pattern = ".*".join(re.escape(part) for part in words.split(".*"))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
    for command in ("check", "serve"):
        assert called(capsys, command) == (1, "", f"greenbas: {caught.value}\n")


def test_a_file_that_is_no_text(here: Path) -> None:
    (here / "greenbas.toml").write_bytes(b"[server]\nhost = '\xff'\n")
    with pytest.raises(SettingError, match=r"^greenbas.toml: not UTF-8: invalid start byte at byte 17$"):
        find(None)


def test_a_file_with_a_byte_order_mark(here: Path) -> None:
    (here / "greenbas.toml").write_bytes(b"\xef\xbb\xbf[server]\nport = 8000\n")
    assert read("greenbas.toml").server == {"port": 8000}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[plugin.boxs]\n", "[plugin.boxs] there is no plugin 'boxs'; did you mean 'boxes'?"),
        ("[plugin.boxes]\nnumbr = 3\n", "[plugin.boxes] unknown setting 'numbr'; did you mean 'number'?"),
        ("[plugin.boxes]\nnumber = 'x'\n", "[plugin.boxes] number: 'x' is not a whole number"),
        ("[[mount]]\nkind='bxo'\n", "[[mount]] 1 (bxo): unknown kind: there is no create.bxo; did you mean 'box'?"),
        ("[[mount]]\nkind='box'\nsiz=3\n", "[[mount]] 1 (box): unknown setting 'siz'; did you mean 'size'?"),
        ("[[mount]]\nkind='box'\nsize='x'\n", "[[mount]] 1 (box): size: 'x' is not a number"),
        ("[[mount]]\nkind='box'\ntags=3\n", "[[mount]] 1 (box): tags: 3 is not an array"),
        ("[[mount]]\nkind='box'\nio='gone'\n", "[[mount]] 1 (box): 'gone' is no directory; .*"),
        ("[[mount]]\nkind='box'\npriority=200\n", "[[mount]] 1 (box): priority 200: use -128 to 127"),
        ("[[mount]]\nkind='box'\nprefix='a/../b'\n", "[[mount]] 1 (box): directory name '..': .*"),
        ("[[mount]]\nkind='strict'\n", "[[mount]] 1 (strict): 'shape' is missing"),
        ("[[mount]]\nkind='strict'\nshape='flat'\n", "[[mount]] 1 (strict): shape 'flat': use 'round'"),
        ("[[mount]]\nkind='wrong'\n", "[[mount]] 1 (wrong): it made 5, which is no Directory"),
        ("[[mount]]\nkind='wsgi'\napp='app'\n", "[[mount]] 1 (wsgi): app: 'app' is not of the form module:name"),
        ("[[mount]]\nkind='wsgi'\napp='app:gone'\n", "[[mount]] 1 (wsgi): app: app:gone: .*has no attribute 'gone'"),
        ("[[mount]]\nkind='wsgi'\napp=3\n", "[[mount]] 1 (wsgi): a WSGI application is callable .*"),
        (
            "[[mount]]\nkind='wsgi'\napp='site_errors:handler'\n",
            "[[mount]] 1 (wsgi): <function handler .*> is a handler for greenbas, called with (request, response), and "
            "no WSGI application: serve it as a directory function, or in greenbas.toml as an [[app]] whose path is "
            "module:name",
        ),
        ("[[mount]]\nkind='wsgi'\napp='site_wrong:x'\n", "[[mount]] 1 (wsgi): app: site_wrong:x: .*ZeroDivision.*"),
        ("[[mount]]\nkind='failing'\n", "[[mount]] 1 (failing): .*test_config.py line .*: RuntimeError: no luck"),
        ("[[mount]]\nkind='resrdr'\n", "[[mount]] 1 (resrdr): 'io' is missing"),
        ("[[mount]]\nkind=''\n", "[[mount]] 1 (): unknown kind: there is no create."),
        ("[[mount]]\nkind='box'\n[[mount]]\nkind='x'\n", "[[mount]] 2 (x): unknown kind: there is no create.x"),
    ],
)
def test_what_only_plugins_and_kinds_know(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    register()
    modules = {"site_errors.py": "def handler(request, response):\n    pass\n", "site_wrong.py": "1 / 0\n"}
    fill(here, {"greenbas.toml": text, **modules})
    code, out, err = called(capsys, "check", "app:server")
    pattern = ".*".join(re.escape(part) for part in f"greenbas: greenbas.toml: {words}\n".split(".*"))
    assert re.fullmatch(pattern, err), err
    assert (code, out) == (1, "")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("path='gone'", "gone: no such folder, and not of the form module:name"),
        ("path='site_wrong:x'", "site_wrong: .*site_wrong.py line 1: ZeroDivisionError: division by zero"),
        ("path='app:gone'", "app:gone: app (.*app.py) has no 'gone'"),
        ("path='app:server'\nprefix='a'", "app:server: a Server cannot have a prefix or a priority"),
        ("path='www'\npriority=300", "www: priority 300: use -128 to 127"),
        ("path='script'", ".*script: .preload.py is a folder: it has to be the start script; modules go into .*"),
        ("path='failing'", ".*failing: .*.preload.py line 1: ZeroDivisionError: division by zero"),
    ],
)
def test_errors_of_an_app_name_file_and_number(
    here: Path, capsys: pytest.CaptureFixture[str], table: str, words: str
) -> None:
    fill(here, {"greenbas.toml": f"[[app]]\npath='www'\nprefix='x'\n[[app]]\n{table}\n", "site_wrong.py": "1 / 0\n"})
    fill(here, {"script/.preload.py/x.py": "", "failing/.preload.py": "1 / 0\n"})
    code, out, err = called(capsys, "check")
    pattern = ".*".join(re.escape(part) for part in f"greenbas: greenbas.toml: [[app]] 2: {words}\n".split(".*"))
    assert re.fullmatch(pattern, err), err
    assert (code, out) == (1, "")


# -- what is served -----------------------------------------------------------------------------------------------


def test_applications_and_mounts(here: Path) -> None:
    text = """
    [server]
    port = 0
    log = "none"
    [[app]]
    path = "app:server"
    [[app]]
    path = "www"
    prefix = "files"
    [[mount]]
    kind = "wsgi"
    app = "app:wsgi"
    prefix = "/old/shop/"
    [[mount]]
    kind = "domainresrdr"
    domain = "docs.example"
    io = "www"
    page404 = "404.html"
    priority = 1
    """
    fill(here, {"greenbas.toml": text})
    with running(here, [*GREENBAS, "serve"]) as server:
        assert get(server.port, "/hello/a").body == b"hello a"
        assert get(server.port, "/files/").body == b"index"
        assert get(server.port, "/old/shop/x").body == b"wsgi"
        assert get(server.port, "/").status == 404
        answer = ask(server.port, "GET /nothing HTTP/1.1\nHost: docs.example\n\n")
        assert (answer.status, answer.body) == (404, b"none")
        assert server.stop() == 0
        assert server.err == ""


def test_a_status_page_without_a_prefix_is_not_the_whole_site(here: Path) -> None:
    fill(here, {"greenbas.toml": "[[mount]]\nkind='statuspage'\n[plugin.statuspage]\nhosts=['x']\n"})
    with running(here, [*GREENBAS, "serve", "--port", "0"]) as server:
        assert get(server.port, "/").status == 404
        assert get(server.port, "/status/status.json").status == 200


def test_mounts_in_the_tree(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    text = """
    [[mount]]
    kind = "box"
    [[mount]]
    kind = "box"
    prefix = "/"
    [[mount]]
    kind = "box"
    prefix = "ops/one"
    priority = 5
    [[mount]]
    kind = "box"
    prefix = "ops/two"
    priority = 5
    [[mount]]
    kind = "strict"
    prefix = "ops"
    shape = "round"
    [[mount]]
    kind = "free"
    prefix = "any"
    thing = 3
    """
    fill(here, {"greenbas.toml": text})
    code, out, err = called(capsys, "check")
    assert (code, err) == (0, "")
    tree = out[out.index("directories") : out.index("settings")].splitlines()[1:]
    assert [line.split(" function")[0] for line in tree] == [
        "  /  Directory",
        "    /ops/  Directory priority 5",
        "      /ops/one/  Box priority 5",
        "      /ops/two/  Box priority 5",
        "    /box/  Box",
        "    /  Box",
        "    /ops/  Directory",
        "      /ops/  Directory",
        "    /any/  Directory",
    ]


def test_arguments_of_a_mount(here: Path) -> None:
    register()
    fill(here, {"sub/greenbas.toml": "[[mount]]\nkind='box'\nprefix='a'\nio='../www'\nsize=2\ntags=['x']\n"})
    root = Directory()
    (made,) = install_mounts(root, read("sub/greenbas.toml"))
    assert isinstance(made, Box)
    assert (made.name(), made.size, made.tags) == ("a", 2.0, ("x",))
    assert made.io is not None
    assert made.io.real_path("") == str(here / "www")
    assert type(made.size) is float


def test_paths_and_modules_are_those_beside_the_file(here: Path) -> None:
    apps = "[[app]]\npath='own:server'\n[[app]]\npath='../www'\nprefix='w'\n"
    fill(here, {"sub/greenbas.toml": f"[server]\nport=0\n{apps}"})
    with running(here, [*GREENBAS, "serve", "--config", "sub/greenbas.toml"]) as server:
        assert get(server.port, "/hello/x").body == b"hello x"
        assert get(server.port, "/w/").body == b"index"


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("[[app]]\npath='www'\n", [], ["www  from greenbas.toml"]),
        ("[[app]]\npath='www'\nprefix='/a/b/'\npriority=2\n", [], ["www below /a/b/ priority 2  from greenbas.toml"]),
        (
            "[[app]]\npath='www'\n",
            ["app:server", "x=app:hello"],
            ["app:server  from the command line", "app:hello below /x/  from the command line"],
        ),
        ("[http]\ndev=true\n", ["www"], ["www  from the command line"]),
        ("[[mount]]\nkind='box'\n", [], []),
    ],
)
def test_which_applications(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], expected: list[str]
) -> None:
    register()
    fill(here, {"greenbas.toml": text})
    code, out, err = called(capsys, "check", *arguments)
    assert (code, err) == (0, "")
    assert section(out, "applications") == expected
    assert section(out, "mounts") == (["box at /box/  from greenbas.toml"] if "mount" in text else [])


def test_a_file_that_names_nothing_to_serve(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"greenbas.toml": "[http]\nidle_timeout = 3\n"})
    words = "greenbas: greenbas.toml: nothing to serve: add an [[app]] or a [[mount]], or name an APP\n"
    assert called(capsys, "serve") == (1, "", words)


@pytest.mark.parametrize("app", [".", "x=.", "up:server"])
def test_the_file_itself_is_not_served(here: Path, capsys: pytest.CaptureFixture[str], app: str) -> None:
    made = "from greenbas import Server, create\nfrom greenbas.io import DiskIo\nserver = Server()\n"
    fill(here, {"up.py": f"{made}server.insert(create.resrdr(DiskIo('..'), name='up'))\n"})
    fill(here, {"greenbas.toml": "", ".conf/greenbas.toml": "", "www/.greenbas.toml": ""})
    code, out, err = called(capsys, "check", app)
    assert (code, out) == (1, "")
    root = here.parent if app == "up:server" else here
    assert err.startswith(f"greenbas: greenbas.toml is in the folder {root}, which is served: serve a folder below it")
    assert called(capsys, "check", "www")[0] == 0
    for hidden in (".conf/greenbas.toml", "www/.greenbas.toml"):
        assert called(capsys, "check", app, "www", "--config", hidden)[0] == 0


# -- who wins -----------------------------------------------------------------------------------------------------

WINNERS = "[http]\nhead_timeout = 3\nidle_timeout = 4\n[[app]]\npath = 'app:server'\n"


def test_origins_of_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"greenbas.toml": WINNERS})
    code, out, err = called(capsys, "check", "--set", "idle_timeout=5", "--dev")
    assert (code, err) == (0, "")
    lines = section(out, "settings")
    assert [line.split()[0] for line in lines] == list(HttpSettings.__dataclass_fields__)
    assert "head_timeout = 3.0  (default 15.0)  from greenbas.toml" in lines
    assert "idle_timeout = 5  (default 60.0)  from --set" in lines
    assert "dev = True  (default False)  from --dev" in lines
    assert "body_grace = 10.0" in lines


def test_the_file_wins_over_the_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"greenbas.toml": "[http]\nidle_timeout = 60\n[[app]]\npath = 'app:server'\n"})
    lines = section(called(capsys, "check")[1], "settings")
    assert "idle_timeout = 60.0  from greenbas.toml" in lines  # the default, but the Server in code said 7
    assert "head_timeout = 8  (default 15.0)  from the Server in code" in lines


def test_origins_of_the_listener(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"greenbas.toml": "[server]\nport = 9357\nlog = 'json'\n[[app]]\npath = 'www'\n"})
    assert section(called(capsys, "check")[1], "server") == [
        "host = '127.0.0.1'",
        "port = 9357  from greenbas.toml",
        "port_range = None",
        "tls_port = None",
        "tls_port_range = None",
        "cert = ()",
        "key = ()",
        "log = 'json'  (default 'text')  from greenbas.toml",
    ]


def test_without_a_file_nothing_is_said_about_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = called(capsys, "check", "app:server")
    assert "from" not in out
    assert out.startswith("directories")


@pytest.mark.parametrize(
    ("in_file", "typed", "expected"),
    [
        ({}, {}, ServerTable()),
        ({"host": "", "port": 1, "port_range": 5}, {}, ServerTable(host="", port=1, port_range=5)),
        ({"log": "json"}, {}, ServerTable(log="json")),
        ({"port": 1, "log": "json"}, {"port": 2, "log": "none"}, ServerTable(port=2, log="none")),
        ({"port": 1, "port_range": 5}, {"port": 9}, ServerTable(port=9)),
        ({"port": 1, "port_range": 5}, {"port_range": 7}, ServerTable(port=1, port_range=7)),
        ({"port": 1}, {"port": 0, "host": ""}, ServerTable(host="", port=0)),
    ],
)
def test_the_command_line_wins(
    monkeypatch: pytest.MonkeyPatch, here: Path, in_file: dict[str, Any], typed: dict[str, Any], expected: ServerTable
) -> None:
    text = "".join(f"{name} = {value!r}\n" for name, value in in_file.items())
    fill(here, {"greenbas.toml": f"[server]\n{text}[[app]]\npath = 'www'\n"})
    seen: list[Any] = []
    monkeypatch.setattr(cli, "_listen", lambda server, *where: seen.extend(where))
    monkeypatch.setattr("greenbas.server.Server.serve_forever", lambda server, log: seen.append(log))
    options = [word for name, value in typed.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with pytest.raises(SystemExit) as caught:
        cli.main(["serve", *options])
    assert caught.value.code == 0
    last = expected.port if expected.port_range is None else expected.port_range
    assert seen == [expected.host, expected.port, last, expected.log]


def test_the_file_says_where_to_listen(here: Path) -> None:
    port = free_port()
    server_table = f"[server]\nport = {port}\nlog = 'none'\n"
    fill(here, {"greenbas.toml": f"{server_table}[http]\nserver_name='x'\n[[app]]\npath='www'\n"})
    with running(here, [*GREENBAS, "serve"]) as server:
        assert server.port == port
        assert get(port, "/")["server"] == "x"
        assert server.stop() == 0
        assert server.err == ""


def test_plugins_with_their_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    text = "[plugin.boxes]\nnumber = 3\npassword = 'topsecret'\n[[mount]]\nkind = 'box'\n"
    fill(here, {"greenbas.toml": text})
    code, out, err = called(capsys, "check")
    assert (code, err) == (0, "")
    assert section(out, "plugins") == [
        "boxes (registered by a program)",
        "number = 3  (default 1)  from greenbas.toml",
        "words = ()",
        "password = (secret)  from greenbas.toml",
    ]
    assert "topsecret" not in out
    assert plugin.settings("boxes") == Knobs(number=3, password="topsecret")


def test_a_plugin_that_an_application_registers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = (
        "from greenbas import Server\nfrom greenbas.plugin import Plugin, register\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass S:\n    number: int = 1\nregister(Plugin(name='own', settings=S))\nserver = Server()\n"
    )
    fill(
        here, {"own_plugin.py": source, "greenbas.toml": "[[app]]\npath='own_plugin:server'\n[plugin.own]\nnumber=3\n"}
    )
    assert section(called(capsys, "check")[1], "plugins") == [
        "own (registered by a program)",
        "number = 3  (default 1)  from greenbas.toml",
    ]


def test_a_plugin_that_is_only_used_is_shown_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    fill(here, {"uses.py": "from greenbas import Server, create\nserver = Server()\nserver.insert(create.box('x'))\n"})
    assert section(called(capsys, "check", "uses:server")[1], "plugins") == [
        "boxes (registered by a program)",
        "number = 1",
        "words = ()",
        "password = (secret)",
    ]
