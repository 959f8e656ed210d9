"""The client of the WebSocket benchmark: `python wsclient.py PORT CONNECTIONS SECONDS`; prints what it saw, as JSON.

Frames are made once and answers compared by bytes, in a loop of epoll: it is to cost less than any of the servers.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

PAYLOAD = b"*" * 100
ANSWER = b"\x81\x64" + PAYLOAD
MASK = b"\x12\x34\x56\x78"
FRAME = struct.pack("!BB", 0x81, 0x80 | len(PAYLOAD)) + MASK + bytes(a ^ MASK[n % 4] for n, a in enumerate(PAYLOAD))
TIMEOUT_SECONDS = 10.0


def connect(port: int) -> socket.socket:
    """Connect and shake hands."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = os.urandom(16).hex()[:22] + "=="
    sock.sendall(
        f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            raise ConnectionError(f"closed during the handshake, after {head[:80]!r}")
        head += data
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"no handshake: {head[:80]!r}")
    return sock


def run(port: int, connections: int, seconds: float) -> dict[str, object]:
    """One message on its way on each connection, all the time."""
    poll = select.epoll()
    socks = {}
    for _ in range(connections):
        sock = connect(port)
        socks[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    used, began = time.process_time(), time.monotonic()
    for sock in socks.values():
        sock.send(FRAME)
    count, until, missing = 0, began + seconds, dict.fromkeys(socks, b"")
    while time.monotonic() < until:
        ready = poll.poll(TIMEOUT_SECONDS)
        if not ready:
            raise TimeoutError("no answer to any message")
        for number, _ in ready:
            sock = socks[number]
            data = missing[number] + sock.recv(4096)
            if data == ANSWER:
                missing[number] = b""
                count += 1
                sock.send(FRAME)
            elif data and ANSWER.startswith(data):
                missing[number] = data
            else:
                raise ConnectionError(f"a wrong answer: {data[:80]!r}")
    wall = time.monotonic() - began
    return {"count": count, "seconds": wall, "cpu": (time.process_time() - used) / wall}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
