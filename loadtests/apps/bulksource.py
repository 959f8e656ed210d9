"""A server of long bodies: `python bulksource.py PORT`; /sized/N has N bytes, /chunked/N the same in chunks."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 64 * 1024
BLOCK = bytes(16 * CHUNK)
CHUNKS = b"%x\r\n%b\r\n" % (CHUNK, BLOCK[:CHUNK]) * 16  # of one block


class Source(BaseHTTPRequestHandler):
    """Sends bytes as long as somebody takes them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with so many bytes."""
        _, framing, size = self.path.split("/")
        whole, rest = divmod(int(size), len(BLOCK))
        self.send_response(200)
        if framing == "sized":
            self.send_header("Content-Length", size)
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for _ in range(whole):
                self.connection.sendall(BLOCK if framing == "sized" else CHUNKS)
            if framing == "sized":
                self.connection.sendall(BLOCK[:rest])
            else:
                last = b"%x\r\n%b\r\n" % (rest, BLOCK[:rest]) if rest else b""
                self.connection.sendall(last + b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # whoever asked has seen enough

    def log_message(self, format: str, *args: object) -> None:
        """No log."""


class Server(ThreadingHTTPServer):
    """A thread for each connection, which may end when it likes."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Source).serve_forever()
