"""Tables of plugins in greenbas.toml, such as [[proxy]]: mounts of one kind; what is wrong with them in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import GREENBAS, called, fill, running, working_in
from packages import lay_out
from proxies import OK, answering, field
from scripted import Conversation, scripted
from support import wait_until
from web import Client, get, head, serving

from greenbas import plugin
from greenbas.config import read
from greenbas.errors import SettingError
from greenbas.mounts import install_mounts
from greenbas.plugin import Plugin
from greenbas.vfs import Directory
from greenbas_plugins.proxy.redirector import Redirector

APP = "from greenbas import Server\nserver = Server()\n"
HOOKS = """
def rewrite(request, out):
    out.headers.set("X-Hook", request.relpath)

def modify_response(request, found):
    found.headers.set("X-Seen", "yes")

def on_error(request, response, failure):
    response.set_status(failure.status)
    response.write(f"sorry {failure.status}")
    return True

number = 5
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; no plugin is known, imported modules are forgotten."""
    monkeypatch.setattr(plugin, "_all", plugin.Plugins())
    with working_in(tmp_path, {"site_app.py": APP, "hooks.py": HOOKS, "www/index.html": "index"}, monkeypatch):
        yield tmp_path


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Settings that each box may have of its own."""

    size: float = 1.0
    tags: tuple[str, ...] = ()


def box(name: str | None = "box", *, priority: int = 0, shape: str = "round", **settings: Any) -> Directory:
    """A kind that takes the settings of its plugin."""
    made = Directory(name, priority=priority)
    made.set_func(lambda request, response: f"{shape} {sorted(settings.items())} {request.relpath}")
    return made


def bag(**anything: Any) -> Directory:
    """A kind that takes whatever there is."""
    made = Directory(anything.get("name"))
    made.set_func(lambda request, response: str(sorted(anything)))
    return made


def register() -> None:
    """The plugin of these tests."""
    tables = {"boxes": "box", "bags": "bag"}
    plugin.register(Plugin(name="store", kinds={"box": box, "bag": bag}, tables=tables, settings=Knobs))


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``greenbas check`` says about the file that is wrong."""
    code, out, err = called(capsys, "check", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("greenbas: greenbas.toml: ")
    return err.removeprefix("greenbas: greenbas.toml: ").removesuffix("\n")


def matches(words: str, said: str) -> bool:
    """Whether it says that, where ".*" stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, words.split(".*"))), said) is not None


# -- the file -----------------------------------------------------------------------------------------------------


def test_they_are_mounts(here: Path) -> None:
    text = """
    [[boxes]]
    prefix = "/a/b"
    size = 2
    [[mount]]
    kind = "box"
    [[boxes]]
    """
    fill(here, {"greenbas.toml": text})
    mounts = read("greenbas.toml").mounts
    assert [(one.table, one.number, one.kind, one.prefix, one.options) for one in mounts] == [
        ("boxes", 1, None, "/a/b", {"size": 2}),
        ("boxes", 2, None, "", {}),
        ("mount", 1, "box", "", {}),
    ]
    assert [str(one) for one in mounts] == ["[[boxes]] 1", "[[boxes]] 2", "[[mount]] 1 (box)"]


def test_in_the_tree_and_in_the_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    text = "[[boxes]]\nprefix='/a/b'\npriority=3\n[[boxes]]\n[[mount]]\nkind='box'\nprefix='c'\n[[boxes]]\nprefix='/'\n"
    fill(here, {"greenbas.toml": text})
    code, out, err = called(capsys, "check")
    assert (code, err) == (0, "")
    tree = out[out.index("mounts") : out.index("settings")].splitlines()
    assert [line.split(" function")[0] for line in tree] == [
        "mounts",
        "  boxes at /a/b/ priority 3  from greenbas.toml",
        "  boxes at /box/  from greenbas.toml",
        "  boxes at /  from greenbas.toml",
        "  box at /c/  from greenbas.toml",
        "directories, in the order in which they are asked",
        "  /  Directory",
        "    /a/  Directory priority 3",
        "      /a/b/  Directory priority 3",
        "    /box/  Directory",
        "    /  Directory",
        "    /c/  Directory",
    ]
    assert out.endswith("plugins\n  store (registered by a program)\n    size = 1.0\n    tags = ()\n")


def test_settings_of_the_plugin_for_one_of_them(here: Path) -> None:
    register()
    text = "[[boxes]]\nprefix='a'\nsize=2\ntags=['x']\n[[bags]]\nprefix='b'\nkind='c'\nwhatever=1\n"
    fill(here, {"greenbas.toml": text})
    with serving() as server:
        install_mounts(server.root, read("greenbas.toml"))
        assert get(server, "/a/x").body == b"round [('size', 2.0), ('tags', ('x',))] x"
        assert get(server, "/b/").body == b"['kind', 'name', 'whatever']"


def test_an_application_registers_the_plugin(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = (
        "from greenbas import Server\nfrom greenbas.plugin import Plugin, register\n"
        "from greenbas.vfs import Directory\nserver = Server()\n"
        "register(Plugin(name='own', kinds={'shelf': Directory}, tables={'shelves': 'shelf'}))\n"
    )
    text = "[[app]]\npath='registers:server'\n[[shelves]]\nprefix='books'\n"
    fill(here, {"registers.py": source, "greenbas.toml": text})
    code, out, err = called(capsys, "check")
    assert (code, err) == (0, "")
    assert "  shelves at /books/  from greenbas.toml\n" in out


def test_no_plugin_is_looked_for_without_such_a_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("plugins are looked for")

    monkeypatch.setattr("greenbas.registry.entry_points", fail)
    fill(here, {"greenbas.toml": "[http]\n[[app]]\npath='www'\n[[mount]]\nkind='dir'\n[plugin.x]\n"})
    install_mounts(Directory(), read("greenbas.toml"))


def test_a_plugins_own_table_needs_no_other_plugin(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    fill(here, {"greenbas.toml": "[[boxes]]\n"})
    looked: list[str] = []
    monkeypatch.setattr("greenbas.registry.entry_points", lambda: looked.append("here") or [])
    install_mounts(Directory(), read("greenbas.toml"))
    assert [one.name for one in plugin.in_use()] == ["store"]
    assert looked == []


# -- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[proxy]\nto='http://a'\n", "[proxy] is an array of tables: write [[proxy]]"),
        ("proxy = {}\n", "[proxy] is an array of tables: write [[proxy]]"),
        ("proxy = 3\n", "[proxy] is an array of tables: write [[proxy]]"),
        ("proxy = [{to='http://a'}, 3]\n", "[[proxy]] 2: 3 is not a table"),
        ("[[proxy]]\nto='http://a'\n[[proxy]]\nprefix=3\n", "[[proxy]] 2: prefix: 3 is not a text"),
        ("[[proxy]]\nto='http://a'\nname='b'\n", "[[proxy]] 1: the name is the last segment of prefix: .*"),
        ("[boxes]\n", "[boxes] is an array of tables: write [[boxes]]"),
        ("[proxi]\n", "unknown table 'proxi'; did you mean 'proxy'?"),
        ("proxi = []\n", "unknown table 'proxi'; did you mean 'proxy'?"),
        ("proxi = 3\n", "unknown table 'proxi'; did you mean 'proxy'?"),
    ],
)
def test_seen_when_the_file_is_read(here: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    register()
    fill(here, {"greenbas.toml": text})
    with pytest.raises(SettingError) as caught:
        read("greenbas.toml")
    said = complaint(capsys)
    assert str(caught.value) == f"greenbas.toml: {said}"
    assert matches(words, said), said


ONE = "[[proxy]]\nto='http://127.0.0.1:1'\n"
TWO = "[[proxy]]\nto=['http://127.0.0.1:1', 'http://127.0.0.1:2']\n"
BAD: list[tuple[str, str]] = [
    ("[[apps]]\n", "unknown table 'apps'; did you mean 'app'?"),
    ("[[proxi]]\n", "unknown table 'proxi'; did you mean 'proxy'?"),
    ("[[boxs]]\n", "unknown table 'boxs'; did you mean 'boxes'?"),
    ("[[xyz]]\n", "unknown table 'xyz'; there are server, http, app, mount, plugin, boxes, bags, proxy.*"),
    (f"{ONE}wieghts=[1]\n", "[[proxy]] 1: unknown setting 'wieghts'; did you mean 'weights'?"),
    (f"{ONE}idle_timout=1\n", "[[proxy]] 1: unknown setting 'idle_timout'; did you mean 'idle_timeout'?"),
    (f"{ONE}{ONE}prefx='a'\n", "[[proxy]] 2: unknown setting 'prefx'; did you mean 'prefix'?"),
    (f"{ONE}kind='redirector'\n", "[[proxy]] 1: every [[proxy]] is a create.redirector: leave 'kind' out"),
    (f"{ONE}settings={{limit=3}}\n", "[[proxy]] 1: unknown setting 'settings'; .*"),
    (f"{ONE}weights=3\n", "[[proxy]] 1: weights: 3 is not an array"),
    (f"{ONE}weights=['a']\n", "[[proxy]] 1: weights: 'a' is not a whole number"),
    (f"{TWO}weights=[1]\n", "[[proxy]] 1: weights: 1 for 2 backends: give one for each"),
    (f"{TWO}balance='lest'\n", "[[proxy]] 1: balance: 'lest' is .*least.*"),
    (f"{ONE}balance=1\n", "[[proxy]] 1: balance: 1 is not a text"),
    (f"{ONE}limit=1.5\n", "[[proxy]] 1: limit: 1.5 is not a whole number"),
    (f"{ONE}idle_timeout='1'\n", "[[proxy]] 1: idle_timeout: '1' is not a number"),
    (f"{ONE}idle_timeout=-1\n", "[[proxy]] 1: idle_timeout: -1.0 must be more than zero"),
    (f"{ONE}half_close=1\n", "[[proxy]] 1: half_close: 1 is neither True nor False"),
    (f"{ONE}priority=200\n", "[[proxy]] 1: priority 200: use -128 to 127"),
    (f"{ONE}prefix='a/../b'\n", "[[proxy]] 1: directory name '..': .*"),
    ("[[proxy]]\nto=3\n", "[[proxy]] 1: to: 3 is not a text"),
    ("[[proxy]]\nto=['http://a', 3]\n", "[[proxy]] 1: to: 3 is not a text"),
    ("[[proxy]]\nto=['http://a', 'ftp://a']\n", "[[proxy]] 1: 'ftp://a' is no URL of a backend: .*"),
    (f"{ONE}rewrite='hooks'\n", "[[proxy]] 1: rewrite: 'hooks' is not of the form module:name"),
    (f"{ONE}rewrite='hooks:rewrit'\n", "[[proxy]] 1: rewrite: hooks:rewrit: .*no attribute 'rewrit'"),
    (f"{ONE}on_error='hooks:number'\n", "[[proxy]] 1: on_error: 5 is no function"),
    (f"{ONE}modify_response=5\n", "[[proxy]] 1: modify_response: 5 is no function"),
    ("[[boxes]]\nshap='x'\n", "[[boxes]] 1: unknown setting 'shap'; did you mean 'shape'?"),
    ("[[boxes]]\nsiz=3\n", "[[boxes]] 1: unknown setting 'siz'; did you mean 'size'?"),
    ("[[boxes]]\ntags='x'\n", "[[boxes]] 1: tags: 'x' is not an array"),
    (
        "[[mount]]\nkind='redirector'\nto='http://a'\nwieghts=[1]\n",
        "[[mount]] 1 (redirector): unknown setting 'wieghts'; did you mean 'weights'?",
    ),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_seen_when_the_directories_are_made(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    register()
    fill(here, {"greenbas.toml": text})
    said = complaint(capsys, "site_app:server")
    assert matches(words, said), said
    said = complaint(capsys)  # and without an application
    assert matches(words, said), said


def test_applications_end_that_were_loaded_before(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"www/.preload.py": "print('begins')\ndef on_unload():\n    print('ends')\n"})
    fill(here, {"greenbas.toml": "[[app]]\npath='www'\n[[proxi]]\n"})
    assert called(capsys, "serve") == (
        1,
        "begins\nends\n",
        "greenbas: greenbas.toml: unknown table 'proxi'; did you mean 'proxy'?\n",
    )


LAMPS = """
from greenbas.plugin import Plugin
plugin = Plugin(name="lamps", kinds={"lamp": "lamps_heavy:Lamp"}, tables={"lamps": "lamp"})
"""


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ({}, "[[lamps]] 1: plugin 'lamps' of test-lamps 1.0: there is no module lamps_heavy"),
        ({"lamps_heavy.py": ""}, "[[lamps]] 1: plugin 'lamps' of test-lamps 1.0: lamps_heavy has no 'Lamp'"),
        ({"lamps_heavy.py": "import lxml_of_the_test"}, "[[lamps]] 1: plugin 'lamps' needs the module lxml_of.*"),
        (
            {"test_lamps.py": "1 / 0\n"},
            "unknown table 'lamps'; there are .*; plugin 'lamps' of test-lamps 1.0: test_lamps: ZeroDivisionError.*",
        ),
        (
            {"test_lamps.py": LAMPS.replace("lamp'", "lamb'").replace('"lamp"}', '"lamb"}')},
            "unknown table 'lamps'; there are .*; plugin 'lamps' .*: tables 'lamps' is 'lamb', .*did you mean 'lamp'?",
        ),
        (
            {"test_lamps.py": LAMPS.replace("tables={", "tables={'mount': 'lamp', ")},
            "unknown table 'lamps'; there are .*; plugin 'lamps' .*: it adds [[mount]], which greenbas has already",
        ),
    ],
)  # fmt: skip
def test_a_plugin_that_is_broken(
    here: Path, capsys: pytest.CaptureFixture[str], modules: dict[str, str], words: str
) -> None:
    lay_out(here, "test-lamps", {"test_lamps.py": LAMPS, **modules}, {"lamps": "test_lamps:plugin"})
    fill(here, {"greenbas.toml": "[[lamps]]\n"})
    said = complaint(capsys)
    assert matches(words, said), said
    fill(here, {"greenbas.toml": ONE})
    assert called(capsys, "check")[0] == 0


# -- [[proxy]] ----------------------------------------------------------------------------------------------------


def test_a_server_with_two_proxies(here: Path) -> None:
    with scripted(answering(OK)) as first, scripted(answering(OK.replace(b"ok", b"ho"))) as second:
        text = f"""
        [server]
        port = 0
        log = "none"

        [[app]]
        path = "www"

        [[proxy]]
        prefix = "/api/v1"
        to = ["http://127.0.0.1:{first.port}/base", "http://127.0.0.1:1/base"]
        weights = [100, 1]
        balance = "least"
        retries = 3
        rewrite = "hooks:rewrite"
        modify_response = "hooks:modify_response"

        [[proxy]]
        to = "http://127.0.0.1:{second.port}"
        priority = -1

        [[proxy]]
        prefix = "/gone"
        to = "http://127.0.0.1:1"
        on_error = "hooks:on_error"

        [plugin.proxy]
        connect_timeout = 3
        """
        fill(here, {"greenbas.toml": text})
        with running(here, [*GREENBAS, "serve"]) as server:
            answer = get(server.port, "/api/v1/x")
            assert (answer.body, answer["X-Seen"]) == (b"ok", "yes")
            assert get(server.port, "/").body == b"index"
            assert get(server.port, "/what/is/not/here").body == b"ho"
            answer = get(server.port, "/gone/")
            assert (answer.status, answer.body) == (502, b"sorry 502")
            assert server.stop() == 0
            (warning,) = server.err.splitlines()
            assert "502 for GET /gone/" in warning
        (heard,) = first.said()
        assert heard.startswith(b"GET /base/x HTTP/1.1\r\n")
        assert (field(heard, "X-Hook"), field(heard, "X-Forwarded-Prefix")) == (["x"], ["/api/v1"])
        assert second.said()[0].startswith(b"GET /what/is/not/here HTTP/1.1\r\n")


def streaming(conversation: Conversation) -> None:
    """A script: an upgrade, and then each line as it came, as long as anybody listens."""
    conversation.until(b"\r\n\r\n")
    conversation.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while line := conversation.line():
        conversation.send(line)


def opened(client: Client, path: str) -> None:
    """Begin an exchange that goes on."""
    client.send(head(f"GET {path} HTTP/1.1", "Connection: Upgrade", "Upgrade: echo"))
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")


def goes_on(client: Client, words: bytes) -> bool:
    """Whether the stream is still there."""
    client.send(words + b"\r\n")
    return client.read_until(words).endswith(words)


def test_one_that_is_taken_out_and_made_anew_drops_no_stream(here: Path) -> None:
    with scripted(streaming) as backend, scripted(answering(OK)) as other, serving() as server:
        tables = "".join(f"[[proxy]]\nprefix='{at}'\nto='http://127.0.0.1:{backend.port}'\n" for at in ("a", "b"))
        fill(
            here,
            {"greenbas.toml": tables, "later.toml": f"[[proxy]]\nprefix='a'\nto='http://127.0.0.1:{other.port}'\n"},
        )
        first, _ = install_mounts(server.root, read("greenbas.toml"))
        with Client(server) as one, Client(server) as two:
            opened(one, "/a/")
            opened(two, "/b/")
            first.unlink()
            assert get(server, "/a/").status == 404
            (made,) = install_mounts(server.root, read("later.toml"))
            assert isinstance(made, Redirector)
            assert get(server, "/a/").body == b"ok"
            assert goes_on(one, b"still") and goes_on(two, b"here")


def test_a_reload_of_an_application_drops_no_stream(here: Path) -> None:
    fill(here, {"site/index.psp": "<?psp= app.text ?>", "site/.preload.py": "text = 'one'\n"})
    with scripted(streaming) as backend:
        text = f"[server]\nport=0\n[[app]]\npath='site'\n[[proxy]]\nprefix='a'\nto='http://127.0.0.1:{backend.port}'\n"
        fill(here, {"greenbas.toml": text})
        with running(here, [*GREENBAS, "serve", "--reload"]) as server, Client(server.port) as client:
            opened(client, "/a/")
            assert get(server.port, "/").body == b"one"
            fill(here, {"site/.preload.py": "text = 'two'\n"})
            wait_until(lambda: get(server.port, "/").body == b"two", timeout=10)
            assert goes_on(client, b"still")
