"""`DeferredResponse`: a response that somebody else finishes, after the handler has ended."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gevent.lock import RLock

from greenbas.errors import Expired, IncorrectUse
from greenbas.net import Buffer

if TYPE_CHECKING:
    from greenbas.http.connection import Connection
    from greenbas.http.request import Request
    from greenbas.http.response import Response

__all__ = ["DeferredResponse"]

_log = logging.getLogger("greenbas.http")


class DeferredResponse:
    """The response that `Response.deferred` has detached from its handler.

    Any greenlet may finish it: a timer's, another request's. The order is status and headers, then output with either
    `write` or `send`, then `close`. One that is dropped without `close` takes its connection along, and one that nobody
    writes to for `deferred_timeout` is ended with a 503. When the client goes, `valid` is False, and
    what would go out raises SocketClosed.

    Args:
        connection: where it goes.
        request: a request object of its own.
        response: a response object of its own.
        started: when the request came, in monotonic seconds.
    """

    def __init__(self, connection: Connection, request: Request, response: Response, started: float) -> None:
        self._connection: Connection | None = connection
        self._parts = request, response, started
        self._why = "closed"  # by whom it was ended
        self._one_at_a_time = RLock()  # several greenlets may have it, and each writes its bytes in one piece

    def __repr__(self) -> str:
        return f"<DeferredResponse {self._parts[1]!r}>" if self._connection is not None else "<DeferredResponse closed>"

    def __del__(self) -> None:
        connection = self._connection
        if connection is not None:
            if not connection.stream.closed:
                _log.error("a deferred response was dropped without close(); its connection goes with it")
            # This may run anywhere, even between two bytecodes of the hub.
            connection.service.hub.loop.run_callback(connection.abandon, *self._parts)

    def set_status(self, code: int, reason: str | None = None) -> None:
        """Set the status (BAS ``defresp:setstatus``); see `Response.set_status`."""
        self._before_output("set_status").set_status(code, reason)

    def set_header(self, name: str, value: str | None = None) -> None:
        """Set a header, or remove it without a value (BAS ``defresp:setheader``); see `Response.set_header`."""
        self._before_output("set_header").set_header(name, value)

    def set_content_length(self, length: int) -> None:
        """Announce the size of the body (BAS ``defresp:setcontentlength``); `send` needs it."""
        self._before_output("set_content_length").set_content_length(length)

    def write(self, *data: str | Buffer) -> int:
        """Add to the output; see `Response.write` (BAS ``defresp:write``). What is not large waits for `flush`.

        Returns:
            The bytes of body produced so far.
        """
        with self._one_at_a_time:
            return self._live().write(*data)

    def flush(self) -> None:
        """Send what was written so far."""
        with self._one_at_a_time:
            self._live().flush()

    def send(self, data: str | Buffer, size: int | None = None) -> None:
        """Send raw bytes at once (BAS ``defresp:send``).

        Args:
            data: text as UTF-8, or bytes.
            size: with the first call: the size of all that will be sent, unless `set_content_length` has said it.
        """
        with self._one_at_a_time:
            response = self._live()
            if size is not None and not response.committed():
                response.set_content_length(size)
            response.send(data)

    def close(self, close_connection: bool = False) -> None:
        """Finish the response; the connection goes back to the server (BAS ``defresp:close``).

        What is left in the buffer is sent in the background; a write of another greenlet is waited for. A second call
        does nothing.

        Args:
            close_connection: the client is not to use it for another request.
        """
        with self._one_at_a_time:
            connection, self._connection = self._connection, None
            if connection is not None:
                if close_connection:
                    self._parts[1].clear_keepalive()
                connection.conclude(*self._parts)

    def abort(self) -> None:
        """As `close` (BAS ``defresp:abort``)."""
        self.close()

    def valid(self) -> bool:
        """Whether it can still be written to (BAS ``defresp:valid``)."""
        return self._connection is not None and not self._connection.stream.closed

    # For the connection.

    @property
    def complete(self) -> bool:
        """Whether all of the request's body has come."""
        return self._parts[0].message.complete

    def time_out(self, why: str) -> bool:
        """End it for its owner, who will find it expired: with a 503 if nothing has gone out; called in the hub.

        Returns:
            False while a greenlet writes, which has a time-out of its own.
        """
        connection = self._connection
        if connection is None or not self._one_at_a_time.acquire(blocking=False):
            return False
        try:
            self._connection, self._why = None, f"ended: {why}"
            request, response, _ = self._parts
            _log.warning("the deferred response to %s %s was %s", request.method, request.target, self._why)
            if response.committed():
                connection.abandon(*self._parts)
            else:
                response.recover()
                response.send_error(503)
                response.clear_keepalive()
                connection.conclude(*self._parts)
        finally:
            self._one_at_a_time.release()
        return True

    def _live(self) -> Response:
        connection = self._connection
        if connection is None:
            raise Expired(f"the deferred response has been {self._why}")
        connection.since = time.monotonic()
        return self._parts[1]

    def _before_output(self, what: str) -> Response:
        response = self._live()
        if response.committed() or response.byte_count():
            raise IncorrectUse(f"Invalid call in selected response state: {what} comes before all output")
        return response
