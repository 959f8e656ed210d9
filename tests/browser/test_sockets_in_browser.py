"""The pages of the socket examples in a real browser, light and dark.

Pictures of the pages are left in tests/browser/shots/.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from launch import launched
from support import need_command, wait_until

SHOTS = Path(__file__).parent / "shots"
SCREENS = [("desktop", 900, 700, False), ("phone-dark", 390, 844, True)]


@pytest.fixture(scope="module")
def tab() -> Iterator[Chromium]:
    need_command("chromium")
    with Chromium() as chromium:
        yield chromium


def fits(tab: Chromium) -> bool:
    return bool(tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_events_are_shown(tab: Chromium) -> None:
    with launched("examples.sockets.events:server") as url:
        for name, width, height, dark in SCREENS:
            tab.show_as(width, height, dark=dark)
            tab.open(f"{url}/")
            wait_until(lambda: tab.text("#cpu").isdecimal())
            assert tab.text("#status").startswith("Connected")
            assert (tab.text("#listeners"), tab.text("#sockets")) == ("1", "1")
            assert tab.evaluate("document.querySelectorAll('#chart i[style]').length") >= 1
            assert fits(tab)
            tab.screenshot(SHOTS / f"events-{name}.png")
        assert tab.errors == []
    wait_until(lambda: tab.text("#status").startswith("The connection is lost"))


def test_printer_that_has_enough_to_do(tab: Chromium) -> None:
    with launched("examples.sockets.queuefull:server") as url:
        for name, width, height, dark in SCREENS:
            tab.show_as(width, height, dark=dark)
            tab.open(f"{url}/")
            clicks = 0
            while not tab.text("[role=status]").startswith("The printer has enough to do."):
                tab.click("button", loads=True)
                clicks += 1
                assert clicks < 30
            assert tab.evaluate("document.querySelector('meter').value === document.querySelector('meter').max")
            assert fits(tab)
            tab.screenshot(SHOTS / f"queuefull-{name}.png")
