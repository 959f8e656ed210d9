"""The flow control of a socket: resting, and being woken."""

from __future__ import annotations

import socket as constants
from typing import Any

from gevent import get_hub
from greenlet import getcurrent

from greenbas.errors import IncorrectUse, NetError, SocketClosed
from greenbas.net.coroutine import switch_now
from greenbas.net.socketbase import SocketBase

__all__ = ["FlowControl"]


class FlowControl(SocketBase):
    """Rests until somebody else wants it to go on, with values passed across."""

    __slots__ = ()

    def disable(self) -> Any:
        """Rest until somebody calls `enable`, receiving nothing meanwhile (BAS ``sock:disable``).

        Called by others, it stops the receiving of a function that waits in `read`, without a time-out.

        Returns:
            What `enable` was called with: None, the value, or a tuple of several.

        Raises:
            SocketClosed: the connection ended meanwhile.
            IncorrectUse: a cosocket that was connected is closed; or, called by others, its function does not read.
        """
        if not self.owner():
            self._hold()
            return None
        if self._stream is None and self._was_connected:
            raise IncorrectUse("a cosocket whose connection is closed cannot be disabled: nobody would wake it")
        self._resting = getcurrent()
        # Who has read the end already waits for something else, such as the other direction.
        if self._stream is not None and self._kind in ("tcp", "websocket") and not self._ends:
            self._stream.park(self._look_for_end)
        try:
            values = get_hub().switch()
        finally:
            self._resting = None
            if self._stream is not None:
                self._stream.pause()
        if isinstance(values, NetError):
            raise values
        return values if len(values) > 1 else values[0] if values else None

    def enable(self, *values: Any) -> bool | None:
        """End a `disable` (BAS ``sock:enable``). The function goes on at once, until it waits again.

        Args:
            *values: what its `disable` returns.

        Returns:
            Whether the function is still at it; None when it was not disabled.
        """
        resting = self._resting
        if resting is not None:
            self._resting = None
            switch_now(resting, values)
            return not resting.dead
        if self._held:
            self._held = False
            if self._stream is not None:
                self._stream.resume()
            return self._coroutine is not None
        return None

    def _hold(self) -> None:
        stream = self._stream
        if stream is None or not stream.is_read or self._timed or self._coroutine is None:
            raise IncorrectUse(f"{self!r} can be disabled by others only while it waits in read() without a time-out")
        self._held = True
        stream.pause()

    def _look_for_end(self) -> None:
        # In the hub, while it is disabled: data stays where it is, and behind data no end can be seen.
        stream = self._stream
        if stream is None:
            return
        try:
            ended = not stream.sock.recv(1, constants.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        stream.pause()
        if ended:
            self._wake(SocketClosed("the peer closed the connection while it was disabled"))
