"""`Application`: a folder with a start script, pages, static files and modules of its own (BAS part k.4)."""

from __future__ import annotations

import gc
import itertools
import logging
import sys
from types import ModuleType
from typing import Any

from greenbas.dispatcher import Owner
from greenbas.errors import NotDirectory, NotFound, StartError
from greenbas.failures import describe_failure
from greenbas.http import Request, Response
from greenbas.io import Io
from greenbas.pages import EXTENSION, Scope, psp_filter
from greenbas.vfs import Program, ResourceReader

__all__ = ["MODULES", "PRELOAD", "Application"]

PRELOAD = ".preload.py"  # hidden, like everything whose name begins with a dot: never sent to a client
MODULES = ".modules"

_START = "."  # stands for the start script among the modules
_numbers = itertools.count(1)
_log = logging.getLogger("greenbas.app")


class Application(ResourceReader):
    """An application: pages, static files, and a script that runs when it starts.

    ``.preload.py``, if there is one, runs once; its globals are the scope ``app`` of all pages. It finds there `app`
    (that scope), `io`, `dir` (this directory), `appreq` and `own`. A function `on_unload` that it defines is called at
    the end. Everything that the application opens is closed with it; see `greenbas.dispatcher.Owner`.

    Args:
        io: where its files are.
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.

    Raises:
        StartError: the start script failed; names its file and line. Nothing is left of it.
    """

    def __init__(self, io: Io, *, name: str | None = None, priority: int = 0) -> None:
        super().__init__(io, name=name, priority=priority)
        self._title = io.file_name("")
        self._package = f"app{next(_numbers)}"
        self._owner = Owner(self._title)
        self._scope = Scope()
        self._modules: dict[str, ModuleType] = {}  # by the name that `appreq` knows them by
        self._loaded = False
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
        """
        if self._loaded:
            return
        self._owner = Owner(self._title)
        script = self._new_module(_START)
        self._scope = script.app
        try:
            with self._owner.current():
                self._run_preload(script.__dict__)
        except (Exception, SystemExit) as error:
            self._owner.close()
            self._forget_modules()
            self._failure = StartError(describe_failure(self._title, error))
            raise self._failure from error
        psp_filter(self, self._scope)
        self._loaded, self._failure = True, None

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
        if not self._loaded:
            return
        self._loaded = False
        ending = getattr(self._scope, "on_unload", None)
        if callable(ending):
            try:
                with self._owner.current():
                    ending()
            except Exception:
                _log.exception("%s: on_unload failed", self._title)
        self._owner.close()
        self._forget_modules()
        self.set_filter(EXTENSION, None)

    def reload(self) -> None:
        """Unload and load again; requests that are being served go on with the old one's objects.

        Raises:
            StartError: the start script failed. Until the next reload that succeeds, the answer to all requests is 503.
        """
        self.unload()
        self._scope = Scope()
        _collect()
        self.load()

    def close(self) -> None:
        """The server ends: unload."""
        self.unload()

    # Its modules.

    def appreq(self, name: str) -> ModuleType:
        """A module of this application alone: ``.modules/NAME.py``, run at the first call (BAS ``appreq``).

        Its globals begin with the names that the start script has (`app`, `io`, `dir`, `appreq`, `own`).

        Args:
            name: with dots for folders: "a.b" is ``.modules/a/b.py``.

        Raises:
            ModuleNotFoundError: there is no such file.
        """
        known = self._modules.get(name)
        if known is not None:
            return known
        path = f"{MODULES}/{name.replace('.', '/')}.py"
        made = self._new_module(name)  # known before it runs: modules may want each other
        try:
            if not all(part.isidentifier() for part in name.split(".")):
                raise NotFound(path)
            run = self.io().load_file(path, made.__dict__)
            with self._owner.current():
                run()
        except BaseException as error:
            self._forget_module(name)
            if isinstance(error, NotFound | NotDirectory) and error.path == path:
                words = f"this application has no module {name!r}: {path} is missing"
                raise ModuleNotFoundError(words, name=name) from None
            raise
        return made

    def _new_module(self, name: str) -> ModuleType:
        # Dataclasses, pickle and others look a class's module up in sys.modules: there it has a name of its own.
        made = ModuleType(self._package if name == _START else f"{self._package}.{name}")
        scope = Scope(made.__dict__) if name == _START else self._scope
        made.__dict__.update(app=scope, io=self.io(), dir=self, appreq=self.appreq, own=self._owner.own)
        self._modules[name] = sys.modules[made.__name__] = made
        return made

    def _forget_module(self, name: str) -> None:
        sys.modules.pop(self._modules.pop(name).__name__, None)

    def _forget_modules(self) -> None:
        for name in list(self._modules):
            self._forget_module(name)

    # Its requests. What runs code of the application does so on its behalf; files are sent without.

    def serve(self, request: Request, response: Response, path: str) -> bool:
        """Answer as a resource reader does."""
        if self._failure is not None:
            response.set_header("Retry-After", "1")
            response.send_error(503, str(self._failure) if request.dev else None)
            return True
        if self._function is None:
            return self.serve_itself(request, response, path)
        with self._owner.current():
            return super().serve(request, response, path)

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


def _collect() -> None:
    # Functions and their globals refer to each other: only the collector finds them, and closes the sockets and files
    # that nobody gave to `own`. The server keeps its objects out of the collector's sight; for once it has to look.
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
