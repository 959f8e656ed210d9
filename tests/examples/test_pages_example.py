"""The example of server pages over HTTP: at the root of a server and below a prefix."""

from __future__ import annotations

import hashlib
import html
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
import requests
from forms import FORM_TYPE, field, form
from support import wait_until
from web import Client, get, head, serving

from greenbas import Server, Timer, create
from greenbas.application import Application
from greenbas.io import DiskIo
from greenbas.pages import Scope

PAGES = Path(__file__).resolve().parents[2] / "examples" / "pages"
HOSTILE = "\"'><script>alert(1)</script></textarea></title>&amp;"
VOID = {"meta", "link", "img", "input", "br"}


@dataclass
class Site:
    """The example, mounted somewhere.

    Attributes:
        server: who serves it.
        app: the application.
        prefix: its path, with a slash at the end.
    """

    server: Server
    app: Application
    prefix: str

    @property
    def scope(self) -> Any:
        """What its pages know as `app`."""
        assert isinstance(self.app.scope, Scope)
        return self.app.scope

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.server.listeners[0].port}{self.prefix}{path}"

    def ask(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        return requests.request(method, self.url(path), timeout=10, **options)

    def shown(self, path: str, method: str = "GET", status: int = 200, **options: Any) -> Tree:
        """The elements of a page, which has to be well-formed."""
        answer = self.ask(path, method, **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        return Tree(answer.content.decode())


class Tree(HTMLParser):
    """The elements of a page; fails unless each is closed in its turn.

    Attributes:
        elements: name, attributes and text of each.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        assert text.startswith("<!doctype html>\n")
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def texts(self, tag: str, **wanted: str) -> list[str]:
        """The text of the elements with this name and these attributes, its white space as a browser shows it."""
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        found = [texts for name, attrs, texts in self.elements if name == tag and wanted.items() <= attrs.items()]
        return [" ".join("".join(texts).split()) for texts in found]

    def text(self, tag: str, **wanted: str) -> str:
        """The text of the only such element."""
        (text,) = self.texts(tag, **wanted)
        return text

    def attributes(self, tag: str, name: str) -> list[str]:
        """The values of an attribute of the elements that have it."""
        return [attrs[name] or "" for tag_, attrs, _ in self.elements if tag_ == tag and name in attrs]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture(scope="module", params=["", "guests/pages"])
def site(server: Server, request: pytest.FixtureRequest) -> Site:
    *folders, name = request.param.split("/")
    place = server.root
    for folder in folders:
        place.insert(made := create.dir(folder))
        place = made
    app = Application(DiskIo(PAGES), name=name or None, priority=-1)
    place.insert(app)
    for timer in timers(app):
        timer.cancel()  # no test is to see it tick by chance
    return Site(server, app, app.base_uri())


def timers(app: Application) -> list[Timer]:
    """The active timers of an application, the youngest last."""
    return [thing for thing in app.owner.things() if isinstance(thing, Timer) and thing.active]


# -- all pages ----------------------------------------------------------------------------------------------------


def test_every_link_is_answered_and_stays_in_the_application(site: Site) -> None:
    seen, new = {site.url()}, [site.url()]
    while new:
        page = new.pop()
        # The two that take their time by themselves are asked to hurry.
        slow = page.endswith(("stream.psp", "deferred.psp"))
        answer = requests.get(page, params={"delay": 0, "seconds": 0} if slow else None, timeout=10)
        assert answer.status_code == (404 if "nosuch" in page else 405 if page.endswith("/api/") else 200), page
        assert answer.url.startswith(site.url())
        if answer.headers["Content-Type"].startswith("text/html") and answer.status_code != 405:
            tree = Tree(answer.content.decode())
            links = [link for tag in ("a", "link") for link in tree.attributes(tag, "href")]
            links += [link for tag in ("img", "script") for link in tree.attributes(tag, "src")]
            links += tree.attributes("form", "action")
            assert not [link for link in links if link.startswith("/") or urlsplit(link).scheme]
            found = {urljoin(answer.url, link) for link in links} - seen
            seen |= found
            new += found
    reached = {urlsplit(url).path.removeprefix(site.prefix) for url in seen}
    files = {path.name for path in PAGES.iterdir() if not path.name.startswith(".")} - {"index.psp", "README.md"}
    assert files - reached == set()


def test_prefix_without_a_slash_is_redirected(site: Site) -> None:
    if site.prefix != "/":
        answer = site.ask("../pages", allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, site.url())


@pytest.mark.parametrize(
    "path",
    [".preload.py", ".header.psp", ".cart-list.psp", ".modules/cart.py", ".views/news.psp", ".views/", "nosuch.psp"],
)
def test_hidden_and_missing_files_are_not_found(site: Site, path: str) -> None:
    assert site.ask(path).status_code == 404


@pytest.mark.parametrize("path", ["", "form.psp", "cart.psp", "views.psp?view=news", "moved.psp", "stream.psp?delay=0"])
def test_head_tells_the_length(site: Site, path: str) -> None:
    site.scope.shown = 100  # the pages show the number, and with it their length would grow
    expected = site.ask(path)
    with Client(site.server) as client:  # a body would be taken for the next response
        for _ in range(2):
            answer = client.ask(head(f"HEAD {site.prefix}{path} HTTP/1.1"))
            assert (answer.status, answer.body) == (200, b"")
            assert answer["Content-Type"] == expected.headers["Content-Type"]
            if "Content-Length" in expected.headers:
                assert answer["Content-Length"] == expected.headers["Content-Length"]


def test_readme_names_every_page() -> None:
    readme = (PAGES / "README.md").read_text("utf-8")
    assert [path.name for path in PAGES.glob("*.psp") if f"`{path.name}`" not in readme] == []


# -- the first page and the start script --------------------------------------------------------------------------


def test_visits_are_counted(site: Site) -> None:
    site.scope.recent.clear()
    site.scope.recent.extend([0] * 29 + [3])
    site.scope.next_span()
    before = site.scope.shown
    tree = site.shown("")
    assert site.scope.shown == before + 1
    assert list(site.scope.recent) == [0] * 28 + [3, 1]
    assert tree.attributes("i", "style") == ["height: 0%"] * 28 + ["height: 100%", "height: 33%"]
    assert f"Pages shown since the start: {before + 1}" in tree.text("footer")
    assert re.search(r" 4 pages, .* shown [1-9][0-9]* times?\.", tree.text("section"))


def test_unloading_says_goodbye_and_closes_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenbas.app")
    app = Application(DiskIo(PAGES), name="short")
    with serving() as server:
        server.insert(app)
        assert get(server, "/short/form.psp").status == 200
        (timer,) = timers(app)
        assert app.scope.recent[-1] == 1
        timer.reset(0.01)
        wait_until(lambda: app.scope.recent[-1] == 0 and timer.active)
        assert get(server, "/short/api/").status == 405
        app.reload()
        assert not timer.active
        assert caplog.messages == ["1 pages were shown"]
        assert [child.name() for child in app.children] == ["api"]
        assert (app.scope.shown, get(server, "/short/form.psp").status) == (0, 200)
    assert caplog.messages[1:] == ["1 pages were shown"]
    assert (app.owner.things(), app.children) == ([], [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0.5", 0.5),
        ("5", 5),
        *((bad, 2) for bad in [None, "", "x", "-1", "5.1", "nan", "inf", "1e400", "٣٠"]),
    ],
)
def test_times_are_bounded(site: Site, text: str | None, seconds: float) -> None:
    assert site.scope.seconds(text, 2) == seconds


# -- the form -----------------------------------------------------------------------------------------------------


def fields(tree: Tree) -> dict[str, Any]:
    """What the fields of the order form hold."""
    inputs = [attrs for tag, attrs, _ in tree.elements if tag == "input"]
    return {
        "name": next(one["value"] for one in inputs if one["name"] == "name"),
        "size": [attrs["value"] for tag, attrs, _ in tree.elements if tag == "option" and "selected" in attrs],
        "extra": [one["value"] for one in inputs if one["name"] == "extra" and "checked" in one],
        "note": tree.text("textarea"),
        "agreed": any(one["name"] == "agreed" and "checked" in one for one in inputs),
    }


def test_form_is_empty_at_first(site: Site) -> None:
    tree = site.shown("form.psp")
    assert fields(tree) == {"name": "", "size": ["m"], "extra": [], "note": "", "agreed": False}
    assert tree.texts("span") == []


def test_form_is_accepted(site: Site) -> None:
    sent = {"name": " Zoë <3 ", "size": "l", "extra": ["onions", "capers"], "note": "1 < 2 & so on", "agreed": "on"}
    tree = site.shown("form.psp", "POST", data=sent)
    assert tree.text("h2") == "Thank you, Zoë <3!"
    assert "One large pizza with onions & garlic, capers is on its way" in tree.text("div")
    assert tree.text("pre") == "1 < 2 & so on"
    assert tree.texts("form") == []


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "x" * 41}, ["name"]),
        ({"size": "xxl"}, ["size"]),
        ({"size": ""}, ["size"]),
        ({"extra": ["gold", "olives"]}, ["extra"]),
        ({"extra": ["olives", "capers", "onions", "chilli"]}, ["extra"]),
        ({"agreed": []}, ["agreed"]),
        ({"name": "", "size": "q", "agreed": []}, ["name", "size", "agreed"]),
    ],
)
def test_faults_are_told_and_the_fields_kept(site: Site, changes: dict[str, Any], faults: list[str]) -> None:
    sent = {"name": "Ann", "size": "s", "extra": ["olives"], "note": "Hello", "agreed": ["on"], **changes}
    tree = site.shown("form.psp", "POST", 422, data=sent)
    assert tree.attributes("span", "id") == [f"fault-{name}" for name in faults]
    assert all(tree.texts("span"))
    kept = fields(tree)
    assert kept["name"] == sent["name"].strip()
    assert kept["size"] == ([sent["size"]] if sent["size"] in ("s", "m", "l") else [])
    assert kept["extra"] == [extra for extra in sent["extra"] if extra != "gold"]
    assert (kept["note"], kept["agreed"]) == ("Hello", bool(sent["agreed"]))


def test_form_escapes_what_it_shows_again(site: Site) -> None:
    sent = {"name": HOSTILE, "size": HOSTILE, "extra": [HOSTILE, "olives"], "note": HOSTILE}
    tree = site.shown("form.psp", "POST", 422, data=sent)
    assert (fields(tree)["name"], fields(tree)["note"]) == (HOSTILE, HOSTILE)
    assert tree.texts("script") == []


def test_form_takes_no_other_methods(site: Site) -> None:
    assert site.ask("form.psp", "DELETE").status_code == 405


# -- the cart -----------------------------------------------------------------------------------------------------


def cart(tree: Tree) -> tuple[list[str], str]:
    """The lines of the cart, and its total."""
    rows = tree.texts("tr")
    return [row.removesuffix(" −") for row in rows[:-2]], tree.text("th", id="total") if rows else ""


@pytest.mark.parametrize(
    ("steps", "lines", "delivery", "total"),
    [
        ("+tea", ["Pot of tea 1 × € 3.50 € 3.50"], "€ 2.90", "€ 6.40"),
        (
            "+soup +tea +soup",
            ["Soup of the day 2 × € 4.50 € 9.00", "Pot of tea 1 × € 3.50 € 3.50"],
            "€ 2.90",
            "€ 15.40",
        ),
        ("+tea +bread -tea", ["Bread & butter 1 × € 2.20 € 2.20"], "€ 2.90", "€ 5.10"),
        ("+pie +pie +soup", ["Soup of the day 1 × € 4.50 € 4.50", "Half a pie 2 × € 7.80 € 15.60"], "free", "€ 20.10"),
        ("+pie +pie +soup -pie -pie -pie -gold +gold", ["Soup of the day 1 × € 4.50 € 4.50"], "€ 2.90", "€ 7.40"),
    ],
)
def test_cart(site: Site, steps: str, lines: list[str], delivery: str, total: str) -> None:
    browser = requests.Session()
    for step in steps.split():
        what = {("add" if step[0] == "+" else "remove"): step[1:]}
        answer = browser.post(site.url("cart.psp"), data=what, timeout=5)
        assert [one.status_code for one in answer.history] == [302]
        assert answer.url == site.url("cart.psp")
    tree = Tree(answer.content.decode())
    assert cart(tree) == (lines, total)
    assert tree.text("td", id="delivery") == delivery


def test_cart_that_is_emptied_says_so(site: Site) -> None:
    browser = requests.Session()
    browser.post(site.url("cart.psp"), data={"add": "tea"}, timeout=5)
    answer = browser.post(site.url("cart.psp"), data={"remove": "tea"}, timeout=5)
    assert "The cart is empty." in answer.text
    assert "<table>" not in answer.text


def test_cart_changes_by_post_only(site: Site) -> None:
    answer = site.ask("cart.psp?add=tea")
    assert "Set-Cookie" not in answer.headers
    assert "The cart is empty." in answer.text


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("tea.20", 1),
        *((bad, 0) for bad in ["", "tea", "tea.0", "tea.21", "tea.-1", "tea.1e9", "tea.99999999", "gold.1", "tea.٣"]),
        (HOSTILE, 0),
        ("%00", 0),
        ("-".join(f"tea.{n}" for n in range(99)), 1),
        ("-" * 4000, 0),
        ("tea.1-<b>.2-soup.3", 2),
    ],
)
def test_hostile_carts(site: Site, value: str, lines: int) -> None:
    cookie = {"Cookie": b"cart=" + quote(value, safe="").encode()}
    tree = site.shown("cart.psp", headers=cookie)
    assert len(cart(tree)[0]) == lines
    assert tree.texts("script") == []
    answer = site.ask("cart.psp", "POST", headers=cookie, data={"add": HOSTILE}, allow_redirects=False)
    assert re.fullmatch(r"cart=[a-z0-9.-]*; .*", answer.headers["Set-Cookie"])


def test_cart_has_a_limit(site: Site) -> None:
    answer = site.ask("cart.psp", "POST", headers={"Cookie": "cart=tea.20"}, data={"add": "tea"}, allow_redirects=False)
    assert answer.headers["Set-Cookie"].startswith("cart=tea.20;")


# -- forwards and redirects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("view", "title"), [("news", "News"), ("about", "About"), ("", "Views")])
def test_views(site: Site, view: str, title: str) -> None:
    tree = site.shown(f"views.psp?view={view}")
    assert tree.text("h1") == title
    assert "source.psp?file=views.psp" in tree.attributes("a", "href")


@pytest.mark.parametrize(
    "view",
    ["nosuch", "../.header", "../.cart-list", "not-found", ".", "..", "/", "news.psp", "\0", "é", "x" * 300, HOSTILE],
)
def test_views_that_are_not_there(site: Site, view: str) -> None:
    tree = site.shown("views.psp", status=404, params={"view": view})
    assert f"There is no view “{view[:60]}”. The status is 404." in tree.texts("p", class_="lead")
    assert tree.texts("script") == []


def test_redirects_inside_and_outside(site: Site) -> None:
    inside = site.ask("moved.psp")
    assert (inside.history, inside.url) == ([], site.url("moved.psp"))
    assert Tree(inside.text).text("h1") == "Order a pizza"
    outside = site.ask("moved.psp?tell=1")
    assert ([one.status_code for one in outside.history], outside.url) == ([302], site.url("form.psp"))


# -- the directory function ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "data"])
@pytest.mark.parametrize(
    ("text", "measures"),
    [
        ("Plain functions, many at once.", {"characters": 30, "words": 5, "longest": "functions,"}),
        ("Zoë\n<b>", {"characters": 7, "words": 2, "longest": "Zoë"}),
        ("", {"characters": 0, "words": 0, "longest": ""}),
    ],
)
def test_api(site: Site, kind: str, text: str, measures: dict[str, Any]) -> None:
    answer = site.ask("api/", "POST", **{kind: {"text": text}})
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.status_code, answer.json()) == (200, measures)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"text": 1}', b'{"other": "x"}', b"\xff", b"[" * 100_000]
)
def test_api_refuses_what_is_no_text(site: Site, body: bytes) -> None:
    answer = site.ask("api/", "POST", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert list(json.loads(answer.content)) == ["error"]


def test_api_takes_posts_only(site: Site) -> None:
    answer = site.ask("api/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, HEAD, OPTIONS")


# -- the upload ---------------------------------------------------------------------------------------------------


def files(tree: Tree) -> list[list[str]]:
    """Name, type, bytes and SHA-256 of the files that a page has received."""
    values = tree.texts("dd")
    names = tree.texts("h2")
    return [[name, *values[3 * number : 3 * number + 3]] for number, name in enumerate(names)]


def test_large_file_is_hashed_as_it_arrives(site: Site) -> None:
    size = 30_000_000  # three times what may be held in memory
    body = form(field("note", b"not a file"), field("file", bytes(size), "zeros.bin", "Content-Type: x/zeros"))
    tree = site.shown("upload.psp", "POST", data=body, headers={"Content-Type": FORM_TYPE})
    assert files(tree) == [["zeros.bin", "x/zeros", "30,000,000", hashlib.sha256(bytes(size)).hexdigest()]]


def test_several_files(site: Site) -> None:
    sent = [("file", (name, data)) for name, data in [("a.txt", b"one"), ("b", b""), (f"{HOSTILE}.txt", b"\0\r\n--")]]
    tree = site.shown("upload.psp", "POST", files=sent)
    shown = files(tree)
    assert [name for name, *_ in shown[:2]] == ["a.txt", "b"]
    assert shown[2][0].endswith(".txt")
    assert [digest for *_, digest in shown] == [hashlib.sha256(data).hexdigest() for _, (_, data) in sent]
    assert tree.texts("script") == []


def test_form_without_a_file(site: Site) -> None:
    body = form(field("file", b"", ""))
    tree = site.shown("upload.psp", "POST", data=body, headers={"Content-Type": FORM_TYPE})
    assert tree.texts("p", class_="fault") == ["No file was chosen."]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"file=x", 415),
        ("application/json", b"{}", 415),
        (FORM_TYPE, b"nonsense", 400),
        (FORM_TYPE, form(field("file", b"x" * 100, "cut.txt"))[:150], 400),
    ],
)
def test_what_is_no_form_is_refused(site: Site, kind: str, body: bytes, status: int) -> None:
    assert site.ask("upload.psp", "POST", data=body, headers={"Content-Type": kind}).status_code == status


# -- the deferred page --------------------------------------------------------------------------------------------


def ring(site: Site) -> None:
    """Have the youngest timer of the application go off at once."""
    assert timers(site.app)[-1].reset(0)


def test_deferred_page_is_overtaken(site: Site) -> None:
    with Client(site.server) as early, Client(site.server) as late:
        early.send(head(f"GET {site.prefix}deferred.psp?seconds=5 HTTP/1.1"))
        wait_until(lambda: site.scope.waiting == 1)
        assert late.ask(head(f"GET {site.prefix}form.psp HTTP/1.1")).status == 200
        assert late.ask(head(f"GET {site.prefix}cart.psp HTTP/1.1")).status == 200
        late.send(head(f"GET {site.prefix}deferred.psp?seconds=5 HTTP/1.1"))
        wait_until(lambda: site.scope.waiting == 2)
        ring(site)
        second = Tree(late.answer().body.decode())
        ring(site)
        first = Tree(early.answer().body.decode())
        assert (first.text("h1"), "Others who still wait" in first.text("dl")) == ("Later", True)
        assert (first.text("dd", id="meanwhile"), first.text("dd", id="waiting")) == ("3", "0")
        assert (second.text("dd", id="meanwhile"), second.text("dd", id="waiting")) == ("0", "1")
        # The connections serve on.
        assert early.ask(head(f"GET {site.prefix}form.psp HTTP/1.1")).status == 200
    assert site.scope.waiting == 0


def test_deferred_page_whose_visitor_has_gone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(site.server)
    client.send(head(f"GET {site.prefix}deferred.psp?seconds=5 HTTP/1.1"))
    wait_until(lambda: site.scope.waiting == 1)
    client.reset()
    ring(site)
    wait_until(lambda: site.scope.waiting == 0)
    assert caplog.messages == []


def test_head_of_the_deferred_page(site: Site) -> None:
    with Client(site.server) as client:
        answer = client.ask(head(f"HEAD {site.prefix}deferred.psp?seconds=0 HTTP/1.1"))
        assert (answer.status, answer.body) == (200, b"")
        assert client.ask(head(f"GET {site.prefix}form.psp HTTP/1.1")).status == 200


# -- the page that arrives line by line ---------------------------------------------------------------------------


def chunks(client: Client) -> Iterator[str]:
    """The chunks of a response, each as soon as it has arrived."""
    assert b"Transfer-Encoding: chunked" in client.read_until(b"\r\n\r\n")
    while size := int(client.read_until(b"\r\n"), 16):
        data = b""
        while len(data) < size + 2:
            data += client.read_until(b"\n")
        yield data.decode()


def test_lines_leave_one_by_one(site: Site) -> None:
    with Client(site.server) as client:
        client.send(head(f"GET {site.prefix}stream.psp?delay=0.05 HTTP/1.1"))
        arrived = list(chunks(client))
    numbers = [re.findall(r"<li>Line (\d+) left at [\d:]{8}</li>", chunk) for chunk in arrived]
    assert numbers == [[str(number)] for number in range(1, 11)] + [[]]
    assert "</html>" in arrived[-1]


def test_first_line_is_there_while_the_page_runs(site: Site) -> None:
    with Client(site.server) as client:
        client.send(head(f"GET {site.prefix}stream.psp?delay=5 HTTP/1.1"))
        assert "<li>Line 1 left" in next(chunks(client))
        assert site.scope.streaming == 1  # for five seconds from now


def test_page_ends_when_its_visitor_goes(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    app = Application(DiskIo(PAGES), name="leaving")
    server.insert(app)
    client = Client(server)
    client.send(head("GET /leaving/stream.psp?delay=0.05 HTTP/1.1"))
    next(chunks(client))
    client.reset()
    wait_until(lambda: app.scope.streaming == 0)
    assert caplog.messages == []
    app.unload()
    app.unlink()


# -- the sources --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["form.psp", ".preload.py", ".modules/cart.py", ".views/news.psp", "pages.css"])
def test_source_is_shown_whole(site: Site, file: str) -> None:
    answer = site.ask("source.psp", params={"file": file})
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = site.ask("source.psp", params={"file": file}, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    for text in (answer.text, plain.text):
        lines = re.findall(r"<span>(.*)</span>", text)
        assert html.unescape("\n".join(lines)) + "\n" == (PAGES / file).read_text("utf-8")


@pytest.mark.parametrize(
    "file", ["nosuch", "../welcome/site.py", "/etc/passwd", "favicon.svg", ".modules", "", HOSTILE]
)
def test_source_shows_nothing_else(site: Site, file: str) -> None:
    answer = site.ask("source.psp", params={"file": file})
    assert answer.status_code == 404
    assert "<script>" not in answer.text
