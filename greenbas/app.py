"""What ``greenbas serve`` serves: folders, and names in modules."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

from greenbas.errors import GreenbasError, StartError
from greenbas.io import DiskIo
from greenbas.server import Server
from greenbas.vfs import Directory, ResourceReader

__all__ = ["load"]


def load(specs: list[str]) -> Server:
    """Make a server of applications.

    Args:
        specs: each a folder, ``PREFIX=folder``, ``module:name`` or ``PREFIX=module:name``, where the name is a `Server`, a
            `Directory` or a handler. At most one may be a Server; the others are installed in it.

    Raises:
        StartError: a folder or name does not exist, a module does not import, or there are two Servers.
    """
    found = [(spec, *_resolve(spec)) for spec in specs]
    servers = [thing for _, _, thing in found if isinstance(thing, Server)]
    if len(servers) > 1:
        raise StartError(f"{len(servers)} of the applications are Servers: serve one, and the others as directories")
    server = servers[0] if servers else Server()
    for spec, prefix, thing in found:
        if thing is not server:
            _install(server, spec, prefix, thing)
        elif prefix:
            raise StartError(f"{spec}: a Server cannot have a prefix")
    return server


def _resolve(spec: str) -> tuple[str, Any]:
    prefix, equals, place = spec.partition("=")
    if not equals or os.path.isdir(spec):
        prefix, place = "", spec
    if os.path.isdir(place):
        return prefix, ResourceReader(DiskIo(place, writable=False))
    module, colon, name = place.partition(":")
    if not colon or "/" in module:
        raise StartError(f"{place}: no such folder, and not of the form module:name")
    return prefix, _named(module, name)


def _named(module_name: str, name: str) -> Any:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        thing: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise StartError(f"{module_name}: no such module here or on the Python path") from error
        raise StartError(_where(module_name, error)) from error
    except GreenbasError:
        raise
    except Exception as error:
        raise StartError(_where(module_name, error)) from error
    for part in name.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            raise StartError(f"{module_name}:{name}: the module has no {part!r}") from None
    if not isinstance(thing, Server | Directory) and not callable(thing):
        raise StartError(f"{module_name}:{name} is {thing!r:.60}: it must be a Server, a Directory or a handler")
    return thing


def _where(module_name: str, error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, SyntaxError):
        return f"{module_name}: {error.filename} line {error.lineno}: {error.msg}"
    return f"{module_name}: {last.filename} line {last.lineno}: {type(error).__name__}: {error}"


def _install(server: Server, spec: str, prefix: str, thing: Any) -> None:
    segments = [segment for segment in prefix.split("/") if segment]
    place = server.root
    try:
        for segment in segments:
            existing = next((child for child in place.children if child.name() == segment), None)
            if existing is None:
                existing = Directory(segment)
                place.insert(existing)
            place = existing
        if not isinstance(thing, Directory):
            function, thing = thing, Directory()
            thing.set_func(function)
        place.insert(thing)
    except (GreenbasError, ValueError) as error:
        raise StartError(f"{spec}: {error}") from error
