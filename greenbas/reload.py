"""`--reload`: when files change, applications start anew, and so does the process for what lives in its modules."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from gevent.threadpool import ThreadPool
from greenlet import GreenletExit

from greenbas.application import MODULES, Application
from greenbas.dispatcher import spawn
from greenbas.errors import SettingError, StartError
from greenbas.http import is_own
from greenbas.io import DiskIo
from greenbas.launch import Launch
from greenbas.server import Server

__all__ = ["Changes", "Reloader", "serve_reloading"]

LOOK = 200  # milliseconds between looks at whether the server has stopped
SETTLE = 50  # milliseconds without another change before one counts: editors write a file in several steps
DEBOUNCE = 1000  # milliseconds after which it counts even if there are more

DELETED = 3  # watchfiles.Change.deleted

DRAIN = 1.0  # seconds that running requests have before a restart; an event stream would hold it up for ever

Identity = tuple[int, int]  # of a folder: device and inode

_log = logging.getLogger("greenbas.reload")


class Reloader:
    """Watches the files of a server's applications and of the modules that were imported for it.

    A change of an application's start script, of what is in its modules' folder, or of its Python files reloads it; its
    pages and static files need no reload. A change of an imported module restarts the process.

    Args:
        server: the server.
        others: more files whose change restarts the process.

    Raises:
        StartError: the library watchfiles is not installed.
    """

    def __init__(self, server: Server, others: Iterable[Path] = ()) -> None:
        self._server = server
        apps = [app for app in server.root.walk() if isinstance(app, Application) and isinstance(app.io(), DiskIo)]
        self._apps = [(app_folder(app), app) for app in apps]  # one folder may be at several places
        self._others = {Path(os.path.realpath(file)) for file in others}
        folders = {folder for folder, _ in self._apps}
        self._changes = Changes({Path.cwd(), *folders, *(file.parent for file in self._others | module_files())})
        self.must_restart = False  # the server has been stopped in order to begin again

    def start(self, early: Collection[Path] = ()) -> None:
        """Begin to watch, in a greenlet and a native thread of its own.

        Args:
            early: files that have changed already.
        """
        spawn(self._watch, set(early), name="reload")

    def stop(self) -> None:
        """Watch no longer."""
        self._changes.stop()

    def _watch(self, early: set[Path]) -> None:
        self._act_on(early)
        for files in self._changes:
            self._act_on(files)

    def _act_on(self, files: set[Path]) -> None:
        # Asked each time: pages and start scripts import more.
        imported = self._others | module_files()
        if changed := sorted(file for file in imported if file in files or not files.isdisjoint(file.parents)):
            _log.info("%s changed: starting again", changed[0])
            self.must_restart = True
            self.stop()
            spawn(self._server.stop, DRAIN, name="stop")
            return
        for folder, app in self._apps:
            changed = sorted(file for file in files if _concerns(folder, file))
            if changed and folder.is_dir():  # one that is away is not started without its files: it may come back
                self._reload(app, changed[0])

    def _reload(self, app: Application, changed: Path) -> None:
        try:
            app.reload()
        except StartError as error:
            _log.error("%s", error)
        except (GreenletExit, KeyboardInterrupt):
            raise
        except BaseException:  # a SystemExit or a Timeout too: the next change may mend it
            _log.exception("%s changed: reloading the application at %s failed", changed, app.base_uri())
        else:
            _log.info("%s changed: reloaded the application at %s", changed, app.base_uri())


def app_folder(app: Application) -> Path:
    """The folder of an application."""
    return Path(app.io().real_path("") or "")


def module_files() -> set[Path]:
    """The files of the modules that are imported, without those of Python, of packages and of greenbas."""
    found = set()
    for module in list(sys.modules.values()):
        # What has no spec was not imported: a module of an application, which reloads by itself.
        file = getattr(module, "__file__", None) if getattr(module, "__spec__", None) is not None else None
        if isinstance(file, str) and file.endswith(".py") and is_own(os.path.abspath(file)):
            found.add(Path(os.path.realpath(file)))
    return found


class Changes:
    """Sets of files that change in some folders, one after the other; waiting for the next blocks the greenlet alone.

    A folder may be replaced by another one, or be missing for a while: what stands at its path is watched, and a folder
    that is there anew counts as a change itself.

    Args:
        folders: watched from here on, with all below them.

    Raises:
        StartError: the library watchfiles is not installed.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        try:
            from watchfiles import DefaultFilter
            from watchfiles._rust_notify import RustNotify  # it has a page of its own in the library's documentation
        except ModuleNotFoundError as error:
            raise StartError("--reload needs watchfiles: pip install 'greenbas[reload]'") from error
        self._counts = DefaultFilter()  # no caches, no version control, no backups of editors
        self._kind = RustNotify
        self._folders = {Path(os.path.realpath(folder)) for folder in folders}
        self._known, self._notify = self._look()
        self._pool = ThreadPool(1)
        self._stopped = False

    def __iter__(self) -> Iterator[set[Path]]:
        while not self._stopped:
            if files := self.take(LOOK):
                yield files
        self.close()

    def take(self, milliseconds: int) -> set[Path]:
        """What has changed since the last call, or does within this time."""
        found = self._pool.apply(self._notify.watch, (DEBOUNCE, SETTLE, milliseconds, None))
        events = found if isinstance(found, set) else set()
        files = {Path(os.path.realpath(name)) for change, name in events if self._counts(change, name)}
        removed = {Path(name) for change, name in events if change == DELETED}
        return (files - self._folders) | self._look_again(removed)

    def stop(self) -> None:
        """Let an iteration end."""
        self._stopped = True

    def close(self) -> None:
        """Watch no longer; not while another greenlet waits."""
        self._notify.close()
        self._pool.kill()

    def _look(self) -> tuple[dict[Path, Identity], Any]:
        # First who they are: one that is exchanged in between is noticed at the next look.
        known = {folder: place for folder in self._folders if (place := _identity(folder)) is not None}
        try:
            return known, self._kind([str(folder) for folder in known], False, False, LOOK, True, True)
        except FileNotFoundError:
            return {}, self._kind([], False, False, LOOK, True, True)

    def _look_again(self, removed: set[Path]) -> set[Path]:
        # The system's watch is of a folder, not of its path: it follows one that is moved away, and ends with one that
        # is removed, even if the next has its number again.
        known = {folder: place for folder in self._folders if (place := _identity(folder)) is not None}
        if known == self._known and removed.isdisjoint(self._folders):
            return set()
        before = self._known
        self._notify.close()
        self._known, self._notify = self._look()
        return {folder for folder in self._known if folder in removed or self._known[folder] != before.get(folder)}


def _identity(folder: Path) -> Identity | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def serve_reloading(prepare: Callable[[], Launch], serve: Callable[[Launch], None]) -> None:
    """Load and serve, and begin again with whatever changes; a mistake waits for its correction.

    Args:
        prepare: makes the server and what belongs to it.
        serve: serves until the server has been stopped.

    Raises:
        StartError: the library watchfiles is not installed.
    """
    # Before anything is read: what changes meanwhile counts.
    early = Changes({Path.cwd(), *_folders_named(sys.argv[1:])})
    try:
        launch = prepare()
    except (SettingError, StartError) as error:
        print(f"greenbas: {error}\ngreenbas: waiting for a change", file=sys.stderr, flush=True)
        try:
            next(iter(early))
        except KeyboardInterrupt:
            sys.exit(130)
        restart()
    reloader = Reloader(launch.server, [] if launch.config is None else [launch.config.file])
    reloader.start(early.take(1))
    early.close()
    try:
        serve(launch)
    finally:
        reloader.stop()
    if reloader.must_restart:
        # Named, so that a file that is away for a moment is missed, and not the current folder served instead.
        restart() if launch.config is None else restart("--config", str(launch.config.file))


def restart(*more: str) -> NoReturn:
    """Replace this process by a new one with the same command line, and these arguments unless it has the first."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*sys.orig_argv, *(() if more[:1] and more[0] in sys.orig_argv else more)])


def _folders_named(arguments: list[str]) -> set[Path]:
    """What the command line seems to name, `PREFIX=FOLDER` too; a folder that is away at the moment as well."""
    places = [one.rpartition("=")[2] for one in arguments]
    return {Path(place) for place in places if os.path.isdir(place) or ("/" in place and not os.path.exists(place))}


def _concerns(folder: Path, file: Path) -> bool:
    if not file.is_relative_to(folder):
        return folder.is_relative_to(file)  # something above it is there anew
    path = file.relative_to(folder)
    # Not all that is hidden: pages keep data there.
    return file == folder or file.suffix == ".py" or path.parts[:1] == (MODULES,)
