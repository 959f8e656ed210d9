"""The shopping basket in a real browser, which keeps the session's cookie by its own rules.

Pictures of the pages are left in tests/browser/shots/.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from launch import launched
from support import need_command

SHOTS = Path(__file__).parent / "shots"
DESKTOP = (1100, 800)
PHONE = (390, 844)
EUROS = "€\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    need_command("chromium")
    with launched("shop=examples/basket") as url:
        yield f"{url}/shop/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    need_command("chromium")
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def tab(browser: Chromium, site: str) -> Iterator[Chromium]:
    """The tab at the stall, without what another test left in it; no page may complain."""
    browser.call("Network.clearBrowserCookies")
    browser.show_as(*DESKTOP)
    browser.open(site)
    yield browser
    assert browser.errors == []


def press(tab: Chromium, name: str, value: str) -> None:
    tab.click(f"[name={name}][value='{value}']", loads=True)


def test_basket(tab: Chromium, site: str) -> None:
    assert tab.text("#about") == "You have no session."
    for key in ("apples", "plums", "apples"):
        press(tab, "add", key)
    assert (tab.text("#count-apples"), tab.text("#total")) == ("2", f"{EUROS}9.90")
    tab.open(f"{site}?again")
    assert tab.text("#count-apples") == "2"
    press(tab, "less", "apples")
    assert tab.text("#total") == f"{EUROS}6.70"
    tab.click("[name=buy]", loads=True)
    assert tab.text(".done h2") == f"That was {EUROS}6.70"
    tab.click(".done a", loads=True)
    assert tab.text("#empty") == "There is nothing in it yet."
    tab.click("[name=leave]", loads=True)
    assert tab.text("#about") == "You have no session."


def test_cookie_as_the_browser_keeps_it(tab: Chromium) -> None:
    press(tab, "add", "figs")
    (cookie,) = tab.call("Network.getCookies")["cookies"]
    kept = {key: cookie.get(key) for key in ("name", "path", "httpOnly", "sameSite", "session", "secure")}
    assert kept == {
        "name": "gbsid", "path": "/", "httpOnly": True, "sameSite": "Lax", "session": True, "secure": False,
    }  # fmt: skip
    assert tab.evaluate("document.cookie") == ""
    tab.click("[name=leave]", loads=True)
    assert tab.call("Network.getCookies")["cookies"] == []


@pytest.mark.parametrize("look", ["light", "dark", "phone", "phone-dark"])
def test_looks(tab: Chromium, look: str) -> None:
    for key in ("apples", "lemons", "apples", "figs"):
        press(tab, "add", key)
    size = PHONE if look.startswith("phone") else DESKTOP
    tab.show_as(*size, dark=look.endswith("dark"), phone=look.startswith("phone"))
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    tab.screenshot(SHOTS / f"basket-{look}.png")
    tab.click("[name=buy]", loads=True)
    tab.screenshot(SHOTS / f"basket-thanks-{look}.png")
