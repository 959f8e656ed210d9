"""Links in pages: what is rewritten, what is not, and that it does not matter where the page is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbas_plugins.proxy.links import MAX_STYLE, MAX_TAG, LinkRewriter, rewritable, unvalidated
from greenbas_plugins.proxy.rewriting import Here, UrlMap

HERE = Here(b"https", b"public.example")
URLS = UrlMap(["http://backend:8000"], mount=b"/shop", base=b"/app")
# In the tables, "@" stands for the backend's and "$" for the proxy's URL.
THERE, SHOWN = "http://backend:8000/app", "https://public.example/shop"


def through(page: bytes, cuts: list[int] | None = None, *, xml: bool = False) -> bytes:
    rewriter = LinkRewriter(URLS, HERE, xml=xml)
    edges = [0, *sorted(cuts or []), len(page)]
    pieces = [page[start:end] for start, end in itertools.pairwise(edges)]
    return b"".join([rewriter.feed(piece) for piece in pieces]) + rewriter.finish()


REWRITTEN = [
    ('<a href="@/x">', '<a href="$/x">'),
    ("<a href='@/x'>", "<a href='$/x'>"),
    ("<a href=@/x>", "<a href=$/x>"),
    ("<a href=@>", "<a href=$>"),
    ('<A HREF = "@/x" >', '<A HREF = "$/x" >'),
    ("<a\nhref\n=\n'@/x'\n>", "<a\nhref\n=\n'$/x'\n>"),
    ('<a/href="@/x"/>', '<a/href="$/x"/>'),
    ('<a href=" @/x ">', '<a href=" $/x ">'),
    ('<a href="@/x?a=1&amp;b=@">', '<a href="$/x?a=1&amp;b=@">'),
    ('<a title=it\'s href="@/x">', '<a title=it\'s href="$/x">'),
    ('<a title="> <a href=@/no>" href="@/x">', '<a title="> <a href=@/no>" href="$/x">'),
    ('<a "odd" ==x href="@/x">', '<a "odd" ==x href="$/x">'),
    ('<a href="@/1" href="@/2">', '<a href="$/1" href="$/2">'),
    ('<img src="@/x" alt="@/x">', '<img src="$/x" alt="@/x">'),
    ('<form action="@/x"><button formaction="@/y">', '<form action="$/x"><button formaction="$/y">'),
    ('<video poster="@/x"><object data="@/y">', '<video poster="$/x"><object data="$/y">'),
    ('<use xlink:href="@/x"/>', '<use xlink:href="$/x"/>'),
    ('<base href="@/">', '<base href="$/">'),
    ('<link rel=stylesheet href="@/x.css">', '<link rel=stylesheet href="$/x.css">'),
    ('<script src="@/x.js"></script><a href="@/y">', '<script src="$/x.js"></script><a href="$/y">'),
    ('<img srcset="@/a.png 1x, @/b.png 2x,/c 3x">', '<img srcset="$/a.png 1x, $/b.png 2x,/c 3x">'),
    ('<a ping="@/a @/b" href=x>', '<a ping="$/a $/b" href=x>'),
    ('<p style="background:url(@/x)">', '<p style="background:url($/x)">'),
    ("<p style=\"background:URL( '@/x' )\">", "<p style=\"background:URL( '$/x' )\">"),
    ('<p style="a:url(&quot;@/x&quot;),url(&#39;@/y&#39;)">', '<p style="a:url(&quot;$/x&quot;),url(&#39;$/y&#39;)">'),
    ("<style>p{a:url(@/x)}q{a:url('@/y')}</style>", "<style>p{a:url($/x)}q{a:url('$/y')}</style>"),
    ('<style>@import "@/x";@import url(@/y);</style>', '<style>@import "$/x";@import url($/y);</style>'),
    ('<meta http-equiv="refresh" content="5; url=@/x">', '<meta http-equiv="refresh" content="5; url=$/x">'),
    ("<META content='0;@/x' HTTP-EQUIV=Refresh>", "<META content='0;$/x' HTTP-EQUIV=Refresh>"),
    ('<a href="//backend:8000/app/x">', '<a href="$/x">'),
    ('<a href="HTTP://Backend:8000/app/x">', '<a href="$/x">'),
    ('<a href="https://public.example/app/x">', '<a href="$/x">'),
    ("1 < 2 <3 <- <a href=@/x>", "1 < 2 <3 <- <a href=$/x>"),
    ("<!DOCTYPE html><a href=@/x>", "<!DOCTYPE html><a href=$/x>"),
    ("<!--><a href=@/x>", "<!--><a href=$/x>"),
    ("<!---><a href=@/x>", "<!---><a href=$/x>"),
    ("<!-- @ --><a href=@/x>", "<!-- @ --><a href=$/x>"),
    ("<!- <a href=@/x> ->", "<!- <a href=$/x> ->"),
    ("<script>x</scripted></SCRIPT ><a href=@/x>", "<script>x</scripted></SCRIPT ><a href=$/x>"),
    ("<scripted><a href=@/x>", "<scripted><a href=$/x>"),
    ("<textarea></textarea><a href=@/x>", "<textarea></textarea><a href=$/x>"),
    ("</a href=@/no><a href=@/x>", "</a href=@/no><a href=$/x>"),
]

UNTOUCHED = [
    "",
    "plain @/x text",
    "<a>@/x</a>",
    '<a href="/app/x">',
    '<a href="x//y">',
    '<a href="https://elsewhere.example/?@/x">',
    '<a href="http://backend:8000/other">',
    '<a href="http://backend:8000.evil.example/app">',
    '<a href="http&#58;//backend:8000/app/x">',
    '<a title="@/x" data-href="@/x" hrefs="@/x" id=@/x>',
    '<meta property="og:url" content="@/x">',
    '<meta http-equiv="refresh" content="5; url=/app//x">',
    "<!-- <a href='@/x'> -->",
    "<!-- <a href='@/x'> --",
    "<script>'<a href=\"@/x\">'</script>",
    "<SCRIPT>'<a href=\"@/x\">'</Script>",
    "<script src=x />'<a href=\"@/x\">'</script>",
    "<textarea><a href='@/x'></textarea>",
    "<title><a href='@/x'></title>",
    "<noframes><a href='@/x'></noframes>",
    "<style>/* @/x */</style>",
    "<p style='a:b'>url(@/x)",
    # Cut off in the middle
    '<a href="@/x',
    "<a href=@/x",
    "<a href='@/x'",
    "<a",
    "<",
    "<!",
    "<!-",
    "<script>a</scrip",
    "<script",
    "<style>a{",
    '<a href="@/x"<b',
]


def filled(text: str, origin: str) -> bytes:
    # "@import" is the one place where the sign means itself.
    return text.replace("@import", "\1").replace("@", THERE).replace("$", origin).replace("\1", "@import").encode()


@pytest.mark.parametrize(("page", "expected"), REWRITTEN)
def test_rewritten_wherever_it_is_cut(page: str, expected: str) -> None:
    there, shown = filled(page, SHOWN), filled(expected, SHOWN)
    assert through(there) == shown
    assert through(there, list(range(len(there)))) == shown
    for cut in range(len(there)):
        assert through(there, [cut]) == shown


@pytest.mark.parametrize("page", UNTOUCHED)
def test_byte_for_byte_wherever_it_is_cut(page: str) -> None:
    there = filled(page, SHOWN)
    assert through(there) == there
    assert through(there, list(range(len(there)))) == there
    for cut in range(len(there)):
        assert through(there, [cut]) == there


@settings(max_examples=60)
@given(st.data())
def test_whole_pages_wherever_they_are_cut(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(REWRITTEN), max_size=8))
    page = filled("</p>\n".join(part for part, _ in parts), SHOWN)
    # Some parts change what those behind them mean (a comment that is open): the uncut page is the measure.
    cuts = data.draw(st.lists(st.integers(0, len(page)), max_size=12))
    assert through(page, cuts) == through(page)


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(["<", ">", "a", " ", "=", '"', "'", "/", "<a ", "href=", "@/x", "<!--", "-->", "\n"])
        | st.sampled_from(["<script", "</script>", "<style>", "</style ", "url(", ")", ";", "&quot;", "style="]),
        max_size=25,
    ),
    st.lists(st.integers(0, 200), max_size=10),
)
def test_any_soup_keeps_all_but_the_origin(soup: list[str], cuts: list[int]) -> None:
    page = filled("".join(soup), SHOWN)
    shown = through(page, [cut for cut in cuts if cut < len(page)])
    assert shown == through(page)
    assert shown.replace(SHOWN.encode(), THERE.encode()) == page


def test_any_bytes() -> None:
    page = bytes(range(256)) * 4 + b"<a href=http://backend:8000/app/\xff>" + "<a href='x'>".encode("utf-16")
    assert through(page) == page.replace(THERE.encode(), SHOWN.encode())


def test_xml_elements_may_close_themselves() -> None:
    page = filled('<script src="x"/><a href="@/x">', SHOWN)
    assert through(page) == page
    assert through(page, xml=True) == filled('<script src="x"/><a href="$/x">', SHOWN)


# -- streaming and memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fed", "out"),
    [
        (b"text", b"text"),
        (b"text <a hr", b"text "),
        (b"text <", b"text "),
        (b"<p>text</p>", b"<p>text</p>"),
        (b"<p>text</", b"<p>text</"),
        (b"<script>let x = 1", b"<script>let x = 1"),
        (b"<script>a < b", b"<script>a "),
        (b"<!-- text", b"<!-- te"),
        (b"<style>a{b:c}d{e", b"<style>a{b:c}d{"),
    ],
)
def test_what_is_certain_goes_on_at_once(fed: bytes, out: bytes) -> None:
    rewriter = LinkRewriter(URLS, HERE)
    assert rewriter.feed(fed) == out
    assert rewriter.finish() == fed[len(out) :]
    assert rewriter.finish() == b""


@pytest.mark.parametrize(
    ("start", "filling", "bound"),
    [
        (b"<a href='", b"x" * 1000, MAX_TAG),
        (b"<a href='", b">" * 1000, MAX_TAG),
        (b"<a ", b"x=y " * 250, MAX_TAG),
        (b"<a", b"x" * 1000, MAX_TAG),
        (b"<style>", b"x" * 1000, MAX_STYLE),
        (b"<script>", b"x" * 1000, 100),
        (b"<!--", b"-" * 1000, 100),
        (b"", b"<" * 1000, 100),
    ],
)
def test_little_is_held_back_whatever_comes(start: bytes, filling: bytes, bound: int) -> None:
    rewriter = LinkRewriter(URLS, HERE)
    fed = rewriter.feed(start)
    given_ = start
    for _ in range(300):
        fed += rewriter.feed(filling)
        given_ += filling
        assert len(given_) - len(fed) <= bound + 1000
    assert fed + rewriter.finish() == given_


def test_large_tags_below_the_limit_are_rewritten() -> None:
    page = b"<img title='" + b"x" * (MAX_TAG - 1000) + b"' src='http://backend:8000/app/x'>"
    assert through(page, list(range(0, len(page), 999))).endswith(b"src='https://public.example/shop/x'>")


def test_after_a_tag_that_was_too_large_links_are_rewritten_again() -> None:
    page = b"<img src='data:" + b"x" * 3 * MAX_TAG + b"'><a href='http://backend:8000/app/x'>"
    assert through(page, list(range(0, len(page), 5000))).endswith(b"'><a href='https://public.example/shop/x'>")


@pytest.mark.parametrize(
    "piece", ["<", "<a", "<a ", "=", "<a =", '<a "', "<a b=' '", "<!", "<!--", "<style>url(", "//", "<a style='url(//"]
)
def test_long_nonsense_takes_no_long_time(piece: str) -> None:
    # Milliseconds; if it were quadratic, the time-out would end it.
    page = piece.encode() * 100_000
    assert through(page) == page


# -- which responses ----------------------------------------------------------------------------------------------

HTML = (b"Content-Type", b"text/html")


@pytest.mark.parametrize(
    ("status", "fields", "verdict"),
    [
        (200, [HTML], True),
        (200, [(b"content-type", b"Text/HTML; charset=utf-8")], True),
        (200, [(b"Content-Type", b"application/xhtml+xml ")], True),
        (404, [HTML], True),
        (200, [HTML, (b"Content-Encoding", b"identity")], True),
        (200, [HTML, (b"Content-Encoding", b"")], True),
        (200, [HTML, (b"Content-Encoding", b"gzip")], False),
        (200, [(b"content-encoding", b"br"), HTML], False),
        (200, [], False),
        (200, [(b"Content-Type", b"text/plain")], False),
        (200, [(b"Content-Type", b"text/html5")], False),
        (200, [(b"Content-Type", b"text/html; charset=UTF-16LE")], False),
        (103, [HTML], False),
        (204, [HTML], False),
        (206, [HTML], False),
        (304, [HTML], False),
    ],
    ids=str,
)
def test_rewritable(status: int, fields: list[tuple[bytes, bytes]], verdict: bool) -> None:
    assert rewritable(status, fields) is verdict


def test_unvalidated() -> None:
    fields = [HTML, (b"ETag", b'"a"'), (b"Accept-Ranges", b"bytes"), (b"Content-MD5", b"x"), (b"digest", b"x")]
    assert unvalidated(fields) == [HTML, (b"ETag", b'W/"a"')]
    assert unvalidated([(b"etag", b'W/"a"')]) == [(b"etag", b'W/"a"')]
