"""`JsonUser`: what is a user database, and the files that it is kept in."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from greenbas import create
from greenbas.auth import ha1
from greenbas.errors import SettingError

MD5, SHA = ha1("MD5", "ann", "r", "secret"), ha1("SHA-256", "ann", "r", "secret")
SCRYPT = "$scrypt$ln=4,r=8,p=1$AAAAAAAA$" + "A" * 43


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({"ann": {"pwd": "secret", "roles": ["staff"]}}, ("secret", 3, False, None)),
        ('{"ann": {"pwd": "secret", "roles": []}}', ("secret", 3, False, None)),
        (b'{"ann": {"pwd": "secret", "roles": []}}', ("secret", 3, False, None)),
        ({"v": {"ann": {"pwd": "x", "roles": []}}}, ("x", 3, False, None)),
        ({"ann": {"pwd": "x", "roles": (), "maxusers": 5, "recycle": True, "inactive": 60}}, ("x", 5, True, 60.0)),
        ({"ann": {"pwd": "x", "roles": set(), "maxUsers": 5}}, ("x", 5, False, None)),
        ({"ann": {"pwd": [MD5], "roles": [], "max_users": 1}}, ([MD5], 1, False, None)),
        ({"ann": {"pwd": "x", "roles": [], "max_users": 0}}, None),
        ({"bob": {"pwd": "x", "roles": []}}, None),
        ({}, None),
    ],
)
def test_users(users: Any, expected: Any) -> None:
    assert create.json_user(users).get_pwd("ann") == expected


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ("{", "Parse error"),
        ("", "Parse error"),
        ("[]", "Semantic error: users are a dict"),
        (["ann"], "users are a dict"),
        ({"ann": "secret"}, "Semantic error: user 'ann': a user is a dict"),
        ({"ann": {"pwd": "x"}}, "has no 'roles'"),
        ({"ann": {"roles": []}}, "has no 'pwd'"),
        ({"ann": {"pwd": "x", "roles": "staff"}}, "roles are a list of text"),
        ({"ann": {"pwd": "x", "roles": [5]}}, "roles are a list of text"),
        ({"ann": {"pwd": "x", "roles": [], "rols": 1}}, "unknown key 'rols'"),
        ({"ann": {"pwd": "", "roles": []}}, "1 to 1024"),
        ({"ann": {"pwd": 5, "roles": []}}, "a password is text"),
        ({"ann": {"pwd": ["x"], "roles": []}}, "hexadecimal"),
        ({"ann": {"pwd": "x", "roles": [], "max_users": "3"}}, "not a whole number"),
        ({"ann": {"pwd": "x", "roles": [], "max_users": True}}, "not a whole number"),
        ({"ann": {"pwd": "x", "roles": [], "recycle": 1}}, "true or false"),
        ({"ann": {"pwd": "x", "roles": [], "inactive": 0}}, "positive"),
        ({"ann": {"pwd": "x", "roles": [], "inactive": "60"}}, "positive"),
        ({"": {"pwd": "x", "roles": []}}, "1 to 255"),
        ({"a\0": {"pwd": "x", "roles": []}}, "control characters"),
        ({5: {"pwd": "x", "roles": []}}, "1 to 255"),
    ],
)
def test_what_is_no_database(users: Any, message: str) -> None:
    made = create.json_user({"ann": {"pwd": "before", "roles": []}})
    with pytest.raises(SettingError, match=message):
        made.set(users)
    assert made.get_pwd("ann") == ("before", 3, False, None)
    with pytest.raises(SettingError, match=message):
        create.json_user(users)


@pytest.mark.parametrize(
    ("passwords", "algorithms"),
    [
        (["x"], ("SHA-256",)),
        ([], ("SHA-256",)),
        ([SCRYPT], ("SHA-256",)),
        ([[SHA]], ("SHA-256",)),
        ([[SHA, MD5]], ("SHA-256",)),
        ([[MD5]], ("MD5",)),
        (["x", [MD5]], ("MD5",)),
        ([[MD5], [SHA]], ("SHA-256", "MD5")),
        (["x", [SHA, MD5], [SHA]], ("SHA-256",)),
    ],
)
def test_md5_only_where_it_has_to_be(passwords: list[Any], algorithms: tuple[str, ...]) -> None:
    users = create.json_user({f"u{number}": {"pwd": pwd, "roles": []} for number, pwd in enumerate(passwords)})
    assert users.algorithms() == algorithms


@pytest.mark.parametrize(("passwords", "slow"), [(["x"], False), (["x", SCRYPT], True), ([[SHA]], False)])
def test_nobody_is_as_slow_as_the_slowest(passwords: list[Any], slow: bool) -> None:
    users = create.json_user({f"u{number}": {"pwd": pwd, "roles": []} for number, pwd in enumerate(passwords)})
    assert users.nobody().is_slow is slow


def test_files(tmp_path: Path) -> None:
    users = create.json_user({"ann": {"pwd": "secret", "roles": ["staff"]}, "größe": {"pwd": [SHA], "roles": []}})
    path = tmp_path / "users.json"
    users.save(path)
    assert json.loads(path.read_text("utf-8")) == users.data()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = create.json_user()
    again.load(str(path))
    assert again.data() == users.data()
    assert [entry.name for entry in tmp_path.iterdir()] == ["users.json"]


def test_constraint_files(tmp_path: Path) -> None:
    authorizer = create.json_user().authorizer({"all": {"urls": ["/*"]}})
    authorizer.save(tmp_path / "constraints.json")
    authorizer.set({})
    authorizer.load(tmp_path / "constraints.json")
    assert authorizer.data() == {"all": {"urls": ["/*"], "methods": [], "roles": []}}


def test_a_file_that_cannot_be_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    path.write_text("old")
    users = create.json_user()
    with pytest.raises(SettingError, match=r"none/users\.json cannot be written"):
        users.save(tmp_path / "none" / "users.json")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inside").touch()
    with pytest.raises(SettingError, match="cannot be written"):
        users.save(folder)
    assert path.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["folder", "users.json"]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"", "Parse error"), (b"\xff", "Parse error"), (b"5", "a dict")]
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "users.json"
    if content is not None:
        path.write_bytes(content)
    users = create.json_user({"ann": {"pwd": "x", "roles": []}})
    for target in (users, users.authorizer()):
        with pytest.raises(SettingError, match=message):
            target.load(path)  # type: ignore[attr-defined]
    assert users.get_pwd("ann")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    create.json_user({"ann": {"pwd": "x", "roles": []}}).save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert "ann" in (tmp_path / "real.json").read_text()
