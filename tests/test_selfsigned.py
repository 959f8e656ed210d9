"""The self-signed certificate of a server that was given none."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certs
import pytest
from sources import ROOT

from greenbas.crypto import CertifiedKey, self_signed
from greenbas.errors import SettingError, StartError
from greenbas.selfsigned import CERT_NAME, KEY_NAME, ensure_self_signed

NAMES = ["localhost", "127.0.0.1", "::1"]


def content(folder: Path) -> tuple[str, str]:
    return (folder / CERT_NAME).read_text(), (folder / KEY_NAME).read_text()


def plant(folder: Path, pair: tuple[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / CERT_NAME).write_text(pair[0])
    (folder / KEY_NAME).write_text(pair[1])


def test_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "tls"
    cert, key, created = ensure_self_signed(folder, NAMES)
    assert (cert, key, created) == (str(folder / CERT_NAME), str(folder / KEY_NAME), True)
    before = content(folder)
    assert ensure_self_signed(folder, [*reversed(NAMES), "LOCALHOST", "0::1"]) == (cert, key, False)
    assert content(folder) == before
    assert set(CertifiedKey.from_files(cert, key).names) == set(NAMES)
    said = certs.verify(tmp_path, before[0], "-verify_hostname", "localhost", trusted=before[0])
    assert said.endswith("OK\n")


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_for_the_owner_alone(mask: int, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    before = os.umask(mask)
    try:
        ensure_self_signed(folder, NAMES)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {"tls": 0o700, CERT_NAME: 0o600, KEY_NAME: 0o600}


def aged(days: float) -> tuple[str, str]:
    """A certificate for a month that ends so many days from now."""
    return self_signed(NAMES, 30, now=datetime.now(UTC) + timedelta(days=days - 30))


RENEWED = {
    "other names": lambda: self_signed(["localhost", "other.example"]),
    "fewer names": lambda: self_signed(["localhost"]),
    "more names": lambda: self_signed([*NAMES, "other.example"]),
    "ended": lambda: aged(-1),
    "ends soon": lambda: aged(6),
    "not yet valid": lambda: self_signed(NAMES, 30, now=datetime.now(UTC) + timedelta(days=3)),
    "two that do not belong together": lambda: (self_signed(NAMES)[0], self_signed(NAMES)[1]),
    "cut off": lambda: (self_signed(NAMES)[0][:200], self_signed(NAMES)[1]),
    "empty": lambda: ("", ""),
    "no text": lambda: ("\0", "\0"),
}


@pytest.mark.parametrize("why", RENEWED)
def test_renewed(why: str, tmp_path: Path) -> None:
    plant(tmp_path, RENEWED[why]())
    before = content(tmp_path)
    cert, key, created = ensure_self_signed(tmp_path, NAMES)
    assert created
    assert content(tmp_path)[0] != before[0]
    assert set(CertifiedKey.from_files(cert, key).names) == set(NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CERT_NAME, KEY_NAME])


def test_kept_while_it_lasts(tmp_path: Path) -> None:
    plant(tmp_path, aged(8))
    assert ensure_self_signed(tmp_path, NAMES)[2] is False


@pytest.mark.parametrize("missing", [CERT_NAME, KEY_NAME])
def test_one_file_is_missing(missing: str, tmp_path: Path) -> None:
    plant(tmp_path, self_signed(NAMES))
    (tmp_path / missing).unlink()
    cert, key, created = ensure_self_signed(tmp_path, NAMES)
    assert created
    CertifiedKey.from_files(cert, key)


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(StartError, match=r"cannot be kept in '.*': No space left on device; name another folder"):
        ensure_self_signed(tmp_path, NAMES)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"cannot be kept in .*file"):
        ensure_self_signed(tmp_path / "file", NAMES)
    (tmp_path / CERT_NAME).mkdir()
    (tmp_path / KEY_NAME).mkdir()
    with pytest.raises(StartError, match="Is a directory"):
        ensure_self_signed(tmp_path, NAMES)
    names: Any
    for names in ([], ["a b"]):
        with pytest.raises(SettingError):
            ensure_self_signed(tmp_path / "new", names)


def test_one_name_alone(tmp_path: Path) -> None:
    assert ensure_self_signed(tmp_path, "localhost")[2] is True
    assert ensure_self_signed(tmp_path, ["localhost"])[2] is False


def test_servers_that_start_together(tmp_path: Path) -> None:
    code = f"from greenbas.selfsigned import *; print(ensure_self_signed({str(tmp_path)!r}, {NAMES}))"
    servers = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    said = [server.communicate(timeout=50)[0].decode() for server in servers]
    assert sorted(text.rstrip()[-6:] for text in said) == [" True)", "False)", "False)"]
    CertifiedKey.from_files(tmp_path / CERT_NAME, tmp_path / KEY_NAME)
