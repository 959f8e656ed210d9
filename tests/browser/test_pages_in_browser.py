"""The example of server pages in a real browser: forms, scripts and uploads work, and pages arrive as they are made.

Pictures of the pages are left in tests/browser/shots/.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium
from launch import launched
from support import need_command, wait_until

SHOTS = Path(__file__).parent / "shots"
DESKTOP = (1100, 800)
PHONE = (390, 844)


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    need_command("chromium")
    with launched("examples/pages") as url:
        yield url


@pytest.fixture(scope="module", params=["root", "prefix"])
def site(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "root":
        yield request.getfixturevalue("root")
    else:
        with launched("guests=examples/pages") as url:
            yield f"{url}/guests"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    need_command("chromium")
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Chromium]:
    """The tab, without what another test left in it; no page may complain."""
    browser.call("Network.clearBrowserCookies")
    browser.show_as(*DESKTOP)
    yield browser
    assert browser.errors == []


def fill(tab: Chromium, selector: str, value: Any) -> None:
    """Put text into a field, or a mark into a box, as a person does: the page's scripts are told."""
    what = "checked" if isinstance(value, bool) else "value"
    script = f"field.{what} = {json.dumps(value)}; field.dispatchEvent(new Event('input', {{bubbles: true}}))"
    tab.evaluate(f"{{ const field = document.querySelector({json.dumps(selector)}); {script} }}")


def choose_files(tab: Chromium, selector: str, files: list[Path]) -> None:
    """Choose files in a file field."""
    document = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
    tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def overflow(tab: Chromium) -> int:
    """How many pixels the page is wider than the screen."""
    return int(tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def forget_refusal(tab: Chromium, status: int) -> None:
    """Chromium calls it an error that a page came with a status of 4xx; here that was wanted."""
    wait_until(lambda: tab.evaluate("1") and tab.errors)
    assert len(tab.errors) == 1
    assert str(status) in tab.errors.pop()


def fill_order(tab: Chromium) -> None:
    fill(tab, "[name=name]", "Zoë <b>")
    fill(tab, "[name=size]", "l")
    for extra in ("olives", "onions"):
        fill(tab, f"[value={extra}]", True)
    fill(tab, "[name=note]", "</textarea>\nNo salt & pepper")


def test_form(site: str, tab: Chromium) -> None:
    tab.open(f"{site}/form.psp")
    fill_order(tab)
    tab.click("main button", loads=True)
    forget_refusal(tab, 422)
    assert tab.text("#fault-agreed") == "Nothing comes for free."
    assert tab.evaluate("document.querySelector('[name=name]').value") == "Zoë <b>"
    assert tab.evaluate("document.querySelector('textarea').value") == "</textarea>\nNo salt & pepper"
    fill(tab, "[name=agreed]", True)
    tab.click("main button", loads=True)
    assert tab.text(".done h2") == "Thank you, Zoë <b>!"
    assert "One large pizza with olives, onions & garlic is on its way" in tab.text(".done")
    assert tab.text(".done pre") == "</textarea>\nNo salt & pepper"


def test_cart(site: str, tab: Chromium) -> None:
    tab.open(f"{site}/cart.psp")
    for key in ("soup", "pie", "soup", "pie"):
        tab.click(f"[name=add][value={key}]", loads=True)
    assert tab.text("#total") == "€\N{NO-BREAK SPACE}24.60"
    assert tab.text("#delivery") == "free"
    tab.click("[name=remove][value=soup]", loads=True)
    tab.click("[name=remove][value=soup]", loads=True)
    assert tab.evaluate("document.querySelectorAll('tbody tr').length") == 1
    assert tab.text("#total") == "€\N{NO-BREAK SPACE}18.50"
    tab.open(f"{site}/cart.psp")
    assert tab.text("#total") == "€\N{NO-BREAK SPACE}18.50"
    for _ in range(2):
        tab.click("[name=remove][value=pie]", loads=True)
    assert "The cart is empty." in tab.text("main")


def test_views(site: str, tab: Chromium) -> None:
    tab.open(f"{site}/views.psp")
    tab.click("[href='?view=news']", loads=True)
    assert tab.text("h1") == "News"
    tab.click("main [href='?view=about']", loads=True)
    assert tab.text("h1") == "About"
    assert tab.evaluate("location.href") == f"{site}/views.psp?view=about"
    tab.click("main [href='views.psp']", loads=True)
    tab.click("[href='moved.psp']", loads=True)
    assert (tab.text("h1"), tab.evaluate("location.href")) == ("Order a pizza", f"{site}/moved.psp")
    tab.open(f"{site}/moved.psp?tell=1")
    assert (tab.text("h1"), tab.evaluate("location.href")) == ("Order a pizza", f"{site}/form.psp")


def test_script(site: str, tab: Chromium) -> None:
    def measured(characters: int, words: int, longest: str) -> bool:
        shown = [tab.text(f"[data-out={name}]") for name in ("characters", "words", "longest")]
        return shown == [str(characters), str(words), longest]

    tab.open(f"{site}/ajax.psp")
    wait_until(lambda: measured(30, 5, "functions,"))
    fill(tab, "textarea", "<b>Zoë</b> & all")
    wait_until(lambda: measured(16, 3, "<b>Zoë</b>"))
    fill(tab, "[value=form]", True)
    fill(tab, "textarea", "a=1&b=2")
    wait_until(lambda: measured(7, 1, "a=1&b=2"))


def test_upload(site: str, tab: Chromium, tmp_path: Path) -> None:
    contents = {"<b>.txt": b"small", "zeros.bin": bytes(12_000_000)}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    tab.open(f"{site}/upload.psp")
    choose_files(tab, "[type=file]", [tmp_path / name for name in contents])
    tab.click("main button", loads=True)
    shown = [tab.text(f"section:nth-of-type({number})").split() for number in (1, 2)]
    for words, (name, data) in zip(shown, contents.items(), strict=True):
        assert words[0] == name
        assert f"{len(data):,}" in words
        assert words[-1] == hashlib.sha256(data).hexdigest()


def test_deferred_page(site: str, tab: Chromium) -> None:
    tab.open(f"{site}/deferred.psp?seconds=0.2")
    assert "sent by a timer, 0.2 seconds after" in tab.text(".lead")
    tab.click("main [href='deferred.psp?seconds=0.5']", loads=True)
    assert "sent by a timer, 0.5 seconds after" in tab.text(".lead")


def lines_while_loading(tab: Chromium, url: str) -> list[int]:
    """How many lines were on the screen at each look at a page before it was complete."""
    tab.errors.clear()
    tab.call("Page.navigate", url=url)
    seen: list[int] = []

    def is_complete() -> bool:
        state, text = tab.evaluate("[document.readyState, document.body?.innerText ?? '']")
        if state == "loading":
            seen.append(text.count(" left at "))
        return bool(state != "loading")

    wait_until(is_complete, timeout=40)
    return seen


def test_page_of_ten_seconds_is_seen_arriving(root: str, tab: Chromium) -> None:
    seen = lines_while_loading(tab, f"{root}/stream.psp?delay=1")
    assert seen == sorted(seen)
    assert len(set(seen) & set(range(1, 10))) >= 5, seen
    assert tab.text(".lines").count(" left at ") == 10
    assert "Source of this page" in tab.text("footer")


def test_first_page_shows_the_visits(site: str, tab: Chromium) -> None:
    tab.open(f"{site}/")
    before = int(tab.text("footer").rpartition(": ")[2])
    tab.click(".cards a[href='form.psp']", loads=True)
    tab.click("footer a[href='./']", loads=True)
    assert int(tab.text("footer").rpartition(": ")[2]) == before + 2
    assert tab.evaluate("document.querySelectorAll('.chart i').length") == 30


LOOKS = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False)}
PATHS = {
    "index": "", "form": "form.psp", "form-faults": "form.psp", "cart": "cart.psp", "views": "views.psp",
    "news": "views.psp?view=news", "ajax": "ajax.psp", "upload": "upload.psp", "deferred": "deferred.psp?seconds=0",
    "stream": "stream.psp?delay=0", "source": "source.psp", "source-cart": "source.psp?file=cart.psp",
}  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("page", PATHS)
def test_looks(root: str, tab: Chromium, tmp_path: Path, page: str, look: str) -> None:
    size, dark = LOOKS[look]
    tab.show_as(*size, dark=dark, phone=look == "phone")
    tab.open(f"{root}/{PATHS[page]}")
    if page == "form-faults":
        fill_order(tab)
        tab.click("main button", loads=True)
        forget_refusal(tab, 422)
    elif page == "cart":
        for key in ("soup", "soup", "bread"):
            tab.click(f"[name=add][value={key}]", loads=True)
    elif page == "upload":
        (tmp_path / "holiday.jpg").write_bytes(bytes(3_000_000))
        choose_files(tab, "[type=file]", [tmp_path / "holiday.jpg"])
        tab.click("main button", loads=True)
    elif page == "ajax":
        wait_until(lambda: tab.text("[data-out=words]") == "5")
    assert overflow(tab) <= 0
    tab.screenshot(SHOTS / f"pages-{page}-{look}.png")
