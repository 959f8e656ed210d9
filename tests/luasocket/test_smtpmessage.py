"""Mail messages, as Python's email package reads them."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from greenbas.luasocket import ltn12, mime, smtp, socket


def build(mesgt: dict[str, Any]) -> bytes:
    return b"".join(ltn12.to_iter(smtp.message(mesgt)))


def parse(mesgt: dict[str, Any]) -> EmailMessage:
    message = email.message_from_bytes(build(mesgt), policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    assert [message.defects, *(part.defects for part in message.walk())].count([]) == 1 + len(list(message.walk()))
    return message


def test_headers_are_spelled_as_usual_and_completed() -> None:
    text = build({"headers": {"SUBJECT": "hi", "to": "a@b", "X-My": 7}, "body": b"body"})
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[:3] == ["Subject: hi", "To: a@b", "x-my: 7"]
    assert re.fullmatch(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d -0000", lines[3])
    assert lines[4:] == [
        f"X-Mailer: {socket._VERSION}",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="iso-8859-1"',
    ]
    assert body == b"body"


def test_given_headers_come_first_besides_the_mime_version() -> None:
    given = {"date": "today", "X-Mailer": "mine", "Mime-Version": "9", "content-type": "text/html"}
    head = build({"headers": given, "body": ""}).decode()
    assert head == "Date: today\r\nX-Mailer: mine\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"


def test_the_zone_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b" +0130\r\n" in build({"body": "", "zone": "+0130"})
    monkeypatch.setattr(smtp, "ZONE", "+0200")
    assert b" +0200\r\n" in build({"body": ""})


def test_the_table_stays_as_it_was() -> None:
    table: dict[str, Any] = {"headers": {"Subject": "x"}, "body": [{"body": "a"}]}
    assert build(table)[:40] == build(table)[:40]
    assert table == {"headers": {"Subject": "x"}, "body": [{"body": "a"}]}


def chunks() -> Iterator[bytes]:
    yield b"from "
    yield b"a generator"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: b"bytes", "bytes"),
        (lambda: "text", "text"),
        (lambda: "grün", "grün"),
        (lambda: ltn12.source.string(b"from a source"), "from a source"),
        (chunks, "from a generator"),
        (lambda: ltn12.source.chain(ltn12.source.string(b"chained"), mime.normalize()), "chained"),
    ],
)
def test_bodies(make: Callable[[], Any], text: str) -> None:
    assert parse({"headers": {"subject": "x"}, "body": make()}).get_content() == text


@pytest.mark.parametrize("form", ["list", "lua"])
def test_parts(form: str) -> None:
    image = {
        "headers": {
            "content-type": 'image/png; name="a.png"',
            "content-transfer-encoding": "BASE64",
            "content-disposition": 'attachment; filename="a.png"',
        },
        "body": ltn12.source.chain(
            ltn12.source.string(bytes(range(256))), ltn12.filter.chain(mime.encode("base64"), mime.wrap())
        ),
    }
    inner = {"headers": {"content-type": "multipart/alternative"}, "body": [{"body": "one"}, {"body": "two"}]}
    body: Any = [inner, image]
    if form == "lua":
        body = {1: inner, 2: image, "preamble": "before", "epilogue": "after"}
    message = parse({"headers": {"subject": "x"}, "body": body})
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/mixed", "multipart/alternative", "text/plain", "text/plain", "image/png"]
    parts = list(message.iter_parts())
    assert [part.get_content() for part in parts[0].iter_parts()] == ["one", "two"]
    assert parts[1].get_content() == bytes(range(256))
    assert (message.preamble or "").strip() == ("before" if form == "lua" else "")
    assert (message.epilogue or "").strip() == ("after" if form == "lua" else "")


def test_boundaries_differ_and_may_be_given() -> None:
    pattern = rb'Content-Type: multipart/mixed; boundary="(\d{14}\d{5}==\d{5})"\r\n'
    found = [re.search(pattern, build({"body": []})) for _ in range(2)]
    assert found[0] and found[1] and found[0][1] != found[1][1]
    own = build({"headers": {"content-type": "multipart/related; boundary=mine"}, "body": [{"body": "x"}]})
    assert own.count(b"boundary") == 1
    assert b"\r\n--mine--\r\n" in own


def broken() -> Iterator[bytes]:
    yield b"some"
    raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize(
    ("make", "error"),
    [(lambda: ltn12.source.error("broken"), "broken"), (broken, "Connection reset by peer")],
)
@pytest.mark.parametrize("deep", [False, True])
def test_errors_of_bodies_are_errors_of_the_message(make: Callable[[], Any], error: str, deep: bool) -> None:
    body = make()
    one = smtp.message({"body": [{"body": body}] if deep else body})
    assert ltn12.pump.all(one, ltn12.sink.null()) == (None, error)
    assert one() == (None, None)


def test_faults_of_programs_pass_through() -> None:
    def fault() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build({"body": fault})


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"subject": "a\r\nBcc: x@y"}, "header subject: the value holds CR, LF or NUL"),
        ({"subject": "a\nb"}, "header subject"),
        ({"subject": b"a\0b"}, "header subject"),
        ({"a\r\nb": "x"}, "header name"),
        ({"a:b": "x"}, "header name"),
        ({"": "x"}, "header name"),
        ({"ä": "x"}, "header name"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_headers_cannot_add_lines(headers: dict[Any, Any], message: str, deep: bool) -> None:
    part = {"headers": headers, "body": "x"}
    with pytest.raises(ValueError, match=message):
        smtp.message({"body": [part]} if deep else part)


@pytest.mark.parametrize("mesgt", [{}, {"body": 7}, {"body": ["text"]}, {"body": [{"headers": {}}]}])
def test_bodies_that_are_none(mesgt: Any) -> None:
    with pytest.raises(TypeError, match=r"expected|is a dict"):
        smtp.message(mesgt)
