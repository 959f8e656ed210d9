"""The shopping basket over HTTP, in every store."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sessionstores import redis_process, store_url
from web import serving

from greenbas import Server
from greenbas.application import Application
from greenbas.io import DiskIo

__all__ = ["redis_process", "store_url"]  # fixtures

BASKET = Path(__file__).resolve().parents[2] / "examples" / "basket"


class Visitor:
    """Somebody with a browser of his own."""

    def __init__(self, server: Server) -> None:
        self.url = f"http://127.0.0.1:{server.listeners[0].port}/shop/"
        self.browser = requests.Session()

    def press(self, name: str, value: str, path: str = "") -> str:
        """Press a button; the page that comes then."""
        answer = self.browser.post(self.url + path, data={name: value}, timeout=10)
        assert answer.status_code == 200
        return answer.text

    def look(self, path: str = "") -> str:
        answer = self.browser.get(self.url + path, timeout=10)
        assert answer.status_code == 200
        return answer.text

    def basket(self) -> dict[str, int]:
        return {key: int(count) for key, count in re.findall(r'id="count-(\w+)">(\d+)<', self.look())}


def total(page: str) -> str:
    return html.unescape(re.findall(r'id="total">([^<]*)<', page)[0]).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def server(store_url: str) -> Iterator[Server]:
    app = Application(DiskIo(BASKET), name="shop")
    app.load()
    with serving(session_store=store_url) as server:
        server.insert(app)
        yield server
        app.unload()


def test_basket_is_kept(server: Server) -> None:
    ann, bob = Visitor(server), Visitor(server)
    for key in ("apples", "figs", "apples"):
        ann.press("add", key)
    bob.press("add", "pears")
    assert (ann.basket(), bob.basket()) == ({"apples": 2, "figs": 1}, {"pears": 1})
    assert total(ann.press("less", "figs")) == "€ 6.40"
    assert ann.basket() == {"apples": 2}
    assert 'id="empty"' in Visitor(server).look()


def test_who_only_looks_has_no_session(server: Server) -> None:
    visitor = Visitor(server)
    assert "You have no session." in visitor.look()
    assert (list(visitor.browser.cookies), server.sessions()) == ([], [])


def test_buying(server: Server) -> None:
    visitor = Visitor(server)
    for _ in range(3):
        visitor.press("add", "lemons")
    page = visitor.press("buy", "1")
    assert "That was €\N{NO-BREAK SPACE}7.20" in html.unescape(page)
    assert "3 pieces are" in page
    assert visitor.basket() == {}
    assert "Thank you" not in Visitor(server).look("thanks.psp")  # somebody else has bought nothing


@pytest.mark.parametrize("key", ["", "cars", "__class__", "<script>"])
def test_what_is_not_for_sale(server: Server, key: str) -> None:
    visitor = Visitor(server)
    visitor.press("add", key)
    visitor.press("less", "apples")
    assert visitor.basket() == {}


def test_no_more_than_there_are(server: Server) -> None:
    visitor = Visitor(server)
    pages = [visitor.press("add", "plums") for _ in range(14)]
    assert visitor.basket() == {"plums": 12}
    assert " disabled>+" in pages[-1]


def test_forget_me(server: Server) -> None:
    visitor = Visitor(server)
    visitor.press("add", "apples")
    assert len(server.sessions()) == 1
    assert "You have no session." in visitor.press("leave", "1")
    assert (list(visitor.browser.cookies), server.sessions(), visitor.basket()) == ([], [], {})
