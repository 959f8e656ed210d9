"""Base64 and quoted-printable in pieces (LuaSocket ``mime.core``); `mimelines` has the rest of that module.

The functions are called with two chunks, ``f(C, D)``. They encode or decode as much of C followed by D as they can, and
return that and the rest, which is C of the next call. With D None, C is all there is: the rest is finished or dropped,
and both results are None when nothing comes of it. With C None both are None. Surplus arguments are ignored, since
`ltn12.filter.cycle` passes one.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64

from greenbas.luasocket.ltn12.kinds import Chunk, as_chunk
from greenbas.luasocket.usage import expected

__all__ = ["CRLF", "Data", "as_data", "b64", "qp", "unb64", "unqp"]

CRLF = b"\r\n"

Data = bytes | str | None
Result = tuple[Chunk, Chunk]

_NO_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_QP_SPECIAL = re.compile(rb"([ \t])?\r\n|[^\x21-\x3c\x3e-\x7e \t]")
_UNQP_SPECIAL = re.compile(rb"=[\s\S]{0,2}|\r\n?|[^\t\x20-\x7e]")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")


def as_data(value: Data, number: int, function: str) -> Chunk:
    """Take a chunk that was given as an argument.

    Args:
        value: the chunk, or None.
        number: which argument it is.
        function: whose.

    Raises:
        TypeError: it is no data.
    """
    try:
        return None if value is None else as_chunk(value)
    except TypeError:
        raise expected(number, function, "string", value) from None


def b64(first: Data, second: Data = None, *_: object) -> Result:
    """Encode base64 (``mime.b64``).

    Args:
        first: what the call before left.
        second: the next chunk; None at the end, which is padded.

    Returns:
        The encoding of the largest multiple of three bytes, and the rest as it is.
    """
    left, right = as_data(first, 1, "b64"), as_data(second, 2, "b64")
    if left is None:
        return None, None
    if right is None:
        return b2a_base64(left, newline=False) or None, None
    data = left + right
    whole = len(data) - len(data) % 3
    return b2a_base64(data[:whole], newline=False), data[whole:]


def unb64(first: Data, second: Data = None, *_: object) -> Result:
    """Decode base64 (``mime.unb64``); characters outside of the alphabet are skipped.

    Args:
        first: what the call before left.
        second: the next chunk; None at the end, where an incomplete group is dropped.

    Returns:
        What the complete groups of four stand for, and the characters of an incomplete one.
    """
    left, right = as_data(first, 1, "unb64"), as_data(second, 2, "unb64")
    if left is None:
        return None, None
    data = (left + (right or b"")).translate(None, _NO_BASE64)
    whole = len(data) - len(data) % 4
    output = b"".join(_groups(data[:whole]))
    return (output or None, None) if right is None else (output, data[whole:])


def _groups(data: bytes) -> list[bytes]:
    # Padding may stand anywhere, as encoded pieces may have been put together.
    decoded, start = [], 0
    while (padding := data.find(b"=", start)) >= 0:
        group = padding - padding % 4
        decoded.append(a2b_base64(data[start:group]))
        decoded.append(_padded(data[group : group + 4]))
        start = group + 4
    decoded.append(a2b_base64(data[start:]))
    return decoded


def _padded(group: bytes) -> bytes:
    valid = 1 if group[2:3] == b"=" else 2 if group[3:] == b"=" else 3
    return a2b_base64(group.replace(b"=", b"A"))[:valid]


def qp(first: Data, second: Data = None, marker: bytes | str | None = CRLF, *_: object) -> Result:
    """Encode quoted-printable without breaking lines (``mime.qp``).

    Args:
        first: what the call before left.
        second: the next chunk; None at the end: what would need to know what follows is quoted then, and a soft line
            break added.
        marker: stands for CRLF in the output; ``=0D=0A`` for data that are no text.

    Returns:
        The encoding, and what has to wait for what follows: CR, and space or tab, which are quoted before CRLF only.
    """
    left, right = as_data(first, 1, "qp"), as_data(second, 2, "qp")
    if left is None:
        return None, None
    data, line_end = left + (right or b""), CRLF if marker is None else as_chunk(marker)
    ready = len(data)
    if data[-2:-1] in (b" ", b"\t"):
        ready -= 2
    elif data[-1:] in (b" ", b"\t", b"\r"):
        ready -= 1

    def quoted(match: re.Match[bytes]) -> bytes:
        found = match[0]
        if not found.endswith(CRLF):
            return b"=%02X" % found[0]
        return (b"=%02X" % found[0] if match[1] else b"") + line_end

    output, rest = _QP_SPECIAL.sub(quoted, data[:ready]), data[ready:]
    if right is not None:
        return output, rest
    if rest:
        output += b"".join(b"%c" % c if 0x20 < c < 0x7F and c != 0x3D else b"=%02X" % c for c in rest) + b"=\r\n"
    return output or None, None


def unqp(first: Data, second: Data = None, *_: object) -> Result:
    """Decode quoted-printable (``mime.unqp``).

    Args:
        first: what the call before left.
        second: the next chunk; None at the end, where an incomplete escape is dropped.

    Returns:
        The data, and an escape or CR whose end is to come. What ``=`` and two characters that are no escape are stays
        as it is; controls besides tab and CRLF, and octets above 126, are dropped.
    """
    left, right = as_data(first, 1, "unqp"), as_data(second, 2, "unqp")
    if left is None:
        return None, None
    data = left + (right or b"")
    rest = b""

    def plain(match: re.Match[bytes]) -> bytes:
        nonlocal rest
        found = match[0]
        if (found[0] == 0x3D and len(found) < 3) or (found == b"\r" and match.end() == len(data)):
            rest = found
            return b""
        if found[0] == 0x3D:
            digits = _HEX.match(found)
            return bytes.fromhex(digits[1].decode()) if digits else b"" if found == b"=\r\n" else found
        return found if found == CRLF else b""

    output = _UNQP_SPECIAL.sub(plain, data)
    return (output or None, None) if right is None else (output, rest)
