"""The plugin statuspage: its page and JSON, who may see them, and which server they tell about."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from leaks import nothing_left
from web import Client, ask, get, head, serving

import greenbas.plugin
from greenbas import Request, Response, Server, create
from greenbas.errors import SettingError
from greenbas.vfs import Directory
from greenbas_plugins.statuspage.figures import count, duration, milliseconds, percent, rate, size
from greenbas_plugins.statuspage.page import StatusPage
from greenbas_plugins.statuspage.render import render
from greenbas_plugins.statuspage.settings import StatusSettings, covers
from greenbas_plugins.statuspage.watch import metrics_of, start, stop


@pytest.fixture(autouse=True)
def settings() -> Iterator[Any]:
    """Called with fields, as greenbas.toml has them: they are the settings in force."""

    def change(**fields: Any) -> None:
        greenbas.plugin.configure("statuspage", {"hosts": ["x", "Shop.example"], **fields})

    change()
    yield change
    greenbas.plugin.configure("statuspage", {})


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a status page at /status/ and a handler at /shop."""
    with serving() as made:
        made.insert(StatusPage())
        made.directory("shop")(lambda request, response: "soup")
        start(made)
        yield made
        stop(made)


class Checker(HTMLParser):
    """Collects the tags, and the texts of what has an id or is of interest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]


# -- the page and its data ----------------------------------------------------------------------------------------


def test_page(server: Server) -> None:
    get(server, "/shop")
    answer = ask(server, "GET /status/ HTTP/1.1\nHost: shop.example:81\n\n")
    assert answer.status == 200
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert "no-store" in answer["Cache-Control"]
    page = answer.body.decode()
    assert "<title>Status of shop.example:81</title>" in page
    assert '<tr><th scope="row">/shop/<td class="kind">&lt;lambda&gt;()<td>1<td>' in page
    assert "$" not in re.sub(r"<script>.*</script>", "", page, flags=re.DOTALL)


def test_page_loads_nothing_and_its_policy_allows_what_is_in_it(server: Server) -> None:
    answer = get(server, "/status/")
    page = answer.body.decode()
    policy = answer["Content-Security-Policy"]
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    checker = Checker(page)
    links = [value for _, name, value in checker.attributes if name in ("src", "href", "action")]
    assert all(value and value.startswith(("data:image/svg+xml,", "#", "status.json")) for value in links)
    assert not [name for _, name, _ in checker.attributes if name == "style" or name.startswith("on")]
    assert len(set(checker.ids)) == len(checker.ids)


def test_json(server: Server) -> None:
    for _ in range(3):
        get(server, "/shop")
    answer = get(server, "/status/status.json")
    assert (answer.status, answer["Content-Type"]) == (200, "application/json")
    assert "no-store" in answer["Cache-Control"]
    told = json.loads(answer.body)
    assert told["requests"]["total"] == 4
    assert [(row["path"], row["requests"]) for row in told["directories"]] == [("/shop/", 3)]
    told = json.loads(get(server, "/status/status.json").body)
    assert ("/status/", "StatusPage") in [(row["path"], row["kind"]) for row in told["directories"]]


@pytest.mark.parametrize("path", ["/status/", "/status/status.json"])
def test_methods(server: Server, path: str) -> None:
    answer = ask(server, head(f"HEAD {path} HTTP/1.1"))
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer["Content-Length"]) > 500
    for method in ("POST", "PUT", "DELETE", "PROPFIND"):
        answer = ask(server, head(f"{method} {path} HTTP/1.1", "Content-Length: 0"))
        assert answer.status == 405
        assert answer["Allow"] == "GET, HEAD, OPTIONS"
    answer = ask(server, head(f"OPTIONS {path} HTTP/1.1"))
    assert (answer.status, answer["Allow"]) == (200, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/status", 302), ("/status/x", 404), ("/status/status.json/", 404), ("/status/status.json/x", 404)],
)
def test_other_paths(server: Server, path: str, status: int) -> None:
    assert get(server, path).status == status


def test_children_answer_what_the_page_does_not(server: Server) -> None:
    (page,) = [child for child in server.root.children if isinstance(child, StatusPage)]
    below = Directory("below")
    below.set_func(lambda request, response: "below")
    page.insert(below)
    assert get(server, "/status/below").body == b"below"


def test_names_from_outside_are_escaped(server: Server) -> None:
    evil = Directory("<script>alert(1)<")
    evil.set_func(lambda request, response: "")
    server.insert(evil)
    assert get(server, "/%3Cscript%3Ealert(1)%3C").status == 200
    page = get(server, "/status/").body.decode()
    assert "/&lt;script&gt;alert(1)&lt;/" in page
    assert page.count("<script") == 1


def test_name_and_priority() -> None:
    page = create.statuspage("how", priority=3)
    assert (page.name(), page.priority, type(page)) == ("how", 3, StatusPage)
    assert (create.statuspage().name(), create.statuspage(None).name()) == ("status", "")


# -- who may see it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/status/", "/status/status.json"])
def test_only_this_machine(server: Server, settings: Any, path: str) -> None:
    settings(allow=["10.0.0.0/8"])
    assert get(server, path).status == 403
    assert ask(server, head(f"POST {path} HTTP/1.1", "Content-Length: 0")).status == 403
    settings(allow=["10.0.0.0/8", "127.0.0.7"])
    with Client(server, source="127.0.0.7") as client:
        assert client.ask(head(f"GET {path} HTTP/1.1")).status == 200
    assert get(server, path).status == 403


def test_the_page_for_what_is_denied(server: Server, settings: Any) -> None:
    settings(allow=[])

    @server.directory("sorry")
    def sorry(request: Request, response: Response) -> str:
        return "sorry"

    server.root.p403("/sorry")
    answer = get(server, "/status/")
    assert (answer.status, answer.body) == (403, b"sorry")


@pytest.mark.parametrize(
    ("trusted", "allow", "fields", "status"),
    [
        ((), ("127.0.0.0/8",), [], 200),
        # A proxy on this machine that nobody has told about: its clients may be anybody.
        ((), ("127.0.0.0/8",), ["X-Forwarded-For: 10.1.2.3"], 403),
        ((), ("127.0.0.0/8",), ["X-Forwarded-For: 127.0.0.1"], 403),
        ((), ("127.0.0.0/8",), ["Forwarded: for=127.0.0.1"], 403),
        ((), ("127.0.0.0/8",), ["X-Real-IP: 127.0.0.1"], 403),
        (("10.0.0.1",), ("127.0.0.0/8",), ["X-Forwarded-For: 127.0.0.1"], 403),
        (("127.0.0.1",), ("127.0.0.0/8",), ["X-Forwarded-For: 127.0.0.1"], 200),
        (("127.0.0.1",), ("127.0.0.0/8",), ["X-Forwarded-For: 127.0.0.9"], 200),
        (("127.0.0.1",), ("127.0.0.0/8",), ["X-Forwarded-For: 10.1.2.3"], 403),
        (("127.0.0.1",), ("10.0.0.0/8",), ["X-Forwarded-For: 10.1.2.3"], 200),
        (("127.0.0.1",), ("10.0.0.0/8",), ["X-Forwarded-For: 10.1.2.3, 192.0.2.1"], 403),
    ],
)
def test_behind_a_proxy(
    settings: Any, trusted: tuple[str, ...], allow: tuple[str, ...], fields: list[str], status: int
) -> None:
    settings(allow=list(allow))
    with serving(trusted_proxies=trusted) as server:
        server.insert(StatusPage())
        start(server)
        assert get(server, "/status/", *fields).status == status
        stop(server)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9357", 200),
        ("[::1]:9357", 200),
        ("localhost:9357", 200),
        ("LOCALHOST.", 200),
        ("shop.example:80", 200),
        ("shop.example.", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("2130706433", 403),
        (":80", 403),
    ],
)
def test_names_that_were_rebound_to_this_machine(server: Server, host: str, status: int) -> None:
    for path in ("/status/", "/status/status.json"):
        assert ask(server, f"GET {path} HTTP/1.1\nHost: {host}\n\n").status == status
    assert ask(server, "GET /status/ HTTP/1.0\n\n").status == 200


@pytest.mark.parametrize(
    ("host", "forwarded", "status"),
    [("127.0.0.1", "shop.example", 200), ("127.0.0.1", "evil.example", 403), ("evil.example", "localhost", 403)],
)
def test_rebinding_behind_a_proxy(host: str, forwarded: str, status: int) -> None:
    lines = [f"Host: {host}", f"X-Forwarded-Host: {forwarded}", "X-Forwarded-For: 127.0.0.1"]
    with serving(trusted_proxies=("127.0.0.1",)) as server:
        server.insert(StatusPage())
        start(server)
        assert ask(server, "\n".join(["GET /status/ HTTP/1.1", *lines, "", ""])).status == status
        stop(server)


@pytest.mark.parametrize(
    ("items", "address", "covered"),
    [
        (("127.0.0.0/8", "::1"), "127.0.0.1", True),
        (("127.0.0.0/8", "::1"), "127.255.1.2", True),
        (("127.0.0.0/8", "::1"), "::1", True),
        (("127.0.0.0/8", "::1"), "::ffff:127.0.0.1", True),
        (("127.0.0.0/8", "::1"), "128.0.0.1", False),
        (("127.0.0.0/8", "::1"), "::2", False),
        (("127.0.0.0/8", "::1"), "", False),
        (("127.0.0.0/8", "::1"), "unix", False),
        (("127.0.0.0/8", "::1"), "localhost", False),
        (("unix",), "unix", True),
        (("unix",), "", True),
        (("unix",), "127.0.0.1", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        ((), "127.0.0.1", False),
    ],
)
def test_networks(items: tuple[str, ...], address: str, covered: bool) -> None:
    assert covers(items, address) is covered


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"allow": ("localhost",)}, "'localhost'.*write an address"),
        ({"allow": ("10.0.0.1/8",)}, "has host bits set"),
        ({"allow": "127.0.0.1"}, "allow: '127.0.0.1' is no list"),
        ({"hosts": "shop.example"}, "hosts: 'shop.example' is no list"),
        ({"hosts": ("shop.example:80",)}, "hosts: 'shop.example:80' is no name"),
        ({"hosts": ("http://shop",)}, "is no name"),
        ({"interval": 0}, "interval: 0 is not 0.2 seconds or more"),
        ({"interval": float("nan")}, "interval: nan"),
        ({"interval": float("inf")}, "interval: inf"),
        ({"interval": "2"}, "interval: '2'"),
    ],
)
def test_bad_settings(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        StatusSettings(**fields)


def test_interval(server: Server, settings: Any) -> None:
    assert '<body data-interval="2000">' in get(server, "/status/").body.decode()
    settings(interval=0.5)
    assert '<body data-interval="500">' in get(server, "/status/").body.decode()


# -- which server -------------------------------------------------------------------------------------------------


def test_each_page_tells_about_its_own_server() -> None:
    with serving() as one, serving() as other:
        for server in (one, other):
            server.insert(StatusPage())
            start(server)
        for _ in range(5):
            get(other, "/nothing")
        first, second = (json.loads(get(server, "/status/status.json").body) for server in (one, other))
        assert (first["requests"]["total"], second["requests"]["total"]) == (1, 6)
        assert first["listeners"] == [f"127.0.0.1:{one.listeners[0].port}"]
        stop(one)
        assert metrics_of(one.root) is None and metrics_of(other.root) is not None
        stop(other)


def test_a_server_that_is_not_measured(server: Server) -> None:
    stop(server)
    answer = get(server, "/status/")
    assert answer.status == 503
    assert b"the plugin statuspage was not started" in answer.body


def test_start_and_stop_again(server: Server) -> None:
    metrics = metrics_of(server.root)
    start(server)
    assert metrics_of(server.root) is metrics
    stop(server)
    stop(server)
    start(server)
    assert get(server, "/status/").status == 200


def test_nothing_is_left() -> None:
    with nothing_left(), serving() as server:
        server.insert(StatusPage())
        start(server)
        assert get(server, "/status/").status == 200
        stop(server)
    root = server.root
    del server
    gc.collect()
    assert metrics_of(root) is None


# -- what is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "number", "text"),
    [
        (count, 0, "0"),
        (count, 1234567, "1,234,567"),
        (count, None, "unknown"),
        (rate, 0, "0"),
        (rate, 0.333, "0.33"),
        (rate, 12.34, "12.3"),
        (rate, 1234.5678, "1,235"),
        (milliseconds, 0, "0"),
        (milliseconds, 0.0314, "0.031"),
        (milliseconds, 3.14159, "3.14"),
        (milliseconds, 31.4159, "31.4"),
        (milliseconds, 60000.0, "60,000"),
        (percent, 0.0064, "0.64 %"),
        (percent, 1.0, "100 %"),
        (size, None, "unknown"),
        (size, 0, "0 B"),
        (size, 999, "999 B"),
        (size, 1000, "1.0 kB"),
        (size, 123_456, "123 kB"),
        (size, 44_300_000, "44.3 MB"),
        (size, 7.5e9, "7.5 GB"),
        (size, 12e12, "12.0 TB"),
        (size, 1234e12, "1,234 TB"),
        (duration, 0.9, "0 s"),
        (duration, 59, "59 s"),
        (duration, 61, "1 min 1 s"),
        (duration, 3600, "1 h 0 min"),
        (duration, 90_000, "1 d 1 h"),
    ],
)
def test_figures(function: Any, number: float | None, text: str) -> None:
    assert function(number) == text


@pytest.mark.parametrize(
    ("change", "tile", "level"),
    [
        ({}, "connections", ""),
        ({"connections": {"open": 850, "limit": 1000}}, "connections", "high"),
        ({"connections": {"open": 1000, "limit": 1000}}, "connections", "critical"),
        ({"workers": {"active": 999, "limit": 1000}}, "workers", "critical"),
        ({"queue": {"length": 1, "limit": 1000}}, "queue", "high"),
        ({"queue": {"length": 1, "limit": 0}}, "queue", ""),
        ({"hub": {"lag_max": 0.3}}, "lag", "critical"),
        ({"requests": {"total": 100, "errors": 2}}, "errors", "high"),
        ({"descriptors": {"open": None}}, "descriptors", ""),
        ({"descriptors": {"open": 900, "limit": 1000}}, "descriptors", "high"),
    ],
)
def test_levels(server: Server, change: dict[str, Any], tile: str, level: str) -> None:
    metrics = metrics_of(server.root)
    assert metrics is not None
    told = metrics.snapshot()
    for part, fields in change.items():
        told[part].update(fields)
    page = render(told, "x", 2.0)
    assert f'id="tile-{tile}" data-level="{level}"' in page
    found = re.search(rf'id="tile-{tile}".*?<p class="tag">(\w*)</p>', page)
    assert found is not None and found[1] == level


# -- as a plugin --------------------------------------------------------------------------------------------------


def test_in_use_by_its_kind() -> None:
    with nothing_left():
        with serving() as server:
            server.insert(create.statuspage())  # the server runs already
            assert get(server, "/status/").status == 200
            assert metrics_of(server.root) is not None
            root = server.root
        assert metrics_of(root) is None


def test_servers_that_start_later() -> None:
    page = create.statuspage()
    with serving() as server:
        server.insert(page)
        assert get(server, "/status/").status == 200


def test_in_the_list_of_plugins() -> None:
    (found,) = [found for found in greenbas.plugin.plugins(tried=True) if found.name == "statuspage"]
    assert found.error is None
    assert isinstance(greenbas.plugin.settings("statuspage"), StatusSettings)
