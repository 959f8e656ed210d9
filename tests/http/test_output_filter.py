"""`Response.set_response`: output goes through a function, or is compressed (BAS reference b.3)."""

from __future__ import annotations

import gzip
import logging
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from web import Answer, Client, ask, head, serving

from greenbas import Request, Response, Server
from greenbas.errors import IncludeNotValid, IncorrectUse, IsCommitted, LocalProtocolError, MixingWriteSend
from greenbas.http import CompressFilter, Filter, FunctionFilter
from greenbas.io import DiskIo, MemoryIo
from greenbas.vfs import Directory, ResourceReader

Handler = Callable[[Request, Response], Any]
HTML = "text/html; charset=utf-8"
TEXT = b"a line of text that repeats itself\n" * 100
BUFFER = 1000
SMALL: dict[str, Any] = {"response_buffer": BUFFER}
LARGE = random.Random(1).randbytes(300_000)
GZIP = "Accept-Encoding: gzip"


def answer(handler: Handler, *headers: str, method: str = "GET", failures: int = 0, **settings: Any) -> Answer:
    """What a client gets; it asks twice on one connection, and gets the same."""
    text = head(f"{method} /page HTTP/1.1", *headers)
    with serving(handler, **settings) as server, Client(server) as client:
        found = client.ask(text)
        assert server.site.failures == failures
        again = client.ask(text)
        assert (again.status, len(again.body)) == (found.status, len(found.body))
    return found


def plain(found: Answer) -> bytes:
    """The body, decoded as its Content-Encoding says."""
    match found.all("Content-Encoding"):
        case []:
            return found.body
        case ["gzip"]:
            return gzip.decompress(found.body)
        case ["deflate"]:
            return zlib.decompress(found.body)
        case other:
            raise AssertionError(other)


def installed(response: Response, how: Any) -> Filter:
    """The filter; there must be one."""
    made = response.set_response(how)
    assert made is not None
    return made


def filtered(how: Any, *pieces: str | bytes) -> Handler:
    """A handler that writes this through a filter."""

    def handler(request: Request, response: Response) -> None:
        installed(response, how)
        for piece in pieces:
            response.write(piece)

    return handler


# -- functions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finalize", [None, True, False])
@pytest.mark.parametrize(
    ("function", "body"),
    [
        pytest.param(lambda data: data.upper(), b"ABCD", id="bytes"),
        pytest.param(lambda data: data.decode() + "ä", "abcdä".encode(), id="str"),
        pytest.param(lambda data: bytearray(data), b"abcd", id="bytearray"),
        pytest.param(lambda data: None, b"", id="None"),
        pytest.param(lambda data: True, b"", id="True"),
        pytest.param(lambda data: False, b"", id="False"),
        pytest.param(lambda data: b"", b"", id="nothing"),
        pytest.param(lambda data: "x" * 50_000, b"x" * 50_000, id="more"),
    ],
)
def test_what_a_function_returns(function: Callable[[bytes], Any], body: bytes, finalize: bool | None) -> None:
    """It has the small output in one piece; it ends by itself, or when it is told."""

    def handler(request: Request, response: Response) -> None:
        made = installed(response, function)
        assert isinstance(made, FunctionFilter)
        response.write("ab")
        response.write("cd")
        if finalize is not None:
            assert made.finalize(finalize) is True
            assert made.finalize(not finalize) is True

    found = answer(handler)
    assert (found.status, found.body, found["Content-Length"]) == (200, body, str(len(body)))
    assert answer(handler, method="HEAD").all("Content-Length") == [str(len(body))]


@pytest.mark.parametrize("result", [0, 1, 1.5, [b"x"], {"a": 1}, object(), memoryview(b"x")], ids=repr)
@pytest.mark.parametrize("when", ["at the end", "in finalize", "in a write"])
def test_any_other_result_is_an_error(result: Any, when: str, caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Request, response: Response) -> None:
        made = installed(response, lambda data: result)
        response.write("x" * (BUFFER + 1 if when == "in a write" else 1))
        if when == "in finalize":
            made.finalize()

    with serving(handler, **SMALL) as server:
        found = ask(server, head("GET / HTTP/1.1"))
        assert (found.status, server.site.failures) == (500, 1)
    assert b"<h1>500" in found.body and "output filter returned" in caplog.text


@pytest.mark.parametrize("when", ["at the end", "in finalize", "in a write", "in a flush"])
def test_a_function_that_fails(when: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the handler as any other: a page that the function does not get to see, and a connection that goes
    on."""

    def fail(data: bytes) -> bytes:
        raise ValueError("the function failed")

    def handler(request: Request, response: Response) -> None:
        made = installed(response, fail)
        response.set_header("X-Mine", "1")
        response.write("x" * (BUFFER + 1 if when == "in a write" else 1))
        if when == "in finalize":
            made.finalize()
        if when == "in a flush":
            response.flush()

    found = answer(handler, failures=1, **SMALL)
    assert found.status == 500 and b"<h1>500" in found.body and "X-Mine" not in found
    assert "the function failed" in caplog.text


def test_a_function_that_fails_after_the_commit() -> None:
    """Only the end of the connection can tell."""
    pieces: list[bytes] = []

    def second(data: bytes) -> bytes:
        pieces.append(data)
        if len(pieces) > 1:
            raise ValueError
        return data

    with serving(filtered(second, "x" * 2000, "y"), **SMALL) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        assert not client.rest().endswith(b"0\r\n\r\n")


def test_a_function_that_aborts() -> None:
    """Its own way to end a handler, which must not lose the answer in silence."""

    def handler(request: Request, response: Response) -> None:
        installed(response, lambda data: response.abort())
        response.write("x")

    with serving(handler) as server:
        found = ask(server, head("GET / HTTP/1.1"))
    assert found.status == 500


def test_pieces() -> None:
    """What does not fit the buffer goes through as it comes, and out in chunks."""
    pieces: list[int] = []

    def mark(data: bytes) -> bytes:
        pieces.append(len(data))
        return data + b"|"

    written = [b"x" * 600] * 5
    found = answer(filtered(mark, *written), **SMALL)
    first = pieces[: len(pieces) // 2]
    assert sum(first) == 3000 and len(first) > 1
    assert found["Transfer-Encoding"] == "chunked"
    assert found.body == b"".join(b"x" * size + b"|" for size in first)


def test_a_function_that_keeps_all_to_the_end() -> None:
    """Nothing is committed as long as nothing comes out, so that the handler can still change its mind."""
    kept: list[bytes] = []

    def handler(request: Request, response: Response) -> None:
        kept.clear()
        made = installed(response, kept.append)
        for _ in range(10):
            response.write("x" * 999)
        made.finalize()
        assert not response.committed() and response.byte_count() == 0
        response.set_header("X-Late", "1")
        response.write(str(sum(map(len, kept))))

    found = answer(handler, **SMALL)
    assert (found.body, found["X-Late"]) == (b"9990", "1")


def test_a_function_that_has_had_enough() -> None:
    calls: list[bytes] = []

    def limit(data: bytes) -> Any:
        calls.append(data)
        return data if len(calls) % 2 else False

    found = answer(filtered(limit, *["x" * 1001] * 6), **SMALL)
    assert found.body == b"x" * 1001 and len(calls) == 4  # two requests


def test_refused_output_that_is_replaced() -> None:
    """What is refused is the output that is dropped, not what comes instead of it."""

    def handler(request: Request, response: Response) -> None:
        installed(response, lambda data: False if b"bad" in data else data)
        response.write("bad" * 1000)
        response.write("more" * 1000)
        response.send_error(403, "good")

    found = answer(handler, **SMALL)
    assert found.status == 403 and b"good" in found.body


# -- compression --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "coding"), [("gzip", "gzip"), ("deflate", "deflate"), (True, "deflate")])
@pytest.mark.parametrize("finalize", [None, True])
@pytest.mark.parametrize("size", [1, BUFFER, BUFFER + 1, 100_000])
def test_compress_always(how: Any, coding: str, finalize: bool | None, size: int) -> None:
    """Whatever the client accepts, and in one piece with its length, however much it is."""
    data = (TEXT * 30)[:size]

    def handler(request: Request, response: Response) -> None:
        made = installed(response, how)
        assert isinstance(made, CompressFilter)
        for start in range(0, size, 700):
            response.write(data[start : start + 700])
        if finalize is not None:
            assert made.finalize(finalize) is True
            assert made.finalize(finalize) is True

    found = answer(handler, **SMALL)
    assert (found["Content-Encoding"], plain(found)) == (coding, data)
    assert found["Content-Length"] == str(len(found.body)) and "Vary" not in found
    length = answer(handler, method="HEAD", **SMALL)
    assert (length["Content-Length"], length["Content-Encoding"]) == (found["Content-Length"], coding)


@pytest.mark.parametrize(
    ("how", "bits"), [("gzip", 31), ("deflate", 15), (True, 15), ("raw", -15), (False, -15), (None, -15)]
)
def test_the_compressed_output_as_bytes(how: Any, bits: int) -> None:
    """BAS ``xrsp:finalize()`` without sending: the response is as if nothing had been written."""
    found: list[Any] = []

    def handler(request: Request, response: Response) -> str:
        made = installed(response, how)
        response.write(TEXT)
        found.append(made.finalize())
        assert response.byte_count() == 0 and response.header_names() == []
        return "plain"

    assert answer(handler).body == b"plain"
    assert zlib.decompress(found[0], bits) == TEXT


@pytest.mark.parametrize("how", ["gzip", True, None, "auto", lambda data: data])
@pytest.mark.parametrize("finalize", [None, True, False])
def test_without_output(how: Any, finalize: bool | None) -> None:
    def handler(request: Request, response: Response) -> None:
        made = installed(response, how)
        if finalize is not None:
            assert made.finalize(finalize) in (True, b"")

    found = answer(handler, GZIP)
    assert (found.status, found.body, found["Content-Length"]) == (200, b"", "0")
    assert "Content-Encoding" not in found


@pytest.mark.parametrize("how", [None, False, "raw"])
@pytest.mark.parametrize("way", ["finalize", "nothing", "flush"])
def test_raw_deflate_is_not_for_http(how: Any, way: str) -> None:
    """No Content-Encoding names it (RFC 9110 8.4.1.2): an error page that says so, not bytes that nobody can read."""

    def handler(request: Request, response: Response) -> None:
        made = installed(response, how)
        response.write(TEXT)
        if way == "finalize":
            with pytest.raises(IncorrectUse, match="gzip"):
                made.finalize(True)
            assert zlib.decompress(made.finalize(), -15) == TEXT  # type: ignore[arg-type]
            response.write("nothing is lost")
        elif way == "flush":
            response.flush()

    if way == "finalize":
        assert answer(handler).body == b"nothing is lost"
    else:
        found = answer(handler, failures=1)
        assert found.status == 500 and "Content-Encoding" not in found and b"<h1>500" in found.body


def test_output_behind_what_is_complete() -> None:
    """Nothing fits behind compressed output: the client would take it for a part of it, or not at all."""

    def handler(request: Request, response: Response) -> None:
        installed(response, "gzip").finalize(True)
        response.write("not compressed: nothing was")
        response.reset()
        made = installed(response, "gzip")
        response.write(TEXT)
        made.finalize(True)
        with pytest.raises(LocalProtocolError):
            response.write("x")
        response.reset()
        response.write("begun again")

    assert answer(handler).body == b"begun again"


def test_an_error_page_behind_what_is_complete() -> None:
    """It replaces the output, and with it what was said about its coding."""

    def handler(request: Request, response: Response) -> None:
        made = installed(response, "gzip")
        response.write(TEXT)
        made.finalize(True)
        if request.query == "error":
            response.send_error(403)
        else:
            response.send_redirect("/elsewhere")

    with serving(handler) as server:
        found = ask(server, head("GET /?error HTTP/1.1"))
        assert found.status == 403 and b"403" in plain(found)
        found = ask(server, head("GET / HTTP/1.1"))
        assert found.status == 302 and "Content-Encoding" not in found


# -- auto ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param(None, None, id="not said"),
        pytest.param("", None, id="empty"),
        pytest.param("gzip", "gzip", id="gzip"),
        pytest.param("deflate", "deflate", id="deflate"),
        pytest.param("gzip, deflate, br", "gzip", id="a browser"),
        pytest.param("gzip;q=0.1, deflate;q=0.2", "deflate", id="weights"),
        pytest.param("gzip;q=0", None, id="refused"),
        pytest.param("identity", None, id="identity"),
        pytest.param("*", "gzip", id="anything"),
        pytest.param("br", None, id="another"),
    ],
)
def test_auto_takes_what_the_client_accepts(accepted: str | None, coding: str | None) -> None:
    headers = [] if accepted is None else [f"Accept-Encoding: {accepted}"]
    found = answer(filtered("auto", TEXT), *headers)
    assert found.all("Content-Encoding") == ([coding] if coding else [])
    assert (plain(found), found["Vary"]) == (TEXT, "Accept-Encoding")
    assert found["Content-Length"] == str(len(found.body))


@pytest.mark.parametrize(
    ("headers", "status", "size", "coded", "varies"),
    [
        pytest.param({}, 200, 3000, True, True, id="HTML by default"),
        pytest.param({"Content-Type": "text/css"}, 200, 3000, True, True, id="css"),
        pytest.param({"Content-Type": "application/json"}, 200, 3000, True, True, id="json"),
        pytest.param({"Content-Type": "image/svg+xml"}, 200, 3000, True, True, id="svg"),
        pytest.param({"Content-Type": "image/png"}, 200, 3000, False, False, id="png"),
        pytest.param({"Content-Type": "application/octet-stream"}, 200, 3000, False, False, id="octets"),
        pytest.param({"Content-Type": "application/zip"}, 200, 3000, False, False, id="zip"),
        pytest.param({}, 404, 3000, True, True, id="404"),
        pytest.param({}, 500, 3000, True, True, id="500"),
        pytest.param({}, 204, 3000, False, False, id="204"),
        pytest.param({}, 304, 3000, False, False, id="304"),
        pytest.param({"Content-Range": "bytes 0-2999/5000"}, 206, 3000, False, False, id="206"),
        pytest.param({}, 200, 255, False, True, id="too short"),
        pytest.param({}, 200, 256, True, True, id="just worth it"),
        pytest.param({}, 200, 100_000, True, True, id="long"),
        pytest.param({"Content-Encoding": "br"}, 200, 3000, False, False, id="has a coding"),
        pytest.param({"Cache-Control": "public, No-Transform"}, 200, 3000, False, False, id="no-transform"),
        pytest.param({"Cache-Control": "public"}, 200, 3000, True, True, id="another Cache-Control"),
    ],
)
def test_auto_compresses_what_is_worth_it(
    headers: dict[str, str], status: int, size: int, coded: bool, varies: bool
) -> None:
    data = (TEXT * 30)[:size]

    def handler(request: Request, response: Response) -> None:
        installed(response, "auto")
        response.status = status
        response.headers.update(headers)
        response.write(data)

    found = answer(handler, GZIP)
    assert (found.status, "Vary" in found) == (status, varies)
    if "Content-Encoding" in headers:
        assert (found["Content-Encoding"], found.body) == ("br", data)
    elif status in (204, 304):
        assert found.body == b"" and "Content-Encoding" not in found
    else:
        assert (found.all("Content-Encoding") == ["gzip"], plain(found)) == (coded, data)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("Cookie", "Cookie, Accept-Encoding", id="beside"),
        pytest.param("cookie, ACCEPT-encoding", "cookie, ACCEPT-encoding", id="there already"),
    ],
)
def test_vary(before: str, after: str) -> None:
    def handler(request: Request, response: Response) -> str:
        installed(response, "auto")
        response.set_header("Vary", before)
        return TEXT.decode()

    assert ", ".join(answer(handler, GZIP).all("Vary")) == after


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        pytest.param("auto", '"v1"', 'W/"v1"', id="strong"),
        pytest.param("gzip", '"v1"', 'W/"v1"', id="strong, always"),
        pytest.param("auto", 'W/"v1"', 'W/"v1"', id="weak"),
        pytest.param(lambda data: data, '"v1"', '"v1"', id="a function"),
    ],
)
def test_etag(how: Any, before: str, after: str) -> None:
    """9110 8.8.3.3: a strong validator is that of the bytes, and these are others."""

    def handler(request: Request, response: Response) -> str:
        installed(response, how)
        response.set_header("ETag", before)
        return TEXT.decode()

    assert answer(handler, GZIP)["ETag"] == after


@pytest.mark.parametrize(
    ("result", "kind", "coded"),
    [
        pytest.param(TEXT.decode(), HTML, True, id="str"),
        pytest.param(TEXT, "application/octet-stream", False, id="bytes"),
        pytest.param({"text": TEXT.decode()}, "application/json", True, id="dict"),
    ],
)
def test_auto_knows_the_type_of_a_result(result: Any, kind: str, coded: bool) -> None:
    found = answer(lambda request, response: response.set_response("auto") and result, GZIP)
    assert (found["Content-Type"], "Content-Encoding" in found) == (kind, coded)


# -- flush --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gzip", "deflate", "auto", lambda data: data])
@pytest.mark.parametrize("first", ["", "first", "first" * 100])
def test_flush(how: Any, first: str) -> None:
    """The client can read what came so far, from the first byte on."""

    def handler(request: Request, response: Response) -> None:
        installed(response, how)
        response.write(first)
        response.flush()
        assert response.committed()
        request._live().stream.wait_readable(5)
        response.write("second")
        response.flush()
        response.write("third")

    with serving(handler) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1", GZIP))
        start = client.read_until(b"\r\n\r\n")
        assert b"chunked" in start
        coding = b"gzip" if how == "auto" else how.encode() if isinstance(how, str) else b""
        assert (b"Content-Encoding: " + coding in start) == bool(coding)
        decoder = zlib.decompressobj(47) if coding else None
        text = b""
        if first or decoder:
            text = chunk(client, decoder)
        assert text == first.encode()
        client.send("go on")
        rest = b""
        while data := chunk(client, decoder, end=True):
            rest += data
        assert rest == b"secondthird"


def chunk(client: Client, decoder: Any, end: bool = False) -> bytes:
    """The next chunk, decoded; b"" is the last one."""
    size = int(client.read_until(b"\r\n"), 16)
    data = b""
    while len(data) < size + 2:
        data += client.read_until(b"\n")
    data = data[:-2]
    if not decoder:
        return data
    return decoder.decompress(data) if data else decoder.flush()  # type: ignore[no-any-return]


def test_flush_and_http10() -> None:
    def handler(request: Request, response: Response) -> None:
        installed(response, "gzip")
        response.write("first")
        response.flush()
        response.write("second")

    with serving(handler) as server, Client(server) as client:
        client.send("GET / HTTP/1.0\n\n")
        start, _, body = client.rest().partition(b"\r\n\r\n")
    assert b"chunked" not in start and gzip.decompress(body) == b"firstsecond"


def test_flush_and_head() -> None:
    def handler(request: Request, response: Response) -> None:
        installed(response, "gzip")
        response.write("first")
        response.flush()
        response.write("second")

    found = answer(handler, method="HEAD")
    assert (found.body, found["Content-Encoding"]) == (b"", "gzip")


def test_finalize_after_a_flush() -> None:
    """There is no taking back: the rest goes after what went."""
    returned: list[Any] = []

    def handler(request: Request, response: Response) -> None:
        made = installed(response, "gzip")
        response.write("first")
        response.flush()
        response.write("second")
        returned.append(made.finalize())

    found = answer(handler)
    assert plain(found) == b"firstsecond" and returned == [True, True]


# -- installing and giving up -------------------------------------------------------------------------------------


def test_a_second_one() -> None:
    def handler(request: Request, response: Response) -> None:
        made = installed(response, lambda data: data.upper())
        response.set_header("X-Mine", "1")
        assert response.set_response("gzip") is None
        response.write("a")
        assert response.set_response("gzip") is None
        assert response.contains_header("X-Mine") == "1"
        made.finalize()
        response.reset()
        installed(response, lambda data: data + b"!")
        response.write("b")

    assert answer(handler).body == b"b!"


def test_headers_go_and_cookies_and_status_stay() -> None:
    def handler(request: Request, response: Response) -> None:
        response.status = 201
        response.set_header("X-Mine", "1")
        response.set_content_length(5)
        response.create_cookie("c").activate()
        installed(response, lambda data: data * 2)
        response.write("abc")

    found = answer(handler)
    assert (found.status, found.body) == (201, b"abcabc")
    assert "X-Mine" not in found and "Set-Cookie" in found


@pytest.mark.parametrize("how", ["gzip", "auto", lambda data: data.upper()])
def test_too_late(how: Any) -> None:
    def handler(request: Request, response: Response) -> None:
        response.set_header("X-Mine", "1")
        response.write("a")
        with pytest.raises(IncorrectUse, match="late"):
            response.set_response(how)
        response.flush()
        with pytest.raises(IsCommitted):
            response.set_response(how)

    found = answer(handler)
    assert (found.body, found["X-Mine"]) == (b"a", "1")


@pytest.mark.parametrize(("how", "error"), [("br", ValueError), ("", ValueError), (5, TypeError), (b"gzip", TypeError)])
def test_what_is_no_filter(how: Any, error: type[Exception]) -> None:
    def handler(request: Request, response: Response) -> str:
        with pytest.raises(error, match=r"gzip|neither"):
            response.set_response(how)
        return "x"

    assert answer(handler).body == b"x"


@pytest.mark.parametrize("how", ["gzip", None, "auto", lambda data: data.upper()])
def test_abort_of_a_filter(how: Any) -> None:
    """The output is as it would have been, as long as nothing has been taken."""

    def handler(request: Request, response: Response) -> None:
        made = installed(response, how)
        response.write("plain")
        assert made.abort() is True
        assert made.abort() is False
        assert made.finalize(True) is True
        response.write("!")

    found = answer(handler, GZIP)
    assert found.body == b"plain!" and "Content-Encoding" not in found


@pytest.mark.parametrize("how", ["gzip", lambda data: data.upper()])
def test_abort_too_late(how: Any) -> None:
    def handler(request: Request, response: Response) -> None:
        made = installed(response, how)
        response.write("x" * (BUFFER + 1))
        assert made.abort() is False
        made.finalize(True)
        assert made.abort() is False

    found = answer(handler, **SMALL)
    assert len(plain(found)) == BUFFER + 1


def test_after_the_handler() -> None:
    """Whoever keeps a filter reaches into no other response with it."""
    kept: list[Filter] = []

    def handler(request: Request, response: Response) -> str:
        if request.query == "late":
            assert kept[0].finalize(True) is True and not kept[0].abort()
            return "plain"
        kept.append(installed(response, "gzip"))
        return "zipped"

    with serving(handler) as server, Client(server) as client:
        assert plain(client.ask(head("GET / HTTP/1.1"))) == b"zipped"
        assert client.ask(head("GET /?late HTTP/1.1")).body == b"plain"


# -- answers of other kinds ---------------------------------------------------------------------------------------


def upper(data: bytes) -> bytes:
    return data.upper()


@pytest.mark.parametrize("how", ["gzip", "auto", upper])
@pytest.mark.parametrize("size", [1, BUFFER + 1], ids=["little", "much"])
@pytest.mark.parametrize("what", ["json", "error", "redirect", "fail", "refuse", "not found"])
def test_answers_that_replace_output(how: Any, what: str, size: int) -> None:
    """They go through the filter, or around it, but can be read; nothing of the old output is left."""

    def handler(request: Request, response: Response) -> Any:
        installed(response, how)
        response.write("#" * size)
        match what:
            case "json":
                response.json({"text": "x" * 500})
            case "error":
                response.send_error(403, "x" * 500)
                return None
            case "redirect":
                response.send_redirect("/there")
            case "fail":
                raise ValueError
            case "refuse":
                request.data()
        return False

    if how is upper and size > BUFFER:
        handler_committed(handler)
        return
    with serving(handler, max_memory_body=10, **SMALL) as server, Client(server) as client:
        text = head("POST / HTTP/1.1", GZIP, "Content-Type: application/x-www-form-urlencoded", "Content-Length: 11")
        for _ in range(1 if what == "refuse" else 2):
            found = client.ask(text + "x" * 11)
            body = plain(found)
            assert b"##" not in body
            status = {"json": 200, "error": 403, "redirect": 302, "fail": 500, "refuse": 413, "not found": 404}[what]
            assert found.status == status
            if what == "json":
                assert body.lower() == b'{"text":"' + b"x" * 500 + b'"}'
            elif what == "redirect":
                assert (body, found["Location"]) == (b"", "http://x/there")
            else:
                assert str(status).encode() in body


def handler_committed(handler: Handler) -> None:
    """A function that passes much on has let it go: the answer cannot be replaced, and must not end as if it were."""
    with serving(handler, **SMALL) as server, Client(server) as client:
        client.send(head("GET / HTTP/1.1"))
        client.half_close()
        data = client.rest()
        assert data.startswith(b"HTTP/1.1 200 OK") and not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("how", ["gzip", "deflate", "auto", upper])
def test_reset(how: Any) -> None:
    """The filter stays, and begins again; at any time before the commit."""

    def handler(request: Request, response: Response) -> None:
        installed(response, how)
        for _ in range(3):
            response.set_header("X-Mine", "1")
            response.write("dropped" * (1 if callable(how) else 1000))
            response.reset()
        response.write("stays" * 100)

    found = answer(handler, GZIP, **SMALL)
    assert plain(found).lower() == b"stays" * 100 and "X-Mine" not in found
    assert found.all("Vary") == (["Accept-Encoding"] if how == "auto" else [])


@pytest.mark.parametrize("announced", [500, 5000])
def test_an_announced_length(announced: int) -> None:
    """It is that of what the handler writes, which is not what the client gets."""

    def handler(request: Request, response: Response) -> None:
        installed(response, "gzip")
        response.set_content_length(announced)
        response.write("x" * announced)

    found = answer(handler, **SMALL)
    assert found["Content-Length"] == str(len(found.body)) and plain(found) == b"x" * announced


@pytest.mark.parametrize("how", ["gzip", "auto", upper])
def test_send_goes_around_it(how: Any) -> None:
    def handler(request: Request, response: Response) -> None:
        installed(response, how)
        response.set_content_length(4)
        response.send("sent")

    found = answer(handler, GZIP)
    assert found.body == b"sent" and "Content-Encoding" not in found


@pytest.mark.parametrize("how", ["gzip", "auto", upper])
def test_send_behind_what_it_has_taken(how: Any) -> None:
    def handler(request: Request, response: Response) -> None:
        installed(response, how)
        response.write("x")
        with pytest.raises(MixingWriteSend):
            response.send("y")
        response.write("x")

    assert plain(answer(handler, GZIP)).lower() == b"xx"


def test_an_abort_of_the_handler() -> None:
    def handler(request: Request, response: Response) -> None:
        installed(response, "gzip")
        response.write(TEXT)
        response.abort()

    assert plain(answer(handler)) == TEXT


def test_deferred_goes_without_it() -> None:
    def handler(request: Request, response: Response) -> None:
        made = installed(response, "gzip")
        response.write(TEXT)
        deferred = response.deferred()
        assert made.finalize(True) is True
        deferred.write("plain")
        deferred.close()

    found = answer(handler)
    assert found.body == b"plain" and "Content-Encoding" not in found


# -- with other resources -----------------------------------------------------------------------------------------


def memory(**files: bytes) -> MemoryIo:
    """These files in memory; "_" stands for the dot in their names."""
    io = MemoryIo()
    for name, data in files.items():
        with io.open(name.replace("_", "."), "w") as file:
            file.write(data)
    return io


def tree(server: Server, act: Handler) -> Directory:
    """A directory at /sub whose function this is, with files and functions below, beside a /part and a file."""
    sub = Directory("sub")
    sub.set_func(act)
    sub.insert(ResourceReader(memory(small_css=TEXT, large_bin=LARGE, zip_css=TEXT, zip_css_gz=gzip.compress(TEXT))))
    for name, result in {"text": TEXT.decode(), "octets": LARGE, "json": {"a": "b" * 500}}.items():
        one = Directory(name)
        one.set_func(lambda request, response, result=result: result)
        sub.insert(one)
    server.insert(sub)
    part = Directory("part")
    part.set_func(lambda request, response: TEXT.decode())
    server.insert(part)
    server.insert(ResourceReader(memory(a_txt=b"file")))
    return sub


@pytest.mark.parametrize("finalize", [True, False])
@pytest.mark.parametrize("headers", [[], [GZIP]], ids=["plain", "gzip"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "status", "body", "coded"),
    [
        pytest.param("/sub/text/", 200, TEXT, True, id="function"),
        pytest.param("/sub/octets/", 200, LARGE, False, id="what does not compress"),
        pytest.param("/sub/json/", 200, b'{"a":"' + b"b" * 500 + b'"}', True, id="json"),
        pytest.param("/sub/small.css", 200, TEXT, False, id="file"),
        pytest.param("/sub/large.bin", 200, LARGE, False, id="large file"),
        pytest.param("/sub/zip.css", 200, TEXT, True, id="file with a compressed sibling"),
        pytest.param("/sub/missing", 404, None, None, id="missing"),
        pytest.param("/a.txt", 200, b"file", False, id="beside it"),
    ],
)
def test_a_subtree(
    path: str,
    status: int,
    body: bytes | None,
    coded: bool | None,
    headers: tuple[str, ...],
    method: str,
    finalize: bool,
) -> None:
    """The usual way to compress all below a directory, with the end written down or not."""
    with serving() as server:

        def act(request: Request, response: Response) -> bool:
            made = response.set_response("auto")
            assert made is not None
            try:
                return sub.service(request, request.relpath)
            finally:
                if finalize:
                    made.finalize(True)

        sub = tree(server, act)
        with Client(server) as client:
            for _ in range(2):
                found = client.ask(head(f"{method} {path} HTTP/1.1", *headers))
                assert found.status == status
                if body is None:
                    assert method == "HEAD" or b"404" in plain(found)
                    continue
                assert ("Content-Encoding" in found) == bool(coded and headers)
                if method == "GET":
                    assert plain(found) == body and found["Content-Length"] == str(len(found.body))
        assert server.site.failures == 0


@pytest.mark.parametrize("how", ["gzip", "auto", upper])
@pytest.mark.parametrize("size", [10, 400, 5000])
def test_a_forward_under_it(how: Any, size: int) -> None:
    """Output so far is dropped, what the filter has taken included; when nobody answers it is as it was."""
    with serving(**SMALL) as server:

        def act(request: Request, response: Response) -> None:
            installed(response, how)
            response.write("x" * size)
            with pytest.raises(Exception, match="nobody answers" if not response.committed() else "sent"):
                response.forward("/missing")
            response.write("y" * 500)
            if request.query:
                response.forward(f"/{request.query}")

        tree(server, act)
        committed = how is upper and size > BUFFER
        with Client(server) as client:
            kept = plain(client.ask(head("GET /sub/ HTTP/1.1", GZIP)))
            assert kept.lower() == b"x" * size + b"y" * 500
            if committed:
                return
            for path, body in {"part/": TEXT, "a.txt": b"file"}.items():
                found = client.ask(head(f"GET /sub/?{path} HTTP/1.1", GZIP))
                assert plain(found).lower() == body
        assert server.site.failures == 0


@pytest.mark.parametrize("how", ["gzip", "auto", upper])
@pytest.mark.parametrize("flush", [False, True])
def test_an_include_under_it(how: Any, flush: bool) -> None:
    """The coding concerns the whole response, even when an include is what fills the buffer."""
    with serving(**SMALL) as server:

        def act(request: Request, response: Response) -> None:
            installed(response, how)
            if flush:
                response.include("/flushing/")
            response.include("/part/")
            response.include("/a.txt")
            response.write("end")

        def flushing(request: Request, response: Response) -> None:
            with pytest.raises(IncludeNotValid):
                response.set_header("X", "y")
            response.write("flushed")
            response.flush()

        part = Directory("flushing")
        part.set_func(flushing)
        server.insert(part)
        tree(server, act)
        with Client(server) as client:
            for _ in range(2):
                found = client.ask(head("GET /sub/ HTTP/1.1", GZIP))
                assert plain(found).lower() == (b"flushed" if flush else b"") + TEXT + b"fileend"
                assert ("Content-Encoding" in found) == isinstance(how, str)
        assert server.site.failures == 0


def test_files_from_the_disk(tmp_path: Any) -> None:
    """By the kernel, around the filter."""
    (tmp_path / "large.bin").write_bytes(LARGE)
    with serving() as server:
        reader = ResourceReader(DiskIo(tmp_path))

        def act(request: Request, response: Response) -> bool:
            response.set_response("gzip")
            return reader.service(request, request.relpath)

        reader.set_func(act)
        server.insert(reader)
        found = ask(server, head("GET /large.bin HTTP/1.1"))
        assert found.body == LARGE and "Content-Encoding" not in found
        found = ask(server, head("GET /large.bin HTTP/1.1", "Range: bytes=5-9"))
        assert (found.status, found.body) == (206, LARGE[5:10])


def test_it_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    answer(filtered("auto", TEXT), GZIP)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
