"""What all contexts share: versions, cipher suites, ALPN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from OpenSSL import SSL

from greenbas.errors import TlsError

__all__ = ["MAX_RECORD", "MIN_RECORD", "cipher_name", "encode_alpn", "new_context", "select_alpn", "version_name"]

# Mozilla's intermediate recommendation: forward secrecy and authenticated encryption only. Its DHE suites are left out:
# who has no elliptic curves has no TLS 1.2 of this decade either.
TLS12_SUITES = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
TLS13_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
# Gives the two buffers of an idle connection back to the system: 31 KB instead of 57 for each.
RELEASE_BUFFERS = 0x10
MAX_RECORD = 16384  # bytes of plaintext in a record (RFC 8446 5.1)
MIN_RECORD = 257  # the least that BAS takes

_VERSIONS = {"TLSv1.2": "TLS_1_2", "TLSv1.3": "TLS_1_3"}


def new_context(method: int) -> SSL.Context:
    """A context with the suites and versions that are allowed: TLS 1.2 and 1.3."""
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_cipher_list(TLS12_SUITES)
    context.set_tls13_ciphersuites(TLS13_SUITES)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_SINGLE_ECDH_USE)
    context.set_mode(RELEASE_BUFFERS)
    return context


def encode_alpn(names: Sequence[str]) -> list[bytes]:
    """The names of protocols as OpenSSL wants them (RFC 7301 3.1: 1 to 255 bytes each).

    Raises:
        ValueError: a name is empty, too long, or not ASCII.
    """
    if isinstance(names, str):
        raise ValueError(f"alpn {names!r}: give a sequence, such as ({names!r},)")
    for name in names:
        if not 0 < len(name) < 256 or not name.isascii():
            raise ValueError(f"alpn {name!r}: a protocol has a name of 1 to 255 ASCII characters")
    return [name.encode() for name in names]


def select_alpn(ours: Sequence[bytes]) -> Callable[[SSL.Connection, list[bytes]], bytes]:
    """A callback that chooses the first of `ours` that the client has too.

    A client that has none of them is refused (RFC 7301 3.2): it would take our bytes for another protocol's.
    """

    def select(connection: SSL.Connection, theirs: list[bytes]) -> bytes:
        for name in ours:
            if name in theirs:
                return name
        offered = ", ".join(name.decode("latin-1") for name in theirs)
        error = TlsError(f"the client speaks only {offered[:80]!r}, not {b', '.join(ours).decode()!r}")
        error.reason = "no application protocol"
        raise error

    return select


def version_name(name: str) -> str:
    """BAS's name of a version of TLS: "TLS_1_2" or "TLS_1_3"."""
    return _VERSIONS.get(name, name)


def cipher_name(name: str) -> str:
    """BAS's name of a cipher suite, from OpenSSL's: "AES_128_GCM_SHA256", "ECDHE_RSA_AES_128_GCM_SHA256"."""
    plain = name.removeprefix("TLS_").replace("-", "_")
    return plain.replace("AES128", "AES_128").replace("AES256", "AES_256")
