"""`--reload`: what is reloaded, what begins again, and that a mistake is no end."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest
from commands import GREENBAS, fill, running
from launch import free_port
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
        (".data/table.json", "{}", True),
        ("tool.py", "", True),
        ("index.psp", "page", False),
        ("style.css", "p {}", False),
    ],
)
def test_what_reloads(tmp_path: Path, path: str, text: str, reloads: bool) -> None:
    folder = tmp_path / "app"
    assert reload_module._concerns(folder, folder / path) is reloads
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


def test_a_changed_module_begins_the_process_anew(tmp_path: Path) -> None:
    fill(tmp_path, {"site_one.py": HANDLER.format(text="one")})
    port = str(free_port())
    command = [*GREENBAS, "serve", "site_one:server", "--port", port, "--reload"]
    with running(tmp_path, command) as server:
        assert body(server.port) == "one"
        fill(tmp_path, {"site_one.py": HANDLER.format(text="two")})
        wait_until(lambda: answers(server.port) == "two", timeout=20)
        fill(tmp_path, {"site_one.py": "def broken(:\n"})
        wait_until(lambda: "line 1: invalid syntax" in server.err, timeout=20)
        fill(tmp_path, {"site_one.py": HANDLER.format(text="three")})
        wait_until(lambda: answers(server.port) == "three", timeout=20)


def answers(port: int) -> str | None:
    try:
        return body(port)
    except OSError:
        return None
