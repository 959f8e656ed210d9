"""WebSockets over TLS: with our own listener, and with nginx in front that ends it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import websocket
from authority import localhost, root
from launch import free_port, wait_for_listener
from leaks import nothing_left
from support import need_command
from tlspairs import server_tls
from web import serving

from greenbas import Request, Response, Server

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        location / {{
            proxy_pass http://127.0.0.1:{ours};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


def echo(request: Request, response: Response) -> str | None:
    if request.header("upgrade") is None:
        return "plain"
    with request.upgrade(max_size=None) as ws:
        for message in ws:
            ws.send(message)
    return None


def talk(port: int, folder: Path, origin: str | None = None) -> None:
    """Open, say some things, close."""
    (folder / "ca.pem").write_text(root().cert)
    client = websocket.create_connection(
        f"wss://localhost:{port}/",
        timeout=10,
        sslopt={"ca_certs": str(folder / "ca.pem")},
        origin=origin or f"https://localhost:{port}",
        skip_utf8_validation=True,
    )
    for size in (0, 1, 16_000, 17_000, 3_000_000, 5):  # below and beyond a record, and many of them
        client.send_binary(b"x" * size)
        assert client.recv() == b"x" * size
    client.ping("?")
    client.send("text")
    assert client.recv() == "text"
    client.close()
    client.shutdown()


def test_over_our_own_listener(tmp_path: Path) -> None:
    localhost()  # made before the counting begins
    with nothing_left():
        server = Server()
        server.directory()(echo)
        port = server.listen(0, tls=server_tls()).port
        server.start()
        try:
            for _ in range(3):
                talk(port, tmp_path)
            with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
                talk(port, tmp_path, "http://localhost")
        finally:
            server.stop(drain_timeout=1)


@contextlib.contextmanager
def nginx(folder: Path, ours: int) -> Iterator[int]:
    """In front of our port; gives its own."""
    folder.chmod(0o755)
    cert, key = localhost().files(folder, "nginx")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, cert=cert, key=key, ours=ours))
    command = [need_command("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(config)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            wait_for_listener(process, port)
            yield port
        finally:
            process.kill()


def test_behind_nginx(tmp_path: Path) -> None:
    with serving(echo, trusted_proxies=("127.0.0.1",)) as server, nginx(tmp_path, server.listeners[0].port) as port:
        talkers = [gevent.spawn(talk, port, tmp_path) for _ in range(3)]
        gevent.joinall(talkers, raise_error=True)
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            talk(port, tmp_path, "https://elsewhere.example")


def test_behind_nginx_that_is_not_trusted(tmp_path: Path) -> None:
    refused = pytest.raises(websocket.WebSocketBadStatusException, match="403")
    with serving(echo) as server, nginx(tmp_path, server.listeners[0].port) as port, refused:
        talk(port, tmp_path)
