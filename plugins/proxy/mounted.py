"""`Mounted`: how requests and responses are written anew for a proxy that is found below one path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from greenbas import Request
from greenbas_plugins.proxy.credentials import without_own
from greenbas_plugins.proxy.failure import LoopDetected, Outside
from greenbas_plugins.proxy.fields import Fields
from greenbas_plugins.proxy.forwarding import Forwarding, Peer
from greenbas_plugins.proxy.hops import MAX_HOPS, via_hops
from greenbas_plugins.proxy.incoming import Incoming
from greenbas_plugins.proxy.rewriting import rewritten_request, rewritten_response
from greenbas_plugins.proxy.upgrades import upgrade_asked
from greenbas_plugins.proxy.urlmap import Here, UrlMap, backend_target

if TYPE_CHECKING:
    from greenbas_plugins.proxy.settings import ProxySettings
    from greenbas_plugins.proxy.upstream import Upstream

__all__ = ["Mounted", "RequestOut", "Rewrite", "asks_for_upgrade", "header_lines", "peer_of"]

KNOWN = 512  # header sections of clients that are remembered with what they become
GLIMPSES = 4096
REMEMBERED = 128  # bytes of a target that may be asked for again

Pair = tuple[bytes, bytes]


class RequestOut:
    """What is about to be sent to a backend, for the hook ``rewrite``.

    Attributes:
        method: of the request.
        target: path and query, encoded.
        headers: the header fields; those that frame the message are not among them.
    """

    __slots__ = ("headers", "method", "target")

    def __init__(self, method: str, target: str, headers: Fields) -> None:
        self.method = method
        self.target = target
        self.headers = headers

    def __repr__(self) -> str:
        return f"<RequestOut {self.method} {self.target}>"


Rewrite = Callable[[Request, RequestOut], Any]


class Mounted:
    """The two directions for one mount.

    Args:
        mount: the path in front of what is the backend's, encoded, without a slash at its end.
        upstreams: all backends.
        settings: of the proxy.
        rewrite: the hook.
    """

    def __init__(
        self, mount: bytes, upstreams: Sequence[Upstream], settings: ProxySettings, rewrite: Rewrite | None = None
    ) -> None:
        self.mount = mount
        self.base = upstreams[0].origin.base.encode()
        origins = [one.origin.url for one in upstreams]
        if settings.host not in ("keep", "backend"):  # URLs that the backends make name this one
            origins += [f"{url.partition(':')[0]}://{settings.host}" for url in origins[:1]]
        self.urls = UrlMap(origins, mount=mount, base=self.base)
        self._rewrite = rewrite
        self._settings = settings
        self._forwardings = {one: self._forwarding(one) for one in upstreams}
        self._any = self._forwardings[upstreams[0]]
        self._glimpsed: set[int] = set()
        self._whole: dict[tuple[object, ...], bytes] = {}
        self._known: dict[tuple[object, Peer, str, Forwarding], bytes] = {}

    def head(self, request: Request, peer: Peer, path: str, upstream: Upstream, upgrade: bytes = b"") -> bytes:
        """The head of a request for a backend, without the fields of framing and the empty line.

        Args:
            request: the client's.
            peer: the other end of the client's connection.
            path: the decoded path below the mount.
            upstream: whom it is for.
            upgrade: the protocols that the client asks for, b"" for none.

        Raises:
            Outside: it leads outside of what the backend is for.
            LoopDetected: it has come through too many proxies.
        """
        message = request.message
        # What is kept of a login depends on more than the fields. The way of most requests: client and target have been
        # here before.
        logged_in = request.used_session is not None
        whole = message.target, path, message.fields, peer, request.method, upstream
        if (found := self._whole.get(whole)) is not None and message.complete and not (upgrade or logged_in):
            return found
        forwarding = self._forwardings[upstream]
        find = _remembered_target if len(message.target) < REMEMBERED else backend_target
        target = find(message.target, request.path, path, self.base)
        if self._rewrite is not None:
            return self._rewritten(self._rewrite, request, target, self._fields(request, peer, upstream, upgrade))
        # What a client sends again and again is made once. A target with a host in it has that one, not the field's.
        usual = message.complete and not (upgrade or logged_in) and message.target[:1] == b"/"
        usual = usual and b"destination" not in message.headers
        key = message.fields, peer, request.method, forwarding
        block = self._known.get(key) if usual else None
        if block is None:
            block = _encode(self._fields(request, peer, upstream, upgrade))
            if usual:
                self._remember(key, block)
        made = b"%b %b HTTP/1.1\r\n%b" % (request.method.encode("ascii"), target, block)
        if usual and key in self._known and len(message.target) < REMEMBERED:
            if len(self._whole) >= KNOWN:
                self._whole.clear()
            self._whole[whole] = made
        return made

    def here(self, request: Request, peer: Peer) -> Here:
        """How the client sees this server."""
        message = request.message
        scheme = b"https" if request.is_secure() else b"http"
        return Here(scheme, request.host().encode("latin-1"), self._any.outer(message.fields.pairs, peer))

    def lines(self, incoming: Incoming, request: Request, peer: Peer) -> Mapping[str, bytes]:
        """The header lines of the client's response, by lower-case name."""
        if incoming.lines is not None:
            return incoming.lines
        lines = header_lines(self.response_fields(incoming, request, peer))
        if not incoming.has_urls:
            incoming.lines = lines
        return lines

    def response_fields(self, incoming: Incoming, request: Request, peer: Peer) -> list[Pair]:
        """The fields of the client's response."""
        upgrade = incoming.last.get(b"upgrade", b"") if incoming.status == 426 else b""
        fields: list[Pair] = self._any.response(incoming.pairs, http11=incoming.http11, upgrade=upgrade)
        if incoming.has_urls:
            fields = rewritten_response(fields, self.urls, self.here(request, peer))
        return fields

    def _fields(self, request: Request, peer: Peer, upstream: Upstream, upgrade: bytes) -> list[Pair]:
        message = request.message
        pairs = message.fields.pairs
        if b"via" in message.headers and via_hops(pairs) > MAX_HOPS:
            raise LoopDetected(f"the request has come through more than {MAX_HOPS} proxies: they go round in a circle")
        fields = self._forwardings[upstream].request(
            pairs,
            peer,
            message.authority,
            http11=message.http11,
            method=request.method,
            expects=message.expects_continue,
            upgrade=upgrade,
            fallback=upstream.origin.authority.encode(),
        )
        if request.used_session is not None and not self._settings.pass_credentials:
            fields = without_own(fields, request)
        if b"destination" in message.headers or b"if" in message.headers:
            here = self.here(request, peer)
            # With the Host that is sent, which stands first: servers compare the two.
            origin = b"%b://%b" % (upstream.origin.scheme.encode(), fields[0][1])
            rewritten = rewritten_request(fields, self.urls, here, origin)
            if rewritten is None:
                raise Outside("the Destination of the request is not a place of this backend")
            return rewritten
        return fields

    def _remember(self, key: tuple[object, Peer, str, Forwarding], block: bytes) -> None:
        # The server has one object for sections that come again; the others come once. The number of a section that is
        # gone may be another's by now, which only makes this one remembered a request earlier.
        if id(key[0]) not in self._glimpsed:
            if len(self._glimpsed) >= GLIMPSES:
                self._glimpsed.clear()
            self._glimpsed.add(id(key[0]))
            return
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[key] = block

    @staticmethod
    def _rewritten(rewrite: Rewrite, request: Request, target: bytes, fields: list[Pair]) -> bytes:
        out = RequestOut(request.method, target.decode("latin-1"), Fields(fields))
        rewrite(request, out)
        line = f"{out.method} {out.target} HTTP/1.1"
        if len(line.split(" ")) != 3 or not (line.isascii() and line.isprintable()):
            raise ValueError(f"rewrite has made the request line {line[:80]!r}: encode what is no character of a URL")
        return b"%b\r\n%b" % (line.encode("ascii"), _encode(out.headers.pairs))

    def _forwarding(self, upstream: Upstream) -> Forwarding:
        host = self._settings.host
        sent = b"" if host == "keep" else upstream.origin.authority.encode() if host == "backend" else host.encode()
        return _forwarding(self.mount, sent, self._settings.rewrite_links)


@lru_cache(maxsize=1024)
def _forwarding(mount: bytes, host: bytes, identity: bool) -> Forwarding:
    return Forwarding(prefix=mount, host=host, identity=identity)


@lru_cache(maxsize=4096)
def peer_of(address: str, secure: bool, trusted: bool) -> Peer:
    """The other end of a client's connection; the same object for equal ones."""
    return Peer(address, secure, trusted)


def header_lines(fields: Sequence[Pair]) -> dict[str, bytes]:
    """Fields as a response takes them: lines by lower-case name, those of one name together."""
    # What the backend has not said, the server shall not make up.
    lines: dict[str, bytes] = {"content-type": b"", "server": b""}
    for name, value in fields:
        key = name.decode("latin-1").lower()
        line = b"%b: %b\r\n" % (name, value)
        lines[key] = lines[key] + line if key in lines else line
    lines.pop("content-length", None)
    return lines


def asks_for_upgrade(request: Request) -> bytes:
    """The protocols other than HTTP that a request asks for, as far as they are worth passing on."""
    return upgrade_asked(request.message.fields.pairs) if request.message.upgrade else b""


_remembered_target = lru_cache(maxsize=2048)(backend_target)


def _encode(fields: Sequence[Pair]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])
