"""WSGI applications as directories: PEP 3333 over the wire, checked by the standard library's own validator."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from gevent.event import Event
from h11 import RemoteProtocolError
from leaks import nothing_left
from support import wait_until
from web import Answer, Client, ask, get, head, serving

from greenbas import Server
from greenbas.errors import AlreadyInserted, IncorrectUse
from greenbas.vfs import Directory, WsgiDirectory, is_wsgi
from greenbas.vfs.wsgierrors import MAX_RECORD, ErrorLog

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, Start], Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")
LOREM = b"0123456789abcdef" * 8192  # 128 KiB: more than is kept back


@contextlib.contextmanager
def mounted(app: Any, *names: str | None, **settings: Any) -> Iterator[Server]:
    """A server with an application below directories of these names; the last is that of the mount itself."""
    with serving(**settings) as server:
        place = server.root
        for name in names[:-1]:
            below = Directory(name)
            place.insert(below)
            place = below
        place.insert(WsgiDirectory(app, names[-1] if names else None))
        yield server


def http10(path: str, *lines: str) -> str:
    return "\n".join([f"GET {path} HTTP/1.0", *lines, "", ""])


class Closing:
    """An iterable that notes that it was closed, and how far it got."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.closed = 0
        self.given = 0
        self._blocks = iter(blocks)

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> bytes:
        block = next(self._blocks)
        self.given += 1
        return block

    def close(self) -> None:
        self.closed += 1


# -- applications of all kinds, between the validator and the wire -------------------------------------------------


def in_a_list(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return [b"hello"]


def with_length(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"hello"]


def in_a_tuple(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return (b"hello",)


def in_blocks(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return [b"he", b"", b"llo"]


def in_blocks_with_length(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"he", b"llo"]


def generated(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b""
    yield b"hel"
    yield b"lo"


def written(environ: Environ, start_response: Start) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"hel")
    write(b"")
    write(b"l")
    return [b"o"]


def only_written(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])(b"hello")
    return []


def wrapped(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"), 2)


class AsClass:
    """An application that is a class: its instances are what it returns."""

    def __init__(self, environ: Environ, start_response: Start) -> None:
        self._start = start_response

    def __iter__(self) -> Iterator[bytes]:
        self._start("200 OK", [TEXT])
        yield b"hello"


def large(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return [LOREM]


def large_blocks(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", str(len(LOREM)))])
    return iter([LOREM[:1], LOREM[1:100_000], LOREM[100_000:]])


def nothing(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return []


def no_content(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 1_000_000))
    start_response("200 OK", [TEXT])
    return [body]


HELLO = [in_a_list, with_length, in_a_tuple, in_blocks, in_blocks_with_length, generated, written, only_written]
KINDS: list[tuple[Any, bytes]] = [
    *((app, b"hello") for app in [*HELLO, wrapped, AsClass]),
    (large, LOREM),
    (large_blocks, LOREM),
    (nothing, b""),
    (echo, b""),
]


@pytest.mark.parametrize(("app", "body"), KINDS, ids=lambda item: getattr(item, "__name__", ""))
def test_kinds_of_applications(app: App, body: bytes) -> None:
    with mounted(validator(app), "app") as server, Client(server) as client:
        for path in ("/app", "/app/", "/app/x?y=z"):
            found = client.ask(head(f"GET {path} HTTP/1.1"))
            assert (found.status, found.reason, found["content-type"], found.body) == (200, "OK", "text/plain", body)
        without = client.ask(head("HEAD /app HTTP/1.1"))
        assert (without.status, without["content-type"], without.body) == (200, "text/plain", b"")
        posted = client.ask(head("POST /app HTTP/1.1", "Content-Length: 3") + "abc")
        assert (posted.status, posted.body) == (200, b"abc" if app is echo else body)
        old = ask(server, http10("/app"))
        assert (old.status, old.body) == (200, body)


@pytest.mark.parametrize("app", [in_a_list, with_length, in_a_tuple, in_blocks_with_length, large, large_blocks])
def test_known_lengths_are_said(app: App) -> None:
    with mounted(app) as server:
        found = get(server, "/")
        assert found["content-length"] == str(len(found.body))
        assert "transfer-encoding" not in found
        assert ask(server, head("HEAD / HTTP/1.1"))["content-length"] == found["content-length"]


@pytest.mark.parametrize("app", [in_blocks, generated, written])
def test_unknown_lengths_are_chunked_or_end_with_the_connection(app: App) -> None:
    with mounted(app) as server:
        assert get(server, "/")["transfer-encoding"] == "chunked"
        old = ask(server, http10("/", "Connection: keep-alive"))
        assert (old["connection"], old.body, "transfer-encoding" in old) == ("close", b"hello", False)


def test_pipelined_requests_are_answered_in_order() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [environ["PATH_INFO"].encode(), environ["wsgi.input"].read(10)]

    with mounted(validator(app)) as server, Client(server) as client:
        client.send(
            head("GET /1 HTTP/1.1")
            + head("POST /2 HTTP/1.1", "Content-Length: 2")
            + "ab"
            + head("POST /3 HTTP/1.1", "Transfer-Encoding: chunked")
            + "1\nc\n0\n\n"
            + head("GET /4 HTTP/1.1")
        )
        assert [client.answer().body for _ in range(4)] == [b"/1", b"/2ab", b"/3c", b"/4"]


# -- the environ ---------------------------------------------------------------------------------------------------


def show(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value for key, value in environ.items() if "." not in key}).encode()]


def environ_of(answer: Answer) -> dict[str, str]:
    assert answer.status == 200, answer.body
    found: dict[str, str] = json.loads(answer.body)
    return found


PLACES: list[tuple[list[str | None], str, str, str]] = [
    ([None], "/", "", "/"),
    ([None], "/x/y", "", "/x/y"),
    ([None], "//x", "", "//x"),
    (["a"], "/a", "/a", ""),
    (["a"], "/a/", "/a", "/"),
    (["a"], "/a/x/", "/a", "/x/"),
    (["a"], "/a//x", "/a", "//x"),
    (["a"], "/a/a/a", "/a", "/a/a"),
    (["a"], "/x/../a/./x", "/a", "/x"),
    (["a", "b"], "/a/b", "/a/b", ""),
    (["a", "b"], "/a/b/c", "/a/b", "/c"),
    (["a", None], "/a/", "/a", "/"),
    (["a", None], "/a/c", "/a", "/c"),
    ([None, "b"], "/b", "/b", ""),
    ([None, "b", None], "/b/c", "/b", "/c"),
    ([None, None], "/c", "", "/c"),
    ([None], "/a%20b%2Fc%3f", "", "/a b/c?"),
    (["a"], "/%61/%62", "/a", "/b"),
    (["käse"], "/k%C3%A4se/br%C3%B6t", "/k\xc3\xa4se", "/br\xc3\xb6t"),
    (["ж"], "/%D0%B6", "/\xd0\xb6", ""),
]


@pytest.mark.parametrize(("names", "target", "script", "info"), PLACES)
def test_place(names: list[str | None], target: str, script: str, info: str) -> None:
    with mounted(validator(show), *names) as server:
        for query in ("", "?q=%20/"):
            found = environ_of(get(server, target + query))
            assert (found["SCRIPT_NAME"], found["PATH_INFO"], found["QUERY_STRING"]) == (script, info, query[1:])


def test_place_behind_functions() -> None:
    """What a function asks an application for keeps its place; what it makes up is at the application's own."""
    loose = WsgiDirectory(show)
    with mounted(show, "app") as server:
        app = server.root.children[0]
        server.directory("as-is")(lambda request, response: loose.service(request, request.relpath))
        server.directory("other")(lambda request, response: app.service(request, "made/up"))
        server.directory("forward")(lambda request, response: response.forward("/app/x"))
        server.directory("again")(lambda request, response: response.redirect("/app/"))
        server.directory("app", priority=1)(lambda request, response: False)
        for target, script, info in [
            ("/as-is/x", "/as-is", "/x"),
            ("/as-is", "/as-is", ""),
            ("/other/x", "/app", "/made/up"),
            ("/forward", "/app", "/x"),
            ("/again/app/", "/app", "/"),
            ("/app", "/app", ""),
            ("/app/x", "/app", "/x"),
        ]:
            found = environ_of(get(server, target))
            assert (target, found["SCRIPT_NAME"], found["PATH_INFO"]) == (target, script, info)


def test_inserted_elsewhere_the_place_is_another() -> None:
    mount = WsgiDirectory(show, "a")
    with serving() as server:
        server.insert(mount)
        assert environ_of(get(server, "/a/x"))["SCRIPT_NAME"] == "/a"
        mount.unlink()
        assert get(server, "/a/x").status == 404
        below = Directory("b")
        server.insert(below)
        below.insert(mount)
        assert environ_of(get(server, "/b/a/x"))["SCRIPT_NAME"] == "/b/a"


REQUESTS: list[tuple[str, dict[str, str | None]]] = [
    (
        "GET / HTTP/1.1\nHost: Example.com:81\n\n",
        {
            "REQUEST_METHOD": "GET",
            "SERVER_NAME": "example.com",
            "SERVER_PORT": "81",
            "HTTP_HOST": "Example.com:81",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": None,
            "CONTENT_LENGTH": None,
            "QUERY_STRING": "",
        },
    ),
    ("GET / HTTP/1.1\nHost: example.com\n\n", {"SERVER_NAME": "example.com", "SERVER_PORT": "80"}),
    ("GET / HTTP/1.1\nHost: [::1]:8080\n\n", {"SERVER_NAME": "[::1]", "SERVER_PORT": "8080"}),
    ("GET / HTTP/1.1\nHost: [::1]\n\n", {"SERVER_NAME": "[::1]", "SERVER_PORT": "80"}),
    (
        "GET http://Other.org:90/x?y HTTP/1.1\nHost: example.com\n\n",
        {"SERVER_NAME": "other.org", "SERVER_PORT": "90", "HTTP_HOST": "other.org:90", "PATH_INFO": "/x"},
    ),
    ("GET / HTTP/1.0\n\n", {"SERVER_NAME": "127.0.0.1", "HTTP_HOST": None, "SERVER_PROTOCOL": "HTTP/1.0"}),
    (
        "POST / HTTP/1.1\nHost: x\nContent-Type: text/x; a=b\nContent-Length: 2\n\nab",
        {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/x; a=b", "CONTENT_LENGTH": "2", "HTTP_CONTENT_TYPE": None},
    ),
    ("POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n", {"CONTENT_LENGTH": "0"}),
    ("POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n", {"CONTENT_LENGTH": None}),
    ("PROPFIND / HTTP/1.1\nHost: x\n\n", {"REQUEST_METHOD": "PROPFIND"}),
    ("GET / HTTP/1.1\nHost: x\nX-Name:  va lue \t\n\n", {"HTTP_X_NAME": "va lue"}),
    ("GET / HTTP/1.1\nHost: x\nX-Name: \xe4\n\n", {"HTTP_X_NAME": "\xe4"}),
    ("GET / HTTP/1.1\nHost: x\nX-A: 1\nX-B: 2\nx-a: 3\n\n", {"HTTP_X_A": "1,3", "HTTP_X_B": "2"}),
    ("GET / HTTP/1.1\nHost: x\nCookie: a=1\nCookie: b=2\n\n", {"HTTP_COOKIE": "a=1; b=2"}),
    ("GET / HTTP/1.1\nHost: x\nX_Name: evil\nX-Name: good\n\n", {"HTTP_X_NAME": "good"}),
    (
        "GET / HTTP/1.1\nHost: x\nX_Name: evil\nRemote_Addr: 1.2.3.4\n\n",
        {"HTTP_X_NAME": None, "HTTP_REMOTE_ADDR": None},
    ),
    ("GET / HTTP/1.1\nHost: x\nX-Forwarded-Host: evil\n\n", {"SERVER_NAME": "x", "HTTP_HOST": "x"}),
    ("GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 9.9.9.9\n\n", {"REMOTE_ADDR": "127.0.0.1"}),
    ("GET /?a=%E4&b=<\xe4> HTTP/1.1\nHost: x\n\n".replace("\xe4", "%C3"), {"QUERY_STRING": "a=%E4&b=<%C3>"}),
]


@pytest.mark.parametrize(("request_", "expected"), REQUESTS)
def test_environ(request_: str, expected: dict[str, str | None]) -> None:
    checked = show if "PROPFIND" in request_ else validator(show)  # which warns of methods that it does not know
    with mounted(checked) as server:
        for _ in range(3):  # the header section of the third is one that is remembered
            with Client(server) as client:
                port = client.sock.getsockname()[1]
                found = environ_of(client.ask(request_))
            assert {key: found.get(key) for key in expected} == expected
            assert found["REMOTE_PORT"] == str(port)


def test_a_host_without_a_name_is_the_local_address() -> None:
    with mounted(validator(show)) as server:
        for _ in range(3):
            found = environ_of(ask(server, "GET / HTTP/1.1\nHost: :80\n\n"))
            assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("127.0.0.1", str(server.listeners[0].port))


def test_environ_behind_a_trusted_proxy() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        environ["SCHEME"] = environ["wsgi.url_scheme"]
        return show(environ, start_response)

    lines = ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"]
    with mounted(validator(app), trusted_proxies=("127.0.0.1",)) as server:
        for _ in range(3):
            found = environ_of(get(server, "/", *lines))
            assert (found["REMOTE_ADDR"], found["REMOTE_PORT"], found["SCHEME"]) == ("9.9.9.9", "0", "https")
            assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("shop.example", "443")
            assert found["HTTP_HOST"] == "shop.example"
        found = environ_of(get(server, "/", "X-Forwarded-Proto: https"))
        assert (found["SCHEME"], found["SERVER_NAME"], found["SERVER_PORT"]) == ("https", "x", "443")


def test_environ_of_the_server() -> None:
    kept: list[Environ] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        kept.append(environ)
        environ["HTTP_X_MINE"] = "changed by the application"
        environ["wsgi.url_scheme"] = "gopher"
        return in_a_list(environ, start_response)

    with mounted(app) as server:
        get(server, "/")
        assert get(server, "/").status == 200
    first, second = kept
    assert type(first) is dict and first is not second
    for environ in kept:
        assert environ["wsgi.version"] == (1, 0)
        assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]) == (
            True,
            False,
            False,
        )
        assert environ["wsgi.input_terminated"] is True
    assert first["greenbas.request"] is not second["greenbas.request"]


def test_what_an_application_does_to_its_environ_is_seen_by_no_other_request() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        found = environ.get("HTTP_X_MINE", "none") + environ["wsgi.url_scheme"]
        environ["HTTP_X_MINE"] = environ["wsgi.url_scheme"] = "changed"
        start_response("200 OK", [TEXT])
        return [found.encode()]

    with mounted(app) as server:
        assert {get(server, "/").body for _ in range(4)} == {b"nonehttp"}


def test_the_request_can_be_used() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [environ["greenbas.request"].data("name").encode()]

    with mounted(validator(app)) as server:
        assert get(server, "/?name=ann").body == b"ann"


# -- the request body ----------------------------------------------------------------------------------------------

BODY = b"one\ntwo\r\n\nfour" + b"x" * 70_000 + b"\nlast"
LINES = io.BytesIO(BODY).readlines()

READINGS: dict[str, Callable[[Any], Any]] = {
    "read": lambda stream: [stream.read(), stream.read(), stream.read(1)],
    "read -1": lambda stream: [stream.read(-1), stream.read(-1)],
    "read n": lambda stream: [stream.read(5), stream.read(0), stream.read(100_000), stream.read(1)],
    "read in pieces": lambda stream: list(iter(lambda: stream.read(7001), b"")),
    "readline": lambda stream: [stream.readline() for _ in range(7)],
    "readline n": lambda stream: [stream.readline(2) for _ in range(7)],
    "readline large n": lambda stream: [stream.readline(66_000) for _ in range(8)],
    "readlines": lambda stream: [stream.readlines(), stream.readlines()],
    "readlines hint": lambda stream: [stream.readlines(5), stream.readlines(1), stream.readlines(1_000_000)],
    "iteration": lambda stream: [list(stream), list(stream)],
    "mixed": lambda stream: [stream.readline(), stream.read(3), stream.readline(), stream.readline(), stream.read()],
    "mixed, lines last": lambda stream: [stream.read(1), stream.readline(), stream.readline(1), list(stream)],
    "mixed, all in between": lambda stream: [stream.readline(1), stream.readlines(), stream.read(), stream.readline()],
}


def posted(body: bytes, chunk: int | None) -> bytes:
    """A request with this body; in chunks of a size, or with its length."""
    if chunk is None:
        return head("POST / HTTP/1.1", f"Content-Length: {len(body)}").replace("\n", "\r\n").encode() + body
    pieces = [body[i : i + chunk] for i in range(0, len(body), chunk)]
    start = head("POST / HTTP/1.1", "Transfer-Encoding: chunked").replace("\n", "\r\n").encode()
    return start + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("body", [BODY, b"", b"\n", b"\n\n", b"no end"], ids=["long", "empty", "nl", "nls", "no end"])
@pytest.mark.parametrize("reading", READINGS)
def test_reading_is_like_reading_a_file(reading: str, body: bytes) -> None:
    found: list[Any] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        found.append(READINGS[reading](environ["wsgi.input"]))
        return in_a_list(environ, start_response)

    with mounted(app) as server, Client(server) as client:
        for chunk in (None, 3, 5000):
            if chunk != 3 or len(body) < 1000:
                client.send(posted(body, chunk))
                assert client.answer().status == 200
    assert all(one == READINGS[reading](io.BytesIO(body)) for one in found)
    assert len(found) >= 2


def test_nothing_is_read_ahead_of_the_application() -> None:
    go, seen = Event(), list[bytes]()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        seen.append(stream.read(3))
        seen.append(stream.readline())
        go.wait(10)
        return in_a_list(environ, start_response)

    with mounted(validator(app)) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 20") + "abcd")
        wait_until(lambda: seen == [b"abc"])
        client.sock.sendall(b"e\nf")  # a line that is whole is given out, though more is to come
        wait_until(lambda: seen == [b"abc", b"de\n"])
        client.sock.sendall(b"x" * 13)  # the rest is read and dropped
        go.set()
        assert client.answer().status == 200
        assert client.ask(head("GET / HTTP/1.1", "X-Not: read")).status == 200


def test_100_continue_goes_out_with_the_first_read() -> None:
    go = Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        go.wait(10)
        return echo(environ, start_response)

    with mounted(validator(app)) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 3", "Expect: 100-continue"))
        client.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.sock.settimeout(10)
        go.set()
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert client.answer().body == b"abc"


def test_no_100_continue_for_who_does_not_read() -> None:
    with mounted(validator(in_a_list)) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 3", "Expect: 100-continue"))
        assert client.answer().body == b"hello"  # and not 100 before: h11 would say so
        assert client.closed()


def reads(how: Callable[[Any], Any]) -> App:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        how(environ["wsgi.input"])
        return in_a_list(environ, start_response)

    return app


@pytest.mark.parametrize(
    ("how", "request_", "status"),
    [
        (lambda stream: stream.read(), posted(b"x" * 1001, None), 413),
        (lambda stream: stream.read(), posted(b"x" * 1001, 100), 413),
        (lambda stream: stream.readlines(), posted(b"x\n" * 501, 100), 413),
        (lambda stream: stream.read(2000), posted(b"x" * 1001, None), 200),
        (lambda stream: [stream.read(1000), stream.read()], posted(b"x" * 1001, 100), 200),
        (list, posted(b"x\n" * 1000, None), 200),
        (lambda stream: stream.read(9999), posted(b"x" * 5001, None), 413),
        (lambda stream: stream.read(9999), posted(b"x" * 5001, 100), 413),
        (lambda stream: stream.read(9), head("POST / HTTP/1.1", "Transfer-Encoding: chunked") + "x\n", 400),
        (lambda stream: stream.readline(), head("POST / HTTP/1.1", "Transfer-Encoding: chunked") + "x\n", 400),
    ],
)
def test_bodies_that_cannot_be_read(how: Callable[[Any], Any], request_: bytes | str, status: int) -> None:
    with mounted(reads(how), max_memory_body=1000, max_body=5000) as server:
        assert ask(server, request_, "POST").status == status
        assert get(server, "/").status == 200


def test_a_slow_body_is_408() -> None:
    app = reads(lambda stream: stream.read(9))
    with mounted(app, body_grace=0.05, write_timeout=0.05) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 9") + "x")
        assert client.answer("POST").status == 408


def test_a_body_that_ends_early_is_an_oserror_to_the_application() -> None:
    seen: list[BaseException] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read(100)
        except OSError as error:
            seen.append(error)
        return in_a_list(environ, start_response)

    with mounted(app) as server, Client(server) as client:
        client.send(head("POST / HTTP/1.1", "Content-Length: 100") + "abc")
        client.half_close()
        assert client.answer("POST").body == b"hello"
        assert client.closed()
    assert [str(error) for error in seen] == ["the peer closed after 3 bytes of the body"]


def test_an_endless_line_is_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.vfs.wsgiinput.LONGEST_LINE", 1000)
    with mounted(reads(lambda stream: stream.readline())) as server:
        assert ask(server, posted(b"x" * 1000, None), "POST").status == 200
        assert ask(server, posted(b"x" * 999 + b"\ny", None), "POST").status == 200
        assert ask(server, posted(b"x" * 1001, None), "POST").status == 413
    with mounted(reads(lambda stream: stream.readline(5000))) as server:
        assert ask(server, posted(b"x" * 1001, None), "POST").status == 200


# -- the response head ---------------------------------------------------------------------------------------------


def starts(status: Any, headers: Any, body: Any = (b"x",)) -> App:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response(status, headers)
        found: Iterable[bytes] = body if body is None else list(body) if type(body) is tuple else body
        return found

    return app


def test_headers_as_they_are() -> None:
    headers = [
        ("X-B", "1"),
        ("Set-Cookie", "a=1; Path=/"),
        ("x-a", "\xe4"),
        ("Set-Cookie", "b=2"),
        ("Link", "<a>"),
        ("Link", "<b>"),
        ("Date", "yesterday"),
        ("Server", "mine"),
    ]
    with mounted(starts("299 My Own", headers)) as server:
        found = get(server, "/")
        assert (found.status, found.reason) == (299, "My Own")
        assert found.all("set-cookie") == ["a=1; Path=/", "b=2"]
        assert found.all("link") == ["<a>", "<b>"]
        assert (found["x-a"], found["x-b"], found["date"], found["server"]) == ("\xe4", "1", "yesterday", "mine")
        assert "content-type" not in found  # an application without a type gets none of ours


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("200 OK", 200, "OK"),
        ("200 Fine", 200, "Fine"),
        ("404 Not Found", 404, "Not Found"),
        ("999 X", 999, "X"),
        ("500 ", 500, ""),
    ],
)
def test_status(status: str, code: int, reason: str) -> None:
    with mounted(starts(status, [TEXT])) as server:
        for _ in range(2):
            found = get(server, "/")
            assert (found.status, found.reason, found.body) == (code, reason, b"x")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [(), (b"ignored",), (b"a", b"b")])
def test_no_body_for_these(status: str, body: tuple[bytes, ...]) -> None:
    with mounted(starts(status, [("ETag", '"1"')], body)) as server, Client(server) as client:
        for _ in range(2):
            found = client.ask(head("GET / HTTP/1.1"))
            assert (found.status, found.body, found["etag"]) == (int(status[:3]), b"", '"1"')
            assert "content-length" not in found and "transfer-encoding" not in found


def test_head_has_the_length_of_the_application() -> None:
    with mounted(starts("200 OK", [TEXT, ("Content-Length", "1234")], ())) as server, Client(server) as client:
        for _ in range(2):
            found = client.ask(head("HEAD / HTTP/1.1"))
            assert (found.status, found["content-length"]) == (200, "1234")


def test_headers_of_others_stay_and_cookies_add_up() -> None:
    def before(request: Any, response: Any) -> bool:
        response.set_header("X-Frame-Options", "DENY")
        response.status = int(request.data("status"))
        cookie = response.create_cookie("first")
        cookie.value = "1"
        cookie.activate()
        return False

    for headers in ([("Set-Cookie", "second=2"), ("x-frame-options", "ALLOW")], [TEXT]):
        with mounted(starts("200 OK", headers)) as server:
            server.root.children[0].set_func(before)
            for status in (200, 404):
                found = get(server, f"/?status={status}")
                assert (found.status, found["x-frame-options"]) == (200, "DENY")
                names = [value.partition("=")[0] for value in found.all("set-cookie")]
                assert sorted(names) == (["first"] if headers == [TEXT] else ["first", "second"])


def test_cookies_with_the_byte_0x85_stay_whole() -> None:
    seen: list[str | None] = []

    def before(request: Any, response: Any) -> bool:
        response.add_header("Set-Cookie", "first=1")
        response.set_header("X-Mine", "a\x85b: c")
        seen.append(response.contains_header("X-Mine"))
        return False

    with mounted(starts("200 OK", [("Set-Cookie", "a=1\x85b: 2"), ("Set-Cookie", "c=3")])) as server:
        server.root.children[0].set_func(before)
        assert get(server, "/").all("set-cookie") == ["first=1", "a=1\x85b: 2", "c=3"]
    assert seen == ["a\x85b: c"]


BAD: list[tuple[Any, Any, Any, str]] = [
    (200, [TEXT], (), "start_response takes a status such as '200 OK'"),
    (b"200 OK", [TEXT], (), "not b'200 OK'"),
    ("OK", [TEXT], (), "status 'OK': use a number from 200 to 999"),
    ("200", [TEXT], (), "status '200'"),
    ("200OK", [TEXT], (), "status '200OK'"),
    ("100 Continue", [TEXT], (), "status '100 Continue'"),
    ("1000 Much", [TEXT], (), "status '1000 Much'"),
    ("200 O\nK", [TEXT], (), "a reason in ASCII"),
    ("200 Öl", [TEXT], (), "a reason in ASCII"),
    ("200 OK", (TEXT,), (), "a list of (name, value) tuples"),
    ("200 OK", {"Content-Type": "x"}, (), "a list of (name, value) tuples"),
    ("200 OK", None, (), "a list of (name, value) tuples"),
    ("200 OK", [("A",)], (), "a list of (name, value) tuples"),
    ("200 OK", ["Content-Type"], (), "a list of (name, value) tuples"),
    ("200 OK", [["A", "b"]], (), "a list of (name, value) tuples"),
    ("200 OK", [("A", 1)], (), "all of str"),
    ("200 OK", [("A", b"1")], (), "all of str"),
    ("200 OK", [(b"A", "1")], (), "all of str"),
    ("200 OK", [("A", None)], (), "all of str"),
    ("200 OK", [("A b", "1")], (), "'A b' is not a header name"),
    ("200 OK", [("A", "1\r\nX: 2")], (), "holds a control character"),
    ("200 OK", [("A", "ж")], (), "is not latin-1"),
    ("200 OK", [("Connection", "close")], (), "Connection is the server's own to send"),
    ("200 OK", [("transfer-encoding", "chunked")], (), "transfer-encoding is the server's own"),
    ("200 OK", [("Upgrade", "x")], (), "Upgrade is the server's own"),
    ("200 OK", [("Content-Length", "x")], (), "Content-Length 'x' is not a number"),
    ("200 OK", [("Content-Length", "-1")], (), "Content-Length '-1' is not a number"),
    ("200 OK", [("Content-Length", "1"), ("content-length", "1")], (), "Content-Length stands twice"),
    ("200 OK", [TEXT], ("text",), "a block of this one is 'text'"),
    ("200 OK", [TEXT], ("text", b"x"), "a block of this one is 'text'"),
    ("200 OK", [TEXT], (bytearray(b"x"),), "a block of this one is bytearray"),
    ("200 OK", [TEXT], b"x", "a block of this one is 120"),
    ("200 OK", [TEXT], None, "returned None"),
    ("200 OK", [TEXT, ("Content-Length", "1")], (b"xy",), "more than the announced Content-Length of 1"),
    ("200 OK", [TEXT, ("Content-Length", "1")], (b"xy", b"z"), "more than the announced Content-Length of 1"),
]


@pytest.mark.parametrize(("status", "headers", "body", "words"), BAD)
def test_mistakes_are_500_and_named(
    status: Any, headers: Any, body: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with mounted(starts(status, headers, body)) as server, Client(server) as client:
        for _ in range(2):
            found = client.ask(head("GET / HTTP/1.1"))
            assert (found.status, found["content-type"]) == (500, "text/html; charset=utf-8")
        assert all(words in str((record.exc_info or ("", ""))[1]) for record in caplog.records)
        assert len(caplog.records) == 2


def test_no_start_response(caplog: pytest.LogCaptureFixture) -> None:
    for body in ([], [b"x"], [b"", b"x"]):
        with mounted(lambda environ, start_response, body=body: body) as server:
            assert get(server, "/").status == 500
    assert caplog.text.count("LocalProtocolError: the WSGI application has not called start_response") == 3


def test_start_response_twice(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return in_a_list(environ, start_response)

    with mounted(app) as server:
        assert get(server, "/").status == 500
    assert "LocalProtocolError: start_response was called a second time" in caplog.text


def failing_late(blocks: list[bytes]) -> App:
    """The usual way: the error is caught, and start_response called once more, with exc_info."""

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("X-First", "1"), ("Content-Length", "999")])
        try:
            yield from blocks
            raise KeyError("late")
        except KeyError:
            start_response("503 Sorry", [TEXT, ("X-Second", "1")], sys.exc_info())
            yield b"sorry"

    return app


@pytest.mark.parametrize("blocks", [[], [b""], [b"", b""]])
def test_exc_info_replaces_a_head_that_has_not_gone(blocks: list[bytes]) -> None:
    with mounted(validator(failing_late(blocks))) as server:
        found = get(server, "/")
        assert (found.status, found.reason, found.body) == (503, "Sorry", b"sorry")
        assert "x-second" in found and "x-first" not in found
        assert found["transfer-encoding"] == "chunked"


def test_exc_info_raises_when_the_head_has_gone(caplog: pytest.LogCaptureFixture) -> None:
    with mounted(failing_late([b"begun"])) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.rest().endswith(b"\r\n\r\nbegun")
    assert "KeyError: 'late'" in caplog.text


def test_exc_info_in_place_of_the_first_call() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("500 Oops", [TEXT], (None, None, None))
        return [b"x"]

    with mounted(app) as server:
        assert get(server, "/").reason == "Oops"


# -- streaming -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["yield", "write", "length"])
def test_a_block_has_left_before_the_next_is_asked_for(how: str) -> None:
    go = Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT, ("Content-Length", "11")] if how == "length" else [TEXT])
        if how == "write":
            write(b"first ")
            go.wait(10)
            write(b"later")
            return []
        return blocks()

    def blocks() -> Iterator[bytes]:
        yield b"first "
        go.wait(10)
        yield b"later"

    with mounted(validator(app)) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        begun = client.read_until(b"first ")
        assert begun.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (b"chunked" in begun) == (how != "length")
        go.set()
        assert b"later" in client.read_until(b"later" if how == "length" else b"0\r\n\r\n")
        assert client.ask(head("HEAD / HTTP/1.1")).status == 200


def test_after_the_last_block_the_worker_is_the_applications_still() -> None:
    go = Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("Content-Length", "4")])
        yield b"la"
        yield b"st"
        go.wait(10)

    with mounted(app, max_workers=1, queue_length=0) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.read_until(b"last").endswith(b"last")
        try:
            assert get(server, "/").status == 503
        finally:
            go.set()


def test_fewer_bytes_than_announced_end_the_connection() -> None:
    for body in ((b"xyz",), (b"x", b"yz"), ()):
        app = starts("200 OK", [TEXT, ("Content-Length", "5")], body)
        with mounted(app) as server, Client(server) as client:
            client.send(head("GET / HTTP/1.1"))
            found = client.rest()
            assert b"\r\nContent-Length: 5\r\n" in found
            assert found.endswith(b"\r\n\r\n" + b"".join(body))


def test_more_bytes_than_announced_break_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    with (
        mounted(starts("200 OK", [TEXT, ("Content-Length", "3")], (b"xy", b"zzz"))) as server,
        Client(server) as client,
    ):
        client.send(head("GET / HTTP/1.1"))
        assert client.rest().endswith(b"\r\n\r\nxy")
    assert "LocalProtocolError: more than the announced Content-Length of 3" in caplog.text


def test_a_failure_in_the_middle_breaks_the_connection() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield b"part"
        raise ValueError("in the middle")

    with mounted(app) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        with pytest.raises(RemoteProtocolError, match="peer closed connection without sending complete"):
            client.answer()


@pytest.mark.parametrize("where", ["call", "first block", "close"])
def test_failures_before_the_head_are_500(where: str) -> None:
    class Failing(Closing):
        def close(self) -> None:
            super().close()
            if where == "close":
                raise ValueError(where)

    def blocks() -> Iterator[bytes]:
        if where == "first block":
            raise ValueError(where)
        yield b""

    found = Failing(blocks())

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        if where == "call":
            raise ValueError(where)
        return found

    with mounted(app) as server, Client(server) as client:
        answer = client.ask(head("GET / HTTP/1.1"))
        assert (answer.status, answer["content-type"]) == (500, "text/html; charset=utf-8")
        assert found.closed == (where != "call")


@pytest.mark.parametrize("blocks", [[], [b"x"], [b"", b"x", b"y"], [LOREM, b"x", LOREM]])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_returned_is_closed_once(blocks: list[bytes], method: str) -> None:
    made: list[Closing] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        made.append(Closing(blocks))
        return made[-1]

    with mounted(app) as server:
        assert ask(server, head(f"{method} / HTTP/1.1")).body == (b"" if method == "HEAD" else b"".join(blocks))
        wait_until(lambda: [one.closed for one in made] == [1])


def test_an_endless_stream_ends_for_head() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    blocks = Closing(endless())
    with mounted(starts("200 OK", [TEXT], blocks)) as server:
        assert ask(server, head("HEAD / HTTP/1.1")).status == 200
        wait_until(lambda: blocks.closed)
    assert blocks.given == 1


def test_a_client_that_goes_away_has_the_iterable_closed() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield LOREM

    with nothing_left():
        blocks = Closing(endless())
        with mounted(starts("200 OK", [TEXT], blocks)) as server:
            with Client(server) as client:
                client.send(head("GET / HTTP/1.1"))
                client.read_until(b"\r\n\r\n")
                client.reset()
                wait_until(lambda: blocks.closed)
            wait_until(lambda: not server.service.workers.busy)
            assert server.site.failures == 0
        assert blocks.closed == 1


# -- files ---------------------------------------------------------------------------------------------------------


def sends(make: Callable[[], Any], headers: list[tuple[str, str]], made: list[Any]) -> App:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", headers)
        made.append(make())
        found: Iterable[bytes] = environ["wsgi.file_wrapper"](made[-1], 1000)
        return found

    return app


def at(file: Any, position: int) -> Any:
    file.read(1)  # something may wait in its buffer
    file.seek(position)
    return file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "lorem.txt"
    found.write_bytes(LOREM)
    return found


def temporary() -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(LOREM)
    file.seek(0)
    return file


SOURCES: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "buffered": (lambda path: path.open("rb"), LOREM),
    "at a position": (lambda path: at(path.open("rb"), 100_001), LOREM[100_001:]),
    "read from": (lambda path: at(path.open("rb"), 1), LOREM[1:]),
    "unbuffered": (lambda path: at(path.open("rb", buffering=0), 7), LOREM[7:]),
    "at its end": (lambda path: at(path.open("rb"), len(LOREM)), b""),
    "update": (lambda path: path.open("r+b"), LOREM),
    "in memory": (lambda path: io.BytesIO(LOREM), LOREM),
    "temporary": (lambda path: temporary(), LOREM),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_file_wrapper(kind: str, path: Path) -> None:
    make, expected = SOURCES[kind]
    is_sent = kind not in ("in memory", "temporary")  # by the kernel, and not block by block
    lengths = [None, len(expected), len(expected) // 2] if is_sent else [None, len(expected)]
    for length in lengths:
        made: list[Any] = []
        headers = [TEXT] if length is None else [TEXT, ("Content-Length", str(length))]
        with mounted(sends(partial(make, path), headers, made)) as server, Client(server) as client:
            for method in ("GET", "HEAD", "GET"):
                found = client.ask(head(f"{method} / HTTP/1.1"))
                assert (found.status, found.body) == (200, b"" if method == "HEAD" else expected[:length])
                if is_sent:
                    assert found["content-length"] == str(len(expected[:length]))
            wait_until(lambda made=made: all(file.closed for file in made))


def test_a_file_that_is_shorter_than_announced(path: Path) -> None:
    headers = [TEXT, ("Content-Length", str(len(LOREM) + 1))]
    with mounted(sends(lambda: path.open("rb"), headers, [])) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.rest().endswith(b"\r\n\r\n" + LOREM)


def test_a_descriptor_is_not_enough(tmp_path: Path) -> None:
    """A compressed file has one, too, but what is read from it is something else."""
    packed = tmp_path / "lorem.gz"
    packed.write_bytes(gzip.compress(LOREM))
    made: list[Any] = []
    with mounted(sends(lambda: gzip.open(packed), [TEXT], made)) as server:
        assert get(server, "/").body == LOREM
        assert made[0].closed


def test_files_after_written_output(path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])(b"before ")
        found: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return found

    with mounted(app) as server:
        assert get(server, "/").body == b"before " + LOREM


def test_a_wrapper_without_close_has_none() -> None:
    class Source:
        def read(self, size: int) -> bytes:
            return b""

    with mounted(sends(Source, [TEXT], [])) as server:
        assert get(server, "/").body == b""


# -- errors, inclusion, the directory ------------------------------------------------------------------------------


def test_wsgi_errors_end_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        errors = environ["wsgi.errors"]
        print("one", "two %s", file=errors)
        errors.writelines(["three\n", "fo", "ur\n\n"])
        errors.write("five")
        errors.flush()
        logging.StreamHandler(errors).emit(logging.makeLogRecord({"msg": "six"}))
        return in_a_list(environ, start_response)

    with mounted(validator(app)) as server:
        get(server, "/")
    found = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert found == [("greenbas.wsgi", "ERROR", text) for text in ["one two %s", "three", "four", "five", "six"]]


def test_wsgi_errors_that_never_end_a_line_are_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    log = ErrorLog()
    for _ in range(30_000):
        assert log.write("x") == 1
    assert [len(record.getMessage()) for record in caplog.records] == [MAX_RECORD] * 3
    assert log.write("y" * MAX_RECORD * 2 + "\nz") == MAX_RECORD * 2 + 2
    log.flush()
    log.flush()
    text = "".join(record.getMessage() for record in caplog.records)
    assert text == "x" * 30_000 + "y" * MAX_RECORD * 2 + "z"
    assert max(len(record.getMessage()) for record in caplog.records) == MAX_RECORD


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_included_in_a_page(method: str) -> None:
    def page(request: Any, response: Any) -> None:
        response.write("[")
        response.include(request.data("what"))
        response.write("]")

    with mounted(
        starts("404 Not Found", [TEXT, ("X-A", "1"), ("Content-Length", "2")], (b"x", b"y")), "many"
    ) as server:
        server.insert(WsgiDirectory(with_length, "one"))
        server.insert(WsgiDirectory(sends(lambda: io.BytesIO(b"file"), [TEXT], []), "file"))
        server.directory("page")(page)
        for what, body in [("/many/", b"[xy]"), ("/one", b"[hello]"), ("/file", b"[file]")]:
            found = ask(server, head(f"{method} /page?what={what} HTTP/1.1"))
            assert (found.status, found.body, "x-a" in found) == (200, b"" if method == "HEAD" else body, False)
            assert (found["content-type"], found["content-length"]) == ("text/html; charset=utf-8", str(len(body)))


def test_a_function_in_front() -> None:
    with mounted(in_a_list, "app") as server:
        mount = server.root.children[0]
        mount.set_func(lambda request, response: "no" if request.data("no") else False)
        assert [get(server, f"/app{rest}").body for rest in ("", "/x", "?no=1", "/x?no=1")] == [
            b"hello",
            b"hello",
            b"no",
            b"no",
        ]


@pytest.mark.parametrize("app", [in_a_list, with_length, in_blocks_with_length, generated, written])
def test_compressed_by_a_function_in_front(app: App) -> None:
    with mounted(app) as server:
        server.root.children[0].set_func(lambda request, response: not response.set_response("gzip"))
        found = get(server, "/", "Accept-Encoding: gzip")
        assert (found["content-encoding"], found["content-type"]) == ("gzip", "text/plain")
        assert gzip.decompress(found.body) == b"hello"


def test_it_answers_always_but_not_for_the_server() -> None:
    with mounted(starts("404 Not Found", [TEXT])) as server:
        server.directory(priority=-1)(lambda request, response: "never")
        assert (get(server, "/a").status, get(server, "/a").body) == (404, b"x")
        assert ask(server, "OPTIONS * HTTP/1.1\nHost: x\n\n").status == 200
        assert ask(server, "OPTIONS / HTTP/1.1\nHost: x\n\n").status == 404


def test_siblings_with_a_higher_priority_go_before() -> None:
    with mounted(in_a_list) as server:
        server.directory("later")(lambda request, response: "directory")
        server.directory("first", priority=1)(lambda request, response: "directory")
        assert [get(server, path).body for path in ("/later", "/first")] == [b"hello", b"directory"]


def test_the_directory() -> None:
    mount = WsgiDirectory(in_a_list, "app", priority=3)
    assert (mount.app, mount.name(), mount.priority) == (in_a_list, "app", 3)
    assert repr(mount) == "<WsgiDirectory 'app' priority 3>"
    with pytest.raises(IncorrectUse, match="insert <Directory 'x' priority 0> beside it, with a higher priority"):
        mount.insert(Directory("x"))
    Directory().insert(mount)
    with pytest.raises(AlreadyInserted):
        Directory().insert(mount)


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("app", "words"), [(None, "callable with"), ("app", "callable with"), (asgi, "is async"), (Asgi(), "is async")]
)
def test_no_applications(app: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        WsgiDirectory(app)


class Instance:
    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return in_a_list(environ, start_response)

    def method(self, env: Environ, start_response: Start) -> Iterable[bytes]:
        return in_a_list(env, start_response)


class Handler:
    def __call__(self, request: Any, response: Any) -> None: ...


@pytest.mark.parametrize(
    ("thing", "is_one"),
    [
        (in_a_list, True),
        (generated, True),
        (Instance(), True),
        (Instance().method, True),
        (AsClass, True),
        (Instance, False),
        (lambda environ, start_response: [], True),
        (lambda environ, start_response, more=1: [], True),
        (lambda more, environ, start_response: [], False),
        (partial(lambda more, environ, start_response: [], 1), True),
        (lambda request, response: None, False),
        (lambda start_response: None, False),
        (lambda environ, *, start_response: None, False),
        (lambda *args: None, False),
        (Handler(), False),
        (Directory("x"), False),
        (asgi, False),
        (dict, False),
        (print, False),
        (None, False),
        ("app", False),
    ],
)
def test_is_wsgi(thing: Any, is_one: bool) -> None:
    assert is_wsgi(thing) is is_one
