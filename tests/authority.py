"""Authorities that issue certificates for tests, and files of what they issued."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from greenbas import create
from greenbas.crypto import CertifiedKey, CertStore

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


class Issued(NamedTuple):
    """A certificate with its chain, and its key, as PEM."""

    cert: str
    key: str

    def pair(self) -> CertifiedKey:
        """As contexts take it."""
        return CertifiedKey(self.cert, self.key)

    def files(self, folder: Path, name: str) -> tuple[str, str]:
        """Write both; returns the paths."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_text(self.cert)
        key.write_text(self.key)
        return str(cert), str(key)


class Authority:
    """A CA with a key of its own.

    Args:
        name: its common name.
        parent: who has issued its certificate; itself unless given.
    """

    def __init__(self, name: str, parent: Authority | None = None) -> None:
        self.key = create.key()
        request = create.csr(self.key, {"commonname": name}, certtypes=["SSL_CA"])
        signer, above = (parent.key, parent.cert) if parent is not None else (self.key, None)
        self.cert: str = create.certificate(request, signer, NOW - 30 * DAY, NOW + 300 * DAY, cacert=above, ca=True)
        self.chain: str = "" if parent is None else self.cert + parent.chain  # what goes along with what it issues

    def issue(
        self,
        *names: str,
        types: Sequence[str] = ("SSL_SERVER",),
        key: str = "ecc",
        valid: tuple[int, int] = (-1, 30),
    ) -> Issued:
        """A certificate for hosts.

        Args:
            *names: host names and addresses; the first is the common name too.
            types: what it is for, as `create.csr` has it.
            key: "ecc" or "rsa".
            valid: from and to, in days from now.
        """
        private = rsa_key() if key == "rsa" else create.key()
        request = create.csr(private, {"commonname": names[0]}, san=list(names), certtypes=types)
        start, end = (NOW + days * DAY for days in valid)
        cert = create.certificate(request, self.key, start, end, cacert=self.cert)
        return Issued(cert + self.chain, private)

    def store(self) -> CertStore:
        """A store that trusts it alone."""
        store = CertStore()
        store.add_cert(self.cert)
        return store


@functools.cache
def root() -> Authority:
    """The authority that is trusted in tests."""
    return Authority("greenbas test root")


@functools.cache
def stranger() -> Authority:
    """One that nobody trusts."""
    return Authority("somebody else's root")


@functools.cache
def localhost() -> Issued:
    """For this machine."""
    return root().issue("localhost", "127.0.0.1", "::1")


@functools.cache
def ann() -> Issued:
    """A client's."""
    return root().issue("ann", types=["SSL_CLIENT"])


@functools.cache
def rsa_key() -> str:
    """Made once, as that takes a while."""
    return create.key(key="rsa")
