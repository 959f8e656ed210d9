"""Runs once, when the application starts. Its globals are what the pages know as `app`."""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import Any

from greenbas import Request, Response, Timer, create

PAGES = {
    "form.psp": ("A form", "Fields of all kinds, checked by the server, and shown again as they were filled in."),
    "cart.psp": ("A cart", "One page reads it from a cookie, two included pages show it."),
    "views.psp": ("Views", "One page hands over to one of several, by forward; and redirects, inside and outside."),
    "ajax.psp": ("A script", "Text goes to a directory function as JSON or as a form, and JSON comes back."),
    "upload.psp": ("An upload", "Files of any size are hashed while they arrive. Nothing is stored."),
    "deferred.psp": ("Later", "The page has ended long ago when a timer sends its answer."),
    "stream.psp": ("Line by line", "What a page has written leaves when it says so."),
    "source.psp": ("The code", "All files of this application, compressed on the way."),
}

shown = 0  # pages since the start
waiting = 0  # visitors who will hear from deferred.psp
streaming = 0  # visitors whom stream.psp is sending lines
recent = deque([0] * 30, maxlen=30)  # pages in each of the last spans of ten seconds


def count() -> None:
    """One more page is shown; the header of all pages calls this."""
    global shown
    shown += 1
    recent[-1] += 1


def next_span() -> bool:
    """Begin another ten seconds; True asks the timer for more."""
    recent.append(0)
    return True


def seconds(text: str | None, otherwise: float) -> float:
    """A time that a client sent, if it is one from 0 to 5 seconds."""
    try:
        value = float(text or otherwise)
    except ValueError:
        return otherwise
    return value if 0 <= value <= 5 else otherwise


def measure(request: Request, response: Response) -> None:
    """POST api/: the measures of a text that comes as {"text": ...} or as a form."""
    request.allow(["POST"])
    text = sent_text(request)
    if not isinstance(text, str):
        response.status = 400
        response.json({"error": 'Send {"text": "..."}, or a form with a field "text".'})
    else:
        words = text.split()
        response.json({"characters": len(text), "words": len(words), "longest": max(words, key=len, default="")})


def sent_text(request: Request) -> Any:
    """What came as the text, of whatever type; None if nothing did."""
    if request.header("content-type") != "application/json":
        return request.data("text")
    try:
        sent = json.loads(request.body())
    except (ValueError, RecursionError):
        return None
    return sent.get("text") if isinstance(sent, dict) else None


def on_unload() -> None:
    """The end, or a reload. What the application has opened is closed after this."""
    logging.getLogger("greenbas.app.pages").info("%d pages were shown", shown)


# The application owns both: the timer is cancelled and the directory removed when it ends or is loaded anew.
Timer(next_span).set(10)
api = create.dir("api")
api.set_func(measure)
dir.insert(api)  # `dir` is the directory of this application, and there is `io` for its files
