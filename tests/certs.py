"""Certificates for tests, and the program openssl, which judges and makes them independently of greenbas."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from support import need_command

from greenbas import create

START = datetime.now(UTC) - timedelta(days=1)
END = START + timedelta(days=30)


def openssl(*arguments: str, data: bytes | str = b"", ok: bool = True) -> str:
    """What openssl prints; of a text as its input. With `ok` it has to succeed."""
    return openssl_bytes(*arguments, data=data, ok=ok).decode("utf-8", "replace")


def openssl_bytes(*arguments: str, data: bytes | str = b"", ok: bool = True) -> bytes:
    """The same, as bytes; its complaints follow its output when it may fail."""
    done = subprocess.run(
        [need_command("openssl"), *arguments],
        input=data.encode() if isinstance(data, str) else data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if ok else subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0 or not ok, done.stderr.decode()
    return done.stdout


@cache
def key(kind: str = "ecc", number: int = 0) -> str:
    """A key, the same one for the same arguments; RSA takes too long to make one for each test."""
    if kind in ("ecc", "rsa"):
        return create.key(kind)
    return openssl("genpkey", "-algorithm", kind)


@cache
def root(name: str = "Test Root") -> str:
    """The certificate of an authority with ``key(number=1)``."""
    request = create.csr(key(number=1), {"commonname": name, "organization": "Tests"}, certtypes=["SSL_CA"])
    return create.certificate(request, key(number=1), START, END, 1)


@cache
def middle() -> str:
    """The certificate of an authority with ``key(number=2)``, signed by the root."""
    request = create.csr(key(number=2), {"commonname": "Test Middle"}, certtypes=["SSL_CA"])
    return create.certificate(request, key(number=1), START, END, 2, cacert=root(), ca=True)


def leaf(of: str | None = None, **options: Any) -> str:
    """A server's certificate, signed by the authority in the middle."""
    options = {"dn": {"commonname": "a.example"}, **options}
    request = create.csr(of or key(), **options)
    return create.certificate(request, key(number=2), START, END, 3, cacert=middle())


def verify(folder: Path, certificate: str, *arguments: str, chain: str = "", trusted: str | None = None) -> str:
    """What ``openssl verify`` says, strictly."""
    for name, text in {"root.pem": trusted or root(), "chain.pem": chain or middle(), "leaf.pem": certificate}.items():
        (folder / name).write_text(text)
    files = ["-CAfile", f"{folder}/root.pem", "-untrusted", f"{folder}/chain.pem"]
    return openssl("verify", "-x509_strict", *files, *arguments, f"{folder}/leaf.pem", ok=False)


def leaf_chain() -> str:
    """One leaf with the authorities above it, the root too."""
    return leaf_once() + middle() + root()


@cache
def leaf_once() -> str:
    """One leaf, the same each time."""
    return leaf()
