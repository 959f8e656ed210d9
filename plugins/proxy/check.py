"""Active health checks: a GET every few seconds, on a connection of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gevent import Timeout

from greenbas.errors import GreenbasError, TimedOut
from greenbas_plugins.proxy.incoming import IncomingHeads

if TYPE_CHECKING:
    from greenbas_plugins.proxy.settings import ProxySettings
    from greenbas_plugins.proxy.upstream import Upstream

__all__ = ["check"]


def check(upstream: Upstream, settings: ProxySettings) -> None:
    """Ask one backend for the path of the checks; its health is told. An answer of 200 to 399 is well.

    Args:
        upstream: the backend.
        settings: path and time-out.
    """
    origin = upstream.origin
    # Requests have the client's Host, which is not known here, unless a name is set.
    host = origin.authority if settings.host in ("keep", "backend") else settings.host
    head = f"GET {origin.base}{settings.health_path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    late = TimedOut(f"the check of {settings.health_path} took longer than {settings.health_timeout:g} s")
    why = ""
    try:
        with Timeout(settings.health_timeout, late):
            connection = upstream.connect()
            try:
                connection.stream.write(head.encode("ascii"))
                heads, status = IncomingHeads(), 100
                while status < 200:  # RFC 9110 15.2: what is said in between does not count
                    status = connection.read_head(heads, settings.max_head).status
            finally:
                connection.close()
        if not 200 <= status < 400:
            why = f"the check of {settings.health_path} was answered {status}"
    except GreenbasError as error:
        why = str(error)
    if why:
        upstream.health.check_failed(time.monotonic(), why)
    else:
        upstream.health.check_passed(time.monotonic())
