"""Many clients at once in front of backends that do everything wrong: each gets its own answer, or none."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import gevent
import h11
import pytest
from proxies import proxied, proxy_of, read_request, reset
from scripted import Conversation, scripted
from support import wait_until
from web import Client, head

CLIENTS, REQUESTS = 12, 60
LENGTH = b"Content-Length: 5\r\n\r\n"


def ok(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


def chunked(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)


# What a backend does: pieces that it sends, and seconds that it waits. None closes, "reset" resets the connection.
Step = bytes | float | str | None


def misdeeds(text: bytes) -> list[list[Step]]:
    """Whatever leaks of one of these names the request that it was meant for.

    A second answer behind a whole one that comes when the next request has been sent is not among them: in HTTP/1.1
    nobody can tell that from the answer to this one.
    """
    whole = ok(text)
    return [
        [whole + whole],
        [b"HTTP/1.1 304 Not Modified\r\n" + LENGTH, 0.0, whole],
        [b"HTTP/1.1 204 No Content\r\n" + LENGTH + whole],
        [b"HTTP/1.1 205 Reset Content\r\n" + LENGTH + whole],
        [whole[:30], None],
        [whole, None],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + whole, None],
        [b"HTTP/1.1 200 OK\r\n" + LENGTH + whole],
        [chunked(text)[:-3], None],
        [chunked(text) + b"0\r\n\r\n"],
        [b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole],
        [whole[:20], 0.001, whole[20:]],
        [0.08, whole],  # after the time-out
        ["reset"],
        [whole, "reset"],
        [None],
    ]


def backend(choice: random.Random) -> Any:
    def script(talk: Conversation) -> None:
        while request := read_request(talk)[0]:
            method, target = request.split(" ")[:2]
            text = target.encode()
            good: list[Step] = [ok(text) if method != "HEAD" else b"HTTP/1.1 200 OK\r\n" + LENGTH]
            for step in choice.choice(misdeeds(text)) if choice.random() < 0.4 else good:
                if isinstance(step, bytes):
                    talk.send(step)
                elif isinstance(step, float):
                    gevent.sleep(step)
                else:
                    if step is not None:
                        reset(talk)
                    return

    return script


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_of_one_answer_reaches_another_client(seed: int) -> None:
    choice = random.Random(seed)
    statuses: Counter[Any] = Counter()
    wrong: list[tuple[str, bytes]] = []

    def run(server: Any, number: int) -> None:
        client = Client(server)
        for turn in range(REQUESTS):
            method = choice.choice(["GET", "GET", "POST", "HEAD"])
            body = "xx" if method == "POST" else ""
            asked = head(f"{method} /app/{number}/{turn} HTTP/1.1", *([f"Content-Length: {len(body)}"] if body else []))
            leaves = choice.random() < 0.05
            try:
                client.send(asked + body)
                found = None if leaves else client.answer(method)
            except (h11.RemoteProtocolError, OSError) as error:
                statuses[type(error)] += 1
                found = None
            if found is None or "close" in found.all("connection"):
                client.sock.close()
                client = Client(server)
            if found is not None:
                statuses[found.status] += 1
                # The beginning may be cut off by a length that is too short; what is there has to be one's own.
                own = f"/{number}/{turn}".encode()
                if found.status == 200 and method != "HEAD" and found.body not in (own, ok(own)[:5]):
                    wrong.append((asked, found.body))
        client.sock.close()

    one, other = backend(choice), backend(choice)
    quick: dict[str, Any] = {"first_byte_timeout": 0.06, "idle_timeout": 0.06, "max_fails": 1000, "limit": 4}
    with scripted(one) as a, scripted(other) as b, proxied(a.port, b.port, **quick) as server:
        gevent.joinall([gevent.spawn(run, server, number) for number in range(CLIENTS)], timeout=30, raise_error=True)
        upstreams = proxy_of(server).proxy.upstreams
        wait_until(lambda: not any(one.health.in_flight for one in upstreams.all) and not upstreams.queued)
    assert not wrong
    assert statuses[200] > CLIENTS * REQUESTS / 3 and {502, 504, 204, 205, 304} <= set(statuses)
