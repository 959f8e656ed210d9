"""The settings of the HTTP server: time-outs and limits, each with its reason. All are on unless said otherwise."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from greenbas.dispatcher.watchdog import BLOCKED_AFTER
from greenbas.dispatcher.workers import MAX_WORKERS, QUEUE_LENGTH
from greenbas.errors import LocalProtocolError, SettingError
from greenbas.http.stores.url import StoreUrl
from greenbas.protocol import Cookie
from greenbas.protocol.forwarded import parse_networks
from greenbas.protocol.head import MAX_FIELDS, MAX_HEAD, MAX_TARGET

__all__ = ["HttpSettings", "check_names", "make_settings"]

T = TypeVar("T")

HEAD_TIMEOUT = 15.0  # a head is one packet or a few; nginx allows 60 s, Apache 20
# Two round trips and a signature: even a slow phone is done in three seconds. nginx allows 60, Apache 20.
HANDSHAKE_TIMEOUT = 10.0
BODY_GRACE = 10.0  # phones in tunnels recover within seconds
BODY_RATE = 500  # bytes a second on average; Apache's and IIS's values are 500 and 240
IDLE_TIMEOUT = 60.0  # browsers reuse connections for a minute or two; proxies in front should close first
WRITE_TIMEOUT = 30.0  # without any progress: a peer that takes nothing for this long is gone
# Long polls end within two minutes, and event streams say something every half a minute, as proxies demand: whoever is
# silent for longer has been forgotten, and would hold the client and its connection for ever.
DEFERRED_TIMEOUT = 300.0
DRAIN_TIMEOUT = 30.0  # what process managers allow between SIGTERM and SIGKILL (systemd 90 s, Kubernetes 30 s)
MEMORY_BODY = 10 * 1024 * 1024  # what body() and forms may hold; larger bodies are read piece by piece
SESSION_IDLE = 1200.0  # the original's; long enough for a phone call in the middle of a form
# A day at work. An id that somebody else has got hold of is worth nothing after that, however often he uses it.
SESSION_LIFETIME = 12 * 3600.0
SESSION_LIMIT = 50_000  # in memory, where an empty one takes a kilobyte: a flood of new clients ends at 50 MB
TRACKER_MAX_LOGIN = TRACKER_MAX_USER = 4  # the original's; a person tries three passwords
TRACKER_BAN_TIME = 600.0  # the original's: 600 passwords a day, of which a good one takes no notice
RESPONSE_BUFFER = 32 * 1024  # output kept back, so that ordinary pages get a Content-Length and status stays changeable


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Time-outs in seconds, sizes in bytes; None switches a limit off. Checked when made.

    Attributes:
        head_timeout: from the first byte of a head (or the accept) to its end.
        handshake_timeout: of TLS, from its first byte to its end.
        body_grace, body_rate: after the grace a body must have come at this many bytes a second on average.
        idle_timeout: between requests.
        write_timeout: without the peer taking a single byte.
        deferred_timeout: of a deferred response, without anybody writing to it.
        drain_timeout: what `Server.stop` waits for running requests before it kills them.
        request_timeout: for a handler in all; RequestDeadline is raised in it.
        max_head, max_fields, max_target: of a request's head.
        max_body: of any request body; streamed bodies are unlimited unless this is set.
        max_memory_body: of a body that `body()` or a form collects in memory.
        max_connections: in all; None means nine tenths of the process's descriptor limit.
        max_per_peer: connections from one address; off, because many people share the address of one proxy.
        max_workers, queue_length: handlers running at once, and requests waiting for one.
        response_buffer: output kept back before the head is sent.
        trusted_proxies: addresses or networks whose X-Forwarded-For, -Proto and -Host are believed.
        server_name: the Server header; "" sends none.
        session_store: where sessions are kept: "memory", "sqlite:///PATH" or "redis://HOST:PORT/DB".
        session_idle: seconds until a session that nobody uses ends; a session may have a limit of its own.
        session_lifetime: until it ends however much it is used, counted from its beginning or the login.
        session_limit: of sessions in memory; beyond it old ones go.
        session_bind_peer: a session can only be used from the address that it was made for.
        session_cookie: the name of the cookie; over TLS "__Host-" goes before it.
        session_path: the path below which browsers send it.
        tracker_max_login: failed logins from one address, after which it is banned; None bans nobody.
        tracker_max_user: the same of one user from one address.
        tracker_ban_time: seconds that a ban lasts, and after which failures count no more.
        hub_blocked_after: how long one greenlet may hold the hub before the log says so.
        dev: development mode: error pages show the traceback.
    """

    head_timeout: float = HEAD_TIMEOUT
    handshake_timeout: float = HANDSHAKE_TIMEOUT
    body_grace: float = BODY_GRACE
    body_rate: int = BODY_RATE
    idle_timeout: float = IDLE_TIMEOUT
    write_timeout: float = WRITE_TIMEOUT
    deferred_timeout: float | None = DEFERRED_TIMEOUT
    drain_timeout: float = DRAIN_TIMEOUT
    request_timeout: float | None = None
    max_head: int = MAX_HEAD
    max_fields: int = MAX_FIELDS
    max_target: int = MAX_TARGET
    max_body: int | None = None
    max_memory_body: int = MEMORY_BODY
    max_connections: int | None = None
    max_per_peer: int | None = None
    max_workers: int = MAX_WORKERS
    queue_length: int = QUEUE_LENGTH
    response_buffer: int = RESPONSE_BUFFER
    trusted_proxies: tuple[str, ...] = ()
    server_name: str = "greenbas"
    session_store: str = "memory"
    session_idle: float = SESSION_IDLE
    session_lifetime: float | None = SESSION_LIFETIME
    session_limit: int = SESSION_LIMIT
    session_bind_peer: bool = False
    session_cookie: str = "gbsid"
    session_path: str = "/"
    tracker_max_login: int | None = TRACKER_MAX_LOGIN
    tracker_max_user: int | None = TRACKER_MAX_USER
    tracker_ban_time: float = TRACKER_BAN_TIME
    hub_blocked_after: float = BLOCKED_AFTER
    dev: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), field.default, whole="float" not in str(field.type))
        parse_networks(self.trusted_proxies)
        if any(ord(char) < 32 or ord(char) > 126 for char in self.server_name):
            raise SettingError(f"server_name: {self.server_name!r} is no header value, use printable ASCII")
        object.__setattr__(self, "session_store", StoreUrl(self.session_store))
        _check_session_cookie(self.session_cookie, self.session_path)


# These alone may be 0: no queue, no grace, no waiting at the end.
_MAY_BE_ZERO = frozenset({"queue_length", "body_grace", "body_rate", "drain_timeout", "max_body"})

# Besides those that are None unless they are set.
_MAY_BE_NONE = frozenset({"deferred_timeout", "session_lifetime", "tracker_max_login", "tracker_max_user"})


def _check(name: str, value: object, default: object, whole: bool) -> None:
    if isinstance(default, tuple | str):
        expected = tuple if isinstance(default, tuple) else str
        if not isinstance(value, expected):
            raise SettingError(f"{name}: {value!r} is not a {expected.__name__}")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise SettingError(f"{name}: {value!r} is neither True nor False")
    elif value is None:
        if default is not None and name not in _MAY_BE_NONE:
            raise SettingError(f"{name}: None is not allowed, use a number such as the default, {default}")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingError(f"{name}: {value!r} is not a number")
    elif whole and not isinstance(value, int):
        raise SettingError(f"{name}: {value!r} is not a whole number")
    elif value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        raise SettingError(f"{name}: {value!r} must be more than zero")


def _check_session_cookie(name: str, path: str) -> None:
    if name.lower().startswith(("__host-", "__secure-")) or not path.startswith("/"):
        raise SettingError(
            f"session_cookie {name!r}, session_path {path!r}: use a name without prefix (over TLS it gets one), and a "
            "path that begins with '/'"
        )
    cookie = Cookie(name)
    cookie.path = path
    try:
        cookie.header_value()
    except LocalProtocolError as error:
        raise SettingError(f"session_cookie, session_path: {error}") from error


def check_names(given: Mapping[str, Any], kind: type[Any]) -> None:
    """Raise SettingError for a name that the dataclass `kind` does not have, with the nearest that it has."""
    known = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise SettingError(f"unknown setting {name!r}{hint}")


def make_settings(kind: type[T], given: Mapping[str, Any]) -> T:
    """Make a settings dataclass from names and values, with SettingError for every mistake."""
    check_names(given, kind)
    return kind(**given)
