"""The self-signed certificate of a server that was given none: made once, kept in a folder."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from greenbas.dispatcher import close_fd
from greenbas.errors import GreenbasError, StartError

if TYPE_CHECKING:
    from greenbas.crypto import CertifiedKey

__all__ = ["CERT_NAME", "KEY_NAME", "ensure_self_signed"]

CERT_NAME = "self-signed.pem"
KEY_NAME = "self-signed.key"

# A server may run for a while on what it finds here.
_RENEW_SECONDS = 7 * 86400


def ensure_self_signed(folder: str | os.PathLike[str], names: str | Iterable[str]) -> tuple[str, str, bool]:
    """Find a self-signed certificate and its key, or make them.

    They are made anew when they are missing or broken, for other names, or end within a week. Both files are for their
    owner alone (mode 0600), and each appears at once and complete; servers that start together get the same ones.

    Args:
        folder: where; it is made, with mode 0700, when it is missing.
        names: one or more host names and IP addresses that the certificate has to be for.

    Returns:
        The paths of certificate and key, and whether they were made now.

    Raises:
        StartError: the folder or a file cannot be made or read.
        SettingError: no name, or one that no certificate can be for.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    place = os.fspath(folder)
    cert_path, key_path = os.path.join(place, CERT_NAME), os.path.join(place, KEY_NAME)
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        with _locked(place):
            if _usable(cert_path, key_path, wanted):
                return cert_path, key_path, False
            _make(place, cert_path, key_path, wanted)
    except OSError as error:
        reason = error.strerror or error
        remedy = "name another folder, or give a certificate"
        raise StartError(f"the self-signed certificate cannot be kept in {place!r}: {reason}; {remedy}") from error
    return cert_path, key_path, True


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Let one process at a time look and write, so that the two files always belong together."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        close_fd(fd)


def _usable(cert_path: str, key_path: str, names: list[str]) -> bool:
    from greenbas.crypto import CertifiedKey
    from greenbas.crypto.names import canonical_names

    if not os.path.exists(cert_path) or not os.path.exists(key_path):
        return False
    try:
        found = CertifiedKey.from_files(cert_path, key_path)
    except OSError:
        raise  # it is there and may not be read: writing over it is no remedy
    except GreenbasError:
        return False  # cut off, or two that do not belong together
    return _is_current(found) and set(found.names) == set(canonical_names(names))


def _is_current(found: CertifiedKey) -> bool:
    now = time.time()
    return found.not_before <= now < found.not_after - _RENEW_SECONDS


def _make(folder: str, cert_path: str, key_path: str, names: list[str]) -> None:
    from greenbas.crypto import self_signed

    cert, key = self_signed(names)
    _write(folder, key_path, key)
    _write(folder, cert_path, cert)


def _write(folder: str, path: str, text: str) -> None:
    # mkstemp makes the file with mode 0600: there is no moment when others can read the key.
    fd, temporary = tempfile.mkstemp(dir=folder, prefix=".self-signed-")
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
