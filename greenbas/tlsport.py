"""The TLS port of ``greenbas serve``: certificates from files, or one that is made here."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from greenbas.selfsigned import ensure_self_signed

if TYPE_CHECKING:
    from greenbas.net.tls import ServerTls

__all__ = ["make_tls"]

EVERYWHERE = ("", "0.0.0.0", "::")


def make_tls(certs: Sequence[str], keys: Sequence[str], host: str) -> ServerTls:
    """The context of the TLS port.

    Args:
        certs: PEM files, each with its chain; none: a self-signed certificate, made once and kept.
        keys: PEM files, one for each of `certs`; none when the keys stand in there too.
        host: where the port listens, for the self-signed one.

    Raises:
        PemError: a certificate or key cannot be used.
        IoError: a file cannot be read.
        StartError: the self-signed certificate cannot be kept.
    """
    from greenbas.net.tls import CertFiles, ServerTls

    if certs:
        return ServerTls(*(CertFiles(cert, keys[n] if keys else None) for n, cert in enumerate(certs)))
    cert, key, made = ensure_self_signed(own_folder(), _names(host))
    if made:
        print(
            f"greenbas made the self-signed certificate {cert}: browsers ask whether to trust it; "
            "--cert and --key name another one",
            file=sys.stderr,
        )
    return ServerTls(CertFiles(cert, key))


def own_folder() -> str:
    """Where the self-signed certificate is kept: XDG_STATE_HOME/greenbas, else ~/.local/state/greenbas."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "greenbas")


def _names(host: str) -> list[str]:
    names = ["localhost", "127.0.0.1", "::1"]
    others = [host] if host not in EVERYWHERE else [socket.gethostname()]
    return [*names, *(name for name in others if name.lower() not in names)]
