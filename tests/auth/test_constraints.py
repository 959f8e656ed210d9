"""Constraints: who may do what by URL, method and role (BAS reference d.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web import ask, directory, get, head, serving

from greenbas import Request, Response, Server, create
from greenbas.auth import JsonUser
from greenbas.errors import SettingError

USERS = {
    "mom": {"pwd": "m", "roles": ["mom", "parent"]},
    "kid": {"pwd": "k", "roles": ["kid"]},
    "free": {"pwd": "f", "roles": []},
}
FAMILY = {
    "all": {"urls": ["/*"], "methods": ["GET"], "roles": ["parent", "kid"]},
    "home": {"urls": ["/", "/index.html"], "methods": [], "roles": []},
    "mom": {"urls": ["/mom/*", "mom.html"], "methods": ["GET", "POST"], "roles": ["mom"]},
    "upload": {"urls": ["/mom/up/*"], "methods": ["PUT"], "roles": ["mom"]},
    "upload too": {"urls": ["/mom/up/*"], "methods": ["DELETE"], "roles": ["kid"]},
    "exact": {"urls": ["/mom/up/closed.txt", "/kid"], "methods": ["GET"], "roles": ["kid"]},
    "second": {"urls": ["/kid"], "methods": ["GET"], "roles": ["mom"]},
}

CASES = [
    ("mom", "GET", "a", True),
    ("kid", "GET", "a/b/c", True),
    ("kid", "HEAD", "a", True),  # HEAD counts as GET
    ("kid", "POST", "a", False),
    ("kid", "get", "a", False),  # methods have a case
    ("kid", "DELETE", "", True),  # exact, for everybody
    ("kid", "POST", "index.html", True),
    ("mom", "POST", "mom/x", True),
    ("kid", "GET", "mom/x", False),  # the longest prefix decides, and "/*" is not asked
    ("kid", "GET", "mom", False),
    ("kid", "GET", "mom/", False),
    ("kid", "GET", "mommy", True),  # whole segments
    ("kid", "GET", "mom.html", False),
    ("mom", "POST", "mom.html", True),
    ("kid", "GET", "mom.html/x", True),
    ("mom", "PUT", "mom/up/x", True),
    ("mom", "GET", "mom/up/x", False),  # the shorter prefix would allow it
    ("mom", "DELETE", "mom/up/x", False),
    ("kid", "DELETE", "mom/up/x/y", True),  # one of those of the same length
    ("kid", "GET", "mom/up/closed.txt", True),
    ("mom", "GET", "mom/up/closed.txt", False),  # an exact one is final
    ("mom", "PUT", "mom/up/closed.txt", False),
    ("kid", "GET", "kid", True),
    ("mom", "GET", "kid", False),  # the first one for an exact URL counts
    ("mom", "GET", "kid/", True),
    ("kid", "GET", "//mom//x", False),  # several slashes are one, as for files
    ("kid", "GET", "/mom//up/closed.txt", True),
    ("kid", "GET", "MOM/x", True),  # case-sensitive
    ("free", "GET", "mom/x", True),  # without roles subject to none, whatever the method (measured)
    ("free", "DELETE", "mom/up/x", True),
    ("nobody", "GET", "a", False),
]


@pytest.fixture(scope="module")
def family() -> Iterator[tuple[Server, JsonUser, Any]]:
    users = create.json_user(USERS)
    authorizer = users.authorizer(FAMILY)
    with serving() as server:

        def asked(request: Request, response: Response) -> dict[str, bool]:
            name = request.data("name") or ""
            request.login(name, max_users=1000)
            method, path = request.data("method", "path")
            return {"allowed": authorizer.authorize(request, method or "", path or "")}

        server.insert(directory("ask", asked))
        yield server, users, authorizer


@pytest.mark.parametrize(("name", "method", "path", "allowed"), CASES)
def test_family(family: Any, name: str, method: str, path: str, allowed: bool) -> None:
    body = get(family[0], f"/ask/?name={name}&method={method}&path={path}").body
    assert body == (b'{"allowed":true}' if allowed else b'{"allowed":false}')


def test_without_case(family: Any) -> None:
    server, _, authorizer = family
    assert authorizer.case_sensitive(False) is True
    try:
        assert get(server, "/ask/?name=kid&method=GET&path=MOM/x").body == b'{"allowed":false}'
        assert get(server, "/ask/?name=kid&method=GET&path=Index.HTML").body == b'{"allowed":true}'
    finally:
        assert authorizer.case_sensitive(True) is False


def test_without_constraints_nobody_may_do_anything(family: Any) -> None:
    server, users, _ = family
    empty = users.authorizer()
    server.insert(directory("empty", lambda request, response: str(empty.authorize(request, "GET", "x"))))
    assert get(server, "/empty/").body == b"False"


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ("{", "Parse error"),
        ([], "constraints are a dict"),
        ({"a": []}, "is a dict with 'urls'"),
        ({"a": {}}, "is a dict with 'urls'"),
        ({"a": {"urls": "/*"}}, "urls are a list of text"),
        ({"a": {"urls": ["/*"], "roles": "staff"}}, "roles are a list of text"),
        ({"a": {"urls": ["/*"], "methods": [5]}}, "methods are a list of text"),
        ({"a": {"urls": ["/*"], "role": []}}, "unknown key 'role'"),
        ({"a": {"urls": ["/a*"]}}, "everything below a path only"),
        ({"a": {"urls": ["/*/b"]}}, "everything below a path only"),
        ({"a": {"urls": ["/*/*"]}}, "everything below a path only"),
        ({5: {"urls": []}}, "a name is text"),
    ],
)
def test_what_is_no_constraint(constraints: Any, message: str) -> None:
    authorizer = create.json_user().authorizer(FAMILY)
    with pytest.raises(SettingError, match=message):
        authorizer.set(constraints)
    assert set(authorizer.data()) == set(FAMILY)


@pytest.mark.parametrize("text", ['{"v": {"all": {"urls": ["/*"]}}}', b'{"all": {"urls": ["*"]}}'])
def test_json_text(text: str | bytes) -> None:
    authorizer = create.json_user().authorizer(text)
    assert list(authorizer.data()) == ["all"]


def test_changes_count_from_the_next_request_on() -> None:
    users = create.json_user(USERS)
    authorizer = users.authorizer({"all": {"urls": ["/*"], "roles": ["kid"]}})
    private = directory("private", lambda request, response: "in")
    private.set_auth(create.authenticator(users, type="basic"), authorizer)
    from digests import basic, cookie_of

    with serving() as server:
        server.insert(private)
        answer = get(server, "/private/", basic("kid", "k"))
        cookie = cookie_of(answer)

        def status() -> int:
            return ask(server, head("GET /private/ HTTP/1.1", cookie)).status

        assert (answer.status, status()) == (200, 200)
        changed = users.data()
        changed["kid"]["roles"] = ["adult"]
        users.set(changed)
        assert status() == 403
        authorizer.set({"all": {"urls": ["/*"], "roles": ["adult"]}})
        assert status() == 200
        changed["kid"]["pwd"] = "new"
        users.set(changed)
        assert status() == 403  # logged in with a password that is none any more
        changed["kid"]["pwd"] = "k"
        users.set(changed)
        assert status() == 200
        del changed["kid"]
        users.set(changed)
        assert status() == 403
