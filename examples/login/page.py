"""The frame of this site's pages."""

from __future__ import annotations

__all__ = ["page"]

FRAME = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 8vh auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.6rem; }}
a {{ color: light-dark(#17693c, #58c585); }}
input, button {{ font: inherit; padding: .5rem .7rem; margin: .2rem 0; border: 1px solid #8a968e; border-radius: 6px; }}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""


def page(title: str, body: str) -> str:
    """A page of HTML.

    Args:
        title: escaped.
        body: likewise.
    """
    return FRAME.format(title=title, body=body)
