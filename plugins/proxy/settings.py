"""`ProxySettings`: time-outs, limits and choices of a proxy, each with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from greenbas.errors import SettingError

__all__ = ["BALANCES", "ProxySettings"]

BALANCES = ("round_robin", "least", "client", "cookie")

CONNECT_TIMEOUT = 5.0  # a lost packet is repeated after 1 and 3 s; a backend in the same building needs none of it
FIRST_BYTE_TIMEOUT = 60.0  # nginx's and Apache's number: reports and searches take long, nothing takes longer
IDLE_TIMEOUT = 120.0  # event streams send a comment every 15 to 60 s
# Shorter than what servers in common use wait (node 5 s, gunicorn 2 to 5 s with keep-alive, uvicorn 5 s, nginx 75 s):
# who closes first meets no connection that is closed at the moment of its use.
KEEPALIVE = 4.0
KEEPALIVE_CONNECTIONS = 64
LIMIT = 1000  # requests at once to one backend; a thread pool behind it is much smaller
QUEUE = 1000
QUEUE_TIMEOUT = 10.0  # a page that comes later is asked for again by its reader, which makes it worse
HEALTH_INTERVAL = 5.0
HEALTH_TIMEOUT = 2.0
MAX_FAILS = 3
FAIL_TIMEOUT = 10.0  # nginx's number
RETRY_AFTER = 5
SPLICE_ABOVE = 256 * 1024  # bytes: below that setting it up takes longer than copying
MAX_HEAD = 64 * 1024  # bytes of a response head; nginx takes 4 to 8 KiB, and its users raise it for large cookies


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Settings of one proxy; as ``[plugin.proxy]`` of greenbas.toml, the defaults of all. Checked when made.

    Attributes:
        connect_timeout: seconds for name, connection and TLS handshake.
        first_byte_timeout: seconds from the end of the request to the head of the response.
        idle_timeout: seconds of silence in the middle of a response.
        keepalive: seconds for which a connection to a backend is kept without a request.
        keepalive_connections: how many are kept for each backend.
        limit: requests at once to one backend.
        queue: requests that wait for their turn at one backend; more are answered 503.
        queue_timeout: seconds for which they wait.
        balance: how one of several backends is chosen: "round_robin", "least" (fewest requests), "client" (always the
            same for one address), "cookie" (always the same for one browser).
        sticky_cookie: the name of the cookie by which "cookie" knows a browser.
        host: the Host that backends see: "keep" for the client's, "backend" for their own, or a name.
        retries: how often a request is sent again when that is safe.
        health_path: is asked for to see whether a backend is well; "" for no such checks.
        health_interval: seconds between these checks.
        health_timeout: seconds for one.
        max_fails: failures in a row after which a backend is left alone.
        fail_timeout: seconds for which it is.
        retry_after: seconds that a 503 asks the client to wait.
        half_close: whether a client that sends no more may still read. Nearly always it has gone instead, so before its
            answer it is asked by an interim response (102): a system where nobody reads any more says so by a reset. If
            it ends in the middle of an answer, it counts as gone. False cancels its request in both cases, as nginx
            does.
        pass_credentials: pass on what has let a client in here: the cookie of its session, and the Authorization with
            which it has logged in. Else no backend gets either; a rewrite hook can tell it who the user is.
        rewrite_links: change absolute URLs of the backend in HTML to those of the proxy.
        splice_above: bytes of a body, or what is left of it, from which on the kernel moves it by itself.
        max_head: bytes of the head of a response.
    """

    connect_timeout: float = CONNECT_TIMEOUT
    first_byte_timeout: float = FIRST_BYTE_TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    keepalive: float = KEEPALIVE
    keepalive_connections: int = KEEPALIVE_CONNECTIONS
    limit: int = LIMIT
    queue: int = QUEUE
    queue_timeout: float = QUEUE_TIMEOUT
    balance: str = "round_robin"
    sticky_cookie: str = "gbroute"
    host: str = "keep"
    retries: int = 1
    health_path: str = ""
    health_interval: float = HEALTH_INTERVAL
    health_timeout: float = HEALTH_TIMEOUT
    max_fails: int = MAX_FAILS
    fail_timeout: float = FAIL_TIMEOUT
    retry_after: int = RETRY_AFTER
    half_close: bool = True
    pass_credentials: bool = False
    rewrite_links: bool = False
    splice_above: int = SPLICE_ABOVE
    max_head: int = MAX_HEAD

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), field.default)
        if self.balance not in BALANCES:
            raise SettingError(f"balance: {self.balance!r} is unknown: use one of {', '.join(BALANCES)}")
        if self.health_path and not (self.health_path.startswith("/") and self.health_path.isprintable()):
            raise SettingError(f"health_path: {self.health_path!r} is no path: it begins with '/'")


_MAY_BE_ZERO = frozenset({"keepalive", "keepalive_connections", "queue", "queue_timeout", "retries", "splice_above"})


def _check(name: str, value: object, default: object) -> None:
    if isinstance(default, bool | str):
        if not isinstance(value, type(default)):
            raise SettingError(f"{name}: {value!r} is not of the kind of {default!r}")
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingError(f"{name}: {value!r} is not a number")
    if isinstance(default, int) and not isinstance(value, int):
        raise SettingError(f"{name}: {value!r} is not a whole number")
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        raise SettingError(f"{name}: {value!r} must be more than zero")
