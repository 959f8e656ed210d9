"""The names that a page has, and where their values come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenbas.http import Request, Response
from greenbas.pages.escape import escape
from greenbas.vfs import ResourceReader

__all__ = ["Maker", "Scope", "makers"]

Maker = Callable[[Request, Response], Any]


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


def makers(names: tuple[str, ...], reader: ResourceReader, path: str, page: object, app: object) -> list[Maker]:
    """For each parameter of a compiled page what makes its value, called once a request.

    Args:
        names: the parameters, of `greenbas.pages.PARAMETERS` and those that the compiler adds.
        reader: the directory of the page.
        path: the page's path in it.
        page: the scope of the page.
        app: the scope of the application.
    """
    fixed = {"dir": reader, "io": reader.io(), "pathname": path, "page": page, "app": app, "_escape": escape}
    return [_PER_REQUEST[name] if name in _PER_REQUEST else _constant(fixed[name]) for name in names]


def _constant(value: object) -> Maker:
    return lambda request, response: value


def _printer(request: Request, response: Response) -> Callable[..., None]:
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


_PER_REQUEST: dict[str, Maker] = {
    "request": lambda request, response: request,
    "response": lambda request, response: response,
    "cookie": lambda request, response: request.cookie,
    "env": lambda request, response: request.env(),
    "print": _printer,
    "write": lambda request, response: response.write,
    "_emit": lambda request, response: response.write,
}
