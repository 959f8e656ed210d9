"""A WebSocket client that says exactly what a test wants: bytes out, frames in, nothing checked but their form."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct

from web import TIMEOUT, Client

from greenbas import Server
from greenbas.protocol.websocketframe import BINARY, CLOSE, CONT, PING, PONG, TEXT, make_frame

__all__ = ["BINARY", "CLOSE", "CONT", "PING", "PONG", "TEXT", "Peer", "close_frame", "handshake", "masked"]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True, compressed: bool = False) -> bytes:
    """A frame as a client sends it."""
    return make_frame(opcode, payload, fin=fin, masked=True, compressed=compressed)


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame with any code, be it allowed or not; None for an empty one."""
    return masked(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def handshake(path: str, *headers: str, key: str = "dGhlIHNhbXBsZSBub25jZQ==") -> str:
    """A request that becomes a WebSocket."""
    return "\n".join(
        [
            f"GET {path} HTTP/1.1",
            "Host: x",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *headers,
            "",
            "",
        ]
    )


class Peer:
    """One end of a connection on which frames come; `Peer.open` does the handshake."""

    def __init__(self, sock: socket.socket, left: bytes = b"") -> None:
        self.sock = sock
        self.left = left
        self.head = b""

    @classmethod
    def open(cls, server: Server | int, path: str, *headers: str, more: bytes = b"") -> Peer:
        """Connect and shake hands; `more` is sent right behind the request."""
        client = Client(server)
        key = base64.b64encode(os.urandom(16)).decode()
        client.send(handshake(path, *headers, key=key).replace("\n", "\r\n").encode() + more)
        head = client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
        assert b"\r\nSec-WebSocket-Accept: " + accept + b"\r\n" in head
        peer = cls(client.sock, client._left)
        peer.head = head
        return peer

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, *frames: bytes) -> None:
        """Bytes as they are."""
        self.sock.sendall(b"".join(frames))

    def chopped(self, data: bytes, size: int = 1) -> None:
        """Bytes in packets of `size`."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            self.sock.sendall(data[start : start + size])

    def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte, without the bit that says that it is the last, and its payload."""
        first, second = self._exactly(2)
        length = second & 0x7F
        assert not second & 0x80, "a server does not mask"
        if length > 125:
            length = int.from_bytes(self._exactly(2 if length == 126 else 8))
        assert first & 0x80, "the server sends no fragments here"
        return first & 0x7F, self._exactly(length)

    def text(self) -> str:
        """The next frame, which is text."""
        opcode, payload = self.frame()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def closing(self) -> int | None:
        """The code of the close frame that comes next, and behind which nothing comes any more."""
        opcode, payload = self.frame()
        assert opcode == CLOSE, (opcode, payload)
        assert self.at_end()
        return struct.unpack("!H", payload[:2])[0] if payload else None

    def at_end(self) -> bool:
        """Whether the server closes, with nothing more to say; waits for it."""
        try:
            return self.left == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return False  # bytes may have been lost

    def _exactly(self, count: int) -> bytes:
        while len(self.left) < count:
            self.sock.settimeout(TIMEOUT)
            data = self.sock.recv(1 << 16)
            if not data:
                raise ConnectionError(f"the server closed after {self.left!r}")
            self.left += data
        found, self.left = self.left[:count], self.left[count:]
        return found
