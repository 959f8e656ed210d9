"""`SessionCookie`: how the id of a session travels between server and browser (RFC 6265bis)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from greenbas.protocol.section import HeaderSection

if TYPE_CHECKING:
    from greenbas.http.request import Request

__all__ = ["ID", "SessionCookie"]

ID = re.compile(r"[0-9a-f]{40}")  # 160 bits: with a million sessions alive, 10^42 guesses for one of them


# Browsers send the same fields with each request. So many of them are remembered, if they are short: 2 MB at most.
RECENT = 4096
RECENT_LENGTH = 512  # bytes


class SessionCookie:
    """The cookie with the id of the session.

    It is HttpOnly and SameSite=Lax, and has no Max-Age: it goes with the browser. Over TLS it is Secure as well, and a
    prefix of its name has the browser guarantee that: with ``__Host-`` no other host and no plain connection can have
    set it. Cookies of plain connections are not looked at over TLS.

    Args:
        name: without prefix.
        path: the URL paths that get it back.
    """

    def __init__(self, name: str, path: str) -> None:
        prefix = "__Host-" if path == "/" else "__Secure-"
        self.name = name
        self._names = (name, prefix + name)
        self._patterns = tuple(
            re.compile(rb"(?:^|;)[ \t]*%b=([0-9a-f]{40})[ \t]*(?:;|$)" % re.escape(one.encode())) for one in self._names
        )
        self._recent: dict[bytes, str] = {}  # of plain connections: the id in a field that has come before, or ""
        self._rest = tuple(f"; Path={path}{secure}; HttpOnly; SameSite=Lax" for secure in ("", "; Secure"))

    def read(self, fields: HeaderSection, secure: bool) -> str | None:
        """The id that came with a request, whether or not there is such a session.

        Args:
            fields: the header of the request.
            secure: whether it came over TLS.
        """
        sent = fields.last.get(b"cookie")
        if sent is None:
            return None
        if secure or len(fields.last) != len(fields.pairs):
            # There may be several fields.
            return self._search(fields.view["cookie"].encode("latin-1"), secure) or None
        found = self._recent.get(sent)
        return (self._search(sent, False) if found is None else found) or None

    def send(self, request: Request, token: str) -> None:
        """Send an id with the response to a request; "" has the browser forget the one it has.

        Raises:
            IsCommitted: the head has gone.
        """
        secure = request.is_secure()
        name = self._names[secure]
        gone = "" if token else "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
        request.response.replace_cookie(name, f"{name}={token}{gone}{self._rest[secure]}")

    def _search(self, sent: bytes, secure: bool) -> str:
        found = self._patterns[secure].search(sent)
        token = found[1].decode() if found is not None else ""
        if not secure and len(sent) <= RECENT_LENGTH:
            if len(self._recent) >= RECENT:
                self._recent.clear()
            self._recent[sent] = token
        return token
