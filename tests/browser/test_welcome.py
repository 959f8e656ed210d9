"""The welcome site in a real browser: the demos work, nothing overflows, and no script complains.

Pictures of the pages are left in tests/browser/shots/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from launch import launched
from support import need_command, wait_until

SHOTS = Path(__file__).parent / "shots"
DESKTOP = (1200, 900)
PHONE = (390, 844)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    need_command("chromium")
    with launched("examples.welcome.site:server") as url:
        yield url


@pytest.fixture(scope="module")
def tab(site: str) -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def home(site: str, tab: Chromium) -> Iterator[Chromium]:
    """The home page, once the demos that run by themselves have run."""
    tab.show_as(*DESKTOP)
    tab.open(f"{site}/")
    wait_until(lambda: is_idle(tab) and tab.text("#primes [data-out]") != "…", timeout=15)
    yield tab
    assert tab.errors == []
    assert tab.evaluate("document.querySelectorAll('.failed').length") == 0


def is_idle(tab: Chromium) -> bool:
    return bool(tab.evaluate("document.querySelectorAll('button:disabled').length === 0"))


def click_and_wait(tab: Chromium, selector: str) -> None:
    tab.click(selector)
    wait_until(lambda: is_idle(tab), timeout=20)


def overflow(tab: Chromium) -> int:
    """How many pixels the page is wider than the screen."""
    return int(tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_demos_that_run_by_themselves(home: Chromium) -> None:
    assert home.evaluate("document.title") == "Welcome to greenbas"
    assert '"colour": "green"' in home.text("#clock [data-out]")
    assert home.text("#visits [data-out]").isdecimal()
    assert "Prime number 1000 is 7919" in home.text("#primes [data-out]")
    assert "206 with bytes 15984-15999/16000" in home.text("#primes [data-out]")
    assert "Chrome" in home.text("#request [data-out]")


def test_fifty_from_the_browser(home: Chromium) -> None:
    click_and_wait(home, "[data-run=browser]")
    assert home.text("#fifty [data-out]").startswith("50 answers in ")
    assert home.evaluate("document.querySelectorAll('.dots .done').length") == 50
    took = float(home.text(".bar-took b").removeprefix("this time: ").removesuffix(" s"))
    assert took < 4, "the browser's connections were served one after another"


def test_fifty_connections(home: Chromium) -> None:
    click_and_wait(home, "[data-run=burst]")
    assert home.text("#fifty [data-out]").startswith("50 answers in ")
    took = float(home.text(".bar-took b").removeprefix("this time: ").removesuffix(" s"))
    assert 0.1 <= took < 2.5


def test_lines_come_one_by_one(home: Chromium) -> None:
    home.click("[data-run=stream]")
    wait_until(lambda: home.text("#stream [data-out]").count("line") >= 2)
    assert home.text("#stream [data-out]").count("line") < 8, "all came at once"
    wait_until(lambda: home.text("#stream [data-out]").count("line") == 8)
    wait_until(lambda: is_idle(home))


def test_visits(home: Chromium) -> None:
    before = int(home.text("#visits [data-out]"))
    click_and_wait(home, "[data-run=visits]")
    assert int(home.text("#visits [data-out]")) == before + 1
    click_and_wait(home, "[data-run=forget]")
    click_and_wait(home, "[data-run=visits]")
    assert home.text("#visits [data-out]") == "1"
    assert home.text("#visits [data-unit]") == "visit"


def test_another_prime(home: Chromium) -> None:
    home.evaluate("document.querySelector('#primes input').value = 26")
    click_and_wait(home, "#primes button")
    assert "Prime number 26 is 101." in home.text("#primes [data-out]")


def test_upload(home: Chromium) -> None:
    click_and_wait(home, "[data-run=zeros]")
    shown = home.text("#digest [data-out]")
    assert shown.startswith("8,000,000 bytes")
    assert shown.endswith(hashlib.sha256(bytes(8_000_000)).hexdigest())


@pytest.mark.parametrize(("button", "how"), [("button", "in the URL"), ("button[formmethod]", "in the body")])
def test_form(home: Chromium, button: str, how: str) -> None:
    home.evaluate("document.querySelector('[name=who]').value = 'Zoë <b>'")
    home.click(f"#hello {button}", loads=True)
    assert home.text("h1") == "Hello, Zoë <b>!"
    assert how in home.text("main")


@pytest.mark.parametrize("path", ["/", "/hello/?who=Ada", "/request/", "/source/", "/visits/", "/stream/"])
@pytest.mark.parametrize(
    ("look", "size", "dark"), [("light", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False)]
)
def test_looks(site: str, tab: Chromium, path: str, look: str, size: tuple[int, int], dark: bool) -> None:
    tab.show_as(*size, dark=dark, phone=look == "phone")
    tab.open(site + path)
    if path == "/":
        wait_until(lambda: is_idle(tab) and tab.text("#primes [data-out]") != "…", timeout=15)
        click_and_wait(tab, "[data-run=burst]")
        click_and_wait(tab, "[data-run=stream]")
    assert overflow(tab) <= 0
    tab.screenshot(SHOTS / f"{path.strip('/').partition('/')[0] or 'home'}-{look}.png")
    assert tab.errors == []
