"""`Request`: what the client asked for, as a handler sees it."""

from __future__ import annotations

import select
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload
from urllib.parse import quote

from gevent import monkey

from greenbas.errors import Expired, IncorrectUse, TlsError, WrongMediaType
from greenbas.http import login
from greenbas.http import multipart as forms
from greenbas.http.body import Body
from greenbas.http.part import Part
from greenbas.http.stores import SessionUser
from greenbas.net import Stream
from greenbas.protocol import Cookie, Message, RequestHeaders, parse_cookies, parse_http_date
from greenbas.protocol import websocketlimits as limits
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.forwarded import client_address, trusts
from greenbas.protocol.multipart import MAX_PARTS
from greenbas.protocol.section import is_host
from greenbas.protocol.target import PATH_SAFE, parse_pairs

if TYPE_CHECKING:
    from greenbas.crypto.describe import CertificateData
    from greenbas.http.connection import Connection
    from greenbas.http.response import Response
    from greenbas.http.session import Session
    from greenbas.http.sessions import Sessions
    from greenbas.http.tracker import LoginTracker
    from greenbas.net.tls import TlsChannel
    from greenbas.net.websocket import WebSocket
    from greenbas.protocol.websocketdeflate import Deflate

__all__ = ["Request"]

BLOCK_SIZE = 64 * 1024  # bytes of one block of `rawrdr` unless the caller says otherwise
_FORM = "application/x-www-form-urlencoded"
_poll = monkey.get_original("select", "poll")  # the one of the kernel, which looks and does not wait


class Request:
    """One request; valid until its response is finished.

    Attributes:
        method: "GET", "POST", "PROPFIND", ... as sent.
        path: the decoded path, "/dir/page".
        message: the request as the parser saw it.
        relpath: the path below the directory whose function or page runs now.
        running: that directory, or the one that has answered.
        initial: False inside a forward or include, where hidden files may be reached.
        forwarded: how deep the request is in forwards.
        included: how deep it is in includes.
        redirects: how deep it is in internal redirects.
        response: the response to it.
        used_session: its session, once somebody has asked for it.
        unsaved_sessions: those that have to be saved when the handler has ended, if any.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_cookies",
        "_env",
        "_id",
        "_pairs",
        "forwarded",
        "included",
        "initial",
        "message",
        "method",
        "path",
        "redirects",
        "relpath",
        "response",
        "running",
        "unsaved_sessions",
        "used_session",
    )

    response: Response

    def __init__(self, message: Message, connection: Connection) -> None:
        self.message = message
        self._connection: Connection | None = connection
        self._pairs: list[tuple[str, str]] | None = None
        self._cookies: dict[str, str] | None = None
        self._env: dict[str, Any] | None = None
        self._body: Body | None = None
        self._id: str | None = None
        self.method = message.method
        self.path = path = message.path
        self.relpath = path[1:]
        self.running: object = None
        self.used_session: Session | None = None
        self.unsaved_sessions: list[Session] | None = None
        self.initial = True
        self.forwarded = self.included = self.redirects = 0

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"

    @property
    def id(self) -> str:
        """A name for this request, unique in this process and, by its random part, across restarts."""
        if self._id is None:
            self._id = self._live().service.next_request_id()
        return self._id

    @property
    def target(self) -> str:
        """The request target as it was on the wire."""
        return self.message.target.decode("latin-1")

    @property
    def query(self) -> str:
        """What stands behind the "?", undecoded."""
        return self.message.query.decode("latin-1")

    @property
    def headers(self) -> RequestHeaders:
        """The header fields; names in any case."""
        return self.message.fields.view

    @property
    def trailers(self) -> RequestHeaders:
        """The fields behind a chunked body; complete once the body has been read."""
        return RequestHeaders(self.message.trailers)

    def header(self, name: str) -> str | None:
        """One header's value, None when it is missing (BAS ``request:header``)."""
        try:
            return self.message.fields.view.get(name)
        except AttributeError:
            need_text("header: the name", name)
            raise

    def env(self) -> dict[str, Any]:
        """The command environment: one dict for the whole request, whoever handles it (BAS ``request:env``)."""
        if self._env is None:
            self._env = {}
        return self._env

    @property
    def dev(self) -> bool:
        """Whether the server is in development mode, where error pages may say more."""
        connection = self._connection
        return connection is not None and connection.service.settings.dev

    # Who asks, and for which site.

    def peername(self) -> tuple[str, int, bool]:
        """The client's address, port, and whether it is IPv6 (BAS ``request:peername``).

        Behind trusted proxies this is the client they name, with port 0; see the setting `trusted_proxies`.
        """
        connection = self._live()
        peer = connection.stream.peername()
        trusted = connection.service.trusted
        if not trusted:
            return peer
        client = client_address(peer[0], self.headers.get("x-forwarded-for"), trusted)
        return peer if client == peer[0] else (client, 0, ":" in client)

    def hop(self) -> tuple[str, bool]:
        """The address at the other end of this very connection, and whether that is a trusted proxy.

        `peername` is who asks; between the two may stand the proxies of the setting `trusted_proxies`.
        """
        connection = self._live()
        address = connection.stream.peername()[0]
        trusted = connection.service.trusted
        return address, bool(trusted) and trusts(address, trusted)

    def is_gone(self, half_closed: bool = False) -> bool:
        """Whether the client can no longer be answered, as far as is known without sending anything.

        Args:
            half_closed: count a client as gone that sends no more; it may still read.
        """
        stream = self._live().stream
        if stream.closed:
            return True
        poll = _poll()
        poll.register(stream.sock.fileno(), select.POLLRDHUP)
        found = poll.poll(0)
        # A reset shows as a hang-up. The end of what the client sends does not, unless our side has ended as well.
        return bool(found) and (half_closed or bool(found[0][1] & (select.POLLHUP | select.POLLERR)))

    def sockname(self) -> tuple[str, int, bool]:
        """The local address, port, and whether it is IPv6 (BAS ``request:sockname``)."""
        return self._live().stream.sockname()

    def is_secure(self) -> bool:
        """Whether the client's connection is encrypted, here or at a trusted proxy (BAS ``request:issecure``)."""
        connection = self._live()
        if connection.stream.channel is not None:
            return True
        return bool(connection.service.trusted) and self._forwarded("x-forwarded-proto") == "https"

    def host(self) -> str:
        """The host and port that the client asked for, lower case; the local address when it named none."""
        forwarded = self._forwarded("x-forwarded-host")
        if forwarded and is_host(forwarded.encode("latin-1")):  # a proxy may pass on whatever its client said
            return forwarded.lower()
        if self.message.authority:
            return self.message.authority.decode("latin-1").lower()
        address, port, ipv6 = self.sockname()
        return f"[{address}]:{port}" if ipv6 else f"{address}:{port}"

    def domain(self) -> str:
        """The host that the client asked for, lower case, without port (BAS ``request:domain``)."""
        host = self.host()
        if host.startswith("["):
            return host[1 : host.index("]")]
        return host.partition(":")[0]

    def cipher(self) -> tuple[str, str]:
        """Cipher suite and version of TLS, such as ("AES_128_GCM_SHA256", "TLS_1_3") (BAS ``request:cipher``).

        Raises:
            TlsError: the connection is not encrypted (sslnotenabled).
        """
        return self._channel().cipher()

    def certificate(self) -> tuple[CertificateData | None, bool]:
        """The client's certificate, and whether it is trusted (BAS ``request:certificate``).

        It has been asked for in the handshake, or by `client_cert`; trusted are those whose issuer stands in the
        `trust` of the listener's context.

        Returns:
            The chain as `greenbas.crypto.parse_cert` tells it, and the verdict; (None, False) when there is none.

        Raises:
            TlsError: the connection is not encrypted (sslnotenabled).
        """
        return self._channel().certificate()

    def client_cert(self) -> bool:
        """Ask the client for a certificate unless it has shown one (BAS ``request:clientcert``).

        Whether that goes is the client's choice: browsers only show one that is asked for in the handshake. Call it
        before any output.

        Returns:
            Whether there is a certificate; `certificate` says whose, and whether to trust it.

        Raises:
            TlsError: the connection is not encrypted (sslnotenabled), or the client broke off.
            TimedOut: the client did not answer.
        """
        from greenbas.net.tls import request_certificate

        connection = self._live()
        try:
            return request_certificate(connection.stream)
        finally:
            # What came before the answer: the rest of the body, or the next request.
            if data := connection.stream.take_pushed():
                connection.reader.feed(data)

    def uri(self) -> str:
        """The decoded path, without the query (BAS ``request:uri``)."""
        return self.path

    def url(self, force_secure: bool = False) -> str:
        """The absolute URL without the query (BAS ``request:url``).

        Args:
            force_secure: say https whatever the connection is.
        """
        scheme = "https" if force_secure or self.is_secure() else "http"
        return f"{scheme}://{self.host()}{quote(self.path, safe=PATH_SAFE)}"

    def version(self) -> str:
        """ "1.1" or "1.0" (BAS ``request:version``)."""
        return "1.1" if self.message.http11 else "1.0"

    def valid(self) -> bool:
        """False once the request is over (BAS ``request:valid``)."""
        return self._connection is not None

    # Parameters and cookies.

    @overload
    def data(self, *, query: bool = False) -> dict[str, str]: ...
    @overload
    def data(self, name: str, /, *, query: bool = False) -> str | None: ...
    @overload
    def data(self, name: str, second: str, /, *names: str, query: bool = False) -> tuple[str | None, ...]: ...

    def data(self, *names: str, query: bool = False) -> dict[str, str] | str | tuple[str | None, ...] | None:
        """Url-encoded parameters of query and body together (BAS ``request:data``).

        Args:
            *names: the parameters wanted.
            query: those of the query alone, whatever the body is.

        Returns:
            Without names all of them, the last of several equal names; with one name its first value (the query comes
            before the body) or None; with several a tuple of such values.

        Raises:
            RemoteProtocolError: too many fields, or the body cannot be read; see `body`.
            WrongMediaType: 415; the body is multipart/form-data, which may hold what the query does not: all parameters
                are asked for, or one that is not in the query.
        """
        pairs = parse_pairs(self.query) if query else self._parameters()
        if not names:
            if not query:
                self._must_not_be_multipart("all parameters")
            return dict(pairs)
        found = tuple([_first(pairs, name) for name in names])
        if not query and None in found:
            self._must_not_be_multipart(repr(names[found.index(None)]))
        return found if len(names) > 1 else found[0]

    def datapairs(self, *, query: bool = False) -> Iterator[tuple[str, str]]:
        """All url-encoded parameters in order, query first, duplicates kept (BAS ``request:datapairs``).

        Args:
            query: those of the query alone, whatever the body is.

        Raises:
            RemoteProtocolError, WrongMediaType: as `data`.
        """
        if query:
            return iter(parse_pairs(self.query))
        pairs = list(self._parameters())
        self._must_not_be_multipart("all parameters")
        return iter(pairs)

    def cookie(self, name: str) -> Cookie | None:
        """The cookie the client sent, or None (BAS ``request:cookie``). Change it and `activate` it to send it back."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.headers.get("cookie", ""))
        value = self._cookies.get(name)
        if value is None:
            need_text("cookie: the name", name)
            return None
        return self.response.attach_cookie(name, value)

    # The session.

    @overload
    def session(self, create: Literal[True]) -> Session: ...
    @overload
    def session(self, create: bool = False) -> Session | None: ...

    def session(self, create: bool = False) -> Session | None:
        """The session of this client (BAS ``request:session``).

        The first call in a request counts as a use of the session.

        Args:
            create: make one where there is none, and send its cookie with the response.

        Returns:
            The same object for the whole request; None without a session.

        Raises:
            IsCommitted: one has to be made, but the response head has been sent.
            StoreUnavailable: 503; nobody knows whether there is one.
        """
        session = self.used_session
        if session is not None and session._record.alive:
            return session
        connection = self._live()
        service = connection.service
        # As `is_secure`, which most requests need not ask.
        secure = (connection.stream.channel is not None or bool(service.trusted)) and self.is_secure()
        return service.sessions.find(self, secure, create)

    def url_session(self, relpath: str | None = None, create: bool = False) -> tuple[Session | None, str]:
        """The session that a URL names, for clients without cookies (BAS ``ba.session(request, relpath)``).

        Who has such a URL has the session: use it where cookies cannot be, and not with logins that matter. No session
        is taken from a URL unless this is called.

        Args:
            relpath: a path whose first segment may be the public id of a session; without it the parameter of the query
                counts that `Response.encode_redirect_url` has added.
            create: make it the session of this request; where the URL names none, the request gets its own, or a new
                one.

        Returns:
            The session, or None, and the path behind the segment; the whole path when it names no session.
        """
        sessions = self.sessions
        if relpath is None:
            return sessions.with_id(_first(parse_pairs(self.query), sessions.parameter) or "", self, create), ""
        public, _, rest = relpath.partition("/")
        named = sessions.with_id(public, self)
        if named is None:
            return (self.session(True) if create else None), relpath
        if create:
            self.used_session = named
        return named, rest

    def user(self) -> SessionUser | None:
        """Who is logged in, if anybody (BAS ``request:user``).

        Raises:
            StoreUnavailable: 503; nobody knows.
        """
        session = self.session()
        return None if session is None else session._record.user

    def login(self, username: str = "", max_users: int = 1, recycle: bool = True) -> str | bool:
        """Log this client in, as the program has found out by itself who it is (BAS ``request:login``).

        Its session, which is made if there is none, gets a new id.

        Args:
            username: the user; "" for somebody who has no name.
            max_users: sessions that the user may have at once.
            recycle: an older one of them ends for this one.

        Returns:
            The name of the user when one is logged in already; else whether there was room for one more session.

        Raises:
            IsCommitted: the response head has been sent.
            StoreUnavailable: 503; nobody knows.
        """
        need_text("login: the name", username)
        need_number("login: max_users", max_users, "give how many sessions there may be", whole=True)
        user = self.user()
        if user is not None:
            return user.name
        return login.enter(self, SessionUser(username), max_users, recycle) is None

    def logout(self, all: bool = False) -> bool:
        """End the session of this client (BAS ``request:logout``).

        Args:
            all: end all sessions of its user.

        Returns:
            False when nobody was logged in; a session, if there was one, has ended all the same.
        """
        return login.leave(self, all)

    @property
    def tracker(self) -> LoginTracker:
        """The login tracker of this server."""
        return self._live().service.tracker

    @property
    def sessions(self) -> Sessions:
        """All sessions of this server."""
        return self._live().service.sessions

    # The body.

    @property
    def stream(self) -> Body:
        """The body as it arrives."""
        if self._body is None:
            connection = self._live()
            self._body = Body(self.message, connection.reader, connection.stream, connection.service.settings)
        return self._body

    def body(self) -> bytes:
        """The whole body, within `max_memory_body`.

        Raises:
            BodyTooLarge: the body is over the limit.
            BodyTimeout: it comes slower than the minimum rate.
            IncompleteBody: the client went away before its end.
        """
        return self.stream.read()

    def rawrdr(self, block_size: int = BLOCK_SIZE) -> Iterator[bytes]:
        """The raw body in blocks of exactly `block_size` bytes, the last one shorter (BAS ``request:rawrdr``).

        Raises:
            WrongMediaType: 415; the body is url-encoded, which `data` reads, or multipart/form-data.
            ValueError: the size is not positive.
            RemoteProtocolError: while iterating; as `body`, but without a limit on the size.
        """
        if need_number("rawrdr: the block size", block_size, "give bytes", whole=True) < 1:
            raise ValueError(f"block size {block_size} is not positive")
        kind = self._content_type()
        if kind == _FORM:
            raise WrongMediaType("URL encoded data: use request.data(), or send another Content-Type")
        if kind == "multipart/form-data":
            raise WrongMediaType("multipart/form-data: use request.parts() or request.multipart()")
        return self.stream.blocks(block_size)

    def is_multipart(self) -> bool:
        """Whether the body is a form of the kind that carries files, multipart/form-data: `parts` reads it."""
        return self.message.length != 0 and self._content_type() == "multipart/form-data"

    def parts(self, *, max_parts: int = MAX_PARTS, max_field: int | None = None) -> Iterator[Part]:
        """The parts of a multipart/form-data body, in order, while it arrives.

        Nothing is read ahead of the loop, and taking the next part skips what is unread of the one before.

        Args:
            max_parts: more of them are refused.
            max_field: bytes of a text field; `max_memory_body` for all of them together unless given.

        Raises:
            WrongMediaType: 415; the body is of another type.
            BadMultipart: 400; while iterating: malformed, or over a limit.
            RemoteProtocolError: while iterating; as `body`, but without a limit on the size of files.
        """
        memory = self._live().service.settings.max_memory_body
        return forms.parts(self, max_memory=memory, max_parts=max_parts, max_field=max_field)

    def multipart(
        self,
        *,
        formdata: Callable[[str, str], object] | None = None,
        beginfile: Callable[[str, str, str | None, str | None], object] | None = None,
        filedata: Callable[[bytes], object] | None = None,
        endmp: Callable[[], object] | None = None,
        error: Callable[[str], object] | None = None,
        bufsize: int = forms.BUFFER_SIZE,
        keepalive: bool = True,
    ) -> bool:
        """Parse a multipart/form-data body with callbacks (BAS ``request:multipart``); `parts` is the loop for it.

        Args:
            formdata: called with name and value of a text field.
            beginfile: called with name, file name, content type and transfer encoding when a file begins.
            filedata: called with each piece of it.
            endmp: called at the end.
            error: called with a message when the body is bad; without it that raises.
            bufsize: bytes of the largest text field, and of a piece of a file.
            keepalive: False closes the connection after the response.

        Returns:
            True at the end of the form; False when a callback has returned False, which stops, or after `error`.

        Raises:
            WrongMediaType: 415; the body is of another type.
            IsCommitted: output has gone already.
            TypeError: none of the first three callbacks is given, or only one of those for files.
        """
        return forms.multipart(
            self,
            formdata=formdata,
            beginfile=beginfile,
            filedata=filedata,
            endmp=endmp,
            error=error,
            bufsize=bufsize,
            keepalive=keepalive,
        )

    # Answers that end the handler.

    def allow(self, methods: list[str] | tuple[str, ...], use_defaults: bool = True) -> bool:
        """Go on only for these methods (BAS ``request:allow``).

        Any other is answered 405 with Allow, and the handler ends. With the defaults HEAD goes wherever GET goes, and
        OPTIONS is answered 200 with Allow; then the handler ends too.

        Args:
            methods: the allowed methods, upper case.
            use_defaults: allow HEAD and OPTIONS besides.

        Returns:
            True; also inside a forward or include, whatever the method.
        """
        if isinstance(methods, str):
            raise TypeError(f"allow({methods!r}): give a list, such as [{methods!r}]")
        if not isinstance(methods, list | tuple) or not all(isinstance(one, str) for one in methods):
            raise TypeError(f"allow({methods!r:.80}): give a list of methods, such as ['GET', 'POST']")
        if not self.initial:
            return True
        allowed = list(dict.fromkeys([*methods, "HEAD", "OPTIONS"] if use_defaults else methods))
        response = self.response
        if self.method not in allowed:
            response.send_error(405)
            response.set_header("Allow", ", ".join(allowed))
            response.abort()
        if self.method == "OPTIONS" and "OPTIONS" not in methods:
            response.set_header("Allow", ", ".join(allowed))
            response.abort()
        return True

    def check_time(self, modified: float) -> bool:
        """Answer 304 and end the handler if the client's copy is as new as `modified` (BAS ``request:checktime``).

        Args:
            modified: when the resource changed, in unix seconds.

        Returns:
            True when the handler has to send the resource; in an include always.
        """
        need_number("check_time: the time", modified, "give unix seconds, such as stat.st_mtime")
        since = parse_http_date(self.header("if-modified-since") or "")
        # RFC 9110 13.1.3: only for GET and HEAD, and not when If-None-Match asks more exactly.
        asked = since is not None and self.method in ("GET", "HEAD") and self.header("if-none-match") is None
        if asked and not self.included and since is not None and int(modified) <= since:
            self.response.status = 304
            self.response.abort()
        return True

    def abort(self) -> NoReturn:
        """End the handler; what was written is the answer (BAS ``request:abort``); see `Response.abort`."""
        self.response.abort()

    def set_nodelay(self, on: bool) -> None:
        """Send small writes at once, or let the kernel collect them (BAS ``request:setnodelay``)."""
        self._live().stream.set_nodelay(on)

    def detach(self, going_away: Callable[[], object] | None = None) -> tuple[Stream, bytes]:
        """Take the connection away from HTTP: from here on the bytes on it are the caller's.

        Output that was written so far is sent first; without any, nothing was. The handler no longer counts as a
        running one, and the `request_timeout` no longer ends it. `greenbas.net.req2sock` makes a socket of the
        connection, and `upgrade` a WebSocket.

        Args:
            going_away: called in a greenlet when the server stops: it should end what happens on the stream, which is
                closed at the end of the drain in any case.

        Returns:
            The stream, and the bytes that have been read from it already.

        Raises:
            IncorrectUse: a chunked head or part of a chunked body would be left unfinished, or this is a deferred one.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        connection = self._live()
        if connection.request is not self:
            raise IncorrectUse("a deferred response cannot give the connection away")
        rest = connection.detach(going_away)
        return connection.stream, rest

    def upgrade(
        self,
        *,
        subprotocols: Sequence[str] = (),
        origins: Collection[str] | None = None,
        compression: bool | Deflate = False,
        max_size: int | None = limits.MAX_SIZE,
        ping_interval: float | None = limits.PING_INTERVAL,
        ping_timeout: float = limits.PING_TIMEOUT,
        write_timeout: float = limits.WRITE_TIMEOUT,
    ) -> WebSocket:
        """Make a WebSocket of this request (RFC 6455).

        A request that is no proper upgrade is answered 400, 405 or 426, one from a page of another origin 403, and the
        handler ends. Headers that were set before, cookies among them, go out with the 101. The handler no longer
        counts as a running one, and the `request_timeout` no longer ends it.

        Args:
            subprotocols: those that are spoken here, the preferred one first; `WebSocket.subprotocol` is the choice.
            origins: pages that may open it besides those of this very host, such as "https://shop.example"; "*" for
                every page. Clients that are no browsers send no Origin and are let in.
            compression: True or a `Deflate` for permessage-deflate (RFC 7692), if the client offers it. It costs some
                40 KB of memory a connection, and time.
            max_size: bytes of a message that comes, inflated; larger ones end the connection with 1009. None for any.
            ping_interval: seconds of silence before a ping; None for none.
            ping_timeout: seconds of silence behind it, after which the peer counts as gone.
            write_timeout: seconds in which a slow peer has to take at least something.

        Returns:
            The WebSocket, open. It closes when nobody refers to it any more, such as at the end of the handler.

        Raises:
            IncorrectUse: output was written before.
            SocketClosed, TimedOut: the client is gone, or takes nothing.
        """
        from greenbas.http.upgrade import upgrade  # here, for it takes as long to import as half of the rest

        return upgrade(
            self,
            subprotocols=subprotocols,
            origins=origins,
            compression=compression,
            max_size=max_size,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            write_timeout=write_timeout,
        )

    # For the connection.

    def twin(self) -> Request:
        """A request object for a deferred response: the same request with the same id, and a life of its own."""
        twin = Request(self.message, self._live())
        twin._id = self.id
        if self.message.chunks is not None:
            twin._body = self.stream  # one reader, whichever of the two is asked
        return twin

    def expire(self) -> None:
        """The response is finished: from here on the request is not valid."""
        self._connection = None
        self.used_session = self.unsaved_sessions = None  # they may be kept, and know the request
        self.message.error = None  # its traceback holds frames, and with them what was read of the body
        self.response.expire()
        del self.response  # breaks the cycle of the two, so that their memory goes at once

    def __getattr__(self, name: str) -> Any:
        # Called for what is not there: a slot that was never filled, or `response` after the end.
        if name == "response":
            raise Expired("request/response expired: it was used after the request had ended")
        raise AttributeError(f"a request has no {name!r}")

    def _live(self) -> Connection:
        if self._connection is None:
            raise Expired("request/response expired: it was used after the request had ended")
        return self._connection

    def _channel(self) -> TlsChannel:
        from greenbas.net.tls import TlsChannel

        channel = self._live().stream.channel
        if not isinstance(channel, TlsChannel):
            raise TlsError("the client's connection is not encrypted", "sslnotenabled")
        return channel

    def _forwarded(self, name: str) -> str:
        # The last proxy appends, so the nearest trusted one's word stands last.
        connection = self._live()
        trusted = connection.service.trusted
        if not trusted or self.header(name) is None:
            return ""
        if not trusts(connection.stream.peername()[0], trusted):
            return ""
        return self.headers[name].rpartition(",")[2].strip()

    def _content_type(self) -> str:
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def _must_not_be_multipart(self, wanted: str) -> None:
        # Its fields would be missing without a word.
        if self.is_multipart():
            raise WrongMediaType(
                f"data() was asked for {wanted[:80]}, and the body is multipart/form-data, which it does not read: use "
                "request.parts(), or data(..., query=True) for what the query alone has"
            )

    def _parameters(self) -> list[tuple[str, str]]:
        if self._pairs is None:
            pairs = parse_pairs(self.query)
            if self.message.length != 0 and self._content_type() == _FORM:
                pairs += parse_pairs(self.body().decode("latin-1"))
            self._pairs = pairs
        return self._pairs


def _first(pairs: list[tuple[str, str]], wanted: str) -> str | None:
    for name, value in pairs:
        if name == wanted:
            return value
    need_text("data: the name of a parameter", wanted, "give several names one by one: data('a', 'b')")
    return None
