"""Python's own HTTP server in a process of its own: prints its port. With a certificate and key it speaks TLS."""

from __future__ import annotations

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was sent, sends to other places, or says a lot."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/echo":
            self.reply(200, f"{self.command} {self.path}\n{self.headers}".encode() + self.body())
        elif path == "/large":
            self.reply(200, b"x" * 3_000_000)
        elif path.startswith("/to/"):
            target = self.path.removeprefix("/to/")
            self.reply(302, b"elsewhere", location=target if "://" in target else f"/{target}")
        else:
            self.reply(404, b"nothing here")

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def reply(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 100  # callers at once; the standard library's five make some wait for a second


def main(*files: str) -> None:
    server = Server(("127.0.0.1", 0), Handler)
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
