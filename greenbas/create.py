"""Constructors under BAS's names (``ba.create``), and those that plugins add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenbas import plugin as _plugin
from greenbas.io import Io
from greenbas.vfs import Directory, DomainReader, ResourceReader, WsgiDirectory

__all__ = ["dir", "domainresrdr", "resrdr", "wsgi"]


def __getattr__(name: str) -> Any:
    # A kind that a plugin adds, such as create.statuspage; looked for only when there is nothing of the name here.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _plugin.kind(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_plugin.names("kinds")})


def dir(name: str | None = None, *, priority: int = 0) -> Directory:
    """A plain directory (BAS ``ba.create.dir``).

    Args:
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return Directory(name, priority=priority)


def resrdr(io: Io, *, name: str | None = None, priority: int = 0) -> ResourceReader:
    """A directory that serves files (BAS ``ba.create.resrdr``).

    Args:
        io: where the files are.
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return ResourceReader(io, name=name, priority=priority)


def domainresrdr(domain: str, io: Io, *, priority: int = 0, page404: str | None = None) -> DomainReader:
    """Files for one host name (BAS ``ba.create.domainresrdr``).

    Args:
        domain: the host name.
        io: where the files are.
        priority: -128 to 127; siblings are asked in descending order.
        page404: the page for what is not found; without one the search goes on.
    """
    return DomainReader(domain, io, priority=priority, page404=page404)


def wsgi(app: Callable[..., Any], *, name: str | None = None, priority: int = 0) -> WsgiDirectory:
    """A WSGI application (PEP 3333), such as one of Flask or Django.

    Args:
        app: the application, called with (environ, start_response).
        name: the path segment it answers to; None makes it part of its parent: it answers for every path there.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return WsgiDirectory(app, name, priority=priority)
