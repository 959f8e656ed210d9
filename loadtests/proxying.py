"""The reverse proxy against nginx and haproxy: `python loadtests/proxying.py`.

Each proxy runs alone on the first core; the backend, an nginx with one worker, shares the second one with the client.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cores import Cores
from peers import nginx_path
from process import Running, ServerFailed, free_port, group_cpu, running, unwind_on_signals
from wrk import WrkFailed, measure, shortfall

MIB = 1024 * 1024
WEBSOCKETS = 1000
GOALS = {"small": 0.7, "1m": 1.0, "100m": 1.0, "upload": 1.0}  # against nginx
SIZES = {"small": 13, "1m": MIB, "100m": 100 * MIB}

BACKEND = """\
daemon off; worker_processes 1; pid {scratch}/backend.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {scratch}/b1; proxy_temp_path {scratch}/b2; fastcgi_temp_path {scratch}/b3;
    uwsgi_temp_path {scratch}/b4; scgi_temp_path {scratch}/b5;
    server {{
        listen 127.0.0.1:{port}; root {scratch}/static;
        location = /small {{ default_type text/plain; return 200 "Hello, world!"; }}
        # Reads the whole body into memory before it goes on.
        location = /upload {{
            client_body_buffer_size 101m; proxy_pass_request_body off; proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:{port}/small;
        }}
    }}
}}
"""
NGINX = """\
daemon off; worker_processes 1; pid {scratch}/proxy.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {scratch}/p1; proxy_temp_path {scratch}/p2; fastcgi_temp_path {scratch}/p3;
    uwsgi_temp_path {scratch}/p4; scgi_temp_path {scratch}/p5;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://backend; proxy_http_version 1.1; proxy_request_buffering off;
            proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 512k; proxy_max_temp_file_size 0;
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""
HAPROXY = """\
global
    maxconn 8000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option forwardfor
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{backend}
"""


@dataclass
class Result:
    """What one proxy has done at one work, round by round."""

    rates: list[float] = field(default_factory=list)
    by_cpu: list[float] = field(default_factory=list)  # the same in a second of its own CPU time
    broken: str = ""


def greenbas(scratch: Path, port: int, backend: int) -> list[str]:
    """Our own command."""
    command = [sys.executable, "-m", "greenbas", "proxy", f"http://127.0.0.1:{backend}", "--log", "none"]
    return [*command, "--port", str(port)]


def nginx(scratch: Path, port: int, backend: int) -> list[str]:
    """nginx with connections to the backend that are kept, and large buffers in memory."""
    return with_config(nginx_path(), scratch / "proxy.conf", NGINX, scratch=scratch, port=port, backend=backend)


def haproxy(scratch: Path, port: int, backend: int) -> list[str]:
    """haproxy with one thread."""
    path = scratch / "haproxy.conf"
    path.write_text(HAPROXY.format(port=port, backend=backend))
    return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(path)]


def with_config(program: str | None, path: Path, text: str, **values: object) -> list[str]:
    """nginx with a configuration of its own."""
    path.write_text(text.format(**values))
    return [program or "nginx", "-p", str(path.parent), "-e", "stderr", "-c", str(path)]


PROXIES: dict[str, Callable[[Path, int, int], list[str]]] = {"greenbas": greenbas, "nginx": nginx, "haproxy": haproxy}


def main() -> int:
    """Measure and print; the exit code is 1 when a goal is missed and --strict is given."""
    options = parse()
    unwind_on_signals()
    cores = Cores.pick()
    print(f"{cores}; {options.rounds} rounds of {options.seconds} s")
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenbas-proxying-")))
        scratch.chmod(0o755)
        backend = stack.enter_context(started_backend(scratch, cores))
        proxies = list(started_proxies(stack, scratch, backend, cores))
        missed = 0
        for work in options.work:
            results = {proxy.name: Result() for proxy in proxies}
            for number in range(-1, options.rounds):
                for proxy in proxies:
                    measure_once(results[proxy.name], proxy, work, options.seconds if number >= 0 else 1, cores, number)
            missed += show(work, results)
        show_websockets(proxies, scratch, cores)
    return 1 if missed and options.strict else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--work", type=lambda text: text.split(","), default=list(GOALS), help=", ".join(GOALS))
    parser.add_argument("--strict", action="store_true", help="a missed goal makes the exit code 1")
    return parser.parse_args()


@contextlib.contextmanager
def started_backend(scratch: Path, cores: Cores) -> Iterator[Running]:
    """What all proxies stand in front of."""
    static = scratch / "static"
    static.mkdir(mode=0o755)
    for name in ("1m", "100m"):
        (static / name).write_bytes(bytes(SIZES[name]))
    port = free_port()
    command = with_config(nginx_path(), scratch / "backend.conf", BACKEND, scratch=scratch, port=port)
    with running("backend", command, port=port, scratch=scratch, core=cores.client) as found:
        yield found


def started_proxies(stack: contextlib.ExitStack, scratch: Path, backend: Running, cores: Cores) -> Iterator[Running]:
    """Those that are installed."""
    for name, command in PROXIES.items():
        if name == "haproxy" and not (shutil.which("haproxy") or Path("/usr/sbin/haproxy").exists()):
            print("haproxy is not installed: left out")
            continue
        port = free_port()
        try:
            line = command(scratch, port, backend.port)
            yield stack.enter_context(running(name, line, port=port, scratch=scratch, core=cores.server))
        except ServerFailed as error:
            print(f"{name} does not start: {error}")


def measure_once(result: Result, proxy: Running, work: str, seconds: int, cores: Cores, number: int) -> None:
    """One round; the first one warms up."""
    if result.broken:
        return
    if work == "upload":
        before, began = group_cpu(proxy.pid), time.monotonic()
        try:
            rate = upload(proxy.port, seconds)
        except (WrkFailed, OSError) as error:
            result.broken = f"{type(error).__name__}: {error}"
            return
        used, complaint = (group_cpu(proxy.pid) - before) / (time.monotonic() - began), ""
    else:
        try:
            found = measure(proxy, f"/{work}", seconds, cores.client)
        except WrkFailed as error:
            result.broken = str(error)
            return
        rate, used = found.rate, found.server_cpu
        if work == "100m":
            rate = found.bytes_read / seconds / (100 * MIB)  # few of them are whole
            complaint = found.errors if "Non-2xx" in found.errors else ""
        else:
            complaint = found.errors or shortfall(found, SIZES[work])
    result.broken = complaint
    if number >= 0:
        result.rates.append(rate)
        result.by_cpu.append(rate / used if used else 0.0)


def upload(port: int, seconds: int) -> float:
    """Uploads of 100 MiB a second, one after the other."""
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (100 * MIB)
    block, began, count = bytes(MIB), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(head)
            for _ in range(100):
                sock.sendall(block)
            if b" 200 " not in sock.recv(65536)[:20]:
                raise WrkFailed("the upload was not answered 200")
        count += 1
    return count / (time.monotonic() - began)


def show(work: str, results: dict[str, Result]) -> int:
    """Print one work; returns 1 when its goal is missed."""
    print(f"\n{work}")
    ours = results["greenbas"]
    missed = 0
    for name, found in results.items():
        if found.broken or not found.rates:
            print(f"  {name:10} ! {found.broken}")
            continue
        line = f"  {name:10} {statistics.median(found.rates):12,.1f} a second"
        line += f"  {statistics.median(found.by_cpu):12,.1f} a second of CPU"
        if name != "greenbas" and ours.rates:
            ratio = statistics.median(a / b for a, b in zip(ours.rates, found.rates, strict=True))
            by_cpu = statistics.median(a / b for a, b in zip(ours.by_cpu, found.by_cpu, strict=True) if b)
            line += f"  greenbas/{name} {ratio:.2f}, by CPU {by_cpu:.2f}"
            if name == "nginx":
                met = max(ratio, by_cpu) >= GOALS[work]
                missed += not met
                line += f"  goal {GOALS[work]:.1f} {'met' if met else 'missed'}"
        print(line)
    return missed


def show_websockets(proxies: list[Running], scratch: Path, cores: Cores) -> None:
    """Memory that a proxy takes for an idle WebSocket: two connections."""
    from process import HERE

    port = free_port()
    command = [sys.executable, str(HERE / "apps" / "wsserver.py"), "greenbas", str(port)]
    print(f"\n{WEBSOCKETS} idle WebSockets")
    try:
        with running("sockets", command, port=port, scratch=scratch, core=cores.client):
            for name in [proxy.name for proxy in proxies]:
                ours = free_port()
                folder = scratch / f"ws-{name}"
                folder.mkdir(exist_ok=True)
                line = PROXIES[name](folder, ours, port)
                with running(f"ws-{name}", line, port=ours, scratch=scratch, core=cores.server) as proxy:
                    print(f"  {name:10} {memory_each(proxy):8.1f} KiB each")
    except ServerFailed as error:
        print(f"  ! {error}")


def memory_each(proxy: Running) -> float:
    """KiB for each of many tunnels."""
    request = (
        b"GET /echo/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    held: list[socket.socket] = []
    try:
        before = 0
        for number in range(WEBSOCKETS + 100):
            if number == 100:
                before = resident(proxy.pid)  # when all is loaded
            sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
            sock.sendall(request)
            answer = sock.recv(4096)
            if not answer.startswith(b"HTTP/1.1 101"):
                raise ServerFailed(f"no WebSocket through {proxy.name}: {answer[:80]!r}")
            held.append(sock)
        return (resident(proxy.pid) - before) / WEBSOCKETS
    finally:
        for sock in held:
            sock.close()


def resident(group: int) -> int:
    """KiB of memory that the processes of a group have to themselves."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                text = (folder / "status").read_text()
                total += sum(int(row.split()[1]) for row in text.splitlines() if row.startswith("RssAnon:"))
    return total


if __name__ == "__main__":
    sys.exit(main())
