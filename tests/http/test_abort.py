"""`Response.abort`: a handler ends from anywhere below it, and stays ended (BAS reference b.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from web import Answer, Client, head, serving

from greenbas import Request, Response
from greenbas.errors import Abort, IsCommitted
from greenbas.io import MemoryIo
from greenbas.vfs import Directory, ResourceReader

Handler = Callable[[Request, Response], Any]
HTML = "text/html; charset=utf-8"


def answer(handler: Handler, *headers: str, method: str = "GET", **settings: Any) -> Answer:
    """What a client gets; it asks twice on one connection, and gets the same."""
    text = head(f"{method} /dir/page HTTP/1.1", *headers)
    with serving(handler, **settings) as server, Client(server) as client:
        found = client.ask(text)
        assert server.site.failures == 0
        again = client.ask(text)
        assert (again.status, again.body) == (found.status, found.body)
    return found


def deep(response: Response, levels: int) -> None:
    """Abort some frames down."""
    if levels:
        deep(response, levels - 1)
    else:
        response.abort()


def generator(response: Response) -> Iterator[int]:
    yield 1
    response.abort()


class Manager:
    """A context manager that sees the abort go by, and lets it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.seen.append(kind)


# -- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda request, response: response.abort(), id="response.abort"),
        pytest.param(lambda request, response: request.abort(), id="request.abort"),
        pytest.param(lambda request, response: deep(response, 50), id="many frames down"),
        pytest.param(lambda request, response: list(generator(response)), id="in a generator"),
        pytest.param(lambda request, response: sorted([2, 1], key=lambda _: response.abort()), id="through C"),
    ],
)
def test_what_was_written_is_the_answer(stop: Handler) -> None:
    def handler(request: Request, response: Response) -> None:
        response.status = 201
        response.set_header("X-Mine", "1")
        response.write("said")
        stop(request, response)
        response.write("never said")

    found = answer(handler)
    assert (found.status, found.body, found["X-Mine"], found["Content-Length"]) == (201, b"said", "1", "4")


def test_with_nothing_written() -> None:
    found = answer(lambda request, response: response.abort())
    assert (found.status, found.body, found["Content-Length"]) == (200, b"", "0")


def test_after_the_commit() -> None:
    def handler(request: Request, response: Response) -> None:
        response.write("sent")
        response.flush()
        response.write(", said")
        response.abort()

    assert answer(handler).body == b"sent, said"


def test_after_send() -> None:
    def handler(request: Request, response: Response) -> None:
        response.set_content_length(4)
        response.send("sent")
        try:
            response.abort()
        except Abort:
            response.send("more")

    assert answer(handler).body == b"sent"


def test_with_head() -> None:
    def handler(request: Request, response: Response) -> None:
        response.write("x" * 100_000 if request.method == "HEAD" else "x")
        response.abort()

    assert answer(handler, method="HEAD")["Content-Length"] == "100000"


def test_in_nested_directories() -> None:
    """The walk does not go on."""
    with serving() as server:
        outer, inner, other = Directory("dir"), Directory(), Directory(priority=-1)
        inner.set_func(lambda request, response: response.write("inner") and response.abort())
        other.set_func(lambda request, response: "other")
        outer.set_func(lambda request, response: outer.service(request, request.relpath) and response.write("outer"))
        outer.insert(inner)
        server.insert(outer)
        server.insert(other)
        with Client(server) as client:
            assert client.ask(head("GET /dir/page HTTP/1.1")).body == b"inner"
            assert client.ask(head("GET /page HTTP/1.1")).body == b"other"


def test_it_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    answer(lambda request, response: response.abort())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_passes_by_what_catches_errors() -> None:
    manager = Manager()
    ran: list[str] = []

    def handler(request: Request, response: Response) -> None:
        try:
            with manager:
                response.write("said")
                response.abort()
        except Exception:
            response.write("caught")
        finally:
            ran.append("finally")

    assert answer(handler).body == b"said"
    assert manager.seen == [Abort, Abort] and ran == ["finally", "finally"]


# -- stays ended --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda response: response.write("more"), id="write"),
        pytest.param(lambda response: response.write(), id="write nothing"),
        pytest.param(lambda response: response.flush(), id="flush"),
        pytest.param(lambda response: response.send("more"), id="send"),
        pytest.param(lambda response: response.json({}), id="json"),
        pytest.param(lambda response: response.json({}, return2caller=True), id="json that returns"),
        pytest.param(lambda response: response.send_error(500), id="send_error"),
        pytest.param(lambda response: response.send_redirect("/"), id="send_redirect"),
        pytest.param(lambda response: response.send_redirect("/", return2caller=True), id="a redirect that returns"),
        pytest.param(lambda response: response.redirect2tls(), id="redirect2tls"),
        pytest.param(lambda response: response.forward("/a.txt"), id="forward"),
        pytest.param(lambda response: response.forward("/a.txt", return2caller=True), id="forward that returns"),
        pytest.param(lambda response: response.redirect("/a.txt"), id="redirect"),
        pytest.param(lambda response: response.include("/a.txt"), id="include"),
        pytest.param(lambda response: response.include("/missing"), id="include of nothing"),
        pytest.param(lambda response: response.reset(), id="reset"),
        pytest.param(lambda response: response.reset("buffer"), id="reset buffer"),
        pytest.param(lambda response: response.deferred(), id="deferred"),
        pytest.param(lambda response: response.abort(), id="abort"),
    ],
)
@pytest.mark.parametrize("written", [True, False])
def test_output_after_catching_it(use: Callable[[Response], Any], written: bool) -> None:
    """However often it is caught, the next output ends the handler again, and changes nothing."""

    def handler(request: Request, response: Response) -> None:
        if written:
            response.write("said")
        for attempt in range(3):
            try:
                response.abort() if not attempt else use(response)
            except BaseException as error:
                assert type(error) is Abort, error
            else:
                raise AssertionError("it did not end")
        use(response)
        raise AssertionError("it did not end")

    with serving() as server:
        io = MemoryIo()
        with io.open("a.txt", "w") as file:
            file.write(b"file")
        page = Directory("dir")
        page.set_func(handler)
        server.insert(page)
        server.insert(ResourceReader(io))
        with Client(server) as client:
            for _ in range(2):
                found = client.ask(head("GET /dir/page HTTP/1.1"))
                assert (found.status, found.body) == (200, b"said" if written else b"")
                assert "Location" not in found and "Cache-Control" not in found
        assert server.site.failures == 0


@pytest.mark.parametrize("result", ["more", b"more", {"more": 1}, [1], None, True])
@pytest.mark.parametrize("written", [True, False])
def test_a_result_after_catching_it(result: Any, written: bool) -> None:
    """A result is output too; it leaves no trace, not even in the type."""

    def handler(request: Request, response: Response) -> Any:
        try:
            if written:
                response.write("said")
            response.abort()
        except BaseException:
            return result

    found = answer(handler)
    assert (found.status, found.body) == (200, b"said" if written else b"")
    assert found.all("Content-Type") in ([HTML], []) and "Cache-Control" not in found


def test_code_after_catching_it_runs_without_output() -> None:
    ran: list[str] = []

    def handler(request: Request, response: Response) -> None:
        response.write("said")
        try:
            response.abort()
        except BaseException:
            ran.append("caught")
        ran.append(f"after {response.byte_count()}")
        response.set_header("X-After", "1")  # no output: it may still say something about what there is
        response.status = 202

    found = answer(handler)
    assert (found.status, found.body, found["X-After"]) == (202, b"said", "1")
    assert ran == ["caught", "after 4"] * 2


def test_a_false_after_catching_it() -> None:
    """It looks further, and whoever answers finds that there is no more output; so does the 404 page."""

    def handler(request: Request, response: Response) -> bool:
        try:
            response.write("said")
            response.abort()
        except BaseException:
            return False

    found = answer(handler)
    assert (found.status, found.body) == (200, b"said")


def test_an_error_behind_it_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Cleaning up has failed: nobody knows what the answer is worth."""

    def handler(request: Request, response: Response) -> None:
        response.set_header("X-Mine", "1")
        try:
            response.write("said")
            response.abort()
        finally:
            raise ValueError("cleaning up failed")

    with serving(handler) as server, Client(server) as client:
        for number in (1, 2):
            found = client.ask(head("GET / HTTP/1.1"))
            assert found.status == 500 and b"said" not in found.body and b"500" in found.body
            assert "X-Mine" not in found and server.site.failures == number
    assert "cleaning up failed" in caplog.text


def test_an_error_behind_it_after_the_commit() -> None:
    def handler(request: Request, response: Response) -> None:
        try:
            response.write("said")
            response.flush()
            response.abort()
        finally:
            raise ValueError("cleaning up failed")

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.rest().endswith(b"said\r\n")  # no end of the chunks: the client sees that something is missing


def test_a_bad_body_behind_it() -> None:
    """The same for what the site refuses."""

    def handler(request: Request, response: Response) -> None:
        try:
            response.write("said")
            response.abort()
        except BaseException:
            request.body()

    with serving(handler, max_memory_body=10) as server, Client(server) as client:
        found = client.ask(head("POST / HTTP/1.1", "Content-Length: 11") + "x" * 11)
        assert found.status == 413 and b"said" not in found.body


# -- who uses it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "headers", "status", "body"),
    [
        pytest.param(lambda q, r: r.json({"a": 1}), (), 200, b'{"a":1}', id="json"),
        pytest.param(lambda q, r: r.send_redirect("/x"), (), 302, b"", id="send_redirect"),
        pytest.param(lambda q, r: r.redirect2tls(), ("Host: x:80",), 403, None, id="redirect2tls"),
        pytest.param(lambda q, r: q.allow(["POST"]), (), 405, None, id="allow"),
        pytest.param(
            lambda q, r: q.check_time(0), ("If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",), 304, b"", id="304"
        ),
    ],
)
def test_the_answers_that_end_a_handler(use: Handler, headers: tuple[str, ...], status: int, body: bytes) -> None:
    """A bare except around them does not replace them."""

    def handler(request: Request, response: Response) -> str:
        try:
            use(request, response)
        except BaseException as error:
            assert type(error) is Abort
        else:
            raise AssertionError("it did not end")
        try:
            response.send_error(500)
        except BaseException as error:
            assert type(error) is Abort
        return "instead"

    lines = [f"GET / HTTP/1.1\nHost: x{':80' if headers == ('Host: x:80',) else ''}"]
    lines += [line for line in headers if not line.startswith("Host")]
    with serving(handler) as server, Client(server) as client:
        for _ in range(2):
            found = client.ask("\n".join([*lines, "", ""]))
            assert found.status == status
            assert body is None or found.body == body
            assert b"instead" not in found.body
        assert server.site.failures == 0


def test_check_time_lets_newer_pass() -> None:
    found = answer(
        lambda request, response: str(request.check_time(4e9)), "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"
    )
    assert found.body == b"True"


def test_get_data() -> None:
    """BAS ``response:getdata``: what waits, and nothing once the head has gone."""
    found: list[bytes | None] = []

    def handler(request: Request, response: Response) -> None:
        found.append(response.get_data())
        response.write("a", "ä")
        found.append(response.get_data())
        response.reset("buffer")
        found.append(response.get_data())
        response.write("b")
        response.flush()
        found.append(response.get_data())
        with pytest.raises(IsCommitted):
            response.reset()

    answer(handler)
    assert found[:4] == [b"", "aä".encode(), b"", None]


def test_reset_headers_drops_the_length() -> None:
    """Content-Length is a header."""

    def handler(request: Request, response: Response) -> None:
        response.set_content_length(3)
        response.reset("headers")
        response.write("four")

    assert answer(handler).body == b"four"
