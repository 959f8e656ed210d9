"""A server in the test's own process, and a client that says exactly what a test wants and reads answers strictly."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h11

from greenbas import Request, Response, Server
from greenbas.vfs import Directory

TIMEOUT = 10.0


@contextlib.contextmanager
def serving(function: Callable[..., Any] | None = None, **settings: Any) -> Iterator[Server]:
    """A started server on a free port of 127.0.0.1; `function` answers for an unnamed directory at its root.

    Its port is ``server.listeners[0].port``. It is stopped at the end, what still runs is killed.
    """
    server = Server(**settings)
    if function is not None:
        server.directory()(function)
    server.listen(0)
    server.start()
    try:
        yield server
    finally:
        server.stop(drain_timeout=0)


@dataclass
class Answer:
    """One response as it came, checked by h11."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """The only value of a header."""
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        """Each value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Client:
    """A raw connection to a server: bytes out, `Answer` objects in."""

    def __init__(self, server: Server | int, source: str = "127.0.0.1") -> None:
        port = server if isinstance(server, int) else server.listeners[0].port
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT, source_address=(source, 0))
        self._left = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, data: bytes | str) -> None:
        """Send bytes as they are; a str as latin-1, with bare newlines made CRLF."""
        self.sock.sendall(data.replace("\n", "\r\n").encode("latin-1") if isinstance(data, str) else data)

    def answer(self, method: str = "GET") -> Answer:
        """The next final response to a request with this method; raises h11.RemoteProtocolError for a malformed one."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        if self._left:  # h11 takes an empty piece for the end of the connection
            parser.receive_data(self._left)
        head: h11.Response | None = None
        body = b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(self.sock.recv(65536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self._left = parser.trailing_data[0]
                headers = [(name.decode(), value.decode("latin-1")) for name, value in head.headers.raw_items()]
                return Answer(head.status_code, head.reason.decode(), headers, body)
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("the server closed without an answer")

    def ask(self, text: bytes | str, method: str | None = None) -> Answer:
        """Send a request and read its answer."""
        data = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode("latin-1")
        self.send(data)
        return self.answer(method or data.partition(b" ")[0].decode("latin-1"))

    def read_until(self, end: bytes) -> bytes:
        """The bytes up to `end`, which is included: for what is no final response."""
        while end not in self._left:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError(f"the server closed after {self._left!r}")
            self._left += data
        found, _, self._left = self._left.partition(end)
        return found + end

    def rest(self) -> bytes:
        """Everything that comes until the server closes."""
        found, self._left = [self._left], b""
        while data := self.sock.recv(65536):
            found.append(data)
        return b"".join(found)

    def half_close(self) -> None:
        """Send no more; reading goes on."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset, as a program that is killed in the middle does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def closed(self) -> bool:
        """Whether the server closes, with nothing more to say; waits for it."""
        try:
            return self._left == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


def ask(server: Server | int, text: bytes | str, method: str | None = None) -> Answer:
    """One request on a connection of its own."""
    with Client(server) as client:
        return client.ask(text, method)


def get(server: Server | int, path: str, *headers: str) -> Answer:
    """GET a path with extra header lines."""
    return ask(server, "\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]))


def head(*lines: str) -> str:
    """A request head of these lines, with a Host field behind the first; for `Client.send` and `Client.ask`."""
    return "\n".join([lines[0], "Host: x", *lines[1:], "", ""])


def directory(name: str | None, function: Callable[[Request, Response], Any], priority: int = 0) -> Directory:
    """A directory with this function."""
    made = Directory(name, priority=priority)
    made.set_func(function)
    return made
