"""`Response.forward` and `redirect`: another resource of this server answers instead (BAS reference b.3)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import h11
import pytest
from web import Answer, Client, ask, directory, get, head, serving

from greenbas import Request, Response, Server
from greenbas.errors import Abort, IncludeNotValid, IsCommitted, PageNotFound, TooManyForwards
from greenbas.io import MemoryIo
from greenbas.vfs import Directory, ResourceReader

LARGE = bytes(range(256)) * 4096  # a megabyte
FILES = {
    "a.txt": b"file a",
    "large.bin": LARGE,
    "style.css": b"plain" * 100,
    "style.css.gz": gzip.compress(b"plain" * 100),
    ".hidden": b"hidden file",
    "dir/index.html": b"index of dir",
    "dir/.secret/x.txt": b"hidden below",
    "dir/b.txt": b"file b",
    "page.psp": b"<?= 1 ?>",
}
Act = Callable[[Request, Response], Any]


def memory(files: dict[str, bytes]) -> MemoryIo:
    """These files in memory."""
    io = MemoryIo()
    for path, data in files.items():
        made = ""
        for segment in path.split("/")[:-1]:
            made = f"{made}/{segment}" if made else segment
            if segment not in io.names(made.rpartition("/")[0]):
                io.mkdir(made)
        with io.open(path, "w") as file:
            file.write(data)
    return io


class Stage:
    """A server with files at its root, functions of every kind, and a handler at /go that a test gives."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.act: Act = lambda request, response: None
        self.reader = ResourceReader(memory(FILES))
        self.go = directory("go", lambda request, response: self.act(request, response), priority=10)
        server.insert(self.go)
        server.insert(self.reader)
        for name, result in {"str": "text", "bytes": b"octets", "dict": {"a": 1}, "false": False}.items():
            server.insert(directory(name, lambda request, response, result=result: result))
        server.insert(directory("none", lambda request, response: response.write("written") and None))
        server.insert(directory("fails", lambda request, response: 1 / 0))

    def get(self, act: Act, *headers: str, method: str = "GET", path: str = "/go/x/y") -> Answer:
        """What /go answers with when it does this; the connection must go on as if nothing had been."""
        self.act = act
        with Client(self.server) as client:
            found = client.ask(head(f"{method} {path} HTTP/1.1", *headers))
            if "Connection" not in found:
                assert client.ask(head("GET /a.txt HTTP/1.1")).body == b"file a"
        return found


@pytest.fixture
def stage() -> Iterator[Stage]:
    """One stage, for tests that change nothing in it but the act."""
    with serving() as server:
        yield Stage(server)


def going(path: str, how: str = "forward") -> Act:
    """Write something, then hand over."""

    def act(request: Request, response: Response) -> None:
        response.write("dropped")
        getattr(response, how)(path)
        raise AssertionError("it came back")

    return act


# -- who answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["forward", "redirect"])
@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        pytest.param("/str/", b"text", "text/html; charset=utf-8", id="str"),
        pytest.param("/str", b"text", "text/html; charset=utf-8", id="a function without its slash"),
        pytest.param("/str/below/it", b"text", "text/html; charset=utf-8", id="below a function"),
        pytest.param("/bytes/", b"octets", "application/octet-stream", id="bytes"),
        pytest.param("/dict/", b'{"a":1}', "application/json", id="dict"),
        pytest.param("/none/", b"written", "text/html; charset=utf-8", id="None"),
        pytest.param("/a.txt", b"file a", "text/plain; charset=utf-8", id="small file"),
        pytest.param("/large.bin", LARGE, "application/octet-stream", id="large file"),
        pytest.param("/dir/", b"index of dir", "text/html; charset=utf-8", id="index"),
        pytest.param("/dir", b"index of dir", "text/html; charset=utf-8", id="index, no slash"),
        pytest.param("/dir/./../a.txt", b"file a", "text/plain; charset=utf-8", id="dot segments"),
        pytest.param("../../a.txt", b"file a", "text/plain; charset=utf-8", id="out of the directory"),
        pytest.param("../../str/", b"text", "text/html; charset=utf-8", id="to a function"),
    ],
)
def test_targets(stage: Stage, how: str, path: str, body: bytes, kind: str) -> None:
    found = stage.get(going(path, how))
    assert (found.status, found.body, found["Content-Type"]) == (200, body, kind)
    assert found["Content-Length"] == str(len(body))
    found = stage.get(going(path, how), method="HEAD")
    assert (found.status, found.body, found["Content-Length"]) == (200, b"", str(len(body)))


@pytest.mark.parametrize(
    ("path", "forward", "redirect"),
    [
        pytest.param("/.hidden", b"hidden file", None, id="hidden"),
        pytest.param("/dir/.secret/x.txt", b"hidden below", None, id="below hidden"),
        pytest.param("/dir/b.txt", b"file b", b"file b", id="not hidden"),
        pytest.param("/missing", None, None, id="missing"),
        pytest.param("/a.txt/", None, None, id="a file is no directory"),
        pytest.param("/false/", None, None, id="a function that says False"),
        pytest.param("/../a.txt", None, None, id="above the root"),
        pytest.param("../../../a.txt", None, None, id="above the root, relative"),
        pytest.param("/page.psp", None, None, id="a page that nobody runs"),
        pytest.param("/A.TXT", None, None, id="another case"),
        pytest.param("/a.txt?q", None, None, id="a query is part of the name"),
        pytest.param("/a.txt\0", None, None, id="NUL"),
    ],
)
def test_who_may_be_reached(stage: Stage, path: str, forward: bytes | None, redirect: bytes | None) -> None:
    """Hidden files by forwards only; what is not found raises, and the output is as it was."""
    for how, body in (("forward", forward), ("redirect", redirect)):

        def act(request: Request, response: Response, how: str = how) -> None:
            response.set_header("X-Mine", "1")
            response.write("kept, ")
            with pytest.raises(PageNotFound, match="nobody"):
                getattr(response, how)(path)
            assert (request.running, request.relpath) == (stage.go, "x/y")
            assert (response.byte_count(), request.initial, request.forwarded, request.redirects) == (6, True, 0, 0)
            response.write("and on")

        if body is None:
            found = stage.get(act)
            assert (found.status, found.body, found["X-Mine"]) == (200, b"kept, and on", "1")
        else:
            assert stage.get(going(path, how)).body == body


@pytest.mark.parametrize("how", ["forward", "redirect"])
def test_missing_and_not_caught(stage: Stage, how: str) -> None:
    assert stage.get(going("/missing", how)).status == 500


@pytest.mark.parametrize(
    ("relpath", "path", "seen"),
    [
        pytest.param("x/y", "t", "x/t", id="beside"),
        pytest.param("x/y", "./t", "x/t", id="beside, dot"),
        pytest.param("x/y", "../t", "t", id="up"),
        pytest.param("x/", "t", "x/t", id="in a directory"),
        pytest.param("", "t", "t", id="at its slash"),
        pytest.param("x/y", "z/t", "x/z/t", id="down"),
        pytest.param("x/y", "z/..", "x/", id="a directory by dots"),
    ],
)
@pytest.mark.parametrize("how", ["forward", "redirect"])
def test_relative_paths(stage: Stage, how: str, relpath: str, path: str, seen: str) -> None:
    """Relative to what runs; its own children first."""
    stage.go.insert(directory(None, lambda request, response: f"child {request.relpath}"))

    def act(request: Request, response: Response) -> Any:
        if not request.initial or request.redirects:
            return False
        getattr(response, how)(path)

    assert stage.get(act, path=f"/go/{relpath}").body == f"child {seen}".encode()


def test_relative_first_in_the_running_directory_then_in_the_tree(stage: Stage) -> None:
    """A page of a reader whose name another one has too: its own files come first, then whoever has that path."""
    app = ResourceReader(memory({"sub/near.txt": b"near", "sub/page.run": b""}), name="app")
    other = ResourceReader(memory({"sub/near.txt": b"other", "sub/far.txt": b"far"}), name="app", priority=5)
    stage.server.insert(app)
    stage.server.insert(other)

    class Runner:
        def open(self, reader: ResourceReader, request: Request, path: str) -> Callable[[Request, Response], object]:
            def run(request: Request, response: Response) -> None:
                assert (request.running, request.relpath) == (reader, path)
                response.forward(request.data("to") or "")

            return run

    app.set_filter(".run", Runner())
    for path, body in {
        "near.txt": b"near",
        "far.txt": b"far",
        "../../a.txt": b"file a",
        "/app/sub/near.txt": b"other",
    }.items():
        assert get(stage.server, f"/app/sub/page.run?to={path}").body == body
    assert get(stage.server, "/app/sub/page.run?to=../../../a.txt").status == 500


def test_a_redirect_does_not_look_into_the_running_directory_past_its_function(stage: Stage) -> None:
    """As if the client had asked: the function of the directory decides again."""
    stage.go.insert(directory("child", lambda request, response: "child"))
    seen: list[str] = []

    def act(request: Request, response: Response) -> Any:
        seen.append(request.relpath)
        if request.relpath.startswith("child"):
            return "the function"
        response.redirect("/go/child/")

    assert stage.get(act).body == b"the function"
    assert seen == ["x/y", "child/"]


# -- what is seen there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "initial", "forwards", "redirects"), [("forward", False, 1, 0), ("redirect", True, 0, 1)]
)
def test_what_the_target_sees(stage: Stage, how: str, initial: bool, forwards: int, redirects: int) -> None:
    target = Directory("target")

    def seen(request: Request, response: Response) -> dict[str, Any]:
        env = request.env()
        return {
            "initial": [request.initial, response.initial()],
            "forwards": [request.forwarded, response.is_forward()],
            "redirects": request.redirects,
            "includes": response.is_include(),
            "env": env["from"],
            "relpath": request.relpath,
            "running": request.running is target,
            "path": request.path,
            "written": response.byte_count(),
        }

    target.set_func(seen)
    stage.server.insert(target)

    def act(request: Request, response: Response) -> None:
        request.env()["from"] = "go"
        response.write("dropped")
        getattr(response, how)("/target/z")

    assert json.loads(stage.get(act).body) == {
        "initial": [initial, initial],
        "forwards": [forwards, forwards],
        "redirects": redirects,
        "includes": 0,
        "env": "go",
        "relpath": "z",
        "running": True,
        "path": "/go/x/y",
        "written": 0,
    }


@pytest.mark.parametrize("path", ["/str/", "/a.txt", "/large.bin"])
@pytest.mark.parametrize("how", ["forward", "redirect"])
def test_status_headers_and_cookies_stay(stage: Stage, how: str, path: str) -> None:
    def act(request: Request, response: Response) -> None:
        response.status = 404
        response.set_header("X-Mine", "1")
        response.set_content_type("text/x-mine")
        response.set_content_length(7)  # of the output that is dropped
        response.create_cookie("c").activate()
        response.write("dropped")
        getattr(response, how)(path)

    found = stage.get(act)
    assert (found.status, found["X-Mine"], found["Content-Type"]) == (404, "1", "text/x-mine")
    assert "Set-Cookie" in found and found.body in (b"text", b"file a", LARGE)


def test_a_target_changes_status_and_headers(stage: Stage) -> None:
    def target(request: Request, response: Response) -> None:
        response.status = 418
        response.set_header("X-Mine", "target")
        response.write("target")

    stage.server.insert(directory("target", target))
    found = stage.get(lambda request, response: (response.set_header("X-Mine", "go"), response.forward("/target/")))
    assert (found.status, found["X-Mine"], found.body) == (418, "target", b"target")


@pytest.mark.parametrize(
    ("headers", "forward", "redirect"),
    [
        pytest.param(("Range: bytes=1-2",), (200, LARGE), (206, LARGE[1:3]), id="range"),
        pytest.param(("If-None-Match: *",), (200, LARGE), (304, b""), id="If-None-Match"),
        pytest.param(("If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",), (200, LARGE), (304, b""), id="since"),
        pytest.param(('If-Match: "other"',), (200, LARGE), (412, None), id="If-Match"),
        pytest.param(("Range: bytes=99999999-",), (200, LARGE), (416, None), id="unsatisfiable"),
    ],
)
def test_conditions_and_ranges(
    stage: Stage, headers: tuple[str, ...], forward: tuple[int, bytes], redirect: tuple[int, bytes | None]
) -> None:
    """They are about the file when the client might have asked for it, and not about the page that forwards to it."""
    found = stage.get(going("/large.bin"), *headers)
    assert (found.status, found.body) == forward
    found = stage.get(going("/large.bin", "redirect"), *headers)
    assert found.status == redirect[0]
    assert redirect[1] is None or found.body == redirect[1]


@pytest.mark.parametrize("how", ["forward", "redirect"])
def test_the_compressed_sibling(stage: Stage, how: str) -> None:
    found = stage.get(going("/style.css", how), "Accept-Encoding: gzip")
    assert (found["Content-Encoding"], gzip.decompress(found.body)) == ("gzip", FILES["style.css"])
    found = stage.get(going("/style.css", how))
    assert "Content-Encoding" not in found and found.body == FILES["style.css"]


@pytest.mark.parametrize(("how", "status"), [("forward", 200), ("redirect", 405)])
def test_a_file_for_post(stage: Stage, how: str, status: int) -> None:
    stage.act = going("/a.txt", how)
    text = head("POST /go/ HTTP/1.1", "Content-Length: 3") + "abc"
    assert ask(stage.server, text).status == status


# -- coming back --------------------------------------------------------------------------------------------------


def aborting(request: Request, response: Response) -> None:
    response.write("said")
    response.abort()


def swallowing(request: Request, response: Response) -> None:
    try:
        aborting(request, response)
    except Abort:
        pass


@pytest.mark.parametrize("how", ["forward", "redirect"])
@pytest.mark.parametrize(
    "target", [lambda request, response: "said", aborting, swallowing], ids=["returns", "aborts", "swallows an abort"]
)
def test_return_to_caller(stage: Stage, how: str, target: Act) -> None:
    stage.server.insert(directory("target", target))

    def act(request: Request, response: Response) -> None:
        response.write("dropped")
        getattr(response, how)("/target/", return2caller=True)
        assert (request.running, request.relpath, request.initial) == (stage.go, "x/y", True)
        assert (request.forwarded, request.redirects) == (0, 0)
        response.set_header("X-Mine", "after")
        response.write(", and on")

    found = stage.get(act)
    assert (found.body, found["X-Mine"]) == (b"said, and on", "after")


def test_after_a_file_that_went_at_once(stage: Stage) -> None:
    """It is sent with its length: nothing fits behind it."""

    def act(request: Request, response: Response) -> None:
        response.forward("/large.bin", return2caller=True)
        assert response.committed()

    assert stage.get(act).body == LARGE


@pytest.mark.parametrize("how", ["forward", "redirect"])
def test_an_error_in_the_target_is_the_caller_s_to_catch(stage: Stage, how: str) -> None:
    def act(request: Request, response: Response) -> str:
        with pytest.raises(ZeroDivisionError):
            getattr(response, how)("/fails/")
        assert (request.running, request.relpath, request.initial) == (stage.go, "x/y", True)
        return "caught"

    assert stage.get(act).body == b"caught"
    assert stage.get(going("/fails/", how)).status == 500


# -- what cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["forward", "redirect"])
@pytest.mark.parametrize("commit", ["flush", "fill", "send"])
def test_after_the_commit(stage: Stage, how: str, commit: str) -> None:
    def act(request: Request, response: Response) -> None:
        if commit == "send":
            response.set_content_length(4)
            response.send("said")
        else:
            response.write("said" * (1 if commit == "flush" else 100_000))
            response.flush()
        with pytest.raises(IsCommitted):
            getattr(response, how)("/str/")
        with pytest.raises(IsCommitted):
            getattr(response, how)("/missing")

    found = stage.get(act)
    assert found.status == 200 and set(found.body) == set(b"said")


@pytest.mark.parametrize("how", ["forward", "redirect"])
def test_inside_an_include(stage: Stage, how: str) -> None:
    def part(request: Request, response: Response) -> str:
        with pytest.raises(IncludeNotValid):
            getattr(response, how)("/str/")
        return "part"

    stage.server.insert(directory("part", part))
    assert stage.get(lambda request, response: response.include("/part/")).body == b"part"


@pytest.mark.parametrize(
    "hows",
    [
        pytest.param(["forward"], id="forwards"),
        pytest.param(["redirect"], id="redirects"),
        # Each once counted for itself, and ten times ten of them ended in a RecursionError.
        pytest.param(["forward", "redirect"], id="in turn"),
        pytest.param(["forward", "forward", "redirect"], id="two and one"),
    ],
)
def test_a_circle(stage: Stage, hows: list[str]) -> None:
    calls: list[int] = []

    def act(request: Request, response: Response) -> None:
        calls.append(len(calls))
        getattr(response, hows[len(calls) % len(hows)])("/go/")

    found = stage.get(act)
    assert found.status == 500 and len(calls) == 11


def test_a_circle_can_be_caught_where_it_began(stage: Stage) -> None:
    def act(request: Request, response: Response) -> str:
        if request.initial:
            response.write("dropped")
            with pytest.raises(TooManyForwards, match="circle"):
                response.forward("/go/")
            assert (request.forwarded, request.initial) == (0, True)
            response.reset()
            return "caught"
        response.forward("/go/")
        raise AssertionError("it came back")

    assert stage.get(act).body == b"caught"


def test_ten_are_not_too_many(stage: Stage) -> None:
    def act(request: Request, response: Response) -> Any:
        if request.forwarded == 10:
            return "deep"
        response.forward("/go/")

    assert stage.get(act).body == b"deep"


def test_a_circle_in_a_chain_of_one_after_the_other_is_none(stage: Stage) -> None:
    """Only what is within each other counts."""

    def act(request: Request, response: Response) -> None:
        for _ in range(50):
            response.forward("/str/", return2caller=True)

    assert stage.get(act).body == b"text"


# -- framing ------------------------------------------------------------------------------------------------------


def test_head_after_much_output(stage: Stage) -> None:
    """HEAD keeps nothing of what it counts; a forward must count from nothing."""

    def act(request: Request, response: Response) -> None:
        response.write("x" * 100_000 if request.method == "HEAD" else "x")
        response.forward("/str/")

    assert stage.get(act, method="HEAD")["Content-Length"] == "4"


def test_http10(stage: Stage) -> None:
    stage.act = going("/large.bin")
    with Client(stage.server) as client:
        client.send("GET /go HTTP/1.0\n\n")
        assert client.rest().endswith(LARGE)


def test_pipelined(stage: Stage) -> None:
    stage.act = lambda request, response: response.forward(f"/{request.query}")
    with Client(stage.server) as client:
        targets = [("a.txt", b"file a"), ("large.bin", LARGE), ("str/", b"text"), ("dir", b"index of dir")] * 3
        client.send("".join(head(f"GET /go?{path} HTTP/1.1") for path, _ in targets))
        for _, body in targets:
            assert client.answer().body == body


def test_a_forward_under_an_announced_length_that_then_fails(stage: Stage) -> None:
    """The length that was announced belongs to the output: it is back with it."""

    def act(request: Request, response: Response) -> None:
        response.set_content_length(4)
        response.write("ab")
        with pytest.raises(PageNotFound):
            response.forward("/missing")
        assert response.contains_header("Content-Length") == "4"
        response.write("cd")

    assert stage.get(act).body == b"abcd"


def test_less_than_the_target_announced(stage: Stage) -> None:
    def target(request: Request, response: Response) -> None:
        response.set_content_length(10)
        response.write("abc")

    stage.server.insert(directory("target", target))
    stage.act = lambda request, response: response.forward("/target/")
    with Client(stage.server) as client, pytest.raises(h11.RemoteProtocolError):
        client.ask(head("GET /go/ HTTP/1.1"))


def test_service_within_a_forward_restores(stage: Stage) -> None:
    """`Directory.service` in between: what runs is what runs again."""

    def act(request: Request, response: Response) -> Any:
        if request.initial:
            assert not stage.go.service(request, "x/y", simforward=True)
            assert stage.reader.service(request, ".hidden", simforward=True)
            assert not stage.reader.service(request, ".hidden")
            assert (request.running, request.relpath, request.forwarded, request.initial) == (stage.go, "x/y", 0, True)
            response.forward("b", return2caller=False)
        return f"forwarded to {request.relpath}"

    assert stage.get(act).body == b"forwarded to x/b"
