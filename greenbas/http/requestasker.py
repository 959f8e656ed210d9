"""`Asker`: who asks, and for which site."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING
from urllib.parse import quote

from gevent import monkey

from greenbas.errors import TlsError
from greenbas.http.requestbase import RequestBase
from greenbas.protocol.forwarded import client_address, trusts
from greenbas.protocol.section import is_host
from greenbas.protocol.target import PATH_SAFE

if TYPE_CHECKING:
    from greenbas.crypto.describe import CertificateData
    from greenbas.net.tls import TlsChannel

__all__ = ["Asker"]

_poll = monkey.get_original("select", "poll")  # the one of the kernel, which looks and does not wait


class Asker(RequestBase):
    """The part of a request about its client and about the host that the client wants."""

    __slots__ = ()

    def peername(self) -> tuple[str, int, bool]:
        """The client's address, port, and whether it is IPv6 (BAS ``request:peername``).

        Behind trusted proxies this is the client they name, with port 0; see the setting `trusted_proxies`.
        """
        connection = self._live()
        peer = connection.stream.peername()
        trusted = connection.service.trusted
        if not trusted:
            return peer
        client = client_address(peer[0], self.headers.get("x-forwarded-for"), trusted)
        return peer if client == peer[0] else (client, 0, ":" in client)

    def hop(self) -> tuple[str, bool]:
        """The address at the other end of this very connection, and whether that is a trusted proxy.

        `peername` is who asks; between the two may stand the proxies of the setting `trusted_proxies`.
        """
        connection = self._live()
        address = connection.stream.peername()[0]
        trusted = connection.service.trusted
        return address, bool(trusted) and trusts(address, trusted)

    def is_gone(self, half_closed: bool = False) -> bool:
        """Whether the client can no longer be answered, as far as is known without sending anything.

        Args:
            half_closed: count a client as gone that sends no more; it may still read.
        """
        stream = self._live().stream
        if stream.closed:
            return True
        poll = _poll()
        poll.register(stream.sock.fileno(), select.POLLRDHUP)
        found = poll.poll(0)
        # A reset shows as a hang-up. The end of what the client sends does not, unless our side has ended as well.
        return bool(found) and (half_closed or bool(found[0][1] & (select.POLLHUP | select.POLLERR)))

    def sockname(self) -> tuple[str, int, bool]:
        """The local address, port, and whether it is IPv6 (BAS ``request:sockname``)."""
        return self._live().stream.sockname()

    def is_secure(self) -> bool:
        """Whether the client's connection is encrypted, here or at a trusted proxy (BAS ``request:issecure``)."""
        connection = self._live()
        if connection.stream.channel is not None:
            return True
        return bool(connection.service.trusted) and self._forwarded("x-forwarded-proto") == "https"

    def host(self) -> str:
        """The host and port that the client asked for, lower case; the local address when it named none."""
        forwarded = self._forwarded("x-forwarded-host")
        if forwarded and is_host(forwarded.encode("latin-1")):  # a proxy may pass on whatever its client said
            return forwarded.lower()
        if self.message.authority:
            return self.message.authority.decode("latin-1").lower()
        address, port, ipv6 = self.sockname()
        return f"[{address}]:{port}" if ipv6 else f"{address}:{port}"

    def domain(self) -> str:
        """The host that the client asked for, lower case, without port (BAS ``request:domain``)."""
        host = self.host()
        if host.startswith("["):
            return host[1 : host.index("]")]
        return host.partition(":")[0]

    def cipher(self) -> tuple[str, str]:
        """Cipher suite and version of TLS, such as ("AES_128_GCM_SHA256", "TLS_1_3") (BAS ``request:cipher``).

        Raises:
            TlsError: the connection is not encrypted (sslnotenabled).
        """
        return self._channel().cipher()

    def certificate(self) -> tuple[CertificateData | None, bool]:
        """The client's certificate, and whether it is trusted (BAS ``request:certificate``).

        It has been asked for in the handshake, or by `client_cert`; trusted are those whose issuer stands in the
        `trust` of the listener's context.

        Returns:
            The chain as `greenbas.crypto.parse_cert` tells it, and the verdict; (None, False) when there is none.

        Raises:
            TlsError: the connection is not encrypted (sslnotenabled).
        """
        return self._channel().certificate()

    def client_cert(self) -> bool:
        """Ask the client for a certificate unless it has shown one (BAS ``request:clientcert``).

        Whether that goes is the client's choice: browsers only show one that is asked for in the handshake. Call it
        before any output.

        Returns:
            Whether there is a certificate; `certificate` says whose, and whether to trust it.

        Raises:
            TlsError: the connection is not encrypted (sslnotenabled), or the client broke off.
            TimedOut: the client did not answer.
        """
        from greenbas.net.tls import request_certificate

        connection = self._live()
        try:
            return request_certificate(connection.stream)
        finally:
            # What came before the answer: the rest of the body, or the next request.
            if data := connection.stream.take_pushed():
                connection.reader.feed(data)

    def url(self, force_secure: bool = False) -> str:
        """The absolute URL without the query (BAS ``request:url``).

        Args:
            force_secure: say https whatever the connection is.
        """
        scheme = "https" if force_secure or self.is_secure() else "http"
        return f"{scheme}://{self.host()}{quote(self.path, safe=PATH_SAFE)}"

    def _channel(self) -> TlsChannel:
        from greenbas.net.tls import TlsChannel

        channel = self._live().stream.channel
        if not isinstance(channel, TlsChannel):
            raise TlsError("the client's connection is not encrypted", "sslnotenabled")
        return channel

    def _forwarded(self, name: str) -> str:
        # The last proxy appends, so the nearest trusted one's word stands last.
        connection = self._live()
        trusted = connection.service.trusted
        if not trusted or self.header(name) is None:
            return ""
        if not trusts(connection.stream.peername()[0], trusted):
            return ""
        return self.headers[name].rpartition(",")[2].strip()
