"""The status page in a real browser: numbers move, the table sorts, it shows the same with scripts and without.

Pictures of the page are left in tests/browser/shots/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium
from support import need_command, wait_until
from web import Client, get, head, serving

import greenbas.plugin
from greenbas import Request, Response, Server
from greenbas_plugins.statuspage import render
from greenbas_plugins.statuspage.page import StatusPage
from greenbas_plugins.statuspage.watch import metrics_of, start, stop

SHOTS = Path(__file__).parent / "shots"
DESKTOP = (1280, 900)
# What overlaps in the tiles, with numbers as wide as they get.
COLLISIONS = """(() => {
  document.querySelectorAll('.peak').forEach(one => one.textContent = 'peak 123,456 ms');
  document.querySelectorAll('.value').forEach(one => one.textContent = '123.45 ms');
  const found = [];
  const box = (one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return range.getBoundingClientRect();
  };
  for (const tile of document.querySelectorAll('.tile')) {
    const parts = [...tile.querySelectorAll('h2, .value, .note, .peak, .tag')].filter(one => one.textContent);
    for (const [i, a] of parts.entries()) for (const b of parts.slice(i + 1)) {
      const [p, q] = [box(a), box(b)];
      if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 4 && q.top < p.bottom - 4)
        found.push(`${a.textContent} | ${b.textContent}`);
    }
    if (parts.some(one => box(one).right > tile.getBoundingClientRect().right)) found.push(tile.textContent);
  }
  return found;
})()"""
PHONE = (390, 844)


@pytest.fixture(scope="module")
def tab() -> Iterator[Chromium]:
    need_command("chromium")
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a status page that asks five times a second."""
    greenbas.plugin.configure("statuspage", {"interval": 0.2})
    with serving() as made:

        @made.directory("shop")
        def shop(request: Request, response: Response) -> str:
            return "soup"

        @made.directory("broken")
        def broken(request: Request, response: Response) -> None:
            raise ValueError("planted")

        made.insert(StatusPage())
        start(made)
        yield made
        stop(made)
    greenbas.plugin.configure("statuspage", {})


@pytest.fixture
def page(server: Server, tab: Chromium) -> Iterator[Chromium]:
    """The page, once it is live."""
    tab.show_as(*DESKTOP)
    tab.open(url(server))
    wait_until(lambda: tab.text("#state") == "Live")
    yield tab
    assert tab.errors == []
    tab.open("about:blank")


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.listeners[0].port}/status/"


def ask_often(server: Server, path: str, times: int) -> None:
    with Client(server) as client:
        for _ in range(times):
            client.ask(head(f"GET {path} HTTP/1.1"))


def column(tab: Chromium, number: int) -> list[str]:
    """The texts of one column of the table."""
    texts = f"[...document.querySelectorAll('tbody tr')].map(row => row.cells[{number}].innerText)"
    return list(tab.evaluate(texts))


def number(tab: Chromium, selector: str) -> int:
    return int(tab.text(selector).replace(",", ""))


def test_numbers_move(server: Server, page: Chromium) -> None:
    assert number(page, "#tile-errors .value") == 0
    ask_often(server, "/shop", 50)
    ask_often(server, "/broken", 7)
    wait_until(lambda: page.text("#tile-errors .value") == "7")
    assert page.evaluate("document.querySelector('#tile-errors').dataset.level") == "critical"
    assert page.text("#tile-errors .tag") == "critical"
    assert float(page.text("#tile-requests .value")) > 0
    assert number(page, "#answers li.s5xx b") == 7
    assert number(page, "#answers li.s2xx b") >= 50
    assert set(column(page, 0)) == {"/shop/", "/broken/", "/status/"}
    before = page.text("#facts dd")
    wait_until(lambda: page.text("#facts dd") != before)


def test_charts_are_drawn(page: Chromium) -> None:
    for key in render.TITLES:
        path = f"document.querySelector('#tile-{key} .curve').getAttribute('d')"
        wait_until(lambda path=path: (page.evaluate(path) or "").count("L") >= 3)
        assert page.text(f"#tile-{key} .peak").startswith("peak ")
    numbers = page.evaluate("document.querySelector('#tile-memory .curve').getPointAtLength(0).x")
    assert 0 <= numbers <= 300


def test_the_table_sorts(server: Server, page: Chromium) -> None:
    ask_often(server, "/shop", 500)
    ask_often(server, "/broken", 3)
    wait_until(lambda: column(page, 0)[:1] == ["/shop/"] and len(column(page, 0)) == 3)
    page.click("th[data-key=path] button")
    assert column(page, 0) == ["/broken/", "/shop/", "/status/"]
    assert page.evaluate("document.querySelector('th[data-key=path]').ariaSort") == "ascending"
    page.click("th[data-key=path] button")
    assert column(page, 0) == ["/status/", "/shop/", "/broken/"]
    page.click("th[data-key=errors] button")
    assert column(page, 4)[0] == "3" and column(page, 0)[0] == "/broken/"
    # It stays so when new numbers come.
    ask_often(server, "/broken", 1)
    wait_until(lambda: column(page, 4)[0] == "4")
    assert page.evaluate("document.querySelectorAll('th[aria-sort]').length") == 1


def test_rows_are_kept(server: Server, page: Chromium) -> None:
    ask_often(server, "/shop", 500)
    wait_until(lambda: column(page, 2)[:1] == ["500"])
    page.evaluate("document.querySelector('tbody tr').marked = true")
    ask_often(server, "/shop", 1)
    wait_until(lambda: column(page, 2)[0] == "501")
    assert page.evaluate("document.querySelector('tbody tr').marked") is True


def test_pause(server: Server, page: Chromium) -> None:
    page.click("#pause")
    assert page.text("#state").startswith("Paused at ")
    assert page.text("#pause") == "Go on"
    asked = server.service.counters.requests
    ask_often(server, "/broken", 1)
    page.evaluate("new Promise(done => setTimeout(done, 500))")
    assert server.service.counters.requests <= asked + 2  # one may have been under way
    assert page.text("#tile-errors .value") == "0"
    page.click("#pause")
    wait_until(lambda: page.text("#tile-errors .value") == "1")
    assert page.text("#state") == "Live"


def test_a_server_that_does_not_answer(server: Server, page: Chromium) -> None:
    stop(server)
    wait_until(lambda: page.text("#state").startswith("No answer since "))
    start(server)
    wait_until(lambda: page.text("#state") == "Live")
    page.errors.clear()  # the browser has complained about the answers 503


SNAPSHOTS: list[dict[str, Any]] = [
    {},
    {
        "uptime": 93784.2,
        "started": 1763712000.75,
        "listeners": [],
        "connections": {"total": 1234567, "open": 17500, "idle": 17000, "limit": 18000, "evicted": 5, "timed_out": 6},
        "workers": {"active": 900, "idle": 0, "limit": 1000},
        "queue": {"length": 600, "limit": 1000},
        "requests": {
            "total": 9876543,
            "errors": 123456,
            "per_second": 123.4,
            "per_second_minute": 45.67,
            "statuses": {"none": 5, "1xx": 0, "2xx": 9_000_000, "3xx": 1234, "4xx": 0, "5xx": 123451},
        },
        "refused": 12,
        "hub": {"lag": 0.0123, "lag_max": 2.34567, "blocked": 3, "blocked_seconds": 12.345},
        "failures": 1000,
        "memory": {"rss": 1_234_567_890},
        "descriptors": {"open": None, "limit": 20000},
        "directories": [
            {
                "path": path,
                "kind": kind,
                "requests": 1000 // position,
                "per_second": 0.456,
                "errors": position - 1,
                "statuses": {},
                "p50": 0.0123,
                "p95": 12.34,
                "p99": 345.6,
                "max": 60000.0,
                "bytes": 10 ** (3 * position),
            }
            for position, (path, kind) in enumerate(
                [("/<b>/", "a & b()"), (None, "nobody"), (None, "others"), ("/x/", "Y")], 1
            )
        ],
    },
]

READ_ALL = """JSON.stringify([
  [...document.querySelectorAll('.tile')].map(tile => [tile.id, tile.dataset.level,
    Number(tile.querySelector('.fill')?.getAttribute('width')).toFixed(1),
    ...['.tag', '.value', '.note'].map(part => tile.querySelector(part).textContent)]),
  [...document.querySelectorAll('#answers li')].map(line => line.textContent),
  [...document.querySelectorAll('#answers rect')].map(rect => [rect.getAttribute('x'), rect.getAttribute('width')]),
  [...document.querySelectorAll('#facts dd')].map(line => line.textContent.trim()),
  [...document.querySelectorAll('tbody tr')].map(row => [row.className, ...[...row.cells].map(cell =>
    cell.tagName + cell.className + cell.textContent.trim())]),
])"""


@pytest.mark.parametrize("changes", SNAPSHOTS, ids=["quiet", "busy"])
def test_scripts_show_what_the_server_shows(
    server: Server, tab: Chromium, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    get(server, "/shop")
    metrics = metrics_of(server.root)
    assert metrics is not None
    told = {**metrics.snapshot(), **changes}
    monkeypatch.setattr(metrics, "snapshot", lambda: told)
    tab.show_as(*DESKTOP)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(url(server))
        plain = json.loads(tab.evaluate(READ_ALL))
        assert "Scripts are off" in tab.text("body")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    tab.open(url(server))
    wait_until(lambda: tab.text("#state") == "Live")
    assert json.loads(tab.evaluate(READ_ALL)) == plain
    assert len(plain[0]) == 8 and len(plain[4]) == len(told["directories"])
    assert "Scripts are off" not in tab.text("body")
    assert tab.errors == []
    tab.open("about:blank")


@pytest.mark.parametrize(
    ("look", "size", "dark"), [("light", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False)]
)
def test_looks(server: Server, tab: Chromium, look: str, size: tuple[int, int], dark: bool) -> None:
    ask_often(server, "/shop", 30)
    ask_often(server, "/broken", 1)
    tab.show_as(*size, dark=dark, phone=look == "phone")
    tab.open(url(server))
    wait_until(lambda: (tab.evaluate("document.querySelector('.curve').getAttribute('d')") or "").count("L") >= 3)
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    # Nothing on the tiles is cut off.
    texts = "[...document.querySelectorAll('.tile p, .tile h2')]"
    assert tab.evaluate(f"{texts}.filter(one => one.scrollWidth > one.clientWidth + 1).length") == 0
    tab.screenshot(SHOTS / f"status-{look}.png")
    assert tab.errors == []
    tab.open("about:blank")


def test_what_a_screen_reader_gets(page: Chromium) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    unnamed = """[...document.querySelectorAll('button, a, [role=region], section')].filter(one =>
      !one.innerText.trim() && !one.getAttribute('aria-labelledby')).length"""
    assert page.evaluate(unnamed) == 0
    dangling = """[...document.querySelectorAll('[aria-labelledby]')].filter(one =>
      !document.getElementById(one.getAttribute('aria-labelledby'))).length"""
    assert page.evaluate(dangling) == 0
    assert page.evaluate("document.querySelectorAll('thead th:not([scope=col])').length") == 0
    assert page.evaluate("[...document.querySelectorAll('svg')].every(one => one.ariaHidden === 'true')") is True


@pytest.mark.parametrize("width", [1000, 1200, 1280, 1600])
def test_nothing_in_a_tile_collides(page: Chromium, width: int) -> None:
    """With numbers as wide as they get: a peak once stood in the title beside it."""
    page.show_as(width, 900)
    overlaps = page.evaluate(COLLISIONS)
    assert overlaps == []
