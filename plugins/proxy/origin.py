"""`Origin`: where a backend is, as its URL says it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from greenbas.errors import SettingError

__all__ = ["Origin", "parse_origin"]

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_BASE = re.compile(r"[!$&'()*+,./0-9:;=@A-Z_a-z~%-]*")
_EXAMPLES = "write 'http://127.0.0.1:8000', 'https://app.example/base/' or 'unix:/run/app.sock'"


class Origin(NamedTuple):
    """The address of a backend.

    Attributes:
        scheme: "http" or "https".
        host: a name or an address, without brackets; "localhost" for a Unix socket.
        port: the TCP port.
        path: of the Unix socket, "" without.
        base: the path in front of what is asked for, encoded, without a slash at its end.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    base: str = ""

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As it stands in a Host field: without the port that the scheme implies."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Scheme and authority."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else self.url


def parse_origin(text: str) -> Origin:
    """Read the URL of a backend.

    Args:
        text: ``http://host:port/base``, ``https://...`` or ``unix:/path/of/socket``.

    Raises:
        SettingError: it is none of these.
    """
    if not isinstance(text, str):
        raise SettingError(f"{text!r:.80} is no URL of a backend: {_EXAMPLES}")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise SettingError(f"{text!r:.80}: the path of a Unix socket is absolute: {_EXAMPLES}")
        return Origin("http", "localhost", 80, path)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingError(f"{text!r:.80} is no URL of a backend ({error}): {_EXAMPLES}") from None
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or port == 0:
        raise SettingError(f"{text!r:.80} is no URL of a backend: {_EXAMPLES}")
    if parts.query or parts.fragment or parts.username is not None or not _BASE.fullmatch(parts.path):
        raise SettingError(f"{text!r:.80}: only a path may follow the host, without name, query and fragment")
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme], "", parts.path.rstrip("/"))
