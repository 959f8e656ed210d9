"""Large bodies through a proxy in a process of its own: every byte arrives, and its memory stays where it was."""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from authority import localhost
from commands import environment
from launch import START_SECONDS
from scripted import Conversation, Scripted, scripted
from support import wait_until
from tlspairs import python_client
from web import Client

from greenbas.protocol import ChunkedBody

MIB = 1024 * 1024
PIECE = bytes(range(256)) * 1024  # 256 KiB
GROWTH = 24 * MIB  # of the proxy; a body that is collected takes ten times as much
ROUTES = ["plain", "tls"]


class Sink:
    """Counts and hashes what it is given."""

    def __init__(self) -> None:
        self.size = 0
        self.hash = hashlib.sha256()

    def add(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        self.size += len(data)
        self.hash.update(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sink) and (self.size, self.hash.digest()) == (other.size, other.hash.digest())

    def __repr__(self) -> str:
        return f"<{self.size} bytes, {self.hash.hexdigest()[:12]}>"

    __hash__ = None  # type: ignore[assignment]


def pieces(size: int) -> Iterator[bytes]:
    """So many bytes, no two pieces of which are the same."""
    for number in range(-(-size // len(PIECE))):
        piece = b"%08d" % number + PIECE[8:]
        yield piece[: size - number * len(PIECE)]


def send_body(sock: Any, size: int, is_chunked: bool, sent: Sink) -> None:
    for piece in pieces(size):
        sent.add(piece)
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
    if is_chunked:
        sock.sendall(b"0\r\n\r\n")


def read_body(sock: Any, left: bytes, size: int | None, found: Sink) -> None:
    """A body of this size, or a chunked one; what comes first has been read already."""
    decoder = ChunkedBody() if size is None else None
    data = left
    while True:
        for piece in decoder.feed(data)[0] if decoder is not None else (data,):
            found.add(piece)
        if found.size == size or (decoder is not None and decoder.complete):
            return
        data = receive(sock)


def receive(sock: Any) -> bytes:
    data = sock.recv(MIB)
    if not data:
        raise ConnectionError("it closed in the middle of a body")
    return bytes(data)


class Backend:
    """Sends bodies for GET, and takes those of POST, whose hash is its answer."""

    def __init__(self) -> None:
        self.sent = Sink()  # of the last request
        self.found = Sink()
        self._all: list[Sink] = []

    @property
    def moved(self) -> int:
        """Bytes that all connections have sent."""
        return sum(one.size for one in self._all)

    def __call__(self, talk: Conversation) -> None:
        while head := talk.until(b"\r\n\r\n"):
            sent, found = self.sent, self.found = Sink(), Sink()
            self._all.append(sent)
            chunked = b"\r\nTransfer-Encoding: chunked\r\n" in head
            if head.startswith(b"GET "):
                size, chunked = int(head.split()[1].rpartition(b"/")[2]), b"/chunked/" in head
                framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
                talk.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
                send_body(talk.sock, size, chunked, sent)
                continue
            length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
            read_body(talk.sock, talk._unread, int(length[1]) if length else None, found)
            talk._unread = b""
            answer = found.hash.hexdigest().encode()
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


class Proxy:
    """A proxy in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path, backend: Backend) -> None:
        self.process = process
        self.port = port
        self.folder = folder
        self.backend = backend

    def connect(self, route: str) -> Any:
        """A socket to it."""
        return python_client(self.port, self.folder) if route == "tls" else Client(self.port).sock

    def memory(self, label: str = "VmHWM") -> int:
        """Bytes: those that it has now (VmRSS), or the most that it ever had."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{label}:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024


@contextlib.contextmanager
def running(route: str, folder: Path, backend: Backend, found: Scripted) -> Iterator[Proxy]:
    cert, key = localhost().files(folder, "localhost")
    listens = ["--tls-port", "0", "--cert", cert, "--key", key] if route == "tls" else ["--port", "0"]
    command = [sys.executable, "-m", "greenbas", "proxy", f"http://127.0.0.1:{found.port}", *listens]
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment(), cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: b" serves " in log.read_bytes(), START_SECONDS)
            address = re.search(r" serves https?://\S+:(\d+)/", log.read_text())
            assert address is not None, log.read_text()
            yield Proxy(process, int(address[1]), folder, backend)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module", params=ROUTES)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Proxy]]:
    backend = Backend()
    folder = tmp_path_factory.mktemp("proxy")
    with scripted(backend) as found, running(request.param, folder, backend, found) as made:
        yield request.param, made


def download(proxy: Proxy, route: str, kind: str, size: int) -> Sink:
    sock = proxy.connect(route)
    try:
        sock.sendall(b"GET /%b/%d HTTP/1.1\r\nHost: x\r\n\r\n" % (kind.encode(), size))
        head = b""
        while b"\r\n\r\n" not in head:
            head += receive(sock)
        head, _, rest = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        found = Sink()
        read_body(sock, rest, None if b"chunked" in head else size, found)
        return found
    finally:
        sock.close()


def upload(proxy: Proxy, route: str, kind: str, size: int) -> Sink:
    sock = proxy.connect(route)
    try:
        framing = b"Transfer-Encoding: chunked" if kind == "chunked" else b"Content-Length: %d" % size
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % framing)
        sent = Sink()
        send_body(sock, size, kind == "chunked", sent)
        answer = b""
        while not answer.endswith(sent.hash.hexdigest().encode()):
            answer += receive(sock)
        assert answer.startswith(b"HTTP/1.1 200 ")
        return sent
    finally:
        sock.close()


@pytest.mark.parametrize("kind", ["sized", "chunked"])
@pytest.mark.parametrize("way", ["down", "up"])
def test_every_byte_arrives_in_little_memory(proxy: tuple[str, Proxy], kind: str, way: str) -> None:
    """By the kernel, by chunks, and through TLS: the proxy never has more than a few pieces of a body."""
    route, made = proxy
    size = (200 if kind == "chunked" else 100) * MIB + 12_345
    (download if way == "down" else upload)(made, route, kind, MIB)
    before = made.memory("VmRSS")
    if way == "down":
        assert download(made, route, kind, size) == made.backend.sent and made.backend.sent.size == size
    else:
        assert upload(made, route, kind, size) == made.backend.found and made.backend.found.size == size
    assert made.memory() - before < GROWTH


@pytest.mark.parametrize("kind", ["sized", "chunked"])
def test_slow_readers_collect_nothing_in_the_proxy(proxy: tuple[str, Proxy], kind: str) -> None:
    """A sender is slowed down to what its reader takes: 20 who read nothing cost the memory of some pieces each."""
    route, made = proxy
    if route == "tls" and kind == "sized":
        pytest.skip("it is not spliced there, and so the same as chunks")
    before, start = made.memory("VmRSS"), made.backend.moved
    socks = [made.connect(route) for _ in range(20)]
    for sock in socks:
        sock.sendall(b"GET /%b/%d HTTP/1.1\r\nHost: x\r\n\r\n" % (kind.encode(), 100 * MIB))
    before_all, moved = -1, made.backend.moved
    while moved != before_all:  # until nothing moves any more
        gevent.sleep(0.1)
        before_all, moved = moved, made.backend.moved
    assert 0 < moved - start < len(socks) * 30 * MIB
    assert made.memory() - before < 2 * GROWTH
    for sock in socks:
        sock.close()
