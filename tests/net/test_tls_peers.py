"""TLS with programs of others: openssl, curl, nginx, Python's ssl."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, ann, localhost, root, rsa_key, stranger
from launch import free_port
from leaks import nothing_left
from support import need_command, wait_until
from tlspairs import SECONDS, client_tls, quietly, read_all, server_tls, stream_of

from greenbas import Request, Response, Server, create
from greenbas.dispatcher import spawn
from greenbas.errors import NetError, NotTrusted, TlsError
from greenbas.io import DiskIo
from greenbas.net import Stream
from greenbas.net.tls import ClientTls, ServerTls, TlsChannel, handshake

VERSIONS = {"-tls1_2": "TLS_1_2", "-tls1_3": "TLS_1_3"}
BIG = os.urandom(1_000_000)


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    for make in (localhost, ann, rsa_key):
        make()  # before the counting begins
    (tmp_path / "ca.pem").write_text(root().cert)
    with nothing_left():
        yield


def connect(port: int, tls: ClientTls, name: str = "localhost", **options: Any) -> tuple[Stream, TlsChannel]:
    stream = stream_of(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
    return stream, handshake(stream, tls, server_name=name, timeout=SECONDS, **options)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    def listens() -> bool:
        assert process.poll() is None, f"exit code {process.returncode}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens)


@contextlib.contextmanager
def program(*command: str, port: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        if port:
            wait_for(port, process)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def echoing(tls: ServerTls) -> Iterator[tuple[int, list[TlsChannel]]]:
    """A server of ours that answers each line with the same in capitals, until "END"."""
    channels: list[TlsChannel] = []
    errors: list[Exception] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                stream = stream_of(listening.accept()[0])
                try:
                    channels.append(handshake(stream, tls))
                    while data := stream.read(timeout=SECONDS):
                        stream.write(data.upper())
                        if b"end" in data:
                            break
                except NetError as error:
                    errors.append(error)
                finally:
                    stream.close()

        server = spawn(serve)
        try:
            yield listening.getsockname()[1], channels
        finally:
            server.kill()


# -- openssl ------------------------------------------------------------------------------------------------------


def s_client(port: int, folder: Path, *options: str, said: bytes = b"hello end\n") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(folder / "ca.pem"), *options]
    done = subprocess.run(command, input=said, capture_output=True, timeout=20, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_as_client(version: str, tmp_path: Path) -> None:
    need_command("openssl")
    options = [version, "-servername", "localhost", "-verify_return_error", "-verify_hostname", "localhost", "-ign_eof"]
    with echoing(server_tls()) as (port, channels):
        found = s_client(port, tmp_path, *options)
        assert "HELLO END" in found
        assert "Verify return code: 0 (ok)" in found
        wait_until(lambda: channels)
        assert channels[0].cipher()[1] == VERSIONS[version]
        assert channels[0].server_name == "localhost"


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_openssl_with_an_old_version_is_refused(version: str, tmp_path: Path) -> None:
    need_command("openssl")
    with echoing(server_tls()) as (port, channels):
        found = s_client(port, tmp_path, version, "-cipher", "ALL:@SECLEVEL=0")
        assert "alert protocol version" in found or "no protocols available" in found
        assert not channels


@pytest.mark.parametrize("suite", ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "NULL"])
def test_openssl_with_a_weak_suite_is_refused(suite: str, tmp_path: Path) -> None:
    need_command("openssl")
    pairs = [localhost().pair(), root().issue("localhost", key="rsa").pair()]
    with echoing(ServerTls(*pairs)) as (port, channels):
        found = s_client(port, tmp_path, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
        assert "handshake failure" in found
        assert not channels


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"])
def test_openssl_chooses_suite_and_certificate(suite: str, tmp_path: Path) -> None:
    need_command("openssl")
    pairs = [localhost().pair(), root().issue("localhost", key="rsa").pair()]
    with echoing(ServerTls(*pairs)) as (port, channels):
        assert "HELLO END" in s_client(port, tmp_path, "-tls1_2", "-cipher", suite, "-ign_eof")
        name, version = channels[0].cipher()
        assert (name.replace("_", ""), version) == (suite.replace("-", ""), "TLS_1_2")


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_resumes(version: str, tmp_path: Path) -> None:
    need_command("openssl")
    session = str(tmp_path / "session")
    with echoing(server_tls()) as (port, channels):
        s_client(port, tmp_path, version, "-sess_out", session, "-ign_eof")
        found = s_client(port, tmp_path, version, "-sess_in", session, "-ign_eof")
        assert "Reused, TLS" in found
        wait_until(lambda: len(channels) == 2)
        assert [channel.is_resumed for channel in channels] == [False, True]


@contextlib.contextmanager
def dialogue(port: int, folder: Path, version: str) -> Iterator[Callable[[bytes], bytes]]:
    """An s_client that is told one line after the other: a letter alone on one is a command."""
    ca = str(folder / "ca.pem")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-CAfile", ca]
    with program(*command) as client:
        assert client.stdin is not None and client.stdout is not None
        pipes = client.stdin, client.stdout

        def say(line: bytes, until: bytes = b"") -> bytes:
            pipes[0].write(line)
            pipes[0].flush()
            found = b""
            while (until or line.upper()) not in found:
                data = pipes[1].readline()
                if not data:
                    return found
                found += data
            return found

        yield say


def test_openssl_may_not_renegotiate(tmp_path: Path) -> None:
    need_command("openssl")
    with echoing(server_tls()) as (port, channels), dialogue(port, tmp_path, "-tls1_2") as say:
        assert b"FIRST\n" in say(b"first\n")
        assert b"RENEGOTIATING" in say(b"R\n", b"RENEGOTIATING")
        assert b"no renegotiation" in say(b"", b"no renegotiation")
        assert len(channels) == 1
        assert channels[0].connection.total_renegotiations() == 0


def test_openssl_sees_key_updates_through(tmp_path: Path) -> None:
    need_command("openssl")
    with echoing(server_tls()) as (port, _), dialogue(port, tmp_path, "-tls1_3") as say:
        assert b"FIRST\n" in say(b"first\n")
        for command in (b"K\n", b"k\n"):  # its own key, and ours too
            assert b"KEYUPDATE" in say(command, b"KEYUPDATE")
            assert b"NEXT\n" in say(b"next\n")
        assert b"END\n" in say(b"end\n")


@contextlib.contextmanager
def s_server(folder: Path, *options: str, issued: Any = None) -> Iterator[int]:
    """``openssl s_server`` as a web server that tells about the connection."""
    cert, key = (issued or localhost()).files(folder, "server")
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-quiet", *options]
    with program(need_command("openssl"), *command[1:], port=port):
        yield port


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_as_server(version: str, tmp_path: Path) -> None:
    with s_server(tmp_path, version, "-www") as port:
        client, found = client_tls(), []
        for _ in range(3):
            stream, channel = connect(port, client)
            stream.write(b"GET / HTTP/1.0\r\n\r\n")
            assert b"Ciphers supported in s_server" in read_all(stream)
            assert channel.cipher()[1] == VERSIONS[version]
            found.append(channel.is_resumed)
            stream.close()
        assert found == [False, True, True]


@pytest.mark.parametrize(
    ("issue", "name", "verdict"),
    [
        (lambda: localhost(), "localhost", None),
        (lambda: localhost(), "example.com", "cert"),
        (lambda: stranger().issue("localhost"), "localhost", "cn"),
        (lambda: root().issue("localhost", valid=(-9, -1)), "localhost", "certcn"),
        (lambda: Authority("between", root()).issue("localhost"), "localhost", "cn"),  # s_server sends the leaf alone
    ],
)
def test_openssl_as_server_with_certificates_of_all_kinds(issue: Any, name: str, verdict: Any, tmp_path: Path) -> None:
    with s_server(tmp_path, "-www", issued=issue()) as port:
        if verdict is None:
            stream, channel = connect(port, client_tls(), name)
            assert channel.trusted() is True
            stream.close()
            return
        with pytest.raises(NotTrusted) as caught:
            connect(port, client_tls(), name)
        assert caught.value.verdict == verdict


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_asks_our_client(version: str, tmp_path: Path) -> None:
    options = ["-Verify", "2", "-CAfile", str(tmp_path / "ca.pem"), "-verify_return_error", "-www"]
    with s_server(tmp_path, version, *options) as port:
        stream, _ = connect(port, client_tls(cert=ann().pair()))
        stream.write(b"GET / HTTP/1.0\r\n\r\n")
        found = read_all(stream)
        assert b"Client certificate" in found
        assert ann().cert.strip().encode() in found
        stream.close()
        with pytest.raises(TlsError) as caught:
            stream, _ = connect(port, client_tls())
            stream.read(timeout=SECONDS)
        assert caught.value.code == "sslalertrecv"
        stream.close()


# -- curl ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def https(tls: ServerTls) -> Iterator[tuple[Server, str]]:
    server = Server()

    @server.directory("ask")
    def ask(request: Request, response: Response) -> Any:
        shown = request.client_cert() if request.data("cert") else None
        return {"cipher": request.cipher(), "length": len(request.body()), "cert": shown}

    listener = server.listen(0, tls=tls)
    server.start()
    try:
        yield server, f"https://localhost:{listener.port}"
    finally:
        server.stop(drain_timeout=0)


def curl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [need_command("curl"), "-sS", "-m", "20", "--cacert", str(folder / "ca.pem"), *arguments]
    return subprocess.run(command, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max 1.2"])
def test_curl_down_and_up(version: str, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "big").write_bytes(BIG)
    with https(server_tls()) as (server, url):
        server.insert(create.resrdr(DiskIo(str(tmp_path / "www"))))
        options = version.split()
        curl(tmp_path, *options, f"{url}/big", "-o", str(tmp_path / "got"))
        done = curl(tmp_path, *options, f"{url}/ask")
        assert (tmp_path / "got").read_bytes() == BIG
        assert json.loads(done.stdout)["cipher"][1] == ("TLS_1_3" if "1.3" in version else "TLS_1_2")
        done = curl(tmp_path, *options, "-T", str(tmp_path / "got"), f"{url}/ask")
        assert json.loads(done.stdout)["length"] == len(BIG)


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max 1.2"])
def test_curl_with_a_certificate_on_demand(version: str, tmp_path: Path) -> None:
    cert, key = ann().files(tmp_path, "ann")
    with https(server_tls(trust=root().store())) as (_, url):
        done = curl(tmp_path, *version.split(), "--cert", cert, "--key", key, f"{url}/ask?cert=1", f"{url}/ask?cert=1")
        assert done.stdout.count(b'"cert":true') == 2
        done = curl(tmp_path, *version.split(), f"{url}/ask?cert=1")
        assert b'"cert":false' in done.stdout


@pytest.mark.parametrize(
    ("issue", "code"),
    [(lambda: stranger().issue("localhost"), 60), (lambda: root().issue("example.com"), 60)],
)
def test_curl_trusts_us_only_with_the_right_certificate(issue: Any, code: int, tmp_path: Path) -> None:
    with https(ServerTls(issue().pair())) as (server, url):
        assert curl(tmp_path, f"{url}/ask").returncode == code
        wait_until(lambda: server.service.counters.handshakes_failed or server.service.counters.handshakes)


# -- nginx --------------------------------------------------------------------------------------------------------

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:1m;
        root {folder}/www;
        location /ours/ {{
            proxy_pass https://localhost:{ours}/;
            proxy_ssl_trusted_certificate {folder}/ca.pem; proxy_ssl_verify on; proxy_ssl_server_name on;
            proxy_ssl_name localhost; proxy_http_version 1.1;
        }}
    }}
}}
"""


def test_nginx_as_server_and_as_client(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "big").write_bytes(BIG)
    for folder in (tmp_path, tmp_path / "www", tmp_path / "www" / "big"):
        folder.chmod(0o755)
    cert, key = localhost().files(tmp_path, "nginx")
    port = free_port()
    with https(server_tls()) as (server, url):
        ours = url.rpartition(":")[2]
        (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, cert=cert, key=key, ours=ours))
        nginx = need_command("nginx")
        with program(nginx, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf"), port=port):
            client, resumed = client_tls(alpn=["http/1.1"]), []
            for _ in range(2):
                stream, channel = connect(port, client)
                stream.write(b"GET /big HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert read_all(stream).endswith(BIG)
                assert channel.alpn == "http/1.1"
                assert channel.ended_cleanly
                resumed.append(channel.is_resumed)
                stream.close()
            assert resumed == [False, True]
            for _ in range(2):
                done = curl(tmp_path, f"https://localhost:{port}/ours/ask")
                assert b"TLS_1_" in done.stdout, done
            assert not server.service.counters.handshakes_failed


# -- Python's ssl -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_python_as_server(version: str, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*localhost().files(tmp_path, "python"))
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> bytes:
            with context.wrap_socket(listening.accept()[0], server_side=True) as sock:
                sock.settimeout(SECONDS)
                sock.sendall(BIG)
                found = b""
                while len(found) < len(BIG):
                    found += sock.recv(65536)
                return found

        other = spawn(quietly, serve)
        stream, _ = connect(listening.getsockname()[1], client_tls())
        found = b""
        while len(found) < len(BIG):
            found += stream.read(timeout=SECONDS)
        assert found == BIG
        stream.write(BIG, SECONDS)
        assert other.get(timeout=SECONDS) == BIG
        stream.close()
