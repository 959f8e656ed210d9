"""Sessions over HTTP: cookies, ids, limits, attributes, session URLs, and what a lost store means."""

from __future__ import annotations

import itertools
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import websocket as websocket_client
from gevent.event import Event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redisserver import RedisServer
from sessionstores import redis_process, shared_url, store_url
from support import wait_until
from tlspairs import python_client, server_tls
from web import Answer, Client, ask, get, head, serving

from greenbas import Request, Response, Server, create
from greenbas.errors import IncorrectUse, IsCommitted, SessionExpired, SettingError, StoreUnavailable
from greenbas.http import Session, SessionUser

__all__ = ["redis_process", "shared_url", "store_url"]  # fixtures

PLAIN = re.compile(r"gbsid=([0-9a-f]{40}); Path=/; HttpOnly; SameSite=Lax")
SECURE = re.compile(r"__Host-gbsid=([0-9a-f]{40}); Path=/; Secure; HttpOnly; SameSite=Lax")
TRUST = {"trusted_proxies": ("127.0.0.1",)}
HTTPS = "X-Forwarded-Proto: https"

Step = Callable[[Request, Response], Any]


class Site:
    """A server whose handler does what a test says next; keeps the cookie as a browser does."""

    def __init__(self, **options: Any) -> None:
        self.step: Step = lambda request, response: None
        self.result: Any = None
        self.cookie = ""
        self.context = serving(self.handle, **options)

    def __enter__(self) -> Site:
        self.server = self.context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.context.__exit__(*error)

    def handle(self, request: Request, response: Response) -> Any:
        self.result = None
        self.result = self.step(request, response)
        return "done"  # behind what the step has written

    def ask(self, step: Step | None = None, *headers: str, path: str = "/") -> Answer:
        """A request that runs a step, with the cookie of the session."""
        if step is not None:
            self.step = step
        cookie = [f"Cookie: {self.cookie}"] if self.cookie else []
        answer = get(self.server, path, *cookie, *headers)
        for line in answer.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookie = f"{name}={value}" if value else ""
        return answer

    def run(self, step: Callable[[Session], Any], *headers: str) -> Any:
        """What a step with the session gives."""
        answer = self.ask(lambda request, response: step(request.session(True)), *headers)
        assert answer.status == 200, answer.body
        return self.result


@pytest.fixture
def site(store_url: str) -> Iterator[Site]:
    with Site(session_store=store_url) as site:
        yield site


@pytest.fixture
def memory() -> Iterator[Site]:
    with Site() as site:
        yield site


# -- cookies ------------------------------------------------------------------------------------------------------


def test_only_who_asks_for_a_session_gets_one(site: Site) -> None:
    assert "set-cookie" not in site.ask(lambda request, response: request.session())
    assert site.result is None
    assert site.server.sessions() == []


def test_cookie_of_a_new_session(site: Site) -> None:
    answer = site.ask(lambda request, response: request.session(True).id(public=True))
    found = PLAIN.fullmatch(answer["set-cookie"])
    assert found
    assert found[1] == site.result
    assert answer["cache-control"].startswith("no-store")
    again = site.ask(lambda request, response: (request.session(), request.session(True)))
    assert "set-cookie" not in again
    assert "cache-control" not in again
    assert site.result[0] is site.result[1]


def test_ids_differ(site: Site) -> None:
    site.step = lambda request, response: request.session(True)
    ids = {PLAIN.fullmatch(get(site.server, "/")["set-cookie"])[1] for _ in range(20)}  # type: ignore[index]
    assert len(ids) == 20


@pytest.mark.parametrize(
    ("options", "headers", "cookie"),
    [
        pytest.param({}, [HTTPS], PLAIN, id="anybody can say https"),
        pytest.param(TRUST, [HTTPS], SECURE, id="https"),
        pytest.param(TRUST, [], PLAIN, id="no https"),
        pytest.param(
            {**TRUST, "session_path": "/a/"}, [HTTPS], re.compile("__Secure-gbsid=.*; Path=/a/; Secure; .*"), id="path"
        ),
        pytest.param({"session_cookie": "s"}, [], re.compile("s=[0-9a-f]{40}; Path=/; .*"), id="name"),
    ],
)  # fmt: skip
def test_attributes_of_the_cookie(options: Any, headers: list[str], cookie: re.Pattern[str]) -> None:
    with Site(**options) as site:
        answer = site.ask(lambda request, response: request.session(True), *headers)
        assert cookie.fullmatch(answer["set-cookie"])
        assert "set-cookie" not in site.ask(None, *headers)


def test_a_cookie_of_a_plain_connection_counts_for_nothing_over_tls() -> None:
    with Site(**TRUST) as site:
        plain = PLAIN.fullmatch(site.ask(lambda request, response: request.session(True))["set-cookie"])
        assert plain
        secure = SECURE.fullmatch(site.ask(None, HTTPS)["set-cookie"])
        assert secure
        assert plain[1] != secure[1]
        for name, header, known in [
            ("gbsid", HTTPS, False), ("__Host-gbsid", "X: y", False), ("__Host-gbsid", HTTPS, True),
        ]:  # fmt: skip
            site.cookie = f"{name}={secure[1]}"
            site.ask(lambda request, response: request.session() is not None, header)
            assert site.result is known


def test_cookie_over_tls(tmp_path: Any) -> None:
    with serving(lambda request, response: str(request.session(True).id())) as server:
        secure = server.listen(0, tls=server_tls())
        with Client(server) as client:
            client.sock.close()
            client.sock = python_client(secure.port, tmp_path)
            answer = client.ask(head("GET / HTTP/1.1"))
            found = SECURE.fullmatch(answer["set-cookie"])
            assert found
            assert client.ask(head("GET / HTTP/1.1", f"Cookie: __Host-gbsid={found[1]}")).body == answer.body
            assert client.ask(head("GET / HTTP/1.1", f"Cookie: gbsid={found[1]}")).body != answer.body
        # Nor does the id count on the plain listener, where anybody on the way could read it.
        assert get(server, "/", f"Cookie: __Host-gbsid={found[1]}").body not in (answer.body, b"")


ID = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("gbsid={}", True),
        ("a=b; gbsid={}", True),
        ("gbsid={};a=b", True),
        ("a=b;gbsid={}; c=d", True),
        ("gbsid=nonsense; gbsid={}", True),
        (f"gbsid={ID}; gbsid={{}}", False),
        ("gbsid=\"{}\"", False),
        ("Gbsid={}", False),
        ("xgbsid={}", False),
        ("a gbsid={}", False),
        ("gbsid={}0", False),
        ("gbsid={}; a", True),
        ("gbsid {}", False),
        ("a=b, gbsid={}", False),
        ("__Host-gbsid={}", False),
        ("a=b\nCookie: gbsid={}", True),
        ("gbsid={}\nCookie: a=b", True),
        ("", False),
        (";;;=;", False),
    ],
)  # fmt: skip
def test_cookie_fields(memory: Site, field: str, known: bool) -> None:
    public = memory.run(lambda session: session.id(public=True))
    memory.step = lambda request, response: request.session() is not None
    for _ in range(2):  # the second time it may be remembered
        get(memory.server, "/", f"Cookie: {field.replace('{}', public)}")
        assert memory.result is known


def test_unknown_ids_are_never_adopted(site: Site) -> None:
    site.cookie = f"gbsid={ID}"
    answer = site.ask(lambda request, response: request.session(True).id(public=True))
    assert ID not in answer["set-cookie"]
    assert site.result != ID
    assert len(site.server.sessions()) == 1


@pytest.fixture(scope="module")
def guarded() -> Iterator[Site]:
    with Site() as site:
        yield site


COOKIE_BYTES = st.binary(max_size=80) | st.text('gbsid=;, "0123456789abcdef-_Host\t', max_size=80).map(str.encode)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COOKIE_BYTES)
def test_any_cookie_value_is_answered(guarded: Site, value: bytes) -> None:
    guarded.step = lambda request, response: request.session()
    with Client(guarded.server) as client:
        answer = client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: gbsid=" + value + b"\r\n\r\n")
    controls = any((byte < 32 and byte != 9) or byte == 127 for byte in value)
    assert answer.status in ((200, 400) if controls else (200,))
    assert guarded.result is None
    assert guarded.server.sessions() == []


def test_session_is_made_in_an_include_too() -> None:
    server_root = create.dir()
    inner = create.dir("inner")
    inner.set_func(lambda request, response: f"<{request.session(True).id()}>")
    server_root.insert(inner)
    with serving() as server:
        server.insert(server_root)

        @server.directory("outer")
        def outer(request: Request, response: Response) -> None:
            response.include("/inner")

        answer = get(server, "/outer")
        assert answer.body == b"<1>"
        assert PLAIN.fullmatch(answer["set-cookie"])


def commit_first(request: Request, response: Response) -> Any:
    response.write("x")
    response.flush()
    try:
        return request.session(True)
    except IsCommitted as error:
        return error


def test_too_late_for_a_cookie(site: Site) -> None:
    site.ask(commit_first)
    assert isinstance(site.result, IsCommitted)
    assert site.server.sessions() == []
    assert site.run(lambda session: session.id())
    site.ask(commit_first)
    assert isinstance(site.result, Session)


def test_cookies_survive_a_reset(memory: Site) -> None:
    def step(request: Request, response: Response) -> None:
        request.session(True)
        response.reset()
        response.send_redirect("/elsewhere")

    assert PLAIN.fullmatch(memory.ask(step)["set-cookie"])


# -- attributes ---------------------------------------------------------------------------------------------------


def test_attributes(site: Site) -> None:
    def first(session: Session) -> None:
        session.cart = [1]
        session["any name"] = {"a": None}
        session.gone = 1

    def second(session: Session) -> None:
        session.cart.append(2)
        session["any name"]["b"] = [True]
        del session.gone

    site.run(first)
    site.run(second)
    both = {"cart": [1, 2], "any name": {"a": None, "b": [True]}}
    assert site.run(lambda session: dict(session.attributes())) == both
    assert sorted(site.run(list)) == ["any name", "cart"]
    assert site.run(lambda session: (len(session), "cart" in session, "gone" in session)) == (2, True, False)
    assert site.run(lambda session: (session.get("cart"), session.get("x"), session.get("x", 5))) == ([1, 2], None, 5)


def test_attributes_that_are_missing(site: Site) -> None:
    site.run(lambda session: setattr(session, "a", 1))
    for step, error, message in [
        (lambda session: session.b, AttributeError, "no 'b' yet; there are: a"),
        (lambda session: session["b"], KeyError, "b"),
        (lambda session: delattr(session, "b"), AttributeError, "no 'b'; there are: a"),
        (lambda session: session.__delitem__("b"), KeyError, "b"),
        (lambda session: session.__wrapped__, AttributeError, "__wrapped__"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            site.run(lambda session, step=step: raised_here(session, step))
            raise site.result


def raised_here(session: Session, step: Callable[[Session], Any]) -> Exception:
    try:
        return AssertionError(step(session))
    except Exception as error:
        return error


@pytest.mark.parametrize("name", ["id", "user", "terminate", "lock", "get", "attributes", "_record", "__class__", "_x"])
def test_names_that_are_taken(site: Site, name: str) -> None:
    for assign in (lambda session: setattr(session, name, 1), lambda session: session.__setitem__(name, 1)):
        error = site.run(lambda session, assign=assign: raised_here(session, assign))
        assert isinstance(error, AttributeError)
        assert "invalid session attribute" in str(error)
    assert site.run(len) == 0


@pytest.mark.parametrize("name", [1, None, b"a", ""])
def test_names_are_text(site: Site, name: Any) -> None:
    error = site.run(lambda session: raised_here(session, lambda session: session.__setitem__(name, 1)))
    assert isinstance(error, TypeError)


def test_any_object_in_memory(memory: Site) -> None:
    thing = object()
    memory.run(lambda session: setattr(session, "thing", thing))
    assert memory.run(lambda session: session.thing) is thing


def test_what_a_store_cannot_keep(shared_url: str) -> None:
    with Site(session_store=shared_url) as site:
        for value in (object(), (1,), len):
            error = site.run(lambda session, value=value: raised_here(session, lambda s: setattr(s, "cart", value)))
            assert isinstance(error, TypeError)
            assert "'cart'" in str(error)
        site.run(lambda session: setattr(session, "cart", []))
        answer = site.ask(lambda request, response: request.session(True).cart.append(object()))
        assert answer.status == 500  # not silently lost
        assert site.run(lambda session: session.cart) == []


def test_two_requests_at_once_lose_nothing(site: Site) -> None:
    site.run(lambda session: None)
    inside, go_on, numbers = Event(), Event(), itertools.count()

    def step(request: Request, response: Response) -> None:
        session = request.session(True)
        number = next(numbers)
        session[f"before{number}"] = number
        if number == 9:
            inside.set()
        go_on.wait(5)
        session[f"after{number}"] = number

    site.step = step
    cookie = f"Cookie: {site.cookie}"
    jobs = [gevent.spawn(get, site.server, "/", cookie) for _ in range(10)]
    assert inside.wait(5)
    go_on.set()
    gevent.joinall(jobs, raise_error=True)
    names = site.run(lambda session: sorted(session.attributes()))
    assert names == sorted([f"{when}{number}" for when in ("before", "after") for number in range(10)])
    assert site.run(lambda session: session.use_counter()) == 12


def test_changes_are_there_before_the_answer_is(shared_url: str) -> None:
    with Site(session_store=shared_url) as site:
        for number in range(20):
            site.run(lambda session, number=number: setattr(session, "n", number))
            assert site.server.session(site.server.sessions()[0]).n == number  # type: ignore[union-attr]


@pytest.mark.parametrize("ending", ["abort", "error", "redirect"])
def test_changes_stay_however_the_handler_ends(site: Site, ending: str) -> None:
    def step(request: Request, response: Response) -> None:
        request.session(True).n = 1
        if ending == "error":
            raise ZeroDivisionError
        if ending == "abort":
            request.abort()
        response.send_redirect("/x")

    site.ask(step)
    assert site.run(lambda session: session.n) == 1


def test_used_beyond_the_request(site: Site) -> None:
    session = site.run(lambda session: session)
    session.n = 1
    session.list = []
    assert site.run(lambda session: (session.n, session.list)) == (1, [])
    session.list.append(1)
    session.save()
    assert site.run(lambda session: session.list) == [1]
    del session.n
    assert site.run(lambda session: "n" in session) is False
    with pytest.raises(IncorrectUse):
        session.rotate()
    assert session.terminate()
    assert site.server.sessions() == []


def test_a_session_found_by_its_number(site: Site) -> None:
    number = site.run(lambda session: session.id())
    found = site.server.session(number)
    assert found is not None
    found.said = "hello"
    assert site.run(lambda session: session.said) == "hello"
    assert site.run(lambda session: session.use_counter()) == 2
    with pytest.raises(IncorrectUse, match="only the request"):
        found.rotate()
    assert site.server.session(number + 1) is None


# -- what is known about it ---------------------------------------------------------------------------------------


def test_facts(site: Site) -> None:
    before = time.time()
    number, public, peer = site.run(lambda session: (session.id(), session.id(public=True), session.peername()))
    assert (number, site.cookie, peer) == (site.server.sessions()[0], f"gbsid={public}", "127.0.0.1")
    assert site.run(lambda session: session.use_counter()) == 1
    made, used, later = site.run(
        lambda session: (session.creation_time(), session.last_accessed_time(), session.last_accessed_time(update=True))
    )
    assert before - 0.01 <= made <= used <= later <= time.time() + 0.01
    assert site.run(lambda session: session.user()) is None
    assert site.run(lambda session: session.max_inactive_interval(50)) == 1200
    assert site.run(lambda session: session.max_inactive_interval()) == 50
    assert re.fullmatch(rf"<Session {number}>", site.run(repr))
    assert public not in repr(site.server.service.sessions)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12])
def test_limits_that_are_none(site: Site, seconds: float) -> None:
    error = site.run(lambda session: raised_here(session, lambda s: s.max_inactive_interval(seconds)))
    assert isinstance(error, ValueError)


def test_idle_sessions_end(store_url: str) -> None:
    with Site(session_store=store_url, session_idle=0.2) as site:
        first = site.run(lambda session: session.id())
        wait_until(lambda: site.server.session(first) is None)
        wait_until(lambda: site.server.sessions() == [])
        site.ask(lambda request, response: request.session())
        assert site.result is None
        assert site.run(lambda session: session.id()) != first


def test_lifetime(store_url: str) -> None:
    with Site(session_store=store_url, session_lifetime=0.3) as site:
        site.run(lambda session: session.lock())
        wait_until(lambda: site.ask(lambda request, response: request.session()) and site.result is None)


def test_lock_goes_with_its_object(memory: Site) -> None:
    kept: list[Session] = [memory.run(lambda session: session)]
    session = kept[0]
    assert (session.release(), session.lock(), session.lock()) == (False, True, False)
    session.max_inactive_interval(0.05)
    gevent.sleep(0.1)
    assert memory.server.sessions() == [session.id()]
    del session
    memory.step = lambda request, response: None
    memory.result = None
    memory.ask()
    kept.clear()
    wait_until(lambda: memory.server.sessions() == [])


def test_limit_on_their_number() -> None:
    with Site(session_limit=5) as site:
        site.run(lambda session: setattr(session, "mine", 1))
        site.run(lambda session: session)
        for _ in range(20):
            get(site.server, "/")
        assert len(site.server.sessions()) == 5
        assert site.run(lambda session: session.mine) == 1


def test_when_all_are_locked_there_is_no_more() -> None:
    with Site(session_limit=1) as site:
        kept = site.run(lambda session: (session.lock(), session))
        answer = get(site.server, "/")
        assert (answer.status, "retry-after" in answer) == (503, True)
        assert kept[1].release()
        assert get(site.server, "/").status == 200


@pytest.mark.parametrize(("bind", "known"), [(True, False), (False, True)])
def test_binding_to_the_address(store_url: str, bind: bool, known: bool) -> None:
    with Site(session_store=store_url, session_bind_peer=bind) as site:
        site.run(lambda session: None)
        site.step = lambda request, response: request.session() is not None
        with Client(site.server, source="127.0.0.2") as client:
            client.ask(head("GET / HTTP/1.1", f"Cookie: {site.cookie}"))
        assert site.result is known
        site.ask()
        assert site.result is True


def test_binding_to_the_address_that_a_proxy_names() -> None:
    with Site(session_bind_peer=True, **TRUST) as site:
        assert site.run(lambda session: session.peername(), "X-Forwarded-For: 192.0.2.7") == "192.0.2.7"
        site.step = lambda request, response: request.session() is not None
        for address, known in [("192.0.2.8", False), ("192.0.2.7", True)]:
            site.ask(None, f"X-Forwarded-For: {address}")
            assert site.result is known


# -- its life -----------------------------------------------------------------------------------------------------


def test_terminate(site: Site) -> None:
    site.run(lambda session: setattr(session, "n", 1))
    old = site.cookie
    answer = site.ask(lambda request, response: request.session(True).terminate())
    assert site.result is True
    expires = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
    assert answer["set-cookie"] == f"gbsid=; {expires}; Path=/; HttpOnly; SameSite=Lax"
    assert (site.cookie, site.server.sessions()) == ("", [])
    site.cookie = old
    assert site.run(lambda session: "n" in session) is False
    assert site.cookie != old


def test_a_new_one_in_the_same_request(site: Site) -> None:
    def step(request: Request, response: Response) -> Any:
        first = request.session(True)
        first.terminate()
        assert request.session() is None
        return request.session(True).id(public=True)

    answer = site.ask(step)
    assert answer["set-cookie"].startswith(f"gbsid={site.result};")  # one cookie, not two


DEAD: dict[str, Callable[[Session], Any]] = {
    "attribute": lambda session: session.n,
    "item": lambda session: session["n"],
    "set": lambda session: setattr(session, "n", 1),
    "set item": lambda session: session.__setitem__("n", 1),
    "delete": lambda session: delattr(session, "n"),
    "in": lambda session: "n" in session,
    "len": len,
    "iter": list,
    "get": lambda session: session.get("n"),
    "attributes": lambda session: session.attributes(),
    "id": lambda session: session.id(),
    "creation_time": lambda session: session.creation_time(),
    "max_inactive_interval": lambda session: session.max_inactive_interval(),
    "use_counter": lambda session: session.use_counter(),
    "peername": lambda session: session.peername(),
    "user": lambda session: session.user(),
    "lock": lambda session: session.lock(),
    "onterminate": lambda session: session.onterminate,
}


def test_references_to_an_ended_session(site: Site) -> None:
    ended = site.run(lambda session: (setattr(session, "n", 1), session, session.terminate()))[1]
    for name, use in DEAD.items():
        with pytest.raises(SessionExpired):
            pytest.fail(f"{name}: {use(ended)!r}")
    assert (ended.last_accessed_time(), ended.last_accessed_time(True), ended.terminate()) == (-1, -1, False)
    assert ended.release() is False
    ended.save()
    assert repr(ended).endswith(" ended>")
    assert bool(ended)


def test_another_request_ends_it(memory: Site) -> None:
    session = memory.run(lambda session: session)
    assert memory.server.session(session.id()).terminate()  # type: ignore[union-attr]
    with pytest.raises(SessionExpired):
        session.n = 1


def test_onterminate(memory: Site, caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def hook() -> None:
        called.append(gevent.getcurrent().name)
        raise ZeroDivisionError

    session = memory.run(lambda session: (setattr(session, "onterminate", hook), session))[1]
    assert session.onterminate is hook
    session.terminate()
    assert called == []  # not in this greenlet
    wait_until(lambda: called == ["onterminate"])
    wait_until(lambda: "onterminate of a session failed" in caplog.text)


@pytest.mark.parametrize("how", ["expires", "makes room", "server stops"])
def test_onterminate_whatever_ends_it(how: str) -> None:
    called: list[int] = []
    with Site(session_limit=1) as site:
        site.run(lambda session: setattr(session, "onterminate", lambda: called.append(1)))
        if how == "expires":
            site.run(lambda session: session.max_inactive_interval(0.05))
            wait_until(lambda: called)
        elif how == "makes room":
            site.cookie = ""
            site.run(lambda session: None)
            wait_until(lambda: called)
    assert called == [1]


def test_onterminate_is_a_function_in_memory(shared_url: str, memory: Site) -> None:
    error = memory.run(lambda session: raised_here(session, lambda s: setattr(s, "onterminate", 5)))
    assert isinstance(error, TypeError)
    with Site(session_store=shared_url) as site:
        error = site.run(lambda session: raised_here(session, lambda s: setattr(s, "onterminate", print)))
        assert isinstance(error, TypeError)
        assert "onterminate" in str(error)


def test_rotate(site: Site) -> None:
    site.run(lambda session: setattr(session, "n", 1))
    old, number = site.cookie, site.server.sessions()
    answer = site.ask(lambda request, response: (request.session(True).rotate(), request.session(True).id(public=True)))
    assert PLAIN.fullmatch(answer["set-cookie"])[1] == site.result[1]  # type: ignore[index]
    assert site.cookie != old
    assert site.run(lambda session: session.n) == 1
    assert site.server.sessions() == number
    site.cookie = old
    site.ask(lambda request, response: request.session())
    assert site.result is None


def test_rotate_of_a_new_one_sends_one_cookie(site: Site) -> None:
    answer = site.ask(lambda request, response: (request.session(True).rotate(), request.session(True).id(public=True)))
    assert answer["set-cookie"].startswith(f"gbsid={site.result[1]};")


def test_rotate_after_the_head_has_gone(site: Site) -> None:
    site.run(lambda session: None)

    def step(request: Request, response: Response) -> Any:
        session = commit_first(request, response)
        return raised_here(session, Session.rotate)

    site.ask(step)
    assert isinstance(site.result, IsCommitted)
    assert site.run(lambda session: session.use_counter()) == 2  # the id is what it was


def log_in(request: Request, name: str = "ann", **more: Any) -> Session:
    return request.sessions.log_in(request, SessionUser(name, "form", "mark"), **more)


def test_login_rotates_and_keeps_attributes(site: Site) -> None:
    site.run(lambda session: setattr(session, "cart", [1]))
    old = site.cookie
    site.ask(lambda request, response: log_in(request, inactive=77))
    assert site.cookie != old
    assert site.run(lambda session: (session.user(), session.cart, session.max_inactive_interval())) == (
        SessionUser("ann", "form", "mark"), [1], 77,
    )  # fmt: skip
    site.cookie = old
    site.ask(lambda request, response: request.session())
    assert site.result is None


def test_users(site: Site) -> None:
    for name in ("ann", "bob", "ann"):
        site.cookie = ""
        site.ask(lambda request, response, name=name: log_in(request, name))
    numbers = site.server.sessions()
    assert site.server.users() == ["ann", "bob"]
    assert site.server.sessions("ann") == [numbers[0], numbers[2]]
    assert site.server.sessions("nobody") == []
    site.ask(lambda request, response: request.sessions.terminate_all("ann"))
    assert site.result == 2
    assert (site.server.users(), site.server.sessions()) == (["bob"], [numbers[1]])
    site.ask(lambda request, response: request.session())
    assert site.result is None


def test_login_begins_a_new_lifetime() -> None:
    with Site(session_lifetime=0.6) as site:
        made = time.monotonic()
        site.run(lambda session: None)
        gevent.sleep(0.4)
        site.ask(lambda request, response: log_in(request))
        wait_until(lambda: time.monotonic() - made > 0.7)
        if time.monotonic() - made < 0.9:  # not on a machine that stood still
            site.ask(lambda request, response: request.session() is not None)
            assert site.result is True


# -- session URLs -------------------------------------------------------------------------------------------------


def test_url_of_a_session(site: Site) -> None:
    public = site.run(lambda session: session.id(public=True))
    site.ask(lambda request, response: [
        response.encode_redirect_url("/x?a=1#f", session_url=True),
        response.encode_redirect_url("y", with_data=True, session_url=True),
        response.encode_redirect_url("y"),
    ], path="/p/q?b=2&gbsid=old")  # fmt: skip
    assert site.result == [f"http://x/x?a=1&gbsid={public}#f", f"http://x/p/y?b=2&gbsid={public}", "http://x/p/y"]
    site.cookie = ""
    site.ask(lambda request, response: response.encode_redirect_url("/x", session_url=True))
    assert site.result == "http://x/x"


@pytest.mark.parametrize("url", ["http://other/", "//other/x", "https://x/", "http://x:81/"])
def test_id_goes_to_no_other_host(memory: Site, url: str) -> None:
    memory.run(lambda session: None)
    answer = memory.ask(lambda request, response: response.encode_redirect_url(url, session_url=True))
    assert (answer.status, memory.result) == (500, None)


def test_session_of_a_url(site: Site) -> None:
    public = site.run(lambda session: (setattr(session, "n", 5), session.id(public=True)))[1]
    site.cookie = ""

    def seen(request: Request, response: Response) -> Any:
        found, rest = request.url_session(request.relpath)
        return found and found.n, rest, request.session() is not None

    for path, result in {
        f"/{public}/a/b": (5, "a/b", False),
        f"/{public}/": (5, "", False),
        f"/{public}": (5, "", False),
        f"/{ID}/a": (None, f"{ID}/a", False),
        f"/x/{public}": (None, f"x/{public}", False),
        "/": (None, "", False),
    }.items():
        assert "set-cookie" not in site.ask(seen, path=path)
        assert site.result == result


def test_parameter_of_a_url(site: Site) -> None:
    public = site.run(lambda session: session.id(public=True))
    site.cookie = ""
    for query, known in {f"a=1&gbsid={public}": True, f"gbsid={ID}": False, "": False, "gbsid=%00": False}.items():
        site.ask(lambda request, response: request.url_session()[0] is not None, path=f"/?{query}")
        assert site.result is known
    site.ask(lambda request, response: request.session(), path=f"/?gbsid={public}")
    assert site.result is None  # nobody asked for the URL's


def test_url_makes_the_session_of_the_request(site: Site) -> None:
    public, number = site.run(lambda session: (session.id(public=True), session.id()))
    site.cookie = ""

    def seen(request: Request, response: Response) -> Any:
        found = request.url_session(request.relpath, create=True)[0]
        assert found is request.session()
        return found and found.id()

    assert "set-cookie" not in site.ask(seen, path=f"/{public}/x")
    assert site.result == number
    assert "set-cookie" in site.ask(seen, path=f"/{ID}/x")
    assert site.result != number


def test_lookup_by_public_id(site: Site) -> None:
    public, number = site.run(lambda session: (session.id(public=True), session.id()))
    site.cookie = ""

    def seen(request: Request, response: Response) -> Any:
        one, other = site.server.session(public, request), site.server.session(ID, request)
        assert one is not None
        return one.id(), other, request.session(), site.server.session(public, request, True) is request.session()

    site.ask(seen)
    assert site.result == (number, None, None, True)
    with pytest.raises(TypeError, match="request"):
        site.server.session(public)  # type: ignore[call-overload]


# -- the store is lost --------------------------------------------------------------------------------------------


def test_lost_redis_is_503_and_nobody_is_logged_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("greenbas.http.stores.redis.PAUSE", 0.1)
    server = RedisServer()
    server.start()
    try:
        with Site(session_store=server.url) as site:
            site.ask(lambda request, response: log_in(request))
            cookie = site.cookie
            with server.client() as client:
                kept = {key: (client.dump(key), client.pttl(key)) for key in client.keys("*")}
            server.kill()
            for create_one in (False, True):
                answer = site.ask(lambda request, response, create_one=create_one: request.session(create_one))
                assert (answer.status, answer["retry-after"]) == (503, "5")
                assert "set-cookie" not in answer
                assert b"redis" not in answer.body
            assert site.ask(lambda request, response: "who asks for no session is served").status == 200
            assert f"the session store {server.url} does not answer" in caplog.text
            assert "Traceback" not in caplog.text
            server.start()
            with server.client() as client:
                for key, (value, left) in kept.items():
                    client.restore(key, max(0, left), value)
            wait_until(lambda: site.ask(lambda request, response: request.session()).status == 200)
            assert site.cookie == cookie
            assert site.run(lambda session: session.user().name) == "ann"
    finally:
        server.kill()


def test_answers_of_redis_are_never_mixed_up(redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers end in the middle of a command; the answer that comes later must not be taken for somebody else's."""
    monkeypatch.setattr("greenbas.http.stores.redis.PAUSE", 0.0)
    redis_process.clear()

    def whose(request: Request, response: Response) -> str:
        session = request.session(True)
        if "name" not in session:
            session.name = request.data("name") or "nobody"
        return str(session.name)

    with serving(whose, session_store=redis_process.url, request_timeout=0.15) as server:
        cookies = {}
        for number in range(30):
            answer = get(server, f"/?name={number}")
            cookies[number] = answer["set-cookie"].partition(";")[0]
        for _ in range(3):
            with redis_process.frozen():
                jobs = [gevent.spawn(get, server, "/", f"Cookie: {cookie}") for cookie in cookies.values()]
                gevent.joinall(jobs, raise_error=True)
                assert {job.value.status for job in jobs} == {503}
            wait_until(lambda: get(server, "/", f"Cookie: {cookies[0]}").status == 200)
            jobs = [gevent.spawn(get, server, "/", f"Cookie: {cookie}") for cookie in cookies.values()]
            gevent.joinall(jobs, raise_error=True)
            assert [job.value.body for job in jobs] == [str(number).encode() for number in cookies]


def test_frozen_redis_holds_up_nobody_else(redis_process: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenbas.http.stores.redis.COMMAND_TIMEOUT", 0.5)
    redis_process.clear()
    with Site(session_store=redis_process.url) as site:
        site.run(lambda session: None)
        with redis_process.frozen():
            site.step = lambda request, response: request.path == "/free" or request.session()
            waiting = [gevent.spawn(get, site.server, "/", f"Cookie: {site.cookie}") for _ in range(40)]
            for _ in range(20):
                assert get(site.server, "/free").status == 200
            gevent.joinall(waiting, raise_error=True)
            assert {job.value.status for job in waiting} == {503}


def test_lost_between_reading_and_writing() -> None:
    server = RedisServer()
    server.start()
    try:
        with Site(session_store=server.url) as site:
            site.run(lambda session: setattr(session, "n", 1))

            def step(request: Request, response: Response) -> None:
                request.session(True).n += 1
                response.write("done")
                server.kill()

            answer = site.ask(step)
            assert (answer.status, "retry-after" in answer) == (503, True)
    finally:
        server.kill()


def test_handler_may_do_without(memory: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: Any) -> None:
        raise StoreUnavailable("gone")

    memory.run(lambda session: None)
    monkeypatch.setattr(memory.server.service.sessions.store, "find", find)

    def step(request: Request, response: Response) -> str:
        try:
            request.session()
        except StoreUnavailable as error:
            return str(error)
        return ""

    assert memory.ask(step).status == 200
    assert memory.result == "gone"


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"session_store": "files"}, "session_store: 'files' is no store; use 'memory'"),
        ({"session_store": 5}, "session_store: 5 is not a str"),
        ({"session_idle": 0}, "session_idle.*more than zero"),
        ({"session_idle": None}, "session_idle: None is not allowed"),
        ({"session_lifetime": -1}, "session_lifetime.*more than zero"),
        ({"session_limit": 0}, "session_limit.*more than zero"),
        ({"session_limit": None}, "session_limit: None"),
        ({"session_bind_peer": 1}, "session_bind_peer.*True"),
        ({"session_cookie": "a b"}, "session_cookie.*not a token"),
        ({"session_cookie": ""}, "session_cookie.*not a token"),
        ({"session_cookie": "__Host-x"}, "session_cookie.*without prefix"),
        ({"session_cookie": "__Secure-x"}, "session_cookie.*without prefix"),
        ({"session_path": "a"}, "session_path.*begins with '/'"),
        ({"session_path": "/a;b"}, "session_path.*';'"),
        ({"session_path": ""}, "session_path"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Server(**options)


def test_password_of_a_store_is_not_shown() -> None:
    server = Server(session_store="redis://:geheim@localhost/0")
    assert "geheim" not in repr(server.settings)
    assert server.settings.session_store == "redis://:geheim@localhost/0"
    assert Server(session_lifetime=None).settings.session_lifetime is None


def test_store_that_cannot_be_opened_stops_the_start(tmp_path: Any) -> None:
    server = Server(session_store=f"sqlite:///{tmp_path}/no/such/folder.db")
    with pytest.raises(SettingError, match="cannot be opened"):
        server.start()


def test_many_new_sessions_leave_nothing() -> None:
    with Site(session_idle=0.1) as site:
        site.step = lambda request, response: setattr(request.session(True), "n", 1)
        with Client(site.server) as client:
            for _ in range(1500):
                assert client.ask(head("GET / HTTP/1.1")).status == 200
        store: Any = site.server.service.sessions.store
        wait_until(lambda: len(store) == 0)
        assert not any(value for value in vars(store).values() if isinstance(value, dict))


def test_post_is_answered_by_a_redirect_and_seen_there(store_url: str) -> None:
    """The usual way of a form: what the post has put into the session is there for the page behind it."""
    with Site(session_store=store_url) as site:

        def step(request: Request, response: Response) -> None:
            if request.method == "POST":
                request.session(True).said = "thanks"
                response.send_redirect("/")
            response.write(request.session(True).said)

        site.step = step
        answer = ask(site.server, head("POST / HTTP/1.1", "Content-Length: 0"))
        cookie = answer["set-cookie"].partition(";")[0]
        assert get(site.server, "/", f"Cookie: {cookie}").body == b"thanksdone"


def test_other_sessions_than_ones_own(site: Site) -> None:
    """A handler that has somebody else's public id: what it changes is kept, and its client's cookie is let alone."""
    other = site.run(lambda session: (setattr(session, "list", []), session.id(public=True)))[1]
    site.cookie = ""
    site.run(lambda session: setattr(session, "mine", 1))
    mine = site.cookie

    def change(request: Request, response: Response) -> Any:
        found = site.server.session(other, request)
        assert found is not None
        found.list.append(1)
        return raised_here(found, Session.rotate)

    assert "set-cookie" not in site.ask(change)
    assert isinstance(site.result, IncorrectUse)

    def end(request: Request, response: Response) -> Any:
        found = site.server.session(other, request)
        assert found is not None
        return found.list, found.terminate()

    assert "set-cookie" not in site.ask(end)
    assert site.result == ([1], True)
    assert (site.cookie, site.run(lambda session: session.mine)) == (mine, 1)


def test_session_of_a_websocket(store_url: str) -> None:
    """Its cookie goes with the 101; what the handler does while it talks is written when it ends, or by save()."""

    def talk(request: Request, response: Response) -> Any:
        if not request.header("upgrade"):
            return dict(request.session(True).attributes())
        session = request.session(True)
        session.lock()
        session.said = []
        with request.upgrade() as socket:
            for message in socket:
                session.said.append(message)
                if message == "save":
                    session.save()
                    socket.send("saved")
        session.over = True
        return None

    with serving(talk, session_store=store_url) as server:
        url = f"ws://127.0.0.1:{server.listeners[0].port}/"
        client = websocket_client.create_connection(url, timeout=10)
        cookie = f"Cookie: {client.headers['set-cookie'].partition(';')[0]}"
        client.send("save")
        assert client.recv() == "saved"
        assert json.loads(get(server, "/", cookie).body) == {"said": ["save"]}
        client.send("more")
        client.close()
        wait_until(lambda: json.loads(get(server, "/", cookie).body) == {"said": ["save", "more"], "over": True})
