"""`BackendConnection`: one connection to a backend, and the response that is read from it."""

from __future__ import annotations

import socket
from collections.abc import Callable

from greenbas.errors import SocketClosed
from greenbas.net import Stream
from greenbas_plugins.proxy.failure import BadGateway
from greenbas_plugins.proxy.incoming import Incoming, IncomingHeads

__all__ = ["READ_SIZE", "BackendConnection"]

READ_SIZE = 64 * 1024
_START = b"HTTP/1."


class BackendConnection:
    """A connection to a backend; one request at a time.

    Args:
        stream: the connection.

    Attributes:
        stream: the same.
        buffer: what was read and belongs to nothing yet.
        busy: a request is on it.
        heard: whether a byte of the current response has come.
        doubtful: the response before this one had no body, though it spoke of one.
        since: when it was put into the pool, in monotonic seconds.
        reused: whether it has served a request before this one.
        stale: the callback in the pool, where whatever comes ends it.
        on_stale: called when the backend closes it while it is in the pool.
    """

    __slots__ = ("buffer", "busy", "doubtful", "heard", "on_stale", "reused", "since", "stale", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.buffer = b""
        self.busy = True
        self.heard = False
        self.since = 0.0
        self.reused = self.doubtful = False
        self.on_stale: Callable[[BackendConnection], None] | None = None
        self.stale = self._input  # bound once: it is the callback between all requests

    def __repr__(self) -> str:
        return f"<BackendConnection {'reused ' if self.reused else ''}{self.stream!r}>"

    # In the pool.

    def is_alive(self) -> bool:
        """Whether nothing has come since the last response: neither the end nor bytes that nobody has asked for."""
        if self.stream.closed:
            return False
        try:
            self.stream.receive(1)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def rest(self) -> None:
        """Have what may still come arrive soon; see `Pool.give`."""
        self.doubtful = True
        try:
            self.stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            return  # a Unix socket, which keeps nothing back

    def _input(self) -> None:
        if self.busy:
            self.stream.pause()  # it has a request again, and whoever reads the answer is not there yet
        elif not self.is_alive():
            self.stream.close()
            if self.on_stale is not None:
                self.on_stale(self)

    # One request and its response.

    def read_head(self, heads: IncomingHeads, most: int) -> Incoming:
        """The head of the next response, interim ones included; what comes behind it is in `buffer`.

        Raises:
            BadGateway: what comes is not HTTP.
            SocketClosed: the backend closed; see `heard`.
        """
        data = self.buffer or self._read()
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end >= 4:
                if end == len(data):
                    self.buffer = b""
                else:
                    self.buffer = data[end:]
                    data = data[:end]
                if end > most:
                    raise BadGateway(f"the head of its answer is over {most} bytes")
                return heads.find(data)
            _check_beginning(data, most)
            data += self._read()

    def close(self) -> None:
        """Close it, whatever state it is in."""
        self.stream.close()

    def _read(self) -> bytes:
        data = self.stream.read(READ_SIZE)
        if not data:
            raise SocketClosed("it closed the connection" + (" in the middle of its answer" if self.heard else ""))
        self.heard = True
        return data


def _check_beginning(data: bytes, most: int) -> None:
    # Of a head whose end has not come: what can never become one must not be waited for.
    line_end = data.find(b"\n")
    if not data.startswith(_START[: len(data)]) or line_end == 0 or (line_end > 0 and data[line_end - 1] != 13):
        raise BadGateway(f"it answered {data[:40]!r}, which is not HTTP/1.1")
    if len(data) > most:
        raise BadGateway(f"the head of its answer is over {most} bytes")
