"""``greenbas hash-password``: what it prints can be stored."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from launch import ROOT

from greenbas import create
from greenbas.auth import ha1, read_password


def run(password: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "greenbas", "hash-password", *options]
    return subprocess.run(command, cwd=ROOT, input=password, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("typed", ["größe €", "größe €\r\n"])
def test_hash(typed: str) -> None:
    done = run(typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_password(done.stdout.strip(), "x").matches("ann", "r", "größe €")


@pytest.mark.parametrize(("options", "kinds"), [([], ["SHA-256"]), (["--md5"], ["SHA-256", "MD5"])])
def test_digest_hashes(options: list[str], kinds: list[str]) -> None:
    pwd: Any = json.loads(run("secret\n", "--digest", "Demo", "ann", *options).stdout)
    assert pwd[1:] == [ha1(kind, "ann", "Demo", "secret") for kind in kinds]
    assert create.json_user({"ann": {"pwd": pwd, "roles": []}}).get_pwd("ann")


@pytest.mark.parametrize(
    ("typed", "options", "message"),
    [("", [], "1 to 1024 characters"), ("a\0b\n", [], "1 to 1024"), ("x\n", ["--md5"], "--md5 goes with --digest")],
)
def test_refused(typed: str, options: list[str], message: str) -> None:
    done = run(typed, *options)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""
