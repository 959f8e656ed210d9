"""Runs once, when the application starts. Its globals are what the pages know as `app`."""

from __future__ import annotations

from typing import NamedTuple

from greenbas.http import Session

MOST = 12  # of one kind


class Fruit(NamedTuple):
    """Something that is for sale; the price is in cents."""

    name: str
    unit: str
    price: int
    colour: str


FRUITS = {
    "apples": Fruit("Apples", "a bag of six", 320, "#c8442f"),
    "pears": Fruit("Pears", "a bag of four", 290, "#a9b13c"),
    "lemons": Fruit("Lemons", "a net of five", 240, "#e5b91f"),
    "plums": Fruit("Plums", "a punnet", 350, "#6d4482"),
    "oranges": Fruit("Oranges", "a net of eight", 410, "#e27e1f"),
    "figs": Fruit("Figs", "three of them", 380, "#7b3f52"),
}


def change(session: Session, key: str | None, by: int) -> None:
    """Put something into the basket, or take it out; what is not for sale changes nothing."""
    if key not in FRUITS:
        return
    if "basket" not in session:
        session.basket = {}
    basket = session.basket
    basket[key] = min(basket.get(key, 0) + by, MOST)  # in place, and kept nevertheless
    if basket[key] <= 0:
        del basket[key]


def lines(session: Session | None) -> list[tuple[str, Fruit, int]]:
    """What is in the basket: key, fruit, and how many."""
    basket = session.get("basket", {}) if session else {}
    return [(key, fruit, basket[key]) for key, fruit in FRUITS.items() if key in basket]


def total(session: Session | None) -> int:
    """What all of it costs, in cents."""
    return sum(fruit.price * count for _, fruit, count in lines(session))


def money(cents: int) -> str:
    """An amount as people write it."""
    return f"€\N{NO-BREAK SPACE}{cents // 100}.{cents % 100:02}"


def minutes(seconds: float) -> str:
    """A time as people say it."""
    count = max(1, round(seconds / 60))
    return "a minute" if count == 1 else f"{count} minutes"
