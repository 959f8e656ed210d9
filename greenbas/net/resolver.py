"""Names to addresses, without holding up the hub.

The C library's resolver blocks, so look-ups run in native threads of their own: the hub's pool is small and shared, and
a dead name server would fill it. Look-ups of one name at a time share one answer, so that a thousand connections to a
name that does not resolve wait in one thread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from gevent import Timeout, get_hub, monkey
from gevent.event import AsyncResult

from greenbas.dispatcher import spawn
from greenbas.dispatcher.native import Thread
from greenbas.errors import CannotResolve, TimedOut

__all__ = ["Address", "host_words", "resolve", "toip"]

RESOLVER_THREADS = 16  # names looked up at once; each waits for the network, and costs a thread's stack only then
RESOLVE_TIMEOUT = 30.0  # seconds; the C library gives up after 5 s times the tries times the servers of resolv.conf

Address = tuple[int, int, int, str, Any]  # family, type, protocol, canonical name, socket address
_Key = tuple[str, str, int, int, int]

_threads = Thread(RESOLVER_THREADS, name="resolver")
_getaddrinfo: Callable[..., list[Address]] = monkey.get_original("socket", "getaddrinfo")
# What is looked up now, for each hub: a result can only be waited for where it arrives.
_pending: dict[tuple[int, _Key], AsyncResult[list[Address]]] = {}


def resolve(
    host: str,
    port: int | str,
    *,
    family: int = 0,
    kind: int = socket.SOCK_STREAM,
    flags: int = 0,
    timeout: float | None = RESOLVE_TIMEOUT,
) -> list[Address]:
    """The addresses of a host, in the order in which to try them.

    Args:
        host: a name or an address; "" is this machine, or every address with the flag AI_PASSIVE.
        port: a number or the name of a service.
        family: AF_INET or AF_INET6 alone; 0 is both.
        kind: SOCK_STREAM or SOCK_DGRAM.
        flags: of getaddrinfo.
        timeout: seconds; None waits as long as the system does.

    Returns:
        Tuples as of `socket.getaddrinfo`.

    Raises:
        CannotResolve: there is no such name, or no name server answers.
        TimedOut: not within the time-out.
    """
    if isinstance(port, int) and not 0 <= port <= 65535:
        raise CannotResolve(f"cannot resolve the port {port}: a port is 0 to 65535")
    asked = str(port), family, kind, flags
    try:
        # A literal address needs no thread.
        return _getaddrinfo(host or None, asked[0], family, kind, 0, flags | socket.AI_NUMERICHOST | _numeric(asked[0]))
    except (OSError, UnicodeError):
        pass
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise CannotResolve(f"cannot resolve {host!r}: it can be no host name ({error})") from None
    with Timeout(timeout, TimedOut(f"cannot resolve {host!r}: no answer for {timeout:g} s" if timeout else "")):
        return _shared((host, *asked))


def toip(host: str, ipv6: bool = False, *, timeout: float | None = RESOLVE_TIMEOUT) -> str:
    """One address of a host, as text (BAS ``ba.socket.toip``).

    Args:
        host: a name or an address.
        ipv6: an IPv6 address rather than an IPv4 one.
        timeout: seconds.

    Raises:
        CannotResolve: the host has no such address.
        TimedOut: not within the time-out.
    """
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    address: str = resolve(host, 0, family=family, timeout=timeout)[0][4][0]
    return address


def host_words(host: str, port: int | str) -> str:
    """A host and port as they stand in a message."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _numeric(port: str) -> int:
    return socket.AI_NUMERICSERV if port.isdecimal() else 0


def _shared(key: _Key) -> list[Address]:
    place = id(get_hub()), key
    result = _pending.get(place)
    if result is None:
        result = _pending[place] = AsyncResult()
        spawn(_look_up, place, result, name=f"resolve {key[0]}")
    addresses: list[Address] = result.get()
    return addresses


def _look_up(place: tuple[int, _Key], result: AsyncResult[list[Address]]) -> None:
    host, port, family, kind, flags = place[1]
    try:
        if "GEVENT_RESOLVER" in os.environ:  # the user has chosen another one, such as ares
            found = get_hub().resolver.getaddrinfo(host, port, family, kind, 0, flags)
        else:
            found = _threads.offload(_getaddrinfo, host, port, family, kind, 0, flags)
    except (OSError, UnicodeError) as error:
        about = f"the port {port!r} of {host!r}" if error.args[:1] == (socket.EAI_SERVICE,) else repr(host)
        failed = CannotResolve(f"cannot resolve {about}: {getattr(error, 'strerror', None) or error}")
        failed.__cause__ = error
        result.set_exception(failed)
    except BaseException as error:  # killed: nobody shall wait for ever
        result.set_exception(CannotResolve(f"cannot resolve {host!r}: the look-up was ended ({type(error).__name__})"))
        raise
    else:
        result.set(found)
    finally:
        del _pending[place]
