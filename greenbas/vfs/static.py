"""Sending a file as the answer: validators, conditions, ranges (RFC 9110 sections 8.8, 13 and 14)."""

from __future__ import annotations

import secrets
from greenbas.errors import IoError
from greenbas.http import Request, Response
from greenbas.io import FileHandle, Stat
from greenbas.net import read_piece
from greenbas.protocol.conditions import Verdict, evaluate, if_range_holds, make_etag
from greenbas.protocol.ranges import content_range, parse_ranges, unsatisfied_range

__all__ = ["accepts_gzip", "send_static"]

SMALL = 64 * 1024  # files up to this size leave together with their head, in one call
BLOCK = 256 * 1024  # bytes at a time from files that have no descriptor

_CONDITIONS = (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since")


def send_static(request: Request, response: Response, handle: FileHandle, content_type: str) -> None:
    """Answer GET or HEAD with a file.

    Args:
        request: its conditions and ranges are honoured.
        response: headers that are set already stay.
        handle: the open file; the caller closes it.
        content_type: of the file.
    """
    stat = handle.stat()
    etag = make_etag(stat.mtime_ns, stat.size)
    modified = stat.mtime_ns // 1_000_000_000
    response.set_header("ETag", etag)
    response.set_date_header("Last-Modified", modified)
    given = request.message.headers
    if not request.forwarded and any(name in given for name in _CONDITIONS):
        verdict = evaluate(request.method, request.header, etag, modified)
        if verdict is Verdict.NOT_MODIFIED:
            response.status = 304
            return
        if verdict is Verdict.FAILED:
            response.send_error(412)
            return
    response.set_header("Accept-Ranges", "bytes")
    partial = b"range" in given and not request.forwarded  # a forward shows the whole page, such as one for an error
    ranges = _wanted_ranges(request, etag, modified, stat) if partial else None
    if ranges is None:
        response.set_content_type(content_type)
        _send(request, response, handle, 0, stat.size)
    elif not ranges:
        response.send_error(416)
        response.set_header("Content-Range", unsatisfied_range(stat.size))
    elif len(ranges) == 1:
        (start, stop) = ranges[0]
        response.status = 206
        response.set_content_type(content_type)
        response.set_header("Content-Range", content_range(start, stop, stat.size))
        _send(request, response, handle, start, stop)
    else:
        _send_parts(request, response, handle, ranges, content_type)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding value allows gzip (RFC 9110 12.5.3)."""
    if accept_encoding is None or "gzip" not in accept_encoding:
        return False
    for item in accept_encoding.split(","):
        coding, _, parameter = item.partition(";")
        if coding.strip().lower() in ("gzip", "x-gzip"):
            name, _, weight = parameter.strip().partition("=")
            return not (name.strip().lower() == "q" and weight.strip().strip("0") in ("", "."))
    return False


def _wanted_ranges(request: Request, etag: str, modified: int, stat: Stat) -> list[tuple[int, int]] | None:
    # RFC 9110 14.2: Range means something for GET only. 13.1.5: If-Range guards it.
    if request.method != "GET":
        return None
    guard = request.header("if-range")
    if guard is not None and not if_range_holds(guard, etag, modified):
        return None
    return parse_ranges(request.header("range") or "", stat.size)


def _send(request: Request, response: Response, handle: FileHandle, start: int, stop: int) -> None:
    count = stop - start
    response.set_content_length(count)
    if request.method == "HEAD":
        return
    if count > SMALL:
        _pass_on(response, handle, start, stop)
        return
    data = _read(handle, count, start)
    if len(data) < count:
        raise IoError(request.path, "the file became shorter while it was sent")
    response.write(data)


def _pass_on(response: Response, handle: FileHandle, start: int, stop: int) -> None:
    fd = handle.fileno()
    if fd is not None:
        response.send_file(fd, start, stop - start)
        return
    while start < stop:
        data = handle.pread(min(BLOCK, stop - start), start)
        if not data:
            break  # shorter than announced: the response notices, and closes the connection
        response.send(data)
        start += len(data)


def _read(handle: FileHandle, size: int, offset: int) -> bytes | bytearray:
    fd = handle.fileno()
    return read_piece(fd, size, offset) if fd is not None else handle.pread(size, offset)


def _send_parts(
    request: Request, response: Response, handle: FileHandle, ranges: list[tuple[int, int]], content_type: str
) -> None:
    # RFC 9110 14.6
    size = handle.stat().size
    boundary = secrets.token_hex(12)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Range: {content_range(start, stop, size)}\r\n\r\n".encode()
        for start, stop in ranges
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    response.status = 206
    response.set_content_type(f"multipart/byteranges; boundary={boundary}")
    response.set_content_length(sum(map(len, heads)) + len(tail) + sum(stop - start for start, stop in ranges))
    for head, (start, stop) in zip(heads, ranges, strict=True):
        response.send(head)
        _pass_on(response, handle, start, stop)
    response.send(tail)
