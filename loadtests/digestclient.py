"""The client of the digest benchmark: `python digestclient.py PORT PATH SECONDS`; prints what it has done, as JSON.

Connections that are kept, and on each of them one request after the other, each with a digest of its own with the next
count (RFC 7616), and never with a cookie of the server's. A server that does not ask for a login gets the same, for a
nonce that is nobody's, and takes no notice. The digests are computed here: libraries that can take longer for it than
the server.

It never sleeps while it waits: to wake it up would be work of the server's, and more of it for the slower one.
"""

from __future__ import annotations

import json
import re
import secrets
import selectors
import socket
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from browser import HEADERS

CONNECTIONS = 64  # as wrk has
NAME, PASSWORD = "ann", "secret"
TIMEOUT_SECONDS = 10

_CHALLENGE = re.compile(rb'Digest realm="([^"]*)".*?algorithm=SHA-256, nonce="([^"]*)"')


class Asker:
    """One connection."""

    def __init__(self, port: int, path: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS)
        plain = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}"
        self.sock.sendall(f"{plain}\r\n".encode())
        challenge = _CHALLENGE.search(self.sock.recv(65536))
        realm, nonce = ("bench", secrets.token_hex(24)) if challenge is None else map(bytes.decode, challenge.groups())
        self._next = digests(plain, path, realm, nonce)

    def ask(self) -> None:
        """Send a request."""
        self.sock.send(self._next())

    def hear(self) -> None:
        """Read the response.

        Raises:
            OSError: it is not the right one.
        """
        answer = self.sock.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"Hello, world!"):
            raise OSError(f"a wrong answer: {answer[:60]!r}")


def digests(plain: str, path: str, realm: str, nonce: str) -> Callable[[], bytes]:
    """Makes requests, each with the next digest."""
    start = sha256(f"{_hex(f'{NAME}:{realm}:{PASSWORD}')}:{nonce}:".encode())
    end = f":0123456789abcdef:auth:{_hex(f'GET:{path}')}".encode()
    head = (
        f'{plain}Authorization: Digest username="{NAME}", realm="{realm}", nonce="{nonce}", uri="{path}", '
        'algorithm=SHA-256, qop=auth, cnonce="0123456789abcdef", '
    )
    count = 0

    def following() -> bytes:
        nonlocal count
        count += 1
        number = f"{count:08x}"
        proof = start.copy()
        proof.update(number.encode() + end)
        return f'{head}nc={number}, response="{proof.hexdigest()}"\r\n\r\n'.encode()

    return following


def _hex(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def run(port: int, path: str, seconds: float) -> dict[str, Any]:
    """Ask on all connections until the time is up."""
    askers = [Asker(port, path) for _ in range(CONNECTIONS)]
    poll = selectors.DefaultSelector()
    for asker in askers:
        poll.register(asker.sock, selectors.EVENT_READ, asker)
        asker.ask()
    count, idle, errors = 0, 0.0, []
    began = now = heard = time.monotonic()
    try:
        while now - began < seconds:
            ready = poll.select(0)
            for key, _ in ready:
                key.data.hear()
                key.data.ask()
            count += len(ready)
            before, now = now, time.monotonic()
            if ready:
                heard = now
                continue
            idle += now - before
            if now - heard > TIMEOUT_SECONDS:
                raise TimeoutError(f"no answer for {TIMEOUT_SECONDS} s")
    except OSError as error:
        errors.append(f"{type(error).__name__}: {error}")
    took = time.monotonic() - began
    return {"count": count, "seconds": took, "cpu": 1 - idle / took, "errors": errors}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
