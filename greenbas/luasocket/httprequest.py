"""What is sent for a request: target, headers, proxy; and whether a reply leads elsewhere (RFC 9110)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from greenbas.luasocket import socket, url

__all__ = ["PORTS", "Prepared", "next_request", "prepare"]

PORTS = {"http": 80, "https": 443}
PROXY_PORT = 3128
REDIRECTS = frozenset([301, 302, 303, 307])
_BLANK = re.compile(r"\s")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL_PARTS = [
    "scheme",
    "authority",
    "userinfo",
    "user",
    "password",
    "host",
    "port",
    "path",
    "params",
    "query",
    "fragment",
]
# Not for the eyes of another server than the one they were meant for.
_PRIVATE = frozenset(["authorization", "cookie", "host", "proxy-authorization"])


@dataclass(frozen=True)
class Prepared:
    """A request whose defaults are filled in."""

    scheme: str
    host: str
    port: int | str
    method: str
    uri: str
    headers: dict[str, Any]
    proxy: dict[str, Any] | None
    url: str

    @property
    def authority(self) -> str:
        """Host and port, as CONNECT wants it."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def tunnel_headers(self) -> dict[str, Any]:
        """What a proxy has to see of a request that it passes on unread."""
        wanted = ("user-agent", "proxy-authorization")
        return {"host": self.authority} | {name: self.headers[name] for name in wanted if name in self.headers}

    @property
    def server_headers(self) -> dict[str, Any]:
        """What is sent with the request itself; credentials for a proxy that cannot see it are not."""
        if self.proxy is None or self.scheme == "http":
            return self.headers
        return {name: value for name, value in self.headers.items() if name != "proxy-authorization"}


def prepare(request: Mapping[str, Any], agent: str, proxy_url: str | None) -> Prepared:
    """Fill in what a request leaves open.

    Args:
        request: the table; its fields come before the parts of its URL.
        agent: for User-Agent.
        proxy_url: the URL of a proxy, if any.

    Returns:
        The request. What is wrong with it is raised for `socket.protect`.
    """
    parts, from_url = _parts(request)
    scheme, host, port = parts["scheme"], parts.get("host"), parts.get("port")
    if scheme not in PORTS:
        socket.try_(None, f"invalid scheme '{scheme}'")
    if not host or _CONTROL.search(host):
        socket.try_(None, f"invalid host {host!r}")
    port = port if port not in (None, "") else PORTS[scheme]
    proxy = _proxy(proxy_url)
    target = {name: parts.get(name) for name in ("path", "params", "query")}
    if parts["path"][:1] != "/":  # would else become part of the host where a proxy gets the whole URL
        target["path"] = f"/{parts['path']}"
    if proxy and scheme == "http":
        target |= {"scheme": scheme, "host": host, "port": parts.get("port") or None}
    headers = _headers(request, parts, from_url, scheme, str(host), port, agent, proxy)
    return Prepared(
        scheme=scheme,
        host=str(host),
        port=port,
        method=_text(request.get("method") or "GET"),
        uri=_text(request.get("uri") or url.build(target)),
        headers=headers,
        proxy=proxy,
        url=url.build({name: parts.get(name) for name in _URL_PARTS if name not in ("user", "password", "userinfo")}),
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _parts(request: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The parts of the URL that is asked for, and whether the credentials are written as in URLs."""
    default = {"path": "/", "scheme": "http"}
    parts = dict(default)
    if request.get("url"):
        parts = url.parse(request["url"], default)[0] or parts
    given = {name: _text(request[name]) for name in _URL_PARTS if request.get(name) is not None}
    return parts | given, "password" not in given


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _proxy(proxy_url: str | None) -> dict[str, Any] | None:
    if not proxy_url:
        return None
    parts, _ = url.parse(proxy_url)
    if not parts or not parts.get("host"):
        socket.try_(None, "invalid proxy")
    return parts


def _basic(user: str, password: str, escaped: bool) -> str:
    pair = f"{user}:{password}"
    if escaped:
        pair = f"{url.unescape(user)}:{url.unescape(password)}"
    return "Basic " + b64encode(pair.encode("utf-8", "surrogateescape")).decode()


def _headers(
    request: Mapping[str, Any],
    parts: Mapping[str, Any],
    from_url: bool,
    scheme: str,
    host: str,
    port: int | str,
    agent: str,
    proxy: Mapping[str, Any] | None,
) -> dict[str, Any]:
    named = _bracketed(host)
    headers: dict[str, Any] = {
        "user-agent": agent,
        "host": named if str(port) == str(PORTS[scheme]) else f"{named}:{port}",
        "connection": "close, TE",
        "te": "trailers",
    }
    if parts.get("user") and parts.get("password"):
        headers["authorization"] = _basic(parts["user"], parts["password"], from_url)
    if proxy and proxy.get("user") and proxy.get("password"):
        headers["proxy-authorization"] = _basic(proxy["user"], proxy["password"], True)
    headers |= {_text(name).lower(): value for name, value in (request.get("headers") or {}).items()}
    if request.get("source") is not None and not {"content-length", "transfer-encoding"} & headers.keys():
        headers["transfer-encoding"] = "chunked"
    return headers


def next_request(
    request: Mapping[str, Any], sent: Prepared, code: int, headers: Mapping[str, str]
) -> dict[str, Any] | None:
    """Say where a reply leads.

    Args:
        request: the table that was asked for.
        sent: what was sent for it.
        code: the status.
        headers: of the reply.

    Returns:
        The table for the next request; None when this reply is the answer. Redirects are followed for GET and HEAD
        without a body, not from https to http, and as often as ``maxredirects`` says.
    """
    location = _BLANK.sub("", headers.get("location", ""))
    most, done = request.get("maxredirects", 5), request.get("nredirects") or 0
    if (
        code not in REDIRECTS
        or not location
        or request.get("redirect") is False
        or sent.method not in ("GET", "HEAD")
        or request.get("source") is not None
        or (most is not False and done >= (5 if most is None else most))
    ):
        return None
    target = url.absolute(sent.url, location)
    parts = url.parse(target)[0] or {}
    # Only now: a relative location keeps the scheme, and must not look like a way out of https.
    if parts.get("scheme") not in PORTS or _CONTROL.search(target):
        return None
    if sent.scheme == "https" and parts["scheme"] != "https":
        return None
    following = {name: value for name, value in request.items() if name not in (*_URL_PARTS, "uri", "url")}
    following |= {"url": target, "nredirects": done + 1, "method": sent.method}
    port = parts.get("port") or PORTS[parts["scheme"]]
    same = (parts["scheme"], parts.get("host"), str(port)) == (sent.scheme, sent.host, str(sent.port))
    _carry(following, request, same)
    if parts["scheme"] != sent.scheme:
        following.pop("create", None)
    return following


def _carry(following: dict[str, Any], request: Mapping[str, Any], same: bool) -> None:
    """Take credentials along to the same server, and to no other."""
    if same:
        parts, from_url = _parts(request)
        for name in ("user", "password"):
            if parts.get(name) is not None and "user" not in (url.parse(following["url"])[0] or {}):
                following[name] = url.unescape(parts[name]) if from_url else parts[name]
        return
    headers: Mapping[str, Any] = request.get("headers") or {}
    following["headers"] = {name: value for name, value in headers.items() if _text(name).lower() not in _PRIVATE}
