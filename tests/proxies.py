"""A proxy in the test's own process, and backends behind it that do what a script says."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

from gevent import sleep
from scripted import Conversation, Scripted, scripted
from web import Client, serving

from greenbas import Server, create
from greenbas_plugins.proxy.health import Health
from greenbas_plugins.proxy.redirector import Redirector, redirector

SERVER = ("trusted_proxies", "dev", "max_head", "max_body", "body_grace", "write_timeout")  # settings of the server
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

LINE = b"HTTP/1.1 200 OK\r\n"  # the beginning of an answer
USERS: dict[str, Any] = {"ann": {"pwd": "secret", "roles": [], "max_users": 50}}
ANN = "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()


def authenticator(kind: str) -> Any:
    """One that lets ann in."""
    return create.authenticator(create.json_user(USERS), kind, realm="Demo")  # type: ignore[arg-type]


@contextlib.contextmanager
def proxied(*ports: int, name: str | None = "app", **options: Any) -> Iterator[Server]:
    """A server with a proxy at /app/ for backends on these ports."""
    settings = {key: options.pop(key) for key in list(options) if key in SERVER}
    with serving(**settings) as server:
        to = options.pop("to", None) or tuple(f"http://127.0.0.1:{port}" for port in ports)
        server.insert(redirector(name, to=to, **options))
        yield server


def proxy_of(server: Server) -> Redirector:
    """The redirector of a server made by `proxied`."""
    return next(one for one in server.root.children if isinstance(one, Redirector))


@contextlib.contextmanager
def behind(script: Callable[[Conversation], object], **options: Any) -> Iterator[tuple[Server, Scripted]]:
    """A proxy in front of one backend that runs the script for each connection."""
    with scripted(script) as backend, proxied(backend.port, **options) as server:
        yield server, backend


def answering(*answers: bytes) -> Callable[[Conversation], None]:
    """A script: one answer for each request on a connection, the last one again and again; bodies are not read."""

    def run(conversation: Conversation) -> None:
        turn = 0
        while conversation.until(b"\r\n\r\n"):
            conversation.send(answers[min(turn, len(answers) - 1)])
            turn += 1

    return run


def once(*pieces: bytes, pause: float = 0.0, then: Callable[[Conversation], object] = lambda talk: None) -> Any:
    """A backend that sends these pieces to its first request, with pauses between them."""

    def run(talk: Conversation) -> None:
        if talk.until(b"\r\n\r\n"):
            for piece in pieces:
                talk.send(piece)
                sleep(pause)
            then(talk)

    return run


def read_request(conversation: Conversation) -> tuple[str, bytes]:
    """The next request, as its head and its body with the framing taken off."""
    head = conversation.until(b"\r\n\r\n").decode("latin-1")
    if length := re.search(r"(?im)^content-length: *(\d+)", head):
        return head, take(conversation, int(length[1]))
    body = b""
    if re.search(r"(?im)^transfer-encoding: *chunked", head):
        while size := int(conversation.line().partition(b";")[0], 16):
            body += take(conversation, size)
            assert conversation.line() == b""
        while conversation.line():
            pass  # trailers, which are in `heard`
    return head, body


def take(conversation: Conversation, size: int) -> bytes:
    """Exactly so many bytes of what the client says; fewer when it closes before."""
    while len(conversation._unread) < size:
        data = conversation.sock.recv(65536)
        if not data:
            break
        conversation.heard += data
        conversation._unread += data
    found, conversation._unread = conversation._unread[:size], conversation._unread[size:]
    return found


def field(head: bytes | str, name: str) -> list[str]:
    """Each value of a field in a head."""
    text = head.decode("latin-1") if isinstance(head, bytes) else head
    return re.findall(rf"(?im)^{re.escape(name)}: *(.*?)\r$", text)


def reset(conversation: Conversation) -> None:
    """Have the end of the connection be a reset."""
    conversation.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def wait_for_end(conversation: Conversation) -> None:
    """Say nothing until the client closes."""
    while conversation.sock.recv(65536):
        sleep(0)


def succeeded(health: Health, now: float, epoch: int, latency: float) -> None:
    """A request is answered, and over."""
    health.heard(now, epoch, latency)
    health.finished()


def raw(server: Server, data: str | bytes) -> bytes:
    """Everything that comes back for these bytes until the connection is closed."""
    with Client(server) as client:
        client.send(data)
        client.half_close()
        return client.rest()
