"""The same handlers as a plain WSGI application, for granian, bjoern, gunicorn and pywsgi.

JSON is written with the fastest writer there is, so that no peer is measured by a slower one than greenbas has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import orjson

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer /hello/ and /json/."""
    path = environ["PATH_INFO"]
    if path == "/hello/":
        return answer(start_response, "text/html; charset=utf-8", b"Hello, world!")
    if path == "/json/":
        return answer(start_response, "application/json", greeting(environ["QUERY_STRING"]))
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


def answer(start_response: StartResponse, content_type: str, body: bytes) -> Iterable[bytes]:
    """A 200 with a known length."""
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


def greeting(query: str) -> bytes:
    """The JSON answer to a query."""
    data = parse_qs(query)
    n = int(data["n"][0])
    return orjson.dumps({"hello": data["name"][0], "n": n, "items": [n * i for i in range(10)]})
