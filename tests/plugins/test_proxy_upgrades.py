"""Upgrades that are none, and what would slip through one."""

from __future__ import annotations

import re

import pytest
from proxies import OK, behind, once, proxy_of, raw, wait_for_end
from scripted import Conversation
from support import wait_until
from web import Client, head

QUICK = {"first_byte_timeout": 0.3, "idle_timeout": 0.3}


SWITCH = "Upgrade: websocket", "Connection: Upgrade"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
NO_SWITCH = {
    "without being asked": ((), SWITCHED + b"\r\n"),
    "to something else": (SWITCH, SWITCHED.replace(b"websocket", b"tcp") + b"\r\n"),
    "to something more": (SWITCH, SWITCHED.replace(b"websocket", b"websocket, tcp") + b"\r\n"),
    "to HTTP/2": (("Upgrade: h2c", "Connection: Upgrade"), SWITCHED.replace(b"websocket", b"h2c") + b"\r\n"),
    "to HTTP/2 beside": (("Upgrade: websocket, h2c", SWITCH[1]), SWITCHED.replace(b"websocket", b"h2c") + b"\r\n"),
    "to TLS": (("Upgrade: TLS/1.2", SWITCH[1]), SWITCHED.replace(b"websocket", b"TLS/1.2") + b"\r\n"),
    "to nothing": (SWITCH, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"),
    "without Connection": (SWITCH, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    "not named in Connection": (("Upgrade: websocket",), SWITCHED + b"\r\n"),
}


@pytest.mark.parametrize(("asked", "answer"), NO_SWITCH.values(), ids=NO_SWITCH.keys())
def test_no_tunnel_for_what_was_not_asked(asked: tuple[str, ...], answer: bytes) -> None:
    with behind(once(answer, then=wait_for_end), **QUICK) as (server, _), Client(server) as client:
        assert client.ask(head("GET /app/ HTTP/1.1", *asked)).status == 502
        assert not proxy_of(server).proxy.tunnels


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_101_is_framed_by_nothing(framing: bytes) -> None:
    """What says how long a body is, or that it is chunked, is not passed on with a 101."""
    framed = SWITCHED + framing + b"\r\n\r\n"
    with behind(once(framed, then=wait_for_end), **QUICK) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1", *SWITCH))
        found = client.read_until(b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 101 ") and not re.search(rb"(?i)content-length|transfer-encoding", found)


def test_a_refused_upgrade_opens_no_tunnel() -> None:
    """A client that believes it has one says more, and that is a request as any other."""
    refused = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"
    heard: list[bytes] = []

    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            heard.append(sent)
            talk.send(refused if b"pgrade" in sent else OK)

    with behind(script) as (server, _), Client(server) as client:
        assert client.ask(head("GET /app/ws HTTP/1.1", *SWITCH)).status == 426
        client.send(head("GET /other HTTP/1.1"))
        assert client.answer().status == 404  # it is not the backend's
    assert len(heard) == 1


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("body", ["", "hello", "5\r\nhello\r\n0\r\n\r\n"])
def test_an_upgrade_with_a_body_is_no_way_around(framing: str, body: str) -> None:
    """The tunnel begins behind the body, or there is none: its bytes are not taken for those of the new protocol."""

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(SWITCHED + b"\r\n")
        talk.rest()

    with behind(script, **QUICK) as (server, backend):
        found = raw(
            server, head("POST /app/ HTTP/1.1", *SWITCH, framing).replace("\n", "\r\n").encode() + body.encode()
        )
        assert found == b"" or found.startswith(b"HTTP/1.1 ")
        assert not proxy_of(server).proxy.watch.exchanges
        wait_until(lambda: not proxy_of(server).proxy.tunnels)
    assert all(one.count(b"HTTP/1.1\r\n") <= 1 for one in backend.heard)
