"""Protected directories: who gets in where, in which order that is decided, and that nobody else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from digests import Digest, basic, cookie_of, log_in_by_digest
from h11 import RemoteProtocolError
from trees import Tree
from web import Answer, ask, directory, get, head, serving

from greenbas import Request, Response, Server, create
from greenbas.auth import JsonUser
from greenbas.errors import StoreUnavailable
from greenbas.vfs import Directory

USERS = {"ann": {"pwd": "secret", "roles": ["staff"]}, "bob": {"pwd": "hidden", "roles": ["guest"]}}


def hello(request: Request, response: Response) -> str:
    user = request.user()
    return f"hello {user.name if user else 'stranger'} at {request.relpath}"


def protected(name: str | None = "private", users: JsonUser | None = None, **options: Any) -> Directory:
    made = directory(name, hello)
    made.set_auth(create.authenticator(users or create.json_user(USERS), realm="Demo", **options))
    return made


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def test_the_example_of_the_issue() -> None:
    users = create.json_user({"ann": {"pwd": "secret", "roles": ["staff"]}})
    private = create.dir("private")
    private.set_func(lambda request, response: f"hello {request.user().name}")
    private.set_auth(
        create.authenticator(users, type="digest", realm="Demo"),
        users.authorizer({"all": {"urls": ["/*"], "methods": ["GET"], "roles": ["staff"]}}),
    )
    with serving() as server:
        server.insert(private)
        assert get(server, "/private/").status == 401
        answer = log_in_by_digest(server, "/private/a?b=c")
        assert (answer.status, answer.body) == (200, b"hello ann")
        assert log_in_by_digest(server, "/private/", password="wrong").status == 401
        assert log_in_by_digest(server, "/private/", name="eve").status == 401
        assert ask(server, head("POST /private/ HTTP/1.1", cookie_of(answer), "Content-Length: 0")).status == 403
        assert server.users() == ["ann"]


# -- what is protected --------------------------------------------------------------------------------------------


def make_tree(server: Server) -> None:
    """Everything that a protected directory can have in it, each answering with its name."""
    files = Tree(None)
    for name in ("index.html", "page.txt", "sub/page.txt", "public/style.css", "sub/public/x.txt", ".hidden"):
        files.write(name, name.encode())
    reader = create.resrdr(files.io, name="files")
    reader.insert(directory("child", hello))
    reader.insert(directory(None, lambda request, response: False))
    reader.insert_prologue(directory("first", hello))
    plain = create.dir("plain")
    plain.insert(directory("inner", hello))
    inner_reader = create.resrdr(files.io, name="inner-files")
    plain.insert(inner_reader)
    wsgi = create.wsgi(lambda environ, start: (start("200 OK", []), [b"wsgi"])[1], name="wsgi")
    for one in (reader, plain, wsgi, directory("function", hello)):
        one.set_auth(create.authenticator(create.json_user(USERS), realm="Demo"))
        server.insert(one)


PROTECTED = [
    "/files/", "/files/index.html", "/files/page.txt", "/files/sub/page.txt", "/files/sub/public/x.txt", "/files/none",
    "/files/child/", "/files/child/x", "/files/first/", "/files//page.txt", "/files/%70age.txt", "/files/./page.txt",
    "/files/public/../page.txt", "/files/publi%63/%2e%2e/page.txt", "/files/PUBLIC/style.css", "/files/public",
    "/plain/", "/plain/inner/", "/plain/inner/x", "/plain/inner-files/page.txt", "/plain/inner-files/public/../x",
    "/plain/inner-files/", "/wsgi", "/wsgi/x", "/function", "/function/", "/function/a/b",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree() -> Iterator[Server]:
    with serving() as server:
        make_tree(server)
        yield server


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "DELETE"])
def test_what_is_protected(tree: Server, path: str, method: str) -> None:
    answer = ask(tree, head(f"{method} {path} HTTP/1.1", "Content-Length: 0"))
    assert answer.status == 401
    assert "www-authenticate" in answer
    assert "set-cookie" not in answer


@pytest.mark.parametrize(("path", "status"), [("/files/public/style.css", 200), ("/files/public/none", 404)])
def test_public_folders_of_readers(tree: Server, path: str, status: int) -> None:
    assert get(tree, path).status == status


def test_an_unnamed_directory_protects_what_is_asked_after_it(server: Server) -> None:
    server.insert(protected(None))
    server.insert(directory("behind", hello, priority=-1))
    server.insert(directory("before", hello, priority=1))
    assert [get(server, f"/{name}/").status for name in ("behind", "before", "none")] == [401, 200, 401]


def test_slash_redirects_say_no_more_than_that_there_is_something(tree: Server) -> None:
    for path in ("/files", "/plain"):
        assert get(tree, path).status == 302


def test_what_is_beside_is_not_protected(server: Server) -> None:
    server.insert(protected())
    server.insert(directory("open", hello))
    assert get(server, "/open/").body == b"hello stranger at "
    answer = log_in_by_digest(server, "/private/")
    assert get(server, "/open/", cookie_of(answer)).body == b"hello ann at "


def test_protection_can_be_removed(server: Server) -> None:
    made = protected()
    server.insert(made)
    assert made.guard is not None
    made.set_auth()
    assert made.guard is None
    assert get(server, "/private/").status == 200


@pytest.mark.parametrize("wrong", ["ann", object(), {"ann": "secret"}, create.json_user(USERS), lambda *given: True])
def test_what_is_no_protection(wrong: Any) -> None:
    for arguments in ((wrong,), (None, wrong)):
        with pytest.raises(TypeError, match="set_auth: an auth"):
            create.dir("x").set_auth(*arguments)


# -- the order ----------------------------------------------------------------------------------------------------


def test_one_login_counts_server_wide(server: Server) -> None:
    server.insert(protected("one"))
    server.insert(protected("two", create.json_user({"eve": {"pwd": "x", "roles": []}}), type="form"))
    answer = log_in_by_digest(server, "/one/")
    assert get(server, "/two/", cookie_of(answer)).body == b"hello ann at "


def test_authorizer_of_each_directory_on_the_way(server: Server) -> None:
    asked: list[tuple[str, ...]] = []

    def note(level: str, verdict: bool) -> Callable[..., bool]:
        def decide(name: str, method: str, path: str) -> bool:
            asked.append((level, name, method, path))
            return verdict

        return decide

    outer, inner = create.dir("outer"), directory("inner", hello)
    outer.set_auth(create.authenticator(create.json_user(USERS)), create.authorizer(note("outer", True)))
    inner.set_auth(None, create.authorizer(note("inner", False)))
    outer.insert(inner)
    server.insert(outer)
    assert log_in_by_digest(server, "/outer/inner/x").status == 403
    assert asked == [("outer", "ann", "GET", "inner/x"), ("inner", "ann", "GET", "x")]


def test_authorizer_alone_is_for_those_who_have_logged_in(server: Server) -> None:
    only = directory("only", hello)
    only.set_auth(None, create.authorizer(lambda name, method, path: name == "ann"))
    server.insert(only)
    server.insert(protected())
    assert get(server, "/only/").status == 403
    assert get(server, "/only/", cookie_of(log_in_by_digest(server, "/private/"))).status == 200
    bob = log_in_by_digest(server, "/private/", "bob", "hidden")
    assert get(server, "/only/", cookie_of(bob)).status == 403


@pytest.mark.parametrize("verdict", [None, 1, "yes", [True], 0, False])
def test_only_true_allows(server: Server, verdict: Any) -> None:
    made = protected()
    made.set_auth(made.guard.authenticator, create.authorizer(lambda name, method, path: verdict))  # type: ignore[union-attr]
    server.insert(made)
    assert log_in_by_digest(server, "/private/").status == 403


def test_authorizer_gets_the_session(server: Server) -> None:
    made = protected()
    authorizer = create.authorizer(lambda name, method, path, session: session.user().name == name == "ann")
    made.set_auth(made.guard.authenticator, authorizer)  # type: ignore[union-attr]
    server.insert(made)
    assert log_in_by_digest(server, "/private/").status == 200


@pytest.mark.parametrize("wrong", [None, "x", lambda name: True, lambda a, b, c, d, e: True])
def test_what_is_no_authorizer(wrong: Any) -> None:
    with pytest.raises(TypeError, match="authorizer"):
        create.authorizer(wrong)


def test_p403_page(server: Server) -> None:
    made = protected()
    made.set_auth(made.guard.authenticator, create.authorizer(lambda name, method, path: False))  # type: ignore[union-attr]
    made.p403("/sorry/page")
    server.insert(made)
    server.insert(directory("sorry", lambda request, response: "sorry " + request.user().name))  # type: ignore[union-attr]
    answer = log_in_by_digest(server, "/private/")
    assert (answer.status, answer.body) == (403, b"sorry ann")


@pytest.mark.parametrize(("call", "status"), [("forward", 200), ("include", 200), ("redirect", 401)])
def test_forwards_and_includes_are_not_asked(server: Server, call: str, status: int) -> None:
    server.insert(protected())
    server.insert(directory("open", lambda request, response: getattr(response, call)("/private/x")))
    answer = get(server, "/open/")
    assert answer.status == status
    assert (b"stranger at x" in answer.body) == (status == 200)


def test_service_from_elsewhere_is_asked_unless_it_is_a_forward(server: Server) -> None:
    made = protected()
    server.insert(made)
    server.insert(directory("plain", lambda request, response: made.service(request, "x")))
    server.insert(directory("sim", lambda request, response: made.service(request, "x", simforward=True)))
    assert get(server, "/plain/").status == 401
    assert get(server, "/sim/").body == b"hello stranger at x"


def test_service_after_the_head_has_gone(server: Server) -> None:
    made = protected()
    server.insert(made)

    def handler(request: Request, response: Response) -> None:
        response.set_content_type("text/plain")
        response.write("before, ")
        response.flush()
        made.service(request, "x")

    made.set_func(lambda request, response: response.write("after") and None)
    server.insert(directory("outer", handler))
    cookie = cookie_of(log_in_by_digest(server, "/private/"))
    assert get(server, "/outer/", cookie).body == b"before, after"
    with pytest.raises((ConnectionError, RemoteProtocolError)):
        get(server, "/outer/")  # too late for a 401: broken off


def test_tls_comes_before_passwords(server: Server) -> None:
    made = create.dir("safe")
    made.redirect2tls()
    made.insert(directory("x", hello))
    made.set_auth(create.authenticator(create.json_user(USERS), type="basic"))
    server.insert(made)
    answer = get(server, "/safe/x/", basic("ann", "secret"))
    assert (answer.status, answer["location"]) == (301, "https://x/safe/x/")
    assert "set-cookie" not in answer


def test_tls_directory_is_protected_over_tls() -> None:
    with serving(trusted_proxies=("127.0.0.1",)) as server:
        made = create.dir("safe")
        made.redirect2tls()
        made.insert(directory("x", hello))
        made.set_auth(create.authenticator(create.json_user(USERS), type="basic"))
        server.insert(made)
        https = "X-Forwarded-Proto: https"
        assert get(server, "/safe/x/", https).status == 401
        answer = get(server, "/safe/x/", https, basic("ann", "secret"))
        assert answer.status == 200
        assert "; Secure;" in answer["set-cookie"]


def test_a_function_that_passes_stays_protected(server: Server) -> None:
    made = protected()
    made.set_func(lambda request, response: False)
    made.insert(directory("inner", hello))
    server.insert(made)
    assert get(server, "/private/inner/").status == 401
    assert log_in_by_digest(server, "/private/inner/").status == 200


def test_an_authenticator_called_by_hand(server: Server) -> None:
    authenticator = create.authenticator(create.json_user(USERS))

    def handler(request: Request, response: Response) -> Any:
        user = authenticator.authenticate(request, request.relpath)
        return None if user is None else f"{user.name} {user.type}"

    server.insert(directory("own", handler))
    assert get(server, "/own/").status == 401
    assert log_in_by_digest(server, "/own/").body == b"ann digest"


# -- caches and faults --------------------------------------------------------------------------------------------


def test_shared_caches_keep_nothing(server: Server) -> None:
    files = Tree(None)
    files.write("page.txt", b"page")
    reader = create.resrdr(files.io, name="files")
    reader.set_auth(create.authenticator(create.json_user(USERS)))
    server.insert(reader)
    answer = log_in_by_digest(server, "/files/page.txt")
    assert "no-store" in answer["cache-control"]  # it has a new cookie in it
    assert get(server, "/files/page.txt", cookie_of(answer))["cache-control"] == "private"


class Gone:
    """An authenticator or authorizer that cannot work now."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def authenticate(self, request: Request, path: str) -> None:
        raise self.error

    def authorize(self, request: Request, method: str, path: str) -> bool:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("gone"), 503), (ValueError("x"), 500), (KeyError("x"), 500)]
)
def test_what_fails_lets_nobody_in(server: Server, error: Exception, status: int) -> None:
    for name, auth in [("one", (Gone(error), None)), ("two", (None, Gone(error)))]:
        made = directory(name, hello)
        made.set_auth(*auth)
        server.insert(made)
    server.insert(protected())
    answer = log_in_by_digest(server, "/private/")
    assert get(server, "/one/").status == status
    assert get(server, "/two/").status == 403
    assert get(server, "/two/", cookie_of(answer)).status == status


class Careless:
    """Answers nothing, and returns what is no user."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def authenticate(self, request: Request, path: str) -> Any:
        return self.result


def test_an_authenticator_without_answer(server: Server) -> None:
    made = directory("x", hello)
    made.set_auth(Careless(None))
    server.insert(made)
    assert get(server, "/x/").body == b""


def test_many_requests_with_one_nonce(server: Server) -> None:
    server.insert(protected())
    client = Digest(get(server, "/private/"))
    answers: list[Answer] = [get(server, "/private/", client.line("/private/")) for _ in range(30)]
    assert {answer.status for answer in answers} == {200}
    assert len(server.sessions("ann")) == 1  # a client without cookies has a session all the same
    assert ["set-cookie" in answer for answer in answers].count(True) == 1
