"""The frame around the pages that handlers answer with."""

from __future__ import annotations

import html

__all__ = ["page"]

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · greenbas</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/welcome.css">
</head>
<body>
<header class="bar"><a class="brand" href="/"><img src="/favicon.svg" alt="" width="28" height="28">greenbas</a>
<nav><a href="/#demos">Demos</a><a href="/source/">The code</a></nav></header>
<main class="sheet">
<h1>{title}</h1>
{body}
<p class="back"><a href="/">Back to the start</a></p>
</main>
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """A whole page. The title is escaped here; the body is HTML already."""
    return FRAME.format(title=html.escape(title), body=body)
