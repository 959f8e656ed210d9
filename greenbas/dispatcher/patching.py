"""Monkey patching: `patch` makes the standard library's blocking calls block one greenlet instead of the process.

Only launchers patch (the ``greenbas`` command, ``python -m greenbas``, ``Server.run``). Patching replaces names inside
modules, so whoever copied a name before (``from time import sleep``) keeps the blocking one for ever, and a subclass of
the old ``ssl.SSLContext`` recurses without end (gevent issue 1016). `patch` looks for such copies first and refuses.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

from gevent import monkey

from greenbas.errors import LatePatch

__all__ = ["is_patched", "patch"]

# What gevent replaces and programs import by name. A module that holds one of these when patch() is called keeps the
# blocking version.
_COPIED_NAMES = {
    "time": ("sleep",),
    "socket": ("socket", "create_connection", "getaddrinfo", "gethostbyname", "socketpair"),
    "select": ("select", "poll", "epoll"),
    "ssl": ("SSLContext", "SSLSocket", "create_default_context"),
    "threading": ("Thread", "Lock", "RLock", "Event", "Condition", "Semaphore", "local", "Timer"),
    "queue": ("SimpleQueue", "Queue", "PriorityQueue", "LifoQueue"),
    "subprocess": ("Popen", "run", "check_output", "check_call"),
}
# Their copies are either harmless or meant.
_EXEMPT = frozenset(sys.stdlib_module_names) | {"gevent", "greenlet", "greenbas", "zope", "_distutils_hack"}


def is_patched() -> bool:
    """Whether the blocking calls of the standard library are cooperative in this process."""
    return bool(monkey.is_module_patched("socket") and monkey.is_module_patched("time"))


def patch() -> None:
    """Patch everything; a second call does nothing. Call it before anything else is imported.

    Raises:
        LatePatch: modules outside the standard library already hold blocking originals; names them and the remedy.
    """
    if is_patched():
        _use_native_logging_locks()
        return
    copies = _early_copies()
    if copies:
        shown = "; ".join(f"{module} has {', '.join(names)}" for module, names in sorted(copies.items())[:5])
        more = f"; and {len(copies) - 5} more modules" if len(copies) > 5 else ""
        raise LatePatch(
            f"too late to patch: {shown}{more}. Start the program with 'greenbas run' or 'greenbas serve', "
            "or make 'import greenbas; greenbas.patch()' its first line."
        )
    monkey.patch_all()
    _use_native_logging_locks()


def _early_copies() -> dict[str, list[str]]:
    originals = {
        id(getattr(sys.modules[module], name)): f"{module}.{name}"
        for module, names in _COPIED_NAMES.items()
        if module in sys.modules
        for name in names
        if hasattr(sys.modules[module], name)
    }
    found: dict[str, list[str]] = {}
    for module_name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and module_name.partition(".")[0] not in _EXEMPT:
            names = {originals[id(value)] for value in list(vars(module).values()) if id(value) in originals}
            if not _is_installed(module):
                names |= _early_objects(module)
            if names:
                found[module_name] = sorted(names)
    return found


def _early_objects(module: ModuleType) -> set[str]:
    # A lock made by the original blocks the whole process when two greenlets want it.
    return {
        f"the {type(value).__qualname__} {name}"
        for name, value in list(vars(module).items())
        if type(value).__module__ in ("_thread", "threading", "_queue", "queue") and not isinstance(value, type)
    }


def _is_installed(module: ModuleType) -> bool:
    # Locks of installed libraries are their own affair: few are held while something blocks.
    return "site-packages" in (getattr(module, "__file__", None) or "site-packages")


def _use_native_logging_locks() -> None:
    """Give every logging handler a lock of the operating system.

    A patched lock that a pool thread and the hub's thread both want can lose its wake-up and hang for ever; code that
    logs inside `threads.offload` would meet that. A handler's emit does not switch greenlets, so a native lock is
    right.
    """
    native_rlock: Any = monkey.get_original("_thread", "RLock")

    def create_lock(handler: logging.Handler) -> None:
        handler.lock = native_rlock()

    logging.Handler.createLock = create_lock  # type: ignore[assignment,method-assign]
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]
        handler = reference()
        if handler is not None:
            create_lock(handler)
    if not isinstance(logging._lock, type(native_rlock())):  # type: ignore[attr-defined]
        logging._lock = native_rlock()  # type: ignore[attr-defined]
