"""`UrlMap`: the URLs of a backend and those under which a proxy shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from greenbas.errors import SettingError

__all__ = ["Here", "UrlMap", "backend_target"]

_URL = re.compile(rb"(?:([A-Za-z][A-Za-z0-9+.\-]*):)?//([^/?#\\]*)(.*)", re.DOTALL)
_ORIGIN = re.compile(rb"(https?)://(\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)(:[0-9]{1,5})?/?")
_PORT = re.compile(rb":[0-9]*\Z")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_PATH_SAFE = "/:@!$&'()*+,;=~-._"  # RFC 3986 3.3
_ESCAPED_DOT = re.compile(rb"%2[eE]")
# What a path may hold before it is taken for something else by one of those that read it.
_AMBIGUOUS = re.compile(rb"[^!-~]|[#<>\"\\`{}?]|%5[cC]|%00")


class Here(NamedTuple):
    """Where the client of one request is.

    Args:
        scheme: b"http" or b"https", as the client sees it.
        authority: the host that it asked for, with the port unless it is the usual one; b"" when it did not say.
        outer: the path that proxies before this one took off, without a slash at its end.
    """

    scheme: bytes
    authority: bytes
    outer: bytes = b""


class UrlMap:
    """Maps URLs between the backends and their place here.

    A path that has the whole prefix already is taken for public: applications that read X-Forwarded-Prefix write such.

    Args:
        origins: the ``scheme://host:port`` of all backends, and those they believe to have.
        mount: the path here, percent-encoded, without a slash at its end; b"" for the root.
        base: the path at the backends, likewise.

    Attributes:
        hosts: the hosts of the backends, lower case, without ports.

    Raises:
        SettingError: an origin is none.
    """

    __slots__ = ("_authorities", "_base", "_mount", "_origins", "_ports", "hosts")

    def __init__(self, origins: Iterable[str], *, mount: bytes = b"", base: bytes = b"") -> None:
        self._mount = mount.rstrip(b"/")
        self._base = base.rstrip(b"/")
        found = [_parsed(origin) for origin in origins]
        self._origins = frozenset((scheme, _usual(scheme, host + port)) for scheme, host, port in found)
        self._authorities = frozenset(authority for _, authority in self._origins)
        self.hosts = frozenset(host for _, host, _ in found)
        self._ports = frozenset(port for _, _, port in found if port)

    def to_public(self, url: bytes, here: Here) -> bytes:
        """A backend's reference, as it has to look to the client.

        Args:
            url: absolute, or a path, or relative.
            here: where the client is.

        Returns:
            The same when it is relative, names another host, or lies outside of what is shown here.
        """
        if url[:1] != b"/" or url[1:2] in (b"/", b"\\"):
            return self.absolute_to_public(url, here)
        path = self.public_path(url, here.outer)
        if path is None:
            return url
        return _not_a_host(path)

    def absolute_to_public(self, url: bytes, here: Here) -> bytes:
        """As `to_public`, for references with a host; all others stay as they are."""
        found = _URL.fullmatch(url)
        if found is None:
            return url
        scheme, authority = (found[1] or b"").lower(), found[2].lower()
        if scheme and scheme not in _DEFAULT_PORTS:
            return url
        at_backend = self._is_backend(scheme, authority) or self._is_port_of_backend(authority, here)
        if not at_backend and not _is_here(scheme, authority, here):
            return url
        path = self.public_path(found[3] if found[3][:1] == b"/" else b"/" + found[3], here.outer)
        if path is None:
            return url
        if at_backend:
            # Without a word from the client about its host, a path has to do.
            return here.scheme + b"://" + here.authority + path if here.authority else _not_a_host(path)
        # The backend knows under which host it is shown; its choice of http or https is meant.
        return bytes(url[: found.start(3)]) + path

    def public_path(self, path: bytes, outer: bytes) -> bytes | None:
        """A path at the backend, perhaps with query and fragment, as it is here; None when it is not shown.

        Args:
            path: it begins with "/".
            outer: as in `Here`.
        """
        whole = outer + self._mount
        rest = _below(path, self._base)
        # Where both fit, the longer one is the better guess.
        if _below(path, whole) is not None and (rest is None or len(whole) >= len(self._base)):
            return path
        if rest is None:
            return None
        return whole + rest if whole or rest[:1] == b"/" else b"/" + rest

    def cookie_path(self, path: bytes, outer: bytes) -> bytes:
        """The Path of a backend's cookie, for the client; one wider than what is shown here ends at the mount."""
        whole = outer + self._mount
        if path[:1] != b"/":
            return path
        if path == b"/" or _below(self._base, path.rstrip(b"/")) is not None:
            return whole or b"/"
        public = self.public_path(path, outer)
        return path if public is None else public

    def to_backend(self, url: bytes, here: Here, origin: bytes) -> bytes | None:
        """A client's reference to what is shown here, for the backend.

        Args:
            url: absolute, or a path.
            here: where the client is.
            origin: ``scheme://host`` of the backend, as the Host that is sent to it names it.

        Returns:
            The absolute URL; None when it lies elsewhere, or could be read in two ways.
        """
        found = _URL.fullmatch(url)
        if found is not None:
            scheme, authority = (found[1] or b"").lower(), found[2].lower()
            if scheme not in _DEFAULT_PORTS or not _is_here(scheme, authority, here):
                return None
        path, mark, query = (found[3] if found is not None else url).partition(b"?")
        if path[:1] != b"/" or _AMBIGUOUS.search(path + query) or _has_dots(path):
            return None
        # A proxy before this one has taken its own prefix off, or not.
        for prefix in (here.outer + self._mount, self._mount):
            rest = _below_decoded(path, prefix)
            if rest is not None:
                return origin + (self._base + rest or b"/") + mark + query
        return None

    def _is_port_of_backend(self, authority: bytes, here: Here) -> bool:
        # A backend that gets the client's Host puts its own port behind it, such as nginx with port_in_redirect.
        host, colon, port = authority.rpartition(b":")
        return colon + port in self._ports and host == _PORT.sub(b"", here.authority.lower())

    def _is_backend(self, scheme: bytes, authority: bytes) -> bool:
        if scheme:
            return (scheme, _usual(scheme, authority)) in self._origins
        return authority in self._authorities


def backend_target(target: bytes, path: str, relpath: str, base: bytes = b"") -> bytes:
    """The request target for the backend: the raw one with `base` in place of the mount.

    Escapes and query stay as the client wrote them. A path that was folded on its way here (dot segments, also escaped
    ones) is written anew, so that the backend sees what the site has seen.

    Args:
        target: as it was on the wire.
        path: its path, decoded and folded (`Request.path`).
        relpath: the part of it below the proxy (`Request.relpath`).
        base: the path at the backend, encoded, without a slash at its end.

    Returns:
        A target in origin form; ``*`` for ``*``.
    """
    if target == b"*":
        return target
    raw, mark, query = target.partition(b"?")
    if raw[:1] != b"/":
        found = _URL.fullmatch(raw)
        raw = found[3] if found is not None and found[3] else b"/"
    taken = len(path.encode()) - len(relpath.encode())
    if b"/." not in raw and raw == path.encode():
        tail = raw[taken:]
    elif unquote_to_bytes(raw) != path.encode():
        tail = quote(relpath, safe=_PATH_SAFE).encode()
    else:
        tail = raw[_decoded_index(raw, taken) :]
    return base + b"/" + tail + mark + query


def _parsed(origin: str) -> tuple[bytes, bytes, bytes]:
    found = _ORIGIN.fullmatch(origin.lower().encode("utf-8", "replace"))
    if found is None:
        raise SettingError(f"origin {origin!r:.80} is not like 'http://host:8000'")
    return found[1], found[2], found[3] or b""


def _usual(scheme: bytes, authority: bytes) -> bytes:
    # RFC 9110 4.2.3: the default port may be left out.
    return authority.removesuffix(_DEFAULT_PORTS[scheme])


def _is_here(scheme: bytes, authority: bytes, here: Here) -> bool:
    if not here.authority:
        return False
    return _usual(scheme or here.scheme, authority) == _usual(here.scheme, here.authority.lower())


def _not_a_host(path: bytes) -> bytes:
    # "//" at the beginning would name a host (RFC 3986 4.2); browsers read "/\\" likewise and pass over tabs.
    return b"/." + path if path.replace(b"\t", b"").startswith((b"//", b"/\\")) else path


def _below(path: bytes, prefix: bytes) -> bytes | None:
    """What follows a prefix that ends with a segment; None when the path has another."""
    rest = path[len(prefix) :]
    return rest if path.startswith(prefix) and rest[:1] in (b"", b"/", b"?", b"#") else None


def _below_decoded(path: bytes, prefix: bytes) -> bytes | None:
    # Clients escape more or less than we do.
    wanted = unquote_to_bytes(prefix)
    if not unquote_to_bytes(path).startswith(wanted):
        return None
    rest = path[_decoded_index(path, len(wanted)) :]
    return rest if rest[:1] in (b"", b"/") else None


def _decoded_index(raw: bytes, count: int) -> int:
    """Where the first `count` decoded bytes end in an escaped path."""
    index = 0
    for _ in range(count):
        index += 3 if raw[index : index + 1] == b"%" else 1
    return index


def _has_dots(path: bytes) -> bool:
    """Whether a segment is "." or "..", also where escaped slashes part segments."""
    plain = unquote_to_bytes(path).replace(b"\\", b"/") if b"%" in path or b"\\" in path else path
    return b"/." in plain and not {b".", b".."}.isdisjoint(plain.split(b"/"))
