"""`StatusPage`: the directory that shows how its server is doing."""

from __future__ import annotations

import logging

import greenbas.plugin
from greenbas import Request, Response, Server
from greenbas.http import NO_STORE
from greenbas.vfs import Directory
from greenbas_plugins.statuspage.render import content_security_policy, render
from greenbas_plugins.statuspage.settings import StatusSettings, covers, is_known
from greenbas_plugins.statuspage.watch import metrics_of

__all__ = ["StatusPage"]

# What proxies add. A proxy on this machine that is not trusted would make everybody look like a local client.
_PROXY_FIELDS = ("forwarded", "x-forwarded-for", "x-real-ip")

_log = logging.getLogger("greenbas.statuspage")


class StatusPage(Directory):
    """A page with the numbers of its server, and ``status.json`` with the same for programs.

    It answers clients in the networks of the setting ``allow`` only: those on this machine unless set.

    Args:
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """

    def __init__(self, name: str | None = "status", *, priority: int = 0) -> None:
        super().__init__(name, priority=priority)

    def serve_itself(self, request: Request, response: Response, path: str) -> bool:
        """Answer for the page and its data; everything else is left to the children."""
        if path not in ("", "status.json"):
            return self.serve_children(request, response, path)
        request.running = self
        settings: StatusSettings = greenbas.plugin.settings("statuspage")
        metrics = metrics_of(self.root())
        if metrics is None:
            response.send_error(503, "This server is not measured: the plugin statuspage was not started for it.")
            return True
        refusal = _refusal(request, metrics.server, settings)
        if refusal is not None:
            _log.info("refused: %s", refusal)
            self.denied(request, response)
            return True
        request.allow(["GET"])
        if path:
            response.json(metrics.snapshot(), return2caller=True)
            return True
        response.set_header("Content-Type", "text/html; charset=utf-8")
        response.set_header("Cache-Control", NO_STORE)
        response.set_header("Content-Security-Policy", content_security_policy())
        response.set_header("X-Content-Type-Options", "nosniff")
        response.set_header("Referrer-Policy", "no-referrer")
        response.write(render(metrics.snapshot(), request.host(), settings.interval))
        return True


def _refusal(request: Request, server: Server, settings: StatusSettings) -> str | None:
    """Why this client may not see the page."""
    address, port, _ = request.peername()
    if not covers(settings.allow, address):
        return f"{address} is not in the setting allow of the plugin statuspage"
    # A page of elsewhere may have its name resolved to this address later (DNS rebinding): the browser then sends that
    # name. Both are looked at, as a script can send X-Forwarded-Host, but not Host.
    named = request.message.authority.decode("latin-1").lower() if request.message.authority else ""
    for host in [_without_port(named), request.domain()] if named else []:
        if not is_known(settings.hosts, host):
            return f"{host!r} is not in the setting hosts of the plugin statuspage"
    # The port is 0 if the address is what a trusted proxy has told.
    told = any(request.header(name) is not None for name in _PROXY_FIELDS)
    if told and port and not covers(server.settings.trusted_proxies, address):
        return f"the proxy at {address} hides its clients: add it to trusted_proxies"
    return None


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
