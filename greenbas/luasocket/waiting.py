"""Waiting for descriptors: on the hub where the thread has one, else with poll(2).

A native thread without a hub has nobody else to run, so it may as well block in the kernel; giving it a hub of its own
would cost an epoll descriptor, which nobody closes before the thread ends. What waits is noted by descriptor, so that
closing a socket wakes whoever waits for it, in this thread or another, through whatever object wraps it.
"""

from __future__ import annotations

import _socket
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any

from gevent import monkey
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from greenbas.dispatcher import yield_hub
from greenbas.errors import IncorrectUse

__all__ = ["READ", "WRITE", "close_socket", "give_turn", "poll", "took", "wait"]

READ, WRITE = 1, 2  # libev's event flags

# Bytes moved without waiting after which others get a turn, as in net/stream.py; a call counts for some bytes too.
_TURN = 1024 * 1024
_CALL = 2048

_EXPIRED = object()
_READY = object()
_LONGEST = 2**31 // 1000 - 1  # seconds that poll(2) can count
_BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL
_FLAGS = {READ: select.POLLIN | select.POLLPRI, WRITE: select.POLLOUT}
_FLAGS[READ | WRITE] = _FLAGS[READ] | _FLAGS[WRITE]

_new_poll: Callable[[], Any] = monkey.get_original("select", "poll")
# Native, because threads share what it guards; it is held for a few instructions and no switch. Reentrant, because the
# collector may close a forgotten socket in the middle of them.
_lock: Any = monkey.get_original("_thread", "RLock")()
_waits: dict[int, set[_Wait]] = {}
_closed: dict[int, _socket.socket] = {}  # closed by one thread while another waits; that one closes the descriptor
_moved = 0

Interest = Sequence[tuple[int, int]]


class _Wait:
    """One greenlet, or one native thread, that waits for some descriptors."""

    __slots__ = ("_greenlet", "_over", "_watchers", "hub")

    def __init__(self, hub: Hub | None) -> None:
        self.hub = hub
        self._greenlet: greenlet = getcurrent()
        self._watchers: list[Any] = []
        self._over = False

    def for_events(self, interest: Interest, seconds: float | None) -> bool:
        """Wait in the hub; False when time ran out."""
        hub, switch = self.hub, self._greenlet.switch
        assert hub is not None
        try:
            for fd, events in interest:
                watcher = hub.loop.io(fd, events)
                self._watchers.append(watcher)
                watcher.start(switch, _READY)
            if seconds is not None:
                timer = hub.loop.timer(seconds)
                self._watchers.append(timer)
                timer.start(switch, _EXPIRED, update=True)
            return hub.switch() is not _EXPIRED
        finally:
            self._over = True
            self._stop()

    def cancel(self) -> None:
        """Wake it, in its own thread, because a descriptor is about to be closed."""
        assert self.hub is not None
        self._stop()  # at once: the descriptor's number may be another socket's in a moment
        self.hub.loop.run_callback(self._wake)

    def _wake(self) -> None:
        if not self._over:  # it may have gone on by itself since
            self._greenlet.switch(_READY)

    def _stop(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.stop()
            watcher.close()


def wait(interest: Interest, seconds: float | None) -> bool:
    """Suspend the caller until one of some descriptors is ready, broken or closed by somebody.

    Args:
        interest: descriptors, each with READ, WRITE or both.
        seconds: how long; None is for ever.

    Returns:
        Whether that happened; False when the time ran out.

    Raises:
        IncorrectUse: the caller is a callback of the hub.
    """
    hub = get_hub_if_exists()
    if hub is not None and getcurrent() is hub:
        raise IncorrectUse("a callback of the hub cannot wait for a socket: spawn a greenlet")
    waiting = _Wait(hub)
    with _lock:
        for fd, _ in interest:
            others = _waits.get(fd)
            if others is None:
                _waits[fd] = {waiting}
            else:
                others.add(waiting)
    try:
        if hub is None:
            return bool(poll(interest, seconds))
        return waiting.for_events(interest, seconds)
    finally:
        with _lock:
            for fd, _ in interest:
                _forget(fd, waiting)


def _forget(fd: int, waiting: _Wait) -> None:
    others = _waits.get(fd)
    if others is not None:
        others.discard(waiting)
        if not others:
            del _waits[fd]
            closed = _closed.pop(fd, None)
            if closed is not None:
                closed.close()


def poll(interest: Interest, seconds: float | None) -> dict[int, int]:
    """The descriptors that are ready within the time, with READ and WRITE; a broken one is ready for all it was asked.

    It blocks the native thread: with a hub only for 0 seconds.
    """
    poller = _new_poll()
    asked: dict[int, int] = {}
    for fd, events in interest:
        asked[fd] = asked.get(fd, 0) | events
    for fd, events in asked.items():
        poller.register(fd, _FLAGS[events])
    limit = None if seconds is None else min(seconds, _LONGEST) * 1000
    return {fd: _events(flags, asked[fd]) for fd, flags in poller.poll(limit)}


def _events(flags: int, asked: int) -> int:
    if flags & _BROKEN:
        return asked
    return (READ if flags & _FLAGS[READ] else 0) | (WRITE if flags & _FLAGS[WRITE] else 0)


def close_socket(sock: _socket.socket) -> None:
    """Close a socket; whoever waits for it is woken."""
    fd = sock.fileno()
    hub = get_hub_if_exists()
    with _lock:
        waits = list(_waits.get(fd, ()))
        foreign = any(one.hub is None or one.hub is not hub for one in waits)
        if foreign:
            # A thread cannot wake another one's greenlet, but the end of the connection does; then it closes.
            _closed[fd] = sock
    for one in waits:
        if one.hub is hub and hub is not None:
            one.cancel()
    if foreign:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected; waiters are woken all the same
    else:
        sock.close()


def took(count: int) -> None:
    """Note that a call has moved `count` bytes without waiting."""
    global _moved
    _moved += count + _CALL


def give_turn() -> None:
    """Let every other greenlet have a turn when much was moved.

    Called before something is moved: what was moved already would be lost if the greenlet were killed meanwhile.
    """
    global _moved
    if _moved >= _TURN:
        _moved = 0
        yield_hub()
