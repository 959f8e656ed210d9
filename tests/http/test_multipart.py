"""Forms with files: parts while they arrive, the callbacks of BAS, and what a broken upload leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from forms import BOUNDARY, FORM_TYPE, field, form
from leaks import nothing_left
from support import need_command, wait_until
from web import Answer, Client, serving

from greenbas import Server
from greenbas.errors import (
    BadMultipart,
    BodyTooLarge,
    Expired,
    IncompleteBody,
    IncorrectUse,
    IsCommitted,
    IsDirectory,
    NoSpace,
    NotFound,
    WrongMediaType,
)
from greenbas.http import Request, Response
from greenbas.http.multipart import BUFFER_SIZE, multipart, parts
from greenbas.http.part import Part
from greenbas.http.settings import MEMORY_BODY
from greenbas.io import DiskIo, Io, MemoryIo

Handler = Callable[[Request, Response], Any]
LARGE = 30 * 1024 * 1024
SHORT = 300_000


def each(request: Request, max_memory: int = MEMORY_BODY, **limits: Any) -> Iterator[Part]:
    """The parts, with the server's default for the limit that the caller has to name."""
    return parts(request, max_memory=max_memory, **limits)


def start(length: int | None, kind: str = FORM_TYPE) -> bytes:
    """The head of an upload; without a length it is chunked."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST /up HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode()


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def upload(handler: Handler, body: bytes, kind: str = FORM_TYPE, size: int | None = None, **settings: Any) -> Answer:
    """The answer to an upload to this handler; in chunks of `size` bytes if given."""
    with serving(handler, **settings) as server, Client(server) as client:
        return client.ask(start(len(body), kind) + body if size is None else start(None, kind) + chunked(body, size))


def outcome(handler: Handler, body: bytes, **settings: Any) -> Any:
    """What a handler returns or raises for a form."""
    result: list[Any] = []

    def run(request: Request, response: Response) -> str:
        try:
            result.append(handler(request, response))
        except Exception as error:
            result.append(error)
        return "done"

    assert upload(run, body, **settings).status == 200
    return result[0]


def listed(request: Request, response: Response) -> list[list[Any]]:
    return [[part.name, part.filename, part.content_type, part.read().decode("latin-1")] for part in each(request)]


FORM = form(
    field("title", "Ü".encode()),
    field("file", b"\0\xff\r\n--", "dir/f.bin", "Content-Type: application/x-bin"),
    field("file", b"", "", "Content-Type: application/octet-stream"),
    field("title", b""),
)
LISTED = [
    ["title", None, "text/plain", "Ã\x9c"],
    ["file", "f.bin", "application/x-bin", "\0\xff\r\n--"],
    ["file", "", "application/octet-stream", ""],
    ["title", None, "text/plain", ""],
]


# -- parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1, 10, 100_000])
def test_parts_arrive(size: int | None) -> None:
    answer = upload(lambda request, response: {"parts": listed(request, response)}, FORM, size=size)
    assert json.loads(answer.body) == {"parts": LISTED}


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_the_connection_goes_on(coding: str) -> None:
    body = form(field("a", b"GET /smuggled HTTP/1.1\r\n\r\n"))
    wire = start(len(body)) + body if coding == "length" else start(None) + chunked(body, 7)
    with serving(lambda request, response: str(listed(request, response))) as server, Client(server) as client:
        assert client.ask(wire).body == client.ask(wire * 2).body == client.answer().body


@pytest.mark.parametrize("kind", [FORM_TYPE, FORM_TYPE.upper().replace(BOUNDARY.upper(), BOUNDARY)])
def test_the_type_may_be_written_in_any_case(kind: str) -> None:
    assert upload(lambda request, response: str(len(listed(request, response))), FORM, kind).body == b"4"


def test_a_part_is_there_before_the_next_one_is_sent() -> None:
    """Nothing waits for the end of the body: neither the head of a part, nor its bytes, nor its end."""
    seen: list[Any] = []

    def handler(request: Request, response: Response) -> str:
        for part in each(request):
            seen.append(part.name)
            seen.extend(part.chunks())
            seen.append(part.size)
        return "done"

    first, second = field("first", b"") + b"1", field("second", b"2")
    body = form(first + b"23", second)
    with serving(handler) as server, Client(server) as client:
        client.send(start(len(body)) + body[: (at := body.index(first) + len(first))])
        wait_until(lambda: seen == ["first", b"1"])
        client.send(body[at : (at := at + 2)])
        wait_until(lambda: seen == ["first", b"1", b"23"])
        client.send(body[at : (at := body.index(second))])
        wait_until(lambda: seen == ["first", b"1", b"23", 3])
        client.send(body[at:])
        assert client.answer("POST").body == b"done"
    assert seen[4:] == ["second", b"2", 1]


def test_nothing_is_read_ahead_of_the_handler() -> None:
    """While a handler keeps a piece, the rest waits in the sockets of both sides."""
    received: list[int] = []
    go = [False]

    def handler(request: Request, response: Response) -> str:
        for _ in next(each(request)).chunks():
            received.append(request.message.received)
            wait_until(lambda: go[0])
            received.append(request.message.received)
            break
        return "done"

    with serving(handler) as server, Client(server) as client:
        client.send(start(SHORT) + form(field("a", b"x" * SHORT, "f"))[:SHORT])
        wait_until(lambda: received)
        go[0] = True
        assert client.answer("POST").body == b"done"
    assert received[0] == received[1] < 150_000


def test_a_large_file_takes_little_memory() -> None:
    before, behind = form(field("a", b"\0", "f")).split(b"\0")
    piece = os.urandom(65536)
    with serving(lambda request, response: counted(request)) as server, Client(server) as client:
        client.send(start(len(before) + LARGE + len(behind)) + before)
        tracemalloc.start()
        try:
            for _ in range(LARGE // len(piece)):
                client.send(piece)
            client.send(behind)
            answer = client.answer("POST")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    size, largest = map(int, answer.body.split())
    assert size == LARGE
    assert largest < 70_000
    assert peak < 3 * 1024 * 1024


def counted(request: Request) -> str:
    size = largest = 0
    for part in each(request):
        for piece in part:
            size += len(piece)
            largest = max(largest, len(piece))
    return f"{size} {largest}"


def test_what_is_not_wanted_is_skipped() -> None:
    def handler(request: Request, response: Response) -> str:
        return " ".join(part.name for part in each(request))

    body = form(field("a", b"x" * 300_000, "f"), field("b", b"y" * 300_000), field("c", b""))
    assert upload(handler, body).body == b"a b c"


def test_a_part_can_be_left_in_the_middle() -> None:
    def handler(request: Request, response: Response) -> list[Any]:
        found: list[Any] = []
        for part in each(request):
            found += [next(part.chunks())[:1], part.size > 0, repr(part)[:16]]
        return found

    assert outcome(handler, form(field("a", b"x" * 200_000, "f"), field("b", b"y"))) == [
        *[b"x", True, "<Part 'a' file '"],
        *[b"y", True, "<Part 'b' 1 byte"],
    ]


@pytest.mark.parametrize("use", [Part.read, Part.value, lambda part: list(part), lambda part: next(part.chunks())])
def test_a_part_is_over_when_the_next_one_is_taken(use: Callable[[Part], object]) -> None:
    def handler(request: Request, response: Response) -> None:
        first, _ = list(each(request))
        use(first)

    assert isinstance(outcome(handler, form(field("a", b"x"), field("b", b"y"))), IncorrectUse)


def test_a_part_is_over_when_the_request_is() -> None:
    kept: list[Any] = []

    def handler(request: Request, response: Response) -> str:
        kept.extend([request, next(each(request))])
        return "kept"

    body = form(field("a", b"x" * 300_000, "f"))
    with serving(handler) as server, Client(server) as client:
        assert client.ask(start(len(body)) + body).body == b"kept"
        wait_until(lambda: not kept[0].valid())
        with pytest.raises(Expired):
            kept[1].read()


def test_a_part_is_read_once() -> None:
    def handler(request: Request, response: Response) -> list[Any]:
        found = each(request)
        first = next(found)
        results = [first.read(), first.read(), list(first), first.value(), first.size]
        second = next(found)
        return [*results, second.value(), second.value(), second.read(), next(found, None), next(found, None)]

    expected = [b"x", b"", [], "", 1, "y", "y", b"", None, None]
    assert outcome(handler, form(field("a", b"x"), field("b", b"y"))) == expected


@pytest.mark.parametrize(
    "before",
    [
        lambda request: request.body(),
        lambda request: request.stream.read(1),
        lambda request: list(each(request)),
        lambda request: next(each(request)),
    ],
)
def test_the_body_must_not_have_been_read(before: Callable[[Request], object]) -> None:
    def handler(request: Request, response: Response) -> None:
        before(request)
        each(request)

    error = outcome(handler, FORM)
    assert isinstance(error, IncorrectUse) and "read already" in str(error)


# -- text and limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "values"),
    [
        ([field("a", "ü€".encode())], ["ü€"]),
        ([field("a", b"\xfc")], ["\ufffd"]),
        ([field("a", b"\xfc", None, "Content-Type: text/plain; charset=ISO-8859-1")], ["ü"]),
        ([field("a", b"\x82\xa0", None, 'Content-Type: text/plain; charset="Shift_JIS"')], ["あ"]),
        ([field("a", "ü".encode(), None, "Content-Type: text/plain; charset=klingon")], ["ü"]),
        ([field("a", b"1\r\n2\n\xef\xbb\xbf")], ["1\r\n2\n\ufeff"]),
        # RFC 7578 4.6
        ([field("_charset_", b"windows-1252"), field("a", b"\x80")], ["windows-1252", "€"]),
        ([field("a", "ü".encode()), field("_charset_", b"latin1"), field("a", b"\xfc")], ["ü", "latin1", "ü"]),
        ([field("_charset_", b"klingon"), field("a", "ü".encode())], ["klingon", "ü"]),
        ([field("_charset_", b"latin1" + b" " * 1000), field("a", b"\xfc")], ["latin1" + " " * 1000, "ü"]),
        ([field("_charset_", b"x" * 1000), field("a", "ü".encode())], ["x" * 1000, "ü"]),
        ([field("_charset_", b"latin1", "f"), field("a", "ü".encode())], ["latin1", "ü"]),
        (
            [field("_charset_", b"latin1"), field("a", "ü".encode(), None, "Content-Type: text/plain; charset=utf-8")],
            ["latin1", "ü"],
        ),
    ],
)
def test_text(parts: list[bytes], values: list[str]) -> None:
    assert outcome(lambda request, response: [part.value() for part in each(request)], form(*parts)) == values


def test_the_default_character_set_counts_when_its_field_is_skipped() -> None:
    def handler(request: Request, response: Response) -> list[str]:
        return [part.value() for part in each(request) if part.name == "a"]

    assert outcome(handler, form(field("_charset_", b"latin1"), field("a", b"\xfc"))) == ["ü"]


TEN = form(field("a", b"0123456789"), field("f", b"0123456789", "f"), field("b", b"0123456789"))


@pytest.mark.parametrize(
    ("limits", "read", "expected"),
    [
        ({}, Part.read, 3),
        ({}, lambda part: part.read(10), 3),
        ({}, lambda part: part.read(9), 0),
        ({}, lambda part: part.value(9), 0),
        ({"max_memory": 30}, Part.read, 3),
        ({"max_memory": 29}, Part.read, 2),
        ({"max_memory": 19}, Part.value, 1),
        ({"max_memory": 1}, lambda part: part.read(10), 3),
        ({"max_memory": 1}, list, 3),
        ({"max_field": 10}, Part.value, 3),
        ({"max_field": 9}, Part.value, 0),
        ({"max_field": 9}, lambda part: part.filename and part.read(), 3),
        ({"max_field": 9}, lambda part: part.read(10), 3),
        ({"max_field": 100, "max_memory": 29}, Part.read, 2),
    ],
)
def test_what_is_collected_in_memory_is_limited(
    limits: dict[str, int], read: Callable[[Part], object], expected: int
) -> None:
    done: list[str] = []

    def handler(request: Request, response: Response) -> None:
        for part in each(request, **limits):
            read(part)
            done.append(part.name)

    result = outcome(handler, TEN)
    assert len(done) == expected
    assert result is None if expected == 3 else isinstance(result, BodyTooLarge)


def test_a_field_over_its_limit_is_413_and_the_next_part_can_be_read() -> None:
    def handler(request: Request, response: Response) -> str:
        found = each(request, max_field=5)
        with contextlib.suppress(BodyTooLarge):
            next(found).value()
        return next(found).value()

    body = form(field("a", b"x" * 200_000), field("b", b"right"))
    assert upload(handler, body).body == b"right"
    assert upload(lambda request, response: next(each(request, max_field=5)).value(), body).status == 413


@pytest.mark.parametrize("limits", [{"max_parts": 0}, {"max_field": 0}, {"max_memory": -1}])
def test_limits_must_be_positive(limits: dict[str, int]) -> None:
    error = outcome(lambda request, response: each(request, **limits), FORM)
    assert isinstance(error, ValueError) and "is not positive" in str(error)


def test_the_whole_body_has_the_limit_of_the_server() -> None:
    assert upload(listed, FORM, max_body=len(FORM) - 1).status == 413
    assert upload(lambda r, s: str(listed(r, s)), FORM, size=5, max_body=len(FORM)).status == 200
    assert upload(listed, FORM, size=5, max_body=len(FORM) - 3).status == 413


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [each, lambda request: multipart(request, formdata=print)])
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/mixed; boundary=x", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
        ('multipart/form-data; boundary=""', 400),
    ],
)
def test_another_type_is_refused_at_once(call: Callable[[Request], object], kind: str, status: int) -> None:
    raised: list[Exception] = []

    def handler(request: Request, response: Response) -> None:
        try:
            call(request)
        except Exception as error:
            raised.append(error)
            raise

    assert upload(handler, FORM, kind).status == status
    (error,) = raised
    assert isinstance(error, WrongMediaType if status == 415 else BadMultipart)
    assert status == 400 or "Not multipart" in str(error)


def test_a_request_without_a_body_is_not_multipart() -> None:
    with serving(lambda request, response: each(request)) as server, Client(server) as client:
        assert client.ask("GET / HTTP/1.1\nHost: x\n\n").status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        form(field("a", b"x"), end=b""),
        form(field("a", b"x")).replace(b"\r\n", b"\n"),
        form(b"\r\nx"),
        form(field("a\0", b"x")),
        form(field("a", b"x", None, "X: " + "y" * 10_000)),
        form(*[field("a", b"x")] * 10_000),
    ],
    ids=["empty", "text", "no end", "LF", "no head", "NUL", "long head", "many parts"],
)
@pytest.mark.parametrize("size", [None, 500])
def test_a_malformed_form_is_400_and_the_connection_closes(body: bytes, size: int | None) -> None:
    answer = upload(lambda request, response: str(listed(request, response)), body, size=size)
    assert (answer.status, answer["Connection"]) == (400, "close")


def test_a_refusal_is_repeated() -> None:
    def handler(request: Request, response: Response) -> list[Any]:
        found = each(request)
        first = next(found)
        errors = []
        for call in (first.read, first.read, lambda: next(found), lambda: next(found)):
            with pytest.raises(BadMultipart) as caught:
                call()
            errors.append(str(caught.value))
        return errors

    errors = outcome(handler, form(field("a", b"x"), end=b"!!"))
    assert len(errors) == 4 and len(set(errors)) == 1, errors


@pytest.mark.parametrize("goes", ["half_close", "reset"])
@pytest.mark.parametrize("at", [0, 10, 110, 1000])
def test_a_client_that_goes_away_is_noticed(goes: str, at: int) -> None:
    started: list[bool] = []
    raised: list[Exception] = []

    def handler(request: Request, response: Response) -> None:
        started.append(True)
        try:
            for part in each(request):
                part.read()
        except Exception as error:
            raised.append(error)
            raise

    body = form(field("a", b"x" * 5000, "f"))
    with nothing_left(), serving(handler) as server, Client(server) as client:
        client.send(start(len(body)) + body[:at])
        wait_until(lambda: started)  # a reset would take back what the server has not read yet
        getattr(client, goes)()
        wait_until(lambda: raised)
    assert [type(error) for error in raised] == [IncompleteBody]


# -- save ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["disk", "memory"])
def io(request: pytest.FixtureRequest, tmp_path: Path) -> Io:
    io = DiskIo(tmp_path) if request.param == "disk" else MemoryIo()
    io.mkdir("in")
    return io


def content(io: Io, path: str) -> bytes:
    with io.open(path) as file:
        return file.read()


def test_parts_are_saved(io: Io) -> None:
    data = os.urandom(300_000)

    def handler(request: Request, response: Response) -> list[int]:
        return [part.save(io, f"/in/{part.filename}") for part in each(request) if part.filename]

    body = form(field("a", data, "../one.bin"), field("x", b"text"), field("b", b"", "two.bin"))
    assert outcome(handler, body) == [len(data), 0]
    assert io.names("in") == ["one.bin", "two.bin"]
    assert content(io, "in/one.bin") == data
    assert content(io, "in/two.bin") == b""


def test_a_file_appears_whole_and_replaces_an_older_one(io: Io) -> None:
    """Until the end of the part others see the old file, and beside it only a hidden name."""
    with io.open("in/f", "w") as file:
        file.write(b"old")

    def handler(request: Request, response: Response) -> str:
        return str([part.save(io, "in/f") for part in each(request)])

    body = form(field("a", b"new", "f"))
    with serving(handler) as server, Client(server) as client:
        client.send(start(len(body)) + body[: (at := body.index(b"new") + 2)])
        wait_until(lambda: len(io.names("in")) == 2)
        assert content(io, "in/f") == b"old"
        (hidden,) = set(io.names("in")) - {"f"}
        assert hidden.startswith(".")
        client.send(body[at:])
        assert client.answer("POST").body == b"[3]"
    assert io.names("in") == ["f"]
    assert content(io, "in/f") == b"new"


@pytest.mark.parametrize("kept", [None, b"old"])
@pytest.mark.parametrize(
    "end", [pytest.param(None, id="the client goes away"), pytest.param(b"\r\nno boundary\r\n", id="malformed")]
)
def test_a_broken_upload_leaves_no_file(io: Io, kept: bytes | None, end: bytes | None) -> None:
    if kept is not None:
        with io.open("in/f", "w") as file:
            file.write(kept)
    ended: list[type[BaseException]] = []

    def handler(request: Request, response: Response) -> None:
        try:
            for part in each(request):
                part.save(io, "in/f")
        except BaseException as error:
            ended.append(type(error))
            raise

    body = form(field("a", b"x" * 100_000, "f"))[:-40] + (end or b"")
    with nothing_left(), serving(handler) as server, Client(server) as client:
        client.send(start(len(body) + (0 if end else 1000)) + body)
        if end is None:
            wait_until(lambda: len(io.names("in")) == (1 if kept is None else 2))
            client.half_close()
        wait_until(lambda: ended)
    assert ended == [BadMultipart if end else IncompleteBody]
    assert io.names("in") == ([] if kept is None else ["f"])
    assert kept is None or content(io, "in/f") == kept


def test_a_handler_that_is_killed_leaves_no_file(io: Io) -> None:
    def handler(request: Request, response: Response) -> None:
        next(each(request)).save(io, "in/f")

    with serving(handler) as server, Client(server) as client:
        client.send(start(100_000) + form(field("a", b"x" * 1000, "f"))[:900])
        wait_until(lambda: io.names("in"))
        server.stop(drain_timeout=0)
        wait_until(lambda: not io.names("in"))


def test_a_full_disk_leaves_no_file() -> None:
    io = MemoryIo(limit=10_000)

    def handler(request: Request, response: Response) -> None:
        next(each(request)).save(io, "f")

    assert isinstance(outcome(handler, form(field("a", b"x" * 100_000, "f"))), NoSpace)
    assert io.names() == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("in", IsDirectory),
        ("in/", IsDirectory),
        ("new/", IsDirectory),
        ("", IsDirectory),
        ("missing/f", NotFound),
        ("../f", OSError),
        ("in/a\\b", OSError),
        ("in/" + "x" * 256, OSError),
    ],
)
def test_a_path_that_cannot_be_saved_to(io: Io, path: str, error: type[Exception]) -> None:
    def handler(request: Request, response: Response) -> None:
        next(each(request)).save(io, path)

    assert isinstance(outcome(handler, form(field("a", b"x", "f"))), error)
    assert io.names() == ["in"]
    assert io.names("in") == []


def test_half_a_part_is_not_saved(io: Io) -> None:
    def handler(request: Request, response: Response) -> None:
        part = next(each(request))
        next(part.chunks())
        part.save(io, "in/f")

    error = outcome(handler, form(field("a", b"x", "f")))
    assert isinstance(error, IncorrectUse) and "cannot be saved whole" in str(error)
    assert io.names("in") == []


# -- the callbacks of BAS -----------------------------------------------------------------------------------------


class Calls:
    """Notes the callbacks; the one called `stop` returns False."""

    def __init__(self, stop: str = "", error: bool = True) -> None:
        self.seen: list[tuple[Any, ...]] = []
        names = ["formdata", "beginfile", "filedata", "endmp", *(["error"] if error else [])]
        self.all: dict[str, Any] = {name: self._noting(name, name == stop) for name in names}

    def _noting(self, name: str, stops: bool) -> Callable[..., bool | None]:
        def note(*arguments: Any) -> bool | None:
            self.seen.append((name, *arguments))
            return False if stops else None

        return note

    def __call__(self, request: Request, response: Response) -> bool:
        return multipart(request, **self.all)


CALLBACKS = [
    ("formdata", "title", "Ü"),
    ("beginfile", "file", "f.bin", "application/x-bin", None),
    ("filedata", b"\0\xff\r\n--"),
    ("beginfile", "file", "", "application/octet-stream", None),
    ("formdata", "title", ""),
    ("endmp",),
]


def test_callbacks_come_in_order() -> None:
    calls = Calls()
    assert outcome(calls, FORM) is True
    assert calls.seen == CALLBACKS


@pytest.mark.parametrize("names", [("formdata",), ("beginfile", "filedata"), ("formdata", "endmp")])
def test_what_has_no_callback_is_skipped(names: tuple[str, ...]) -> None:
    calls = Calls()
    calls.all = {name: calls.all[name] for name in names}
    assert outcome(calls, FORM) is True
    assert calls.seen == [call for call in CALLBACKS if call[0] in names]


def test_types_and_transfer_encodings_are_passed_as_sent() -> None:
    calls = Calls()
    lines = "Content-Type: Text/HTML; charset=utf-8", "Content-Transfer-Encoding: binary"
    assert outcome(calls, form(field("a", b"", "f", *lines), field("b", b"", "g"))) is True
    assert calls.seen[:2] == [
        ("beginfile", "a", "f", "Text/HTML; charset=utf-8", "binary"),
        ("beginfile", "b", "g", None, None),
    ]


@pytest.mark.parametrize("stop", ["formdata", "beginfile", "filedata"])
def test_a_callback_that_returns_false_stops(stop: str) -> None:
    calls = Calls(stop)
    with serving(lambda request, response: str(calls(request, response))) as server, Client(server) as client:
        wire = start(len(FORM)) + FORM
        assert client.ask(wire).body == b"False"
        at = [call[0] for call in CALLBACKS].index(stop)
        assert calls.seen == CALLBACKS[: at + 1]
        assert client.ask(wire).body == b"False"  # the rest was dropped, and the connection goes on


@pytest.mark.parametrize("value", [None, True, 0, ""])
def test_only_false_stops(value: object) -> None:
    seen: list[str] = []

    def formdata(name: str, text: str) -> object:
        seen.append(name)
        return value

    assert outcome(lambda request, response: multipart(request, formdata=formdata), FORM) is True
    assert seen == ["title", "title"]


@pytest.mark.parametrize("keepalive", [True, False])
@pytest.mark.parametrize("stop", ["", "formdata"])
def test_the_connection_may_be_closed_afterwards(keepalive: bool, stop: str) -> None:
    calls = Calls(stop)

    def handler(request: Request, response: Response) -> str:
        return str(multipart(request, **calls.all, keepalive=keepalive))

    assert ("Connection" in upload(handler, FORM)) is not keepalive


@pytest.mark.parametrize(
    ("body", "more", "message"),
    [
        (form(field("a", b"x"))[:60], 100, "Connection terminated"),
        (form(field("a", b"x"), end=b""), 0, "Multipart parse error"),
        (form(field("a\0", b"x")), 0, "Multipart parse error"),
        (form(field("a", b"x" * (BUFFER_SIZE + 1))), 0, "Allocation error"),
    ],
)
def test_errors_have_words(body: bytes, more: int, message: str) -> None:
    calls = Calls()
    results: list[bool] = []

    def handler(request: Request, response: Response) -> str:
        results.append(calls(request, response))
        return "handled"

    with serving(handler) as server, Client(server) as client:
        client.send(start(len(body) + more) + body)
        if more:
            client.half_close()
        assert client.answer("POST").body == b"handled"
    assert results == [False]
    assert calls.seen == [("error", message)]


@pytest.mark.parametrize(
    ("body", "status"),
    [(form(field("a\0", b"x")), 400), (form(field("a", b"x" * (BUFFER_SIZE + 1))), 413)],
)
def test_without_a_callback_errors_are_raised(body: bytes, status: int) -> None:
    assert upload(Calls(error=False), body).status == status


def test_an_error_of_a_callback_is_not_one_of_the_form() -> None:
    calls = Calls()

    def filedata(data: bytes) -> None:
        raise BadMultipart("of the program")

    calls.all["filedata"] = filedata
    assert str(outcome(calls, FORM)) == "of the program"
    assert not [call for call in calls.seen if call[0] == "error"]


@pytest.mark.parametrize("bufsize", [1, 5, 8192, 100_000])
def test_the_buffer_limits_the_pieces(bufsize: int) -> None:
    data = os.urandom(100_000 if bufsize > 5 else 50)
    pieces: list[bytes] = []

    def handler(request: Request, response: Response) -> bool:
        return multipart(request, beginfile=lambda *_: None, filedata=pieces.append, bufsize=bufsize)

    assert outcome(handler, form(field("t", b"x" * 200_000), field("a", data, "f"))) is True
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= bufsize


@pytest.mark.parametrize(("size", "kind"), [(10, bool), (11, BodyTooLarge)])
def test_the_buffer_limits_text_fields(size: int, kind: type) -> None:
    body = form(*[field("a", b"x" * size)] * 20)
    result = outcome(lambda request, response: multipart(request, formdata=lambda *_: None, bufsize=10), body)
    assert isinstance(result, kind), result


def nothing(*arguments: Any) -> None:
    """A callback."""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, TypeError),
        ({"endmp": nothing, "error": nothing}, TypeError),
        ({"beginfile": nothing}, TypeError),
        ({"formdata": nothing, "filedata": nothing}, TypeError),
        ({"formdata": nothing, "bufsize": 0}, ValueError),
    ],
)
def test_callbacks_that_make_no_sense(arguments: dict[str, Any], error: type[Exception]) -> None:
    assert type(outcome(lambda request, response: multipart(request, **arguments), FORM)) is error


def test_a_committed_response_is_too_late() -> None:
    def handler(request: Request, response: Response) -> None:
        response.write("early")
        response.flush()
        multipart(request, formdata=nothing)

    error = outcome(handler, FORM)
    assert isinstance(error, IsCommitted) and str(error).startswith("Response committed")


# -- real clients -------------------------------------------------------------------------------------------------


def describe(request: Request, response: Response) -> dict[str, list[Any]]:
    return {"parts": [[p.name, p.filename, p.content_type, len(p.read()), p.charset] for p in each(request)]}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(describe) as server:
        yield server


def test_requests_uploads(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "ü.png"
    path.write_bytes(os.urandom(200_000))
    with path.open("rb") as file:
        files: list[tuple[str, Any]] = [
            ("f", file),
            ("g", ('a"b.txt', b"text", "text/plain", {"X-More": "1"})),
            ("h", ("", b"x")),
        ]
        url = f"http://127.0.0.1:{server.listeners[0].port}/"
        answer = requests.post(url, data={"a": "ä", "b": ["1", "2"]}, files=files, timeout=10)
    assert answer.json()["parts"] == [
        ["a", None, "text/plain", 2, "utf-8"],
        ["b", None, "text/plain", 1, "utf-8"],
        ["b", None, "text/plain", 1, "utf-8"],
        ["f", "ü.png", "text/plain", 200_000, "utf-8"],
        ["g", 'a"b.txt', "text/plain", 4, "utf-8"],
        ["h", "", "text/plain", 1, "utf-8"],
    ]


def test_curl_uploads(server: Server, tmp_path: Path) -> None:
    """A body of over a megabyte, for which curl waits for 100 Continue."""
    (tmp_path / 'a "b".bin').write_bytes(os.urandom(1_500_000))
    (tmp_path / "text.html").write_bytes(b"<p>")
    command = [need_command("curl"), "-sS", "--max-time", "20"]
    command += ["-F", "a=ä", "-F", "n=1;type=text/x-own;charset=latin1", "-F", "page=@text.html"]
    command += ["-F", 'f=@"a \\"b\\".bin";filename="dir/c d.bin"', "-F", 'g=@"a \\"b\\".bin"']
    command.append(f"http://127.0.0.1:{server.listeners[0].port}/")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout)["parts"] == [
        ["a", None, "text/plain", 2, "utf-8"],
        ["n", None, "text/x-own", 1, "latin1"],
        ["page", "text.html", "text/html", 3, "utf-8"],
        ["f", "c d.bin", "application/octet-stream", 1_500_000, "utf-8"],
        ["g", 'a "b".bin', "application/octet-stream", 1_500_000, "utf-8"],
    ]


# -- request.data, which does not read it ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 64], ids=["whole", "chunked"])
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda request: request.data("q"), "1"),
        (lambda request: request.data("q", "q"), ["1", "1"]),
        (lambda request: request.data("gone", query=True), None),
        (lambda request: request.data("gone", "q", query=True), [None, "1"]),
        (lambda request: request.data(query=True), {"q": "1"}),
        (lambda request: list(request.datapairs(query=True)), [["q", "1"]]),
        (lambda request: request.response.encode_redirect_url("/a", True), "http://x/a?q=1"),
        (lambda request: request.is_multipart(), True),
        (lambda request: request.data("title"), "'title'"),
        (lambda request: request.data("q", "title"), "'title'"),
        (lambda request: request.data(), "all parameters"),
        (lambda request: request.datapairs(), "all parameters"),
    ],
)
def test_data_of_a_multipart_form(call: Callable[[Request], Any], expected: Any, size: int | None) -> None:
    """What the query has is there; what the body may have is no silent None. The parts can still be read."""
    text = form(field("title", b"soup"))

    def handler(request: Request, response: Response) -> dict[str, Any]:
        try:
            found = call(request)
        except WrongMediaType as error:
            found = str(error)
        return {"found": found, "parts": [part.value() for part in request.parts()]}

    with serving(handler) as server, Client(server) as client:
        head = start(len(text) if size is None else None).replace(b"/up", b"/up?q=1")
        answer = json.loads(client.ask(head + (text if size is None else chunked(text, size))).body)
    if isinstance(expected, str) and expected in ("'title'", "all parameters"):
        expected = (
            f"data() was asked for {expected}, and the body is multipart/form-data, which it does not read: use "
            "request.parts(), or data(..., query=True) for what the query alone has"
        )
    assert answer == {"found": expected, "parts": ["soup"]}


def test_data_of_a_multipart_form_is_answered_415() -> None:
    with serving(lambda request, response: request.data("title"), dev=True) as server, Client(server) as client:
        text = form(field("title", b"soup"))
        answer = client.ask(start(len(text)) + text)
        assert answer.status == 415
        assert b"request.parts()" in answer.body
