"""Forms as clients send them: multipart/form-data, written by hand so that a test can break any of it."""

from __future__ import annotations

BOUNDARY = "----GreenbasForm7MA4YWxk"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def quoted(name: str) -> str:
    """A name as browsers write it in Content-Disposition (WHATWG HTML 4.10.21.8)."""
    return '"' + name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22") + '"'


def field(name: str, data: bytes, filename: str | None = None, *lines: str) -> bytes:
    """One part, with more header lines; a file when it has a file name."""
    disposition = f"Content-Disposition: form-data; name={quoted(name)}"
    if filename is not None:
        disposition += f"; filename={quoted(filename)}"
    return "\r\n".join([disposition, *lines, "", ""]).encode() + data


def form(*fields: bytes, boundary: str = BOUNDARY, end: bytes = b"--\r\n") -> bytes:
    """Fields between their boundaries; `end` stands behind the last boundary."""
    line = b"--" + boundary.encode()
    return b"".join(line + b"\r\n" + each + b"\r\n" for each in fields) + line + end
