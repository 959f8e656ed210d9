"""Both login forms in a browser, as a person uses them: on a screen and a phone, in light and dark, right and wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium
from web import directory, serving

from greenbas import Request, Response, Server, create

SHOTS = Path(__file__).parent / "shots"
SIZES = {"light": (1280, 800, False, False), "dark": (1280, 800, True, False), "phone": (390, 844, False, True)}
SIZES |= {"phone-dark": (390, 844, True, True)}
TYPE = """
for (const [id, value] of Object.entries({ba_username: NAME, ba_password2: PASSWORD})) {
  document.getElementById(id).value = value;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def posted() -> list[dict[str, str]]:
    """What the browser has sent."""
    return []


@pytest.fixture(scope="module")
def server(posted: list[dict[str, str]]) -> Iterator[Server]:
    with serving() as server:
        users = create.json_user({"ann": {"pwd": "größe €", "roles": [], "max_users": 50}})

        def note(request: Request, response: Response) -> bool:
            if request.method == "POST":
                posted.append(request.data())
            return False

        for name, kind in [("form", "form"), ("hashed", "sform")]:
            outer = directory(name, note)
            inner = directory(None, lambda request, response: f"<p id=hello>hello {request.user().name}</p>")  # type: ignore[union-attr]
            inner.set_auth(create.authenticator(users, type=kind, realm="Orchard Office", tracker=True))  # type: ignore[arg-type]
            outer.insert(inner)
            server.insert(outer)
        server.insert(directory("favicon.ico", lambda request, response: b""))
        server.insert(directory("logout", lambda request, response: str(request.logout())))
        yield server


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.listeners[0].port}{path}"


def log_in(browser: Chromium, name: str, password: str) -> None:
    script = TYPE.replace("NAME", repr(name)).replace("PASSWORD", repr(password))
    browser.evaluate(script)
    browser.click("#ba_loginbut", loads=True)


@pytest.mark.parametrize("path", ["/form/?a=b", "/hashed/x?a=b"])
def test_login(browser: Chromium, server: Server, posted: list[dict[str, str]], path: str) -> None:
    server_side: Any = server.tracker
    server_side.clear_cache()
    browser.open(url(server, "/logout/"))
    posted.clear()
    browser.open(url(server, path))
    assert browser.text("h1") == "Orchard Office"
    assert browser.evaluate("document.activeElement.id") == "ba_username"
    log_in(browser, "ann", "falsch")
    assert browser.text("[role=alert]") == "The name or the password is wrong."
    assert browser.evaluate("document.getElementById('ba_username').value") == "ann"
    assert browser.evaluate("document.activeElement.id") == "ba_password2"
    log_in(browser, "ann", "größe €")
    assert browser.text("#hello") == "hello ann"
    assert browser.evaluate("location.pathname + location.search") == path
    sent = [fields["ba_password"] for fields in posted]
    assert sent == ["falsch", "größe €"] if path.startswith("/form") else all(len(one) == 64 for one in sent)
    assert browser.errors == []


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("state", ["fresh", "wrong", "banned"])
def test_looks(browser: Chromium, server: Server, name: str, state: str) -> None:
    width, height, dark, phone = SIZES[name]
    browser.open(url(server, "/logout/"))
    browser.show_as(width, height, dark=dark, phone=phone)
    browser.open(url(server, "/form/"))
    for _ in range({"fresh": 0, "wrong": 1, "banned": 4}[state]):
        log_in(browser, "somebody", "x")
    if phone or state == "fresh":
        browser.screenshot(SHOTS / f"login-{state}-{name}.png")
    server.tracker.clear_cache()
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.documentElement.scrollHeight") <= height
    for selector in ("input[type=password]", "button"):
        assert browser.evaluate(f"document.querySelector('{selector}').offsetHeight") >= 44  # what a finger needs
    disabled = browser.evaluate("document.getElementById('ba_loginbut').disabled")
    assert disabled is (state == "banned")
    colour = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour[4:-1].split(","))) < 200) is dark


def test_without_javascript_no_password_leaves_the_page(
    browser: Chromium, server: Server, posted: list[dict[str, str]]
) -> None:
    browser.open(url(server, "/logout/"))
    posted.clear()
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(url(server, "/hashed/"))
        assert "JavaScript is off" in browser.text("noscript .message, main")
        browser.evaluate(TYPE.replace("NAME", "'ann'").replace("PASSWORD", "'größe €'"))
        browser.click("#ba_loginbut", loads=True)
        assert "größe €" not in posted[0].values()
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
