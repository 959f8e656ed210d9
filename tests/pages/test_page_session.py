"""`session` in pages, beside the other names that keep things: each lives as long as it should, and no longer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from web import get, serving

from greenbas import Server, create
from greenbas.io import MemoryIo
from greenbas.pages import psp_filter


@contextlib.contextmanager
def pages(files: dict[str, str], **settings: Any) -> Iterator[Server]:
    """A server of these pages."""
    io = MemoryIo()
    for name, text in files.items():
        with io.open(name, "w") as file:
            file.write(text.encode())
    reader = create.resrdr(io)
    psp_filter(reader, SimpleNamespace())
    with serving(**settings) as server:
        server.insert(reader)
        yield server


def cookie(answer: Any) -> str:
    return f"Cookie: {answer['set-cookie'].partition(';')[0]}"


# Each scope counts for itself.
COUNTING = """<?psp
env["n"] = env.get("n", 0) + 1
page.n = getattr(page, "n", 0) + 1
app.n = getattr(app, "n", 0) + 1
session.n = session.get("n", 0) + 1
?>
<?psp= env["n"] ?> <?psp= page.n ?> <?psp= app.n ?> <?psp= session.n ?>;"""


def test_scopes_are_kept_apart() -> None:
    twice = COUNTING + "<?psp response.include('.part.psp') ?>"
    with pages({"a.psp": twice, "b.psp": COUNTING, ".part.psp": COUNTING}) as server:
        first = get(server, "/a.psp")
        assert first.body == b"1 1 1 1;2 1 2 2;"  # of the request, the page, the application, the client
        mine = cookie(first)
        assert get(server, "/b.psp", mine).body == b"1 1 3 3;"
        other = get(server, "/b.psp")
        assert other.body == b"1 2 4 1;"
        assert get(server, "/a.psp", cookie(other)).body == b"1 2 5 2;2 2 6 3;"
        assert get(server, "/b.psp", mine).body == b"1 3 7 4;"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("<?psp= session.id() ?>", True),
        ("<?psp if False: ?><?psp session ?><?psp end ?>", True),
        ("session", False),
        ("<?psp= request.session() ?>", False),
        ("<?psp session = request.session() ?><?psp= session ?>", False),
        ("<?psp session = request.session(True) ?>", True),
        ("<?psp= request.method ?>", False),
    ],
)
def test_a_page_that_mentions_it_gets_one(text: str, made: bool) -> None:
    with pages({"a.psp": text}) as server:
        answer = get(server, "/a.psp")
        assert answer.status == 200
        assert ("set-cookie" in answer) is made
        assert len(server.sessions()) == made


def test_an_included_page_may_be_the_first_to_mention_it() -> None:
    with pages({"a.psp": "<?psp response.include('.b.psp') ?>", ".b.psp": "<?psp= session.id() ?>"}) as server:
        answer = get(server, "/a.psp")
        assert (answer.body, "set-cookie" in answer) == (b"1", True)


def test_it_is_the_session_that_handlers_have() -> None:
    with pages({"a.psp": "<?psp session.list.append(2) ?><?psp= session.list ?>"}) as server:

        @server.directory("put")
        def put(request: Any, response: Any) -> None:
            request.session(True).list = [1]
            response.forward("/a.psp")

        answer = get(server, "/put")
        assert answer.body == b"[1, 2]"
        assert get(server, "/a.psp", cookie(answer)).body == b"[1, 2, 2]"


def test_a_page_too_late_for_a_cookie_fails_by_name(caplog: pytest.LogCaptureFixture) -> None:
    first = "x<?psp response.flush(); response.include('.b.psp') ?>"
    with pages({"a.psp": first, ".b.psp": "<?psp session ?>"}) as server:
        with contextlib.suppress(Exception):
            get(server, "/a.psp")
        assert "IsCommitted: a session cannot begin" in caplog.text
