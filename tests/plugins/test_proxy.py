"""The proxy in front of real servers: what a site gets from it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import wsraw
from gevent.server import StreamServer
from launch import free_port
from proxies import OK, answering, behind, field, proxied, proxy_of, wait_for_end
from scripted import Conversation, scripted
from support import need_command, wait_until
from tlspairs import client_tls, server_tls
from web import Client, ask, directory, get, head, serving

import greenbas.net
import greenbas.plugin
from greenbas import Request, Response, Server, create
from greenbas.errors import IncorrectUse, SettingError
from greenbas_plugins.proxy.failure import ProxyFailure
from greenbas_plugins.proxy.hooks import ResponseIn
from greenbas_plugins.proxy.mounted import RequestOut
from greenbas_plugins.proxy.redirector import Redirector, redirector

MIB = 1024 * 1024


# -- the directory ------------------------------------------------------------------------------------------------


def test_create_redirector_is_the_plugins() -> None:
    made = create.redirector("shop", "127.0.0.1", 8000, 3, "/base/")
    assert isinstance(made, Redirector)
    (upstream,) = made.proxy.upstreams.all
    assert (made.name(), made.priority, upstream.origin.url, upstream.origin.base) == (
        "shop", 3, "http://127.0.0.1:8000", "/base",
    )  # fmt: skip


WRONG: dict[str, Any] = {
    "no such setting": {"to": "http://a", "time_out": 3},
    "no such policy": {"to": "http://a", "balance": "random"},
    "no URL": {"to": "a:80"},
    "no scheme of ours": {"to": "ftp://a"},
    "a query": {"to": "http://a/?b"},
    "both": {"domain": "a", "to": "http://b"},
    "twice": {"to": ("http://a", "http://a")},
    "weights": {"to": ("http://a", "http://b"), "weights": (1,)},
    "different paths": {"to": ("http://a/x", "http://b/y")},
    "allow is for gateways": {"to": "http://a", "allow": ("b",)},
    "a gateway without a list": {},
    "a gateway to nonsense": {"allow": ("http://x/",)},
    "a time-out of nothing": {"to": "http://a", "connect_timeout": 0},
    "a hook that is none": {"to": "http://a", "rewrite": "x"},
    "a port without a host": {"port": 80, "allow": ("a",)},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        redirector("app", **options)


def test_settings_of_the_file_are_the_defaults() -> None:
    greenbas.plugin.configure("proxy", {"idle_timeout": 7.0})
    try:
        made = redirector(to="http://a", limit=3)
        assert isinstance(made, Redirector)
        assert (made.proxy.settings.idle_timeout, made.proxy.settings.limit) == (7.0, 3)
    finally:
        greenbas.plugin.configure("proxy", {})


def test_nothing_can_be_inserted() -> None:
    with pytest.raises(IncorrectUse):
        redirector(to="http://a").insert(create.dir("b"))


def test_places() -> None:
    """Named, nested, at the root, and with priority -1 for what is not found here."""

    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            path = sent.split()[1]
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    with scripted(script) as backend, serving() as server:
        where = f"http://127.0.0.1:{backend.port}"
        server.insert(redirector(to=where, priority=-1, base_uri="all"))
        server.insert(directory("own", lambda request, response: "mine"))
        outer = create.dir("a")
        outer.insert(redirector("b", to=where + "/base/"))
        server.insert(outer)
        found = {path: get(server, path).body for path in ("/own/x", "/x?y", "/a/b/c", "/a/c", "/")}
        assert found == {
            "/own/x": b"mine", "/x?y": b"/all/x?y", "/a/b/c": b"/base/c", "/a/c": b"/all/a/c", "/": b"/all/"
        }  # fmt: skip
        assert get(server, "/a/b")["location"].endswith("/a/b/")


def test_forwards_do_not_go_through() -> None:
    with behind(answering(OK)) as (server, backend):
        server.insert(directory("f", lambda request, response: response.forward("/app/x")))
        assert get(server, "/f").status == 500 and not backend.heard


def test_an_authenticator_in_front() -> None:
    with behind(answering(OK)) as (server, backend):
        proxy_of(server).set_auth(None, Nobody())
        assert get(server, "/app/").status == 403 and not backend.heard


class Nobody:
    def authorize(self, user: Any, method: str, path: str) -> bool:
        return False


# -- real servers -------------------------------------------------------------------------------------------------

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; root {folder}/www; client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port}; listen unix:{folder}/nginx.sock;
        location = /small {{ default_type text/plain; return 200 "small\\n"; }}
        location = /moved {{ return 301 /elsewhere; }}
        location /dir {{ }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a real nginx, and its folder."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "www" / "dir").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "www" / "large").write_bytes(bytes(range(256)) * 4096 * 5)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    command = [need_command("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (folder / "nginx.sock").exists() and is_open(port))
        yield port, folder
    finally:
        process.terminate()
        process.wait()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.mark.parametrize("by", ["tcp", "unix", "copying"])
def test_nginx(nginx: tuple[int, Path], by: str) -> None:
    port, folder = nginx
    to = f"unix:{folder}/nginx.sock" if by == "unix" else f"http://127.0.0.1:{port}"
    with proxied(to=to, **({"splice_above": 10**9} if by == "copying" else {})) as server, Client(server) as client:
        for _ in range(2):
            assert client.ask(head("GET /app/small HTTP/1.1")).body == b"small\n"
            assert client.ask(head("GET /app/moved HTTP/1.1"))["location"].endswith("/app/elsewhere")
            assert client.ask(head("GET /app/large HTTP/1.1")).body == (folder / "www" / "large").read_bytes()
            found = client.ask(head("GET /app/large HTTP/1.1", "Range: bytes=5-9"))
            assert (found.status, found.body) == (206, bytes([5, 6, 7, 8, 9]))
            assert client.ask(head("HEAD /app/large HTTP/1.1"))["content-length"] == str(5 * MIB)
        assert client.ask(head("GET /app/none HTTP/1.1")).status == 404
        assert "/app/dir/" in client.ask(head("GET /app/dir HTTP/1.1"))["location"]
        assert len(proxy_of(server).proxy.upstreams.all[0].pool.idle) <= 3  # two rest behind HEAD


def test_flask() -> None:
    flask = pytest.importorskip("flask")
    app = flask.Flask("shop")
    app.secret_key = "x"

    @app.post("/upload")
    def upload() -> Any:
        flask.session["size"] = len(flask.request.get_data())
        return flask.redirect("/result")

    @app.get("/result")
    def result() -> Any:
        asked = flask.request
        return {"size": flask.session["size"], "url": asked.url, "peer": asked.headers["X-Forwarded-For"]}

    with serving() as inner, proxied(to="http://127.0.0.1:1") as server:
        inner.insert(create.wsgi(app))
        proxy_of(server).unlink()
        server.insert(redirector("app", "127.0.0.1", inner.listeners[0].port))
        found = ask(server, head("POST /app/upload HTTP/1.1", "Content-Length: 5000") + "x" * 5000)
        assert found.status == 302 and found["location"] == "/app/result"
        cookie = found["set-cookie"]
        assert "Path=/app" in cookie
        found = get(server, "/app/result", f"Cookie: {cookie.partition(';')[0]}")
        assert b'"size":5000' in found.body and b'"url":"http://x/result"' in found.body and b"127.0.0.1" in found.body


def test_curl(nginx: tuple[int, Path]) -> None:
    curl = need_command("curl")
    with proxied(nginx[0]) as server:
        url = f"http://127.0.0.1:{server.listeners[0].port}/app/"
        command = [curl, "-sS", "-L", f"{url}small", f"{url}small", "-w", "%{num_connects} "]
        process = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert process.stdout == "small\n1 small\n0 ", process.stderr


def test_the_end_of_tls_is_here(tmp_path: Path) -> None:
    with behind(answering(OK)) as (server, backend):
        listener = server.listen(0, tls=server_tls())
        sock = greenbas.net.connect("localhost", listener.port, tls=client_tls())
        sock.write("GET /app/ HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
        found = b""
        while data := sock.read():
            found += data
        sock.close()
    assert found.endswith(b"ok")
    assert field(backend.said()[0], "x-forwarded-proto") == ["https"]


def test_backends_over_tls_are_verified() -> None:
    with serving(lambda request, response: f"{request.is_secure()} {request.host()}") as inner:
        port = inner.listen(0, tls=server_tls()).port
        to = f"https://localhost:{port}"
        with proxied(to=to, tls=client_tls(), host="backend") as server, Client(server) as client:
            for _ in range(2):
                assert client.ask(head("GET /app/ HTTP/1.1")).body == f"True localhost:{port}".encode()
            body = "x" * 300_000
            answer = client.ask(head("POST /app/ HTTP/1.1", f"Content-Length: {len(body)}") + body)
            assert answer.status == 200
        with proxied(to=to) as server:
            assert get(server, "/app/").status == 502  # nobody trusts the tests' authority
        with proxied(to=f"https://127.0.0.1:{port}", tls=client_tls()) as server:
            assert get(server, "/app/").status in (200, 502)


# -- streams and tunnels ------------------------------------------------------------------------------------------


def test_events_come_at_once() -> None:
    go: list[int] = []

    def events(request: Request, response: Response) -> None:
        response.set_content_type("text/event-stream")
        response.flush()
        for number in range(3):
            wait_until(lambda number=number: len(go) > number)
            response.write(f"data: {number}\n\n")
            response.flush()

    with serving(events) as inner, proxied(inner.listeners[0].port) as server, Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        assert b"text/event-stream" in client.read_until(b"\r\n\r\n")  # before the first event
        for number in range(3):
            go.append(number)
            client.read_until(b"data: %d\n\n" % number)


def echo(request: Request, response: Response) -> None:
    websocket = request.upgrade(compression=True)
    for message in websocket:
        websocket.send(message)


def test_websockets() -> None:
    with serving(echo) as inner, proxied(inner.listeners[0].port) as server, Client(server) as client:
        client.send(wsraw.handshake("/app/"))
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert len(proxy_of(server).proxy.tunnels) == 1 and not proxy_of(server).proxy.watch.exchanges
        client.send(wsraw.masked(wsraw.TEXT, b"hello"))
        client.read_until(b"\x81\x05hello")
        client.send(wsraw.masked(wsraw.BINARY, bytes(100_000)))
        client.read_until(bytes(100_000))
        client.send(wsraw.close_frame())
        assert client.rest() == b"\x88\x02\x03\xe8"
        client.sock.close()
        wait_until(lambda: not proxy_of(server).proxy.tunnels)


def test_a_refused_websocket_is_an_answer() -> None:
    with serving(echo) as inner, proxied(inner.listeners[0].port) as server, Client(server) as client:
        found = client.ask(head("GET /app/ HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"))
        assert found.status in (400, 426) and not proxy_of(server).proxy.tunnels


def tunnelling(talk: Conversation) -> None:
    """A backend that switches, and sends back what it gets until the end of it; then it says goodbye."""
    talk.until(b"\r\n\r\n")
    talk.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
    if talk._unread:
        talk.send(talk._unread)
    while data := talk.sock.recv(65536):
        talk.send(data)
    talk.send(b"goodbye")


SWITCH = head("GET /app/ HTTP/1.1", "Upgrade: echo", "Connection: Upgrade")


def test_tunnels_half_close() -> None:
    with behind(tunnelling) as (server, _), Client(server) as client:
        client.send(SWITCH + "early")  # behind the request, before the answer
        assert field(client.read_until(b"\r\n\r\n"), "upgrade") == ["echo"]
        assert client.read_until(b"early")
        client.half_close()
        assert client.rest() == b"goodbye"
        wait_until(lambda: not proxy_of(server).proxy.tunnels)


def test_tunnels_slow_down_who_sends_too_much() -> None:
    size = 30 * MIB
    with behind(tunnelling) as (server, _), Client(server) as client:
        client.send(SWITCH)
        client.read_until(b"\r\n\r\n")
        sender = gevent.spawn(lambda: (client.sock.sendall(bytes(size)), client.half_close()))
        gevent.sleep(0.05)
        assert not sender.ready()  # nobody reads, and nobody keeps it all
        found = 0
        while data := client.sock.recv(MIB):
            found += len(data)
        assert found == size + len(b"goodbye")


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_tunnel_ends_with_either_side(who: str) -> None:
    ends: list[Conversation] = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        ends.append(talk)
        if who == "client":
            talk.rest()
        else:
            wait_until(lambda: ready)

    ready: list[bool] = []
    with behind(script) as (server, backend), Client(server) as client:
        client.send(SWITCH)
        client.read_until(b"\r\n\r\n")
        if who == "client":
            client.reset()
        else:
            ready.append(True)
            assert client.rest() == b""
            client.sock.close()
        wait_until(lambda: not proxy_of(server).proxy.tunnels)
        backend.said()


def test_a_stop_ends_tunnels_after_the_drain() -> None:
    with behind(tunnelling) as (server, backend), Client(server) as client:
        client.send(SWITCH)
        client.read_until(b"\r\n\r\n")
        server.stop(drain_timeout=0.05)
        assert client.closed()
        backend.said()
        assert not proxy_of(server).proxy.tunnels


def test_unlinking_one_proxy_drops_no_stream() -> None:
    with behind(tunnelling) as (server, backend), Client(server) as client, Client(server) as other:
        server.insert(redirector("other", "127.0.0.1", backend.port))
        for one, path in ((client, "app"), (other, "other")):
            one.send(SWITCH.replace("app", path))
            one.read_until(b"\r\n\r\n")
        proxy_of(server).unlink()
        assert get(server, "/app/").status == 404
        for one in (client, other):
            one.send("still")
            one.read_until(b"still")


def test_a_stop_lets_requests_end() -> None:
    go: list[bool] = []

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        wait_until(lambda: go)
        talk.send(OK)

    with behind(script) as (server, _), Client(server) as client:
        client.send(head("GET /app/ HTTP/1.1"))
        wait_until(lambda: proxy_of(server).proxy.watch.exchanges)
        stopping = gevent.spawn(server.stop, drain_timeout=5.0)
        gevent.sleep(0.02)
        go.append(True)
        assert client.answer().body == b"ok"
        client.sock.close()
        stopping.join(5)


# -- several backends ---------------------------------------------------------------------------------------------


def named(name: bytes) -> Any:
    return answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name)


def tally(server: Server, count: int, *headers: str) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for _ in range(count):
        body = get(server, "/app/", *headers).body
        found[body] = found.get(body, 0) + 1
    return found


def test_requests_are_shared_by_weight() -> None:
    with scripted(named(b"a")) as a, scripted(named(b"b")) as b, proxied(a.port, b.port, weights=(3, 1)) as server:
        assert tally(server, 8) == {b"a": 6, b"b": 2}


def test_one_client_stays_with_one_backend() -> None:
    with scripted(named(b"a")) as a, scripted(named(b"b")) as b:
        with proxied(a.port, b.port, balance="client", trusted_proxies=("127.0.0.1",)) as server:
            found = [tally(server, 3, f"X-Forwarded-For: 10.0.0.{number}") for number in range(20)]
            assert all(len(one) == 1 for one in found) and len({next(iter(one)) for one in found}) == 2
        with proxied(a.port, b.port, balance="cookie") as server:
            cookies = [get(server, "/app/")["set-cookie"] for _ in range(20)]
            assert all("gbroute=" in one and "Path=/app" in one and "HttpOnly" in one for one in cookies)
            found = [tally(server, 3, f"Cookie: a=b; {one.partition(';')[0]}") for one in cookies]
            assert all(len(one) == 1 for one in found) and len({next(iter(one)) for one in found}) == 2
            assert "set-cookie" not in get(server, "/app/", f"Cookie: {cookies[0].partition(';')[0]}")


def test_a_backend_that_is_gone_is_passed_over() -> None:
    with scripted(named(b"a")) as a, scripted(named(b"b")) as gone:
        port = gone.port
        with proxied(a.port, port, max_fails=2) as server:
            assert len(tally(server, 4)) == 2
    with scripted(named(b"a")) as a, proxied(a.port, port, max_fails=2) as server:
        assert tally(server, 8) == {b"a": 8}
        assert proxy_of(server).proxy.upstreams.all[1].health.state.value == "down"
        post = head("POST /app/ HTTP/1.1", "Content-Length: 0")
        assert [ask(server, post).status for _ in range(4)] == [200] * 4  # nothing of it had left


def test_all_gone_is_503_with_retry_after() -> None:
    with scripted(named(b"a")) as a, scripted(named(b"b")) as b:
        ports = a.port, b.port
    with proxied(*ports, max_fails=1) as server:
        found = [get(server, "/app/") for _ in range(4)]
        assert found[0].status == 502
        assert {one.status for one in found} <= {502, 503}


def test_killed_and_restarted_under_load() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    talking: list[Any] = []

    def talk(sock: Any, address: Any) -> None:
        talking.append(sock)
        conversation = Conversation(sock)
        with contextlib.suppress(OSError):
            while conversation.until(b"\r\n\r\n"):
                gevent.sleep(0.001)
                conversation.send(OK)

    def restart() -> None:
        nonlocal server_b
        server_b.stop(timeout=0)
        while talking:
            with contextlib.suppress(OSError):
                talking.pop().close()
        gevent.sleep(0.02)
        server_b = StreamServer(("127.0.0.1", port), talk)
        server_b.start()

    server_b = StreamServer(("127.0.0.1", port), talk)
    server_b.start()
    with scripted(answering(OK)) as a, proxied(a.port, port) as server:
        statuses: list[int] = []
        over: list[bool] = []

        def load() -> None:
            with Client(server) as client:
                while not over:
                    statuses.append(client.ask(head("GET /app/ HTTP/1.1")).status)

        loads = [gevent.spawn(load) for _ in range(8)]
        for _ in range(5):
            gevent.sleep(0.03)
            restart()
        over.append(True)
        gevent.joinall(loads, timeout=10, raise_error=True)
    server_b.stop(timeout=0)
    assert len(statuses) > 100 and set(statuses) == {200}


def test_a_limit_and_a_queue() -> None:
    go: list[bool] = []
    now_and_most = [0, 0]

    def script(talk: Conversation) -> None:
        while talk.until(b"\r\n\r\n"):
            now_and_most[0] += 1
            now_and_most[1] = max(now_and_most)
            wait_until(lambda: go)
            now_and_most[0] -= 1
            talk.send(OK)

    with behind(script, limit=2, queue=3) as (server, _):
        asked = [gevent.spawn(get, server, "/app/") for _ in range(5)]
        wait_until(lambda: proxy_of(server).proxy.upstreams.queued == 3)
        full = get(server, "/app/")
        assert full.status == 503 and int(full["retry-after"]) >= 1
        go.append(True)
        gevent.joinall(asked, timeout=5, raise_error=True)
        assert [one.value.status for one in asked] == [200] * 5 and now_and_most[1] == 2


def test_who_waits_too_long_is_503() -> None:
    with behind(lambda talk: wait_for_end(talk), limit=1, queue_timeout=0.1, first_byte_timeout=0.5) as (server, _):
        first = gevent.spawn(get, server, "/app/")
        wait_until(lambda: proxy_of(server).proxy.watch.exchanges)
        assert get(server, "/app/").status == 503
        first.join(5)
        assert first.value.status == 504


def test_active_checks() -> None:
    well = {b"a": True, b"b": False}

    def backend(name: bytes) -> Any:
        def script(talk: Conversation) -> None:
            while sent := talk.until(b"\r\n\r\n"):
                status = b"200 OK" if b" /health " not in sent or well[name] else b"500 Broken"
                talk.send(b"HTTP/1.1 %b\r\nContent-Length: 1\r\n\r\n%b" % (status, name))

        return script

    checks: dict[str, Any] = {"health_path": "/health", "health_interval": 0.02}
    with scripted(backend(b"a")) as a, scripted(backend(b"b")) as b, proxied(a.port, b.port, **checks) as server:
        get(server, "/app/")
        states = [one.health for one in proxy_of(server).proxy.upstreams.all]
        wait_until(lambda: states[1].state.value == "sick")
        assert tally(server, 4) == {b"a": 4}
        well[b"b"] = True
        wait_until(lambda: states[1].state.value == "up")
        assert len(tally(server, 4)) == 2


# -- hooks --------------------------------------------------------------------------------------------------------


def test_rewrite() -> None:
    def rewrite(request: Request, out: RequestOut) -> None:
        out.headers.set("X-User", request.header("x-name") or "nobody")
        out.headers.remove("Cookie")
        out.method, out.target = "PUT", "/other?" + request.path

    with behind(answering(OK), rewrite=rewrite) as (server, backend):
        assert get(server, "/app/x", "X-Name: ann", "Cookie: a=b").status == 200
    sent = backend.said()[0]
    assert sent.startswith(b"PUT /other?/app/x HTTP/1.1\r\n")
    assert field(sent, "x-user") == ["ann"] and not field(sent, "cookie")


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/é"])
def test_rewrite_cannot_break_the_request_line(target: str) -> None:
    def rewrite(request: Request, out: RequestOut) -> None:
        out.target = target

    with behind(answering(OK), rewrite=rewrite) as (server, backend):
        assert get(server, "/app/x").status == 500 and not backend.heard


def test_modify_response() -> None:
    def modify(request: Request, found: ResponseIn) -> None:
        if request.path == "/app/body":
            found.body = found.read().upper()
        found.status, found.reason = 203, ""
        found.headers.set("X-Seen", "yes")

    with behind(answering(OK), modify_response=modify) as (server, _), Client(server) as client:
        for path, body in (("/app/", b"ok"), ("/app/body", b"OK"), ("/app/", b"ok")):
            found = client.ask(head(f"GET {path} HTTP/1.1"))
            assert (found.status, found["x-seen"], found.body) == (203, "yes", body)


def test_modify_response_of_a_body_that_cannot_be_had() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"

    def script(talk: Conversation) -> None:
        talk.until(b"\r\n\r\n")
        talk.send(cut)

    with behind(script, modify_response=lambda request, found: found.read()) as (server, _):
        assert get(server, "/app/").status == 502
    with behind(answering(OK), modify_response=lambda request, found: found.read(1)) as (server, _):
        assert get(server, "/app/").status == 502


def test_a_destination_outside_is_no_fault_of_the_backend() -> None:
    with behind(answering(OK)) as (server, backend):
        found = [
            ask(server, head("MOVE /app/a HTTP/1.1", f"Destination: http://x/{place}")).status
            for place in ("other/b", "app/b")
        ]
        assert found == [502, 200] and proxy_of(server).proxy.upstreams.all[0].health.failures == 0
    assert field(backend.said()[0], "destination")[0].endswith("/b")
    assert "/app/" not in field(backend.said()[0], "destination")[0]


def test_nobody_overtakes_who_waits() -> None:
    go: list[bool] = []
    order: list[bytes] = []

    def script(talk: Conversation) -> None:
        while sent := talk.until(b"\r\n\r\n"):
            order.append(sent.split()[1])
            wait_until(lambda: go)
            talk.send(OK)

    with behind(script, limit=1) as (server, _):
        asked = []
        for number in range(6):
            asked.append(gevent.spawn(get, server, f"/app/{number}"))
            wait_until(lambda number=number: proxy_of(server).proxy.upstreams.queued == number if number else order)
        go.append(True)
        gevent.joinall(asked, timeout=5, raise_error=True)
    assert order == [b"/%d" % number for number in range(6)]


def test_checks_end_with_the_directory() -> None:
    with behind(answering(OK), health_path="/", health_interval=0.01) as (server, backend):
        found = proxy_of(server)
        get(server, "/app/")
        wait_until(lambda: len(backend.heard) > 2)
        found.unlink()
        wait_until(lambda: found.proxy._checker is None)


def test_on_error() -> None:
    def on_error(request: Request, response: Response, failure: ProxyFailure) -> bool:
        if request.path == "/app/own":
            response.set_status(failure.status)
            response.write("we are sorry")
            return True
        return False

    with behind(answering(b"garbage\r\n\r\n"), on_error=on_error) as (server, _):
        found = get(server, "/app/own")
        assert (found.status, found.body) == (502, b"we are sorry")
        assert b"proper answer" in get(server, "/app/x").body


def test_cookies_of_both() -> None:
    """A Set-Cookie of this server does not push the backend's out."""

    def function(request: Request, response: Response) -> bool:
        response.add_header("Set-Cookie", "mine=1")
        return False

    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: theirs=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    with behind(answering(answer)) as (server, _):
        proxy_of(server).set_func(function)
        found = get(server, "/app/").all("set-cookie")
    assert [one.partition(";")[0] for one in found] == ["mine=1", "theirs=1", "b=2"]


def test_heads_that_come_again_are_not_mixed_up() -> None:
    """What is remembered of heads depends on everything that it is made of."""
    with behind(answering(OK), trusted_proxies=("127.0.0.2",)) as (server, backend):
        for _ in range(4):
            for source in ("127.0.0.1", "127.0.0.2"):
                with Client(server, source) as client:
                    for method in ("GET", "DELETE"):
                        client.ask(head(f"{method} /app/{source} HTTP/1.1", "X-Forwarded-For: 9.9.9.9"))
        server.stop(0)
        found = set()
        for sent in b"".join(backend.said()).split(b"\r\n\r\n")[:-1]:
            found.add((sent.split()[0], sent.split()[1], tuple(field(sent + b"\r\n", "x-forwarded-for"))))
    assert found == {
        (method, f"/{source}".encode(), (seen,))
        for method in (b"GET", b"DELETE")
        for source, seen in (("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "9.9.9.9, 127.0.0.2"))
    }


def test_a_host_in_the_target_does_not_stick_to_the_head() -> None:
    with behind(answering(OK)) as (server, backend), Client(server) as client:
        for _ in range(4):
            for target, _host in HOSTS:
                client.ask(head(f"GET {target} HTTP/1.1"))
        client.sock.close()
        server.stop(0)
        sent = backend.said()[0]
    assert field(sent, "host") == [host for _, host in HOSTS] * 4
    assert field(sent, "x-forwarded-host") == [host for _, host in HOSTS] * 4


HOSTS = [("/app/", "x"), ("http://other.example/app/", "other.example"), ("/app/", "x"), ("http://b/app/", "b")]


def test_latency_and_requests_are_counted() -> None:
    with behind(answering(OK)) as (server, _):
        tally(server, 3)
        status = proxy_of(server).proxy.upstreams.all[0].health.status(time.monotonic())
    assert (status.served, status.in_flight, status.failures) == (3, 0, 0) and status.p50 is not None


def test_the_status_page_shows_backends() -> None:
    from greenbas_plugins.statuspage.page import StatusPage
    from greenbas_plugins.statuspage.watch import start, stop

    greenbas.plugin.configure("statuspage", {"hosts": ["x"]})
    with scripted(named(b"a")) as a:
        gone = free_port()
        with proxied(a.port, gone, max_fails=1) as server:
            server.insert(StatusPage())
            start(server)
            assert tally(server, 3) == {b"a": 3}
            page, data = get(server, "/status/").body.decode(), json.loads(get(server, "/status/status.json").body)
            stop(server)
    greenbas.plugin.configure("statuspage", {})
    up, down = data["backends"]
    assert (up["path"], up["name"], up["state"], up["served"], up["idle"]) == (
        "/app/", f"http://127.0.0.1:{a.port}", "up", 3, 1,
    )  # fmt: skip
    assert (down["state"], down["failures"]) == ("down", 1) and "refused" in down["last_error"]
    assert f"http://127.0.0.1:{gone}<td>down<td>0 of 1,000<td>1" in page and "refused" in page
