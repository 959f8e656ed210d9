"""What the server page becomes, from a handler that has nothing to do: the measure for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from works import page_bytes

from greenbas import Server

if TYPE_CHECKING:
    from greenbas.http import Request, Response

server = Server()
PAGE = page_bytes().decode()


@server.directory("page")
def page(request: Request, response: Response) -> str:
    return PAGE
