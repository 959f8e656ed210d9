"""What TCP, UDP and Unix sockets have in common: the descriptor, the class that changes, time-outs, and waiting."""

from __future__ import annotations

import _socket
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

from greenbas.dispatcher import greenlet_name, yield_hub
from greenbas.errors import SocketBusy, SocketClosed, TimedOut
from greenbas.luasocket.addresses import address_name
from greenbas.luasocket.deadline import Timeouts
from greenbas.luasocket.messages import ErrorText, error_text
from greenbas.luasocket.options import Option, get_option, set_option
from greenbas.luasocket.usage import number
from greenbas.luasocket.waiting import READ, WRITE, close_socket, give_turn, took, wait

__all__ = ["BaseSocket", "Done", "Value"]

P = ParamSpec("P")
R = TypeVar("R")

Done = tuple[int, None] | tuple[None, ErrorText]  # what calls return that succeed with 1
Value = tuple[Any, None] | tuple[None, ErrorText]
DONE: tuple[int, None] = (1, None)


class BaseSocket:
    """A socket object of LuaSocket.

    A socket may be unborn, without a descriptor, until a call decides on its family.

    Args:
        group: the first word of its class, such as "tcp".
        state: the second one, such as "master".
        kind: SOCK_STREAM or SOCK_DGRAM.
        sock: the socket, which belongs to this object from here; None while it is unborn.
    """

    __slots__ = (
        "__weakref__",
        "_family",
        "_group",
        "_kind",
        "_peer",
        "_reader",
        "_sock",
        "_state",
        "_timeouts",
        "_writer",
    )

    _options: ClassVar[dict[str, Option]] = {}

    def __init__(self, group: str, state: str, kind: int, sock: _socket.socket | None = None) -> None:
        self._group = group
        self._state = state
        self._kind = kind
        self._sock = sock
        self._family: int = socket.AF_UNSPEC
        self._peer = ""  # whom it is for, in words: a broken connection cannot be asked
        self._timeouts = Timeouts()
        self._reader: greenlet | None = None
        self._writer: greenlet | None = None
        if sock is not None:
            sock.setblocking(False)
            self._family = sock.family

    def __repr__(self) -> str:
        return f"{self.class_}: 0x{id(self):012x}"

    def __del__(self) -> None:
        # As in Lua, a socket that nobody has any more is closed, and that is no mistake worth a warning.
        sock = getattr(self, "_sock", None)
        if sock is not None:
            sock.close()

    @property
    def class_(self) -> str:
        """The class as it is now, such as "tcp{client}" (LuaSocket ``obj.class``; ``getattr(obj, "class")`` too)."""
        return f"{self._group}{{{self._state}}}"

    # The descriptor.

    def getfd(self) -> int:
        """The descriptor; -1 when there is none."""
        return -1 if self._sock is None else self._sock.fileno()

    def setfd(self, fd: int) -> None:
        """Use another descriptor from now on. The old one is neither closed nor kept: it belongs to the caller.

        Args:
            fd: a socket's descriptor, -1 for none. It becomes non-blocking, and is closed with this object.

        Raises:
            OSError: it is no descriptor of a socket.
        """
        wanted = int(number(fd, 1, "setfd"))
        made = None if wanted < 0 else _socket.socket(fileno=wanted)
        if self._sock is not None:
            self._sock.detach()
        self._take(made)

    def close(self) -> int:
        """Close; greenlets that wait on the socket get "closed". Closing again does nothing.

        Returns:
            1
        """
        sock, self._sock = self._sock, None
        if sock is not None:
            close_socket(sock)
        return 1

    def dirty(self) -> bool:
        """Whether bytes have been read that nobody has received yet; `select` then does not wait."""
        return False

    # Time-outs.

    def settimeout(self, value: float | str | None = None, mode: str | None = "b") -> int:
        """Limit how long calls wait.

        Args:
            value: seconds; 0 does not wait at all, None or a negative one waits for ever.
            mode: "b" for each wait, "t" (or "r") for a whole call. With only one of them set, both mean the whole call.

        Returns:
            1
        """
        self._timeouts.set(value, "b" if mode is None else mode)
        return 1

    def gettimeout(self) -> tuple[float, float]:
        """Both time-outs in seconds: block and total; -1 is none."""
        return self._timeouts.block, self._timeouts.total

    # Options and names.

    def setoption(self, name: str, value: Any = None) -> Done:
        """Set an option of the socket; see `options`.

        Raises:
            TypeError, ValueError: the name or the value is wrong.
        """
        try:
            set_option(self._options, self._sock, name, value)
        except OSError as error:
            return None, ErrorText("setsockopt failed", None, f"set {name} of {self._words()}: {error}")
        return DONE

    def getoption(self, name: str) -> Value:
        """An option of the socket; see `options`. Unpack both values: an option may itself be None or False."""
        try:
            return get_option(self._options, self._sock, name), None
        except OSError as error:
            return None, ErrorText("getsockopt failed", None, f"get {name} of {self._words()}: {error}")

    def getfamily(self) -> str:
        """ "inet4" or "inet6"; "inet4" before that is decided."""
        return "inet6" if self._family == socket.AF_INET6 else "inet4"

    def getsockname(self) -> tuple[Any, Any, Any]:
        """The own address: text, port, and "inet" or "inet6"; or None and the error."""
        return self._name(lambda sock: sock.getsockname())

    def _name(self, ask: Callable[[_socket.socket], Any]) -> tuple[Any, Any, Any]:
        try:
            sock = self._born()
            return address_name(ask(sock), sock.family)
        except OSError as error:
            return None, error_text(error, f"the address of {self._words()}"), None

    # For the kinds of sockets.

    def _take(self, sock: _socket.socket | None) -> None:
        """Go on with another socket."""
        self._sock = sock
        if sock is not None:
            sock.setblocking(False)
            self._family = sock.family

    def _born(self) -> _socket.socket:
        if self._sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._sock

    def _open(self) -> _socket.socket:
        if self._sock is None:
            raise SocketClosed(f"{self._words()} is closed")
        return self._sock

    def _words(self) -> str:
        """The object and its peer, for messages."""
        return f"{self.class_} (peer {self._peer})" if self._peer else self.class_

    def _need(self, function: str, *states: str) -> None:
        if self._state not in states:
            wanted = f"{self._group}{{{states[0] if len(states) == 1 else 'any'}}}"
            raise TypeError(f"calling '{function}' on bad self ({wanted} expected, got {self.class_})")

    def _reading(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what reads, as the only greenlet that does."""
        if self._reader is not None:
            raise self._busy("reads", self._reader)
        self._reader = getcurrent()
        try:
            return function(*args, **kwargs)
        finally:
            self._reader = None

    def _writing(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what writes or connects, as the only greenlet that does."""
        if self._writer is not None:
            raise self._busy("writes to", self._writer)
        self._writer = getcurrent()
        try:
            return function(*args, **kwargs)
        finally:
            self._writer = None

    def _busy(self, does: str, other: greenlet) -> SocketBusy:
        return SocketBusy(f"{greenlet_name()} {does} {self._words()} while {greenlet_name(other)} does")

    def _attempt(self, events: int, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call what does not block, and wait while it says that it would.

        Raises:
            TimedOut, SocketClosed: instead of a result.
            OSError: what the call raises.
        """
        give_turn()
        sock = self._open()
        polled = False
        while True:
            try:
                result = call(*args, **kwargs)
            except BlockingIOError:
                if not self._timeouts.polls:
                    self.wait_for(events)
                elif polled:
                    raise TimedOut(f"{self._words()} is not ready") from None
                else:
                    polled = True
                    yield_hub()  # the peer may be a greenlet, and a loop that polls must not keep it from running
                if self._sock is not sock:
                    raise SocketClosed(f"{self._words()} was closed by another greenlet") from None
                continue
            took(0)
            return result

    def wait_for(self, events: int) -> None:
        """Suspend the greenlet as long as the time-outs allow, until the socket is ready or closed.

        Args:
            events: 1 for input, 2 for room for output.

        Raises:
            TimedOut: the time is over.
        """
        if not wait([(self._open().fileno(), events)], self._timeouts.remaining()):
            raise TimedOut(f"{self._words()} was not ready {'to read' if events == READ else 'to write'} in time")

    def _connect(self, place: Any) -> None:
        """Connect to one address."""
        sock = self._open()
        code = sock.connect_ex(place)
        if code == errno.ECONNABORTED:
            # The end of an earlier attempt, whose reason has been told already: only now the kernel begins another one.
            code = sock.connect_ex(place)
        if code in (errno.EINPROGRESS, errno.EAGAIN):
            if self._timeouts.polls:
                yield_hub()
                raise TimedOut(f"{self._words()} is not connected yet")
            self.wait_for(WRITE)
            if self._sock is not sock:
                raise SocketClosed(f"{self._words()} was closed by another greenlet")
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))


# Under a name that no Python source can use with a dot.
setattr(BaseSocket, "class", BaseSocket.class_)
