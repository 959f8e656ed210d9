"""Asking a client for its certificate after the handshake, when a handler wants to know who it is."""

from __future__ import annotations

import time

from OpenSSL import SSL

from greenbas.errors import IncorrectUse, TlsError
from greenbas.net.stream import Stream
from greenbas.net.tls import native
from greenbas.net.tls.channel import TlsChannel
from greenbas.net.tls.failures import failed

__all__ = ["request_certificate"]

# Without it a TLS 1.2 client resumes its session instead of showing a certificate, and none ever comes.
_NO_RESUMPTION_ON_RENEGOTIATION = 0x10000
CERTIFICATE_TIMEOUT = 60.0  # seconds: a person may have to choose one
# What the client has sent before it got our request stands in the way of its answer, and is kept for later.
MOST_DATA = 256 * 1024  # bytes


def request_certificate(stream: Stream, timeout: float = CERTIFICATE_TIMEOUT) -> bool:
    """Ask the client on the other end of an encrypted stream for its certificate (BAS ``request:clientcert``).

    A TLS 1.3 client has to have offered it (post-handshake authentication): curl and programs do, browsers do not. For
    these let the context ask in the handshake. A TLS 1.2 client is asked by a renegotiation, which it may refuse.

    Args:
        stream: a server's stream; nobody may write meanwhile.
        timeout: seconds for the client to answer.

    Returns:
        Whether the client has shown a certificate, now or before; `TlsChannel.certificate` says whether it is trusted.

    Raises:
        TlsError: the stream is not encrypted (sslnotenabled), or the client broke off.
        IncorrectUse: it is the client's side.
        TimedOut: the client did not answer.
    """
    channel = stream.channel
    if not isinstance(channel, TlsChannel):
        raise TlsError(f"{stream!r} is not encrypted: there is no certificate", "sslnotenabled")
    if not channel.context.is_server:
        raise IncorrectUse("only servers ask for a certificate on demand")
    if channel.chain():
        return True
    before = stream.claim_writing()
    # Pushed-back bytes too: as long as there are any, waiting for more would return at once.
    held = bytearray(stream.take_pushed())
    try:
        if _ask(channel):
            _await(stream, channel, held, time.monotonic() + timeout)
    except (SSL.Error, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise failed(f"asking {stream.peername()[0]} for its certificate", error) from error
    finally:
        stream.release_writing(before)
        if held:
            stream.unread(bytes(held))
    return bool(channel.chain())


def _ask(channel: TlsChannel) -> bool:
    """Begin; returns whether the client can be asked."""
    connection = channel.connection
    connection.set_verify(SSL.VERIFY_PEER, _accept_any)
    if connection.get_protocol_version_name() == "TLSv1.3":
        return native.request_certificate(connection)
    connection.set_options(_NO_RESUMPTION_ON_RENEGOTIATION)
    return connection.renegotiate()


def _await(stream: Stream, channel: TlsChannel, held: bytearray, deadline: float) -> None:
    while True:
        try:
            if not channel.peek():
                return  # the end of the connection
            held += channel.receive(16384)
            if len(held) > MOST_DATA:
                raise TlsError("the client sends data instead of its certificate: read the request's body first")
            continue
        except SSL.WantReadError:
            wait = stream.wait_readable
        except SSL.WantWriteError:
            wait = stream.wait_writable
        if not _is_awaited(channel):
            return
        wait(deadline - time.monotonic())


def _is_awaited(channel: TlsChannel) -> bool:
    connection = channel.connection
    if connection.get_protocol_version_name() == "TLSv1.3":
        return native.awaits_certificate(connection)
    return connection.renegotiate_pending()


def _accept_any(*found: object) -> bool:
    return True
