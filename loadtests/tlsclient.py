"""The client of the TLS benchmark: `python tlsclient.py WORK PORT CERT SECONDS`; prints what it has done, as JSON.

Python's own ssl, without a loop of events: it does the same with every server.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from typing import Any

CONNECTIONS = 4  # at once; more than the server has cores
BULK = 64 * 1024 * 1024  # bytes a connection moves before the next one begins
BLOCK = b"x" * 1024 * 1024


class Client:
    """Counts what several threads do until the time is up."""

    def __init__(self, work: str, port: int, cert: str, seconds: float) -> None:
        self.work = work
        self.port = port
        self.until = time.monotonic() + seconds
        self.count = 0  # handshakes, or bytes
        self.errors: list[str] = []
        self._lock = threading.Lock()
        self._context = ssl.create_default_context(cafile=cert)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3

    def run(self) -> dict[str, Any]:
        """Do it; returns the result."""
        began = time.monotonic()
        used = time.process_time()
        threads = [threading.Thread(target=self._work) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        return {
            "count": self.count,
            "seconds": seconds,
            "cpu": (time.process_time() - used) / seconds,
            "errors": self.errors[:3],
        }

    def _work(self) -> None:
        one = {"handshake": self._handshake, "down": self._down, "up": self._up}[self.work]
        while time.monotonic() < self.until:
            try:
                with (
                    socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
                    self._context.wrap_socket(plain, server_hostname="localhost") as sock,
                ):
                    one(sock)
            except OSError as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                return

    def _add(self, count: int) -> None:
        with self._lock:
            self.count += count

    def _handshake(self, sock: ssl.SSLSocket) -> None:
        sock.sendall(b"ping\n")
        if sock.recv(100) != b"pong\n":
            raise OSError("a wrong answer")
        self._add(1)

    def _down(self, sock: ssl.SSLSocket) -> None:
        sock.sendall(b"down %d\n" % BULK)
        buffer, left = bytearray(256 * 1024), BULK
        while left > 0 and time.monotonic() < self.until:
            count = sock.recv_into(buffer)
            if not count:
                raise OSError("the server broke off")
            left -= count
            self._add(count)

    def _up(self, sock: ssl.SSLSocket) -> None:
        sock.sendall(b"up %d\n" % BULK)
        left = BULK
        while left > 0 and time.monotonic() < self.until:
            sock.sendall(BLOCK)
            left -= len(BLOCK)
            self._add(len(BLOCK))
        if left <= 0 and sock.recv(100) != b"done\n":
            raise OSError("a wrong answer")


if __name__ == "__main__":
    print(json.dumps(Client(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])).run()))
