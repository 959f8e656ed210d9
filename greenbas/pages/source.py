"""A line of generated source."""

from __future__ import annotations

from typing import NamedTuple

from greenbas.pages.pagetext import Place

__all__ = ["SourceLine"]


class SourceLine(NamedTuple):
    """A line of generated source and the place of the page that it stands for.

    Args:
        text: the line, without its line break; before `start` it is ASCII.
        place: of the character at `start`; of the whole line where that is negative.
        start: where text of the page begins in it; negative when it holds none.
        end: where that text ends.
        literal: whether its string constant is literal text of the page.
    """

    text: str
    place: Place
    start: int = -1
    end: int = -1
    literal: bool = False
