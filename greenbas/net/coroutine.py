"""`Coroutine`: the greenlet of a function that owns a socket."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub
from greenlet import GreenletExit, getcurrent, greenlet

from greenbas.dispatcher import current_owner
from greenbas.errors import NetError

if TYPE_CHECKING:
    from greenbas.net.socket import Socket

__all__ = ["Coroutine", "getsock", "join", "switch_now"]

_running: weakref.WeakSet[Coroutine] = weakref.WeakSet()
_log = logging.getLogger("greenbas.net")


class Coroutine(gevent.Greenlet):
    """Runs ``function(socket, *args)`` and closes the socket at its end, if it owns it still.

    Args:
        socket: what the function works on.
        function: a plain blocking function.
        args: what it is called with besides.

    Attributes:
        socket: the socket.
        failed: whether the function raised.
    """

    def __init__(self, socket: Socket, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__()
        self.socket = socket
        self.failed = False
        self._call = (function, args)
        self.name = f"cosocket {getattr(function, '__qualname__', function)}"
        self.gr_context = copy_context()

    def begin(self) -> None:
        """Run it until it waits for the first time; then the caller goes on (BAS: an event function runs at once)."""
        owner = current_owner()
        if owner is not None:
            owner.watch(self)
        _running.add(self)
        switch_now(self)

    def _run(self) -> None:
        function, args = self._call
        del self._call
        try:
            function(self.socket, *args)
        except GreenletExit:
            pass
        except NetError as error:
            # A peer that went away is no mistake of the program.
            self.failed = True
            _log.info("%s ended: %s", self.name, error)
        except Exception:
            self.failed = True
            _log.exception("%s failed; its socket is closed", self.name)
        finally:
            self.socket.release(self)


def getsock() -> Socket | None:
    """The socket of the cosocket that runs; None elsewhere (BAS ``ba.socket.getsock``)."""
    current = getcurrent()
    return current.socket if isinstance(current, Coroutine) else None


def join(timeout: float | None = None) -> bool:
    """Wait until no function has a socket any more that listens or is connected: the last line of a script of sockets.

    Args:
        timeout: seconds; None waits as long as it takes.

    Returns:
        False when the time was over first.
    """
    with gevent.Timeout(timeout, False):
        while busy := [one for one in list(_running) if not one.dead and one.socket.is_open()]:
            gevent.joinall(busy, count=1)
        return True
    return False


def switch_now(target: greenlet, *values: Any) -> None:
    """Run another greenlet until it waits, and go on: as calling it, from any greenlet or from the hub."""
    hub, current = get_hub(), getcurrent()
    if current is hub:
        target.switch(*values)
        return
    back = hub.loop.run_callback(current.switch)
    try:
        target.switch(*values)
    finally:
        back.stop()
