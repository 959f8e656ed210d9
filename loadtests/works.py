"""What is measured: the works, and the goals they are held to."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["handler", "wsgi", "page", "session", "login", "file"]

HELLO = b"Hello, world!"
GREETING = {"hello": "ann", "n": 3, "items": [3 * i for i in range(10)]}
PAGE = Path(__file__).resolve().parent / "apps" / "page" / "hello.psp"
SESSION_ID = "5e551011" * 5  # of the session that all connections share
SESSION_COOKIE = ("Cookie", f"theme=dark; gbsid={SESSION_ID}")
FILE_SIZES = {"file1k": 1024, "file1m": 1024 * 1024}


@dataclass(frozen=True)
class Work:
    """One request that is asked again and again."""

    name: str
    kind: Kind
    path: str
    title: str
    expected: bytes
    headers: tuple[tuple[str, str], ...] = ()  # besides those of a browser

    def accepts(self, body: bytes) -> bool:
        """Whether a body is the right one; JSON is compared by value, since writers differ in spaces."""
        if self.name == "json":
            return is_same_json(body, self.expected)
        return body == self.expected


@dataclass(frozen=True)
class Goal:
    """greenbas shall answer at least `factor` times as many requests as `peer`, in the same run."""

    work: str
    peer: str
    factor: float


def file_bytes(name: str) -> bytes:
    """The content of a static file: the same in every run, and nothing that compresses."""
    return random.Random(name).randbytes(FILE_SIZES[name])


def page_bytes() -> bytes:
    """What the server page becomes for the name that the work asks it with."""
    return PAGE.read_bytes().replace(b'<?psp= request.data("name") ?>', b"ann")


def write_files(folder: Path) -> None:
    """Make the folder that file servers serve, readable also by a worker that has dropped its rights."""
    folder.mkdir(mode=0o755)
    for name in FILE_SIZES:
        path = folder / f"{name}.bin"
        path.write_bytes(file_bytes(name))
        path.chmod(0o644)


def is_same_json(left: bytes, right: bytes) -> bool:
    """Whether both are JSON of the same value."""
    try:
        return bool(json.loads(left) == json.loads(right))
    except ValueError:
        return False


WORKS = (
    Work("hello", "handler", "/hello/", "small response from a handler", HELLO),
    Work("json", "handler", "/json/?name=ann&n=3", "query in, JSON out", json.dumps(GREETING).encode()),
    Work("wsgi", "wsgi", "/hello/", "small response from a WSGI application", HELLO),
    Work("page", "page", "/page/hello.psp?name=ann", "small server page with one value", page_bytes()),
    Work("session", "session", "/session/", "handler that reads and writes the session", HELLO, (SESSION_COOKIE,)),
    Work("login", "login", "/private/", "handler behind digest authentication", HELLO, (SESSION_COOKIE,)),
    Work("file1k", "file", "/static/file1k.bin", "static file of 1 KiB", file_bytes("file1k")),
    Work("file1m", "file", "/static/file1m.bin", "static file of 1 MiB", file_bytes("file1m")),
)

GOALS = (
    Goal("hello", "granian", 1.1),
    Goal("hello", "uvicorn", 2.0),
    Goal("hello", "bjoern", 0.75),
    Goal("wsgi", "granian", 0.9),
    Goal("page", "handler", 0.6),
    Goal("session", "handler", 0.8),
    Goal("login", "handler", 0.5),
    Goal("file1k", "nginx", 0.5),
    Goal("file1m", "nginx", 0.9),
)
