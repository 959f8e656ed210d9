"""A handler that uses the session of its client, and the same one without: what a session costs.

All connections of wrk send one cookie, and so share one session. It is made here under the id of that cookie, since a
server never takes an id from a client.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from works import SESSION_ID

from greenbas import Server
from greenbas.http.stores import Record

if TYPE_CHECKING:
    from greenbas.http import Request, Response, Session

server = Server()
plain = Server()


@server.directory("session")
def session(request: Request, response: Response) -> str:
    session = request.session() or make(request)
    session.count += 1
    return "Hello, world!"


def make(request: Request) -> Session:
    now = time.time()
    request.sessions.store.add(Record(SESSION_ID, "127.0.0.1", now, 1e6, now + 1e6, {"count": 0}))
    made = request.session()
    assert made is not None
    return made


@plain.directory("session")
def without(request: Request, response: Response) -> str:
    return "Hello, world!"
