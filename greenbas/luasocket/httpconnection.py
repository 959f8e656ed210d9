"""The steps of an HTTP request (LuaSocket ``http.open``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from greenbas.luasocket import socket
from greenbas.luasocket.headers import canonical
from greenbas.luasocket.httpchunked import ChunkedSource, Headers, receive_headers
from greenbas.luasocket.ltn12 import pump, source
from greenbas.luasocket.ltn12.iterators import as_source
from greenbas.luasocket.ltn12.kinds import Sink, Step, as_chunk, truth

__all__ = ["Connection"]

_STATUS = re.compile(r"HTTP/[0-9]*\.[0-9]* ([0-9]{3})")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKING = re.compile(rb"[\r\n\0]")
_NO_TARGET = re.compile(rb"[^\x21-\x7e]")
INTERIM = 100  # replies with a status of 1xx that are skipped; a server that sends more never comes to the point


class Connection:
    """A connection to an HTTP server. Each step raises what `socket.protect` turns into ``(None, err)``.

    A step that fails closes the connection first.

    Args:
        sock: an unconnected socket, which the connection owns from here.
        timeout: seconds for each call.

    Attributes:
        c: the socket.
        try_: checks a result as `socket.try_` does, and closes the connection when it failed.
    """

    def __init__(self, sock: Any, timeout: float | None) -> None:
        self.c = sock
        self.try_ = socket.newtry(self.close)
        sock.settimeout(timeout)

    def connect(self, host: str, port: int | str) -> None:
        """Connect to the server."""
        self.try_(self.c.connect(host, port))

    def tunnel(self, authority: str, headers: Mapping[str, str]) -> None:
        """Ask a proxy for a connection to a server (RFC 9110 9.3.6).

        Args:
            authority: the server's host and port.
            headers: for the proxy.
        """
        self.sendrequestline("CONNECT", authority)
        self.sendheaders(headers)
        code, status = self.receivestatusline()
        if code is not None:
            self.receiveheaders()
        if code is None or not 200 <= code < 300:
            self.try_(None, f"the proxy refused: {status if code else 'no HTTP'}")

    def sendrequestline(self, method: str | None, uri: str | bytes) -> None:
        """Send the first line.

        Args:
            method: GET unless given.
            uri: what is asked for; octets that may not stand there are escaped.

        Raises:
            ValueError: the method is no token.
        """
        verb = as_chunk(method or "GET")
        if not _TOKEN.fullmatch(verb):
            raise ValueError(f"method {method!r}: it has to be a token")
        target = _NO_TARGET.sub(lambda match: b"%%%02X" % match[0][0], as_chunk(uri))
        self.try_(self.c.send(b"%b %b HTTP/1.1\r\n" % (verb, target)))

    def sendheaders(self, headers: Mapping[str, Any]) -> int:
        """Send the header section; names are spelled as usual.

        Raises:
            ValueError: a name is no token, or a value holds CR, LF or NUL, or is not latin-1. The value is not shown.
        """
        lines = [_field(name, value) for name, value in headers.items() if value is not None]
        self.try_(self.c.send(b"".join(lines) + b"\r\n"))
        return 1

    def sendbody(self, headers: Mapping[str, Any], body: Any, step: Step | None = None) -> int:
        """Send the body: chunked, unless the headers have a length.

        Args:
            headers: those sent, names in lower case.
            body: a source, an iterable of bytes, or bytes; None for an empty one.
            step: moves one chunk.
        """
        mode = "keep-open" if headers.get("content-length") is not None else "http-chunked"
        content = source.empty() if body is None else as_source(body)
        self.try_(pump.all(content, socket.sink(mode, self.c), step))
        return 1

    def receivestatusline(self) -> tuple[int | None, str]:
        """Read the first line of the reply.

        Returns:
            The status code and the line; None and the first five bytes when the server speaks HTTP/0.9.
        """
        first = self.try_(self.c.receive(5))[0]
        if first != b"HTTP/":
            return None, first.decode("latin-1")
        status = self.try_(self.c.receive("*l", first))[0].decode("latin-1")
        match = _STATUS.match(status)
        if match is None:
            self.try_(None, status)
        return int(match[1]) if match else None, status

    def receivereply(self) -> tuple[int | None, str, Headers]:
        """Read status line and headers, skipping replies that are not yet the answer (1xx, besides 101).

        Returns:
            Code, status line and headers; the code is None for HTTP/0.9, as in `receivestatusline`.
        """
        for _ in range(INTERIM):
            code, status = self.receivestatusline()
            if code is None:
                return None, status, {}
            headers = self.receiveheaders()
            if code == 101 or not 100 <= code < 200:
                return code, status, headers
        self.try_(None, "too many interim responses")
        raise AssertionError("not reached: try_ raises")

    def receiveheaders(self) -> Headers:
        """Read a header section, see `receive_headers`."""
        headers: Headers = self.try_(receive_headers(self.c))[0]
        return headers

    def receivebody(self, headers: Headers, sink: Sink, step: Step | None = None) -> int:
        """Read the body: chunked, as long as the headers say, or until the server closes.

        Args:
            headers: of the reply; those behind a chunked body are added.
            sink: takes the body.
            step: moves one chunk.
        """
        coding = headers.get("transfer-encoding", "").strip().lower()
        length = _length(headers.get("content-length"))
        if coding and coding != "identity":
            body: Any = ChunkedSource(self.c, headers)
        elif length is not None:
            body = socket.source("by-length", self.c, length)
        else:
            body = socket.source("until-closed", self.c)
        self.try_(pump.all(body, sink, step))
        return 1

    def receive09body(self, begin: str, sink: Sink, step: Step | None = None) -> int:
        """Read the body of HTTP/0.9: all that the server sends.

        Args:
            begin: what `receivestatusline` took for the begin of a status line.
            sink: takes the body.
            step: moves one chunk.
        """
        body = source.rewind(socket.source("until-closed", self.c))
        body(begin.encode("latin-1"))  # type: ignore[call-arg]  # it takes chunks back
        self.try_(pump.all(body, sink, step))
        return 1

    def close(self) -> int:
        """Close the connection; returns 1."""
        self.c.close()
        return 1


def _field(name: str, value: Any) -> bytes:
    key = as_chunk(canonical(name))
    try:
        content = value.encode("latin-1") if isinstance(value, str) else as_chunk(value)
    except UnicodeEncodeError:
        raise ValueError(f"header {name}: the value is not latin-1; give bytes") from None
    if not _TOKEN.fullmatch(key):
        raise ValueError(f"header name {name!r}: it has to be a token")
    if _BREAKING.search(content):
        raise ValueError(f"header {name}: the value holds CR, LF or NUL")
    return b"%b: %b\r\n" % (key, content)


def _length(value: str | None) -> int | None:
    # Sent twice, the values were joined. What is no number counts as not said, and the body ends with the connection.
    numbers = {part.strip() for part in (value or "").split(",")}
    number = numbers.pop() if len(numbers) == 1 else ""
    return int(number) if number.isascii() and number.isdigit() else None


Create = Callable[[], Any]


def made(create: Create) -> Any:
    """Call a function that makes a socket.

    Returns:
        The socket; a failure is raised for `socket.protect`.
    """
    answer = create()
    if not isinstance(answer, tuple):
        answer = (answer, None if truth(answer) else "no socket was made")
    return socket.try_(answer)[0]
