"""`stream_of`: the connection of another library's client becomes a stream (for BAS ``ba.socket.http2sock``)."""

from __future__ import annotations

import _socket
import os
from typing import Any

from gevent import get_hub

from greenbas.errors import IncorrectUse
from greenbas.net.stream import Buffer, Stream
from greenbas.protocol.websockethandshake import accept_key

__all__ = ["stream_of"]

_GONE = "the response has let go of its connection: ask with stream=True, and do not read the body"
PEEK = 64 * 1024  # bytes asked for at once of those that the other library has read ahead


def stream_of(source: Any) -> tuple[Stream, bytes, bool]:
    """Take the connection out of a client object, which is of no use then.

    Args:
        source: a `websocket.WebSocket` of websocket-client that is connected, or a `requests.Response` that was asked
            for with ``stream=True``, whatever its status.

    Returns:
        The stream; the bytes that were read from it already; and whether WebSocket frames come on it.

    Raises:
        IncorrectUse: the object has no open connection, is of another kind, or speaks what we do not; its code is
            "invalidsocketcon".
    """
    if hasattr(source, "frame_buffer") and hasattr(source, "handshake_response"):
        return _of_websocket_client(source)
    if hasattr(source, "raw") and hasattr(source, "status_code"):
        return _of_response(source)
    raise _unfit(f"{type(source).__name__} is neither a websocket.WebSocket nor a requests.Response")


def _of_websocket_client(source: Any) -> tuple[Stream, bytes, bool]:
    sock, buffer = source.sock, source.frame_buffer
    if sock is None or not source.connected:
        raise _unfit("the WebSocket is not connected")
    if buffer.header is not None or source.cont_frame.cont_data is not None:
        raise _unfit("the WebSocket is in the middle of a message: receive the rest of it first")
    data = b"".join(buffer.recv_buffer)
    buffer.recv_buffer = []
    stream = _take(sock)
    source.sock, source.connected = None, False
    return stream, data, True


def _of_response(source: Any) -> tuple[Stream, bytes, bool]:
    connection = getattr(source.raw, "_connection", None)
    reader = getattr(getattr(source.raw, "_fp", None), "fp", None)
    # A connection that ends with its response is closed already, and the response's file keeps the socket open.
    sock = getattr(connection, "sock", None) or getattr(getattr(reader, "raw", None), "_sock", None)
    if connection is None or sock is None or reader is None:
        raise _unfit(_GONE)
    if sock.fileno() < 0:  # taken before, or closed
        raise _unfit(_GONE)
    is_websocket = source.status_code == 101 and "sec-websocket-accept" in source.headers
    if is_websocket:
        _check_accept(source)
    sock.settimeout(0)
    data = _buffered(reader)
    stream = _take(sock)
    connection.sock = None
    return stream, data, is_websocket


def _check_accept(response: Any) -> None:
    # RFC 6455 4.1: whoever answers without knowing the key may be a cache that has never heard of WebSockets.
    key = response.request.headers.get("sec-websocket-key", "")
    key = key.decode("latin-1") if isinstance(key, bytes) else key
    if response.headers["sec-websocket-accept"].strip() != accept_key(key):
        raise _unfit("the server's Sec-WebSocket-Accept does not fit the key of the request")
    if "sec-websocket-extensions" in response.headers:
        raise _unfit("the server uses an extension: do not offer Sec-WebSocket-Extensions")


def _buffered(reader: Any) -> bytes:
    # The socket does not wait now. A look gives what is buffered, or asks the socket once.
    found = []
    try:
        while piece := reader.peek(PEEK):
            found.append(reader.read(len(piece)))
    except BlockingIOError:
        pass
    except OSError as error:
        if not _is_would_block(error):
            raise
    return b"".join(found)


def _take(sock: Any) -> Stream:
    hub = get_hub()
    if getattr(sock, "_sslobj", None) is None:
        if hasattr(sock, "connection") and not isinstance(sock, _socket.socket):
            raise _unfit(f"{type(sock).__name__} encrypts in a way that cannot be taken over")
        family, kind, protocol = sock.family, sock.type, sock.proto
        return Stream(_socket.socket(family, kind, protocol, fileno=sock.detach()), hub)
    sock.settimeout(0)
    # The encryption is bound to its own socket object, so that stays; the stream has a second descriptor of it.
    twin = _socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
    stream = Stream(twin, hub)
    stream.install(StandardChannel(sock))
    return stream


class StandardChannel:
    """TLS by the standard library's ssl, or gevent's, as a channel of a stream.

    Args:
        sock: the ssl socket, the handshake done; it closes when nobody has the channel any more.
    """

    __slots__ = ("_encrypted", "_sock")

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._encrypted = sock._sslobj  # the socket's own methods wait, or look for a time-out

    def __del__(self) -> None:
        sock = getattr(self, "_sock", None)
        if sock is not None:
            sock.close()

    def receive(self, size: int, /) -> bytes:
        """Up to `size` bytes; see `Channel`."""
        try:
            return bytes(self._encrypted.read(size))
        except OSError as error:
            if _is_would_block(error):
                raise BlockingIOError from None
            if type(error).__name__ in ("SSLZeroReturnError", "SSLEOFError"):
                return b""
            raise

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Take some of `data`; see `Channel`."""
        try:
            return int(self._encrypted.write(data))
        except OSError as error:
            if _is_would_block(error):
                raise BlockingIOError from None
            raise

    def pending(self) -> int:
        """Bytes that are decrypted already."""
        return int(self._encrypted.pending())

    def shutdown(self) -> None:
        """Send the alert that nothing follows, if it goes at once."""
        try:
            self._encrypted.shutdown()
        except (OSError, ValueError):
            return  # it waits for the peer's alert, or the connection is broken


def _is_would_block(error: OSError) -> bool:
    # By name: importing ssl here would be too early for programs that patch later.
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def _unfit(message: str) -> IncorrectUse:
    error = IncorrectUse(message)
    error.code = "invalidsocketcon"
    return error
