"""`WsgiHead`: what an application gave to ``start_response``, checked (PEP 3333)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from wsgiref.util import is_hop_by_hop

from greenbas.errors import LocalProtocolError
from greenbas.http import Response
from greenbas.protocol.headers import header_line
from greenbas.protocol.status import reason as usual_reason

__all__ = ["WsgiHead", "known_head"]

_STATUS = re.compile(r"([2-9][0-9][0-9]) ([ -~]*)")
_REMEMBERED = 256  # heads; an application has few that are alike, and those in large numbers


class WsgiHead:
    """Status and headers of a response; never changed, as responses share it.

    Args:
        status: such as "200 OK".
        headers: names and values.

    Attributes:
        code: the status code.
        reason: its phrase, None for the usual one.
        lines: the header lines by lower-case name, those of a repeated header together.
        length: the Content-Length, None without one.
        plain: 200 with the usual reason and no cookies: there is nothing to be set but lines.

    Raises:
        TypeError: a part of it is no text.
        LocalProtocolError: HTTP or PEP 3333 forbids a part of it.
    """

    __slots__ = ("code", "length", "lines", "plain", "reason")

    def __init__(self, status: str, headers: tuple[tuple[str, str], ...]) -> None:
        self.code, self.reason = _parse_status(status)
        # One for the type is there in any case: a response of no type shall not get greenbas's own.
        self.lines = {"content-type": b""}
        self.length: int | None = None
        for name, value in headers:
            self._take(name, value)
        self.plain = self.code == 200 and self.reason is None and "set-cookie" not in self.lines

    def set_on(self, response: Response) -> None:
        """Make it the head of a response, but for the length. Headers that are set there stay, and cookies add up."""
        if response.get_status() != self.code or self.reason is not None:
            response.set_status(self.code, self.reason)
        cookies = self.lines.get("set-cookie", b"").split(b"\r\n")[:-1]  # splitlines() of a str ends one at 0x85, too
        if cookies and response.contains_header("Set-Cookie") is not None:
            for line in cookies:
                response.add_header("Set-Cookie", line.partition(b": ")[2].decode("latin-1"))
        response.adopt_lines(self.lines)

    def _take(self, name: str, value: str) -> None:
        line = header_line(name, value)
        if is_hop_by_hop(name):
            raise LocalProtocolError(f"start_response: {name} is the server's own to send (PEP 3333): leave it out")
        key = name.lower()
        if key != "content-length":
            self.lines[key] = self.lines.get(key, b"") + line
        elif self.length is not None:
            raise LocalProtocolError("start_response: Content-Length stands twice")
        elif not (value.isascii() and value.isdigit()):
            raise LocalProtocolError(f"start_response: Content-Length {value!r:.80} is not a number")
        else:
            self.length = int(value)


# Called with what `start_response` was given, the list made a tuple.
known_head = lru_cache(maxsize=_REMEMBERED)(WsgiHead)


def _parse_status(status: Any) -> tuple[int, str | None]:
    match = _STATUS.fullmatch(status)
    if match is None:
        raise LocalProtocolError(
            f"start_response: status {status!r:.80}: use a number from 200 to 999, a space, and a reason in ASCII"
        )
    code, reason = int(match[1]), match[2]
    return code, None if reason == usual_reason(code) else reason
