"""Resource readers: files over HTTP, the same from the disk and from memory, whatever happens to them meanwhile."""

from __future__ import annotations

import gzip
import http.client
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from leaks import held, nothing_left
from support import wait_until
from trees import OLD, Tree
from web import Answer, Client, ask, get, serving

from greenbas import Request, Response, Server, create
from greenbas.errors import AlreadyInserted, LocalProtocolError
from greenbas.io import DiskIo, MemoryIo
from greenbas.vfs import Directory, ResourceReader

TEN = b"0123456789"
LARGE = random.Random(1).randbytes(20 * 1024 * 1024)
MODIFIED, BEFORE, AFTER = (f"Sun, 13 Sep 2020 12:26:{second} GMT" for second in (40, 39, 41))


@pytest.fixture
def site(tree: Tree) -> Iterator[Server]:
    """A server whose root is a reader of the tree."""
    with serving() as server:
        server.insert(ResourceReader(tree.io))
        yield server


def one_reader(server: Server) -> ResourceReader:
    (reader,) = server.root.children
    assert isinstance(reader, ResourceReader)
    return reader


def exchange(server: Server, method: str, path: str, *headers: str) -> Answer:
    """Ask three times on one connection: what is remembered must be no different, and nothing be left over."""
    text = "\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""])
    with Client(server) as client:
        answers = [client.ask(text) for _ in range(3)]
    first = answers[0]
    for answer in answers[1:]:
        assert (answer.status, answer.body) == (first.status, unbound(first, answer))
        for name in ("etag", "last-modified", "content-length", "content-range", "vary", "cache-control"):
            assert answer.all(name) == first.all(name)
    return first


def unbound(first: Answer, other: Answer) -> bytes:
    """The first body, with the boundary of the other."""
    boundaries = [re.findall(r"boundary=(\w+)", "".join(answer.all("content-type"))) for answer in (first, other)]
    return first.body.replace(boundaries[0][0].encode(), boundaries[1][0].encode()) if boundaries[0] else first.body


def function(text: str) -> Directory:
    """An unnamed directory that answers everything with this text."""
    made = Directory()
    made.set_func(lambda request, response: text)
    return made


# -- who answers --------------------------------------------------------------------------------------------------


def test_prologue_then_files_then_children(tree: Tree, site: Server) -> None:
    tree.write("a.txt", b"file")
    reader = one_reader(site)
    child = function("child")
    reader.insert(child)
    assert get(site, "/a.txt").body == b"file"
    assert get(site, "/b.txt").body == b"child"

    log: list[str] = []

    def note(request: Request, response: Response) -> bool | str:
        log.append(request.relpath)
        return "prologue" if request.relpath == "c.txt" else False

    prologue = Directory("p")
    prologue.set_func(note)
    unnamed = Directory(priority=-1)
    unnamed.set_func(note)
    reader.insert_prologue(unnamed)
    reader.insert_prologue(prologue)
    assert reader.prologue == [prologue, unnamed]
    assert reader.children == [child]
    assert get(site, "/a.txt").body == b"file"
    assert get(site, "/c.txt").body == b"prologue"
    assert get(site, "/p/c.txt").body == b"prologue"
    assert log == ["a.txt", "c.txt", "c.txt"]
    with pytest.raises(AlreadyInserted):
        reader.insert_prologue(prologue)
    with pytest.raises(AlreadyInserted):
        reader.insert(prologue)
    assert prologue.base_uri() == "/p/"

    assert prologue.unlink()
    assert reader.prologue == [unnamed]
    assert get(site, "/p/c.txt").body == b"child"
    assert child.unlink()
    assert get(site, "/b.txt").status == 404


def test_prologue_and_children_are_not_asked_in_a_forward(tree: Tree, site: Server) -> None:
    tree.write("a.txt", b"file")
    reader = one_reader(site)
    reader.insert_prologue(function("prologue"))
    reader.insert(function("child"))
    front = Directory(priority=1)
    front.set_func(lambda request, response: reader.service(request, request.relpath, simforward=True))
    site.insert(front)
    assert get(site, "/a.txt").body == b"file"
    front.unlink()
    assert get(site, "/a.txt").body == b"prologue"


def test_several_readers_at_one_place(tree: Tree, site: Server) -> None:
    tree.write("a.txt", b"first")
    other = MemoryIo()
    for path in ("a.txt", "b.txt"):
        with other.open(path, "w") as file:
            file.write(b"second")
    site.insert(create.resrdr(other))
    assert get(site, "/a.txt").body == b"first"
    assert get(site, "/b.txt").body == b"second"
    site.insert(create.resrdr(other, priority=1))
    assert get(site, "/a.txt").body == b"second"


@pytest.mark.parametrize("base", ["", "/app"])
@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, b"html"),
        ("/old/", 200, b"htm"),
        ("/both/", 200, b"html first"),
        ("/a.txt", 200, b"text"),
        ("/deep/er/b.txt", 200, b"deep"),
        ("/with%20space.txt", 200, b"space"),
        ("/gr%C3%BC%C3%9Fe.txt", 200, b"umlaut"),
        ("/a+b%23c%3F.txt", 200, b"odd"),
        ("/100%25.txt", 200, b"percent"),
        ("//a.txt", 200, b"text"),
        ("/deep//er/./b.txt", 200, b"deep"),
        ("/deep/../a.txt", 200, b"text"),
        ("/deep/er", 302, b""),
        ("/deep/er/", 404, None),
        ("/deep/er//", 404, None),
        ("/A.txt", 404, None),
        ("/a.txt/", 404, None),
        ("/a.txt/b", 404, None),
        ("/deep/er/b.txt/index.html", 404, None),
        ("/missing", 404, None),
        ("/missing/", 404, None),
        ("/index.html/", 404, None),
        ("/" + "n" * 300, 404, None),
        ("/a.txt%0A", 404, None),
    ],
)
def test_paths(tree: Tree, base: str, path: str, status: int, body: bytes | None) -> None:
    for name, data in {
        "index.html": b"html",
        "old/index.htm": b"htm",
        "both/index.htm": b"htm second",
        "both/index.html": b"html first",
        "a.txt": b"text",
        "deep/er/b.txt": b"deep",
        "with space.txt": b"space",
        "grüße.txt": b"umlaut",
        "a+b#c?.txt": b"odd",
        "100%.txt": b"percent",
    }.items():
        tree.write(name, data)
    with serving() as server:
        server.insert(ResourceReader(tree.io, name=base.strip("/")))
        answer = exchange(server, "GET", base + path)
        assert answer.status == status
        assert body is None or answer.body == body


@pytest.mark.parametrize(
    ("method", "target", "status", "location"),
    [
        ("GET", "/sub", 302, "/sub/"),
        ("HEAD", "/sub", 302, "/sub/"),
        ("POST", "/sub", 307, "/sub/"),
        ("GET", "/sub?a=1&a=2", 302, "/sub/?a=1&a=2"),
        ("GET", "/s%20%25", 302, "/s%20%25/"),
        ("GET", "//sub", 302, "//sub/"),
        ("GET", "/sub/empty", 302, "/sub/empty/"),
        ("GET", "/.hidden", 404, None),
        ("GET", "/none", 404, None),
    ],
)
def test_directories_get_their_slash(
    tree: Tree, site: Server, method: str, target: str, status: int, location: str | None
) -> None:
    for path in ("sub/empty", "s %", ".hidden"):
        tree.mkdir(path)
    answer = ask(site, f"{method} {target} HTTP/1.1\nHost: h:80\nContent-Length: 0\n\n")
    assert answer.status == status
    assert answer.all("location") == ([f"http://h:80{location}"] if location else [])


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/%2Eenv",
        "/%2eenv",
        "/.git/config",
        "/%2egit/config",
        "/.git%2Fconfig",
        "//.env",
        "/sub/.env",
        "/sub/%2Eenv",
        "/sub//.env",
        "/sub/.d/",
        "/sub/.d",
        "/sub/.d/index.html",
        "/sub/../.env",
        "/.env.gz",
        "/sub/.d/style.css",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_hidden_files_are_never_served(tree: Tree, site: Server, path: str, method: str) -> None:
    for name in (".env", ".env.gz", ".git/config", "sub/.env", "sub/.d/index.html", "sub/.d/style.css.gz"):
        tree.write(name, b"SECRET")
    tree.write("sub/.d/style.css", b"SECRET")
    answer = exchange(site, method, path, "Accept-Encoding: gzip", "Content-Length: 0")
    assert answer.status == 404
    assert b"SECRET" not in answer.body


def test_hidden_paths_may_be_answered_by_directories(tree: Tree, site: Server) -> None:
    child = Directory(".well-known")
    child.set_func(lambda request, response: f"child {request.relpath}")
    one_reader(site).insert(child)
    tree.write(".well-known/x", b"SECRET")
    assert get(site, "/.well-known/x").body == b"child x"


# -- methods and headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 32767, 32768, 32769, 65535, 65536, 65537, 300_000])
def test_sizes(tree: Tree, site: Server, size: int) -> None:
    """The output buffer ends at 32 KiB and the short way at 64: no size may be chunked or lose its length."""
    tree.write("f.bin", LARGE[:size])
    answer = exchange(site, "GET", "/f.bin")
    assert (answer.status, answer["content-length"], answer.body) == (200, str(size), LARGE[:size])
    head = exchange(site, "HEAD", "/f.bin")
    assert head.body == b""
    assert without_date(head) == without_date(answer)


def without_date(answer: Answer) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in answer.headers if name.lower() != "date")


def test_headers_of_a_file(tree: Tree, site: Server) -> None:
    tree.write("a.txt", TEN)
    answer = exchange(site, "GET", "/a.txt")
    assert without_date(answer) == [
        ("accept-ranges", "bytes"),
        ("content-length", "10"),
        ("content-type", "text/plain; charset=utf-8"),
        ("etag", f'"{OLD:x}-a"'),
        ("last-modified", MODIFIED),
        ("server", "greenbas"),
    ]


@pytest.mark.parametrize(
    ("method", "status", "allow"),
    [
        ("GET", 200, None),
        ("HEAD", 200, None),
        ("OPTIONS", 200, "OPTIONS, GET, HEAD"),
        ("POST", 405, "OPTIONS, GET, HEAD"),
        ("PUT", 405, "OPTIONS, GET, HEAD"),
        ("DELETE", 405, "OPTIONS, GET, HEAD"),
        ("PROPFIND", 405, "OPTIONS, GET, HEAD"),
    ],
)
@pytest.mark.parametrize("path", ["/a.txt", "/"])
def test_methods(tree: Tree, site: Server, method: str, status: int, allow: str | None, path: str) -> None:
    tree.write("a.txt", TEN)
    tree.write("index.html", TEN)
    answer = exchange(site, method, path, "Content-Length: 0")
    assert answer.status == status
    assert answer.all("allow") == ([allow] if allow else [])
    assert answer.body == (TEN if method == "GET" else b"") or status == 405


def test_other_methods_of_what_is_no_file_go_to_the_children(tree: Tree, site: Server) -> None:
    tree.write("a.txt", TEN)
    child = Directory("api")
    child.set_func(lambda request, response: request.body())
    one_reader(site).insert(child)
    assert ask(site, "POST /api/x HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi").body == b"hi"
    assert ask(site, "POST /none HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi").status == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.HTML", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.css.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_content_types(tree: Tree, site: Server, name: str, kind: str) -> None:
    tree.write(name, TEN)
    answer = exchange(site, "GET", f"/{name}", "Accept-Encoding: gzip")
    assert answer["content-type"] == kind
    assert "content-encoding" not in answer


def test_an_empty_file_has_a_type_too(tree: Tree, site: Server) -> None:
    tree.write("a.txt", b"")
    answer = exchange(site, "GET", "/a.txt")
    assert (answer.status, answer["content-length"], answer.body) == (200, "0", b"")
    assert answer["content-type"] == "text/plain; charset=utf-8"


def test_extra_headers_and_max_age(tree: Tree, site: Server) -> None:
    tree.write("a.txt", TEN)
    reader = one_reader(site)
    reader.header({"X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'self'"})
    reader.set_max_age(3600)
    for headers in ((), ("Range: bytes=0-1",), (f'If-None-Match: "{OLD:x}-a"',)):
        answer = exchange(site, "GET", "/a.txt", *headers)
        assert (answer["x-frame-options"], answer["cache-control"]) == ("DENY", "max-age=3600")
        assert answer["content-security-policy"] == "default-src 'self'"
    missing = get(site, "/b.txt")
    assert (missing.all("x-frame-options"), missing["cache-control"]) == (
        [],
        "no-store, no-cache, must-revalidate, max-age=0",
    )
    reader.header({"X-Other": "1"})
    reader.set_max_age(0)
    answer = get(site, "/a.txt")
    assert (answer.all("x-frame-options"), answer["x-other"], answer["cache-control"]) == ([], "1", "max-age=0")
    reader.header({})
    reader.set_max_age(None)
    answer = get(site, "/a.txt")
    assert ("x-other" in answer, "cache-control" in answer) == (False, False)


def test_an_error_is_not_cached_as_long_as_the_file(tree: Tree, site: Server) -> None:
    tree.write("a.txt", TEN)
    one_reader(site).set_max_age(3600)
    for headers in (('If-Match: "other"',), ("Range: bytes=99-",)):
        assert "no-store" in exchange(site, "GET", "/a.txt", *headers)["cache-control"]


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nb"}, {"X": "a\nb"}, {"X": "\0"}, {"X y": "1"}, {"": "1"}, {"X": "ü" * 3 + "€"}]
)
def test_bad_extra_headers_are_refused_at_once(headers: dict[str, str]) -> None:
    reader = ResourceReader(MemoryIo())
    with pytest.raises(LocalProtocolError):
        reader.header(headers)


def test_a_negative_max_age_is_refused() -> None:
    with pytest.raises(ValueError, match="max-age -1"):
        ResourceReader(MemoryIo()).set_max_age(-1)


def test_last_modified_is_never_in_the_future(tree: Tree, site: Server) -> None:
    """RFC 9110 8.8.2.1"""
    tree.write("a.txt", TEN, time.time_ns() + 3600 * 10**9)
    answer = exchange(site, "GET", "/a.txt")
    seconds = [http_seconds(answer[name]) for name in ("last-modified", "date")]
    assert seconds[0] <= seconds[1] + 1  # the date is taken once a second


def http_seconds(text: str) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(text).timestamp()


def test_a_file_older_than_time_itself(tree: Tree, site: Server) -> None:
    tree.write("a.txt", TEN, -1_500_000_000)
    answer = exchange(site, "GET", "/a.txt")
    assert answer["last-modified"] == "Wed, 31 Dec 1969 23:59:58 GMT"
    assert exchange(site, "GET", "/a.txt", f"If-None-Match: {answer['etag']}").status == 304


# -- conditions ---------------------------------------------------------------------------------------------------

ETAG = f'"{OLD:x}-a"'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([f"If-None-Match: {ETAG}"], 304),
        ([f"If-None-Match: W/{ETAG}"], 304),
        ([f'If-None-Match: "other", {ETAG}'], 304),
        (["If-None-Match: *"], 304),
        (['If-None-Match: "other"'], 200),
        ([f"If-None-Match: {ETAG[1:-1]}"], 200),
        ([f"If-Modified-Since: {MODIFIED}"], 304),
        ([f"If-Modified-Since: {AFTER}"], 304),
        ([f"If-Modified-Since: {BEFORE}"], 200),
        (["If-Modified-Since: nonsense"], 200),
        (['If-None-Match: "other"', f"If-Modified-Since: {AFTER}"], 200),
        ([f"If-None-Match: {ETAG}", f"If-Modified-Since: {BEFORE}"], 304),
        ([f"If-Match: {ETAG}"], 200),
        (["If-Match: *"], 200),
        (['If-Match: "other"'], 412),
        ([f"If-Match: W/{ETAG}"], 412),
        ([f"If-Unmodified-Since: {MODIFIED}"], 200),
        ([f"If-Unmodified-Since: {BEFORE}"], 412),
        ([f"If-Match: {ETAG}", f"If-Unmodified-Since: {BEFORE}"], 200),
        ([f"If-Match: {ETAG}", f"If-None-Match: {ETAG}"], 304),
        (['If-Match: "other"', f"If-None-Match: {ETAG}"], 412),
        (["Range: bytes=0-1", f"If-None-Match: {ETAG}"], 304),
        (["Range: bytes=0-1", 'If-Match: "other"'], 412),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(tree: Tree, site: Server, headers: list[str], status: int, method: str) -> None:
    tree.write("a.txt", TEN)
    one_reader(site).set_max_age(60)
    answer = exchange(site, method, "/a.txt", *headers)
    assert answer.status == status
    if status == 304:  # RFC 9110 15.4.5: what a cache needs, and nothing about a body
        assert (answer["etag"], answer["cache-control"]) == (ETAG, "max-age=60")
        assert [name for name in answer.headers if name[0].lower().startswith("content-")] == []
    if status == 200:
        assert answer.body == (TEN if method == "GET" else b"")


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_conditions_of_other_methods(tree: Tree, site: Server, method: str) -> None:
    tree.write("a.txt", TEN)
    answer = exchange(site, method, "/a.txt", f"If-None-Match: {ETAG}", "Content-Length: 0")
    assert answer.status == (405 if method == "POST" else 200)


def test_a_changed_file_has_another_etag(tree: Tree, site: Server) -> None:
    tags = set()
    for data, mtime_ns in ((b"one", OLD), (b"two", OLD + 1), (b"three", OLD + 1)):
        tree.write("a.txt", data, mtime_ns)
        answer = exchange(site, "GET", "/a.txt")
        assert answer.body == data
        tags.add(answer["etag"])
    assert len(tags) == 3


# -- ranges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "part", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=0-9", TEN, "bytes 0-9/10"),
        ("bytes=5-", b"56789", "bytes 5-9/10"),
        ("bytes=0-", TEN, "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", TEN, "bytes 0-9/10"),
        ("bytes=9-", b"9", "bytes 9-9/10"),
        ("BYTES=1-1", b"1", "bytes 1-1/10"),
        ("bytes=0-1,1-3", b"0123", "bytes 0-3/10"),
        ("bytes=3-4,99-", b"34", "bytes 3-4/10"),
        ("bytes= , 1-2", b"12", "bytes 1-2/10"),
    ],
)
def test_one_range(tree: Tree, site: Server, wanted: str, part: bytes, content_range: str) -> None:
    tree.write("a.txt", TEN)
    answer = exchange(site, "GET", "/a.txt", f"Range: {wanted}")
    assert (answer.status, answer.body, answer["content-range"]) == (206, part, content_range)
    assert (answer["content-length"], answer["etag"]) == (str(len(part)), ETAG)
    assert answer["content-type"] == "text/plain; charset=utf-8"
    assert (answer["accept-ranges"], answer["last-modified"]) == ("bytes", MODIFIED)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=99-100", "bytes=-0", "bytes=10-20,30-"])
def test_ranges_that_are_not_there(tree: Tree, site: Server, wanted: str) -> None:
    tree.write("a.txt", TEN)
    answer = exchange(site, "GET", "/a.txt", f"Range: {wanted}")
    assert (answer.status, answer["content-range"]) == (416, "bytes */10")


@pytest.mark.parametrize(
    "wanted",
    ["lines=0-1", "bytes=a-b", "bytes=5-2", "bytes", "bytes=", "bytes=-", "0-1", "bytes=0-9,0-9", "bytes=1 -2"],
)
def test_ranges_that_are_ignored(tree: Tree, site: Server, wanted: str) -> None:
    tree.write("a.txt", TEN)
    answer = exchange(site, "GET", "/a.txt", f"Range: {wanted}")
    assert (answer.status, answer.body, "content-range" in answer) == (200, TEN, False)


def test_ranges_are_for_get(tree: Tree, site: Server) -> None:
    """RFC 9110 14.2"""
    tree.write("a.txt", TEN)
    answer = exchange(site, "HEAD", "/a.txt", "Range: bytes=0-1")
    assert (answer.status, answer["content-length"]) == (200, "10")


def test_a_range_of_nothing(tree: Tree, site: Server) -> None:
    tree.write("a.txt", b"")
    answer = exchange(site, "GET", "/a.txt", "Range: bytes=0-")
    assert (answer.status, answer.body) == (200, b"")


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart/byteranges body."""
    found = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", answer["content-type"])
    assert found
    first, *middle, last = answer.body.split(f"--{found[1]}".encode())
    assert (first.strip(), last) == (b"", b"--\r\n")
    parts = []
    for piece in middle:
        head, _, data = piece.partition(b"\r\n\r\n")
        assert data.endswith(b"\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        assert fields.pop("Content-Type") == "application/octet-stream"
        parts.append((fields.pop("Content-Range"), data[:-2]))
        assert fields == {}
    return parts


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize(
    ("wanted", "slices"),
    [
        ("bytes=0-1,4-5", [(0, 2), (4, 6)]),
        ("bytes=4-5,0-1", [(4, 6), (0, 2)]),
        ("bytes=0-0,-1", [(0, 1), (-1, None)]),
        ("bytes=0-0,2-2,4-4,99999999-", [(0, 1), (2, 3), (4, 5)]),
        ("bytes=0-1,6-", [(0, 2), (6, None)]),
    ],
)
def test_several_ranges(tree: Tree, site: Server, wanted: str, slices: list[tuple[int, int | None]], size: int) -> None:
    data = LARGE[:size]
    tree.write("a.bin", data)
    answer = exchange(site, "GET", "/a.bin", f"Range: {wanted}")
    assert answer.status == 206
    assert answer["content-length"] == str(len(answer.body))
    expected = []
    for start, stop in slices:
        first, last = range(size)[start], range(size)[start:stop][-1]
        expected.append((f"bytes {first}-{last}/{size}", data[start:stop]))
    assert parts_of(answer) == expected


@pytest.mark.parametrize(
    ("guard", "status"),
    [
        (ETAG, 206),
        (f"W/{ETAG}", 200),
        ('"other"', 200),
        (MODIFIED, 206),
        (BEFORE, 200),
        (AFTER, 200),
        ("nonsense", 200),
    ],
)
def test_if_range(tree: Tree, site: Server, guard: str, status: int) -> None:
    tree.write("a.txt", TEN)
    answer = exchange(site, "GET", "/a.txt", "Range: bytes=0-1", f"If-Range: {guard}")
    assert (answer.status, answer.body) == ((206, b"01") if status == 206 else (200, TEN))


# -- compressed siblings ------------------------------------------------------------------------------------------

PAGE = b"<p>" + b"page " * 1000
PACKED = gzip.compress(PAGE, mtime=0)


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip; Q=0.000", False),
        ("identity", False),
        ("br", False),
        ("", False),
        ("notgzip", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_packed_sibling(tree: Tree, site: Server, accept: str | None, packed: bool, method: str) -> None:
    tree.write("a.html", PAGE)
    tree.write("a.html.gz", PACKED)
    answer = exchange(site, method, "/a.html", *([] if accept is None else [f"Accept-Encoding: {accept}"]))
    assert (answer.status, answer["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer["vary"] == "Accept-Encoding"  # whichever it is: caches have to know
    assert answer.all("content-encoding") == (["gzip"] if packed else [])
    assert answer["content-length"] == str(len(PACKED if packed else PAGE))
    if method == "GET":
        assert answer.body == (PACKED if packed else PAGE)


@pytest.mark.parametrize("order", [["/a.css", "/a.css.gz"], ["/a.css.gz", "/a.css"]])
def test_a_packed_file_by_its_own_name_is_another_thing(tree: Tree, site: Server, order: list[str]) -> None:
    """Remembered under one path, it had the type of whichever was asked for first."""
    tree.write("a.css", PAGE)
    tree.write("a.css.gz", PACKED)
    for path in order * 2:
        answer = get(site, path, "Accept-Encoding: gzip")
        kind = "text/css; charset=utf-8" if path == "/a.css" else "application/gzip"
        assert (answer["content-type"], answer.body) == (kind, PACKED)
        assert answer.all("content-encoding") == (["gzip"] if path == "/a.css" else [])


def test_both_forms_have_their_own_etag(tree: Tree, site: Server) -> None:
    """RFC 9110 8.8.3.3; gzip keeps the time of the file, and a small one may keep its size."""
    tree.write("a.txt", b"x" * 25)
    tree.write("a.txt.gz", b"y" * 25)
    plain, packed = (exchange(site, "GET", "/a.txt", f"Accept-Encoding: {coding}") for coding in ("br", "gzip"))
    assert (plain.body, packed.body) == (b"x" * 25, b"y" * 25)
    assert plain["etag"] != packed["etag"]
    for answer, coding in ((plain, "br"), (packed, "gzip")):
        again = exchange(site, "GET", "/a.txt", f"Accept-Encoding: {coding}", f"If-None-Match: {answer['etag']}")
        assert (again.status, again["etag"], again["vary"]) == (304, answer["etag"], "Accept-Encoding")
        assert "content-encoding" not in again


def test_an_error_page_is_not_packed(tree: Tree, site: Server) -> None:
    tree.write("a.html", PAGE)
    tree.write("a.html.gz", PACKED)
    answer = exchange(site, "GET", "/a.html", "Accept-Encoding: gzip", 'If-Match: "other"')
    assert (answer.status, "content-encoding" in answer) == (412, False)
    assert b"412" in answer.body


@pytest.mark.parametrize("later", [1, 0, -1])
def test_a_stale_sibling_is_not_used(tree: Tree, site: Server, later: int) -> None:
    tree.write("a.html", PAGE)
    tree.write("a.html.gz", PACKED, OLD + later)
    answer = exchange(site, "GET", "/a.html", "Accept-Encoding: gzip")
    assert ("content-encoding" in answer) == ("vary" in answer) == (later >= 0)
    assert answer.body == (PACKED if later >= 0 else PAGE)


def test_a_sibling_that_comes_and_goes(tree: Tree, site: Server) -> None:
    tree.write("a.html", PAGE)
    for _ in range(2):
        assert "vary" not in exchange(site, "GET", "/a.html", "Accept-Encoding: gzip")
        tree.write("a.html.gz", PACKED)
        assert exchange(site, "GET", "/a.html", "Accept-Encoding: gzip").body == PACKED
        tree.write("a.html", PAGE + b"new", OLD + 1)
        assert exchange(site, "GET", "/a.html", "Accept-Encoding: gzip").body == PAGE + b"new"
        tree.write("a.html", PAGE)
        tree.io.remove("a.html.gz")


def test_a_range_is_one_of_the_plain_file(tree: Tree, site: Server) -> None:
    tree.write("a.html", PAGE)
    tree.write("a.html.gz", PACKED)
    answer = exchange(site, "GET", "/a.html", "Accept-Encoding: gzip", "Range: bytes=0-2")
    assert (answer.status, answer.body, "content-encoding" in answer) == (206, b"<p>", False)
    assert answer["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("name", ["a.png", "a.zip", "a.gz", "a.bin"])
def test_what_is_compressed_already_has_no_sibling(tree: Tree, site: Server, name: str) -> None:
    tree.write(name, b"plain")
    tree.write(f"{name}.gz", b"packed")
    assert exchange(site, "GET", f"/{name}", "Accept-Encoding: gzip").body == b"plain"


def test_a_sibling_alone_is_not_the_file(tree: Tree, site: Server) -> None:
    tree.write("a.html.gz", PACKED)
    assert exchange(site, "GET", "/a.html", "Accept-Encoding: gzip").status == 404


def test_a_directory_is_no_sibling(tree: Tree, site: Server) -> None:
    tree.write("a.html", PAGE)
    tree.mkdir("a.html.gz")
    assert exchange(site, "GET", "/a.html", "Accept-Encoding: gzip").body == PAGE


# -- large files, slow readers, files that change -----------------------------------------------------------------


def download(server: Server, path: str, **headers: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.listeners[0].port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_large_file(tree: Tree, site: Server) -> None:
    tree.write("large.bin", LARGE)
    assert download(site, "/large.bin") == LARGE
    assert download(site, "/large.bin", Range="bytes=1000003-19000001") == LARGE[1000003:19000002]
    with Client(site) as client:  # and the connection goes on
        assert client.ask("HEAD /large.bin HTTP/1.1\nHost: x\n\n")["content-length"] == str(len(LARGE))
        for _ in range(2):
            answer = client.ask("GET /large.bin HTTP/1.1\nHost: x\nRange: bytes=-100000\n\n")
            assert answer.body == LARGE[-100000:]


class Slow:
    """A client that has asked for a file and reads only when told; its window is small."""

    def __init__(self, server: Server, path: str) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", server.listeners[0].port))
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.sock.recv(1)
        self.head = head.decode("latin-1").lower()

    def __enter__(self) -> Slow:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def read(self, size: int) -> bytes:
        """So many bytes of the body; fewer when the connection ends."""
        data = bytearray()
        while len(data) < size and (piece := self.sock.recv(min(1 << 20, size - len(data)))):
            data += piece
        return bytes(data)


def test_slow_readers_hold_up_nobody(tree: Tree) -> None:
    """Wish 17: each has one greenlet, and all that others notice is nothing."""
    tree.write("large.bin", LARGE)
    tree.write("small.txt", TEN)
    with serving() as server:
        server.insert(ResourceReader(tree.io))
        slow = [Slow(server, "/large.bin") for _ in range(5)]
        wait_until(lambda: len(server.service.workers.busy) == 5)
        start = time.monotonic()
        with Client(server) as client:
            for _ in range(100):
                assert client.ask("GET /small.txt HTTP/1.1\nHost: x\n\n").body == TEN
        assert time.monotonic() - start < 2
        assert len(server.service.workers.busy) == 5
        assert [one.read(1000) for one in slow] == [LARGE[:1000]] * 5
        for one in slow:
            one.sock.close()


def test_slow_readers_take_no_worker_from_handlers(tree: Tree) -> None:
    tree.write("large.bin", LARGE)
    with serving(max_workers=1, queue_length=1) as server:
        server.insert(ResourceReader(tree.io))
        server.directory("f")(lambda request, response: "handled")
        slow = [Slow(server, "/large.bin") for _ in range(3)]
        assert get(server, "/f").body == b"handled"
        for one in slow:
            one.sock.close()


def test_a_slow_reader_gets_everything_in_the_end(tree: Tree, site: Server) -> None:
    tree.write("large.bin", LARGE)
    with Slow(site, "/large.bin") as slow:
        assert slow.read(len(LARGE)) == LARGE


def test_a_reader_that_takes_nothing_is_cut_off(tree: Tree) -> None:
    tree.write("large.bin", LARGE)
    with serving(write_timeout=0.2) as server:
        server.insert(ResourceReader(tree.io))
        with Slow(server, "/large.bin"):
            wait_until(lambda: len(server.service.workers.busy) == 1)
            wait_until(lambda: not server.service.workers.busy and not len(server.service.table))


def test_a_reader_that_goes_away(tree: Tree) -> None:
    tree.write("large.bin", LARGE)
    with serving() as server:
        server.insert(ResourceReader(tree.io))
        before = held().descriptors
        for _ in range(3):
            with Slow(server, "/large.bin") as slow:
                slow.read(100_000)
        wait_until(lambda: not server.service.workers.busy and not len(server.service.table))
        wait_until(lambda: held().descriptors <= before)


def remove(tree: Tree) -> None:
    tree.io.remove("large.bin")


def replace(tree: Tree) -> None:
    tree.write("new.bin", b"new" * 1000)
    tree.io.rename("new.bin", "large.bin")


@pytest.mark.parametrize("change", [remove, replace])
def test_a_file_that_loses_its_name_while_it_is_sent_is_sent_to_its_end(
    tree: Tree, site: Server, change: Callable[[Tree], None]
) -> None:
    tree.write("large.bin", LARGE)
    with Slow(site, "/large.bin") as slow:
        assert f"content-length: {len(LARGE)}\r\n" in slow.head
        change(tree)
        assert slow.read(len(LARGE)) == LARGE
    answer = get(site, "/large.bin")
    assert answer.body == b"new" * 1000 if change is replace else answer.status == 404


def test_a_file_that_grows_while_it_is_sent(tree: Tree, site: Server) -> None:
    tree.write("large.bin", LARGE)
    with Slow(site, "/large.bin") as slow:
        with tree.io.open("large.bin", "a") as file:
            file.write(b"more")
        assert slow.read(len(LARGE)) == LARGE
        slow.sock.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.read(12) == b"HTTP/1.1 404"


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(tree: Tree, site: Server) -> None:
    """The client was promised more: nothing but the end of the connection may follow."""
    tree.write("large.bin", LARGE)
    with Slow(site, "/large.bin") as slow:
        tree.write("large.bin", b"short")
        data = slow.read(len(LARGE))
        assert 0 < len(data) < len(LARGE)
        assert slow.sock.recv(1) == b""
        assert LARGE.startswith(data)
    assert get(site, "/large.bin").body == b"short"


def test_several_ranges_of_a_file_that_shrinks(tree: Tree, site: Server) -> None:
    tree.write("large.bin", LARGE)
    port = site.listeners[0].port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/large.bin", headers={"Range": "bytes=0-9000000,10000000-19999999"})
    response = connection.getresponse()
    tree.write("large.bin", b"short")
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()


def test_concurrent_downloads(tree: Tree) -> None:
    import gevent

    tree.write("large.bin", LARGE)
    tree.write("small.bin", LARGE[:5000])
    with serving() as server:
        server.insert(ResourceReader(tree.io))
        jobs = [gevent.spawn(download, server, f"/{'small' if n % 3 else 'large'}.bin") for n in range(12)]
        gevent.joinall(jobs, timeout=30)
        assert [len(job.value) for job in jobs] == [5000 if n % 3 else len(LARGE) for n in range(12)]
        assert all(LARGE.startswith(job.value) for job in jobs)


# -- what the disk has and memory has not -------------------------------------------------------------------------


@pytest.fixture
def disk_site(disk: Tree) -> Iterator[Server]:
    with serving() as server:
        server.insert(ResourceReader(disk.io))
        yield server


def special(disk: Tree, name: str) -> Path:
    assert disk.root is not None
    return disk.root / name


@pytest.mark.parametrize("path", ["/pipe.txt", "/dir/index.html", "/dir/"])
def test_a_fifo_does_not_hang(disk: Tree, disk_site: Server, path: str) -> None:
    disk.mkdir("dir")
    os.mkfifo(special(disk, "pipe.txt"))
    os.mkfifo(special(disk, "dir/index.html"))
    start = time.monotonic()
    assert get(disk_site, path).status == 403
    assert time.monotonic() - start < 1


def test_a_fifo_as_packed_sibling_does_not_hang(disk: Tree, disk_site: Server) -> None:
    disk.write("a.html", PAGE)
    os.mkfifo(special(disk, "a.html.gz"))
    assert get(disk_site, "/a.html", "Accept-Encoding: gzip").body == PAGE


def test_a_device_is_denied(disk: Tree) -> None:
    with serving() as server:
        server.insert(ResourceReader(DiskIo("/dev")))
        for name in ("zero", "null", "tty"):
            assert get(server, f"/{name}").status == 403


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_denied(disk: Tree, disk_site: Server) -> None:
    disk.write("a.txt", TEN)
    disk.write("403.html", b"no")
    assert get(disk_site, "/a.txt").status == 200
    special(disk, "a.txt").chmod(0)
    assert get(disk_site, "/a.txt").status == 403
    one_reader(disk_site).p403("/403.html")
    answer = get(disk_site, "/a.txt")
    assert (answer.status, answer.body) == (403, b"no")


@pytest.mark.parametrize(
    ("link", "target", "path", "body"),
    [
        ("l.txt", "a.txt", "/l.txt", TEN),
        ("l.txt", "../www/a.txt", "/l.txt", TEN),
        ("l", "sub", "/l/b.txt", b"b"),
        ("l", "sub", "/l/", b"index"),
        ("l", ".", "/l/l/l/a.txt", TEN),
        ("l.txt", "../outside.txt", "/l.txt", None),
        ("l.txt", "{base}/outside.txt", "/l.txt", None),
        ("l.txt", "/etc/passwd", "/l.txt", None),
        ("l", "..", "/l/outside.txt", None),
        ("l", "/", "/l/etc/passwd", None),
        ("l", "../www-secret", "/l/s.txt", None),
        ("l", "../www-secret", "/l", None),
        ("l.txt", "missing", "/l.txt", None),
        ("l.txt", "l.txt", "/l.txt", None),
        ("index.html", "../outside.txt", "/", None),
    ],
)
def test_symbolic_links(
    disk: Tree, disk_site: Server, tmp_path: Path, link: str, target: str, path: str, body: bytes | None
) -> None:
    disk.write("a.txt", TEN)
    disk.write("sub/b.txt", b"b")
    disk.write("sub/index.html", b"index")
    (tmp_path / "outside.txt").write_bytes(b"SECRET")
    (tmp_path / "www-secret").mkdir()
    (tmp_path / "www-secret" / "s.txt").write_bytes(b"SECRET")
    special(disk, link).symlink_to(target.format(base=tmp_path))
    answer = exchange(disk_site, "GET", path)
    assert (answer.status, answer.body if body else None) == ((200, body) if body else (404, None))
    assert b"SECRET" not in answer.body


def test_a_link_out_as_packed_sibling(disk: Tree, disk_site: Server, tmp_path: Path) -> None:
    disk.write("a.html", PAGE)
    (tmp_path / "outside.gz").write_bytes(b"SECRET")
    special(disk, "a.html.gz").symlink_to(tmp_path / "outside.gz")
    assert exchange(disk_site, "GET", "/a.html", "Accept-Encoding: gzip").body == PAGE


def test_a_remembered_file_that_becomes_a_link_out(tree: Tree, tmp_path: Path) -> None:
    if tree.root is None:
        pytest.skip("there are no links in memory")
    tree.write("a.txt", TEN)
    (tmp_path / "outside.txt").write_bytes(b"SECRET")
    with serving() as server:
        server.insert(ResourceReader(tree.io))
        assert exchange(server, "GET", "/a.txt").body == TEN
        (tree.root / "a.txt").unlink()
        (tree.root / "a.txt").symlink_to(tmp_path / "outside.txt")
        assert exchange(server, "GET", "/a.txt").status == 404


def test_the_disk_failing_is_a_500(disk: Tree, disk_site: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise OSError(5, "Input/output error", "/srv/very/secret/path")

    disk.write("a.txt", TEN)
    monkeypatch.setattr(os, "preadv", fail)
    answer = get(disk_site, "/a.txt")
    monkeypatch.undo()
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert get(disk_site, "/a.txt").body == TEN


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/a.html", []),
        ("HEAD", "/a.html", []),
        ("POST", "/a.html", ["Content-Length: 0"]),
        ("GET", "/a.html", ["Accept-Encoding: gzip"]),
        ("GET", "/a.html", ["Accept-Encoding: br"]),
        ("GET", "/a.html", ['If-Match: "x"']),
        ("GET", "/a.html", ["If-None-Match: *"]),
        ("GET", "/a.html", ["Range: bytes=0-1,3-4"]),
        ("GET", "/stale.html", ["Accept-Encoding: gzip"]),
        ("GET", "/large.bin", []),
        ("GET", "/large.bin", ["Range: bytes=99999999-"]),
        ("GET", "/pipe", []),
        ("GET", "/dir", []),
        ("GET", "/missing", []),
    ],
)
def test_no_descriptor_is_left(disk: Tree, disk_site: Server, method: str, path: str, headers: list[str]) -> None:
    disk.write("a.html", PAGE)
    disk.write("a.html.gz", PACKED)
    disk.write("stale.html", PAGE)
    disk.write("stale.html.gz", PACKED, OLD - 1)
    disk.write("large.bin", LARGE[:300_000])
    disk.mkdir("dir")
    os.mkfifo(special(disk, "pipe"))
    with Client(disk_site) as client:
        text = "\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""])
        client.ask(text)
        with nothing_left():
            for _ in range(3):
                client.ask(text)


# -- files that are private ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endings", "path", "status"),
    [
        ((), "/a.py", 200),
        ((".py", ".key"), "/a.py", 404),
        ((".py", ".key"), "/sub/b.KEY", 404),
        ((".PY",), "/a.py", 404),
        ((".py",), "/a.py/", 404),
        ((".py",), "/a.pyx", 200),
        ((".key",), "/a.py", 200),
    ],
)
def test_private_files_are_not_there(endings: tuple[str, ...], path: str, status: int) -> None:
    memory = Tree(None)
    for name in ("a.py", "a.pyx", "sub/b.KEY"):
        memory.write(name, b"secret")
    reader = ResourceReader(memory.io)
    assert reader.private is None
    reader.set_private(*endings)
    with serving() as server:
        server.insert(reader)
        assert get(server, path).status == status


@pytest.mark.parametrize(("ending", "kind"), [("", ValueError), ("a/b", ValueError), (5, TypeError)])
def test_endings_that_are_none(ending: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="set_private"):
        ResourceReader(Tree(None).io).set_private(ending)
