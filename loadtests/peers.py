"""The servers that are compared: how each is started, and whether it is there.

Every one as its own documentation advises for speed: one worker, access log off.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from process import HERE
from works import PAGE, Kind

APPS = HERE / "apps"
NGINX_FALLBACK = "/usr/sbin/nginx"  # Debian keeps it off the PATH of ordinary users

NGINX_CONFIG = """\
# Static files at nginx's best: one worker, sendfile, no log.
daemon off;
worker_processes 1;
pid {scratch}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    # The default of 1,000 would have wrk connect anew all the time.
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_body_temp_path {scratch}/nginx-body;
    proxy_temp_path {scratch}/nginx-proxy;
    fastcgi_temp_path {scratch}/nginx-fastcgi;
    uwsgi_temp_path {scratch}/nginx-uwsgi;
    scgi_temp_path {scratch}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        root {scratch};
    }}
}}
"""


@dataclass(frozen=True)
class Place:
    """What a server needs to know: its port, a scratch folder with `static/` in it, the kind of work."""

    port: int
    scratch: Path
    kind: Kind


@dataclass(frozen=True)
class Peer:
    """One server: its command, and the module or program without which it cannot run."""

    name: str
    kinds: tuple[Kind, ...]
    command: Callable[[Place], list[str]]
    module: str | None = None
    hint: str = "pip install -r loadtests/requirements.txt"
    distribution: str | None = None

    def missing(self) -> str | None:
        """Why this server cannot run here, or None if it can."""
        if self.module is None:
            return None if nginx_path() else "not installed: no nginx"
        attempt = [sys.executable, "-c", f"import {self.module}"]
        tried = subprocess.run(attempt, capture_output=True, text=True, cwd=HERE.parent)
        if tried.returncode == 0:
            return None
        reason = tried.stderr.strip().splitlines()[-1:]
        return f"not built: {''.join(reason)} ({self.hint})"


def nginx_path() -> str | None:
    """Where nginx is."""
    return shutil.which("nginx") or shutil.which(NGINX_FALLBACK)


def python(*arguments: str) -> list[str]:
    """A command for this very interpreter."""
    return [sys.executable, *arguments]


def greenbas(place: Place) -> list[str]:
    """`greenbas serve` with the handlers, the WSGI application, the page, the sessions, or the static files."""
    apps = {
        "handler": "benchapp:server",
        "wsgi": "wsgiapp:app",
        "page": f"page={PAGE.parent}",
        "session": "sessions:server",
        "login": "logins:server",
        "file": f"static={place.scratch / 'static'}",
    }
    return serve(apps[place.kind], place)


def handler(place: Place) -> list[str]:
    """greenbas once more, with a handler that returns what the page becomes, has no session, or is for everybody."""
    return serve({"page": "samepage:server", "session": "sessions:plain"}.get(place.kind, "logins:plain"), place)


def serve(app: str, place: Place) -> list[str]:
    """greenbas's own command, at a place."""
    return serve_app(app, place.port)


def serve_app(app: str, port: int) -> list[str]:
    """greenbas's own command."""
    return python("-m", "greenbas", "serve", app, "--host", "127.0.0.1", "--port", str(port), "--log", "none")


def granian(place: Place) -> list[str]:
    """WSGI, one blocking thread: more only fight for the interpreter lock.

    The runtime mode and `--http` stay at auto, which measured as fast as any choice, and faster than `--http 1`.
    """
    return python(
        "-m", "granian", "wsgiapp:app", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(place.port),
        "--workers", "1", "--blocking-threads", "1", "--no-ws", "--no-access-log", "--log-level", "error",
    )  # fmt: skip


def uvicorn(place: Place) -> list[str]:
    """httptools and uvloop."""
    return python(
        "-m", "uvicorn", "asgiapp:app", "--host", "127.0.0.1", "--port", str(place.port), "--loop", "uvloop",
        "--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log", "--log-level", "error",
    )  # fmt: skip


def gunicorn(place: Place) -> list[str]:
    """One gevent worker; its access log is off unless a file is named."""
    return python(
        "-m", "gunicorn", "wsgiapp:app", "--worker-class", "gevent", "--workers", "1", "--worker-connections", "1000",
        "--bind", f"127.0.0.1:{place.port}", "--log-level", "error", "--no-control-socket",
    )  # fmt: skip


def bjoern(place: Place) -> list[str]:
    """It has no command of its own."""
    return python(str(APPS / "runbjoern.py"), str(place.port))


def pywsgi(place: Place) -> list[str]:
    """It has no command of its own."""
    return python(str(APPS / "runpywsgi.py"), str(place.port))


def nginx(place: Place) -> list[str]:
    """In the foreground, with a configuration of its own."""
    config = place.scratch / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(scratch=place.scratch, port=place.port))
    return [nginx_path() or NGINX_FALLBACK, "-p", str(place.scratch), "-e", "stderr", "-c", str(config)]


PEERS = (
    Peer(
        "greenbas",
        ("handler", "wsgi", "page", "session", "login", "file"),
        greenbas,
        "greenbas.cli",
        "pip install -e .",
        "greenbas",
    ),
    Peer("handler", ("page", "session", "login"), handler, "greenbas.cli", "pip install -e ."),
    Peer("granian", ("handler", "wsgi"), granian, "granian", distribution="granian"),
    Peer("uvicorn", ("handler",), uvicorn, "uvicorn, httptools, uvloop", distribution="uvicorn"),
    Peer(
        "bjoern",
        ("handler", "wsgi"),
        bjoern,
        "bjoern",
        "pip install -r loadtests/requirements-optional.txt; needs a C compiler and libev's headers",
        "bjoern",
    ),
    Peer("gunicorn", ("handler", "wsgi"), gunicorn, "gunicorn, gevent", distribution="gunicorn"),
    Peer("pywsgi", ("handler", "wsgi"), pywsgi, "gevent", distribution="gevent"),
    Peer("nginx", ("file",), nginx),
)
BY_NAME = {peer.name: peer for peer in PEERS}
