"""A page for a printer that is slow: what a handler writes is queued, until the queue is full.

    greenbas serve examples.sockets.queuefull:server

The printer is a named pipe. It is opened as a cosocket, and handlers are none: their writes never wait, they tell how
many bytes are queued, or raise QueueFull.
"""

from __future__ import annotations

import html
import os
import tempfile
import threading
import time
from pathlib import Path

from greenbas import Request, Response, Server, net
from greenbas.errors import QueueFull

REPORT = 8 * 1024  # bytes of a report
SPEED = 4 * 1024  # bytes a second

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Printer</title>
<link rel="icon" href="data:,">
<style>{style}</style>
<main>
<h1>Printer</h1>
<p class="{mood}" role="status">{words}</p>
<meter min="0" max="{most}" value="{queued}">{queued} bytes</meter>
<p class="quiet">{queued} of {most} bytes are queued. The kernel has some 64 KiB more.</p>
<form method="post"><button>Print a report of {report} bytes</button></form>
</main>
"""

STYLE = (Path(__file__).parent / "public" / "sockets.css").read_text("utf-8")

server = Server()


@server.directory()
def print_report(request: Request, response: Response) -> str | bool:
    """Queue a report, if it is a POST, and show how things are."""
    if request.relpath:
        return False
    request.allow(["GET", "POST"])
    if request.method != "POST":
        return page("quiet", "The printer is ready.")
    try:
        queued = printer.write(b"All is well. ".ljust(REPORT, b"."))
    except QueueFull as error:
        response.set_status(503)
        response.set_header("Retry-After", str(error.queued // SPEED + 1))
        return page("bad", "The printer has enough to do. Nothing was printed: try again in a moment.")
    return page("good", "Your report waits for its turn." if queued else "Your report is being printed.")


def page(mood: str, words: str) -> str:
    """The page, with what to say on top."""
    queued, most = printer.queued, printer.queuelen()
    return PAGE.format(style=STYLE, mood=mood, words=html.escape(words), queued=queued, most=most, report=REPORT)


def hold(sock: net.Socket) -> None:
    """The cosocket of the pipe: it only is there, so that others can write to it."""
    sock.disable()


def work(path: Path) -> None:
    """The printer itself: takes a little at a time."""
    with path.open("rb", buffering=0) as paper:
        os.set_blocking(paper.fileno(), False)
        while True:
            time.sleep(0.25)
            paper.read(SPEED // 4)


folder = tempfile.TemporaryDirectory(prefix="greenbas-printer-")
pipe = Path(folder.name) / "printer"
net.pipe.mkfifo(str(pipe))
printer = net.pipe.open(str(pipe), hold)
threading.Thread(target=work, args=[pipe], daemon=True).start()
