"""The order form: what its fields may hold, and what is wrong with what came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

SIZES = {"s": "Small", "m": "Medium", "l": "Large"}
EXTRAS = {"olives": "Olives", "capers": "Capers", "onions": "Onions & garlic", "chilli": "Chilli"}
MOST_EXTRAS = 3
LONGEST_NAME = 40


@dataclass
class Order:
    """The fields as they came, so that they can be shown again."""

    name: str = ""
    size: str = "m"
    extras: list[str] = field(default_factory=list)
    note: str = ""
    agreed: bool = False


def read(pairs: Iterable[tuple[str, str]]) -> Order:
    """The order of a form; the pairs are those of `request.datapairs()`."""
    order = Order()
    for name, value in pairs:
        if name == "extra":
            order.extras.append(value)
        elif name == "agreed":
            order.agreed = True
        elif name in ("name", "size", "note"):
            setattr(order, name, value.strip())
    return order


def problems(order: Order) -> dict[str, str]:
    """What is wrong, by field. A browser would not send most of it; other clients send what they like."""
    found = {}
    if not order.name:
        found["name"] = "Who are you?"
    elif len(order.name) > LONGEST_NAME:
        found["name"] = f"{LONGEST_NAME} characters are enough."
    if order.size not in SIZES:
        found["size"] = "There is no such size."
    if not set(order.extras) <= EXTRAS.keys():
        found["extra"] = "We do not have all of that."
    elif len(order.extras) > MOST_EXTRAS:
        found["extra"] = f"Choose up to {MOST_EXTRAS}."
    if not order.agreed:
        found["agreed"] = "Nothing comes for free."
    return found
