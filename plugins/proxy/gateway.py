"""`Gateway`: a way to other sites through this one, for those who may (BAS ``ba.create.redirector(name)``).

Whoever can name any host can reach whatever this machine can reach: the administration of a router, the metadata of a
cloud, the database of the neighbour. So there is no gateway without a list of hosts and without an authenticator, and
addresses that are not public have to be listed themselves. They are checked after the look-up, on the very address that
is connected to.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from greenbas import Request, Response
from greenbas.errors import IncorrectUse, SettingError
from greenbas.vfs import Directory
from greenbas_plugins.proxy.credentials import without_session
from greenbas_plugins.proxy.failure import Refused
from greenbas_plugins.proxy.mounted import RequestOut
from greenbas_plugins.proxy.origin import Origin, parse_origin
from greenbas_plugins.proxy.proxy import Proxy
from greenbas_plugins.proxy.settings import ProxySettings
from greenbas_plugins.proxy.upstream import Upstream

if TYPE_CHECKING:
    from greenbas.net import tls as nettls

__all__ = ["AllowList", "Gateway"]

_TRANSLATED = IPv6Network("64:ff9b::/96")
SITES = 64  # whose connections and health are kept
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?(?::[0-9]{1,5})?")
_EXAMPLES = "write 'site.example', '*.example.com', 'site.example:8080', an address, or a network such as '10.1.0.0/16'"

_log = logging.getLogger("greenbas.proxy")


class AllowList:
    """The hosts and addresses that may be asked.

    Args:
        items: names, ``*.example.com`` for all below one, ``name:port``, ``*`` for any public site, addresses and
            networks.

    Raises:
        SettingError: an item is none of these, or there is none.
    """

    def __init__(self, items: tuple[str, ...]) -> None:
        self._names: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        if isinstance(items, str) or not items:
            raise SettingError(f"allow: a gateway needs the list of hosts that may be asked: {_EXAMPLES}")
        for item in items:
            try:
                self._networks.append(ip_network(item.strip("[]")))
            except ValueError:
                if item != "*" and not _NAME.fullmatch(item.lower()):
                    raise SettingError(f"allow: {item!r:.80} is no host: {_EXAMPLES}") from None
                self._names.add(item.lower())

    def has_name(self, host: str, port: int) -> bool:
        """Whether a host may be asked for by this name; addresses are for `check`."""
        if _address(host) is not None:
            return True
        host = host.lower().removesuffix(".")
        parents = host.split(".")
        names = {"*", host, *(f"*.{'.'.join(parents[i:])}" for i in range(1, len(parents)))}
        usual = port in (80, 443)
        return any((usual and name in self._names) or f"{name}:{port}" in self._names for name in names)

    def check(self, host: str, address: str) -> None:
        """See that an address may be connected to.

        Args:
            host: for which it was found.
            address: as the look-up gave it.

        Raises:
            Refused: says why not.
        """
        found = _address(address)
        if found is None:
            raise Refused(f"{address!r:.60} is no address")
        if any(found in network for network in self._networks):
            return
        if host == address:
            raise Refused(f"the address {address} is not among those that may be asked: see allow")
        if not found.is_global or found.is_multicast:
            raise Refused(f"{host} has the address {address}, which is not public: list it in allow if it may be asked")


class Gateway(Directory):
    """Passes requests for ``HOST[:PORT]/path`` below it on to that host.

    Args:
        allow: the hosts that may be asked.
        settings: of the proxy.
        name: the path segment it answers to.
        priority: -128 to 127.
        tls: the context for port 443.
        **hooks: as of `Proxy`.

    Raises:
        SettingError: no list, or a bad item in it.
    """

    def __init__(
        self,
        allow: tuple[str, ...],
        settings: ProxySettings,
        name: str | None = None,
        *,
        priority: int = 0,
        tls: nettls.ClientTls | None = None,
        **hooks: Any,
    ) -> None:
        super().__init__(name, priority=priority)
        self._allow = AllowList(allow)
        self._settings = replace(settings, host="backend")  # other sites know nothing of the client's Host
        self._tls = tls
        self._rewrite = hooks.pop("rewrite", None)
        self._hooks = {**hooks, "rewrite": self._without_secrets}
        self._sites: OrderedDict[Origin, Proxy] = OrderedDict()

    def insert(self, child: Directory, reference: bool = True) -> None:
        """Always refused: nobody would ever ask the child.

        Raises:
            IncorrectUse: always.
        """
        raise IncorrectUse(f"{self!r} passes every path on: insert {child!r} beside it")

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """Pass the request on, or say why not."""
        if not request.initial:
            return False
        request.running, request.relpath = self, path
        site, slash, rest = path.partition("/")
        try:
            origin = self._admit(request, site)
        except Refused as refused:
            _log.warning("%s %s refused: %s", request.method, request.target, refused)
            response.send_error(refused.status, f"{refused}.")
            return True
        if not slash:
            response.redirect_with(307, f"{request.url()}/" + (f"?{request.query}" if request.query else ""))
            return True
        self._proxy(origin).serve(request, response, rest)
        return True

    def report(self) -> list[dict[str, Any]]:
        """A row for each site that was asked recently."""
        return [row for proxy in self._sites.values() for row in proxy.report()]

    def close(self) -> None:
        """The server ends."""
        for proxy in self._sites.values():
            proxy.close()

    def _admit(self, request: Request, site: str) -> Origin:
        if self._guarded() is None:
            raise Refused("This gateway has no authenticator, and is closed without one: call set_auth()")
        try:
            scheme = "https" if site.endswith(":443") else "http"
            origin = parse_origin(f"{scheme}://{site}")
        except SettingError:
            raise Refused("The path begins with the host that is asked for, such as /gateway/site.example/") from None
        if not site or not self._allow.has_name(origin.host, origin.port):
            raise Refused(f"{site[:80]} is not among the hosts that may be asked: see allow")
        if _address(origin.host) is not None:
            self._allow.check(origin.host, origin.host)
        return origin

    def _without_secrets(self, request: Request, out: RequestOut) -> None:
        # What lets a client in here is none of the other sites' business.
        out.headers.remove("Authorization")
        cookies = "; ".join(out.headers.get_all("Cookie"))
        if cookies and (kept := without_session(cookies, request)) != cookies:
            out.headers.remove("Cookie")
            if kept:
                out.headers.set("Cookie", kept)
        if self._rewrite is not None:
            self._rewrite(request, out)

    def _guarded(self) -> object:
        # Its own authenticator, or one above it.
        place: Directory | None = self
        while place is not None:
            if place.guard is not None:
                return place.guard
            place = place.parent
        return None

    def _proxy(self, origin: Origin) -> Proxy:
        found = self._sites.get(origin)
        if found is None:
            upstream = Upstream(origin, 1, self._settings, self._tls, self._allow.check)
            found = self._sites[origin] = Proxy([upstream], self._settings, **self._hooks)
            if len(self._sites) > SITES:
                self._sites.popitem(last=False)[1].close()
        self._sites.move_to_end(origin)
        return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return found
    # ::ffff:127.0.0.1 is this machine as well, and 64:ff9b::7f00:1 where a translator stands in between (RFC 6052).
    translated = IPv4Address(int(found) & 0xFFFFFFFF) if found in _TRANSLATED else None
    return found.ipv4_mapped or found.sixtofour or translated or found
