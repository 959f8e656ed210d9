"""The chat in a real browser, with a second member over a raw client; pictures are left in tests/browser/shots/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from chromium import Chromium
from launch import launched
from support import need_command, wait_until

SHOTS = Path(__file__).parent / "shots"


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    need_command("chromium")
    with launched("examples.chat.site:server") as url:
        yield url


@pytest.fixture(scope="module")
def tab(site: str) -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


def member(site: str, name: str) -> tuple[websocket.WebSocket, dict[str, Any]]:
    """Somebody else in the room, and how he was welcomed."""
    other = websocket.create_connection(f"{site.replace('http', 'ws')}/room?name={name}", timeout=10)
    return other, json.loads(other.recv())


def say(tab: Chromium, text: str) -> None:
    """Type and send."""
    tab.evaluate(f"document.querySelector('#text').value = {json.dumps(text)}")
    tab.click("#say button")


def enter(tab: Chromium, site: str, name: str) -> None:
    tab.open(f"{site}/?name={name}")
    wait_until(lambda: tab.text("#state") == "connected", timeout=10)


def test_two_talk_with_each_other(site: str, tab: Chromium) -> None:
    enter(tab, site, "Ann")
    other, welcome = member(site, "Bob")
    assert welcome["name"] == "Bob"
    wait_until(lambda: tab.text("#people").split() == ["Ann", "Bob"])
    say(tab, "<b>Hello</b> Bob ö")
    heard = [json.loads(other.recv()) for _ in range(2)]
    assert heard[0] == {"kind": "people", "names": ["Ann", "Bob"]}
    assert (heard[1]["who"], heard[1]["text"]) == ("Ann", "<b>Hello</b> Bob ö")
    other.send("Hello Ann")
    wait_until(lambda: tab.text("#lines li:last-child").endswith("Hello Ann"))
    assert tab.text("#lines li.mine").endswith("<b>Hello</b> Bob ö")
    assert tab.evaluate("document.querySelectorAll('#lines b').length") == 0
    assert tab.evaluate("document.querySelectorAll('#lines li').length") == 2
    late, welcome = member(site, "Bob")
    assert (welcome["name"], [line["text"] for line in welcome["lines"]]) == (
        "Bob 2",
        ["<b>Hello</b> Bob ö", "Hello Ann"],
    )
    late.close()
    other.close()
    wait_until(lambda: tab.text("#people") == "Ann")
    assert tab.errors == []


def test_how_it_looks(site: str, tab: Chromium) -> None:
    others = [member(site, name)[0] for name in ("Bob", "Cleopatra")]
    tab.show_as(1100, 760)
    enter(tab, site, "Ann")
    say(tab, "Who brings the cake?")
    wait_until(lambda: tab.text("#lines li:last-child").endswith("cake?"))
    others[0].send("Me. With so much cream that it will not fit through an ordinary door, at least not upright. " * 3)
    wait_until(lambda: tab.text("#lines li:last-child").endswith("upright."))
    others[1].send("Coffee is on me.")
    wait_until(lambda: tab.text("#lines li:last-child").endswith("Coffee is on me."))
    for look, size in (("light", (1100, 760)), ("dark", (1100, 760)), ("phone", (390, 700))):
        tab.show_as(*size, dark=look == "dark", phone=look == "phone")
        tab.screenshot(SHOTS / f"chat-{look}.png")
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight + 1")
    for other in others:
        other.close()
    assert tab.errors == []


def test_the_browser_connects_again(site: str) -> None:
    with Chromium() as tab, launched("examples.chat.site:server") as url:
        enter(tab, url, "Ann")
        tab.evaluate("socket.close(4001, 'a test')")
        wait_until(lambda: tab.evaluate("socket.readyState") == 1 and tab.text("#state") == "connected", timeout=10)
        assert tab.errors == []


def test_a_page_of_another_origin_is_kept_out(site: str, tab: Chromium) -> None:
    tab.open("about:blank")
    script = """new Promise((done) => {
        const socket = new WebSocket(%s);
        socket.onopen = () => done("open");
        socket.onclose = (event) => done(event.code);
    })"""
    assert tab.evaluate(script % json.dumps(site.replace("http", "ws") + "/room")) == 1006
