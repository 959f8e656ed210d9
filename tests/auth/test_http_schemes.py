"""Basic and Digest over the wire: right and wrong, replays, wrong counts, and what no client should send."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from digests import Digest, basic, challenges, cookie_of, log_in_by_digest, post_form
from redisserver import redis_server
from sessionstores import redis_process, shared_url, store_url
from web import Answer, Client, ask, directory, get, head, serving

from greenbas import Request, Response, Server, create
from greenbas.auth import ha1, hash_password, nonces
from greenbas.errors import SettingError
from greenbas.http import sessions
from greenbas.protocol.authorization import DigestClaim
from greenbas.protocol.digest import expected_response

__all__ = ["redis_process", "shared_url", "store_url"]  # fixtures

MD5, SHA = (ha1(algorithm, "ann", "Demo", "secret") for algorithm in ("MD5", "SHA-256"))
FAST_SCRYPT = "$scrypt$ln=4,r=8,p=1$c2FsdA$"
TRUST = {"trusted_proxies": ("127.0.0.1",)}
FAR = "X-Forwarded-For: 198.51.100.7"


def protect(server: Server, pwd: Any = "secret", name: str = "private", database: Any = None, **options: Any) -> None:
    def handler(request: Request, response: Response) -> str:
        user = request.user()
        assert user is not None
        return f"{user.name} by {user.type}"

    made = directory(name, handler)
    users = database or create.json_user({"ann": {"pwd": pwd, "roles": [], "max_users": 100}})
    made.set_auth(create.authenticator(users, realm="Demo", **options))
    server.insert(made)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


# -- what is offered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({}, ["SHA-256"]),
        ({"md5": True}, ["SHA-256", "MD5"]),
        ({"pwd": [MD5]}, ["MD5"]),
        ({"pwd": [MD5], "md5": True}, ["MD5"]),
        ({"pwd": [SHA, MD5]}, ["SHA-256"]),
        ({"type": "basic"}, ["Basic"]),
        ({"type": "dav"}, ["SHA-256", "Basic"]),
        ({"type": "dav", "pwd": [MD5]}, ["MD5", "Basic"]),
    ],
)
def test_challenges(server: Server, options: Any, offered: list[str]) -> None:
    protect(server, **options)
    answer = get(server, "/private/")
    assert answer.status == 401
    assert list(challenges(answer)) == offered
    assert {challenge["realm"] for challenge in challenges(answer).values()} == {"Demo"}
    assert "no-store" in answer["cache-control"]


@pytest.mark.parametrize(
    ("pwd", "algorithm", "md5", "status"),
    [
        ("secret", "SHA-256", False, 200),
        ("secret", "MD5", False, 401),  # not offered
        ("secret", "MD5", True, 200),
        ("secret", "SHA-256", True, 200),
        ([MD5], "MD5", False, 200),
        ([MD5], "SHA-256", False, 401),
        ([SHA], "SHA-256", False, 200),
        ([SHA], "MD5", True, 401),
        ([SHA, MD5], "MD5", False, 401),
        ([SHA, MD5], "MD5", True, 200),
        ([FAST_SCRYPT + "A" * 43], "SHA-256", False, 401),
    ],
)
def test_algorithms(server: Server, pwd: Any, algorithm: str, md5: bool, status: int) -> None:
    protect(server, pwd, md5=md5)
    challenge = next(iter(challenges(get(server, "/private/")).values()))
    client = Digest(get(server, "/private/"), algorithm=challenge["algorithm"])
    client.algorithm, client.secret = algorithm, ha1(algorithm, "ann", "Demo", "secret")
    assert get(server, "/private/", client.line("/private/")).status == status


def test_a_client_with_sha256_is_told_when_it_has_to_be_md5(server: Server) -> None:
    """The database cannot know before who asks, and says so as for a stale nonce: nobody is asked again."""
    protect(server, database=create.auth_user(lambda name: [MD5] if name == "ann" else None))
    refused = log_in_by_digest(server, "/private/")
    (only,) = challenges(refused).values()
    assert (refused.status, only["algorithm"], only["stale"]) == (401, "MD5", "true")
    assert get(server, "/private/", Digest(refused, algorithm="MD5").line("/private/")).status == 200
    wrong = get(server, "/private/", Digest(refused, password="x", algorithm="MD5").line("/private/"))
    assert wrong.status == 401
    assert "stale" not in next(iter(challenges(wrong).values()))


@pytest.mark.parametrize("type", ["basic", "dav", "auth"])
def test_basic_is_for_connections_that_nobody_listens_to(type: Any) -> None:
    with serving(**TRUST) as server:
        protect(server, type=type)
        protect(server, type=type, name="careless", insecure_basic=True)
        line = basic("ann", "secret")
        assert get(server, "/private/x.txt", line).status == 200  # from this machine
        assert get(server, "/private/x.txt", line, FAR, "X-Forwarded-Proto: https").status == 200
        refused = get(server, "/private/x.txt", line, FAR)
        assert refused.status == (403 if type == "basic" else 401)
        assert "Basic" not in challenges(refused)
        assert get(server, "/careless/x.txt", line, FAR).status == 200


# -- right and wrong ----------------------------------------------------------------------------------------------


def test_login_makes_a_session(store_url: str) -> None:
    with serving(session_store=store_url) as server:
        protect(server)
        protect(server, name="basic", type="basic")
        for answer in (log_in_by_digest(server, "/private/"), get(server, "/basic/", basic("ann", "secret"))):
            assert answer.status == 200
            assert get(server, "/private/", cookie_of(answer)).status == 200
        assert server.users() == ["ann"]
        assert len(server.sessions("ann")) == 2


def test_a_login_changes_the_id_of_the_session(server: Server) -> None:
    protect(server)
    server.insert(directory("cart", lambda request, response: setattr(request.session(True), "cart", 5)))
    server.insert(directory("look", lambda request, response: str(request.session() and request.session().cart)))  # type: ignore[union-attr]
    before = cookie_of(get(server, "/cart/"))
    client = Digest(get(server, "/private/", before))
    answer = get(server, "/private/", before, client.line("/private/"))
    after = cookie_of(answer)
    assert after != before
    assert get(server, "/look/", after).body == b"5"
    assert get(server, "/look/", before).body == b"None"
    assert get(server, "/private/", before).status == 401


@pytest.mark.parametrize("pwd", ["secret", [SHA], [MD5], FAST_SCRYPT + "x"])
@pytest.mark.parametrize(
    ("name", "password"),
    [("ann", "wrong"), ("ann", "Secret"), ("ann", "secret "), ("eve", "secret"), ("Ann", "secret"), ("ann", SHA)],
)
def test_wrong_passwords(server: Server, pwd: Any, name: str, password: str) -> None:
    if isinstance(pwd, str) and pwd.startswith("$"):
        pwd = FAST_SCRYPT + "A" * 43
    protect(server, pwd, type="dav")
    answer = get(server, "/private/", basic(name, password))
    assert (answer.status, "set-cookie" in answer) == (401, False)
    algorithm = "MD5" if pwd == [MD5] else "SHA-256"
    answer = log_in_by_digest(server, "/private/", name, password, algorithm=algorithm)
    assert (answer.status, "set-cookie" in answer) == (401, False)
    assert server.sessions() == []


def test_domains_of_windows(server: Server) -> None:
    protect(server, type="dav")
    protect(server, name="digest")
    assert log_in_by_digest(server, "/private/", "DOM\\ann").body == b"ann by digest"
    assert log_in_by_digest(server, "/digest/", "DOM\\ann").status == 401


def test_the_server_proves_that_it_knows_the_password(server: Server) -> None:
    """7616 3.5"""
    protect(server)
    client = Digest(get(server, "/private/"))
    answer = get(server, "/private/?a=b", client.line("/private/?a=b"))
    claim = DigestClaim("ann", "Demo", client.nonce, "/private/?a=b", "", "SHA-256", "00000001", "c0ffee")
    assert f'rspauth="{expected_response(SHA, "", claim)}"' in answer["authentication-info"]


def test_a_password_that_was_right_is_remembered_until_it_changes(server: Server) -> None:
    users = create.json_user({"ann": {"pwd": hash_password("secret"), "roles": [], "max_users": 100}})
    protect(server, database=users, type="basic")
    assert get(server, "/private/", basic("ann", "secret")).status == 200
    begin = time.process_time()
    for _ in range(20):
        assert get(server, "/private/", basic("ann", "secret")).status == 200
    assert time.process_time() - begin < 2  # twenty scrypts would take four
    assert get(server, "/private/", basic("ann", "wrong")).status == 401
    users.set({"ann": {"pwd": "other", "roles": []}})
    assert get(server, "/private/", basic("ann", "secret")).status == 401


# -- replays and counts -------------------------------------------------------------------------------------------


def stale(answer: Answer) -> bool:
    return answer.status == 401 and next(iter(challenges(answer).values())).get("stale") == "true"


def test_a_captured_request_is_worth_nothing(server: Server) -> None:
    protect(server)
    client = Digest(get(server, "/private/"))
    line = client.line("/private/")
    assert get(server, "/private/", line).status == 200
    for _ in range(3):
        again = get(server, "/private/", line)
        assert stale(again)
        assert "set-cookie" not in again
    assert get(server, "/private/other", line).status == 401
    assert get(server, "/private/", client.line("/private/")).status == 200


def test_counts_may_overtake_each_other(server: Server) -> None:
    protect(server)
    client = Digest(get(server, "/private/"))
    lines = [client.line("/private/") for _ in range(8)]
    for number in (3, 0, 7, 1, 2, 6, 5, 4):
        assert get(server, "/private/", lines[number]).status == 200
    assert all(stale(get(server, "/private/", line)) for line in lines)


def test_nonces_of_others(server: Server) -> None:
    protect(server)
    protect(server, name="other")
    client = Digest(get(server, "/other/"))
    assert stale(get(server, "/private/", client.line("/private/")))
    client.nonce = "0" * 48
    assert stale(get(server, "/private/", client.line("/private/")))
    client.password = "wrong"
    client.secret = ha1("SHA-256", "ann", "Demo", "wrong")
    assert not stale(get(server, "/private/", client.line("/private/")))  # says nothing to who knows no password


def test_an_old_nonce_is_replaced_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(server)
    monkeypatch.setattr(nonces, "RENEW_AFTER", -1.0)
    client = Digest(get(server, "/private/"))
    info = get(server, "/private/", client.line("/private/"))["authentication-info"]
    client.nonce, client.count = info.partition('nextnonce="')[2].partition('"')[0], 0
    assert get(server, "/private/", client.line("/private/")).status == 200
    monkeypatch.setattr(nonces, "LIFETIME", -1.0)
    assert stale(get(server, "/private/", client.line("/private/")))


def test_a_client_without_cookies_keeps_its_session(store_url: str) -> None:
    with serving(session_store=store_url) as server:
        protect(server)
        server.insert(directory("count", count))
        client = Digest(get(server, "/private/"))
        for _ in range(5):
            assert get(server, "/private/", client.line("/private/")).status == 200
        assert len(server.sessions()) == 1
        session = server.session(server.sessions()[0])
        assert session is not None
        assert session.use_counter() == 4
        session.terminate()
        assert get(server, "/private/", client.line("/private/")).status == 200
        assert len(server.sessions()) == 1


def test_a_login_by_digest_goes_on_only_with_what_is_right(server: Server) -> None:
    """Each is refused though a login with its nonce has been right, and none of them uses up a count."""
    protect(server)
    client = Digest(get(server, "/private/"))
    assert get(server, "/private/", client.line("/private/")).status == 200
    line = client.line("/private/")
    for wrong in (
        line.replace('response="', 'response="0')[:-2] + '"',
        line.replace("nc=00000002", "nc=00000003"),
        line.replace('username="ann"', 'username="bob"'),
        line.replace("algorithm=SHA-256", "algorithm=MD5"),
    ):
        assert wrong != line
        answer = get(server, "/private/", wrong)
        assert answer.status == 401 and not stale(answer)
    assert ask(server, head("POST /private/ HTTP/1.1", line, "Content-Length: 0")).status == 401
    assert get(server, "/private/", line).body == b"ann by digest"
    assert stale(get(server, "/private/", line))  # once


def test_a_password_that_changes_ends_a_login_by_digest(server: Server) -> None:
    users = create.json_user({"ann": {"pwd": "secret", "roles": []}})
    protect(server, database=users)
    client = Digest(get(server, "/private/"))
    assert get(server, "/private/", client.line("/private/")).status == 200
    users.set({"ann": {"pwd": "other", "roles": []}})
    assert get(server, "/private/", client.line("/private/")).status == 401
    users.set({})
    assert get(server, "/private/", client.line("/private/")).status == 401


def test_the_server_proves_itself_once_for_each_nonce(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(server)
    client = Digest(get(server, "/private/"))
    answers = [get(server, "/private/", client.line("/private/")) for _ in range(2)]
    assert ["authentication-info" in answer for answer in answers] == [True, False]
    monkeypatch.setattr(nonces, "RENEW_AFTER", -1.0)
    info = get(server, "/private/", client.line("/private/"))["authentication-info"]
    assert "nextnonce=" in info and "rspauth=" in info


def test_basic_without_cookies_keeps_its_session(store_url: str) -> None:
    with serving(session_store=store_url) as server:
        protect(server, type="basic")
        ann = basic("ann", "secret")
        for _ in range(5):
            assert get(server, "/private/", ann).body == b"ann by basic"
        (number,) = server.sessions()
        session = server.session(number)
        assert session is not None and session.use_counter() == 4
        session.terminate()
        assert get(server, "/private/", ann).status == 200
        assert len(server.sessions()) == 1


def test_sessions_of_basic_are_those_of_one_program_each(server: Server) -> None:
    protect(server, type="basic")
    ann = basic("ann", "secret")
    for _ in range(2):
        for agent in ("curl/8", "wget/1"):
            assert get(server, "/private/", ann, f"User-Agent: {agent}").status == 200
    assert len(server.sessions()) == 2
    for _ in range(2):  # browsers may have all in common, and keep cookies
        assert get(server, "/private/", ann, "User-Agent: Mozilla/5.0").status == 200
    assert len(server.sessions()) == 4


def test_programs_are_told_apart_by_the_beginning_of_a_long_name(server: Server) -> None:
    """What is remembered of each is bounded, whatever it calls itself."""
    protect(server, type="basic")
    for end in ("a", "b"):
        assert get(server, "/private/", basic("ann", "secret"), f"User-Agent: {'x' * 5000}{end}").status == 200
    assert len(server.sessions()) == 1


def test_a_session_of_basic_whose_cookie_came_back_belongs_to_who_has_it(server: Server) -> None:
    protect(server, type="basic")
    ann = basic("ann", "secret")
    cookie = cookie_of(get(server, "/private/", ann))
    assert get(server, "/private/", cookie).status == 200
    assert get(server, "/private/", ann).status == 200
    assert len(server.sessions()) == 2


def test_a_password_that_changes_ends_a_login_by_basic(server: Server) -> None:
    users = create.json_user({"ann": {"pwd": "secret", "roles": []}})
    protect(server, database=users, type="basic")
    assert get(server, "/private/", basic("ann", "secret")).status == 200
    session = server.session(server.sessions()[0])
    assert session is not None
    before = session.user()
    users.set({"ann": {"pwd": "other", "roles": []}})
    assert get(server, "/private/", basic("ann", "secret")).status == 401
    assert get(server, "/private/", basic("ann", "other")).status == 200
    assert session.user() != before
    assert len(server.sessions()) == 1


def count(request: Request, response: Response) -> str:
    return "x"


# -- what no client should send -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "/other"}, {"uri": ""}, {"uri": "*"}, {"uri": "http://x/other"}, {"realm": "Other"}, {"realm": ""},
        {"nc": "00000000"}, {"nc": "1"}, {"nc": "zzzzzzzz"}, {"cnonce": ""}, {"username": ""}, {"username": "a\0nn"},
        {"username": "a" * 5000}, {"nonce": ""}, {"nonce": "x" * 5000}, {"response": "0" * 64}, {"response": "0" * 63},
        {"algorithm": "MD5"}, {"algorithm": "SHA-512-256"}, {"algorithm": "SHA-256-sess"}, {"username": "ann\x7f"},
    ],
)  # fmt: skip
def test_digests_that_are_none(server: Server, changes: dict[str, str]) -> None:
    protect(server)
    line = Digest(get(server, "/private/")).line("/private/", **changes)
    answer = ask(server, head("GET /private/ HTTP/1.1", line))
    assert answer.status in (400, 401)  # 400 for what is no header at all
    assert "set-cookie" not in answer
    assert server.sessions() == []


def test_an_absolute_uri_is_the_same(server: Server) -> None:
    protect(server)
    client = Digest(get(server, "/private/"))
    assert get(server, "/private/", client.line("/private/", uri="http://x/private/")).status == 200


def test_the_method_is_part_of_the_proof(server: Server) -> None:
    protect(server)
    client = Digest(get(server, "/private/"))
    assert ask(server, head("POST /private/ HTTP/1.1", client.line("/private/"), "Content-Length: 0")).status == 401


@pytest.mark.parametrize("type", ["digest", "basic", "dav", "auth", "form"])
@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization:"], ["Authorization: Basic"], ["Authorization: Basic !!!!"], ["Authorization: Digest"],
        ["Authorization: Basic " + "A" * 12_000], ["Authorization: Digest " + 'a="' * 4000],
        ["Authorization: Bearer x"], ["Authorization: \xff\xfe\xfd"], ["Authorization: Basic AP8AAA=="],
        [basic("ann", "secret"), basic("ann", "secret")], [basic("ann", "secret"), "Authorization: x"],
        [basic("ann", "secret") + ", x"], ["Authorization: ,,,"], ["PrefAuth: basic"], ["PrefAuth: \xff"],
        [basic("ann\0", "secret")], [basic("ann", "secret\0")], [basic("\x1b[2J", "x")], [basic("", "")],
    ],
    ids=lambda lines: repr(lines[0][:30]),
)  # fmt: skip
def test_malformed_fields(server: Server, type: Any, lines: list[str]) -> None:
    protect(server, type=type)
    answer = ask(server, head("GET /private/ HTTP/1.1", *lines))
    asks_by_form = type == "form" or (type == "auth" and lines == ["Authorization:"])
    assert answer.status == (200 if asks_by_form else 401)
    assert b"ann by" not in answer.body
    assert server.sessions() == []


def test_pipelined_guesses(server: Server) -> None:
    protect(server, type="basic")
    with Client(server) as client:
        lines = [head("GET /private/ HTTP/1.1", basic("ann", f"guess{number}")) for number in range(50)]
        client.send("".join([*lines, head("GET /private/ HTTP/1.1", basic("ann", "secret"))]))
        assert [client.answer().status for _ in range(51)] == [401] * 50 + [200]


# -- user databases that are functions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "basic_status", "digest_status"),
    [
        ("secret", 200, 200),
        (["secret"], 500, 500),
        ([SHA], 200, 200),
        (("secret", 3, True, 60), 200, 200),
        (("secret", 3), 200, 200),
        (("secret", True), 200, 200),
        (("secret", 0), 403, 403),
        (("secret", -1), 403, 403),
        (("secret", 3, True, 60, 5), 500, 500),
        (("secret", "3"), 500, 500),
        (True, 200, 401),
        ((True, 1, True), 200, 401),
        (False, 401, 401),
        (None, 401, 401),
        ("", 500, 500),
        (5, 500, 500),
        ({"pwd": "secret"}, 500, 500),
    ],
)
def test_what_a_function_returns(server: Server, result: Any, basic_status: int, digest_status: int) -> None:
    protect(server, database=create.auth_user(lambda name: result), type="dav")
    assert get(server, "/private/", basic("ann", "secret")).status == basic_status
    for number in server.sessions():
        server.session(number).terminate()  # type: ignore[union-attr]
    assert log_in_by_digest(server, "/private/").status == digest_status


def test_what_a_function_is_asked(server: Server) -> None:
    asked: list[tuple[Any, ...]] = []

    def one(name: str) -> None:
        asked.append((name,))

    def two(name: str, password: str | None) -> None:
        asked.append((name, password))

    def three(name: str, password: str | None, request: Request) -> None:
        asked.append((name, password, request.path))

    for function in (one, two, three):
        protect(server, database=create.auth_user(function), type="dav", name=function.__name__)
        get(server, f"/{function.__name__}/", basic("ann", "x"))
        log_in_by_digest(server, f"/{function.__name__}/")
    assert asked == [
        ("ann",), ("ann",), ("ann", "x"), ("ann", None), ("ann", "x", "/three/"), ("ann", None, "/three/"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [None, "x", lambda: "x", lambda a, b, c, d: "x"])
def test_what_is_no_function(wrong: Any) -> None:
    with pytest.raises(TypeError, match="user database"):
        create.auth_user(wrong)


def test_a_function_that_raises(server: Server) -> None:
    def broken(name: str) -> str:
        raise OSError("the database is gone")

    protect(server, database=create.auth_user(broken), type="dav")
    assert get(server, "/private/", basic("ann", "secret")).status == 500
    assert log_in_by_digest(server, "/private/").status == 500
    assert server.sessions() == []


@pytest.mark.parametrize(
    ("answering", "status"),
    [
        (lambda response: response.send_redirect("/elsewhere/"), 302),
        (lambda response: response.send_redirect("/elsewhere/", return2caller=True), 302),
        (lambda response: response.send_error(418), 418),
        (lambda response: response.write("who are you?"), 200),
        (lambda response: (response.write("who are you?"), response.flush()), 200),
        (lambda response: response.abort(), 200),
    ],
)
def test_a_function_that_answers_lets_nobody_in(server: Server, answering: Any, status: int) -> None:
    def database(name: str, password: str | None, request: Request) -> str:
        answering(request.response)
        return "secret"

    protect(server, database=create.auth_user(database), type="dav")
    for answer in (get(server, "/private/", basic("ann", "secret")), log_in_by_digest(server, "/private/")):
        assert answer.status == status
        assert b"ann by" not in answer.body
        assert "set-cookie" not in answer


def test_a_function_that_blocks_holds_up_nobody_else(server: Server) -> None:
    asked = gevent.event.Event()

    def slow(name: str) -> str:
        if name == "slow":
            asked.set()
            time.sleep(60)
        return "secret"

    protect(server, database=create.auth_user(slow), type="basic")
    with Client(server) as client:
        client.send(head("GET /private/ HTTP/1.1", basic("slow", "secret")))
        asked.wait(5)
        assert get(server, "/private/", basic("ann", "secret")).body == b"ann by basic"


# -- handlers -----------------------------------------------------------------------------------------------------


def test_response_handler(server: Server) -> None:
    seen: list[Any] = []

    def handler(request: Request, response: Response, info: Any) -> None:
        seen.append((info.type, info.username, info.password, info.denied, info.max_users))
        response.include("/.login/page")

    server.insert(directory(".login", lambda request, response: f"ask {request.env()['authinfo'].realm}"))
    protect(server, type="dav", name="dav", response=handler)
    users = create.json_user({"ann": {"pwd": "secret", "roles": [], "max_users": 1}})
    protect(server, database=users, type="basic", response=handler)
    answer = get(server, "/private/")
    assert (answer.status, answer.body, "www-authenticate" in answer) == (401, b"ask Demo", True)
    get(server, "/private/", basic("ann", "wrong"))
    first = get(server, "/private/", basic("ann", "secret"))
    get(server, "/private/", cookie_of(first))  # used again, so it does not go
    refused = get(server, "/private/", basic("ann", "secret"))
    assert (refused.status, refused.body, "www-authenticate" in refused) == (403, b"ask Demo", False)
    assert seen == [
        ("basic", None, None, False, None),
        ("basic", "ann", "wrong", False, None),
        ("basic", "ann", "secret", True, -1),
    ]
    assert b"ask Demo" not in get(server, "/dav/").body  # WebDAV clients show nothing
    assert "secret" not in repr(create.authenticator(users, response=handler))


def test_a_handler_that_fails_lets_nobody_in(server: Server) -> None:
    protect(server, response=lambda request, response, info: 1 / 0)
    assert get(server, "/private/").status == 500


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"type": "none"}, SettingError),
        ({"type": None}, SettingError),
        ({"realm": ""}, SettingError),
        ({"realm": "größe"}, SettingError),
        ({"realm": "a\nb"}, SettingError),
        ({"realm": None}, SettingError),
        ({"response": "page"}, TypeError),
        ({"response": lambda request: None}, TypeError),
    ],
)
def test_what_is_no_authenticator(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        create.authenticator(create.json_user(), **options)
    with pytest.raises(TypeError, match="no user database"):
        create.authenticator({"ann": "secret"})  # type: ignore[arg-type]


# -- sessions of a user -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recycle", "status"), [(False, 403), (True, 200)])
def test_max_users(store_url: str, recycle: bool, status: int) -> None:
    users = create.json_user({"ann": {"pwd": "secret", "roles": [], "max_users": 2, "recycle": recycle}})
    with serving(session_store=store_url) as server:
        protect(server, database=users, type="basic")
        line = basic("ann", "secret")
        cookies = [cookie_of(get(server, "/private/", line, agent(number))) for number in range(2)]
        third = cookie_of(get(server, "/private/", line, agent(2)))  # for one that was never used again
        alive = [cookie for cookie in [*cookies, third] if get(server, "/private/", cookie).status == 200]
        assert third in alive
        assert len(alive) == len(server.sessions("ann")) == 2
        last = get(server, "/private/", line, agent(3))
        assert last.status == status
        assert len(server.sessions("ann")) == 2


def agent(number: int) -> str:
    """The header line of one of several programs."""
    return f"User-Agent: program/{number}"


def test_locked_sessions_stay(server: Server) -> None:
    users = create.json_user({"ann": {"pwd": "secret", "roles": [], "max_users": 1, "recycle": True}})
    protect(server, database=users, type="basic")
    get(server, "/private/", basic("ann", "secret"))
    session = server.session(server.sessions()[0])
    assert session is not None
    session.lock()
    assert get(server, "/private/", basic("ann", "secret"), agent(2)).status == 403
    session.release()
    assert get(server, "/private/", basic("ann", "secret"), agent(2)).status == 200


def test_inactive_is_the_idle_limit(server: Server) -> None:
    protect(server, database=create.auth_user(lambda name: ("secret", 3, False, 77)), type="basic")
    get(server, "/private/", basic("ann", "secret"))
    session = server.session(server.sessions()[0])
    assert session is not None
    assert session.max_inactive_interval() == 77


def test_logs_say_who_and_not_with_which_password(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="greenbas")
    protect(server, type="basic")
    get(server, "/private/", basic("an\u00adn", "not-the-password"))
    get(server, "/private/", basic("ann", "secret"))
    assert "failed" in caplog.text
    assert "not-the-password" not in caplog.text
    assert "secret" not in caplog.text


def test_a_session_with_a_cookie_becomes_the_users(server: Server) -> None:
    """Even where the nonce belongs to another one already."""
    protect(server)
    server.insert(directory("cart", lambda request, response: setattr(request.session(True), "cart", 5)))
    client = Digest(get(server, "/private/"))
    assert get(server, "/private/", client.line("/private/")).status == 200
    before = cookie_of(get(server, "/cart/"))
    answer = get(server, "/private/", before, client.line("/private/"))
    assert answer.status == 200
    assert len(server.sessions("ann")) == 2
    assert "set-cookie" in answer


def test_nothing_is_told_about_a_login_that_was_right(server: Server) -> None:
    seen: list[dict[str, Any]] = []
    made = directory("private", lambda request, response: seen.append(dict(request.env())))
    users = create.json_user({"ann": {"pwd": "secret", "roles": []}})
    made.set_auth(create.authenticator(users, type="basic"))
    server.insert(made)
    assert get(server, "/private/", basic("ann", "secret")).status == 200
    assert seen == [{}]


def test_a_store_that_was_emptied(shared_url: str) -> None:
    """Processes that were there before and that come later agree on what marks passwords."""
    with serving(session_store=shared_url) as old:
        before = old.service.sessions.mark("x")
        store: Any = old.service.sessions.store
        assert store.set_note("key", None, store.note("key"), 0.0)  # lost
        with serving(session_store=shared_url) as new:
            after = new.service.sessions.mark("x")
            assert after != before
            old.service.sessions._mark_key_seen -= sessions.KEY_SECONDS + 1
            assert old.service.sessions.mark("x") == after


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_redis_that_is_gone_lets_nobody_in(how: str) -> None:
    """Neither a cookie nor a password helps, and nobody waits who needs no session."""
    with redis_server() as redis, serving(session_store=redis.url) as server, contextlib.ExitStack() as stack:
        protect(server, type="dav")
        protect(server, type="form", name="form")
        server.insert(directory("open", lambda request, response: "open"))
        cookie = cookie_of(get(server, "/private/", basic("ann", "secret")))
        line = Digest(get(server, "/private/")).line("/private/")
        if how == "killed":
            redis.kill()
        else:
            stack.enter_context(redis.frozen())
        waiting = gevent.spawn(get, server, "/private/", cookie)
        gevent.sleep(0)
        assert get(server, "/open/").body == b"open"
        posted = post_form(server, "/form/", {"ba_username": "ann", "ba_password": "secret"})
        tried = [get(server, "/private/", credentials) for credentials in (cookie, basic("ann", "secret"), line)]
        for answer in (waiting.get(timeout=10), posted, *tried):
            assert (answer.status, "set-cookie" in answer) == (503, False)
