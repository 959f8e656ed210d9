"""``greenbas serve --tls-port``: certificates from files and made here, SIGHUP, greenbas.toml."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import localhost, root
from commands import GREENBAS, called, fill, running, working_in
from support import wait_until
from tlspairs import python_client

from greenbas import cli
from greenbas.config import ServerTable, read
from greenbas.errors import SettingError
from greenbas.tlsport import own_folder

APP = """
from greenbas import Server

server = Server()

@server.directory("hello")
def hello(request, response):
    return f"{request.is_secure()}"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with an application; what is made is kept below it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with working_in(tmp_path, {"app.py": APP}, monkeypatch):
        yield tmp_path


def ports(out: str) -> dict[str, int]:
    return {scheme: int(port) for scheme, port in re.findall(r"greenbas serves (https?)://\S+:(\d+)/", out)}


def asked(port: int, folder: Path) -> bytes:
    with python_client(port, folder) as sock:
        sock.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).rpartition(b"\r\n")[2]


def test_serve_with_certificates_and_sighup(here: Path) -> None:
    cert, key = localhost().files(here, "one")
    second = root().issue("second.test").files(here, "two")
    command = [*GREENBAS, "serve", "app:server", "--port", "0", "--tls-port", "0"]
    command += ["--cert", cert, "--key", key, "--cert", second[0], "--key", second[1]]
    with running(here, command) as server:
        wait_until(lambda: len(ports(server.out)) == 2)
        port = ports(server.out)["https"]
        assert asked(port, here) == b"True"
        root().issue("elsewhere").files(here, "one")
        server.send(signal.SIGHUP)
        wait_until(lambda: "the certificates were read again" in server.err)
        with pytest.raises(ssl.SSLCertVerificationError):
            asked(port, here)
        Path(key).write_text("broken")
        server.send(signal.SIGHUP)
        wait_until(lambda: "the certificates stay as they are" in server.err)
        localhost().files(here, "one")
        server.send(signal.SIGHUP)
        wait_until(lambda: server.err.count("the certificates were read again") == 2)
        assert asked(port, here) == b"True"
        assert server.stop() == 0


def test_serve_makes_a_certificate_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*GREENBAS, "serve", "app:server", "--port", "0", "--tls-port", "0"]
    said = []
    for _ in range(2):
        with running(here, command) as server:
            wait_until(lambda: len(ports(server.out)) == 2)
            context = ssl.create_default_context(cafile=str(here / "state" / "greenbas" / "self-signed.pem"))
            with (
                socket.create_connection(("127.0.0.1", ports(server.out)["https"]), timeout=10) as sock,
                context.wrap_socket(sock, server_hostname="localhost") as secure,
            ):
                assert secure.version() == "TLSv1.3"
            assert server.stop() == 0
            said.append("made the self-signed certificate" in server.err)
    assert said == [True, False]


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert own_folder() == "/var/state/greenbas"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/var/ann")
    assert own_folder() == "/var/ann/.local/state/greenbas"


@pytest.mark.parametrize(
    ("file", "typed", "expected"),
    [
        ({}, {}, ServerTable()),
        ({}, {"tls_port": 1}, ServerTable(port=None, tls_port=1)),
        ({}, {"tls_port": 1, "port": 2}, ServerTable(port=2, tls_port=1)),
        ({"tls_port": 1}, {}, ServerTable(port=None, tls_port=1)),
        ({"tls_port": 1, "port": 3}, {}, ServerTable(port=3, tls_port=1)),
        ({"tls_port": 1, "tls_port_range": 5}, {"tls_port": 7}, ServerTable(port=None, tls_port=7)),
        (
            {"tls_port": 1, "cert": ["a"], "key": ["b"]},
            {"cert": ["c"]},
            ServerTable(port=None, tls_port=1, cert=("c",)),
        ),
    ],
)
def test_who_says_where(
    file: dict[str, Any], typed: dict[str, Any], expected: ServerTable, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"{name} = {str(value).replace(chr(39), chr(34))}\n" for name, value in file.items())
    fill(here, {"greenbas.toml": f"[server]\n{lines}"})
    seen: list[ServerTable] = []

    def stop(launch: Any) -> None:
        seen.append(launch.listen)
        launch.server.stop()

    monkeypatch.setattr(cli, "_serve_launch", stop)
    words = [word for name, value in typed.items() for word in (f"--{name.replace('_', '-')}", *_words(value))]
    with pytest.raises(SystemExit):
        cli.main(["serve", "app:server", *words])
    assert seen == [expected]


def _words(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def test_paths_are_relative_to_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "conf").mkdir()
    localhost().files(here / "conf", "site")
    toml = '[server]\ntls_port = 0\ncert = ["site.pem"]\nkey = ["site.key"]\n'
    fill(here, {"conf/greenbas.toml": toml})
    code, out, err = called(capsys, "check", "app:server", "--config", "conf/greenbas.toml")
    assert (code, err) == (0, "")
    assert "cert = ('conf/site.pem',)" in out
    os.unlink(here / "conf" / "site.key")
    code, _, err = called(capsys, "check", "app:server", "--config", "conf/greenbas.toml")
    assert code == 1 and "conf/site.key" in err


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("tls_port = 70000", "tls_port: 70000 is no port"),
        ("tls_port = 80\ntls_port_range = 70", "tls_port_range 70 is below tls_port 80"),
        ("tls_port_range = 70", "tls_port_range 70 needs a tls_port"),
        ('cert = ["a.pem"]', "cert 'a.pem' has no port: add tls_port"),
        ('tls_port = 1\ncert = ["a", "b"]\nkey = ["c"]', "2 of cert and 1 of key"),
        ('tls_port = 1\nkey = ["c"]', "0 of cert and 1 of key"),
        ('tls_port = 1\ncert = "a.pem"', "cert: 'a.pem' is not an array"),
    ],
)
def test_what_the_file_must_not_say(toml: str, words: str, here: Path) -> None:
    fill(here, {"greenbas.toml": f"[server]\n{toml}\n"})
    with pytest.raises(SettingError, match=re.escape(words)):
        read(here / "greenbas.toml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cert", "a.pem"], "--cert 'a.pem' has no port"),
        (["--tls-port", "0", "--cert", "a.pem", "--cert", "b.pem", "--key", "c"], "2 of --cert and 1 of --key"),
        (["--tls-port", "0", "--cert", "missing.pem"], "missing.pem"),
        (["--tls-port", "0", "--cert", "app.py"], "app.py"),
        (["--tls-port", "10", "--tls-port-range", "5"], "--tls-port-range 5 is below --tls-port 10"),
    ],
)
def test_what_the_command_line_must_not_say(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = called(capsys, "serve", "app:server", *arguments)
    assert code == 1
    assert words in err and err.startswith("greenbas: ") and err.count("\n") == 1


# -- files that change --------------------------------------------------------------------------------------------


def test_changed_files_are_read_again(here: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    from greenbas import create, renewal

    monkeypatch.setattr(renewal, "LOOK", 0.01)
    caplog.set_level("INFO", "greenbas.server")
    tls = create.tls_server(localhost().files(here, "one"))
    watch = renewal.Renewal(lambda: [tls])
    watch.start()
    try:
        first = tls._tls
        wait_until(lambda: watch._seen)
        root().issue("other.test").files(here, "one")
        wait_until(lambda: "other.test" in repr(tls))
        assert tls._tls is not first
        good = tls._tls
        (here / "one.key").write_text("broken")
        wait_until(lambda: "the certificates stay as they are" in caplog.text)
        os.unlink(here / "one.pem")
        wait_until(lambda: caplog.text.count("the certificates stay as they are") == 2)
        assert tls._tls is good
        localhost().files(here, "one")
        wait_until(lambda: "localhost" in repr(tls))
        assert caplog.text.count("were read again") == 2
    finally:
        watch.stop()


def test_openssl_is_loaded_by_those_only_who_need_it() -> None:
    import subprocess
    import sys

    code = "import sys, greenbas.cli; sys.exit('OpenSSL' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 0
