"""What a client gets: the response of a backend, in pieces as they come, or a page that says why there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from greenbas import Response
from greenbas.errors import NetError, SocketClosed
from greenbas.protocol import reason as reason_phrase
from greenbas_plugins.proxy.body import IncomingBody
from greenbas_plugins.proxy.failure import ProxyFailure, Refused, Unavailable
from greenbas_plugins.proxy.hooks import ResponseIn
from greenbas_plugins.proxy.incoming import BODILESS
from greenbas_plugins.proxy.links import LinkRewriter, rewritable, unvalidated
from greenbas_plugins.proxy.mounted import header_lines
from greenbas_plugins.proxy.ownfields import beside_own
from greenbas_plugins.proxy.splicing import splice
from greenbas_plugins.proxy.trailers import response_trailers, trailer_lines

if TYPE_CHECKING:
    from greenbas_plugins.proxy.exchange import Exchange
    from greenbas_plugins.proxy.incoming import Incoming

__all__ = ["answer", "answer_failure"]

RESET_CONTENT = 205
WORDS = {
    502: "The server behind this one gave no proper answer.",
    503: "The server behind this one is busy or being restarted. Please try again in a moment.",
    504: "The server behind this one took too long to answer.",
    508: "This server and another one send the request to each other.",
}

_log = logging.getLogger("greenbas.proxy")


def answer(exchange: Exchange, incoming: Incoming) -> bool:
    """Pass a response on.

    Returns:
        Whether the connection to the backend stands behind the response, so that it may be used again.

    Raises:
        ProxyFailure: the backend failed before anything has left.
        NetError: the client is gone.
    """
    proxy = exchange.proxy
    if proxy.modify_response is not None or exchange.settings.rewrite_links:
        return answer_changed(exchange, incoming)
    lines = incoming.lines or exchange.mounted.lines(incoming, exchange.request, exchange.peer)
    connection, method = exchange.connection, exchange.request.method
    has_body = method != "HEAD" and incoming.status not in BODILESS
    if has_body and connection is not None and incoming.length == len(connection.buffer):
        # The way of most responses: all of it is there.
        data, connection.buffer = connection.buffer, b""
        send_whole(exchange, incoming.status, incoming.reason, lines, data)
        return True
    exchange.doubtful = not has_body
    body = IncomingBody(exchange, incoming, method)
    send(exchange, incoming.status, incoming.reason, lines, body, incoming.length)
    return body.leaves_clean


def answer_changed(exchange: Exchange, incoming: Incoming) -> bool:
    """The same, with a hook in between, or with links rewritten."""
    fields = exchange.mounted.response_fields(incoming, exchange.request, exchange.peer)
    exchange.doubtful = exchange.request.method == "HEAD" or incoming.status in BODILESS
    body = IncomingBody(exchange, incoming, exchange.request.method)
    found = ResponseIn(incoming.status, incoming.reason, fields, partial(next_piece, exchange, body))
    hook = exchange.proxy.modify_response
    if hook is not None:
        hook(exchange.request, found)
    fields, length = found.headers.pairs, incoming.length
    if found.body is not None:
        drain(exchange, body)
        send_whole(exchange, found.status, found.reason, header_lines(fields), found.body)
        return body.leaves_clean
    change: LinkRewriter | None = None
    if exchange.settings.rewrite_links and rewritable(found.status, fields):
        is_xml = any(name.lower() == b"content-type" and b"xml" in value.lower() for name, value in fields)
        here = exchange.mounted.here(exchange.request, exchange.peer)
        change = LinkRewriter(exchange.mounted.urls, here, xml=is_xml)
        fields, length = unvalidated(fields), None
    send(exchange, found.status, found.reason, header_lines(fields), body, length, change)
    return body.leaves_clean


def send(
    exchange: Exchange,
    status: int,
    reason: str,
    lines: Mapping[str, bytes],
    body: IncomingBody,
    length: int | None,
    change: LinkRewriter | None = None,
) -> None:
    """Send a head, and a body as it comes."""
    response = exchange.response
    first = b"" if body.complete else take(exchange, body)
    is_head = exchange.request.method == "HEAD"
    if status == RESET_CONTENT:
        # It must have no body (RFC 9110 15.3.6). If it has one nevertheless, that ends here, with the connection.
        send_whole(exchange, status, reason, lines, b"")
        return
    if body.complete and not is_head and not body.trailers:
        if change is not None:
            first = change.feed(first) + change.finish()
        send_whole(exchange, status, reason, lines, first)
        return
    begin(exchange, status, reason, lines)
    if length is not None:
        response.set_content_length(length)
    if is_head:
        if length is None:
            response.flush()
        return
    write = response.send if length is not None else partial(write_at_once, response)
    if change is not None:
        first = change.feed(first)
    if first or length is not None:
        write(first)
    else:
        response.flush()  # the head alone: whoever awaits events shall know that they will come
    exchange.half_closed = exchange.request.is_gone(half_closed=True)
    relay(exchange, body, write, change)
    if body.trailers:
        response.set_trailers(trailer_lines(response_trailers(body.trailers)))


def write_at_once(response: Response, data: bytes) -> None:
    """Send a piece of a body whose length nobody knows."""
    response.write(data)
    response.flush()


def relay(
    exchange: Exchange, body: IncomingBody, write: Callable[[bytes], object], change: LinkRewriter | None
) -> None:
    """Move the rest of a body; the head has gone."""
    response = exchange.response
    connection = exchange.connection
    assert connection is not None
    above = exchange.settings.splice_above
    while not body.complete:
        if change is None and body.left is not None and body.left >= above and not connection.stream.secure:
            if response.send_by(lambda stream: splice(exchange, body, stream)):
                continue
            above = body.left + 1  # it cannot be done here, or the backend failed, which the next read tells
        if data := following(exchange, body):
            if change is not None:
                data = change.feed(data)
            write(data)
    if change is not None and (data := change.finish()):
        write(data)


def send_whole(exchange: Exchange, status: int, reason: str, lines: Mapping[str, bytes], body: bytes) -> None:
    """Send a response that is at hand."""
    response = exchange.response
    if status != 200 or reason != "OK":
        set_status(response, status, reason)
    if "set-cookie" in lines or exchange.cookie or exchange.request.used_session is not None:
        lines = beside_own(exchange.response, lines, exchange.cookie)
    response.finish_with(body, lines)


def begin(exchange: Exchange, status: int, reason: str, lines: Mapping[str, bytes]) -> None:
    """Give the response its head; it has not left."""
    set_status(exchange.response, status, reason)
    if "set-cookie" in lines or exchange.cookie or exchange.request.used_session is not None:
        lines = beside_own(exchange.response, lines, exchange.cookie)
    exchange.response.adopt_lines(lines)


def set_status(response: Response, status: int, reason: str) -> None:
    """Status and reason; the usual phrase is not kept, as the server has its line ready."""
    response.set_status(status, None if reason == reason_phrase(status) else reason)


def take(exchange: Exchange, body: IncomingBody) -> bytes:
    """What has come behind the head, before anything has left."""
    try:
        return body.take()
    except (NetError, ProxyFailure) as error:
        raise exchange.failure_of(error) from error


def next_piece(exchange: Exchange, body: IncomingBody) -> bytes:
    """The next piece, while nothing has left."""
    try:
        return body.next()
    except (NetError, ProxyFailure) as error:
        raise exchange.failure_of(error) from error


def following(exchange: Exchange, body: IncomingBody) -> bytes:
    """The next piece, when the head has gone."""
    try:
        return body.next()
    except (NetError, ProxyFailure) as error:
        raise failed_midway(exchange, error) from error


def drain(exchange: Exchange, body: IncomingBody) -> None:
    """Take what has come of a body that nobody wants."""
    if not body.complete:
        take(exchange, body)


def failed_midway(exchange: Exchange, error: Exception) -> NetError:
    """The client has part of the answer: only the end of the connection tells it that this is not all."""
    failure = exchange.failure_of(error)
    level = logging.WARNING if isinstance(failure, ProxyFailure) else logging.DEBUG  # or the client has gone
    _log.log(level, "%s %s: the answer is cut short: %s", exchange.request.method, exchange.request.target, failure)
    broken = SocketClosed(f"the answer is cut short: {failure}")
    exchange.response.break_off(broken)
    return broken


def answer_failure(exchange: Exchange, failure: ProxyFailure) -> None:
    """Tell the client that there is no answer, and the log why."""
    request, response = exchange.request, exchange.response
    _log.warning("%d for %s %s: %s", failure.status, request.method, request.target, failure)
    hook = exchange.proxy.on_error
    if response.committed():
        response.break_off(SocketClosed(str(failure)))
        return
    if isinstance(failure, Unavailable):
        response.set_header("Retry-After", str(exchange.proxy.upstreams.retry_after()))
    if hook is not None and hook(request, response, failure):
        return
    told = request.dev or isinstance(failure, Refused)
    response.send_error(failure.status, str(failure) if told else WORDS[failure.status])
