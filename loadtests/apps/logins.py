"""A directory protected by digest authentication and constraints, and the same one without: what a login costs.

A client that has logged in sends the cookie of its session from then on. All connections of wrk send one cookie; its
session is made here, as if somebody had logged in by digest before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from works import SESSION_ID

from greenbas import Server, create
from greenbas.http import SessionUser
from greenbas.http.stores import Record

if TYPE_CHECKING:
    from greenbas.http import Request, Response

server = Server()
plain = Server()

# Clients without cookies have a session for each connection.
users = create.json_user({"ann": {"pwd": "secret", "roles": ["staff"], "max_users": 1000}})


def hello(request: Request, response: Response) -> str:
    return "Hello, world!"


private = create.dir("private")
private.set_func(hello)
private.set_auth(
    create.authenticator(users, realm="bench"),
    users.authorizer({"all": {"urls": ["/*"], "methods": ["GET"], "roles": ["staff"]}}),
)
server.insert(private)
plain.directory("private")(hello)

# Asked before the protected one, once.
first = create.dir(priority=1)


def log_in(request: Request, response: Response) -> bool:
    ann = users.get("ann")
    assert ann is not None
    now = time.time()
    record = Record(SESSION_ID, "127.0.0.1", now, 1e6, now + 1e6, {})
    request.sessions.store.add(record)
    user = SessionUser("ann", "digest", request.sessions.mark(ann.identity))
    request.sessions.store.log_in(record, SESSION_ID, user, now + 1e6, 1e6)
    first.unlink()
    return False


first.set_func(log_in)
server.insert(first)
