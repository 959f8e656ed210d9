"""URLs that responses make: `encode_url`, `encode_redirect_url`, `redirect2tls` (BAS reference b.3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from web import Answer, Client, ask, head, serving

from greenbas import Request, Response


def called(name: str, *args: Any, target: str = "/dir/page", text: str | None = None, **settings: Any) -> Any:
    """What this method of a response returns; what it raises is raised here."""
    found: list[Any] = []

    def handler(request: Request, response: Response) -> None:
        try:
            found.append(getattr(response, name)(*args))
        except Exception as error:
            found.append(error)

    with serving(handler, **settings) as server:
        ask(server, text or head(f"GET {target} HTTP/1.1"))
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


# -- encode_url ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "url"),
    [
        pytest.param("/a/b.txt", "/a/b.txt", id="plain"),
        pytest.param("a/b.txt", "a/b.txt", id="relative"),
        pytest.param("/", "/", id="root"),
        pytest.param("", "", id="empty"),
        pytest.param("/a b", "/a%20b", id="space"),
        pytest.param("/ä€", "/%C3%A4%E2%82%AC", id="letters"),
        pytest.param("/100%", "/100%25", id="percent"),
        pytest.param("/%41", "/%2541", id="what looks escaped"),
        pytest.param("/a?b#c", "/a%3Fb%23c", id="characters that end a path"),
        pytest.param("/a:@!$&'()*+,;=~-._", "/a:@!$&'()*+,;=~-._", id="3986 3.3: characters of a path"),
        pytest.param('/"<>\\^`{|}[]', "/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D", id="3986 3.3: others"),
        pytest.param("/a\r\nX: y\0", "/a%0D%0AX:%20y%00", id="controls"),
        pytest.param("/a/./b/../c", "/a/c", id="dot segments"),
        pytest.param("a/../c", "c", id="dot segments, relative"),
        pytest.param("./a", "a", id="dot, relative"),
        pytest.param("/a/..", "/", id="to the root"),
        pytest.param("/a/.", "/a/", id="the directory itself"),
        pytest.param("/a...b/.c/..d", "/a...b/.c/..d", id="dots in names"),
        pytest.param("a/..", "./", id="3986 4.2: the directory, relative"),
        pytest.param("//host/a", "/.//host/a", id="3986 4.2: no host"),
        pytest.param("/a/..//host/a", "/.//host/a", id="3986 4.2: no host, folded"),
        pytest.param("a/..//b", ".//b", id="3986 4.2: not absolute, folded"),
        pytest.param("javascript:alert(1)", "./javascript:alert(1)", id="3986 4.2: no scheme"),
        pytest.param("a/b:c", "a/b:c", id="3986 4.2: a colon further on"),
        pytest.param("a/../b:c", "./b:c", id="3986 4.2: no scheme, folded"),
    ],
)
def test_encode_url(path: str, url: str) -> None:
    assert called("encode_url", path) == url


@pytest.mark.parametrize("path", ["..", "/..", "a/../..", "/a/../../b", "../a"])
def test_encode_url_above_the_root(path: str) -> None:
    with pytest.raises(ValueError, match="above the root"):
        called("encode_url", path)


@pytest.mark.parametrize("path", ["/a b/ä", "a:b", "//x/y", "x;y=z", "/a?b", "a#b", "/\\x", "-", "%2e%2e/a"])
def test_an_encoded_path_leads_there(path: str) -> None:
    """Whatever is in the path: as a link it stays on this host, and names that path."""
    parts = urlsplit(urljoin("http://x/dir/", called("encode_url", path)))
    wanted = path if path.startswith("/") else f"/dir/{path}"
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("http", "x", "", "")
    assert unquote(parts.path) == wanted or parts.path == "/.//x/y"  # the standard library does not fold this one


# -- encode_redirect_url ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "url", "found"),
    [
        pytest.param("/dir/page", "a", "http://x/dir/a", id="relative"),
        pytest.param("/dir/page?q", "?r=s", "http://x/dir/page?r=s", id="query"),
        pytest.param("/dir/page", "../../../a", "http://x/a", id="above the root"),
        pytest.param("/dir/page", "/a/./b/../c", "http://x/a/c", id="dot segments"),
        pytest.param("/dir/page", "#top", "http://x/dir/page#top", id="fragment"),
        pytest.param("/dir/page", "//y/a", "http://y/a", id="another host"),
        pytest.param("/dir/page", "https://y/a?b=c d", "https://y/a?b=c%20d", id="another scheme"),
        pytest.param("/dir/page", "mailto:a@b", "mailto:a@b", id="another kind"),
        pytest.param("/dir/page", "http://[::1]:8/a", "http://[::1]:8/a", id="IPv6"),
        pytest.param("/d%20r/p", "a", "http://x/d%20r/a", id="a path that needs escapes"),
        pytest.param("/%C3%A4/p", "ö", "http://x/%C3%A4/%C3%B6", id="letters"),
        pytest.param("/dir/page", "/a%20b%", "http://x/a%20b%", id="escapes stay"),
    ],
)
def test_encode_redirect_url(target: str, url: str, found: str) -> None:
    assert called("encode_redirect_url", url, target=target) == found


@pytest.mark.parametrize(
    "url", ["/a\r\nSet-Cookie: b=c", "http://y/\r\n\r\n<html>", "/a\nb", "/a\0b", "/a\x7f", "\tx", "/\u2028", "/\x85"]
)
def test_a_location_cannot_split_the_head(url: str) -> None:
    with serving(lambda request, response: response.send_redirect(url)) as server, Client(server) as client:
        for _ in range(2):
            found = client.ask(head("GET / HTTP/1.1"))
            assert (found.status, found.body) == (302, b"") and "Set-Cookie" not in found
            assert found["Location"].isascii() and found["Location"].isprintable()


FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("url", "query", "body", "found"),
    [
        pytest.param("/a", "", "", "http://x/a", id="none"),
        pytest.param("/a", "b=c", "", "http://x/a?b=c", id="query"),
        pytest.param("/a", "", "b=c", "http://x/a?b=c", id="body"),
        pytest.param("/a", "b=1&b=2", "b=3", "http://x/a?b=1&b=2&b=3", id="both, in order, duplicates kept"),
        pytest.param("/a?x=y", "b=c", "", "http://x/a?x=y&b=c", id="beside its own"),
        pytest.param("/a#f", "b=c", "", "http://x/a?b=c#f", id="before the fragment"),
        pytest.param("/a?x#f", "b=c", "", "http://x/a?x&b=c#f", id="between"),
        pytest.param("/a", "b=%26%3D+%20%23", "", "http://x/a?b=%26%3D++%23", id="escaped"),
        pytest.param("/a", "%C3%A4=%E2%82%AC", "", "http://x/a?%C3%A4=%E2%82%AC", id="letters"),
        pytest.param("/a", "b", "", "http://x/a?b=", id="a name alone"),
        pytest.param("/a", "b=%0D%0AX:y", "", "http://x/a?b=%0D%0AX%3Ay", id="controls"),
    ],
)
def test_with_data(url: str, query: str, body: str, found: str) -> None:
    target = f"/dir/page?{query}" if query else "/dir/page"
    text = head(f"POST {target} HTTP/1.1", FORM, f"Content-Length: {len(body)}") + body
    assert called("encode_redirect_url", url, True, text=text) == found
    assert called("encode_redirect_url", url, text=text).partition("?")[0] == found.partition("?")[0].partition("#")[
        0
    ] + ("#f" if url == "/a#f" else "")


# -- redirect2tls -------------------------------------------------------------------------------------------------


def to_tls(text: str, **settings: Any) -> Answer:
    """What a client gets from a handler that wants TLS."""

    def handler(request: Request, response: Response) -> str:
        response.write("dropped")
        assert response.redirect2tls() is False
        response.reset()
        return "secure"

    with serving(handler, **settings) as server:
        return ask(server, text)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        pytest.param("/", "https://x/", id="root"),
        pytest.param("/a%20b/%C3%A4", "https://x/a%20b/%C3%A4", id="escapes"),
        pytest.param("/a?b=c&d=%20", "https://x/a?b=c&d=%20", id="query"),
        pytest.param("//y/a", "https://x//y/a", id="no other host"),
        pytest.param("/100%25", "https://x/100%25", id="percent"),
    ],
)
def test_redirect2tls(target: str, location: str) -> None:
    found = to_tls(head(f"GET {target} HTTP/1.1"))
    assert (found.status, found["Location"], found.body) == (301, location, b"")


@pytest.mark.parametrize("host", ["x:80", "x:8080", "[::1]:80", "127.0.0.1:1"])
def test_redirect2tls_with_a_port(host: str) -> None:
    """Where TLS listens is then unknown."""
    found = to_tls(f"GET / HTTP/1.1\nHost: {host}\n\n")
    assert found.status == 403 and b"secure connection" in found.body and "Location" not in found


def test_redirect2tls_without_host() -> None:
    """The address it came to has a port as well."""
    assert to_tls("GET / HTTP/1.0\n\n").status == 403


@pytest.mark.parametrize(("host", "location"), [("[::1]", "https://[::1]/"), ("127.0.0.1", "https://127.0.0.1/")])
def test_redirect2tls_of_an_address(host: str, location: str) -> None:
    assert to_tls(f"GET / HTTP/1.1\nHost: {host}\n\n")["Location"] == location


def test_redirect2tls_of_what_is_secure() -> None:
    text = head("GET / HTTP/1.1", "X-Forwarded-Proto: https")
    assert to_tls(text, trusted_proxies=("127.0.0.1",)).body == b"secure"
    assert to_tls(text).status == 301  # anybody may say so


def test_redirect2tls_that_returns() -> None:
    def handler(request: Request, response: Response) -> None:
        assert response.redirect2tls(return2caller=True) is True
        response.set_header("X-Mine", "1")

    with serving(handler) as server:
        found = ask(server, head("GET / HTTP/1.1"))
    assert (found.status, found["X-Mine"]) == (301, "1")
