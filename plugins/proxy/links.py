"""`LinkRewriter`: the backend's absolute URLs in an HTML page, turned into the proxy's while the page streams through.

What is looked at: the attributes that hold URLs, ``meta refresh``, and ``url()`` and ``@import`` in styles. What has no
host in it stays, and so do text, scripts, comments and everything else, byte for byte: a proxy that edits scripts
breaks more than it mends.
"""

from __future__ import annotations

import re

from greenbas_plugins.proxy.rewriting import Here, UrlMap, rewritten_refresh

__all__ = ["LinkRewriter", "rewritable", "unvalidated"]

Pair = tuple[bytes, bytes]

MAX_TAG = 64 * 1024  # bytes of an unfinished tag that are kept back; only inline images make larger ones
MAX_STYLE = 8 * 1024  # bytes of a style sheet without any delimiter

_WS = rb"[ \t\n\r\f]"
# Elements whose content is no markup (HTML 13.1.2).
_RAW_NAMES = b"script style textarea title xmp iframe noembed noframes".split()
_RAW = {name: re.compile(rb"</%b(?=[ \t\n\r\f/>])" % name, re.IGNORECASE) for name in _RAW_NAMES}
_VALUE = rb"\"[^\"]*+\"|'[^']*+'|[^ \t\n\r\f>\"'][^ \t\n\r\f>]*+(?=[ \t\n\r\f>])|(?=>)"
# A piece of a tag behind its name, whole for certain: what follows it is there, too. So an unfinished tag is read on
# from the end of its last piece.
_PIECES = re.compile(
    rb"(?:(?:%b|/)++|[^ \t\n\r\f/>][^ \t\n\r\f/>=]*+(?:%b*+=%b*+(?:%b)|(?!%b*+(?:=|\Z))))*+"
    % (_WS, _WS, _WS, _VALUE, _WS)
)
# Text, and tags with nothing in them that could be rewritten: nine tenths of a page, passed over in one go.
_DULL_VALUE = rb"\"[^\"/]*+(?:/[^\"/]++)*+/?+\"|'[^'/]*+(?:/[^'/]++)*+/?+'|[^ \t\n\r\f>\"'/]++(?=[ \t\n\r\f>])|(?=>)"
_DULL = re.compile(
    rb"(?:[^<]++|<(?=[^A-Za-z!])|<!(?=[^\-])|<!-(?=[^\-])|<(?!(?i:%b)[ \t\n\r\f/>])[A-Za-z][^ \t\n\r\f/>]*+"
    rb"(?:(?:%b|/)++|[^ \t\n\r\f/>][^ \t\n\r\f/>=]*+(?:%b*+=%b*+(?:%b)|(?!%b*+(?:=|\Z))))*+>)*+"
    % (b"|".join(_RAW_NAMES), _WS, _WS, _WS, _DULL_VALUE, _WS)
)
_NAME = re.compile(rb"<([A-Za-z][^ \t\n\r\f/>]*+)(?=[ \t\n\r\f/>])")
_ATTRIBUTE = re.compile(
    rb"([^ \t\n\r\f/>][^ \t\n\r\f/>=]*+)(?:(%b*+=%b*+)(\"[^\"]*+\"|'[^']*+'|[^ \t\n\r\f>\"'][^ \t\n\r\f>]*+))?"
    % (_WS, _WS)
)
_REFRESHING = re.compile(rb"http-equiv%b*=%b*[\"']?%b*refresh" % (_WS, _WS, _WS), re.IGNORECASE)
_BEFORE_URL = rb"(?:(?:@import%b*)?url\(|@import)%b*" % (_WS, _WS)
_URL = rb"[^ \t\n\r\f\"'()<>]+"
_STYLE_URL = re.compile(rb"(%b[\"']?)(%b)" % (_BEFORE_URL, _URL), re.IGNORECASE)
# In an attribute the quotes may be escaped.
_ATTRIBUTE_STYLE_URL = re.compile(rb"(%b(?:[\"']|&quot;|&apos;|&#0*3[49];)?)(%b)" % (_BEFORE_URL, _URL), re.IGNORECASE)
_NOT_SPACE = re.compile(rb"[^ \t\n\r\f]+")
_URL_ATTRIBUTES = frozenset(
    b"href src action formaction poster data background cite longdesc manifest xlink:href".split()
)
_LIST_ATTRIBUTES = frozenset(b"srcset imagesrcset ping".split())
_LONGEST_END = len(b"</textarea")
_HTML = (b"text/html", b"application/xhtml+xml")
_CHANGING = frozenset(b"accept-ranges content-md5 digest content-digest repr-digest".split())


class LinkRewriter:
    """One page on its way through.

    Args:
        urls: what is shown where.
        here: where the client is.
        xml: whether it is XHTML, where every element may end with "/>".
    """

    __slots__ = ("_buffer", "_here", "_raw", "_read", "_urls", "_xml")

    def __init__(self, urls: UrlMap, here: Here, *, xml: bool = False) -> None:
        self._urls = urls
        self._xml = xml
        self._here = here
        self._buffer = bytearray()
        self._read = 0  # bytes of an unfinished tag, at the beginning of the buffer, that are known to be whole pieces
        self._raw = b""  # the element without markup that is open, "!" for a comment

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the page, cut anywhere.

        Args:
            data: the next bytes.

        Returns:
            What can go on; what is held back comes with a later piece, or with `finish`.
        """
        if self._read and b">" not in data and len(self._buffer) < MAX_TAG:
            self._buffer += data
            return b""
        self._buffer += data
        out: list[bytes] = []
        position = 0
        while position < len(self._buffer):
            end = self._take_raw(position, out) if self._raw else self._take_markup(position, out)
            if end == position:
                break
            position = end
        del self._buffer[:position]
        return b"".join(out)

    def finish(self) -> bytes:
        """What is still held back when the page has ended."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._read = 0
        return self._style(rest) if self._raw == b"style" else rest

    # Both return where they have come to, the same position when more bytes are needed.

    def _take_markup(self, position: int, out: list[bytes]) -> int:
        buffer = self._buffer
        if not self._read:
            dull = _DULL.match(buffer, position)
            if dull is not None and dull.end() > position:
                out.append(bytes(buffer[position : dull.end()]))
                return dull.end()
            if buffer.startswith(b"<!--", position):
                # "<!-->" is a whole comment, so its end may begin within its beginning.
                self._raw = b"!"
                out.append(b"<!")
                return position + 2
        return self._take_tag(position, out)

    def _take_tag(self, position: int, out: list[bytes]) -> int:
        buffer = self._buffer
        name = _NAME.match(buffer, position)
        # An unfinished tag stands at the beginning of the buffer, for all before it has gone.
        end = max(self._read, name.end()) if name is not None else len(buffer)
        if name is not None:
            pieces = _PIECES.match(buffer, end)
            end = pieces.end() if pieces is not None else end
            if buffer[end : end + 1] == b">":
                self._read = 0
                element = bytes(name[1]).lower()
                out.append(self._tag(element, bytes(buffer[position : end + 1])))
                closed = self._xml and buffer[end - 1 : end] == b"/"
                self._raw = element if element in _RAW and not closed else b""
                return end + 1
        if len(buffer) - position > MAX_TAG:
            self._read = 0
            out.append(bytes(buffer[position:]))
            return len(buffer)
        self._read = end - position if name is not None else 0
        return position

    def _take_raw(self, position: int, out: list[bytes]) -> int:
        buffer = self._buffer
        if self._raw == b"!":
            found = buffer.find(b"-->", position)
            end = found + 3 if found >= 0 else max(position, len(buffer) - 2)
            ended = found >= 0
        else:
            match = _RAW[self._raw].search(buffer, position)
            ended = match is not None
            end = match.start() if match is not None else self._safe_end(position)
        piece = bytes(buffer[position:end])
        out.append(self._style(piece) if self._raw == b"style" else piece)
        if ended:
            self._raw = b""
        return end if end > position or not ended else self._take_markup(position, out)

    def _safe_end(self, position: int) -> int:
        # How far the content of an element goes for certain.
        buffer = self._buffer
        angle = buffer.rfind(b"<", max(position, len(buffer) - _LONGEST_END))
        end = angle if angle >= 0 else len(buffer)
        if self._raw == b"style" and end - position <= MAX_STYLE:
            # None of these stands before the host of a URL: what is behind them is looked at when it is whole.
            end = max(position, *[buffer.rfind(mark, position, end) + 1 for mark in (b";", b"{", b"}", b")")])
        return end

    def _tag(self, element: bytes, tag: bytes) -> bytes:
        if b"//" not in tag:
            return tag
        refreshing = element == b"meta" and _REFRESHING.search(tag) is not None

        def turned(found: re.Match[bytes]) -> bytes:
            return self._attribute(found, refreshing)

        start = len(element) + 1
        return tag[:start] + _ATTRIBUTE.sub(turned, tag[start:])

    def _attribute(self, found: re.Match[bytes], refreshing: bool) -> bytes:
        value = found[3]
        if not value or b"//" not in value:
            return found[0]
        quote = value[:1] if value[:1] in (b'"', b"'") else b""
        text = value[1:-1] if quote else value
        name = found[1].lower()
        if name in _URL_ATTRIBUTES:
            text = self._url(text)
        elif name in _LIST_ATTRIBUTES:
            text = _NOT_SPACE.sub(lambda item: self._url(item[0]), text)
        elif name == b"style":
            text = self._style(text, _ATTRIBUTE_STYLE_URL)
        elif name == b"content" and refreshing:
            text = rewritten_refresh(text, self._url)
        return found[1] + found[2] + quote + text + quote

    def _url(self, text: bytes) -> bytes:
        url = text.lstrip(b" \t\n\r\f")
        return text[: len(text) - len(url)] + self._urls.absolute_to_public(url, self._here)

    def _style(self, text: bytes, pattern: re.Pattern[bytes] = _STYLE_URL) -> bytes:
        if b"//" not in text:
            return text
        return pattern.sub(lambda found: found[1] + self._urls.absolute_to_public(found[2], self._here), text)


def rewritable(status: int, fields: list[Pair]) -> bool:
    """Whether the body of a response is a page in which links can be rewritten.

    Args:
        status: of the response.
        fields: of the response.

    Returns:
        Whether it is HTML, whole, without content coding, and in a charset that has ASCII in it.
    """
    if status < 200 or status in (204, 206, 304):
        return False
    html = False
    for name, value in fields:
        lower = name.lower()
        if lower == b"content-encoding" and value.strip(b" \t").lower() not in (b"", b"identity"):
            return False
        if lower == b"content-type":
            media, _, parameters = value.lower().partition(b";")
            html = media.strip(b" \t") in _HTML and b"utf-16" not in parameters and b"utf-32" not in parameters
    return html


def unvalidated(fields: list[Pair]) -> list[Pair]:
    """The fields of a response whose body changes on its way: a weak ETag, no digests, no ranges (RFC 9110 7.7).

    The Content-Length, which will not be known before the end, is left to the sender.
    """
    kept = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"etag" and not value.startswith(b"W/"):
            kept.append((name, b"W/" + value))
        elif lower not in _CHANGING:
            kept.append((name, value))
    return kept
