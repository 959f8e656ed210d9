"""`Request`: what the client asked for, as a handler sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NoReturn

from greenbas.errors import IncorrectUse
from greenbas.http.requestcontents import Contents
from greenbas.http.requestidentity import Identity
from greenbas.net import Stream
from greenbas.protocol import parse_http_date
from greenbas.protocol import websocketlimits as limits
from greenbas.protocol.arguments import need_number

if TYPE_CHECKING:
    from greenbas.net.websocket import WebSocket
    from greenbas.protocol.websocketdeflate import Deflate

__all__ = ["Request"]


class Request(Contents, Identity):
    """One request; valid until its response is finished.

    Its attributes are those of `RequestBase`. Here is what ends the handler, and what takes the connection away.
    """

    __slots__ = ()

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
