"""Stored passwords: what can be stored, and what matches it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from greenbas.auth import ha1, hash_password, read_password
from greenbas.auth.password import NOBODY_PLAIN, NOBODY_SLOW
from greenbas.errors import SettingError

# RFC 7914 12, the second of its vectors: password, NaCl, N=1024, r=8, p=16.
RFC_DIGEST = (
    "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d"
    "8360cbdfa2cc0640"
)
RFC_HASH = f"$scrypt$ln=10,r=8,p=16$TmFDbA${b64encode(bytes.fromhex(RFC_DIGEST)).decode().rstrip('=')}"
FAST = "$scrypt$ln=4,r=8,p=1$"
MD5, SHA = ha1("MD5", "ann", "r", "secret"), ha1("SHA-256", "ann", "r", "secret")


@pytest.mark.parametrize(
    ("stored", "name", "password", "right"),
    [
        ("secret", "ann", "secret", True),
        ("secret", "ann", "Secret", False),
        ("secret", "ann", "secre", False),
        ("größe €", "ann", "größe €", True),
        ([MD5], "ann", "secret", True),
        ([MD5], "bob", "secret", False),
        ([MD5], "ann", "wrong", False),
        ([SHA.upper()], "ann", "secret", True),
        ((SHA, MD5), "ann", "secret", True),
        ([SHA, MD5], "ann", MD5, False),
        (MD5, "ann", "secret", False),  # as text it is a password that looks strange
        (RFC_HASH, "ann", "password", True),
        (RFC_HASH, "ann", "passwore", False),
        ([RFC_HASH, SHA], "ann", "password", True),
    ],
)
def test_what_matches(stored: Any, name: str, password: str, right: bool) -> None:
    assert read_password(stored, "ann").matches(name, "r", password) is right


def test_a_realm_is_part_of_ha1() -> None:
    assert not read_password([SHA], "ann").matches("ann", "other", "secret")


def test_hash_password() -> None:
    first, second = hash_password("größe"), hash_password("größe")
    assert first != second  # salted
    stored = read_password(first, "ann")
    assert stored.is_slow
    assert stored.matches("x", "y", "größe")
    assert stored.scrypt is not None
    assert stored.scrypt.text() == first
    assert "größe" not in first


@pytest.mark.parametrize(
    "stored",
    [
        "", "a\0b", "a\nb", "x" * 1025, "\ud800", None, 5, True, b"secret", [], [5], ["short"], [MD5, "x"], [MD5 + "g"],
        {"a": 1}, "$scrypt$", "$scrypt$ln=15,r=8,p=3$$", FAST + "AAAA$AAAA", FAST + "A$" + "A" * 43,
        "$scrypt$ln=31,r=8,p=1$AAAA$" + "A" * 43, "$scrypt$ln=4,r=8,p=99$AAAA$" + "A" * 43,
        "$scrypt$ln=0,r=8,p=1$AAAA$" + "A" * 43, "$scrypt$ln=4,r=0,p=1$AAAA$" + "A" * 43, ["$scrypt$x"],
    ],
)  # fmt: skip
def test_what_cannot_be_stored(stored: Any) -> None:
    with pytest.raises(SettingError, match="whose"):
        read_password(stored, "whose")


@pytest.mark.parametrize("password", ["", "a\0b", "x" * 1025])
def test_what_cannot_be_hashed(password: str) -> None:
    with pytest.raises(SettingError, match="1 to 1024"):
        hash_password(password)


def test_nothing_shows_in_a_repr() -> None:
    for stored in ("secret", [SHA, MD5], RFC_HASH):
        shown = repr(read_password(stored, "ann"))
        assert "secret" not in shown
        assert SHA not in shown
        assert MD5 not in shown


def test_nobody_has_a_password() -> None:
    for stored in (NOBODY_PLAIN, NOBODY_SLOW):
        assert not stored.matches("ann", "r", "secret")


def test_identity_changes_with_the_password() -> None:
    identities = {read_password(one, "x").identity for one in ("a", "b", [MD5], [SHA], [SHA, MD5], RFC_HASH)}
    assert len(identities) == 6
