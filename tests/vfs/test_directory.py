"""Directories: who is asked and in which order, what a function may return, and how the tree changes under load."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import wait_until
from web import Answer, Client, ask, get, serving

from greenbas import Request, Response, Server, create
from greenbas.errors import AlreadyInserted, IncorrectUse, NoAccess
from greenbas.io import FileHandle, MemoryIo
from greenbas.vfs import Directory, ResourceReader

Asked = list[tuple[str, str]]


def asking(log: Asked, label: str, answer: object = False) -> Callable[[Request, Response], object]:
    """A directory function that notes its label and path."""

    def function(request: Request, response: Response) -> object:
        log.append((label, request.relpath))
        return answer

    return function


def grow(place: Directory, lines: str, log: Asked) -> None:
    """Make the tree that an indented text draws; each line is ``label name priority``, "-" an unnamed directory."""
    above = {-1: place}
    for line in lines.strip("\n").splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        label, name, priority = line.split()
        made = Directory(None if name == "-" else name, priority=int(priority))
        made.set_func(asking(log, label))
        above[depth - 1].insert(made)
        above[depth] = made


# -- the search order ---------------------------------------------------------------------------------------------

# The tree that was measured on the original (BAS reference c.1). There /vfs/x visits C, A, U0, B, D only.
MEASURED = """
rtl rtl 127
U5 - 5
C vfs 3
app - 0
A vfs 0
U0 - 0
B vfs 0
Um1 - -1
D vfs -2
"""
NESTED = """
a a 0
  aa b 0
    aaa - 0
  au - 1
u - 0
  ua a 0
  uu - -1
"""


@pytest.mark.parametrize(
    ("tree", "path", "asked"),
    [
        pytest.param(
            MEASURED,
            "/vfs/x",
            "U5:vfs/x C:x app:vfs/x A:x U0:vfs/x B:x Um1:vfs/x D:x",
            id="measured: strictly by priority, each once, nobody skipped",
        ),
        pytest.param(MEASURED, "/rtl/x", "rtl:x U5:rtl/x app:rtl/x U0:rtl/x Um1:rtl/x", id="measured: another name"),
        pytest.param(MEASURED, "/", "U5: app: U0: Um1:", id="measured: the root itself"),
        pytest.param(MEASURED, "/vfs", "U5:vfs C: app:vfs A: U0:vfs B: Um1:vfs D:", id="measured: without a slash"),
        pytest.param("a x 0\nb x 0\nc x 0", "/x/y", "a:y b:y c:y", id="equal priorities: first come first"),
        pytest.param("a x -1\nb x 0\nc x 1\nd x 127\ne x -128", "/x/", "d: c: b: a: e:", id="descending priority"),
        pytest.param("a - 0\nb - 1\nc - 0", "/q", "b:q a:q c:q", id="unnamed ones have priorities too"),
        pytest.param("a x 0\nb y 0", "/z/x/y", "", id="a name counts as the first segment only"),
        pytest.param("a x 0\nb X 0", "/X/1", "b:1", id="case matters"),
        pytest.param("a x 0\nb xx 0", "/xx/x", "b:x", id="whole segments"),
        pytest.param("a x 0", "//x/y", "", id="an empty segment is a segment"),
        pytest.param("a x 0", "/x//y", "a:/y", id="slashes below are the directory's own business"),
        pytest.param(NESTED, "/a/b/c", "a:b/c au:b/c aa:c aaa:c u:a/b/c ua:b/c uu:a/b/c", id="depth first"),
        pytest.param(NESTED, "/b", "u:b uu:b", id="only the unnamed"),
    ],
)
def test_search_order(tree: str, path: str, asked: str) -> None:
    log: Asked = []
    with serving() as server:
        grow(server.root, tree, log)
        assert get(server, path).status == 404
    assert [f"{label}:{relpath}" for label, relpath in log] == asked.split()


def test_the_first_that_answers_ends_the_search() -> None:
    log: Asked = []
    with serving() as server:
        for label, answer in [("a", False), ("b", "found"), ("c", "never")]:
            made = Directory("x")
            made.set_func(asking(log, label, answer))
            server.insert(made)
        assert get(server, "/x/y").body == b"found"
    assert log == [("a", "y"), ("b", "y")]


@settings(max_examples=200, deadline=None)
@given(
    siblings=st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(-128, 127)), max_size=8),
    path=st.sampled_from(["", "a", "a/", "a/b", "b/a", "c/a"]),
)
def test_search_order_of_any_siblings(siblings: list[tuple[str, int]], path: str) -> None:
    log: Asked = []
    root = Directory()
    for number, (name, priority) in enumerate(siblings):
        made = Directory(name, priority=priority)
        made.set_func(asking(log, str(number)))
        root.insert(made)
    first, _, rest = path.partition("/")
    expected = [
        (str(number), rest if name else path)
        for number, (name, _) in sorted(enumerate(siblings), key=lambda item: -item[1][1])
        if name in ("", first)
    ]
    request = SimpleNamespace(relpath=path, running=None, forwarded=0)
    assert not root.serve(cast(Request, request), cast(Response, None), path)
    assert log == expected


def test_children_are_listed_in_the_order_in_which_they_are_asked() -> None:
    root = Directory()
    made = [Directory("a"), Directory(priority=3), Directory("b", priority=3), Directory("c", priority=-1)]
    for one in made:
        root.insert(one)
    assert root.children == [made[1], made[2], made[0], made[3]]
    root.children.clear()
    assert len(root.children) == 4


# -- what a function returns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "kind", "body"),
    [
        ("text ü", "text/html; charset=utf-8", "text ü".encode()),
        ("", "text/html; charset=utf-8", b""),
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        ({"a": [1, None], "ü": 1.5}, "application/json", '{"a":[1,null],"ü":1.5}'.encode()),
        ({1: 2}, "application/json", b'{"1":2}'),
        ({}, "application/json", b"{}"),
        ([], "application/json", b"[]"),
        ([{"n": 2**80}], "application/json", b'[{"n":%d}]' % 2**80),
    ],
)
def test_results_that_are_the_body(result: object, kind: str, body: bytes) -> None:
    with serving(lambda request, response: result) as server:
        answer = get(server, "/")
        assert (answer.status, answer["content-type"], answer.body) == (200, kind, body)
        assert answer["content-length"] == str(len(body))


@pytest.mark.parametrize("result", [None, True])
def test_results_that_say_answered(result: object) -> None:
    def function(request: Request, response: Response) -> object:
        response.status = 201
        response.write("written")
        return result

    with serving(function) as server:
        answer = get(server, "/any/path")
        assert (answer.status, answer.body) == (201, b"written")


@pytest.mark.parametrize("result", [None, True])
def test_an_empty_function_answers_with_nothing(result: object) -> None:
    with serving(lambda request, response: result) as server:
        answer = get(server, "/")
        assert (answer.status, answer["content-length"], answer.body) == (200, "0", b"")


def test_a_result_comes_behind_what_was_written_and_keeps_the_type() -> None:
    def function(request: Request, response: Response) -> str:
        response.set_content_type("text/plain")
        response.write("one ")
        return "two"

    with serving(function) as server:
        answer = get(server, "/")
        assert (answer["content-type"], answer.body) == ("text/plain", b"one two")


@pytest.mark.parametrize(
    "result",
    [0, 1, 3.5, (), (1, 2), set(), object(), bytearray(b"x"), iter(()), {"a": object()}, {"a": float}],
    ids=lambda result: type(result).__name__,
)
def test_any_other_result_is_a_500_that_names_the_directory(result: object, caplog: pytest.LogCaptureFixture) -> None:
    with serving() as server:
        above = Directory("above")
        server.insert(above)
        made = Directory("odd")
        made.set_func(lambda request, response: result)
        above.insert(made)
        answer = get(server, "/above/odd/x")
        assert answer.status == 500
        assert b"returned" not in answer.body
    (record,) = [record for record in caplog.records if record.name == "greenbas.site"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)
    if not isinstance(result, dict):  # a dict is fine, what is in it has no JSON form
        assert "/above/odd/" in str(record.exc_info[1])


def test_false_leaves_the_request_to_the_directory_itself() -> None:
    io = MemoryIo()
    with io.open("file.txt", "w") as file:
        file.write(b"a file")
    log: Asked = []
    with serving() as server:
        reader = ResourceReader(io, name="r")
        reader.set_func(asking(log, "reader"))
        child = Directory("child")
        child.set_func(asking(log, "child", "a child"))
        reader.insert(child)
        server.insert(reader)
        assert get(server, "/r/file.txt").body == b"a file"
        assert get(server, "/r/child/1").body == b"a child"
        assert get(server, "/r/missing").status == 404
    assert log == [("reader", "file.txt"), ("reader", "child/1"), ("child", "1"), ("reader", "missing")]


def test_what_a_function_that_passes_on_has_set_stays() -> None:
    def first(request: Request, response: Response) -> bool:
        response.set_header("X-First", "1")
        request.env()["seen"] = True
        return False

    with serving(first) as server:
        server.directory("x")(lambda request, response: {"seen": request.env()["seen"]})
        answer = get(server, "/x/")
        assert (answer["x-first"], answer.body) == ("1", b'{"seen":true}')


# -- with and without a slash -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "relpath"),
    [
        ("/name", ""),
        ("/name/", ""),
        ("/name?q=1", ""),
        ("/name/a", "a"),
        ("/name/a/", "a/"),
        ("/name/a/b", "a/b"),
        ("/name//", "/"),
        ("/name/./a/../b", "b"),
        ("/name/%41", "A"),
        ("/name/a%2Fb", "a/b"),
        ("/name%2Fa", "a"),
        ("/name/%252F", "%2F"),
        ("/name/gr%C3%BC%C3%9Fe", "grüße"),
        ("/name/a%20b+c", "a b+c"),
        ("/name/a;v=1", "a;v=1"),
    ],
)
def test_relpath(path: str, relpath: str) -> None:
    with serving() as server:
        server.directory("name")(lambda request, response: {"relpath": request.relpath})
        assert get(server, path).body == f'{{"relpath":"{relpath}"}}'.encode()


@pytest.mark.parametrize(
    ("name", "path"),
    [("grüße", "/gr%C3%BC%C3%9Fe/x"), ("a b", "/a%20b/x"), ("%41", "/%2541/x"), (".well-known", "/.well-known/x")],
)
def test_names_are_compared_decoded(name: str, path: str) -> None:
    with serving() as server:
        server.directory(name)(lambda request, response: request.relpath)
        assert get(server, path).body == b"x"
        assert get(server, path.replace("%", "%25") if "%" in path else "/x").status == 404


@pytest.mark.parametrize("kind", ["directory", "reader"])
@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/name", 302, "http://x/name/"),
        ("HEAD", "/name", 302, "http://x/name/"),
        ("GET", "/name?a=1&b=%20%7C", 302, "http://x/name/?a=1&b=%20%7C"),
        ("POST", "/name", 307, "http://x/name/"),
        ("PUT", "/name?q", 307, "http://x/name/?q"),
        ("GET", "/unknown", 404, None),
        ("GET", "/name/unknown", 404, None),
        ("GET", "/nam", 404, None),
    ],
)
def test_the_slash_is_added_to_what_exists(
    kind: str, method: str, path: str, status: int, location: str | None
) -> None:
    with serving() as server:
        server.insert(Directory("name") if kind == "directory" else ResourceReader(MemoryIo(), name="name"))
        answer = ask(server, f"{method} {path} HTTP/1.1\nHost: x\nContent-Length: 0\n\n")
        assert answer.status == status
        assert (answer["location"] if location else None) == location


def test_a_name_that_needs_escapes_is_escaped_in_the_location() -> None:
    with serving() as server:
        server.insert(Directory("ü %/".rstrip("/")))
        assert get(server, "/%C3%BC%20%25")["location"] == "http://x/%C3%BC%20%25/"


def test_with_a_function_there_is_no_redirect() -> None:
    with serving() as server:
        server.directory("name")(lambda request, response: f"{request.method} here")
        assert ask(server, "POST /name HTTP/1.1\nHost: x\nContent-Length: 0\n\n").body == b"POST here"


# -- the tree -----------------------------------------------------------------------------------------------------


def test_base_uri() -> None:
    server = Server()
    a, unnamed, b, c = Directory("a"), Directory(), Directory("b"), Directory("c")
    assert [server.root.base_uri(), a.base_uri(), unnamed.base_uri()] == ["/", "/", "/"]
    a.insert(unnamed)
    unnamed.insert(b)
    assert b.base_uri() == "/"  # not installed as long as the topmost is none of a server's
    server.insert(a)
    b.insert(c)
    assert [one.base_uri() for one in (a, unnamed, b, c)] == ["/a/", "/a/", "/a/b/", "/a/b/c/"]
    a.unlink()
    assert [one.base_uri() for one in (a, unnamed, b, c)] == ["/", "/", "/", "/"]


def test_insert_twice() -> None:
    root, other, made = Directory(), Directory(), Directory("x")
    root.insert(made)
    for place in (root, other):
        with pytest.raises(AlreadyInserted, match="unlink it first") as caught:
            place.insert(made)
        assert caught.value.code == "alreadyinserted"
    assert (root.children, other.children, made.parent) == ([made], [], root)
    assert made.unlink()
    other.insert(made)
    assert (root.children, other.children, made.parent) == ([], [made], other)


def test_insert_in_a_circle() -> None:
    a, b, c = Directory("a"), Directory("b"), Directory("c")
    with pytest.raises(IncorrectUse):
        a.insert(a)
    a.insert(b)
    b.insert(c)
    with pytest.raises(IncorrectUse):
        c.insert(a)
    assert (a.parent, c.children) == (None, [])


@pytest.mark.parametrize("thing", [MemoryIo(), "name", None, lambda request, response: None])
def test_insert_what_is_no_directory(thing: Any) -> None:
    with pytest.raises(TypeError, match="only directories"):
        Directory().insert(thing)
    with pytest.raises(TypeError, match="only directories"):
        ResourceReader(MemoryIo()).insert_prologue(thing)


def test_unlink() -> None:
    with serving() as server:
        made = Directory("x")
        made.set_func(lambda request, response: "here")
        assert made.unlink() is False
        server.insert(made)
        assert get(server, "/x").status == 200
        assert made.unlink() is True
        assert made.unlink() is False
        assert made.parent is None
        assert get(server, "/x").status == 404
        server.insert(made)
        assert get(server, "/x").status == 200


def test_unlink_while_requests_run() -> None:
    """Wish 28: what runs goes on, what is new is not found, and no other directory notices."""
    entered: list[str] = []
    go_on = Event()

    def stream(request: Request, response: Response) -> None:
        response.write("begin ")
        response.flush()
        entered.append(request.relpath)
        go_on.wait(10)
        response.write("end")

    with serving() as server, Client(server) as one, Client(server) as other:
        made = [Directory(name) for name in ("going", "staying")]
        for directory in made:
            directory.set_func(stream)
            server.insert(directory)
        one.send("GET /going/1 HTTP/1.1\nHost: x\n\n")
        other.send("GET /staying/2 HTTP/1.1\nHost: x\n\n")
        wait_until(lambda: len(entered) == 2)
        made[0].unlink()
        assert get(server, "/going/3").status == 404
        go_on.set()
        assert get(server, "/staying/4").status == 200
        assert one.answer().body == b"begin end"
        assert other.answer().body == b"begin end"
        assert one.ask("GET /going/5 HTTP/1.1\nHost: x\n\n").status == 404
        assert other.ask("GET /staying/6 HTTP/1.1\nHost: x\n\n").status == 200
    assert sorted(entered) == ["1", "2", "4", "6"]


def test_a_walk_goes_on_over_the_children_it_began_with() -> None:
    log: Asked = []
    with serving() as server:
        made = [Directory("x") for _ in range(4)]

        def change(request: Request, response: Response) -> bool:
            log.append(("changes", request.relpath))
            made[2].unlink()
            server.insert(Directory(priority=127))
            return False

        made[0].set_func(asking(log, "0"))
        made[1].set_func(change)
        made[2].set_func(asking(log, "2"))
        made[3].set_func(asking(log, "3"))
        for directory in made:
            server.insert(directory)
        get(server, "/x/1")
        get(server, "/x/2")
    assert [label for label, path in log if path == "1"] == ["0", "changes", "2", "3"]
    assert [label for label, path in log if path == "2"] == ["0", "changes", "3"]


@pytest.mark.parametrize("name", ["/", "a/b", "/a", "a/", ".", "..", "a\0"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValueError, match="directory name"):
        Directory(name)


@pytest.mark.parametrize("name", [5, b"x", ("x",), MemoryIo()])
def test_names_of_a_wrong_type(name: Any) -> None:
    with pytest.raises(TypeError, match="directory name"):
        Directory(name)


@pytest.mark.parametrize("priority", [-129, 128, 1000])
def test_bad_priorities(priority: int) -> None:
    with pytest.raises(ValueError, match="-128 to 127"):
        Directory(priority=priority)


@pytest.mark.parametrize(("name", "shown"), [(None, ""), ("", ""), ("x", "x"), ("...", "..."), ("ü", "ü")])
def test_good_names(name: str | None, shown: str) -> None:
    assert Directory(name).name() == shown


def test_repr() -> None:
    assert repr(Directory("x", priority=-3)) == "<Directory 'x' priority -3>"
    assert repr(create.dir()) == "<Directory '(unnamed)' priority 0>"


# -- functions ----------------------------------------------------------------------------------------------------


def one_argument(request: Request) -> None: ...


async def coroutine(request: Request, response: Response) -> None: ...


def three(request: Request, response: Response, more: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("text", "callable"),
        (Directory(), "callable"),
        (one_argument, "one_argument.*too many"),
        (three, "three.*'more'"),
        (lambda: None, "too many"),
        (coroutine, "async"),
    ],
)
def test_functions_that_cannot_be_called_are_refused_at_once(function: Any, words: str) -> None:
    made = Directory("x")
    with pytest.raises(TypeError, match=words):
        made.set_func(function)
    assert made.function is None
    with pytest.raises(TypeError, match=words):
        Server().directory("x")(function)


class Handlers:
    def method(self, request: Request, response: Response) -> str:
        return "method"

    def __call__(self, request: Request, response: Response, optional: int = 3) -> str:
        return "call"


@pytest.mark.parametrize(
    ("function", "body"),
    [
        (Handlers().method, b"method"),
        (Handlers(), b"call"),
        (functools.partial(lambda word, request, response: word, "partial"), b"partial"),
        (lambda *arguments: "all", b"all"),
        (print, b""),
    ],
    ids=["method", "object", "partial", "variadic", "builtin"],
)
def test_functions_of_every_kind(function: Any, body: bytes) -> None:
    with serving(function) as server:
        assert get(server, "/").body == body


def test_a_function_is_replaced_and_removed() -> None:
    with serving() as server:
        made = Directory("x")
        server.insert(made)
        for word in ("one", "two"):
            made.set_func(lambda request, response, word=word: word)
            assert get(server, "/x").body == word.encode()
        made.set_func()
        assert made.function is None
        assert get(server, "/x/").status == 404


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secured() -> Iterator[Server]:
    """A server with a directory that wants TLS; the client's address is a trusted proxy."""
    with serving(trusted_proxies=("127.0.0.1",)) as server:
        place = Directory("safe")
        place.redirect2tls()
        server.insert(place)
        child = Directory()
        child.set_func(lambda request, response: f"safe {request.relpath}")
        place.insert(child)
        yield server


def test_redirect2tls(secured: Server) -> None:
    answer = ask(secured, "GET /safe/a%20b?q=%31 HTTP/1.1\nHost: example.com\n\n")
    assert (answer.status, answer["location"]) == (301, "https://example.com/safe/a%20b?q=%31")
    assert answer.body == b""


def test_redirect2tls_of_the_directory_itself(secured: Server) -> None:
    answer = ask(secured, "GET /safe HTTP/1.1\nHost: example.com\n\n")
    assert (answer.status, answer["location"]) == (301, "https://example.com/safe")


@pytest.mark.parametrize("host", ["example.com:80", "example.com:9357", "[::1]:9357"])
def test_redirect2tls_does_not_guess_a_port(secured: Server, host: str) -> None:
    assert ask(secured, f"GET /safe/ HTTP/1.1\nHost: {host}\n\n").status == 403


def test_redirect2tls_of_an_ipv6_host(secured: Server) -> None:
    assert ask(secured, "GET /safe/ HTTP/1.1\nHost: [::1]\n\n")["location"] == "https://[::1]/safe/"


def test_redirect2tls_behind_a_proxy(secured: Server) -> None:
    assert get(secured, "/safe/x", "X-Forwarded-Proto: https").body == b"safe x"
    plain = get(secured, "/safe/x", "X-Forwarded-Proto: http", "X-Forwarded-Host: public.example")
    assert (plain.status, plain["location"]) == (301, "https://public.example/safe/x")


def test_redirect2tls_believes_no_stranger() -> None:
    with serving() as server:
        server.root.redirect2tls()
        assert get(server, "/", "X-Forwarded-Proto: https").status == 301


def test_redirect2tls_excludes_a_function() -> None:
    made = Directory("x")
    made.redirect2tls()
    with pytest.raises(IncorrectUse, match="Already set"):
        made.set_func(lambda request, response: None)
    with pytest.raises(IncorrectUse, match="Already set"):
        made.redirect2tls()
    made.set_func(None)  # removes it
    made.set_func(lambda request, response: None)
    with pytest.raises(IncorrectUse, match="Already set"):
        made.redirect2tls()


# -- service ------------------------------------------------------------------------------------------------------


def files(**contents: str) -> MemoryIo:
    """Files in memory; "__" in a name stands for a slash, "_" for a dot."""
    io = MemoryIo()
    for name, text in contents.items():
        path = name.replace("__", "/").replace("_", ".")
        above = path.rpartition("/")[0]
        if above and above not in io.names():
            io.mkdir(above)
        with io.open(path, "w") as file:
            file.write(text.encode())
    return io


def test_service_of_oneself_is_what_there_would_be_without_the_function() -> None:
    with serving() as server:
        reader = ResourceReader(files(a_txt="text of a", sub__b_txt="text of b"), name="r")

        def function(request: Request, response: Response) -> bool:
            response.set_header("X-Seen", request.relpath)
            return reader.service(request, request.relpath)

        reader.set_func(function)
        server.insert(reader)
        answer = get(server, "/r/a.txt")
        assert (answer["x-seen"], answer.body) == ("a.txt", b"text of a")
        assert get(server, "/r/sub/b.txt").body == b"text of b"
        missing = get(server, "/r/c.txt")
        assert (missing.status, missing["x-seen"]) == (404, "c.txt")


def test_service_of_another_directory_runs_its_function() -> None:
    with serving() as server:
        other = Directory("other")
        other.set_func(lambda request, response: f"other {request.relpath}")
        # Not installed: a directory can serve without a place of its own.
        server.directory("front")(lambda request, response: other.service(request, f"for/{request.relpath}"))
        assert get(server, "/front/1").body == b"other for/1"
        assert get(server, "/other/1").status == 404


def test_service_tells_whether_it_was_answered_and_leaves_the_request_as_it_was() -> None:
    seen: list[object] = []
    with serving() as server:
        other = Directory()
        other.set_func(lambda request, response: request.relpath == "yes")
        front = Directory("front")

        def function(request: Request, response: Response) -> bool:
            for path in ("no", "yes"):
                seen.append(other.service(request, path))
                seen.append((request.relpath, request.running is front, request.forwarded))
            return True

        front.set_func(function)
        server.insert(front)
        get(server, "/front/a/b")
    assert seen == [False, ("a/b", True, 0), True, ("a/b", True, 0)]


def test_service_that_fails_is_a_500_and_the_request_is_put_back() -> None:
    seen: list[object] = []
    with serving() as server:
        other = Directory()
        other.set_func(lambda request, response: {}["nothing"])

        def function(request: Request, response: Response) -> bool:
            try:
                return other.service(request, "x", simforward=True)
            finally:
                seen.append((request.relpath, request.forwarded))

        server.directory("front")(function)
        assert get(server, "/front/a").status == 500
    assert seen == [("a", 0)]


@pytest.mark.parametrize(
    ("path", "simforward", "body"),
    [
        (".secret.html", False, None),
        (".secret.html", True, b"hidden"),
        (".d/page.html", True, b"in a hidden directory"),
        (".d/", True, b"hidden index"),
        (".d", True, b"hidden index"),
        ("missing", True, None),
    ],
)
def test_simforward_reaches_hidden_files(path: str, simforward: bool, body: bytes | None) -> None:
    io = files(_secret_html="hidden", _d__page_html="in a hidden directory", _d__index_html="hidden index")
    with serving() as server:
        reader = ResourceReader(io)
        server.insert(reader)
        front = Directory("front", priority=1)
        front.set_func(lambda request, response: reader.service(request, path, simforward))
        server.insert(front)
        answer = get(server, "/front/x")
        assert (answer.status, answer.body if body else None) == ((200, body) if body else (404, None))
        assert get(server, f"/{path}").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PROPFIND"])
def test_simforward_sends_the_file_whatever_the_method(method: str) -> None:
    with serving() as server:
        reader = ResourceReader(files(a_html="page"))
        server.directory("front")(lambda request, response: reader.service(request, "a.html", simforward=True))
        answer = ask(server, f"{method} /front HTTP/1.1\nHost: x\nContent-Length: 0\n\n")
        assert (answer.status, answer.body) == (200, b"page")


def test_simforward_heeds_no_condition_and_no_range() -> None:
    with serving() as server:
        reader = ResourceReader(files(a_html="the whole page"))
        server.directory("front")(lambda request, response: reader.service(request, "a.html", simforward=True))
        answer = get(server, "/front", "Range: bytes=0-2", "If-None-Match: *")
        assert (answer.status, answer.body) == (200, b"the whole page")


@pytest.mark.parametrize("simforward", [False, True])
@pytest.mark.parametrize("target", ["docs", "named"])
def test_no_redirect_to_a_slash_that_leads_nowhere(target: str, simforward: bool) -> None:
    """A function that maps every path to one directory made clients add slashes for ever."""
    with serving() as server:
        place = Directory()
        place.insert(ResourceReader(files(docs__index_html="index")))
        place.insert(ResourceReader(files(index_html="index"), name="named"))
        server.directory("front")(lambda request, response: place.service(request, target, simforward))
        for path in ("/front/anything", "/front/anything/"):
            answer = get(server, path)
            assert (answer.status, answer.body) == (200, b"index")


# -- p403 ---------------------------------------------------------------------------------------------------------


class Denying(MemoryIo):
    """Files in memory, of which those that begin with "no" cannot be read."""

    def open(self, path: str, mode: str = "r") -> FileHandle:  # type: ignore[override]
        if path.rpartition("/")[2].startswith("no") and mode == "r":
            raise NoAccess(path)
        return super().open(path, mode)


def denying(server: Server) -> tuple[ResourceReader, Directory]:
    """A site: pages for 403 at the root, and files below /in/ that cannot be read."""
    server.insert(ResourceReader(files(denied_html="page one", _hidden_html="page two", sub__index_html="page three")))
    place, reader = Directory("in"), ResourceReader(Denying())
    place.insert(reader)
    server.insert(place)
    return reader, place


def test_denied_without_a_page() -> None:
    with serving() as server:
        denying(server)
        assert get(server, "/in/no.txt").status == 403


@pytest.mark.parametrize(
    ("page", "body"),
    [("/denied.html", b"page one"), ("/.hidden.html", b"page two"), ("/sub/", b"page three"), ("sub/", b"page three")],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_denied_shows_the_page(page: str, body: bytes, method: str) -> None:
    with serving() as server:
        reader, _ = denying(server)
        reader.p403(page)
        answer = ask(server, f"{method} /in/no.txt HTTP/1.1\nHost: x\nContent-Length: 0\nRange: bytes=0-1\n\n")
        assert (answer.status, answer.body) == (403, body)


def test_denied_asks_the_nearest_directory_that_has_a_page() -> None:
    with serving() as server:
        reader, place = denying(server)
        server.root.p403("/denied.html")
        assert get(server, "/in/no.txt").body == b"page one"
        place.p403("/.hidden.html")
        assert get(server, "/in/no.txt").body == b"page two"
        place.p403(None)
        assert get(server, "/in/no.txt").body == b"page one"
        assert reader.root() is server.root


@pytest.mark.parametrize("page", ["/missing.html", "/in/no.html", "/../x", "/"])
def test_denied_with_a_page_that_does_not_work_is_a_plain_403(page: str) -> None:
    with serving() as server:
        reader, _ = denying(server)
        reader.p403(page)
        answer = get(server, "/in/no.txt")
        assert answer.status == 403
        assert b"403 Forbidden" in answer.body


def test_denied_shows_the_page_of_a_function() -> None:
    with serving() as server:
        reader, _ = denying(server)
        server.directory("login")(lambda request, response: f"please log in for {request.path}")
        reader.p403("/login")
        answer = get(server, "/in/no.txt")
        assert (answer.status, answer.body) == (403, b"please log in for /in/no.txt")


def test_concurrent_requests_keep_their_own_path() -> None:
    """`relpath` belongs to the request, not to the directory."""
    gate = Event()
    entered: list[str] = []

    def function(request: Request, response: Response) -> str:
        entered.append(request.relpath)
        gate.wait(10)
        return request.relpath

    with serving() as server:
        server.directory("x")(function)
        clients = [Client(server) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(f"GET /x/{number} HTTP/1.1\nHost: x\n\n")
        wait_until(lambda: len(entered) == 20)
        gate.set()
        answers: list[Answer] = [client.answer() for client in clients]
        assert [answer.body for answer in answers] == [str(number).encode() for number in range(20)]
        for client in clients:
            client.sock.close()
