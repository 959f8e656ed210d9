"""The UDP methods of a socket."""

from __future__ import annotations

import errno

from greenbas.errors import IncorrectUse, NetError
from greenbas.net.socketbase import SocketBase
from greenbas.net.stream import READ_SIZE, Buffer, Stream

__all__ = ["Datagrams"]


class Datagrams(SocketBase):
    """Takes and sends datagrams with addresses."""

    __slots__ = ()

    def recvfrom(self, timeout: float | None = None, *, size: int = READ_SIZE) -> tuple[bytes, str, int]:
        """A datagram with the address it came from (BAS ``sock:read`` with true).

        Args:
            timeout: seconds; None waits for ever.
            size: the most bytes; what is beyond them is lost.

        Returns:
            The data, the sender's address and port.

        Raises:
            TimedOut: nothing came in time.
            IncorrectUse: it is no UDP socket.
        """
        stream = self._udp("recvfrom")
        while True:
            try:
                data, address = stream.sock.recvfrom(size)
                return data, address[0], address[1]
            except BlockingIOError:
                stream.wait_readable(timeout)
            except OSError as error:
                raise NetError(f"receiving on {self!r} failed: {error.strerror}") from error

    def sendto(self, data: str | Buffer, address: str, port: int) -> None:
        """Send a datagram (BAS ``sock:sendto``).

        Args:
            data: bytes, or text as UTF-8.
            address: an address, not a name; see `toip`.
            port: the port.

        Raises:
            IncorrectUse: it is no UDP socket.
            NetError: it cannot be sent; the message has address and reason.
        """
        stream = self._udp("sendto")
        self._send_datagram(stream, data, (address, port))

    def _send_datagram(self, stream: Stream, data: str | Buffer, address: tuple[str, int] | None) -> None:
        if isinstance(data, str):
            data = data.encode()
        while True:
            try:
                if address is None:
                    stream.sock.send(data)
                else:
                    stream.sock.sendto(data, address)
                return
            except BlockingIOError:
                stream.wait_writable()
            except OSError as error:
                raise NetError(_unsent(len(data), address or stream.peername()[:2], error)) from error

    def _udp(self, what: str) -> Stream:
        if self._kind != "udp" or self._stream is None:
            raise IncorrectUse(f"{what}() is for UDP sockets, and this is {self!r}")
        return self._stream


def _unsent(size: int, where: tuple[str, int], error: OSError) -> str:
    if error.errno == errno.EDESTADDRREQ:
        return f"sending {size} bytes failed: {error.strerror}: connect the socket, or use sendto"
    return f"sending {size} bytes to {where[0]}:{where[1]} failed: {error.strerror}"
