"""`AppModules`: the modules that belong to one application alone, from one load of it to the next."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from gevent.lock import RLock

from greenbas.dispatcher import Owner
from greenbas.errors import NotDirectory, NotFound
from greenbas.io import Io
from greenbas.pages import Scope

__all__ = ["MODULES", "AppModules"]

MODULES = ".modules"


class AppModules:
    """The start script and the modules that it and the pages ask for, each loaded once.

    Args:
        io: the application's.
        package: the name of the start script in `sys.modules`, and what those of the modules begin with.
        owner: closes what the modules open.
        names: more names that scripts find among their globals.
    """

    def __init__(self, io: Io, package: str, owner: Owner, names: dict[str, Any]) -> None:
        self._io = io
        self._package = package
        self._owner = owner
        self._names = names
        self._lock = RLock()  # one for all: two modules that want each other may be asked for at the same time
        self._depth = 0
        self._made: dict[str, ModuleType] = {}  # for the greenlet that has the lock: some may be half loaded
        self._whole: dict[str, ModuleType] = {}  # for everybody
        self.start = ModuleType(package)
        self.scope = Scope(self.start.__dict__)
        self._introduce(self.start, owner)

    def require(self, name: str) -> ModuleType:
        """A module; see `Application.appreq`. Greenlets that want one that is being loaded wait for it."""
        known = self._whole.get(name)
        if known is not None:
            return known
        with self._lock:
            self._depth += 1
            try:
                return self._made.get(name) or self._load(name)
            finally:
                self._depth -= 1
                if not self._depth:
                    self._whole = dict(self._made)

    def close(self) -> None:
        """Forget all of them."""
        for name in list(self._made):
            self._forget(name)
        self._whole = {}
        _remove(self.start)

    def _load(self, name: str) -> ModuleType:
        path = f"{MODULES}/{name.replace('.', '/')}.py"
        owner = Owner(f"{self._owner.name} {path}", self._owner)
        made = ModuleType(f"{self._package}.{name}")
        self._made[name] = made  # known before it runs: modules may want each other
        self._introduce(made, owner)
        try:
            if not all(part.isidentifier() for part in name.split(".")):
                raise NotFound(path)
            run = self._io.load_file(path, made.__dict__)
            with owner.current():
                run()
        except BaseException as error:
            self._forget(name)
            owner.close()
            if isinstance(error, NotFound | NotDirectory) and error.path == path:
                words = f"this application has no module {name!r}: {path} is missing"
                raise ModuleNotFoundError(words, name=name) from None
            raise
        self._owner.own(owner)
        return made

    def _introduce(self, made: ModuleType, owner: Owner) -> None:
        # Dataclasses, pickle and others look a class's module up in sys.modules: there it has a name of its own.
        made.__dict__.update(self._names, app=self.scope, io=self._io, appreq=self.require, own=owner.own)
        if self._owner.closed:  # a request goes on that began before a reload
            self._owner.own(self)
            sys.modules.setdefault(made.__name__, made)
        else:
            sys.modules[made.__name__] = made

    def _forget(self, name: str) -> None:
        made = self._made.pop(name, None)
        if made is not None:
            _remove(made)


def _remove(made: ModuleType) -> None:
    if sys.modules.get(made.__name__) is made:
        del sys.modules[made.__name__]
