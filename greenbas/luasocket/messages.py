"""The words in which LuaSocket tells failures, and what greenbas adds to them: the BAS code and what was attempted."""

from __future__ import annotations

import errno
import os
import socket

from greenbas.errors import CannotResolve, SocketBusy, SocketClosed, TimedOut, TlsError

__all__ = ["CLOSED", "REFUSED", "TIMEOUT", "ErrorText", "error_text", "os_words", "resolver_words"]

CLOSED = "closed"
TIMEOUT = "timeout"
REFUSED = "refused"  # what a UDP socket says for "closed"

_BY_ERRNO = {
    errno.EPIPE: CLOSED,
    errno.ECONNRESET: CLOSED,
    errno.ECONNABORTED: CLOSED,
    errno.ETIMEDOUT: TIMEOUT,
    errno.EADDRINUSE: "address already in use",
    errno.EISCONN: "already connected",
    errno.EACCES: "permission denied",
    errno.ECONNREFUSED: "connection refused",
}
_UNKNOWN_HOST = "host or service not provided, or not known"
_BY_RESOLVER = {
    socket.EAI_AGAIN: "temporary failure in name resolution",
    socket.EAI_BADFLAGS: "invalid value for ai_flags",
    socket.EAI_FAIL: "non-recoverable failure in name resolution",
    socket.EAI_FAMILY: "ai_family not supported",
    socket.EAI_MEMORY: "memory allocation failure",
    socket.EAI_NONAME: _UNKNOWN_HOST,
    socket.EAI_SERVICE: "service not supported for socket type",
    socket.EAI_SOCKTYPE: "ai_socktype not supported",
}
_CODES = {
    CLOSED: "socketclosed",
    TIMEOUT: "timeout",
    REFUSED: "socketclosed",
    "connection refused": "cannotconnect",
    "address already in use": "bind",
    "permission denied": "noaccess",
}


class ErrorText(str):
    """An error in LuaSocket's words, equal to the plain string.

    Args:
        words: LuaSocket's words, such as "timeout".
        code: the BAS error name.
        detail: what was attempted, and on which socket, for logs.
    """

    __slots__ = ("code", "detail")

    code: str
    detail: str

    def __new__(cls, words: str, code: str | None = None, detail: str | None = None) -> ErrorText:
        made = super().__new__(cls, words)
        made.code = code or _CODES.get(words, "failed")
        made.detail = detail or words
        return made


def error_text(error: OSError, what: object = None) -> ErrorText:
    """What a failure is called.

    Args:
        error: what the system or the resolver raised.
        what: what was attempted, for `.detail`.

    Raises:
        SocketBusy: that is what the error is; it is a mistake of the program and no result.
    """
    if isinstance(error, SocketBusy):
        raise error
    words, code = _words(error)
    return ErrorText(words, code, f"{what}: {words}" if what is not None else None)


def _words(error: OSError) -> tuple[str, str | None]:
    if isinstance(error, TimedOut):
        return TIMEOUT, None
    if isinstance(error, TlsError):
        return str(error), error.code  # names the peer and the reason, as nothing of LuaSocket's words does
    if isinstance(error, SocketClosed):
        return CLOSED, None
    if isinstance(error, CannotResolve):
        return resolver_words(error.__cause__), error.code
    if isinstance(error, socket.gaierror):
        return resolver_words(error), CannotResolve.code
    if error.errno is None:
        return str(error), None
    return os_words(error.errno), None


def os_words(number: int) -> str:
    """What LuaSocket calls an error number of the system."""
    return _BY_ERRNO.get(number) or os.strerror(number)


def resolver_words(error: BaseException | None) -> str:
    """What LuaSocket calls an error of getaddrinfo; without one, the name cannot be one."""
    if not isinstance(error, socket.gaierror) or error.errno is None:
        return _UNKNOWN_HOST
    return _BY_RESOLVER.get(error.errno) or error.strerror or _UNKNOWN_HOST
