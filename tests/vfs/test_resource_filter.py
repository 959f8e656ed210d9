"""Resource filters: who answers for the files with one extension (BAS ``lspfilter``, reference c.4 and k.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trees import Tree
from web import Answer, Client, ask, get, head, serving

from greenbas import Request, Response, Server
from greenbas.errors import InvalidName, IoError, IsDirectory, NoAccess, NotDirectory, NotFound, PageNotFound
from greenbas.io import MemoryIo
from greenbas.vfs import Directory, DomainReader, ResourceReader


class Programs:
    """A filter that answers with what a file is and where; it opens files as pages are opened."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.act: Callable[[Request, Response], object] | None = None

    def open(self, reader: ResourceReader, request: Request, path: str) -> Callable[[Request, Response], object]:
        with reader.io().open(path) as file:
            data = file.read()

        def run(request: Request, response: Response) -> object:
            assert (request.running, request.relpath) == (reader, path)
            if self.act is not None:
                return self.act(request, response)
            if not request.included:
                reader.add_headers(response)
            response.write(f"{self.name}{request.method} {path}: ", bytes(data))
            return "nobody looks at this"

        return run


class Failing:
    """A filter that cannot open anything."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def open(self, reader: ResourceReader, request: Request, path: str) -> Callable[[Request, Response], object]:
        raise self.error


def site(server: Server, tree: Tree, **files: bytes) -> ResourceReader:
    """A reader of these files at the root; "_" stands for the dot in their names."""
    for name, data in files.items():
        tree.write(name.replace("_", "."), data)
    reader = ResourceReader(tree.io)
    server.insert(reader)
    return reader


def exchange(server: Server, method: str, path: str, *headers: str) -> Answer:
    """Ask twice on one connection; the answers are the same."""
    with Client(server) as client:
        first, second = (client.ask(head(f"{method} {path} HTTP/1.1", *headers)) for _ in range(2))
    assert first.status == second.status
    assert first.body == second.body or first.status == 500  # whose page has an id
    return first


# -- which files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        pytest.param("/a.run", 200, b"GET a.run: one", id="the extension"),
        pytest.param("/B.RUN", 200, b"GET B.RUN: two", id="in any case"),
        pytest.param("/sub/c.run", 200, b"GET sub/c.run: three", id="below"),
        pytest.param("/x.y.run", 200, b"GET x.y.run: dots", id="the last extension"),
        pytest.param("/.run", 404, None, id="hidden"),
        pytest.param("/a.run.txt", 200, b"text", id="another extension behind it"),
        pytest.param("/run", 200, b"no dot", id="no dot"),
        pytest.param("/d.run/e", 200, b"no extension", id="in a directory with the extension"),
        pytest.param("/a.run/", 404, None, id="with a slash"),
        pytest.param("/a.run/more", 404, None, id="below the file"),
        pytest.param("/missing.run", 404, None, id="missing"),
        pytest.param("/sub/../a.run", 200, b"GET a.run: one", id="dot segments"),
        pytest.param("/%61.run?q=1", 200, b"GET a.run: one", id="escapes"),
    ],
)
def test_who_is_answered_by_it(tree: Tree, path: str, status: int, body: bytes | None) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"one", _run=b"hidden", a_run_txt=b"text", run=b"no dot", x_y_run=b"dots")
        tree.write("B.RUN", b"two")
        tree.write("sub/c.run", b"three")
        tree.write("d.run/e", b"no extension")
        reader.set_filter(".run", Programs())
        found = exchange(server, "GET", path)
        assert found.status == status
        assert body is None or found.body == body


def test_an_extension_in_upper_case(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"one")
        reader.set_filter(".RUN", Programs())
        assert reader.filter(".run") is not None
        assert get(server, "/a.run").body == b"GET a.run: one"
        reader.set_filter(".Run", None)
        assert get(server, "/a.run").body == b"one"


@pytest.mark.parametrize("extension", ["run", "", "a.run", ".tar.gz", ".a/b", "/", "*"])
def test_what_is_no_extension(tree: Tree, extension: str) -> None:
    with pytest.raises(ValueError, match="with its dot"):
        ResourceReader(tree.io).set_filter(extension, Programs())


def test_putting_in_and_taking_out(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"one", a_txt=b"text")
        assert get(server, "/a.run").body == b"one"
        for name in ("first ", "second "):
            filter = Programs(name)
            reader.set_filter(".run", filter)
            assert reader.filter(".run") is filter
            assert get(server, "/a.run").body == f"{name}GET a.run: one".encode()
        assert get(server, "/a.txt").body == b"text"
        reader.set_filter(".run", None)
        reader.set_filter(".other", None)
        assert get(server, "/a.run").body == b"one"
        assert reader.filter(".run") is None


def test_each_reader_has_its_own(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"one")
        other = ResourceReader(tree.io, name="other")
        reader.insert(other)
        reader.set_filter(".run", Programs())
        assert get(server, "/other/a.run").body == b"one"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_methods_are_the_program_s_business(tree: Tree, method: str) -> None:
    with serving() as server:
        site(server, tree, a_run=b"one").set_filter(".run", Programs())
        found = exchange(server, method, "/a.run", "Content-Length: 0", "Range: bytes=0-1", "If-None-Match: *")
        text = f"{method} a.run: one".encode()
        assert (found.status, found.body) == (200, b"" if method == "HEAD" else text)
        assert found["Content-Length"] == str(len(text)) and "ETag" not in found and "Allow" not in found


def test_its_headers(tree: Tree) -> None:
    """Those of the reader, which it adds; not what is for files alone."""
    with serving() as server:
        reader = site(server, tree, a_run=b"one")
        tree.write("a.run.gz", b"not for programs")
        reader.header({"X-Mine": "1"})
        reader.set_max_age(60)
        reader.set_filter(".run", Programs())
        found = exchange(server, "GET", "/a.run", "Accept-Encoding: gzip")
        assert (found.body, found["X-Mine"]) == (b"GET a.run: one", "1")
        assert "Cache-Control" not in found and "Content-Encoding" not in found and "Vary" not in found


# -- index pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "body"),
    [
        pytest.param(["index.html", "index.htm", "index.run"], b"index.html", id="html first"),
        pytest.param(["index.htm", "index.run"], b"index.htm", id="htm"),
        pytest.param(["index.run", "index.two"], b"GET dir/index.run: index.run", id="filters in their order"),
        pytest.param(["index.two"], b"second GET dir/index.two: index.two", id="the second filter"),
        pytest.param(["index.other"], None, id="no filter for it"),
        pytest.param(["index.psp"], None, id="no filter for pages"),
    ],
)
def test_index(tree: Tree, there: list[str], body: bytes | None) -> None:
    with serving() as server:
        reader = site(server, tree)
        for name in there:
            tree.write(f"dir/{name}", name.encode())
        reader.set_filter(".run", Programs())
        reader.set_filter(".two", Programs("second "))
        found = exchange(server, "GET", "/dir/")
        assert (found.status, found.body if found.status == 200 else None) == (200 if body else 404, body)
        assert exchange(server, "GET", "/dir?q=1")["Location"] == "http://x/dir/?q=1"
        reader.set_filter(".run", None)
        reader.set_filter(".two", None)
        assert exchange(server, "GET", "/dir/").status == (200 if there[0].startswith("index.htm") else 404)


def test_a_directory_with_the_extension(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree)
        tree.write("d.run/index.run", b"inside")
        reader.set_filter(".run", Programs())
        assert exchange(server, "GET", "/d.run")["Location"] == "http://x/d.run/"
        assert exchange(server, "GET", "/d.run/").body == b"GET d.run/index.run: inside"


def test_a_relative_forward_from_an_index_page(tree: Tree) -> None:
    """It is relative to the page, which is one deeper than the path that was asked for."""
    with serving() as server:
        reader = site(server, tree)
        tree.write("dir/index.run", b"")
        tree.write("dir/a.txt", b"beside the page")
        programs = Programs()
        programs.act = lambda request, response: response.forward("a.txt")
        reader.set_filter(".run", programs)
        assert get(server, "/dir/").body == b"beside the page"


# -- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(NotFound("a.run"), 404, id="not found"),
        pytest.param(NotDirectory("a.run"), 404, id="not a directory"),
        pytest.param(InvalidName("a.run"), 404, id="no name"),
        pytest.param(NoAccess("a.run"), 403, id="no access"),
        pytest.param(IsDirectory("a.run"), 302, id="a directory"),
        pytest.param(IoError("a.run", "broken"), 500, id="another I/O error"),
        pytest.param(SyntaxError("line 1"), 500, id="a page that is wrong"),
    ],
)
def test_what_cannot_be_opened(tree: Tree, error: Exception, status: int) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"the source")
        reader.set_filter(".run", Failing(error))
        found = exchange(server, "GET", "/a.run")
        assert found.status == status and b"the source" not in found.body


def test_the_search_goes_on_behind_what_is_not_found(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree)
        reader.set_filter(".run", Programs())
        child = Directory()
        child.set_func(lambda request, response: f"child {request.relpath}")
        reader.insert(child)
        assert get(server, "/missing.run").body == b"child missing.run"


def test_no_access_shows_p403(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree, denied_html=b"denied")
        reader.set_filter(".run", Failing(NoAccess("a.run")))
        reader.p403("/denied.html")
        found = exchange(server, "GET", "/a.run")
        assert (found.status, found.body) == (403, b"denied")


def test_a_program_that_fails(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"the source")
        programs = Programs()
        programs.act = lambda request, response: (response.write("half"), 1 / 0)
        reader.set_filter(".run", programs)
        found = exchange(server, "GET", "/a.run")
        assert found.status == 500 and b"half" not in found.body and b"source" not in found.body


@pytest.mark.parametrize("result", ["text", False, None, 5, {"a": 1}], ids=repr)
def test_what_a_program_returns_says_nothing(tree: Tree, result: Any) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"")
        programs = Programs()
        programs.act = lambda request, response: response.write("written") and result
        reader.set_filter(".run", programs)
        assert exchange(server, "GET", "/a.run").body == b"written"


# -- forwards and includes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["forward", "redirect", "include"])
@pytest.mark.parametrize("path", ["/a.run", "/.hidden/b.run", "/dir/", "/dir"])
def test_from_elsewhere(tree: Tree, how: str, path: str) -> None:
    with serving() as server:
        reader = site(server, tree, a_run=b"one")
        tree.write(".hidden/b.run", b"one")
        tree.write("dir/index.run", b"one")
        reader.set_filter(".run", Programs())
        go = Directory("go", priority=10)

        def act(request: Request, response: Response) -> Any:
            try:
                getattr(response, how)(path)
            except PageNotFound:
                return "hidden"

        go.set_func(act)
        server.insert(go)
        if how == "redirect" and "hidden" in path:
            assert get(server, "/go/").body == b"hidden"
        else:
            name = {"/a.run": "a.run", "/.hidden/b.run": ".hidden/b.run"}.get(path, "dir/index.run")
            assert get(server, "/go/").body == f"GET {name}: one".encode()


# -- pages without their filter -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["page.psp", "page.PSP", "page.Psp", "a.b.psp", ".psp", "index.psp"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_sources_are_not_served(tree: Tree, name: str, method: str) -> None:
    """However they are asked for."""
    secret = b"<?py password = 1 ?>"
    with serving() as server:
        site(server, tree)
        tree.write(f"dir/{name}", secret)
        for path in (
            f"/dir/{name}",
            f"/dir/{name}/",
            f"/dir/%{ord(name[0]):x}{name[1:]}",
            f"/dir/./{name}",
            f"//dir/{name}",
        ):
            for headers in ([], ["Range: bytes=0-5"], ["Accept-Encoding: gzip"]):
                found = exchange(server, method, path, "Content-Length: 0", *headers)
                assert found.status == 404 and secret not in found.body
        assert exchange(server, "GET", "/dir/").status == 404


@pytest.mark.parametrize("how", ["forward", "redirect", "include"])
def test_sources_are_not_shown_by_a_forward(tree: Tree, how: str) -> None:
    with serving() as server:
        site(server, tree, page_psp=b"secret")
        go = Directory("go", priority=10)

        def act(request: Request, response: Response) -> str:
            with pytest.raises(PageNotFound):
                getattr(response, how)("/page.psp")
            return "nobody"

        go.set_func(act)
        server.insert(go)
        assert get(server, "/go/").body == b"nobody"


def test_sources_as_the_page_for_404(tree: Tree) -> None:
    tree.write("404.psp", b"secret")
    with serving() as server:
        server.insert(DomainReader("x", tree.io, page404="404.psp"))
        found = get(server, "/missing")
        assert found.status == 404 and b"secret" not in found.body


def test_with_the_filter_they_are_pages(tree: Tree) -> None:
    with serving() as server:
        reader = site(server, tree, page_psp=b"one")
        reader.set_filter(".psp", Programs())
        assert get(server, "/page.psp").body == b"GET page.psp: one"
        reader.set_filter(".psp", None)
        assert get(server, "/page.psp").status == 404


def test_the_page_for_404(tree: Tree) -> None:
    tree.write("404.run", b"sorry")
    with serving() as server:
        reader = DomainReader("x", tree.io, page404="404.run")
        reader.set_filter(".run", Programs())
        server.insert(reader)
        found = get(server, "/missing")
        assert (found.status, found.body) == (404, b"GET 404.run: sorry")
        assert ask(server, "GET /missing HTTP/1.1\nHost: y\n\n").body != found.body


def test_a_filter_for_known_types() -> None:
    """Any extension may have one: the filter comes first, not the type."""
    io = MemoryIo()
    with io.open("a.txt", "w") as file:
        file.write(b"text")
    with serving() as server:
        reader = ResourceReader(io)
        reader.set_filter(".txt", Programs())
        server.insert(reader)
        assert get(server, "/a.txt").body == b"GET a.txt: text"
