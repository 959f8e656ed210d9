"""What the proxy promises about single fields, hosts, hooks and states, each looked at from outside."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import h11
import pytest
from gevent.server import StreamServer
from proxies import OK, answering, behind, field, proxied, proxy_of, read_request, wait_for_end
from scripted import Conversation, scripted
from support import wait_until
from web import Client, ask, get, head

from greenbas import Request, Server
from greenbas.errors import LocalProtocolError
from greenbas_plugins.proxy.healthstatus import State
from greenbas_plugins.proxy.hooks import ResponseIn

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(400_000)
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
NONSENSE = CHUNKED + b"zz\r\n"


# -- answers that are cut short -----------------------------------------------------------------------------------


def beginning(data: bytes, then: Callable[[Conversation], object] = lambda talk: None) -> Any:
    """A backend that sends this, waits until some of it has gone on, and does something else then."""

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(data)
        gevent.sleep(0.01)
        then(talk)

    return script


CUT = {
    "sized": (beginning(SHORT), "in the middle of its answer"),
    "spliced": (beginning(SIZED), "in the middle of its answer"),
    "chunked": (beginning(CHUNKED), "in the middle of its answer"),
    "nonsense": (beginning(NONSENSE), "malformed"),
    "silent": (beginning(SHORT, wait_for_end), "silent for 0.08 s"),
    "silent, spliced": (beginning(SIZED, wait_for_end), "silent for 0.08 s"),
}


@pytest.mark.parametrize(("script", "why"), CUT.values(), ids=CUT.keys())
def test_an_answer_that_is_cut_counts_as_a_failure(script: Any, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """Three of them take a backend out, and the log says why each was cut."""
    with scripted(script) as a, scripted(script) as b, proxied(a.port, b.port, idle_timeout=0.08) as server:
        healths = [one.health for one in proxy_of(server).proxy.upstreams.all]
        for _ in range(6):
            with pytest.raises((h11.RemoteProtocolError, ConnectionError, AssertionError)):
                assert get(server, "/app/").status == 200  # or 502, when it is seen before anything has left
        for health in healths:
            wait_until(lambda health=health: health.in_flight == 0)
            assert (health.state, health.failures, health.served) == (State.DOWN, 3, 0)
            assert why in health.last_error
    assert caplog.text.count(why) >= 6


def test_a_cut_in_the_trial_counts_as_well() -> None:
    """The head of the answer ends the trial, so a backend that only sends heads has to fail anew, and does."""
    script = beginning(SHORT)
    with scripted(script) as a, scripted(script) as b, proxied(a.port, b.port, max_fails=1) as server:
        healths = [one.health for one in proxy_of(server).proxy.upstreams.all]
        for turn in range(1, 4):
            for _ in healths:
                with pytest.raises((h11.RemoteProtocolError, ConnectionError, AssertionError)):
                    assert get(server, "/app/").status == 200
            assert [(one.state, one.failures) for one in healths] == [(State.DOWN, turn)] * 2


def test_a_client_that_leaves_in_the_middle_is_no_failure() -> None:
    with behind(beginning(SIZED, wait_for_end), keepalive=0.1) as (server, _):
        health = proxy_of(server).proxy.upstreams.all[0].health
        for how in (Client.reset, lambda client: client.sock.close()):
            with Client(server) as client:
                client.send(head("GET /app/ HTTP/1.1"))
                client.sock.recv(10)
                how(client)
            wait_until(lambda: not proxy_of(server).proxy.watch.exchanges)
        assert (health.failures, health.served, health.in_flight) == (0, 2, 0)


# -- trials -------------------------------------------------------------------------------------------------------


def test_requests_wait_for_the_end_of_a_trial() -> None:
    """When all backends are down each is tried by one request; the others wait for the verdict and are not refused."""
    works: list[bool] = []
    go = gevent.event.Event()
    trials: list[bytes] = []

    def script(talk: Conversation) -> None:
        while (sent := read_request(talk))[0]:
            if not works:
                return
            trials.append(sent[1])
            go.wait(5)
            talk.send(OK)

    post = head("POST /app/ HTTP/1.1", "Content-Length: 1") + "x"  # which is not sent twice
    with scripted(script) as a, scripted(script) as b, proxied(a.port, b.port, max_fails=1) as server:
        healths = [one.health for one in proxy_of(server).proxy.upstreams.all]
        assert [ask(server, post).status for _ in healths] == [502, 502]
        assert [one.state for one in healths] == [State.DOWN] * 2
        works.append(True)
        asked = [gevent.spawn(ask, server, post) for _ in range(6)]
        upstreams = proxy_of(server).proxy.upstreams
        wait_until(lambda: len(trials) == 2 and upstreams.queued == 4)
        assert [one.state for one in healths] == [State.TRIAL] * 2
        go.set()
        gevent.joinall(asked, timeout=5, raise_error=True)
        assert [one.value.status for one in asked] == [200] * 6
        assert [one.state for one in healths] == [State.UP] * 2


def test_who_waits_for_a_trial_that_fails_makes_the_next_one() -> None:
    fails = gevent.event.Event()
    works: list[bool] = []

    def script(talk: Conversation) -> None:
        while (sent := read_request(talk))[0]:
            if works:
                talk.send(OK)
            elif b"wait" in sent[1]:
                fails.wait(5)
                works.append(True)
                return
            else:
                return

    def post(body: str) -> str:
        return head("POST /app/ HTTP/1.1", f"Content-Length: {len(body)}") + body

    with scripted(script) as a, scripted(lambda talk: None) as gone, proxied(a.port, gone.port, max_fails=1) as server:
        upstreams = proxy_of(server).proxy.upstreams
        while any(one.health.state is State.UP for one in upstreams.all):
            assert ask(server, post("x")).status == 502
        first = gevent.spawn(ask, server, post("wait"))
        wait_until(lambda: any(one.health.state is State.TRIAL for one in upstreams.all))
        others = [gevent.spawn(ask, server, post("y")) for _ in range(4)]
        fails.set()
        gevent.joinall([first, *others], timeout=5, raise_error=True)
        assert {one.value.status for one in others} <= {200, 502}
        assert ask(server, post("z")).status in (200, 502)
        assert sum(one.health.in_flight for one in upstreams.all) == 0


# -- the Host that is sent, and URLs that name it -----------------------------------------------------------------

HOSTS = [
    ("keep", "x", "http://x/new"),
    ("backend", "127.0.0.1:{port}", "http://127.0.0.1:{port}/new"),
    ("shop.internal", "shop.internal", "http://shop.internal/new"),
    ("shop.internal:8080", "shop.internal:8080", "http://shop.internal:8080/new"),
]


@pytest.mark.parametrize(("host", "sent", "destination"), HOSTS)
def test_a_destination_names_the_host_that_is_sent(host: str, sent: str, destination: str) -> None:
    """Servers compare the two: mod_dav answers 502 when they differ."""
    with behind(answering(OK), host=host) as (server, backend):
        asked = head("MOVE /app/old HTTP/1.1", "Destination: http://x/app/new", "If: <http://x/app/old> (<urn:a>)")
        assert ask(server, asked).status == 200
        port = backend.port
    heard = backend.said()[0]
    assert field(heard, "host") == [sent.format(port=port)]
    assert field(heard, "destination") == [destination.format(port=port)]
    assert field(heard, "if") == [f"<{destination.format(port=port).replace('new', 'old')}> (<urn:a>)"]


def test_the_destination_of_a_unix_socket_names_localhost(tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    with unix(path, answering(OK)) as heard, proxied(to=f"unix:{path}", host="backend") as server:
        assert ask(server, head("COPY /app/a HTTP/1.1", "Destination: /app/b")).status == 200
    assert field(heard[0], "host") == ["localhost"] and field(heard[0], "destination") == ["http://localhost/b"]


LOCATIONS = [
    ("keep", "http://127.0.0.1:{port}/there", "http://x/app/there"),
    ("backend", "http://127.0.0.1:{port}/there", "http://x/app/there"),
    ("backend", "/there", "/app/there"),
    ("shop.internal", "http://shop.internal/there", "http://x/app/there"),
    ("shop.internal", "http://127.0.0.1:{port}/there", "http://x/app/there"),
    ("shop.internal", "//shop.internal/there", "http://x/app/there"),
    ("shop.internal", "https://shop.internal/there", "https://shop.internal/there"),
    ("shop.internal", "http://other.internal/there", "http://other.internal/there"),
    ("shop.internal:8080", "http://shop.internal:8080/there", "http://x/app/there"),
    ("shop.internal:8080", "http://shop.internal/there", "http://shop.internal/there"),
]


@pytest.mark.parametrize(("host", "location", "public"), LOCATIONS)
def test_urls_with_the_host_that_was_sent_are_the_backends(host: str, location: str, public: str) -> None:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        port = talk.sock.getsockname()[1]
        cookie = "a=b; Domain=shop.internal; Path=/"
        lines = f"Location: {location.format(port=port)}\r\nSet-Cookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
        talk.send(b"HTTP/1.1 302 Found\r\n" + lines.encode())

    with behind(script, host=host) as (server, _):
        found = get(server, "/app/")
    assert found["location"] == public
    # The browser would drop a cookie of a host that it has not asked.
    assert found["set-cookie"] == ("a=b; Path=/app" if "shop" in host else "a=b; Domain=shop.internal; Path=/app")


# -- fields that belong to the backend's own origin ---------------------------------------------------------------


def test_alternative_services_of_the_backend_are_not_ours() -> None:
    answer = b'HTTP/1.1 200 OK\r\nAlt-Svc: h3=":443"; ma=86400\r\nContent-Length: 2\r\n\r\nok'
    with behind(answering(answer)) as (server, _):
        assert "alt-svc" not in get(server, "/app/")

    def modify(request: Request, found: ResponseIn) -> None:
        assert found.headers.get("Alt-Svc") is None
        found.headers.set("Alt-Svc", 'h2=":8443"')  # whoever has one here may say so

    with behind(answering(answer), modify_response=modify) as (server, _):
        assert get(server, "/app/")["alt-svc"] == 'h2=":8443"'


# -- the cookie that keeps a browser at one backend ---------------------------------------------------------------


def switching(name: bytes) -> Callable[[Conversation], None]:
    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        fields = b"Upgrade: echo\r\nConnection: Upgrade\r\nSet-Cookie: theirs=1\r\nX-Name: %b\r\n\r\n" % name
        talk.send(b"HTTP/1.1 101 Switching Protocols\r\n" + fields)
        talk.rest()

    return script


def switched(server: Server, *lines: str) -> bytes:
    """The head of a 101."""
    with Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1", "Upgrade: echo", "Connection: Upgrade", *lines))
        return client.read_until(b"\r\n\r\n")


def test_a_websocket_sets_the_cookie_too() -> None:
    """A page that begins with a WebSocket comes to the same backend with what follows."""
    a, b = switching(b"a"), switching(b"b")
    with scripted(a) as one, scripted(b) as other, proxied(one.port, other.port, balance="cookie") as server:
        names: set[str] = set()
        turns = 0
        while len(names) < 2 and (turns := turns + 1) < 100:  # cookies are random, and so is whose they are
            found = switched(server)
            theirs, ours = field(found, "set-cookie")
            assert theirs == "theirs=1" and ours.startswith("gbroute=")
            again = switched(server, f"Cookie: {ours.partition(';')[0]}")
            assert field(again, "set-cookie") == ["theirs=1"]
            assert field(again, "x-name") == field(found, "x-name")
            names.update(field(found, "x-name"))
        assert names == {"a", "b"} and not proxy_of(server).proxy.watch.exchanges


# -- pages --------------------------------------------------------------------------------------------------------

PAGE = '<html xmlns="http://www.w3.org/1999/xhtml"><script src="{url}/a.js"/><a href="{url}/b">b</a></html>'


@pytest.mark.parametrize(
    ("kind", "rewritten"),
    [
        ("application/xhtml+xml", ["a.js", "b"]),
        ("application/xhtml+xml; charset=utf-8", ["a.js", "b"]),
        ("text/html", ["a.js"]),  # where "/>" ends nothing: the rest is a script's
        ("application/xml", []),
        ("text/xml", []),
    ],
)
def test_links_in_xhtml(kind: str, rewritten: list[str]) -> None:
    def script(talk: Conversation) -> None:
        while talk.until(b"\r\n\r\n"):
            body = PAGE.format(url=f"http://127.0.0.1:{talk.sock.getsockname()[1]}").encode()
            talk.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    with behind(script, rewrite_links=True) as (server, _):
        body = get(server, "/app/").body.decode()
    assert [one for one in ("a.js", "b") if f'"http://x/app/{one}"' in body] == rewritten


# -- hooks --------------------------------------------------------------------------------------------------------

# What a hook may say about a response is not what it may say about a request.
RESPONSE_FIELDS = {
    "Content-Length": False,
    "Transfer-Encoding": False,
    "Connection": False,
    "Trailer": False,
    "Keep-Alive": False,
    "Upgrade": False,
    "Host": True,  # which means nothing in a response
    "TE": True,
    "Expect": True,
    "Proxy-Authenticate": True,
    "Set-Cookie": True,
    "Location": True,
}


@pytest.mark.parametrize(("name", "allowed"), RESPONSE_FIELDS.items())
def test_what_modify_response_may_say(name: str, allowed: bool) -> None:
    refused: list[LocalProtocolError] = []

    def modify(request: Request, found: ResponseIn) -> None:
        for change in (lambda: found.headers.set(name, "1"), lambda: found.headers.remove(name)):
            try:
                change()
            except LocalProtocolError as error:
                refused.append(error)
        if allowed:
            found.headers.set(name, "1")

    with behind(answering(OK), modify_response=modify) as (server, _):
        found = get(server, "/app/")
    assert len(refused) == (0 if allowed else 2)
    assert found.body == b"ok" and found.all(name) == (["1"] if allowed else ["2"] if name == "Content-Length" else [])


@contextlib.contextmanager
def unix(path: str, script: Callable[[Conversation], object]) -> Iterator[list[bytes]]:
    """A scripted backend on a Unix socket; yields what its connections have said."""
    heard: list[bytes] = []

    def talk(sock: Any, address: Any) -> None:
        conversation = Conversation(sock)
        script(conversation)
        heard.append(conversation.heard)

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    server = StreamServer(listening, talk)
    server.start()
    try:
        yield heard
        wait_until(lambda: heard)
    finally:
        server.stop(timeout=1)
