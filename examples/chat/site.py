"""A chat room: `greenbas serve examples.chat.site:server`, then open it in two tabs.

Each member has a WebSocket, whose handler waits for what he says, and a greenlet that sends him what the others say.
"""

from __future__ import annotations

import json
import queue
import time
from collections import deque
from pathlib import Path
from typing import Any

from greenbas import Request, Response, Server, create, spawn
from greenbas.errors import ConnectionClosed
from greenbas.io import DiskIo
from greenbas.net import WebSocket

HERE = Path(__file__).parent
REMEMBERED = 50  # lines that somebody who comes in gets to see
BEHIND = 100  # lines that somebody may be behind the others before he is shown out
MAX_NAME, MAX_TEXT = 24, 2000

server = Server()
server.insert(create.resrdr(DiskIo(HERE / "public"), name=None))


class Member:
    """Somebody in the room, with what he has not been sent yet."""

    def __init__(self, name: str, ws: WebSocket) -> None:
        self.name = name
        self.ws = ws
        self.outbox: queue.Queue[str | None] = queue.Queue(BEHIND)

    def tell(self, text: str) -> None:
        """Send this to him soon; nobody waits for somebody slow."""
        try:
            self.outbox.put_nowait(text)
        except queue.Full:
            spawn(self.ws.close, 4000, "too slow")

    def deliver(self) -> None:
        """Send what is in the outbox, one after the other, until None."""
        try:
            while (text := self.outbox.get()) is not None:
                self.ws.send(text)
        except ConnectionClosed:
            pass  # the handler notices as well


members: list[Member] = []
lines: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)


def tell_all(**message: Any) -> None:
    """Tell everybody in the room."""
    text = json.dumps(message)
    for member in list(members):
        member.tell(text)


def tell_who_is_here() -> None:
    """Tell everybody who is in the room."""
    tell_all(kind="people", names=sorted(member.name for member in members))


def free_name(wanted: str) -> str:
    """This name, or this name with a number."""
    wanted = " ".join(wanted.split())[:MAX_NAME] or "guest"
    taken = {member.name for member in members}
    names = (wanted if number == 1 else f"{wanted} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


@server.directory("room")
def room(request: Request, response: Response) -> None:
    with request.upgrade(max_size=16 * 1024) as ws:
        member = Member(free_name(request.data("name") or ""), ws)
        sender = spawn(member.deliver)
        member.tell(json.dumps({"kind": "welcome", "name": member.name, "lines": list(lines)}))
        members.append(member)
        tell_who_is_here()
        try:
            for message in ws:
                if isinstance(message, str) and message.strip():
                    line = {"who": member.name, "text": message.strip()[:MAX_TEXT], "at": time.time()}
                    lines.append(line)
                    tell_all(kind="line", **line)
        finally:
            members.remove(member)
            sender.kill()
            tell_who_is_here()
