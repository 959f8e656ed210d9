"""HTTP requests (LuaSocket ``socket.http``), https included.

TIMEOUT, USERAGENT and PROXY may be set by programs; each request looks at them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from greenbas.luasocket import socket
from greenbas.luasocket.httpconnection import Connection, made
from greenbas.luasocket.httprequest import PORTS, Prepared, next_request, prepare
from greenbas.luasocket.ltn12 import sink
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import as_chunk

__all__ = ["PROXY", "TIMEOUT", "USERAGENT", "Connection", "genericform", "open", "request", "schemes"]

TIMEOUT = 60.0  # seconds for each call
USERAGENT = socket._VERSION
PROXY: str | None = None  # the URL of the proxy for requests that name none

# The schemes that there are, each with its port; a "create" among them makes the sockets for it.
schemes: dict[str, dict[str, Any]] = {scheme: {"port": port} for scheme, port in PORTS.items()}

Answer = tuple[Any, Any, dict[str, str] | None, str | None]


def open(host: str, port: int | str, create: Callable[[], Any] | None = None) -> Connection:
    """Connect to a server (``http.open``).

    Args:
        host: name or address.
        port: its port.
        create: makes the socket; `socket.tcp` unless given.

    Returns:
        The connection; its steps raise what `socket.protect` catches, as this function does when it fails.
    """
    connection = Connection(made(create or socket.tcp), TIMEOUT)
    try:
        connection.connect(host, port)
    except BaseException:
        connection.close()
        raise
    return connection


def genericform(address: str | bytes, body: str | bytes | None = None) -> dict[str, Any]:
    """Make the table that `request` uses for a URL (``http.genericform``).

    Args:
        address: the URL.
        body: for POST, as application/x-www-form-urlencoded.

    Returns:
        The table; ``target`` is the list that the body of the answer comes into.
    """
    take, target = sink.table()
    table: dict[str, Any] = {"url": address, "sink": take, "target": target}
    if body is not None:
        data = as_chunk(body)
        table["source"] = as_source(data)
        table["headers"] = {"content-length": len(data), "content-type": "application/x-www-form-urlencoded"}
        table["method"] = "POST"
    return table


def request(reqt: str | bytes | Mapping[str, Any], body: str | bytes | None = None) -> Answer:
    """Ask a server (``http.request``).

    Args:
        reqt: a URL, or a dict with

            - ``url``, or ``scheme``, ``host``, ``port``, ``path``, ``params``, ``query``; ``uri`` instead of what these
              make
            - ``method``, ``headers``; ``user`` and ``password`` as they are (in a URL they are escaped)
            - ``source``: the body that is sent, chunked unless the headers have a content-length; a source, an iterable
              of bytes, or bytes
            - ``sink``: takes the body of the answer, which is dropped without; ``step``
            - ``proxy``: its URL; https goes through it by CONNECT
            - ``redirect`` (False: never), ``maxredirects`` (5; False: no limit)
            - ``create``: makes the socket; for https TLS is added, unless it has no ``upgrade`` and so does TLS itself
            - ``tls``, BAS's ``shark`` too: a TLS client context; the default one verifies the server
        body: with a URL: is sent by POST.

    Returns:
        For a URL ``(body, code, headers, status)``, for a dict ``(1, code, headers, status)``, or
        ``(None, err, None, None)``. Header names are in lower case. A server that speaks HTTP/0.9 has neither headers
        nor status.

    Raises:
        TypeError: the source is none.
        ValueError: a method, header name or header value cannot be sent.
    """
    if isinstance(reqt, str | bytes):
        table = genericform(reqt, body)
        done, code, headers, status = _guarded(table)
        return (None, code, None, None) if done is None else (b"".join(table["target"]), code, headers, status)
    return _guarded(reqt)


def _guarded(reqt: Mapping[str, Any]) -> Answer:
    answer = socket.protect(lambda: _request(reqt))()
    return (None, answer[1], None, None) if answer[0] is None else answer


def _request(reqt: Mapping[str, Any]) -> Answer:
    """Ask, and go where the answers lead."""
    location: str | None = None
    following: Mapping[str, Any] | None = reqt
    while following is not None:
        reqt = following
        prepared = prepare(reqt, USERAGENT, reqt.get("proxy") or PROXY)
        (code, headers, status), following = _exchange(reqt, prepared)
        location = headers["location"] if following is not None and headers else location
    if location is not None:  # a hint that it came from elsewhere
        headers = headers or {}
        headers.setdefault("location", location)
    return 1, code, headers, status


def _exchange(
    reqt: Mapping[str, Any], prepared: Prepared
) -> tuple[tuple[int, dict[str, str] | None, str | None], dict[str, Any] | None]:
    """Send one request; returns its answer, and the request that it leads to."""
    connection = _connected(reqt, prepared)
    try:
        connection.sendrequestline(prepared.method, prepared.uri)
        connection.sendheaders(prepared.server_headers)
        if reqt.get("source") is not None:
            connection.sendbody(prepared.headers, reqt["source"], reqt.get("step"))
        code, status, headers = connection.receivereply()
        take, step = reqt.get("sink") or sink.null(), reqt.get("step")
        if code is None:
            connection.receive09body(status, take, step)
            return (200, None, None), None
        following = next_request(reqt, prepared, code, headers)
        if following is None and prepared.method != "HEAD" and code not in (101, 204, 304):
            connection.receivebody(headers, take, step)
        return (code, headers, status), following
    finally:
        connection.close()


def _connected(reqt: Mapping[str, Any], prepared: Prepared) -> Connection:
    """The connection over which the server is asked: through the proxy if there is one, and with TLS for https."""
    proxy, secure = prepared.proxy, prepared.scheme == "https"
    host, port = (proxy["host"], proxy.get("port") or 3128) if proxy else (prepared.host, prepared.port)
    connection = open(host, port, reqt.get("create") or schemes[prepared.scheme].get("create"))
    if secure:
        context = reqt.get("tls") or reqt.get("shark")
        try:
            if proxy:
                connection.tunnel(prepared.authority, prepared.tunnel_headers)
            if hasattr(connection.c, "upgrade"):  # one of foreign make does TLS itself
                connection.try_(connection.c.upgrade(None if context is True else context, prepared.host))
        except BaseException:
            connection.close()
            raise
    return connection
