"""Fields that hold URLs: those of responses for the client, those of WebDAV requests for the backend.

`Location`, `Content-Location`, `Refresh`, `Link` (whose preloads would fail, and whose pages would leave the proxy),
`SourceMap`, `Service-Worker-Allowed`, and `Set-Cookie` one way; `Destination` and `If` the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from greenbas_plugins.proxy.urlmap import Here, UrlMap, backend_target

__all__ = ["Here", "UrlMap", "backend_target", "rewritten_refresh", "rewritten_request", "rewritten_response"]

Pair = tuple[bytes, bytes]
Rule = Callable[[bytes, UrlMap, Here], bytes]

# As browsers read it (HTML, "shared declarative refresh steps"): seconds, a separator, perhaps "url=", perhaps quotes.
_REFRESH = re.compile(rb"([\s]*[0-9.]*\s*[;,\s]\s*(?:[uU][rR][lL]\s*=\s*)?[\"']?)([^\"']*)(.*)", re.DOTALL)
# The targets of links (RFC 8288 3) and the tags of lists (RFC 4918 10.4.2), but nothing in quoted strings.
_ANGLES = re.compile(rb"\"(?:[^\"\\]|\\.)*+\"?|<([^<>]*)>", re.DOTALL)
# RFC 4918 10.4.2: what stands in parentheses are conditions, with tokens and tags.
_CONDITIONS = re.compile(rb"\((?:[^()\"]|\"[^\"]*\")*+\)|<([^<>]*)>")


def rewritten_response(fields: list[Pair], urls: UrlMap, here: Here) -> list[Pair]:
    """The fields of a response with the backend's URLs turned into those that the client can use.

    Args:
        fields: names in any case.
        urls: what is shown where.
        here: where the client is.

    Returns:
        The same list when there is nothing to be changed, else a new one.
    """
    for name, _ in fields:
        if name.lower() in _RESPONSE_RULES:
            return [_rewritten(pair, urls, here) for pair in fields]
    return fields


def rewritten_request(fields: list[Pair], urls: UrlMap, here: Here, origin: bytes) -> list[Pair] | None:
    """The fields of a request with the URLs of this proxy turned into the backend's.

    Args:
        fields: names in any case.
        urls: what is shown where.
        here: where the client is.
        origin: ``scheme://host`` of the backend, as the Host that is sent to it names it.

    Returns:
        The same list when there is nothing to be changed, else a new one; None when the Destination is not the
        backend's: 502 answers that (RFC 4918 9.8.5), and never may the backend take it for a path of its own.
    """
    if not any(name.lower() in (b"destination", b"if") for name, _ in fields):
        return fields
    changed = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"destination":
            url = urls.to_backend(value.strip(b" \t"), here, origin)
            if url is None:
                return None
            value = url
        elif lower == b"if":
            value = _rewritten_if(value, urls, here, origin)
        changed.append((name, value))
    return changed


def rewritten_refresh(value: bytes, turned: Callable[[bytes], bytes]) -> bytes:
    """The value of Refresh, or of a ``meta`` element that stands for it, with another URL.

    Args:
        value: such as ``5; url=/next``.
        turned: makes the new URL of the old one.
    """
    found = _REFRESH.fullmatch(value)
    return value if found is None else found[1] + turned(found[2]) + found[3]


def _rewritten(pair: Pair, urls: UrlMap, here: Here) -> Pair:
    rule = _RESPONSE_RULES.get(pair[0].lower())
    return (pair[0], rule(pair[1], urls, here)) if rule is not None else pair


def _rewritten_url(value: bytes, urls: UrlMap, here: Here) -> bytes:
    return urls.to_public(value.strip(b" \t"), here)


def _rewritten_refresh(value: bytes, urls: UrlMap, here: Here) -> bytes:
    return rewritten_refresh(value, lambda url: urls.to_public(url, here))


def _rewritten_link(value: bytes, urls: UrlMap, here: Here) -> bytes:
    def turned(found: re.Match[bytes]) -> bytes:
        return found[0] if found[1] is None else b"<" + urls.to_public(found[1].strip(b" \t"), here) + b">"

    return _ANGLES.sub(turned, value)


def _rewritten_if(value: bytes, urls: UrlMap, here: Here, origin: bytes) -> bytes:
    def turned(found: re.Match[bytes]) -> bytes:
        url = urls.to_backend(found[1], here, origin) if found[1] is not None else None
        return found[0] if url is None else b"<" + url + b">"

    return _CONDITIONS.sub(turned, value)


def _rewritten_cookie(value: bytes, urls: UrlMap, here: Here) -> bytes:
    """Set-Cookie with Path and Domain turned; everything else, and how it is written, stays (RFC 6265bis 5.6)."""
    pair, *attributes = value.split(b";")
    kept = [pair]
    for attribute in attributes:
        name, _, text = attribute.partition(b"=")
        key, text = name.strip(b" \t").lower(), text.strip(b" \t")
        if key == b"path" and pair.lstrip(b" \t")[:7].lower() != b"__host-":  # which demands Path=/
            path = urls.cookie_path(text, here.outer)
            attribute = name + b"=" + path if path != text else attribute
        elif key == b"domain" and _is_of_backend(text, urls, here):
            continue  # without it the cookie is for the host that the client asked, and for no other
        kept.append(attribute)
    return b";".join(kept)


def _is_of_backend(domain: bytes, urls: UrlMap, here: Here) -> bool:
    # Whether a cookie's Domain covers a backend and not the host that the client asked, which therefore would drop it.
    domain = domain.lower().removeprefix(b".")
    public = re.sub(rb":[0-9]*\Z", b"", here.authority.lower())
    return not _covers(domain, public) and any(_covers(domain, host) for host in urls.hosts)


def _covers(domain: bytes, host: bytes) -> bool:
    return host == domain or (host.endswith(b"." + domain) and domain != b"")


_RESPONSE_RULES: dict[bytes, Rule] = {
    b"location": _rewritten_url,
    b"content-location": _rewritten_url,
    b"refresh": _rewritten_refresh,
    b"link": _rewritten_link,
    b"sourcemap": _rewritten_url,
    b"service-worker-allowed": _rewritten_url,  # else the worker of one application would serve the whole site
    b"set-cookie": _rewritten_cookie,
}
