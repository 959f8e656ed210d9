"""A process that opens many connections and holds them: `Holder` starts it, the rest of the file runs in it.

Its own process, so that its memory, its descriptors and its core are not the server's and not the harness's.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

import browser
from cores import pinned
from process import HERE, POLL_SECONDS, environment

IN_FLIGHT = 64  # requests at a time: the server needs no more workers than that
STALL_SECONDS = 10.0
# Then 127.0.0.2 and so on: beyond half of the 28,000 ports of one source address the kernel searches for milliseconds
# for a free one, and that would show as a slow server.
PER_ADDRESS = 10_000


class HolderFailed(Exception):
    """Connections could not be opened, or did not stay open."""


class Holder:
    """The connections, from the harness's side: a context that opens them all and closes them."""

    def __init__(self, port: int, path: str, connections: int, core: int | None) -> None:
        """Start opening; entering the context waits for the end of that."""
        arguments = [sys.executable, str(HERE / "holder.py"), str(port), path, str(connections)]
        self._process = subprocess.Popen(
            pinned(core, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )

    def __enter__(self) -> Holder:
        try:
            self._read("opened")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def check_all_open(self) -> None:
        """Raise `HolderFailed` unless the server has left every connection open."""
        assert self._process.stdin is not None
        self._process.stdin.write("check\n")
        self._process.stdin.flush()
        if closed := self._read("closed"):
            raise HolderFailed(f"the server closed {closed} idle connections")

    def _read(self, key: str) -> int:
        """The number in the next line, or the failure it reports."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the client process ended without a word"}
        if "error" in answer:
            raise HolderFailed(answer["error"])
        return int(answer[key])

    def _end(self) -> None:
        """Kill it: the kernel closes the connections, and nobody waits for 15,000 good-byes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Connection:
    """One connection while its single request is under way."""

    def __init__(self, port: int, head: bytes, number: int) -> None:
        self.head = head
        self.received = b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((f"127.0.0.{1 + number // PER_ADDRESS}", 0))
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(("127.0.0.1", port))

    def step(self) -> bool:
        """Send, or receive; True when the response is complete."""
        if self.head:
            self.head = self.head[self.socket.send(self.head) :]
            return False
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError(f"closed by the server after {self.received[:80]!r}")
        self.received += data
        return is_complete(self.received)


def is_complete(response: bytes) -> bool:
    """Whether this is a whole 200 with a Content-Length. Raises `ConnectionError` for any other status."""
    head, end, body = response.partition(b"\r\n\r\n")
    if not end:
        return False
    status, *lines = head.split(b"\r\n")
    if status.split()[1:2] != [b"200"]:
        raise ConnectionError(f"answered {status!r}")
    lengths = [line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0])


def open_all(port: int, path: str, connections: int) -> list[socket.socket]:
    """Open the connections, `IN_FLIGHT` at a time, one request on each."""
    head = browser.head(path, port)
    held: list[socket.socket] = []
    started = 0
    with selectors.DefaultSelector() as selector:
        while len(held) < connections:
            while started < connections and started - len(held) < IN_FLIGHT:
                connection = Connection(port, head, started)
                selector.register(connection.socket, selectors.EVENT_WRITE, connection)
                started += 1
            ready = selector.select(STALL_SECONDS)
            if not ready:
                raise ConnectionError(f"no progress for {STALL_SECONDS:.0f} s")
            for key, _ in ready:
                advance(selector, key.data, held)
    return held


def advance(selector: selectors.BaseSelector, connection: Connection, held: list[socket.socket]) -> None:
    """One step of one connection; a finished one moves to those that are held."""
    if connection.step():
        selector.unregister(connection.socket)
        held.append(connection.socket)
    elif not connection.head:
        selector.modify(connection.socket, selectors.EVENT_READ, connection)


def count_closed(held: list[socket.socket]) -> int:
    """How many of the connections have something to read: on an idle one that can only be its end."""
    with selectors.DefaultSelector() as selector:
        for one in held:
            selector.register(one, selectors.EVENT_READ)
        return len(selector.select(0))


def say(**values: Any) -> None:
    """One line to the harness."""
    print(json.dumps(values), flush=True)


def hold(port: int, path: str, connections: int) -> None:
    """Open all, then answer checks until the harness goes away."""
    try:
        held = open_all(port, path, connections)
    except (OSError, ConnectionError) as error:
        say(error=f"opening {connections} connections: {error}")
        return
    say(opened=len(held))
    for _ in sys.stdin:
        time.sleep(POLL_SECONDS)  # an end that was sent this moment shall be seen
        say(closed=count_closed(held))


if __name__ == "__main__":
    hold(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
