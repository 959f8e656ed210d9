"""`SocketBase`: what a socket consists of, from its beginning to its end."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self

import gevent
from gevent import get_hub
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from greenbas.dispatcher import current_owner, spawn
from greenbas.errors import IncorrectUse, NetError, SocketClosed
from greenbas.net.coroutine import Coroutine, getsock
from greenbas.net.outgoing import Outgoing
from greenbas.net.socketoptions import set_option
from greenbas.net.stream import Stream

if TYPE_CHECKING:
    from greenbas.net.tls import TlsContext
    from greenbas.net.websocket import WebSocket
    from greenbas.protocol.websocket import Piece

__all__ = ["QUEUE_LENGTH", "Kind", "Mode", "SocketBase", "sockets"]

QUEUE_LENGTH = 16384  # bytes queued for a cosocket by others before they are refused; BAS's value

Kind = Literal["none", "tcp", "listening", "udp", "pipe", "websocket"]
Mode = Literal["blocking", "r", "s"]

# What goes along when a connection moves into another socket object.
_MOVES = ("_stream", "_out", "_kind", "_read", "_websocket", "_tls", "_was_connected", "_queuelen", "address")
sockets: weakref.WeakSet[SocketBase] = weakref.WeakSet()  # all there are


class SocketBase:
    """A stream or nothing yet, what goes out to it, and the function that has it.

    Attributes:
        address: the host name that was connected to, for `trusted`.
        mode: "blocking", "r" or "s".
    """

    __slots__ = (
        "__weakref__",
        "_coroutine",
        "_doing",
        "_ends",
        "_held",
        "_kind",
        "_out",
        "_queuelen",
        "_read",
        "_resting",
        "_stream",
        "_timed",
        "_tls",
        "_was_connected",
        "_websocket",
        "address",
        "fragment",
        "mode",
    )

    def __init__(self) -> None:
        self.mode: Mode = "blocking"
        self.address = ""
        self.fragment: Piece | None = None
        self._kind: Kind = "none"
        self._stream: Stream | None = None
        self._out: Outgoing | None = None
        self._read: Callable[[int, float | None], Any] | None = None  # of a stream that is read plainly
        self._websocket: WebSocket | None = None
        self._tls: TlsContext | None = None  # a handshake that is still to be made
        self._coroutine: Coroutine | None = None
        self._doing = ""  # "connect" or "upgrade"; the rest can be seen
        self._resting: greenlet | None = None  # the greenlet that waits in disable()
        self._held = False  # somebody else has disabled it
        self._timed = False  # its function reads with a time-out
        self._ends = 0  # reads that met the end
        self._was_connected = False
        self._queuelen = QUEUE_LENGTH
        sockets.add(self)

    def __repr__(self) -> str:
        owner = f" of {self._coroutine.name}" if self._coroutine is not None else ""
        where = "" if self._stream is None else f" {self._stream!r}"
        return f"<Socket {self._kind} {self.mode} {self.state()[0]}{where}{owner}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What it is.

    def state(self) -> tuple[str, bool]:
        """What its function does, and whether there is a connection (BAS ``sock:state``).

        Returns:
            "exec", "read", "write", "accept", "connect", "upgrade", "disabled", "terminated", or "notcon" without a
            function; and whether it is connected.
        """
        stream, coroutine = self._stream, self._coroutine
        connected = stream is not None and not stream.closed and self._kind != "listening"
        if self._doing:
            return self._doing, connected
        if self._resting is not None or self._held:
            return "disabled", connected
        if coroutine is None:
            return ("terminated" if self.mode != "blocking" else "notcon"), connected
        if stream is not None and stream.is_read:
            return ("accept" if self._kind == "listening" else "read"), connected
        if self._out is not None and self._out.is_waited_for:
            return "write", connected
        return "exec", connected

    def owner(self) -> bool:
        """Whether the socket's own function asks (BAS ``sock:owner``)."""
        return self._coroutine is not None and self._coroutine is getcurrent()

    def peername(self) -> tuple[str, int, bool]:
        """The peer's address, port, and whether it is IPv6 (BAS ``sock:peername``); ("", 0, False) without one."""
        return ("", 0, False) if self._stream is None else self._stream.peername()

    def sockname(self) -> tuple[str, int, bool]:
        """Our address, port, and whether it is IPv6 (BAS ``sock:sockname``); ("", 0, False) without one."""
        return ("", 0, False) if self._stream is None else self._stream.sockname()

    def setoption(self, name: str, on: bool, *values: Any) -> None:
        """Set an option (BAS ``sock:setoption``).

        Args:
            name: "tcp-nodelay"; "keepalive" with idle seconds and interval seconds; for UDP "broadcast", "dontroute"
                and "ip-membership" with the group and perhaps the address of the interface.
            on: on or off; for a membership, join or leave.
            *values: what the option takes besides.

        Raises:
            ValueError: no such option; the message has the nearest one.
            NetError: the system refuses it, with .code "noimplementation".
        """
        set_option(self._connected().sock, name, on, *values)

    @property
    def write_timeout(self) -> float | None:
        """Seconds that a write waits without any progress; None waits for ever."""
        return None if self._out is None else self._out.timeout

    @write_timeout.setter
    def write_timeout(self, seconds: float | None) -> None:
        if self._out is not None:
            self._out.timeout = seconds

    def queuelen(self, length: int | None = None) -> int:
        """Get or set how many bytes others may queue for a cosocket (BAS ``sock:queuelen``)."""
        if length is not None:
            self._queuelen = length
        return self._queuelen

    @property
    def queued(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._out is None else self._out.queued

    def shutdown(self) -> None:
        """Send no more; reading goes on. What is queued is sent first.

        Raises:
            SocketClosed: the connection is broken, or closed here.
            IncorrectUse: it is no TCP connection.
        """
        stream = self._connected()
        if self._kind != "tcp":
            raise IncorrectUse(f"{self!r} is no TCP connection: it has no end to send; close it")
        if self._out is not None:
            self._out.drain()
        stream.shutdown()

    def close(self) -> bool:
        """Close; who waits on the socket gets SocketClosed, what is queued is still sent (BAS ``sock:close``).

        Returns:
            False when it was closed already.
        """
        stream, out, websocket = self._stream, self._out, self._websocket
        self._stream = self._out = self._websocket = self._tls = None
        self._read = None
        self._held = False
        if self._resting is not None:
            get_hub().loop.run_callback(self._wake, SocketClosed("the socket was closed while it was disabled"))
        if self._doing and self._coroutine is not None and not self.owner():
            self._coroutine.kill(SocketClosed(f"the socket was closed during {self._doing}"), block=False)
            return True
        if stream is None or stream.closed:
            return False
        if websocket is not None:
            spawn(websocket.close, name=f"closing {stream!r}")  # it waits for the peer's word
        elif out is not None and out.queued and not out.is_waited_for:
            spawn(_finish, stream, out, name=f"closing {stream!r}")
        else:
            if out is not None:
                out.stop(SocketClosed("the socket was closed by another greenlet"))
            stream.close()
        return True

    # For the functions of greenbas.net.

    def is_open(self) -> bool:
        """Whether it listens or is connected."""
        return self._stream is not None and not self._stream.closed

    def is_blank(self) -> bool:
        """Whether it never had a connection."""
        return self._kind == "none" and not self._was_connected

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show in `state` what happens in a block."""
        self._doing = what
        try:
            yield
        finally:
            self._doing = ""

    def attach(self, stream: Stream, kind: Kind, *, address: str = "", tls: TlsContext | None = None) -> None:
        """Become the socket of a stream."""
        self._stream, self._kind, self.address = stream, kind, address
        self._ends = 0
        self._was_connected = True
        self._tls = tls
        if kind in ("tcp", "pipe") and tls is None:
            self._out = Outgoing(stream)
        self._read = stream.read if kind in ("tcp", "pipe") and tls is None else None
        owner = current_owner()
        if owner is not None:
            owner.watch(self)

    def attach_websocket(self, websocket: WebSocket, stream: Stream) -> None:
        """Become the socket of a WebSocket."""
        self.attach(stream, "websocket")
        self._websocket = websocket
        self._read = None

    def take_stream(self) -> Stream:
        """Give the stream away; the socket is without a connection then.

        Raises:
            IncorrectUse: it has none, is no TCP connection, or has output that waits.
        """
        if self._kind != "tcp" or self._stream is None or self.queued:
            raise IncorrectUse(f"{self!r} cannot be handed on: it has to be a TCP connection without queued output")
        stream, self._stream, self._out = self._stream, None, None
        self._kind = "none"
        self._read = None
        return stream

    def release(self, coroutine: Coroutine) -> None:
        """The function has ended; called by its greenlet."""
        if self._coroutine is coroutine:
            self._coroutine = None
            self.close()

    # Inside.

    def _wake(self, value: object) -> None:
        # In the hub: end a disable(), unless something else has ended it meanwhile.
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.switch(value)

    def _move_from(self, other: SocketBase) -> None:
        for name in _MOVES:
            setattr(self, name, getattr(other, name))
        other._stream = other._out = other._websocket = other._tls = None
        other._kind = "none"
        other._read = None

    def _may_wait(self) -> bool:
        if self.mode != "s":
            return not isinstance(getcurrent(), Hub)
        current = getsock()
        return current is not None and current.mode == "s"

    def _read_otherwise(self, size: int, timeout: float | None) -> str | bytes:
        # Reading that is not plainly the stream's.
        if self._tls is not None:
            self._shake_hands()
            return self._connected().read(size, timeout)
        if self._websocket is not None:
            return self._read_websocket(timeout)
        stream = self._stream
        if self._kind == "listening":
            raise IncorrectUse(f"{self!r} listens: accept() gives the sockets that are read from")
        if self._kind == "udp" and stream is not None:
            return self._read_datagram(stream, size, timeout)
        if self._was_connected:
            raise SocketClosed("the socket is closed")
        if timeout is None:
            raise IncorrectUse("read() without a connection and without a time-out would wait for ever")
        gevent.sleep(timeout)
        return b""

    def _read_datagram(self, stream: Stream, size: int, timeout: float | None) -> bytes:
        try:
            return stream.read(size, timeout)
        except SocketClosed as error:
            if stream.closed:
                raise
            # Such as the news that nobody listens there: the next datagram may find somebody.
            raise NetError(f"receiving on {self!r} failed: {error}") from error

    def _read_websocket(self, timeout: float | None) -> str | bytes:
        assert self._websocket is not None
        while True:
            self.fragment = piece = self._websocket.read_piece(timeout)
            if piece is None:
                return b""
            if piece.data or piece.last:  # else the middle of a character waits for its end
                return piece.data

    def _shake_hands(self) -> None:
        raise NotImplementedError  # see Encryption

    def _connected(self) -> Stream:
        if self._stream is None:
            raise SocketClosed("the socket is not connected")
        return self._stream


def _finish(stream: Stream, out: Outgoing) -> None:
    # What others have queued goes out; the write time-out bounds it.
    try:
        out.drain()
    except NetError:
        pass
    stream.close()
