"""The login tracker: failures, bans by address and by user, what it shows, and who shares it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from digests import basic, cookie_of, log_in_by_digest, post_form
from sessionstores import redis_process, shared_url, store_url
from web import directory, get, serving

from greenbas import Request, Response, Server, create
from greenbas.auth import hash_password
from greenbas.errors import IncorrectUse, StoreUnavailable
from greenbas.http import FailedLogin, SuccessfulLogin, group_of

__all__ = ["redis_process", "shared_url", "store_url"]  # fixtures

TRUST: dict[str, Any] = {"trusted_proxies": ("127.0.0.1",)}


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def tracked(server: Server, type: Any = "basic", pwd: str = "secret") -> None:
    users = create.json_user({name: {"pwd": pwd, "roles": [], "max_users": 50} for name in ("ann", "bob")})
    made = directory("private", lambda request, response: "in")
    made.set_auth(create.authenticator(users, type=type, tracker=True, insecure_basic=True, response=None))
    server.insert(made)


def use_clock(server: Server) -> Clock:
    clock = Clock()
    server.tracker._clock = clock
    store: Any = server.service.sessions.store
    store._notes._clock = clock
    return clock


def attempt(server: Server, password: str, name: str = "ann", addr: str = "198.51.100.7") -> int:
    return get(server, "/private/", basic(name, password), f"X-Forwarded-For: {addr}").status


def test_guesses_at_the_same_moment_do_not_pass_a_ban(store_url: str) -> None:
    """Each looked before any of them was noted, wherever the store is waited for."""
    with serving(session_store=store_url, **TRUST) as server:
        tracked(server)
        guesses = ["secret" if number == 60 else f"x{number}" for number in range(80)]
        jobs = [gevent.spawn(attempt, server, guess) for guess in guesses]
        gevent.joinall(jobs, timeout=20, raise_error=True)
        assert sorted(job.value for job in jobs) == [401] * 4 + [403] * 76


def test_ban_by_address_and_user(store_url: str) -> None:
    with serving(session_store=store_url, **TRUST) as server:
        tracked(server)
        assert [attempt(server, "x") for _ in range(4)] == [401] * 4
        refused = get(server, "/private/", basic("ann", "secret"), "X-Forwarded-For: 198.51.100.7")
        assert refused.status == 403  # though it is right
        assert 590 <= int(refused["retry-after"]) <= 601
        assert "set-cookie" not in refused
        assert attempt(server, "secret", addr="198.51.100.8") == 200
        assert attempt(server, "secret", "bob") == 403  # the address is banned as well
        (failed,) = server.tracker.attempted()
        assert (failed.name, failed.addr, failed.counter, failed.aux) == ("bob", "198.51.100.7", 6, 0)
        assert server.tracker.clear_cache() is True
        assert server.tracker.attempted() == []
        assert attempt(server, "secret") == 200


@pytest.mark.parametrize(
    ("limits", "statuses"),
    [
        ((4, 4), [401, 401, 401, 401, 403, 403]),
        ((None, 2), [401, 401, 403, 403, 401, 401]),
        ((3, None), [401, 401, 401, 403, 403, 403]),
        ((None, None), [401] * 6),
    ],
)
def test_limits(limits: tuple[int | None, int | None], statuses: list[int]) -> None:
    with serving(tracker_max_login=limits[0], tracker_max_user=limits[1], **TRUST) as server:
        tracked(server)
        assert [attempt(server, "x") for _ in range(4)] + [attempt(server, "x", "bob") for _ in range(2)] == statuses


def test_a_ban_ends() -> None:
    with serving(**TRUST) as server:
        tracked(server)
        clock = use_clock(server)
        for _ in range(3):
            attempt(server, "x")
        clock.now += 599
        assert attempt(server, "x") == 401
        for seconds, status in [(0, 403), (300, 403), (299, 403), (2, 200)]:
            clock.now += seconds
            assert attempt(server, "secret") == status, seconds
        assert [attempt(server, "x") for _ in range(5)] == [401] * 4 + [403]
        (failed,) = server.tracker.attempted()
        assert failed.counter == 3 + 1 + 3 + 5
        assert failed.counter - failed.aux == 5


def test_old_failures_count_no_more() -> None:
    with serving(**TRUST) as server:
        tracked(server)
        clock = use_clock(server)
        for _ in range(12):
            assert attempt(server, "x") == 401
            clock.now += 601


def test_a_success_forgives_ones_own_failures_only() -> None:
    with serving(**TRUST) as server:
        tracked(server)
        for _ in range(3):
            assert [attempt(server, "x") for _ in range(3)] == [401] * 3
            assert attempt(server, "secret") == 200
        # Whoever has an account of his own cannot use it to guess the passwords of others for ever.
        statuses = []
        for _ in range(3):
            statuses += [attempt(server, "x", "bob"), attempt(server, "x", "bob"), attempt(server, "secret")]
        assert statuses == [401, 401, 200, 401, 401, 403, 403, 403, 403]


def test_successful(store_url: str) -> None:
    with serving(session_store=store_url, **TRUST) as server:
        tracked(server)
        assert server.tracker.successful() == []
        for name in ("ann", "bob"):
            attempt(server, "secret", name)
        found = server.tracker.successful()
        assert [(one.name, one.addr) for one in found] == [("ann", "198.51.100.7"), ("bob", "198.51.100.7")]
        assert all(isinstance(one, SuccessfulLogin) and abs(one.time - time.time()) < 60 for one in found)


def test_at_most_fifty_successes_are_kept() -> None:
    with serving(**TRUST) as server:
        tracked(server)
        for number in range(60):
            attempt(server, "secret", addr=f"198.51.100.{number}")
        found = [one.addr for one in server.tracker.successful()]
        assert found == [f"198.51.100.{number}" for number in range(10, 60)]


def test_only_trackers_track() -> None:
    with serving() as server:
        made = directory("private", lambda request, response: "in")
        made.set_auth(create.authenticator(create.json_user({"ann": {"pwd": "x", "roles": []}}), type="basic"))
        server.insert(made)
        assert [get(server, "/private/", basic("ann", "y")).status for _ in range(8)] == [401] * 8
        assert server.tracker.attempted() == []


def test_what_is_malformed_is_no_attempt() -> None:
    with serving() as server:
        tracked(server)
        for _ in range(8):
            get(server, "/private/", "Authorization: Basic x")
            get(server, "/private/")
        assert server.tracker.attempted() == []
        assert get(server, "/private/", basic("ann", "secret")).status == 200


def test_digest_counts_failures_and_not_stale_nonces() -> None:
    with serving() as server:
        tracked(server, "digest")
        first = log_in_by_digest(server, "/private/")
        for _ in range(3):
            log_in_by_digest(server, "/private/", password="x")
        assert server.tracker.attempted()[0].counter == 3
        assert first.status == log_in_by_digest(server, "/private/").status == 200
        for _ in range(4):
            log_in_by_digest(server, "/private/", password="x")
        assert log_in_by_digest(server, "/private/").status == 403
        assert get(server, "/private/", cookie_of(first)).status == 200  # who is in stays in


def test_form_says_so() -> None:
    with serving() as server:
        tracked(server, "form")
        wrong, right = ({"ba_username": "ann", "ba_password": one} for one in ("x", "secret"))
        pages = [post_form(server, "/private/", wrong).body for _ in range(5)]
        assert [b"is wrong" in page for page in pages] == [True, True, True, False, False]
        assert b"Try again</a> in 10 minutes." in pages[-1]
        refused = post_form(server, "/private/", right)
        assert (refused.status, "set-cookie" in refused) == (200, False)


# -- the real client ----------------------------------------------------------------------------------------------


def test_behind_a_trusted_proxy_the_real_client_counts() -> None:
    with serving() as server:
        tracked(server)
        for number in range(4):
            attempt(server, "x", addr=f"198.51.100.{number}")  # nobody believes it
        assert server.tracker.attempted()[0].addr == "127.0.0.1"
        assert attempt(server, "secret") == 403
    with serving(**TRUST) as server:
        tracked(server)
        for number in range(4):
            attempt(server, "x", addr=f"203.0.113.{number}, 198.51.100.7")  # what stands before is the client's word
        (failed,) = server.tracker.attempted()
        assert (failed.addr, failed.counter) == ("198.51.100.7", 4)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_networks_of_ipv6_are_one_client(address: str, group: str) -> None:
    assert group_of(address) == group


# -- the function -------------------------------------------------------------------------------------------------


def test_log_function() -> None:
    seen: list[Any] = []
    with serving(**TRUST) as server:
        tracked(server)
        server.tracker.set_log(lambda good, name, addr: seen.append((good, name, addr)))
        attempt(server, "x")
        attempt(server, "secret")
        server.tracker.set_log(lambda good, name, addr, request: seen.append(request.path))
        attempt(server, "x", "eve")
        server.tracker.set_log()
        attempt(server, "x", "eve")
    assert seen == [(False, "ann", "198.51.100.7"), (True, "ann", "198.51.100.7"), "/private/"]


def test_a_function_that_fails_is_not_called_again(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def broken(good: bool, name: str, addr: str) -> None:
        calls.append(name)
        raise ValueError("mail server")

    with serving() as server:
        tracked(server)
        server.tracker.set_log(broken)
        assert [get(server, "/private/", basic("ann", "x")).status for _ in range(2)] == [401, 401]
        assert calls == ["ann"]
        assert "is not called again" in caplog.text
        for wrong in ("x", lambda: None, lambda good: None):
            with pytest.raises(TypeError):
                server.tracker.set_log(wrong)  # type: ignore[arg-type]


def test_before_the_start() -> None:
    """Where programs say what they want."""
    seen: list[str] = []
    server = Server()
    server.tracker.set_log(lambda good, name, addr: seen.append(name))
    with pytest.raises(IncorrectUse, match="has not started"):
        server.tracker.attempted()
    tracked(server)
    server.listen(0)
    server.start()
    try:
        get(server, "/private/", basic("ann", "x"))
        assert seen == [failed.name for failed in server.tracker.attempted()] == ["ann"]
    finally:
        server.stop(drain_timeout=0)


# -- faults -------------------------------------------------------------------------------------------------------


def test_processes_share_it(shared_url: str) -> None:
    with serving(session_store=shared_url, **TRUST) as one, serving(session_store=shared_url, **TRUST) as two:
        tracked(one)
        tracked(two)
        for number in range(4):
            attempt((one, two)[number % 2], "x")
        assert attempt(one, "secret") == attempt(two, "secret") == 403
        assert one.tracker.attempted() == two.tracker.attempted()
        two.tracker.clear_cache()
        assert attempt(one, "secret") == 200
        assert two.tracker.successful()[0].name == "ann"


def test_nobody_is_lost_at_once(shared_url: str) -> None:
    with (
        serving(session_store=shared_url, tracker_max_login=None, tracker_max_user=None, **TRUST) as one,
        serving(session_store=shared_url, tracker_max_login=None, tracker_max_user=None, **TRUST) as two,
    ):
        tracked(one)
        tracked(two)
        gevent.joinall([gevent.spawn(attempt, (one, two)[number % 2], "x") for number in range(40)], raise_error=True)
        assert [failed.counter for failed in one.tracker.attempted()] == [40]


class LostNotes:
    """Every look at a note finds the store gone."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        if "note" in name:
            raise StoreUnavailable("gone")
        return getattr(self.store, name)


def test_a_store_that_is_gone_lets_nobody_in() -> None:
    with serving() as server:
        tracked(server)
        server.tracker._bound = LostNotes(server.tracker._bound)  # type: ignore[assignment]
        for password in ("secret", "x"):
            answer = get(server, "/private/", basic("ann", password))
            assert (answer.status, "set-cookie" in answer) == (503, False)


@pytest.fixture(scope="module")
def slow_server() -> Iterator[Server]:
    with serving(**TRUST) as server:
        users = create.json_user({"ann": {"pwd": hash_password("secret"), "roles": [], "max_users": 50}})
        made = directory("private", handler)
        made.set_auth(create.authenticator(users, type="basic", insecure_basic=True))
        server.insert(made)
        server.insert(directory("open", lambda request, response: "open"))
        yield server


def handler(request: Request, response: Response) -> str:
    return "in"


def test_a_flood_from_one_address_holds_up_nobody_else(slow_server: Server) -> None:
    """Each guess would cost a fifth of a second: the address waits behind itself, and the rest is told to go."""
    flood = [gevent.spawn(attempt, slow_server, f"guess{number}") for number in range(200)]
    gevent.sleep(0.05)
    assert attempt(slow_server, "secret", addr="198.51.100.8") == 200
    assert get(slow_server, "/open/").body == b"open"
    gevent.joinall(flood, timeout=20)
    statuses = [one.value for one in flood]
    assert set(statuses) <= {401, 429}
    assert statuses.count(429) > 150
    assert attempt(slow_server, "secret") == 200


def test_shown_as_tuples() -> None:
    assert FailedLogin("a", "b", 1.0, 2, 0)._asdict() == {"name": "a", "addr": "b", "time": 1.0, "counter": 2, "aux": 0}
