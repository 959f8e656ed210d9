"""`Request`, method by method, as a handler sees it (BAS reference b.2)."""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from web import Answer, Client, ask, head, serving

from greenbas import Server
from greenbas.errors import Abort, Expired, IncorrectUse, RemoteProtocolError
from greenbas.http import Request, Response
from greenbas.protocol import http_date

FORM = "Content-Type: application/x-www-form-urlencoded"


def seen(text: str | bytes, look: Callable[[Request], Any], **settings: Any) -> Any:
    """What `look` returns when a handler calls it with the request that these bytes are."""
    found: list[Any] = []

    def handler(request: Request, response: Response) -> None:
        try:
            found.append(look(request))
        except Exception as error:
            found.append(error)

    with serving(handler, **settings) as server:
        ask(server, text, "POST")
    (value,) = found
    return value


def post(body: str, *lines: str, line: str = "POST / HTTP/1.1") -> bytes:
    """A form."""
    data = body.encode()
    return head(line, FORM, f"Content-Length: {len(data)}", *lines).replace("\n", "\r\n").encode() + data


# -- the request line and the fields ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "GET /a/b?c=d HTTP/1.1",
            {"method": "GET", "path": "/a/b", "uri": "/a/b", "query": "c=d", "target": "/a/b?c=d", "version": "1.1"},
            id="origin form",
        ),
        pytest.param("MKCOL /a HTTP/1.0", {"method": "MKCOL", "version": "1.0"}, id="HTTP/1.0"),
        pytest.param(
            "GET /%C3%A4%20b/?%C3%A4 HTTP/1.1",
            {"path": "/ä b/", "query": "%C3%A4", "target": "/%C3%A4%20b/?%C3%A4", "url": "http://x/%C3%A4%20b/"},
            id="escapes",
        ),
        pytest.param("GET /a/../b HTTP/1.1", {"path": "/b", "target": "/a/../b"}, id="dot segments"),
        pytest.param(
            "GET http://Y:8/a HTTP/1.1",
            {"path": "/a", "host": "y:8", "domain": "y", "url": "http://y:8/a"},
            id="absolute",
        ),
        pytest.param("GET /a/b HTTP/1.1", {"relpath": "a/b"}, id="relpath"),
    ],
)
def test_the_request_line(line: str, expected: dict[str, str]) -> None:
    def look(request: Request) -> dict[str, str]:
        values = {name: getattr(request, name) for name in expected}
        return {name: value() if callable(value) else value for name, value in values.items()}

    assert seen(head(line), look) == expected


@pytest.mark.parametrize(
    ("host", "found"),
    [
        pytest.param("Example.COM", ("example.com", "example.com"), id="lower case"),
        pytest.param("example.com:81", ("example.com:81", "example.com"), id="port"),
        pytest.param("example.com:", ("example.com:", "example.com"), id="9110 4.2.3: empty port"),
        pytest.param("127.0.0.1:81", ("127.0.0.1:81", "127.0.0.1"), id="IPv4"),
        pytest.param("[::1]:81", ("[::1]:81", "::1"), id="IPv6 with port"),
        pytest.param("[::1]", ("[::1]", "::1"), id="IPv6"),
    ],
)
def test_host_and_domain(host: str, found: tuple[str, str]) -> None:
    text = f"GET / HTTP/1.1\nHost: {host}\n\n"
    assert seen(text, lambda request: (request.host(), request.domain())) == found


@pytest.mark.parametrize("text", ["GET / HTTP/1.0\n\n", "GET / HTTP/1.1\nHost:\n\n"], ids=["no Host", "empty Host"])
def test_host_when_the_client_names_none(text: str) -> None:
    host, domain, (address, port, _), url = seen(
        text, lambda request: (request.host(), request.domain(), request.sockname(), request.url())
    )
    assert (host, domain, url) == (f"{address}:{port}", address, f"http://{address}:{port}/")


def test_url_with_https() -> None:
    assert seen(head("GET /a?b HTTP/1.1"), lambda request: request.url(True)) == "https://x/a"
    assert seen(head("GET /a?b HTTP/1.1"), lambda request: request.url(force_secure=True)) == "https://x/a"


def test_header_and_headers() -> None:
    text = head("GET / HTTP/1.1", "X-One: 1", "x-ONE: 2", "Empty:", "Cookie: a=1", "cookie: b=2", "B: \xe4")

    def look(request: Request) -> Any:
        headers = request.headers
        single = [request.header(name) for name in ("x-one", "X-ONE", "empty", "missing", "cookie", "b", "ä€")]
        return single, dict(headers), headers.get_all("X-One"), headers.raw()

    single, mapping, each, raw = seen(text, look)
    assert single == ["1, 2", "1, 2", "", None, "a=1; b=2", "ä", None]
    assert mapping == {"host": "x", "x-one": "1, 2", "empty": "", "cookie": "a=1; b=2", "b": "ä"}
    assert each == ["1", "2"]
    assert raw[1:4] == [(b"X-One", b"1"), (b"x-ONE", b"2"), (b"Empty", b"")]


def test_requests_with_equal_heads_are_apart() -> None:
    """The parser remembers heads; what a handler does with one request must not show in the next."""
    got: list[Any] = []

    def handler(request: Request, response: Response) -> None:
        got.append((dict(request.env()), dict(request.headers), request.data("a"), request.cookie("c").value))  # type: ignore[union-attr]
        request.env()["x"] = 1
        request.headers.raw().append((b"x", b"y"))
        request.headers.get_all("host").append("y")
        request.data()["a"] = "changed"  # type: ignore[index]

    with serving(handler) as server, Client(server) as client:
        for _ in range(3):
            client.ask(head("GET /?a=b HTTP/1.1", "Cookie: c=d"))
    assert got == [({}, {"host": "x", "cookie": "c=d"}, "b", "d")] * 3


def test_addresses() -> None:
    with serving() as server:
        got: list[Any] = []
        server.directory()(lambda request, response: got.append((request.peername(), request.sockname())))
        with Client(server) as client:
            client.ask(head("GET / HTTP/1.1"))
            assert got == [
                (("127.0.0.1", client.sock.getsockname()[1], False), ("127.0.0.1", server_port(server), False))
            ]


def server_port(server: Server) -> int:
    return server.listeners[0].port


FORWARDED = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: Public.example"]


@pytest.mark.parametrize(
    ("trusted", "lines", "found"),
    [
        pytest.param((), FORWARDED, ("127.0.0.1", False, "x"), id="nobody is trusted by default"),
        pytest.param(("10.0.0.0/8",), FORWARDED, ("127.0.0.1", False, "x"), id="another one is"),
        pytest.param(("127.0.0.1",), FORWARDED, ("203.0.113.9", True, "public.example"), id="the peer is"),
        pytest.param(("127.0.0.1",), [], ("127.0.0.1", False, "x"), id="it says nothing"),
        pytest.param(
            ("127.0.0.1",),
            ["X-Forwarded-For: 1.2.3.4, 203.0.113.9", "X-Forwarded-Proto: https, http", "X-Forwarded-Host: evil, good"],
            ("203.0.113.9", False, "good"),
            id="the nearest word counts",
        ),
        pytest.param(("127.0.0.1",), ["X-Forwarded-For: nonsense"], ("127.0.0.1", False, "x"), id="nonsense"),
    ],
)
def test_trusted_proxies(trusted: tuple[str, ...], lines: list[str], found: tuple[str, bool, str]) -> None:
    """Wish 32."""

    def look(request: Request) -> tuple[str, bool, str]:
        return request.peername()[0], request.is_secure(), request.host()

    assert seen(head("GET / HTTP/1.1", *lines), look, trusted_proxies=trusted) == found


@pytest.mark.parametrize("host", ["[", "a b", "a/b", "a@b", "<script>", "a\\b", ""])
def test_a_host_that_a_trusted_proxy_garbles(host: str) -> None:
    """A proxy may pass on what its client said: it is checked like a Host, or the real one is used."""
    value = seen(
        head("GET / HTTP/1.1", f"X-Forwarded-Host: {host}"),
        lambda request: (request.host(), request.domain(), request.url()),
        trusted_proxies=("127.0.0.1",),
    )
    assert value == ("x", "x", "http://x/") or isinstance(value, RemoteProtocolError)


def test_id_is_unique_and_stays() -> None:
    with serving(lambda request, response: f"{request.id} {request.id}") as server, Client(server) as client:
        ids = [client.ask(head("GET / HTTP/1.1")).body.split() for _ in range(5)]
    assert all(first == second for first, second in ids)
    assert len({first for first, _ in ids}) == 5


# -- parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "everything", "pairs"),
    [
        pytest.param(head("GET / HTTP/1.1"), {}, [], id="none"),
        pytest.param(head("GET /?a=1&b=2 HTTP/1.1"), {"a": "1", "b": "2"}, [("a", "1"), ("b", "2")], id="query"),
        pytest.param(head("GET /?a=1&a=2 HTTP/1.1"), {"a": "2"}, [("a", "1"), ("a", "2")], id="the last one wins"),
        pytest.param(post("a=1&b=2"), {"a": "1", "b": "2"}, [("a", "1"), ("b", "2")], id="body"),
        pytest.param(
            post("a=2", line="POST /?a=1&c=%2B+ HTTP/1.1"),
            {"a": "2", "c": "+ "},
            [("a", "1"), ("c", "+ "), ("a", "2")],
            id="both",
        ),
        pytest.param(post("a=%C3%A4+%E2%82%AC"), {"a": "ä €"}, [("a", "ä €")], id="escaped UTF-8"),
        pytest.param(post("a=ä€&ü=1"), {"a": "ä€", "ü": "1"}, [("a", "ä€"), ("ü", "1")], id="bare UTF-8"),
        pytest.param(post("a=1", line="PUT / HTTP/1.1"), {"a": "1"}, [("a", "1")], id="any method"),
        pytest.param(
            head("POST / HTTP/1.1", FORM + "; charset=UTF-8", "Transfer-Encoding: chunked") + "3\na=1\n0\n\n",
            {"a": "1"},
            [("a", "1")],
            id="chunked, type with a parameter",
        ),
        pytest.param(
            head("POST /?q HTTP/1.1", "Content-Type: text/plain", "Content-Length: 3") + "a=1",
            {"q": ""},
            [("q", "")],
            id="another type",
        ),
        pytest.param(
            head("POST / HTTP/1.1", FORM.upper().replace("CONTENT-TYPE", "content-type"), "Content-Length: 3") + "a=1",
            {"a": "1"},
            [("a", "1")],
            id="type in upper case",
        ),
    ],
)
def test_data_and_datapairs(text: str | bytes, everything: dict[str, str], pairs: list[tuple[str, str]]) -> None:
    assert seen(text, lambda request: request.data()) == everything
    assert seen(text, lambda request: list(request.datapairs())) == pairs
    assert seen(text, lambda request: (list(request.datapairs()), list(request.datapairs()))) == (pairs, pairs)


def test_data_by_name() -> None:
    """The first of several, the query before the body; a tuple for several names."""
    text = post("a=3&b=4&e", line="POST /?a=1&a=2 HTTP/1.1")
    assert seen(text, lambda request: request.data("a")) == "1"
    assert seen(text, lambda request: request.data("b")) == "4"
    assert seen(text, lambda request: request.data("e")) == ""
    assert seen(text, lambda request: request.data("z")) is None
    assert seen(text, lambda request: request.data("b", "z", "a")) == ("4", None, "1")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(head("GET /?" + "a&" * 1001 + " HTTP/1.1"), 400, id="too many in the query"),
        pytest.param(post("a&" * 1001), 400, id="too many in the body"),
        pytest.param(post("a=" + "x" * 3000), 413, id="too large"),
        pytest.param(head("POST / HTTP/1.1", FORM, "Transfer-Encoding: chunked") + "z\n", 400, id="a bad body"),
    ],
)
def test_data_refuses(text: str | bytes, status: int) -> None:
    with serving(lambda request, response: request.data(), max_memory_body=2010, max_target=8000) as server:
        assert ask(server, text, "POST").status == status


@pytest.mark.parametrize(
    ("cookie", "name", "value"),
    [
        pytest.param("a=1; b=2", "b", "2", id="plain"),
        pytest.param("a=1; a=2", "a", "1", id="the first one wins"),
        pytest.param('a="x%20y"', "a", "x y", id="decoded"),
        pytest.param("a=1", "A", None, id="names have case"),
        pytest.param("", "a", None, id="none"),
    ],
)
def test_cookie(cookie: str, name: str, value: str | None) -> None:
    found = seen(head("GET / HTTP/1.1", f"Cookie: {cookie}"), lambda request: request.cookie(name))
    assert (found and found.value) == value


def test_a_cookie_goes_back_when_it_is_activated() -> None:
    def handler(request: Request, response: Response) -> None:
        cookie = request.cookie("a")
        assert cookie is not None
        cookie.value = "2"
        if request.path == "/back":
            cookie.activate()

    with serving(handler) as server:
        assert "Set-Cookie" not in ask(server, head("GET / HTTP/1.1", "Cookie: a=1"))
        assert ask(server, head("GET /back HTTP/1.1", "Cookie: a=1"))["Set-Cookie"].startswith("a=2;")


# -- the body -----------------------------------------------------------------------------------------------------

BODY = "0123456789"


def raw_post(*lines: str) -> str:
    return head("POST / HTTP/1.1", f"Content-Length: {len(BODY)}", *lines) + BODY


def test_body() -> None:
    assert seen(raw_post(), lambda request: request.body()) == BODY.encode()
    assert seen(head("GET / HTTP/1.1"), lambda request: request.body()) == b""
    assert seen(raw_post(), lambda request: (request.body(), request.body())) == (BODY.encode(), b"")


@pytest.mark.parametrize(
    ("size", "blocks"), [(4, [b"0123", b"4567", b"89"]), (5, [b"01234", b"56789"]), (20, [BODY.encode()])]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_rawrdr(size: int, blocks: list[bytes], chunked: bool) -> None:
    """Blocks of exactly the size, the last one shorter, however they were sent."""
    text = (
        head("POST / HTTP/1.1", "Transfer-Encoding: chunked") + "3\n012\n3\n345\n4\n6789\n0\n\n"
        if chunked
        else raw_post()
    )
    assert seen(text, lambda request: list(request.rawrdr(size))) == blocks


def test_rawrdr_by_itself() -> None:
    assert seen(raw_post(), lambda request: list(request.rawrdr())) == [BODY.encode()]
    assert seen(head("GET / HTTP/1.1"), lambda request: list(request.rawrdr())) == []
    assert isinstance(seen(raw_post(), lambda request: request.rawrdr(0)), ValueError)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param("application/x-www-form-urlencoded", "URL encoded data", id="url-encoded"),
        pytest.param("Application/X-WWW-Form-Urlencoded ;x", "URL encoded data", id="url-encoded, any case"),
        pytest.param("multipart/form-data; boundary=a", "multipart/form-data", id="multipart"),
    ],
)
def test_rawrdr_refuses_what_others_read(kind: str, message: str) -> None:
    error = seen(raw_post(f"Content-Type: {kind}"), lambda request: request.rawrdr())
    assert isinstance(error, ValueError) and message in str(error)


def test_stream_chunks() -> None:
    assert b"".join(seen(raw_post(), lambda request: list(request.stream.chunks()))) == BODY.encode()
    partly = seen(
        raw_post(), lambda request: [request.stream.read(3), request.stream.read(0), *request.stream.chunks()]
    )
    assert partly[:2] == [b"012", b""] and b"".join(partly) == BODY.encode()


# -- answers that end the handler ---------------------------------------------------------------------------------


def test_allow_returns_true_for_what_is_allowed() -> None:
    assert seen(raw_post(), lambda request: request.allow(["POST"])) is True
    assert seen(raw_post(), lambda request: request.allow(("POST",), use_defaults=False)) is True


def ended(look: Callable[[Request, Response], Any], text: str) -> tuple[Answer, list[str]]:
    """The answer, and what the handler did behind the call."""
    steps: list[str] = []

    def handler(request: Request, response: Response) -> str:
        try:
            look(request, response)
            steps.append("went on")
        except Exception:
            steps.append("swallowed")
        except BaseException as stop:
            steps.append(type(stop).__name__)
            raise
        return "went on"

    with serving(handler) as server:
        return ask(server, text), steps


def test_abort_is_no_exception_that_handlers_swallow() -> None:
    answer, steps = ended(lambda request, response: (response.write("so far"), request.abort()), head("GET / HTTP/1.1"))
    assert (answer.status, answer.body, steps) == (200, b"so far", ["Abort"])
    assert not issubclass(Abort, Exception)


def test_allow_ends_the_handler() -> None:
    answer, steps = ended(lambda request, response: request.allow(["GET"]), head("DELETE / HTTP/1.1"))
    assert (answer.status, steps) == (405, ["Abort"])


CHANGED = calendar.timegm((2026, 1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("method", "lines", "modified", "status"),
    [
        pytest.param("GET", [], CHANGED, 200, id="no condition"),
        pytest.param("GET", [f"If-Modified-Since: {http_date(CHANGED)}"], CHANGED, 304, id="9110 13.1.3: the same"),
        pytest.param("GET", [f"If-Modified-Since: {http_date(CHANGED)}"], CHANGED + 0.9, 304, id="parts of seconds"),
        pytest.param("GET", [f"If-Modified-Since: {http_date(CHANGED + 9)}"], CHANGED, 304, id="9110 13.1.3: newer"),
        pytest.param("GET", [f"If-Modified-Since: {http_date(CHANGED - 1)}"], CHANGED, 200, id="9110 13.1.3: older"),
        pytest.param("HEAD", [f"If-Modified-Since: {http_date(CHANGED)}"], CHANGED, 304, id="9110 13.1.3: HEAD"),
        pytest.param("POST", [f"If-Modified-Since: {http_date(CHANGED)}"], CHANGED, 200, id="9110 13.1.3: not POST"),
        pytest.param("GET", ["If-Modified-Since: yesterday"], CHANGED, 200, id="9110 13.1.3: no date"),
        pytest.param("GET", ["If-Modified-Since: Friday, 02-Jan-26 03:04:05 GMT"], CHANGED, 304, id="9110 5.6.7: old"),
        pytest.param(
            "GET",
            [f"If-Modified-Since: {http_date(CHANGED)}", 'If-None-Match: "a"'],
            CHANGED,
            200,
            id="9110 13.2.2: ETag first",
        ),
    ],
)
def test_check_time(method: str, lines: list[str], modified: float, status: int) -> None:
    answer, steps = ended(lambda request, response: request.check_time(modified), head(f"{method} / HTTP/1.1", *lines))
    assert answer.status == status
    assert steps == (["Abort"] if status == 304 else ["went on"])


# -- the life of a request ----------------------------------------------------------------------------------------


def test_env_is_one_dict_for_the_request() -> None:
    assert seen(head("GET / HTTP/1.1"), lambda request: (request.env() is request.env(), request.env())) == (True, {})


variable: ContextVar[str] = ContextVar("variable", default="unset")


def test_context_variables_do_not_leak_into_the_next_request() -> None:
    """Wish 7; the worker is the same."""

    def handler(request: Request, response: Response) -> str:
        before = variable.get()
        variable.set(request.path)
        time.sleep(0)
        return f"{before} {variable.get()}"

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET /1 HTTP/1.1") + head("GET /2 HTTP/1.1"))
        assert [client.answer().body for _ in range(2)] == [b"unset /1", b"unset /2"]
        assert client.ask(head("GET /3 HTTP/1.1")).body == b"unset /3"


def kept() -> tuple[Request, Response]:
    """A request and its response whose time is over."""
    found: list[tuple[Request, Response]] = []

    def handler(request: Request, response: Response) -> str:
        assert request.valid() and response.valid()
        found.append((request, response))
        return "x"

    with serving(handler) as server:
        ask(server, raw_post())
    return found[0]


@pytest.mark.parametrize(
    ("use", "error"),
    [
        pytest.param(lambda request, response: request.peername(), Expired, id="peername"),
        pytest.param(lambda request, response: request.sockname(), Expired, id="sockname"),
        pytest.param(lambda request, response: request.is_secure(), Expired, id="is_secure"),
        pytest.param(lambda request, response: request.body(), Expired, id="body"),
        pytest.param(lambda request, response: request.set_nodelay(True), Expired, id="set_nodelay"),
        pytest.param(lambda request, response: request.response, Expired, id="response"),
        pytest.param(lambda request, response: response.write("x"), Expired, id="write"),
        pytest.param(lambda request, response: response.write("x" * 100_000), Expired, id="write much"),
        pytest.param(lambda request, response: response.flush(), Expired, id="flush"),
        pytest.param(lambda request, response: response.send("x"), Expired, id="send"),
        # These say that the head has gone, which is true as well.
        pytest.param(lambda request, response: response.set_status(404), IncorrectUse, id="set_status"),
        pytest.param(lambda request, response: response.set_header("X", "y"), IncorrectUse, id="set_header"),
        pytest.param(lambda request, response: response.json({}), IncorrectUse, id="json"),
        pytest.param(lambda request, response: response.send_error(404), IncorrectUse, id="send_error"),
        pytest.param(lambda request, response: response.send_redirect("/"), IncorrectUse, id="send_redirect"),
        pytest.param(lambda request, response: response.reset(), IncorrectUse, id="reset"),
    ],
)
def test_use_after_the_end(use: Callable[[Request, Response], Any], error: type[Exception]) -> None:
    """BAS reference b.1: it raises, naming what happened; never does it touch the connection again."""
    request, response = kept()
    assert not request.valid() and not response.valid()
    with pytest.raises(error):
        use(request, response)


def test_a_late_write_does_not_get_into_the_next_response() -> None:
    """A greenlet that a handler left behind writes when the connection is somebody else's."""
    left: list[Response] = []
    errors: list[Exception] = []

    def handler(request: Request, response: Response) -> str | None:
        if request.path == "/first":
            left.append(response)
            response.write("first")
            response.flush()
            return None
        for use in (lambda old: old.write("x" * 100_000), lambda old: old.write("late"), lambda old: old.flush()):
            try:
                use(left[0])
            except Exception as error:
                errors.append(error)
        return "second"

    with serving(handler) as server, Client(server) as client:
        assert client.ask(head("GET /first HTTP/1.1")).body == b"first"
        assert client.ask(head("GET /second HTTP/1.1")).body == b"second"
        assert client.ask(head("GET /third HTTP/1.1")).body == b"second"
    assert errors and all(isinstance(error, Expired) for error in errors)


def test_what_was_read_stays_readable() -> None:
    """The line and the fields belong to the request, not to the connection."""
    request, _ = kept()
    assert (request.method, request.path, request.header("host"), request.target) == ("POST", "/", "x", "/")
    assert "POST" in repr(request)
