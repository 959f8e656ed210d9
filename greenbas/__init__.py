"""greenbas: plain blocking Python handlers, thousands of connections, one small process."""

from typing import Any as _Any

from greenbas import create, errors
from greenbas import plugin as _plugin
from greenbas.application import Application
from greenbas.dispatcher import Timer, patch, spawn, threads
from greenbas.dispatcher.threads import offload
from greenbas.http import Request, Response
from greenbas.server import Server

__all__ = [
    "Application",
    "Request",
    "Response",
    "Server",
    "Timer",
    "create",
    "errors",
    "offload",
    "patch",
    "spawn",
    "threads",
]


def __getattr__(name: str) -> _Any:
    # A function that a plugin adds. The import system asks for submodules here, too, before it imports them.
    if name.startswith("_") or _plugin.is_module(name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _plugin.function(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_plugin.names("functions")})
