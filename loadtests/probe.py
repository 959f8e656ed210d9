"""One request with a plain client: is the answer right, and how long did it take?"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass

from browser import HEADERS
from works import Work

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float


def ask(connection: http.client.HTTPConnection, path: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """One GET, with the head of a browser, and more headers."""
    started = time.perf_counter()
    connection.request("GET", path, headers=dict((*HEADERS, *headers)))
    response = connection.getresponse()
    body = response.read()
    return Answer(response.status, response.headers, body, time.perf_counter() - started)


def ask_fresh(port: int, path: str) -> Answer:
    """One GET on a new connection; the time includes connecting."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    started = time.perf_counter()
    try:
        answer = ask(connection, path)
    finally:
        connection.close()
    return Answer(answer.status, answer.headers, answer.body, time.perf_counter() - started)


def complaint(port: int, work: Work) -> str | None:
    """What is wrong with a server's answers to a work, or None. Asks twice on one connection.

    A server that answers errors, or closes every connection, would otherwise get a number as well.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        first = ask(connection, work.path, work.headers)
        kept = connection.sock
        again = ask(connection, work.path, work.headers)
        if kept is None or connection.sock is not kept:
            return answer_complaint(first, work) or "the connection was not kept alive"
        return answer_complaint(first, work) or answer_complaint(again, work)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error!r}"
    finally:
        connection.close()


def answer_complaint(answer: Answer, work: Work) -> str | None:
    """What is wrong with one answer, or None."""
    if answer.status != 200:
        return f"status {answer.status}"
    if not work.accepts(answer.body):
        return f"wrong body of {len(answer.body)} bytes: {answer.body[:60]!r}"
    length = answer.headers.get("Content-Length")
    chunked = answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if not chunked and length != str(len(answer.body)):
        return f"neither chunked nor a right Content-Length ({length})"
    return None
