"""`--reload`: what is reloaded, what begins again, and that a mistake is no end."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import gevent
import h11
import pytest
from commands import GREENBAS, Running, fill, running
from leaks import nothing_left
from support import wait_until
from web import get, serving

from greenbas import reload as reload_module
from greenbas.application import Application
from greenbas.errors import StartError
from greenbas.io import DiskIo, MemoryIo
from greenbas.reload import Changes, Reloader, module_files

FILES = {
    ".preload.py": "part = appreq('part')\n",
    ".modules/part.py": "text = 'one'\n",
    "index.psp": "<?psp= app.part.text ?>",
    "style.css": "body {}",
}


def app_in(folder: Path) -> Application:
    fill(folder, FILES)
    return Application(DiskIo(str(folder)))


def body(port: int, path: str = "/") -> str:
    return get(port, path).body.decode()


@pytest.mark.parametrize(
    ("path", "text", "reloads"),
    [
        (".preload.py", "x = 1\npart = appreq('part')\n", True),
        (".modules/part.py", "text = 'two'\n", True),
        (".modules/new.py", "", True),
        (".modules/table.json", "{}", True),
        (".data/table.json", "{}", False),
        (".upload-x1y2", "half a file", False),
        ("uploads/.upload-x1y2", "half a file", False),
        ("tool.py", "", True),
        ("index.psp", "page", False),
        ("style.css", "p {}", False),
        ("", "the folder itself is there anew", True),
        ("..", "and so is what it is in", True),
    ],
)
def test_what_reloads(tmp_path: Path, path: str, text: str, reloads: bool) -> None:
    folder = tmp_path / "app"
    assert reload_module._concerns(folder, Path(os.path.normpath(folder / path))) is reloads
    assert not reload_module._concerns(folder, tmp_path / "other" / path)


def test_a_changed_application_is_reloaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving() as server, caplog.at_level(logging.INFO, "greenbas.reload"):
        server.insert(app_in(tmp_path))
        port = server.listeners[0].port
        reloader = Reloader(server)
        reloader.start()
        assert body(port) == "one"
        for text in ("two", "three"):
            fill(tmp_path, {".modules/part.py": f"text = {text!r}\n"})
            wait_until(lambda text=text: body(port) == text, timeout=10)
        assert "reloaded the application at /" in caplog.text
        reloader.stop()
        assert not reloader.must_restart


def test_a_mistake_is_told_and_can_be_mended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(dev=True) as server:
        server.insert(app_in(tmp_path))
        port = server.listeners[0].port
        reloader = Reloader(server)
        reloader.start()
        fill(tmp_path, {".preload.py": "x = 1\n1/0\n"})
        wait_until(lambda: get(port, "/").status == 503, timeout=10)
        assert ".preload.py line 2: ZeroDivisionError" in body(port)
        assert ".preload.py line 2: ZeroDivisionError" in caplog.text
        fill(tmp_path, FILES)
        wait_until(lambda: body(port) == "one", timeout=10)
        reloader.stop()


def copy_of(folder: Path, text: str) -> Path:
    made = folder.with_name(f"made-{text}")
    fill(made, {**FILES, ".modules/part.py": f"text = {text!r}\n"})
    return made


def test_a_folder_that_is_replaced_is_watched_on(tmp_path: Path) -> None:
    """The system's watch is of the folder that was moved away: the reloader once was deaf from there on."""
    folder = tmp_path / "up" / "app"
    with serving() as server:
        server.insert(app_in(folder))
        port = server.listeners[0].port
        reloader = Reloader(server)
        reloader.start()
        for number, (text, after) in enumerate([("two", "three"), ("four", "five")]):
            made = copy_of(folder, text)
            folder.rename(tmp_path / f"old{number}")
            made.rename(folder)
            wait_until(lambda text=text: body(port) == text, timeout=10)
            fill(folder, {".modules/part.py": f"text = {after!r}\n"})
            wait_until(lambda after=after: body(port) == after, timeout=10)
        reloader.stop()


def test_a_folder_above_that_is_replaced(tmp_path: Path) -> None:
    """Of which the watch of the folder itself sees nothing."""
    folder = tmp_path / "up" / "app"
    with serving() as server:
        server.insert(app_in(folder))
        port = server.listeners[0].port
        reloader = Reloader(server)
        reloader.start()
        fill(tmp_path / "next" / "app", {**FILES, ".modules/part.py": "text = 'two'\n"})
        (tmp_path / "up").rename(tmp_path / "old")
        (tmp_path / "next").rename(tmp_path / "up")
        wait_until(lambda: body(port) == "two", timeout=10)
        fill(folder, {".modules/part.py": "text = 'three'\n"})
        wait_until(lambda: body(port) == "three", timeout=10)
        reloader.stop()


def test_a_folder_that_is_missing_for_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    with serving() as server:
        server.insert(app_in(folder))
        port = server.listeners[0].port
        reloader = Reloader(server)
        reloader.start()
        for text, after in (("two", "three"), ("four", "five")):
            shutil.rmtree(folder)
            wait_until(lambda: folder not in reloader._changes._known, timeout=10)
            copy_of(folder, text).rename(folder)
            wait_until(lambda text=text: body(port) == text, timeout=10)
            fill(folder, {".modules/part.py": f"text = {after!r}\n"})
            wait_until(lambda after=after: body(port) == after, timeout=10)
        reloader.stop()


def test_a_named_folder_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    made = tmp_path / "here"
    made.mkdir()
    changes = Changes(reload_module._folders_named(["serve", f"/x={made}", str(tmp_path / "away"), "module:name"]))
    try:
        assert set(changes._known) == {made}
        (tmp_path / "away").mkdir()
        assert changes.take(reload_module.LOOK) | changes.take(reload_module.LOOK) >= {tmp_path / "away"}
    finally:
        changes.close()


@pytest.mark.parametrize("error", [SystemExit(0), gevent.Timeout(), BaseException("odd")])
def test_whatever_a_reload_raises_is_logged(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def reload(app: Application) -> None:
        raise error

    with serving() as server:
        server.insert(app_in(tmp_path))
        reloader = Reloader(server)
        monkeypatch.setattr(Application, "reload", reload)
        reloader._act_on({tmp_path / ".preload.py"})
        assert "reloading the application at / failed" in caplog.text
        reloader.stop()


def test_nothing_is_left_when_it_stops(tmp_path: Path) -> None:
    with nothing_left(), serving() as server:
        server.insert(app_in(tmp_path))
        reloader = Reloader(server)
        reloader.start()
        fill(tmp_path, {".modules/part.py": "text = 'two'\n"})
        wait_until(lambda: body(server.listeners[0].port) == "two", timeout=10)
        reloader.stop()


def test_applications_elsewhere_are_left_alone() -> None:
    with serving() as server:
        server.insert(Application(MemoryIo()))
        Reloader(server).stop()


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    with pytest.raises(StartError, match=r"--reload needs watchfiles: pip install 'greenbas\[reload\]'"):
        Changes([tmp_path])


def test_modules_of_python_and_of_packages_are_not_watched() -> None:
    files = module_files()
    assert Path(os.path.realpath(__file__)) in files
    assert not [file for file in files if file.name in ("logging.py", "threading.py") or "site-packages" in file.parts]
    assert Path(os.path.realpath(threading.__file__)) not in files


HANDLER = """
from greenbas import Server
server = Server()
@server.directory()
def answer(request, response):
    return {text!r}
"""


class Restarted:
    """A server that begins again and again, each time with another port."""

    def __init__(self, server: Running) -> None:
        self.server = server

    def says(self, text: str, path: str = "/") -> None:
        """Wait until it answers with this."""
        wait_until(lambda: self._answer(path) == text, timeout=20)

    def _answer(self, path: str) -> str | None:
        port = re.findall(r"greenbas serves http://127.0.0.1:(\d+)/", self.server.out)[-1]
        try:
            return body(int(port), path)
        except (OSError, h11.RemoteProtocolError):
            return None  # in between


@contextlib.contextmanager
def reloading(folder: Path, *arguments: str) -> Iterator[Restarted]:
    with running(folder, [*GREENBAS, "serve", *arguments, "--port", "0", "--reload"]) as server:
        yield Restarted(server)


def test_a_changed_module_begins_the_process_anew(tmp_path: Path) -> None:
    fill(tmp_path, {"site_one.py": HANDLER.format(text="one")})
    with reloading(tmp_path, "site_one:server") as site:
        site.says("one")
        fill(tmp_path, {"site_one.py": HANDLER.format(text="two")})
        site.says("two")
        fill(tmp_path, {"site_one.py": "def broken(:\n"})
        wait_until(lambda: "line 1: invalid syntax" in site.server.err, timeout=20)
        fill(tmp_path, {"site_one.py": HANDLER.format(text="three")})
        site.says("three")


def test_a_module_that_a_start_script_imports(tmp_path: Path) -> None:
    """From the current folder, which is on the path of applications, too; and imported after the start."""
    fill(tmp_path, {"app/.preload.py": "text = 'none'", "app/a.psp": "<?psp= app.text ?>", "helper_one.py": "x = 1"})
    with reloading(tmp_path, "app") as site:
        site.says("none", "/a.psp")
        fill(tmp_path, {"app/.preload.py": "import helper_one\ntext = helper_one.x"})
        site.says("1", "/a.psp")
        fill(tmp_path, {"helper_one.py": "x = 22"})
        site.says("22", "/a.psp")


def test_a_configuration_that_is_away_for_a_moment(tmp_path: Path) -> None:
    """The current folder once was served in its place, and remained it."""
    toml = "[[app]]\npath = 'app'\n"
    fill(tmp_path, {"greenbas.toml": toml, "app/index.html": "app", "secret.txt": "secret"})
    with reloading(tmp_path) as site:
        site.says("app")
        (tmp_path / "greenbas.toml").unlink()
        wait_until(lambda: "waiting for a change" in site.server.err, timeout=20)
        fill(tmp_path, {"greenbas.toml": toml})
        wait_until(lambda: site.server.out.count("greenbas serves") == 2, timeout=20)
        site.says("app")
        assert site._answer("/secret.txt") != "secret"


def test_one_folder_at_two_places(tmp_path: Path) -> None:
    with serving() as server:
        for name in ("one", "two"):
            fill(tmp_path, FILES)
            server.insert(Application(DiskIo(str(tmp_path)), name=name))
        port = server.listeners[0].port
        reloader = Reloader(server)
        reloader.start()
        fill(tmp_path, {".modules/part.py": "text = 'new'\n"})
        for name in ("one", "two"):
            wait_until(lambda name=name: body(port, f"/{name}/") == "new", timeout=10)
        reloader.stop()
