"""What a developer sees when a handler has failed: the exception, its source and values, as a page or as JSON.

For development only: it tells what the program holds. In production a client gets `error_page`, with an id and no more.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from greenbas.http.errorpage import error_page
from greenbas.http.failuretrace import Failure, Frame, Source, describe
from greenbas.http.failurevalues import masked, type_name
from greenbas.protocol import reason

__all__ = ["failure_json", "failure_page", "prefers_json"]

MAX_PAGE = 256 * 1024  # bytes of a page
MAX_TEXT = 24 * 1024  # characters of the traceback as plain text
MAX_TARGET = 2000  # characters of the request target
FOLDED = 2  # calls in a row that are not the user's, beyond which they are folded
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>{title}</title>
<style>
:root{{--paper:#f5f4ed;--surface:#fffefa;--ink:#1b2a21;--muted:#5a6a60;--line:#dddfd2;--bad:#a8341f;--soft:#fbe6df;
--code:ui-monospace,"SF Mono","Cascadia Mono","DejaVu Sans Mono",Menlo,Consolas,monospace}}
@media(prefers-color-scheme:dark){{:root{{--paper:#0f1512;--surface:#161f1a;--ink:#e3ebe5;--muted:#98a99e;--line:#27352d;
--bad:#ff9580;--soft:#46231b}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;max-width:76rem;padding:2rem 1.25rem 3rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;overflow-wrap:anywhere}}
h1{{margin:.2rem 0 .4rem;color:var(--bad);font-size:clamp(1.4rem,4vw,2rem);line-height:1.2}}
h2{{margin:2.25rem 0 .25rem;font-size:1.15rem;line-height:1.3}}
p{{margin:0 0 .6rem}}code,pre,table,summary{{font-family:var(--code);font-size:.84rem}}
a{{color:inherit}}summary{{cursor:pointer}}:focus-visible{{outline:2px solid var(--bad);outline-offset:2px}}
.said{{margin:0 0 .9rem;font-size:1.1rem;white-space:pre-wrap}}h2~.said{{font-size:1rem}}
.muted,.line,.gap{{color:var(--muted)}}.line,.gap{{margin:0;padding:.2rem .9rem;font:.8rem/1.5 var(--code)}}
.gap>summary{{margin-left:-.15rem;font-size:.8rem}}.gap>.line{{padding:.2rem 0 0 1rem}}
.frame{{margin:.6rem 0;border:1px solid var(--line);border-radius:10px;background:var(--surface);overflow:hidden}}
.frame>summary,.frame>header{{padding:.55rem .9rem}}.frame b{{font-weight:650}}
pre{{margin:0;padding:.5rem 0;overflow-x:auto;border-top:1px solid var(--line);line-height:1.6;tab-size:4}}
pre span{{display:block;min-width:max-content;padding-right:1rem}}pre mark{{display:block;min-width:max-content;
padding-right:1rem;background:var(--soft);color:inherit;box-shadow:inset 3px 0 var(--bad)}}
pre i{{display:inline-block;width:4.2em;margin-right:1.2em;color:var(--muted);font-style:normal;text-align:right;
user-select:none}}pre u{{text-decoration:underline wavy var(--bad);text-underline-offset:.2em}}
.plain{{padding:.9rem;white-space:pre-wrap}}.plain,.values{{border-top:1px solid var(--line)}}
.values>summary{{padding:.45rem .9rem;color:var(--muted)}}
table{{width:100%;border-collapse:collapse}}th,td{{padding:.3rem .9rem;border-top:1px solid var(--line);
text-align:left;vertical-align:top;font-weight:400}}th{{width:1%;padding-right:.5rem;color:var(--muted);
white-space:nowrap}}
@media(max-width:40rem){{th,td{{display:block;width:auto}}td{{padding-top:0;border-top:0}}th{{padding-bottom:0}}
pre i{{width:2.6em;margin-right:.8em}}}}
</style></head><body>
{body}
</body></html>
"""


def failure_page(error: BaseException, status: int, request_id: str, method: str, target: str) -> str:
    """The HTML page for a developer. Never raises.

    Args:
        error: what a handler raised, with its traceback.
        status: the status of the answer.
        request_id: as the log has it.
        method: of the request.
        target: of the request, as it was sent.

    Returns:
        At most 256 KiB as UTF-8, with nothing in it that a browser would load.
    """
    try:
        page = _render(error, status, request_id, method, masked(target[:MAX_TARGET]))
    except BaseException:  # the failure itself matters more than that it could not be shown nicely
        page = error_page(status, None, request_id=request_id, detail=_plain_text(error))
    return _encodable(page)


def failure_json(error: BaseException, status: int, request_id: str, method: str, target: str) -> dict[str, Any]:
    """The same for a program: no source and no values. Never raises.

    Args:
        error: what a handler raised, with its traceback.
        status: the status of the answer.
        request_id: as the log has it.
        method: of the request.
        target: of the request, as it was sent.

    Returns:
        error (its class), message, status, request (the id), method, target, traceback: a list of objects with file,
        line, function and code, the innermost last; and related: its causes, as objects with relation, error, message
        and traceback.
    """
    try:
        first, *others = describe(error, with_values=False)
        told = _as_json(first)
        told["related"] = [{"relation": _encodable(one.relation), **_as_json(one)} for one in others]
    except BaseException:
        told = {"error": type_name(error), "message": "", "traceback": [], "related": []}
    target = _encodable(masked(target[:MAX_TARGET])[:MAX_TARGET])
    return {**told, "status": status, "request": request_id, "method": _encodable(method), "target": target}


def prefers_json(accept: str | None, requested_with: str | None = None) -> bool:
    """Whether a client would rather have JSON than a page.

    Args:
        accept: its Accept field (RFC 9110 12.5.1); a bare ``*/*`` is taken for a page, as a person may be reading.
        requested_with: its X-Requested-With field, which scripts of a page send.
    """
    if requested_with is not None and requested_with.strip().lower() == "xmlhttprequest":
        return True
    best = {"json": 0.0, "html": 0.0}
    for item in (accept or "").split(",")[:50]:
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        weights = [part[2:].strip() for part in parameters if part.startswith("q=")]
        weight = float(weights[0]) if weights and re.fullmatch(r"[01](\.[0-9]{0,3})?", weights[0]) else 1.0
        if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
            best["json"] = max(best["json"], weight)
        elif kind in ("text/html", "application/xhtml+xml", "text/*"):
            best["html"] = max(best["html"], weight)
    return best["json"] > best["html"]


def _render(error: BaseException, status: int, request_id: str, method: str, target: str) -> str:
    failures = describe(error)
    first = failures[0]
    title = escape(f"{first.kind} at {target[:100]}")
    pieces = list(_pieces(failures, f"{status} {reason(status)}", request_id, method, target, _plain_text(error)))
    left = MAX_PAGE - _size(_PAGE.format(title=title, body="")) - sum(_size(piece.brief) for piece in pieces)
    chosen = {}
    for piece in sorted(pieces, key=lambda piece: piece.rank):
        more = _size(piece.full) - _size(piece.brief)
        chosen[id(piece)] = piece.full if more <= left else piece.brief
        left -= more if more <= left else 0
    return _PAGE.format(title=title, body="\n".join(chosen[id(piece)] for piece in pieces))


def _size(html: str) -> int:
    return len(_encodable(html).encode()) + 1


@dataclass(slots=True)
class _Piece:
    # A part of the page: whole if there is room, by rank, and brief otherwise. All brief ones together always fit.
    rank: float
    full: str
    brief: str = ""


def _pieces(
    failures: list[Failure], answer: str, request_id: str, method: str, target: str, text: str
) -> Iterator[_Piece]:
    """The page from top to bottom."""
    first = failures[0]
    request = f"<code>{escape(method[:100])} {escape(target[:MAX_TARGET])}</code>"
    head = f"<p class=muted>{escape(answer)} · request id <code>{escape(request_id)}</code></p>"
    yield _Piece(0, f"{head}<h1>{escape(first.kind)}</h1>{_said(first)}<p>{request}</p>", head)
    for number, failure in enumerate(failures):
        if failure.relation:
            heading = f"<h2>{escape(failure.relation)}: {escape(failure.kind)}</h2>"
            yield _Piece(number, heading + _said(failure), heading)
        yield from _calls(failure, number)
    details = f"<details class=frame><summary>The traceback as text</summary><pre class=plain>{escape(text)}</pre>"
    yield _Piece(1, details + "</details>")


def _calls(failure: Failure, number: int) -> Iterator[_Piece]:
    innermost = next((one for one in reversed(failure.frames) if _is_shown(one)), None)
    for shown, group in groupby(enumerate(failure.frames, 1), lambda place: _is_shown(place[1])):
        places = [(number + 1 - place / 1000, _line(frame), frame) for place, frame in group]  # the innermost first
        if not shown and len(places) > FOLDED:
            label = f"{len(places)} calls of libraries"
            lines = "".join(line for _, line, _ in places)
            full = f"<details class=gap><summary>{label}</summary>{lines}</details>"
            yield _Piece(places[-1][0], full, f"<p class=gap>{label}</p>")
            continue
        for rank, line, frame in places:
            if shown and isinstance(frame, Frame):
                yield _Piece(rank, _frame(frame, innermost=frame is innermost), line)
            else:
                yield _Piece(rank, line, line)


def _is_shown(frame: Frame | int) -> bool:
    return isinstance(frame, Frame) and (frame.source is not None or bool(frame.values))


def _line(frame: Frame | int) -> str:
    if isinstance(frame, int):
        return f"<p class=gap>… {frame:,} {'call' if frame == 1 else 'calls'} left out …</p>"
    return f"<p class=line>{_place(frame)}</p>"


def _said(failure: Failure) -> str:
    lines = [failure.message] if failure.message else []
    return "".join(f"<p class=said>{escape(line)}</p>" for line in [*lines, *failure.notes])


def _place(frame: Frame) -> str:
    place = f"{escape(frame.file)}:{frame.line}"
    return f"{place} <b>{escape(frame.function)}</b>" if frame.function else place


def _frame(frame: Frame, *, innermost: bool) -> str:
    source = _source(frame.source) if frame.source is not None else ""
    values = ""
    if frame.values:
        rows = "".join(f"<tr><th scope=row>{escape(name)}<td>{escape(value)}" for name, value in frame.values)
        more = f"<tr><th scope=row>…<td>{frame.more:,} more" if frame.more else ""
        count = len(frame.values) + frame.more
        label = f"{count:,} local {'name' if count == 1 else 'names'}"
        opened = " open" if innermost else ""
        values = f"<details class=values{opened}><summary>{label}</summary><table>{rows}{more}</table></details>"
    return f"<details class=frame open><summary>{_place(frame)}</summary>{source}{values}</details>"


def _source(source: Source) -> str:
    lines = []
    for number, text in enumerate(source.lines, source.first):
        if number != source.marked:
            lines.append(f"<span><i>{number}</i>{escape(text)}</span>")
            continue
        at = source.offset - 1
        if 0 <= at < len(text):
            marked = f"{escape(text[:at])}<u>{escape(text[at])}</u>{escape(text[at + 1 :])}"
        else:
            marked = escape(text)
        lines.append(f"<mark><i>{number}</i>{marked}</mark>")
    return f"<pre>{''.join(lines)}</pre>"


def _as_json(failure: Failure) -> dict[str, Any]:
    frames = [
        {
            "file": _encodable(frame.file),
            "line": frame.line,
            "function": _encodable(frame.function),
            "code": _encodable(_marked(frame.source)),
        }
        for frame in failure.frames
        if isinstance(frame, Frame)
    ]
    message = "\n".join(filter(None, [failure.message, *failure.notes]))
    return {"error": _encodable(failure.kind), "message": _encodable(message), "traceback": frames}


def _marked(source: Source | None) -> str:
    return source.lines[source.marked - source.first].strip() if source is not None else ""


def _plain_text(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
        text = "\n".join(masked(line) for line in text.split("\n"))  # by lines, as source code is among them
    except BaseException:
        text = type_name(error)
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[: MAX_TEXT // 3]}\n…\n{text[-MAX_TEXT * 2 // 3 :]}"


def _encodable(text: str) -> str:
    # Names of files and what comes from clients may hold halves of characters, which no answer can.
    return text.encode("utf-8", "backslashreplace").decode()
