"""`Upload`: the body of a request on its way to a backend, in a greenlet beside the one that awaits the answer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from greenbas import Request, spawn
from greenbas.errors import NetError, RemoteProtocolError
from greenbas_plugins.proxy.splicing import splice_up
from greenbas_plugins.proxy.trailers import request_trailers, trailer_lines

if TYPE_CHECKING:
    from greenbas.net import Stream
    from greenbas_plugins.proxy.exchange import Exchange

__all__ = ["Upload"]

# RFC 9110 10.1.1: a client must not wait for 100 for ever, as a server may know nothing of it. curl waits as long.
CONTINUE_SECONDS = 1.0


class Upload:
    """Sends a body that is still arriving. Nothing is read ahead of the backend, so TCP slows the client down.

    Args:
        exchange: the request; its connection to the backend is there.
        waits: for 100 Continue from the backend.

    Attributes:
        begun: something was read from the client: the request cannot be sent to anybody else.
        done: the backend has it all.
        problem: why the client's body cannot be had.
    """

    def __init__(self, exchange: Exchange, waits: bool) -> None:
        assert exchange.connection is not None
        self._exchange = exchange
        self._connection = exchange.connection
        self._go = Event() if waits else None
        self.begun = False
        self.done = False
        self.problem: Exception | None = None
        self._above: float = max(1, exchange.settings.splice_above)
        self._greenlet: Any = spawn(self._run, name=f"upload {exchange.request.method} {exchange.request.target}")

    def go(self) -> None:
        """The backend wants the body."""
        if self._go is not None:
            self._go.set()

    def stop(self) -> None:
        """Nobody wants the rest."""
        if not self._greenlet.dead:
            self._greenlet.kill()

    def _run(self) -> None:
        if self._go is not None:
            self._go.wait(CONTINUE_SECONDS)
        stream = self._connection.stream
        timeout = self._exchange.settings.idle_timeout
        exchange = self._exchange
        pieces = _framed(exchange.request)
        while True:
            self.begun = True
            try:
                piece = next(pieces, b"")
            except (RemoteProtocolError, NetError) as error:
                self._fail(error)
                return
            if not piece:
                break
            if not (self._send(stream, piece, timeout) and self._splice(stream, timeout)):
                return
        self.done = True
        if exchange.deadline == math.inf and exchange.awaits_head:
            exchange.deadline = time.monotonic() + exchange.settings.first_byte_timeout

    # Both return whether it went. If not, the backend may have answered already: whoever reads from it will see.

    def _send(self, stream: Stream, piece: bytes, timeout: float) -> bool:
        try:
            stream.write(piece, timeout)
        except NetError as error:
            self._give_up(error, timeout)
            return False
        return True

    def _splice(self, stream: Stream, timeout: float) -> bool:
        request = self._exchange.request
        message = request.message
        if message.length is None or message.chunks or message.length - message.received < self._above:
            return True
        received = message.received
        try:
            failure = splice_up(request, stream, timeout)
        except (RemoteProtocolError, NetError) as error:
            self._fail(error)
            return False
        if isinstance(failure, NetError):
            self._give_up(failure, timeout)
        elif failure is not None:
            raise failure
        elif message.received == received:
            self._above = math.inf  # one of the two is encrypted
        return failure is None

    def _give_up(self, error: NetError, timeout: float) -> None:
        if isinstance(error, TimeoutError):
            self._exchange.end_late(f"it took nothing of the request for {timeout:g} s ({error})")

    def _fail(self, error: Exception) -> None:
        # The client's fault. The backend sees the end of the connection, and no complete request.
        self.problem = error
        self._connection.close()


def _framed(request: Request) -> Iterator[bytes]:
    message = request.message
    if message.length is not None:
        yield from request.stream.chunks()
        return
    for chunk in request.stream.chunks():
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    yield b"0\r\n" + trailer_lines(request_trailers(message.trailers)) + b"\r\n"
