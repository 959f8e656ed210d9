"""`ResponseHead`: status, headers and cookies of a response, until they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from greenbas.errors import Expired, IncludeNotValid, IsCommitted, LocalProtocolError
from greenbas.http.headers import ResponseHeaders
from greenbas.protocol import Cookie, http_date
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.headers import header_line

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["HTML", "NO_STORE", "ResponseHead"]

HTML = "text/html; charset=utf-8"
NO_STORE = "no-store, no-cache, must-revalidate, max-age=0"
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


class ResponseHead:
    """What can be said about a response before its body; `Response` adds the body."""

    __slots__ = ("_announced", "_close", "_committed", "_downgraded", "_lines", "_reason", "_request", "_status")

    # `Response` makes them.
    _request: Request
    _status: int
    _reason: str | None
    _lines: Mapping[str, bytes] | None  # by lower-case name
    _announced: int | None  # the Content-Length
    _committed: bool
    _close: bool
    _downgraded: bool

    @property
    def status(self) -> int:
        """The status code; assign to change it."""
        return self._status

    @status.setter
    def status(self, code: int) -> None:
        self.set_status(code)

    @property
    def headers(self) -> ResponseHeaders:
        """The header fields as a mapping; changes count until the response is committed."""
        return ResponseHeaders(self)

    def set_status(self, code: int, reason: str | None = None) -> None:
        """Set the status (BAS ``response:setstatus``).

        Args:
            code: 200 to 999; any of them gives a valid status line.
            reason: instead of the registered phrase.

        Raises:
            IsCommitted: the head has gone.
            ValueError: the code cannot be a final status.
        """
        self._check_open("the status")
        if not isinstance(code, int) or not 200 <= code <= 999:
            raise ValueError(f"status {code!r}: use a number from 200 to 999")
        if reason is not None:
            need_text("set_status: the reason", reason)
        if reason is not None and not (reason.isascii() and (reason.isprintable() or not reason)):
            raise LocalProtocolError(f"reason phrase {reason!r}: use printable ASCII")
        self._status, self._reason = code, reason

    def get_status(self) -> int:
        """The status code (BAS ``response:getstatus``)."""
        return self._status

    def set_header(self, name: str, value: str | None = None) -> None:
        """Set a header, or remove it without a value (BAS ``response:setheader``).

        Raises:
            IsCommitted: the head has gone.
            LocalProtocolError: a bad name or value, or a header by which greenbas frames the message.
            TypeError: name or value is no text.
        """
        self._check_open(f"header {name}")
        try:
            key = name.lower()
            if key in _FRAMING:
                self._set_framing(key, value)
            elif value is None:
                self._set_line(key, None)
            else:
                self._set_line(key, header_line(name, value))
        except (AttributeError, TypeError):
            _explain(name, value)
            raise

    def add_header(self, name: str, value: str) -> None:
        """Add a header beside those of the same name, such as Link.

        Raises:
            IsCommitted, LocalProtocolError, TypeError: as `set_header`.
        """
        self._check_open(f"header {name}")
        try:
            key = name.lower()
            if key in _FRAMING:
                raise LocalProtocolError(f"{name} can stand only once: use set_header")
            before = self._lines.get(key, b"") if self._lines is not None else b""
            self._set_line(key, before + header_line(name, value))
        except (AttributeError, TypeError):
            _explain(name, value, "give its text, or do not add it")
            raise

    def contains_header(self, name: str) -> str | None:
        """The header's value (several are joined with ", "), or None (BAS ``response:containsheader``)."""
        key = need_text("contains_header: the name", name).lower()
        if key == "content-length" and self._announced is not None:
            return str(self._announced)
        lines = (self._lines or {}).get(key)
        if lines is None:
            return None
        values = [line.partition(b": ")[2] for line in lines.split(b"\r\n")[:-1]]
        return b", ".join(values).decode("latin-1")

    def header_names(self) -> list[str]:
        """The names of the headers set so far, as they will be sent."""
        names = [line.partition(b":")[0].decode() for line in (self._lines or {}).values()]
        return names if self._announced is None else [*names, "Content-Length"]

    def set_content_type(self, content_type: str, replace: bool = True) -> bool:
        """Set Content-Type (BAS ``response:setcontenttype``); False when one was there and `replace` is not wanted."""
        if not replace and self._lines is not None and "content-type" in self._lines:
            return False
        self.set_header("Content-Type", content_type)
        return True

    def set_content_length(self, length: int) -> None:
        """Announce the exact size of the body and send it raw (BAS ``response:setcontentlength``).

        Raises:
            LocalProtocolError: the length is negative, or less than what is written already.
            TypeError: it is no whole number.
        """
        self._check_open("Content-Length")
        if not isinstance(length, int) or isinstance(length, bool):
            raise TypeError(f"Content-Length {length!r} is no whole number")
        if length < self.byte_count():
            raise LocalProtocolError(f"Content-Length {length} is less than the {self.byte_count()} bytes written")
        self._announced = length

    def set_date_header(self, name: str, seconds: float) -> None:
        """Set a header to a date given in unix seconds (BAS ``response:setdateheader``)."""
        remedy = "give unix seconds, such as time.time() or datetime.timestamp()"
        self.set_header(name, http_date(need_number(f"set_date_header: the time for {name}", seconds, remedy)))

    def set_max_age(self, seconds: int) -> None:
        """``Cache-Control: max-age=N`` (BAS ``response:setmaxage``)."""
        self.set_header("Cache-Control", f"max-age={int(need_number('max-age', seconds, 'give seconds'))}")

    def set_default_headers(self) -> None:
        """HTML unless a type is set, and not to be cached (BAS ``response:setdefaultheaders``)."""
        self.set_content_type(HTML, replace=False)
        self.set_header("Cache-Control", NO_STORE)

    def clear_keepalive(self) -> None:
        """Close the connection after this response (BAS ``response:clearkeepalive``)."""
        self._close = True

    def downgrade(self) -> None:
        """Do without chunked coding; the body may end with the connection (BAS ``response:downgrade``)."""
        self._check_open("the transfer coding")
        self._downgraded = True

    def create_cookie(self, name: str) -> Cookie:
        """A new cookie; it is sent when its `activate` is called (BAS ``response:createcookie``)."""
        return self.attach_cookie(need_text("create_cookie: the name", name), "")

    def attach_cookie(self, name: str, value: str) -> Cookie:
        """A cookie whose `activate` sends it with this response; Secure where the request is."""
        cookie = Cookie(name, value, activate=self._activate)
        cookie.secure = self._request.is_secure()
        return cookie

    def replace_cookie(self, name: str, value: str) -> None:
        """Send a cookie of the server's own, instead of one of the same name that was to be sent; also in an include.

        Args:
            name: of the cookie.
            value: of the Set-Cookie field, checked.

        Raises:
            IsCommitted: the head has gone.
        """
        if self._committed:
            raise IsCommitted(f"cookie {name} cannot be sent: the response head has been")
        start = f"Set-Cookie: {name}=".encode()
        before = (self._lines or {}).get("set-cookie", b"")
        kept = [line + b"\r\n" for line in before.split(b"\r\n")[:-1] if not line.startswith(start)]
        self._set_line("set-cookie", b"".join(kept) + f"Set-Cookie: {value}\r\n".encode())

    def adopt_lines(self, lines: Mapping[str, bytes]) -> None:
        """Take over header lines that were made before, by lower-case name; those set here already stay."""
        if self._request.included:
            return  # they are for who answers alone
        self._check_open("headers")
        self._lines = lines if self._lines is None else {**lines, **self._lines}

    def adopt_head(self, other: ResponseHead) -> None:
        """Take over status, headers and what was decided about the connection from another response."""
        self._status, self._reason, self._lines = other._status, other._reason, other._lines
        self._close, self._downgraded = other._close, other._downgraded

    def committed(self) -> bool:
        """Whether the head has been sent (BAS ``response:committed``)."""
        return self._committed

    def byte_count(self) -> int:
        """Bytes of body produced so far (BAS ``response:bytecount``)."""
        return 0

    def _activate(self, cookie: Cookie) -> None:
        # After the commit it is ignored, as the reference says: the page has gone, and the cookie with it.
        if not self._committed:
            self.add_header("Set-Cookie", cookie.header_value())

    def _set_framing(self, key: str, value: str | None) -> None:
        if key == "content-length":
            if value is None:
                self._announced = None
            elif not (value.isascii() and value.isdigit()):
                raise LocalProtocolError(f"Content-Length {value!r} is not a number")
            else:
                self.set_content_length(int(value))
        elif key == "connection" and value is not None and value.strip().lower() in ("close", "keep-alive"):
            self._close = self._close or value.strip().lower() == "close"
        elif value is not None:
            raise LocalProtocolError(f"{key.title()} belongs to the server: it frames the message itself")

    def _set_line(self, key: str, line: bytes | None) -> None:
        # Never in place: the mapping may be one that many responses share.
        lines = {**self._lines} if self._lines is not None else {}
        if line is not None:
            lines[key] = line
        else:
            lines.pop(key, None)
        self._lines = lines

    def _check_open(self, what: str) -> None:
        request = self._request
        if self._committed or request.included or not request.valid():
            self._refuse(what)

    def _refuse(self, what: str) -> None:
        if not self._request.valid():
            raise Expired("request/response expired: it was used after the request had ended")
        if self._request.included:
            raise IncludeNotValid(f"{what} cannot change in an include: it belongs to the page that includes this one")
        raise IsCommitted(f"{what} cannot change: the response head has been sent")


def _explain(name: object, value: object, remedy: str = "") -> None:
    # Raises if it is an argument that is wrong.
    need_text("the name of a header", name)
    if value is not None or remedy:
        need_text(f"the value of header {name}", value, remedy if value is None else "")
