"""OpenSSL's errors in words: what happened, a short reason to count by, and the BAS error name."""

from __future__ import annotations

import os
from dataclasses import dataclass

from OpenSSL import SSL

from greenbas.errors import TlsError
from greenbas.net.tls import native

__all__ = ["Failure", "explain", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why TLS failed.

    Attributes:
        reason: a few words out of a small set, to count by: "no shared cipher", "closed", "timeout", ...
        words: for the message.
        code: the BAS error name.
    """

    reason: str
    words: str
    code: str = "sslhandshake"


CLOSED = Failure("closed", "the peer closed the connection")
_BETTER_WORDS = {
    "http request": "the peer speaks plain HTTP",
    "https proxy request": "the peer speaks plain HTTP",
    "wrong version number": "the peer does not speak TLS, or an unknown version of it",
    "packet length too long": "the peer does not speak TLS",
    "unsupported protocol": "the peer has only versions of TLS before 1.2",
    "no shared cipher": "the peer has no cipher suite that is allowed here",
    "peer did not return a certificate": "the peer sent no certificate",
    "no renegotiation": "the peer refused to renegotiate",
}


def explain(error: Exception) -> Failure:
    """The failure behind an exception of pyOpenSSL or of the system."""
    if isinstance(error, TlsError):
        return Failure(error.reason or error.code, str(error), error.code)
    if isinstance(error, SSL.ZeroReturnError):
        return Failure("closed", "the peer ended the encryption", "sslclosenotify")
    if isinstance(error, SSL.SysCallError):
        number = error.args[0]
        return CLOSED if number == -1 else _by_system(number)
    if isinstance(error, SSL.Error):
        return _by_queue(error)
    if isinstance(error, OSError) and error.errno:
        return _by_system(error.errno)
    return Failure("failed", str(error) or type(error).__name__)


def failed(attempt: str, error: Exception) -> TlsError:
    """The TlsError that says that `attempt` failed, and why; its `reason` is the short one."""
    failure = explain(error)
    made = TlsError(f"{attempt} failed: {failure.words}", failure.code)
    made.reason = failure.reason
    return made


def _by_system(number: int) -> Failure:
    words = os.strerror(number)
    return Failure(words.lower(), words)


def _by_queue(error: SSL.Error) -> Failure:
    # The queue holds (library, function, reason), the cause first.
    native.forget_errors()
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = next((str(entry[-1]) for entry in queue if entry[-1]), "")
    if not reason:
        return Failure("failed", "OpenSSL gave no reason")
    if " alert " in reason:
        # "tlsv1 alert unknown ca", "sslv3 alert handshake failure", "ssl/tls alert bad certificate"
        alert = reason.partition(" alert ")[2]
        return Failure(f"alert {alert}", f"the peer sent the alert {alert!r}", "sslalertrecv")
    return Failure(reason, _BETTER_WORDS.get(reason, reason))
