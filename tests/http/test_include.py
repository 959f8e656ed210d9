"""`Response.include`: the output of another resource within this one's (BAS reference b.3)."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from leaks import nothing_left
from support import wait_until
from web import Answer, Client, ask, directory, get, head, serving

from greenbas import Request, Response, Server
from greenbas.errors import Abort, IncludeNotValid, IsCommitted, MixingWriteSend, PageNotFound, TooManyIncludes
from greenbas.io import MemoryIo
from greenbas.vfs import ResourceReader

LARGE = bytes(range(256)) * 8192  # two megabytes
HTML = "text/html; charset=utf-8"
Act = Callable[[Request, Response], Any]


def memory(**files: bytes) -> MemoryIo:
    """These files in memory; "_" stands for the dot in their names."""
    io = MemoryIo()
    for name, data in files.items():
        with io.open(name.replace("_", "."), "w") as file:
            file.write(data)
    return io


class Stage:
    """A server with files, a part at /part and a page at /go that tests give; the page's `[` and `]` show where."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.part: Act = lambda request, response: "part"
        self.page: Act = lambda request, response: response.include("/part/")
        files = memory(
            a_txt=b"file", large_bin=LARGE, _hidden=b"hidden", style_css=b"plain", style_css_gz=gzip.compress(b"zip")
        )
        self.reader = ResourceReader(files)
        self.go = directory("go", self._go, priority=10)
        server.insert(self.go)
        server.insert(self.reader)
        server.insert(directory("part", lambda request, response: self.part(request, response)))

    def _go(self, request: Request, response: Response) -> None:
        response.write("[")
        self.page(request, response)
        response.write("]")

    def get(self, *headers: str, method: str = "GET") -> Answer:
        """What /go answers; the connection must go on as if nothing had been."""
        with Client(self.server) as client:
            found = client.ask(head(f"{method} /go/x/y HTTP/1.1", *headers))
            assert client.ask(head("GET /a.txt HTTP/1.1")).body == b"file"
        return found

    def included(self, part: Act) -> Answer:
        """What /go answers when its part is this."""
        self.part = part
        return self.get()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """One stage."""
    with serving() as server:
        yield Stage(server)


# -- what comes of it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "body"),
    [
        pytest.param("größer", "größer".encode(), id="str"),
        pytest.param(b"\0\xff", b"\0\xff", id="bytes"),
        pytest.param({"a": 1}, b'{"a":1}', id="dict"),
        pytest.param([1], b"[1]", id="list"),
        pytest.param(None, b"", id="None"),
        pytest.param(True, b"", id="True"),
        pytest.param("x" * 100_000, b"x" * 100_000, id="much"),
    ],
)
def test_results(stage: Stage, result: Any, body: bytes) -> None:
    found = stage.included(lambda request, response: result)
    assert (found.status, found.body, found["Content-Type"]) == (200, b"[" + body + b"]", HTML)
    assert ("Content-Length" in found) == (len(body) < 30_000)


def test_a_result_that_is_the_first_output(stage: Stage) -> None:
    """Its type is not the page's."""
    stage.server.insert(directory("bare", lambda request, response: response.include("/part/")))
    stage.part = lambda request, response: {"a": 1}
    found = get(stage.server, "/bare/")
    assert (found.body, found["Content-Type"]) == (b'{"a":1}', HTML) and "Cache-Control" not in found


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/a.txt", b"file", id="file"),
        pytest.param("/.hidden", b"hidden", id="hidden file"),
        pytest.param("/style.css", b"plain", id="not the compressed sibling"),
        pytest.param("/large.bin", LARGE, id="large file"),
        pytest.param("../../a.txt", b"file", id="relative"),
        pytest.param("/part", b"part", id="function"),
        pytest.param("/x/../part/./z", b"part", id="dot segments"),
    ],
)
def test_targets(stage: Stage, path: str, body: bytes) -> None:
    stage.page = lambda request, response: response.include(path)
    conditions = ("Accept-Encoding: gzip", "If-None-Match: *", "Range: bytes=0-0")  # of the page, not of its parts
    found = stage.get(*conditions)
    assert (found.status, found.body, found["Content-Type"]) == (200, b"[" + body + b"]", HTML)
    for name in ("Content-Encoding", "ETag", "Last-Modified", "Accept-Ranges", "Vary", "Content-Range"):
        assert name not in found
    length = stage.get(method="HEAD")
    assert length.all("Content-Length") == [str(len(body) + 2)]


@pytest.mark.parametrize("path", ["/missing", "/part.psp", "/a.txt/", "/../a.txt", "../../../a.txt", "/false/"])
def test_missing(stage: Stage, path: str) -> None:
    stage.server.insert(directory("false", lambda request, response: False))

    def page(request: Request, response: Response) -> None:
        with pytest.raises(PageNotFound, match="nobody"):
            response.include(path)
        assert (request.included, request.initial, request.running, request.relpath) == (0, True, stage.go, "x/y")
        response.set_header("X-Mine", "still")
        response.write("sorry")

    stage.page = page
    found = stage.get()
    assert (found.body, found["X-Mine"]) == (b"[sorry]", "still")
    stage.page = lambda request, response: response.include(path)
    assert stage.get().status == 500


def test_relative_in_the_running_directory_first(stage: Stage) -> None:
    stage.go.insert(directory("part", lambda request, response: f"own {request.relpath}"))
    stage.page = lambda request, response: response.include("../part/z")
    assert stage.get().body == b"[own z]"


def test_what_it_sees(stage: Stage) -> None:
    def page(request: Request, response: Response) -> None:
        request.env()["who"] = "page"
        response.include("/part/z")
        response.write(request.env()["part"])
        assert (request.included, request.initial, request.running, request.relpath) == (0, True, stage.go, "x/y")

    def part(request: Request, response: Response) -> str:
        assert (request.initial, response.initial(), request.relpath) == (False, False, "z")
        assert (response.is_include(), response.is_forward()) == (1, 0)
        assert request.allow(["DELETE"]) and request.check_time(0)
        assert response.get_data() == b"["
        request.env()["part"] = "env of the part"
        return request.env()["who"] + " "

    stage.page = page
    stage.part = part
    assert stage.get("If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT").body == b"[page env of the part]"


# -- what it cannot do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda response: response.set_status(404), id="set_status"),
        pytest.param(lambda response: setattr(response, "status", 404), id="status"),
        pytest.param(lambda response: response.set_header("X-A", "b"), id="set_header"),
        pytest.param(lambda response: response.set_header("X-Page"), id="remove a header"),
        pytest.param(lambda response: response.add_header("X-A", "b"), id="add_header"),
        pytest.param(lambda response: response.headers.update({"X-A": "b"}), id="headers"),
        pytest.param(lambda response: response.set_content_type("text/plain"), id="set_content_type"),
        pytest.param(lambda response: response.set_content_length(100), id="set_content_length"),
        pytest.param(lambda response: response.set_max_age(1), id="set_max_age"),
        pytest.param(lambda response: response.set_default_headers(), id="set_default_headers"),
        pytest.param(lambda response: response.downgrade(), id="downgrade"),
        pytest.param(lambda response: response.reset(), id="reset"),
        pytest.param(lambda response: response.reset("buffer"), id="reset buffer"),
        pytest.param(lambda response: response.reset("headers"), id="reset headers"),
        pytest.param(lambda response: response.json({}), id="json"),
        pytest.param(lambda response: response.json({}, return2caller=True), id="json that returns"),
        pytest.param(lambda response: response.send_error(404), id="send_error"),
        pytest.param(lambda response: response.send_redirect("/"), id="send_redirect"),
        pytest.param(lambda response: response.redirect("/a.txt"), id="redirect"),
        pytest.param(lambda response: response.forward("/a.txt"), id="forward"),
        pytest.param(lambda response: response.redirect2tls(), id="redirect2tls"),
        pytest.param(lambda response: response.set_basic("r"), id="set_basic"),
        pytest.param(lambda response: response.set_digest("r"), id="set_digest"),
        pytest.param(lambda response: response.set_response("gzip"), id="set_response"),
        pytest.param(lambda response: response.deferred(), id="deferred"),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_what_is_not_valid(stage: Stage, use: Callable[[Response], Any], committed: bool) -> None:
    def page(request: Request, response: Response) -> None:
        response.set_header("X-Page", "page")
        if committed:
            response.flush()
        response.include("/part/")

    def part(request: Request, response: Response) -> str:
        with pytest.raises(IncludeNotValid):
            use(response)
        return "part"

    stage.page = page
    found = stage.included(part)
    assert (found.status, found.body, found["X-Page"]) == (200, b"[part]", "page")
    assert "X-A" not in found


def test_a_cookie_is_not_valid(stage: Stage) -> None:
    def part(request: Request, response: Response) -> str:
        with pytest.raises(IncludeNotValid):
            response.create_cookie("c").activate()
        return "part"

    found = stage.included(part)
    assert found.body == b"[part]" and "Set-Cookie" not in found


def test_send_in_it(stage: Stage) -> None:
    def part(request: Request, response: Response) -> str:
        with pytest.raises(MixingWriteSend):
            response.send("x")
        return "part"

    assert stage.included(part).body == b"[part]"


def test_after_send(stage: Stage) -> None:
    def page(request: Request, response: Response) -> None:
        response.reset()
        response.set_content_length(5)
        response.send("sent")
        with pytest.raises(MixingWriteSend):
            response.include("/part/")
        assert (request.included, request.initial) == (0, True)
        response.send("!")
        response.abort()

    stage.page = page
    assert stage.get().body == b"sent!"


def test_an_announced_length_holds_for_the_whole(stage: Stage) -> None:
    stage.page = lambda request, response: (response.set_content_length(6), response.include("/part/"))
    assert stage.get().body == b"[part]"
    stage.page = lambda request, response: (response.set_content_length(4), response.include("/part/"))
    assert stage.get().status == 500


# -- the commit ---------------------------------------------------------------------------------------------------


def test_after_a_flush(stage: Stage) -> None:
    def page(request: Request, response: Response) -> None:
        response.flush()
        response.include("/part/")
        response.include("/a.txt")
        response.include("/large.bin")

    stage.page = page
    found = stage.get()
    assert (found.body, found["Transfer-Encoding"]) == (b"[partfile" + LARGE + b"]", "chunked")


def test_a_flush_in_it(stage: Stage) -> None:
    def page(request: Request, response: Response) -> None:
        response.include("/part/")
        with pytest.raises(IsCommitted):
            response.set_header("X", "y")

    stage.page = page
    assert stage.included(lambda request, response: response.flush()).body == b"[]"


def test_large_files_stream(stage: Stage) -> None:
    """Not all of it waits in memory."""
    waiting: list[int] = []

    def page(request: Request, response: Response) -> None:
        response.include("/large.bin")
        waiting.append(response.write_size())
        assert response.byte_count() == len(LARGE) + 1

    stage.page = page
    assert stage.get().body == b"[" + LARGE + b"]"
    assert waiting == [0]


def test_http10(stage: Stage) -> None:
    stage.page = lambda request, response: response.include("/large.bin")
    with Client(stage.server) as client:
        client.send("GET /go HTTP/1.0\n\n")
        start, _, body = client.rest().partition(b"\r\n\r\n")
    assert body == b"[" + LARGE + b"]" and b"chunked" not in start


def test_a_client_that_goes_away() -> None:
    with nothing_left(), serving() as server:
        stage = Stage(server)
        stage.page = lambda request, response: [response.include("/large.bin") for _ in range(50)]
        with Client(server) as client:
            client.send(head("GET /go/ HTTP/1.1"))
            client.read_until(b"\r\n\r\n")
            client.reset()
        wait_until(lambda: len(server.service.table) == 0)
        assert server.site.failures == 0


# -- how it ends --------------------------------------------------------------------------------------------------


def abort(request: Request, response: Response) -> None:
    response.write("said")
    response.abort()


def swallow(request: Request, response: Response) -> None:
    try:
        abort(request, response)
    except Abort:
        pass


def fail_behind_an_abort(request: Request, response: Response) -> None:
    try:
        abort(request, response)
    finally:
        raise ValueError("behind an abort")


@pytest.mark.parametrize("part", [abort, swallow], ids=["aborts", "swallows its abort"])
def test_an_abort_ends_the_part_alone(stage: Stage, part: Act) -> None:
    assert stage.included(part).body == b"[said]"


def test_an_abort_and_an_error_behind_it(stage: Stage) -> None:
    """Whoever catches the error of the part can go on with output."""

    def page(request: Request, response: Response) -> None:
        with pytest.raises(ValueError, match="behind an abort"):
            response.include("/part/")
        response.write(", caught")

    stage.page = page
    assert stage.included(fail_behind_an_abort).body == b"[said, caught]"
    stage.page = lambda request, response: response.include("/part/")
    assert stage.get().status == 500


@pytest.mark.parametrize("part", [abort, swallow, lambda request, response: "said"])
def test_that_does_not_return(stage: Stage, part: Act) -> None:
    stage.page = lambda request, response: response.include("/part/", return2caller=False)
    assert stage.included(part).body == b"[said"


def test_one_that_does_not_return_within_one_that_does(stage: Stage) -> None:
    stage.server.insert(directory("inner", lambda request, response: "inner"))

    def part(request: Request, response: Response) -> None:
        response.include("/inner/", return2caller=False)
        raise AssertionError("it came back")

    assert stage.included(part).body == b"[inner]"


def test_an_error_in_it(stage: Stage) -> None:
    def part(request: Request, response: Response) -> None:
        response.write("half")
        raise ValueError("the part failed")

    def page(request: Request, response: Response) -> None:
        with pytest.raises(ValueError):
            response.include("/part/")
        assert (request.included, request.initial, request.running, request.relpath) == (0, True, stage.go, "x/y")
        response.set_header("X-Mine", "still")

    stage.page = page
    found = stage.included(part)
    assert (found.body, found["X-Mine"]) == (b"[half]", "still")
    stage.page = lambda request, response: response.include("/part/")
    found = stage.get()
    assert found.status == 500 and b"half" not in found.body and b"[" not in found.body


# -- nested -------------------------------------------------------------------------------------------------------


def test_within_each_other(stage: Stage) -> None:
    def part(request: Request, response: Response) -> None:
        depth = response.is_include()
        response.write(str(depth))
        if depth < 10:
            response.include("/part/")
        response.write(str(depth))
        assert response.is_include() == depth

    assert stage.included(part).body == b"[1234567891010987654321]"


def test_a_circle(stage: Stage) -> None:
    def part(request: Request, response: Response) -> None:
        response.write(".")
        try:
            response.include("/part/")
        except TooManyIncludes as error:
            assert "circle" in str(error) and request.included == 10
            response.write("!")

    assert stage.included(part).body == b"[..........!]"
    assert stage.included(lambda request, response: response.include("/part/")).status == 500


def test_many_after_each_other(stage: Stage) -> None:
    stage.page = lambda request, response: [response.include("/part/") for _ in range(100)]
    assert stage.get().body == b"[" + b"part" * 100 + b"]"


def test_within_a_forward(stage: Stage) -> None:
    def target(request: Request, response: Response) -> None:
        response.status = 404
        response.write("<")
        response.include("/.hidden")
        assert (request.forwarded, request.included, request.initial) == (1, 0, False)
        response.set_header("X-Mine", "target")
        response.write(">")

    stage.server.insert(directory("target", target))
    stage.page = lambda request, response: response.forward("/target/")
    found = stage.get()
    assert (found.status, found.body, found["X-Mine"]) == (404, b"<hidden>", "target")


def test_a_service_within_it(stage: Stage) -> None:
    """The way of a directory function to its own files."""
    stage.part = lambda request, response: stage.reader.service(request, "a.txt")
    assert stage.get().body == b"[file]"


def test_a_part_that_sends_a_file_for_post(stage: Stage) -> None:
    stage.page = lambda request, response: response.include("/a.txt")
    assert ask(stage.server, head("POST /go/ HTTP/1.1", "Content-Length: 0")).body == b"[file]"
