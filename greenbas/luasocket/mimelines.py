"""Lines of text in pieces: breaks, ends, dots (LuaSocket ``mime.core``).

Each function takes a context and a chunk, and returns output and context. A chunk of None is the end. Surplus arguments
are ignored, since `ltn12.filter.cycle` passes one.
"""

from __future__ import annotations

import re

from greenbas.luasocket.ltn12.kinds import Chunk, as_chunk
from greenbas.luasocket.mimecore import CRLF, Data, as_data
from greenbas.luasocket.usage import expected

__all__ = ["LINE", "dot", "eol", "qpwrp", "wrp"]

LINE = 76  # characters of an encoded line at most (RFC 2045 6.7, 6.8)

# A pair of equal ones is two line ends, any other pair is one.
_LINE_ENDS = re.compile(rb"\r\r|\n\n|\r\n|\n\r|\r|\n")
_LINE_DOT = re.compile(rb"(?<=\r\n)\.")


def _number(value: object, number: int, function: str) -> int:
    if isinstance(value, int | float | str | bytes) and not isinstance(value, bool):
        try:
            return int(value)
        except ValueError:
            pass
    raise expected(number, function, "number", value)


def wrp(left: int, data: Data = None, length: int | None = LINE, *_: object) -> tuple[Chunk, int]:
    """Break text into lines (``mime.wrp``).

    Args:
        left: bytes that the current line still holds.
        data: the chunk; CR is dropped, LF becomes CRLF; None at the end, which ends a line that is begun.
        length: bytes of a line at most.

    Returns:
        The text, and what the last line still holds.
    """
    chunk, limit = as_data(data, 2, "wrp"), _number(LINE if length is None else length, 3, "wrp")
    room = _number(left, 1, "wrp")
    if chunk is None:
        return (CRLF if room < limit else None), limit
    output: list[bytes] = []
    for number, line in enumerate(chunk.replace(b"\r", b"").split(b"\n")):
        if number:
            output.append(CRLF)
            room = limit
        start = 0
        while start < len(line):
            if room <= 0:
                output.append(CRLF)
                room = limit
            piece = line[start : start + max(room, 1)]  # a length of none at all still takes one byte a line
            output.append(piece)
            room -= len(piece)
            start += len(piece)
    return b"".join(output), room


def qpwrp(left: int, data: Data = None, length: int | None = LINE, *_: object) -> tuple[Chunk, int]:
    """Break quoted-printable text into lines, by soft line breaks and never inside an escape (``mime.qpwrp``).

    Args:
        left: bytes that the current line still holds.
        data: the chunk; CR is dropped, LF becomes CRLF; None at the end, which ends a line that is begun.
        length: bytes of a line at most.

    Returns:
        The text, and what the last line still holds.
    """
    chunk, limit = as_data(data, 2, "qpwrp"), _number(LINE if length is None else length, 3, "qpwrp")
    room = _number(left, 1, "qpwrp")
    if chunk is None:
        return (b"=\r\n" if room < limit else None), limit
    output: list[bytes] = []
    for number, line in enumerate(chunk.replace(b"\r", b"").split(b"\n")):
        if number:
            output.append(CRLF)
            room = limit
        start, broken = 0, False  # broken right before: a length of next to nothing still takes one byte a line
        while start < len(line):
            # The last place of a line is that of the soft break, and an escape needs two more behind its "=".
            end = start + max(room - 1, 0)
            escape = line.find(b"=", start + max(room - 3, 0), end)
            end = escape if escape >= 0 else end
            if end == start and not broken:
                output.append(b"=\r\n")
                room, broken = limit, True
                continue
            piece, broken = line[start : max(end, start + 1)], False
            output.append(piece)
            room -= len(piece)
            start += len(piece)
    return b"".join(output), room


def eol(context: int, data: Data = None, marker: bytes | str | None = CRLF, *_: object) -> tuple[Chunk, int]:
    """Make all line ends the same (``mime.eol``).

    Args:
        context: 0 at first, else what the call before returned.
        data: the chunk; CR, LF, CRLF and LFCR are one line end each.
        marker: what every line end becomes.

    Returns:
        The text, and the code of a CR or LF at its end that may be half of a pair, else 0.
    """
    before, chunk = _number(context, 1, "eol"), as_data(data, 2, "eol")
    if chunk is None:
        return None, 0
    line_end = CRLF if marker is None else as_chunk(marker)
    pending = b""
    if before in (13, 10):
        if not chunk:
            return b"", before
        # The first half was answered by the call before.
        if chunk[0] in (13, 10):
            pending = line_end if chunk[0] == before else b""
            chunk = chunk[1:]
    open_half = 0

    def replaced(match: re.Match[bytes]) -> bytes:
        nonlocal open_half
        found = match[0]
        if len(found) == 1 and match.end() == len(chunk):
            open_half = found[0]
        return line_end * 2 if found in (b"\r\r", b"\n\n") else line_end

    return pending + _LINE_ENDS.sub(replaced, chunk), open_half


def dot(state: int, data: Data = None, *_: object) -> tuple[Chunk, int]:
    """Double the dots at the beginning of lines (``mime.dot``, RFC 5321 4.5.2).

    Args:
        state: 2 at the beginning of a line, 1 after CR, else 0.
        data: the chunk; None at the end.

    Returns:
        The text, and the state.
    """
    before, chunk = _number(state, 1, "dot"), as_data(data, 2, "dot")
    if chunk is None:
        return None, 2
    if not chunk:
        return b"", before
    lead = b"\r\n" if before == 2 else b"\r" if before == 1 else b""
    text = lead + chunk
    after = 2 if text.endswith(CRLF) else 1 if text.endswith(b"\r") else 0
    return _LINE_DOT.sub(b"..", text)[len(lead) :], after
