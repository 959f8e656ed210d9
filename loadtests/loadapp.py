"""The application under load: handlers that wait, answer, read forms and read uploads.

The static folder beside it comes from the command line: `greenbas serve loadapp:server static=FOLDER`.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from greenbas import Server

if TYPE_CHECKING:
    from greenbas.http import Request, Response

server = Server()


@server.directory("sleep")
def sleep(request: Request, response: Response) -> str:
    ms = int(request.data()["ms"])
    time.sleep(min(ms, 1000) / 1000)
    return f"slept {ms}"


@server.directory("json")
def greeting(request: Request, response: Response) -> dict[str, Any]:
    data = request.data()
    n = int(data["n"])
    return {"hello": data["name"], "n": n, "items": [n * i for i in range(10)]}


@server.directory("form")
def form(request: Request, response: Response) -> dict[str, Any]:
    return {"fields": dict(request.data())}


@server.directory("upload")
def upload(request: Request, response: Response) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    for block in request.rawrdr(65536):
        digest.update(block)
        size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}
