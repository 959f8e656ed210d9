"""Flask and Django below a mount: what their own test clients see is what comes over the wire.

Both have the same routes, written as their documentation would. Each request of the table goes through the test client
and through a server, and status, headers and body must be the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.event import Event
from web import Answer, Client, serving

from greenbas import Server
from greenbas.vfs import Directory, WsgiDirectory, is_wsgi

PREFIX = "/my/shop"
FILE = bytes(range(256)) * 1000  # more than is kept back
# What the server adds, and what says how the body is framed: a test client has no need of it.
OF_THE_SERVER = {"date", "server", "connection", "transfer-encoding", "content-length"}


@dataclass
class Framework:
    """An application, its test client, and what holds up its stream."""

    app: Any
    make_client: Callable[[], Any]
    ask: Callable[..., tuple[int, list[tuple[str, str]], bytes]]  # client, method, path, headers, body
    go: Event


def greet(name: str) -> str:
    return f"<p>Grüße an {name}</p>"


def digest(data: bytes) -> str:
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def make_flask(path: Path) -> Framework:
    import flask

    app = flask.Flask("shop", static_folder=str(path.parent), static_url_path="/static")
    app.secret_key = "not secret"
    go = Event()

    @app.route("/")
    def home() -> str:
        return "home"

    @app.route("/user/<name>")
    def user(name: str) -> str:
        return greet(name)

    @app.route("/form", methods=["GET", "POST"])
    def form() -> Any:
        lists = {key: sorted(values) for key, values in sorted(flask.request.form.lists())}
        return flask.jsonify(query=flask.request.args.get("q"), form=lists)

    @app.route("/upload", methods=["POST"])
    def upload() -> Any:
        file = flask.request.files["file"]
        return flask.jsonify(name=file.filename, content=digest(file.read()), text=flask.request.form["text"])

    @app.route("/raw", methods=["PUT"])
    def raw() -> str:
        return digest(flask.request.get_data())

    @app.route("/visits")
    def visits() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return str(flask.session["visits"])

    @app.route("/cookies")
    def cookies() -> Any:
        response = flask.make_response(flask.request.cookies.get("a", "none"))
        response.set_cookie("a", "1", max_age=60, httponly=True)
        response.set_cookie("b", "2 3", samesite="Lax")
        return response

    @app.route("/go")
    def go_on() -> Any:
        return flask.redirect(flask.url_for("user", name="ann"))

    @app.route("/where")
    def where() -> Any:
        request = flask.request
        return flask.jsonify(url=request.url, root=request.script_root, path=request.path, method=request.method)

    @app.route("/stream")
    def stream() -> Any:
        def blocks() -> Iterator[str]:
            yield "first "
            go.wait(10)
            yield "later"

        return flask.Response(blocks(), mimetype="text/plain")

    @app.route("/file")
    def file() -> Any:
        return flask.send_file(path, mimetype="application/octet-stream", conditional=False, etag=False)

    @app.route("/nothing")
    def nothing() -> Any:
        return "", 204

    @app.route("/refused")
    def refused() -> Any:
        flask.abort(403)

    @app.route("/fail")
    def fail() -> Any:
        raise ValueError("on purpose")

    def ask(client: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        for line in filter(None, headers.get("Cookie", "").split("; ")):
            client.set_cookie(*line.split("="), domain="x", path=PREFIX)
        answer = client.open(path, method=method, headers=headers, data=body, base_url="http://x" + PREFIX)
        found = answer.status_code, list(answer.headers), answer.data
        answer.close()
        return found

    return Framework(app, app.test_client, ask, go)


def make_django(path: Path) -> Framework:
    import django
    from django import http, urls
    from django.conf import settings
    from django.core.exceptions import PermissionDenied
    from django.core.wsgi import get_wsgi_application
    from django.shortcuts import redirect
    from django.test import Client as TestClient
    from django.views.static import serve

    go = Event()

    def home(request: Any) -> Any:
        return http.HttpResponse("home")

    def user(request: Any, name: str) -> Any:
        return http.HttpResponse(greet(name))

    def form(request: Any) -> Any:
        lists = {key: sorted(values) for key, values in sorted(request.POST.lists())}
        return http.JsonResponse({"query": request.GET.get("q"), "form": lists})

    def upload(request: Any) -> Any:
        file = request.FILES["file"]
        return http.JsonResponse({"name": file.name, "content": digest(file.read()), "text": request.POST["text"]})

    def raw(request: Any) -> Any:
        return http.HttpResponse(digest(request.body))

    def visits(request: Any) -> Any:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return http.HttpResponse(str(request.session["visits"]))

    def cookies(request: Any) -> Any:
        response = http.HttpResponse(request.COOKIES.get("a", "none"))
        response.set_cookie("a", "1", httponly=True)
        response.set_cookie("b", "2 3", samesite="Lax")
        return response

    def go_on(request: Any) -> Any:
        return redirect("user", name="ann")

    def where(request: Any) -> Any:
        found = {"url": request.build_absolute_uri(), "path": request.path, "info": request.path_info}
        return http.JsonResponse({**found, "method": request.method})

    def stream(request: Any) -> Any:
        def blocks() -> Iterator[str]:
            yield "first "
            go.wait(10)
            yield "later"

        return http.StreamingHttpResponse(blocks(), content_type="text/plain")

    def file(request: Any) -> Any:
        return http.FileResponse(path.open("rb"), content_type="application/octet-stream")

    def nothing(request: Any) -> Any:
        return http.HttpResponse(status=204)

    def refused(request: Any) -> Any:
        raise PermissionDenied

    def fail(request: Any) -> Any:
        raise ValueError("on purpose")

    views = [form, upload, raw, visits, cookies, where, stream, file, nothing, refused, fail]
    patterns = [
        urls.path("", home),
        urls.path("user/<name>", user, name="user"),
        urls.path("go", go_on),
        urls.re_path("^static/(?P<path>.*)$", serve, {"document_root": str(path.parent)}),
        *(urls.path(view.__name__, view) for view in views),
    ]
    settings.configure(
        SECRET_KEY="not secret",
        ALLOWED_HOSTS=["x"],
        ROOT_URLCONF=SimpleNamespaceOfUrls(urlpatterns=patterns),
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        DATA_UPLOAD_MAX_MEMORY_SIZE=100_000,
        LOGGING_CONFIG=None,  # logging belongs to the tests
    )
    django.setup()

    def ask(client: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        urls.set_script_prefix(f"{PREFIX}/")  # which the test client leaves to its user
        kind = headers.get("Content-Type", "application/octet-stream")
        answer = client.generic(
            method, path, body, kind, headers={"Host": "x", **headers}, SCRIPT_NAME=PREFIX, REMOTE_ADDR="127.0.0.1"
        )
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in answer.cookies.values()]
        found = answer.status_code, [*answer.items(), *cookies], answer.getvalue()
        answer.close()
        return found

    return Framework(get_wsgi_application(), lambda: TestClient(raise_request_exception=False), ask, go)


class SimpleNamespaceOfUrls(SimpleNamespace):
    """URL patterns in place of a module; Django remembers it in a dictionary."""

    __hash__ = object.__hash__


MAKERS = {"flask": make_flask, "django": make_django}


@pytest.fixture(scope="module", params=list(MAKERS))
def framework(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Framework]:
    path = tmp_path_factory.mktemp("static") / "some file.bin"
    path.write_bytes(FILE)
    made = MAKERS[request.param](path)
    made.go.set()
    yield made


@pytest.fixture(scope="module")
def server(framework: Framework) -> Iterator[Server]:
    with serving() as server:
        *above, name = PREFIX[1:].split("/")
        place = server.root
        for segment in above:
            below = Directory(segment)
            place.insert(below)
            place = below
        place.insert(WsgiDirectory(framework.app, name))
        yield server


def wire(client: Client, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    lines = [
        f"{method} {PREFIX}{path} HTTP/1.1",
        "Host: x",
        *(f"{key}: {value}" for key, value in (headers or {}).items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return client.ask("\r\n".join([*lines, "", ""]).encode("latin-1") + body, method)


def comparable(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what the server adds, and with the times of cookies left out."""
    found = []
    for name, value in headers:
        key = name.lower()
        if key == "set-cookie":
            parts = [part for part in value.split("; ") if not part.lower().startswith("expires=")]
            parts = sorted(parts[1:])  # RFC 6265: the order of attributes says nothing
            value = "; ".join([value.partition("; ")[0], *parts])
        if key not in OF_THE_SERVER:
            found.append((key, value))
    return sorted(found)


BOUNDARY = "----limit"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
UPLOAD = "\r\n".join(
    [
        f"--{BOUNDARY}",
        'Content-Disposition: form-data; name="text"',
        "",
        "größer",
        f"--{BOUNDARY}",
        'Content-Disposition: form-data; name="file"; filename="a b.bin"',
        "Content-Type: application/octet-stream",
        "",
        "x" * 90_000,
        f"--{BOUNDARY}--",
        "",
    ]
).encode()

REQUESTS: list[tuple[str, str, dict[str, str], bytes, int]] = [
    ("GET", "/", {}, b"", 200),
    ("HEAD", "/", {}, b"", 200),
    ("GET", "/user/ann", {}, b"", 200),
    ("GET", "/user/k%C3%A4se%20%26", {}, b"", 200),
    ("GET", "/form?q=a+b%26c", {}, b"", 200),
    ("POST", "/form?q=1", URLENCODED, b"a=1&b=x+y&a=2&c=%C3%A4", 200),
    ("POST", "/form", URLENCODED, b"", 200),
    ("POST", "/upload", MULTIPART, UPLOAD, 200),
    ("PUT", "/raw", {"Content-Type": "application/octet-stream"}, FILE[:99_999], 200),
    ("GET", "/cookies", {"Cookie": "z=9; a=old"}, b"", 200),
    ("GET", "/go", {}, b"", 302),
    ("GET", "/where?x=%20y", {}, b"", 200),
    ("GET", "/stream", {}, b"", 200),
    ("HEAD", "/file", {}, b"", 200),
    ("GET", "/file", {}, b"", 200),
    ("GET", "/static/some%20file.bin", {}, b"", 200),
    ("GET", "/static/some%20file.bin", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, b"", 304),
    ("GET", "/static/none.bin", {}, b"", 404),
    ("GET", "/nothing", {}, b"", 204),
    ("GET", "/refused", {}, b"", 403),
    ("GET", "/none", {}, b"", 404),
    ("GET", "/fail", {}, b"", 500),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"), REQUESTS, ids=[f"{one[0]} {one[1]} {one[4]}" for one in REQUESTS]
)
def test_the_wire_says_what_the_test_client_says(
    framework: Framework,
    server: Server,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL + 1)  # both log the failures that are wanted here
    expected = framework.ask(framework.make_client(), method, path, headers, body)
    with Client(server) as client:
        for _ in range(2):
            found = wire(client, method, path, headers, body)
            assert (found.status, found.body) == (expected[0], expected[2])
            assert comparable(found.headers) == comparable(expected[1])
            said = [value for name, value in expected[1] if name.lower() == "content-length"]
            # RFC 9110 8.6: none in a 204, and none of an empty body in a 304.
            assert found.all("content-length") == ([] if status in (204, 304) else said or found.all("content-length"))
    assert found.status == status


def test_sessions_and_cookies(framework: Framework, server: Server) -> None:
    tested = framework.make_client()
    cookie: dict[str, str] = {}
    with Client(server) as client:
        for number in range(1, 4):
            _, headers, body = framework.ask(tested, "GET", "/visits", {}, b"")
            found = wire(client, "GET", "/visits", cookie)
            assert found.body == body == str(number).encode()
            name, _, rest = found["set-cookie"].partition("=")
            value, _, attributes = rest.partition("; ")
            (theirs,) = [value for key, value in headers if key.lower() == "set-cookie"]
            assert attribute_names(theirs) == attribute_names(f"{name}=; {attributes}")
            cookie = {"Cookie": f"other=1; {name}={value}"}


def attribute_names(cookie: str) -> list[str]:
    return sorted(part.partition("=")[0].lower() for part in cookie.split("; ")[1:])


def test_urls_respect_the_mount(framework: Framework, server: Server) -> None:
    with Client(server) as client:
        assert wire(client, "GET", "/go")["location"].removeprefix("http://x") == f"{PREFIX}/user/ann"
        assert f"http://x{PREFIX}/where?x".encode() in wire(client, "GET", "/where?x").body


def test_a_stream_is_not_held_up(framework: Framework, server: Server) -> None:
    framework.go.clear()
    try:
        with Client(server) as client:
            client.send(f"GET {PREFIX}/stream HTTP/1.1\nHost: x\n\n")
            assert client.read_until(b"first ").startswith(b"HTTP/1.1 200 OK\r\n")
            framework.go.set()
            assert client.read_until(b"\r\n0\r\n\r\n").endswith(b"later\r\n0\r\n\r\n")
    finally:
        framework.go.set()


def test_a_body_that_breaks_off_is_seen(framework: Framework, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Client(server) as client:
        client.send(f"PUT {PREFIX}/raw HTTP/1.1\nHost: x\nContent-Length: 9\n\nabc")
        client.half_close()
        answer = client.answer("PUT")
        assert client.closed()
    assert answer.status in (400, 500)  # as the framework thinks right
    assert "the peer closed after 3 bytes of the body" in caplog.text


def test_a_failure_is_logged_by_the_framework_and_not_by_the_site(
    framework: Framework, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    failures = server.site.failures
    with Client(server) as client:
        assert wire(client, "GET", "/fail").status == 500
        assert wire(client, "GET", "/").status == 200
    assert "on purpose" in caplog.text
    assert server.site.failures == failures


def test_they_are_seen_to_be_applications(framework: Framework) -> None:
    assert is_wsgi(framework.app)
