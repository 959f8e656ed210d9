"""`TlsLink`: moves the bytes of a stream through OpenSSL."""

from __future__ import annotations

import _socket
import errno
import os
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from greenbas.errors import TlsError
from greenbas.net.stream import Buffer
from greenbas.net.tls import native
from greenbas.net.tls.failures import failed
from greenbas.net.tls.options import MAX_RECORD

if TYPE_CHECKING:
    from greenbas.net.tls.context import TlsContext

__all__ = ["TlsLink"]


class TlsLink:
    """The half of `TlsChannel` that a stream needs: OpenSSL reads and writes the descriptor itself.

    It knows the socket, not the stream: a stream that nobody refers to any more closes.

    Args:
        context: client's or server's.
        tls: what the context calls its present `OpenSSL.SSL.Context`.
        sock: the socket, non-blocking.
        host: the name of the server, for a client.

    Attributes:
        context: as given.
        host: as given.
        ended_cleanly: whether the peer said that nothing follows (close_notify); without it, what came may be cut off.
    """

    __slots__ = (
        "_broken",
        "_held",
        "_keeps_session",
        "_limit",
        "_tls",
        "context",
        "ended_cleanly",
        "host",
    )

    def __init__(self, context: TlsContext, tls: SSL.Context, sock: _socket.socket | None, host: str = "") -> None:
        self.context = context
        self.host = host
        self.ended_cleanly = False
        self._broken = False
        self._held = 0  # bytes that OpenSSL has encrypted and not sent: they have to be offered once more
        self._limit = MAX_RECORD
        self._keeps_session = False  # whether a session may still come that the context wants to keep
        self._tls = _connection(tls, sock)
        if context.is_server:
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()

    def __repr__(self) -> str:
        suite = self._tls.get_cipher_name() or "in handshake"
        return f"<{type(self).__name__} {self._tls.get_protocol_version_name()} {suite}>"

    @property
    def connection(self) -> SSL.Connection:
        """OpenSSL's side of it."""
        return self._tls

    def start(self) -> None:
        """Do the next step of the handshake; returns at its end.

        Raises:
            SSL.WantReadError, SSL.WantWriteError: the socket must bring or take something first.
            SSL.Error, TlsError: the handshake has failed.
        """
        self._tls.do_handshake()
        self._keeps_session = not self.context.is_server

    # For the stream.

    def receive(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end; BlockingIOError while the socket has to bring more.

        Raises:
            TlsError: the peer broke TLS; nothing more can come.
            OSError: the connection broke.
        """
        try:
            data = self._tls.recv(min(size, MAX_RECORD))  # a record at most: more would be room for nothing
        except (SSL.WantReadError, SSL.WantWriteError):
            raise BlockingIOError(errno.EAGAIN, "no input") from None
        except SSL.ZeroReturnError:
            self.ended_cleanly = True
            return b""
        except SSL.Error as error:
            self._broken = True
            return self._end_of(error)
        if self._keeps_session:
            # TLS 1.3 sends what a session can be resumed with behind the handshake, so it is there by now.
            self._keeps_session = False
            self.keep_session()
        return data

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Take some of `data`, in records of at most `max_size`; see `receive` for what it raises.

        Raises:
            BlockingIOError: the kernel takes nothing; the same bytes must be offered again.
        """
        most = max(self._limit, self._held)
        try:
            taken = native.write(self._tls, data, most)
        except (SSL.WantWriteError, SSL.WantReadError):
            self._held = min(len(data), most)
            raise BlockingIOError(errno.EAGAIN, "no room for output") from None
        except SSL.Error as error:
            self._broken = True
            raise self._broke("writing", error) from error
        self._held = min(len(data) - taken, most)  # 0 when all of it went
        return taken

    def pending(self) -> int:
        """Decrypted bytes that wait in memory."""
        return self._tls.pending()

    def shutdown(self) -> None:
        """Send close_notify if that goes at once; never waits or raises."""
        if self._broken or self._held:
            return  # with half a record on its way nothing else can be said
        try:
            if self._keeps_session:
                self._take_session()
            self._tls.shutdown()
        except Exception:
            native.forget_errors()

    # For `request_certificate`.

    def peek(self) -> bytes:
        """Process what the peer has sent up to its first byte of data, which is left there; b"" at the end.

        Raises:
            SSL.WantReadError, SSL.WantWriteError: the socket must bring or take something first.
            SSL.Error: the peer broke TLS.
        """
        try:
            self._tls.do_handshake()  # sends what we ask
            data = self._tls.recv(1, _socket.MSG_PEEK)
        except SSL.ZeroReturnError:
            return b""
        return data

    def keep_session(self) -> None:
        """Called when a session may have come that can be resumed."""

    # Inside.

    def _take_session(self) -> None:
        # A client that has read nothing has what a server of TLS 1.3 sends behind the handshake still before it.
        # Closing with bytes unread would be a reset, and the server might never see the last ones from here.
        self._keeps_session = False
        try:
            self.peek()
        except (SSL.Error, OSError):
            native.forget_errors()
        self.keep_session()

    def _end_of(self, error: SSL.Error) -> bytes:
        # A peer that just went away is the end; what is wrong beyond that is an error.
        if isinstance(error, SSL.SysCallError) and error.args[0] == -1:
            native.forget_errors()
            return b""
        raise self._broke("reading", error) from error

    def _broke(self, doing: str, error: SSL.Error) -> OSError:
        if isinstance(error, SSL.SysCallError):
            native.forget_errors()
            number = errno.EPIPE if error.args[0] == -1 else error.args[0]
            return OSError(number, os.strerror(number))
        made = failed(f"TLS while {doing}", error)
        return TlsError(str(made), "sslcryptoerr" if made.code == "sslhandshake" else made.code)


def _connection(tls: SSL.Context, sock: Any) -> SSL.Connection:
    # The plain _socket.socket of a stream does as well as the class that pyOpenSSL names.
    return SSL.Connection(tls, sock)
