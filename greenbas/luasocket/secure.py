"""BAS's additions to TCP objects: TLS, and the way to and from the sockets of `greenbas.net`."""

from __future__ import annotations

import _socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from greenbas.errors import TlsError
from greenbas.luasocket.base import DONE, Done
from greenbas.luasocket.handshakeline import HandshakeLine
from greenbas.luasocket.messages import ErrorText, error_text
from greenbas.luasocket.streamsocket import StreamSocket
from greenbas.luasocket.usage import expected
from greenbas.net.resolver import host_words
from greenbas.net.socket import Socket
from greenbas.net.stream import Stream

if TYPE_CHECKING:
    from greenbas.net.tls import TlsChannel, TlsContext

__all__ = ["SecureSocket", "secure"]

_default: TlsContext | None = None


def secure(context: TlsContext | bool | None = None) -> None:
    """Encrypt all connections that are made from here on, anywhere in the program (BAS ``socket.secure``).

    Args:
        context: a client's; None is greenbas's own, which trusts the bundle of certifi. False ends it.
    """
    global _default
    if context is None:
        from greenbas.net.tls import default_client

        _default = default_client()
    elif context is False:
        _default = None
    else:
        _default = _checked(context, "secure")


class SecureSocket(StreamSocket):
    """A stream socket that can be encrypted."""

    __slots__ = ("_channel", "_context", "_host", "_keeper")

    def __init__(self, group: str, state: str, sock: _socket.socket | None = None) -> None:
        super().__init__(group, state, sock)
        self._channel: TlsChannel | None = None
        self._context: TlsContext | None = None  # for connections yet to be made
        self._host = ""  # what was connected to
        self._keeper: Stream | None = None  # a stream of greenbas.net that the socket was taken from

    # TLS.

    def upgrade(self, context: TlsContext | None = None, host: str | None = None) -> Done:
        """Encrypt the connection (BAS ``tcp:upgrade``).

        The time-outs limit it; without any, and with one of 0, it may take ten seconds. After a failure the socket is
        closed.

        Args:
            context: of `greenbas.net.tls`; None is the one of `sock` or `secure`, else greenbas's own for clients,
                which refuses a server whose certificate is not trusted or not for its name.
            host: the name of the server; None is the one that was connected to.

        Raises:
            IncorrectUse: it is encrypted already.
        """
        self._need("upgrade", "client")
        used = self._context_for(context, "upgrade")
        self._timeouts.mark()
        try:
            self._reading(self._writing, self._shake_hands, used, host or self._host or None)
        except OSError as error:
            return None, error_text(error, f"encrypt {self._words()}")
        return DONE

    def dohandshake(self, op: Any = None) -> Done:
        """Encrypt the connection unless it is encrypted (BAS ``tcp:dohandshake``).

        Args:
            op: a dict with a context as `shark`, and perhaps a `host`; or a context.
        """
        self._need("dohandshake", "client")
        if self._channel is not None:
            return DONE
        if isinstance(op, Mapping):
            return self.upgrade(op.get("shark"), op.get("host"))
        return self.upgrade(op)

    def sslhandshake(self, op: Any = None) -> Done:
        """Encrypt the connection unless it is encrypted (BAS ``tcp:sslhandshake``); see `dohandshake`."""
        return self.dohandshake(op)

    def certificate(self) -> tuple[Any, Any]:
        """The peer's certificate as data with its chain, and whether it is valid (BAS ``tcp:certificate``).

        Returns:
            (None, "sslnotenabled") when the connection is not encrypted.
        """
        if self._channel is None:
            return None, ErrorText(
                "sslnotenabled", "sslnotenabled", f"{self._words()} is not encrypted: call upgrade() first"
            )
        return self._channel.certificate()

    # Sockets of greenbas.net.

    def sock(self, op: Mapping[str, Any] | None = None) -> Socket | None:
        """The connection as a socket of `greenbas.net`, which goes on with it (BAS ``tcp:sock``).

        This object is closed then; ``connect(socket)`` takes the connection back.

        Args:
            op: a dict with a context as `shark`, for a connection yet to be made; it leaves what there is alone.

        Returns:
            The socket; None without a connection, or with `op`.
        """
        if op is not None:
            context = op.get("shark")
            self._context = None if context is None else _checked(context, "sock")
            return None
        if not self.connected():
            return None
        assert self._sock is not None
        stream = self._keeper or Stream(self._sock, get_hub())
        if self._channel is not None and stream.channel is None:
            stream.install(self._channel)
        stream.unread(self._buffer.take())
        given = Socket()
        given.attach(stream, "tcp", address=self._host)
        self._sock = self._channel = self._keeper = None
        return given

    def connected(self) -> bool:
        """Whether there is a connection (BAS ``tcp:connected``)."""
        return bool(self._name_or_none(lambda sock: sock.getpeername()))

    def sockname(self) -> tuple[str, int, bool]:
        """The own address, port, and whether it is IPv6 (BAS ``tcp:sockname``); ("", 0, False) without one."""
        return self._name_or_none(lambda sock: sock.getsockname()) or ("", 0, False)

    def peername(self) -> tuple[str, int, bool]:
        """The peer's address, port, and whether it is IPv6 (BAS ``tcp:peername``); ("", 0, False) without one."""
        return self._name_or_none(lambda sock: sock.getpeername()) or ("", 0, False)

    # What else moves bytes or ends it.

    def close(self) -> int:
        """Close, and tell an encrypted peer that nothing follows; greenlets that wait on the socket get "closed".

        Returns:
            1
        """
        channel, self._channel = self._channel, None
        keeper, self._keeper = self._keeper, None
        if channel is not None and self._writer is None:
            channel.shutdown()  # while somebody writes, the alert would come in the middle of his record
        done = super().close()
        if keeper is not None:
            keeper.channel = None
            keeper.close()
        return done

    def setfd(self, fd: int) -> None:
        """See `BaseSocket.setfd`; what was encrypted is so no more."""
        super().setfd(fd)
        self._channel = self._keeper = None

    def dirty(self) -> bool:
        """Whether there are bytes that were read and not yet received."""
        return super().dirty() or (self._channel is not None and self._channel.pending() > 0)

    def _pull(self, size: int) -> bytes:
        return super()._pull(size) if self._channel is None else self._channel.receive(size)

    def _push(self, data: memoryview) -> int:
        return super()._push(data) if self._channel is None else self._channel.send(data)

    def _shut(self, direction: int) -> None:
        if self._channel is not None and direction != _socket.SHUT_RD:
            self._channel.shutdown()
        super()._shut(direction)

    # Inside.

    def _context_for(self, context: object, function: str) -> TlsContext:
        if context is not None:
            return _checked(context, function)
        from greenbas.net.tls import default_client

        return self._context or _default or default_client()

    def _secure_by_default(self) -> bool:
        return self._channel is None and (self._context or _default) is not None

    def _shake_hands(self, context: TlsContext, host: str | None) -> None:
        from greenbas.net.tls import HANDSHAKE_TIMEOUT, handshake

        times = self._timeouts
        remaining = None if times.polls else times.remaining()
        line: Any = HandshakeLine(self)
        self._open()
        handshake(line, context, server_name=host, timeout=HANDSHAKE_TIMEOUT if remaining is None else remaining)

    def _adopt(self, given: Socket) -> None:
        """Take the connection of a socket of greenbas.net."""
        try:
            given.cipher()  # makes the handshake of one that was accepted by TLS and has not been used yet
        except TlsError as error:
            if error.code != "sslnotenabled":
                raise
        stream = given.take_stream()
        stream.pause()
        self.close()
        self._take(stream.sock)
        self._buffer.put(stream.take_pushed())
        self._channel = stream.channel  # type: ignore[assignment]  # made by `handshake`, as all of them
        self._keeper = stream
        self._host = given.address
        address, port, _ = stream.peername()
        self._peer = host_words(address, port)

    def _name_or_none(self, ask: Any) -> tuple[str, int, bool] | None:
        try:
            address = ask(self._born())
        except OSError:
            return None
        return address[0], address[1], len(address) == 4


def _checked(context: Any, function: str) -> TlsContext:
    if not hasattr(context, "channel"):
        raise expected(1, function, "TLS context", context)
    checked: TlsContext = context
    return checked
