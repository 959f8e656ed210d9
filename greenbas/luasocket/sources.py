"""Sources and sinks on sockets, for ltn12."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from greenbas.luasocket.messages import CLOSED
from greenbas.luasocket.usage import expected, number

__all__ = ["BLOCKSIZE", "SocketSink", "SocketSource", "choose", "sinkt", "sourcet"]

BLOCKSIZE = 2048  # bytes a source receives at a time, unless the module `socket` has got another number

Chunk = tuple[bytes | None, Any]
Done = tuple[Any, Any]


class _OnSocket:
    """What `select` needs: the descriptor of the socket below, and whether it has bytes already."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def getfd(self) -> int:
        """The socket's descriptor."""
        fd: int = self._sock.getfd()
        return fd

    def dirty(self) -> bool:
        """Whether the socket holds bytes that nobody has received yet."""
        return bool(self._sock.dirty())


class SocketSource(_OnSocket):
    """Gives what a socket receives.

    Args:
        sock: the socket.
        read: makes the next chunk of it.
    """

    def __init__(self, sock: Any, read: Callable[[Any], Chunk]) -> None:
        super().__init__(sock)
        self._read = read

    def __call__(self) -> Chunk:
        """The next chunk and None; None twice at the end; None and the error."""
        return self._read(self._sock)


class SocketSink(_OnSocket):
    """Sends what it is given.

    Args:
        sock: the socket.
        close: whether to close it at the end.
    """

    def __init__(self, sock: Any, close: bool = False) -> None:
        super().__init__(sock)
        self._close = close

    def __call__(self, chunk: Any = None, err: Any = None) -> Done:
        """Send a chunk, None at the end; 1 and None, or None and the error."""
        if chunk is not None:
            sent = self._sock.send(chunk)
            return (None, sent[1]) if sent[0] is None else (1, None)
        if self._close:
            self._sock.close()
        return 1, None


def _block_size() -> int:
    from greenbas.luasocket import socket  # its attribute can be set, as LuaSocket's can; it imports this module

    return socket.BLOCKSIZE


def _by_length(sock: Any, length: Any = None) -> SocketSource:
    if length is None:
        raise expected(3, "source", "number", length)
    left = int(number(length, 3, "source"))

    def read(sock: Any) -> Chunk:
        nonlocal left
        if left <= 0:
            return None, None
        chunk, err, _ = sock.receive(min(_block_size(), left))
        if err is not None:
            return None, err
        left -= len(chunk)
        return chunk, None

    return SocketSource(sock, read)


def _until_closed(sock: Any, _: Any = None) -> SocketSource:
    done = False

    def read(sock: Any) -> Chunk:
        nonlocal done
        if done:
            return None, None
        chunk, err, partial = sock.receive(_block_size())
        if err is None:
            return chunk, None
        if err != CLOSED:
            return None, err
        sock.close()
        done = True
        return partial or None, None

    return SocketSource(sock, read)


def _keep_open(sock: Any, _: Any = None) -> SocketSink:
    return SocketSink(sock)


def _close_when_done(sock: Any, _: Any = None) -> SocketSink:
    return SocketSink(sock, close=True)


sourcet: dict[str, Callable[..., Any]] = {
    "by-length": _by_length,
    "until-closed": _until_closed,
    "default": _until_closed,
}
sinkt: dict[str, Callable[..., Any]] = {
    "close-when-done": _close_when_done,
    "keep-open": _keep_open,
    "default": _keep_open,
}


def choose(table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """A function that calls one of several by name.

    Args:
        table: the functions; looked at with each call, so it may grow.

    Returns:
        A function of a name and two optional values for the one it names. Without a name, its arguments are for the one
        called "default".
    """

    def chosen(name: Any = None, first: Any = None, second: Any = None) -> Any:
        """Call the function of this name with one or two values; without a name, the one called "default"."""
        if not isinstance(name, str):
            name, first, second = "default", name, first
        function = table.get(name)
        if function is None:
            raise ValueError(f"unknown key ({name})")
        return function(first) if second is None else function(first, second)

    return chosen
