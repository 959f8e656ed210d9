"""A TLS server that answers HTTPS by hand.

`greenbas run examples/sockets/https.py [PORT]` makes a certificate and says how curl can ask.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from greenbas import create, net
from greenbas.crypto import self_signed
from greenbas.net.tls import ServerTls

MOST = 8192  # bytes of a request's head
WAIT = 10.0  # seconds for each part of it


def listen(cert: str, key: str, port: int = 0) -> net.Socket:
    """Answer on a port, with a certificate and its key in PEM."""
    listener = net.bind(port, intf="127.0.0.1", tls=ServerTls(create.certifiedkey(cert, key)))
    listener.event(accept)
    return listener


def accept(listener: net.Socket) -> None:
    """The handshake is not made here: a client that never goes on with it would keep all others out."""
    while True:
        listener.accept().event(answer, "s")


def answer(sock: net.Socket) -> None:
    """One request of a client. Its handshake is made as soon as it is used, here by the first read."""
    head = read_head(sock)
    method, target, *_ = head.split(b" ", 2) if head.count(b" ") > 1 else (b"", b"")
    if method not in (b"GET", b"HEAD"):
        return respond(sock, "405 Method Not Allowed", "This server knows GET alone.\n")
    cipher, version = sock.cipher()
    resumed = "a session that was resumed" if sock.isresumed() else "a new session"
    text = f"You asked for {target.decode('ascii', 'replace')} by {version} with {cipher}, in {resumed}.\n"
    respond(sock, "200 OK", text, with_body=method == b"GET")


def respond(sock: net.Socket, status: str, text: str, with_body: bool = True) -> None:
    """Head and body in one write, which is one TLS record."""
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    sock.write(head.encode() + (body if with_body else b""))


def read_head(sock: net.Socket) -> bytes:
    """The head of a request; what there is of it when it is too long or has no end."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MOST and (data := sock.read(WAIT)):
        head += data
    return head


if __name__ == "__main__":
    cert, key = self_signed(["localhost"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cert.pem"
        file.write_text(cert)
        listener = listen(cert, key, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
        print(f"curl --cacert {file} https://localhost:{listener.sockname()[1]}/hello")
        net.join()  # as long as it listens, the file stays
