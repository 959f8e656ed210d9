"""`Socket`: BAS's socket in its three modes: blocking, asynchronous, cosocket.

A socket without a function of its own is *blocking*: any greenlet reads and writes, and waits meanwhile. `event` gives
it one. With "r" the socket is *asynchronous*, which here differs from blocking only in who owns it. With "s" it is a
*cosocket*: nobody but its function reads, and whoever writes to it from outside of cosockets does not wait; what the
peer does not take yet is queued, and too much of it is refused.
"""

from __future__ import annotations

import _socket
import errno
import logging
import socket as constants
from collections.abc import Callable, Iterator
from typing import Any, Literal

import gevent
from gevent import get_hub
from greenlet import getcurrent

from greenbas.dispatcher import greenlet_name
from greenbas.errors import IncorrectUse, QueueFull, SocketBusy, SocketClosed, TimedOut
from greenbas.net.coroutine import Coroutine
from greenbas.net.outgoing import as_bytes
from greenbas.net.resolver import host_words
from greenbas.net.socketbase import Mode
from greenbas.net.socketflow import FlowControl
from greenbas.net.sockettls import Encryption
from greenbas.net.socketudp import Datagrams
from greenbas.net.stream import READ_SIZE, Buffer, Stream

__all__ = ["Socket"]

ACCEPT_PAUSE = 0.1  # seconds without accepting when descriptors have run out: retrying at once would spin
# Reads behind the end that give b"" once more before they raise: a loop that does not look would hold the hub for ever.
END_READS = 2

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_log = logging.getLogger("greenbas.net")


class Socket(Encryption, Datagrams, FlowControl):
    """A TCP connection, a listening socket, UDP, a pipe or a WebSocket; or nothing yet (BAS socket objects).

    Not made directly: `bind`, `connect`, `udpcon`, `event`, `req2sock` and `http2sock` of `greenbas.net` give one.

    Attributes:
        address: the host name that was connected to, for `trusted`.
        mode: "blocking", "r" or "s".
        fragment: of a WebSocket, what the last read has given, with how much of its frame it is; None at the end.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        """What is read, until the end."""
        while data := self.read():
            yield data

    # Reading and writing.

    def read(self, timeout: float | None = None, *, size: int = READ_SIZE) -> Any:
        """What has arrived, as soon as there is something (BAS ``sock:read``).

        Without a connection it sleeps for the time-out and returns b"".

        Args:
            timeout: seconds; None waits for ever.
            size: the most bytes of one read.

        Returns:
            Bytes, b"" at the end of the stream. Of a WebSocket str for text, and large frames in pieces as they come:
            see `fragment`.

        Raises:
            TimedOut: nothing came in time; the socket stays usable.
            SocketBusy: another greenlet is reading.
            SocketClosed: the connection is broken, or closed here; or a loop goes on reading behind the end.
            IncorrectUse: it is a cosocket, and this is not its function.
            NetError: of UDP: the peer does not listen; the socket stays usable.
        """
        coroutine = self._coroutine
        if coroutine is not None and self.mode == "s" and coroutine is not getcurrent():
            raise IncorrectUse(
                f"only {coroutine.name} may read {self!r}, which is a cosocket; {greenlet_name()} wanted to"
            )
        if size < 1:
            raise ValueError(f"read(size={size}): a read of less than a byte could not tell the end")
        read = self._read or self._read_otherwise
        if timeout is None:
            data = read(size, None)
        else:
            self._timed = True
            try:
                data = read(size, timeout)
            finally:
                self._timed = False
        if not data and self._kind != "udp":
            self._at_end(data)
        return data

    def write(self, data: str | Buffer, utf8: bool = False) -> int:
        """Send data (BAS ``sock:write``).

        Waits until the kernel has taken all of it, unless the socket is a cosocket and the caller is none: then what
        the kernel does not take is queued.

        Args:
            data: bytes; text goes as UTF-8, and to a WebSocket as a text message.
            utf8: to a WebSocket: send bytes as a text message.

        Returns:
            The bytes that are queued: 0 when everything has gone.

        Raises:
            QueueFull: others have queued `queuelen` bytes or more already; nothing of this was taken.
            SocketClosed: the connection is broken, or closed here.
            TimedOut: the peer has taken nothing for too long; the socket is closed.
        """
        out = self._out
        if out is None:
            return self._write_elsewhere(data, utf8)
        if type(data) is not bytes:
            data = as_bytes(data)
        if out.queued and out.queued >= self._queuelen and not self._may_wait():
            raise QueueFull(f"{out.queued} bytes wait for {self!r}: its peer is too slow", out.queued)
        queued = out.put(data)
        if queued and self._may_wait():
            out.drain()
            return 0
        return queued

    # Functions of their own.

    def event(self, function: Callable[..., Any], mode: Literal["r", "s"] = "r", *args: Any) -> bool:
        """Give the socket to a function, which runs at once until it waits (BAS ``sock:event``).

        At the end of the function the socket is closed. Called by the function that has it, the connection moves into a
        new socket for the new function.

        Args:
            function: called with the socket and `args` in a greenlet of its own.
            mode: "r" for an asynchronous socket, which listening ones are; "s" for a cosocket.
            *args: for the function.

        Returns:
            False when the function has failed already.

        Raises:
            IncorrectUse: another function has it, or it is listening and the mode is "s".
        """
        if not callable(function):
            raise TypeError(f"event() takes a function, not {function!r:.80}")
        if mode not in ("r", "s"):
            raise ValueError(f"event mode {mode!r}: use 'r' or 's', and arguments for the function behind it")
        if mode == "s" and self._kind == "listening":
            raise IncorrectUse("a listening socket cannot be a cosocket: use event(function, 'r')")
        if self._coroutine is not None:
            if not self.owner():
                raise IncorrectUse(f"{self!r} has a function already")
            moved = Socket()
            moved._move_from(self)
            return moved.event(function, mode, *args)
        return not self.begin(function, mode, args).failed

    def accept(self, timeout: float | None = None) -> Socket:
        """The next connection of a listening socket (BAS ``sock:accept``).

        With a TLS context the handshake takes place when the new socket is first used, so that a client who does not go
        on holds up nobody else.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimedOut: nobody came in time.
            SocketClosed: the socket was closed.
            IncorrectUse: it does not listen.
        """
        stream = self._stream
        if self._kind != "listening":
            raise IncorrectUse(f"{self!r} does not listen: accept() is for sockets of bind()")
        if stream is None:
            raise SocketClosed("the listening socket is closed")
        complained = False
        while True:
            try:
                fd, _ = stream.sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                self._wait_for_client(stream, timeout)
                continue
            except OSError as error:
                if stream.closed:
                    raise SocketClosed("the listening socket is closed") from None
                if error.errno in _OUT_OF_RESOURCES:
                    if not complained:
                        _log.warning("%r cannot accept, trying again every %g s: %s", self, ACCEPT_PAUSE, error)
                    complained = True
                    gevent.sleep(ACCEPT_PAUSE)
                continue  # or the peer gave up while it waited: ECONNABORTED, EPROTO and their like
            return self._accepted(fd, stream)

    # WebSocket.

    def websocket(self) -> bool:
        """Whether it is a WebSocket (BAS ``sock:websocket``)."""
        return self._kind == "websocket"

    def ping(self, data: bytes = b"BAS") -> None:
        """Send a WebSocket ping (BAS ``sock:ping``).

        Raises:
            IncorrectUse: it is no WebSocket.
        """
        if self._websocket is None:
            raise IncorrectUse(f"{self!r} is no WebSocket: ping() is for those")
        self._websocket.send_ping(data)

    def _wait_for_client(self, stream: Stream, timeout: float | None) -> None:
        try:
            stream.wait_readable(timeout)
        except TimedOut as error:
            raise TimedOut(f"nobody connected to {host_words(*self.sockname()[:2])} for {timeout:g} s") from error

    # For the functions of greenbas.net.

    def begin(self, function: Callable[..., Any], mode: Mode, args: tuple[Any, ...]) -> Coroutine:
        """Run a function that has the socket; returns when it waits, or has ended."""
        self.mode = mode
        self._coroutine = coroutine = Coroutine(self, function, args)
        coroutine.begin()
        return coroutine

    # Inside.

    def _accepted(self, fd: int, listening: Stream) -> Socket:
        sock = _socket.socket(listening.sock.family, listening.sock.type, listening.sock.proto, fileno=fd)
        sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_NODELAY, 1)
        stream = Stream(sock, get_hub())
        stream.peername()  # while it is there: messages name it
        accepted = Socket()
        accepted.attach(stream, "tcp", tls=self._tls)
        return accepted

    def _at_end(self, data: str | bytes) -> None:
        if not self._was_connected or self.fragment is not None:
            return  # it has slept, or read an empty message
        self._ends += 1
        if self._ends > END_READS:
            raise SocketClosed(f"{greenlet_name()} goes on reading behind the end: {data!r} tells that nothing follows")

    def _write_elsewhere(self, data: str | Buffer, utf8: bool) -> int:
        if self._websocket is not None:
            text = str(data, "utf-8") if utf8 and not isinstance(data, str) else data
            self._websocket.send(text)
            return 0
        if self._tls is not None:
            self._shake_hands()
            return self.write(data)
        if self._doing == "upgrade":
            raise SocketBusy(f"{greenlet_name()} writes to {self!r} in the middle of its TLS handshake")
        if self._kind == "listening":
            raise IncorrectUse(f"{self!r} listens: accept() gives the sockets that are written to")
        if self._kind == "udp" and self._stream is not None:
            self._send_datagram(self._stream, data, None)
            return 0
        if self._was_connected:
            raise SocketClosed("the socket is closed")
        raise IncorrectUse(f"{self!r} is not connected")
