"""Plugins of packages: found by their entry points, broken or well, up to one that pip has installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from commands import GREENBAS, fill, finished, running
from packages import build_wheel, install, lay_out
from programs import run_program
from web import get

import greenbas
from greenbas import create, plugin
from greenbas.errors import PluginError
from greenbas.plugin import Plugin
from greenbas.vfs import Directory


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plugin is known yet; modules that a test imports are forgotten."""
    monkeypatch.setattr(plugin, "_all", plugin.Plugins())
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, for packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


# -- entry points -------------------------------------------------------------------------------------------------

LIGHT = """
from greenbas.plugin import Plugin
plugin = Plugin(
    name="light", summary="a light one", kinds={"lamp": "heavy:Lamp", "gone": "heavy:Gone", "five": "heavy:FIVE"},
    functions={"shine": "heavy:deep.shine", "needs": "needy:f", "lost": "nowhere_at_all:f", "bad": "raises:f"},
)
"""
HEAVY = """
from greenbas.vfs import Directory
class Lamp(Directory): ...
class deep:
    def shine(): return "shines"
FIVE = 5
"""
MODULES = {
    "light.py": LIGHT,
    "heavy.py": HEAVY,
    "needy.py": "import lxml_of_the_test.etree\n",
    "raises.py": "raise ValueError('one\\n  two')\n",
}


def test_a_plugin_of_an_entry_point(site: Path) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"}, version="2.5")
    assert "light" not in sys.modules
    (found,) = [one for one in plugin.plugins() if one.name == "light"]
    assert (found.distribution, found.version, found.error) == ("test-light", "2.5", None)
    assert "heavy" not in sys.modules
    assert type(create.lamp("x")).__name__ == "Lamp"
    assert greenbas.shine() == "shines"
    assert plugin.in_use() == [found.plugin]
    assert create.lamp is sys.modules["heavy"].Lamp


@pytest.mark.parametrize(
    ("name", "extras", "words"),
    [
        ("needs", (), "plugin 'light' needs the module lxml_of_the_test, which is not installed"),
        ("needs", ("light",), "plugin 'light' needs lxml_of_the_test: pip install 'test-light[light]'"),
        ("needs", ("other", "Light"), "plugin 'light' needs lxml_of_the_test: pip install 'test-light[Light]'"),
        ("lost", (), "plugin 'light' of test-light 1.0: there is no module nowhere_at_all"),
        ("bad", (), "plugin 'light' of test-light 1.0: raises: ValueError: one two"),
    ],
)
def test_a_function_that_cannot_be_imported(site: Path, name: str, extras: tuple[str, ...], words: str) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"}, extras=extras)
    with pytest.raises(PluginError) as caught:
        getattr(greenbas, name)
    assert str(caught.value) == words
    assert not isinstance(caught.value, AttributeError)
    assert plugin.in_use() == []
    assert create.lamp  # the rest of it works


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "plugin 'light' of test-light 1.0: heavy has no 'Gone'"),
        ("five", "plugin 'light' of test-light 1.0: heavy:FIVE is 5, which cannot be called"),
    ],
)
def test_a_name_that_is_wrong_in_the_module(site: Path, name: str, words: str) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    with pytest.raises(PluginError) as caught:
        getattr(create, name)
    assert str(caught.value) == words


BROKEN = {
    "boom": ("1 / 0\n", "plugin 'boom' of test-boom 1.0: boom: ZeroDivisionError: division by zero"),
    "exits": ("import sys\nsys.exit('x')\n", "plugin 'exits' of test-exits 1.0: exits: SystemExit: x"),
    "syntax": ("x = (\n", "plugin 'syntax' of test-syntax 1.0: syntax: SyntaxError: .* (syntax.py, line 1)"),
    "lacks": ("import lxml_of_the_test\n", "plugin 'lacks' needs the module lxml_of_the_test, which is not installed"),
    "nameless": ("", "plugin 'nameless' of test-nameless 1.0: nameless: AttributeError: .*no attribute 'plugin'"),
    "number": ("plugin = 5\n", "plugin 'number' of test-number 1.0: 5 is no Plugin: .*"),
    "renamed": ("P(name='other')", "plugin 'renamed' of test-renamed 1.0: its entry point has another name .*'other'"),
    "malformed": ("P(name='malformed', kinds=5)", "plugin 'malformed' of test-malformed 1.0: kinds is 5: .*"),
    "clashes": ("P(name='clashes', kinds={'dir': len})", "plugin 'clashes' of test-clashes 1.0: .* create.dir, .*"),
    "tabled": ("P(name='tabled', tables={'app': 'x'})", "plugin 'tabled' of test-tabled 1.0: tables 'app' is 'x', .*"),
    "steals": ("P(name='steals', kinds={'lamp': len})", "plugin 'steals' of test-steals 1.0: .* 'light' has .*"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_harms_no_other(site: Path, name: str) -> None:
    source, words = BROKEN[name]
    source = source if source[:2] != "P(" else f"from greenbas.plugin import Plugin as P\nplugin = {source}\n"
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    lay_out(site, f"test-{name}", {f"{name}.py": source}, {name: f"{name}:plugin"})
    assert create.lamp("x").name() == "x"
    assert isinstance(create.dir("x"), Directory)
    (found,) = [one for one in plugin.plugins() if one.name == name]
    pattern = words.replace("(", r"\(").replace(")", r"\)")
    assert found.error is not None
    with pytest.raises(PluginError, match=f"^{pattern}$"):
        raise found.error
    with pytest.raises(PluginError):
        plugin.settings(name)
    # What nobody has may be what the broken one would have added, unless it is known what that is.
    known = name in ("clashes", "steals", "renamed", "tabled")
    with pytest.raises(AttributeError) as caught:
        _ = create.anything
    assert isinstance(caught.value, PluginError)
    assert (str(found.error) in str(caught.value)) == (not known)
    assert not hasattr(create, "anything")


def test_greenbas_comes_first_and_then_the_alphabet(site: Path) -> None:
    same = "from greenbas.plugin import Plugin\nplugin = Plugin(name='{}', kinds={{'thing': len}})\n"
    for package, name in (("zzz", "first"), ("aaa", "second")):
        lay_out(site, package, {f"{name}.py": same.format(name)}, {name: f"{name}:plugin"})
    assert plugin.names("kinds")["thing"].name == "second"
    assert [str(one.error) for one in plugin.plugins() if one.error is not None] == [
        "plugin 'first' of zzz 1.0: it adds create.thing, which the plugin 'second' has already"
    ]


def test_two_packages_with_one_name(site: Path) -> None:
    same = "from greenbas.plugin import Plugin\nplugin = Plugin(name='same')\n"
    for package in ("aaa", "bbb"):
        lay_out(site, package, {f"{package}.py": same}, {"same": f"{package}:plugin"})
    problems = [str(one.error) for one in plugin.plugins() if one.name == "same"]
    assert problems == ["None", "plugin 'same' of bbb 1.0: the name is taken by the plugin 'same' of aaa 1.0"]
    assert plugin.use("same") is None


def test_a_registered_plugin_comes_before_those_that_are_found_later(site: Path) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    plugin.register(Plugin(name="own", kinds={"lamp": Directory}))
    assert create.lamp is Directory
    assert "light" not in sys.modules
    assert not hasattr(greenbas, "shine")
    (found,) = [one for one in plugin.plugins() if one.name == "light"]
    assert "which the plugin 'own' has already" in str(found.error)


def test_all_that_is_named_can_be_tried(site: Path) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    (found,) = [one for one in plugin.plugins(tried=True) if one.name == "light"]
    assert str(found.error) == "plugin 'light' of test-light 1.0: heavy has no 'Gone'"
    (found,) = [one for one in plugin.plugins() if one.name == "light"]
    assert found.error is None
    assert plugin.in_use() == []


def test_two_greenlets_that_ask_at_once_both_wait_for_the_import(site: Path) -> None:
    slow = "import gevent\ngevent.sleep(0.05)\nfrom greenbas.vfs import Directory\nfrom greenbas.plugin import Plugin\n"
    slow += "plugin = Plugin(name='slow', kinds={'snail': Directory})\n"
    lay_out(site, "test-slow", {"slow.py": slow}, {"slow": "slow:plugin"})
    asking = [gevent.spawn(getattr, create, "snail") for _ in range(3)]
    gevent.joinall(asking)
    assert [one.value for one in asking] == [Directory] * 3


@pytest.mark.parametrize("error", ["gevent.Timeout", "KeyboardInterrupt", "gevent.GreenletExit"])
def test_an_end_that_comes_in_an_import_hides_no_later_plugin(site: Path, error: str) -> None:
    source = f"import gevent\nfrom plugin_gate import gate\nif gate.pop():\n    raise {error}\n"
    source += "from greenbas.plugin import Plugin\nplugin = Plugin(name='aa')\n"
    fill(site, {"plugin_gate.py": "gate = [False, True]\n"})
    lay_out(site, "test-aa", {"aa.py": source}, {"aa": "aa:plugin"})
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    with pytest.raises(BaseException) as caught:
        plugin.plugins()
    assert type(caught.value).__name__ == error.rpartition(".")[2]
    found = [one for one in plugin.plugins() if one.name in ("aa", "light")]
    assert [(one.name, one.error) for one in found] == [("aa", None), ("light", None)]
    assert len(plugin.plugins()) == len({one.name for one in plugin.plugins()})


def test_a_package_that_was_left_over_without_metadata(site: Path) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    (site / "test_light-1.0.dist-info" / "METADATA").unlink()
    (found,) = [one for one in plugin.plugins() if one.name == "light"]
    assert (found.error, found.distribution, found.version) == (None, "", "")
    assert type(create.lamp("x")).__name__ == "Lamp"


def test_a_list_of_entry_points_that_cannot_be_read(site: Path) -> None:
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    lay_out(site, "test-bad", {}, {"bad": "bad:plugin"})
    lay_out(site, "test-other", {}, {})
    with (site / "test_bad-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("no equals sign\n")
    (site / "test_other-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\nneither here\n")
    found = {one.name: one for one in plugin.plugins()}
    assert str(found["test-bad"].error).startswith("package 'test-bad': its entry_points.txt cannot be read (")
    assert "test-other" not in found
    assert found["light"].error is None and found["statuspage"].error is None


def test_an_entry_point_that_is_no_reference(site: Path) -> None:
    lay_out(site, "test-bad", {}, {"bad": "!!"})
    (found,) = [one for one in plugin.plugins() if one.name == "bad"]
    assert str(found.error) == "plugin 'bad' of test-bad 1.0: its entry point '!!' is not 'module:name'"


def test_nothing_is_looked_for_before_a_name_is_asked_for(site: Path) -> None:
    """In a process of its own: what is imported by whom."""
    lay_out(site, "test-light", MODULES, {"light": "light:plugin"})
    out = run_program(
        f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        import greenbas
        print("importlib.metadata" in sys.modules)

        from greenbas import Server, create, plugin, cli, config  # modules are no names of plugins
        from importlib import metadata
        def boom(**options):
            raise AssertionError("entry points are looked for")
        metadata.entry_points, found = boom, metadata.entry_points
        server = Server()
        server.insert(create.resrdr(greenbas.io.MemoryIo(), name="x"))
        server.listen(0)
        server.start()
        server.stop()
        assert not hasattr(greenbas, "__wrapped__")
        print("light" in sys.modules)

        metadata.entry_points = found
        create.lamp
        print(sorted({{"light", "heavy", "needy", "raises"}} & set(sys.modules)))
        """
    )
    assert out == "False\nFalse\n['heavy', 'light']\n"


# -- a package of somebody else, as its users have it --------------------------------------------------------------

HELLO = """
from dataclasses import dataclass
from greenbas.plugin import Plugin

@dataclass(frozen=True, kw_only=True)
class Settings:
    greeting: str = "Hello"
    names: tuple[str, ...] = ("world",)

plugin = Plugin(
    name="hello",
    summary="greets everybody",
    kinds={"greeter": "test_hello.greeter:Greeter"},
    functions={"greet": "test_hello.greeter:greet"},
    commands={"hello-command": "test_hello.greeter:main"},
    settings=Settings,
    start="test_hello.greeter:start",
    stop="test_hello.greeter:stop",
)
"""
GREETER = """
from greenbas import plugin
from greenbas.vfs import Directory

def greet(name):
    return f"{plugin.settings('hello').greeting}, {name}!"

class Greeter(Directory):
    def __init__(self, name=None, *, priority: int = 0, loud: bool = False):
        super().__init__(name, priority=priority)
        self.loud = loud
        self.set_func(self.answer)

    def answer(self, request, response):
        words = " ".join(greet(name) for name in (request.relpath, *plugin.settings("hello").names) if name)
        return words.upper() if self.loud else words

def main(arguments):
    print(" ".join(greet(name) for name in arguments))
    return len(arguments)

def start(server):
    print("started", server.listeners[0].port, flush=True)

def stop(server):
    print("stopped", len(server.listeners), flush=True)
"""
TOML = """
[server]
port = 0
log = "none"

[[mount]]
kind = "greeter"
prefix = "say/hello"
loud = true

[plugin.hello]
greeting = "Good morning"
names = ["you"]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the package."""
    folder = tmp_path_factory.mktemp("installed")
    modules = {"test_hello/__init__.py": HELLO, "test_hello/greeter.py": GREETER}
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"), "test-hello", modules, {"hello": "test_hello:plugin"})
    install(wheel, folder / "site")
    return folder / "site"


@pytest.fixture
def here(tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the commands of a user find the package."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    return tmp_path


def test_it_is_listed(here: Path) -> None:
    done = finished(here, [*GREENBAS, "plugins"])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    at = lines.index("hello 1.0 (test-hello): greets everybody")
    assert lines[at + 1 : at + 3] == [
        "  adds create.greeter, greenbas.greet, the command hello-command",
        "  settings greeting, names in [plugin.hello]",
    ]


def test_check_shows_the_package_that_is_used(here: Path) -> None:
    fill(here, {"greenbas.toml": TOML, "second.py": HELLO})
    lay_out(here, "zz-second", {}, {"hello": "second:plugin"})
    done = finished(here, [*GREENBAS, "check"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        "plugins\n  hello 1.0 (test-hello)\n"
        "    greeting = 'Good morning'  (default 'Hello')  from greenbas.toml\n"
        "    names = ('you',)  (default ('world',))  from greenbas.toml\n"
    )


def test_its_command_runs(here: Path) -> None:
    done = finished(here, [*GREENBAS, "hello-command", "you", "--all"])
    assert (done.returncode, done.stdout, done.stderr) == (2, "Hello, you! Hello, --all!\n", "")
    fill(here, {"greenbas.toml": TOML})
    done = finished(here, [*GREENBAS, "hello-command", "you"])
    assert (done.returncode, done.stdout, done.stderr) == (1, "Good morning, you!\n", "")


def test_it_is_mounted_by_the_configuration_and_started_and_stopped(here: Path) -> None:
    fill(here, {"greenbas.toml": TOML})
    with running(here, [*GREENBAS, "serve"]) as server:
        assert get(server.port, "/say/hello/me").body == b"GOOD MORNING, ME! GOOD MORNING, YOU!"
        assert get(server.port, "/say/else").status == 404
        assert server.out.startswith(f"started {server.port}\n")
        assert server.stop() == 0
        assert server.out.endswith("stopped 0\n")
        assert (server.err, server.out.count("started"), server.out.count("stopped")) == ("", 1, 1)


def test_a_program_uses_it(here: Path) -> None:
    program = (
        "from greenbas import Server, create, greet\nserver = Server()\n"
        "server.insert(create.greeter('a'))\nserver.directory('b')(lambda request, response: greet('b'))\n"
        "server.run(port=0, log='none')\n"
    )
    fill(here, {"program.py": program})
    with running(here, [sys.executable, "program.py"]) as server:
        assert get(server.port, "/a/x").body == b"Hello, x! Hello, world!"
        assert get(server.port, "/b").body == b"Hello, b!"
        assert server.stop() == 0
        assert (server.out.count("started"), server.out.count("stopped")) == (1, 1)


def test_a_program_whose_plugin_cannot_start_ends_with_one_line(tmp_path: Path) -> None:
    program = (
        "from greenbas import Server, plugin\n"
        "plugin.register(plugin.Plugin(name='bad', start=lambda server: 1 / 0))\nplugin.use('bad')\n"
        "Server().run(port=0)\n"
    )
    fill(tmp_path, {"program.py": program})
    done = finished(tmp_path, [sys.executable, "program.py"])
    assert done.stderr == "greenbas: plugin 'bad' could not start: ZeroDivisionError: division by zero\n"
    assert (done.returncode, done.stdout) == (1, "")
