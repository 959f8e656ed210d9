"""The TLS handshake on a stream."""

from __future__ import annotations

import time
from collections.abc import Sequence

from OpenSSL import SSL

from greenbas.errors import IncorrectUse, SocketClosed, TimedOut, TlsError
from greenbas.net.stream import Stream
from greenbas.net.tls.channel import TlsChannel
from greenbas.net.tls.client import ClientTls
from greenbas.net.tls.context import TlsContext
from greenbas.net.tls.failures import failed
from greenbas.net.tls.peer import not_trusted, peer_certificate

__all__ = ["HANDSHAKE_TIMEOUT", "handshake"]

# Two round trips and a signature: even a slow phone is done in three seconds. nginx allows 60, Apache 20.
HANDSHAKE_TIMEOUT = 10.0  # seconds


def handshake(
    stream: Stream,
    context: TlsContext,
    *,
    server_name: str | None = None,
    alpn: Sequence[str] | None = None,
    timeout: float | None = HANDSHAKE_TIMEOUT,
) -> TlsChannel:
    """Encrypt a stream: from here on its bytes go through the channel that is returned (BAS ``sock:upgrade``).

    Only the calling greenlet waits. Bytes that were pushed back to the stream are taken as part of the handshake.

    Args:
        stream: a connected stream that is not encrypted.
        context: a client's or a server's.
        server_name: which server a client wants; the peer's address unless given.
        alpn: protocols that a client offers, instead of the context's.
        timeout: seconds for all of it; None waits for ever.

    Raises:
        NotTrusted: the server's certificate is not trusted, or not for this name; `verdict` says which.
        TlsError: the handshake failed otherwise.
        TimedOut: it took too long.
        SocketClosed: the connection broke, or was closed here.
        IncorrectUse: the stream is encrypted already.

    The stream is closed after each of these but the last.
    """
    if stream.secure:
        raise IncorrectUse(f"{stream!r} is encrypted already")
    if stream.closed:
        raise SocketClosed("the TLS handshake cannot begin: the stream is closed")
    peer = _peer_words(stream, server_name)
    host = "" if context.is_server else server_name or stream.peername()[0]
    attempt = f"the TLS handshake with {peer}"
    try:
        channel: TlsChannel = context.channel(stream.sock, host, alpn, stream.take_pushed())
        before = stream.claim_writing()  # what others write now would be in the clear
        try:
            _run(stream, channel, attempt, timeout)
        finally:
            stream.release_writing(before)
        if isinstance(context, ClientTls) and context.verify:
            _verify(channel, peer)
    except BaseException:
        stream.close()
        raise
    stream.install(channel)
    return channel


def _run(stream: Stream, channel: TlsChannel, attempt: str, timeout: float | None) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            channel.start()
            return
        except SSL.WantReadError:
            wait = stream.wait_readable
        except SSL.WantWriteError:
            wait = stream.wait_writable
        except (SSL.Error, TlsError, OSError) as error:
            raise failed(attempt, error) from error
        try:
            wait(None if deadline is None else deadline - time.monotonic())
        except TimedOut as error:
            raise TimedOut(f"{attempt} took longer than {timeout:g} s") from error
        except SocketClosed as error:
            raise SocketClosed(f"{attempt} was broken off: {error}") from error


def _verify(channel: TlsChannel, peer: str) -> None:
    verdict = channel.trusted()
    if verdict is not True:
        raise not_trusted(peer, channel.verify_code(), channel.host, verdict, peer_certificate(channel.connection))


def _peer_words(stream: Stream, server_name: str | None) -> str:
    address, port, ipv6 = stream.peername()
    place = f"[{address}]:{port}" if ipv6 else f"{address}:{port}"
    return f"{server_name} ({place})" if server_name and server_name != address else place
