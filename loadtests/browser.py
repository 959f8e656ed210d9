"""The request head of a browser: what servers have to parse in real life.

A benchmark with a bare `GET / HTTP/1.1` flatters every server, and slow header code most.
"""

from __future__ import annotations

HEADERS: tuple[tuple[str, str], ...] = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Connection", "keep-alive"),
    ("Cookie", "theme=dark; visit=8c1f0a4be2d94f7c; language=en"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "none"),
    ("Priority", "u=0, i"),
)


def head(path: str, port: int) -> bytes:
    """The bytes of one GET."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in HEADERS)]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
