"""Arguments of a wrong type: the answer names the argument, its value, and the remedy, instead of Python's inside."""

from __future__ import annotations

from typing import Any

import pytest
from web import ask, serving

from greenbas import Request, Response, Server
from greenbas.dispatcher import Timer
from greenbas.io import MemoryIo
from greenbas.protocol.arguments import need_number, need_text
from greenbas.vfs import Directory, DomainReader, ResourceReader

PATH = "is text, not 5: give the path of a page or directory, such as '/menu.psp'"
SECONDS = "timer: the interval is a number, not 'a': give seconds, such as 0.5"
CALLS = [
    ("response.include(5)", f"include: the path {PATH}"),
    ("response.forward(5)", f"forward, redirect: the path {PATH}"),
    ("response.redirect(5)", f"forward, redirect: the path {PATH}"),
    ("response.headers.update({'X': 5})", "the value of header X is text, not 5: write '5'"),
    ("response.headers.update({5: 'x'})", "the name of a header is text, not 5: write '5'"),
    ("response.set_header('X', b'x')", "the value of header X is text, not b'x': decode it first"),
    ("response.set_header('Content-Length', 5)", "the value of header Content-Length is text, not 5: write '5'"),
    ("response.add_header('X', None)", "the value of header X is text, not None: give its text, or do not add it"),
    ("response.contains_header(5)", "contains_header: the name is text, not 5: write '5'"),
    ("response.set_content_type(5)", "the value of header Content-Type is text, not 5: write '5'"),
    ("response.send_error('404')", "send_error: the status is a whole number, not '404': write 404 without the quotes"),
    ("response.send_error(404, 5)", "send_error(404): the message is text, not 5: write '5'"),
    ("response.set_status('404')", "status '404': use a number from 200 to 999"),
    ("response.set_status(200, 5)", "set_status: the reason is text, not 5: write '5'"),
    (
        "response.set_date_header('X', 'now')",
        "set_date_header: the time for X is a number, not 'now': give unix seconds, such as time.time() or "
        "datetime.timestamp()",
    ),
    ("response.set_max_age(None)", "max-age is a number, not None: give seconds"),
    ("response.create_cookie(5)", "create_cookie: the name is text, not 5: write '5'"),
    ("response.set_basic(5)", "set_basic: the realm is text, not 5: write '5'"),
    ("response.set_digest(None)", "set_digest: the realm is text, not None"),
    ("response.encode_url(5)", "encode_url: the path is text, not 5: write '5'"),
    ("response.encode_redirect_url(5)", "encode_redirect_url: the URL is text, not 5: write '5'"),
    ("response.reset('x')", "reset('x'): use 'all', 'headers' or 'buffer'"),
    ("request.header(5)", "header: the name is text, not 5: write '5'"),
    ("request.data(5)", "data: the name of a parameter is text, not 5: give several names one by one: data('a', 'b')"),
    ("request.cookie(5)", "cookie: the name is text, not 5: write '5'"),
    ("request.rawrdr('5')", "rawrdr: the block size is a whole number, not '5': write 5 without the quotes"),
    ("request.allow(5)", "allow(5): give a list of methods, such as ['GET', 'POST']"),
    ("request.check_time('x')", "check_time: the time is a number, not 'x': give unix seconds, such as stat.st_mtime"),
    ("cookie('value', 5)", "the value of cookie 'k' is text, not 5: write '5'"),
    ("cookie('value', None)", "the value of cookie 'k' is text, not None: use delete()"),
    ("cookie('max_age', '5')", "max_age of cookie 'k' is a number, not '5': write 5 without the quotes"),
    ("cookie('path', 5)", "Path of cookie 'k' is text, not 5: write '5'"),
    ("Timer(5)", "a timer calls a function without arguments, not 5: give the function"),
    ("Timer(print).set('a')", SECONDS),
    ("Timer(print).reset('a')", SECONDS),
    ("server.listen('x')", "listen: the port is a whole number, not 'x': give 0 to 65535; the address is host=..."),
    ("server.listen(0, host=5)", "listen: host is text, not 5: give an address such as '127.0.0.1', or '' for all"),
    (
        "server.stop('x')",
        "stop: drain_timeout is a number, not 'x': give seconds, or None for the setting",
    ),
    ("Directory('a', priority='x')", "the priority of directory 'a' is a whole number, not 'x': use -128 to 127"),
    ("Directory().p403(5)", "p403: the path is text, not 5: write '5'"),
    ("Directory().service('x', request)", "service(request, relpath): the request comes first, not 'x'"),
    ("Directory().service(request, 5)", "service: the path is text, not 5: write '5'"),
    ("reader.header({'X': 5})", "the value of header X is text, not 5: write '5'"),
    ("reader.header([])", "header: give a dict such as {'X-Name': 'value'}, not []"),
    ("reader.set_max_age('x')", "max-age is a number, not 'x': give seconds, or None"),
    (
        "reader.set_filter(5, None)",
        "set_filter: the extension is text, not 5: write it with its dot, such as '.psp'",
    ),
    (
        "reader.set_filter('.x', 5)",
        "set_filter: a filter has a method open(reader, request, path); 5 has none",
    ),
    ("reader.filter(5)", "filter: the extension is text, not 5: write '5'"),
    ("DomainReader(5, io)", "the domain is text, not 5: use a host name, such as 'example.com'"),
    ("DomainReader('x', io, page404=5)", "page404 is text, not 5: give a path below the I/O"),
    ("part.save('x', 'y')", "save(io, path): the I/O comes first, not 'x'; for a folder that is DiskIo(folder)"),
    (
        "part.save(io, 5)",
        "save: the path is text, not 5: give the file's path below the I/O, such as part.filename",
    ),
    ("part.read('x')", "read, value: the limit is a whole number, not 'x': give bytes, or None"),
]
FORM = '--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc\r\n--b--\r\n'


def test_wrong_arguments_are_named_with_their_remedy() -> None:
    """All in one request: what is wrong in one call spoils nothing for the next."""
    found: dict[str, str] = {}

    def handler(request: Request, response: Response) -> str:
        def cookie(attribute: str, value: Any) -> None:
            made = response.create_cookie("k")
            setattr(made, attribute, value)
            made.activate()

        io = MemoryIo()
        part = next(request.parts()) if request.method == "POST" else None
        names = {
            **{kind.__name__: kind for kind in (Timer, Directory, DomainReader)},
            **{"request": request, "response": response, "cookie": cookie, "io": io, "part": part},
            **{"reader": ResourceReader(io), "server": Server()},
        }
        for call, _ in CALLS:
            if call.startswith("part.") is (part is None):
                continue
            with pytest.raises((TypeError, ValueError)) as caught:
                eval(call, names)
            found[call] = str(caught.value)
        return "done"

    with serving(handler) as server:
        assert ask(server, "GET / HTTP/1.1\nHost: x\n\n").body == b"done"
        kind = "Content-Type: multipart/form-data; boundary=b"
        head = f"POST / HTTP/1.1\nHost: x\n{kind}\nContent-Length: {len(FORM)}\n\n"
        assert ask(server, head.replace("\n", "\r\n").encode() + FORM.encode()).body == b"done"
    assert found == dict(CALLS)


@pytest.mark.parametrize(("value", "whole"), [(5, True), (5, False), (0.5, False)])
def test_numbers_pass(value: float, whole: bool) -> None:
    assert need_number("it", value, "", whole=whole) == value


@pytest.mark.parametrize(("value", "whole"), [(True, True), (0.5, True), ("", False), (None, False)])
def test_what_is_no_number(value: object, whole: bool) -> None:
    with pytest.raises(TypeError, match=r"it is a .*number, not .*: remedy"):
        need_number("it", value, "remedy", whole=whole)


def test_long_values_are_cut() -> None:
    with pytest.raises(TypeError) as caught:
        need_text("it", ["x"] * 1000)
    assert len(str(caught.value)) < 120
