"""HTTP/1.1 requests out of bytes: `HeadParser` around httptools, and `RequestReader`, which frames a connection's bytes.

httptools (llhttp) checks every byte of a head and refuses most of what RFC 9112 forbids. Here is the rest: the limits, the
checks that it leaves to its caller, where each message ends, and the answer that each error deserves. Nothing here waits
or knows a socket: bytes are fed, messages come out.

Rules of this file. A head is cut off at its empty line and parsed whole, so one parser serves all connections, and where
the next message begins is always known exactly. One message is out at a time: the next head is looked at when the one
before has been answered, however many are pipelined.

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
from greenbas.protocol.chunked import ChunkedBody
from greenbas.protocol.section import HeaderSection, checked_host
from greenbas.protocol.target import BAD_QUERY, decode_path, path_of, split_target

__all__ = ["MAX_FIELDS", "MAX_HEAD", "MAX_TARGET", "HeadParser", "Message", "ReaderLimits", "RequestReader"]

MAX_HEAD = 16 * 1024  # bytes; node and h11 chose 16 KiB too, Apache 8 KiB a line; cookies make real heads of 4 to 8 KiB
MAX_FIELDS = 100  # fields in one head: Apache's limit; browsers behind two proxies send about 30
MAX_TARGET = 8 * 1024  # bytes; RFC 9112 3 recommends at least 8000 octets

_METHOD_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: |$)")  # `$`: the head may have come in pieces
_METHODS = {name: name.decode() for name in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH")}
_REMEMBERED_PATH = 128  # bytes; longer paths are rarely asked for twice
# A remembered section and its copy parsed take some five times its size, so this is 5 MiB at the very most.
_REMEMBERED_SECTION = 2048  # bytes
_REMEMBERED_SECTIONS = 512
_UNUSUAL = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_STEPPED_OVER = bytes(16 * 1024)


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What is accepted: sizes in bytes, `max_body` None for no limit."""

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
        fields: the header section.
        headers: the last value by lower-case name; bytes on both sides. Not to be changed.
        keep_alive: whether the client allows another request on this connection.
        upgrade: the client asks for another protocol.
        length: the Content-Length, 0 without a body, None for a chunked one.
        chunks: body bytes that have arrived and were not taken yet; None without a body.
        received: body bytes that have arrived so far.
        complete: the whole message has arrived.
        error: why the rest of the body cannot be had.
        trailers: the fields after a chunked body (RFC 9112 7.1.2), in order.
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

    def __init__(self, method: str, target: bytes, fields: HeaderSection) -> None:
        self.method = method
        self.target = target
        self.path = ""
        self.query = b""
        self.authority = fields.host
        self.http11 = True
        self.fields = fields
        self.headers = fields.last
        self.keep_alive = fields.keep_alive
        self.upgrade = False
        self.length: int | None = 0
        self.chunks: deque[bytes] | None = None
        self.received = 0
        self.complete = True
        self.error: RemoteProtocolError | None = None
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 Continue before it sends the body (RFC 9110 10.1.1)."""
        return b"expect" in self.headers and self.http11 and not self.received and not self.complete


class HeadParser:
    """Parses whole request heads; one for all connections of a server.

    A client sends the same header section with one request after another (HPACK in HTTP/2 lives from that). So the
    sections without anything special in them are remembered by their bytes, and only the request line is parsed anew.

    Args:
        limits: what is accepted.
    """

    __slots__ = ("_fields", "_known", "_parser", "limits")

    def __init__(self, limits: ReaderLimits) -> None:
        self.limits = limits
        self._fields: list[tuple[bytes, bytes]] = []
        self._known: dict[bytes, HeaderSection] = {}
        self._renew()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools for each field."""
        self._fields.append((name, value))

    def parse(self, head: bytes) -> Message:
        """Parse and check a head.

        Args:
            head: from the request line to the empty line, which is included.

        Raises:
            RemoteProtocolError: it breaks a rule; with the status that answers it.
        """
        end = head.index(b"\r\n") + 2
        line = head[: end - 2].split(b" ")
        section = self._known.get(head[end:])
        if section is not None and len(line) == 3 and line[0] in _METHODS and line[2] == b"HTTP/1.1":
            message = Message(_METHODS[line[0]], line[1], section)
        else:
            message = self._parse_anew(head, end, line)
        target = message.target
        if len(target) > self.limits.max_target:
            raise self._too_long_target()
        path, mark, query = target.partition(b"?")
        if path[:1] == b"/" and len(path) < _REMEMBERED_PATH and not (mark and BAD_QUERY.search(query)):
            message.path, message.query = _remembered_path(path), query
        else:
            self._take_target(message)
        return message

    def _parse_anew(self, head: bytes, end: int, line: list[bytes]) -> Message:
        self._fields = fields = []
        upgrade = False
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            upgrade = True
            self._renew()
        except httptools.HttpParserError as error:
            self._renew()
            raise refusal_of(error, head) from error
        try:
            return self._message(head, end, line, fields, upgrade)
        except RemoteProtocolError:
            self._renew()  # it may be waiting for a body
            raise

    def _message(
        self, head: bytes, end: int, line: list[bytes], fields: list[tuple[bytes, bytes]], upgrade: bool
    ) -> Message:
        if len(head) > self.limits.max_head or len(fields) > self.limits.max_fields:
            raise self._too_large(fields)
        # llhttp is lenient about spaces here, and knows protocols other than HTTP.
        if len(line) != 3:
            raise RemoteProtocolError("malformed request line")
        raw_method, target, version = line
        http11 = version == b"HTTP/1.1"
        if not http11:
            _check_version(version)
        section = HeaderSection(fields, http11)
        message = Message(_METHODS.get(raw_method) or raw_method.decode("ascii"), target, section)
        message.http11 = http11
        message.upgrade = upgrade and b"upgrade" in section.last
        if not _UNUSUAL.isdisjoint(section.last):
            self._take_unusual(message)
        elif http11 and len(head) - end <= _REMEMBERED_SECTION:
            self._remember(head[end:], section)
        return message

    def _remember(self, raw: bytes, section: HeaderSection) -> None:
        known = self._known
        if len(known) >= _REMEMBERED_SECTIONS:
            del known[next(iter(known))]
        known[raw] = section

    def check_beginning(self, beginning: bytes) -> RemoteProtocolError | None:
        """What is wrong already with the beginning of a head; None while it may become a good one."""
        if len(beginning) > self.limits.max_head:
            line = beginning.partition(b"\r\n")[0]
            if len(line) > self.limits.max_target:
                return self._too_long_target()
            return self._too_large([])
        # A parser of its own, thrown away: this is rare, heads come in one piece.
        try:
            httptools.HttpRequestParser(_Ignore()).feed_data(beginning)
        except httptools.HttpParserUpgrade:
            return None
        except httptools.HttpParserError as error:
            return refusal_of(error, beginning)
        return None

    def _take_unusual(self, message: Message) -> None:
        headers = message.headers
        if b"expect" in headers and message.http11 and headers[b"expect"].strip().lower() != b"100-continue":
            raise RemoteProtocolError(f"cannot meet the expectation {headers[b'expect'][:80]!r}", 417)
        if b"transfer-encoding" in headers:
            if not message.http11:
                # RFC 9112 6.1: the framing of such a message cannot be trusted.
                raise RemoteProtocolError("Transfer-Encoding does not exist in HTTP/1.0")
            coding = headers[b"transfer-encoding"].strip().lower()
            if coding != b"chunked":
                raise RemoteProtocolError(f"the transfer coding {coding[:80]!r} is not understood: use chunked", 501)
            message.length = None
            self._step_over(b"0\r\n\r\n")
        elif b"content-length" in headers:
            message.length = length = int(headers[b"content-length"])
            limit = self.limits.max_body
            if limit is not None and length > limit:
                message.error = BodyTooLarge(f"the request body of {length} bytes is over {limit}")
            if length <= len(_STEPPED_OVER):
                self._step_over(_STEPPED_OVER[:length])
            else:
                self._renew()
        if message.length != 0:
            message.chunks = deque()
            message.complete = False

    def _take_target(self, message: Message) -> None:
        path, message.query, authority = split_target(message.method, message.target)
        message.path = decode_path(path)
        if authority is not None:
            message.authority = checked_host(authority)  # RFC 9112 3.2.2: it replaces Host

    def _step_over(self, body: bytes) -> None:
        # The parser waits for a body that it will never see. Any body of that size brings it to the next head, for less
        # than a tenth of what a new parser costs.
        if body:
            try:
                self._parser.feed_data(body)
            except httptools.HttpParserUpgrade:
                self._renew()

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        # llhttp refuses to parse behind a message that says close. Here what follows is another connection's.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _too_long_target(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"the request target is over {self.limits.max_target} bytes", 414)

    def _too_large(self, fields: list[tuple[bytes, bytes]]) -> RemoteProtocolError:
        if len(fields) > self.limits.max_fields:
            return RemoteProtocolError(f"more than {self.limits.max_fields} header fields", 431)
        return RemoteProtocolError(f"the head is over {self.limits.max_head} bytes", 431)


class RequestReader:
    """Cuts the bytes of one connection into messages.

    Feed it whatever arrives and ask for the `next` message; before asking again, the body of the last one has to be
    complete. When `error` is set, the connection is to be answered with `error.status` and closed.

    Args:
        limits: what is accepted.
        heads: parses the heads; readers with the same limits may share it.
    """

    __slots__ = ("_buffer", "_chunked", "_heads", "_open", "error", "finished")

    def __init__(self, limits: ReaderLimits, heads: HeadParser | None = None) -> None:
        self._heads = heads or HeadParser(limits)
        self._buffer = b""  # what has arrived and belongs to no message yet
        self._open: Message | None = None  # the message whose body is arriving
        self._chunked: ChunkedBody | None = None  # decodes it when it is chunked
        self.error: RemoteProtocolError | None = None
        self.finished = False  # nothing more is read: the last message said close, or the peer did

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Never raises: see `error` and the message's own."""
        if self._open is not None:
            self._feed_body(data)
        elif not self.finished:
            self._buffer = self._buffer + data if self._buffer else data

    def next(self) -> Message | None:
        """The next message, its body perhaps still to come; None when no whole head has arrived, or after an error."""
        buffer = self._buffer
        if not buffer or self.finished:
            return None
        if buffer[:2] == b"\r\n":
            # RFC 9112 2.2: an empty line in front of the request line is ignored.
            self._buffer = buffer = buffer.lstrip(b"\r\n") if buffer[2:3] != b"\n" else buffer[2:]
        end = buffer.find(b"\r\n\r\n") + 4
        try:
            if end < 4:
                refusal = self._heads.check_beginning(buffer) if buffer else None
                if refusal is not None:
                    raise refusal
                return None
            message = self._heads.parse(buffer if end == len(buffer) else buffer[:end])
        except RemoteProtocolError as error:
            self.error = error
            self.finished = True
            return None
        self._buffer = buffer[end:]
        if not message.keep_alive:
            self.finished = True
        if not message.complete:
            self._begin_body(message)
        return message

    def eof(self) -> None:
        """The peer sends no more: an open body is incomplete."""
        self.finished = True
        message = self._open
        if message is not None:
            self._abandon(message, IncompleteBody(f"the peer closed after {message.received} bytes of the request body"))

    def take_rest(self) -> bytes:
        """The bytes behind the last message, for a new owner of the connection."""
        rest, self._buffer = self._buffer, b""
        return rest

    def close(self) -> None:
        """Nothing more will be read; gives memory back."""
        self.finished = True
        self._buffer = b""
        self._open = self._chunked = None

    def _begin_body(self, message: Message) -> None:
        self._open = message
        self._chunked = ChunkedBody() if message.length is None else None
        data, self._buffer = self._buffer, b""
        if data:
            self._feed_body(data)

    def _feed_body(self, data: bytes) -> None:
        message = self._open
        assert message is not None and message.chunks is not None
        rest = b""
        if self._chunked is not None:
            try:
                pieces, rest = self._chunked.feed(data)
            except RemoteProtocolError as error:
                self._abandon(message, error)
                return
            message.received += sum(map(len, pieces))
            message.complete = self._chunked.complete
            message.trailers = self._chunked.trailers
        else:
            assert message.length is not None
            left = message.length - message.received
            if len(data) > left:
                data, rest = data[:left], data[left:]
            pieces = [data]
            message.received += len(data)
            message.complete = message.received == message.length
        limit = self._heads.limits.max_body
        if limit is not None and message.received > limit and message.error is None:
            message.error = BodyTooLarge(f"the request body is over {limit} bytes")
        if message.error is None:
            message.chunks.extend(pieces)
        if message.complete:
            self._open = self._chunked = None
            self._buffer = b"" if self.finished else rest

    def _abandon(self, message: Message, error: RemoteProtocolError) -> None:
        message.error = message.error or error
        message.keep_alive = False
        self._open = self._chunked = None
        self.finished = True


class _Ignore:
    """Callbacks that nobody needs."""


def refusal_of(error: Exception, data: bytes) -> RemoteProtocolError:
    """The refusal that an error of httptools deserves.

    Args:
        error: what httptools raised.
        data: what was fed.
    """
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD_TOKEN.match(data):
        return RemoteProtocolError("unknown method", 501)
    return RemoteProtocolError(str(error))


def _check_version(version: bytes) -> None:
    if version != b"HTTP/1.0":
        status = 505 if version.startswith(b"HTTP/2") else 400
        raise RemoteProtocolError(f"{version[:20]!r} is not spoken here: use HTTP/1.1", status)


_remembered_path = lru_cache(maxsize=1024)(path_of)
