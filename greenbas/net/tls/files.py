"""`CertFiles`: certificates that stand in files, and whether these have changed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenbas.crypto import CertifiedKey

__all__ = ["CertFiles", "load_all", "state_of"]

_log = logging.getLogger("greenbas.net")


@dataclass(frozen=True)
class CertFiles:
    """The files of a certificate and its key: `ServerTls.reload` reads them again.

    Attributes:
        cert: a PEM file, the leaf first and then its chain.
        key: a PEM file; None when the key stands in `cert`.
        password: of an encrypted key.
    """

    cert: str | os.PathLike[str]
    key: str | os.PathLike[str] | None = None
    password: str | bytes | None = None

    def __repr__(self) -> str:
        return f"CertFiles({str(self.cert)!r})"

    def load(self) -> CertifiedKey:
        """Read them.

        Raises:
            IoError: a file cannot be read.
            PemError: its content cannot be used.
        """
        from greenbas.crypto import CertifiedKey

        return CertifiedKey.from_files(self.cert, self.key, password=self.password)


def load_all(pairs: Iterable[CertifiedKey | CertFiles], loaded: dict[int, CertifiedKey]) -> list[CertifiedKey]:
    """Certificates, read from files where they are given as such.

    Args:
        pairs: of either kind.
        loaded: what was read already, by the id of its `CertFiles`; it is added to.

    Raises:
        IoError, PemError: as `CertFiles.load`.
    """
    found: list[CertifiedKey] = []
    for pair in pairs:
        if isinstance(pair, CertFiles):
            if id(pair) not in loaded:
                loaded[id(pair)] = _looked_at(pair.load(), pair)
            found.append(loaded[id(pair)])
        else:
            found.append(pair)
    return found


def _looked_at(pair: CertifiedKey, files: CertFiles) -> CertifiedKey:
    now = time.time()
    if pair.not_after < now:
        _log.warning("the certificate %s has expired", files.cert)
    elif pair.not_before > now:
        _log.warning("the certificate %s is not valid yet", files.cert)
    return pair


def state_of(pairs: Iterable[CertifiedKey | CertFiles]) -> tuple[object, ...]:
    """What the system says about all files among these; it differs once one of them has changed."""
    files = [pair for pair in pairs if isinstance(pair, CertFiles)]
    return tuple(_state(path) for pair in files for path in (pair.cert, pair.key) if path is not None)


def _state(path: str | os.PathLike[str]) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino
