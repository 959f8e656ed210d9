"""`Application`: a folder with a start script, pages, static files and modules of its own (BAS part k.4)."""

from __future__ import annotations

import gc
import itertools
import logging
from types import ModuleType
from typing import Any

from gevent.event import Event
from gevent.lock import RLock
from greenlet import GreenletExit, getcurrent

from greenbas.appmodules import MODULES, AppModules
from greenbas.dispatcher import Owner
from greenbas.errors import IncorrectUse, InvalidName, IsDirectory, NotDirectory, NotFound, StartError
from greenbas.failures import describe_failure
from greenbas.http import Request, Response
from greenbas.io import Io, normalize
from greenbas.pages import EXTENSION, Scope, psp_filter
from greenbas.vfs import PYTHON_FILES, Program, ResourceReader

__all__ = ["MODULES", "PRELOAD", "Application"]

PRELOAD = ".preload.py"  # hidden, like everything whose name begins with a dot: never sent to a client
WAIT_SECONDS = 10.0  # for the end of a reload: requests, and the end of the server

_numbers = itertools.count(1)
_log = logging.getLogger("greenbas.app")


class Application(ResourceReader):
    """An application: pages, static files, and a script that runs when it starts.

    ``.preload.py``, if there is one, runs once; its globals are the scope ``app`` of all pages. It finds there `app`
    (that scope), `io`, `dir` (this directory), `appreq` and `own`. A function `on_unload` that it defines is called at
    the end. Everything that the application opens is closed with it; see `greenbas.dispatcher.Owner`. Python files are
    not sent unless the script says ``dir.set_private()``.

    Args:
        io: where its files are.
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.

    Raises:
        StartError: the start script failed; names its file and line. Nothing is left of it.
    """

    def __init__(self, io: Io, *, name: str | None = None, priority: int = 0) -> None:
        super().__init__(io, name=name, priority=priority)
        self.set_private(*PYTHON_FILES)
        self._title = io.file_name("")
        self._package = f"app{next(_numbers)}"
        self._owner = Owner(self._title)
        self._scope = Scope()
        self._modules: AppModules | None = None
        self._lock = RLock()  # for one load, unload or reload at a time; on_unload and pages may call them too
        self._reloader: object = None  # the greenlet that reloads now
        self._settled = Event()  # no reload is under way
        self._settled.set()
        self._loaded = self._ended = False
        self._failure: StartError | None = None
        self.load()

    @property
    def scope(self) -> Scope:
        """What pages know as ``app``: the globals of the start script."""
        return self._scope

    @property
    def owner(self) -> Owner:
        """What the application has opened."""
        return self._owner

    @property
    def failure(self) -> StartError | None:
        """Why it does not run since the last reload; None while it runs."""
        return self._failure

    # Its life.

    def load(self) -> None:
        """Run the start script and the pages, unless it is loaded.

        Raises:
            StartError: the start script failed; everything that it had opened has been closed.
            IncorrectUse: the application has been closed.
        """
        with self._lock:
            if self._ended:
                raise IncorrectUse(f"{self._title} has been closed: make another Application")
            if not self._loaded:
                self._load()

    def _load(self) -> None:
        self._owner = owner = Owner(self._title)
        self._modules = modules = AppModules(self.io(), self._package, owner, {"dir": self})
        self._scope = modules.scope
        try:
            with owner.current():
                self._run_preload(modules.start.__dict__)
        except BaseException as error:
            self._failure = StartError(_describe(self._title, error))
            _close_both(owner, modules)
            if isinstance(error, GreenletExit | KeyboardInterrupt):
                raise
            raise self._failure from error
        psp_filter(self, self._scope)
        self._loaded, self._failure = True, None
        if self._ended:  # closed meanwhile
            self.unload()

    def _run_preload(self, scope: dict[str, Any]) -> None:
        try:
            run = self.io().load_file(PRELOAD, scope)
        except (NotFound, NotDirectory):
            return  # pages and files alone make an application too
        run()

    def unload(self) -> None:
        """Call `on_unload`, and close what the application has opened; what fails is logged.

        The directory stays where it is mounted, and serves static files alone.
        """
        with self._lock:
            if not self._loaded:
                return
            self._loaded = False
            try:
                self._call_on_unload()
            finally:
                self.set_filter(EXTENSION, None)
                _close_both(self._owner, self._modules)

    def _call_on_unload(self) -> None:
        ending = getattr(self._scope, "on_unload", None)
        if not callable(ending):
            return
        try:
            with self._owner.current():
                ending()
        except (GreenletExit, KeyboardInterrupt):
            raise
        except BaseException:  # a SystemExit or a Timeout too: nothing keeps an application from ending
            _log.exception("%s: on_unload failed", self._title)

    def reload(self) -> None:
        """Unload and load again; requests that are being served go on with the old one's objects, new ones wait.

        Nothing happens after `close`.

        Raises:
            StartError: the start script failed. Until the next reload that succeeds, the answer to all requests is 503.
        """
        with self._lock:
            if self._ended:
                return
            self._reloader = getcurrent()
            self._settled.clear()
            try:
                self.unload()
                self._scope, self._modules = Scope(), None
                psp_filter(self, self._scope)  # so that index pages are not forgotten by who looks for one now
                _collect()
                self._load()
            finally:
                self._reloader = None
                self._settled.set()

    def close(self) -> None:
        """The server ends: unload, for good."""
        self._ended = True
        # A start script that hangs must not keep the server from ending: it unloads itself when it is through.
        if self._lock.acquire(timeout=WAIT_SECONDS):
            try:
                self.unload()
            finally:
                self._lock.release()

    # Its modules.

    def appreq(self, name: str) -> ModuleType:
        """A module of this application alone: ``.modules/NAME.py``, run at the first call (BAS ``appreq``).

        Its globals begin with the names that the start script has (`app`, `io`, `dir`, `appreq`, `own`).

        Args:
            name: with dots for folders: "a.b" is ``.modules/a/b.py``.

        Raises:
            ModuleNotFoundError: there is no such file.
        """
        if self._modules is None:
            raise ModuleNotFoundError(f"{self._title} is not loaded: it has no module {name!r}", name=name)
        return self._modules.require(name)

    # Its requests. What runs code of the application does so on its behalf; files are sent without.

    def serve(self, request: Request, response: Response, path: str) -> bool:
        """Answer as a resource reader does; 503 while it does not run."""
        if self._function is None and self._guard is None:
            return self.serve_itself(request, response, path)
        if self._away() and self._refuse(request, response):
            return True
        with self._owner.current():
            return super().serve(request, response, path)

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """Prologue, files, children; 503 while it does not run."""
        if self._away() and self._refuse(request, response):
            return True
        return super().serve_itself(request, response, path)

    def _away(self) -> bool:
        return self._failure is not None or self._reloader is not None

    def _trouble(self) -> StartError | None:
        # Why it cannot answer, after a reload that is under way.
        reloads = self._reloader is not None and self._reloader is not getcurrent()
        if reloads and not self._settled.wait(WAIT_SECONDS):
            return StartError(f"{self._title} is being reloaded, for more than {WAIT_SECONDS:g} s")
        return self._failure

    def _refuse(self, request: Request, response: Response) -> bool:
        trouble = self._trouble()
        if trouble is None:
            return False
        if request.included:  # status and headers are not for includes
            raise StartError(str(trouble)) from trouble
        request.running = self  # it has answered
        response.set_header("Retry-After", "1")
        response.send_error(503, str(trouble) if request.dev else None)
        return True

    def _serve_files(self, request: Request, response: Response, path: str) -> bool:
        return not _secret(path) and super()._serve_files(request, response, path)

    def _open_program(self, request: Request, path: str) -> Program:
        if self._away() and (trouble := self._trouble()) is not None:  # since the request came here
            raise StartError(str(trouble)) from trouble
        return super()._open_program(request, path)

    def serve_prologue(self, request: Request, response: Response, path: str) -> bool:
        """Ask the prologue directories in their order."""
        with self._owner.current():
            return super().serve_prologue(request, response, path)

    def serve_children(self, request: Request, response: Response, path: str) -> bool:
        """Ask the children in their order."""
        with self._owner.current():
            return super().serve_children(request, response, path)

    def run(self, program: Program, request: Request, response: Response) -> None:
        """Run a page."""
        owner = self._owner  # of now: a reload meanwhile brings another one
        token = owner.enter()
        try:
            program(request, response)
        finally:
            owner.leave(token)


def _describe(title: str, error: BaseException) -> str:
    if isinstance(error, IsDirectory) and error.path == PRELOAD:
        return f"{title}: {PRELOAD} is a folder: it has to be the start script; modules go into {MODULES}/"
    return describe_failure(title, error)


def _secret(path: str) -> bool:
    # Sources, maybe with passwords: not even for forwards, whose path may be a client's.
    if path[:1] != "." and "/." not in path:
        return False
    try:
        first, _, rest = normalize(path).casefold().partition("/")
    except InvalidName:
        return False  # nothing has such a name
    return first == MODULES or (first == PRELOAD and not rest)


def _close_both(owner: Owner, modules: AppModules | None) -> None:
    try:
        owner.close()
    finally:
        if modules is not None:
            modules.close()


def _collect() -> None:
    # Functions and their globals refer to each other: only the collector finds them, and closes the sockets and files
    # that nobody gave to `own`. The server keeps its objects out of the collector's sight; for once it has to look.
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
