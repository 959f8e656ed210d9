"""The welcome site over plain HTTP: each handler, and that the home page tells the truth about them."""

from __future__ import annotations

import hashlib
import html
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from launch import launched

WELCOME = Path(__file__).resolve().parents[2] / "examples" / "welcome"
HOME = (WELCOME / "public" / "index.html").read_text("utf-8")
SOURCE = (WELCOME / "site.py").read_text("utf-8")
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with launched("examples.welcome.site:server") as url:
        yield url


def test_home_page(site: str) -> None:
    answer = requests.get(f"{site}/", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text == HOME


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("welcome.css", "text/css"),
        ("welcome.js", "text/javascript"),
        ("favicon.svg", "image/svg+xml"),
        ("primes.txt", "text/plain"),
    ],
)
def test_files(site: str, file: str, kind: str) -> None:
    answer = requests.get(f"{site}/{file}", timeout=5)
    assert answer.headers["Content-Type"].partition(";")[0] == kind
    assert answer.content == (WELCOME / "public" / file).read_bytes()


def test_every_local_link_of_the_home_page_is_answered(site: str) -> None:
    links = {html.unescape(link) for link in re.findall(r'(?:href|src|action)="(/[^"#]*)"', HOME)}
    assert len(links) > 10
    for link in links:
        with requests.get(site + link, timeout=10, stream=True) as answer:
            assert (answer.status_code, answer.history) == (200, []), link


def test_home_page_loads_nothing_from_elsewhere() -> None:
    for file in (WELCOME / "public").iterdir():
        addresses = re.findall(r"https?://[^\s\"')]+", file.read_text("utf-8"))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, file.name


@pytest.mark.parametrize("excerpt", re.findall(r'<pre class="[^"]*\bcode\b[^"]*"><code>(.*?)</code>', HOME, re.S))
def test_excerpts_are_the_code(excerpt: str) -> None:
    code = {line.strip() for line in SOURCE.splitlines()}
    lines = [line.strip() for line in html.unescape(excerpt).splitlines()]
    shortened = {line.partition("  #")[0] for line in code}
    assert lines
    assert all(line in code | shortened for line in lines), excerpt


def test_slow_handlers_run_side_by_side(site: str) -> None:
    start = time.monotonic()
    assert requests.get(f"{site}/slow/", timeout=5).json() == {"slept": 0.1}
    assert 0.1 <= time.monotonic() - start < 1

    burst = requests.get(f"{site}/burst/", timeout=20).json()
    assert burst["good"] == 50
    assert 0.1 <= burst["seconds"] < 2.5, "fifty requests took as long as half of them one after another"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ["Ada", "Zoë & <script>alert(1)</script>", "a" * 500, "'\"%00"])
def test_form(site: str, method: str, name: str) -> None:
    where = {"params" if method == "GET" else "data": {"who": name}}
    answer = requests.request(method, f"{site}/hello/", timeout=5, **where)
    assert answer.status_code == 200
    assert f"<h1>Hello, {html.escape(name)}!</h1>" in answer.text
    assert ("in the URL" in answer.text) == (method == "GET")


def test_form_without_a_name(site: str) -> None:
    assert "Hello, stranger!" in requests.get(f"{site}/hello/", timeout=5).text


def test_clock_is_json(site: str) -> None:
    answer = requests.get(f"{site}/clock/", params={"colour": "grün"}, timeout=5)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json()["you_asked_for"] == {"colour": "grün"}


def test_stream_arrives_line_by_line(site: str) -> None:
    arrived = []
    start = time.monotonic()
    with requests.get(f"{site}/stream/?as=text", timeout=10, stream=True) as answer:
        for line in answer.iter_lines(chunk_size=None):
            arrived.append((line.decode(), time.monotonic() - start))
    assert [line.partition(" left")[0] for line, _ in arrived] == [f"line {n}" for n in range(1, 9)]
    assert arrived[0][1] < 1
    assert arrived[-1][1] - arrived[0][1] > 7 * 0.25 * 0.9


def test_stream_as_a_page_is_whole(site: str) -> None:
    answer = requests.get(f"{site}/stream/", timeout=10)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.text.count("left at") == 8
    assert answer.text.rstrip().endswith("</html>")


def test_visits_are_counted_and_forgotten(site: str) -> None:
    browser = requests.Session()
    counts = [browser.get(f"{site}/visits/", headers=JSON, timeout=5).json()["visits"] for _ in range(3)]
    assert counts == [1, 2, 3]
    assert "<h1>Visit number 4</h1>" in browser.get(f"{site}/visits/", timeout=5).text
    assert "dropped" in browser.get(f"{site}/visits/forget", timeout=5).text
    assert browser.get(f"{site}/visits/", headers=JSON, timeout=5).json() == {"visits": 1}


@pytest.mark.parametrize("value", ["", "x", "-5", "9" * 400, "²"])
def test_odd_visits_cookie_counts_from_one(site: str, value: str) -> None:
    headers = {**JSON, "Cookie": f"visits={value}".encode()}
    assert requests.get(f"{site}/visits/", headers=headers, timeout=5).json() == {"visits": 1}


@pytest.mark.parametrize(("number", "prime"), [(1, 2), (26, 101), (1000, 7919)])
def test_part_of_a_file(site: str, number: int, prime: int) -> None:
    first = 16 * (number - 1)
    answer = requests.get(f"{site}/primes.txt", headers={"Range": f"bytes={first}-{first + 15}"}, timeout=5)
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + 15}/16000"
    assert [int(word) for word in answer.text.split()] == [number, prime]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
def test_upload(site: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    answer = requests.post(f"{site}/digest/", data=body[:size], timeout=10)
    assert answer.json() == {"bytes": size, "sha256": hashlib.sha256(body[:size]).hexdigest()}


def test_upload_takes_only_post(site: str) -> None:
    answer = requests.get(f"{site}/digest/", timeout=5)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_request_as_json_and_as_a_page(site: str) -> None:
    odd = {"X-Odd": "<b>&"}
    seen = requests.get(f"{site}/request/?a=1", headers=JSON | odd, timeout=5).json()
    assert (seen["method"], seen["target"]) == ("GET", "/request/?a=1")
    assert seen["client"].startswith("127.0.0.1 port ")
    assert seen["headers"]["x-odd"] == "<b>&"
    assert "<td>&lt;b&gt;&amp;" in requests.get(f"{site}/request/", headers=odd, timeout=5).text


def test_source_is_shown_whole_and_escaped(site: str) -> None:
    shown = requests.get(f"{site}/source/", timeout=5).text
    lines = re.findall(r"<span>(.*)</span>", shown)
    assert html.unescape("\n".join(lines)) + "\n" == SOURCE


@pytest.mark.parametrize("path", ["/nosuch", "/site.py", "/../site.py", "/%2e%2e/site.py", "/public/index.html"])
def test_nothing_else_is_there(site: str, path: str) -> None:
    # A prepared request, because requests itself would resolve the dots.
    request = requests.Request("GET", site).prepare()
    request.url = site + path
    answer = requests.Session().send(request, timeout=5, allow_redirects=False)
    assert answer.status_code in (400, 403, 404)
