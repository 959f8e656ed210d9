"""`HandshakeLine`: a socket of this room as the TLS handshake of `greenbas.net` sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenbas.errors import SocketClosed, TimedOut
from greenbas.luasocket.waiting import READ, WRITE, wait

if TYPE_CHECKING:
    from greenbas.luasocket.secure import SecureSocket
    from greenbas.net.tls import TlsChannel

__all__ = ["HandshakeLine"]


class HandshakeLine:
    """What `handshake` sees of a socket: as much of a stream as it uses, with this room's way of waiting.

    Args:
        owner: the socket; both its directions are claimed.
    """

    def __init__(self, owner: SecureSocket) -> None:
        self._owner = owner
        self.sock = owner._open()
        self.secure = owner._channel is not None

    def __repr__(self) -> str:
        return repr(self._owner)

    @property
    def closed(self) -> bool:
        """Whether the socket has been closed meanwhile."""
        return self._owner._sock is not self.sock

    def peername(self) -> tuple[str, int, bool]:
        """See `Stream.peername`."""
        return self._owner.peername()

    def take_pushed(self) -> bytes:
        """What came before the handshake is part of it; to take it for data would let anybody insert some."""
        return self._owner._buffer.take()

    def claim_writing(self) -> None:
        """Nothing to do: `upgrade` has claimed both directions."""

    def release_writing(self, before: None) -> None:
        """See `claim_writing`."""

    def install(self, channel: TlsChannel) -> None:
        """Move all bytes through the channel from here on."""
        self._owner._channel = channel

    def wait_readable(self, timeout: float | None) -> None:
        """Wait for input; raises TimedOut or SocketClosed."""
        self._wait(READ, timeout)

    def wait_writable(self, timeout: float | None) -> None:
        """Wait for room for output; raises TimedOut or SocketClosed."""
        self._wait(WRITE, timeout)

    def close(self) -> None:
        """Close the socket, after a failure."""
        if not self.closed:
            self._owner.close()

    def _wait(self, events: int, timeout: float | None) -> None:
        left = None if timeout is None else max(0.0, timeout)
        if not self.closed and not wait([(self.sock.fileno(), events)], left):
            raise TimedOut(f"{self._owner._words()} was not ready in time")
        if self.closed:
            raise SocketClosed(f"{self._owner._words()} was closed by another greenlet")
