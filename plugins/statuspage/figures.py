"""Numbers as a person reads them. page.js has the same functions; a test compares what both make of a snapshot."""

from __future__ import annotations

__all__ = ["count", "duration", "level", "milliseconds", "percent", "rate", "size"]


def count(number: float | None) -> str:
    """A whole number with separators."""
    return "unknown" if number is None else f"{round(number):,}"


def rate(number: float) -> str:
    """A number with as many decimals as are of interest."""
    if number >= 100:
        return count(number)
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}" if number else "0"


def milliseconds(number: float) -> str:
    """The same for times."""
    if number >= 100:
        return count(number)
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}" if number >= 1 else f"{number:.3f}" if number else "0"


def percent(share: float) -> str:
    """A share of 1."""
    return f"{rate(share * 100)} %"


def size(number: float | None) -> str:
    """Bytes."""
    if number is None:
        return "unknown"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.1f} {unit}" if unit != "B" and number < 100 else f"{round(number)} {unit}"
        number /= 1000
    return f"{count(number)} TB" if number >= 100 else f"{number:.1f} TB"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{count(days)} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def level(value: float, high: float, critical: float) -> str:
    """How bad a number is."""
    return "critical" if value >= critical else "high" if value >= high else ""
