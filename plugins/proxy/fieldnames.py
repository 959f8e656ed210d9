"""Which header fields a proxy treats in a way of their own, by name.

The rules of this file: what is about one connection stays on it (RFC 9110 7.6.1). What frames a message is made anew
by whoever sends it. What says who asked is believed from trusted peers only. And no client may choose by its
Connection field what of the rest arrives.
"""

from __future__ import annotations

__all__ = [
    "ACCEPT_ENCODING",
    "CONNECTION",
    "DROPPED",
    "END_TO_END",
    "MAX_FORWARDS",
    "ORIGIN",
    "PLAIN",
    "TE",
    "UNDERSCORE",
    "VIA",
    "Kinds",
    "request_kind",
    "response_kind",
]

PLAIN, DROPPED, CONNECTION, TE, VIA, ORIGIN, MAX_FORWARDS, ACCEPT_ENCODING, UNDERSCORE = range(9)

_REMEMBERED = 1024  # names; some three hundred are registered
_REMEMBERED_LENGTH = 64  # bytes

_DROPPED_BOTH_WAYS = """
    host keep-alive content-length transfer-encoding trailer upgrade
    proxy-connection proxy-authenticate proxy-authorization proxy-authentication-info
"""
# "Proxy" becomes HTTP_PROXY in a CGI environment, which HTTP clients obey (httpoxy, CVE-2016-5385). HTTP2-Settings
# belongs to the upgrade to h2c, which would carry requests past this proxy.
_DROPPED_REQUEST = frozenset(f"{_DROPPED_BOTH_WAYS} proxy expect http2-settings".encode().split())
# Alt-Svc names other ports and protocols of the backend, and clients would ask ours for them (RFC 7838 3).
_DROPPED_RESPONSE = frozenset(f"{_DROPPED_BOTH_WAYS} alt-svc".encode().split()) - {b"host"}

# What applications are known to believe about the client, or about the path that was asked for before a proxy.
_ORIGIN = frozenset(
    b"""
    forwarded x-real-ip x-client-ip x-cluster-client-ip true-client-ip cf-connecting-ip fastly-client-ip
    x-original-url x-original-uri x-original-host x-original-method x-original-forwarded-for x-rewrite-url
    x-scheme x-url-scheme x-script-name front-end-https
    """.split()
)
_ORIGIN_BEGINNING = b"x-forwarded"  # -for, -proto, -host, -prefix, -port, -server, -ssl, -by, -protocol, ...

# Meant for all recipients, so Connection must not name them (RFC 9110 7.6.1); who does wants to hide them from the
# backend, as in CVE-2022-31813 (X-Forwarded-For) and CVE-2022-1388 (X-F5-Auth-Token). They do not belong behind a
# body, either (RFC 9110 6.5.1): there nobody has checked them when they are merged.
END_TO_END = frozenset(
    b"""
    accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
    access-control-allow-headers access-control-allow-methods access-control-allow-origin
    access-control-expose-headers access-control-max-age access-control-request-headers
    access-control-request-method age allow authentication-info authorization cache-control clear-site-data
    content-disposition content-encoding content-language content-location content-range content-security-policy
    content-security-policy-report-only content-type cookie cookie2 cross-origin-embedder-policy
    cross-origin-opener-policy cross-origin-resource-policy date depth destination dnt etag expires from host
    if if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location lock-token
    max-forwards origin overwrite permissions-policy pragma range referer referrer-policy refresh retry-after
    sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version
    server set-cookie set-cookie2 strict-transport-security timeout user-agent vary via warning www-authenticate
    x-api-key x-auth-token x-content-type-options x-csrf-token x-csrftoken x-frame-options
    x-http-method-override x-requested-with x-xsrf-token x-xss-protection
    """.split()
)

_REQUEST = {
    b"connection": CONNECTION,
    b"te": TE,
    b"via": VIA,
    b"max-forwards": MAX_FORWARDS,
    b"accept-encoding": ACCEPT_ENCODING,
}
_RESPONSE = {b"connection": CONNECTION, b"via": VIA}


def request_kind(name: bytes) -> int:
    """The kind of a request's field.

    A name with "_" is UNDERSCORE, or DROPPED when it would pass for one that matters here: CGI and WSGI show ``X_A``
    and ``X-A`` under one name, and so a client could write what only a proxy may.

    Args:
        name: in any case.
    """
    lower = name.lower()
    if b"_" in lower:
        twin = lower.replace(b"_", b"-")
        return UNDERSCORE if request_kind(twin) == PLAIN and twin not in END_TO_END else DROPPED
    if lower in _DROPPED_REQUEST or lower.startswith(b"proxy-"):
        return DROPPED
    if lower in _ORIGIN or lower.startswith(_ORIGIN_BEGINNING):
        return ORIGIN
    return _REQUEST.get(lower, PLAIN)


def response_kind(name: bytes) -> int:
    """The kind of a response's field: PLAIN, DROPPED, CONNECTION or VIA.

    Args:
        name: in any case.
    """
    lower = name.lower()
    return DROPPED if lower in _DROPPED_RESPONSE else _RESPONSE.get(lower, PLAIN)


class Kinds(dict[bytes, int]):
    """Kinds by names as they were on the wire, found out once for each; a quarter of the work of asking anew.

    Args:
        responses: of responses instead of requests.
    """

    def __init__(self, responses: bool = False) -> None:
        super().__init__()
        self._kind_of = response_kind if responses else request_kind

    def __missing__(self, name: bytes) -> int:
        kind = self._kind_of(name)
        if len(name) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()  # somebody invents names; the usual ones are back with the next requests
            self[name] = kind
        return kind
