"""UDP objects: `udp{unconnected}` and `udp{connected}`."""

from __future__ import annotations

import _socket
import ctypes
import socket
from typing import Any

from greenbas.luasocket.addresses import address_name, numeric
from greenbas.luasocket.base import DONE, BaseSocket, Done
from greenbas.luasocket.inet import InetSocket, new_socket
from greenbas.luasocket.messages import CLOSED, REFUSED, ErrorText, error_text
from greenbas.luasocket.options import UDP_OPTIONS
from greenbas.luasocket.usage import Data, bytes_of, invalid, optional, text
from greenbas.luasocket.waiting import READ, WRITE

__all__ = ["DATAGRAM_SIZE", "DatagramSocket", "Udp"]

DATAGRAM_SIZE = 8192  # bytes received unless more is asked for

Datagram = tuple[bytes, None] | tuple[None, ErrorText]
Count = tuple[int, None] | tuple[None, ErrorText]
From = tuple[bytes, Any, Any] | tuple[None, ErrorText, None]


class DatagramSocket(BaseSocket):
    """What UDP and Unix datagram sockets have in common."""

    __slots__ = ()

    def send(self, datagram: Data) -> Count:
        """Send one datagram to the peer; an empty one is one too.

        Returns:
            How many bytes it has, and None.
        """
        self._need("send", "connected")
        content = bytes_of(datagram, 1, "send")
        self._timeouts.mark()
        try:
            return self._writing(self._attempt, WRITE, lambda: self._open().send(content)), None
        except OSError as error:
            return None, _datagram_error(error, f"send {len(content)} bytes on {self._words()}")

    def receive(self, size: int | str | None = DATAGRAM_SIZE) -> Datagram:
        """Receive one datagram; b"" is an empty one.

        Args:
            size: the most bytes to return; the rest of a longer datagram is lost.
        """
        wanted = _size(size, "receive")
        self._timeouts.mark()
        try:
            return self._reading(self._attempt, READ, self._receive_now, wanted)[0], None
        except OSError as error:
            return None, error_text(error, f"receive on {self._words()}")

    def _send_to(self, content: bytes | bytearray | memoryview, place: Any) -> Count:
        self._timeouts.mark()
        try:
            return self._writing(self._attempt, WRITE, lambda: self._open().sendto(content, place)), None
        except OSError as error:
            return None, _datagram_error(error, f"send {len(content)} bytes on {self._words()} to {place}")

    def _receive_now(self, size: int) -> tuple[bytes, Any]:
        return self._open().recvfrom(size)

    def _receive_from(self, size: object) -> tuple[bytes, Any]:
        wanted = _size(size, "receivefrom")
        self._timeouts.mark()
        return self._reading(self._attempt, READ, self._receive_now, wanted)

    def _disconnect(self) -> None:
        if self._sock is not None:
            _dissolve(self._sock)
        self._state = "unconnected"
        self._peer = ""


class Udp(DatagramSocket, InetSocket):
    """A UDP object.

    Args:
        sock: a socket that it gets; None for one that decides on its family later.
    """

    __slots__ = ()

    _options = UDP_OPTIONS

    def __init__(self, sock: _socket.socket | None = None) -> None:
        super().__init__("udp", "unconnected", socket.SOCK_DGRAM, sock)

    def setsockname(self, address: str, port: int | str) -> Done:
        """Take a local address.

        Args:
            address: a name or an address; "*" is every address of this machine.
            port: a number or the name of a service; 0 lets the system choose.
        """
        self._need("setsockname", "unconnected")
        return self._bind("setsockname", address, port)

    def setpeername(self, address: str, port: int | str | None = None) -> Done:
        """Take a peer: datagrams go to it, and come from nobody else. The class becomes connected.

        Args:
            address: a name or an address; "*" ends this.
            port: a number or the name of a service.
        """
        if address in ("*", b"*"):
            self._disconnect()
            return DONE
        done = self._connect_by_name("setpeername", address, port)
        if done[0]:
            self._state = "connected"
        return done

    def getpeername(self) -> tuple[Any, Any, Any]:
        """The peer's address: text, port, and "inet" or "inet6"; or None and the error."""
        self._need("getpeername", "connected")
        return super().getpeername()

    def sendto(self, datagram: Data, address: str, port: int | str) -> Count:
        """Send one datagram to an address.

        Args:
            datagram: the bytes.
            address: an address; names are not looked up.
            port: a number.

        Returns:
            How many bytes it has, and None.
        """
        self._need("sendto", "unconnected")
        content = bytes_of(datagram, 1, "sendto")
        host, service = text(address, 2, "sendto"), text(port, 3, "sendto")
        try:
            found = numeric(host, service, self._family, self._kind)
            if self._sock is None and self._family == socket.AF_UNSPEC:
                self._take(new_socket(found[0], self._kind))
        except OSError as error:
            return None, error_text(error, f"send {len(content)} bytes on {self._words()} to {host} port {service}")
        return self._send_to(content, found[4])

    def receivefrom(self, size: int | str | None = DATAGRAM_SIZE) -> From:
        """Receive one datagram.

        Args:
            size: the most bytes to return; the rest of a longer datagram is lost.

        Returns:
            The datagram, and the sender's address and port; or None, the error and None.
        """
        self._need("receivefrom", "unconnected")
        try:
            data, place = self._receive_from(size)
        except OSError as error:
            return None, error_text(error, f"receive on {self._words()}"), None
        return data, *address_name(place, self._family)[:2]


def _size(size: object, function: str) -> int:
    wanted = optional(size, DATAGRAM_SIZE, 1, function)
    if not 0 <= wanted < 2**31:
        raise invalid(1, function, "invalid size")
    return int(wanted)


def _datagram_error(error: OSError, what: str) -> ErrorText:
    words = error_text(error, what)
    # To send on a closed socket has this word of its own, and nothing else has.
    return ErrorText(REFUSED, words.code, words.detail) if words == CLOSED else words


def _dissolve(sock: _socket.socket) -> None:
    before = sock.getsockname()
    # connect(2) with the family AF_UNSPEC, an address that Python cannot write; errors are of no interest.
    ctypes.CDLL(None).connect(sock.fileno(), bytes(16), 16)
    if sock.family == socket.AF_UNIX:
        return
    after = sock.getsockname()
    if before[1] and not after[1]:
        # The kernel has taken back a port that it had chosen itself, and others may know that one by now.
        sock.bind((after[0], *before[1:]))
