"""What pyOpenSSL has no public name for. No other module of greenbas reaches into its private parts."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, _util

from greenbas.net.stream import Buffer

__all__ = [
    "allow_post_handshake",
    "awaits_certificate",
    "forget_errors",
    "is_resumed",
    "order_signatures",
    "request_certificate",
    "verify_result",
    "verify_words",
    "write",
]

_lib: Any = _util.lib
_ffi: Any = _util.ffi


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake took up an earlier session."""
    return bool(_lib.SSL_session_reused(connection._ssl))


def verify_result(connection: SSL.Connection) -> int:
    """What OpenSSL found about the peer's certificate: 0 or one of X509_V_ERR.

    It survives resumption, but only on connections whose context has no verify callback: one that returns True turns
    it into 0.
    """
    return int(_lib.SSL_get_verify_result(connection._ssl))


def verify_words(code: int) -> str:
    """OpenSSL's words for a result of `verify_result`."""
    words: bytes = _ffi.string(_lib.X509_verify_cert_error_string(code))
    return words.decode()


def write(connection: SSL.Connection, data: Buffer, most: int) -> int:
    """Write all of `data`, or as much as goes at once, in records of at most `most` bytes.

    `OpenSSL.SSL.Connection.send` writes one record a call and looks at the data anew each time; over many records, as
    of a file, this takes a fifth less time.

    Args:
        connection: after its handshake.
        data: contiguous bytes.
        most: bytes in a record; at least as many as in the record that did not go last time.

    Returns:
        The bytes that went.

    Raises:
        SSL.Error: as `send`, when none went.
    """
    ssl, size, taken = connection._ssl, len(data), 0
    with _ffi.from_buffer(data) as start:
        while taken < size:
            count = _lib.SSL_write(ssl, start + taken, min(most, size - taken))
            if count <= 0:
                try:
                    connection._raise_ssl_error(ssl, count)
                except (SSL.WantWriteError, SSL.WantReadError):
                    if not taken:
                        raise
                    return taken
            taken += count
    return taken


def request_certificate(connection: SSL.Connection) -> bool:
    """Have the next `do_handshake` of a TLS 1.3 server ask for a certificate; False when the client offered none."""
    if _lib.SSL_verify_client_post_handshake(connection._ssl) == 1:
        return True
    _lib.ERR_clear_error()
    return False


def awaits_certificate(connection: SSL.Connection) -> bool:
    """Whether a TLS 1.3 client that was asked has not answered yet.

    There is no such question. But asking once more fails, and the reason tells: it has been asked, or, as nothing is to
    be verified at that moment, there is nothing to ask for.
    """
    mode = _lib.SSL_get_verify_mode(connection._ssl)
    _lib.SSL_set_verify(connection._ssl, 0, _ffi.NULL)  # without a new callback the old one stays
    try:
        _lib.SSL_verify_client_post_handshake(connection._ssl)
        reason = _lib.ERR_reason_error_string(_lib.ERR_peek_error())
        return reason != _ffi.NULL and bytes(_ffi.string(reason)) in (b"request sent", b"request pending")
    finally:
        _lib.ERR_clear_error()
        _lib.SSL_set_verify(connection._ssl, mode, _ffi.NULL)


def allow_post_handshake(context: SSL.Context) -> None:
    """Let a client be asked for its certificate after the handshake (TLS 1.3)."""
    _lib.SSL_CTX_set_post_handshake_auth(context._context, 1)


def order_signatures(context: SSL.Context, names: str) -> None:
    """Offer these signature algorithms, colon-separated, in this order."""
    if _lib.SSL_CTX_set1_sigalgs_list(context._context, names.encode()) != 1:
        _lib.ERR_clear_error()
        raise ValueError(f"OpenSSL does not know all of {names}")


def forget_errors() -> None:
    """Empty OpenSSL's queue of errors: what is left there would be taken for the failure of the next call."""
    _lib.ERR_clear_error()
