"""Which server gets a request: shares, stickiness, and what happens when servers go."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxies import succeeded

from greenbas.errors import SettingError
from greenbas_plugins.proxy.balance import POLICIES, Balancer, cookie_value
from greenbas_plugins.proxy.health import Health
from greenbas_plugins.proxy.healthsettings import HealthSettings
from greenbas_plugins.proxy.healthstatus import State

SETTINGS = HealthSettings(fails=1, window=10, down_time=2, max_down_time=60, rise=1, fall=1)
KEYS = [b"client %d" % number for number in range(3000)]


def servers(*weights: int, limit: int = 0) -> list[Health]:
    return [
        Health(name, weight=weight, limit=limit, settings=SETTINGS)
        for name, weight in zip("abcdefghijkl", weights, strict=False)
    ]


def take_out(server: Health, now: float = 0) -> None:
    server.failed(now, server.begin(now), "gone")


def names(balancer: Balancer, count: int, key: bytes = b"") -> str:
    return "".join(name_of(balancer.choose(0, key)) for _ in range(count))


def name_of(server: Health | None) -> str:
    return server.name if server is not None else "-"


# -- in turn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ((1,), "aaaa"),
        ((1, 1), "abab"),
        ((1, 1, 1), "abcabc"),
        ((2, 1), "abaaba"),
        ((5, 1, 1), "aabacaa"),  # the example of nginx
        ((1, 3), "babbbabb"),
    ],
)
def test_round_robin_is_smooth(weights: tuple[int, ...], order: str) -> None:
    assert names(Balancer(servers(*weights)), len(order)) == order


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_round_robin_gives_each_its_weight_in_every_round(weights: list[int]) -> None:
    balancer = Balancer(servers(*weights))
    for _ in range(2):
        counts = Counter(names(balancer, sum(weights)))
        assert [counts[server.name] for server in balancer.servers] == weights


def test_round_robin_goes_on_evenly_among_those_that_are_left() -> None:
    balancer = Balancer(servers(2, 1, 1))
    take_out(balancer.servers[0])
    assert Counter(names(balancer, 100)) == {"b": 50, "c": 50}


def test_a_server_that_comes_back_gets_its_share_and_no_burst() -> None:
    balancer = Balancer(servers(1, 1))
    a = balancer.servers[0]
    take_out(a)
    names(balancer, 1000)
    a.check_passed(0)
    assert Counter(names(balancer, 10)) == {"a": 5, "b": 5}


# -- least connections --------------------------------------------------------------------------------------------


def test_least_connections_goes_where_least_is_in_flight() -> None:
    balancer = Balancer(servers(1, 1, 1), "least_connections")
    a, b, _c = balancer.servers
    for server in (a, a, b):
        server.begin(0)
    assert names(balancer, 3) == "ccc"


def test_least_connections_counts_by_weight() -> None:
    balancer = Balancer(servers(4, 1), "least_connections")
    for _ in range(50):
        server = balancer.choose(0)
        assert server is not None
        server.begin(0)
    assert [server.in_flight for server in balancer.servers] == [40, 10]


def test_least_connections_takes_turns_among_equals() -> None:
    assert names(Balancer(servers(1, 1, 1), "least_connections"), 6) == "abcabc"


# -- by key -------------------------------------------------------------------------------------------------------


def spread(balancer: Balancer, now: float = 0) -> dict[bytes, str]:
    return {key: name_of(balancer.choose(now, key)) for key in KEYS}


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1, 1), (1, 2, 3), (10, 1)])
def test_hash_shares_follow_the_weights(weights: tuple[int, ...]) -> None:
    counts = Counter(spread(Balancer(servers(*weights), "hash")).values())
    for name, weight in zip("abcd", weights, strict=False):
        share = len(KEYS) * weight / sum(weights)
        assert abs(counts[name] - share) < 6 * share**0.5


def test_hash_is_the_same_in_every_process_and_for_every_order() -> None:
    # Another process must send a client to the same server, so the values themselves are part of the contract.
    assert [names(Balancer(servers(1, 1, 1), "hash"), 1, key) for key in KEYS[:12]] == list("cbbcbcbbabcb")
    forwards, backwards = servers(1, 2, 3), servers(1, 2, 3)[::-1]
    assert spread(Balancer(forwards, "hash")) == spread(Balancer(backwards, "hash"))


@pytest.mark.parametrize("gone", range(4))
def test_hash_moves_only_the_keys_of_the_server_that_goes_and_they_come_back(gone: int) -> None:
    balancer = Balancer(servers(1, 2, 1, 1), "hash")
    before = spread(balancer)
    lost = balancer.servers[gone]
    take_out(lost)
    during = spread(balancer)
    moved = {key for key in KEYS if before[key] != during[key]}
    assert moved == {key for key in KEYS if before[key] == lost.name}
    # To all the others, not to one neighbour.
    assert len({during[key] for key in moved}) == 3
    lost.check_passed(0)
    assert spread(balancer) == before


def test_hash_moves_few_keys_to_a_new_server() -> None:
    before, after = spread(Balancer(servers(1, 1, 1), "hash")), spread(Balancer(servers(1, 1, 1, 1), "hash"))
    moved = [after[key] for key in KEYS if before[key] != after[key]]
    assert set(moved) == {"d"}
    assert len(moved) < len(KEYS) / 3


def test_hash_without_a_key_takes_turns() -> None:
    assert names(Balancer(servers(1, 1), "hash"), 4) == "abab"


# -- who is passed over -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_the_full_and_the_tried_are_passed_over(policy: str) -> None:
    balancer = Balancer(servers(1, 1, 1, limit=1), policy)
    a, b, _c = balancer.servers
    a.begin(0)
    chosen = {name_of(balancer.choose(0, key, tried=[b])) for key in KEYS[:50]}
    assert chosen == {"c"}


@pytest.mark.parametrize("policy", POLICIES)
def test_all_full(policy: str) -> None:
    balancer = Balancer(servers(1, 1, limit=1), policy)
    for server in balancer.servers:
        server.begin(0)
    assert balancer.choose(0, b"x") is None
    assert balancer.why(0) == "full"
    balancer.servers[1].finished()
    assert name_of(balancer.choose(0, b"x")) == "b"


@pytest.mark.parametrize("policy", POLICIES)
def test_the_healthy_are_full_and_the_others_down(policy: str) -> None:
    balancer = Balancer(servers(1, 1, limit=1), policy)
    a, b = balancer.servers
    take_out(b)
    a.begin(0)
    assert (balancer.choose(0, b"x"), balancer.why(0)) == (None, "full")
    assert name_of(balancer.choose(2, b"x")) == "b", "it is due, and better than waiting"


@pytest.mark.parametrize("policy", POLICIES)
def test_all_down_each_is_tried_by_one_request_the_soonest_first(policy: str) -> None:
    balancer = Balancer(servers(1, 1), policy)
    a, b = balancer.servers
    take_out(b, 0)
    take_out(a, 1)
    first = balancer.choose(1, b"x")
    assert first is b
    epoch = b.begin(1)
    second = balancer.choose(1, b"x")
    assert second is a
    a.begin(1)
    assert (balancer.choose(1, b"x"), balancer.why(1)) == (None, "trial")
    succeeded(b, 1, epoch, 0.1)
    assert balancer.choose(1, b"x") is b


def test_a_single_server_that_was_restarted_is_found_by_the_next_request() -> None:
    balancer = Balancer(servers(1))
    (server,) = balancer.servers
    for _ in range(10):
        take_out(server, 0)
    assert server.due_in(0) > 30
    assert balancer.choose(0) is server
    succeeded(server, 0, server.begin(0), 0.1)
    assert server.state is State.UP


@pytest.mark.parametrize("policy", POLICIES)
def test_those_that_checks_took_out_are_not_even_a_last_resort(policy: str) -> None:
    balancer = Balancer(servers(1, 1), policy)
    for server in balancer.servers:
        server.check_failed(0, "500")
    assert (balancer.choose(0, b"x"), balancer.why(0)) == (None, "down")
    assert balancer.retry_after(0) == 5


def test_a_request_that_failed_everywhere() -> None:
    balancer = Balancer(servers(1, 1))
    assert balancer.choose(0, tried=balancer.servers) is None
    assert balancer.why(0, balancer.servers) == "tried"
    # One that failed at the only healthy server may try one that is down.
    take_out(balancer.servers[1])
    assert name_of(balancer.choose(0, tried=balancer.servers[:1])) == "b"


@pytest.mark.parametrize(("now", "seconds"), [(0, 2), (0.5, 2), (1.0, 1), (1.5, 1), (9, 1)])
def test_retry_after(now: float, seconds: int) -> None:
    balancer = Balancer(servers(1, 1))
    take_out(balancer.servers[0], 0)
    take_out(balancer.servers[1], 5)
    assert balancer.retry_after(now) == seconds


@given(
    st.sampled_from(POLICIES),
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), min_size=1, max_size=6),
    st.binary(max_size=8),
)
def test_the_chosen_one_is_ready_whenever_one_is(policy: str, facts: list[tuple[int, bool, bool]], key: bytes) -> None:
    some = servers(*[weight for weight, _, _ in facts], limit=1)
    for server, (_, down, full) in zip(some, facts, strict=True):
        if down:
            take_out(server)
        elif full:
            server.begin(0)
    balancer = Balancer(some, policy)
    ready = {server for server in some if server.ready(0)}
    chosen = {balancer.choose(0, key) for _ in range(5)}
    if ready:
        assert chosen <= ready
    elif any(server.state is State.UP for server in some):
        assert (chosen, balancer.why(0)) == ({None}, "full")
    else:
        assert chosen <= set(some)


# -- settings and keys --------------------------------------------------------------------------------------------


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match="'random' is none of round_robin, least_connections, hash"):
        Balancer(servers(1), "random")
    with pytest.raises(SettingError, match="there are none"):
        Balancer([])
    with pytest.raises(SettingError, match="'a' is listed twice"):
        Balancer([*servers(1), *servers(1)])


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"", b""),
        (b"sid=1", b"1"),
        (b"a=b; sid=1; c=d", b"1"),
        (b"a=b;sid = 1 ;c=d", b"1"),
        (b"sid=1; sid=2", b"1"),
        (b"xsid=1", b""),
        (b"sidx=1; a=sid", b""),
        (b"sid", b""),
        (b"sid=", b""),
        (b"sid=a=b", b"a=b"),
        (b"sid=\xff%20", b"\xff%20"),
    ],
)
def test_cookie_value(header: bytes, value: bytes) -> None:
    assert cookie_value(header, b"sid") == value


def test_choosing_never_begins() -> None:
    balancer = Balancer(servers(1, 1), "least_connections")
    names(balancer, 5)
    assert [server.in_flight for server in balancer.servers] == [0, 0]
