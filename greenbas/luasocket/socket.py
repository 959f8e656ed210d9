"""LuaSocket's module ``socket``: TCP and UDP objects, `select`, and what sources, sinks and protocols are made with.

A name that Python keeps for itself has an underscore behind it, `try_`, and is there as "try" for `getattr` too.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
from gevent import monkey
from gevent._hub_local import get_hub_if_exists

from greenbas.luasocket import dns
from greenbas.luasocket.connecting import bind, connect, connect4, connect6, tcp, tcp4, tcp6, udp, udp4, udp6
from greenbas.luasocket.protect import Wrapped, newtry, protect, skip
from greenbas.luasocket.secure import secure
from greenbas.luasocket.select import select
from greenbas.luasocket.sources import BLOCKSIZE, choose, sinkt, sourcet
from greenbas.luasocket.udp import DATAGRAM_SIZE
from greenbas.luasocket.usage import number

__all__ = [
    "BLOCKSIZE",
    "Wrapped",
    "bind",
    "choose",
    "connect",
    "connect4",
    "connect6",
    "dns",
    "gettime",
    "newtry",
    "protect",
    "secure",
    "select",
    "sink",
    "sinkt",
    "skip",
    "sleep",
    "source",
    "sourcet",
    "tcp",
    "tcp4",
    "tcp6",
    "try_",
    "udp",
    "udp4",
    "udp6",
]

_VERSION = "LuaSocket 3.1.0"  # whose behaviour this is
_DEBUG: bool | None = None
_SETSIZE = 1024  # what select(2) could count; select here has no limit
_DATAGRAMSIZE = DATAGRAM_SIZE

_native_sleep = monkey.get_original("time", "sleep")

try_ = newtry()
globals()["try"] = try_
source = choose(sourcet)
sink = choose(sinkt)


def gettime() -> float:
    """Seconds since 1970, with fractions."""
    return time.time()


def sleep(seconds: float | str) -> None:
    """Suspend the greenlet, or a native thread, for some seconds; a negative number is 0."""
    duration: Any = max(0.0, number(seconds, 1, "sleep"))
    if get_hub_if_exists() is None:
        _native_sleep(duration)
    else:
        gevent.sleep(duration)
