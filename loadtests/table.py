"""Text tables of the results. Pure code."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from score import Cell, Ratio
from works import Work


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *(line(row) for row in rows)])


def work_table(work: Work, cells: Sequence[Cell]) -> str:
    """The servers at one work, fastest first, with notes below for whatever is not a plain number."""
    measured = sorted((cell for cell in cells if cell.rounds), key=lambda cell: -median(cell.rates))
    header = ["requests/s", "median", "min", "max", "p50 ms", "p99 ms", "server CPU", "wrk CPU"]
    lines = [f"{work.name}: {work.title}", render(header, [work_row(cell) for cell in measured])]
    return "\n".join([*lines, *(note for cell in cells for note in notes(cell))])


def work_row(cell: Cell) -> list[str]:
    """One server's medians; errors and a busy client are marked at the name."""
    rates = cell.rates
    return [
        cell.peer + (" !" if cell.errors else "") + (" ~" if cell.client_bound else ""),
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{median(one.p50_ms for one in cell.rounds):.2f}",
        f"{median(one.p99_ms for one in cell.rounds):.2f}",
        f"{median(one.server_cpu for one in cell.rounds):.0%}",
        f"{median(one.client_cpu for one in cell.rounds):.0%}",
    ]


def notes(cell: Cell) -> list[str]:
    """Sentences below the table."""
    found = []
    if cell.absent:
        found.append(f"  {cell.peer}: {cell.absent}")
    if cell.errors:
        found.append(f"! {cell.peer}: {cell.errors}")
    if cell.client_bound:
        found.append(f"~ {cell.peer}: wrk used its whole core, the server may be faster than this")
    return found


def ratio_table(found: Sequence[Ratio]) -> str:
    """greenbas against its peers, with goals and verdicts."""
    if not found:
        return "greenbas / peer: nothing to compare"
    header = ["work", "peer", "greenbas/peer", "min", "max", "by CPU", "goal", "verdict"]
    return render(header, [ratio_row(one) for one in found])


def ratio_row(one: Ratio) -> list[str]:
    """One comparison."""
    return [
        one.work,
        one.peer,
        f"{one.value:.2f}" + ("~" if one.client_bound else ""),
        f"{one.low:.2f}",
        f"{one.high:.2f}",
        f"{one.per_cpu:.2f}" if one.per_cpu else "",  # nothing where memory is compared
        "" if one.goal is None else f"{one.goal:.2f}",
        one.verdict,
    ]
