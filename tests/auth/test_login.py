"""`Request.user`, `login` and `logout`: sessions that a program gives to whom it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from digests import cookie_of
from sessionstores import redis_process, store_url
from web import Answer, get, serving

from greenbas import Request, Response
from greenbas.errors import IsCommitted

__all__ = ["redis_process", "store_url"]  # fixtures

Step = Callable[[Request, Response], Any]


class Site:
    """A server whose handler does what a test says next."""

    def __init__(self, **options: Any) -> None:
        self.context = serving(self.handle, **options)

    def __enter__(self) -> Site:
        self.server = self.context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.context.__exit__(*error)

    def handle(self, request: Request, response: Response) -> str:
        self.result = self.step(request, response)
        return "x"

    def ask(self, step: Step, *headers: str) -> tuple[Any, Answer]:
        self.step, self.result = step, None
        answer = get(self.server, "/", *headers)
        assert answer.status == 200, answer.body
        return self.result, answer


def login(*arguments: Any, **options: Any) -> Step:
    return lambda request, response: request.login(*arguments, **options)


def user(request: Request, response: Response) -> Any:
    return request.user()


def test_login_and_logout(store_url: str) -> None:
    with Site(session_store=store_url) as site:
        assert site.ask(user)[0] is None
        done, answer = site.ask(login("ann"))
        cookie = cookie_of(answer)
        assert done is True
        found = site.ask(user, cookie)[0]
        assert (found.name, found.type) == ("ann", "?")
        assert site.server.users() == ["ann"]
        assert site.ask(login("bob"), cookie)[0] == "ann"  # as it is logged in
        done, answer = site.ask(lambda request, response: request.logout(), cookie)
        assert done is True
        assert "Max-Age=0" in answer["set-cookie"]
        assert site.ask(user, cookie)[0] is None
        assert site.server.users() == []


def test_the_user_is_known_in_the_same_request() -> None:
    with Site() as site:
        done, _ = site.ask(lambda request, response: (request.login("ann"), request.user().name))  # type: ignore[union-attr]
        assert done == (True, "ann")
        done, _ = site.ask(lambda request, response: (request.login("ann"), request.logout(), request.user()))
        assert done == (True, True, None)


def test_logout_everywhere(store_url: str) -> None:
    with Site(session_store=store_url) as site:
        cookies = [cookie_of(site.ask(login("ann", max_users=5))[1]) for _ in range(3)]
        bob = cookie_of(site.ask(login("bob"))[1])
        assert site.ask(lambda request, response: request.logout(all=True), cookies[0])[0] is True
        assert [site.ask(user, cookie)[0] for cookie in cookies] == [None] * 3
        assert site.ask(user, bob)[0].name == "bob"


def test_logout_of_nobody() -> None:
    with Site() as site:
        assert site.ask(lambda request, response: request.logout())[0] is False
        cookie = cookie_of(site.ask(lambda request, response: request.session(True))[1])
        assert site.ask(lambda request, response: request.logout(all=True), cookie)[0] is False
        assert site.server.sessions() == []  # it has ended all the same


@pytest.mark.parametrize(
    ("options", "results", "left"),
    [
        ({}, [True, True, True], 1),
        ({"max_users": 2}, [True, True, True], 2),
        ({"max_users": 1, "recycle": False}, [True, False, False], 1),
        ({"max_users": 2, "recycle": False}, [True, True, False], 2),
        ({"max_users": 0}, [False, False, False], 0),
    ],
)
def test_max_users(store_url: str, options: Any, results: list[bool], left: int) -> None:
    with Site(session_store=store_url) as site:
        found = []
        for _ in range(3):
            done, answer = site.ask(login("ann", **options))
            found.append(done)
            if done:
                site.ask(user, cookie_of(answer))  # used again
        assert (found, len(site.server.sessions("ann"))) == (results, left)


def test_the_one_that_was_not_used_longest_is_recycled() -> None:
    with Site() as site:
        cookies = [cookie_of(site.ask(login("ann", max_users=3))[1]) for _ in range(3)]
        for number in (0, 2, 1, 0):
            site.ask(user, cookies[number])
        site.ask(login("ann", max_users=3))
        assert [bool(site.ask(user, cookie)[0]) for cookie in cookies] == [True, True, False]


def test_without_a_name() -> None:
    with Site() as site:
        done, answer = site.ask(login())
        assert done is True
        assert site.ask(user, cookie_of(answer))[0].name == ""


def test_the_id_changes_and_the_attributes_stay(store_url: str) -> None:
    with Site(session_store=store_url) as site:
        _, answer = site.ask(lambda request, response: setattr(request.session(True), "cart", [1]))
        before = cookie_of(answer)
        after = cookie_of(site.ask(login("ann"), before)[1])
        assert after != before
        assert site.ask(lambda request, response: request.session(True).cart, after)[0] == [1]
        assert site.ask(user, before)[0] is None


def test_too_late() -> None:
    def late(request: Request, response: Response) -> None:
        response.flush()
        with pytest.raises(IsCommitted):
            request.login("ann")

    with Site() as site:
        site.ask(late)
        assert site.server.users() == []


@pytest.mark.parametrize("arguments", [(None,), (5,), (b"ann",), ("ann", "3"), ("ann", 1.5)])
def test_what_is_no_user(arguments: Any) -> None:
    def wrong(request: Request, response: Response) -> None:
        with pytest.raises(TypeError, match="login"):
            request.login(*arguments)

    with Site() as site:
        site.ask(wrong)
        assert site.server.sessions() == []
