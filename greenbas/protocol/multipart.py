"""multipart/form-data as events: bytes in, the heads and the bytes of its parts out (RFC 7578).

The library `multipart` finds boundaries and header lines. What the lines mean is decided here, and more strictly than
there: a head that two parsers could read in two ways is refused, because a filter in front may be the other one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from multipart import MultipartError, ParserLimitReached, PushMultipartParser  # type: ignore[import-untyped]

from greenbas.errors import BadMultipart

__all__ = ["MAX_PARTS", "FormParser", "PartHead", "PartHeaders", "form_boundary", "known_charset"]

MAX_PARTS = 1000  # as many as a url-encoded form has fields (target.MAX_PAIRS), and Django's number too
# RFC 7578 4.8 has three; programs add a Content-Length and a few of their own. The library's 8 are too few for those.
MAX_PART_FIELDS = 20
MAX_PART_HEAD = 8192  # bytes of all its fields; a name, and a file name of 255 letters, each of 4 bytes, fit easily
MAX_PREAMBLE = 8192  # bytes in front of the first boundary: a sentence for old mail readers. Else it is the wrong one

# RFC 2046 5.1.1: 1 to 70 characters, no space at the end. Beyond its set the characters of a token (RFC 9110 5.6.2),
# since those need no quotes in Content-Type, and a much copied Android example uses "*****".
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? !#$%&*^`|~]{0,69}[0-9A-Za-z'()+_,\-./:=?!#$%&*^`|~]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Browsers leave backslashes alone and write %22 for a quote; older programs write \" and then \\ too. So a quoted
# string ends at the first quote, unless that gives nonsense.
_PARAMETER = re.compile(
    r";[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*"
    r"""(?:"([^"]*)"(?=[ \t]*(?:;|\Z))|"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*"""
)
_ESCAPED = re.compile(r"\\(.)")

# Text encodings that browsers know and that decode in linear time. Others are not even looked up: Python would search
# the disk for each name that a client makes up, and remember it for ever.
_CHARSETS = frozenset(
    ["utf-8", "utf8", "us-ascii", "ascii", "latin-1", "latin1", "utf-16", "utf-16le", "utf-16be", "koi8-r", "koi8-u"]
    + ["ibm866", "macintosh", "big5", "big5-hkscs", "gb2312", "gbk", "gb18030", "euc-jp", "iso-2022-jp", "shift-jis"]
    + ["euc-kr", *(f"iso-8859-{number}" for number in range(1, 17) if number != 12)]
    + [f"{family}125{number}" for family in ("windows-", "cp") for number in range(9)]
)


def known_charset(label: str) -> str | None:
    """The name by which Python decodes a character set.

    Args:
        label: as a client wrote it, in any case.

    Returns:
        The name; None for one that no browser has, which is decoded as UTF-8 then.
    """
    name = label.strip().lower().replace("_", "-")
    return name if name in _CHARSETS else None


def form_boundary(content_type: str) -> str | None:
    """The boundary of a form (RFC 7578 4.1).

    Args:
        content_type: the request's Content-Type field, "" without one.

    Returns:
        The boundary, without the dashes in front; None when the type is not multipart/form-data.

    Raises:
        BadMultipart: 400; there is no boundary, there are two, or it cannot be one (RFC 2046 5.1.1).
    """
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    boundary = (_parameters(content_type) or {}).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadMultipart(f"Content-Type {content_type[:200]!r} has no boundary of 1 to 70 characters (RFC 2046)")
    return boundary


class PartHeaders(Mapping[str, str]):
    """The header fields of a part: names in any case, the values of a repeated field joined with ", ".

    Args:
        fields: name and value pairs in order.
    """

    __slots__ = ("_joined",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._joined: dict[str, str] = {}
        for name, value in fields:
            key, text = name.lower(), value.strip(" \t")
            self._joined[key] = f"{self._joined[key]}, {text}" if key in self._joined else text

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def __repr__(self) -> str:
        return f"<PartHeaders {self._joined!r}>"


@dataclass(frozen=True, slots=True)
class PartHead:
    """What stands in front of the bytes of a part.

    Attributes:
        name: of the form field; perhaps "".
        raw_filename: the file name as the client wrote it, unescaped; None for a text field.
        headers: all fields.
    """

    name: str
    raw_filename: str | None
    headers: PartHeaders

    @property
    def filename(self) -> str | None:
        """The last component of the file name, "" when nothing usable is left; None for a text field.

        RFC 7578 4.2: directories in it are to be ignored. Old browsers on Windows sent their users' whole paths.
        """
        if self.raw_filename is None:
            return None
        last = self.raw_filename.replace("\\", "/").rpartition("/")[2]
        return "" if last in (".", "..") else last

    @property
    def content_type(self) -> str:
        """The type in lower case, without parameters; "text/plain" when there is none (RFC 7578 4.4)."""
        return self.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The character set that the type names, by Python's name; None without one, and for an unknown one."""
        parameters = _parameters(self.headers.get("content-type", "")) or {}
        return known_charset(parameters.get("charset", ""))

    @property
    def transfer_encoding(self) -> str | None:
        """Content-Transfer-Encoding, which is not undone: no client may send one to a server (RFC 7578 4.7)."""
        return self.headers.get("content-transfer-encoding")


class FormParser:
    """Turns the bytes of a form into events, however they are cut.

    For each part a `PartHead`, then bytes, in pieces as they came and never empty, then None at its end. Preamble and
    epilogue are skipped (RFC 2046 5.1.1).

    Args:
        boundary: from `form_boundary`.
        max_parts: how many there may be.
    """

    __slots__ = ("_delimiter", "_failure", "_held", "_max_parts", "_parser", "_skipped")

    def __init__(self, boundary: str, max_parts: int = MAX_PARTS) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # Not its strict mode: that refuses a preamble or not, and an epilogue or not, by how the bytes are cut.
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=MAX_PART_HEAD,
            max_header_count=MAX_PART_FIELDS,
            max_segment_count=max_parts,
        )
        self._max_parts = max_parts
        # What may be the beginning of the first delimiter, whose CRLF is that of the empty line of the request's head;
        # None behind it.
        self._held: bytes | None = b"\r\n"
        self._skipped = 0
        self._failure: str | None = None

    def feed(self, data: bytes) -> Iterator[PartHead | bytes | None]:
        """Take the next bytes of the body; all events have to be taken before more is fed.

        Raises:
            BadMultipart: 400, while iterating; malformed, or over a limit. From then on always.
        """
        self._check()
        try:
            if self._held is not None:
                data = self._behind_preamble(data)
            if not data:
                return
            for event in self._parser.parse(data):
                yield event if event is None or isinstance(event, bytes) else _read_head(event.headerlist)
        except (MultipartError, BadMultipart) as error:
            raise self._fail(error) from None

    def close(self) -> None:
        """The body has ended.

        Raises:
            BadMultipart: 400; without its final boundary, or it was malformed before.
        """
        self._check()
        try:
            self._parser.close()
        except MultipartError:
            raise self._fail(BadMultipart("the form ends without its final boundary")) from None

    def _check(self) -> None:
        if self._failure is not None:
            raise BadMultipart(self._failure)

    def _fail(self, error: Exception) -> BadMultipart:
        if isinstance(error, ParserLimitReached):
            limits = (
                f"{self._max_parts} parts, each with {MAX_PART_FIELDS} header fields of {MAX_PART_HEAD} bytes in all"
            )
            self._failure = f"form over a limit: {error}; there may be {limits}"
        else:
            self._failure = str(error) if isinstance(error, BadMultipart) else f"malformed form: {error.args[0]}"
        return BadMultipart(self._failure)

    def _behind_preamble(self, data: bytes) -> bytes:
        # The library could do it, but what it takes for a preamble depends on how the bytes are cut.
        data = (self._held or b"") + data
        at = data.find(self._delimiter[2:]) - 2
        if at >= 0 and not data.startswith(b"\r\n", at):
            raise BadMultipart("the form's first boundary is not at the start of a line")
        keep = at if at >= 0 else max(0, len(data) - len(self._delimiter) + 1)
        self._skipped += keep
        if self._skipped > MAX_PREAMBLE:
            raise BadMultipart(f"the form's boundary is not in its first {MAX_PREAMBLE} bytes")
        self._held = None if at >= 0 else data[keep:]
        return data[at:] if at >= 0 else b""


def _read_head(fields: list[tuple[str, str]]) -> PartHead:
    if sum(len(f"{name}: {value}\r\n".encode()) for name, value in fields) > MAX_PART_HEAD:
        raise BadMultipart(f"the head of a part is over {MAX_PART_HEAD} bytes")
    if any(_CONTROL.search(value) for _, value in fields):
        raise BadMultipart("the head of a part holds a control character")
    disposition, *more = [value for name, value in fields if name == "Content-Disposition"]  # the library wants one
    if more or sum(name == "Content-Type" for name, _ in fields) > 1:
        raise BadMultipart("a part has more than one Content-Disposition or Content-Type")
    # The parameter filename* must not be used in forms (RFC 7578 4.2), so it has no meaning here.
    parameters = _parameters(disposition)
    if parameters is None or "name" not in parameters:
        raise BadMultipart(f"Content-Disposition {disposition[:200]!r} of a part is malformed or without a name")
    filename = parameters.get("filename")
    name = _without_escapes(parameters["name"])
    return PartHead(name, None if filename is None else _without_escapes(filename), PartHeaders(fields))


def _parameters(value: str) -> dict[str, str] | None:
    """The parameters of a field by lower-case name; None when they are malformed or one is there twice."""
    found: dict[str, str] = {}
    at = value.find(";")
    while at >= 0 and (match := _PARAMETER.match(value, at)):
        name, plain, escaped, token = match.groups()
        if name.lower() in found:
            return None
        found[name.lower()] = _ESCAPED.sub(r"\1", escaped) if escaped is not None else token or plain
        at = match.end()
    return found if at < 0 or value[at:].strip(" \t") in ("", ";") else None


def _without_escapes(name: str) -> str:
    # WHATWG HTML 4.10.21.8: three characters are escaped, and "%" is not.
    if "%0D" in name or "%0A" in name:
        raise BadMultipart(f"the name {name[:200]!r} in a part holds a line break")
    return name.replace("%22", '"')
