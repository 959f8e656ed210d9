"""Every exception of greenbas, with the BAS error code it stands for.

::

    BaseException
    └─ Abort                              a handler said that it is done; never an error
    Exception
    └─ GreenbasError                      .code, the BAS error name
       ├─ SettingError        (ValueError)        a setting that cannot be
       ├─ StartError                              the server, an application or a command cannot start
       ├─ LatePatch           (RuntimeError)      patch() came after the modules it has to change
       ├─ PluginError                             a plugin is missing, broken, or clashes with another
       ├─ PageSyntaxError     (SyntaxError)       a server page cannot be compiled; .filename and .lineno are the page's
       ├─ PageNotFound        (LookupError)       nobody answers for the target of a forward or include
       ├─ IncorrectUse        (RuntimeError)      a call that is wrong here
       │  ├─ AlreadyInserted                      the directory has a parent already
       │  ├─ Expired                              the request is over
       │  ├─ IncludeNotValid                      an included resource changed status or headers
       │  ├─ IsCommitted                          the response head has been sent
       │  ├─ MixingWriteSend                      write() and send() in one response
       │  ├─ SessionExpired                       the session has ended
       │  ├─ TooManyForwards                      forwards or redirects that never end
       │  └─ TooManyIncludes                      includes that never end
       ├─ IoError             (OSError)           .path
       │  ├─ InvalidName
       │  ├─ NotFound         (FileNotFoundError)
       │  ├─ Exists           (FileExistsError)
       │  ├─ NoAccess         (PermissionError)
       │  ├─ NotEmpty
       │  ├─ IsDirectory      (IsADirectoryError)
       │  ├─ NotDirectory     (NotADirectoryError)
       │  └─ NoSpace
       ├─ NetError            (OSError)
       │  ├─ BindFailed
       │  ├─ CannotConnect    (ConnectionError)   refused, unreachable
       │  ├─ CannotResolve                        the name has no address
       │  ├─ QueueFull                            too much is queued for a cosocket; .queued says how much
       │  ├─ SocketBusy                           two greenlets read one stream
       │  ├─ SocketClosed     (ConnectionError)   closed, here or by the peer
       │  │  └─ ConnectionClosed                  of a WebSocket; .code and .reason are those of its close frame
       │  ├─ TimedOut         (TimeoutError)
       │  └─ TlsError                             the handshake or the encryption failed; .code says how
       │     └─ NotTrusted                        the peer's certificate; .verdict is cert, cn, certcn or none
       ├─ PemError            (ValueError)        a key or certificate that cannot be used; .code says why
       ├─ StoreUnavailable                        sessions cannot be read or written now
       ├─ Overloaded                              the workers and their queue are full
       ├─ RequestDeadline                         the request took longer than request_timeout
       └─ ProtocolError
          ├─ LocalProtocolError                   our side would break HTTP
          └─ RemoteProtocolError                  the peer broke HTTP; .status is the answer it gets
             ├─ BodyTooLarge                      413
             ├─ BadMultipart                      400
             ├─ BodyTimeout                       408
             ├─ WrongMediaType  (ValueError)      415
             └─ IncompleteBody                    the peer went away in the middle of a body

A code is the word that the BAS documentation uses for the same failure (reference of error codes, part e.6).
"""

from __future__ import annotations

__all__ = [
    "Abort",
    "AlreadyInserted",
    "BadMultipart",
    "BindFailed",
    "BodyTimeout",
    "BodyTooLarge",
    "CannotConnect",
    "CannotResolve",
    "ConnectionClosed",
    "Exists",
    "Expired",
    "GreenbasError",
    "IncludeNotValid",
    "IncompleteBody",
    "IncorrectUse",
    "InvalidName",
    "IoError",
    "IsCommitted",
    "IsDirectory",
    "LatePatch",
    "LocalProtocolError",
    "MixingWriteSend",
    "NetError",
    "NoAccess",
    "NoSpace",
    "NotDirectory",
    "NotEmpty",
    "NotFound",
    "NotTrusted",
    "Overloaded",
    "PageNotFound",
    "PageSyntaxError",
    "PemError",
    "PluginError",
    "ProtocolError",
    "QueueFull",
    "RemoteProtocolError",
    "RequestDeadline",
    "SessionExpired",
    "SettingError",
    "SocketBusy",
    "SocketClosed",
    "StartError",
    "StoreUnavailable",
    "TimedOut",
    "TlsError",
    "TooManyForwards",
    "TooManyIncludes",
    "WrongMediaType",
]


class Abort(BaseException):
    """Ends a handler from anywhere below it; what has been written so far is the answer.

    Not an `Exception`, so that a handler's own ``except Exception`` does not swallow it.
    """


class GreenbasError(Exception):
    """The root of greenbas's errors."""

    code = "failed"


class SettingError(GreenbasError, ValueError):
    """A setting that is unknown or out of range; the message names it and the remedy."""

    code = "invalidparam"


class StartError(GreenbasError):
    """Something cannot start: a folder is missing, a module fails to import, a name is wrong."""


class LatePatch(GreenbasError, RuntimeError):
    """Monkey patching came too late; the message names the modules that were imported before it."""

    code = "incorrectuse"


class PluginError(GreenbasError):
    """A plugin is missing, cannot be loaded, or clashes with another; the message names it."""


class PageSyntaxError(GreenbasError, SyntaxError):
    """A server page cannot be compiled.

    Args:
        message: what is wrong, and the remedy.
        filename: the page.
        line: its line, counted from 1.
        offset: the column, counted from 1; None when only the line is known.
        text: the source of that line.
    """

    def __init__(self, message: str, filename: str, line: int, offset: int | None = None, text: str = "") -> None:
        super().__init__(message, (filename, line, offset, text))


class PageNotFound(GreenbasError, LookupError):
    """Nobody answers for the path that was to be forwarded to or included."""

    code = "pagenotfound"


class IncorrectUse(GreenbasError, RuntimeError):
    """A call that makes no sense in this state."""

    code = "incorrectuse"


class AlreadyInserted(IncorrectUse):
    """The directory already has a parent."""

    code = "alreadyinserted"


class Expired(IncorrectUse):
    """A request or response was used after the request ended."""


class IncludeNotValid(IncorrectUse):
    """What is included cannot change status or headers, nor take back output: they belong to who includes it."""

    code = "includeopnotvalid"


class IsCommitted(IncorrectUse):
    """Status or headers were changed after the response head had been sent."""

    code = "iscommitted"


class MixingWriteSend(IncorrectUse):
    """One response used both write() and send()."""

    code = "mixingwritesend"


class SessionExpired(IncorrectUse):
    """The session has ended: it was terminated, or nobody used it for too long."""

    code = "expired"


class TooManyForwards(IncorrectUse):
    """Forwards or redirects are nested too deep, which means that they go round in a circle."""

    code = "toomanyforwards"


class TooManyIncludes(IncorrectUse):
    """Includes are nested too deep, which means that they go round in a circle."""

    code = "toomanyincludes"


class IoError(GreenbasError, OSError):
    """An I/O interface failed on a path.

    Args:
        path: the path as the caller gave it, relative to the I/O's root.
        message: what happened, in words.
    """

    code = "ioerror"
    words = "I/O error"

    def __init__(self, path: str, message: str | None = None) -> None:
        super().__init__(message or self.words)
        self.path = path

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.path!r}"


class InvalidName(IoError):
    """The path can never name anything here: it leaves the root, or holds NUL or a backslash."""

    code = "invalidname"
    words = "invalid path"


class NotFound(IoError, FileNotFoundError):
    """Nothing has this path."""

    code = "enoent"
    words = "no such file or directory"


class Exists(IoError, FileExistsError):
    """Something has this path already."""

    code = "exist"
    words = "exists already"


class NoAccess(IoError, PermissionError):
    """The operating system denies it, or the I/O is read-only."""

    code = "noaccess"
    words = "access denied"


class NotEmpty(IoError):
    """A directory that holds something cannot be removed."""

    code = "notempty"
    words = "directory is not empty"


class IsDirectory(IoError, IsADirectoryError):
    """A directory stands where a file is needed."""

    code = "noaccess"
    words = "is a directory"


class NotDirectory(IoError, NotADirectoryError):
    """A file stands where a directory is needed."""

    code = "enoent"
    words = "is not a directory"


class NoSpace(IoError):
    """The disk or quota is full."""

    code = "nospace"
    words = "no space left"


class NetError(GreenbasError, OSError):
    """A socket operation failed."""

    code = "socketclosed"


class BindFailed(NetError):
    """The address cannot be listened on; the message names address and reason."""

    code = "bind"


class CannotConnect(NetError, ConnectionError):
    """Nobody answers at the address; the message names it and the reason."""

    code = "cannotconnect"


class CannotResolve(NetError):
    """The name has no address, or no name server answered; the message names it."""

    code = "cannotresolve"


class QueueFull(NetError):
    """Too much is queued for a cosocket already, and its writer cannot wait; nothing was taken.

    Args:
        message: the socket, and why it is full.
        queued: bytes in its queue.
    """

    code = "queuefull"

    def __init__(self, message: str, queued: int) -> None:
        super().__init__(message)
        self.queued = queued


class SocketBusy(NetError):
    """Two greenlets want to read one stream; the message names both."""

    code = "incorrectuse"


class SocketClosed(NetError, ConnectionError):
    """The stream is closed, here or by the peer."""

    code = "socketclosed"


class TimedOut(NetError, TimeoutError):
    """Nothing moved within the time-out."""

    code = "timeout"


class ConnectionClosed(SocketClosed):
    """A WebSocket is closed.

    Args:
        code: the close code (RFC 6455 7.4); 1006 when the connection broke without a close frame.
        reason: the words that came with it.
    """

    code: int  # type: ignore[assignment]  # what users of WebSockets call the code

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the WebSocket was closed: {code}{f' {reason}' if reason else ''}")
        self.code = code
        self.reason = reason


class TlsError(NetError):
    """TLS failed.

    Args:
        message: what was attempted with which peer, and what went wrong.
        code: the BAS error name: sslhandshake, sslalertrecv, sslnotenabled, sslcryptoerr, sslclosenotify, ...

    Attributes:
        reason: a few words out of a small set, to count by.
    """

    code = "sslhandshake"
    reason = ""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class NotTrusted(TlsError):
    """The peer's certificate is not what was asked for.

    Args:
        message: the peer, and what is wrong with its certificate.
        verdict: as `Socket.trusted` tells it: "cert" (trusted, wrong name), "cn" (right name, not trusted), "certcn"
            (trusted, right name, but expired) or "none".
        reason: what is wrong, in a word: "expired", "notyetvalid", "wronghost", "unknownca", "selfsigned", "revoked",
            "nocert" or "invalid".
    """

    code = "sslnottrusted"

    def __init__(self, message: str, verdict: str, reason: str = "invalid") -> None:
        super().__init__(message, "sslnottrusted")
        self.verdict = verdict
        self.reason = reason


class PemError(GreenbasError, ValueError):
    """A key or certificate cannot be used.

    Args:
        message: which one, what is wrong with it, and the remedy.
        code: the BAS error name, such as pem_key_passphrase_required.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailable(GreenbasError):
    """The store of the sessions does not answer; nobody is logged out by that."""


class Overloaded(GreenbasError):
    """All workers run and their queue is full."""


class RequestDeadline(GreenbasError):
    """The handler ran longer than `request_timeout`."""

    code = "timeout"


class ProtocolError(GreenbasError):
    """HTTP was not followed."""

    code = "invalidresponse"


class LocalProtocolError(ProtocolError):
    """Our side asked for something that HTTP forbids, such as a line break in a header value."""

    code = "invalidparam"


class RemoteProtocolError(ProtocolError):
    """The peer sent something that HTTP forbids.

    Args:
        message: what was wrong.
        status: the status code that answers it.
    """

    status = 400

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class BodyTooLarge(RemoteProtocolError):
    """The request body is over its limit."""

    status = 413
    code = "toomuchdata"


class BadMultipart(RemoteProtocolError):
    """A multipart/form-data body is malformed or over a limit."""

    code = "invalidparam"


class BodyTimeout(RemoteProtocolError):
    """The request body came slower than the minimum rate."""

    status = 408
    code = "timeout"


class WrongMediaType(RemoteProtocolError, ValueError):
    """The body is of a type that this way of reading it is not for."""

    status = 415
    code = "invalidparam"


class IncompleteBody(RemoteProtocolError):
    """The peer closed before the end of the request body."""

    code = "socketreadfailed"
