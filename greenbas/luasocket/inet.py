"""Binding and connecting by name: the addresses of a host one after the other, and birth in the family of each."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from typing import Any

from greenbas.errors import SocketClosed
from greenbas.luasocket.addresses import find
from greenbas.luasocket.base import DONE, BaseSocket, Done
from greenbas.luasocket.messages import error_text
from greenbas.luasocket.usage import text
from greenbas.luasocket.waiting import close_socket
from greenbas.net.resolver import Address, host_words

__all__ = ["InetSocket", "new_socket"]


def new_socket(family: int, kind: int) -> _socket.socket:
    """A non-blocking socket; one for IPv6 is for that alone.

    Raises:
        OSError: there can be none: too many descriptors are open, or the system does not know the family.
    """
    made = _socket.socket(family, kind)
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    except OSError:
        made.close()
        raise
    return made


class InetSocket(BaseSocket):
    """A TCP or UDP socket."""

    __slots__ = ()

    def getpeername(self) -> tuple[Any, Any, Any]:
        """The peer's address: text, port, and "inet" or "inet6"; or None and the error."""
        return self._name(lambda sock: sock.getpeername())

    def _bind(self, function: str, address: object, port: object) -> Done:
        host, service = text(address, 1, function), text(port, 2, function)
        try:
            found = find("" if host == "*" else host, service, self._family, self._kind, flags=socket.AI_PASSIVE)
            self._try_each(found, self._bind_one)
        except OSError as error:
            return None, error_text(error, f"bind {self._words()} to {host} port {service}")
        return DONE

    def _connect_by_name(self, function: str, address: object, port: object, *, family: int | None = None) -> Done:
        host, service = text(address, 1, function), text(port, 2, function)
        self._peer = host_words(host, service)
        try:
            self._writing(self._find_and_connect, host, service, self._family if family is None else family)
        except OSError as error:
            return None, error_text(error, f"connect {self._words()}")
        return DONE

    def _find_and_connect(self, host: str, service: str, family: int) -> None:
        times = self._timeouts
        times.mark()
        # Without waiting no name could ever be looked up; that much is waited for, as in LuaSocket.
        found = find(host, service, family, self._kind, timeout=None if times.polls else times.remaining())
        self._try_each(found, self._connect_one)

    def _try_each(self, found: list[Address], use: Callable[[Any], None]) -> None:
        problem: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for number, address in enumerate(found):
            try:
                self._be_born(address[0])
                use(address[4])
            except OSError as error:
                # The reason that counts is that of the address which the system prefers.
                problem = problem if number else error
                if isinstance(error, SocketClosed):
                    break
                if use != self._connect_one or not self._timeouts.polls:
                    continue
                self._family = address[0]  # it goes on, and the next call is to ask how
                break
            self._family = address[0]
            return
        raise problem

    def _bind_one(self, place: Any) -> None:
        self._born().bind(place)

    def _connect_one(self, place: Any) -> None:
        if self._timeouts.total < 0:
            self._timeouts.mark()  # each address has the time-out for itself; the total one is for all of them
        self._connect(place)

    def _be_born(self, family: int) -> None:
        sock = self._sock
        if sock is None or sock.family != family:
            made = new_socket(family, self._kind)
            old, self._sock = self._sock, made
            if old is not None:
                close_socket(old)
