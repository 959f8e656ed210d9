"""A TLS server for the benchmark: `python tlsecho.py greenbas|gevent PORT CERT KEY`.

A client says "ping\n" and gets "pong\n", "down N\n" and gets N bytes, or "up N\n" and N bytes and gets "done\n".
"""

from __future__ import annotations

import sys
from collections.abc import Callable

BLOCK = b"x" * 1024 * 1024
READ = 65536


def serve(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
    """One connection."""
    line = b""
    while not line.endswith(b"\n"):
        data = read(READ)
        if not data:
            return
        line += data
    word, _, number = line.partition(b" ")
    if word == b"down":
        for _ in range(int(number) // len(BLOCK)):
            write(BLOCK)
    elif word == b"up":
        left = int(number)
        while left > 0 and (data := read(READ)):
            left -= len(data)
        write(b"done\n")
    else:
        write(b"pong\n")


def run_greenbas(port: int, cert: str, key: str) -> None:
    """With greenbas's listener and streams."""
    from greenbas.dispatcher import patch

    patch()
    from gevent import get_hub
    from gevent.event import Event

    from greenbas import create
    from greenbas.dispatcher import spawn
    from greenbas.errors import NetError
    from greenbas.net import Listener, Stream
    from greenbas.net.tls import handshake

    tls = create.tls_server((cert, key), alpn=())

    def serve_stream(stream: Stream) -> None:
        try:
            handshake(stream, tls)
            serve(stream.read, stream.write)
        except NetError:
            pass
        finally:
            stream.close()

    hub = get_hub()
    Listener(hub, lambda sock: spawn(serve_stream, Stream(sock, hub)), port=port).start()
    Event().wait()


def run_gevent(port: int, cert: str, key: str) -> None:
    """With gevent's StreamServer and its ssl."""
    from gevent import monkey

    monkey.patch_all()
    import ssl

    from gevent.server import StreamServer

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)

    def handle(sock: ssl.SSLSocket, address: object) -> None:
        try:
            serve(sock.recv, sock.sendall)
        except OSError:
            pass
        finally:
            sock.close()

    StreamServer(("127.0.0.1", port), handle, ssl_context=context, backlog=1024).serve_forever()


if __name__ == "__main__":
    {"greenbas": run_greenbas, "gevent": run_gevent}[sys.argv[1]](int(sys.argv[2]), sys.argv[3], sys.argv[4])
