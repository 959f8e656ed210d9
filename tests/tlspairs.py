"""Two streams that are encrypted with each other, and clients of Python's own ssl."""

from __future__ import annotations

import _socket
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gevent
from authority import localhost, root
from gevent import get_hub

from greenbas.dispatcher import spawn
from greenbas.net import Stream
from greenbas.net.tls import ClientTls, ServerTls, TlsChannel, handshake

SECONDS = 10.0


class Ends(NamedTuple):
    """Both ends of one connection: streams and their channels."""

    client: Stream
    server: Stream
    client_channel: TlsChannel
    server_channel: TlsChannel

    def close(self) -> None:
        """Close both."""
        self.client.close()
        self.server.close()


def server_tls(**options: Any) -> ServerTls:
    """A context with the certificate for localhost."""
    return ServerTls(localhost().pair(), **options)


def client_tls(**options: Any) -> ClientTls:
    """A context that trusts the tests' authority."""
    return ClientTls(options.pop("trust", None) or root().store(), **options)


def sockets(port: int = 0) -> tuple[Stream, Stream]:
    """A client's and a server's stream over TCP, nothing sent yet."""
    with socket.create_server(("127.0.0.1", port), reuse_port=True) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    return stream_of(client), stream_of(accepted)


def stream_of(sock: socket.socket) -> Stream:
    """A stream that owns the socket."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Stream(_socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach()), get_hub())


def shake(client: ClientTls, server: ServerTls, *, name: str = "localhost", port: int = 0, **options: Any) -> Ends:
    """Encrypt a new pair; raises what the client's side does."""
    mine, theirs = sockets(port)
    other = spawn(quietly, handshake, theirs, server)
    try:
        channel = handshake(mine, client, server_name=name, timeout=SECONDS, **options)
        found = other.get(timeout=SECONDS)
        if isinstance(found, BaseException):
            raise found
        return Ends(mine, theirs, channel, found)
    except BaseException:
        other.get(timeout=SECONDS)
        mine.close()
        theirs.close()
        raise


def port_of_ours() -> int:
    """A port for `shake`: what a client keeps of a session belongs to host and port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def quietly(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a function returns or raises; a greenlet that ends with an exception would print it."""
    try:
        return function(*args, **options)
    except Exception as error:
        return error


def read_all(stream: Stream) -> bytes:
    """Until the end."""
    found = []
    while data := stream.read(timeout=SECONDS):
        found.append(data)
    return b"".join(found)


def exchange(ends: Ends, data: bytes = b"ping") -> None:
    """Some bytes, there and back."""
    for sender, receiver in ((ends.client, ends.server), (ends.server, ends.client)):
        gevent.joinall([spawn(sender.write, data)], timeout=SECONDS)
        found = b""
        while len(found) < len(data):
            found += receiver.read(timeout=SECONDS)
        assert found == data


def python_client(port: int, folder: Path, *, version: str = "", cert: tuple[str, str] | None = None) -> ssl.SSLSocket:
    """A connection of Python's ssl, which is another OpenSSL than ours."""
    (folder / "ca.pem").write_text(root().cert)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if version:
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    if cert is not None:
        context.load_cert_chain(*cert)
        context.post_handshake_auth = True
    sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    return context.wrap_socket(sock, server_hostname="localhost")
