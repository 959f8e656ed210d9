"""`RequestBase`: what a request consists of, from its beginning to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from greenbas.errors import Expired
from greenbas.http.body import Body
from greenbas.protocol import Message, RequestHeaders
from greenbas.protocol.arguments import need_text

if TYPE_CHECKING:
    from greenbas.http.connection import Connection
    from greenbas.http.request import Request
    from greenbas.http.response import Response
    from greenbas.http.session import Session

__all__ = ["RequestBase"]


class RequestBase:
    """A request from its beginning to its end, and what is the same for all who ask.

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

    def uri(self) -> str:
        """The decoded path, without the query (BAS ``request:uri``)."""
        return self.path

    def version(self) -> str:
        """ "1.1" or "1.0" (BAS ``request:version``)."""
        return "1.1" if self.message.http11 else "1.0"

    def valid(self) -> bool:
        """False once the request is over (BAS ``request:valid``)."""
        return self._connection is not None

    def __getattr__(self, name: str) -> Any:
        # Called for what is not there: a slot that was never filled, or `response` after the end.
        if name == "response":
            raise Expired("request/response expired: it was used after the request had ended")
        raise AttributeError(f"a request has no {name!r}")

    def _live(self) -> Connection:
        if self._connection is None:
            raise Expired("request/response expired: it was used after the request had ended")
        return self._connection

    def _whole(self) -> Request:
        # For whoever takes requests: the classes of this room that build on this one are parts of it.
        return cast("Request", self)
