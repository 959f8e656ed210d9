"""The client that sends bodies: `python uploader.py PORT PATH SIZE CONNECTIONS SECONDS`; prints what it did."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

BLOCK = bytes(1024 * 1024)


class Uploader:
    """Sends one body after the other over each of some kept connections, and counts the bytes of those answered 200."""

    def __init__(self, port: int, path: str, size: int, connections: int, seconds: float) -> None:
        self.port = port
        self.path = path
        self.size = size
        self.connections = connections
        self.until = time.monotonic() + seconds
        self.count = 0  # bytes
        self.errors: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> dict[str, Any]:
        """Do it; returns the result."""
        began, used = time.monotonic(), time.process_time()
        threads = [threading.Thread(target=self._work) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        cpu = (time.process_time() - used) / seconds
        return {"count": self.count, "seconds": seconds, "cpu": cpu, "errors": self.errors[:3]}

    def _work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            while time.monotonic() < self.until:
                self._upload(connection)
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def _upload(self, connection: http.client.HTTPConnection) -> None:
        connection.request("POST", self.path, self._blocks(), {"Content-Length": str(self.size)})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise OSError(f"answered {response.status}")
        with self._lock:
            self.count += self.size

    def _blocks(self) -> Iterator[bytes]:
        whole, rest = divmod(self.size, len(BLOCK))
        for _ in range(whole):
            yield BLOCK
        if rest:
            yield BLOCK[:rest]


if __name__ == "__main__":
    port, path, size, connections, seconds = sys.argv[1:]
    print(json.dumps(Uploader(int(port), path, int(size), int(connections), float(seconds)).run()))
