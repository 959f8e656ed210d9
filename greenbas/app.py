"""What ``greenbas serve`` serves: folders, and names in modules."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import sysconfig
import traceback
from typing import Any

from greenbas.errors import GreenbasError, StartError
from greenbas.io import DiskIo, Io
from greenbas.server import Server
from greenbas.vfs import Directory, ResourceReader

__all__ = ["load"]

# Where code lives that the user has not written: an error is reported at the last line that is not in there.
_FOREIGN = ("<", *(sysconfig.get_path(key) + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib")))
_FOREIGN += (os.path.dirname(__file__) + os.sep,)


def load(specs: list[str]) -> Server:
    """Make a server of applications.

    Args:
        specs: each a folder, ``PREFIX=folder``, ``module:name`` or ``PREFIX=module:name``; the name is a `Server`,
            a `Directory` or a handler. At most one may be a Server; the others are installed in it.

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
    """The prefix, and what stands behind it: an Io, a Server, a Directory or a handler."""
    prefix, equals, place = spec.partition("=")
    if not equals or os.path.isdir(spec):
        prefix, place = "", spec
    if os.path.isdir(place):
        return prefix, DiskIo(place, writable=False)
    module, _, name = place.partition(":")
    if module.endswith(".py") or not (_is_dotted(module) and _is_dotted(name)):
        raise StartError(f"{place}: no such folder, and not of the form module:name{_hint(place)}")
    return prefix, _named(module, name)


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _hint(place: str) -> str:
    # Many name the file, or the module alone.
    file, _, name = place.partition(":")
    path = os.path.normpath(file.removesuffix(".py"))
    if not os.path.isfile(path + ".py"):
        path = file.replace(".", os.sep)
    module = path.replace(os.sep, ".")
    known = _is_dotted(module) and (os.path.isfile(path + ".py") or os.path.isfile(os.path.join(path, "__init__.py")))
    return f"; did you mean {module}:{name or 'server'}?" if known else ""


def _named(module_name: str, name: str) -> Any:
    thing: Any = _imported(module_name)
    # With the file, as somebody's site.py may be hidden behind the standard library's.
    where = f"{module_name} ({getattr(thing, '__file__', None) or 'built in'})"
    for part in name.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            raise StartError(f"{module_name}:{name}: {where} has no {part!r}") from None
    if not isinstance(thing, Server | Directory) and (inspect.isclass(thing) or not callable(thing)):
        raise StartError(f"{module_name}:{name} is {thing!r:.60}: it must be a Server, a Directory or a handler")
    return thing


def _imported(name: str) -> Any:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise StartError(f"{name}: no such module here or on the Python path") from error
        raise StartError(_failure(name, error)) from error
    except (Exception, SystemExit) as error:
        raise StartError(_failure(name, error)) from error


def _failure(module_name: str, error: BaseException) -> str:
    """One line: the module, the last line of the user's own code, and what happened there."""
    if isinstance(error, SyntaxError) and error.filename is not None and os.path.isfile(error.filename):
        return f"{module_name}: {error.filename} line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    last = ([frame for frame in frames if not frame.filename.startswith(_FOREIGN)] or frames)[-1]
    words = " ".join([f"{type(error).__name__}:", *str(error).split()]).removesuffix(":")
    return f"{module_name}: {last.filename} line {last.lineno}: {words}"


def _install(server: Server, spec: str, prefix: str, thing: Any) -> None:
    segments = [segment for segment in prefix.split("/") if segment]
    try:
        if not isinstance(thing, Directory):
            thing = _directory_of(thing, segments.pop() if segments else None)
        place = server.root
        for segment in segments:
            place = _subdirectory(place, segment)
        place.insert(thing)
    except (GreenbasError, ValueError, TypeError) as error:
        raise StartError(f"{spec}: {error}") from error


def _directory_of(thing: Any, name: str | None) -> Directory:
    if isinstance(thing, Io):
        return ResourceReader(thing, name=name)
    made = Directory(name)
    made.set_func(thing)
    return made


def _subdirectory(place: Directory, name: str) -> Directory:
    """A plain directory below another, made unless it is there."""
    for child in place.children:
        if child.name() == name and type(child) is Directory and child.function is None:
            return child
    made = Directory(name)
    place.insert(made)
    return made
