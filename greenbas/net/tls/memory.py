"""`MemoryChannel`: TLS over buffers in memory, for connections of which bytes have been read already."""

from __future__ import annotations

import _socket
import errno
from typing import TYPE_CHECKING

from OpenSSL import SSL

from greenbas.net.stream import Buffer
from greenbas.net.tls.channel import TlsChannel

if TYPE_CHECKING:
    from greenbas.net.tls.context import TlsContext

__all__ = ["MemoryChannel"]

READ_SIZE = 64 * 1024  # bytes one look at the socket asks for
_NO_ROOM = (errno.EAGAIN, "no room for output")


class MemoryChannel(TlsChannel):
    """As `TlsChannel`, but the bytes of the socket go through us.

    OpenSSL cannot be given back what was read from its descriptor. That happens when a protocol begins in the clear,
    and the peer's first bytes of TLS come together with its last ones in the clear.

    Args:
        left: those bytes.
    """

    __slots__ = ("_fresh", "_out", "_owed", "_sock")

    def __init__(self, context: TlsContext, tls: SSL.Context, sock: _socket.socket, host: str, left: bytes) -> None:
        super().__init__(context, tls, None, host)
        self._sock = sock
        self._out = b""  # encrypted, and not taken by the kernel yet
        self._owed = 0  # bytes of data in there, which the caller offers once more
        self._fresh = True  # whether OpenSSL has not looked at all of its input yet
        self._tls.bio_write(left)

    def start(self) -> None:
        """See `TlsChannel.start`."""
        while True:
            try:
                super().start()
            except SSL.WantReadError:
                self._flush_or_wait()
                if not self._fill():
                    raise
            except SSL.Error:
                self._flush()  # the alert
                raise
            else:
                self._flush_or_wait()
                return

    def receive(self, size: int, /) -> bytes:
        """See `TlsChannel.receive`."""
        while True:
            try:
                data = super().receive(size)
            except BlockingIOError:
                self._fresh = False
                self._flush()  # an answer of OpenSSL's own, such as to a key update
                if not self._fill():
                    raise
            else:
                return data

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """See `TlsChannel.send`."""
        if not self._flush():
            raise BlockingIOError(*_NO_ROOM)
        if self._owed:
            owed, self._owed = self._owed, 0
            return owed
        taken = super().send(data)
        if self._flush():
            return taken
        # It is encrypted, but part of it is here still: it counts as taken when that has gone.
        self._owed = taken
        raise BlockingIOError(*_NO_ROOM)

    def peek(self) -> bytes:
        """See `TlsChannel.peek`."""
        while True:
            try:
                return super().peek()
            except SSL.WantReadError:
                self._flush_or_wait()
                if not self._fill():
                    raise

    def pending(self) -> int:
        """See `TlsChannel.pending`; what OpenSSL has not looked at counts as one."""
        return super().pending() or int(self._fresh)

    def shutdown(self) -> None:
        """See `TlsChannel.shutdown`."""
        super().shutdown()
        try:
            self._flush()
        except OSError:
            self._out = b""  # nobody is there any more

    def _fill(self) -> bool:
        """Move input from the socket to OpenSSL; returns whether there was any, or the end of it."""
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return False
        if data:
            self._tls.bio_write(data)
        else:
            self._tls.bio_shutdown()
        self._fresh = True
        return True

    def _flush(self) -> bool:
        """Move output from OpenSSL to the socket; returns whether all of it has gone."""
        while True:
            if not self._out:
                try:
                    self._out = self._tls.bio_read(256 * 1024)
                except SSL.WantReadError:
                    return True
            try:
                sent = self._sock.send(self._out)
            except BlockingIOError:
                return False
            self._out = self._out[sent:]

    def _flush_or_wait(self) -> None:
        if not self._flush():
            raise SSL.WantWriteError
