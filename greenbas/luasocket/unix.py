"""Unix domain sockets (LuaSocket ``socket.unix``): `stream` and `dgram`. The module can be called: it is `stream`."""

from __future__ import annotations

import _socket
import os
import socket
import sys
from types import ModuleType
from typing import Any

from greenbas.luasocket.base import DONE, BaseSocket, Done
from greenbas.luasocket.messages import ErrorText, error_text
from greenbas.luasocket.options import UNIX_DGRAM_OPTIONS, UNIX_STREAM_OPTIONS
from greenbas.luasocket.streamsocket import StreamSocket
from greenbas.luasocket.udp import DATAGRAM_SIZE, Count, DatagramSocket, From
from greenbas.luasocket.usage import Data, bytes_of, text

__all__ = ["UnixDgram", "UnixStream", "dgram", "stream", "tcp", "udp"]

PATH_SIZE = 108  # bytes of sun_path, which holds a NUL at its end


class UnixSocket(BaseSocket):
    """What stream and datagram sockets of this family have in common."""

    __slots__ = ()

    def getsockname(self) -> Any:
        """The own path, "" for none, and None; or None and the error."""
        return self._path_of(lambda sock: sock.getsockname())

    def getpeername(self) -> Any:
        """The peer's path, "" for none, and None; or None and the error."""
        return self._path_of(lambda sock: sock.getpeername())

    def bind(self, path: str) -> Done:
        """Take a path, which comes into being in the file system. Nobody removes it: not even `close`."""
        self._need("bind", "master", "unconnected")
        place = os.fsencode(text(path, 1, "bind"))
        if len(place) >= PATH_SIZE:
            return None, ErrorText("path too long")
        try:
            self._begin().bind(place)
        except OSError as error:
            return None, error_text(error, f"bind {self._words()} to {path}")
        return DONE

    def _connect_to(self, path: object, state: str) -> Done:
        place = os.fsencode(text(path, 1, "connect"))
        if len(place) >= PATH_SIZE:
            return None, ErrorText("path too long")
        self._timeouts.mark()
        self._peer = _path(place)
        try:
            self._begin()
            self._writing(self._connect, place)
        except OSError as error:
            return None, error_text(error, f"connect {self._words()}")
        self._state = state
        return DONE

    def _begin(self) -> _socket.socket:
        if self._sock is None:
            self._take(_socket.socket(socket.AF_UNIX, self._kind))
        return self._open()

    def _path_of(self, ask: Any) -> Any:
        try:
            return _path(ask(self._born())), None
        except OSError as error:
            return None, error_text(error, f"the path of {self._words()}")

    setsockname = bind


class UnixStream(StreamSocket, UnixSocket):
    """A stream: ``unixstream{master}``, ``unixstream{server}`` or ``unixstream{client}``."""

    __slots__ = ()

    _options = UNIX_STREAM_OPTIONS

    def __init__(self, sock: _socket.socket | None = None, state: str = "master") -> None:
        super().__init__("unixstream", state, sock)

    def connect(self, path: str) -> Done:
        """Connect; the class becomes client when that succeeds."""
        self._need("connect", "master")
        return self._connect_to(path, "client")

    setpeername = connect

    @classmethod
    def _of(cls, sock: _socket.socket) -> UnixStream:
        return cls(sock, "client")


class UnixDgram(DatagramSocket, UnixSocket):
    """Datagrams: ``unixdgram{unconnected}`` or ``unixdgram{connected}``."""

    __slots__ = ()

    _options = UNIX_DGRAM_OPTIONS

    def __init__(self, sock: _socket.socket | None = None) -> None:
        super().__init__("unixdgram", "unconnected", socket.SOCK_DGRAM, sock)

    def connect(self, path: str) -> Done:
        """Take a peer: datagrams go to it. The class becomes connected; "*" ends this."""
        if path in ("*", b"*"):
            self._disconnect()
            return DONE
        return self._connect_to(path, "connected")

    setpeername = connect

    def sendto(self, datagram: Data, path: str) -> Count:
        """Send one datagram to a path.

        Returns:
            How many bytes it has, and None.
        """
        self._need("sendto", "unconnected")
        content = bytes_of(datagram, 1, "sendto")
        place = os.fsencode(text(path, 2, "sendto"))
        if len(place) >= PATH_SIZE:
            return None, ErrorText("path too long")
        return self._send_to(content, place)

    def receivefrom(self, size: int | str | None = DATAGRAM_SIZE) -> From:
        """Receive one datagram.

        Args:
            size: the most bytes to return; the rest of a longer datagram is lost.

        Returns:
            The datagram, the sender's path ("" for none), and None; or None, the error and None.
        """
        self._need("receivefrom", "unconnected")
        try:
            data, place = self._receive_from(size)
        except OSError as error:
            return None, error_text(error, f"receive on {self._words()}"), None
        return data, _path(place), None


def stream() -> UnixStream:
    """A stream socket (LuaSocket ``socket.unix.stream``)."""
    made = UnixStream()
    _try_to_begin(made)
    return made


def dgram() -> UnixDgram:
    """A datagram socket (LuaSocket ``socket.unix.dgram``)."""
    made = UnixDgram()
    _try_to_begin(made)
    return made


tcp = stream
udp = dgram


def _try_to_begin(made: UnixSocket) -> None:
    try:
        made._begin()
    except OSError:
        pass  # too many descriptors are open: bind and connect try again, and can say so


def _path(place: Any) -> str:
    return os.fsdecode(place) if place else ""


class _Callable(ModuleType):
    def __call__(self) -> UnixStream:
        return stream()


sys.modules[__name__].__class__ = _Callable
