"""Cookies: what a browser sends, and what it is told to keep (RFC 6265bis; BAS cookie object)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import quote, unquote

from greenbas.errors import IncorrectUse, LocalProtocolError
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.dates import http_date

__all__ = ["Cookie", "parse_cookies"]

# Browsers drop a cookie whose name and value are longer than this together (RFC 6265bis 5.6), without a word.
MAX_SIZE = 4096

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 6265bis 4.1.1: av-octet is any visible ASCII character or space, but not ";".
_ATTRIBUTE = re.compile(r"[ -:<-~]*")
# RFC 6265bis 4.1.1: the cookie-octets that need no escape; "%" is left out, as it begins one.
_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_SAME_SITE = ("Lax", "Strict", "None")


def parse_cookies(header: str) -> dict[str, str]:
    """Read a Cookie header.

    Args:
        header: the field value; several fields joined with "; ".

    Returns:
        Values by name, percent-decoded. Nothing raises: a part without "=" or without a name is skipped. The first
        of two cookies with one name wins, for browsers send the one with the longer path first (RFC 6265bis 5.8.3).
    """
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip(" \t")
        if equals and name and name not in cookies:
            cookies[name] = _decode(value.strip(" \t"))
    return cookies


def _decode(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        # RFC 6265bis knows no escapes inside the quotes.
        value = value[1:-1]
    return unquote(value, errors="replace") if "%" in value else value


class Cookie:
    """One cookie; nothing is sent before `activate()`.

    Attributes may be set freely and are checked when the cookie is activated, so that a cookie with an odd name that
    a browser sent can still be read.

    Args:
        name: a token; ``__Secure-`` and ``__Host-`` at its start demand what RFC 6265bis 4.1.3 says.
        value: any text; it travels percent-encoded.
        activate: takes the cookie when it is to be sent.

    Attributes:
        value: the text.
        domain: hosts that get it back: this one and those below it; None means exactly the host that set it.
        path: the URL paths that get it back; None means the folder of the request.
        max_age: seconds it lives; None or 0 until the browser closes (BAS ``cookie:maxage``), below 0 not at all.
        secure: only over TLS.
        http_only: out of reach of scripts in the page.
        same_site: "Lax", "Strict", "None" (which demands `secure`), or None to leave it to the browser.
        comment: sent as it is; browsers ignore it.
    """

    __slots__ = (
        "_activate",
        "_name",
        "comment",
        "domain",
        "http_only",
        "max_age",
        "path",
        "same_site",
        "secure",
        "value",
    )

    def __init__(self, name: str, value: str = "", *, activate: Callable[[Cookie], None] | None = None) -> None:
        self._name = name
        self._activate = activate
        self.value = value
        self.domain: str | None = None
        self.path: str | None = None
        self.max_age: float | None = None
        self.secure = False
        self.http_only = True
        self.same_site: str | None = "Lax"
        self.comment: str | None = None

    def __repr__(self) -> str:
        # Without the value: it may be a session id, and a repr ends in logs.
        return f"<Cookie {self._name} domain={self.domain} path={self.path} max_age={self.max_age}>"

    @property
    def name(self) -> str:
        """The name (BAS ``cookie:name``)."""
        return self._name

    def delete(self) -> None:
        """Make the browser forget the cookie; takes effect with `activate()` (BAS ``cookie:delete``).

        Domain and path must be those it was set with.
        """
        self.max_age = -1

    def activate(self) -> None:
        """Send the cookie with the response (BAS ``cookie:activate``).

        Raises:
            LocalProtocolError: the name or an attribute cannot be sent.
            TypeError: the value or an attribute is of a wrong type.
            IncorrectUse: the cookie belongs to no response.
        """
        if self._activate is None:
            raise IncorrectUse(f"cookie {self._name!r} belongs to no response; make it with response.create_cookie()")
        self._check()
        self._activate(self)

    def header_value(self, *, now: Callable[[], float] = time.time) -> str:
        """Write the value of the Set-Cookie field.

        Args:
            now: the clock, in seconds since the epoch, that Expires counts from.

        Returns:
            ASCII text, with both Expires and Max-Age: the one for old browsers, the other for wrong clocks
            (RFC 6265bis section 4.1.2).

        Raises:
            LocalProtocolError: the name or an attribute cannot be sent.
        """
        parts = [self._check()]
        if self.max_age:
            # A Max-Age below zero is not in the grammar of RFC 6265bis 4.1.1; 0 together with the epoch says the same.
            expires = now() + self.max_age if self.max_age > 0 else 0
            parts.append(f"Expires={http_date(expires)}; Max-Age={max(0, int(self.max_age))}")
        for label, attribute in self._texts():
            parts.append(f"{label}={attribute}")
        if self.secure:
            parts.append("Secure")
        if self.http_only:
            parts.append("HttpOnly")
        if self.same_site:
            parts.append(f"SameSite={self.same_site}")
        return "; ".join(parts)

    def _texts(self) -> list[tuple[str, str]]:
        texts = (("Domain", self.domain), ("Path", self.path), ("Comment", self.comment))
        return [(label, text) for label, text in texts if text]

    def _check(self) -> str:
        """Return the pair of name and value once everything about the cookie can be sent."""
        self._check_types()
        if not _TOKEN.fullmatch(self._name):
            raise LocalProtocolError(f"cookie name {self._name!r} is not a token; use letters, digits, '-' and '_'")
        for label, text in self._texts():
            if not _ATTRIBUTE.fullmatch(text):
                raise LocalProtocolError(
                    f"{label} {text!r} of cookie {self._name!r} holds ';', a control character or non-ASCII text; "
                    "percent-encode it"
                )
        self._check_prefix()
        self._check_same_site()
        return self._pair()

    def _check_types(self) -> None:
        name = self._name
        if type(self.value) is not str:
            need_text(f"the value of cookie {name!r}", self.value, "" if self.value is not None else "use delete()")
        if self.max_age is not None:
            need_number(f"max_age of cookie {name!r}", self.max_age, "give seconds, or None")
        for label, text in self._texts():
            need_text(f"{label} of cookie {name!r}", text)

    def _check_prefix(self) -> None:
        # Without regard to case, as browsers compare them (RFC 6265bis 5.4).
        name = self._name.lower()
        if name.startswith("__secure-") and not self.secure:
            raise LocalProtocolError(f"cookie {self._name!r} must be secure; set secure = True")
        if name.startswith("__host-") and not (self.secure and self.path == "/" and not self.domain):
            raise LocalProtocolError(
                f"cookie {self._name!r} has secure={self.secure}, path={self.path!r}, domain={self.domain!r}; "
                "its prefix demands secure = True, path = '/' and no domain"
            )

    def _check_same_site(self) -> None:
        if self.same_site is not None and self.same_site not in _SAME_SITE:
            raise LocalProtocolError(f"same_site {self.same_site!r} of cookie {self._name!r}: use one of {_SAME_SITE}")
        if self.same_site == "None" and not self.secure:
            raise LocalProtocolError(f"cookie {self._name!r} has same_site 'None'; set secure = True as well")

    def _pair(self) -> str:
        try:
            pair = f"{self._name}={quote(self.value, safe=_SAFE)}"
        except UnicodeEncodeError:
            raise LocalProtocolError(f"value {self.value!r} of cookie {self._name!r} is not valid Unicode") from None
        if len(pair) > MAX_SIZE:
            raise LocalProtocolError(
                f"cookie {self._name!r} takes {len(pair)} bytes and browsers drop more than {MAX_SIZE}; "
                "keep the data in the session"
            )
        return pair
