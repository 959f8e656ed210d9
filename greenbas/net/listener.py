"""`Listener`: a listening socket that hands on what it accepts, in the hub."""

from __future__ import annotations

import _socket
import errno
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent import monkey
from gevent.hub import Hub

from greenbas.dispatcher.owner import current_owner
from greenbas.errors import IncorrectUse
from greenbas.net.binding import BACKLOG, listening

if TYPE_CHECKING:
    from greenbas.net.tls import ServerTls

__all__ = ["Listener"]

ACCEPTS_PER_TURN = 64  # then others get a turn: an accept costs about 20 microseconds
PAUSE = 0.1  # seconds without accepting when descriptors have run out: retrying at once would spin

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_log = logging.getLogger("greenbas.net")

_poll: Callable[[], Any] = monkey.get_original("select", "poll")

OnAccept = Callable[[_socket.socket], None]


class Listener:
    """A TCP listener on one address (BAS ``ba.create.servcon``).

    Args:
        hub: the hub whose callbacks accept.
        on_accept: called in the hub with each new socket, whose own it is then; it must not block. (`Stream` makes the
            socket non-blocking.)
        host: an address or name; "" listens on every address, IPv6 included.
        port: 0 lets the system choose.
        relieve: called when descriptors have run out; returns whether it freed one.

    Attributes:
        tls: the context of a listener whose clients begin with a TLS handshake; `set_tls` exchanges it.

    Raises:
        BindFailed: names the address and the reason.
    """

    def __init__(
        self,
        hub: Hub,
        on_accept: OnAccept,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        relieve: Callable[[], bool] = lambda: False,
    ) -> None:
        self._hub = hub
        self._on_accept = on_accept
        self._relieve = relieve
        self._host = host
        self._sock: _socket.socket | None = listening(host, port)
        self._watcher: Any = None
        self._timer: Any = None
        self.tls: ServerTls | None = None  # for whoever accepts: the clients of this listener begin with a handshake
        self._out_of_resources = False  # since the last accept; an outage is logged once
        owner = current_owner()
        if owner is not None:
            owner.watch(self)

    def __repr__(self) -> str:
        return f"<Listener {self.url_host}:{self.port}>" if self._sock is not None else "<Listener closed>"

    @property
    def closed(self) -> bool:
        """Whether it listens no more."""
        return self._sock is None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        assert self._sock is not None, "the listener is closed"
        name = self._sock.getsockname()
        return name[0], name[1]

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.address[1]

    @property
    def url_host(self) -> str:
        """The host as it stands in a URL: an address for everywhere becomes localhost, IPv6 gets brackets."""
        host = self.address[0]
        if host in ("0.0.0.0", "::"):
            return "localhost"
        return f"[{host}]" if ":" in host else host

    def set_tls(self, tls: ServerTls) -> None:
        """Use another context for connections that come from now on (BAS ``ba.create.servcon(con, op)``).

        Raises:
            IncorrectUse: it listens for connections in the clear.
        """
        self._secure()
        self.tls = tls

    def client_cert(self, ask: bool) -> None:
        """Ask clients for a certificate in the handshake, or not (BAS ``servcon:clientcert``).

        It changes the context, and with it all listeners that share that.

        Raises:
            IncorrectUse: it listens for connections in the clear.
        """
        self._secure().set_client_cert("ask" if ask else "no")

    def favor_rsa(self, favor: bool) -> None:
        """Prefer the RSA certificate where there is one of EC too (BAS ``servcon:favorRSA``); see `client_cert`."""
        self._secure().set_favor_rsa(favor)

    def start(self) -> None:
        """Begin to accept."""
        if self._sock is not None and self._watcher is None:
            self._watcher = self._hub.loop.io(self._sock.fileno(), 1)
            self._watcher.start(self._acceptable)

    def set_port(self, port: int, *, host: str | None = None) -> None:
        """Move to another port or address; connections that were accepted live on (BAS ``servcon:setport``).

        Raises:
            BindFailed: the new address cannot be listened on; the old one stays.
        """
        host = self._host if host is None else host
        if self._sock is not None and (host, port) == (self._host, self.port):
            return
        fresh = listening(host, port)
        started = self._watcher is not None
        self.close()
        self._host, self._sock = host, fresh
        if started:
            self.start()

    def close(self) -> None:
        """Stop listening; what waits in the kernel is accepted first. Closing again does nothing."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._watcher is not None:
            self._accept_from(sock, BACKLOG)
        for watcher in (self._watcher, self._timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._timer = None
        sock.close()

    def _secure(self) -> ServerTls:
        if self.tls is None:
            raise IncorrectUse(f"{self!r} has no TLS: open another one with tls=")
        return self.tls

    def _acceptable(self) -> None:
        if self._sock is not None:
            self._accept_from(self._sock, ACCEPTS_PER_TURN)

    def _accept_from(self, sock: Any, most: int) -> None:
        for _ in range(most):
            try:
                fd, _peer = sock._accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    continue  # the peer gave up while it waited: ECONNABORTED, EPROTO and their like
                # The kernel looks for a free descriptor before it looks whether anybody waits.
                if not _someone_waits(sock):
                    return
                if not self._relieve():
                    self._pause(error)
                    return
                continue
            self._out_of_resources = False
            accepted = _socket.socket(sock.family, sock.type, sock.proto, fileno=fd)
            try:
                self._on_accept(accepted)
            except Exception:
                accepted.close()
                _log.exception("a new connection was dropped")

    def _pause(self, error: OSError) -> None:
        if self._watcher is None or self._timer is not None:
            return
        if not self._out_of_resources:
            self._out_of_resources = True
            reason = error.strerror or os.strerror(error.errno or 0)
            _log.warning("cannot accept, trying again every %g s: %s", PAUSE, reason)
        self._watcher.stop()
        self._timer = self._hub.loop.timer(PAUSE)
        self._timer.start(self._go_on)

    def _go_on(self) -> None:
        self._timer.close()
        self._timer = None
        if self._watcher is not None:
            self._watcher.start(self._acceptable)


def _someone_waits(sock: _socket.socket) -> bool:
    poll = _poll()
    poll.register(sock.fileno(), 1)
    return bool(poll.poll(0))
