"""A Redis server of the tests' own: started, killed, and started again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import redis
from launch import free_port
from support import need_command, wait_until


class RedisServer:
    """Redis without a disk, on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it answers."""
        command = [need_command("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--appendonly", "no"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/"
        )
        wait_until(self.answers)

    def answers(self) -> bool:
        """Whether it can be talked to."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def client(self) -> redis.Redis:
        """A connection to it."""
        return redis.Redis(port=self.port, socket_timeout=5, retry=None)

    def names(self) -> set[str]:
        """All keys that it has."""
        with self.client() as client:
            return {key.decode() for key in client.keys("*")}

    def clear(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It stands still for a block: connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server that runs for a block."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.kill()
