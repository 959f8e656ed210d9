"""Clients that others have written: curl, requests, httpx."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from requests.auth import HTTPDigestAuth
from support import need_command
from tlspairs import server_tls
from web import directory, serving

from greenbas import Server, create
from greenbas.auth import ha1

USERS: dict[str, Any] = {
    "ann": {"pwd": "secret", "roles": [], "max_users": 50},
    "größe": {"pwd": "pässe €", "roles": [], "max_users": 50},
}
MD5 = ha1("MD5", "ann", "Demo", "secret")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        users = create.json_user(USERS)
        old = create.json_user({"ann": {"pwd": [MD5], "roles": [], "max_users": 50}})
        for name, database, options in [
            ("digest", users, {"type": "digest"}), ("basic", users, {"type": "basic"}), ("dav", users, {"type": "dav"}),
            ("auth", users, {"type": "auth"}), ("md5", old, {"type": "digest"}), ("both", users, {"md5": True}),
            ("callback", create.auth_user(lambda name: [MD5] if name == "ann" else None), {}),
        ]:  # fmt: skip
            made = directory(name, answer)
            made.set_auth(create.authenticator(database, realm="Demo", **options))  # type: ignore[arg-type]
            server.insert(made)
        yield server


def answer(request: Any, response: Any) -> str:
    if request.method == "POST":
        return f"{request.user().name} by {request.user().type}: {len(request.body())}"
    return f"{request.user().name} by {request.user().type}"


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.listeners[0].port}{path}"


@pytest.mark.parametrize(
    ("option", "path", "user", "expected"),
    [
        ("--basic", "/basic/", "ann:secret", "ann by basic 200"),
        ("--basic", "/basic/", "größe:pässe €", "größe by basic 200"),
        ("--basic", "/dav/", "ann:secret", "ann by basic 200"),
        ("--digest", "/digest/", "ann:secret", "ann by digest 200"),
        ("--digest", "/digest/a/b?c=d&e=%20f", "ann:secret", "ann by digest 200"),
        ("--digest", "/digest/", "größe:pässe €", "größe by digest 200"),
        ("--digest", "/md5/", "ann:secret", "ann by digest 200"),
        ("--digest", "/both/", "ann:secret", "ann by digest 200"),
        ("--digest", "/callback/", "ann:secret", "ann by digest 200"),
        ("--anyauth", "/digest/", "ann:secret", "ann by digest 200"),
        ("--anyauth", "/basic/", "ann:secret", "ann by basic 200"),
        ("--anyauth", "/dav/", "ann:secret", "ann by digest 200"),
        ("--anyauth", "/auth/x.txt", "ann:secret", "ann by digest 200"),
        ("--anyauth", "/digest/", "ann:wrong", " 401"),
        ("--anyauth", "/basic/", "ann:wrong", " 401"),
        ("--digest", "/callback/", "ann:wrong", " 401"),
        ("--basic", "/digest/", "ann:secret", " 401"),
    ],
)
def test_curl(server: Server, option: str, path: str, user: str, expected: str) -> None:
    command = [need_command("curl"), "-s", "--max-time", "10", option, "-u", user, "-w", " %{http_code}"]
    command.append(url(server, path))
    output = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert output.rpartition("\n")[2] == expected


@pytest.mark.parametrize("option", ["--digest", "--basic"])
def test_curl_posts(server: Server, option: str) -> None:
    path = "/digest/" if option == "--digest" else "/basic/"
    command = [need_command("curl"), "-s", "--max-time", "10", option, "-u", "ann:secret", "-d", "x" * 5000]
    output = subprocess.run([*command, url(server, path)], capture_output=True, check=True).stdout.decode()
    assert output == f"ann by {option[2:]}: 5000"


@pytest.mark.parametrize("path", ["/digest/", "/digest/a?b=c%20d", "/md5/", "/both/"])
def test_requests(server: Server, path: str) -> None:
    auth = HTTPDigestAuth("ann", "secret")
    for _ in range(3):
        found = requests.get(url(server, path), auth=auth, timeout=10)
        assert (found.status_code, found.text) == (200, "ann by digest")
    assert requests.get(url(server, path), auth=HTTPDigestAuth("ann", "wrong"), timeout=10).status_code == 401


def test_requests_with_a_session(server: Server) -> None:
    with requests.Session() as session:
        session.auth = HTTPDigestAuth("ann", "secret")
        for _ in range(3):
            assert session.get(url(server, "/digest/"), timeout=10).text == "ann by digest"
        session.auth = None
        assert session.get(url(server, "/digest/"), timeout=10).text == "ann by digest"  # by its cookie


@pytest.mark.parametrize("path", ["/digest/", "/digest/a?b=c", "/md5/", "/both/"])
def test_httpx(server: Server, path: str) -> None:
    auth = httpx.DigestAuth("ann", "secret")
    for _ in range(3):
        found = httpx.get(url(server, path), auth=auth, timeout=10)
        assert (found.status_code, found.text) == (200, "ann by digest")
    assert httpx.get(url(server, path), auth=httpx.DigestAuth("ann", "wrong"), timeout=10).status_code == 401


def test_httpx_with_a_client(server: Server) -> None:
    with httpx.Client(auth=httpx.DigestAuth("ann", "secret"), timeout=10) as client:
        for number in range(5):
            assert client.get(url(server, f"/digest/{number}")).text == "ann by digest"
        assert client.post(url(server, "/digest/"), content=b"x" * 100).text == "ann by digest: 100"


@pytest.mark.parametrize("name", ["requests", "httpx"])
def test_basic_of_libraries(server: Server, name: str) -> None:
    module: Any = {"requests": requests, "httpx": httpx}[name]
    assert module.get(url(server, "/basic/"), auth=("ann", "secret"), timeout=10).text == "ann by basic"
    assert module.get(url(server, "/basic/"), auth=("ann", "wrong"), timeout=10).status_code == 401


# -- over TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure() -> Iterator[Server]:
    """A server with a TLS listener alone."""
    server = Server()
    users = create.json_user(USERS)
    for name in ("basic", "form", "sform", "auth"):
        made = directory(name, answer)
        made.set_auth(create.authenticator(users, realm="Demo", type=name))  # type: ignore[arg-type]
        server.insert(made)
    server.listen(0, tls=server_tls())
    server.start()
    yield server
    server.stop(drain_timeout=0)


def curl(server: Server, path: str, *options: str) -> str:
    address = f"https://localhost:{server.listeners[0].port}{path}"
    command = [need_command("curl"), "-sk", "--max-time", "10", "-w", " %{http_code}", *options, address]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def test_basic_over_tls(secure: Server) -> None:
    assert curl(secure, "/basic/", "-u", "ann:secret") == "ann by basic 200"
    assert curl(secure, "/auth/x.txt", "-u", "ann:secret") == "ann by basic 200"


@pytest.mark.parametrize("path", ["/form/?a=b", "/sform/", "/auth/page.html"])
def test_forms_over_tls(secure: Server, path: str, tmp_path: Path) -> None:
    jar = str(tmp_path / "jar")
    assert "ba_seed" not in curl(secure, path)  # TLS hides the password: it needs no hash
    fields = ["-d", "ba_username=ann", "-d", "ba_password=secret"]
    origin = f"Origin: https://localhost:{secure.listeners[0].port}"
    assert curl(secure, path, *fields, "-H", "Origin: http://localhost", "-c", jar).endswith(" 200")
    assert curl(secure, path, *fields, "-H", origin, "-c", jar, "-b", jar, "-L") == "ann by form 200"
    assert "\tTRUE\t0\t__Host-gbsid\t" in Path(jar).read_text()  # Secure
