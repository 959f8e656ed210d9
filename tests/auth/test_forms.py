"""Logging in by a form, with the password or with a hash of it, and what other sites and listeners can do about it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from digests import basic, cookie_of, post_form
from sessionstores import redis_process, shared_url
from web import Answer, Client, ask, directory, get, head, serving

from greenbas import Request, Response, Server, create
from greenbas.auth import formscheme, ha1

__all__ = ["redis_process", "shared_url"]  # fixtures

RIGHT = {"ba_username": "ann", "ba_password": "secret"}
WRONG = {"ba_username": "ann", "ba_password": "wrong"}
MD5, SHA = (ha1(algorithm, "ann", "Demo", "secret") for algorithm in ("MD5", "SHA-256"))
TRUST: dict[str, Any] = {"trusted_proxies": ("127.0.0.1",)}
HTTPS = "X-Forwarded-Proto: https"


def protect(server: Server, type: Any = "form", pwd: Any = "secret", name: str = "private", **options: Any) -> None:
    def handler(request: Request, response: Response) -> str:
        user = request.user()
        assert user is not None
        return f"{user.name} by {user.type}: {request.method} {sorted(request.data(query=True))}"

    users = create.json_user({"ann": {"pwd": pwd, "roles": [], "max_users": 50}})
    made = directory(name, handler)
    made.set_auth(create.authenticator(users, type=type, realm="Demo", **options))
    server.insert(made)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        protect(server)
        protect(server, "sform", name="hashed")
        yield server


# -- the form -----------------------------------------------------------------------------------------------------


def test_login(server: Server) -> None:
    page = get(server, "/private/x?a=b")
    assert (page.status, "set-cookie" in page) == (200, False)
    assert b'name="ba_username"' in page.body
    assert b'name="ba_password"' in page.body
    assert b"wrong" not in page.body
    answer = post_form(server, "/private/x?a=b&c=%2F", RIGHT)
    assert (answer.status, answer["location"], answer.body) == (302, "http://x/private/x?a=b&c=%2F", b"")
    assert "no-store" in answer["cache-control"]
    assert get(server, "/private/x?a=b", cookie_of(answer)).body == b"ann by form: GET ['a']"


@pytest.mark.parametrize(
    "fields",
    [
        WRONG, {"ba_username": "eve", "ba_password": "secret"}, {"ba_username": "ann", "ba_password": ""},
        {"ba_username": "", "ba_password": "secret"}, {"ba_username": "ann\0", "ba_password": "secret"},
        {"ba_username": "ann", "ba_password": "secret\0"}, {"ba_username": "a" * 300, "ba_password": "secret"},
        {"ba_username": "ann", "ba_password": "s" * 5000}, {"ba_username": "\ufffd", "ba_password": "secret"},
    ],
)  # fmt: skip
def test_wrong_passwords(server: Server, fields: dict[str, str]) -> None:
    answer = post_form(server, "/private/", fields)
    assert (answer.status, "set-cookie" in answer) == (200, False)
    assert b"The name or the password is wrong." in answer.body
    assert server.sessions() == []


def test_what_was_sent_is_escaped(server: Server) -> None:
    page = post_form(server, "/private/", {"ba_username": '"><script>alert(1)</script>', "ba_password": "x"}).body
    assert b"<script>" not in page
    assert b'value="&quot;&gt;&lt;script&gt;' in page
    assert b"secret" not in post_form(server, "/private/", {"ba_username": "eve", "ba_password": "secret"}).body


@pytest.mark.parametrize("path", ["/private//evil.example/", "/private/?next=http://evil.example/", "/private/%2F%2Fe"])
def test_the_redirect_stays_here(server: Server, path: str) -> None:
    location = post_form(server, path, RIGHT)["location"]
    assert location.startswith("http://x/private/")


def test_headers_of_the_page(server: Server) -> None:
    page = get(server, "/private/")
    policy = page["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert (page["x-frame-options"], page["x-content-type-options"]) == ("DENY", "nosniff")
    assert "no-store" in page["cache-control"]
    nonce = re.search("style-src 'nonce-([^']+)'", policy)
    assert nonce
    assert f'<style nonce="{nonce[1]}">'.encode() in page.body
    assert not re.search(rb'(?:src|href)="', page.body)  # nothing from elsewhere
    assert policy != get(server, "/private/")["content-security-policy"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_every_method_gets_the_form(server: Server, method: str) -> None:
    answer = ask(server, head(f"{method} /private/ HTTP/1.1", "Content-Length: 0"))
    assert b'name="ba_username"' in answer.body


def raw_post(server: Server, body: bytes, *headers: str, path: str = "/private/") -> Answer:
    with Client(server) as client:
        lines = head(f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *headers).replace("\n", "\r\n")
        return client.ask(lines.encode("latin-1") + body)


FORM = "Content-Type: application/x-www-form-urlencoded"
LOGIN = b"ba_username=ann&ba_password=secret"


@pytest.mark.parametrize(
    ("body", "headers", "path", "status"),
    [
        pytest.param(LOGIN, [FORM], "/private/", 302, id="good"),
        pytest.param(LOGIN, [FORM + "; charset=UTF-8"], "/private/", 302, id="charset"),
        pytest.param(LOGIN, [], "/private/", 200, id="no type"),
        pytest.param(LOGIN, ["Content-Type: text/plain"], "/private/", 200, id="text"),
        pytest.param(b"", [FORM], "/private/?" + LOGIN.decode(), 200, id="in the query"),
        pytest.param(b"ba_password=secret", [FORM], "/private/?ba_username=ann", 200, id="half in the query"),
        pytest.param(LOGIN + b"&x=" + b"y" * 20_000, [FORM], "/private/", 200, id="too long"),
        pytest.param(b"ba_username=%ff&ba_password=%00", [FORM], "/private/", 200, id="bad bytes"),
        pytest.param(b"\xff\xfe=\x00&&&=;", [FORM], "/private/", 200, id="garbage"),
        pytest.param(b"&".join([b"a=b"] * 1500), [FORM], "/private/", 400, id="too many fields"),
        pytest.param(b"ba_username=ann", [FORM], "/private/", 200, id="no password"),
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; name="ba_username"\r\n\r\nann\r\n--b--\r\n',
            ["Content-Type: multipart/form-data; boundary=b"], "/private/", 200, id="multipart",
        ),
    ],
)  # fmt: skip
def test_posts(server: Server, body: bytes, headers: list[str], path: str, status: int) -> None:
    answer = raw_post(server, body, *headers, path=path)
    assert answer.status == status
    assert ("set-cookie" in answer) == (status == 302)


def test_who_is_logged_in_posts_what_he_likes(server: Server) -> None:
    cookie = cookie_of(post_form(server, "/private/", RIGHT))
    assert post_form(server, "/private/", WRONG, cookie).body == b"ann by form: POST []"


# -- other sites --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ([], True),
        (["Origin: http://x"], True),
        (["Origin: https://x"], True),  # a proxy that we do not know took the encryption off
        (["Origin: http://evil.example"], False),
        (["Origin: http://x.evil.example"], False),
        (["Origin: http://x:81"], False),
        (["Origin: null"], False),
        (["Origin: "], False),
        (["Origin: file://x"], False),
        (["Origin: http://[::1"], False),
        (["Referer: http://x/private/"], True),
        (["Referer: http://evil.example/x"], False),
        (["Sec-Fetch-Site: same-origin"], True),
        (["Sec-Fetch-Site: none"], True),
        (["Sec-Fetch-Site: same-site"], False),
        (["Sec-Fetch-Site: cross-site"], False),
        (["Sec-Fetch-Site: same-origin", "Origin: null"], True),
        (["Sec-Fetch-Site: cross-site", "Origin: http://x"], False),
    ],
)
def test_posts_of_other_sites(server: Server, headers: list[str], good: bool) -> None:
    answer = post_form(server, "/private/", RIGHT, *headers)
    assert (answer.status, "set-cookie" in answer) == ((302, True) if good else (200, False))


def test_plain_pages_log_nobody_in_over_tls() -> None:
    with serving(**TRUST) as server:
        protect(server)
        assert post_form(server, "/private/", RIGHT, HTTPS, "Origin: http://x").status == 200
        answer = post_form(server, "/private/", RIGHT, HTTPS, "Origin: https://x")
        assert (answer.status, answer["location"]) == (302, "https://x/private/")
        assert answer["set-cookie"].startswith("__Host-")


# -- hashed -------------------------------------------------------------------------------------------------------


def challenge(page: Answer) -> dict[str, str]:
    found = dict(re.findall(r'name="(ba_\w+)" value="([^"]*)"', page.body.decode()))
    return {"ba_seed": found["ba_seed"], "ba_seedkey": found["ba_seedkey"], "ba_username": "ann"}


def answered(page: Answer, secret: str = "secret", hash: str = "sha256") -> dict[str, str]:
    fields = challenge(page)
    return fields | {"ba_password": hashlib.new(hash, (secret + fields["ba_seed"]).encode()).hexdigest()}


def test_hashed_login(server: Server) -> None:
    page = get(server, "/hashed/")
    assert b'name="ba_password"' in page.body
    assert b'id="ba_password2" autocomplete' in page.body  # the field with the password in it has no name
    fields = answered(page)
    answer = post_form(server, "/hashed/", fields)
    assert answer.status == 302
    assert get(server, "/hashed/", cookie_of(answer)).body.startswith(b"ann by form")


@pytest.mark.parametrize(
    ("pwd", "secret", "hash", "status"),
    [
        ("secret", "secret", "sha256", 302),
        ("secret", "secret", "sha1", 302),
        ("secret", "wrong", "sha256", 200),
        ("secret", "secret", "md5", 200),
        ("secret", SHA, "sha256", 200),
        ([MD5], MD5, "sha1", 302),
        ([MD5], "secret", "sha1", 200),
        ([SHA], SHA, "sha256", 302),
        ([SHA, MD5], MD5, "sha256", 302),
        ("$scrypt$ln=4,r=8,p=1$AAAA$" + "A" * 43, "secret", "sha256", 200),
    ],
)
def test_what_may_be_hashed(pwd: Any, secret: str, hash: str, status: int) -> None:
    with serving() as server:
        protect(server, "sform", pwd)
        answer = post_form(server, "/private/", answered(get(server, "/private/"), secret, hash))
        assert (answer.status, "set-cookie" in answer) == (status, status == 302)


def test_a_captured_form_is_worth_nothing(server: Server) -> None:
    fields = answered(get(server, "/hashed/"))
    assert post_form(server, "/hashed/", fields).status == 302
    for path in ("/hashed/", "/private/", "/hashed/other"):
        again = post_form(server, path, fields)
        assert (again.status, "set-cookie" in again) == (200, False)


def test_a_captured_form_is_worth_nothing_elsewhere(shared_url: str) -> None:
    with serving(session_store=shared_url) as one, serving(session_store=shared_url) as two:
        for server in (one, two):
            protect(server, "sform")
        fields = answered(get(one, "/private/"))
        assert post_form(two, "/private/", fields).status == 302  # a form of one is good at the other
        assert post_form(one, "/private/", fields).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"ba_seed": "1"}, {"ba_seed": "x"}, {"ba_seed": ""}, {"ba_seed": "9" * 5000}, {"ba_seedkey": ""},
        {"ba_seedkey": "0-" + "0" * 32}, {"ba_seedkey": "99999999999-" + "0" * 32}, {"ba_seedkey": "x" * 5000},
        {"ba_password": "secret"}, {"ba_password": ""}, {"ba_username": "eve"}, {"ba_username": ""},
        {"ba_seedkey": "\u0660-" + "0" * 32},
    ],
)  # fmt: skip
def test_forms_that_were_changed(server: Server, changes: dict[str, str]) -> None:
    answer = post_form(server, "/hashed/", answered(get(server, "/hashed/")) | changes)
    assert (answer.status, "set-cookie" in answer) == (200, False)


def test_a_seed_that_somebody_has_made_himself(server: Server) -> None:
    fields = answered(get(server, "/hashed/"))
    fields["ba_seed"] = "12345"
    fields["ba_password"] = hashlib.sha256(b"secret12345").hexdigest()
    assert post_form(server, "/hashed/", fields).status == 200


def test_a_seed_expires(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = answered(get(server, "/hashed/"))
    monkeypatch.setattr(formscheme, "SEED_SECONDS", 0.0)
    assert post_form(server, "/hashed/", fields).status == 200


def test_the_password_itself_is_for_tls_only() -> None:
    with serving(**TRUST) as server:
        protect(server, "sform")
        assert post_form(server, "/private/", RIGHT).status == 200
        assert b"is wrong" not in post_form(server, "/private/", RIGHT).body  # it was not looked at
        assert post_form(server, "/private/", RIGHT, HTTPS).status == 302
        assert b"ba_seed" not in get(server, "/private/", HTTPS).body


# -- handlers, and whom the type "auth" gives what ----------------------------------------------------------------


def test_response_handler() -> None:
    seen: list[Any] = []

    def handler(request: Request, response: Response, info: Any) -> None:
        seen.append((info.type, info.username, info.password, info.denied, bool(info.seed and info.seedkey)))
        response.forward("/.login/form")

    with serving() as server:
        server.insert(directory(".login", lambda request, response: f"form of {request.env()['authinfo'].realm}"))
        protect(server, response=handler)
        assert get(server, "/private/").body == b"form of Demo"
        assert post_form(server, "/private/", WRONG).body == b"form of Demo"
        assert post_form(server, "/private/", RIGHT).status == 302
    assert seen == [("form", None, None, False, True), ("form", "ann", "wrong", False, True)]


def test_too_many_sessions() -> None:
    with serving() as server:
        made = directory("private", lambda request, response: "in")
        users = create.json_user({"ann": {"pwd": "secret", "roles": [], "max_users": 1}})
        made.set_auth(create.authenticator(users, type="form"))
        server.insert(made)
        get(server, "/private/", cookie_of(post_form(server, "/private/", RIGHT)))
        answer = post_form(server, "/private/", RIGHT)
        assert (answer.status, "set-cookie" in answer) == (200, False)
        assert b"logged in too often" in answer.body


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/private/", [], "form"),
        ("/private/a/", [], "form"),
        ("/private/a.html", [], "form"),
        ("/private/a.HTM", [], "form"),
        ("/private/a.psp", [], "form"),
        ("/private/a.json", [], "digest"),
        ("/private/a", [], "digest"),
        ("/private/html", [], "digest"),
        ("/private/", ["X-Requested-With: XMLHttpRequest"], "digest"),
        ("/private/", ["PrefAuth: digest"], "digest"),
        ("/private/", [basic("ann", "wrong")], "digest"),
    ],
)
def test_auth_suits_the_client(path: str, headers: list[str], expected: str) -> None:
    with serving() as server:
        protect(server, "auth")
        answer = get(server, path, *headers)
        assert answer.status == (200 if expected == "form" else 401)
        assert ("www-authenticate" in answer) == (expected == "digest")
        assert post_form(server, "/private/", RIGHT).status == 302
        assert get(server, path, basic("ann", "secret")).body.startswith(b"ann by basic")
