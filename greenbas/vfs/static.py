"""Sending a file as the answer: validators, conditions, ranges (RFC 9110 sections 8.8, 13 and 14)."""

from __future__ import annotations

import secrets

from greenbas.http import Request, Response
from greenbas.protocol.conditions import Verdict, evaluate, if_range_holds
from greenbas.protocol.encodings import best_coding
from greenbas.protocol.ranges import content_range, parse_ranges, unsatisfied_range
from greenbas.vfs.files import SMALL, StaticFile

__all__ = ["accepts_gzip", "send_static"]

BLOCK = 256 * 1024  # bytes at a time from files that have no descriptor

_CONDITIONS = frozenset({b"range", b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since"})


def send_static(request: Request, response: Response, file: StaticFile) -> None:
    """Answer GET or HEAD with a file.

    Args:
        request: its conditions and ranges are honoured.
        response: headers that are set already stay.
        file: the file; the caller closes it.
    """
    given = request.message.headers
    if response.filter is not None:
        response.bypass_filter()
    if _CONDITIONS.isdisjoint(given) or not request.initial:  # a forward shows the whole page, such as one for an error
        response.adopt_lines(file.lines)
        _send(request, response, file, 0, file.size)
        return
    verdict = evaluate(request.method, request.header, file.etag, file.modified)
    if verdict is Verdict.FAILED:
        response.send_error(412)
        return
    response.adopt_lines(file.lines)
    if verdict is Verdict.NOT_MODIFIED:
        # RFC 9110 15.4.5: the validators and what a cache needs, nothing about a body.
        response.set_header("Content-Type", None)
        response.set_header("Content-Encoding", None)
        response.status = 304
        return
    ranges = _wanted_ranges(request, file) if b"range" in given else None
    if ranges is None:
        _send(request, response, file, 0, file.size)
    elif not ranges:
        response.send_error(416)
        response.set_header("Content-Range", unsatisfied_range(file.size))
    elif len(ranges) == 1:
        (start, stop) = ranges[0]
        response.status = 206
        response.set_header("Content-Range", content_range(start, stop, file.size))
        _send(request, response, file, start, stop)
    else:
        _send_parts(response, file, ranges)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding value allows gzip (RFC 9110 12.5.3)."""
    return best_coding(accept_encoding, ("gzip",)) is not None


def _wanted_ranges(request: Request, file: StaticFile) -> list[tuple[int, int]] | None:
    # RFC 9110 14.2: Range means something for GET only. 13.1.5: If-Range guards it.
    if request.method != "GET":
        return None
    guard = request.header("if-range")
    if guard is not None and not if_range_holds(guard, file.etag, file.modified):
        return None
    return parse_ranges(request.header("range") or "", file.size)


def _send(request: Request, response: Response, file: StaticFile, start: int, stop: int) -> None:
    if request.method == "HEAD":
        response.set_content_length(stop - start)
    elif stop - start <= SMALL:
        # Not by write(): what is larger than the output buffer would leave chunked, without its length.
        response.finish_with(bytes(file.read(start, stop)))
    else:
        response.set_content_length(stop - start)
        _pass_on(response, file, start, stop)


def _pass_on(response: Response, file: StaticFile, start: int, stop: int) -> None:
    fd = file.fileno()
    if fd is not None:
        response.send_file(fd, start, stop - start)
        return
    response.release_worker()
    try:
        while start < stop:
            piece = file.read(start, min(stop, start + BLOCK))
            response.send(piece)
            start += len(piece)
    finally:
        response.take_worker()  # whoever catches an error goes on as a handler


def _send_parts(response: Response, file: StaticFile, ranges: list[tuple[int, int]]) -> None:
    # RFC 9110 14.6
    boundary = secrets.token_hex(12)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {file.kind}\r\n"
        f"Content-Range: {content_range(start, stop, file.size)}\r\n\r\n".encode()
        for start, stop in ranges
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    response.status = 206
    response.set_content_type(f"multipart/byteranges; boundary={boundary}")
    response.set_content_length(sum(map(len, heads)) + len(tail) + sum(stop - start for start, stop in ranges))
    for head, (start, stop) in zip(heads, ranges, strict=True):
        response.send(head)
        _pass_on(response, file, start, stop)
    response.send(tail)
