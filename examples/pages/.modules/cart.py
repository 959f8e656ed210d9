"""The shopping cart: what can be bought, and a cart that travels in a cookie."""

from __future__ import annotations

import re
from typing import NamedTuple

PRODUCTS = {  # by key: name, and price in cents
    "soup": ("Soup of the day", 450),
    "bread": ("Bread & butter", 220),
    "pie": ("Half a pie", 780),
    "tea": ("Pot of tea", 350),
}
MOST = 20  # of one thing
DELIVERY, FREE_FROM = 290, 2000  # cents

_ENTRY = re.compile(r"([a-z]+)\.([0-9]{1,2})")


class Line(NamedTuple):
    """A line of the cart; money is in cents."""

    key: str
    name: str
    count: int
    price: int

    @property
    def cost(self) -> int:
        """Of all pieces together."""
        return self.count * self.price


def parse(text: str) -> dict[str, int]:
    """How many of each, from "soup.2-tea.1"; what a cart of ours would not say is left out."""
    counts = {}
    for entry in text.split("-"):
        found = _ENTRY.fullmatch(entry)
        if found and found[1] in PRODUCTS and 0 < int(found[2]) <= MOST:
            counts[found[1]] = int(found[2])
    return counts


def written(counts: dict[str, int]) -> str:
    """The text that `parse` reads."""
    return "-".join(f"{key}.{count}" for key, count in counts.items())


def change(counts: dict[str, int], key: str | None, by: int) -> None:
    """Put in or take out; what is not for sale changes nothing."""
    if key in PRODUCTS:
        counts[key] = min(counts.get(key, 0) + by, MOST)
        if counts[key] <= 0:
            del counts[key]


def lines(counts: dict[str, int]) -> list[Line]:
    """The cart as it is shown, in the order of the shop."""
    return [Line(key, name, counts[key], price) for key, (name, price) in PRODUCTS.items() if key in counts]


def delivery(goods: int) -> int:
    """What it costs to bring goods of this worth."""
    return 0 if goods >= FREE_FROM or not goods else DELIVERY


def money(cents: int) -> str:
    """An amount as people write it."""
    return f"€\N{NO-BREAK SPACE}{cents // 100}.{cents % 100:02}"
