"""One try: a request goes to one backend, and the head of its answer is read. Whether another try is safe.

Rules of this file. Framing is made here, from what was parsed; nothing of the client's is passed on (RFC 9112 6). A
request is sent again only if the backend cannot have acted on it: nothing of it has left, or its method is idempotent
(RFC 9110 9.2.2), it is at hand as a whole, and not a byte of an answer has come.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from greenbas_plugins.proxy.departure import SMALL
from greenbas_plugins.proxy.failure import BadGateway, ClientGone
from greenbas_plugins.proxy.mounted import header_lines
from greenbas_plugins.proxy.upload import Upload

if TYPE_CHECKING:
    from greenbas_plugins.proxy.backend import BackendConnection
    from greenbas_plugins.proxy.exchange import Exchange
    from greenbas_plugins.proxy.incoming import Incoming
    from greenbas_plugins.proxy.upstream import Upstream

__all__ = ["SWITCHING", "attempt", "may_repeat"]

IDEMPOTENT = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY", "MKCOL"}
)
# For these a server may miss a Content-Length, also of 0 (RFC 9110 8.6).
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
SWITCHING = 101
INTERIM = 1000  # responses in front of the final one; each gives the backend its time anew


def attempt(exchange: Exchange, upstream: Upstream, fresh: bool) -> Incoming:
    """Send the request to a backend.

    Args:
        exchange: whose request it is; its `connection`, and perhaps its `upload`, are set.
        upstream: the backend.
        fresh: take no connection that has served a request before.

    Returns:
        The head of the final answer, or of 101; interim ones have been passed on.

    Raises:
        NetError: the backend cannot be reached, or broke off.
        BadGateway: what it says is not HTTP.
        ClientGone: there is nobody to send it for.
    """
    if exchange.gone:
        raise ClientGone
    request = exchange.request
    head = exchange.mounted.head(request, exchange.peer, exchange.path, upstream, exchange.upgrade)
    repeatable = exchange.body is not None and request.method in IDEMPOTENT
    connection = None if fresh else upstream.pool.take(repeatable)
    if connection is None:
        connection = upstream.connect()
        if exchange.gone:  # meanwhile
            connection.close()
            raise ClientGone
    exchange.connection = connection
    turn = _send(exchange, connection, head)
    started = exchange.started
    heads, most = exchange.proxy.heads, exchange.settings.max_head
    incoming = connection.read_head(heads, most)
    if exchange.proxy.departures.left <= turn:
        raise BadGateway("it has answered before it was asked")
    interim = 0
    while incoming.status < 200 and incoming.status != SWITCHING:
        if (interim := interim + 1) > INTERIM:
            raise BadGateway(f"it sent more than {INTERIM} interim responses")
        _pass_on(exchange, incoming)
        incoming = connection.read_head(heads, most)
    exchange.deadline = math.inf
    exchange.awaits_head = False
    now = time.monotonic()
    exchange.epoch = upstream.health.heard(now, exchange.epoch, now - started)
    exchange.heard = True
    return incoming


def may_repeat(
    exchange: Exchange, failure: Exception, connection: BackendConnection | None, sent: int, tried: int
) -> bool:
    """Whether the request may be sent once more.

    Args:
        exchange: whose request it is.
        failure: of the last try.
        connection: on which it was; None when there was nobody to connect to.
        sent: how often it has been sent.
        tried: at how many backends it has failed.
    """
    if not isinstance(failure, BadGateway) or (exchange.upload is not None and exchange.upload.begun):
        return False
    if connection is None:  # nobody was there: nothing has left
        return tried + 1 < len(exchange.proxy.upstreams.all)
    if connection.heard or sent > exchange.settings.retries:
        return False
    return exchange.request.method in IDEMPOTENT and exchange.body is not None


def _send(exchange: Exchange, connection: BackendConnection, head: bytes) -> int:
    # Returns the turn of the departures with which it leaves; -1 when it has left.
    message, turn = exchange.request.message, -1
    bare = message.chunks is None and message.method not in WITH_BODY
    data = head + b"\r\n" if bare else _framed(exchange, head)
    if exchange.body is not None and len(data) <= SMALL:
        turn = exchange.proxy.departures.send(connection.stream, data)
    else:
        connection.stream.write(data, exchange.settings.idle_timeout)
    exchange.started = time.monotonic()
    if exchange.body is None:
        exchange.upload = Upload(exchange, waits=message.expects_continue)
    else:
        exchange.deadline = exchange.started + exchange.settings.first_byte_timeout
    return turn


def _framed(exchange: Exchange, head: bytes) -> bytes:
    message = exchange.request.message
    body = exchange.body
    if body is None:
        if message.length is None or message.trailers:
            trailer = message.headers.get(b"trailer")
            line = b"Trailer: %b\r\n" % trailer if trailer else b""
            return b"%bTransfer-Encoding: chunked\r\n%b\r\n" % (head, line)
        return b"%bContent-Length: %d\r\n\r\n" % (head, message.length)
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def _pass_on(exchange: Exchange, incoming: Incoming) -> None:
    # An interim response (RFC 9110 15.2).
    if incoming.status == 100:
        if exchange.upload is not None:
            exchange.upload.go()  # the server says 100 to the client by itself as soon as the body is read
        return
    if exchange.deadline != math.inf:
        exchange.deadline = time.monotonic() + exchange.settings.first_byte_timeout
    fields = exchange.mounted.response_fields(incoming, exchange.request, exchange.peer)
    lines = header_lines(fields)
    exchange.response.send_interim(incoming.status, b"".join(lines.values()))
