"""The greenbas side of the benchmark, written as a user would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenbas import Server

if TYPE_CHECKING:
    from greenbas.http import Request, Response

server = Server()


@server.directory("hello")
def hello(request: Request, response: Response) -> str:
    return "Hello, world!"


@server.directory("json")
def greeting(request: Request, response: Response) -> dict[str, Any]:
    data = request.data()
    n = int(data["n"])
    return {"hello": data["name"], "n": n, "items": [n * i for i in range(10)]}
