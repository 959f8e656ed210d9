"""A page over https that opens a WebSocket over wss, in a real browser."""

from __future__ import annotations

from chromium import Chromium
from support import need_command, wait_until
from tlspairs import server_tls

from greenbas import Request, Response, Server

PAGE = """<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>wss</title><p id="said"></p><script>
const ws = new WebSocket(location.href.replace("https", "wss"));
ws.onopen = () => ws.send("grün über TLS");
ws.onmessage = (event) => { document.querySelector("#said").textContent = event.data; ws.close(1000, "enough"); };
ws.onclose = (event) => { document.title = `${event.code} ${event.wasClean}`; };
</script></html>"""


def page_or_echo(request: Request, response: Response) -> str | None:
    if request.header("upgrade") is None:
        return PAGE
    with request.upgrade() as ws:
        for message in ws:
            ws.send(message)
    return None


def test_a_page_talks_over_wss() -> None:
    need_command("chromium")
    server = Server()
    server.directory("talk")(page_or_echo)
    port = server.listen(0, tls=server_tls()).port
    server.start()
    try:
        with Chromium() as tab:
            tab.call("Security.setIgnoreCertificateErrors", ignore=True)
            tab.open(f"https://localhost:{port}/talk/")
            wait_until(lambda: tab.text("#said") == "grün über TLS", timeout=10)
            wait_until(lambda: tab.evaluate("document.title") == "1000 true", timeout=10)
            assert tab.errors == []
    finally:
        server.stop(drain_timeout=1)
