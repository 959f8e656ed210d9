"""The command line and plugins: their commands, the help, the list of them."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import GREENBAS, called, fill, finished, working_in
from packages import lay_out

from greenbas import cli, plugin
from greenbas.plugin import Plugin
from greenbas.vfs import Directory


@dataclass(frozen=True)
class Knobs:
    """Settings of the plugin of these tests."""

    number: int = 1


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; no plugin is known, imported modules are forgotten."""
    monkeypatch.setattr(plugin, "_all", plugin.Plugins())
    with working_in(tmp_path, {"app.py": "from greenbas import Server\nserver = Server()\n"}, monkeypatch):
        yield tmp_path


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """A command of a plugin that says what it got."""

    def command(given: list[str]) -> int | None:
        print("command", given, plugin.settings("tools").number)
        return {"three": 3}.get(given[0] if given else "")

    plugin.register(Plugin(name="tools", summary="tools for all", commands={"use-tool": command}, settings=Knobs))
    return called(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["use-tool"], (0, "command [] 1\n", "")),
        (["use-tool", "three"], (3, "command ['three'] 1\n", "")),
        (["use-tool", "--help", "--", "-x"], (0, "command ['--help', '--', '-x'] 1\n", "")),
    ],
)
def test_a_command(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: tuple[int, str, str]) -> None:
    assert run_command(capsys, *arguments) == expected


def test_a_command_has_the_settings_of_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"greenbas.toml": "[plugin.tools]\nnumber = 3\n[plugin.unknown]\n[[unknown]]\n"})
    assert run_command(capsys, "use-tool") == (0, "command [] 3\n", "")


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, "--help")
    assert (code, err) == (0, "")
    assert re.search(r"^ +use-tool +tools for all \(plugin tools\)$", out, re.MULTILINE)
    for name in plugin.COMMANDS:
        assert re.search(rf"^ +{name}\s+\w", out, re.MULTILINE)


def test_the_commands_that_plugins_must_not_take_are_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = called(capsys)
    assert "usage" in err
    _, _, err = run_command(capsys, "bogus")
    named = re.findall(r"'([a-z-]+)'", err.rpartition("choose from")[2])
    assert set(named) >= {*plugin.COMMANDS, "use-tool"}
    parser = cli._parser()
    (action,) = [one for one in parser._actions if one.choices]
    assert list(action.choices or ()) == list(plugin.COMMANDS)


def test_own_commands_look_for_no_plugins(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise AssertionError("plugins are looked for")

    monkeypatch.setattr("greenbas.registry.entry_points", fail)
    assert called(capsys, "check", "app:server")[0] == 0
    assert called(capsys, "version")[0] == 0
    assert called(capsys, "serve", "--help")[0] == 0


@pytest.mark.parametrize(
    ("kinds", "tables", "code", "line"),
    [
        ({"lamp": Directory}, {}, 0, "  adds create.lamp"),
        ({"lamp": Directory}, {"lamps": "lamp"}, 0, "  adds create.lamp, [[lamps]]"),
        ({"lamp": "nowhere_at_all:x"}, {}, 1, "  broken: plugin 'one': there is no module nowhere_at_all"),
    ],
)
def test_plugins(
    capsys: pytest.CaptureFixture[str], kinds: dict[str, Any], tables: dict[str, str], code: int, line: str
) -> None:
    plugin.register(Plugin(name="one", kinds=kinds, tables=tables))
    found, out, err = called(capsys, "plugins")
    assert (found, err) == (code, "")
    lines = out.splitlines()
    assert lines[lines.index("one (registered by a program)") + 1] == line


def test_a_plugin_that_lacks_something_is_not_broken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here, {"needy.py": "import lxml_of_the_test\n"})
    sys.path.insert(0, str(here))
    plugin.register(Plugin(name="one", kinds={"lamp": "needy:x"}))
    code, out, _ = called(capsys, "plugins")
    assert code == 0
    assert "  not usable: plugin 'one' needs the module lxml_of_the_test, which is not installed\n" in out


def test_an_unknown_command_tells_of_the_broken_plugins(here: Path) -> None:
    lay_out(here, "test-boom", {"boom.py": "1 / 0\n"}, {"boom": "boom:plugin"})
    done = finished(here, [*GREENBAS, "somecommand"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "greenbas: there is no command somecommand; plugin 'boom' of test-boom 1.0: boom: ZeroDivisionError: "
        "division by zero\n"
    )
    done = finished(here, [*GREENBAS, "plugins"])
    assert done.returncode == 1
    assert "boom 1.0 (test-boom)\n  broken: plugin 'boom' of test-boom 1.0: boom: ZeroDivisionError" in done.stdout
    assert finished(here, [*GREENBAS, "check", "app:server"]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["check", "www"], 0), (["serve", "www", "--port", "TAKEN"], 1), (["check", "www", "--set", "dev=3"], 1)],
)
def test_applications_end_with_a_command_that_does_not_serve(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    fill(here, {"www/.preload.py": "print('begins')\ndef on_unload():\n    print('ends')\n"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found, out, _ = called(capsys, *[port if one == "TAKEN" else one for one in arguments])
    assert found == code
    assert (out.count("begins\n"), out.count("ends\n")) == (1, 1)
