"""The page of an error response: the status, a sentence, an id for the log. Never what an exception said."""

from __future__ import annotations

from html import escape

from greenbas.protocol import reason

__all__ = ["error_page"]

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:12vh auto 4rem;padding:0 1.5rem}}
h1{{font-weight:600}}pre{{overflow:auto;padding:1rem;border:1px solid;border-radius:6px;font-size:.85rem}}</style>
</head><body><h1>{title}</h1>{message}</body></html>
"""


def error_page(status: int, message: str | None = None, *, request_id: str | None = None, detail: str = "") -> str:
    """HTML for an error.

    Args:
        status: the status code.
        message: a sentence for the reader; escaped.
        request_id: shown, so that a reader can name the log line.
        detail: preformatted text for developers, such as a traceback; escaped.
    """
    parts = []
    if message:
        parts.append(f"<p>{escape(message)}</p>")
    if request_id:
        parts.append(f"<p>Request id: <code>{escape(request_id)}</code></p>")
    if detail:
        parts.append(f"<pre>{escape(detail)}</pre>")
    return _PAGE.format(title=f"{status} {escape(reason(status))}", message="".join(parts))
