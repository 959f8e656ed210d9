"""`Redirector`: the reverse proxy as a directory, and `redirector`, which is ``create.redirector``."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import greenbas.plugin
from greenbas import Request, Response, create
from greenbas.errors import IncorrectUse, PemError, SettingError
from greenbas.http import check_names
from greenbas.vfs import Directory
from greenbas_plugins.proxy.origin import Origin, parse_origin
from greenbas_plugins.proxy.proxy import Proxy
from greenbas_plugins.proxy.settings import ProxySettings
from greenbas_plugins.proxy.upstream import Upstream

__all__ = ["Redirector", "redirector"]


class Redirector(Directory):
    """Everything below it is answered by other servers.

    Args:
        proxy: the backends.
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; with -1 it gets what nobody else has.
    """

    def __init__(self, proxy: Proxy, name: str | None = None, *, priority: int = 0) -> None:
        super().__init__(name, priority=priority)
        self.proxy = proxy

    def __repr__(self) -> str:
        return f"<Redirector {self._name or '(unnamed)'!r} priority {self._priority} {self.proxy!r}>"

    def insert(self, child: Directory, reference: bool = True) -> None:
        """Always refused: nobody would ever ask the child.

        Raises:
            IncorrectUse: always.
        """
        raise IncorrectUse(f"{self!r} passes every path on: insert {child!r} beside it, with a higher priority")

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """Pass the request on. As in the original, forwards and includes are not."""
        if not request.initial or request.path == "*":
            return False
        request.running, request.relpath = self, path
        proxy = self.proxy
        if proxy.settings.health_path:
            self.begin_checks()
        proxy.serve(request, response, path)
        return True

    def begin_checks(self) -> None:
        """Begin to check the backends, if that is wanted; it ends when nobody has this directory any more."""
        found = weakref.ref(self)
        self.proxy.begin_checks(lambda: (directory := found()) is not None and directory.parent is not None)

    def report(self) -> list[dict[str, Any]]:
        """A row for each backend."""
        return self.proxy.report()

    def close(self) -> None:
        """The server ends: close the connections that wait for another request."""
        self.proxy.close()


def redirector(
    name: str | None = None,
    domain: str | None = None,
    port: int | None = None,
    priority: int = 0,
    base_uri: str = "",
    *,
    to: str | tuple[str, ...] = (),
    weights: tuple[int, ...] = (),
    allow: tuple[str, ...] = (),
    rewrite: Callable[..., Any] | None = None,
    modify_response: Callable[..., Any] | None = None,
    on_error: Callable[..., Any] | None = None,
    tls: Any = None,
    ca: Path | None = None,
    **settings: Any,
) -> Directory:
    """A reverse proxy (BAS ``ba.create.redirector``).

    Without `domain` and `to` it is a gateway to other sites: the first segment of the path is the host, with its port
    if need be. That needs `allow`, and an authenticator.

    Args:
        name: the path segment it answers to; None makes it part of its parent.
        domain: name or address of the backend.
        port: its port; 80 unless given.
        priority: -128 to 127; siblings are asked in descending order. With -1 it gets what is not found here.
        base_uri: the path at the backend in front of what is asked for.
        to: instead of `domain`, one or several backends: ``http://host:port/base``, ``https://...``, ``unix:/path``.
        weights: the share of each, in the order of `to`.
        allow: of a gateway, the hosts that may be asked: names, ``*.example.com``, ``host:port``, and addresses or
            networks for those that are not public.
        rewrite: called with the request and the `RequestOut` that is about to be sent, which it may change.
        modify_response: called with the request and the `ResponseIn`, which it may change.
        on_error: called with request, response and the `ProxyFailure`; returns True when it has answered.
        tls: a `greenbas.net.tls.ClientTls` for https backends; None verifies against the usual authorities.
        ca: instead of `tls`, a PEM file with the authorities, or the certificates themselves, that https backends have.
        **settings: those of `ProxySettings`; the others are as ``[plugin.proxy]`` says.

    Raises:
        SettingError: an argument that is unknown, missing or cannot be.
    """
    chosen = _settings(settings)
    hooks: dict[str, Any] = {"rewrite": rewrite, "modify_response": modify_response, "on_error": on_error}
    for label, hook in hooks.items():
        if hook is not None and not callable(hook):
            raise SettingError(f"{label}: {hook!r:.60} is no function")
    tls = _client_tls(tls, ca)
    if domain is None and not to:
        from greenbas_plugins.proxy.gateway import Gateway

        if port is not None or base_uri or weights:
            raise SettingError("port, base_uri and weights are for backends, and none is named: give domain or to")
        if not allow:
            raise SettingError("no backend is named: give domain or to; or, for a gateway to other sites, allow")
        return Gateway(allow, chosen, name, priority=priority, tls=tls, **hooks)
    if allow:
        raise SettingError("allow is for a gateway: a proxy whose backends are named goes nowhere else")
    origins = _origins(domain, port, base_uri, (to,) if isinstance(to, str) else tuple(to))
    shares = tuple(weights) or (1,) * len(origins)
    if len(shares) != len(origins):
        raise SettingError(f"weights: {len(shares)} for {len(origins)} backends: give one for each")
    alone = len(origins) == 1
    upstreams = [Upstream(*one, chosen, tls, alone=alone) for one in zip(origins, shares, strict=True)]
    return Redirector(Proxy(upstreams, chosen, **hooks), name, priority=priority)


def _client_tls(given: Any, ca: Path | None) -> Any:
    if given is None and ca is None:
        return None
    from greenbas.net import tls  # only here: who has no https backend needs none of it

    if ca is None:
        if not isinstance(given, tls.ClientTls):
            raise SettingError(f"tls: {given!r:.60} is no ClientTls: make one with create.tls_client")
        return given
    if given is not None:
        raise SettingError("give tls or ca, not both")
    store = create.certstore()
    try:
        store.add_cert(Path(ca).read_bytes())
    except (OSError, TypeError, PemError) as error:
        raise SettingError(f"ca: {ca}: {getattr(error, 'strerror', None) or error}") from error
    return tls.ClientTls(store)


def _settings(given: Mapping[str, Any]) -> ProxySettings:
    check_names(given, ProxySettings)
    return ProxySettings(**{**asdict(greenbas.plugin.settings("proxy")), **given})


def _origins(domain: str | None, port: int | None, base_uri: str, to: Sequence[str]) -> list[Origin]:
    if domain is not None:
        if to:
            raise SettingError("give domain or to, not both")
        host = f"[{domain}]" if ":" in domain else domain
        to = [f"http://{host}" if port is None else f"http://{host}:{port}"]
    elif port is not None:
        raise SettingError("port belongs to domain; in to it is part of the URL")
    found = [parse_origin(one) for one in to]
    base = base_uri.strip("/")
    if base:
        found = [one._replace(base=f"{one.base}/{parse_origin(f'http://x/{base}').base[1:]}") for one in found]
    if len({one.base for one in found}) > 1:
        raise SettingError("the backends of one proxy have the same path: " + ", ".join(to))
    return found
