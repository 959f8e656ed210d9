"""The same handlers as a plain ASGI application, for uvicorn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from wsgiapp import greeting

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer /hello/ and /json/."""
    path = scope["path"]
    if path == "/hello/":
        await answer(send, 200, b"text/html; charset=utf-8", b"Hello, world!")
    elif path == "/json/":
        await answer(send, 200, b"application/json", greeting(scope["query_string"].decode("ascii")))
    else:
        await answer(send, 404, b"text/plain", b"")


async def answer(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    """A response with a known length."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
