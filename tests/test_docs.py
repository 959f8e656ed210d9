"""The documentation tells the truth: links lead somewhere, tables agree with the code, and what a page shows is run.

A page is played from top to bottom in an empty folder. A fence whose info string has a second word, as in
"python hello.py", becomes a file of that name. Each command of a console fence ("$ ...") is run by bash, and what it
prints must be what stands below it, where "..." stands for anything. A command that starts a server goes on in the
background until the next one starts or the page ends, unless the page shows that it fails ("greenbas: ..."). The port
9357 is replaced by a free one; nothing else is changed.
"""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from launch import ROOT, STOP_SECONDS, free_port, wait_for_listener
from support import need_command, wait_until

from greenbas import errors
from greenbas.http import HttpSettings

README = ROOT / "README.md"
PORTING = ROOT / "docs" / "porting.md"
SETTINGS = ROOT / "docs" / "settings.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PORT = "9357"
SERVER = re.compile(r"(?:greenbas serve|python \w+\.py)\b")
SECONDS = 30  # for one command of a page


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_fences(page: Path) -> Iterator[Fence]:
    start, info, text = 0, "", ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.startswith("```") and not start:
            start, info, text = number, line[3:], ""
        elif line.startswith("```"):
            language, _, file = info.partition(" ")
            yield Fence(page, start, language, file, text)
            start = 0
        elif start:
            text += line + "\n"
    assert not start, f"{page}:{start}: the fence has no end"


FENCES = [fence for page in PAGES for fence in read_fences(page)]
PYTHON = [fence for fence in FENCES if fence.language == "python"]
PLAYED = [page for page in PAGES if any(fence.page == page and fence.language == "console" for fence in FENCES)]


def read_tables(page: Path) -> list[tuple[list[str], list[list[str]]]]:
    """The tables of a page: head and rows, cell by cell."""
    found: list[tuple[list[str], list[list[str]]]] = []
    previous = ""
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not previous.startswith("|"):
                found.append((cells, []))
            elif not set(line) <= set("|-: "):
                found[-1][1].append(cells)
        previous = line
    return found


def table(page: Path, *head: str) -> list[list[str]]:
    """The rows of all tables of a page with this head; every row has as many cells."""
    rows = [row for names, rows in read_tables(page) if names == list(head) for row in rows]
    assert rows, f"{page.name} has no table {head}"
    assert [row for row in rows if len(row) != len(head)] == []
    return rows


def code(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def identity(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


# -- links and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_relative_links_lead_somewhere(page: Path) -> None:
    dead = []
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                dead.append(link)
    assert not dead


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set[Path](), {README}
    while new:
        page = new.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text("utf-8"))
        new |= {(page.parent / link).resolve() for link in links if "://" not in link} - reached
    assert {page for page in PAGES if page not in reached} == set()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:`|\n)make ([a-z]+)", page.read_text("utf-8"))}
    assert named
    assert named - targets == set()


@pytest.mark.parametrize("command", ["serve", "check", "new", "new app", "run", "version", "plugins"])
def test_options_of_commands_exist(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "greenbas", *command.split(), "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    known = set(re.findall(r"--[a-z-]+", done.stdout))
    named = set[str]()
    for page in PAGES:
        for call in re.findall(rf"greenbas {command}\b([^\n`]*(?:\\\n[^\n`]*)*)", page.read_text("utf-8")):
            named |= set(re.findall(r"(?<=[\s\[])--[a-z-]+", call))
    assert named - known == set()


def test_settings_named_on_the_command_line_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"--set '?(\w+)=", page.read_text("utf-8"))}
    assert len(named) > 1
    assert named - {"NAME"} - {field.name for field in dataclasses.fields(HttpSettings)} == set()


# -- tables -------------------------------------------------------------------------------------------------------


def test_settings_page_equals_the_dataclass() -> None:
    rows = table(SETTINGS, "setting", "default", "unit", "what it limits, and why this much")
    documented = [(code(name)[0], ast.literal_eval(code(default)[0])) for name, default, *_ in rows]
    assert sorted(documented) == sorted((field.name, field.default) for field in dataclasses.fields(HttpSettings))


def test_defaults_in_the_readme_are_the_defaults() -> None:
    rows = table(README, "what", "setting and default", "beyond it")
    for text in (text for _, cell, _ in rows for text in code(cell)):
        name, _, value = text.partition(" = ")
        assert getattr(HttpSettings(), name) == ast.literal_eval(value), text


ROWS = table(PORTING, "BAS", "greenbas", "notes", "differs on purpose")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].replace("`", ""))
def test_porting_row(row: list[str]) -> None:
    original, ours, note, difference = row
    names = code(ours)
    assert original
    if ours == "none":
        assert note or difference, "say why there is none"
    elif ours.startswith("not yet: "):
        assert names, "name what it will be called"
        assert [name for name in names if exists(name)] == [], "it is there by now: update the row"
    else:
        assert names, "name the counterpart"
        assert [name for name in names if not exists(name)] == []


def exists(name: str) -> bool:
    """Whether a dotted name, or a command ("greenbas run"), exists."""
    if name.startswith("greenbas ") and "." not in name:
        command = [sys.executable, "-m", *name.split(), "--help"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=SECONDS, check=False).returncode == 0
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


def test_porting_table_has_no_row_twice() -> None:
    originals = [row[0] for row in ROWS]
    assert sorted({one for one in originals if originals.count(one) > 1}) == []


def test_error_codes() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name != "Abort"]
    ours = {cls.code: set() for cls in classes}
    for cls in classes:
        ours[cls.code].add(cls.__name__)
    raised, missing = dict[str, set[str]](), set[str]()
    for codes, exceptions, _ in table(PORTING, "code", "exception in `greenbas.errors`", "notes"):
        if exceptions == "not yet":
            missing |= set(code(codes))
        else:
            raised |= {one: set(code(exceptions)) for one in code(codes)}
    assert {one: ours.get(one) for one in raised} == raised
    assert missing & set(ours) == set(), "raised by now: update the table"


# -- programs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fence", PYTHON, ids=str)
def test_python_compiles(fence: Fence) -> None:
    compile(fence.text, str(fence), "exec", dont_inherit=True)


def test_complete_programs_have_a_name_and_are_started() -> None:
    faults = []
    for fence in PYTHON:
        if "Server(" in fence.text and "server.run(" in fence.text:
            starts = rf"^\$ (?:python {re.escape(fence.file)}|greenbas .*{re.escape(fence.file.removesuffix('.py'))}:)"
            consoles = [one.text for one in FENCES if one.page == fence.page and one.language == "console"]
            if not fence.file or not re.search(starts, "".join(consoles), re.MULTILINE):
                faults.append(str(fence))
    assert not faults


class Player:
    """Plays one page.

    Args:
        folder: where; empty.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder / "page"
        self.folder.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name, arguments in {"python": "", "greenbas": "-m greenbas"}.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', "utf-8")
            program.chmod(0o755)
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        (folder / ".curlrc").write_text("silent\nshow-error\n", "utf-8")  # as curl is when it prints on a terminal
        self.environment = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CURL_HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),  # where greenbas keeps the certificate that it makes
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._output = folder / "output"

    def save(self, fence: Fence) -> None:
        """Make the file that a fence shows."""
        file = self.folder / fence.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.here(fence.text), "utf-8")

    def run(self, command: str, expected: str, place: str) -> None:
        """Run a command and compare what it prints."""
        if SERVER.match(command) and not expected.startswith("greenbas: "):
            self.stop()
            self._start(command, expected)
            return
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.folder, env=self.environment, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        compare(expected, self.there(done.stdout), f"{place}: {command}")

    def _start(self, command: str, expected: str) -> None:
        with self._output.open("wb") as output:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec {self.here(command)}"],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        wait_for_listener(self._server, self.port)
        if expected:
            wait_until(lambda: matches(expected, self.there(self._output.read_bytes())))

    def stop(self) -> None:
        """Stop the server as a process manager does; it has to end well."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGTERM)
            try:
                assert server.wait(STOP_SECONDS) == 0, self._output.read_text("utf-8")
            finally:
                server.kill()
                server.wait()

    def here(self, text: str) -> str:
        """Text of the page as it is used."""
        return text.replace(PORT, str(self.port))

    def there(self, output: bytes) -> str:
        """Output as the page has it."""
        return output.decode("utf-8", "replace").replace("\r\n", "\n").replace(str(self.port), PORT)


def matches(expected: str, output: str) -> bool:
    # A body without a line end still ends its line on the page; blank lines at the end are not shown.
    expected, output = (text.rstrip("\n") + "\n" for text in (expected, output))
    if expected.startswith("HTTP/1.1 "):
        return matches_response(expected, output)
    return like(expected, output)


def matches_response(expected: str, output: str) -> bool:
    """Whether a response is the expected one; its header lines in any order, and "..." for those that are not shown."""
    shown, _, expected_body = expected.partition("\n\n")
    head, _, body = output.partition("\n\n")
    (status, *names), (given, *lines) = shown.split("\n"), head.split("\n")
    named = [line for line in names if line != "..."]
    complete = len(lines) >= len(named) if "..." in names else len(lines) == len(named)
    return (
        complete
        and like(status, given)
        and all(any(like(one, line) for line in lines) for one in named)
        and like(expected_body, body)
    )


def like(expected: str, output: str) -> bool:
    return doctest.OutputChecker().check_output(expected, output, doctest.ELLIPSIS)


def compare(expected: str, output: str, place: str) -> None:
    assert matches(expected, output), f"{place}\nexpected:\n{expected}\nprinted:\n{output}"


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Commands of a console fence, each with what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        count = 1
        while lines[count - 1].endswith("\\\n"):
            count += 1
        yield "".join(lines[:count]).rstrip("\n"), "".join(lines[count:])


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Player]:
    made = Player(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("page", PLAYED, ids=identity)
def test_page_is_true(page: Path, player: Player) -> None:
    need_command("curl")
    for fence in (fence for fence in FENCES if fence.page == page):
        if fence.language == "console":
            for command, expected in commands(fence.text):
                player.run(command, expected, str(fence))
        elif fence.file:
            player.save(fence)
    player.stop()


def test_first_program_of_the_readme(player: Player) -> None:
    program = next(fence for fence in PYTHON if fence.page == README)
    assert len(program.text.strip().splitlines()) <= 15
    player.save(program)
    player.run(f"python {program.file}", "", str(program))
    with urllib.request.urlopen(f"http://127.0.0.1:{player.port}/hello?who=you", timeout=SECONDS) as answer:
        assert json.load(answer) == {"path": "", "who": "you"}


# -- the player itself --------------------------------------------------------------------------------------------


def test_a_wrong_line_is_noticed(player: Player) -> None:
    player.run("echo one; echo two", "one\n...\n", "here")
    with pytest.raises(AssertionError, match=r"expected:\n *one\n"):
        player.run("echo two", "one\n", "here")


def test_responses_are_compared_without_regard_to_order() -> None:
    output = "HTTP/1.1 200 OK\nA: 1\nB: 2\n\nbody\n"
    assert matches("HTTP/1.1 200 OK\nB: ...\nA: 1\n\nbody\n", output)
    assert matches("HTTP/1.1 200 OK\n...\nB: 2\n\nbody\n", output)
    for wrong in (
        "200 OK\nA: 1\n\nbody\n",
        "200 OK\n...\nA: 2\n\nbody\n",
        "200 OK\n...\n\nbo\n",
        "404 No\n...\n\nbody\n",
    ):
        assert not matches(f"HTTP/1.1 {wrong}", output), wrong


def test_commands_are_split_from_their_output() -> None:
    assert list(commands("$ one \\\n  two\nout\nput\n$ three\n")) == [("one \\\n  two", "out\nput\n"), ("three", "")]
