"""State that clients keep: what comes back is what was given out, or nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from greenbas import create
from greenbas.crypto import seal, unseal

KEY = create.aes_key()


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("data", ["", "price=5", "größe €", b"", b"\x00\xff", "x" * 100_000])
def test_round_trip(size: int, data: str | bytes) -> None:
    key = create.aes_key(size)
    assert len(key) == size
    text = create.aes_encode(key, data)
    found = create.aes_decode(key, text)
    assert (found, type(found)) == (data, type(data))
    assert text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def test_no_two_are_alike() -> None:
    assert len({create.aes_encode(KEY, "same") for _ in range(100)}) == 100
    assert len({create.aes_key() for _ in range(100)}) == 100


def test_every_change_is_found_out() -> None:
    text = create.aes_encode(KEY, "price=5")
    letters = random.Random(4)
    for place in range(len(text) - 1):  # of the last letter some bits mean nothing
        changed = text[:place] + letters.choice([one for one in "AZaz09-_" if one != text[place]]) + text[place + 1 :]
        assert create.aes_decode(KEY, changed) is None
    for length in range(len(text)):
        assert create.aes_decode(KEY, text[:length]) is None


@pytest.mark.parametrize("text", ["", "x", "AAAA", "A" * 5000, "\0", "é", "=", "-_" * 40, None, b"AAAA", 5])
def test_what_is_none(text: Any) -> None:
    assert create.aes_decode(KEY, text) is None


def test_key_and_purpose_have_to_be_the_same() -> None:
    text = create.aes_encode(KEY, "x", purpose="order 17")
    assert create.aes_decode(KEY, text, purpose="order 17") == "x"
    for key, purpose in [(KEY, ""), (KEY, "order 1"), (create.aes_key(), "order 17"), (KEY[:16], "order 17")]:
        assert create.aes_decode(key, text, purpose=purpose) is None


@pytest.mark.parametrize(("age", "max_age", "good"), [(5, 10, True), (15, 10, False), (1e9, None, True)])
def test_age(age: float, max_age: float | None, good: bool) -> None:
    text = seal(KEY, "x", clock=lambda: 1e9)
    assert (unseal(KEY, text, "", max_age, clock=lambda: 1e9 + age) == "x") is good


@pytest.mark.parametrize("key", [b"", b"short", "text" * 8, None, b"x" * 24])
def test_wrong_keys(key: Any) -> None:
    with pytest.raises(ValueError, match="16 or 32 bytes"):
        create.aes_encode(key, "x")
    with pytest.raises(ValueError, match="16 or 32 bytes"):
        create.aes_decode(key, "AAAA")


@pytest.mark.parametrize("size", [0, 8, 24, "32", None])
def test_wrong_sizes(size: Any) -> None:
    with pytest.raises(ValueError, match="16 or 32 bytes"):
        create.aes_key(size)


@pytest.mark.parametrize("data", [None, 5, ["x"], {"a": 1}])
def test_what_cannot_be_encrypted(data: Any) -> None:
    with pytest.raises(TypeError, match="make JSON of it first"):
        create.aes_encode(KEY, data)
