"""Logins in front of backends and of the gateway: who gets in, and what of his credentials goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from proxies import ANN, LINE, OK, answering, authenticator, behind, field, proxied, proxy_of
from scripted import Conversation, scripted
from support import need_command
from web import Client, ask, get, head, serving

from greenbas import Request, Server, create
from greenbas_plugins.proxy.mounted import RequestOut
from greenbas_plugins.proxy.redirector import redirector


def curl(server: Server, *options: str, paths: tuple[str, ...]) -> str:
    """The status of each request, all by one curl with a cookie jar; bodies are dropped."""
    command = [need_command("curl"), "-s", "--max-time", "10", "-b", "", "-w", "%{http_code} "]
    command += [*options, *(f"http://127.0.0.1:{server.listeners[0].port}{path}" for path in paths)]
    command += [item for _ in paths for item in ("-o", "/dev/null")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


# -- the gateway --------------------------------------------------------------------------------------------------


def gateway(server: Server, port: int, kind: str) -> None:
    made = create.redirector("gateway", allow=(f"localhost:{port}", "127.0.0.0/8", "::1"))
    made.set_auth(authenticator(kind))
    server.insert(made)


@pytest.mark.parametrize("kind", ["basic", "digest", "dav", "auth"])
def test_the_gateway_for_those_who_log_in(kind: str) -> None:
    with scripted(answering(OK)) as backend, serving() as server:
        gateway(server, backend.port, kind)
        paths = tuple(f"/gateway/localhost:{backend.port}/{number}" for number in range(3))
        option = {"basic": "--basic", "digest": "--digest"}.get(kind, "--anyauth")
        assert curl(server, option, "-u", "ann:wrong", "-H", "Cookie: mine=1", paths=paths[:1]) == "401"
        assert curl(server, paths=paths[:1]) == "401" and not backend.heard
        assert curl(server, option, "-u", "ann:secret", "-H", "Cookie: mine=1", paths=paths) == "200 200 200"
        server.stop(0)
        heard = b"".join(backend.said())
    assert [line.split()[1] for line in heard.split(b"\r\n") if line.startswith(b"GET ")] == [b"/0", b"/1", b"/2"]
    assert not field(heard, "authorization")
    assert set(field(heard, "cookie")) <= {"mine=1"} and b"gbsid" not in heard


def test_neither_password_nor_session_reaches_the_other_site() -> None:
    """Not even with the session's cookie beside others, or under the names that it has over TLS."""
    with scripted(answering(OK)) as backend, serving() as server:
        gateway(server, backend.port, "basic")
        path = f"/gateway/localhost:{backend.port}/"
        token = logged_in(server, path).partition("=")[2]
        with Client(server) as client:
            for lines in (
                (f"Cookie: gbsid={token}; a=b",), (f"Cookie: a=b;gbsid={token}",),
                ("Cookie: a=b", f"Cookie: gbsid={token}"), (f"Cookie: __Host-gbsid={token}; a=b; __Secure-gbsid=x",),
                (f"Cookie: gbsid={token}",),
            ):  # fmt: skip
                assert client.ask(head(f"GET {path} HTTP/1.1", *lines, ANN)).status == 200
        server.stop(0)
        heard = b"".join(backend.said())
    assert token.encode() not in heard and b"gbsid" not in heard and not field(heard, "authorization")
    assert field(heard, "cookie") == ["a=b"] * 4


@pytest.mark.parametrize("guard", ["none", "an authorizer above"])
def test_without_an_authenticator_the_gateway_is_closed(guard: str) -> None:
    with scripted(answering(OK)) as backend, serving() as server:
        server.insert(create.redirector("gateway", allow=(f"localhost:{backend.port}", "127.0.0.1", "::1")))
        if guard != "none":
            server.root.set_auth(None, create.authorizer(lambda *asked: True))
        found = get(server, f"/gateway/localhost:{backend.port}/")
        assert found.status == 403 and not backend.heard
        assert guard != "none" or b"no authenticator, and is closed without one: call set_auth()" in found.body


def test_an_authenticator_above_the_gateway_will_do() -> None:
    with scripted(answering(OK)) as backend, serving() as server:
        folder = create.dir("inside")
        folder.insert(create.redirector("gateway", allow=(f"localhost:{backend.port}", "127.0.0.1", "::1")))
        folder.set_auth(authenticator("basic"))
        server.insert(folder)
        path = f"/inside/gateway/localhost:{backend.port}/"
        assert (get(server, path).status, get(server, path, ANN).status) == (401, 200)
        assert get(server, "/inside/gateway/other.example/", ANN).status == 403


def logged_in(server: Server, path: str, *lines: str) -> str:
    """The cookie of a session, of somebody who has logged in by Basic."""
    found = get(server, path, ANN, *lines)
    assert found.status == 200
    (cookie,) = [one.partition(";")[0] for one in found.all("set-cookie") if one.startswith("gbsid=")]
    return cookie


# -- backends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["basic", "digest"])
@pytest.mark.parametrize("passes", [False, True])
def test_what_has_let_a_client_in_stays_here(kind: str, passes: bool) -> None:
    with behind(answering(OK), pass_credentials=passes) as (server, backend):
        proxy_of(server).set_auth(authenticator(kind))
        command = (f"--{kind}", "-u", "ann:secret", "-H", "Cookie: mine=1")
        assert curl(server, *command, paths=("/app/a", "/app/b", "/app/a", "/app/b")) == "200 200 200 200"
        server.stop(0)
        heard = b"".join(backend.said())
    assert heard.count(b"GET /") == 4
    if passes:
        assert field(heard, "authorization") and "gbsid" in "".join(field(heard, "cookie"))
    else:
        assert not field(heard, "authorization") and b"gbsid" not in heard and set(field(heard, "cookie")) <= {"mine=1"}


def test_the_cookie_of_the_session_stays_here_and_others_go_on() -> None:
    with behind(answering(OK)) as (server, backend):
        proxy_of(server).set_auth(authenticator("basic"))
        cookie = logged_in(server, "/app/")
        sent = [f"a=b; {cookie};c=d", f"{cookie}", "a=b;c=d; ", f"xgbsid=1; gbsid={'0' * 40}"]
        with Client(server) as client:
            for one in sent:
                for _ in range(3):  # heads that come again are remembered
                    assert client.ask(head("GET /app/again HTTP/1.1", f"Cookie: {one}", ANN)).status == 200
        server.stop(0)
        heard = b"".join(backend.said())
    token = cookie.partition("=")[2]
    assert f"={token}".encode() not in heard and not field(heard, "authorization")
    assert field(heard, "cookie")[0] == "a=b;c=d" and field(heard, "cookie")[-1] == f"xgbsid=1; gbsid={'0' * 40}"


def test_a_login_by_a_form_leaves_authorization_to_the_backend() -> None:
    with behind(answering(OK)) as (server, backend):
        proxy_of(server).set_auth(authenticator("form"))
        form = "ba_username=ann&ba_password=secret"
        lines = ("Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}")
        cookie = ask(server, head("POST /app/ HTTP/1.1", *lines) + form)["set-cookie"].partition(";")[0]
        for line in ("Authorization: Bearer token", ANN):
            assert get(server, "/app/", f"Cookie: {cookie}", line).status == 200
        server.stop(0)
        heard = b"".join(backend.said())
    assert field(heard, "authorization") == ["Bearer token", ANN.partition(": ")[2]] and b"gbsid" not in heard


def test_a_token_beside_a_login_by_basic_goes_on() -> None:
    with behind(answering(OK)) as (server, backend):
        proxy_of(server).set_auth(authenticator("basic"))
        cookie = logged_in(server, "/app/")
        assert get(server, "/app/", f"Cookie: {cookie}", "Authorization: Bearer token").status == 200
        server.stop(0)
        assert field(b"".join(backend.said()), "authorization") == ["Bearer token"]


def test_without_a_login_here_all_goes_on() -> None:
    """The backend has logins of its own, perhaps of another greenbas."""
    with serving(lambda request, response: "in") as inner, proxied(inner.listeners[0].port) as server:
        inner.root.set_auth(authenticator("basic"))
        assert get(server, "/app/").status == 401
        cookie = logged_in(server, "/app/")
        assert get(server, "/app/x", f"Cookie: {cookie}").body == b"in"


def test_a_guard_that_comes_later_changes_what_is_remembered() -> None:
    with behind(answering(OK)) as (server, backend), Client(server) as client:
        asked = head("GET /app/ HTTP/1.1", ANN)
        for _ in range(5):
            assert client.ask(asked).status == 200
        proxy_of(server).set_auth(authenticator("basic"))
        for _ in range(5):
            assert client.ask(asked).status == 200
        client.sock.close()
        server.stop(0)
        assert len(field(b"".join(backend.said()), "authorization")) == 5


def test_a_rewrite_hook_tells_who_it_is() -> None:
    def rewrite(request: Request, out: RequestOut) -> None:
        user = request.user()
        out.headers.set("X-Remote-User", user.name if user else "")
        assert "Authorization" not in out.headers

    with behind(answering(OK), rewrite=rewrite) as (server, backend):
        proxy_of(server).set_auth(authenticator("basic"))
        assert get(server, "/app/", ANN, "X-Remote-User: root").status == 200
        server.stop(0)
        assert field(b"".join(backend.said()), "x-remote-user") == ["ann"]


CACHING = [
    ("no-store", "no-store"),
    ("public, max-age=60", "private, max-age=60"),
    ("s-maxage=9, max-age=60, must-revalidate", "private, max-age=60, must-revalidate"),
    ("private, max-age=5", "private, max-age=5"),
    ("PRIVATE", "PRIVATE"),
    ('private="Set-Cookie, X", no-cache', 'private, private="Set-Cookie, X", no-cache'),
    ("Public", "private"),
    ("", "private"),
]


@pytest.mark.parametrize("framing", ["whole", "chunked"])
@pytest.mark.parametrize(("theirs", "sent"), CACHING)
def test_caches_get_what_both_allow(theirs: str, sent: str, framing: str) -> None:
    """Behind a login no shared cache may keep an answer; but what the backend forbids stays forbidden."""
    line = f"Cache-Control: {theirs}\r\n".encode() if theirs else b""
    answer = LINE + line + OK[len(LINE) :]
    if framing == "chunked":
        answer = LINE + line + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"

    def script(talk: Conversation) -> None:
        while talk.until(b"\r\n\r\n"):
            talk.send(answer)
            if framing == "chunked":
                talk.send(b"0\r\n\r\n")

    with behind(script) as (server, _):
        assert get(server, "/app/").all("cache-control") == ([theirs] if theirs else [])
        proxy_of(server).set_auth(authenticator("basic"))
        first = get(server, "/app/", ANN)
        assert "no-store" in first["cache-control"]  # it sets the cookie of the session
        cookie = first["set-cookie"].partition(";")[0]
        assert get(server, "/app/", f"Cookie: {cookie}").all("cache-control") == [sent]


def test_who_is_not_authorized_reaches_no_backend() -> None:
    with behind(answering(OK)) as (server, backend):
        allowed = create.authorizer(lambda name, method, path, session: method == "GET" and path.startswith("docs/"))
        proxy_of(server).set_auth(authenticator("basic"), allowed)
        found = [get(server, path, ANN).status for path in ("/app/docs/x", "/app/other", "/app/docs/../other")]
        assert found == [200, 403, 403]
        server.stop(0)
        assert b"".join(backend.said()).count(b"GET ") == 1


def test_a_mount_of_the_file_can_be_a_gateway(tmp_path: Path) -> None:
    made = redirector("gateway", allow=("site.example",))
    assert "Gateway" in repr(made) and made.report() == []
