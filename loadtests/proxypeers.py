"""The reverse proxies that are compared: how each is started, and whether it is there.

All do the same work: HTTP/1.1 with kept connections at both sides, X-Forwarded headers, WebSockets, no log, one worker.
Each has what made it fastest here: nginx large buffers for bodies and its own small ones for the rest, haproxy splice.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cores import Cores
from peers import NGINX_FALLBACK, nginx_path
from process import Running, ServerFailed, free_port, running
from score import Cell

__all__ = ["PROXIES", "Proxy", "cells_of", "haproxy_path", "nginx_command", "one_running", "proxies_running"]

HAPROXY_FALLBACK = "/usr/sbin/haproxy"  # Debian keeps it off the PATH of ordinary users

NGINX = """\
daemon off; worker_processes 1; pid {scratch}/proxy.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {scratch}/p1; proxy_temp_path {scratch}/p2; fastcgi_temp_path {scratch}/p3;
    uwsgi_temp_path {scratch}/p4; scgi_temp_path {scratch}/p5;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
    proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_read_timeout 300s;
    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    server {{
        listen 127.0.0.1:{port};
        # Small responses are a tenth faster with the small buffers that are the default, and WebSockets take less.
        location = /small {{ proxy_pass http://backend; }}
        location = /echo/ {{ proxy_pass http://backend; }}
        # Large bodies are two to three times as fast with these.
        location / {{
            proxy_pass http://backend; client_body_buffer_size 1m;
            proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 512k;
        }}
    }}
}}
"""
HAPROXY = """\
global
    maxconn 4000
    nbthread 1
    tune.bufsize 65536
    tune.pipesize 262144
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout tunnel 300s
    option forwardfor
    option splice-request
    option splice-response
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend back
backend back
    server one 127.0.0.1:{backend}
"""


@dataclass(frozen=True)
class Proxy:
    """One proxy: its command for a scratch folder, its own port and that of the backend; and its program."""

    name: str
    command: Callable[[Path, int, int], list[str]]
    program: Callable[[], str | None]

    def missing(self) -> str:
        """Why it cannot run here, or "" if it can."""
        return "" if self.program() else f"left out: no {self.name}"


def greenbas(scratch: Path, port: int, backend: int) -> list[str]:
    """Our own command."""
    command = [sys.executable, "-m", "greenbas", "proxy", f"http://127.0.0.1:{backend}", "--log", "none"]
    return [*command, "--port", str(port)]


def nginx(scratch: Path, port: int, backend: int) -> list[str]:
    """One worker."""
    return nginx_command(scratch / f"proxy-{port}.conf", NGINX.format(scratch=scratch, port=port, backend=backend))


def haproxy(scratch: Path, port: int, backend: int) -> list[str]:
    """One thread."""
    path = scratch / f"haproxy-{port}.conf"
    path.write_text(HAPROXY.format(port=port, backend=backend))
    return [haproxy_path() or HAPROXY_FALLBACK, "-db", "-f", str(path)]


def nginx_command(path: Path, text: str) -> list[str]:
    """nginx with a configuration of its own, written to `path`."""
    path.write_text(text)
    return [nginx_path() or NGINX_FALLBACK, "-p", str(path.parent), "-e", "stderr", "-c", str(path)]


def haproxy_path() -> str | None:
    """Where haproxy is."""
    return shutil.which("haproxy") or shutil.which(HAPROXY_FALLBACK)


PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy("greenbas", greenbas, lambda: sys.executable),
        Proxy("nginx", nginx, nginx_path),
        Proxy("haproxy", haproxy, haproxy_path),
    )
}


def cells_of(work: str) -> dict[str, Cell]:
    """A cell for each proxy, with a note in those whose program is not installed."""
    return {name: Cell(work, name, absent=proxy.missing()) for name, proxy in PROXIES.items()}


@contextlib.contextmanager
def one_running(name: str, backend: int, scratch: Path, cores: Cores) -> Iterator[Running]:
    """One proxy in front of a backend's port, while the context lasts.

    Raises:
        ServerFailed: it does not start.
    """
    port = free_port()
    line = PROXIES[name].command(scratch, port, backend)
    with running(name, line, port=port, scratch=scratch, core=cores.server) as proxy:
        yield proxy


@contextlib.contextmanager
def proxies_running(cells: Mapping[str, Cell], backend: int, scratch: Path, cores: Cores) -> Iterator[list[Running]]:
    """All that are installed and start; what is wrong with the others is noted in their cells."""
    with contextlib.ExitStack() as stack:
        started = []
        for name, cell in cells.items():
            if cell.absent:
                continue
            try:
                started.append(stack.enter_context(one_running(name, backend, scratch, cores)))
            except ServerFailed as error:
                cell.broken = str(error)
        yield started
