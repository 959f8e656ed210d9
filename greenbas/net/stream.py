"""`Stream`: one non-blocking descriptor, a persistent watcher, and blocking calls on top that suspend one greenlet.

Two ways to wait for input. A *parked* stream has a callback that runs in the hub and no greenlet at all; that is how
idle connections cost so little. Otherwise a greenlet calls `read` and is suspended. Both use the same watcher. It is
stopped only when input arrives that nobody wants, so a connection that is served and parked again costs no epoll_ctl
call.

A read waits first and takes the bytes in the hub's callback, which switches straight into the greenlet: trying before
waiting would cost a system call that fails nearly every time. Only behind a read that was filled is more tried at once.

Bytes go through the socket, or through a `Channel` that encrypts them once one is installed.
"""

from __future__ import annotations

import _socket
import socket
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from greenbas.dispatcher import greenlet_name, yield_hub
from greenbas.errors import IncorrectUse, NetError, SocketBusy, SocketClosed, TimedOut

__all__ = ["Buffer", "Channel", "Stream"]

Buffer = bytes | bytearray | memoryview

READ_SIZE = 64 * 1024  # bytes one read asks for: more gains nothing, as loopback and fast networks deliver this much
SEND_SIZE = 256 * 1024  # bytes offered to one send; the kernel takes less when its buffer is smaller
# Bytes that may be moved before other greenlets get a turn. A fast peer never makes a call wait, so without this one
# transfer would keep the hub (reference: gaps up to 63 ms for 256 MB); 1 MiB takes about half a millisecond.
TURN_SIZE = 1024 * 1024

_READ, _WRITE = 1, 2  # libev's event flags
# Of the hub this is hub.switch() without gevent's hook for greenlets that want to know when they are switched out:
# nobody has one, and looking for it takes as long as the switch.
_switch: Callable[..., Any] = greenlet.switch
_EXPIRED = object()
_READY = object()


class Channel(Protocol):
    """What a stream moves its bytes through instead of the bare socket: TLS. Nothing here ever waits."""

    def receive(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end; BlockingIOError while the socket has to bring more; OSError if broken."""

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Take some of `data`; BlockingIOError when nothing goes: the same bytes have to be offered again."""

    def pending(self) -> int:
        """Bytes that `receive` can give although the socket has nothing."""

    def shutdown(self) -> None:
        """Tell the peer that nothing follows, as far as that goes at once; never raises."""


class Stream:
    """A connected socket whose calls block only the greenlet that makes them.

    One that nobody refers to any more closes.

    Args:
        sock: a connected socket; the stream owns it from here and makes it non-blocking.
        hub: the hub of the thread that uses it.

    Attributes:
        sock: the socket.
        receive: takes input without waiting, for callbacks in the hub; raises BlockingIOError when there is none.
        channel: what encrypts, once `install` was called.
        on_close: called once, when the stream is closed.
    """

    __slots__ = (
        "__weakref__",
        "_armed",
        "_hub",
        "_parked",
        "_peer",
        "_pushed",
        "_reader",
        "_send",
        "_try_first",
        "_turn",
        "_wanted",
        "_watcher",
        "_write_watcher",
        "_writer",
        "channel",
        "on_close",
        "receive",
        "sock",
    )

    def __init__(self, sock: _socket.socket, hub: Hub) -> None:
        sock.setblocking(False)
        self.sock = sock
        # Bound once: the parked callback of every request starts with it.
        self.receive: Callable[[int], bytes] = sock.recv
        self._send: Callable[[Buffer, int], int] = sock.send
        self.channel: Channel | None = None
        self.on_close: Callable[[], object] | None = None
        self._turn = 0
        self._hub = hub
        self._watcher: Any = hub.loop.io(sock.fileno(), _READ)
        self._write_watcher: Any = None
        self._parked: Callable[[], None] | None = None
        self._armed = False  # the watcher is active, and its callback serves readers
        self._reader: greenlet | None = None
        self._wanted = 0  # what the reader takes: so many bytes, or the news alone
        self._try_first = False
        self._writer: greenlet | None = None
        self._pushed = b""
        self._peer: tuple[str, int, bool] | None = None

    def __del__(self) -> None:
        watcher = getattr(self, "_watcher", None)
        if watcher is not None:
            # The last reference may go in any thread, and between any two steps of the hub.
            self._hub.loop.run_callback_threadsafe(_abandon, watcher, self.sock, self.on_close)

    def __repr__(self) -> str:
        if self.closed:
            return "<Stream closed>"
        return f"<Stream fd {self.sock.fileno()} {self._peer_words()}>"

    @property
    def closed(self) -> bool:
        """Whether the stream has been closed on this side."""
        return self._watcher is None

    @property
    def secure(self) -> bool:
        """Whether it is encrypted."""
        return self.channel is not None

    @property
    def holds_input(self) -> bool:
        """Whether bytes have been taken from the socket that nobody has read."""
        return bool(self._pushed or (self.channel is not None and self.channel.pending()))

    @property
    def is_read(self) -> bool:
        """Whether a greenlet waits for input."""
        return self._reader is not None

    @property
    def hub(self) -> Hub:
        """The hub that it belongs to."""
        return self._hub

    def install(self, channel: Channel) -> None:
        """Move all bytes through `channel` from here on."""
        self.channel = channel
        self._try_first = True  # it may have what the socket does not show
        self.receive = channel.receive
        self._send = channel.send

    # In the hub.

    def park(self, callback: Callable[[], None]) -> None:
        """Have `callback` called in the hub whenever there is input, until something else is asked for."""
        watcher = self._watcher
        if watcher is None:
            raise SocketClosed("the stream is closed")
        if watcher.active and self._parked is not None:
            watcher.callback = callback
        else:
            watcher.stop()
            watcher.start(callback)
        self._parked = callback
        self._armed = False
        if self.channel is not None and self.channel.pending():
            self._hub.loop.run_callback(self._readable)  # the socket says nothing about these

    def pause(self) -> None:
        """Stop looking for input, and forget who has parked the stream; TCP then slows the peer down."""
        if self._watcher is not None:
            self._watcher.stop()
            self._parked = None
            self._armed = False

    # In a greenlet.

    def read(self, size: int = READ_SIZE, timeout: float | None = None) -> bytes:
        """Up to `size` bytes, as soon as there are any; b"" when the peer sends no more.

        Args:
            size: the most bytes to return.
            timeout: seconds to wait; None waits for ever.

        Raises:
            TimedOut: nothing came within the time-out.
            SocketBusy: another greenlet is reading.
            SocketClosed: the connection is broken, or closed here.
        """
        if self._try_first or self._reader is not None or timeout is not None:
            taken = self._take(size)
            if taken is not None:
                return taken
        current, hub = getcurrent(), self._hub
        self._wanted = size
        self._reader = current
        if not self._armed:
            self._arm()
        try:
            # The first is what `_suspend` does, without the call of it: this is the path of every read.
            found = _switch(hub) if timeout is None and current is not hub else self._suspend(timeout, "read")
        except BaseException:
            self._reader = None
            self._stop_unless_parked()
            raise
        if found.__class__ is not bytes:
            raise found if isinstance(found, NetError) else self._broken("reading", found)
        if len(found) == size:
            self._try_first = True
        self._turn = 0  # the others have had theirs
        return found

    def unread(self, data: bytes) -> None:
        """Push bytes back: the next read returns them first."""
        self._pushed = data + self._pushed
        self._try_first = True

    def take_pushed(self) -> bytes:
        """Take back what `unread` has pushed."""
        data, self._pushed = self._pushed, b""
        return data

    def resume(self) -> None:
        """Look for input again after `pause`, if a greenlet waits for it."""
        if self._watcher is not None and self._reader is not None:
            self._arm()

    def write(self, data: Buffer, timeout: float | None = None) -> None:
        """Send all of `data`.

        Args:
            data: the bytes.
            timeout: seconds without any progress after which to give up.

        Raises:
            TimedOut: the peer took nothing within the time-out.
            SocketBusy: another greenlet is in the middle of its bytes.
            SocketClosed: the connection is broken, or closed here.
        """
        view = memoryview(data)
        if view.nbytes != len(view):
            view = view.cast("B")  # items wider than a byte: the kernel counts bytes
        before = self.claim_writing()
        try:
            while view:
                sent = self.try_send(view[:SEND_SIZE])
                if sent:
                    view = view[sent:]
                    self.took(sent)
                else:
                    self.wait_writable(timeout)
        finally:
            self.release_writing(before)

    def try_send(self, data: Buffer, flags: int = 0) -> int:
        """Send what the kernel takes at once; returns how many bytes, 0 when it takes none.

        Raises:
            SocketBusy: another greenlet is in the middle of a write.
            SocketClosed: the connection is broken, or closed here.
        """
        if self._writer is not None and self._writer is not getcurrent():
            raise SocketBusy(f"{greenlet_name()} writes to {self!r} while {greenlet_name(self._writer)} does")
        try:
            return self._send(data, flags)
        except BlockingIOError:
            return 0
        except NetError:
            raise
        except OSError as error:
            raise self._broken("writing", error) from error

    def wait_readable(self, timeout: float | None = None) -> None:
        """Suspend until there is input or the end of it; raises as `read`."""
        if self._reader is not None:
            raise self._busy()
        if self._watcher is None:
            raise SocketClosed("the stream is closed")
        if self.holds_input:
            return
        self._wanted = 0
        self._reader = getcurrent()
        if not self._armed:
            self._arm()
        try:
            self._suspend(timeout, "read")
        except BaseException:
            self._reader = None
            self._stop_unless_parked()
            raise

    def wait_writable(self, timeout: float | None = None) -> None:
        """Suspend until the kernel takes more output; raises as `write`."""
        if self._watcher is None:
            raise SocketClosed("the stream is closed")
        before = self.claim_writing()
        # A watcher of its own: reader and writer may wait at once, and a gevent watcher serves one greenlet.
        watcher = self._write_watcher = self._hub.loop.io(self.sock.fileno(), _WRITE)
        watcher.start(getcurrent().switch, _READY)
        try:
            self._suspend(timeout, "write")
        finally:
            self.release_writing(before)
            self._write_watcher = None
            watcher.stop()
            watcher.close()

    def claim_writing(self) -> greenlet | None:
        """Let nobody else write until `release_writing` is called with the result; the same greenlet may claim again.

        Whoever gives others a turn in the middle of its bytes needs this: theirs would go in between.

        Raises:
            SocketBusy: another greenlet writes.
        """
        before, current = self._writer, getcurrent()
        if before is not None and before is not current:
            raise SocketBusy(f"{greenlet_name()} writes to {self!r} while {greenlet_name(before)} does")
        self._writer = current
        return before

    def release_writing(self, before: greenlet | None) -> None:
        """The end of what `claim_writing` began."""
        self._writer = before

    def took(self, count: int) -> None:
        """Note that `count` bytes were moved; after `TURN_SIZE` of them every other greenlet gets a turn."""
        self._turn += count
        if self._turn >= TURN_SIZE:
            self._turn = 0
            if getcurrent() is not self._hub:
                yield_hub()

    def shutdown(self) -> None:
        """Send the end of our side; reading goes on. Does nothing on a broken connection."""
        if self.channel is not None:
            self.channel.shutdown()
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the peer was faster

    def close(self) -> None:
        """Close; a greenlet that waits on the stream gets SocketClosed. Closing again does nothing."""
        watcher = self._watcher
        if watcher is None:
            return
        if self.channel is not None and self._writer is None:
            self.channel.shutdown()  # while somebody writes, the alert would come in the middle of his record
        self._watcher = self._parked = None
        self._armed = False
        self._try_first = True  # a read says that there is nothing any more
        watcher.stop()
        watcher.close()
        if self._write_watcher is not None:
            self._write_watcher.stop()  # at once: the descriptor's number may be another connection's in a moment
        for waiting in (self._reader, self._writer):
            if waiting is not None and waiting is not getcurrent():
                self._hub.loop.run_callback(_interrupt, self, waiting)
        self.sock.close()
        self.receive = self.sock.recv
        self._send = self.sock.send
        self.channel = None
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()

    def detach(self) -> _socket.socket:
        """Give the socket away, still open and non-blocking; the stream is closed then."""
        sock = self.sock
        self.channel = None  # it stays silent: the new owner of the socket goes on
        taken = _socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.close()
        return taken

    def set_nodelay(self, on: bool) -> None:
        """Send small writes at once (the default here), or let the kernel collect them."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)

    def peername(self) -> tuple[str, int, bool]:
        """The peer's address, port, and whether it is IPv6 (BAS ``sock:peername``); ("", 0, False) when unknown."""
        peer = self._peer
        if peer is None:
            peer = _address(self.sock.getpeername)
            if peer[0]:
                self._peer = peer  # it never changes, and the access log and WSGI mounts ask with every request
        return peer

    def sockname(self) -> tuple[str, int, bool]:
        """Our address, port, and whether it is IPv6 (BAS ``sock:sockname``)."""
        return _address(self.sock.getsockname)

    # Inside.

    def _take(self, size: int) -> bytes | None:
        # What is there already; None when there is nothing.
        if self._pushed:
            data, self._pushed = self._pushed[:size], self._pushed[size:]
            return data
        if self._watcher is None:
            raise SocketClosed("the stream is closed")
        if self._reader is not None:
            raise self._busy()
        try:
            data = self.receive(size)
        except BlockingIOError:
            self._try_first = self.channel is not None
            return None
        except NetError:
            raise
        except OSError as error:
            raise self._broken("reading", error) from error
        self._try_first = len(data) == size or self.channel is not None
        self.took(len(data))
        return data

    def _arm(self) -> None:
        # Have the watcher serve readers.
        watcher = self._watcher
        if self._parked is not None and watcher.active:
            watcher.callback = self._readable
        else:
            watcher.start(_arrived, weakref.ref(self))  # weak: a stream that nobody has must go
        self._armed = True

    def _stop_unless_parked(self) -> None:
        if self._parked is None and self._watcher is not None:
            self._watcher.stop()  # an active one keeps a program alive that has nothing else to do
            self._armed = False

    def _readable(self) -> None:
        _arrived(lambda: self)

    def _suspend(self, timeout: float | None, what: str) -> Any:
        hub = self._hub
        current = getcurrent()
        if current is hub:
            raise IncorrectUse(f"a callback of the hub cannot wait to {what}: spawn a greenlet")
        if timeout is None:
            return hub.switch()
        if timeout <= 0:
            raise TimedOut(f"no time left to {what} ({self._peer_words()})")
        timer = hub.loop.timer(timeout)
        timer.start(current.switch, _EXPIRED)
        try:
            result = hub.switch()
            if result is _EXPIRED:
                raise TimedOut(f"could not {what} for {timeout:g} s ({self._peer_words()})")
            return result
        finally:
            timer.stop()
            timer.close()

    def _broken(self, doing: str, error: OSError) -> SocketClosed:
        return SocketClosed(f"the connection broke while {doing} ({self._peer_words()}): {error.strerror or error}")

    def _peer_words(self) -> str:
        address, port, ipv6 = self.peername()
        if not address:
            return f"local {_words(*self.sockname())}"
        return f"peer {_words(address, port, ipv6)}"

    def _busy(self) -> SocketBusy:
        return SocketBusy(f"{greenlet_name()} reads {self!r} while {greenlet_name(self._reader)} reads it")


def _arrived(find: Callable[[], Stream | None]) -> None:
    # In the hub: for the greenlet that waits, else for whoever has parked the stream, else for nobody.
    stream = find()
    if stream is None:
        return
    reader = stream._reader
    if reader is None:
        if stream._parked is None:
            stream.pause()
        else:
            stream._parked()
        return
    found: Any = _READY
    if wanted := stream._wanted:
        try:
            found = stream.receive(wanted)
        except BlockingIOError:
            return
        except OSError as error:
            found = error
    stream._reader = None
    _switch(reader, found)


def _interrupt(stream: Stream, waiting: greenlet) -> None:
    # It may have gone on by itself since.
    if waiting is stream._reader or waiting is stream._writer:
        waiting.throw(SocketClosed("the stream was closed by another greenlet"))


def _abandon(watcher: Any, sock: _socket.socket, on_close: Callable[[], object] | None) -> None:
    watcher.stop()
    watcher.close()
    sock.close()
    if on_close is not None:
        on_close()


def _words(address: str, port: int, ipv6: bool) -> str:
    if not address:
        return "unknown"
    return f"[{address}]:{port}" if ipv6 else f"{address}:{port}"


def _address(ask: Callable[[], Any]) -> tuple[str, int, bool]:
    try:
        address = ask()
    except OSError:
        return "", 0, False
    if not isinstance(address, tuple):
        return "unix", 0, False
    return address[0], address[1], len(address) == 4
