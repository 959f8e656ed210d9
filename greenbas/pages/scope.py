"""The names that a page has, and where their values come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenbas.http import Request, Response
from greenbas.pages.compiler import CompiledPage
from greenbas.pages.escape import escape
from greenbas.vfs import ResourceReader

__all__ = ["Run", "Scope", "bind", "printer"]

Run = Callable[[Request, Response], Any]


class Scope:
    """A namespace: attributes that outlive the request. ``page`` and ``app`` are of this kind.

    Args:
        values: the dict behind it; the globals of an application, for one.
    """

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        if values is not None:
            self.__dict__ = values

    def __repr__(self) -> str:
        names = ", ".join(name for name in self.__dict__ if not name.startswith("_"))
        return f"<Scope {names or 'empty'}>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"nothing has set {name!r} here yet; there are: {', '.join(self.__dict__) or 'no names'}")


def bind(compiled: CompiledPage, reader: ResourceReader, path: str, page: object, app: object) -> Run:
    """Give a compiled page its names.

    Args:
        compiled: the page.
        reader: its directory.
        path: its path in there.
        page: the scope of the page.
        app: the scope of the application.

    Returns:
        What runs it, called with request and response.
    """
    names = {
        "_page": compiled.function,
        "_printer": printer,
        "_escape": escape,
        "dir": reader,
        "io": reader.io(),
        "pathname": path,
        "page": page,
        "app": app,
    }
    # One call with all arguments in place, instead of one for each name and each request.
    arguments = ", ".join(_FROM_REQUEST.get(name, name) for name in compiled.parameters)
    run: Run = eval(f"lambda request, response: _page({arguments})", names)
    return run


def printer(response: Response) -> Callable[..., None]:
    """A `print` for one response."""

    def page_print(
        *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
    ) -> None:
        """`print` into the page; with `file`, as ever."""
        if file is not None:
            print(*values, sep=sep, end=end, file=file, flush=flush)
            return
        response.write((" " if sep is None else sep).join(map(str, values)), "\n" if end is None else end)
        if flush:
            response.flush()

    return page_print


# How the names are written that are not the same for all requests.
_FROM_REQUEST = {
    "request": "request",
    "response": "response",
    "cookie": "request.cookie",
    "session": "request.session(True)",
    "env": "request.env()",
    "print": "_printer(response)",
    "write": "response.write",
    "_emit": "response.write",
}
