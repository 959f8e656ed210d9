"""Whom a client trusts: certifi's bundle, the system's, or a store of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from OpenSSL import SSL, crypto

if TYPE_CHECKING:
    from greenbas.crypto import CertStore

__all__ = ["install_trust", "make_store"]


def install_trust(context: SSL.Context, trust: CertStore | str | None) -> None:
    """Have a context check certificates against a store.

    Args:
        context: a new one.
        trust: a `CertStore`; None or "certifi" for the bundle of that package, which is Mozilla's; "system" for the
            operating system's.

    Raises:
        ValueError: it is none of these.
    """
    if trust is None or trust == "certifi":
        import certifi

        context.load_verify_locations(certifi.where())
    elif trust == "system":
        context.set_default_verify_paths()
    elif isinstance(trust, str):
        raise ValueError(f"trust {trust!r}: use 'certifi', 'system' or a CertStore")
    else:
        store = context.get_cert_store()
        assert store is not None
        _fill(store, trust)


def make_store(trust: CertStore) -> crypto.X509Store:
    """OpenSSL's store with the certificates of ours."""
    store = crypto.X509Store()
    _fill(store, trust)
    return store


def _fill(store: crypto.X509Store, trust: CertStore) -> None:
    for certificate in trust:
        store.add_cert(crypto.X509.from_cryptography(certificate))
