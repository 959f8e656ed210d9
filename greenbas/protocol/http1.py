"""HTTP/1.1 requests out of bytes: `RequestReader` around httptools, and the `Message` it makes.

httptools (llhttp) finds the bytes and refuses most of what RFC 9112 forbids. Here is the rest: the limits, the checks that
it leaves to its caller, and the answer that each error deserves. Nothing here waits or knows a socket: bytes are fed,
messages come out.

What llhttp lets through and this module does not, each with a row in the tests: more than one space in the request line,
RTSP and ICE instead of HTTP, HTTP/0.9 and 2.0, a Transfer-Encoding that is not just "chunked", chunked with HTTP/1.0,
several Host fields or none, a target in the wrong form, heads and chunk framing without an end.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import httptools

from greenbas.errors import BodyTooLarge, IncompleteBody, RemoteProtocolError
from greenbas.protocol.target import BAD_QUERY, decode_path, path_of, split_target

__all__ = ["MAX_FIELDS", "MAX_HEAD", "MAX_TARGET", "Message", "ReaderLimits", "RequestReader"]

MAX_HEAD = 16 * 1024  # bytes; node and h11 chose 16 KiB too, Apache 8 KiB a line; cookies make real heads of 4 to 8 KiB
MAX_FIELDS = 100  # fields in one head: Apache's limit; browsers behind two proxies send about 30
MAX_TARGET = 8 * 1024  # bytes; RFC 9112 3 recommends at least 8000 octets
# Bytes that chunk framing and trailers may add to a body: an allowance for heads of chunks and trailers, then eight bytes
# a byte of body, which one-byte chunks ("1\r\na\r\n", five bytes) do not reach and endless chunk extensions do.
CHUNK_ALLOWANCE = 16 * 1024
CHUNK_RATIO = 8

_METHOD_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?= |$)")  # `$`: the head may have come in pieces
# RFC 9110 7.2: uri-host [":" port]; the characters of reg-name, or an IP literal in brackets.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.vV]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
_REMEMBERED_PATH = 128  # bytes; longer paths are rarely asked for twice
_METHODS = {name: name.decode() for name in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH")}


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What a `RequestReader` accepts: sizes in bytes, `max_body` None for no limit."""

    max_head: int = MAX_HEAD
    max_fields: int = MAX_FIELDS
    max_target: int = MAX_TARGET
    max_body: int | None = None


class Message:
    """One request as it came off the wire; its body may still be arriving.

    Attributes:
        method: as sent; methods are case-sensitive (RFC 9110 9.1).
        target: the raw request target.
        path: the target's path, decoded; "*" for ``OPTIONS *``.
        query: the target's query, still encoded.
        authority: the host of an absolute target, else the Host field, else b"" (HTTP/1.0).
        http11: False for HTTP/1.0.
        fields: name and value pairs in order, duplicates kept; spaces at the end of values not stripped.
        headers: the last value by lower-case name; bytes on both sides.
        keep_alive: whether the client allows another request on this connection.
        upgrade: the client asks for another protocol; parsing stops behind this message.
        length: the Content-Length, 0 without a body, None for a chunked one.
        chunks: body bytes that have arrived and were not taken yet; None without a body.
        received: body bytes that have arrived so far.
        complete: the whole message has arrived.
        error: why the rest of the body cannot be had.
        trailers: the fields after a chunked body (RFC 9112 7.1.2); in order.
    """

    __slots__ = (
        "authority",
        "chunks",
        "complete",
        "error",
        "fields",
        "headers",
        "http11",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "received",
        "target",
        "trailers",
        "upgrade",
    )

    def __init__(self, method: str, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.target = target
        self.path = ""
        self.query = b""
        self.authority = b""
        self.http11 = True
        self.fields = fields
        self.headers = {name.lower(): value for name, value in fields}
        self.keep_alive = True
        self.upgrade = False
        self.length: int | None = 0
        self.chunks: deque[bytes] | None = None
        self.received = 0
        self.complete = False
        self.error: RemoteProtocolError | None = None
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 Continue before it sends the body (RFC 9110 10.1.1)."""
        return b"expect" in self.headers and self.http11 and not self.received and not self.complete


class RequestReader:
    """Turns the bytes of one connection into `Message` objects.

    Feed it whatever arrives; take messages from `messages`. When `error` is set, the messages before it are good, and the
    connection is to be answered with `error.status` and closed.
    """

    __slots__ = (
        "_at_boundary",
        "_at_start",
        "_data",
        "_fed",
        "_fields",
        "_limits",
        "_open",
        "_parser",
        "_rest",
        "_url",
        "error",
        "finished",
        "messages",
        "on_message_begin",
    )

    def __init__(self, limits: ReaderLimits) -> None:
        self._limits = limits
        self._fields: list[tuple[bytes, bytes]] = []
        self._at_boundary = [True]  # empty while a message is under way; a list, so that its own method is the callback
        self.on_message_begin = self._at_boundary.clear
        self._url = b""
        self._open: Message | None = None  # the message whose body is arriving
        self._fed = 0  # bytes since the head began, counted by whole reads
        self._data = b""  # what holds the head that is being parsed
        self._at_start = True  # the head that is being parsed is the first thing in it
        self._rest: bytes | None = None  # what came behind a message that asks for an upgrade
        self.messages: deque[Message] = deque()
        self.error: RemoteProtocolError | None = None
        self.finished = False  # nothing more is read: the last message said close, or the peer did
        self._parser = httptools.HttpRequestParser(self)

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return not self._at_boundary and self._open is None

    def feed(self, data: bytes) -> None:
        """Parse what has arrived. Never raises: see `error` and each message's own."""
        if self._at_boundary:
            if self.finished or self._rest is not None or data[:1] == b"\n":
                self._feed_apart(data)
                return
            self._data = data
            self._at_start = True
            self._fed = len(data)
        else:
            if self._open is None:
                self._data += data
            self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._fail(error)
            return
        if not self._at_boundary:
            self._check_progress()

    def _feed_apart(self, data: bytes) -> None:
        if self._rest is not None:
            self._rest += data
        elif not self.finished:
            # RFC 9112 2.2 lets a server ignore an empty line in front; a line ends in CRLF all the same.
            self._refuse(RemoteProtocolError("a bare LF in front of the request line"))

    def eof(self) -> None:
        """The peer sends no more: an open body is incomplete."""
        self.finished = True
        if self._open is not None:
            message = self._open
            self._abandon(IncompleteBody(f"the peer closed after {message.received} bytes of the request body"))

    def resume(self) -> None:
        """Go on behind a message whose upgrade nobody took (RFC 9110 7.8: a server may ignore Upgrade)."""
        rest, self._rest = self._rest, None
        if rest is not None:
            self._parser = httptools.HttpRequestParser(self)
            if rest:
                self.feed(rest)

    def take_rest(self) -> bytes:
        """The bytes behind a message that asked for an upgrade, for the connection's new owner."""
        rest, self._rest = self._rest or b"", None
        return rest

    def close(self) -> None:
        """Break the reference cycle with the parser, so that memory goes at once and not with the next collection."""
        self._parser = None
        self.finished = True

    # What httptools calls, in the order of a message.

    def on_url(self, url: bytes) -> None:
        """The request target, or a piece of it."""
        self._url = self._url + url if self._url else url
        if len(self._url) > self._limits.max_target:
            raise self._too_long_target()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head, or of the trailers."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: check it and make the message."""
        fields, self._fields = self._fields, []
        url, self._url = self._url, b""
        parser = self._parser
        raw_method = parser.get_method()
        message = Message(_METHODS.get(raw_method) or raw_method.decode(), url, fields)
        headers = message.headers
        # The common request line is checked in place; a slower look finds what is wrong with any other.
        end = len(raw_method) + 1 + len(url)
        if not (self._at_start and self._data.startswith(b" HTTP/1.1\r\n", end)):
            self._check_request_line(raw_method, url, message)
        self._at_start = False
        if not message.http11 or b"connection" in headers:
            message.keep_alive = parser.should_keep_alive()
        if self._fed > self._limits.max_head or len(fields) > self._limits.max_fields:
            self._check_size(url, fields)
        path, mark, query = url.partition(b"?")
        if path[:1] == b"/" and len(path) < _REMEMBERED_PATH and not (mark and BAD_QUERY.search(query)):
            message.path, message.query = _remembered_path(path), query
        else:
            path, message.query, authority = split_target(message.method, url)
            message.path, message.authority = decode_path(path), authority or b""
        host = headers.get(b"host")
        if host in _seen_hosts and not message.authority and len(headers) == len(fields):
            message.authority = host
        else:
            self._take_host(message)
        if b"content-length" in headers or b"transfer-encoding" in headers or b"expect" in headers:
            self._take_body_fields(message)
        self._open = message
        self.messages.append(message)

    def on_body(self, data: bytes) -> None:
        """Bytes of the body."""
        message = self._open
        assert message is not None and message.chunks is not None
        message.received += len(data)
        if message.error is None:
            message.chunks.append(data)
            limit = self._limits.max_body
            if limit is not None and message.received > limit:
                message.error = self._too_large_body()

    def on_message_complete(self) -> None:
        """The message is whole."""
        message = self._open
        assert message is not None
        message.complete = True
        self._open = None
        self._at_boundary.append(True)
        if self._fields:
            message.trailers, self._fields = tuple(self._fields), []
        if not message.keep_alive:
            self.finished = True
        elif b"upgrade" in message.headers and self._parser.should_upgrade():
            message.upgrade = True

    # Checks and failures.

    def _check_request_line(self, method: bytes, url: bytes, message: Message) -> None:
        version = self._parser.get_http_version()
        if version != "1.1" and version != "1.0":
            status = 505 if version == "2.0" else 400
            raise RemoteProtocolError(f"HTTP/{version} is not spoken here: use HTTP/1.1", status)
        if b"%b %b HTTP/%b\r\n" % (method, url, version.encode()) not in self._data:
            raise RemoteProtocolError("malformed request line")
        message.http11 = version == "1.1"

    def _check_size(self, url: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        # Only what came in with more bytes than the limit can be over it; now count exactly.
        if len(fields) > self._limits.max_fields:
            raise RemoteProtocolError(f"more than {self._limits.max_fields} header fields", 431)
        if len(url) + sum(len(name) + len(value) + 4 for name, value in fields) > self._limits.max_head:
            raise self._too_large_head()

    def _take_host(self, message: Message) -> None:
        # RFC 9112 3.2: exactly one valid Host in HTTP/1.1; an absolute target replaces it (3.2.2).
        headers = message.headers
        if len(headers) != len(message.fields) and sum(name.lower() == b"host" for name, _ in message.fields) > 1:
            raise RemoteProtocolError("more than one Host field")
        host = headers.get(b"host")
        if host is None:
            if message.http11:
                raise RemoteProtocolError("HTTP/1.1 needs a Host field")
            return
        if host not in _seen_hosts:
            host = _checked_host(host)
        message.authority = message.authority or host

    def _take_body_fields(self, message: Message) -> None:
        headers = message.headers
        if b"transfer-encoding" in headers:
            if not message.http11:
                # RFC 9112 6.1: the framing of such a message cannot be trusted.
                raise RemoteProtocolError("Transfer-Encoding does not exist in HTTP/1.0")
            coding = headers[b"transfer-encoding"].strip().lower()
            if coding != b"chunked":
                raise RemoteProtocolError(f"the transfer coding {coding[:80]!r} is not understood: use chunked", 501)
            message.length = None
        elif b"content-length" in headers:
            message.length = int(headers[b"content-length"])
        if b"expect" in headers and message.http11 and headers[b"expect"].strip().lower() != b"100-continue":
            raise RemoteProtocolError(f"cannot meet the expectation {headers[b'expect'][:80]!r}", 417)
        if message.length != 0:
            message.chunks = deque()
            limit = self._limits.max_body
            if limit is not None and (message.length or 0) > limit:
                message.error = self._too_large_body()

    def _check_progress(self) -> None:
        # At the end of what was fed, in the middle of a message.
        message, limit = self._open, self._limits.max_head
        if message is None:
            if self._fed > limit:
                # A target alone that does not end deserves the more exact answer.
                long_target = len(self._url) > self._limits.max_target
                self._refuse(self._too_long_target() if long_target else self._too_large_head())
        elif message.length is None:
            overhead = self._fed - message.received
            if overhead > limit + CHUNK_ALLOWANCE + CHUNK_RATIO * message.received:
                self._abandon(RemoteProtocolError("chunk framing far larger than the body"))

    def _refuse(self, error: RemoteProtocolError) -> None:
        self.error = error
        self.finished = True

    def _abandon(self, error: RemoteProtocolError) -> None:
        message = self._open
        assert message is not None
        message.error = message.error or error
        message.keep_alive = False
        self._open = None
        self.finished = True

    def _fail(self, error: Exception) -> None:
        if self.finished:
            return  # llhttp complains about bytes behind "Connection: close": they are ignored (RFC 9112 9.6)
        cause = error.__context__
        if isinstance(cause, RemoteProtocolError):
            refusal = cause
        elif isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD_TOKEN.match(self._data.lstrip()):
            refusal = RemoteProtocolError("unknown method", 501)
        elif isinstance(error, httptools.HttpParserCallbackError):
            raise error  # a bug of ours, not the peer's
        else:
            refusal = RemoteProtocolError(str(error))
        if self._open is not None:
            self._abandon(refusal)
        else:
            self._refuse(refusal)

    def _too_large_head(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"the head is over {self._limits.max_head} bytes", 431)

    def _too_long_target(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"the request target is over {self._limits.max_target} bytes", 414)

    def _too_large_body(self) -> BodyTooLarge:
        return BodyTooLarge(f"the request body is over {self._limits.max_body} bytes")


# Hosts that were checked: a server has few names, and a client that invents many only has each checked.
_seen_hosts: set[bytes] = set()
_SEEN_HOSTS = 256


def _checked_host(value: bytes) -> bytes:
    host = value.strip(b" \t")
    if not _HOST.fullmatch(host):
        raise RemoteProtocolError(f"Host {host[:80]!r} is not a host name")
    if host == value and len(_seen_hosts) < _SEEN_HOSTS:
        _seen_hosts.add(host)
    return host


_remembered_path = lru_cache(maxsize=1024)(path_of)
