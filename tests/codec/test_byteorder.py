"""Numbers in network byte order."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbas.codec import fh2n, fn2h, h2n, n2h


@pytest.mark.parametrize(
    ("size", "value", "data"),
    [
        (1, 0, b"\x00"),
        (1, 255, b"\xff"),
        (2, 0x1234, b"\x12\x34"),
        (3, 0x123456, b"\x12\x34\x56"),
        (4, 0xDEADBEEF, b"\xde\xad\xbe\xef"),
        (7, 1, b"\x00" * 6 + b"\x01"),
        (8, 2**64 - 1, b"\xff" * 8),
    ],
)
def test_integers(size: int, value: int, data: bytes) -> None:
    assert h2n(size, value) == data
    assert n2h(size, data) == value


@pytest.mark.parametrize(
    ("size", "value", "data"), [(2, -1, b"\xff\xff"), (1, -128, b"\x80"), (1, 256, b"\x00"), (2, 0x123456, b"\x34\x56")]
)
def test_what_does_not_fit_is_cut_off(size: int, value: int, data: bytes) -> None:
    assert h2n(size, value) == data


def test_a_number_inside_of_data() -> None:
    assert n2h(2, b"ab\x01\x02cd", 2) == 258
    assert fn2h(4, b"ab" + struct.pack(">f", 1.5), 2) == 1.5


@given(st.integers(1, 8), st.integers(0, 2**64 - 1))
def test_integers_there_and_back(size: int, value: int) -> None:
    assert n2h(size, h2n(size, value)) == value % 256**size


@given(st.floats(allow_nan=False))
def test_floats_there_and_back(value: float) -> None:
    assert fn2h(8, fh2n(8, value)) == value
    assert fh2n(8, value) == struct.pack(">d", value)


@given(st.floats(width=32, allow_nan=False))
def test_short_floats_there_and_back(value: float) -> None:
    assert fn2h(4, fh2n(4, value)) == value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: h2n(0, 1), "invalid size 0: an integer has 1 to 8 bytes"),
        (lambda: h2n(9, 1), "invalid size 9: an integer has 1 to 8 bytes"),
        (lambda: n2h(9, b"x" * 9), "invalid size 9: an integer has 1 to 8 bytes"),
        (lambda: n2h(4, b"abc"), "invalid offset: 4 bytes from 0 are not in 3 bytes"),
        (lambda: n2h(2, b"abc", 2), "invalid offset: 2 bytes from 2 are not in 3 bytes"),
        (lambda: n2h(2, b"abc", -1), "invalid offset: 2 bytes from -1 are not in 3 bytes"),
        (lambda: fh2n(2, 1.0), "invalid size 2: a float has 4 or 8 bytes"),
        (lambda: fn2h(3, b"abc"), "invalid size 3: a float has 4 or 8 bytes"),
        (lambda: fn2h(8, b"abc"), "invalid offset: 8 bytes from 0 are not in 3 bytes"),
        (lambda: fh2n(4, 1e300), "1e+300 is too large for 4 bytes: use 8"),
    ],
)
def test_mistakes(call: object, message: str) -> None:
    with pytest.raises(ValueError) as info:
        call()  # type: ignore[operator]
    assert str(info.value) == message
