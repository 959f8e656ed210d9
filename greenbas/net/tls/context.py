"""`TlsContext`: what a client's and a server's context have in common."""

from __future__ import annotations

import _socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from OpenSSL import SSL, crypto

if TYPE_CHECKING:
    from greenbas.crypto import CertifiedKey
    from greenbas.net.tls.channel import TlsChannel

__all__ = ["TlsContext", "add_certificate"]


class TlsContext:
    """How to encrypt: keys, trust, protocols (BAS ``ba.create.sharkssl``). Use `ClientTls` or `ServerTls`.

    Attributes:
        is_server: which of the two it is.
    """

    is_server: ClassVar[bool]

    def channel(
        self, sock: _socket.socket, host: str = "", alpn: Sequence[str] | None = None, left: bytes = b""
    ) -> Any:
        """A channel whose handshake has not begun.

        Args:
            sock: the connected socket, non-blocking.
            host: the server's name, for a client.
            alpn: protocols, for this connection of a client only.
            left: bytes that were read from the socket already, and belong to the handshake.
        """
        raise NotImplementedError

    def client_store(self) -> crypto.X509Store | None:
        """The CAs that a client's certificate is checked against; None trusts nobody."""
        return None

    def keep_session(self, channel: TlsChannel) -> None:
        """Called when a session may have come that the next connection to the same server can take up."""

    def _wrap(self, tls: SSL.Context, sock: _socket.socket, host: str, left: bytes) -> TlsChannel:
        from greenbas.net.tls.channel import TlsChannel
        from greenbas.net.tls.memory import MemoryChannel

        return MemoryChannel(self, tls, sock, host, left) if left else TlsChannel(self, tls, sock, host)


def add_certificate(context: SSL.Context, pair: CertifiedKey) -> None:
    """Give a context a certificate, its chain and its key; one of each kind of key has room.

    Raises:
        SSL.Error: OpenSSL does not take it.
    """
    if pair.chain:
        # Through a file: this call alone keeps a chain for each certificate. The other one has one for all of them, and
        # a client of the RSA certificate would get the intermediates of the EC one.
        _use_chain_file(context, pair)
    else:
        context.use_certificate(pair.certificate)
    context.use_privatekey(pair.private_key)
    context.check_privatekey()


def _use_chain_file(context: SSL.Context, pair: CertifiedKey) -> None:
    from tempfile import NamedTemporaryFile

    from cryptography.hazmat.primitives.serialization import Encoding

    with NamedTemporaryFile(prefix="greenbas-chain-") as file:
        for certificate in (pair.certificate, *pair.chain):
            file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.use_certificate_chain_file(file.name)
