"""The TLS methods of a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenbas.errors import TlsError
from greenbas.net.outgoing import Outgoing
from greenbas.net.socketbase import SocketBase

if TYPE_CHECKING:
    from greenbas.net.tls import TlsChannel, TlsContext

__all__ = ["Encryption"]


class Encryption(SocketBase):
    """Begins TLS, and tells what came of it."""

    __slots__ = ()

    def upgrade(self, context: TlsContext, alpn: tuple[str, ...] | None = None) -> bool:
        """Encrypt the connection from here on (BAS ``sock:upgrade``); client or server by the kind of the context.

        Returns:
            False when it is closed or encrypted already.

        Raises:
            TlsError, NotTrusted, TimedOut: the handshake failed; the socket is closed.
        """
        stream = self._stream
        if stream is None or stream.closed or stream.secure:
            return False
        from greenbas.net.tls import handshake

        out = self._out
        if out is not None:
            out.drain()
        self._out = None  # what others write now would come in between
        with self.doing("upgrade"):
            handshake(stream, context, server_name=self.address or None, alpn=alpn)
        if self._stream is stream:
            self._out = out or Outgoing(stream)
        return True

    def maxsize(self, size: int) -> bool:
        """Set the size of TLS records, 512 to 16384 bytes (BAS ``sock:maxsize``); whether that could be done."""
        return self._channel().set_max_size(size)

    def isresumed(self) -> bool:
        """Whether the TLS session is an earlier one (BAS ``sock:isresumed``)."""
        return self._channel().is_resumed

    def cipher(self) -> tuple[str, str]:
        """The cipher suite and "TLS_1_2" or "TLS_1_3" (BAS ``sock:cipher``).

        Raises:
            TlsError: with .code "sslnotenabled": the connection is not encrypted.
        """
        return self._channel().cipher()

    def certificate(self) -> tuple[Any, bool]:
        """The peer's certificates, and whether the chain is valid (BAS ``sock:certificate``); raises as `cipher`."""
        return self._channel().certificate()

    def trusted(self, hostname: str | None = None) -> Any:
        """Whether the peer is who it should be (BAS ``sock:trusted``).

        Args:
            hostname: the name that is expected: what was connected to unless given.

        Returns:
            True, or a verdict that is false: "certcn", "cert", "cn" or "none"; raises as `cipher`.
        """
        return self._channel().trusted(hostname or self.address)

    def _shake_hands(self) -> None:
        context, self._tls = self._tls, None
        self._read = self._connected().read
        if context is not None:
            self.upgrade(context)

    def _channel(self) -> TlsChannel:
        if self._tls is not None:
            self._shake_hands()
        channel: Any = self._connected().channel
        if channel is None:
            raise TlsError(f"{self!r} is not encrypted", "sslnotenabled")
        found: TlsChannel = channel
        return found
