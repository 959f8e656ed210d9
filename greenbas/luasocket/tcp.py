"""TCP objects: `tcp{master}`, which becomes `tcp{server}` by listening or `tcp{client}` by connecting."""

from __future__ import annotations

import _socket

from greenbas.errors import IncorrectUse
from greenbas.luasocket.base import DONE, Done
from greenbas.luasocket.inet import InetSocket
from greenbas.luasocket.messages import CLOSED, ErrorText, error_text
from greenbas.luasocket.options import TCP_OPTIONS
from greenbas.luasocket.secure import SecureSocket
from greenbas.luasocket.usage import text
from greenbas.net.socket import Socket

__all__ = ["Tcp"]


class Tcp(SecureSocket, InetSocket):
    """A TCP object.

    Args:
        sock: a socket that it gets; None for one that decides on its family later.
        state: "master", "client" or "server".
    """

    __slots__ = ()

    _options = TCP_OPTIONS

    def __init__(self, sock: _socket.socket | None = None, state: str = "master") -> None:
        super().__init__("tcp", state, sock)

    def bind(self, address: str, port: int | str) -> Done:
        """Take a local address.

        Args:
            address: a name or an address; "*" is every address of this machine.
            port: a number or the name of a service; 0 lets the system choose.
        """
        self._need("bind", "master")
        return self._bind("bind", address, port)

    def connect(self, address: str | Socket, port: int | str | None = None) -> Done:
        """Connect; the addresses of a name are tried one after the other. The class becomes client in any case.

        With a block time-out of 0 it returns "timeout" at once; when the socket has become writable, a second call
        tells the outcome, as does ``getoption("error")``.

        After `secure`, and with a context of `sock`, the connection is encrypted before this returns.

        Args:
            address: a name or an address; or a connected socket of `greenbas.net`, which gives its connection away.
            port: a number or the name of a service.
        """
        try:
            if isinstance(address, Socket):
                done = self._wrap(address)
            else:
                done = self._connect_by_name("connect", address, port)
                if done[0]:
                    self._host = text(address, 1, "connect")
        finally:
            self._state = "client"
        if done[0] and self._secure_by_default():
            return self.upgrade()
        return done

    def _wrap(self, given: Socket) -> Done:
        try:
            self._adopt(given)
        except IncorrectUse as error:
            return None, ErrorText(CLOSED, error.code, str(error))
        except OSError as error:
            return None, error_text(error, f"take {given!r}")
        return DONE

    setsockname = bind
    setpeername = connect

    @classmethod
    def _of(cls, sock: _socket.socket) -> Tcp:
        return cls(sock, "client")
