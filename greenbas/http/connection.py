"""`Connection`: one client, from accept to close: parked between requests, served by a worker."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from gevent import Timeout
from greenlet import GreenletExit, getcurrent

from greenbas.dispatcher import spawn, yield_hub
from greenbas.errors import BodyTooLarge, IncorrectUse, NetError, Overloaded, RemoteProtocolError, RequestDeadline
from greenbas.http.deferred import DeferredResponse
from greenbas.http.errorpage import error_page
from greenbas.http.request import Request
from greenbas.http.response import Response
from greenbas.net import Stream
from greenbas.protocol import Message, RequestReader

if TYPE_CHECKING:
    from greenbas.http.service import HttpService

__all__ = ["KILLS", "Connection", "State"]

READ_SIZE = 32 * 1024  # bytes the parked callback asks for: a head and a small body, or many pipelined heads
PIPELINED_PER_TURN = 16  # pipelined requests served before others get a turn: about half a millisecond
# An unread body up to this size is read and dropped so that the connection can go on; beyond it closing is cheaper.
DISCARD_SIZE = 256 * 1024
DISCARD_SECONDS = 5.0
# After a refusal the client may still be sending; closing with unread bytes would reset the connection and the client
# would never see why (RFC 9112 9.6). nginx lingers up to 30 s; bytes on a fast network are what costs.
LINGER_SIZE = 32 * 1024 * 1024
LINGER_SECONDS = 5.0
LAST_SECONDS = 1.0  # for a client whose request was complete: it has one more on its way at most

# For all deferred responses when the server stops: nobody tells their owners, and a client asks again elsewhere.
DEFERRED_AT_STOP = 5.0

# What ends a worker from outside; a handler's failures of any other kind are answered.
KILLS = (GreenletExit, KeyboardInterrupt)

_log = logging.getLogger("greenbas.http")
_OVERLOADED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"


class State(Enum):
    """Where a connection stands."""

    HEAD = "head"  # a head is awaited, or has begun
    IDLE = "idle"  # between requests
    BUSY = "busy"  # a worker has it, or will
    DETACHED = "detached"  # somebody else has the stream: a WebSocket, a cosocket
    CLOSED = "closed"


Exchange = tuple[Request, Response, float]

_BUSY, _IDLE = State.BUSY, State.IDLE  # global names are found faster than members of an enum


class Connection:
    """One HTTP connection.

    Args:
        service: the server it belongs to.
        stream: the accepted client.
        data: what has been read from it already.
    """

    __slots__ = (
        "_concluding",
        "_deadline",
        "_deferred",
        "_deferred_response",
        "_going_away",
        "_handed",
        "_message",
        "_paused",
        "_started",
        "reader",
        "request",
        "service",
        "since",
        "state",
        "stream",
    )

    def __init__(self, service: HttpService, stream: Stream, data: bytes = b"") -> None:
        self.service = service
        self.stream = stream
        self.reader = RequestReader(service.reader_limits, service.heads)
        self.state = State.HEAD
        self.since = time.monotonic()  # when the state began
        self.request: Request | None = None  # the one that is served now
        self._message: Message | None = None  # on its way to the worker
        self._deferred_response: weakref.ref[DeferredResponse] | None = None  # who has it
        self._deferred = False  # the response of the request served last is somebody else's to finish
        self._concluding: Exchange | None = None  # a deferred response that is to be finished
        self._started = 0.0  # when the request that is served came; only if somebody wants to know
        self._paused = False  # the stream looks for input no more: it came while a request was served
        self._going_away: Callable[[], object] | None = None  # tells the new owner of the stream that the server stops
        self._handed: weakref.ref[Stream] | None = None  # the stream, once it is his alone
        self._deadline: Timeout | None = None  # of the handler that runs
        stream.park(self._readable)
        if data:
            service.hub.loop.run_callback(self._begin_with, data)

    def __repr__(self) -> str:
        request = self.request
        return f"<Connection {self.state.value}{f' {request.method} {request.target}' if request else ''}>"

    def may_keep_alive(self, message: Message) -> bool:
        """Whether another request can follow, as far as is known when the head of the response leaves."""
        if not message.keep_alive or self.service.draining:
            return False
        if message.complete:
            return True
        if message.expects_continue:
            return False  # it may send the body or not: nobody can tell where the next request would begin
        return message.length is None or message.length - message.received <= DISCARD_SIZE

    def close(self) -> None:
        """Close the connection; a worker that is at it fails at its next read or write."""
        if self.state is State.DETACHED:
            return  # the stream is somebody else's
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            if self._concluding is not None:
                concluding, self._concluding = self._concluding, None
                self._end(*concluding)
            self.reader.close()
            self.stream.close()
            self.service.table.remove(self)

    def head_timed_out(self) -> None:
        """The head did not come in time: 408 for a begun one (RFC 9110 15.5.9), silence for none."""
        if self.reader.in_head:
            self.reader.error = RemoteProtocolError("the request head did not come in time", 408)
            self._hand_to_worker()
        else:
            self.close()

    def last_look(self) -> None:
        """At stop: close unless a request has arrived meanwhile."""
        self.service.hub.loop.run_callback(self._look_and_close)

    def defer(self, response: Response) -> DeferredResponse:
        """Detach the response of the request that is served; see `Response.deferred`."""
        assert self.request is not None
        request = self.request.twin()
        request.response = own = Response(self, request)
        own.adopt_head(response)
        self._deferred = True
        made = DeferredResponse(self, request, own, self._started)
        self._deferred_response = weakref.ref(made)
        self.since = time.monotonic()
        return made

    def conclude(self, request: Request, response: Response, started: float) -> None:
        """Finish a deferred response, and go on with what the client wants next."""
        if self.state is State.CLOSED:
            self._end(request, response, started)
            return
        self._concluding = request, response, started
        if self.request is None:  # otherwise its handler runs still, and its worker goes on with this
            self.service.hub.loop.run_callback(self._hand_to_worker)

    def end_forgotten(self, now: float) -> bool:
        """End a deferred response that nobody has written to for too long; called in the hub.

        At stop all of them are near their end: nobody tells their owners that the server waits.

        Returns:
            Whether it has been ended.
        """
        if not self._deferred or self.request is not None or self._concluding is not None:
            return False
        service = self.service
        seconds = service.settings.deferred_timeout
        stops = service.draining and now - service.drain_began > DEFERRED_AT_STOP
        if not stops and (seconds is None or now - self.since <= seconds):
            return False
        deferred = self._deferred_response() if self._deferred_response is not None else None
        return deferred is not None and deferred.time_out("the server stops" if stops else f"silent for {seconds:g} s")

    def abandon(self, request: Request, response: Response, started: float) -> None:
        """Close the connection of a deferred response that nobody will finish; called in the hub."""
        self._end(request, response, started)
        self.close()

    def detach(self, going_away: Callable[[], object] | None) -> bytes:
        """Give the stream away; see `Request.detach`. Returns the bytes that have been read from it already."""
        assert self.request is not None
        message = self.request.message
        if message.chunks is not None and message.length is None and not message.complete:
            raise IncorrectUse("read the request's body first: its end cannot be told from what comes behind it")
        rest = b"".join(message.chunks or ()) if not message.complete else b""
        self.request.response.hand_over()
        self.state = State.DETACHED
        self._going_away = going_away
        self.stream.pause()
        self.stream.on_close = self._forget
        rest += self.reader.take_rest()
        self.reader.close()
        if self._deadline is not None:
            self._deadline.close()  # it is for an answer
        self.service.workers.release_slot()
        return rest

    def go_away(self) -> None:
        """At stop, of a detached one: tell the stream's owner, in a greenlet."""
        going_away, self._going_away = self._going_away, None
        if going_away is not None:
            spawn(going_away, name=f"going away {self!r}")

    def close_now(self) -> None:
        """Close, whoever has the stream."""
        if self.state is not State.DETACHED:
            self.close()
        elif (stream := self.stream if self._handed is None else self._handed()) is not None:
            stream.close()

    # In the hub.

    def _begin_with(self, data: bytes) -> None:
        # As `_readable`, with what somebody else has read.
        if self.state is not State.HEAD:
            return
        self.reader.feed(data)
        self._message = self.reader.next()
        if self._message is not None or self.reader.error is not None:
            self._hand_to_worker()

    def _forget(self) -> None:
        self.state = State.CLOSED
        self._going_away = None
        self.service.table.remove(self)

    def _readable(self) -> None:
        if self.state is _BUSY and self._deferred and self.request is None and self._waits_for_end():
            return
        if self.state is _BUSY:
            # More while a request is served: it stays in the kernel, and TCP slows the client down.
            self.stream.pause()
            self._paused = True
            return
        try:
            data = self.stream.receive(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        reader = self.reader
        try:
            reader.feed(data)
            self._message = reader.next()
        except Exception:  # a bug of ours; the client shall not wait for an answer
            _log.exception("%r: the parser failed", self)
            self.close()
            return
        if self._message is not None or reader.error is not None:
            self._hand_to_worker()
        elif self.state is State.IDLE:
            self.state = State.HEAD
            self.since = time.monotonic()

    def _waits_for_end(self) -> bool:
        # A deferred response waits for something to say: its owner should know when there is no one to say it to. What
        # comes instead is the next request, which the reader keeps: one read of it, and the rest stays in the kernel.
        deferred = self._deferred_response() if self._deferred_response is not None else None
        if deferred is None or not deferred.complete:
            return False  # its body is still to be read, by whoever wants it
        try:
            data = self.stream.receive(READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.close()
            return True
        self.reader.feed(data)
        return False

    def _look_and_close(self) -> None:
        if self._is_waiting():
            self._readable()
            if self._is_waiting():
                self.close()

    def _is_waiting(self) -> bool:
        return self.state is State.IDLE or (self.state is State.HEAD and not self.reader.in_head)

    def _hand_to_worker(self) -> None:
        if self.state is State.CLOSED:
            return
        self.state = _BUSY
        try:
            self.service.workers.run(self._serve)
        except Overloaded:
            if self._concluding is not None:
                self._concluding[1].clear_keepalive()  # this answer is ready; no other handler is to run for it now
                spawn(self._serve, name=f"concluding {self!r}")
                return
            self.service.counters.refused += 1
            self._refuse_overloaded()

    def _refuse_overloaded(self) -> None:
        try:
            self.stream.try_send(_OVERLOADED)
        except NetError:
            pass  # it is closed in either case
        self.close()

    # In a worker.

    def _serve(self) -> None:
        try:
            self._serve_messages()
        except KILLS:
            self.close()
            raise
        except NetError as error:
            _log.debug("%r: %s", self, error)  # the client went away
            self.close()
        except BaseException:
            self.close()
            raise

    def _serve_messages(self) -> None:
        message, self._message = self._message, None
        served = 0
        if self._concluding is not None:
            if not self._conclude():
                return
            self.service.workers.take_slot()
            message = self.reader.next()
        while message is not None:
            if not self._exchange(message):
                if self.state is State.DETACHED:
                    return
                if not self._deferred:
                    self._linger(message)
                    return
                if self._concluding is None:
                    if self._paused and self.state is _BUSY:
                        self._paused = False
                        self.stream.park(self._readable)  # for the end of the client
                    return
                if not self._conclude():
                    return
            message = self.reader.next()
            if message is not None:  # pipelined
                served += 1
                self.service.workers.take_slot()
                if served % PIPELINED_PER_TURN == 0:
                    yield_hub()
        if self.reader.error is not None:
            self._refuse(self.reader.error)
        elif self.state is _BUSY:  # and not closed meanwhile
            self._park()

    def _park(self) -> None:
        self.since = time.monotonic()
        self.state = State.HEAD if self.reader.in_head else _IDLE
        if self._paused:
            self._paused = False
            self.stream.park(self._readable)
        if self.service.draining:
            self.last_look()

    def _exchange(self, message: Message) -> bool:
        # One request and its response; returns whether the connection can go on.
        service = self.service
        log = service.access_log
        self._started = started = time.monotonic() if log is not None else 0.0
        getcurrent().gr_context = None  # a request sees no context variables of the one before
        self.request = request = Request(message, self)
        request.response = response = Response(self, request)
        service.counters.requests += 1
        try:
            if message.error is None and service.settings.request_timeout is None:
                service.answer(request, response)
            else:
                self._answer_guarded(request, response)
            if self._deferred or self.state is State.DETACHED:
                return False
            response.finish()
            return response.keeps_alive and (message.chunks is None or self._discard_body(request))
        finally:
            if log is not None and not self._deferred:
                log.record(request, response, time.monotonic() - started)
            self.request = None
            request.expire()
            if self.state is State.DETACHED:
                # From here on the stream lives as long as its owner wants; see `Stream.__del__`.
                self._handed = weakref.ref(self.stream)
                del self.stream

    def _conclude(self) -> bool:
        # What is left of an exchange whose response was deferred; returns whether the connection can go on.
        assert self._concluding is not None
        (request, response, started), self._concluding = self._concluding, None
        self._deferred = False
        try:
            response.finish()
            goes_on = response.keeps_alive and (request.message.chunks is None or self._discard_body(request))
        finally:
            self._end(request, response, started)
        if not goes_on:
            self._linger(request.message)
        return goes_on

    def _end(self, request: Request, response: Response, started: float) -> None:
        # The end of an exchange whose response was deferred.
        log = self.service.access_log
        if log is not None:
            log.record(request, response, time.monotonic() - started)
        request.expire()

    def _answer_guarded(self, request: Request, response: Response) -> None:
        error = request.message.error
        if isinstance(error, BodyTooLarge):
            response.send_error(error.status)  # it says so itself: no handler has to read it first
            if not request.message.complete:
                response.clear_keepalive()
            return
        seconds = self.service.settings.request_timeout
        with Timeout(seconds, RequestDeadline(f"the request took longer than {seconds} s")) as self._deadline:
            self.service.answer(request, response)
        self._deadline = None

    def _discard_body(self, request: Request) -> bool:
        if request.message.complete:
            return True
        self.service.workers.release_slot()
        return request.stream.discard(DISCARD_SIZE, time.monotonic() + DISCARD_SECONDS)

    def _refuse(self, error: RemoteProtocolError) -> None:
        _log.info("refused %s: %s", self.stream.peername()[0], error)
        service = self.service
        service.counters.refused += 1
        page = error_page(error.status, str(error) if service.settings.dev else None).encode()
        head = service.head_start.lines(error.status) + (
            b"Content-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(page)
        )
        data = head if self.reader.refuses_head_method else head + page
        self.stream.write(data, service.settings.write_timeout)
        self._linger(None)

    def _linger(self, message: Message | None) -> None:
        # The client may be sending still. Read and drop for a while, so that the answer reaches it before a reset does.
        if message is None or not message.complete or not self.reader.finished:
            self.service.workers.release_slot()
            self.stream.shutdown()
            incomplete = message is None or not message.complete
            deadline = time.monotonic() + (LINGER_SECONDS if incomplete else LAST_SECONDS)
            left = LINGER_SIZE
            try:
                while left > 0 and (data := self.stream.read(timeout=deadline - time.monotonic())):
                    left -= len(data)
            except NetError:
                pass  # it closed by itself, or time is up
        self.close()
