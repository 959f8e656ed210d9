"""Numbers in network byte order."""

from __future__ import annotations

import struct

__all__ = ["fh2n", "fn2h", "h2n", "n2h"]

_FLOATS = {4: struct.Struct(">f"), 8: struct.Struct(">d")}


def h2n(size: int, value: int) -> bytes:
    """An integer, big-endian (BAS ``ba.socket.h2n``).

    Args:
        size: bytes, 1 to 8.
        value: the number; negative ones as their two's complement, and what does not fit is cut off.

    Raises:
        ValueError: the size is out of range.
    """
    _check_size(size)
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "big")


def n2h(size: int, data: bytes, start: int = 0) -> int:
    """An integer from its big-endian bytes, never negative (BAS ``ba.socket.n2h``).

    Args:
        size: bytes, 1 to 8.
        data: where it is.
        start: the index of its first byte, from 0.

    Raises:
        ValueError: the size is out of range, or the data is too short.
    """
    _check_size(size)
    return int.from_bytes(_cut(size, data, start), "big")


def fh2n(size: int, value: float) -> bytes:
    """A float as IEEE 754, big-endian (BAS ``ba.socket.fh2n``).

    Args:
        size: 4 or 8 bytes.
        value: the number.

    Raises:
        ValueError: the size is another, or the number is too large for 4 bytes.
    """
    try:
        return _float(size).pack(value)
    except OverflowError as error:
        raise ValueError(f"{value!r} is too large for {size} bytes: use 8") from error


def fn2h(size: int, data: bytes, start: int = 0) -> float:
    """A float from its big-endian bytes (BAS ``ba.socket.fn2h``).

    Args:
        size: 4 or 8 bytes.
        data: where it is.
        start: the index of its first byte, from 0.

    Raises:
        ValueError: the size is another, or the data is too short.
    """
    value: float = _float(size).unpack(_cut(size, data, start))[0]
    return value


def _cut(size: int, data: bytes, start: int) -> bytes:
    if start < 0 or start + size > len(data):
        raise ValueError(f"invalid offset: {size} bytes from {start} are not in {len(data)} bytes")
    return data[start : start + size]


def _check_size(size: int) -> None:
    if not 1 <= size <= 8:
        raise ValueError(f"invalid size {size!r}: an integer has 1 to 8 bytes")


def _float(size: int) -> struct.Struct:
    if size not in _FLOATS:
        raise ValueError(f"invalid size {size!r}: a float has 4 or 8 bytes")
    return _FLOATS[size]
