"""The gateway to other sites, and ``greenbas proxy``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from launch import wait_for_address
from proxies import ANN, OK, answering, authenticator, field
from scripted import scripted
from support import wait_until
from web import Client, get, head, serving

from greenbas.errors import SettingError
from greenbas.vfs import Directory
from greenbas_plugins.proxy.command import make_server
from greenbas_plugins.proxy.failure import Refused
from greenbas_plugins.proxy.gateway import AllowList
from greenbas_plugins.proxy.redirector import redirector

NAMES = [
    (("site.example",), "site.example", 80, True),
    (("site.example",), "SITE.example.", 443, True),
    (("site.example",), "other.example", 80, False),
    (("site.example",), "a.site.example", 80, False),
    (("site.example",), "site.example", 8080, False),
    (("site.example:8080",), "site.example", 8080, True),
    (("site.example:8080",), "site.example", 80, False),
    (("*.site.example",), "a.b.site.example", 80, True),
    (("*.site.example",), "site.example", 80, False),
    (("*.site.example",), "evilsite.example", 80, False),
    (("*",), "any.example", 443, True),
    (("*",), "any.example", 22, False),
]


@pytest.mark.parametrize(("allow", "host", "port", "expected"), NAMES)
def test_names(allow: tuple[str, ...], host: str, port: int, expected: bool) -> None:
    assert AllowList(allow).has_name(host, port) is expected


ADDRESSES = [
    ("93.184.216.34", True), ("127.0.0.1", False), ("10.0.0.1", False), ("192.168.1.1", False), ("172.16.0.1", False),
    ("169.254.169.254", False), ("0.0.0.0", False), ("100.64.0.1", False), ("224.0.0.1", False), ("::1", False),
    ("fe80::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("::ffff:127.0.0.1", False),
    ("::ffff:10.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False), ("2606:2800:220:1::1", True),
    ("10.7.0.1", True), ("::ffff:10.7.0.1", True), ("no address", False), ("240.0.0.1", False),
]  # fmt: skip


@pytest.mark.parametrize(("address", "expected"), ADDRESSES)
def test_addresses(address: str, expected: bool) -> None:
    """Those that are not public are refused, whatever the name that led there, unless they are listed themselves."""
    allow = AllowList(("*", "10.7.0.0/16"))
    try:
        allow.check("site.example", address)
    except Refused as refused:
        assert not expected and address in str(refused)
    else:
        assert expected


def open_gateway(made: Directory) -> None:
    """Let those in who know the password of ANN; more about logins is in test_proxy_login.py."""
    made.set_auth(authenticator("basic"))


def test_without_an_authenticator_it_is_closed() -> None:
    with scripted(answering(OK)) as backend, serving() as server:
        server.insert(redirector("gateway", allow=("localhost", "127.0.0.1")))
        found = get(server, f"/gateway/127.0.0.1:{backend.port}/")
        assert found.status == 403 and b"authenticator" in found.body and not backend.heard


def test_a_way_through() -> None:
    with scripted(answering(OK)) as backend, serving() as server:
        port = backend.port
        made = redirector("gateway", allow=(f"localhost:{port}", "127.0.0.0/8", "::1"))
        open_gateway(made)
        server.insert(made)
        session = "Cookie: gbsid=0123456789012345678901234567890123456789; a=b; __Host-gbsid=x"
        for host in ("localhost", "127.0.0.1"):
            assert get(server, f"/gateway/{host}:{port}/x?y", session, ANN).body == b"ok"
        assert get(server, f"/gateway/localhost:{port}?y", ANN)["location"].endswith(f"/gateway/localhost:{port}/?y")
        server.stop(0)
    sent = b"".join(sorted(backend.said(2), reverse=True))
    assert sent.startswith(b"GET /x?y HTTP/1.1\r\n") and field(sent, "host")[0] == f"localhost:{port}"
    assert field(sent, "cookie") == ["a=b", "a=b"] and not field(sent, "authorization")
    assert field(sent, "x-forwarded-prefix")[0] == f"/gateway/localhost:{port}"


REFUSED = {
    "not listed": ("other.example/", b"not among the hosts"),
    "not public": ("localhost:{port}/", b"not public"),
    "an address that is not listed": ("127.0.0.1:{port}/", b"not among those"),
    "an address in disguise": ("2130706433:{port}/", b"not among the hosts"),
    "IPv6": ("[::ffff:127.0.0.1]:{port}/", b"not among"),
    "a user": ("localhost@127.0.0.1:{port}/", b"begins with the host"),
    "nothing": ("/x", b"begins with the host"),
    "a bad port": ("localhost:99999/", b"begins with the host"),
}


@pytest.mark.parametrize(("path", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_say_why(path: str, words: bytes) -> None:
    with scripted(answering(OK)) as backend, serving() as server:
        made = redirector("gateway", allow=(f"localhost:{backend.port}", "good.example"))
        open_gateway(made)
        server.insert(made)
        found = get(server, "/gateway/" + path.format(port=backend.port), ANN)
        assert found.status == 403 and words in found.body, found.body
        assert not backend.heard


# -- the command --------------------------------------------------------------------------------------------------


def options(*backends: str, trust: tuple[str, ...] = ()) -> argparse.Namespace:
    return argparse.Namespace(
        backends=list(backends), trust=list(trust), rewrite_links=False, host_header="keep", ca=None
    )


def test_places_of_the_command() -> None:
    server = make_server(options("http://a", "/shop/de=http://b/x=y", "shop/de=http://c/x=y", "http://d"))
    found = {one.base_uri(): [str(up.origin) for up in one.proxy.upstreams.all]
             for one in server.root.walk() if hasattr(one, "proxy")}  # fmt: skip
    assert found == {"/": ["http://a", "http://d"], "/shop/de/": ["http://b", "http://c"]}


@pytest.mark.parametrize("wrong", ["", "a", "/shop=a", "/a//b=http://c", "/../a=http://c"])
def test_wrong_backends(wrong: str) -> None:
    with pytest.raises(SettingError):
        make_server(options(wrong))


def test_the_command(tmp_path: Path) -> None:
    with scripted(answering(OK)) as backend:
        url = f"http://127.0.0.1:{backend.port}"
        command = [sys.executable, "-m", "greenbas", "proxy", url, f"/a={url}/base", "--trust", "127.0.0.1"]
        command += ["--port", "0"]
        with (tmp_path / "log").open("w+") as log:
            process = subprocess.Popen(command, env=environment(), cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
            try:
                port = int(wait_for_address(process, log).rpartition(":")[2])
                for path in ("/x", "/a/x"):
                    assert get(port, path, "X-Forwarded-For: 9.9.9.9").body == b"ok"
                with Client(port) as client:
                    client.send(head("GET /x HTTP/1.1"))
                    assert client.answer().body == b"ok"
                process.terminate()
                assert process.wait(10) == 0
            finally:
                process.kill()
                process.wait()
        heard = b"".join(backend.said())
    assert b"GET /x HTTP/1.1" in heard and b"GET /base/x HTTP/1.1" in heard
    assert field(heard, "x-forwarded-for")[0] == "9.9.9.9, 127.0.0.1"


def test_mounts_of_the_file(tmp_path: Path) -> None:
    """In greenbas.toml a proxy is a mount of the kind redirector."""
    with scripted(answering(OK)) as backend:
        (tmp_path / "hooks.py").write_text("def rewrite(request, out):\n    out.headers.set('X-Hook', 'yes')\n")
        (tmp_path / "greenbas.toml").write_text(
            "[server]\nport = 0\n[plugin.proxy]\nidle_timeout = 20.0\n[[mount]]\nkind = 'redirector'\nprefix = '/app'\n"
            f"to = ['http://127.0.0.1:{backend.port}']\nweights = [2]\nlimit = 10\nrewrite = 'hooks:rewrite'\n"
        )
        command = [sys.executable, "-m", "greenbas", "serve"]
        with (tmp_path / "log").open("w+") as log:
            process = subprocess.Popen(command, env=environment(), cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
            try:
                port = int(wait_for_address(process, log).rpartition(":")[2])
                assert get(port, "/app/x").body == b"ok"
            finally:
                process.kill()
                process.wait()
        wait_until(lambda: backend.heard)
    assert field(backend.heard[0], "x-hook") == ["yes"]
