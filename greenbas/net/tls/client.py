"""`ClientTls`: how to connect to servers over TLS."""

from __future__ import annotations

import _socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from OpenSSL import SSL

from greenbas.errors import PemError
from greenbas.net.tls import native
from greenbas.net.tls.context import TlsContext, add_certificate
from greenbas.net.tls.options import encode_alpn, new_context
from greenbas.net.tls.peer import host_bytes, is_address
from greenbas.net.tls.trust import install_trust

if TYPE_CHECKING:
    from greenbas.crypto import CertifiedKey, CertStore
    from greenbas.net.tls.channel import TlsChannel

__all__ = ["ClientTls", "default_client"]

SESSIONS = 40  # servers whose session is kept, as many as BAS's own client context keeps


class ClientTls(TlsContext):
    """A client's context. It may be used for any number of connections, at the same time.

    Args:
        trust: whose certificates are trusted: a `greenbas.crypto.CertStore`, "system", or None for certifi's bundle.
        cert: our own certificate and key, for servers that ask.
        verify: refuse a server whose certificate is not trusted, or not for its name; without it ask
            `TlsChannel.trusted`.
        alpn: protocols to offer, the preferred one first.
        cache_size: servers whose session is kept for the next connection; 0 resumes none.
        renegotiation: whether a TLS 1.2 server may ask for a second handshake, such as for a certificate.

    Raises:
        ValueError: alpn or trust is none.
        PemError: OpenSSL does not take the certificate.
    """

    is_server = False

    def __init__(
        self,
        trust: CertStore | str | None = None,
        *,
        cert: CertifiedKey | None = None,
        verify: bool = True,
        alpn: Sequence[str] = (),
        cache_size: int = SESSIONS,
        renegotiation: bool = False,
    ) -> None:
        self.verify = verify
        self._alpn = encode_alpn(alpn)
        self._cache_size = cache_size
        self._sessions: dict[tuple[str, int], SSL.Session] = {}  # the one used last stands last
        self._tls = tls = new_context(SSL.TLS_CLIENT_METHOD)
        # No verify callback, and no refusal by OpenSSL: its verdict would get lost with the former, and with the latter
        # nobody could say whether the name was right. `handshake` asks for the verdict before a byte of data is sent.
        tls.set_verify(SSL.VERIFY_NONE)
        install_trust(tls, trust)
        if self._alpn:
            tls.set_alpn_protos(self._alpn)
        if not renegotiation:
            tls.set_options(SSL.OP_NO_RENEGOTIATION)
        if cert is not None:
            try:
                add_certificate(tls, cert)
            except SSL.Error as error:
                raise PemError(
                    f"OpenSSL does not take the client certificate: {error}", "pem_key_cert_mismatch"
                ) from error
            native.allow_post_handshake(tls)

    def __repr__(self) -> str:
        return f"<ClientTls {'verifies' if self.verify else 'does not verify'}, {len(self._sessions)} sessions kept>"

    def channel(
        self, sock: _socket.socket, host: str = "", alpn: Sequence[str] | None = None, left: bytes = b""
    ) -> TlsChannel:
        """See `TlsContext.channel`.

        Raises:
            ValueError: no host can have this name.
        """
        made = self._wrap(self._tls, sock, host, left)
        connection = made.connection
        if host and not is_address(host):
            connection.set_tlsext_host_name(host_bytes(host))
        if alpn:
            connection.set_alpn_protos(encode_alpn(alpn))
        made.key = key = host.lower(), _port_of(sock)
        session = self._sessions.pop(key, None)
        if session is not None:
            self._sessions[key] = session  # the last one now
            connection.set_session(session)
        return made

    def keep_session(self, channel: TlsChannel) -> None:
        """Keep the session of a channel for the next connection to the same host and port."""
        if self._cache_size <= 0 or (self.verify and channel.verify_code() != 0):
            return
        session = channel.connection.get_session()
        if session is None:
            return
        key = channel.key
        self._sessions.pop(key, None)
        while len(self._sessions) >= self._cache_size:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[key] = session

    def release_session(self, host: str | None = None) -> None:
        """Forget what could be resumed with a host, or with all (BAS ``sock:relsession``)."""
        for key in [key for key in self._sessions if host is None or key[0] == host.lower()]:
            del self._sessions[key]


def _port_of(sock: _socket.socket) -> int:
    try:
        address = sock.getpeername()
    except OSError:
        return 0
    return address[1] if isinstance(address, tuple) else 0


_default: ClientTls | None = None


def default_client() -> ClientTls:
    """The context for whoever names none: certifi's bundle, verifying (BAS ``ba.sharkclient``). Made once: 40 ms."""
    global _default
    if _default is None:
        _default = ClientTls()
    return _default
