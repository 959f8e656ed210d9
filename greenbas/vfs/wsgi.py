"""`WsgiDirectory`: a WSGI application (PEP 3333) as a directory."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenbas.errors import IncorrectUse
from greenbas.http import Request, Response
from greenbas.vfs.directory import Directory
from greenbas.vfs.wsgicall import WsgiCall
from greenbas.vfs.wsgienviron import Environs

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["WsgiDirectory", "is_wsgi"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class WsgiDirectory(Directory):
    """A WSGI application that answers for everything below its name, and for the name without a slash.

    Args:
        app: the application, called with (environ, start_response) in the greenlet of the request.
        name: the path segment it answers to; None makes it part of its parent: every path there that nobody with a
            higher priority has answered is the application's.
        priority: -128 to 127; siblings are asked in descending order.

    Raises:
        ValueError: a name with "/" in it, or a priority out of range.
        TypeError: the application cannot be called, or is async.
    """

    _slashless = True

    def __init__(self, app: WSGIApplication, name: str | None = None, *, priority: int = 0) -> None:
        super().__init__(name, priority=priority)
        if not callable(app):
            raise TypeError(f"a WSGI application is callable with (environ, start_response), not {app!r:.80}")
        if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004
            raise TypeError(f"{app!r:.80} is async: greenbas calls WSGI applications; take the framework's WSGI one")
        if _parameters(app) == ["request", "response"]:
            raise TypeError(
                f"{app!r:.80} is a handler for greenbas, called with (request, response), and no WSGI application: "
                "serve it as a directory function, or in greenbas.toml as an [[app]] whose path is module:name"
            )
        self._app = app
        self._environs = Environs()

    @property
    def app(self) -> WSGIApplication:
        """The application."""
        return self._app

    def insert(self, child: Directory, reference: bool = True) -> None:
        """Always refused: nobody would ever ask the child.

        Raises:
            IncorrectUse: always.
        """
        raise IncorrectUse(
            f"{self!r} answers for every path below it: insert {child!r} beside it, with a higher priority"
        )

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """Call the application. It has always answered: what it does not know, it says itself."""
        if request.path == "*":
            return False  # OPTIONS of the server (RFC 9110 9.3.7): no path of anybody
        if request.running is None and path is request.relpath:
            script_name, path_info = "", request.path  # at the root of the site, and nobody in between
        else:
            script_name, path_info = self._places(request, path)
        environ = self._environs.make(request, script_name, path_info)
        request.running, request.relpath = self, path
        WsgiCall(request, response).run(self._app, environ)
        return True

    def _places(self, request: Request, path: str) -> tuple[str, str]:
        """SCRIPT_NAME and PATH_INFO."""
        base = self.base_uri()[:-1]
        inside = "/" + path
        if request.initial and not request.redirects:
            # The client's own path. In front of the base may be the place of a function that has called `service`.
            asked = request.path
            if asked.endswith(base + inside):
                return asked[: -len(inside)], inside
            if not path and asked.endswith(base):
                return asked, ""
        return base, inside  # a forward, or a function that asks for a path of its own


def is_wsgi(thing: Any) -> bool:
    """Whether a callable looks like a WSGI application, and not like a handler.

    Args:
        thing: a function, an object such as a Flask or Django application, a class, or anything else.

    Returns:
        Whether its second positional parameter is called ``start_response``.
    """
    return callable(thing) and _parameters(thing)[1:2] == ["start_response"]


def _parameters(thing: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return []  # it does not tell
    return [parameter.name for parameter in parameters if parameter.kind in _POSITIONAL]
