"""What those need who pass messages on: interim responses, trailers, bodies sent by others, and the client's end."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from support import wait_until
from web import Client, ask, get, head, serving

from greenbas import Request, Response
from greenbas.errors import IncorrectUse, SocketClosed
from greenbas.net import Stream


def test_interim_responses() -> None:
    sent: list[bool] = []

    def function(request: Request, response: Response) -> str:
        sent.append(response.send_interim(103, b"Link: </a.css>\r\n"))
        sent.append(response.send_interim(199))
        response.write("body")
        response.flush()
        sent.append(response.send_interim(103))
        return ""

    with serving(function) as server:
        with Client(server) as client:
            client.send(head("GET / HTTP/1.1"))
            assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
            assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 199 Informational\r\n\r\n"
            assert client.answer().body == b"body"
        assert sent == [True, True, False]
        assert ask(server, "GET / HTTP/1.0\n\n").body == b"body"
        assert sent[3:] == [False, False, False]


@pytest.mark.parametrize("status", [100, 101, 200])
def test_other_statuses_are_no_interim_ones(status: int) -> None:
    def function(request: Request, response: Response) -> str:
        with pytest.raises(ValueError, match="interim"):
            response.send_interim(status)
        return "ok"

    with serving(function) as server:
        assert get(server, "/").body == b"ok"


def test_trailers() -> None:
    def function(request: Request, response: Response) -> None:
        response.set_trailers(b"X-Sum: 7\r\n")
        response.write("a")
        if request.path == "/chunked":
            response.flush()

    with serving(function) as server, Client(server) as client:
        client.send(head("GET /chunked HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        assert client.read_until(b"7\r\n\r\n") == b"1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n"
        found = client.ask(head("GET /sized HTTP/1.1"))
        assert found.body == b"a" and "x-sum" not in found


def test_a_body_sent_by_somebody_else() -> None:
    def move(stream: Stream) -> int:
        stream.write(b"moved")
        return 5

    def function(request: Request, response: Response) -> None:
        response.set_content_length(7)
        response.send("a")
        assert response.send_by(move) == 5
        response.send("z")

    with serving(function) as server, Client(server) as client:
        for _ in range(2):
            assert client.ask(head("GET / HTTP/1.1")).body == b"amovedz"


def test_send_by_that_cannot_be() -> None:
    def function(request: Request, response: Response) -> str:
        with pytest.raises(IncorrectUse):
            response.send_by(lambda stream: 0)
        return "ok"

    with serving(function) as server:
        assert get(server, "/").body == b"ok"


def test_send_by_that_fails_ends_the_connection() -> None:
    def move(stream: Stream) -> int:
        raise SocketClosed("it broke")

    def function(request: Request, response: Response) -> None:
        response.set_content_length(7)
        response.send_by(move)

    with serving(function) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        client.read_until(b"\r\n\r\n")
        assert client.closed()


def test_hop() -> None:
    def function(request: Request, response: Response) -> dict[str, Any]:
        return {"hop": list(request.hop()), "peer": request.peername()[0]}

    with serving(function) as server:
        assert get(server, "/", "X-Forwarded-For: 9.9.9.9").body == b'{"hop":["127.0.0.1",false],"peer":"127.0.0.1"}'
    with serving(function, trusted_proxies=("127.0.0.1",)) as server:
        assert get(server, "/", "X-Forwarded-For: 9.9.9.9").body == b'{"hop":["127.0.0.1",true],"peer":"9.9.9.9"}'


@pytest.mark.parametrize("end", ["half_close", "reset"])
def test_is_gone(end: str) -> None:
    told: list[tuple[bool, bool]] = []
    go: list[bool] = []

    def function(request: Request, response: Response) -> str:
        told.append((request.is_gone(), request.is_gone(half_closed=True)))
        wait_until(lambda: go)
        wait_until(lambda: request.is_gone(half_closed=True))
        told.append((request.is_gone(), request.is_gone(half_closed=True)))
        return ""

    with serving(function) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        wait_until(lambda: told)
        getattr(client, end)()
        go.append(True)
        wait_until(lambda: len(told) == 2)
        gevent.sleep(0)
    assert told == [(False, False), (end == "reset", True)]
