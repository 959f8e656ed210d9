"""A site behind the proxy in a real browser: links, a form, cookies, fetch, events, a WebSocket and a large upload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import Chromium
from proxies import proxied
from support import need_command
from web import serving

from greenbas import Request, Response, Server

PAGE = """<!DOCTYPE html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,"></head><body>
<p id="said">%s</p><a id="link" href="%s/there">there</a>
<form method="post" action="order"><input name="what" value="soup"><button>Order</button></form></body></html>"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Chromium]:
    need_command("chromium")
    with Chromium() as chromium:
        yield chromium


def shop(server: Server) -> None:
    """A site that thinks that it stands at the root of a server of its own."""

    @server.directory()
    def site(request: Request, response: Response) -> object:
        said = request.cookie("said")
        own = f"http://127.0.0.1:{server.listeners[0].port}"
        if request.path == "/order":
            cookie = response.create_cookie("said")
            cookie.value, cookie.path = request.data("what") or "", "/"
            cookie.activate()
            response.send_redirect("/thanks")
        if request.path == "/upload":
            return str(sum(map(len, request.rawrdr())))
        if request.path == "/events":
            response.set_content_type("text/event-stream")
            response.write("data: news\n\n")
            return True
        if request.path == "/socket":
            websocket = request.upgrade()
            for message in websocket:
                websocket.send(message[::-1])
            return True
        return PAGE % (f"{request.path} {said.value if said else ''}", own)


SCRIPTS = {
    "fetch('upload', {method: 'POST', body: new Blob([new Uint8Array(3000000)])}).then(a => a.text())": "3000000",
    "new Promise(done => { const s = new EventSource('events');"
    " s.onmessage = e => { s.close(); done(e.data); }; })": "news",
    "new Promise(done => { const s = new WebSocket(location.href.replace('http', 'ws').replace(/[^/]*$/, 'socket'));"
    " s.onopen = () => s.send('abc'); s.onmessage = e => { s.close(); done(e.data); }; })": "cba",
}  # fmt: skip


def test_a_site_behind_a_prefix(tab: Chromium) -> None:
    with serving() as inner:
        shop(inner)
        with proxied(inner.listeners[0].port, rewrite_links=True) as server:
            url = f"http://127.0.0.1:{server.listeners[0].port}/app/"
            tab.open(url)
            assert tab.text("#said") == "/"
            tab.click("#link", loads=True)
            assert tab.evaluate("location.href") == f"{url}there" and tab.text("#said") == "/there"
            tab.open(url)
            tab.click("button", loads=True)
            assert tab.evaluate("location.href") == f"{url}thanks" and tab.text("#said") == "/thanks soup"
            for script, expected in SCRIPTS.items():
                assert tab.evaluate(script) == expected
            assert tab.errors == []
