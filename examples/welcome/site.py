"""The welcome site, which `make run` serves. Each handler is a plain function, and each of them may block."""

from __future__ import annotations

import hashlib
import html
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from greenbas import Request, Response, Server, create
from greenbas.io import DiskIo

from .page import page

# What a handler may return: text becomes an HTML page, a dict becomes JSON,
# None says that it wrote the answer itself.
Reply = str | dict[str, Any] | None

HERE = Path(__file__).parent
STARTED = time.monotonic()

server = Server()

# The files of the home page. A reader without a name sees every path;
# what it does not have, the handlers below are asked for.
server.insert(create.resrdr(DiskIo(HERE / "public"), name=None))


@server.directory("slow")
def slow(request: Request, response: Response) -> Reply:
    time.sleep(0.1)  # blocks this greenlet only
    return {"slept": 0.1}


@server.directory("burst")
def burst(request: Request, response: Response) -> Reply:
    """Ask /slow/ fifty times at once, each time over a connection of its own."""
    host, port, _ = request.sockname()

    def ask(number: int) -> int:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", f"/slow/?n={number}")
        status = connection.getresponse().status
        connection.close()
        return status

    start = time.perf_counter()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    return {"good": answers.count(200), "seconds": time.perf_counter() - start}


@server.directory("hello")
def hello(request: Request, response: Response) -> Reply:
    who = request.data("who") or "stranger"
    how = "in the body" if request.method == "POST" else "in the URL"
    return page(f"Hello, {who}!", f"<p>A form sends its fields {how} with {html.escape(request.method)}.</p>")


@server.directory("clock")
def clock(request: Request, response: Response) -> Reply:
    return {
        "now": datetime.now().astimezone().isoformat(timespec="seconds"),
        "up_seconds": round(time.monotonic() - STARTED, 1),
        "you_asked_for": request.data(),
    }


@server.directory("stream")
def stream(request: Request, response: Response) -> Reply:
    plain = request.data("as") == "text"
    response.set_content_type(f"text/{'plain' if plain else 'html'}; charset=utf-8")
    before, after = ("", "") if plain else page("Line by line", "<pre class='lines'>|</pre>").split("|")
    response.write(before)
    for number in range(1, 9):
        response.write(f"line {number} left at {datetime.now():%H:%M:%S.%f}\n")
        response.flush()  # on its way now
        time.sleep(0.25)
    response.write(after)
    return None


@server.directory("visits")
def visits(request: Request, response: Response) -> Reply:
    cookie = request.cookie("visits") or response.create_cookie("visits")
    count = int(cookie.value) + 1 if cookie.value.isdecimal() and len(cookie.value) < 7 else 1
    cookie.value, cookie.path = str(count), "/visits/"
    cookie.max_age = -1 if request.relpath == "forget" else 30 * 24 * 3600  # below 0: forget it
    cookie.activate()
    if request.relpath == "forget":
        return page("Forgotten", "<p>Your browser has dropped the cookie.</p>")
    if wants_json(request):
        return {"visits": count}
    return page(f"Visit number {count}", "<p>Load this page again, and the number rises.</p>")


@server.directory("digest")
def digest(request: Request, response: Response) -> Reply:
    request.allow(["POST"])
    sha256, size = hashlib.sha256(), 0
    for block in request.rawrdr(64 * 1024):  # never more than one block in memory
        sha256.update(block)
        size += len(block)
    return {"bytes": size, "sha256": sha256.hexdigest()}


@server.directory("request")
def seen(request: Request, response: Response) -> Reply:
    host, port, _ = request.peername()
    facts = {"method": request.method, "target": request.target, "client": f"{host} port {port}"}
    headers = dict(request.headers)
    if wants_json(request):
        return {**facts, "headers": headers}
    return page("Your request", f"{table(facts)}<h2>Its headers</h2>{table(headers)}")


@server.directory("source")
def source(request: Request, response: Response) -> Reply:
    lines = (HERE / "site.py").read_text("utf-8").splitlines()
    code = "\n".join(f"<span>{html.escape(line)}</span>" for line in lines)
    intro = "<p>These are all the handlers of this site. Beside them there are only files and a frame for pages.</p>"
    return page("The code", f"{intro}<pre class='source'>{code}</pre>")


def wants_json(request: Request) -> bool:
    """Whether a script of the home page asks, rather than a person."""
    return "application/json" in request.headers.get("accept", "")


def table(rows: dict[str, str]) -> str:
    """Names and values as HTML, escaped."""
    cells = "".join(f"<tr><th>{html.escape(name)}<td>{html.escape(value)}" for name, value in rows.items())
    return f"<div class='scroll'><table class='facts'>{cells}</table></div>"
