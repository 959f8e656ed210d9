"""The page as HTML. What page.js shows later is shown here first, so that the page works without scripts too."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template
from typing import Any

from greenbas_plugins.statuspage.figures import count, duration, level, milliseconds, percent, rate, size

__all__ = ["content_security_policy", "render"]

Snapshot = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """One number.

    Attributes:
        value: what is written large.
        note: what is written below.
        share: of a limit, 0 to 1; None where there is none.
        level: "", "high" or "critical".
    """

    value: str
    note: str
    share: float | None = None
    level: str = ""


def render(snapshot: Snapshot, host: str, interval: float) -> str:
    """The whole page.

    Args:
        snapshot: of `greenbas.metrics.Metrics`.
        host: the name of the server, for the title.
        interval: seconds between updates.
    """
    template, style, script = _assets()
    shown = tiles(snapshot)
    return template.substitute(
        host=escape(host),
        interval=round(interval * 1000),
        style=style,
        script=script,
        tiles="\n".join(_tile(key, shown[key]) for key in TITLES),
        bar=_bar(snapshot["requests"]["statuses"]),
        facts="\n".join(f"<div><dt>{name}<dd>{escape(value)}</div>" for name, value in facts(snapshot)),
        rows="\n".join(_row(row) for row in snapshot["directories"]),
        backends="\n".join(_backend(row) for row in snapshot["backends"]),
        nobackends="" if snapshot["backends"] else " hidden",
    )


@cache
def content_security_policy() -> str:
    """The policy that allows exactly what is in the page, and requests for its data."""
    _, style, script = _assets()
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _assets() -> tuple[Template, str, str]:
    folder = resources.files(__package__)
    page, style, script = (folder.joinpath(name).read_text("utf-8") for name in ("page.html", "page.css", "page.js"))
    return Template(page), style, script


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# What is shown. page.js has the same; a test compares them.

TITLES = {
    "requests": "Requests per second",
    "lag": "Hub lag",
    "connections": "Connections",
    "workers": "Workers",
    "queue": "Queue",
    "errors": "Errors",
    "memory": "Memory",
    "descriptors": "Descriptors",
}


def tiles(snapshot: Snapshot) -> dict[str, Tile]:
    """The tiles by key."""
    requests, hub, connections = snapshot["requests"], snapshot["hub"], snapshot["connections"]
    workers, queue, descriptors = snapshot["workers"], snapshot["queue"], snapshot["descriptors"]
    total, errors = requests["total"], requests["errors"]
    wrong = errors / total if total else 0.0
    connected, busy, waiting, opened = (
        pair[0] / pair[1] if pair[0] and pair[1] else 0.0
        for pair in (
            (connections["open"], connections["limit"]),
            (workers["active"], workers["limit"]),
            (queue["length"], queue["limit"]),
            (descriptors["open"], descriptors["limit"]),
        )
    )
    return {
        "requests": Tile(
            rate(requests["per_second"]), f"{rate(requests['per_second_minute'])} over a minute, {count(total)} in all"
        ),
        "lag": Tile(
            f"{milliseconds(hub['lag'] * 1000)} ms",
            f"most in a minute: {milliseconds(hub['lag_max'] * 1000)} ms",
            None,
            level(hub["lag_max"], 0.05, 0.25),
        ),
        "connections": Tile(
            count(connections["open"]),
            f"of {count(connections['limit'])}, {count(connections['idle'])} idle",
            connected,
            level(connected, 0.8, 0.95),
        ),
        "workers": Tile(
            count(workers["active"]),
            f"of {count(workers['limit'])}, {count(workers['idle'])} waiting",
            busy,
            level(busy, 0.8, 0.95),
        ),
        "queue": Tile(
            count(queue["length"]), f"of {count(queue['limit'])} places", waiting, level(waiting, 0.001, 0.5)
        ),
        "errors": Tile(count(errors), f"{percent(wrong)} of all requests", None, level(wrong, 0.01, 0.05)),
        "memory": Tile(size(snapshot["memory"]["rss"]), "resident"),
        "descriptors": Tile(
            count(descriptors["open"]), f"of {count(descriptors['limit'])}", opened, level(opened, 0.8, 0.95)
        ),
    }


def facts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """What stands in the list below the tiles."""
    hub, connections = snapshot["hub"], snapshot["connections"]
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(snapshot["started"]))
    return [
        ("Running for", duration(snapshot["uptime"])),
        ("Since", started),
        ("Listens on", ", ".join(snapshot["listeners"]) or "nothing"),
        ("Process", str(snapshot["pid"])),
        ("Connections in all", count(connections["total"])),
        ("Closed while idle", f"{count(connections['timed_out'])} timed out, {count(connections['evicted'])} early"),
        ("Refused", count(snapshot["refused"])),
        ("Handlers failed", count(snapshot["failures"])),
        ("Hub blocked", f"{count(hub['blocked'])} times, {rate(hub['blocked_seconds'])} s in all"),
    ]


CLASSES = {
    "2xx": "answered",
    "3xx": "redirected or unchanged",
    "4xx": "client errors",
    "5xx": "server errors",
    "none": "broken off",
}
COLUMNS: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("requests", count),
    ("per_second", rate),
    ("errors", count),
    ("p50", milliseconds),
    ("p95", milliseconds),
    ("p99", milliseconds),
    ("max", milliseconds),
    ("bytes", size),
)


# As HTML.


def _tile(key: str, tile: Tile) -> str:
    meter = ""
    if tile.share is not None:
        # Through attributes of SVG: the policy forbids attributes of style.
        width = round(100 * min(1.0, tile.share), 2)
        meter = '<svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        meter += f'<rect class="rail" width="100" height="4"/><rect class="fill" width="{width:g}" height="4"/></svg>'
    return (
        f'<section class="tile" id="tile-{key}" data-level="{tile.level}" aria-labelledby="title-{key}">'
        f'<h2 id="title-{key}">{TITLES[key]}</h2><p class="tag">{tile.level}</p>'
        f'<p class="value">{escape(tile.value)}</p><p class="note">{escape(tile.note)}</p>{meter}'
        '<svg class="chart" viewBox="0 0 300 48" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="area"/><path class="curve"/></svg><p class="peak" aria-hidden="true"></p></section>'
    )


def _bar(statuses: dict[str, int]) -> str:
    total = sum(statuses[name] for name in CLASSES) or 1
    rects, at = [], 0.0
    for name in CLASSES:
        width = 100 * statuses[name] / total
        rects.append(f'<rect class="s{name}" x="{at:.3f}" width="{width:.3f}" height="8"/>')
        at += width
    legend = "".join(
        f'<li class="s{name}"><b>{count(statuses[name])}</b> {"" if name == "none" else name + " "}{words}</li>'
        for name, words in CLASSES.items()
    )
    bar = '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">' + "".join(rects) + "</svg>"
    return f'{bar}<ul class="legend">{legend}</ul>'


def _row(row: dict[str, Any]) -> str:
    numbers = "".join(f"<td>{show(row[name])}" for name, show in COLUMNS)
    wrong = ' class="wrong"' if row["errors"] else ""
    return f'<tr{wrong}><th scope="row">{escape(place(row))}<td class="kind">{escape(kind(row))}{numbers}'


def _backend(row: dict[str, Any]) -> str:
    path, *texts = backend(row)
    wrong = ' class="wrong"' if row["state"] != "up" else ""
    cells = f'<td class="kind">{escape(texts[0])}' + "".join(f"<td>{escape(text)}" for text in texts[1:])
    return f'<tr{wrong} title="{escape(row["last_error"])}"><th scope="row">{escape(path)}{cells}'


def backend(row: dict[str, Any]) -> list[str]:
    """What is shown of a backend, column by column."""
    limit = f" of {count(row['limit'])}" if row["limit"] else ""
    times = ["-" if row[name] is None else milliseconds(row[name]) for name in ("p50", "p95")]
    numbers = [count(row[name]) for name in ("failures", "queued", "idle", "tunnels", "served")]
    return [row["path"], row["name"], row["state"], f"{count(row['in_flight'])}{limit}", *numbers, *times]


def place(row: dict[str, Any]) -> str:
    """What is shown for the path of a row."""
    return "-" if row["path"] is None else str(row["path"])


def kind(row: dict[str, Any]) -> str:
    """What is shown for who answered."""
    names = {"nobody": "nobody: not found", "others": "all others"}
    return names.get(row["kind"], row["kind"]) if row["path"] is None else str(row["kind"])
