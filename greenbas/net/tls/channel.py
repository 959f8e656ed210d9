"""`TlsChannel`: an encrypted connection, and who is at its other end."""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from OpenSSL import SSL

from greenbas.net.tls import native
from greenbas.net.tls.link import TlsLink
from greenbas.net.tls.options import MAX_RECORD, MIN_RECORD, cipher_name, version_name
from greenbas.net.tls.peer import NO_CERTIFICATE, Verdict, has_name, peer_certificate, verdict_on, verify_as_client

if TYPE_CHECKING:
    from greenbas.crypto.describe import CertificateData
    from greenbas.net.tls.context import TlsContext

__all__ = ["TlsChannel"]


class TlsChannel(TlsLink):
    """An encrypted connection; made by `handshake`.

    It knows the socket, not the stream: a stream that nobody refers to any more closes.

    Args:
        context, tls, sock: see `TlsLink`.
        host: the name of the server, for a client; what `trusted` asks about unless told otherwise.

    Attributes:
        key: host and port, by which a client's context keeps the session.
    """

    __slots__ = ("_verified", "key")

    def __init__(self, context: TlsContext, tls: SSL.Context, sock: _socket.socket | None, host: str = "") -> None:
        super().__init__(context, tls, sock, host)
        self.key = ("", 0)
        self._verified: int | None = None

    def keep_session(self) -> None:
        """See `TlsLink.keep_session`."""
        self.context.keep_session(self)

    @property
    def is_resumed(self) -> bool:
        """Whether the handshake took up an earlier session (BAS ``sock:isresumed``)."""
        return native.is_resumed(self._tls)

    @property
    def alpn(self) -> str:
        """The protocol that both sides have agreed on (RFC 7301); "" for none."""
        return str(self._tls.get_alpn_proto_negotiated().decode("latin-1"))

    @property
    def server_name(self) -> str:
        """The name of the server that the client has asked for (SNI); "" when it named none."""
        return (self._tls.get_servername() or b"").decode("latin-1")

    def cipher(self) -> tuple[str, str]:
        """Cipher suite and version, such as ("AES_128_GCM_SHA256", "TLS_1_3") (BAS ``sock:cipher``)."""
        return cipher_name(self._tls.get_cipher_name() or ""), version_name(self._tls.get_protocol_version_name())

    def set_max_size(self, size: int) -> bool:
        """Send records of at most so many bytes of data (BAS ``sock:maxsize``); returns whether that is possible.

        Small records reach the reader sooner on slow links; 16384 is the most, and the default.
        """
        if not MIN_RECORD <= size <= MAX_RECORD:
            return False
        self._limit = size
        return True

    def certificate(self) -> tuple[CertificateData | None, bool]:
        """The peer's chain as `greenbas.crypto.parse_cert` tells it, and its validity (BAS ``sock:certificate``).

        Returns:
            (None, False) when the peer has shown none.
        """
        from greenbas.crypto import describe_chain

        chain = self.chain()
        if not chain:
            return None, False
        return describe_chain(chain), self.verify_code() == 0

    def chain(self) -> list[x509.Certificate]:
        """The certificates that the peer has shown, its own first."""
        leaf = peer_certificate(self._tls)
        if leaf is None:
            return []
        sent = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        return [leaf, *(one for one in sent if one != leaf)]

    def trusted(self, host: str | None = None) -> Literal[True] | Verdict:
        """Whether the peer is `host` and its chain valid (BAS ``sock:trusted``).

        Args:
            host: a name or address; a client's default is the one that it has connected to.

        Returns:
            True, or a `Verdict`, which is false: "certcn", "cert", "cn" or "none".

        Raises:
            ValueError: a server has to say which host.
        """
        host = host or self.host
        if not host:
            raise ValueError("trusted(): on the server's side name the host that the client should be")
        return verdict_on(self.verify_code(), has_name(peer_certificate(self._tls), host))

    def verify_code(self) -> int:
        """What is wrong with the peer's chain: 0 for nothing, -1 without a certificate, else X509_V_ERR of OpenSSL."""
        if self._verified is None:
            chain = self.chain()
            if not chain:
                return NO_CERTIFICATE  # not kept: one may come on demand
            if self.context.is_server:
                self._verified = verify_as_client(self.context.client_store(), chain[0], chain[1:])
            else:
                self._verified = native.verify_result(self._tls)
        return self._verified
