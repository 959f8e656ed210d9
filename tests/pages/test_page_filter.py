"""Server pages on a server: their names and scopes, the cache, errors, forwards and includes, output as it comes."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import monkey
from gevent.event import Event
from leaks import native_threads
from support import wait_until
from trees import OLD, Tree, disk_tree
from web import Answer, Client, ask, get, head, serving

from greenbas import Request, Response, Server
from greenbas.errors import PageSyntaxError
from greenbas.pages import Scope, get_app, psp_filter
from greenbas.pages import filter as filter_module
from greenbas.vfs import ResourceReader

NO_STORE = "no-store, no-cache, must-revalidate, max-age=0"


@pytest.fixture(params=["disk", "memory"])
def tree(request: pytest.FixtureRequest) -> Tree:
    return disk_tree(request.getfixturevalue("tmp_path")) if request.param == "disk" else Tree(None)


@pytest.fixture
def app() -> Scope:
    return Scope()


@pytest.fixture
def site(tree: Tree, app: Scope) -> Iterator[Server]:
    with serving(dev=True) as server:
        reader = ResourceReader(tree.io)
        psp_filter(reader, app)
        server.insert(reader)
        yield server


def page(tree: Tree, path: str, text: str, mtime_ns: int = OLD) -> None:
    tree.write(path, text.encode(), mtime_ns)


def body(server: Server, path: str) -> str:
    answer = get(server, path)
    assert answer.status == 200, answer.body.decode()
    return answer.body.decode()


# -- the names of a page ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("<?psp= request.method ?>", "GET"),
        ('<?psp= request.data("q") ?>', "a&amp;b"),
        ('<?psp=! request.data("q") ?>', "a&b"),
        ("<?psp= response.get_status() ?>", "200"),
        ('<?psp= cookie("c").value ?>', "crumb"),
        ('<?psp= cookie("none") ?>', "None"),
        ('<?psp env["x"] = 1 ?><?psp= env["x"] + request.env()["x"] ?>', "2"),
        ("<?psp= pathname ?>", "a/p.psp"),
        ("<?psp= request.relpath ?>", "a/p.psp"),
        ("<?psp= io.names('a') ?>", "[&#x27;p.psp&#x27;]"),
        ("<?psp= dir.io() is io ?>", "True"),
        ("<?psp= request.running is dir ?>", "True"),
        ("<?psp app.x = 3 ?><?psp= app.x ?>", "3"),
        ("<?psp= app.unknown ?>", None),
        ("<?psp page.x = 4 ?><?psp= page.x ?>", "4"),
        ('<?psp print("a", 1, "<b>") ?>', "a 1 <b>\n"),
        ('<?psp print("a", 1, sep="-", end="!") ?>', "a-1!"),
        ("<?psp print() ?>x", "\nx"),
        ("<?psp print(1, sep=None, end=None) ?>", "1\n"),
        ('<?psp write("a", b"b") ?>', "ab"),
        ('<?psp import io as text ?><?psp print("lost", file=text.StringIO()) ?>.', "."),
        ("<?psp= [x for x in range(3) if x in (len(env), 2)] ?>", "[0, 2]"),
        ("<?psp def f(n): ?><<?psp= n ?>><?psp end ?><?psp f(1); f(2) ?>", "<1><2>"),
        ("one<?psp return ?>two", "one"),
        ('one<?psp response.abort() ?>two<?psp write("three") ?>', "one"),
        ("<?psp raise SystemExit ?>", None),
        ("<?psp= __name__ ?>", None),
    ],
)
def test_names(tree: Tree, site: Server, text: str, expected: str | None) -> None:
    page(tree, "a/p.psp", text)
    answer = get(site, "/a/p.psp?q=a%26b", "Cookie: c=crumb")
    if expected is None:
        assert answer.status in (200, 500)
        return
    assert (answer.status, answer.body.decode()) == (200, expected)
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert answer["cache-control"] == NO_STORE


def test_print_with_flush(tree: Tree, site: Server, app: Scope) -> None:
    app.go = Event()
    page(tree, "p.psp", '<?psp print("first", flush=True); app.go.wait(5) ?>last')
    with Client(site) as client:
        client.send(head("GET /p.psp HTTP/1.1"))
        assert client.read_until(b"first\n").endswith(b"first\n")
        app.go.set()
        assert client.read_until(b"0\r\n\r\n").endswith(b"last\r\n0\r\n\r\n")


@pytest.mark.parametrize("length", [1, 5_000, 100_000])
def test_head(tree: Tree, site: Server, length: int) -> None:
    page(tree, "p.psp", f'<?psp= "x" * {length} ?>')
    answer = ask(site, head("HEAD /p.psp HTTP/1.1"), "HEAD")
    assert (answer.status, answer.body, answer["content-length"]) == (200, b"", str(length))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_a_page_answers_any_method(tree: Tree, site: Server, method: str) -> None:
    page(tree, "p.psp", "<?psp= request.method ?>")
    assert ask(site, head(f"{method} /p.psp HTTP/1.1"), method).body == method.encode()


def test_headers_of_a_page(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", '<?psp response.set_content_type("text/plain"); response.status = 404 ?>x')
    answer = get(site, "/p.psp")
    assert (answer.status, answer["content-type"], answer.body) == (404, "text/plain", b"x")


def test_headers_of_the_reader(tree: Tree) -> None:
    page(tree, "p.psp", "x")
    with serving() as server:
        reader = ResourceReader(tree.io)
        reader.header({"X-Frame-Options": "DENY", "Cache-Control": "private"})
        psp_filter(reader)
        server.insert(reader)
        answer = get(server, "/p.psp")
        assert (answer["x-frame-options"], answer["cache-control"]) == ("DENY", "private")


# -- where pages are ----------------------------------------------------------------------------------------------


def test_index_pages(tree: Tree, site: Server) -> None:
    page(tree, "a/index.psp", "page")
    page(tree, "b/index.psp", "page")
    page(tree, "b/index.html", "static")
    assert [body(site, "/a/"), body(site, "/b/")] == ["page", "static"]
    assert get(site, "/a")["location"] == "http://x/a/"


@pytest.mark.parametrize("path", ["/none.psp", "/.hidden.psp", "/.d/p.psp", "/p.psp/", "/p.psp/x"])
def test_pages_that_are_not_there(tree: Tree, site: Server, path: str) -> None:
    for name in (".hidden.psp", ".d/p.psp", "p.psp"):
        page(tree, name, "x")
    assert get(site, path).status == 404


def test_a_directory_with_the_name_of_a_page(tree: Tree, site: Server) -> None:
    page(tree, "x.psp/index.html", "inside")
    assert get(site, "/x.psp")["location"] == "http://x/x.psp/"
    assert body(site, "/x.psp/") == "inside"


@pytest.mark.parametrize("name", ["p.psp", "P.PSP", "p.Psp"])
def test_the_source_is_never_sent(tree: Tree, name: str) -> None:
    page(tree, name, "<?psp secret = 1 ?>x")
    with serving() as server:
        reader = ResourceReader(tree.io)
        server.insert(reader)
        assert get(server, f"/{name}").status == 404
        psp_filter(reader)
        assert get(server, f"/{name}").body == b"x"


def test_installing_and_asking(tree: Tree) -> None:
    reader, app = ResourceReader(tree.io), Scope()
    assert get_app(reader) is None
    assert psp_filter(reader, app) is True
    assert get_app(reader) is app
    assert psp_filter(reader) is False
    assert isinstance(get_app(reader), Scope) and get_app(reader) is not app


# -- scopes -------------------------------------------------------------------------------------------------------


def test_page_scopes_outlive_requests_and_changes(tree: Tree, site: Server) -> None:
    counter = '<?psp page.n = getattr(page, "n", 0) + 1 ?><?psp= page.n ?>'
    page(tree, "a.psp", counter)
    page(tree, "b.psp", counter)
    assert [body(site, "/a.psp"), body(site, "/a.psp"), body(site, "/b.psp"), body(site, "//a.psp")] == list("1213")
    page(tree, "a.psp", counter + "!", OLD + 1)
    assert body(site, "/a.psp") == "4!"


def test_names_of_one_request_are_not_those_of_another(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", '<?psp if request.data("set"): ?><?psp x = 1; env["y"] = 2 ?><?psp end ?><?psp= sorted(env) ?>')
    page(tree, "q.psp", '<?psp if request.data("set"): x = 1 ?><?psp= "x" in locals() ?>')
    assert body(site, "/p.psp?set=1") == "[&#x27;y&#x27;]"
    assert body(site, "/p.psp") == "[]"
    assert [body(site, "/q.psp?set=1"), body(site, "/q.psp")] == ["True", "False"]


def test_env_is_shared_by_all_who_handle_the_request(tree: Tree, site: Server) -> None:
    @site.directory("go", priority=5)
    def go(request: Request, response: Response) -> None:
        request.env()["from"] = "function"
        response.forward("/show.psp")

    page(tree, "show.psp", '<?psp env["more"] = 1; response.include(".part.psp") ?>')
    page(tree, ".part.psp", '<?psp= env["from"] ?> <?psp= env["more"] ?>')
    assert body(site, "/go/") == "function 1"


def test_what_is_missing_in_a_scope_is_explained(app: Scope) -> None:
    app.visits = 1
    with pytest.raises(AttributeError, match="nothing has set 'x' here yet; there are: visits"):
        print(app.x)
    with pytest.raises(AttributeError, match="there are: no names"):
        print(Scope().x)
    assert repr(app) == "<Scope visits>"


# -- the cache ----------------------------------------------------------------------------------------------------


def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pages that are compiled from now on."""
    names: list[str] = []
    real = filter_module.compile_page

    def counting(text: str, filename: str) -> object:
        names.append(os.path.basename(filename))
        return real(text, filename)

    monkeypatch.setattr(filter_module, "compile_page", counting)
    return names


def test_a_page_is_compiled_once(tree: Tree, site: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    names = compiled(monkeypatch)
    page(tree, "p.psp", "x")
    for path in ("/p.psp", "/p.psp?q", "//p.psp", "/./p.psp", "/a/../p.psp"):
        assert body(site, path) == "x"
    assert names == ["p.psp"]


def test_a_changed_page_is_served_changed(tree: Tree, site: Server) -> None:
    for number in range(5):
        page(tree, "p.psp", f"version {number}", OLD + number)
        assert body(site, "/p.psp") == f"version {number}"


def test_a_page_that_changed_a_moment_ago_may_change_once_more(tree: Tree, site: Server) -> None:
    """In the same tick of the file system's clock, and with the same size."""
    for text in ("one", "two"):
        page(tree, "p.psp", text, time.time_ns() if tree.root is None else OLD)
        assert body(site, "/p.psp") == text


def test_a_touched_page_is_not_compiled_again(tree: Tree, site: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    names = compiled(monkeypatch)
    for number in range(3):
        page(tree, "p.psp", "x", OLD + number)
        assert body(site, "/p.psp") == "x"
    assert names == ["p.psp"]


def test_a_removed_page_is_gone(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", "x")
    assert body(site, "/p.psp") == "x"
    tree.io.remove("p.psp")
    assert get(site, "/p.psp").status == 404


def test_in_production_a_page_is_looked_at_now_and_then(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_module, "SETTLED_AFTER", -(10**12))
    monkeypatch.setattr(filter_module, "LOOK_AFTER", 0.05)
    page(tree, "p.psp", "one")
    with serving() as server:
        reader = ResourceReader(tree.io)
        psp_filter(reader)
        server.insert(reader)
        assert body(server, "/p.psp") == "one"
        page(tree, "p.psp", "two", OLD + 1)
        wait_until(lambda: body(server, "/p.psp") == "two")


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb\n<?psp 1/0 ?>", ["p.psp", "line 3", "ZeroDivisionError"]),
        ("a\n<?psp= missing ?>", ["p.psp", "line 2", "NameError"]),
        ("a\n<?psp if x ?>", ["p.psp", "line 2"]),
        ("a\n<?psp x", ["p.psp", "line 2", "start tag without end tag"]),
        ("<?psp for x in y: ?>\nb", ["p.psp", "is never ended"]),
        ('<?psp response.include("q.psp") ?>', ["p.psp", "q.psp", "line 2", "KeyError"]),
        ('<?psp response.include("none.psp") ?>', ["PageNotFound", "none.psp"]),
    ],
)
def test_an_error_names_page_and_line(tree: Tree, site: Server, text: str, words: list[str]) -> None:
    page(tree, "p.psp", text)
    page(tree, "q.psp", 'first\n<?psp {}["nothing"] ?>')
    answer = get(site, "/p.psp")
    assert answer.status == 500
    for word in words:
        assert word in answer.body.decode().replace("&#x27;", "'"), word


def test_in_production_there_is_an_id_alone(tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    page(tree, "p.psp", "<?psp password = 'hunter2'; 1/0 ?>")
    with serving() as server, caplog.at_level(logging.ERROR, "greenbas.site"):
        reader = ResourceReader(tree.io)
        psp_filter(reader)
        server.insert(reader)
        answer = get(server, "/p.psp")
    assert answer.status == 500
    for word in ("hunter2", "ZeroDivision", "p.psp"):
        assert word not in answer.body.decode()
    (record,) = caplog.records
    assert record.getMessage().split()[1] in answer.body.decode()
    assert 'p.psp", line 1, in page' in caplog.text


def test_a_page_that_is_no_utf_8(tree: Tree, site: Server) -> None:
    tree.write("p.psp", b"a\nb\xff")
    assert b"byte 0xff is not UTF-8" in get(site, "/p.psp").body
    with pytest.raises(PageSyntaxError) as caught:
        filter_module._decode(b"a\nb\xff", "p.psp")
    assert (caught.value.filename, caught.value.lineno) == ("p.psp", 2)


def test_a_byte_order_mark_is_no_text(tree: Tree, site: Server) -> None:
    tree.write("p.psp", b"\xef\xbb\xbfx")
    assert body(site, "/p.psp") == "x"


def test_an_error_after_output_has_gone_ends_the_connection(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", "first<?psp response.flush(); 1/0 ?>last")
    with Client(site) as client:
        client.send(head("GET /p.psp HTTP/1.1"))
        rest = client.rest()
        assert b"first" in rest and b"last" not in rest and not rest.endswith(b"0\r\n\r\n")


def test_an_error_before_that_takes_the_output_back(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", "first<?psp 1/0 ?>")
    assert not get(site, "/p.psp").body.startswith(b"first")


def test_a_bad_page_can_be_mended(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", "<?psp x( ?>")
    assert get(site, "/p.psp").status == 500
    page(tree, "p.psp", "fine", OLD + 1)
    assert body(site, "/p.psp") == "fine"


# -- includes, forwards, redirects --------------------------------------------------------------------------------


@pytest.fixture
def linked(tree: Tree, site: Server) -> Server:
    page(tree, "d/include.psp", '[<?psp response.include(request.data("to")) ?>]')
    page(tree, "d/forward.psp", 'lost<?psp response.forward(request.data("to")) ?>lost')
    page(tree, "d/redirect.psp", 'lost<?psp response.redirect(request.data("to")) ?>lost')
    page(tree, "d/.part.psp", "<?psp= pathname ?> <?psp= response.initial() ?>")
    page(tree, "d/other.psp", "<?psp= pathname ?> <?psp= response.initial() ?>")
    page(tree, "d/static.txt", "static")
    page(tree, "d/sub/index.psp", "index of <?psp= pathname ?>")
    page(tree, "top.psp", "<?psp= pathname ?>")

    @site.directory("function", priority=1)
    def function(request: Request, response: Response) -> str:
        return f"function {request.relpath}"

    @site.directory("none", priority=1)
    def none(request: Request, response: Response) -> None:
        response.write("nothing")

    return site


@pytest.mark.parametrize(
    ("to", "included", "forwarded", "redirected"),
    [
        ("other.psp", "d/other.psp False", "d/other.psp False", "d/other.psp True"),
        ("./other.psp", "d/other.psp False", "d/other.psp False", "d/other.psp True"),
        (".part.psp", "d/.part.psp False", "d/.part.psp False", None),
        ("/d/.part.psp", "d/.part.psp False", "d/.part.psp False", None),
        ("../top.psp", "top.psp", "top.psp", "top.psp"),
        ("/top.psp", "top.psp", "top.psp", "top.psp"),
        ("static.txt", "static", "static", "static"),
        ("sub/", "index of d/sub/index.psp", "index of d/sub/index.psp", "index of d/sub/index.psp"),
        ("sub", "index of d/sub/index.psp", "index of d/sub/index.psp", "index of d/sub/index.psp"),
        ("/function/a", "function a", "function a", "function a"),
        ("/none/", "nothing", "nothing", "nothing"),
        ("missing.psp", None, None, None),
        ("../../above.psp", None, None, None),
    ],
)
def test_to_other_resources(
    linked: Server, to: str, included: str | None, forwarded: str | None, redirected: str | None
) -> None:
    for way, expected in (("include", included), ("forward", forwarded), ("redirect", redirected)):
        answer = get(linked, f"/d/{way}.psp?to={to}")
        if expected is None:
            assert answer.status == 500 and b"PageNotFound" in answer.body
        else:
            found = f"[{expected}]" if way == "include" else expected
            assert (answer.status, answer.body.decode()) == (200, found), way


def test_a_page_that_includes_itself(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", '<?psp response.include("p.psp") ?>')
    assert b"TooManyIncludes" in get(site, "/p.psp").body


def test_an_included_page_cannot_change_the_head(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", '<?psp response.include(".q.psp") ?>')
    page(tree, ".q.psp", "<?psp response.status = 404 ?>")
    assert b"IncludeNotValid" in get(site, "/p.psp").body


def test_an_included_page_can_end_itself(tree: Tree, site: Server) -> None:
    page(tree, "p.psp", '<?psp response.include(".q.psp") ?>last')
    page(tree, ".q.psp", "first <?psp response.abort() ?>never")
    assert body(site, "/p.psp") == "first last"


def test_a_page_runs_while_another_waits(tree: Tree, site: Server, app: Scope) -> None:
    app.go = Event()
    page(tree, "slow.psp", "<?psp app.waiting = True; app.go.wait(5) ?>slow")
    page(tree, "fast.psp", "fast")
    slow = gevent.spawn(get, site, "/slow.psp")
    wait_until(lambda: hasattr(app, "waiting"))
    assert body(site, "/fast.psp") == "fast"
    app.go.set()
    answer: Answer = slow.get(timeout=5)
    assert answer.body == b"slow"


@pytest.mark.parametrize("name", ["p.psp~", "p.psp.bak", "p.psp.gz", "p.PSP.orig", "p.psp.swp", "p.psp.1"])
@pytest.mark.parametrize("filtered", [True, False])
def test_backups_of_a_source_are_not_sent_either(tree: Tree, name: str, filtered: bool) -> None:
    page(tree, name, "<?psp secret ?>")
    with serving() as server:
        reader = ResourceReader(tree.io)
        if filtered:
            psp_filter(reader)
        server.insert(reader)
        assert get(server, f"/{name}").status == 404


def test_names_that_only_look_like_a_source(tree: Tree, site: Server) -> None:
    for name in ("p.psphere", "psp", "notes.psp/readme.txt"):
        page(tree, name, "x")
        assert body(site, f"/{name}") == "x"


@pytest.mark.parametrize("path", ["p.psp/.", "x/../p.psp/.", "./p.psp/.", "p.psp"])
def test_a_service_with_dots_in_its_path_does_not_send_the_source(tree: Tree, site: Server, path: str) -> None:
    page(tree, "s.psp", '<?psp dir.service(request, request.data("p"), simforward=True) ?>')
    page(tree, "p.psp", "<?psp secret = 1 ?>x")
    assert b"secret" not in get(site, f"/s.psp?p={path}").body


def test_settings_of_a_server_are_not_sent(tree: Tree, site: Server) -> None:
    page(tree, "greenbas.toml", "password = 1")
    page(tree, "f.psp", '<?psp response.forward("greenbas.toml") ?>')
    assert get(site, "/greenbas.toml").status == 404
    assert b"password" not in get(site, "/f.psp").body


# -- what a page returns --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "kind"),
    [
        ("a<?psp return '<b>' ?>lost", "a<b>", "text/html; charset=utf-8"),
        ("a<?psp return b'c' ?>", "ac", "text/html; charset=utf-8"),
        ("<?psp return 'only' ?>", "only", "text/html; charset=utf-8"),
        ("<?psp return {'a': 1} ?>", '{"a":1}', "application/json"),
        ("<?psp return [1, 2] ?>", "[1,2]", "application/json"),
        ("a<?psp return write('b') ?>", "ab", "text/html; charset=utf-8"),
        ("a<?psp return True ?>", "a", "text/html; charset=utf-8"),
        ("a<?psp return None ?>", "a", "text/html; charset=utf-8"),
        ("a<?psp response.include('json.psp') ?>b", 'a{"a":1}b', "text/html; charset=utf-8"),
        ("<?psp response.forward('json.psp') ?>", '{"a":1}', "application/json"),
        ("a<?psp return {'a': 1} ?>", "the page returned a dict, which is sent as JSON, but it has written", None),
        ("a<?psp return False ?>", "the page returned False: return nothing, or more output", None),
        ("a<?psp return 1.5 ?>", "the page returned 1.5: return nothing, or more output", None),
    ],
)
def test_what_a_page_returns(site: Server, tree: Tree, text: str, expected: str, kind: str | None) -> None:
    """Once it was dropped without a word."""
    page(tree, "json.psp", "<?psp return {'a': 1} ?>")
    page(tree, "p.psp", text)
    answer = get(site, "/p.psp")
    if kind is None:
        assert answer.status == 500
        assert expected in answer.body.decode()
    else:
        assert (answer.status, answer.body.decode(), answer["Content-Type"]) == (200, expected, kind)


def test_python_files_beside_pages_are_not_sent(site: Server, tree: Tree) -> None:
    tree.write("tool.py", b"password = 1")
    assert get(site, "/tool.py").status == 404


# -- large pages ----------------------------------------------------------------------------------------------------


def large(tail: str = "") -> str:
    return "".join(f"<p><?psp= {number} ?></p>\n" for number in range(1000)) + tail


def test_a_large_page_is_compiled_while_others_are_served(
    site: Server, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once, however many ask for it at the same time."""
    real = filter_module.compile_page
    compiled: list[bool] = []

    def slow(text: str, filename: str) -> Any:
        if len(text) > filter_module.LARGE:
            compiled.append(gc.isenabled())
            release.acquire()
        return real(text, filename)

    monkeypatch.setattr(filter_module, "compile_page", slow)
    release = monkey.get_original("_thread", "allocate_lock")()
    release.acquire()
    page(tree, "large.psp", large())
    page(tree, "small.psp", "small")
    asking = [gevent.spawn(get, site, "/large.psp") for _ in range(3)]
    try:
        wait_until(lambda: compiled)
        assert body(site, "/small.psp") == "small"
    finally:
        release.release()
    gevent.joinall(asking, timeout=10)
    assert [one.value.status for one in asking] == [200] * 3
    assert asking[0].value.body.decode() == "".join(f"<p>{number}</p>\n" for number in range(1000))
    assert compiled == [False]
    assert gc.isenabled()


def test_a_large_page_with_a_mistake_and_its_correction(site: Server, tree: Tree) -> None:
    page(tree, "large.psp", large("<?psp end ?>"))
    for _ in range(2):
        answer = get(site, "/large.psp")
        assert answer.status == 500
        assert b"end without an open block" in answer.body
    page(tree, "large.psp", large("<?psp= 1 + 1 ?>"), OLD + 1)
    assert body(site, "/large.psp").endswith("<p>999</p>\n2")


def test_the_thread_of_a_large_page_ends_with_the_page(site: Server, tree: Tree) -> None:
    before = native_threads()
    for number in range(2):
        page(tree, "large.psp", large(str(number)), OLD + number)
        assert get(site, "/large.psp").status == 200
        wait_until(lambda: native_threads() <= before)
