"""The server behind the proxies: an nginx that gives bytes and takes them, on the core of the client."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

from cores import Cores
from process import Running, free_port, running
from proxypeers import nginx_command
from works import HELLO

__all__ = ["backend_running", "body_of", "write_body"]

MIB = 1024 * 1024

CONFIG = """\
daemon off; worker_processes 1; pid {scratch}/backend.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {scratch}/b1; proxy_temp_path {scratch}/b2; fastcgi_temp_path {scratch}/b3;
    uwsgi_temp_path {scratch}/b4; scgi_temp_path {scratch}/b5;
    server {{
        listen 127.0.0.1:{port}; root {scratch}/static; default_type application/octet-stream;
        location = /small {{ default_type text/plain; return 200 "{hello}"; }}
        location = /counts {{ stub_status; }}
        # Reads the whole body into memory before it goes on, and forgets it.
        location = /upload {{
            client_body_buffer_size 101m; proxy_pass_request_body off; proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:{port}/small;
        }}
    }}
}}
"""


@contextlib.contextmanager
def backend_running(scratch: Path, cores: Cores) -> Iterator[Running]:
    """Start it; its files are those of the folder `static` in `scratch`.

    Raises:
        ServerFailed: it does not start.
    """
    port = free_port()
    text = CONFIG.format(scratch=scratch, port=port, hello=HELLO.decode())
    command = nginx_command(scratch / "backend.conf", text)
    with running("backend", command, port=port, scratch=scratch, core=cores.client) as found:
        yield found


def body_of(size: int) -> bytes:
    """What a file of that many bytes holds: a small response, or random bytes, the same in every run."""
    if size == len(HELLO):
        return HELLO
    return (random.Random(size).randbytes(min(size, MIB)) * -(-size // MIB))[:size]


def write_body(scratch: Path, name: str, size: int) -> None:
    """Make a file that the backend serves, readable also by a worker that has dropped its rights."""
    scratch.chmod(0o755)
    folder = scratch / "static"
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / name
    path.write_bytes(body_of(size))
    path.chmod(0o644)
