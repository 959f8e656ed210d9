"""`Response`, method by method, and its state machine (BAS reference b.3), as the client sees the outcome."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from typing import Any

import h11
import pytest
from web import Answer, Client, ask, get, head, serving

from greenbas.errors import Abort, IncorrectUse, IsCommitted, LocalProtocolError, MixingWriteSend
from greenbas.http import Request, Response

GET = head("GET /dir/page?q HTTP/1.1")
HEAD = head("HEAD /dir/page?q HTTP/1.1")
BUFFER = 32 * 1024
HTML = "text/html; charset=utf-8"
NO_STORE = "no-store, no-cache, must-revalidate, max-age=0"
EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"
Handler = Callable[[Request, Response], Any]
Use = Callable[[Response], Any]


def answer(handler: Handler, text: str = GET, **settings: Any) -> Answer:
    """What a client gets that asks this handler."""
    with serving(handler, **settings) as server:
        return ask(server, text)


def doing(*uses: Use) -> Handler:
    """A handler that does these things to its response, and returns nothing."""

    def handler(request: Request, response: Response) -> None:
        for use in uses:
            use(response)

    return handler


def after(*uses: Use, text: str = GET, **settings: Any) -> Answer:
    """What a client gets when a handler does these things to its response."""
    return answer(doing(*uses), text, **settings)


def errors(*uses: Use, text: str = GET) -> list[type[BaseException] | None]:
    """What each of these raises, one after the other on one response."""
    raised: list[type[BaseException] | None] = []

    def handler(request: Request, response: Response) -> None:
        for use in uses:
            try:
                use(response)
            except BaseException as error:
                raised.append(type(error))
            else:
                raised.append(None)

    with serving(handler) as server, Client(server) as client:
        client.send(text)
        client.half_close()
        client.rest()
    return raised


# -- what a handler returns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "kind", "body"),
    [
        pytest.param("größer", HTML, "größer".encode(), id="str"),
        pytest.param("", None, b"", id="empty str"),
        pytest.param(b"\0\xff", "application/octet-stream", b"\0\xff", id="bytes"),
        pytest.param({"a": [1, None]}, "application/json", b'{"a":[1,null]}', id="dict"),
        pytest.param({}, "application/json", b"{}", id="empty dict"),
        pytest.param([1, "ä"], "application/json", '[1,"ä"]'.encode(), id="list"),
        pytest.param([], "application/json", b"[]", id="empty list"),
        pytest.param(None, None, b"", id="None"),
        pytest.param(True, None, b"", id="True"),
        pytest.param("x" * 1_000_000, HTML, b"x" * 1_000_000, id="a megabyte"),
    ],
)
def test_results(result: Any, kind: str | None, body: bytes) -> None:
    got = answer(lambda request, response: result)
    assert (got.status, got.body, got["Content-Length"]) == (200, body, str(len(body)))
    if kind is not None:
        assert got["Content-Type"] == kind


def test_false_is_not_found() -> None:
    assert answer(lambda request, response: False).status == 404


@pytest.mark.parametrize("result", [0, 1, 5, 1.5, (), (1,), {1}, object(), bytearray(b"x")], ids=repr)
def test_any_other_result_is_an_error_that_names_the_directory(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert answer(lambda request, response: result).status == 500
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.exc_info is not None and isinstance(record.exc_info[1], TypeError)
    assert "directory /" in str(record.exc_info[1])


def test_a_result_that_has_no_json() -> None:
    assert answer(lambda request, response: {"a": object()}).status == 500


def test_a_type_that_is_set_stays() -> None:
    for result in ("x", b"x", {}):
        got = answer(lambda request, response: response.set_content_type("text/plain") and result)  # noqa: B023
        assert got["Content-Type"] == "text/plain"


def test_a_result_behind_output() -> None:
    assert answer(lambda request, response: response.write("a") and "b").body == b"ab"
    got = answer(lambda request, response: (response.write("a"), response.flush()) and "b")
    assert (got.body, got["Transfer-Encoding"]) == (b"ab", "chunked")


# -- status -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "line"),
    [
        pytest.param(200, None, b"HTTP/1.1 200 OK", id="known"),
        pytest.param(418, None, b"HTTP/1.1 418 I'm a Teapot", id="known to the library"),
        pytest.param(299, None, b"HTTP/1.1 299 Success", id="unknown"),
        pytest.param(799, None, b"HTTP/1.1 799 Unknown", id="of no class"),
        pytest.param(999, None, b"HTTP/1.1 999 Unknown", id="the last"),
        pytest.param(404, "Gone fishing", b"HTTP/1.1 404 Gone fishing", id="own reason"),
        pytest.param(404, "", b"HTTP/1.1 404 ", id="9112 4: no reason"),
    ],
)
def test_status_lines(code: int, reason: str | None, line: bytes) -> None:
    """9112 4; the original sent an invalid line for codes that it did not know."""

    def handler(request: Request, response: Response) -> str:
        response.set_status(code, reason)
        assert response.status == response.get_status() == code
        return "x"

    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        assert client.read_until(b"\r\n") == line + b"\r\n"


@pytest.mark.parametrize("code", [0, -1, 99, 100, 101, 199, 1000, 20, True, "200", 200.0, None])
def test_impossible_status(code: Any) -> None:
    """1xx are no final responses (9110 15.2)."""
    (raised,) = errors(lambda response: response.set_status(code))
    assert raised is not None and issubclass(raised, ValueError | TypeError)

    def assign(response: Response) -> None:
        response.status = code

    assert errors(assign) == [raised]


@pytest.mark.parametrize("reason", ["a\r\nX: y", "a\n", "\0", "ä", "€", "\x7f"])
def test_a_reason_cannot_split_the_head(reason: str) -> None:
    assert errors(lambda response: response.set_status(200, reason)) == [LocalProtocolError]


# -- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_it", [lambda r, n, v: r.set_header(n, v), lambda r, n, v: r.headers.__setitem__(n, v),
                                    lambda r, n, v: r.add_header(n, v), lambda r, n, v: r.headers.add(n, v)],
                         ids=["set_header", "headers", "add_header", "headers.add"])  # fmt: skip
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("X", "a\r\nSet-Cookie: b=c", id="9110 5.5: CR LF"),
        pytest.param("X", "a\nb", id="9110 5.5: LF"),
        pytest.param("X", "a\rb", id="9110 5.5: CR"),
        pytest.param("X", "a\0b", id="9110 5.5: NUL"),
        pytest.param("X", "a\x1bb", id="9110 5.5: escape"),
        pytest.param("X", "€", id="9110 5.5: beyond latin-1"),
        pytest.param("X\r\nY", "a", id="9110 5.1: CR LF in a name"),
        pytest.param("X: y\r\nZ", "a", id="9110 5.1: colon in a name"),
        pytest.param("", "a", id="9110 5.1: no name"),
        pytest.param("Transfer-Encoding", "chunked", id="9112 6.1: the server's own"),
        pytest.param("Transfer-Encoding", "identity", id="9112 6.1: the server's own, identity"),
        pytest.param("Keep-Alive", "timeout=5", id="9112 C.2.2: the server's own, Keep-Alive"),
        pytest.param("Connection", "upgrade", id="9110 7.6.1: the server's own, Connection"),
        pytest.param("Content-Length", "-1", id="9110 8.6: negative"),
        pytest.param("Content-Length", "5, 5", id="9110 8.6: list"),
        pytest.param("Content-Length", "+5", id="9110 8.6: sign"),
        pytest.param("Content-Length", "\xb2", id="9110 8.6: another digit"),
        pytest.param("Content-Length", "", id="9110 8.6: empty"),
    ],
)
def test_headers_that_are_refused(set_it: Callable[..., Any], name: str, value: str) -> None:
    assert errors(lambda response: set_it(response, name, value)) == [LocalProtocolError]
    got = after(lambda response: swallow(set_it, response, name, value), lambda response: response.write("x"))
    assert (got.status, got.body) == (200, b"x")
    assert "Set-Cookie" not in got and "Y" not in got and "Z" not in got


def swallow(use: Callable[..., Any], *args: Any) -> None:
    """Call it; what it raises does not matter."""
    try:
        use(*args)
    except LocalProtocolError:
        pass


def test_setting_headers() -> None:
    got = after(
        lambda response: response.set_header("X-A", "1"),
        lambda response: response.set_header("x-a", "2"),
        lambda response: response.set_header("X-B", "1"),
        lambda response: response.set_header("X-b"),
        lambda response: response.set_header("X-C", "ä\tb"),
        lambda response: response.set_header("X-D", ""),
        lambda response: response.add_header("Link", "<a>"),
        lambda response: response.add_header("LINK", "<b>"),
        lambda response: response.set_header("X-Never"),
    )
    assert got.all("X-A") == ["2"]
    assert got.all("X-B") == [] and got.all("X-Never") == []
    assert got.all("X-C") == ["ä\tb"]
    assert got.all("X-D") == [""]
    assert got.all("Link") == ["<a>", "<b>"]


def test_headers_as_a_mapping() -> None:
    found: list[Any] = []

    def handler(request: Request, response: Response) -> str:
        headers = response.headers
        assert not headers and len(headers) == 0
        headers["X-A"] = "1"
        headers.add("x-a", "2")
        headers.update({"X-B": "b", "X-C": "c"})
        found.append((headers["x-A"], headers.get("X-B"), headers.get("missing"), "x-c" in headers, "y" in headers))
        found.append((list(headers), len(headers), dict(headers)))
        del headers["x-B"]
        assert headers.pop("X-C") == "c"
        with pytest.raises(KeyError):
            del headers["X-B"]
        with pytest.raises(KeyError):
            headers["X-B"]
        assert headers.setdefault("X-D", "d") == "d"
        assert 5 not in headers and "X-D" in repr(headers)
        return "x"

    got = answer(handler)
    assert got.status == 200
    assert found[0] == ("1, 2", "b", None, True, False)
    assert found[1] == (["X-A", "X-B", "X-C"], 3, {"X-A": "1, 2", "X-B": "b", "X-C": "c"})
    assert got.all("X-A") == ["1", "2"] and got.all("X-D") == ["d"] and not got.all("X-B") and not got.all("X-C")


def test_the_mapping_and_the_announced_length_agree() -> None:
    """What is in a mapping is in its list too."""

    def handler(request: Request, response: Response) -> dict[str, Any]:
        headers = response.headers
        headers["Content-Length"] = "5"
        inside = ["content-length" in headers, headers["Content-Length"], list(headers), len(headers)]
        del headers["Content-Length"]
        return {"inside": inside, "outside": "Content-Length" in headers}

    assert answer(handler).body == b'{"inside":[true,"5",["Content-Length"],1],"outside":false}'


def test_contains_header_and_names() -> None:
    def handler(request: Request, response: Response) -> list[Any]:
        response.set_header("X-A", "1: 2")
        response.add_header("X-a", "3")
        found = [response.contains_header("x-a"), response.contains_header("missing"), response.header_names()]
        response.set_header("X-A")
        return [*found, response.contains_header("x-a")]

    assert answer(handler).body == b'["1: 2, 3",null,["X-A"],null]'


def test_connection_close_as_a_header() -> None:
    assert after(lambda response: response.set_header("Connection", "Close"))["Connection"] == "close"
    assert "Connection" not in after(lambda response: response.set_header("Connection", "keep-alive"))


@pytest.mark.parametrize(
    ("use", "name", "value"),
    [
        pytest.param(lambda response: response.set_content_type("text/plain"), "Content-Type", "text/plain", id="type"),
        pytest.param(lambda response: response.set_date_header("Expires", 0), "Expires", EPOCH, id="date"),
        pytest.param(lambda response: response.set_max_age(60), "Cache-Control", "max-age=60", id="max age"),
        pytest.param(lambda response: response.set_max_age(1.9), "Cache-Control", "max-age=1", id="max age, float"),
        pytest.param(lambda response: response.set_default_headers(), "Cache-Control", NO_STORE, id="default headers"),
        pytest.param(lambda response: response.set_default_headers(), "Content-Type", HTML, id="default type"),
    ],
)
def test_shorthands(use: Use, name: str, value: str) -> None:
    assert after(use)[name] == value


def test_set_content_type_that_does_not_replace() -> None:
    def handler(request: Request, response: Response) -> list[bool]:
        returned = [
            response.set_content_type("text/a", replace=False),
            response.set_content_type("text/b", replace=False),
        ]
        return [*returned, response.set_content_type("text/c")]

    got = answer(handler)
    assert (got.body, got["Content-Type"]) == (b"[true,false,true]", "text/c")


def test_cookies() -> None:
    def handler(request: Request, response: Response) -> None:
        cookie = response.create_cookie("sid")
        cookie.value = "a b"
        cookie.path = "/"
        response.create_cookie("never")
        cookie.activate()

    got = answer(handler)
    assert got.all("Set-Cookie") == ["sid=a%20b; Path=/; HttpOnly; SameSite=Lax"]


def test_a_cookie_after_the_commit_is_ignored() -> None:
    """BAS reference b.5."""
    got = after(
        lambda response: response.write("x"),
        lambda response: response.flush(),
        lambda response: response.create_cookie("a").activate(),
    )
    assert got.body == b"x" and "Set-Cookie" not in got


def test_cookies_are_secure_where_the_request_is() -> None:
    text = head("GET / HTTP/1.1", "X-Forwarded-Proto: https")
    handler: Handler = lambda request, response: response.create_cookie("a").activate()  # noqa: E731
    assert "Secure" in answer(handler, text, trusted_proxies=("127.0.0.1",))["Set-Cookie"]
    assert "Secure" not in answer(handler, text)["Set-Cookie"]


# -- output -------------------------------------------------------------------------------------------------------


def test_write_takes_text_and_bytes_and_counts() -> None:
    def handler(request: Request, response: Response) -> None:
        buffer = bytearray(b"y")
        counts = [response.write("ä", b"b"), response.write(), response.write(buffer, memoryview(b"z"))]
        buffer[:] = b"!"  # the caller may use its buffer again
        assert counts == [3, 3, 5]
        assert (response.byte_count(), response.write_size()) == (5, 5)

    got = answer(handler)
    assert (got.body, got["Content-Length"]) == ("äb".encode() + b"yz", "5")


@pytest.mark.parametrize("value", [None, 5, 1.5, ["a"], {"a": 1}, object()], ids=repr)
def test_write_refuses_anything_else(value: Any) -> None:
    assert errors(lambda response: response.write(value)) == [TypeError]
    assert errors(lambda response: response.set_content_length(1), lambda response: response.send(value)) == [
        None,
        TypeError,
    ]


@pytest.mark.parametrize(
    ("size", "committed"), [pytest.param(BUFFER, False, id="fits"), pytest.param(BUFFER + 1, True, id="does not")]
)
def test_the_buffer(size: int, committed: bool) -> None:
    found: list[Any] = []

    def handler(request: Request, response: Response) -> None:
        response.write("x" * size)
        found.append((response.committed(), response.byte_count(), response.write_size()))

    got = answer(handler)
    assert found == [(committed, size, 0 if committed else size)]
    assert len(got.body) == size
    assert ("Transfer-Encoding" in got, "Content-Length" in got) == (committed, not committed)


def test_the_size_of_the_buffer_is_a_setting() -> None:
    assert "Content-Length" in after(lambda response: response.write("x" * 10), response_buffer=10)
    assert "Content-Length" not in after(lambda response: response.write("x" * 11), response_buffer=10)


def test_flush_sends_at_once() -> None:
    with serving(slow_second_half) as server, Client(server) as client:
        client.send(GET)
        assert client.read_until(b"first\r\n").endswith(b"5\r\nfirst\r\n")
        client.send("go on")
        assert client.read_until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


def slow_second_half(request: Request, response: Response) -> None:
    """Goes on when the client has sent more, which it only does when it has seen the first half."""
    response.write("first")
    response.flush()
    request._live().stream.wait_readable(5)
    response.write("second")


def test_flush_of_nothing_sends_the_head() -> None:
    got = after(lambda response: response.flush(), lambda response: response.flush())
    assert (got.status, got.body, got["Transfer-Encoding"]) == (200, b"", "chunked")


def test_announced_length_is_sent_raw() -> None:
    """BAS: setting Content-Length switches to raw mode."""
    got = after(
        lambda response: response.set_content_length(6),
        lambda response: response.write("abc"),
        lambda response: response.flush(),
        lambda response: response.write("def"),
    )
    assert (got.body, got["Content-Length"]) == (b"abcdef", "6") and "Transfer-Encoding" not in got


def test_send_is_raw_and_at_once() -> None:
    got = after(
        lambda response: response.headers.update({"Content-Length": "4"}),
        lambda response: response.send("ä"),
        lambda response: response.send(b"bc"),
    )
    assert (got.body, got["Content-Length"]) == ("äbc".encode(), "4")


def test_downgrade() -> None:
    """No chunked coding: the end of the connection ends the body."""
    handler = doing(lambda response: response.downgrade(), lambda response: response.write("x" * 100_000))
    with serving(handler) as server, Client(server) as client:
        client.send(GET)
        start, _, body = client.rest().partition(b"\r\n\r\n")
    assert b"Connection: close" in start and b"Transfer-Encoding" not in start and b"Content-Length" not in start
    assert body == b"x" * 100_000
    assert after(lambda response: response.downgrade(), lambda response: response.write("x"))["Content-Length"] == "1"


def test_clear_keepalive() -> None:
    with serving(lambda request, response: response.clear_keepalive()) as server, Client(server) as client:
        assert client.ask(GET)["Connection"] == "close"
        assert client.closed()


def test_clear_keepalive_after_the_commit() -> None:
    """Too late to say so, not too late to do so."""

    def handler(request: Request, response: Response) -> None:
        response.flush()
        response.clear_keepalive()

    with serving(handler) as server, Client(server) as client:
        assert client.ask(GET).status == 200
        assert client.closed()


# -- more or less than announced ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["write", "send"])
def test_less_than_announced(how: str) -> None:
    """9112 8: the client must be able to tell; it is promised more than comes, then the connection ends."""
    handler = doing(lambda response: response.set_content_length(10), lambda response: getattr(response, how)("abc"))
    with serving(handler) as server, Client(server) as client:
        client.send(GET * 2)
        with pytest.raises(h11.RemoteProtocolError, match="without sending complete message"):
            client.answer()


def test_nothing_though_announced() -> None:
    with serving(lambda request, response: response.set_content_length(10)) as server, Client(server) as client:
        client.send(GET * 2)
        with pytest.raises(h11.RemoteProtocolError):
            client.answer()


def test_more_than_announced_before_anything_has_gone() -> None:
    """An error page: nothing has been promised to the client yet."""
    uses: list[Use] = [lambda response: response.set_content_length(3), lambda response: response.write("abcd")]
    assert errors(*uses) == [None, LocalProtocolError]
    assert after(*uses).status == 500
    uses = [lambda response: response.set_content_length(3), lambda response: response.send("abcd")]
    assert errors(*uses) == [None, LocalProtocolError]
    assert after(*uses).status == 500
    uses = [lambda response: response.write("abcd"), lambda response: response.set_content_length(3)]
    assert errors(*uses) == [None, LocalProtocolError]
    assert after(*uses).status == 500


@pytest.mark.parametrize("how", ["write", "send"])
def test_more_than_announced_later(how: str) -> None:
    """Not a byte beyond the length goes out: it would be the beginning of the next response."""

    def handler(request: Request, response: Response) -> None:
        response.set_content_length(3)
        getattr(response, how)("ab")
        response.flush()
        getattr(response, how)("cd")

    with serving(handler) as server, Client(server) as client:
        client.send(GET * 2)
        _, _, body = client.rest().partition(b"\r\n\r\n")
    assert body in (b"ab", b"abc")


@pytest.mark.parametrize("length", [-1, "5", None, 1.5])
def test_lengths_that_are_none(length: Any) -> None:
    (raised,) = errors(lambda response: response.set_content_length(length))
    assert raised in (LocalProtocolError, TypeError, ValueError)


# -- the state machine --------------------------------------------------------------------------------------------


def write(response: Response) -> None:
    response.write("x")


def flush(response: Response) -> None:
    response.flush()


def announce(response: Response) -> None:
    response.set_content_length(2)


def send(response: Response) -> None:
    response.send("x")


@pytest.mark.parametrize(
    ("uses", "raised"),
    [
        pytest.param([write, send], [None, MixingWriteSend], id="send after write"),
        pytest.param([announce, write, send], [None, None, MixingWriteSend], id="send after write, announced"),
        pytest.param([announce, send, write], [None, None, MixingWriteSend], id="write after send"),
        pytest.param([send], [IncorrectUse], id="send without a length"),
        pytest.param([announce, send, send], [None, None, None], id="send twice"),
        pytest.param([write, flush, write, flush], [None] * 4, id="write after flush"),
    ],
)
def test_write_and_send(uses: list[Use], raised: list[type[Exception] | None]) -> None:
    assert errors(*uses) == raised


@pytest.mark.parametrize("commit", [[flush], [write, flush], [announce, send], [lambda r: r.write("x" * 100_000)]],
                         ids=["flush", "write and flush", "send", "a full buffer"])  # fmt: skip
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda response: response.set_status(404), id="set_status"),
        pytest.param(lambda response: response.set_header("X", "y"), id="set_header"),
        pytest.param(lambda response: response.set_header("X"), id="set_header, removing"),
        pytest.param(lambda response: response.add_header("X", "y"), id="add_header"),
        pytest.param(lambda response: response.headers.update(X="y"), id="headers"),
        pytest.param(lambda response: response.set_content_type("text/plain"), id="set_content_type"),
        pytest.param(lambda response: response.set_content_length(200_000), id="set_content_length"),
        pytest.param(lambda response: response.set_max_age(1), id="set_max_age"),
        pytest.param(lambda response: response.downgrade(), id="downgrade"),
        pytest.param(lambda response: response.reset(), id="reset"),
        pytest.param(lambda response: response.reset("headers"), id="reset headers"),
        pytest.param(lambda response: response.reset("buffer"), id="reset buffer"),
        pytest.param(lambda response: response.json({}), id="json"),
        pytest.param(lambda response: response.send_error(404), id="send_error"),
        pytest.param(lambda response: response.send_redirect("/"), id="send_redirect"),
    ],
)
def test_what_cannot_change_after_the_commit(commit: list[Use], use: Use) -> None:
    *before, raised = errors(*commit, use)
    assert before == [None] * len(commit)
    assert raised is IsCommitted


def test_committed() -> None:
    found: list[bool] = []

    def look(response: Response) -> None:
        found.append(response.committed())

    after(look, write, look, flush, look)
    assert found == [False, False, True]


@pytest.mark.parametrize(
    ("what", "status", "header", "body", "cookies"),
    [
        pytest.param("all", 404, [], b"", 1, id="all"),
        pytest.param("headers", 404, [], b"old", 1, id="headers"),
        pytest.param("buffer", 404, ["y"], b"", 1, id="buffer"),
    ],
)
def test_reset(what: Any, status: int, header: list[str], body: bytes, cookies: int) -> None:
    """Status and cookies stay."""
    got = after(
        lambda response: response.set_status(404),
        lambda response: response.set_header("X", "y"),
        lambda response: response.create_cookie("a").activate(),
        lambda response: response.write("old"),
        lambda response: response.reset(what),
    )
    assert (got.status, got.all("X"), got.body, len(got.all("Set-Cookie"))) == (status, header, body, cookies)


def test_reset_forgets_the_length_and_the_mode() -> None:
    got = after(announce, lambda response: response.reset(), lambda response: response.write("longer than two"))
    assert (got.status, got.body) == (200, b"longer than two")
    assert errors(write, lambda response: response.reset(), announce, send) == [None] * 4


# -- json, errors, redirects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "body"),
    [
        pytest.param(({"a": "ä"},), '{"a":"ä"}'.encode(), id="one"),
        pytest.param(({"a": 1}, [2], None), b'[{"a":1},[2],null]', id="several are an array"),
        pytest.param(([],), b"[]", id="a list"),
        pytest.param(("x",), b'"x"', id="text"),
        pytest.param((), b"[]", id="none"),
    ],
)
def test_json(values: tuple[Any, ...], body: bytes) -> None:
    got = after(
        lambda response: response.set_status(201),
        lambda response: response.set_header("X", "y"),
        lambda response: response.create_cookie("a").activate(),
        lambda response: response.write("old"),
        lambda response: response.json(*values),
        lambda response: response.write("never"),
    )
    assert (got.status, got.body, got["Content-Type"]) == (201, body, "application/json")
    assert got["Cache-Control"] == NO_STORE
    assert "X" not in got and "Set-Cookie" in got


def test_json_that_returns() -> None:
    got = after(lambda response: response.json({}, return2caller=True), lambda response: response.set_header("X", "y"))
    assert (got.body, got["X"]) == (b"{}", "y")


def test_json_of_what_has_none_changes_nothing() -> None:
    assert errors(lambda response: response.json(object())) == [TypeError]
    got = after(write, lambda response: swallow_type_error(lambda: response.json(object())))
    assert (got.status, got.body) == (200, b"x")


def swallow_type_error(use: Callable[[], Any]) -> None:
    """Call it; it must raise TypeError."""
    with pytest.raises(TypeError):
        use()


def test_send_error() -> None:
    got = after(
        lambda response: response.set_header("X", "y"),
        lambda response: response.write("old"),
        lambda response: response.send_error(403, "no <script>"),
    )
    assert (got.status, got["Content-Type"], got["X"]) == (403, HTML, "y")
    assert b"403 Forbidden" in got.body and b"no &lt;script&gt;" in got.body and b"old" not in got.body
    assert got["Cache-Control"].startswith("no-store") and got["X-Content-Type-Options"] == "nosniff"


def test_send_error_does_not_end_the_handler() -> None:
    got = after(lambda response: response.send_error(404), lambda response: response.set_header("X", "y"))
    assert (got.status, got["X"]) == (404, "y")


def test_send_error_replaces_an_announced_length() -> None:
    got = after(announce, lambda response: response.send_error(404))
    assert got.status == 404 and len(got.body) == int(got["Content-Length"]) > 2


@pytest.mark.parametrize(
    ("url", "location"),
    [
        pytest.param("/a", "http://x/a", id="path"),
        pytest.param("a", "http://x/dir/a", id="relative"),
        pytest.param("../a?b=c#d", "http://x/a?b=c#d", id="relative, up"),
        pytest.param("?b", "http://x/dir/page?b", id="query only"),
        pytest.param("", "http://x/dir/page", id="the same"),
        pytest.param("https://y:8/a b", "https://y:8/a%20b", id="absolute"),
        pytest.param("/ä€", "http://x/%C3%A4%E2%82%AC", id="letters"),
        pytest.param("/%41%20", "http://x/%41%20", id="escaped already"),
        pytest.param('/"<>\\^`{|}', "http://x/%22%3C%3E%5C%5E%60%7B%7C%7D", id="characters that no URL holds"),
    ],
)
def test_send_redirect(url: str, location: str) -> None:
    got = after(lambda response: response.write("old"), lambda response: response.send_redirect(url), write)
    assert (got.status, got["Location"], got.body, got["Content-Length"]) == (302, location, b"", "0")


def test_send_redirect_for_ever_and_returning() -> None:
    got = after(
        lambda response: response.send_redirect("/a", permanent=True, return2caller=True),
        lambda response: response.set_header("X", "y"),
    )
    assert (got.status, got["X"]) == (301, "y")


SPLITTING = ["/a\r\nSet-Cookie: b=c", "/a\nX: y", "/a\rb", "/\0", "http://y/\r\n\r\n<script>", "\r\nX: y", "/a\x85b"]
SPLITTING += ["/a\u2028b", "/\u560a\u560dX: y", "/\ud800"]


@pytest.mark.parametrize("url", SPLITTING)
def test_no_redirect_splits_the_head(url: str) -> None:
    """9110 5.5"""
    with serving(lambda request, response: response.send_redirect(url)) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1", "Connection: close"))
        start, _, body = client.rest().partition(b"\r\n\r\n")
    assert start.startswith((b"HTTP/1.1 302", b"HTTP/1.1 500"))
    names = [line.partition(b":")[0] for line in start.split(b"\r\n")[1:]]
    assert not {b"X", b"Set-Cookie"} & set(names)
    assert start.isascii() and not set(start.replace(b"\r\n", b"")) & set(range(32))
    assert b"<script>" not in body


def test_a_redirect_back_to_a_host_that_the_client_made_up() -> None:
    got = answer(lambda request, response: response.send_redirect("/a"), "GET / HTTP/1.1\nHost: evil.example\n\n")
    assert got["Location"] == "http://evil.example/a"  # only its own browser gets it: nothing is cached
    assert "Cache-Control" not in got


# -- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda response: response.abort(), id="abort"),
        pytest.param(lambda response: response.json({}), id="json"),
        pytest.param(lambda response: response.send_redirect("/"), id="send_redirect"),
    ],
)
def test_no_except_exception_swallows_the_end_of_a_handler(stop: Use) -> None:
    steps: list[str] = []

    def handler(request: Request, response: Response) -> str:
        try:
            stop(response)
        except Exception:
            steps.append("swallowed")
        steps.append("went on")
        return "went on"

    assert b"went on" not in answer(handler).body
    assert steps == []
    assert errors(stop) == [Abort]


def test_an_empty_handler_does_not_leave_the_client_hanging() -> None:
    """The original sends neither length nor chunks on a connection that it keeps (BAS reference b.3)."""
    with serving(lambda request, response: None) as server, Client(server) as client:
        for _ in range(3):
            got = client.ask(GET)
            assert (got.status, got["Content-Length"]) == (200, "0")


def test_a_failing_handler_is_a_500_that_says_nothing() -> None:
    def handler(request: Request, response: Response) -> None:
        response.set_header("X", "y")
        response.write("half")
        raise RuntimeError("secret")

    with serving(handler) as server, Client(server) as client:
        for _ in range(2):
            got = client.ask(GET)
            assert got.status == 500
            assert b"secret" not in got.body and b"half" not in got.body and b"Traceback" not in got.body
            assert "X" not in got
        assert server.site.failures == 2
    with serving(handler, dev=True) as server:
        assert b"RuntimeError: secret" in ask(server, GET).body


@pytest.mark.parametrize("announced", [False, True])
def test_a_handler_that_fails_too_late_breaks_the_connection(announced: bool) -> None:
    """The client must not take the half for the whole."""

    def handler(request: Request, response: Response) -> None:
        if announced:
            response.set_content_length(100)
        response.write("half")
        response.flush()
        raise RuntimeError

    with serving(handler) as server, Client(server) as client:
        client.send(GET * 2)
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.answer()


# -- HEAD ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "length"),
    [
        pytest.param(lambda request, response: "x" * 1_000_000, 1_000_000, id="a large result"),
        pytest.param(doing(*[lambda response: response.write("x" * 999)] * 1000), 999_000, id="many writes"),
        pytest.param(
            doing(lambda response: response.set_content_length(7), lambda response: response.send("x" * 7)),
            7,
            id="announced",
        ),
        pytest.param(lambda request, response: response.set_content_length(7), 7, id="announced only"),
        pytest.param(lambda request, response: None, 0, id="nothing"),
    ],
)
def test_head_has_the_length_of_get(handler: Handler, length: int) -> None:
    """9110 9.3.2"""
    with serving(handler) as server, Client(server) as client:
        for _ in range(2):
            client.send(HEAD)
            start = client.read_until(b"\r\n\r\n")
            assert re.search(rb"Content-Length: (\d+)", start)[1] == b"%d" % length  # type: ignore[index]


def test_head_of_what_fails_behind_much_output() -> None:
    """The page of the failure is what the length tells, not the output that was dropped."""

    def handler(request: Request, response: Response) -> None:
        for _ in range(5):
            response.write("x" * 10_000)
        response.reset()
        response.write("short")

    with serving(handler) as server, Client(server) as client:
        got = client.ask(HEAD)
        assert (got.status, got["Content-Length"]) in [(200, "5"), (500, got["Content-Length"])]
        assert int(got["Content-Length"]) < 5000


def test_a_body_shorter_than_announced_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def app(request: Request, response: Response) -> None:
        response.set_content_length(5)
        response.write("abc")

    with serving(app) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert client.rest().endswith(b"\r\n\r\nabc")
    assert "the body has 3 bytes, Content-Length says 5" in caplog.text


@pytest.mark.parametrize("url", [None, 5, b"/x"])
def test_a_redirect_to_what_is_no_url(url: Any) -> None:
    with serving(lambda request, response: response.send_redirect(url)) as server:
        assert get(server, "/").status == 500


def test_allow_wants_a_list() -> None:
    """A str once was taken for its letters: Allow: G, E, T."""
    with serving(lambda request, response: request.allow("GET") and None, dev=True) as server:  # type: ignore[arg-type]
        assert b"give a list" in get(server, "/").body


def test_a_handler_that_catches_a_failure_of_send_file_counts_again() -> None:
    """Against `max_workers`: it goes on as a handler, and may take long."""
    active: list[int] = []

    def handler(request: Request, response: Response) -> None:
        folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)  # from which no file can be sent
        response.set_content_length(10)
        try:
            response.send_file(folder, 0, 10)
        except OSError:
            active.append(server.service.workers.active)
            raise
        finally:
            os.close(folder)

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        client.rest()
    assert active == [1]
