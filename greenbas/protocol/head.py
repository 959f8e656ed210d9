"""`HeadParser`: request heads, checked by httptools and by what it leaves to its caller.

What llhttp lets through and this module does not, each with a row in the tests: more than one space in the request
line, RTSP and ICE instead of HTTP, HTTP/0.9 and 2.0, a Transfer-Encoding that is not just "chunked", chunked with
HTTP/1.0, several Host fields or none, a target in the wrong form, heads without an end.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import httptools

from greenbas.errors import BodyTooLarge, RemoteProtocolError
from greenbas.protocol.headers import is_token
from greenbas.protocol.message import Message
from greenbas.protocol.section import HeaderSection, checked_host
from greenbas.protocol.target import BAD_QUERY, decode_path, path_of, split_target

__all__ = ["MAX_FIELDS", "MAX_HEAD", "MAX_TARGET", "HeadParser", "ReaderLimits"]

MAX_HEAD = 16 * 1024  # bytes; node and h11 chose 16 KiB too, Apache 8 KiB a line; cookies make real heads of 4 to 8 KiB
MAX_FIELDS = 100  # fields in one head: Apache's limit; browsers behind two proxies send about 30
MAX_TARGET = 8 * 1024  # bytes; RFC 9112 3 recommends at least 8000 octets

_LINE_BEGINNING = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: [!-~]*(?: [A-Z/0-9.]*\r?)?)?")
_VERSION = re.compile(rb"HTTP/([0-9])\.[0-9]")
# The registered methods that llhttp knows. It knows those of RTSP besides, and CONNECT, which is for proxies.
_NAMES = """
    GET HEAD POST PUT DELETE OPTIONS PATCH TRACE QUERY SEARCH LINK UNLINK PURGE
    PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE
    MKCALENDAR M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE
"""
_METHODS = {name.encode(): name for name in _NAMES.split()}
_REMEMBERED_PATH = 128  # bytes; longer paths are rarely asked for twice
# A remembered section and its copy parsed take some five times its size, so this is 5 MiB at the very most.
_REMEMBERED_SECTION = 2048  # bytes
_REMEMBERED_SECTIONS = 512
_GLIMPSES = 4096
# A digest is another one in each request, while the rest of the section stays. Of what may stand there, only the values
# that come to the parser's callback as they are.
_DIGEST = b"\r\nAuthorization: Digest "
_VISIBLE = bytes(range(0x20, 0x7F))
Cut = tuple[bytes, bytes, int]  # a section without its digest, that, and its place among the fields
_UNUSUAL = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_STEPPED_OVER = bytes(16 * 1024)


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What is accepted: sizes in bytes, `max_body` None for no limit."""

    max_head: int = MAX_HEAD
    max_fields: int = MAX_FIELDS
    max_target: int = MAX_TARGET
    max_body: int | None = None


class HeadParser:
    """Parses whole request heads; one for all connections of a server.

    A client sends the same header section with one request after another (HPACK in HTTP/2 lives from that). So the
    sections without anything special in them are remembered by their bytes, and only the request line is parsed anew.

    Args:
        limits: what is accepted.
    """

    __slots__ = ("_fields", "_glimpsed", "_known", "_parser", "_whole", "limits")

    def __init__(self, limits: ReaderLimits) -> None:
        self.limits = limits
        self._fields: list[tuple[bytes, bytes]] = []
        self._known: dict[bytes, HeaderSection] = {}
        self._glimpsed: set[int] = set()  # the hashes of sections that came once
        self._whole = False  # the parser has seen the end of the head
        self._renew()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools for each field."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by httptools behind the empty line."""
        self._whole = True

    def parse(self, head: bytes) -> Message:
        """Parse and check a head.

        Args:
            head: from the request line to the empty line, which is included.

        Raises:
            RemoteProtocolError: it breaks a rule; with the status that answers it.
        """
        end = head.index(b"\r\n") + 2
        line = head[: end - 2].split(b" ")
        if len(head) > self.limits.max_head or end > self.limits.max_target:
            self._check_sizes(head, line)
        raw = head[end:]
        section = self._known.get(raw)
        cut = None
        if section is None and (cut := _cut_digest(raw)) is not None:
            section = self._with_digest(*cut)
        if section is not None and len(line) == 3 and line[0] in _METHODS and line[2] == b"HTTP/1.1":
            message = Message(_METHODS[line[0]], line[1], section)
        else:
            message = self._parse_anew(head, raw, line, cut)
        target = message.target
        path, mark, query = target.partition(b"?")
        if path[:1] == b"/" and len(path) < _REMEMBERED_PATH and not (mark and BAD_QUERY.search(query)):
            message.path, message.query = _remembered_path(path), query
        else:
            self._take_target(message)
        return message

    def _parse_anew(self, head: bytes, raw: bytes, line: list[bytes], cut: Cut | None) -> Message:
        http11 = _check_request_line(line)
        fields, upgrade = self._fields_of(head)
        try:
            if len(fields) > self.limits.max_fields:
                raise RemoteProtocolError(f"more than {self.limits.max_fields} header fields", 431)
            section = HeaderSection(fields, http11)
            message = Message(_METHODS[line[0]], line[1], section)
            message.http11 = http11
            message.plain = message.plain and http11
            message.upgrade = upgrade and http11  # RFC 9110 7.8: not for HTTP/1.0
            if not _UNUSUAL.isdisjoint(section.last):
                self._take_unusual(message, upgrade)
            elif http11 and len(raw) <= _REMEMBERED_SECTION:
                if cut is None:
                    self._remember(raw, section)
                elif section.count(b"authorization") == 1:
                    self._remember(cut[0], section.without(b"authorization"))
        except RemoteProtocolError:
            self._renew()  # it may be waiting for a body
            raise
        if not section.keep_alive:
            self._renew()  # behind such a message llhttp ignores everything, but the next head is another connection's
        return message

    def _fields_of(self, head: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
        # Has llhttp check a head; returns its fields, and whether it asks for an upgrade.
        fields: list[tuple[bytes, bytes]] = []
        self._fields = fields
        self._whole = False
        upgrade = False
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            upgrade = True
            self._renew()
        except httptools.HttpParserError as error:
            self._renew()
            raise RemoteProtocolError(str(error)) from error
        if not self._whole:
            self._renew()
            raise RemoteProtocolError("the head has no end where its empty line is")
        return fields, upgrade

    def _with_digest(self, rest: bytes, credentials: bytes, place: int) -> HeaderSection | None:
        known = self._known.get(rest)
        if known is None or b"authorization" in known.last or len(known.pairs) >= self.limits.max_fields:
            return None
        return known.plus(place, b"Authorization", credentials)

    def _remember(self, raw: bytes, section: HeaderSection) -> None:
        # Only what has come before: a client that numbers its requests in a header would push all others out.
        if hash(raw) not in self._glimpsed:
            if len(self._glimpsed) >= _GLIMPSES:
                self._glimpsed.clear()
            self._glimpsed.add(hash(raw))
            return
        if len(self._known) >= _REMEMBERED_SECTIONS:
            self._known.clear()  # the clients of now are known again with their second request from here
        self._known[raw] = section

    def check_beginning(self, beginning: bytes) -> RemoteProtocolError | None:
        """What is wrong already with the beginning of a head; None while it may become a good one."""
        try:
            raw_line, ended, _ = beginning.partition(b"\r\n")
            line = raw_line.split(b" ")
            self._check_sizes(beginning, line)
            if ended:
                _check_request_line(line)
                # A parser of its own, thrown away: this is rare, heads come in one piece.
                httptools.HttpRequestParser(_Ignore()).feed_data(beginning)
            elif not _LINE_BEGINNING.fullmatch(raw_line):
                return RemoteProtocolError("malformed request line")
            elif len(line) > 1 and line[0] not in _METHODS:
                return RemoteProtocolError(f"the method {line[0][:20]!r} is not implemented", 501)
        except RemoteProtocolError as refusal:
            return refusal
        except httptools.HttpParserUpgrade:
            return None
        except httptools.HttpParserError as error:
            return RemoteProtocolError(str(error))
        return None

    def _check_sizes(self, head: bytes, line: list[bytes]) -> None:
        limits = self.limits
        # A target that is too long deserves the more exact answer.
        if max(map(len, line[1:]), default=0) > limits.max_target:
            raise RemoteProtocolError(f"the request target is over {limits.max_target} bytes", 414)
        if len(head) > limits.max_head:
            raise RemoteProtocolError(f"the head is over {limits.max_head} bytes", 431)

    def _take_unusual(self, message: Message, renewed: bool) -> None:
        headers = message.headers
        if b"expect" in headers and message.http11 and headers[b"expect"].strip().lower() != b"100-continue":
            raise RemoteProtocolError(f"cannot meet the expectation {headers[b'expect'][:80]!r}", 417)
        if b"transfer-encoding" in headers:
            if message.fields.count(b"transfer-encoding") > 1:
                raise RemoteProtocolError("more than one Transfer-Encoding field")
            if not message.http11:
                # RFC 9112 6.1: the framing of such a message cannot be trusted.
                raise RemoteProtocolError("Transfer-Encoding does not exist in HTTP/1.0")
            coding = headers[b"transfer-encoding"].strip().lower()
            if coding != b"chunked":
                raise RemoteProtocolError(f"the transfer coding {coding[:80]!r} is not understood: use chunked", 501)
            message.length = None
            self._step_over(b"" if renewed else b"0\r\n\r\n")
        elif b"content-length" in headers:
            message.length = length = int(headers[b"content-length"])
            limit = self.limits.max_body
            if limit is not None and length > limit:
                message.error = BodyTooLarge(f"the request body of {length} bytes is over {limit}")
            if length <= len(_STEPPED_OVER):
                self._step_over(b"" if renewed else _STEPPED_OVER[:length])
            else:
                self._renew()
        if message.length != 0:
            message.chunks = deque()
            message.complete = message.plain = False

    def _take_target(self, message: Message) -> None:
        path, message.query, authority = split_target(message.method, message.target)
        message.path = decode_path(path)
        if authority is not None:
            message.authority = checked_host(authority)  # RFC 9112 3.2.2: it replaces Host

    def _step_over(self, body: bytes) -> None:
        # The parser waits for a body that it will never see. Any body of that size brings it to the next head, for less
        # than a tenth of what a new parser costs.
        if body:
            self._parser.feed_data(body)

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)


def _cut_digest(raw: bytes) -> Cut | None:
    # None when it has no digest, or one that needs the parser.
    start = raw.find(_DIGEST)
    if start < 0:
        return None
    end = raw.find(b"\r\n", start + len(_DIGEST))
    credentials = raw[start + len(b"\r\nAuthorization: ") : end]
    if credentials.translate(None, _VISIBLE) or credentials[-1:] == b" " or raw[end + 2 : end + 3] in (b" ", b"\t"):
        return None
    return raw[:start] + raw[end:], credentials, raw.count(b"\r\n", 0, start) + 1


class _Ignore:
    """Callbacks that nobody needs."""


def _check_request_line(line: list[bytes]) -> bool:
    # Returns whether it is HTTP/1.1. llhttp is lenient about spaces here, and knows protocols other than HTTP.
    if len(line) == 3 and line[0] in _METHODS and line[2] == b"HTTP/1.1":
        return True
    if not is_token(line[0].decode("latin-1")):
        raise RemoteProtocolError("the request begins with no method")
    if len(line) != 3:
        raise RemoteProtocolError("malformed request line")
    method, _, version = line
    if version != b"HTTP/1.1" and version != b"HTTP/1.0":
        match = _VERSION.fullmatch(version)
        status = 505 if match is not None and match[1] != b"0" else 400  # RFC 9110 15.6.6
        raise RemoteProtocolError(f"{version[:20]!r} is not spoken here: use HTTP/1.1", status)
    if method not in _METHODS:
        raise RemoteProtocolError(f"the method {method[:20]!r} is not implemented", 501)  # RFC 9110 9.1
    return version == b"HTTP/1.1"


_remembered_path = lru_cache(maxsize=1024)(path_of)
