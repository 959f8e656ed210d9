"""Header fields that this server has set itself, beside those of the backend: cookies, and who may cache."""

from __future__ import annotations

from collections.abc import Mapping

from greenbas import Response

__all__ = ["beside_own", "merged_caching"]

_SHARED = frozenset({"public", "s-maxage"})  # directives that caches may obey which many share


def beside_own(response: Response, lines: Mapping[str, bytes], cookie: bytes) -> Mapping[str, bytes]:
    """The lines of a backend's answer that go beside those that are set already, which may change for it.

    Where a login is needed the server has said that no shared cache may keep the answer, and with a new session that
    none may. A backend can be stricter than that, and not laxer.

    Args:
        response: to the client.
        lines: by lower-case name.
        cookie: a Set-Cookie line of the proxy's own, b"" for none.
    """
    found = dict(lines)
    cookies = found.pop("set-cookie", b"") + cookie
    if response.contains_header("Set-Cookie") is None:
        if cookies:
            found["set-cookie"] = cookies
    else:
        for line in cookies.split(b"\r\n")[:-1]:
            response.add_header("Set-Cookie", line.partition(b": ")[2].decode("latin-1"))
    own = response.contains_header("Cache-Control")
    if own is not None and "cache-control" in found:
        theirs = b", ".join([line.partition(b": ")[2] for line in found.pop("cache-control").split(b"\r\n")[:-1]])
        response.set_header("Cache-Control", merged_caching(own, theirs.decode("latin-1")))
    return found


def merged_caching(own: str, theirs: str) -> str:
    """The Cache-Control (RFC 9111 5.2) that allows what both allow.

    Args:
        own: of this server: "private", or one with "no-store".
        theirs: the backend's.
    """
    if "no-store" in own:
        return own
    directives = [one.strip() for one in theirs.split(",") if one.strip()]
    kept = [one for one in directives if one.partition("=")[0].strip().lower() not in _SHARED]
    if not {"private", "no-store"}.isdisjoint(one.lower() for one in kept):
        return ", ".join(kept)
    return ", ".join([own, *kept])
