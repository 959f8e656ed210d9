"""Content types."""

from __future__ import annotations

import mimetypes

import pytest

from greenbas.protocol import mime
from greenbas.protocol.mime import UNKNOWN, compressible, content_type, guess_type


@pytest.mark.parametrize(
    ("name", "kind", "header"),
    [
        pytest.param("index.html", "text/html", "text/html; charset=utf-8", id="html"),
        pytest.param("INDEX.HTM", "text/html", "text/html; charset=utf-8", id="upper case"),
        pytest.param("a/b.c/style.css", "text/css", "text/css; charset=utf-8", id="path"),
        pytest.param(".html", "text/html", "text/html; charset=utf-8", id="extension alone"),
        pytest.param("x.js", "text/javascript", "text/javascript; charset=utf-8", id="js"),
        pytest.param("x.mjs", "text/javascript", "text/javascript; charset=utf-8", id="mjs"),
        pytest.param("x.min.js", "text/javascript", "text/javascript; charset=utf-8", id="two dots"),
        pytest.param("x.txt", "text/plain", "text/plain; charset=utf-8", id="txt"),
        pytest.param("x.md", "text/markdown", "text/markdown; charset=utf-8", id="md"),
        pytest.param("x.json", "application/json", "application/json", id="json"),
        pytest.param("x.js.map", "application/json", "application/json", id="map"),
        pytest.param("x.webmanifest", "application/manifest+json", "application/manifest+json", id="manifest"),
        pytest.param("x.xml", "application/xml", "application/xml", id="xml"),
        pytest.param("x.svg", "image/svg+xml", "image/svg+xml", id="svg"),
        pytest.param("x.png", "image/png", "image/png", id="png"),
        pytest.param("x.webp", "image/webp", "image/webp", id="webp"),
        pytest.param("x.avif", "image/avif", "image/avif", id="avif"),
        pytest.param("x.woff2", "font/woff2", "font/woff2", id="woff2"),
        pytest.param("x.wasm", "application/wasm", "application/wasm", id="wasm"),
        pytest.param("x.ts", "video/mp2t", "video/mp2t", id="ts"),
        pytest.param("x.tar.gz", "application/gzip", "application/gzip", id="gz"),
        pytest.param("x.tgz", "application/gzip", "application/gzip", id="tgz"),
        pytest.param("x.svgz", "application/gzip", "application/gzip", id="svgz"),
    ],
)
def test_known(name: str, kind: str, header: str) -> None:
    assert guess_type(name) == (kind, True)
    assert content_type(name) == header


@pytest.mark.parametrize("name", ["", "README", "page.psp", "PAGE.PSP", "x.", ".", "a.html/b", "x.html~", "x.nonsense"])
def test_unknown(name: str) -> None:
    assert guess_type(name) == (UNKNOWN, False)
    assert content_type(name) == "application/octet-stream"


def test_the_machine_has_no_say() -> None:
    mimetypes.add_type("text/x-here", ".psp")
    mimetypes.add_type("text/x-here", ".html")
    try:
        assert mime._table() == mime._TYPES
    finally:
        mimetypes.init()
    assert guess_type("x.psp") == (UNKNOWN, False)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/html", True),
        ("text/html; charset=utf-8", True),
        ("Text/CSS", True),
        ("text/javascript", True),
        ("application/json;charset=utf-8", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/xml", True),
        ("application/wasm", True),
        ("font/ttf", True),
        ("font/woff2", False),
        ("image/png", False),
        ("video/mp2t", False),
        ("application/gzip", False),
        ("application/zip", False),
        ("application/octet-stream", False),
        ("application/textile", False),
        ("", False),
    ],
)
def test_compressible(kind: str, expected: bool) -> None:
    assert compressible(kind) is expected
