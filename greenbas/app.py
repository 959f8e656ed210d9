"""What ``greenbas serve`` serves: folders, and names in modules."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, ParamSpec, TypeVar

from greenbas.application import Application
from greenbas.errors import GreenbasError, StartError
from greenbas.failures import describe_failure
from greenbas.io import DiskIo
from greenbas.server import Server
from greenbas.vfs import Directory, WsgiDirectory, is_wsgi

__all__ = ["Spec", "load"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Spec:
    """One thing to serve.

    Args:
        place: a folder, or ``module:name``.
        prefix: the path it is put below; "" for the root.
        priority: -128 to 127; siblings are asked in descending order.
        text: how the user wrote it, for messages.
        origin: where he wrote it, for messages, such as "greenbas.toml: [[app]] 1"; "" for the command line.
    """

    place: str
    prefix: str = ""
    priority: int = 0
    text: str = ""
    origin: str = ""

    def __str__(self) -> str:
        return self.text or self.place

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Make one of ``APP`` or ``PREFIX=APP``.

        Raises:
            StartError: nothing stands behind the ``=``.
        """
        prefix, equals, place = text.partition("=")
        if not equals or os.path.isdir(text):
            return cls(text, text=text)
        if not place:
            raise StartError(f"{text!r} names nothing to serve: write PREFIX=APP, such as {prefix}=folder")
        return cls(place, prefix, text=text)


def load(specs: Iterable[str | Spec]) -> Server:
    """Make a server of applications.

    Args:
        specs: each a folder, ``PREFIX=folder``, ``module:name`` or ``PREFIX=module:name``; the name is a `Server`, a
            `Directory`, a handler or a WSGI application. At most one may be a Server; the others are installed in it.

    Raises:
        StartError: a folder or name does not exist, a module does not import, an application does not start, or there
            are two Servers. Nothing is left of those that had started.
    """
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # applications import what lies beside them
    named = [Spec.parse(spec) if isinstance(spec, str) else spec for spec in specs]
    found = [(spec, _placed(spec, _resolve, spec)) for spec in named]
    servers = [thing for _, thing in found if isinstance(thing, Server)]
    if len(servers) > 1:
        raise StartError(f"{len(servers)} of the applications are Servers: serve one, and the others as directories")
    server = servers[0] if servers else Server()
    installed: list[Directory] = []
    try:
        for spec, thing in found:
            if thing is not server:
                installed.append(_placed(spec, _install, server, spec, thing))
            elif spec.prefix or spec.priority:
                _placed(spec, _refuse_place, spec)
    except BaseException:
        for directory in installed:
            directory.close()
            directory.unlink()
        raise
    return server


def _placed(spec: Spec, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function; its errors say where the spec stands."""
    try:
        return function(*args, **kwargs)
    except StartError as error:
        if not spec.origin:
            raise
        raise StartError(f"{spec.origin}: {error}") from error


def _refuse_place(spec: Spec) -> NoReturn:
    raise StartError(f"{spec}: a Server cannot have a prefix or a priority")


def _resolve(spec: Spec) -> Any:
    """What a spec names: a DiskIo, a Server, a Directory, a handler or a WSGI application."""
    place = spec.place
    if os.path.isdir(place):
        return DiskIo(place)
    module, _, name = place.partition(":")
    if module.endswith(".py") or not (_is_dotted(module) and _is_dotted(name)):
        raise StartError(f"{place}: no such folder, and not of the form module:name{_hint(place)}")
    return _named(module, name)


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
        kinds = "a Server, a Directory, a handler or a WSGI application"
        raise StartError(f"{module_name}:{name} is {thing!r:.60}: it must be {kinds}")
    return thing


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise StartError(f"{name}: no such module here or on the Python path") from error
        raise StartError(describe_failure(name, error)) from error
    except (Exception, SystemExit) as error:
        raise StartError(describe_failure(name, error)) from error


def _install(server: Server, spec: Spec, thing: Any) -> Directory:
    made: Directory
    segments = [segment for segment in spec.prefix.split("/") if segment]
    try:
        made = thing
        if not isinstance(thing, Directory):
            made = _directory_of(thing, segments.pop() if segments else None, spec.priority)
        place = server.root
        for segment in segments:
            place = _subdirectory(place, segment)
        place.insert(made)
        return made
    except StartError:
        raise
    except (GreenbasError, ValueError, TypeError) as error:
        raise StartError(f"{spec}: {error}") from error


def _directory_of(thing: Any, name: str | None, priority: int) -> Directory:
    if isinstance(thing, DiskIo):
        return Application(thing, name=name, priority=priority)
    if is_wsgi(thing):
        return WsgiDirectory(thing, name, priority=priority)
    made = Directory(name, priority=priority)
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
