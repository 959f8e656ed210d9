"""The site: what nobody answers, what fails, and what the client gets to know about it."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable
from typing import Any

import gevent
import h11
import pytest
from greenlet import GreenletExit
from support import wait_until
from web import Answer, Client, ask, get, serving

from greenbas import Request, Response, Server
from greenbas.errors import (
    BodyTooLarge,
    IncompleteBody,
    IoError,
    IsCommitted,
    NoSpace,
    RemoteProtocolError,
    SocketClosed,
    TimedOut,
)
from greenbas.io import MemoryIo
from greenbas.vfs import DomainReader

WORDS = "word-of-the-exception <b>&"


def failing(error: BaseException | type[BaseException]) -> Callable[[Request, Response], None]:
    """A handler that writes something and then fails."""

    def handler(request: Request, response: Response) -> None:
        response.set_header("X-Before", "1")
        response.write("half a page")
        raise error

    return handler


def alive(server: Server) -> bool:
    """Whether the server answers still, and no request hangs in it."""
    server.directory("alive", priority=127)(lambda request, response: "yes")
    wait_until(lambda: not server.service.workers.busy)
    return get(server, "/alive").body == b"yes"


# -- nobody answers -----------------------------------------------------------------------------------------------


def test_not_found() -> None:
    with serving() as server:
        answer = get(server, "/a/<b>?c=<d>".replace("<", "%3C").replace(">", "%3E"))
        assert (answer.status, answer["content-type"]) == (404, "text/html; charset=utf-8")
        assert "no-store" in answer["cache-control"]
        assert b"404 Not Found" in answer.body
        assert b"b" not in re.sub(rb"<[^>]*>|body", b"", answer.body.partition(b"<body>")[2])  # nothing of the path
        head = ask(server, "HEAD /a HTTP/1.1\nHost: x\n\n")
        assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("OPTIONS", "*", 200),
        ("OPTIONS", "/", 200),
        ("OPTIONS", "/none", 404),
        ("GET", "/", 404),
        ("POST", "/", 404),
        ("PROPFIND", "/none", 404),
    ],
)
def test_what_an_empty_site_says(method: str, target: str, status: int) -> None:
    with serving() as server:
        answer = ask(server, f"{method} {target} HTTP/1.1\nHost: x\nContent-Length: 0\n\n")
        assert answer.status == status
        assert answer.all("allow") == (["OPTIONS, GET, HEAD"] if status == 200 else [])


def test_options_of_the_whole_server_is_not_the_root_page() -> None:
    with serving() as server:
        server.directory("x")(lambda request, response: "x")
        answer = ask(server, "OPTIONS * HTTP/1.1\nHost: x\n\n")
        assert (answer.status, answer.body) == (200, b"")


def test_a_page_for_what_is_not_found_is_the_last_directory() -> None:
    def last(request: Request, response: Response) -> str:
        response.status = 404
        return f"no {html.escape(request.path)} here"

    with serving() as server:
        server.directory(priority=-128)(last)
        server.directory("x")(lambda request, response: "x")
        answer = get(server, "/a%3Cb")
        assert (answer.status, answer.body) == (404, b"no /a&lt;b here")
        assert get(server, "/x").status == 200


# -- a handler fails ----------------------------------------------------------------------------------------------

FAILURES = [
    ValueError(WORDS),
    KeyError(WORDS),
    AssertionError(WORDS),
    RecursionError(WORDS),
    MemoryError(WORDS),
    OSError(28, WORDS),
    NoSpace(WORDS),
    IoError(WORDS, "broken"),
    SocketClosed(f"to the database: {WORDS}"),
    TimedOut(WORDS),
    StopIteration(WORDS),
    SystemExit(WORDS),
    SystemExit(0),
    gevent.Timeout(0.1),
    GeneratorExit(WORDS),
    ExceptionGroup(WORDS, [ValueError(WORDS)]),
    BaseException(WORDS),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failure_is_a_500_that_tells_nothing(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    with serving(failing(error)) as server:
        answer = get(server, "/secret/path?token=s3cr3t")
        assert (answer.status, answer["content-type"]) == (500, "text/html; charset=utf-8")
        assert "x-before" not in answer
        assert "no-store" in answer["cache-control"]
        body = answer.body.decode()
        for leak in ("word-of-the", "half a page", "s3cr3t", "secret/path", type(error).__name__, __file__, "Trace"):
            assert leak not in body
        (number,) = re.findall(r"<code>([0-9a-f]+-[0-9a-f]+)</code>", body)
        (record,) = [record for record in caplog.records if record.name == "greenbas.site"]
        assert record.levelno == logging.ERROR
        assert record.getMessage() == f"request {number} GET /secret/path?token=s3cr3t failed"
        assert record.exc_info is not None and record.exc_info[1] is error
        assert server.site.failures == 1
        assert alive(server)


def test_the_connection_goes_on_after_a_failure() -> None:
    def handler(request: Request, response: Response) -> str:
        if request.relpath == "fail":
            raise ValueError
        return "fine"

    with serving(handler) as server, Client(server) as client:
        for path, status in (("fail", 500), ("fine", 200), ("fail", 500), ("fine", 200)):
            assert client.ask(f"GET /{path} HTTP/1.1\nHost: x\n\n").status == status


def test_cookies_stay_when_a_handler_fails() -> None:
    def handler(request: Request, response: Response) -> None:
        response.create_cookie("a").activate()
        raise ValueError

    with serving(handler) as server:
        answer = get(server, "/")
        assert (answer.status, "set-cookie" in answer) == (500, True)


@pytest.mark.parametrize("dev", [False, True])
def test_a_failure_of_head_has_no_body(dev: bool) -> None:
    with serving(failing(ValueError(WORDS)), dev=dev) as server:
        answer = ask(server, "HEAD / HTTP/1.1\nHost: x\n\n")
        assert (answer.status, answer.body) == (500, b"")


def test_in_development_the_page_shows_the_traceback() -> None:
    with serving(failing(ValueError(WORDS)), dev=True) as server:
        answer = get(server, "/")
    assert answer.status == 500
    body = answer.body.decode()
    assert html.escape(f"ValueError: {WORDS}") in body
    assert WORDS not in body  # escaped: the words of an exception may be a visitor's
    assert html.escape(f'File "{__file__}"') in body
    assert "raise error" in body


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize("dev", [False, True])
def test_an_exception_without_words(dev: bool) -> None:
    with serving(failing(Unprintable()), dev=dev) as server:
        assert get(server, "/").status == 500
        assert alive(server)


def endless(request: Request, response: Response) -> None:
    endless(request, response)


def test_an_endless_recursion() -> None:
    with serving(endless) as server:
        assert get(server, "/").status == 500
        assert alive(server)


def test_a_handler_that_times_itself_out() -> None:
    def handler(request: Request, response: Response) -> None:
        with gevent.Timeout(0.01):
            gevent.sleep(10)

    with serving(handler) as server:
        assert get(server, "/").status == 500


def test_abort_is_an_answer() -> None:
    def handler(request: Request, response: Response) -> None:
        response.status = 418
        response.write("short and stout")
        try:
            request.abort()
        except Exception:
            response.write(" swallowed")

    with serving(handler) as server:
        answer = get(server, "/")
        assert (answer.status, answer.body, server.site.failures) == (418, b"short and stout", 0)


def test_what_kills_a_worker_ends_the_connection_and_nothing_else() -> None:
    with serving() as server:
        server.directory("die")(failing(GreenletExit()))
        with Client(server) as client:
            client.send("GET /die HTTP/1.1\nHost: x\n\n")
            assert client.closed()
        assert alive(server)


# -- after the head has gone --------------------------------------------------------------------------------------


def committed(announce: int | None, error: BaseException) -> Callable[[Request, Response], None]:
    def handler(request: Request, response: Response) -> None:
        if announce is not None:
            response.set_content_length(announce)
        response.write("the first half")
        response.flush()
        raise error

    return handler


@pytest.mark.parametrize("announce", [None, 100, 14])
@pytest.mark.parametrize("error", [ValueError(WORDS), SystemExit(1), RemoteProtocolError(WORDS), TimedOut(WORDS)])
def test_a_failure_after_the_head_breaks_the_connection(
    announce: int | None, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(committed(announce, error)) as server, Client(server) as client:
        client.send("GET / HTTP/1.1\nHost: x\n\n")
        data = b""
        while piece := client.sock.recv(65536):
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        if announce is None:
            assert b"transfer-encoding: chunked" in head.lower()
            assert body == b"e\r\nthe first half\r\n"  # and no last chunk: it is not whole
        else:
            assert body == b"the first half"
        assert b"word-of-the" not in data
        assert alive(server)
    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} <= {"greenbas.site"}


def test_a_strict_client_notices() -> None:
    with serving(committed(None, ValueError())) as server, pytest.raises(h11.RemoteProtocolError):
        get(server, "/")


def test_an_error_page_after_the_head_is_a_mistake() -> None:
    caught: list[BaseException] = []

    def handler(request: Request, response: Response) -> None:
        response.write("x")
        response.flush()
        try:
            response.send_error(404)
        except IsCommitted as error:
            caught.append(error)

    with serving(handler) as server:
        answer = get(server, "/")
        assert (answer.status, answer.body, len(caught)) == (200, b"x", 1)


def test_a_client_that_has_gone_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    done: list[BaseException] = []

    def handler(request: Request, response: Response) -> None:
        try:
            while True:
                response.write("x" * 100_000)
        except BaseException as error:
            done.append(error)
            raise

    with serving(handler) as server:
        with Client(server) as client:
            client.send("GET / HTTP/1.1\nHost: x\n\n")
            client.sock.recv(10)
        wait_until(lambda: done)
        assert isinstance(done[0], SocketClosed)
        wait_until(lambda: not server.service.workers.busy)
        assert server.site.failures == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# -- a bad request body -------------------------------------------------------------------------------------------


def body_reader(request: Request, response: Response) -> str:
    return str(len(request.body()))


@pytest.mark.parametrize(
    ("settings", "head", "body", "status", "closes"),
    [
        ({"max_memory_body": 10}, "Content-Length: 10", b"x" * 10, 200, False),
        ({"max_memory_body": 10}, "Content-Length: 11", b"x" * 11, 413, True),
        ({"max_memory_body": 10}, "Transfer-Encoding: chunked", b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n", 413, True),
        ({"max_body": 10}, "Content-Length: 11", b"x" * 11, 413, False),
        ({}, "Transfer-Encoding: chunked", b"zz\r\n", 400, True),
        ({"body_grace": 0.1, "write_timeout": 0.1}, "Content-Length: 10", b"x", 408, True),
    ],
)
@pytest.mark.parametrize("dev", [False, True])
def test_a_bad_body_has_its_own_status(
    settings: dict[str, Any], head: str, body: bytes, status: int, closes: bool, dev: bool
) -> None:
    with serving(body_reader, dev=dev, **settings) as server:
        with Client(server) as client:
            client.send(f"POST / HTTP/1.1\nHost: x\n{head}\n\n".replace("\n", "\r\n").encode() + body)
            answer = client.answer("POST")
            assert answer.status == status
            if closes:
                assert answer["connection"] == "close"
                assert client.closed()
            else:
                assert client.ask("GET / HTTP/1.1\nHost: x\n\n").body == b"0"
        assert server.site.failures == 0
        assert alive(server)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BodyTooLarge(WORDS), 413),
        (RemoteProtocolError(WORDS), 400),
        (RemoteProtocolError(WORDS, 422), 422),
        (IncompleteBody(WORDS), 400),
    ],
)
def test_what_the_client_did_wrong_is_told_in_words_in_development_only(
    error: RemoteProtocolError, status: int
) -> None:
    for dev in (False, True):
        with serving(failing(error), dev=dev) as server:
            answer = get(server, "/")
            assert (answer.status, answer["connection"]) == (status, "close")
            assert (html.escape(WORDS).encode() in answer.body) == dev
            assert b"half a page" not in answer.body


def test_a_handler_may_answer_a_bad_body_itself() -> None:
    def handler(request: Request, response: Response) -> str:
        try:
            request.body()
        except BodyTooLarge:
            response.status = 413
        return "smaller, please"

    with serving(handler, max_memory_body=1) as server:
        answer = ask(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        assert (answer.status, answer.body) == (413, b"smaller, please")


def test_the_deadline_of_a_request() -> None:
    def handler(request: Request, response: Response) -> None:
        gevent.sleep(10)

    with serving(handler, request_timeout=0.05) as server:
        assert get(server, "/").status == 503
        assert alive(server)


# -- domains ------------------------------------------------------------------------------------------------------


def pages(**contents: str) -> MemoryIo:
    io = MemoryIo()
    for name, text in contents.items():
        with io.open(name.replace("_", "."), "w") as file:
            file.write(text.encode())
    return io


def domains(server: Server) -> None:
    server.insert(DomainReader("one.example", pages(index_html="one", a_html="a of one")))
    server.insert(
        DomainReader("two.example", pages(index_html="two", _404_html="no such page of two"), page404="/.404.html")
    )
    server.insert(DomainReader("bücher.example", pages(index_html="books")))
    server.insert(DomainReader("::1", pages(index_html="six")))
    fallback = DomainReader("broken.example", pages(), page404="missing.html")
    server.insert(fallback)
    server.directory("common")(lambda request, response: f"common for {request.domain()}")


def from_host(server: Server, host: str, path: str, method: str = "GET", *headers: str) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Length: 0", *headers, "", ""]
    return ask(server, "\n".join(lines))


@pytest.mark.parametrize(
    ("host", "path", "status", "body"),
    [
        ("one.example", "/", 200, b"one"),
        ("ONE.Example", "/", 200, b"one"),
        ("one.example:9357", "/", 200, b"one"),
        ("One.Example:80", "/a.html", 200, b"a of one"),
        ("one.example.", "/", 200, b"one"),
        ("one.example.:80", "/", 200, b"one"),
        ("two.example", "/", 200, b"two"),
        ("xn--bcher-kva.example", "/", 200, b"books"),
        ("[::1]", "/", 200, b"six"),
        ("[::1]:80", "/", 200, b"six"),
        ("www.one.example", "/", 404, None),
        ("one.example.org", "/", 404, None),
        ("one.exampl", "/", 404, None),
        ("", "/", 404, None),
        ("one.example", "/missing.html", 404, None),
        ("one.example", "/common", 200, b"common for one.example"),
        ("elsewhere.example", "/common/", 200, b"common for elsewhere.example"),
        ("two.example", "/missing.html", 404, b"no such page of two"),
        ("two.example", "/common", 404, b"no such page of two"),
        ("two.example", "/.404.html", 404, b"no such page of two"),
        ("broken.example", "/missing", 404, None),
    ],
)
def test_domains(host: str, path: str, status: int, body: bytes | None) -> None:
    with serving() as server:
        domains(server)
        answer = from_host(server, host, path)
        assert answer.status == status
        assert body is None or answer.body == body


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_page404_whatever_the_method(method: str) -> None:
    with serving() as server:
        domains(server)
        answer = from_host(server, "two.example", "/missing", method)
        assert (answer.status, answer.body) == (404, b"" if method == "HEAD" else b"no such page of two")


def test_page404_is_whole_and_fresh() -> None:
    with serving() as server:
        domains(server)
        answer = from_host(server, "two.example", "/missing", "GET", "Range: bytes=0-1", "If-None-Match: *")
        assert (answer.status, answer.body) == (404, b"no such page of two")


def test_a_broken_page404_is_a_plain_404() -> None:
    with serving() as server:
        domains(server)
        answer = from_host(server, "broken.example", "/missing")
        assert (answer.status, b"404 Not Found" in answer.body) == (404, True)


def test_the_host_of_an_absolute_target_counts() -> None:
    """RFC 9112 3.2.2"""
    with serving() as server:
        domains(server)
        assert ask(server, "GET http://one.example/ HTTP/1.1\nHost: two.example\n\n").body == b"one"


def test_the_domain_behind_a_trusted_proxy() -> None:
    with serving(trusted_proxies=("127.0.0.1",)) as server:
        domains(server)
        assert from_host(server, "internal:8080", "/", "GET", "X-Forwarded-Host: One.example:443").body == b"one"


@pytest.mark.parametrize("domain", ["", ".", "example.com:80", "http://example.com", "a/b"])
def test_domains_that_match_nothing_are_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        DomainReader(domain, MemoryIo())


@pytest.mark.parametrize(
    ("given", "domain"),
    [("Exam.PLE", "exam.ple"), ("exam.ple.", "exam.ple"), ("bücher.de", "xn--bcher-kva.de"), ("[::1]", "::1")],
)
def test_domains_are_normalized(given: str, domain: str) -> None:
    made = DomainReader(given, MemoryIo(), page404="x.html")
    assert (made.domain, made.page404, made.name()) == (domain, "x.html", "")
    assert repr(made) == f"<DomainReader {domain!r} priority 0>"


def test_options_of_the_server_runs_no_handler() -> None:
    seen = []
    with serving(lambda request, response: seen.append(request.path)) as server:
        answer = ask(server, "OPTIONS * HTTP/1.1\nHost: x\n\n")
        assert (answer.status, answer["allow"], seen) == (200, "OPTIONS, GET, HEAD", [])
