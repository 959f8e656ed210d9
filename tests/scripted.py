"""Servers that do what a script says, well-behaved or not, for clients under test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gevent.server import StreamServer
from launch import START_SECONDS
from support import wait_until

SECONDS = 10.0  # a client that keeps the script waiting longer has failed


@dataclass
class Scripted:
    """A listening server.

    Attributes:
        port: on 127.0.0.1.
        heard: what each connection sent, in the order in which they ended.
    """

    port: int = 0
    heard: list[bytes] = field(default_factory=list)

    def said(self, connections: int = 1) -> list[bytes]:
        """What the connections sent, once so many have ended."""
        wait_until(lambda: len(self.heard) >= connections)
        return self.heard


class Conversation:
    """The server's end of one connection.

    Args:
        sock: the connection.
    """

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.heard = b""
        self._unread = b""
        sock.settimeout(SECONDS)

    def send(self, data: bytes) -> None:
        """Say something."""
        self.sock.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What the client says up to these bytes; less when it closes before."""
        while end not in self._unread:
            data = self.sock.recv(65536)
            if not data:
                break
            self.heard += data
            self._unread += data
        said, found, self._unread = self._unread.partition(end)
        return said + found

    def line(self) -> bytes:
        """The client's next line, without its end."""
        return self.until(b"\r\n").removesuffix(b"\r\n")

    def rest(self) -> bytes:
        """All until the client closes."""
        return self.until(b"no client of these tests says this")


Script = Callable[[Conversation], object]


@contextlib.contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    """A server that runs the script for each connection and closes it then."""
    found = Scripted()

    def talk(sock: socket.socket, address: Any) -> None:
        conversation = Conversation(sock)
        try:
            script(conversation)
        except OSError:
            pass  # the client went away; what it got is for the test to judge
        finally:
            found.heard.append(conversation.heard)

    server = StreamServer(("127.0.0.1", 0), talk)
    server.start()
    found.port = server.server_port
    try:
        yield found
    finally:
        server.stop(timeout=1)


def dialogue(*steps: tuple[bytes, bytes]) -> Script:
    """A script of lines: what the client's line begins with, and the answer; with b"" no line is waited for."""

    def run(conversation: Conversation) -> None:
        for expected, answer in steps:
            if expected:
                line = conversation.line()
                if not line:
                    return
                assert line.startswith(expected), line
            conversation.send(answer)

    return run


@contextlib.contextmanager
def program(path: Path, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server program of the tests in an unpatched process of its own; yields the port that it prints first."""
    command = [sys.executable, str(path), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.strip().isdigit(), f"{path.name} printed {line!r} within {START_SECONDS:g} s"
        yield int(line), process
    finally:
        process.kill()
        process.wait()
