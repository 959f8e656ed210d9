"""`StoreUrl`: where sessions are kept, as a setting says it."""

from __future__ import annotations

from urllib.parse import urlsplit

from greenbas.errors import SettingError

__all__ = ["StoreUrl"]

_HINT = "use 'memory', 'sqlite:///PATH' or 'redis://HOST:PORT/DB'"


class StoreUrl(str):
    """The setting `session_store`: text that does not show its password in logs and listings.

    Args:
        text: "memory"; "sqlite:///sessions.db", relative to the working folder, and "sqlite:////var/lib/x.db", which is
            not; "redis://user:password@host:6379/0", or "rediss://" over TLS.

    Attributes:
        scheme: "memory", "sqlite", "redis" or "rediss".

    Raises:
        SettingError: no store is named like that.
    """

    __slots__ = ("scheme",)

    scheme: str

    def __new__(cls, text: str) -> StoreUrl:
        """Check the text."""
        if not isinstance(text, str):
            raise SettingError(f"session_store: {text!r} is not a str; {_HINT}")
        made = super().__new__(cls, text)
        made.scheme = _checked_scheme(text)
        return made

    def __repr__(self) -> str:
        return repr(self.shown)

    @property
    def shown(self) -> str:
        """The text without its password, for messages."""
        head, at, place = self.rpartition("@")
        if not at:
            return str(self)
        scheme, _, who = head.partition("://")
        user, colon, _ = who.partition(":")
        return f"{scheme}://{user}{':***' if colon else ''}@{place}"

    @property
    def path(self) -> str:
        """The file of an SQLite store."""
        return self.removeprefix("sqlite:///")


def _checked_scheme(text: str) -> str:
    if text == "memory":
        return text
    scheme = text.partition(":")[0]
    if scheme == "sqlite":
        path = text.removeprefix("sqlite:///")
        if path == text or not path or path.endswith("/") or "\0" in path or path == ":memory:":
            raise SettingError(f"session_store: {text!r} names no file; use 'sqlite:///PATH', or 'memory'")
        return scheme
    if scheme not in ("redis", "rediss"):
        raise SettingError(f"session_store: {text.partition('@')[0]!r} is no store; {_HINT}")
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or not (parts.path.strip("/") or "0").isdecimal():
        raise SettingError("session_store: the address is not like 'redis://HOST:PORT/DB', with a number as DB")
    return scheme
